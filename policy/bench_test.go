package policy_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// A lineage is a model that was tuned again and again: each generation takes the
// one before and a data set of its own, and is evaluated twice on the other half
// of that. Five attestations a generation, so it is as deep as a chain can be; one
// generation in ten takes ten data sets more.
type lineage struct {
	n      int // attestations
	chain  verify.Chain
	policy *policy.Policy
	signed []signedBytes
}

type signedBytes struct {
	key      ed25519.PublicKey
	pae, sig []byte
}

// hundredRules returns a policy with a hundred rules for a lineage.
func hundredRules() string {
	rules := func(name, cel string, n int) string {
		var b strings.Builder
		b.WriteString("    rules:\n")
		for i := range n {
			fmt.Fprintf(&b, "      - {id: %s-%d, cel: '%s', message: too low}\n", name, i, fmt.Sprintf(cel, i))
		}
		return b.String()
	}
	producing := func(name string) string {
		return fmt.Sprintf("  %s:\n    predicate: %s\n    buildType: %s%s/v1\n    by: [%s-bot]\n    acknowledgeAbsence: fine\n", name, provenance, buildTypes, name, name)
	}
	about := func(name, kind string) string {
		return fmt.Sprintf(`  %s:
    predicate: %s
    where: 'predicate.kind == "%s"'
    by: [evaluator]
    about: train
    notBy: [train, prepare]
    select: latest
    acknowledgeAbsence: fine
    inputs: [{role: evaluation-data, from: prepare, output: test, notIn: [train.training-data]}]
`, name, evaluation, kind)
	}
	return `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: hundred, version: 1, expires: 2027-05-01T00:00:00Z}
artifact: train
unsafeTime: claimed
limits: {depth: 10000}
principals:
  train-bot: {kind: workload, credentials: [{key: keys/train-bot.pub}]}
  prepare-bot: {kind: workload, credentials: [{key: keys/prepare-bot.pub}]}
  evaluator: {kind: workload, credentials: [{key: keys/evaluator.pub}]}
steps:
` + producing("prepare") + "    select: any\n    inputs: [{role: raw-data, accept: any, reason: recorded}, {role: code, origin: \"git+https://git.example/acme/credit\"}]\n" +
		rules("P", "predicate.buildDefinition.externalParameters.n > %d", 10) +
		producing("train") + "    select: latest\n    agree: [training-data]\n    inputs: [{role: base-model, from: train, min: 0}, {role: training-data, from: prepare, max: 20}, {role: code, origin: \"git+https://git.example/acme/credit\"}]\n" +
		rules("T", "predicate.buildDefinition.externalParameters.n >= %d", 10) +
		about("evaluate", "quality") + rules("E", `predicate.metrics["m%d"].value >= 0.5`, 40) +
		about("bias", "bias") + rules("B", `predicate.metrics["m%d"].value <= 0.9 && predicate.slices["sex"].gaps["parity"].value < 0.1`, 40)
}

