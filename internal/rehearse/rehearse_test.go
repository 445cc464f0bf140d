package rehearse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/rehearse"
	"github.com/pedigree-ml/pedigree/policy"
)

const tested = `
apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: tested, version: 3, expires: 2027-05-01T00:00:00Z}
artifact: train
unsafeTime: claimed
status: {by: [authority]}
revocation: [{by: [authority], of: [artifact, key]}]
access: {by: [authority], tools: {search: [read]}}
principals:
  trainer:   {kind: workload, credentials: [{key: keys/trainer.pub}, {key: keys/trainer2.pub}]}
  evaluator: {kind: workload, credentials: [{key: keys/evaluator.pub}]}
  authority: {kind: workload, credentials: [{key: keys/authority.pub}]}
  alice: {kind: human, credentials: [{key: keys/alice.pub}]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    inputs: [{role: training-data, accept: any, reason: "a test"}]
  evaluate:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: artifact
    by: [evaluator]
    select: latest
    rules: [{id: EVAL-1, cel: 'predicate.metrics["accuracy"].value >= 0.70', message: "too bad"}]
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice]
    basis: [evaluate]
    select: any
    veto: 'predicate.decision == "rejected"'
    rules: [{id: APPR-1, cel: 'predicate.decision == "approved"', message: "not approved"}]
`

const head = `apiVersion: pedigree-ml.github.io/v1
kind: PolicyTest
at: 2026-11-23T13:00:00Z
status: true
strangers: mallory
artifacts:
  data:  {files: {train.csv: "rows"}}
  model: {files: {model.safetensors: "weights"}}
evidence:
  train:    {step: train, of: model, by: trainer, inputs: {training-data: data}}
  evaluate: {step: evaluate, of: model, by: evaluator, predicate: {metrics: {accuracy: 0.75}}}
  approve:  {step: approve, of: model, by: alice}
judge: model
cases:
  - {name: good, expect: ALLOW}
`

