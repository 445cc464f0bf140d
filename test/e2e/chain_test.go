package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

// identityPolicy lets a model through that the pipeline trained when somebody pushed to
// the main branch, evaluated, and that two people approved.
func identityPolicy(s *stack.Stack) string {
	person := func(email string) string {
		return fmt.Sprintf("{issuer: %q, subject: %q}", s.People.URL, email)
	}
	return fmt.Sprintf(`apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: e2e, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: train
principals:
  trainer:   {kind: workload, credentials: [%s]}
  evaluator: {kind: workload, credentials: [%s]}
  alice:     {kind: human, credentials: [%s]}
  bob:       {kind: human, credentials: [%s]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    inputs: [{role: training-data, origin: "https://data.acme.example/"}]
  evaluate:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: artifact
    by: [evaluator]
    notBy: [train]
    select: latest
    maxAge: 720h
    acknowledgeAbsence: "nobody lists what there is, in this test"
    inputs: [{role: evaluation-data, origin: "https://data.acme.example/"}]
    rules: [{id: EVAL-1, cel: 'predicate.metrics["accuracy"].value >= 0.70', message: "accuracy below 0.70"}]
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice, bob]
    threshold: 2
    kind: human
    notBy: [train, evaluate]
    basis: [evaluate]
    veto: 'predicate.decision == "rejected"'
    acknowledgeAbsence: "nobody lists what there is, in this test"
    select: any
    maxAge: 720h
    rules: [{id: APPR-1, cel: 'predicate.decision == "approved"', message: "not approved"}]
`, identityCredential(s, "train"), identityCredential(s, "evaluate"), person(alice), person(bob))
}

// identityCredential is of a step of the pipeline that somebody's push to it started.
func identityCredential(s *stack.Stack, step string) string {
	w := workload(step)
	return fmt.Sprintf("{issuer: %q, subject: %q, sourceRepository: %q, trigger: push}", s.Workloads.URL, w.Subject(), w.Repository())
}

// train runs the training in the world as the workload.
func (w *world) train(model string, by stack.Workload) []string {
	return append([]string{"run", "--step", "train",
		"--input", "training-data=https://data.acme.example/set@" + digest("1,2\n") + ",file=set/train.csv",
		"--output", "model=out/" + model + ",to=ocidir://registry:" + model}, w.keyless(by)...)
}

func trainer(model, weights string) []string {
	return []string{"--", "sh", "-c", fmt.Sprintf("mkdir -p out/%[1]s && printf '%%s' '%[2]s' > out/%[1]s/model.safetensors", model, weights)}
}

// evaluation is a predicate that says so at the time.
func evaluation(at time.Time, accuracy string) string {
	return fmt.Sprintf(`{"kind": "quality", "evaluatedAt": %q, "suite": {"name": "monthly"}, "metrics": {"accuracy": {"value": %q, "n": 250}},
  "inputs": [{"role": "evaluation-data", "uri": "https://data.acme.example/test", "digest": {"sha256": %q}}]}`,
		at.UTC().Format(time.RFC3339), accuracy, strings.TrimPrefix(digest("test set"), "sha256:"))
}

// model makes a whole chain, to its last approval, under the tag, as its people and
// workloads would.
func (w *world) model(tag string) {
	w.Helper()
	w.write("policy.yaml", identityPolicy(w.stack))
	w.ok("", append(w.train(tag, workload("train")), trainer(tag, "weights of "+tag)...)...)
	w.write("evaluation.json", evaluation(time.Now(), "0.81"))
	w.ok("attest ocidir://registry:"+tag+" --type evaluation --predicate evaluation.json", w.keyless(workload("evaluate"))...)
	for _, who := range []string{alice, bob} {
		w.ok("approve ocidir://registry:"+tag+" --policy policy.yaml --trust trust.yaml --scope-environment prod --yes", w.keyless(who)...)
	}
}

const verifyModel = "verify ocidir://registry:model --policy policy.yaml --trust trust.yaml"

// The whole way: run, attest, approve, verify, trace, all by identities.
func TestChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	w.model("model")
	out := w.ok(verifyModel)
	for _, want := range []string{"ALLOW", "alice", "bob"} {
		if !strings.Contains(out, want) {
			t.Errorf("verify does not say %q:\n%s", want, out)
		}
	}
	if out := w.ok("trace ocidir://registry:model --policy policy.yaml --trust trust.yaml"); !strings.Contains(out, workload("train").Subject()) && !strings.Contains(out, "trainer") {
		t.Errorf("trace does not say who trained it:\n%s", out)
	}
	// Nothing of it counts for who trusts nobody.
	if s := w.run(strings.Fields("verify ocidir://registry:model --policy policy.yaml")...); s.status == 0 {
		t.Errorf("without a trust file: %v", s)
	}
	// Nor for who trusts another instance.
	other, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	o := newWorld(t, other)
	s := w.run("verify", "ocidir://registry:model", "--policy", "policy.yaml", "--trust", o.path("trust.yaml"))
	if s.status != 1 {
		t.Errorf("with the trust file of another instance: %v", s)
	}
}

