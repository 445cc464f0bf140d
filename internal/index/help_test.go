package index_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

const (
	noteType  = "https://example.test/note/v1"
	trainType = "https://pedigree-ml.github.io/build/train/v1"
)

var at = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, what string, err error, want attest.Code, text string) {
	t.Helper()
	if attest.RefusalCode(err) != want || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("%s: got %v, want %s with %q", what, err, want, text)
	}
}

func repository(t testing.TB, name string) attest.Repository {
	t.Helper()
	r, err := attest.ParseRepository(name)
	must(t, err)
	return r
}

func models(t testing.TB) attest.Repository { return repository(t, "registry.example/team/models") }

// A holding is a world as a repository that lists some artifacts by itself.
type holding struct {
	verify.Source
	repo       attest.Repository
	held       []attest.Held
	exhaustive bool
	fetched    atomic.Int64 // bundles that were asked for
}

func (h *holding) Repository() attest.Repository { return h.repo }

func (h *holding) Held(_ context.Context, yield func(attest.Held) bool) (bool, error) {
	for _, x := range h.held {
		if !yield(x) {
			break
		}
	}
	return h.exhaustive, nil
}

func (h *holding) AttestationsExcept(ctx context.Context, d attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	return h.Attestations(ctx, d, func(a attest.Attached) bool {
		if a.Err == nil && known(a.Manifest) {
			return yield(attest.Attached{Manifest: a.Manifest})
		}
		h.fetched.Add(1)
		return yield(a)
	})
}

// hold holds what is in a world, and nothing else.
func hold(w *chaintest.World, repo attest.Repository, more ...attest.Digest) *holding {
	h := &holding{Source: w.Source(), repo: repo, exhaustive: true}
	all := slices.Concat(w.Artifacts(), more)
	slices.SortFunc(all, attest.Digest.Compare)
	for _, d := range slices.Compact(all) {
		h.held = append(h.held, attest.Held{Digest: d})
	}
	return h
}

// small is a world with a model made of data and code by "trainer", and notes by
// "alice" on the model and on the code; a stranger has noted something as well.
func small(t testing.TB) (w *chaintest.World, model, data, code attest.Digest) {
	w = chaintest.New(t)
	model = w.Manifest(map[string]string{"model.safetensors": "weights", "card.md": "card"})
	data = w.Manifest(map[string]string{"train.csv": "1,2"})
	code, err := attest.ParseDigest("gitCommit:" + strings.Repeat("ab", 20))
	must(t, err)
	train(w, "trainer", model, data, code)
	train(w, "trainer", data)
	note(w, "alice", model, "fine")
	note(w, "alice", code, "reviewed")
	note(w, "mallory", model, "trust me")
	return w, model, data, code
}

func note(w *chaintest.World, name string, about attest.Digest, text string) attest.Digest {
	return w.Sign(name, about, noteType, map[string]any{"text": text})
}

// train signs by name that product was made of inputs.
func train(w *chaintest.World, name string, product attest.Digest, inputs ...attest.Digest) attest.Digest {
	deps := []any{}
	for i, d := range inputs {
		deps = append(deps, map[string]any{"name": fmt.Sprintf("input-%d", i), "digest": d.DigestSet(), "annotations": map[string]any{"role": "training-data"}})
	}
	return w.Sign(name, product, predicate.TypeProvenance, map[string]any{
		"buildDefinition": map[string]any{"buildType": trainType, "externalParameters": map[string]any{}, "resolvedDependencies": deps},
		"runDetails": map[string]any{
			"builder":  map[string]any{"id": "https://builder.example.test"},
			"metadata": map[string]any{"invocationId": "run-1", "finishedOn": "2026-01-02T03:04:05Z"},
		},
	})
}

func keys(w *chaintest.World, names ...string) []attest.PublicKey {
	var out []attest.PublicKey
	for _, n := range names {
		out = append(out, w.Key(n))
	}
	return out
}

func trust(keys []attest.PublicKey) []string { return lineage.Beliefs(verify.Signers{Keys: keys}) }

