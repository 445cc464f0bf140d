package verify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

func memory(t testing.TB, b byte) *verify.Memory {
	m, err := verify.NewMemory(bytes.Repeat([]byte{b}, verify.MemorySecret))
	must(t, err)
	return m
}

// noted is a source that gives each bundle a note.
type noted struct {
	verify.Source
	note func(bundle []byte) []byte
}

func (s noted) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	return s.Source.Attestations(ctx, d, func(a attest.Attached) bool {
		if a.Note = s.note(a.Bundle); a.Note != nil {
			a.PredicateType = ""
		}
		return yield(a)
	})
}

// broken returns a bundle whose signature is not good any more, and the note that
// was made when it was.
func broken(t *testing.T, w *chaintest.World, m *verify.Memory) (bundle, note []byte) {
	t.Helper()
	model := w.Manifest(map[string]string{"m": "x"})
	w.Sign("alice", model, noteType, map[string]any{"text": "fine"})
	bundle = w.Bundles(model)[0]
	o, err := verify.NewOpener(scope(w, "alice").Signers)
	must(t, err)
	e, note, err := o.Remembering(m).OpenAttached(attest.Attached{Bundle: bundle})
	must(t, err)
	if e.IsZero() || len(note) != 44 {
		t.Fatalf("opened %v with note %x", e, note)
	}
	return bundle, note
}

// A note stands for a signature that was verified, of exactly these bytes, by
// exactly this key, under exactly this secret; and for nothing else.
func TestMemoryRecognisesWhatWasOpened(t *testing.T) {
	w := chaintest.New(t)
	m := memory(t, 1)
	bundle, note := broken(t, w, m)
	o, err := verify.NewOpener(scope(w, "alice").Signers)
	must(t, err)
	mallory, err := verify.NewOpener(scope(w, "mallory").Signers)
	must(t, err)
	parsed, err := attest.ParseBundle(bundle)
	must(t, err)
	other := bytes.Replace(bundle, []byte(encode(parsed.Signature)), []byte(encode(flipped(parsed.Signature))), 1)
	if bytes.Equal(other, bundle) {
		t.Fatal("the signature was not changed")
	}
	for _, c := range []struct {
		what         string
		opener       *verify.Opener
		bundle, note []byte
		want         attest.Code
	}{
		{"remembered", o.Remembering(m), bundle, note, ""},
		{"no note", o.Remembering(m), bundle, nil, ""},
		{"a wrong note, and a good signature", o.Remembering(m), bundle, flipped(note), ""},
		{"a note for other bytes", o.Remembering(m), other, note, attest.CodeSigInvalid},
		{"another secret", o.Remembering(memory(t, 2)), other, note, attest.CodeSigInvalid},
		{"no memory", o, other, note, attest.CodeSigInvalid},
		{"the zero memory", o.Remembering(&verify.Memory{}), other, note, attest.CodeSigInvalid},
		{"a key that is not trusted", mallory.Remembering(m), bundle, note, attest.CodeKeyUnknown},
	} {
		e, again, err := c.opener.OpenAttached(attest.Attached{Bundle: c.bundle, Note: c.note})
		if got := attest.RefusalCode(err); got != c.want || e.IsZero() != (c.want != "") {
			t.Errorf("%s: %v, %q, want %q", c.what, e, got, c.want)
		}
		if c.want == "" && !bytes.Equal(again, note) || c.want != "" && again != nil {
			t.Errorf("%s: notes %x", c.what, again)
		}
	}
	if _, err := verify.NewMemory(make([]byte, verify.MemorySecret-1)); attest.RefusalCode(err) != attest.CodeKey {
		t.Errorf("a short secret: %v", err)
	}
}

