package index_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// What a walk finds in an index is what it finds in the repository, with the
// secret and without it.
func TestSameChain(t *testing.T) {
	w, model, data, code := small(t)
	trusted := keys(w, "trainer", "alice")
	path, f := create(t)
	sync(t, f, hold(w, models(t)), trusted)
	must(t, f.Close())
	f = open(t, path, index.Options{})
	scope := lineage.Everything(verify.Signers{Keys: trusted})
	want := dump(walk(t, model, scope, w.Source()))
	if !strings.Contains(want, data.String()) || !strings.Contains(want, code.String()) {
		t.Fatalf("the chain has no inputs:\n%s", want)
	}
	if got := dump(walk(t, model, scope, f.Source(models(t)))); got != want {
		t.Errorf("without the secret:\n%s\nwant\n%s", got, want)
	}
	if scope.Memory = f.Memory(); scope.Memory == nil {
		t.Fatal("the index has no memory")
	}
	if got := dump(walk(t, model, scope, f.Source(models(t)))); got != want {
		t.Errorf("with the secret:\n%s\nwant\n%s", got, want)
	}
	if c := walk(t, model, scope, f.Source(models(t))); c.Strangers() != 0 {
		t.Errorf("%d strangers came along", c.Strangers())
	}
	// The notes are those of this index: a bundle that nobody could verify any more is
	// recognised, and by its bytes.
	good, _, err := attached(f.Source(models(t)), model)
	must(t, err)
	opener, err := verify.NewOpener(verify.Signers{Keys: trusted})
	must(t, err)
	for _, a := range good {
		if _, again, err := opener.Remembering(f.Memory()).OpenAttached(a); err != nil || !bytes.Equal(again, a.Note) || a.Note == nil {
			t.Errorf("the note is %x, and made again %x (%v)", a.Note, again, err)
		}
	}
}

func TestFind(t *testing.T) {
	w, model, data, code := small(t)
	other := w.Manifest(map[string]string{"card.md": "card"})
	train(w, "trainer", other, data)
	_, f := create(t)
	trusted := keys(w, "trainer", "alice")
	payload := note(w, "alice", other, "mine")
	sync(t, f, hold(w, models(t)), trusted)
	// The same model in a second repository is one artifact.
	sync(t, f, hold(w, repository(t, "mirror.example/models")), trusted)
	both := []attest.Digest{model, other}
	slices.SortFunc(both, attest.Digest.Compare)
	file := func(content string) string { return attest.SHA256([]byte(content)).String() }
	for _, c := range []struct {
		what string
		r    lineage.Relation
		name string
		want []attest.Digest
	}{
		{"an input", lineage.NamesInput, data.String(), both},
		{"a commit", lineage.NamesInput, code.String(), []attest.Digest{model}},
		{"a name in another relation", lineage.HasFile, data.String(), nil},
		{"a file", lineage.HasFile, file("card"), both},
		{"a payload", lineage.HasPayload, payload.String(), []attest.Digest{other}},
		{"a signer", lineage.SignedBy, verify.KeyCredential(w.Key("mallory")).String(), nil},
		{"a type", lineage.OfType, noteType, sorted(model, other, code)},
		{"nothing", lineage.NamesInput, "sha256:zz", nil},
	} {
		got, err := found(f, c.r, c.name)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v (%v), want %v", c.what, got, err, c.want)
		}
	}
	n := 0
	must(t, f.Find(context.Background(), lineage.OfType, noteType, func(attest.Digest) bool { n++; return false }))
	if n != 1 {
		t.Errorf("yielded %d times to somebody who had enough", n)
	}
}

func sorted(ds ...attest.Digest) []attest.Digest {
	slices.SortFunc(ds, attest.Digest.Compare)
	return ds
}

func TestHeld(t *testing.T) {
	w, model, data, _ := small(t)
	_, f := create(t)
	h := hold(w, models(t))
	for i := range h.held {
		switch h.held[i].Digest {
		case model:
			h.held[i].Tags = []string{"latest", "v1"}
		case data:
			h.held[i].StandIn = true
		}
	}
	sync(t, f, h, keys(w, "trainer"))
	var got []attest.Held
	must(t, f.Held(context.Background(), models(t), func(x attest.Held) bool { got = append(got, x); return true }))
	if len(got) != 3 || !slices.EqualFunc(got, h.held, func(a, b attest.Held) bool {
		return a.Digest == b.Digest && slices.Equal(a.Tags, b.Tags) && a.StandIn == b.StandIn
	}) {
		t.Errorf("got %v, want %v", got, h.held)
	}
	wantCode(t, "another repository", f.Held(context.Background(), repository(t, "registry.example/x"), func(attest.Held) bool { return true }), attest.CodeIndex, "not read")
}

