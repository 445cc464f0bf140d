package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// aging is what a reason says of the time of the question. It is the one thing in a
// verdict that changes while the verdict lasts.
var aging = regexp.MustCompile(`is [0-9hdms ]+ old|which is after \S+|the question is about \S+|approved \(\S+\) there was`)

// answers is everything a verdict says but when it was asked and how old something was
// then.
func answers(t testing.TB, v *policy.Verdict) string {
	t.Helper()
	w := *v
	w.At, w.Known = time.Time{}, time.Time{}
	w.Requirements = slices.Clone(w.Requirements)
	for i := range w.Requirements {
		r := &w.Requirements[i]
		r.Reasons = slices.Clone(r.Reasons)
		for j := range r.Reasons {
			r.Reasons[j].Why = aging.ReplaceAllString(r.Reasons[j].Why, "…")
		}
	}
	b, err := json.MarshalIndent(struct {
		Verdict *policy.Verdict
		Marks   []policy.Mark
	}{&w, v.Marks}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// later is the same question, asked so much later.
func later(q policy.Question, d time.Duration) policy.Question {
	q.At = q.At.Add(d)
	if !q.Known.IsZero() {
		q.Known = q.Known.Add(d)
	}
	return q
}

// evaluate judges, and holds the verdict to what it says of itself: until Until,
// nothing changes. All tests of this package judge with it, so what one of them
// finds to depend on time is a test of Until.
func evaluate(t testing.TB, p *policy.Policy, c verify.Chain, q policy.Question) *policy.Verdict {
	t.Helper()
	v := p.Evaluate(c, q)
	left := v.Until.Sub(q.At)
	if left <= 0 {
		t.Fatalf("asked at %s, the verdict holds until %s", q.At, v.Until)
	}
	want := answers(t, v)
	random := rand.New(rand.NewPCG(uint64(left), uint64(q.At.Unix())))
	for _, d := range []time.Duration{left - 1, time.Duration(random.Int64N(int64(left)))} {
		again := p.Evaluate(c, later(q, d))
		if got := answers(t, again); got != want {
			t.Errorf("asked at %s, the verdict is to hold until %s; asked at %s it is another:\n%s", q.At, v.Until, again.At, difference(want, got))
		} else if !again.Until.Equal(v.Until) && v.Until.Sub(q.At) < 200*365*24*time.Hour {
			t.Errorf("asked at %s, the verdict holds until %s; asked at %s, until %s", q.At, v.Until, again.At, again.Until)
		}
	}
	return v
}

// difference shows the first line in which two texts differ.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("-%s\n+%s", x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines, and %d", len(x), len(y))
}

// A life is what a verdict turns into while time goes by, at the moments at which
// Until says that it may.
func life(t testing.TB, p *policy.Policy, c verify.Chain, q policy.Question, end time.Time) (changes []time.Time) {
	t.Helper()
	for n := 0; q.At.Before(end); n++ {
		if n == 1000 {
			t.Fatalf("a thousand boundaries, and it is only %s", q.At)
		}
		v := evaluate(t, p, c, q)
		next := later(q, v.Until.Sub(q.At))
		if answers(t, p.Evaluate(c, next)) != answers(t, v) {
			changes = append(changes, v.Until)
		}
		q = next
	}
	return changes
}

// TestUntil: over generated policies and chains, from before anything was signed
// until the policy has long expired, the verdict changes at no moment but those that
// Until names.
func TestUntil(t *testing.T) {
	changes, lives := 0, 0
	for _, m := range []mode{acknowledged, sealedBy} {
		trials(t, m, 12, func(x *trial, mk *maker) {
			s := x.sight
			if m == sealedBy {
				s = s.with(x.publish(t, mk, s, 1))
			}
			q := x.q
			q.At = started.Add(-2 * time.Hour)
			q.Known = q.At.Add(mk.lag())
			changes += len(life(t, x.p, x.chain(t, s), q, x.p.Expires().AddDate(1, 0, 0)))
			lives++
		})
	}
	if changes < 3*lives {
		t.Errorf("%d changes in %d lives: the property was hardly tried", changes, lives)
	}
	t.Logf("%d changes in %d lives", changes, lives)
}

// lag is how far what is known lies before or after what is asked about.
func (m *maker) lag() time.Duration { return pick(m, 0, 0, -time.Hour, 90*time.Minute) }

// TestUntilFinds is the other half: the boundaries that bound real policies are
// there, to the nanosecond, and the answer changes at them.
func TestUntilFinds(t *testing.T) {
	day := 24 * time.Hour
	noAges := func(p *pipeline) {
		p.replace("    maxAge: 720h\n", "")
		p.replace("    maxAge: 2160h\n", "")
	}
	made := func(make func(t testing.TB) *pipeline, change func(p *pipeline)) func(t *testing.T) world {
		return func(t *testing.T) world {
			p := make(t)
			noAges(p)
			change(p)
			pol := p.load()
			return world{pol, p.chain(pol), policy.Question{At: p.at, Known: p.at}}
		}
	}
	from := func(at time.Duration, change func(p *pipeline)) func(t *testing.T) world {
		return made(newPipelineOf, func(p *pipeline) {
			change(p)
			p.sign()
			p.at = started.Add(at)
		})
	}
	keys := func(change func(k *keyless)) func(t *testing.T) world {
		return func(t *testing.T) world {
			k := newKeyless(t)
			change(k)
			k.train()
			k.approve()
			p, err := load(k.world, k.policy)
			if err != nil {
				t.Fatal(err)
			}
			return world{p, k.chain(p), policy.Question{At: k.at}}
		}
	}
	for _, c := range []struct {
		name        string
		make        func(t *testing.T) world
		until       time.Time
		first, then policy.Outcome
		code        attest.Code // then
	}{
		{"the policy expires", from(day, func(*pipeline) {}), time.Date(2027, 5, 1, 0, 0, 0, 1, time.UTC), policy.Allow, policy.Deny, attest.CodePolicyExpired},
		{"the policy begins", from(day, func(p *pipeline) { p.replace("expires: 2027", "notBefore: 2026-12-24T00:00:00Z, expires: 2027") }),
			time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC), policy.Deny, policy.Allow, ""},
		{"maxAge", from(day, func(p *pipeline) { p.replace("    select: latest\n", "    select: latest\n    maxAge: 720h\n") }),
			started.Add(4*time.Minute + 720*time.Hour + 1), policy.Allow, policy.Deny, attest.CodeStale},
		{"minAge", from(day, func(p *pipeline) {
			p.replace("    basis: [evaluate, bias]", "    minAge: 48h\n    basis: [evaluate, bias]")
			p.statements["approve-bob"].body["approvedAt"] = minute(15)
			p.statements["approve-alice"].body["approvedAt"] = minute(15)
		}), started.Add(15*time.Minute + 48*time.Hour), policy.Deny, policy.Allow, ""},
		{"validUntil of an approval", from(day, func(p *pipeline) { p.statements["approve-alice"].body["validUntil"] = minute(2000) }),
			started.Add(2000*time.Minute + 1), policy.Allow, policy.Deny, attest.CodeStale},
		{"an approval claims the future", from(day, func(p *pipeline) { p.statements["approve-alice"].body["approvedAt"] = minute(24*60 + 10) }),
			started.Add(day + 5*time.Minute), policy.Deny, policy.Allow, ""},
		{"a condition is due", from(day, func(p *pipeline) {
			p.replace("  approve:\n", "  follow-up: {predicate: \""+predicate.TypeApproval+"\", about: artifact, by: [alice], select: any}\n  approve:\n    conditions: {dischargedBy: follow-up, untilDue: true}\n")
			p.statements["approve-alice"].body["conditions"] = []any{map[string]any{"id": "monitor", "dueBy": minute(2000)}}
		}), started.Add(2000*time.Minute + 1), policy.Allow, policy.Deny, attest.CodeConditions},
		{"a revocation that is for later", from(day, func(p *pipeline) {
			p.replace("steps:\n", "revocation: [{by: [data], acknowledgeAbsence: x}]\nsteps:\n")
			p.revoke("data", p.quant, predicate.ActionRevoke, predicate.TargetArtifact, func(r *predicate.Revocation) { r.EffectiveFrom = started.Add(3 * day) })
		}), started.Add(3 * day), policy.Allow, policy.Deny, attest.CodeRevoked},
		{"validUntil of the status", made(sealed, func(p *pipeline) { p.sign(); p.publish(1, 5*time.Hour) }), started.Add(6*time.Hour + 1), policy.Allow, policy.Deny, attest.CodeStale},
		{"maxAge of the status", made(sealed, func(p *pipeline) {
			p.replace("status: {by: [registrar]}", "status: {by: [registrar], maxAge: 90m}")
			p.sign()
			p.publish(1, 5*time.Hour)
		}), started.Add(150*time.Minute + 1), policy.Allow, policy.Deny, attest.CodeStale},
		{"maxAge of the deny list", made(banned, func(p *pipeline) {
			p.sign()
			p.ban(1, attest.SHA256([]byte("else")), "data", "evaluator")
		}), started.Add(day + 1), policy.Allow, policy.Deny, attest.CodeStale},
		{"validUntil of the deny list", made(banned, func(p *pipeline) {
			p.replace("maxAge: 24h", "maxAge: 96h")
			p.sign()
			p.ban(1, attest.SHA256([]byte("else")), "data", "evaluator")
		}), started.Add(2*day + 1), policy.Allow, policy.Deny, attest.CodeStale},
		{"a deny list is of the future", made(banned, func(p *pipeline) {
			p.replace("maxAge: 24h", "maxAge: 96h")
			p.sign()
			p.ban(1, attest.SHA256([]byte("else")), "data", "evaluator")
			for _, who := range []string{"data", "evaluator"} {
				p.world.Sign(who, predicate.DenylistAnchor("acme-banned"), predicate.TypeDenylist, predicate.Denylist{Name: "acme-banned", Sequence: 2,
					IssuedAt: started.Add(day), ValidUntil: started.Add(2 * day), Artifacts: []predicate.Denied{{Digest: p.quant, Reason: "stolen"}}})
			}
		}), started.Add(day - 5*time.Minute), policy.Allow, policy.Deny, attest.CodeDenied},
		{"evidence of three minutes' future that approvals must name", from(day, func(p *pipeline) {
			p.replace("    basis: [evaluate, bias]", "    rebase: true\n    basis: [evaluate, bias]")
			p.add("evaluate-later", "evaluator", p.quant, p.evaluation("quality", 24*60+3))
		}), started.Add(day + 3*time.Minute), policy.Allow, policy.Deny, attest.CodeBasis},
		{"a grant ends", grants(func(g *granted) {
			g.direct("platform", func(a *predicate.Access) { a.Tools = []predicate.Tool{{Name: "shell"}}; a.NotAfter = started.Add(day) })
		}), started.Add(day), policy.Deny, policy.Allow, ""},
		{"a grant begins", grants(func(g *granted) {
			g.direct("platform", func(a *predicate.Access) {
				a.Tools, a.NotBefore, a.NotAfter = []predicate.Tool{{Name: "shell"}}, started.Add(day), started.Add(2*day)
			})
		}), started.Add(day), policy.Allow, policy.Deny, attest.CodeAccess},
		{"another policy expires", made(outsourced, func(p *pipeline) {
			sooner := strings.Replace(hubPolicy, "expires: 2027-05-01", "expires: 2027-01-01", 1)
			p.replace(p.pinned(hubPolicy).String(), p.pinned(sooner).String())
			p.files["vendor/hub.yaml"] = sooner
			p.sign()
		}), time.Date(2027, 1, 1, 0, 0, 0, 1, time.UTC), policy.Allow, policy.Deny, ""},
		{"the trust expires", keys(func(k *keyless) {
			k.trust = k.world.TrustOf("{name: chaintest, version: 1, expires: 2026-12-24T00:00:00Z}")
		}),
			time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC), policy.Allow, policy.Undecided, attest.CodeTrustRootStale},
		{"what is seen later", keys(func(k *keyless) { k.at, k.approved = started.Add(30*time.Minute), started.Add(40*time.Minute) }),
			started.Add(40*time.Minute + 10*time.Second), policy.Deny, policy.Allow, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.make(t)
			v := evaluate(t, w.p, w.chain, w.q)
			if v.Outcome != c.first {
				t.Fatalf("at first it must be %s:\n%s", c.first, explain(v))
			}
			if !v.Until.Equal(c.until) {
				t.Fatalf("the verdict holds until %s, want %s", v.Until, c.until)
			}
			w.q = later(w.q, c.until.Sub(w.q.At))
			want(t, w.p.Evaluate(w.chain, w.q), c.then, c.code)
		})
	}
}

