package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
)

func readPolicy(t *testing.T) string {
	t.Helper()
	src, err := os.ReadFile("testdata/credit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

func TestLoad(t *testing.T) {
	w := chaintest.New(t)
	p, err := load(w, readPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "credit-prod" || p.Version() != 7 || p.Expires().Year() != 2027 {
		t.Errorf("got %s version %d until %s", p.Name(), p.Version(), p.Expires())
	}
	again, err := load(w, "# a comment changes nothing\n"+readPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest() != again.Digest() {
		t.Error("a comment changed the policy's digest")
	}
	other, err := load(w, strings.Replace(readPolicy(t), "0.70'", "0.71'", 1))
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest() == other.Digest() {
		t.Error("another threshold has the same digest")
	}
	if keys := p.Scope().Keys; len(keys) != 6 {
		t.Errorf("%d keys in scope, want 6", len(keys))
	}
}

// A refusal makes one change to a policy that loads (TestLoad) and names the
// code and a part of the message.
type refusal struct {
	name     string
	old, new string
	code     attest.Code
	why      string
}

func refusals() []refusal {
	return []refusal{
		{"POL-05 no expiry", ", expires: 2027-05-01T00:00:00Z", "", attest.CodePolicyExpired, "metadata.expires is missing"},
		{"POL-06 no steps", "steps:\n", "stepss:\n", attest.CodePolicyParse, `did you mean "steps"?`},
		{"POL-14 misspelt key", "    select: any\n    agree", "    selekt: any\n    agree", attest.CodePolicyParse, `did you mean "select"?`},
		{"POL-14 duplicate key", "    select: any\n    agree", "    select: any\n    select: all\n    agree", attest.CodePolicyParse, "twice"},
		{"POL-14 anchor", "by: [data]\n    select: any\n    inputs: [{role: raw-data, origin", "by: &x [data]\n    select: any\n    inputs: [{role: raw-data, origin", attest.CodePolicyParse, "anchors"},
		{"POL-14 explicit tag", "threshold: 2", "threshold: !!int 2", attest.CodePolicyParse, "explicit tags"},
		{"POL-14 a word that is a boolean elsewhere", "select: latest", "select: no", attest.CodePolicyParse, "in quotes"},
		{"POL-14 tab", "    threshold: 2", "\tthreshold: 2", attest.CodePolicyParse, "not YAML"},
		{"POL-14 several documents", "apiVersion:", "a: b\n---\napiVersion:", attest.CodePolicyParse, "more than one document"},
		{"POL-14 octal", "threshold: 2", "threshold: 0o2", attest.CodePolicyParse, "whole number in decimal"},
		{"POL-18 threshold zero", "threshold: 2", "threshold: 0", attest.CodePolicyParse, "between 1 and"},
		{"POL-18 threshold negative", "threshold: 2", "threshold: -1", attest.CodePolicyParse, "whole number"},
		{"POL-18 threshold above the signers", "threshold: 2", "threshold: 4", attest.CodePolicyParse, "cannot be met"},
		{"POL-18 threshold a float", "threshold: 2", "threshold: 2.0", attest.CodePolicyParse, "whole number"},
		{"POL-18 threshold huge", "threshold: 2", "threshold: 2147483648", attest.CodePolicyParse, "between 1 and"},
		{"POL-18 fewer of the kind than the threshold", "alice: {kind: human", "alice: {kind: agent", attest.CodePolicyParse, ""},
		{"POL-08 unanchored pattern", `predicate.kind == "quality"`, `predicate.kind.matches("quality")`, attest.CodePolicyParse, "whole strings"},
		{"POL-13 alternatives anchored once each", `predicate.kind == "quality"`, `predicate.kind.matches("^a|quality$")`, attest.CodePolicyParse, "whole strings"},
		{"POL-09 a missing field passes", `predicate.kind == "quality"`, `!has(predicate.suite) || predicate.kind == "quality"`, attest.CodePolicyParse, "missing field pass"},
		{"POL-21 the clock", `predicate.kind == "quality"`, `predicate.evaluatedAt < now()`, attest.CodePolicyParse, "undeclared"},
		{"POL-24 text against number", `predicate.metrics["accuracy"].value >= 0.70`, `predicate.metrics["accuracy"].value >= "0.70"`, attest.CodePolicyParse, "no matching overload"},
		{"POL-24 misspelt field of a typed predicate", `predicate.metrics["accuracy"].value >= 0.70`, `predicate.metricz["accuracy"].value >= 0.70`, attest.CodePolicyParse, "undefined field"},
		{"a rule that is no boolean", `predicate.metrics["accuracy"].value >= 0.70`, `predicate.metrics["accuracy"].value`, attest.CodePolicyParse, "not a boolean"},
		{"a rule that does not compile", `predicate.metrics["accuracy"].value >= 0.70`, `predicate.metrics[`, attest.CodePolicyParse, "Syntax error"},
		{"IDN-20 one key under two principals", "keys/bob.pub", "keys/alice.pub", attest.CodePolicyParse, "credential of alice already"},
		{"IDN-06 a principal without credentials", "credentials: [{key: keys/bob.pub}]", "credentials: []", attest.CodePolicyParse, "needs a list of credentials"},
		{"an unreadable key", "keys/bob.pub", "elsewhere/bob.pub", attest.CodePolicyParse, "not exist"},
		{"CHN-12 a step named like a wildcard", "  ingest:\n", "  '*':\n", attest.CodePolicyParse, "is not a name"},
		{"CHN-12 an empty step name", "  ingest:\n", "  '':\n", attest.CodePolicyParse, "is not a name"},
		{"POL-28 latest without acknowledgment", "    maxAge: 720h\n    acknowledgeAbsence: \"no status authority yet\"\n", "    maxAge: 720h\n", attest.CodePolicyParse, "rests on something not being there"},
		{"deny without acknowledgment", ", acknowledgeAbsence: \"no status authority yet\"}]", "}]", attest.CodePolicyParse, "acknowledgeAbsence"},
		{"an unknown step in from", "from: ingest", "from: ingestt", attest.CodePolicyParse, `did you mean "ingest"?`},
		{"an unknown principal", "by: [evaluator]", "by: [evaluater]", attest.CodePolicyParse, `did you mean "evaluator"?`},
		{"an input that only has a role", "{role: raw-data, from: ingest}", "{role: raw-data}", attest.CodePolicyParse, "a role alone is only a label"},
		{"accept without reason", `, reason: "lock files are recorded, not judged"`, "", attest.CodePolicyParse, "needs a reason"},
		{"notIn of a role that does not exist", "notIn: [train.training-data]", "notIn: [train.data]", attest.CodePolicyParse, "compare with nothing"},
		{"a step that nothing reaches", "{role: raw-data, from: ingest}", "{role: raw-data, accept: any, reason: x}", attest.CodePolicyParse, "never be asked for"},
		{"no select", "    select: latest\n", "", attest.CodePolicyParse, `"select" is missing`},
		{"POL-26 a rule that only warns", "{id: EVAL-1,", "{id: EVAL-1, severity: warn,", attest.CodePolicyParse, "not supported by this version"},
		{"POL-26 a mode", "evidence: []", "mode: audit\nevidence: []", attest.CodePolicyParse, "not supported by this version"},
		{"POL-16 POL-17 POL-25 an exemption", "evidence: []", "exemptions: [{name: dev}]\nevidence: []", attest.CodePolicyParse, "not supported by this version"},
		{"POL-01 roots in the policy itself", "evidence: []", "roots: [keys/data.pub]\nevidence: []", attest.CodePolicyParse, "not supported by this version"},
		{"a status that nobody may publish", "evidence: []", "status: {by: []}\nevidence: []", attest.CodePolicyParse, "nobody could publish"},
		{"a status by somebody unknown", "evidence: []", "status: {by: [dave]}\nevidence: []", attest.CodePolicyParse, "no principal"},
		{"a revocation without acknowledgment", "evidence: []", "revocation: [{by: [data]}]\nevidence: []", attest.CodePolicyParse, "no revocation being hidden"},
		{"a revocation of nothing known", "evidence: []", "revocation: [{by: [data], of: [model], acknowledgeAbsence: x}]\nevidence: []", attest.CodePolicyParse, "of is some of"},
		{"POL-18 a revocation by more than there are", "evidence: []", "revocation: [{by: [data], threshold: 2, acknowledgeAbsence: x}]\nevidence: []", attest.CodePolicyParse, "cannot be met"},
		{"POL-18 a deny list by more than there are", "deny: [", "deny: [{list: l, by: [data], threshold: 2, maxAge: 24h, acknowledgeAbsence: x}, ", attest.CodePolicyParse, "cannot be met"},
		{"a deny list without age", "deny: [", "deny: [{list: l, by: [data], acknowledgeAbsence: x}, ", attest.CodePolicyParse, "\"maxAge\" is missing"},
		{"a deny list with artifacts", "deny: [", "deny: [{list: l, by: [data], maxAge: 24h, reason: x, acknowledgeAbsence: x}, ", attest.CodePolicyParse, "the list says what is denied"},
		{"a context with an unknown step", "evidence: []", "contexts: {prod: {require: [evaluat]}}\nevidence: []", attest.CodePolicyParse, `did you mean "evaluate"?`},
		{"a context with a step that makes something", "evidence: []", "contexts: {prod: {require: [train]}}\nevidence: []", attest.CodePolicyParse, "makes an artifact"},
		{"formats nobody knows", "evidence: []", "formats: {weights: [safetensor]}\nevidence: []", attest.CodePolicyParse, `did you mean "safetensors"?`},
		{"formats that include pickle", "evidence: []", "formats: {weights: [pickle]}\nevidence: []", attest.CodePolicyParse, "none of"},
		{"a scan that is no step", "evidence: []", "formats: {weights: [onnx], scan: scan}\nevidence: []", attest.CodePolicyParse, "no step about the judged artifact"},
		{"notBefore after the end", "version: 7,", "version: 7, notBefore: 2028-01-01T00:00:00Z,", attest.CodePolicyParse, "never judge anything"},
		{"a key that never counts", "{key: keys/data.pub}", "{key: keys/data.pub, from: 2027-01-01T00:00:00Z, until: 2026-01-01T00:00:00Z}", attest.CodePolicyParse, "never count"},
		{"POL-18 roles that nobody can fill", "    threshold: 2                   # distinct principals\n", "    roles: {risk: 1}\n", attest.CodePolicyParse, "cannot fill the roles"},
		{"POL-18 a threshold below the roles", "    threshold: 2                   # distinct principals\n", "    threshold: 1\n    roles: {risk: 2}\n", attest.CodePolicyParse, "below the 2 principals"},
		{"rebase without basis", "    basis: [evaluate, bias]        # must name the very evidence\n", "    rebase: true\n", attest.CodePolicyParse, "rebase without basis"},
		{"a basis of an evaluation", "    maxAge: 720h\n", "    maxAge: 720h\n    basis: [bias]\n", attest.CodePolicyParse, "only approvals"},
		{"minAge above maxAge", "    maxAge: 720h\n", "    maxAge: 720h\n    minAge: 720h\n", attest.CodePolicyParse, "nothing would ever count"},
		{"conditions discharged by an evaluation", "    basis: [evaluate, bias]", "    conditions: {dischargedBy: bias}\n    basis: [evaluate, bias]", attest.CodePolicyParse, "no such step"},
		{"a comparison with itself", "    maxAge: 720h\n", "    maxAge: 720h\n    compare: [{id: C, with: evaluate, cel: 'true', message: m}]\n", attest.CodePolicyParse, "lead back to itself"},
		{"a comparison of text with a number", "    maxAge: 720h\n", "    maxAge: 720h\n    compare: [{id: C, with: bias, cel: 'other.kind > predicate.metrics[\"a\"].value', message: m}]\n", attest.CodePolicyParse, "no matching overload"},
		{"other outside of a comparison", `predicate.kind == "quality"`, `other.kind == "quality"`, attest.CodePolicyParse, "undeclared"},
		{"carrying over from nothing", "    maxAge: 720h\n", "    maxAge: 720h\n    carriesOver: [{step: ingest}]\n", attest.CodePolicyParse, "no parent to carry from"},
		{"carrying over to what is made", "    agree: [training-data, code]", "    carriesOver: [{step: prepare}]\n    agree: [training-data, code]", attest.CodePolicyParse, "for steps about artifacts"},
		{"covers with latest", "    maxAge: 720h\n", "    maxAge: 720h\n    covers: all\n", attest.CodePolicyParse, "select: any"},
		{"before a step about an artifact", "    maxAge: 720h\n", "    maxAge: 720h\n    before: [bias]\n", attest.CodePolicyParse, "makes artifacts"},
		{"a version that is none", "    agree: [training-data, code]", "    minVersion: \"2.x\"\n    agree: [training-data, code]", attest.CodePolicyParse, "no version number"},
		{"a version floor on an evaluation", "    maxAge: 720h\n", "    maxAge: 720h\n    minVersion: \"2\"\n", attest.CodePolicyParse, "only SLSA provenance"},
		{"a version floor of an origin", "pin: [", "minVersion: \"2\", pin: [", attest.CodePolicyParse, "minVersion without"},
		{"POL-22 every step in sameRun", "sameRun: train.training-data", "sameRun: '*.training-data'", attest.CodePolicyParse, "only notIn"},
		{"every step, and none has the role", "notIn: [train.training-data]", "notIn: ['*.nothing']", attest.CodePolicyParse, "compare with nothing"},
		{"an identity of a later version", "{key: keys/data.pub}", "{san: https://ci.example/x}", attest.CodePolicyParse, "not supported by this version"},
		{"an origin with dot segments", "https://archive.ics.uci.edu/", "https://archive.ics.uci.edu/../", attest.CodePolicyParse, "dot segments"},
		{"an origin with a user", "https://archive.ics.uci.edu/", "https://x@archive.ics.uci.edu/", attest.CodePolicyParse, "user"},
		{"POL-22 an origin with a wildcard", "https://archive.ics.uci.edu/", "https://archive.ics.uci.edu/*", attest.CodePolicyParse, "wildcards elsewhere"},
		{"POL-22 everybody", "by: [evaluator]", "by: ['*']", attest.CodePolicyParse, "no principal"},
		{"an origin with a git reference", "git+https://git.example/acme/credit\"}\n      - {role: env", "git+https://git.example/acme/credit@refs/heads/main\"}\n      - {role: env", attest.CodePolicyParse, "would not be compared"},
		{"an empty pin", `pin: ["sha256:38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632"]`, "pin: []", attest.CodePolicyParse, "pin is empty"},
		{"an empty vetoBy", "    veto: 'predicate", "    vetoBy: []\n    veto: 'predicate", attest.CodePolicyParse, "nobody could veto"},
		{"denied and shared", "\ndeny:", "\nsharedFiles: [\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"]\ndeny:", attest.CodePolicyParse, "sharedFiles as well"},
		{"a step called deny", "  ingest:\n", "  deny: {predicate: https://example.org/x/v1, about: artifact, by: [data], select: any}\n  ingest:\n", attest.CodePolicyParse, "verdicts use the name"},
		{"a principal called no", "  carol: {kind", "  no: {kind", attest.CodePolicyParse, "in quotes"},
		{"an artifact that is no step", "artifact: quantize ", "artifact: quantise ", attest.CodePolicyParse, `did you mean "quantize"?`},
		{"no artifact", "artifact: quantize ", "artifact: [] ", attest.CodePolicyVacuous, "names no step"},
		{"notBy a step of the same kind of evidence", "    notBy: [train, quantize]\n    select: latest", "    notBy: [bias]\n    select: latest", attest.CodePolicyParse, "everybody would exclude themselves"},
		{"a pin of another algorithm", "sha256:38b6dbf6", "sha512:38b6dbf6", attest.CodePolicyParse, "E_DIGEST_ALG"},
		{"provenance without build type", "    buildType: https://pedigree-ml.github.io/build/train/v1\n", "", attest.CodePolicyParse, "needs a buildType"},
		{"an abbreviated predicate type", "predicate: https://pedigree-ml.github.io/approval/v0.1", "predicate: approval", attest.CodePolicyParse, "E_PREDICATE_TYPE"},
		{"a basis that is no step about an artifact", "basis: [evaluate, bias]", "basis: [train]", attest.CodePolicyParse, "no step about an artifact"},
		{"a chain of like", "    like: evaluate\n", "    like: bias2\n  bias2:\n    like: evaluate\n", attest.CodePolicyParse, "chains of like"},
		{"notBy itself", "notBy: [train, quantize]\n    select: latest", "notBy: [evaluate]\n    select: latest", attest.CodePolicyParse, "the step itself"},
		{"another apiVersion", "pedigree-ml.github.io/v1", "pedigree-ml.github.io/v2", attest.CodePolicyParse, "this version reads"},
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range refusals() {
		t.Run(c.name, func(t *testing.T) {
			src := readPolicy(t)
			if !strings.Contains(src, c.old) {
				t.Fatalf("the policy does not contain %q", c.old)
			}
			p, err := load(chaintest.New(t), strings.Replace(src, c.old, c.new, 1))
			if c.name == "POL-18 fewer of the kind than the threshold" {
				if err != nil {
					t.Fatalf("two humans of three still meet the threshold: %v", err)
				}
				_, err = load(chaintest.New(t), strings.NewReplacer("alice: {kind: human", "alice: {kind: agent", "bob:   {kind: human", "bob:   {kind: agent").Replace(src))
				p = nil
			}
			var le *policy.LoadError
			if !errors.As(err, &le) || p != nil {
				t.Fatalf("loaded, or failed with %v", err)
			}
			found := false
			for _, problem := range le.Problems {
				found = found || problem.Code == c.code && strings.Contains(problem.Why, c.why)
			}
			if !found {
				t.Errorf("want %s with %q, got:\n%v", c.code, c.why, err)
			}
		})
	}
}

func TestLoadRefusesNothingness(t *testing.T) {
	for name, c := range map[string]struct {
		src  string
		code attest.Code
	}{
		"POL-06 empty file":    {"", attest.CodePolicyVacuous},
		"POL-06 comments only": {"# nothing\n", attest.CodePolicyVacuous},
		"POL-06 a list":        {"- a\n", attest.CodePolicyVacuous},
		"POL-06 no steps":      {"apiVersion: pedigree-ml.github.io/v1\nkind: Policy\nmetadata: {name: x, version: 1, expires: 2027-01-01T00:00:00Z}\nartifact: train\nprincipals: {}\nsteps: {}\n", attest.CodePolicyVacuous},
		"too large":            {"# " + strings.Repeat("x", 1<<20), attest.CodePolicyParse},
	} {
		_, err := load(chaintest.New(t), c.src)
		if got := attest.RefusalCode(err); got != c.code {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, c.code)
		}
	}
}

// like copies the rules too, and a rule that was copied is the same rule.
func TestLikeCopiesRules(t *testing.T) {
	src := readPolicy(t)
	i := strings.Index(src, "    rules:\n      - {id: BIAS-1")
	j := strings.Index(src, "  approve:\n")
	if _, err := load(chaintest.New(t), src[:i]+src[j:]); err != nil {
		t.Error(err)
	}
}

// Problems carry the place where they are.
func TestProblemsHavePlaces(t *testing.T) {
	src := strings.Replace(readPolicy(t), "from: ingest}", "from: nowhere}", 1)
	line := 1 + strings.Count(src[:strings.Index(src, "{role: raw-data, from: nowhere}")], "\n")
	_, err := load(chaintest.New(t), src)
	var le *policy.LoadError
	if !errors.As(err, &le) {
		t.Fatal(err)
	}
	for _, p := range le.Problems {
		if strings.Contains(p.Why, "nowhere") && p.Line == line && p.Column == 9 {
			return
		}
	}
	t.Errorf("no problem at %d:9 in:\n%v", line, err)
}

// A policy that is cut off anywhere, or has one byte changed, loads or fails; it
// never panics.
func TestLoadNeverPanics(t *testing.T) {
	src := readPolicy(t)
	w := chaintest.New(t)
	for i := 0; i < len(src); i += 97 {
		_, _ = load(w, src[:i])
	}
}
