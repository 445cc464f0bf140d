package policy_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// chainsEach is how many chains are made for each policy: loading one costs as
// much as judging several chains.
const chainsEach = 4

// trials calls f for random chains under random policies, and ends with the first
// policy of which one fails: the smallest seed explains as much as all.
func trials(t *testing.T, m mode, few int, f func(x *trial, m *maker)) {
	t.Helper()
	first, n := runs(t, few)
	for seed := first; seed < first+n; seed++ {
		made := newMaker(t, seed, m)
		text := made.policy()
		p := made.load(text)
		for range chainsEach {
			f(made.trial(seed, text, p), made)
		}
		if t.Failed() {
			return
		}
	}
}

func (x *trial) agree(t *testing.T, s sight) policy.Outcome {
	t.Helper()
	chain := x.chain(t, s)
	v := x.p.Evaluate(chain, x.q)
	allowed, satisfies := policy.Reference(x.p, chain, x.q)
	unread := slices.ContainsFunc(chain.Artifacts(), func(d attest.Digest) bool {
		return slices.ContainsFunc(chain.Artifact(d).Evidence, func(e verify.Evidence) bool { _, err := e.Facts(); return err != nil })
	})
	if v.Outcome == policy.Undecided && !unread || allowed != (v.Outcome == policy.Allow) {
		t.Errorf("the reference allows: %v; Evaluate: %s\n%s", allowed, explain(v), x.story(s))
		return v.Outcome
	}
	// What was taken in vain (a notIn that does not hold, say), Evaluate binds all the
	// same, so that it asks for more. So the answers about what is bound are compared
	// where the chain itself holds; that of a producing step always, if it passes.
	made := satisfies(x.p.StepNames()[0], x.root)
	for _, r := range v.Requirements {
		typ, step := x.p.StepPredicate(r.Step)
		if !step || len(r.Reasons) > 0 && strings.HasPrefix(r.Reasons[0].Why, "no artifact plays") {
			continue
		}
		want, got := satisfies(r.Step, r.Artifact), r.Status == policy.Pass
		if got && !want && !unread && (made || typ == provenance) || want && !got && made && typ == provenance {
			t.Errorf("%s of %s: the reference says %v, Evaluate %s: %s\n%s", r.Step, r.Artifact.Short(), want, r.Status, explain(v), x.story(s))
		}
	}
	return v.Outcome
}

// TestReference compares Evaluate with a second, slow and simple way to say what
// the language means, requirement by requirement.
func TestReference(t *testing.T) {
	count := map[policy.Outcome]int{}
	trials(t, acknowledged, 60, func(x *trial, m *maker) {
		count[x.agree(t, x.sight)]++
	})
	t.Logf("outcomes: %v", count)
}

// circular reports whether anything there is made of itself. Such evidence fails
// (E_CHAIN_CYCLE), also by what others say of what it was made of: a statement that
// is removed or hidden can be the one that closes the circle, whatever a policy
// selects. Only here more evidence fails what passes with less, so the properties
// about less leave it out.
func (x *trial) circular(t testing.TB) bool {
	c := x.chain(t, x.with(x.spare...))
	return slices.ContainsFunc(c.Artifacts(), func(d attest.Digest) bool {
		return slices.ContainsFunc(c.Artifact(d).Evidence, func(e verify.Evidence) bool { return c.Cycle(e) != nil })
	})
}

// hide takes pieces out of sight at one or two artifacts and lets the registry
// fail there. What is hidden there, or could be, it returns.
func (x *trial) hide(m *maker) (shown sight, hidden []*piece) {
	shown = x.sight
	shown.down = map[attest.Digest]bool{}
	for range 1 + m.IntN(2) {
		shown.down[pick(m, slices.Concat(x.pieces, x.spare)...).at] = true
	}
	hide := pick(m, 0, 0, 10, 40)
	for _, p := range x.pieces {
		if shown.down[p.at] && m.likely(hide) {
			shown = shown.without(p)
			hidden = append(hidden, p)
		}
	}
	for _, p := range x.spare {
		if shown.down[p.at] {
			hidden = append(hidden, p)
		}
	}
	return shown, hidden
}

// subset chooses some of the pieces.
func subset(m *maker, all []*piece) (out []*piece) {
	for _, p := range all {
		if m.likely(50) {
			out = append(out, p)
		}
	}
	return out
}