// Whatever was not read to its end is an error, and never an empty answer.
func TestHalfRead(t *testing.T) {
	w, model, data, code := small(t)
	trusted := keys(w, "trainer", "alice")
	path, f := create(t)
	if err := f.Find(context.Background(), lineage.OfType, noteType, nil); attest.RefusalCode(err) != attest.CodeIndex {
		t.Errorf("an empty index finds nothing: %v", err)
	}
	wantCode(t, "an empty index", f.Trusted(context.Background(), nil), attest.CodeIndex, "no repository")
	h := hold(w, models(t))
	r, err := f.Begin(context.Background(), models(t), trust(trusted), at)
	must(t, err)
	must(t, r.Put(context.Background(), visit(t, f, h, trusted, model)))
	must(t, f.Close())

	f = open(t, path, index.Options{})
	s := f.Source(models(t))
	if good, bad, err := attached(s, model); len(good) != 2 || bad != nil || err != nil {
		t.Errorf("what was read: %d, %v, %v", len(good), bad, err)
	}
	for _, d := range []attest.Digest{data, code} {
		_, _, err := attached(s, d)
		wantCode(t, "not read yet", err, attest.CodeIndex, "not read to the end")
		_, err = s.Manifest(context.Background(), d)
		wantCode(t, "the manifest of what was not read yet", err, attest.CodeIndex, "not read to the end")
	}
	unknown := f.Source(repository(t, "registry.example/other"))
	_, _, err = attached(unknown, model)
	wantCode(t, "another repository", err, attest.CodeIndex, "is not in the index")
	_, err = unknown.Manifest(context.Background(), model)
	wantCode(t, "a manifest of another repository", err, attest.CodeIndex, "is not in the index")
	got, err := found(f, lineage.OfType, noteType)
	wantCode(t, "finding", err, attest.CodeIndex, "there may be more")
	if !slices.Equal(got, []attest.Digest{model}) {
		t.Errorf("found %v", got)
	}
	if c := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), s); len(c.Gaps()) != 2 || c.Artifact(model).Gapped() {
		t.Errorf("gaps: %s", gaps(c))
	}
	must(t, f.Close())

	// The reading goes on where it was.
	f = open(t, path, index.Options{Write: true})
	r, err = f.Begin(context.Background(), models(t), trust(trusted), at)
	must(t, err)
	for d, want := range map[attest.Digest]bool{model: true, data: false} {
		if done, err := r.Done(context.Background(), d); err != nil || done != want {
			t.Errorf("%s done: %t, %v", d, done, err)
		}
	}
	sync(t, f, h, trusted)
	if c := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), f.Source(models(t))); len(c.Gaps()) != 0 {
		t.Errorf("gaps after all: %s", gaps(c))
	}
	nowhere := attest.SHA256([]byte("nowhere"))
	if good, bad, err := attached(f.Source(models(t)), nowhere); len(good)+len(bad) != 0 || err != nil {
		t.Errorf("what is not there: %v, %v, %v", good, bad, err)
	}
	_, err = f.Source(models(t)).Manifest(context.Background(), nowhere)
	wantCode(t, "a manifest that nobody asked for", err, attest.CodeIndex, "not asked about it")
	if _, err := f.Source(models(t)).Manifest(context.Background(), code); !errors.Is(err, attest.ErrAbsent) {
		t.Errorf("a manifest that is not there: %v", err)
	}
	// A repository that cannot list everything leaves open what else it has.
	h.exhaustive = false
	sync(t, f, h, trusted)
	_, _, err = attached(f.Source(models(t)), nowhere)
	wantCode(t, "never asked about", err, attest.CodeIndex, "not asked about it")
	if got, bad, err := attached(f.Source(models(t)), code); len(got) != 1 || bad != nil || err != nil {
		t.Errorf("asked about: %v, %v, %v", got, bad, err)
	}

	// Begun anew, it is incomplete again; what it had is still yielded.
	_, err = f.Begin(context.Background(), models(t), trust(trusted), at)
	must(t, err)
	good, _, err := attached(f.Source(models(t)), model)
	wantCode(t, "read in the last reading", err, attest.CodeIndex, "not read to the end")
	if len(good) != 2 {
		t.Errorf("%d attestations of the last reading", len(good))
	}
	err = f.Held(context.Background(), models(t), func(attest.Held) bool { return true })
	wantCode(t, "held", err, attest.CodeIndex, "not read")
}

