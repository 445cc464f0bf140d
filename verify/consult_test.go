package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

// revocation takes back what it is about; number makes it another payload.
func revocation(target string, number int) map[string]any {
	return map[string]any{
		"action": "revoke", "target": target, "reason": fmt.Sprint("reason ", number), "issuedAt": "2026-03-01T00:00:00Z",
	}
}

// standin is the digest that names the stand-in of a named key.
func standin(w *chaintest.World, name string) attest.Digest {
	return verify.KeyCredential(w.Key(name)).Standin()
}

func payloads(a *verify.Artifact) (out []attest.Digest) {
	for _, e := range a.Evidence {
		out = append(out, e.ID().Payload)
	}
	return out
}

func sortedDigests(ds ...attest.Digest) []attest.Digest {
	slices.SortFunc(ds, attest.Digest.Compare)
	return ds
}

func TestCredentialStandin(t *testing.T) {
	w := chaintest.New(t)
	if got := standin(w, "alice"); got != w.Key("alice").Fingerprint() || got.IsZero() {
		t.Errorf("the stand-in of a key is that of %s", got)
	}
	if got := (verify.Credential{}).Standin(); !got.IsZero() {
		t.Errorf("the zero Credential has the stand-in of %s", got)
	}
}

// consulted is the small world, with a revocation of one payload by "security",
// one of the trainer's key by "security", and one of security's by "root".
func consulted(t *testing.T) (w *chaintest.World, model, payload attest.Digest, sc verify.Scope) {
	w, model, data, _ := small(t)
	payload = train(w, "trainer", data, artifact("raw"))
	sc = scope(w, "trainer", "alice", "security", "root", "idle")
	sc.Consult = true
	w.Sign("security", payload, predicate.TypeRevocation, revocation("payload", 1))
	w.Sign("security", standin(w, "trainer"), predicate.TypeRevocation, revocation("key", 2))
	w.Sign("root", standin(w, "security"), predicate.TypeRevocation, revocation("key", 3))
	return w, model, payload, sc
}

func TestConsult(t *testing.T) {
	w, model, payload, sc := consulted(t)
	c := walk(t, model, sc, w.Source())
	var want []attest.Digest
	for _, d := range c.Artifacts() {
		want = append(want, payloads(c.Artifact(d))...)
	}
	// Neither idle's key, who signed nothing, nor what the revocations are.
	want = sortedDigests(append(want, standin(w, "trainer"), standin(w, "alice"), standin(w, "security"), standin(w, "root"))...)
	if len(want) != 9 || !slices.Equal(c.ConsultedAll(), want) {
		t.Fatalf("consulted %v, want %v", c.ConsultedAll(), want)
	}
	for d, signer := range map[attest.Digest]string{payload: "security", standin(w, "trainer"): "security", standin(w, "security"): "root"} {
		a := c.Consulted(d)
		if a.Digest != d || len(a.Evidence) != 1 || a.Evidence[0].About() != d || a.Evidence[0].PredicateType() != predicate.TypeRevocation ||
			a.Evidence[0].ID().Credential != verify.KeyCredential(w.Key(signer)) || a.Gapped() {
			t.Errorf("beside %s: %+v", d.Short(), a)
		}
	}
	for _, d := range []attest.Digest{standin(w, "alice"), standin(w, "root")} {
		if a := c.Consulted(d); a == nil || len(a.Evidence) != 0 || a.Gapped() {
			t.Errorf("beside %s: %+v", d.Short(), a)
		}
	}
	if c.Artifact(payload) != nil || c.Depth(payload) != -1 || c.Consulted(model) != nil || c.Consulted(standin(w, "idle")) != nil {
		t.Error("the ancestry and what is consulted got mixed up")
	}
	if len(c.Gaps())+len(c.Findings()) != 0 || c.Strangers() != 0 {
		t.Errorf("chain is\n%s", dump(c))
	}
	sc.Consult = false
	off := walk(t, model, sc, w.Source())
	if len(off.ConsultedAll()) != 0 || off.Consulted(payload) != nil {
		t.Errorf("consulted without being asked to: %v", off.ConsultedAll())
	}
	if ancestry(off) != ancestry(c) {
		t.Errorf("consulting changed the ancestry:\n%s\nwithout\n%s", ancestry(c), ancestry(off))
	}
	if zero := (verify.Chain{}); zero.Consulted(payload) != nil || zero.ConsultedAll() != nil {
		t.Error("the zero Chain consulted something")
	}
}