// TestGapsLeaveOpenOnlyWhatTheyHide: an answer in spite of gaps is the answer
// whatever is behind them (design 7.2), also by the reference; and a gap alone
// turns an ALLOW at most into UNDECIDED, and nothing into an ALLOW. All three
// outcomes must be common, or this proves little.
func TestGapsLeaveOpenOnlyWhatTheyHide(t *testing.T) {
	count := map[policy.Outcome]int{}
	trials(t, acknowledged, 40, func(x *trial, m *maker) {
		if x.circular(t) {
			return
		}
		broken := x.sight
		broken.down = map[attest.Digest]bool{pick(m, x.pieces...).at: true}
		whole, gapped := x.judge(t, x.sight).Outcome, x.judge(t, broken).Outcome
		if gapped != whole && gapped != policy.Undecided {
			t.Errorf("%s with gaps, %s without\n%s", gapped, whole, x.story(broken))
		}
		shown, hidden := x.hide(m)
		v := x.judge(t, shown)
		for range 3 {
			mended := x.sight
			mended.pieces = shown.with(subset(m, hidden)...).pieces
			chain := x.chain(t, mended)
			truth := x.p.Evaluate(chain, x.q)
			allowed, _ := policy.Reference(x.p, chain, x.q)
			if v.Outcome != policy.Undecided && (truth.Outcome != v.Outcome && truth.Outcome != policy.Undecided || allowed != (v.Outcome == policy.Allow)) {
				t.Errorf("with gaps %s, without %s, by the reference %v\n%s\n%s\n%s", v.Outcome, truth.Outcome, allowed, explain(truth), x.story(mended), explain(v))
			}
		}
		for _, o := range []policy.Outcome{whole, v.Outcome} {
			count[o]++
		}
	})
	n := 0
	for _, k := range count {
		n += k
	}
	t.Logf("%d verdicts: %v", n, count)
	for _, o := range []policy.Outcome{policy.Allow, policy.Deny, policy.Undecided} {
		if n >= 200 && count[o]*100 < 15*n {
			t.Errorf("%s in %d of %d cases: the generators are one-sided", o, count[o], n)
		}
	}
}

// removals calls f with what is left after removing each piece, some pairs, and
// some random sets.
func (x *trial) removals(m *maker, s sight, f func(sight)) {
	for _, p := range s.pieces {
		f(s.without(p))
	}
	for range 4 {
		f(s.without(pick(m, s.pieces...), pick(m, s.pieces...)))
		f(s.without(subset(m, s.pieces)...))
	}
}

// TestRemovingNeverAllows: under policies that rest on no absence, less evidence
// never turns DENY or UNDECIDED into ALLOW.
func TestRemovingNeverAllows(t *testing.T) {
	refused := 0
	trials(t, monotone, 25, func(x *trial, m *maker) {
		if x.circular(t) {
			return
		}
		s, _ := x.hide(m)
		if m.likely(60) {
			s = x.sight
		}
		if x.judge(t, s).Outcome == policy.Allow {
			return
		}
		refused++
		x.removals(m, s, func(less sight) {
			if v := x.judge(t, less); v.Outcome == policy.Allow {
				t.Errorf("ALLOW with less:\n%s\nand with all of this not:\n%s", less, x.story(s))
			}
		})
	})
	if refused == 0 {
		t.Error("nothing was refused, so nothing was tried")
	}
}

// publish signs a status that lists everything about what the chain rests on, but
// for the artifacts that it leaves out.
func (x *trial) publish(t testing.TB, m *maker, s sight, sequence int64, leave ...attest.Digest) *piece {
	t.Helper()
	c := x.chain(t, s)
	st := predicate.Status{Sequence: sequence, IssuedAt: asked, ValidUntil: asked.Add(time.Hour), Artifacts: map[attest.Digest][]predicate.Listed{}}
	list := func(d attest.Digest, a *verify.Artifact) {
		if slices.Contains(leave, d) {
			return
		}
		st.Artifacts[d] = append(st.Artifacts[d], []predicate.Listed{}...)
		for _, e := range slices.Concat(a.Evidence, a.Misplaced) {
			if e.PredicateType() != predicate.TypeStatus {
				st.Artifacts[d] = append(st.Artifacts[d], predicate.Listed{Payload: e.ID().Payload, Credential: e.ID().Credential.String()})
			}
		}
	}
	for _, d := range c.Artifacts() {
		list(d, c.Artifact(d))
	}
	for _, d := range c.ConsultedAll() {
		list(d, c.Consulted(d))
	}
	chained := &chainMaker{maker: m, x: &trial{}}
	return chained.sign("registrar", x.root, predicate.TypeStatus, st)
}

