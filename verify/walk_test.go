package verify_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

const noteType = "https://example.test/note/v1"

// small is a world with a model made of data and code by "trainer", with notes
// by "alice" on the model, and its expected edges.
func small(t testing.TB) (w *chaintest.World, model, data, code attest.Digest) {
	w = chaintest.New(t)
	model = w.Manifest(map[string]string{"model.safetensors": "weights", "card.md": "card"})
	data = w.Manifest(map[string]string{"train.csv": "1,2"})
	code, err := attest.ParseDigest("gitCommit:" + strings.Repeat("ab", 20))
	must(t, err)
	train(w, "trainer", model, data, code)
	train(w, "trainer", data)
	w.Sign("alice", model, noteType, map[string]any{"text": "fine"})
	w.Sign("alice", code, noteType, map[string]any{"text": "reviewed"})
	return w, model, data, code
}

func TestWalkFollowsAdmittedEvidence(t *testing.T) {
	w, model, data, code := small(t)
	c := walk(t, model, scope(w, "trainer", "alice"), w.Source())
	if c.Root() != model || len(c.Artifacts()) != 3 || len(c.Gaps()) != 0 || len(c.Findings()) != 0 || c.Strangers() != 0 {
		t.Errorf("chain is\n%s", dump(c))
	}
	m := c.Artifact(model)
	if len(m.Evidence) != 2 || len(m.Files) != 2 || !m.FilesKnown || c.Depth(model) != 0 || c.Depth(data) != 1 || c.Depth(artifact("x")) != -1 {
		t.Errorf("model is %+v", m)
	}
	if !slices.IsSortedFunc(m.Evidence, func(a, b verify.Evidence) int { return a.ID().Compare(b.ID()) }) {
		t.Error("evidence is unsorted")
	}
	for _, e := range m.Evidence {
		if e.About() != model || c.Cycle(e) != nil {
			t.Errorf("evidence about %s, cycle %v", e.About(), c.Cycle(e))
		}
	}
	if k := c.Artifact(code); len(k.Evidence) != 1 || !k.FilesKnown || k.Files != nil {
		t.Errorf("code is %+v", k)
	}
	edges := c.Edges()
	if len(edges) != 2 || !slices.IsSortedFunc(edges, verify.Edge.Compare) || edges[0].From != model || edges[0].Role != "input" || edges[0].Evidence.Credential != verify.KeyCredential(w.Key("trainer")) {
		t.Errorf("edges are %v", edges)
	}
}

func TestWalkFollowsOnlyWhatScopeAdmits(t *testing.T) {
	w, model, _, _ := small(t)
	all := scope(w, "trainer", "alice")
	if c := walk(t, model, all, w.Source()); len(c.Artifacts()) != 3 {
		t.Fatalf("%d artifacts, want 3", len(c.Artifacts()))
	}
	trainer, alice := verify.KeyCredential(w.Key("trainer")), verify.KeyCredential(w.Key("alice"))
	for name, f := range map[string][]verify.Follow{
		"nothing":          nil,
		"nobody":           {{PredicateType: predicate.TypeProvenance}},
		"another type":     {{PredicateType: noteType, By: []verify.Credential{trainer}}},
		"another build":    {{PredicateType: predicate.TypeProvenance, BuildType: trainType + "x", By: []verify.Credential{trainer}}},
		"another signer":   {{PredicateType: predicate.TypeProvenance, By: []verify.Credential{alice}}},
		"the zero signer":  {{PredicateType: predicate.TypeProvenance, By: []verify.Credential{{}}}},
		"two half matches": {{PredicateType: predicate.TypeProvenance, BuildType: trainType, By: []verify.Credential{alice}}, {PredicateType: noteType, By: []verify.Credential{trainer}}},
	} {
		s := all
		s.Follow = f
		c := walk(t, model, s, w.Source())
		if len(c.Artifacts()) != 1 || len(c.Edges()) != 0 {
			t.Errorf("%s: the walk went on to %d artifacts", name, len(c.Artifacts()))
		}
		if len(c.Artifact(model).Evidence) != 2 {
			t.Errorf("%s: evidence that is not followed was dropped", name)
		}
	}
	s := all
	s.Follow = []verify.Follow{{PredicateType: predicate.TypeProvenance, BuildType: trainType, By: []verify.Credential{alice, trainer}}}
	if c := walk(t, model, s, w.Source()); len(c.Artifacts()) != 3 {
		t.Errorf("the exact build type is not followed")
	}
}