// asked notes what a source is asked for.
type asked struct {
	verify.Source
	mu        sync.Mutex
	listings  map[attest.Digest]int
	manifests map[attest.Digest]int
}

func (s *asked) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	s.mu.Lock()
	s.listings[d]++
	s.mu.Unlock()
	return s.Source.Attestations(ctx, d, yield)
}

func (s *asked) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	s.mu.Lock()
	s.manifests[d]++
	s.mu.Unlock()
	return s.Source.Manifest(ctx, d)
}

// What is consulted is listed once, has no manifest, and leads nowhere, whoever
// signed what there.
func TestConsultedLeadsNowhere(t *testing.T) {
	w, model, payload, sc := consulted(t)
	train(w, "trainer", payload, artifact("far away"))
	plain := w.Manifest(map[string]string{"f": "in a manifest"})
	sc.Also = []attest.Digest{plain}
	w.SignAt(plain, "alice", chaintest.File("in a manifest"), noteType, map[string]any{})
	w.Sign("alice", plain, noteType, map[string]any{})
	s := &asked{Source: w.Source(), listings: map[attest.Digest]int{}, manifests: map[attest.Digest]int{}}
	c := walk(t, model, sc, s)
	if a := c.Consulted(payload); len(a.Evidence) != 2 || c.Artifact(artifact("far away")) != nil || len(c.Artifacts()) != 4 || len(c.Edges()) != 3 {
		t.Errorf("chain is\n%s", dump(c))
	}
	if a := c.Consulted(plain); a.Files != nil || a.FilesKnown || len(a.FileEvidence) != 0 || len(a.Evidence) != 1 || len(a.Misplaced) != 1 {
		t.Errorf("the anchor is %+v", a)
	}
	for _, d := range c.ConsultedAll() {
		if s.listings[d] != 1 || s.manifests[d] != 0 {
			t.Errorf("%s: %d listings, %d manifests", d.Short(), s.listings[d], s.manifests[d])
		}
	}
	if s.manifests[model] != 1 {
		t.Errorf("the model's manifest was asked for %d times", s.manifests[model])
	}
}

// REG-04: a place where a revocation may lie and that cannot be asked is a gap
// there, and leaves the ancestry whole.
func TestConsultedGaps(t *testing.T) {
	w, model, payload, sc := consulted(t)
	if c := walk(t, model, sc, w.Source()); c.Consulted(payload).Gapped() || len(c.Unseen()) != 0 {
		t.Fatalf("intact: %+v", c.Consulted(payload))
	}
	w.Break(payload, errors.New("connection reset"))
	w.Break(standin(w, "alice"), attest.Refuse(attest.CodeRegRedirect, "elsewhere"))
	w.AttachItem(standin(w, "root"), attest.Digest{}, attest.Attached{Err: attest.Refuse(attest.CodeRegDigest, "blob")})
	c := walk(t, model, sc, w.Source())
	for d, code := range map[attest.Digest]attest.Code{payload: attest.CodeRegUnavailable, standin(w, "alice"): attest.CodeRegRedirect, standin(w, "root"): attest.CodeRegDigest} {
		if got := c.Consulted(d).Gaps; !slices.Equal(got, []verify.Gap{{Code: code, Artifact: d}}) {
			t.Errorf("gaps at %s are %v, want %s", d.Short(), got, code)
		}
	}
	if len(c.Consulted(payload).Evidence) != 1 {
		t.Error("what was listed before the error was dropped")
	}
	if len(c.Gaps()) != 0 || len(c.Unseen()) != 3 || c.Consulted(standin(w, "trainer")).Gapped() {
		t.Errorf("gaps of the chain are %q, %d unseen", gaps(c), len(c.Unseen()))
	}
}