// What could not be looked at when the index was made is a gap in it, with its code.
func TestMissed(t *testing.T) {
	w, model, data, _ := small(t)
	trusted := keys(w, "trainer", "alice")
	_, f := create(t)
	h := hold(w, models(t))
	w.Break(data, attest.Refuse(attest.CodeRegUnavailable, "closed"))
	w.BreakManifest(model, attest.Refuse(attest.CodeRegUnavailable, "closed"))
	want := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), w.Source())
	sync(t, f, h, trusted)
	got := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), f.Source(models(t)))
	if gaps(got) != gaps(want) || len(got.Gaps()) != 2 {
		t.Errorf("gaps %s, want %s", gaps(got), gaps(want))
	}
	_, err := found(f, lineage.OfType, noteType)
	wantCode(t, "finding", err, attest.CodeRegUnavailable, "could not be looked at")
	// It is looked at again as soon as somebody goes on.
	r, err := f.Begin(context.Background(), models(t), trust(trusted), at)
	must(t, err)
	must(t, r.Put(context.Background(), lineage.Visit{Artifact: data, Missed: []attest.Code{attest.CodeRegUnavailable}}))
	must(t, r.Put(context.Background(), lineage.Visit{Artifact: model, ManifestMissed: attest.CodeRegUnavailable}))
	for _, d := range []attest.Digest{data, model} {
		if done, err := r.Done(context.Background(), d); done || err != nil {
			t.Errorf("done, with something missed: %v", err)
		}
	}
	w.Break(data, nil)
	w.BreakManifest(model, nil)
	sync(t, f, h, trusted)
	if _, err := found(f, lineage.OfType, noteType); err != nil {
		t.Errorf("mended, finding: %v", err)
	}
	if c := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), f.Source(models(t))); len(c.Gaps()) != 0 {
		t.Errorf("mended: %s", gaps(c))
	}
}

func TestNothingIsFetchedTwice(t *testing.T) {
	w, model, _, _ := small(t)
	trusted := keys(w, "trainer", "alice")
	_, f := create(t)
	h := hold(w, models(t))
	sync(t, f, h, trusted)
	if h.fetched.Load() != 5 {
		t.Fatalf("%d fetched, want 5", h.fetched.Load())
	}
	sync(t, f, h, trusted)
	if h.fetched.Load() != 5 {
		t.Errorf("%d fetched again", h.fetched.Load()-5)
	}
	note(w, "alice", model, "still fine")
	sync(t, f, h, trusted)
	if good, _, err := attached(f.Source(models(t)), model); h.fetched.Load() != 6 || len(good) != 3 || err != nil {
		t.Errorf("%d fetched, %d there (%v)", h.fetched.Load()-5, len(good), err)
	}
}