// An input without a digest leads nowhere; one that is named twice is one edge.
func TestWalkEdges(t *testing.T) {
	w := chaintest.New(t)
	p := build(trainType, artifact("data"), artifact("data"))
	def := p["buildDefinition"].(map[string]any)
	def["resolvedDependencies"] = append(def["resolvedDependencies"].([]any), map[string]any{"name": "unpinned", "uri": "https://example.test/data", "annotations": map[string]any{"role": "input"}})
	w.Sign("trainer", artifact("model"), predicate.TypeProvenance, p)
	c := walk(t, artifact("model"), scope(w, "trainer"), w.Source())
	facts, err := c.Artifact(artifact("model")).Evidence[0].Facts()
	if err != nil || len(facts.Inputs) != 3 || !facts.Inputs[2].Digest.IsZero() {
		t.Fatalf("the statement must have an unpinned input: %+v, %v", facts.Inputs, err)
	}
	if len(c.Artifacts()) != 2 || len(c.Edges()) != 1 || len(c.Gaps()) != 0 {
		t.Errorf("chain is\n%s", dump(c))
	}
}

func TestWalkBindsSubjects(t *testing.T) {
	w, model, data, _ := small(t)
	weights, card := chaintest.File("weights"), chaintest.File("card")
	subjects := func(typ string, ds ...attest.Digest) attest.Digest {
		var list []string
		for i, d := range ds {
			list = append(list, fmt.Sprintf(`{"name":"s%d","digest":{%q:%q}}`, i, d.Algorithm(), d.Hex()))
		}
		return w.SignPayload(model, "alice", fmt.Appendf(nil, `{"_type":%q,"subject":[%s],"predicateType":%q,"predicate":{}}`, attest.StatementTypeV1, strings.Join(list, ","), typ))
	}
	c0 := walk(t, model, scope(w, "alice"), w.Source())
	if len(c0.Artifact(model).Evidence) != 1 || len(c0.Findings()) != 0 {
		t.Fatalf("before:\n%s", dump(c0))
	}
	aboutFile := w.SignAt(model, "alice", weights, noteType, map[string]any{})
	twoFiles := subjects(predicate.TypeProvenance, weights, card)
	fileAndModel := subjects(predicate.TypeProvenance, weights, model)
	subjects(noteType, model, model)                                    // several subjects, no provenance
	w.SignAt(model, "alice", data, noteType, map[string]any{})          // about something else
	subjects(predicate.TypeProvenance, data, artifact("else"))          // about two other things
	w.SignAt(data, "alice", weights, noteType, map[string]any{"at": 1}) // a file of another manifest

	c := walk(t, model, scope(w, "alice"), w.Source())
	a := c.Artifact(model)
	ids := func(es []verify.Evidence) (out []attest.Digest) {
		for _, e := range es {
			out = append(out, e.ID().Payload)
			if e.About() != model {
				t.Errorf("evidence is about %s", e.About())
			}
		}
		return out
	}
	if got := ids(a.FileEvidence); len(got) != 2 || !slices.Contains(got, aboutFile) || !slices.Contains(got, twoFiles) {
		t.Errorf("file evidence is %v", got)
	}
	if got := ids(a.Evidence); len(got) != 2 || !slices.Contains(got, fileAndModel) {
		t.Errorf("evidence is %v", got)
	}
	var codes []string
	for _, f := range c.Findings() {
		codes = append(codes, string(attest.RefusalCode(f.Err)))
	}
	slices.Sort(codes)
	if want := []string{"E_SUBJECT_AMBIGUOUS", "E_SUBJECT_MISMATCH", "E_SUBJECT_MISMATCH"}; !slices.Equal(codes, want) {
		t.Errorf("findings are %v, want %v", codes, want)
	}
	if len(c.Gaps()) != 0 {
		t.Errorf("findings made gaps: %s", gaps(c))
	}
	// The same file asked about by its own digest is another node.
	if f := walk(t, weights, scope(w, "alice"), w.Source()); len(f.Artifact(weights).Evidence) != 0 || !f.Artifact(weights).FilesKnown {
		t.Errorf("nothing is attached to the file:\n%s", dump(f))
	}
}