// Strangers cannot have anything consulted, nor can what lies where it does not
// belong; what was signed about files can.
func TestConsultOnlyWhatIsBound(t *testing.T) {
	w, model, payload, sc := consulted(t)
	before := walk(t, model, sc, w.Source())
	w.Sign("mallory", model, noteType, map[string]any{})
	w.Sign("mallory", payload, predicate.TypeRevocation, revocation("payload", 9))
	w.Attach(payload, []byte("{"))
	w.SignAt(model, "idle", artifact("else"), noteType, map[string]any{})                                 // misplaced in the ancestry
	w.SignAt(payload, "idle", model, predicate.TypeRevocation, revocation("payload", 4))                  // and beside a payload
	w.SignAt(payload, "idle", chaintest.File("weights"), predicate.TypeRevocation, revocation("file", 5)) // a file of the model
	c := walk(t, model, sc, w.Source())
	if !slices.Equal(c.ConsultedAll(), before.ConsultedAll()) {
		t.Errorf("consulted %d, before %d", len(c.ConsultedAll()), len(before.ConsultedAll()))
	}
	if a := c.Consulted(payload); len(a.Evidence) != 1 || len(a.FileEvidence) != 0 || len(a.Misplaced) != 2 || a.Gapped() || c.Strangers() != 2 || len(c.Findings()) != 4 {
		t.Errorf("chain is\n%s", dump(c))
	}
	of := w.SignAt(model, "idle", chaintest.File("weights"), noteType, map[string]any{"file": 1})
	c = walk(t, model, sc, w.Source())
	if c.Consulted(of) == nil || c.Consulted(standin(w, "idle")) == nil || len(c.ConsultedAll()) != len(before.ConsultedAll())+2 {
		t.Errorf("what was signed about a file was not consulted: %d", len(c.ConsultedAll()))
	}
}

// Anchors are looked up in any case; with Consult, so is what is signed there.
func TestConsultAlso(t *testing.T) {
	w, model, _, sc := consulted(t)
	anchor := artifact("the list of banned things")
	list := w.Sign("idle", anchor, noteType, map[string]any{"list": 1})
	w.Sign("security", list, predicate.TypeRevocation, revocation("payload", 4))
	w.Sign("root", standin(w, "idle"), predicate.TypeRevocation, revocation("key", 5))
	if c := walk(t, model, sc, w.Source()); c.Consulted(anchor) != nil || c.Consulted(list) != nil {
		t.Error("an anchor that nobody named was looked up")
	}
	sc.Also = []attest.Digest{anchor, artifact("empty"), anchor}
	c := walk(t, model, sc, w.Source())
	if !slices.Equal(payloads(c.Consulted(anchor)), []attest.Digest{list}) || len(c.Consulted(list).Evidence) != 1 || len(c.Consulted(standin(w, "idle")).Evidence) != 1 {
		t.Errorf("chain is\n%s", dump(c))
	}
	if a := c.Consulted(artifact("empty")); a == nil || a.Gapped() || len(a.Evidence) != 0 {
		t.Errorf("the empty anchor is %+v", a)
	}
	sc.Consult = false
	c = walk(t, model, sc, w.Source())
	if want := sortedDigests(anchor, artifact("empty")); !slices.Equal(c.ConsultedAll(), want) || len(c.Consulted(anchor).Evidence) != 1 {
		t.Errorf("without Consult: consulted %v, want the anchors", c.ConsultedAll())
	}
}

// A digest may be an artifact of the ancestry and a payload in it.
func TestConsultedAndArtifact(t *testing.T) {
	w, model, payload, sc := consulted(t)
	train(w, "trainer", model, payload) // the model was made of a record
	made := train(w, "trainer", payload, artifact("notes"))
	c := walk(t, model, sc, w.Source())
	a, b := c.Artifact(payload), c.Consulted(payload)
	if a == b || len(a.Evidence) != 2 || !slices.Equal(payloads(a), payloads(b)) || !a.FilesKnown || b.FilesKnown || c.Depth(payload) != 1 {
		t.Errorf("artifact %+v, consulted %+v", a, b)
	}
	// As an artifact it leads on, and the payloads beside it are consulted.
	if c.Artifact(artifact("notes")) == nil || c.Consulted(made) == nil || len(c.Gaps()) != 0 {
		t.Errorf("chain is\n%s", dump(c))
	}
	w.Break(payload, errors.New("down"))
	if c := walk(t, model, sc, w.Source()); gaps(c) != "E_REG_UNAVAILABLE "+payload.Short() || !c.Consulted(payload).Gapped() {
		t.Errorf("gaps of the chain are %q", gaps(c))
	}
}

