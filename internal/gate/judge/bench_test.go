package judge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

func TestCollectors(t *testing.T) {
	w := newWorld(t, true)
	good := w.model("good")
	e := w.engine(judge.Options{})
	u := judge.NewUpstream(ociOptions(), 0)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(append(e.Collectors(), u.Collectors()...)...)
	ask(t, e, w.ground("strict"), good, "test")
	ask(t, e, w.ground("strict"), good, "test")
	ask(t, e, w.ground("strict"), attest.Reference{}, "test")
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "pedigree_gate_") || f.GetHelp() == "" {
			t.Errorf("%s: %q", f.GetName(), f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"pedigree_gate_cache_hits_total": 1, "pedigree_gate_looks_total": 1, "pedigree_gate_cache_entries": 1, "pedigree_gate_answer_seconds": 3,
		"pedigree_gate_look_seconds": 1, "pedigree_gate_sequence_numbers": 1, "pedigree_gate_look_panics_total": 0, "pedigree_gate_looks_running": 0,
	} {
		if v, ok := got[name]; v != want || !ok {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

func BenchmarkWarm(b *testing.B) {
	w := newWorld(b, false)
	good := w.model("good")
	g, e := w.ground("strict"), w.engine(judge.Options{})
	e.SetElapsed(func() time.Duration { return 0 })
	ask(b, e, g, good, "test")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := e.Judge(b.Context(), gate.Question{Reference: good, Ground: g, Context: "test"}); !a.Cached || !a.Allowed() {
				b.Fatalf("%s, %v", a.Outcome, a.Err)
			}
		}
	})
}

// line is a policy of n steps, each made from what the one before it made.
func line(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: line, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: s%d
unsafeTime: claimed
principals: {builder: {kind: workload, credentials: [{key: builder.pub}]}, registrar: {kind: workload, credentials: [{key: registrar.pub}]}, security: {kind: human, credentials: [{key: security.pub}]}}
status: {by: [registrar], maxAge: 48h}
revocation: [{by: [security], of: [artifact, payload, key]}]
steps:
`, n-1)
	for i := range n {
		inputs := ""
		if i > 0 {
			inputs = fmt.Sprintf(", inputs: [{role: from, from: s%d}]", i-1)
		}
		fmt.Fprintf(&b, "  s%d: {predicate: https://slsa.dev/provenance/v1, buildType: https://pedigree-ml.github.io/build/s%d/v1, by: [builder], select: any%s}\n", i, i, inputs)
	}
	return b.String()
}

// chain makes artifacts in a line, and returns the last.
func (w *world) chain(n int) attest.Reference {
	w.t.Helper()
	w.write("line.yaml", line(n))
	var ref attest.Reference
	for i := range n {
		out := w.in(fmt.Sprintf("out%d", i))
		args := []string{"run", "--step", fmt.Sprintf("s%d", i), "--key", w.in("builder.key"), "--output", "m=" + out + ",to=" + w.repo + ":s" + fmt.Sprint(i)}
		if i > 0 {
			args = append(args, "--input", "from="+ref.Repository.At(ref.Digest).String()+",path="+w.in(fmt.Sprintf("out%d", i-1)))
		}
		args = append(args, "--", "/bin/sh", "-c", fmt.Sprintf("/bin/mkdir -p %s && echo %d > %s/m.gguf", out, i, out))
		_, name, _ := strings.Cut(w.do(0, args...), " ")
		ref = w.ref(name)
	}
	w.do(0, "-q", "status", "publish", ref.String(), "--policy", w.in("line.yaml"), "--key", w.in("registrar.key"), "--valid-for", "24h")
	return ref
}

// A cold chain of ten attestations, each about an artifact that the one before it was
// made from, over a registry that takes five milliseconds for each answer: the
// deepest shape, with nothing to be asked at once.
func BenchmarkColdLine(b *testing.B) {
	w := newWorld(b, true)
	ref := w.chain(9)
	g := w.ground("line")
	w.breakBy(slow(5 * time.Millisecond))
	e := w.engine(judge.Options{})
	benchCold(b, w, e, g, ref)
}

// A cold chain as it usually is: ten attestations about one artifact.
func BenchmarkColdWide(b *testing.B) {
	w := newWorld(b, true)
	ref := w.push(w.repo, "m")
	for range 8 {
		w.attest(ref)
		w.clock.pass(time.Second)
		w.write("provenance.json", fmt.Sprintf(`{"buildDefinition":{"buildType":"https://example.org/build/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"},"metadata":{"finishedOn":%q}}}`, w.clock.Now().Format(time.RFC3339)))
	}
	w.attest(ref)
	w.publish(ref, "24h")
	w.breakBy(slow(5 * time.Millisecond))
	benchCold(b, w, w.engine(judge.Options{}), w.ground("strict"), ref)
}

func benchCold(b *testing.B, w *world, e *judge.Engine, g *gate.Ground, ref attest.Reference) {
	var took []time.Duration
	context := ""
	if len(g.Policy.Contexts()) > 0 {
		context = "test"
	}
	wantOutcome(b, ask(b, e, g, ref, context), policy.Allow) // opens the connections
	before := w.requests.Load()
	for b.Loop() {
		e.Forget()
		began := time.Now()
		a := ask(b, e, g, ref, context)
		took = append(took, time.Since(began))
		if a.Cached {
			b.Fatal("remembered")
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(w.requests.Load()-before)/float64(len(took)), "requests/op")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}