func TestWalkManifests(t *testing.T) {
	w, model, _, _ := small(t)
	sc := scope(w, "alice")
	state := func() (bool, int, string) {
		c := walk(t, model, sc, w.Source())
		a := c.Artifact(model)
		return a.FilesKnown, len(a.Files), gaps(c)
	}
	if known, n, g := state(); !known || n != 2 || g != "" {
		t.Fatalf("intact: known %t, %d files, gaps %s", known, n, g)
	}
	w.BreakManifest(model, errors.New("connection reset"))
	if known, n, g := state(); known || n != 0 || g != "E_REG_UNAVAILABLE "+model.Short() {
		t.Errorf("unreachable: known %t, %d files, gaps %s", known, n, g)
	}
	// A second source that has it settles the matter, in either order.
	w2, _, _, _ := small(t)
	for _, order := range [][]verify.Source{{w.Source(), w2.Source()}, {w2.Source(), w.Source()}} {
		c := walk(t, model, sc, order...)
		if a := c.Artifact(model); !a.FilesKnown || len(a.Files) != 2 || len(a.Gaps) != 0 {
			t.Errorf("one of two sources has the manifest:\n%s", dump(c))
		}
	}
	w.BreakManifest(model, nil)
	w.Corrupt(model, []byte(`{"schemaVersion":2,"layers":[]}`))
	if known, n, g := state(); known || n != 0 || g != "E_REG_DIGEST "+model.Short() {
		t.Errorf("altered: known %t, %d files, gaps %s", known, n, g)
	}
	bad := w.PutManifest([]byte(`{"schemaVersion":2,"layers":[],"manifests":1,"manifests":2}`))
	c := walk(t, bad, sc, w.Source())
	if a := c.Artifact(bad); a.FilesKnown || len(a.Gaps) != 0 || len(c.Findings()) != 1 {
		t.Errorf("unreadable:\n%s", dump(c))
	} else {
		wantCode(t, "unreadable", c.Findings()[0].Err, attest.CodeRegManifest)
	}
	index := w.PutManifest([]byte(`{"schemaVersion":2,"mediaType":"` + attest.MediaTypeIndex + `","manifests":[]}`))
	if c := walk(t, index, sc, w.Source()); c.Artifact(index).FilesKnown || len(c.Gaps())+len(c.Findings()) != 0 {
		t.Errorf("index:\n%s", dump(c))
	}
	if c := walk(t, artifact("opaque"), sc, w.Source()); !c.Artifact(artifact("opaque")).FilesKnown || len(c.Artifacts()) != 1 || c.Root() != artifact("opaque") {
		t.Errorf("nothing there:\n%s", dump(c))
	}
}

// CHN-16: a place that cannot be asked is a gap and never a leaf.
func TestWalkUnreachableSourceIsAGap(t *testing.T) {
	w, model, data, _ := small(t)
	sc := scope(w, "trainer", "alice")
	for name, c := range map[string]struct {
		err  error
		want attest.Code
	}{
		"no code":     {errors.New("dial tcp: refused"), attest.CodeRegUnavailable},
		"own code":    {&attest.Refusal{Code: attest.CodeRegRedirect}, attest.CodeRegRedirect},
		"wrapped":     {fmt.Errorf("listing: %w", attest.Refuse(attest.CodeRegManifest, "x")), attest.CodeRegManifest},
		"cut listing": {attest.Refuse(attest.CodeLimit, "page 1,000"), attest.CodeLimit},
	} {
		w.Break(data, c.err)
		got := walk(t, model, sc, w.Source())
		if g := gaps(got); g != string(c.want)+" "+data.Short() {
			t.Errorf("%s: gaps are %q", name, g)
		}
		if !got.Artifact(data).Gapped() || got.Artifact(model).Gapped() || len(got.Artifact(data).Evidence) != 1 {
			t.Errorf("%s: chain is\n%s", name, dump(got))
		}
	}
	w.Break(data, attest.ErrAbsent)
	if c := walk(t, model, sc, w.Source()); len(c.Gaps()) != 0 {
		t.Errorf("a source that knows there is nothing made a gap: %s", gaps(c))
	}
	w.Break(data, nil)
	w.AttachItem(model, attest.Digest{}, attest.Attached{Err: attest.Refuse(attest.CodeRegDigest, "blob")})
	if c := walk(t, model, sc, w.Source()); gaps(c) != "E_REG_DIGEST "+model.Short() {
		t.Errorf("an attestation that could not be read made gaps %q", gaps(c))
	}
}