// Limits reached while consulting are gaps there, and consulting takes nothing
// from the ancestry, however tight they are.
func TestConsultLimits(t *testing.T) {
	w, model, payload, sc := consulted(t)
	for i := range 4 {
		w.Sign("security", payload, predicate.TypeRevocation, revocation("payload", 10+i))
		w.Sign("mallory", payload, noteType, map[string]any{"i": i})
	}
	run := func(l verify.Limits) verify.Chain {
		sc.Limits = l
		return walk(t, model, sc, w.Source())
	}
	limited := func(c verify.Chain) (out []attest.Digest) {
		for _, d := range c.ConsultedAll() {
			if slices.Equal(c.Consulted(d).Gaps, []verify.Gap{{Code: attest.CodeLimit, Artifact: d}}) {
				out = append(out, d)
			} else if c.Consulted(d).Gapped() {
				t.Errorf("gaps are %v", c.Consulted(d).Gaps)
			}
		}
		return out
	}
	const all = 5 + 5 + 2 // pieces in the ancestry, beside the payload, beside keys
	if c := run(verify.Limits{Attestations: all, PerArtifact: 5, Depth: 2, Strangers: 20}); len(limited(c)) != 0 || len(c.Consulted(payload).Evidence) != 5 {
		t.Errorf("exactly at the limits: %s", dump(c))
	}
	if c := run(verify.Limits{Attestations: all - 1}); len(limited(c)) != 1 {
		t.Errorf("one piece too many: %s", dump(c))
	}
	if c := run(verify.Limits{Attestations: 4}); len(c.Gaps()) == 0 || !slices.Equal(limited(c), c.ConsultedAll()) || len(c.ConsultedAll()) == 0 {
		t.Errorf("nothing left after the ancestry: %s", dump(c))
	}
	if c := run(verify.Limits{PerArtifact: 4}); !slices.Equal(limited(c), []attest.Digest{payload}) || len(c.Consulted(payload).Evidence) != 4 {
		t.Errorf("one piece too many for one payload: %s", dump(c))
	}
	if c := run(verify.Limits{PerArtifact: 4, Strangers: 4}); !slices.Equal(limited(c), []attest.Digest{payload}) || len(c.Consulted(payload).Evidence) != 0 {
		t.Errorf("a listing too long to be read: %s", dump(c))
	}
	if c := run(verify.Limits{Strangers: 5*4 - 1}); !slices.Equal(limited(c), []attest.Digest{payload}) || len(c.Consulted(payload).Evidence) != 5 || c.Strangers() != 3 {
		t.Errorf("one attempt too few: %s", dump(c))
	}
	for n := range all + 1 {
		for _, l := range []verify.Limits{{Attestations: n + 1}, {Bytes: int64(n) * 1000}, {Strangers: n + 1}, {PerArtifact: n + 1}} {
			sc.Consult = true
			on := run(l)
			sc.Consult = false
			if off := run(l); ancestry(on) != ancestry(off) {
				t.Errorf("%+v: consulting changed the ancestry:\n%s\nwithout\n%s", l, ancestry(on), ancestry(off))
			}
		}
	}
}

// When the walk's time is over while it consults, that is a gap there; when the
// caller's is, there is no chain.
func TestConsultTime(t *testing.T) {
	w, model, payload, sc := consulted(t)
	for stopped, want := range map[bool]attest.Code{false: "", true: attest.CodeInterrupted} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stuck := bySource{func(ctx context.Context, d attest.Digest, _ func(attest.Attached) bool) error {
			if d != payload {
				return nil
			}
			if stopped {
				cancel()
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		sc.Limits.Time = 50 * time.Millisecond
		if stopped {
			sc.Limits.Time = time.Minute
		}
		c, err := verify.Walk(ctx, model, []verify.Source{w.Source(), stuck}, sc)
		wantCode(t, "stuck", err, want)
		if stopped {
			continue
		}
		if got := c.Consulted(payload); !slices.Equal(got.Gaps, []verify.Gap{{Code: attest.CodeLimit, Artifact: payload}}) || len(got.Evidence) != 1 || len(c.Gaps()) != 0 {
			t.Errorf("chain is\n%s", dump(c))
		}
		// Nobody was asked in the second round.
		if got := c.Consulted(standin(w, "security")); got == nil || !got.Gapped() || len(got.Evidence) != 0 {
			t.Errorf("beside the key of security: %+v", got)
		}
	}
}