// Who is trusted later may have signed what was passed over.
func TestTrustGrows(t *testing.T) {
	w, model, _, _ := small(t)
	few, all := keys(w, "trainer"), keys(w, "trainer", "alice")
	_, f := create(t)
	h := hold(w, models(t))
	sync(t, f, h, few)
	must(t, f.Trusted(context.Background(), trust(few)))
	wantCode(t, "trusting more", f.Trusted(context.Background(), trust(all)), attest.CodeIndex, "without trusting key:sha256:")
	if good, _, _ := attached(f.Source(models(t)), model); len(good) != 1 {
		t.Fatalf("%d attestations", len(good))
	}
	h.fetched.Store(0)
	sync(t, f, h, all)
	must(t, f.Trusted(context.Background(), trust(all)))
	// Three that were passed over; the two that were kept are not fetched again.
	if good, _, err := attached(f.Source(models(t)), model); len(good) != 2 || err != nil || h.fetched.Load() != 3 {
		t.Errorf("%d attestations (%v), %d fetched", len(good), err, h.fetched.Load())
	}
	if got, err := found(f, lineage.SignedBy, verify.KeyCredential(w.Key("alice")).String()); len(got) != 2 || err != nil {
		t.Errorf("found %v (%v)", got, err)
	}

	// Growing in the middle of a reading is a new reading: what was read is read again.
	_, f = create(t)
	r, err := f.Begin(context.Background(), models(t), trust(few), at)
	must(t, err)
	must(t, r.Put(context.Background(), visit(t, f, h, few, model)))
	r, err = f.Begin(context.Background(), models(t), trust(all), at)
	must(t, err)
	if done, err := r.Done(context.Background(), model); done || err != nil {
		t.Errorf("done under fewer keys: %t, %v", done, err)
	}
	// Fewer are no reason to.
	must(t, r.Put(context.Background(), visit(t, f, h, all, model)))
	r, err = f.Begin(context.Background(), models(t), trust(few), at)
	must(t, err)
	if done, err := r.Done(context.Background(), model); !done || err != nil {
		t.Errorf("done under more keys: %t, %v", done, err)
	}
	wantCode(t, "trusted before", f.Trusted(context.Background(), trust(all)), attest.CodeIndex, "without trusting")
}

// What is gone from the repository goes, with what led to it, unless something else
// still leads there.
func TestGone(t *testing.T) {
	w, model, data, code := small(t)
	trusted := keys(w, "trainer", "alice")
	_, f := create(t)
	h := hold(w, models(t))
	extra := train(w, "trainer", model, data)
	sync(t, f, h, trusted)
	has := func(r lineage.Relation, name string, want int) {
		t.Helper()
		if got, err := found(f, r, name); len(got) != want || err != nil {
			t.Errorf("%s leads to %v (%v), want %d", name, got, err, want)
		}
	}
	has(lineage.NamesInput, data.String(), 1)
	has(lineage.HasPayload, extra.String(), 1)
	w.Remove(extra)
	sync(t, f, h, trusted)
	has(lineage.HasPayload, extra.String(), 0)
	has(lineage.NamesInput, data.String(), 1) // the other record says so too
	has(lineage.OfType, noteType, 2)
	for _, a := range w.Bundles(model) {
		b, err := attest.ParseBundle(a)
		must(t, err)
		w.Remove(attest.SHA256(b.Payload))
	}
	sync(t, f, h, trusted)
	has(lineage.NamesInput, data.String(), 0)
	has(lineage.NamesInput, code.String(), 0)
	has(lineage.OfType, noteType, 1)
	has(lineage.HasFile, attest.SHA256([]byte("card")).String(), 1)
	if c := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), f.Source(models(t))); len(c.Artifact(model).Evidence) != 0 || len(c.Gaps()) != 0 || len(c.Artifact(model).Files) != 2 {
		t.Errorf("after all is gone:\n%s", dump(c))
	}
	// The manifest too.
	r, err := f.Begin(context.Background(), models(t), trust(trusted), at)
	must(t, err)
	must(t, r.Put(context.Background(), lineage.Visit{Artifact: model}))
	sync(t, f, h, trusted)
	has(lineage.HasFile, attest.SHA256([]byte("card")).String(), 0)
	if _, err := f.Source(models(t)).Manifest(context.Background(), model); !errors.Is(err, attest.ErrAbsent) {
		t.Errorf("a manifest that is gone: %v", err)
	}
}

func TestForget(t *testing.T) {
	w, model, data, _ := small(t)
	trusted := keys(w, "trainer", "alice")
	_, f := create(t)
	sync(t, f, hold(w, models(t)), trusted)
	mirror := repository(t, "mirror.example/models")
	sync(t, f, hold(w, mirror), trusted)
	must(t, f.Forget(context.Background(), models(t)))
	if err := f.Forget(context.Background(), models(t)); !errors.Is(err, attest.ErrAbsent) {
		t.Errorf("forgotten twice: %v", err)
	}
	_, _, err := attached(f.Source(models(t)), model)
	wantCode(t, "forgotten", err, attest.CodeIndex, "is not in the index")
	if got, err := found(f, lineage.NamesInput, data.String()); len(got) != 1 || err != nil {
		t.Errorf("the mirror is found: %v, %v", got, err)
	}
	if c := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), f.Source(mirror)); len(c.Gaps()) != 0 || len(c.Artifact(model).Files) != 2 {
		t.Errorf("the mirror:\n%s", dump(c))
	}
	must(t, f.Forget(context.Background(), mirror))
	list, _, err := f.Status(context.Background())
	must(t, err)
	if len(list) != 0 {
		t.Errorf("left over: %v", list)
	}
}