func TestWalkBadBundlesAreFindings(t *testing.T) {
	w, model, _, _ := small(t)
	sc := scope(w, "trainer", "alice")
	before := walk(t, model, sc, w.Source())
	good := w.Bundles(model)[0]
	w.Attach(model, []byte("{"))
	w.Attach(model, nil)
	w.Attach(model, bytes.Replace(good, []byte("v0.3"), []byte("v0.2"), 1))
	w.Attach(model, signRaw(t, w.Signer("alice"), []byte("[]")))
	payload, sig, hint := parts(t, good)
	w.Attach(model, forge(attest.PayloadType, append(payload, ' '), sig, hint, ""))
	w.Sign("mallory", model, noteType, map[string]any{})
	c := walk(t, model, sc, w.Source())
	if len(c.Gaps()) != 0 || len(c.Findings()) != 5 || c.Strangers() != 2 {
		t.Errorf("chain is\n%s", dump(c))
	}
	if !slices.IsSortedFunc(c.Findings(), func(a, b verify.Finding) int {
		return cmp.Or(a.Artifact.Compare(b.Artifact), a.Manifest.Compare(b.Manifest))
	}) {
		t.Error("findings are unsorted")
	}
	if len(c.Artifacts()) != len(before.Artifacts()) || len(c.Artifact(model).Evidence) != 2 {
		t.Errorf("rubbish changed the chain:\n%s", dump(c))
	}
	w.Attach(model, slices.Concat(good, bytes.Repeat([]byte(" "), attest.MaxBundle)))
	if c := walk(t, model, sc, w.Source()); gaps(c) != "E_LIMIT "+model.Short() {
		t.Errorf("a bundle too large to read made gaps %q", gaps(c))
	}
}

// The same statement by the same signer counts once, however often and in
// whatever wrapping it lies there; by two signers it counts twice.
func TestWalkDuplicates(t *testing.T) {
	w, model, _, _ := small(t)
	sc := scope(w, "trainer", "alice", "bob")
	for _, b := range w.Bundles(model) {
		payload, sig, _ := parts(t, b)
		w.Attach(model, b)
		w.Attach(model, append(slices.Clone(b), ' '))
		w.Attach(model, forge(attest.PayloadType, payload, sig, "", ""))
		w.Attach(model, forge(attest.PayloadType, payload, sig, attest.KeyHint(w.Key("bob")), ""))
	}
	c := walk(t, model, sc, w.Source(), w.Source())
	if a := c.Artifact(model); len(a.Evidence) != 2 || c.Strangers() != 0 || len(c.Gaps())+len(c.Findings()) != 0 {
		t.Errorf("chain is\n%s", dump(c))
	}
	payload, _, _ := parts(t, w.Bundles(model)[0])
	w.SignPayload(model, "bob", payload)
	if a := walk(t, model, sc, w.Source()).Artifact(model); len(a.Evidence) != 3 {
		t.Errorf("%d pieces of evidence, want 3: bob said the same as the trainer", len(a.Evidence))
	}
}

// shuffled yields a source's listings in another order, with pauses.
type shuffled struct {
	verify.Source
	seed uint64
}

func (s shuffled) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	var list []attest.Attached
	err := s.Source.Attestations(ctx, d, func(a attest.Attached) bool { list = append(list, a); return true })
	r := rand.New(rand.NewPCG(s.seed, 7))
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, a := range list {
		switch r.IntN(16) {
		case 0:
			time.Sleep(time.Duration(r.IntN(100)) * time.Microsecond)
		case 1, 2, 3:
			runtime.Gosched()
		}
		if !yield(a) {
			return nil
		}
	}
	return err
}