// Evidence by whom the policy does not let do this. Whom it does not name at all is a
// stranger, and what strangers say is passed over; whom it names, but not as what the
// certificate claims of the run, is told so.
func TestWrongIdentities(t *testing.T) {
	t.Parallel()
	fork := workload("train")
	fork.Pipeline = "mallory/credit/pipeline.yaml"
	branch := workload("train")
	branch.Ref = "refs/heads/feature"
	called := workload("train")
	called.Caller = "mallory/credit"
	pull := workload("train")
	pull.Event = "pull_request"
	for _, c := range []struct {
		name string
		by   stack.Workload
		want string
	}{
		{"IDN-08 the pipeline of a fork", fork, "E_CHAIN_MISSING"},
		{"IDN-08 another branch", branch, "E_CHAIN_MISSING"},
		{"IDN-08 a fork calls the pipeline", called, "E_IDENTITY"},
		{"IDN-08 a run for a pull request", pull, "E_IDENTITY"},
		{"another step of the same pipeline", workload("evaluate"), "E_IDENTITY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.write("policy.yaml", identityPolicy(acme))
			w.ok("", append(w.train("model", c.by), trainer("model", "weights")...)...)
			w.refused(1, c.want, verifyModel)
		})
	}
	t.Run("IDN-05 right subject, wrong issuer", func(t *testing.T) {
		w := newWorld(t, acme)
		w.model("model")
		w.ok(verifyModel)
		w.write("policy.yaml", strings.ReplaceAll(identityPolicy(acme), acme.People.URL, "https://accounts.acme.example"))
		w.refused(1, "no approve evidence", verifyModel)
	})
	t.Run("the trainer approves", func(t *testing.T) {
		w := newWorld(t, acme)
		w.write("policy.yaml", identityPolicy(acme))
		w.ok("", append(w.train("model", workload("train")), trainer("model", "weights")...)...)
		w.write("evaluation.json", evaluation(time.Now(), "0.81"))
		w.ok("attest ocidir://registry:model --type evaluation --predicate evaluation.json", w.keyless(workload("evaluate"))...)
		before := w.attached("ocidir://registry:model")
		w.refused(1, "E_", "approve ocidir://registry:model --policy policy.yaml --trust trust.yaml --yes", w.keyless(workload("train"))...)
		if n := w.attached("ocidir://registry:model"); n != before {
			t.Errorf("a refused approval was attached: %d, and %d before", n, before)
		}
	})
}

// An evaluation of last year does not get younger by being signed and stamped today:
// its time is what it claims, and that must be near when it was seen.
func TestOldEvaluationRestamped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	w.write("policy.yaml", identityPolicy(acme))
	w.ok("", append(w.train("model", workload("train")), trainer("model", "weights")...)...)
	w.write("evaluation.json", evaluation(time.Now().AddDate(0, -2, 0), "0.81"))
	w.ok("attest ocidir://registry:model --type evaluation --predicate evaluation.json", w.keyless(workload("evaluate"))...)
	w.refused(1, "E_TIME_WINDOW", verifyModel)
	// Its maximal age says so too, where the policy lets claims lie that far back.
	w.write("policy.yaml", strings.Replace(identityPolicy(acme), "artifact: train", "artifact: train\nmaxLag: 9000h", 1))
	w.refused(1, "E_STALE", verifyModel)
}

// A key's signature gets an authenticated time from an authority, and so the policy
// need not take its word for when.
func TestKeysWithTimes(t *testing.T) {
	t.Parallel()
	e := acme.Endpoints()
	for name, flags := range map[string][]string{
		"a timestamp":         {"--timestamp", e.Timestamps[0]},
		"a timestamp and log": {"--timestamp", e.Timestamps[0], "--rekor", e.Rekor},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.keys("p256")
			w.ok("attest ocidir://registry:model --type evaluation --predicate evaluation.json --key keys/evaluator.key", flags...)
			w.ok(verifyModel)
			// Who trusts no authority has only the claim.
			w.write("trust.yaml", "apiVersion: pedigree-ml.github.io/v1\nkind: Trust\nmetadata: {name: acme, version: 1, expires: 2099-01-01T00:00:00Z}\nsigstore:\n  - {name: acme, trustedRoot: trusted_root.json}\n")
			w.refused(1, "E_TIME_MISSING", verifyModel)
		})
	}
	t.Run("no timestamp", func(t *testing.T) {
		w := newWorld(t, acme)
		w.keys("p256")
		w.ok("attest ocidir://registry:model --type evaluation --predicate evaluation.json --key keys/evaluator.key")
		w.refused(1, "E_TIME_MISSING", verifyModel)
	})
	t.Run("an Ed25519 key cannot be logged", func(t *testing.T) {
		w := newWorld(t, acme)
		w.keys("ed25519")
		w.refused(2, string(attest.CodeKey), "attest ocidir://registry:model --type evaluation --predicate evaluation.json --key keys/evaluator.key", "--timestamp", e.Timestamps[0], "--rekor", e.Rekor)
		if n := w.attached("ocidir://registry:model"); n != 0 {
			t.Errorf("%d attached", n)
		}
	})
}

// keys prepares a model that a key evaluates.
func (w *world) keys(alg string) {
	w.Helper()
	w.write("policy.yaml", evaluationPolicy("{key: keys/evaluator.pub}"))
	if err := os.MkdirAll(w.path("keys"), 0o755); err != nil {
		w.Fatal(err)
	}
	w.ok("-q key generate --out keys/evaluator --algorithm " + alg)
	w.ok("push ocidir://registry:model model")
	w.write("evaluation.json", evaluation(time.Now(), "0.81"))
}

// evaluationPolicy asks for one evaluation by the holder of a credential.
func evaluationPolicy(credential string) string {
	return `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: evaluated, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: evaluate
principals: {evaluator: {kind: workload, credentials: [` + credential + `]}}
steps:
  evaluate:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    by: [evaluator]
    select: latest
    maxAge: 720h
    acknowledgeAbsence: "nobody lists what there is, in this test"
    inputs: [{role: evaluation-data, origin: "https://data.acme.example/"}]
    rules: [{id: EVAL-1, cel: 'predicate.metrics["accuracy"].value >= 0.70', message: "accuracy below 0.70"}]
`
}
