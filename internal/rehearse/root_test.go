package rehearse

import (
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// The root of an OMS signature is that of the specification: of the digests' bytes
// and not of their hex digits, in the order of the names. examples/llm signs the
// same two files, and its test expects the same root.
func TestRoot(t *testing.T) {
	a := &artifact{files: map[string]string{"b": "two", "a": "one"}}
	want, err := attest.ParseDigest("sha256:11914c19a28a98c57d12f3cce6c32b7944784f4b4781a706c24eb1dc284e2856")
	if err != nil {
		t.Fatal(err)
	}
	if got := a.root(); got != want {
		t.Errorf("the root is %s, want %s", got, want)
	}
}
