package judge_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/internal/state"
	"github.com/pedigree-ml/pedigree/policy"
)

// The gate adds serving and never judging: it answers what the program answers, in the
// same bytes.
func TestSameBytesAsVerify(t *testing.T) {
	for name, registry := range map[string]bool{"layout": false, "registry": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, registry)
			good, revoked, unproven := w.model("good"), w.model("revoked"), w.push(w.repo, "unproven")
			w.revoke(revoked)
			both, mixed := w.index("both", good, revoked), w.index("mixed", good, unproven)
			nested := w.index("nested", both)
			tag := func(s string) attest.Reference { return w.ref(w.repo + ":" + s) }
			seen := map[string]bool{}
			for _, c := range []struct {
				name     string
				ref      attest.Reference
				policy   string
				context  string
				stateful bool
			}{
				{"good", good, "plain", "", false},
				{"good", tag("good"), "plain", "", false},
				{"good", good, "strict", "production", false},
				{"good, remembering", good, "strict", "production", true},
				{"good, no context", good, "strict", "", false},
				{"good, unknown context", good, "strict", "nowhere", false},
				{"revoked", revoked, "strict", "test", false},
				{"revoked", revoked, "plain", "", false},
				{"unproven", unproven, "plain", "", false},
				{"unproven", tag("unproven"), "strict", "test", false},
				{"index", both, "plain", "", false},
				{"index", tag("both"), "strict", "test", false},
				{"index", mixed, "plain", "", true},
				{"index in an index", nested, "plain", "", false},
				{"no such tag", tag("absent"), "plain", "", false},
				{"no such digest", w.repository(w.repo).At(attest.SHA256(nil)), "plain", "", false},
				{"stand-in", w.repository(w.repo).At(revoked.Digest), "strict", "test", false},
			} {
				g, o := w.ground(c.policy), judge.Options{}
				args := []string{"verify", c.ref.String(), "--policy", w.in(c.policy + ".yaml"), "--output", "json"}
				if c.context != "" {
					args = append(args, "--context", c.context)
				}
				if c.stateful {
					g.Stateful, o.State = true, openState(t, filepath.Join(t.TempDir(), "gate"))
					args = append(args, "--state", filepath.Join(t.TempDir(), "cli"))
				}
				status, want, stderr := w.cli(args...)
				e := w.engine(o)
				a := ask(t, e, g, c.ref, c.context)
				if a.Err != nil {
					if code := string(attest.RefusalCode(a.Err)); code == "" || !strings.HasPrefix(stderr, "pedigree: "+code+" ") || want != "" && !strings.Contains(want, code) || a.Allowed() {
						t.Errorf("%s: refused with %v, and the program says\n%s%s", c.name, a.Err, want, stderr)
					}
					continue
				}
				seen[a.Outcome.String()] = true
				if string(a.JSON) != want || len(want) < 100 {
					t.Errorf("%s, %s: the gate answers\n%s\nand the program\n%s%s", c.name, c.policy, a.JSON, want, stderr)
				}
				if (status == 0) != a.Allowed() || (status == 3) != (a.Outcome == policy.Undecided) {
					t.Errorf("%s: %s, and the program ends with %d", c.name, a.Outcome, status)
				}
				if a.Reference.Repository != c.ref.Repository || a.Reference.Digest.IsZero() || a.Reference.Tag != c.ref.Tag || a.Policy != g.Policy.Digest() || a.Cached {
					t.Errorf("%s: the answer is about %s, by %s, remembered: %t", c.name, a.Reference, a.Policy, a.Cached)
				}
				again := ask(t, e, g, a.Reference, c.context)
				if string(again.JSON) != want || !again.Cached || again.Outcome != a.Outcome || again.Reference != a.Reference {
					t.Errorf("%s: asked again: %s, remembered: %t", c.name, again.Outcome, again.Cached)
				}
			}
			if !seen["ALLOW"] || !seen["DENY"] {
				t.Errorf("the cases gave %v", seen)
			}
		})
	}
}

