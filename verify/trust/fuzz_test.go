package trust_test

import (
	"testing"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Whatever a trust file or a file that it names holds: it loads whole and knows its
// digest, or nothing comes of it; and nothing panics.
func FuzzLoad(f *testing.F) {
	w := world(f)
	f.Add([]byte(whole), []byte(w["root.json"]), []byte(w["domain.json"]))
	f.Add([]byte(head), []byte("{}"), []byte(w["domain.pem"]))
	f.Fuzz(func(t *testing.T, src, root, bundle []byte) {
		files := files{}
		for name, s := range w {
			files[name] = s
		}
		files["root.json"], files["domain.json"] = string(root), string(bundle)
		got, err := trust.Load(src, files.read, fetched(w))
		if (err == nil) == (got == nil) {
			t.Fatalf("%v, and %v", got, err)
		}
		if err == nil {
			if got.Digest().IsZero() || got.Material().IsZero() || got.Expires().IsZero() {
				t.Error("it loads without a digest or an end")
			}
			got.Findings(start)
		}
		if bare, err := trust.OfTrustedRoot(root); (err == nil) == (bare == nil) {
			t.Fatalf("%v, and %v", bare, err)
		}
	})
}