// A world is a chain to be asked about under a policy.
type world struct {
	p     *policy.Policy
	chain verify.Chain
	q     policy.Question
}

func grants(change func(g *granted)) func(t *testing.T) world {
	return func(t *testing.T) world {
		g := newGranted(t, false)
		g.replace("    maxAge: 720h\n", "")
		g.replace("    maxAge: 2160h\n", "")
		g.pipeline.sign()
		change(g)
		p := g.load()
		return world{p, g.chain(p), policy.Question{At: g.at}}
	}
}

// A summary that stands in bounds a verdict by its age.
func TestUntilOfASummary(t *testing.T) {
	p := newPipeline(t)
	p.files = map[string]string{"hub.yaml": hubPolicy}
	d := p.pinned(hubPolicy).String()
	p.replace("steps:\n", "policies:\n  hub: {file: hub.yaml, digest: \""+d+"\", vsa: {by: [verifier], verifier: v, resource: r, maxAge: 24h, acknowledgeAbsence: x}}\nsteps:\n")
	p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, policy: hub}")
	p.replace("  alice: {", "  verifier: {kind: workload, credentials: [{key: keys/verifier.pub}]}\n  alice: {")
	p.statements["ingest"].omit = true
	p.replace("{role: raw-data, from: ingest}", "{role: raw-data, accept: any, reason: x}")
	dropStep(p, "ingest")
	s := p.add("vsa", "verifier", p.train, map[string]any{
		"verifier": map[string]any{"id": "v"}, "timeVerified": minute(5), "resourceUri": "r",
		"policy": map[string]any{"uri": "x", "digest": digestSet(d)}, "verificationResult": "PASSED", "verifiedLevels": []any{}})
	s.typ = predicate.TypeVSA
	v := p.verdict()
	want(t, v, policy.Allow, "")
	if until := started.Add(24*time.Hour + 5*time.Minute + 1); !v.Until.Equal(until) {
		t.Errorf("the verdict holds until %s, want %s", v.Until, until)
	}
	p.at = v.Until
	want(t, p.judge(), policy.Deny, "")
}

// Where nothing changes any more, and with nothing to judge, there is a bound all the
// same, and it is a time that can be written.
func TestUntilIsBounded(t *testing.T) {
	p := newPipeline(t)
	p.sign()
	pol := p.load()
	chain := p.chain(pol)
	for _, at := range []time.Time{time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), {}, time.Now()} {
		for _, v := range []*policy.Verdict{pol.Evaluate(chain, policy.Question{At: at}), new(policy.Policy).Evaluate(chain, policy.Question{At: at})} {
			if !v.Until.After(at) {
				t.Errorf("asked at %s, the verdict holds until %s", at, v.Until)
			}
			if _, err := json.Marshal(v.Until); err != nil {
				t.Error(err)
			}
		}
	}
}