func openState(t testing.TB, dir string) *state.Dir {
	t.Helper()
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// GAT-17: the gate asks by its own right, so that a tenant gets what its rule lists and
// nothing else: neither a look nor what somebody else's look found.
func TestOnlyWhatIsListed(t *testing.T) {
	w := newWorld(t, true)
	good := w.model("good")
	e, g := w.engine(judge.Options{}), w.ground("plain")
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	other := *g
	before := w.requests.Load()
	for _, patterns := range [][]string{nil, {}, {"registry.example/**"}, {w.repo + "/x"}, {w.repo + "2"}, {"**"}} {
		other.Repositories = patterns
		a := ask(t, e, &other, good, "")
		wantRefusal(t, a, attest.CodeNoRule)
		if len(a.JSON) > 0 || len(a.Verdicts) > 0 || a.Cached {
			t.Errorf("%q: the refusal tells more than it may: %+v", patterns, a)
		}
		wantRefusal(t, e.Judge(t.Context(), gate.Question{Reference: good, Ground: &other, Fresh: true}), attest.CodeNoRule)
	}
	if n := w.requests.Load() - before; n != 0 {
		t.Errorf("%d requests were sent to a repository that is not listed", n)
	}
	if a := ask(t, e, g, good, ""); !a.Cached {
		t.Error("the twin is not remembered, so nothing above was")
	}
}

// The same artifact in another repository is another question: evidence lies beside it.
func TestRepositoryIsPartOfTheQuestion(t *testing.T) {
	w := newWorld(t, true)
	good := w.model("good")
	elsewhere := w.push(strings.TrimSuffix(w.repo, "credit")+"tenant", "good")
	if elsewhere.Digest != good.Digest {
		t.Fatal("the same files have two digests")
	}
	e, g := w.engine(judge.Options{}), w.ground("plain")
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	wantOutcome(t, ask(t, e, g, elsewhere, ""), policy.Deny)
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	// The same where further evidence is looked for, under another policy, and in
	// another context.
	with := *g
	with.Evidence = []attest.Repository{good.Repository}
	wantOutcome(t, ask(t, e, &with, elsewhere, ""), policy.Allow)
	wantOutcome(t, ask(t, e, g, elsewhere, ""), policy.Deny)
	strict := w.ground("strict")
	wantOutcome(t, ask(t, e, strict, good, "test"), policy.Allow)
	wantOutcome(t, ask(t, e, strict, good, ""), policy.Deny)
	wantOutcome(t, ask(t, e, strict, good, "nowhere"), policy.Deny)
	if a := ask(t, e, strict, good, "production"); a.Cached || !a.Allowed() {
		t.Errorf("another context: %+v", a)
	}
}

func TestWhatCannotBeAsked(t *testing.T) {
	w := newWorld(t, false)
	good := w.model("good")
	g := w.ground("plain")
	e := w.engine(judge.Options{})
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	wantRefusal(t, e.Judge(t.Context(), gate.Question{}), attest.CodePolicyVacuous)
	wantRefusal(t, ask(t, e, nil, good, ""), attest.CodePolicyVacuous)
	wantRefusal(t, ask(t, e, &gate.Ground{Repositories: g.Repositories}, good, ""), attest.CodePolicyVacuous)
	wantRefusal(t, ask(t, e, g, attest.Reference{}, ""), attest.CodeNoRule)
	wantRefusal(t, ask(t, e, g, attest.Reference{Repository: good.Repository}, ""), attest.CodeReference)
	stateful := *g
	stateful.Stateful = true
	wantRefusal(t, ask(t, e, &stateful, good, ""), attest.CodeState)
	w.write("identities.yaml", strings.Replace(plainPolicy, "[{key: builder.pub}]", "[{issuer: https://i.example, subject: builder@example.org}]", 1))
	wantRefusal(t, ask(t, e, w.ground("identities"), good, ""), attest.CodeUsage)
	nobody := judge.New(judge.Options{Now: w.clock.Now})
	wantRefusal(t, ask(t, nobody, g, good, ""), attest.CodeInternal)
}