func create(t testing.TB) (path string, f *index.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fleet.index")
	return path, open(t, path, index.Options{Write: true})
}

func open(t testing.TB, path string, o index.Options) *index.File {
	t.Helper()
	f, err := index.Open(context.Background(), path, o)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// sync reads a holding to its end.
func sync(t testing.TB, f *index.File, h lineage.Holding, keys []attest.PublicKey) lineage.CrawlReport {
	t.Helper()
	report, err := lineage.Crawl(context.Background(), f, []lineage.Holding{h}, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys}, Memory: f.Memory(), At: at})
	must(t, err)
	return report
}

// visit looks at one artifact that is not known yet, as a crawl does.
func visit(t testing.TB, f *index.File, h lineage.Holding, keys []attest.PublicKey, d attest.Digest) lineage.Visit {
	t.Helper()
	opener, err := verify.NewOpener(verify.Signers{Keys: keys})
	must(t, err)
	opener = opener.Remembering(f.Memory())
	v := lineage.Visit{Artifact: d}
	if b, err := h.Manifest(context.Background(), d); err == nil {
		m, err := attest.ParseManifest(b)
		must(t, err)
		v.Manifest, v.Files = b, m.Files
	}
	must(t, h.AttestationsExcept(context.Background(), d, func(attest.Digest) bool { return false }, func(a attest.Attached) bool {
		must(t, a.Err)
		e, note, err := opener.OpenAttached(a)
		if err != nil {
			v.Strangers = append(v.Strangers, a.Manifest)
			return true
		}
		a.Note = note
		v.Entries = append(v.Entries, lineage.Entry{Attached: a, ID: e.ID(), Related: lineage.RelatedTo(e)})
		return true
	}))
	return v
}

// change runs SQL against a file behind its back.
func change(t testing.TB, path, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	result, err := db.Exec(statement, args...)
	must(t, err)
	if n, err := result.RowsAffected(); err == nil && n == 0 && !strings.HasPrefix(statement, "PRAGMA") && !strings.HasPrefix(statement, "CREATE") {
		t.Fatalf("%s changed nothing: the test proves nothing", statement)
	}
	must(t, db.Close())
}

func walk(t testing.TB, root attest.Digest, s verify.Scope, sources ...verify.Source) verify.Chain {
	t.Helper()
	c, err := verify.Walk(context.Background(), root, sources, s)
	must(t, err)
	return c
}

// dump writes everything that a chain says and that can decide something.
func dump(c verify.Chain) string {
	var b strings.Builder
	node := func(a *verify.Artifact) {
		fmt.Fprintf(&b, "%s filesKnown %t files %v gaps %v\n", a.Digest, a.FilesKnown, a.Files, a.Gaps)
		for _, e := range slices.Concat(a.Evidence, a.FileEvidence, a.Misplaced) {
			fmt.Fprintf(&b, "  %v about %s\n", e.ID(), e.About())
		}
	}
	for _, d := range c.Artifacts() {
		node(c.Artifact(d))
	}
	for _, d := range c.ConsultedAll() {
		node(c.Consulted(d))
	}
	fmt.Fprintf(&b, "edges %v\n", c.Edges())
	return b.String()
}

func gaps(c verify.Chain) string {
	var out []string
	for _, g := range c.Gaps() {
		out = append(out, string(g.Code)+" "+g.Artifact.Short())
	}
	return strings.Join(out, ", ")
}

// found returns what a finder yields, and its error.
func found(f lineage.Finder, r lineage.Relation, name string) ([]attest.Digest, error) {
	var out []attest.Digest
	err := f.Find(context.Background(), r, name, func(d attest.Digest) bool { out = append(out, d); return true })
	return out, err
}

// attached returns what a source yields, and its error.
func attached(s verify.Source, d attest.Digest) (good []attest.Attached, bad []error, err error) {
	err = s.Attestations(context.Background(), d, func(a attest.Attached) bool {
		if a.Err != nil {
			bad = append(bad, a.Err)
		} else {
			good = append(good, a)
		}
		return true
	})
	return good, bad, err
}