// Neither order nor timing nor the split over sources changes a byte.
func TestWalkOrderNeverMatters(t *testing.T) {
	w, model, data, code := small(t)
	next := []attest.Digest{data, code}
	var payloads []attest.Digest
	for i := range 20 { // wider than a batch
		d := w.Manifest(map[string]string{"f": fmt.Sprint(i)})
		train(w, "trainer", d, next...)
		payloads = append(payloads, w.Sign("alice", d, noteType, map[string]any{"i": i}))
		w.Sign("mallory", d, noteType, map[string]any{"i": i})
		w.Attach(d, fmt.Appendf(nil, "rubbish %d", i))
		w.SignAt(d, "alice", model, noteType, map[string]any{"i": i})
		if i%5 == 0 { // what names no key: honest and not, so that a budget cuts between them
			for j := range 3 {
				for _, name := range []string{"alice", "mallory"} {
					p, err := attest.NewStatement(attest.Subject{Digest: d}, noteType, map[string]any{"unnamed": j})
					must(t, err)
					w.Attach(d, forge(attest.PayloadType, p, sigOver(t, w.Signer(name), attest.PayloadType, p), "", ""))
				}
			}
		}
		next = append(next, d)
	}
	train(w, "trainer", model, next...)
	train(w, "trainer", next[3], model) // a cycle
	w.Break(next[9], errors.New("down"))
	w.BreakManifest(next[9], attest.Refuse(attest.CodeRegRedirect, "two gaps at one artifact"))
	w.BreakManifest(next[10], errors.New("down"))
	w.AttachItem(next[11], attest.Digest{}, attest.Attached{Err: errors.New("cut off")})
	// Beside what was signed and who signed it lies as much again.
	anchors := []attest.Digest{artifact("list"), payloads[0], model}
	for i, p := range payloads {
		w.Sign("security", p, predicate.TypeRevocation, revocation("payload", i))
		w.Sign("mallory", p, predicate.TypeRevocation, revocation("payload", i))
		w.Attach(p, fmt.Appendf(nil, "rubbish beside payload %d", i))
		w.SignAt(p, "data", model, noteType, map[string]any{"misplaced": i})
		w.Sign("lister", anchors[0], noteType, map[string]any{"list": i})
	}
	w.Sign("root", standin(w, "security"), predicate.TypeRevocation, revocation("key", 0))
	w.Break(payloads[7], errors.New("down"))
	w.Break(standin(w, "lister"), attest.Refuse(attest.CodeRegRedirect, "elsewhere"))
	// A second source holds half of it, and is broken elsewhere.
	w2 := chaintest.New(t)
	for i, d := range w.Artifacts() {
		if i%2 == 0 {
			for _, b := range w.Bundles(d) {
				w2.Attach(d, append(slices.Clone(b), '\n'))
			}
		}
	}
	// The same rubbish under other manifests: the finding names one of them.
	for i := range 20 {
		w2.AttachItem(next[i+2], attest.Digest{}, attest.Attached{Manifest: artifact(fmt.Sprint("manifest ", i)), Bundle: fmt.Appendf(nil, "rubbish %d", i)})
	}
	w2.Break(next[12], attest.Refuse(attest.CodeRegRedirect, "elsewhere"))

	for name, limits := range map[string]verify.Limits{"default": {}, "tight": {Attestations: 30, Strangers: 20, PerArtifact: 3, Inputs: 22},
		"ends while consulting": {Attestations: 80}} {
		sc := scope(w, "trainer", "alice", "security", "root", "lister", "data")
		sc.Limits, sc.Consult, sc.Also = limits, true, slices.Clone(anchors)
		c := walk(t, model, sc, w.Source(), w2.Source())
		want := dump(c)
		if !strings.Contains(want, "E_REG_UNAVAILABLE") || name == "tight" && !strings.Contains(want, "E_LIMIT") {
			t.Fatalf("the world is too quiet to prove anything:\n%s", want)
		}
		if _, after, _ := strings.Cut(want, "\nconsulted"); name == "ends while consulting" && (strings.Contains(gaps(c), "E_LIMIT") || !strings.Contains(after, "E_LIMIT") || !strings.Contains(after, "  evidence")) {
			t.Fatalf("the limit is not reached while consulting:\n%s", want)
		}
		for i := range 50 {
			a, b := verify.Source(shuffled{w.Source(), uint64(i)}), verify.Source(shuffled{w2.Source(), uint64(i)})
			sources := []verify.Source{a, b}
			if i%2 == 1 {
				sources = []verify.Source{b, a, b}
			}
			slices.Reverse(sc.Keys)
			slices.Reverse(sc.Also)
			if got := dump(walk(t, model, sc, sources...)); got != want {
				t.Fatalf("%s, run %d differs:\n%s\nwant\n%s", name, i, got, want)
			}
		}
	}
}