// TestRemovingUnderAStatusNeverAllows: with a status, nothing that is removed turns
// DENY or UNDECIDED into ALLOW, under any policy; the status itself included, by a
// verifier that remembers it, and whatever the status does not list. And with a
// status of everything, everything is as if absence was acknowledged.
func TestRemovingUnderAStatusNeverAllows(t *testing.T) {
	count := map[policy.Outcome]int{}
	trials(t, sealedBy, 8, func(x *trial, m *maker) {
		old := x.publish(t, m, x.sight, 1) // before the last piece, which is mostly a bad one
		bad, leave := x.spare[len(x.spare)-1], []attest.Digest(nil)
		s := x.with(bad, old)
		if m.likely(25) {
			leave = []attest.Digest{bad.at}
		}
		status := x.publish(t, m, s, 2, leave...)
		s = s.with(status)
		full := x.judge(t, s)
		count[full.Outcome]++
		if allowed, _ := policy.Reference(x.p, x.chain(t, s), x.q); leave == nil && allowed != (full.Outcome == policy.Allow) {
			t.Errorf("with a status %s, by the reference %v: %s\n%s", full.Outcome, allowed, explain(full), x.story(s))
		}
		remembering := *x
		remembering.q.Remembered, remembering.q.Stateful = full.Marks, true
		try := func(less sight) {
			v := remembering.judge(t, less)
			if slices.Contains(less.pieces, status) && v.Outcome != policy.Allow {
				v = x.judge(t, less)
			}
			if v.Outcome == policy.Allow {
				t.Errorf("ALLOW with less:\n%s\nand with all of this not:\n%s", less, x.story(s))
			}
		}
		if full.Outcome != policy.Allow {
			try(s.without(bad, status))
			x.removals(m, s, try)
		}
	})
	t.Logf("outcomes: %v", count)
	if count[policy.Allow] == 0 || count[policy.Deny] == 0 {
		t.Error("one-sided")
	}
}

func (x *trial) bytes(t testing.TB, sources ...verify.Source) string {
	t.Helper()
	b, err := x.judge(t, sources...).JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStrangersChangeNoByte: what keys sign that the policy does not know changes
// no byte of the verdict, whatever it says and wherever it lies.
func TestStrangersChangeNoByte(t *testing.T) {
	trials(t, sealedBy, 15, func(x *trial, m *maker) {
		before := x.bytes(t, x.sight)
		chained := &chainMaker{maker: m, x: &trial{}, flawed: 30}
		c := x.chain(t, x.sight)
		everywhere := slices.Concat(c.Artifacts(), c.ConsultedAll(), []attest.Digest{m.artifact("leaky set")})
		for i := range 8 {
			at := pick(m, everywhere...)
			switch p := pick(m, slices.Concat(x.pieces, x.spare)...); i % 4 {
			case 0:
				chained.sign("mallory", at, predicate.TypeRevocation, map[string]any{"action": "revoke", "target": pick(m, "artifact", "payload", "key"), "reason": "so", "issuedAt": minute(i)})
			case 1:
				chained.sign("mallory", x.root, predicate.TypeStatus, predicate.Status{Sequence: 99, IssuedAt: asked, ValidUntil: asked.Add(time.Hour), Artifacts: map[attest.Digest][]predicate.Listed{}})
			default: // what somebody else said, again
				b, err := attest.ParseBundle(p.bundle)
				if err != nil {
					t.Fatal(err)
				}
				m.world.SignPayload(at, "mallory", b.Payload)
				all := m.world.Bundles(at)
				chained.x.pieces = append(chained.x.pieces, &piece{at: p.at, by: "mallory", bundle: all[len(all)-1], what: p.what})
			}
		}
		if after := x.bytes(t, x.with(chained.x.pieces...)); after != before {
			t.Errorf("strangers changed the verdict:\n%s\nwas:\n%s\n%s", after, before, x.story(x.with(chained.x.pieces...)))
		}
	})
}

// TestOrderChangesNothing: in which order bundles lie, how often, in how many
// places and who else computes changes no byte of the verdict.
func TestOrderChangesNothing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	trials(t, acknowledged, 12, func(x *trial, m *maker) {
		s := x.sight
		if m.likely(50) {
			s, _ = x.hide(m)
		}
		before := x.bytes(t, s)
		for _, procs := range []int{1, 8} {
			runtime.GOMAXPROCS(procs)
			other := s.with(subset(m, s.pieces)...)
			m.Shuffle(len(other.pieces), func(i, j int) { other.pieces[i], other.pieces[j] = other.pieces[j], other.pieces[i] })
			half, rest := other, other
			half.pieces, rest.pieces = other.pieces[:len(other.pieces)/2], other.pieces[len(other.pieces)/3:]
			for _, sources := range [][]verify.Source{{other}, {half, rest}, {rest, other, half}} {
				if after := x.bytes(t, sources...); after != before {
					t.Errorf("with %d processors and %d sources:\n%s\nwas:\n%s\n%s", procs, len(sources), after, before, x.story(s))
				}
			}
		}
	})
}