// load reads a test of the policy above with further cases, one a line.
func load(t *testing.T, src string) (*policy.Policy, *rehearse.File, error) {
	t.Helper()
	p, err := policy.Rehearse([]byte(tested), func(string) ([]byte, error) {
		t.Error("a key file was read: a rehearsal needs none")
		return nil, errors.New("none")
	}, rehearse.Key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := rehearse.Load("policy_test.yaml", []byte(src), p)
	return p, f, err
}

func run(t *testing.T, src string) *rehearse.Report {
	t.Helper()
	p, f, err := load(t, src)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := rehearse.Run(context.Background(), p, []*rehearse.File{f}, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestCases(t *testing.T) {
	for _, c := range []string{
		// What a case can do to the chain.
		`{name: x, without: evaluate, expect: DENY, codes: E_CHAIN_MISSING, steps: evaluate}`,
		`{name: x, set: {evaluate: {metrics.accuracy.value: 0.69}}, expect: DENY, codes: E_RULE, rules: EVAL-1}`,
		`{name: x, set: {evaluate: {'metrics["accuracy"]': 0.69}}, expect: DENY, rules: EVAL-1}`,
		`{name: x, set: {evaluate: {metrics.accuracy: null}}, expect: DENY, codes: E_POLICY_EVAL}`,
		`{name: x, with: {newer: {like: evaluate, set: {metrics.accuracy: 0.1}}}, expect: DENY, rules: EVAL-1}`,
		`{name: x, with: {older: {like: evaluate, at: -90m, set: {metrics.accuracy: 0.1}}}, expect: ALLOW}`,
		`{name: x, change: {train: {by: mallory}}, expect: DENY, codes: E_CHAIN_MISSING, steps: train}`,
		`{name: x, change: {train: {by: evaluator}}, expect: DENY, codes: E_IDENTITY}`,
		`{name: x, change: {train: {key: 2}}, expect: ALLOW}`,
		`{name: x, change: {evaluate: {at: 2026-11-24T00:00:00Z}}, expect: DENY, codes: E_TIME_WINDOW}`,
		`{name: x, change: {evaluate: {malformed: true}}, set: {evaluate: {suite: null}}, expect: DENY, codes: E_PREDICATE_SCHEMA}`,
		`{name: x, change: {approve: {basis: train}}, expect: DENY, codes: E_BASIS}`,
		`{name: x, set: {approve: {decision: rejected}}, expect: DENY, codes: [E_VETO, E_RULE], rules: APPR-1}`,
		`{name: x, at: +300d, status: {at: +300d}, expect: DENY, codes: E_POLICY_EXPIRED, steps: policy}`,
		`{name: x, judge: data, expect: DENY, codes: E_CHAIN_MISSING}`,
		// What cannot be seen is not what is not there.
		`{name: x, unseen: model, expect: UNDECIDED, codes: E_REG_UNAVAILABLE}`,
		`{name: x, removed: evaluate, expect: UNDECIDED, codes: E_STATUS, steps: status}`,
		// Without a list nobody can tell that something was removed.
		`{name: x, removed: evaluate, status: false, expect: DENY, codes: [E_STATUS, E_CHAIN_MISSING]}`,
		`{name: x, status: false, expect: DENY, codes: E_STATUS}`,
		`{name: x, status: {validFor: 1h, at: -2h}, expect: DENY, codes: E_STALE, steps: status}`,
		`{name: x, status: {unlisted: model}, expect: UNDECIDED, steps: evaluate}`,
		`{name: x, status: {sequence: 5}, remembers: {status: 5}, expect: ALLOW}`,
		`{name: x, status: {sequence: 5}, remembers: {status: 6}, expect: UNDECIDED, codes: E_ROLLBACK}`,
		// What is withdrawn.
		`{name: x, with: {r: {type: revocation, of: model, by: authority}}, expect: DENY, codes: E_REVOKED}`,
		`{name: x, with: {r: {type: revocation, of: model, by: trainer}}, expect: ALLOW}`,
		`{name: x, with: {r: {type: revocation, of: model, by: authority}, b: {type: revocation, of: model, by: authority, restores: r}}, expect: ALLOW}`,
		`{name: x, with: {r: {type: revocation, of: {payload: approve}, by: alice}}, expect: DENY, steps: approve}`,
		`{name: x, with: {r: {type: revocation, of: {key: evaluator}, by: authority}}, expect: DENY, steps: evaluate}`,
		// What is granted.
		`{name: x, with: {g: {type: access, of: model, by: trainer, predicate: {tools: [{name: search, operations: [read]}]}}}, expect: ALLOW}`,
		`{name: x, with: {g: {type: access, of: model, by: trainer, predicate: {tools: [{name: search}]}}}, expect: DENY, codes: E_ACCESS, steps: access}`,
		`{name: x, with: {g: {type: access, of: model, by: trainer, at: -3h, validFor: 2h, predicate: {tools: [{name: search}]}}}, expect: ALLOW}`,
		`{name: x, with: {g: {type: access, of: model, by: authority, predicate: {principal: {id: trainer}, mayDelegate: 1}}, h: {type: access, of: model, by: trainer, validFor: 1h, predicate: {delegation: {from: {payload: {payloadOf: g}, artifact: {digestOf: model}}}}}}, expect: ALLOW}`,
		`{name: x, with: {g: {type: access, of: model, by: authority, predicate: {principal: {id: alice}, mayDelegate: 1}}, h: {type: access, of: model, by: trainer, validFor: 1h, predicate: {delegation: {from: {payload: {payloadOf: g}, artifact: {digestOf: model}}}}}}, expect: DENY, codes: E_DELEGATION, steps: access}`,
	} {
		rep := run(t, head+"  - "+c+"\n")
		for _, r := range rep.Cases {
			if !r.OK {
				t.Errorf("%s\n%s: got %s without %s: %+v", c, r.Name, r.Got, r.Lacking, r.Reasons)
			}
		}
	}
}

// A case that expects something else is reported, with what came and why.
func TestWrongExpectations(t *testing.T) {
	for _, c := range []struct {
		text    string
		got     policy.Outcome
		lacking []string
		reason  string
	}{
		{`{name: x, without: evaluate, expect: ALLOW}`, policy.Deny, nil, "no evaluate evidence of model by evaluator"},
		{`{name: x, expect: DENY, codes: E_RULE, rules: EVAL-1, steps: evaluate}`, policy.Allow, []string{"code E_RULE", "step evaluate", "rule EVAL-1"}, ""},
		{`{name: x, set: {evaluate: {metrics.accuracy.value: 0.69}}, expect: DENY, codes: E_VETO}`, policy.Deny, []string{"code E_VETO"}, `rule EVAL-1: too bad: predicate.metrics["accuracy"].value is 0.69`},
		{`{name: x, set: {evaluate: {metrics.accuracy.value: 0.69}}, expect: DENY, rules: APPR-1}`, policy.Deny, []string{"rule APPR-1"}, ""},
		{`{name: x, unseen: model, expect: DENY, codes: E_REG_UNAVAILABLE}`, policy.Undecided, nil, ""},
	} {
		rep := run(t, head+"  - "+c.text+"\n")
		r := rep.Cases[1]
		if r.OK || rep.Failed != 1 || r.Got != c.got || !slices.Equal(r.Lacking, c.lacking) || r.Line != 16 {
			t.Errorf("%s\ngot %+v", c.text, r)
		}
		if !slices.ContainsFunc(r.Reasons, func(x rehearse.Reason) bool { return strings.Contains(x.Why, c.reason) }) && c.reason != "" {
			t.Errorf("%s\nno reason says %q: %+v", c.text, c.reason, r.Reasons)
		}
	}
}

func TestMistakesAreRefused(t *testing.T) {
	if _, _, err := load(t, head); err != nil {
		t.Fatalf("the file without a mistake must load, or this test proves nothing: %v", err)
	}
	replace := func(old, with string) string {
		if !strings.Contains(head, old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(head, old, with, 1)
	}
	add := func(c string) string { return head + "  - " + c + "\n" }
	for _, c := range []struct{ src, want string }{
		{"", "the file is empty"},
		{"- a", "begins with apiVersion"},
		{"a: [", "not YAML"},
		{head + "---\nx: y\n", "more than one document"},
		{replace("PolicyTest", "Policy"), "a test begins with"},
		{replace("judge: model\n", ""), `"judge" is missing`},
		{replace("judge: model", "judge: modl"), `13:8: E_POLICY_PARSE: judge: there is no "modl"; there is data, model`},
		{replace("status: true", "statuss: true"), `4:1: E_POLICY_PARSE: the test has no key "statuss"`},
		{replace("status: true", "status: true\nstatus: true"), `"status" twice`},
		{replace("strangers: mallory", "strangers: alice"), "alice is a principal"},
		{replace("files: {train.csv: \"rows\"}", "files: &x {train.csv: \"rows\"}"), "anchors"},
		{replace("files: {train.csv: \"rows\"}", "files: {../train.csv: \"rows\"}"), "E_PATH"},
		{replace("files: {train.csv: \"rows\"}", "digest: sha256:12"), "E_DIGEST_FORMAT"},
		{replace("files: {train.csv: \"rows\"}", "digest: sha256:12, opaque: true"), "is one of"},
		{replace("step: train", "step: trian"), `there is no "trian"`},
		{replace("step: train", "step: train, type: provenance"), "and not both"},
		{replace("by: trainer", "by: trainr"), `there is no "trainr"`},
		{replace("by: trainer", "by: trainer, key: 3"), "trainer has 2 credentials"},
		{replace("by: alice}", "by: alice, basis: evaluat}"), `there is no "evaluat"`},
		{replace("metrics: {accuracy: 0.75}", "metrics: {accuracy: .75}"), "not a number as JSON"},
		{replace("- {name: good, expect: ALLOW}", "- {name: good, expect: DENY, codes: E_RULE}"), "a policy that refuses everything would pass"},
		{replace("- {name: good, expect: ALLOW}", "[]"), "at least one case"},
		{add(`{name: x, expect: DENY}`), "say why it is DENY"},
		{add(`{name: x, expect: MAYBE, codes: E_RULE}`), "expect is ALLOW, DENY or UNDECIDED"},
		{add(`{name: x, expect: ALLOW, codes: E_RULE}`), "what is allowed has no reasons"},
		{add(`{name: x, expect: DENY, codes: RULE}`), `"RULE" is no code`},
		{add(`{name: x, expect: DENY, rules: EVAL-2}`), `there is no "EVAL-2"`},
		{add(`{name: x, expect: DENY, steps: evalute}`), `there is no "evalute"`},
		{add(`{name: good, expect: ALLOW}`), "two cases with the name"},
		{add(`{name: x, expect: ALLOW, with: {train: {like: train}}}`), "there is \"train\" already"},
		{add(`{name: x, expect: ALLOW, with: {t: {like: nothing, of: model, by: alice, step: train}}}`), `there is no evidence "nothing"`},
		{add(`{name: x, expect: ALLOW, without: train, set: {train: {x: 1}}}`), `there is no evidence "train" in this case`},
		{add(`{name: x, expect: ALLOW, set: {train: {"a..b": 1}}}`), "a place is written"},
		{add(`{name: x, expect: ALLOW, at: tomorrow}`), "a distance from the test's at"},
		{add(`{name: x, expect: ALLOW, unseen: nothing}`), `there is no "nothing"`},
		{add(`{name: x, expect: ALLOW, status: {by: nobody}}`), `there is no "nobody"`},
		{add(`{name: x, expect: ALLOW, remembers: {clock: 3}}`), `no key "clock"`},
	} {
		_, f, err := load(t, c.src)
		var load *policy.LoadError
		if !errors.As(err, &load) || attest.RefusalCode(err) != attest.CodePolicyParse || f != nil {
			t.Errorf("%q: got %v", c.want, err)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %q, want %q in it", err, c.want)
		}
	}
}

// What cannot be signed is found when it is played, and is a mistake of the test.
func TestMistakesInPredicates(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{name: x, expect: ALLOW, set: {evaluate: {metrics.acuracy.value: 0.1}}}`, "16:47: E_POLICY_PARSE: set: the predicate of evaluate has no such place"},
		{`{name: x, expect: ALLOW, set: {evaluate: {suite: null}}}`, "E_PREDICATE_SCHEMA suite"},
		{`{name: x, expect: ALLOW, change: {evaluate: {at: -4m, predicate: {metrics: {accuracy: {digestOf: nothing}}}}}}`, `there is no artifact "nothing"`},
		{`{name: x, expect: ALLOW, change: {approve: {basis: approve}}}`, "names itself"},
	} {
		p, f, err := load(t, head+"  - "+c.text+"\n")
		if err != nil {
			t.Fatal(err)
		}
		_, err = rehearse.Run(context.Background(), p, []*rehearse.File{f}, func(string) bool { return true })
		var wrong *rehearse.Wrong
		if !errors.As(err, &wrong) || attest.RefusalCode(err) != attest.CodePolicyParse || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.text, err, c.want)
		}
	}
}

func TestRunPicksCases(t *testing.T) {
	p, f, err := load(t, head+"  - {name: other, without: train, expect: DENY, steps: train}\n")
	if err != nil {
		t.Fatal(err)
	}
	pick := func(name string) func(string) bool { return func(s string) bool { return s == name } }
	rep, err := rehearse.Run(context.Background(), p, []*rehearse.File{f}, pick("other"))
	if err != nil || len(rep.Cases) != 1 || rep.Cases[0].Name != "other" {
		t.Errorf("got %+v, %v", rep, err)
	}
	if _, err := rehearse.Run(context.Background(), p, []*rehearse.File{f}, pick("neither")); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("a run without a case gives %v", err)
	}
}

// Coverage counts what was seen, on both sides, and nothing else.
func TestCoverage(t *testing.T) {
	seen := func(rep *rehearse.Report) string {
		var out []string
		for _, i := range rep.Coverage {
			out = append(out, fmt.Sprintf("%s %s %t/%t", i.Kind, i.Name, i.Passed, i.Failed))
		}
		return strings.Join(out, "\n")
	}
	want := `step train true/false
line train.training-data true/false
step evaluate true/false
rule evaluate EVAL-1 true/false
step approve true/false
rule approve APPR-1 true/false
veto approve true/false
requirement status true/false
requirement revocation true/false
requirement access true/false`
	rep := run(t, head)
	if got := seen(rep); got != want || rep.Covered != 50 {
		t.Errorf("%d%% of\n%s", rep.Covered, got)
	}
	for _, c := range []struct{ text, item string }{
		{`{name: x, set: {evaluate: {metrics.accuracy: 0.1}}, expect: DENY, steps: evaluate}`, "rule evaluate EVAL-1 true/true"},
		{`{name: x, change: {train: {inputs: null}}, expect: DENY, steps: train}`, "line train.training-data true/true"},
		{`{name: x, set: {approve: {decision: rejected}}, expect: DENY, codes: E_VETO}`, "veto approve true/true"},
		{`{name: x, status: false, expect: DENY, steps: status}`, "requirement status true/true"},
		{`{name: x, with: {g: {type: access, of: model, by: trainer, predicate: {secrets: [{name: k}]}}}, expect: DENY, steps: access}`, "requirement access true/true"},
		{`{name: x, without: approve, expect: DENY, steps: approve}`, "step approve true/true"},
	} {
		if got := seen(run(t, head+"  - "+c.text+"\n")); !strings.Contains(got+"\n", c.item+"\n") {
			t.Errorf("%s: want %q in\n%s", c.text, c.item, got)
		}
	}
}

// A key that everybody can make is one per principal and credential.
func TestKeysDiffer(t *testing.T) {
	a, b, c := rehearse.Key("alice", 0), rehearse.Key("alice", 1), rehearse.Key("bob", 0)
	if string(a.PEM()) == string(b.PEM()) || string(a.PEM()) == string(c.PEM()) || string(a.PEM()) != string(rehearse.Key("alice", 0).PEM()) {
		t.Error("two credentials share a key, or one has two")
	}
}