func TestStatus(t *testing.T) {
	w, model, _, _ := small(t)
	_, f := create(t)
	sync(t, f, hold(w, models(t)), keys(w, "trainer", "alice"))
	other := repository(t, "a.example/b")
	_, err := f.Begin(context.Background(), other, trust(keys(w, "alice")), at.Add(time.Hour))
	must(t, err)
	list, size, err := f.Status(context.Background())
	must(t, err)
	if len(list) != 2 || size < 8192 {
		t.Fatalf("%+v, %d bytes", list, size)
	}
	if s := list[0]; s.Repository != "a.example/b" || s.Complete || s.Trusted != 1 || !s.At.Equal(at.Add(time.Hour)) {
		t.Errorf("begun: %+v", s)
	}
	if s := list[1]; !s.Complete || !s.Exhaustive || s.Artifacts != 3 || s.Attestations != 4 || s.Strangers != 1 || s.Missed != 0 || s.Bytes < 500 || s.Trusted != 2 {
		t.Errorf("read: %+v", s)
	}
	_ = model
}

// A layout is named by where it lies, not by how it was spelled from somewhere.
func TestLayoutsAreAbsolute(t *testing.T) {
	w, model, _, _ := small(t)
	_, f := create(t)
	dir := t.TempDir()
	t.Chdir(dir)
	sync(t, f, hold(w, repository(t, "ocidir://reg")), keys(w, "trainer"))
	all, err := f.Repositories(context.Background())
	must(t, err)
	if want := repository(t, "ocidir://"+filepath.Join(dir, "reg")); !slices.Equal(all, []attest.Repository{want}) {
		t.Errorf("repositories are %v, want %v", all, want)
	}
	if _, _, err := attached(f.Source(repository(t, "ocidir://./reg")), model); err != nil {
		t.Errorf("from here: %v", err)
	}
	must(t, os.Mkdir("sub", 0o755))
	t.Chdir("sub")
	_, _, err = attached(f.Source(repository(t, "ocidir://reg")), model)
	wantCode(t, "another folder of that name", err, attest.CodeIndex, "is not in the index")
}

// Several repositories as one source answer what their sources answer.
func TestTogether(t *testing.T) {
	w, model, data, _ := small(t)
	other, _, _, _ := small(t)
	trusted := keys(w, "trainer", "alice")
	path, f := create(t)
	second, unknown := repository(t, "registry.example/second"), repository(t, "registry.example/unknown")
	other.Sign("alice", data, noteType, map[string]any{"text": "in the second repository"})
	h := hold(other, second)
	h.exhaustive = false
	sync(t, f, hold(w, models(t)), trusted)
	sync(t, f, h, trusted)
	must(t, f.Close())
	f = open(t, path, index.Options{})
	scope := lineage.Everything(verify.Signers{Keys: trusted})
	nowhere := attest.SHA256([]byte("nowhere"))
	for _, repos := range [][]attest.Repository{{models(t)}, {second}, {models(t), second}, {second, models(t)}, {models(t), unknown}, {unknown}} {
		var apart []verify.Source
		for _, r := range repos {
			apart = append(apart, f.Source(r))
		}
		for _, root := range []attest.Digest{model, nowhere} {
			want, err := verify.Walk(t.Context(), root, apart, scope)
			must(t, err)
			if got := dump(walk(t, root, scope, f.Together(repos))); got != dump(want) {
				t.Errorf("%v together:\n%s\napart:\n%s", repos, got, dump(want))
			}
		}
	}
	if got := walk(t, model, scope, f.Together([]attest.Repository{models(t), second})); len(got.Artifact(data).Evidence) != 2 {
		t.Errorf("the second repository's note is missing:\n%s", dump(got))
	}
}