func TestWalkArguments(t *testing.T) {
	w, model, data, _ := small(t)
	sc := scope(w, "trainer")
	sc.Also = []attest.Digest{data}
	walk(t, model, sc, w.Source())
	ctx := t.Context()
	for name, c := range map[string]struct {
		root    attest.Digest
		sources []verify.Source
		change  func(*verify.Scope)
		want    attest.Code
	}{
		"no root":        {attest.Digest{}, []verify.Source{w.Source()}, func(*verify.Scope) {}, attest.CodeUsage},
		"no source":      {model, nil, func(*verify.Scope) {}, attest.CodeUsage},
		"nil source":     {model, []verify.Source{nil}, func(*verify.Scope) {}, attest.CodeUsage},
		"negative limit": {model, []verify.Source{w.Source()}, func(s *verify.Scope) { s.Limits.Depth = -1 }, attest.CodeUsage},
		"negative time":  {model, []verify.Source{w.Source()}, func(s *verify.Scope) { s.Limits.Time = -1 }, attest.CodeUsage},
		"zero anchor":    {model, []verify.Source{w.Source()}, func(s *verify.Scope) { s.Also = []attest.Digest{data, {}} }, attest.CodeUsage},
		"zero key":       {model, []verify.Source{w.Source()}, func(s *verify.Scope) { s.Keys = []attest.PublicKey{{}} }, attest.CodeKey},
	} {
		s := sc
		c.change(&s)
		chain, err := verify.Walk(ctx, c.root, c.sources, s)
		wantCode(t, name, err, c.want)
		if !chain.Root().IsZero() {
			t.Errorf("%s: a chain came with the error", name)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err := verify.Walk(cancelled, model, []verify.Source{w.Source()}, sc)
	wantCode(t, "cancelled", err, attest.CodeInterrupted)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v does not wrap the context's error", err)
	}
}

// bySource answers from functions.
type bySource struct {
	list func(context.Context, attest.Digest, func(attest.Attached) bool) error
}

func (s bySource) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	return s.list(ctx, d, yield)
}

func (s bySource) Manifest(context.Context, attest.Digest) ([]byte, error) {
	return nil, attest.ErrAbsent
}

func TestWalkTimeIsAGap(t *testing.T) {
	w, model, data, code := small(t)
	sc := scope(w, "trainer", "alice")
	sc.Limits.Time = 50 * time.Millisecond
	stuck := bySource{func(ctx context.Context, d attest.Digest, _ func(attest.Attached) bool) error {
		if d == model {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	c := walk(t, model, sc, w.Source(), stuck)
	want := []verify.Gap{{attest.CodeLimit, code}, {attest.CodeLimit, data}}
	if !slices.Equal(c.Gaps(), want) || len(c.Artifact(model).Evidence) != 2 {
		t.Errorf("chain is\n%s", dump(c))
	}
}

// A panic in a source reaches the caller, who can answer and live on.
func TestWalkRaisesPanicsInTheCaller(t *testing.T) {
	w, model, _, _ := small(t)
	defer func() {
		err, _ := recover().(error)
		wantCode(t, "recovered", err, attest.CodeInternal)
	}()
	_, err := verify.Walk(t.Context(), model, []verify.Source{bySource{func(context.Context, attest.Digest, func(attest.Attached) bool) error {
		panic("bug")
	}}}, scope(w, "alice"))
	t.Errorf("Walk returned %v", err)
}

func TestBundlesSource(t *testing.T) {
	w, model, data, _ := small(t)
	var list [][]byte
	for _, d := range w.Artifacts() {
		list = append(list, w.Bundles(d)...)
	}
	s := verify.NewBundles(append(list, []byte("{"), signRaw(t, w.Signer("alice"), []byte("7"))))
	if bad := s.Bad(); len(bad) != 2 || bad[0].Index != len(list) || attest.RefusalCode(bad[1].Err) != attest.CodeJSON {
		t.Errorf("bad members are %v", bad)
	}
	sc := scope(w, "trainer", "alice")
	c := walk(t, model, sc, s)
	if len(c.Artifacts()) != 3 || len(c.Artifact(model).Evidence) != 2 || len(c.Artifact(data).Evidence) != 1 || len(c.Gaps())+len(c.Findings()) != 0 {
		t.Errorf("chain is\n%s", dump(c))
	}
	if a := c.Artifact(model); !a.FilesKnown || a.Files != nil {
		t.Errorf("files are %v", a.Files)
	}
	var calls atomic.Int32
	must(t, s.Attestations(t.Context(), model, func(attest.Attached) bool { calls.Add(1); return false }))
	if calls.Load() != 1 {
		t.Errorf("yield was called %d times after it returned false", calls.Load()-1)
	}
}
