package verify_test

import (
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

// What is no artifact has no manifest that anybody could be asked for; what lies at
// its stand-in is found, and what cannot be looked at is a gap, as ever.
func TestLookStandIns(t *testing.T) {
	w := chaintest.New(t)
	payload, other := attest.SHA256([]byte("a statement")), attest.SHA256([]byte("another"))
	w.Sign("alice", payload, noteType, map[string]any{"text": "withdrawn"})
	down := attest.Refuse(attest.CodeIndex, "nobody asked")
	w.BreakManifest(payload, down)
	w.BreakManifest(other, down)
	s := scope(w, "alice")
	got, err := verify.LookStandIns(t.Context(), []attest.Digest{payload, other, payload}, []verify.Source{w.Source()}, s)
	must(t, err)
	if len(got) != 2 {
		t.Fatalf("looked at %d", len(got))
	}
	for _, a := range got {
		if a.Gapped() || (len(a.Evidence) == 1) != (a.Digest == payload) {
			t.Errorf("%s: %d pieces of evidence, gaps %v", a.Digest, len(a.Evidence), a.Gaps)
		}
	}
	asked, err := verify.Look(t.Context(), []attest.Digest{payload}, []verify.Source{w.Source()}, s)
	must(t, err)
	if !asked[0].Gapped() {
		t.Error("the manifest was not asked for: this proves nothing")
	}
	w.Break(other, down)
	got, err = verify.LookStandIns(t.Context(), []attest.Digest{other}, []verify.Source{w.Source()}, s)
	must(t, err)
	if !got[0].Gapped() {
		t.Error("what could not be listed is no gap")
	}
}