// newLineage builds and walks a lineage of n attestations.
func newLineage(tb testing.TB, n int) *lineage {
	tb.Helper()
	w := chaintest.New(tb)
	l := &lineage{n: n}
	thing := func(kind string, i int) attest.Digest {
		return w.Manifest(map[string]string{"data": fmt.Sprint(kind, " ", i)})
	}
	metrics := map[string]any{}
	for i := range 40 {
		metrics[fmt.Sprint("m", i)] = map[string]any{"value": "0.75", "n": 300}
	}
	say := func(by string, at attest.Digest, step string, body map[string]any) {
		if step != "evaluate" {
			dig(body, "buildDefinition")["externalParameters"] = map[string]any{"n": 100}
			w.Sign(by, at, provenance, body)
			return
		}
		w.Sign(by, at, evaluation, body)
	}
	code := input{"code", codeURI, commit}
	for i := range n / 5 {
		model, train, test := thing("model", i), thing("train", i), thing("test", i)
		run := fmt.Sprint("run ", i)
		in := []input{{"training-data", "", train.String()}, code}
		if i > 0 {
			in = append(in, input{"base-model", "", thing("model", i-1).String()})
		}
		for k := i - i%10; i%10 == 9 && k < i; k++ {
			in = append(in, input{"training-data", "", thing("train", k).String()})
		}
		raw := input{"raw-data", "https://data.example/raw", thing("raw", i).String()}
		outputs := map[string]attest.Digest{"train": train, "test": test}
		say("prepare-bot", train, "prepare", build("prepare", run, 1, outputs, raw, code))
		say("prepare-bot", test, "prepare", build("prepare", run, 1, outputs, raw, code))
		say("train-bot", model, "train", build("train", run, 2, map[string]attest.Digest{"model": model}, in...))
		for _, kind := range []string{"quality", "bias"} {
			say("evaluator", model, "evaluate", map[string]any{
				"kind": kind, "evaluatedAt": minute(3), "suite": map[string]any{"name": "holdout"}, "metrics": metrics,
				"slices": map[string]any{"sex": map[string]any{"gaps": map[string]any{"parity": map[string]any{"value": "0.01"}}}},
				"inputs": []any{map[string]any{"role": "evaluation-data", "digest": digestSet(test.String())}},
			})
		}
	}
	var err error
	if l.policy, err = load(w, hundredRules()); err != nil {
		tb.Fatal(err)
	}
	l.chain, err = verify.Walk(context.Background(), thing("model", n/5-1), []verify.Source{w.Source()}, l.policy.Scope())
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range w.Artifacts() {
		for _, bundle := range w.Bundles(d) {
			b, err := attest.ParseBundle(bundle)
			if err != nil {
				tb.Fatal(err)
			}
			l.signed = append(l.signed, signedBytes{pae: dsse.PAE(attest.PayloadType, b.Payload), sig: b.Signature})
			for _, name := range []string{"prepare-bot", "train-bot", "evaluator"} {
				s := &l.signed[len(l.signed)-1]
				if k := w.Key(name).Crypto().(ed25519.PublicKey); ed25519.Verify(k, s.pae, s.sig) {
					s.key = k
				}
			}
		}
	}
	return l
}

func (l *lineage) evaluate(tb testing.TB) *policy.Verdict {
	v := l.policy.Evaluate(l.chain, policy.Question{At: asked})
	if v.Outcome != policy.Allow || len(v.Evidence) != l.n {
		tb.Fatalf("%s with %d of %d statements", v.Outcome, len(v.Evidence), l.n)
	}
	return v
}

// signatures verifies every signature of the lineage, with nothing around it.
func (l *lineage) signatures(tb testing.TB) {
	for _, s := range l.signed {
		if !ed25519.Verify(s.key, s.pae, s.sig) {
			tb.Fatal("a signature does not verify")
		}
	}
}

// BenchmarkHundredRules judges chains of 1,000 and 10,000 attestations under a hundred
// rules, and says what the same signatures take to verify on one processor.
//
//	go test -run '^$' -bench HundredRules ./policy
func BenchmarkHundredRules(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		l := newLineage(b, n)
		signatures := timing(func() { l.signatures(b) })
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.evaluate(b)
			}
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(n)
			b.ReportMetric(each, "ns/attestation")
			b.ReportMetric(each*float64(n)/float64(signatures.Nanoseconds()), "times-signatures")
		})
	}
}

// BenchmarkHundredRulesGrowth reports how many times as long 10,000 attestations take
// as 1,000. Ten would be linear.
func BenchmarkHundredRulesGrowth(b *testing.B) {
	small, big := newLineage(b, 1_000), newLineage(b, 10_000)
	for b.Loop() {
		runtime.GC()
		one := timing(func() { small.evaluate(b) })
		runtime.GC()
		b.ReportMetric(float64(timing(func() { big.evaluate(b) }))/float64(one), "times")
	}
}

func timing(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// TestEvaluateGrowsLinearly compares what judging allocates, which a busy machine
// does not change as it changes times.
func TestEvaluateGrowsLinearly(t *testing.T) {
	allocated := func(l *lineage) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		l.evaluate(t)
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	small, big := allocated(newLineage(t, 100)), allocated(newLineage(t, 1_000))
	if big/small > 13 {
		t.Errorf("ten times the attestations allocate %.1f times as much", big/small)
	}
}