// Only a true note spares the signature: with it, a bundle is believed although a
// verifier without memory would refuse it. (The note is made with the secret for a
// bundle that nobody signed, which only the verifier itself could do.)
func TestNotesSpareTheSignature(t *testing.T) {
	w := chaintest.New(t)
	m := memory(t, 1)
	bundle, _ := broken(t, w, m)
	parsed, err := attest.ParseBundle(bundle)
	must(t, err)
	other := bytes.Replace(bundle, []byte(encode(parsed.Signature)), []byte(encode(flipped(parsed.Signature))), 1)
	o, err := verify.NewOpener(scope(w, "alice").Signers)
	must(t, err)
	note := verify.NoteForTest(m, other, verify.KeyCredential(w.Key("alice")))
	if _, _, err := o.Remembering(m).OpenAttached(attest.Attached{Bundle: other, Note: note}); err != nil {
		t.Errorf("a noted bundle was verified again: %v", err)
	}
}

func TestWalkWithMemory(t *testing.T) {
	w, model, _, _ := small(t)
	m := memory(t, 3)
	s := scope(w, "trainer", "alice")
	want := walk(t, model, s, w.Source())
	o, err := verify.NewOpener(s.Signers)
	must(t, err)
	asked := 0
	s.Memory = m
	got := walk(t, model, s, noted{w.Source(), func(bundle []byte) []byte {
		asked++
		_, note, err := o.Remembering(m).OpenAttached(attest.Attached{Bundle: bundle})
		if err != nil {
			return nil
		}
		return note
	}})
	if dump(got) != dump(want) || asked == 0 {
		t.Errorf("with notes the chain is\n%s\nwithout\n%s", dump(got), dump(want))
	}
}

func TestLook(t *testing.T) {
	w, model, data, code := small(t)
	s := scope(w, "trainer", "alice")
	chain := walk(t, model, s, w.Source())
	got, err := verify.Look(t.Context(), []attest.Digest{model, code, data, model}, []verify.Source{w.Source()}, s)
	must(t, err)
	if len(got) != 3 || !slices.IsSortedFunc(got, func(a, b *verify.Artifact) int { return a.Digest.Compare(b.Digest) }) {
		t.Fatalf("looked at %d", len(got))
	}
	for _, a := range got {
		in := chain.Artifact(a.Digest)
		if in == nil || len(in.Evidence) != len(a.Evidence) || len(in.Files) != len(a.Files) || in.FilesKnown != a.FilesKnown || a.Gapped() {
			t.Errorf("%s: %+v, and in the chain %+v", a.Digest, a, in)
		}
		for i := range a.Evidence {
			if a.Evidence[i].ID() != in.Evidence[i].ID() || a.Evidence[i].About() != a.Digest {
				t.Errorf("%s: other evidence", a.Digest)
			}
		}
	}
	if got, err := verify.Look(t.Context(), nil, []verify.Source{w.Source()}, s); got != nil || err != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
	if _, err := verify.Look(t.Context(), []attest.Digest{{}}, []verify.Source{w.Source()}, s); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("the zero digest: %v", err)
	}
	w.Break(data, attest.Refuse(attest.CodeRegUnavailable, "down"))
	got, err = verify.Look(t.Context(), []attest.Digest{data, code}, []verify.Source{w.Source()}, s)
	must(t, err)
	for _, a := range got {
		if a.Gapped() != (a.Digest == data) {
			t.Errorf("%s: gaps %v", a.Digest, a.Gaps)
		}
	}
}

func TestScopeAdmits(t *testing.T) {
	w, model, data, _ := small(t)
	s := scope(w, "trainer", "alice")
	admitted := map[attest.Digest]int{}
	chain := walk(t, model, s, w.Source())
	for _, d := range chain.Artifacts() {
		for _, e := range chain.Artifact(d).Evidence {
			if s.Admits(e, false) {
				admitted[d]++
			}
		}
	}
	if len(admitted) != 2 || admitted[model] != 1 || admitted[data] != 1 {
		t.Errorf("admitted: %v", admitted)
	}
	for _, e := range chain.Artifact(model).Evidence {
		none := s
		none.Follow = nil
		if none.Admits(e, false) || s.Admits(e, true) != (s.Follow[0].Files && s.Admits(e, false)) {
			t.Error("admits without a step, or by a file")
		}
	}
	if s.Admits(verify.Evidence{}, false) {
		t.Error("admits the zero evidence")
	}
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func flipped(b []byte) []byte {
	out := bytes.Clone(b)
	out[len(out)-1] ^= 1
	return out
}
