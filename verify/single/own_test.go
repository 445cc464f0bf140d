package single_test

import (
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/single"
)

// What we sign ourselves, with every kind of key: it verifies, and does not with
// another key, for another artifact, or altered. Needs nothing but this package.
func TestOurOwnBundles(t *testing.T) {
	artifact := attest.SHA256([]byte("weights"))
	payload, err := attest.NewStatement(attest.Subject{Name: "model", Digest: artifact}, "https://example.org/training/v1", map[string]any{"epochs": 3})
	if err != nil {
		t.Fatal(err)
	}
	other, err := attest.GenerateKey(attest.P256)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []attest.KeyAlgorithm{attest.P256, attest.P384, attest.Ed25519} {
		key, err := attest.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := attest.Sign(t.Context(), payload, key)
		if err != nil {
			t.Fatal(err)
		}
		good := single.Question{Bundle: bundle, Key: key.Public(), Artifact: single.Artifact{Digest: artifact}}
		if _, err := single.Check(good); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		byContent := good
		byContent.Artifact = single.Artifact{Content: strings.NewReader("weights")}
		if _, err := single.Check(byContent); err != nil {
			t.Errorf("%s, by content: %v", alg, err)
		}
		wrongKey := good
		wrongKey.Key = other.Public()
		elsewhere := good
		elsewhere.Artifact = single.Artifact{Digest: attest.SHA256([]byte("other weights"))}
		altered := good
		i := strings.Index(string(bundle), `"payload":"`) + len(`"payload":"`) + 40
		altered.Bundle = []byte(string(bundle[:i]) + flip(bundle[i]) + string(bundle[i+1:]))
		for name, c := range map[string]struct {
			q    single.Question
			want attest.Code
		}{
			"another key":      {wrongKey, attest.CodeSigInvalid},
			"another artifact": {elsewhere, attest.CodeSubjectMismatch},
			"altered payload":  {altered, attest.CodeSigInvalid},
			"nobody named":     {single.Question{Bundle: bundle, Artifact: good.Artifact}, attest.CodeUsage},
			"no artifact":      {single.Question{Bundle: bundle, Key: key.Public()}, attest.CodeUsage},
		} {
			r, err := single.Check(c.q)
			if got := attest.RefusalCode(err); got != c.want || r != nil {
				t.Errorf("%s, %s: %q (%v), report %v; want %q", alg, name, got, err, r, c.want)
			}
		}
	}
}

// flip returns another letter of the base64 alphabet.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}
