package policy_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

const (
	provenance = "https://slsa.dev/provenance/v1"
	evaluation = "https://pedigree-ml.github.io/evaluation/v0.1"
	approval   = "https://pedigree-ml.github.io/approval/v0.1"
	buildTypes = "https://pedigree-ml.github.io/build/"
	codeURI    = "git+https://git.example/acme/credit@refs/heads/main"
	rawURI     = "https://archive.ics.uci.edu/static/public/144/statlog+german+credit+data.csv"
	rawDigest  = "sha256:38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632"
	commit     = "gitCommit:0123456789012345678901234567890123456789"
)

// started is when the pipeline of the tests begins; each step takes a minute.
var started = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A pipeline is the credit model's chain with every statement in reach, so that
// a test can change one thing before it is signed.
type pipeline struct {
	t     testing.TB
	world *chaintest.World

	raw, train, test, model, quant attest.Digest
	statements                     map[string]*statement
	order                          []string
	payloads                       map[string]attest.Digest
	policy                         string
	at                             time.Time
	extra                          []verify.Source
	root                           attest.Digest
	question                       policy.Question // what is asked besides when
	files                          map[string]string
}

// A statement is one statement of the pipeline, not yet signed.
type statement struct {
	by      string
	subject attest.Digest
	where   attest.Digest // attached here; zero: at the subject
	typ     string
	body    map[string]any
	omit    bool
	// alsoAbout is a second subject of the statement.
	alsoAbout attest.Digest
	gone      bool     // an approval that also names evidence nobody has
	basis     []string // of an approval: the statements it names; nil: both evaluations
}

type input struct{ role, uri, digest string }

func newPipeline(t testing.TB) *pipeline {
	t.Helper()
	src, err := os.ReadFile("testdata/credit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := chaintest.New(t)
	p := &pipeline{
		t: t, world: w, policy: string(src), at: started.Add(time.Hour),
		raw:        w.Manifest(map[string]string{"german-credit.csv": "all rows"}),
		train:      w.Manifest(map[string]string{"train.csv": "training rows"}),
		test:       w.Manifest(map[string]string{"test.csv": "test rows"}),
		model:      w.Manifest(map[string]string{"model.safetensors": "float weights", "config.json": "{}"}),
		quant:      w.Manifest(map[string]string{"model.safetensors": "int8 weights", "config.json": "{\"bits\":8}"}),
		statements: map[string]*statement{},
		payloads:   map[string]attest.Digest{},
	}
	p.root = p.quant
	both := map[string]attest.Digest{"train": p.train, "test": p.test}
	code := input{"code", codeURI, commit}
	p.add("ingest", "data", p.raw, build("ingest", "run-1", 0, map[string]attest.Digest{"raw": p.raw}, input{"raw-data", rawURI, rawDigest}))
	p.add("prepare-train", "data", p.train, build("prepare", "run-2", 1, both, input{"raw-data", "", p.raw.String()}, code))
	p.add("prepare-test", "data", p.test, build("prepare", "run-2", 1, both, input{"raw-data", "", p.raw.String()}, code))
	p.add("train", "trainer", p.model, build("train", "run-3", 2, map[string]attest.Digest{"model": p.model}, input{"training-data", "", p.train.String()}, code))
	p.add("quantize", "trainer", p.quant, build("quantize", "run-4", 3, map[string]attest.Digest{"model": p.quant}, input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.train.String()}))
	p.add("evaluate", "evaluator", p.quant, p.evaluation("quality", 4))
	p.add("bias", "evaluator", p.quant, p.evaluation("bias", 5))
	p.add("approve-alice", "alice", p.quant, map[string]any{})
	p.add("approve-bob", "bob", p.quant, map[string]any{})
	return p
}

func (p *pipeline) add(name, by string, subject attest.Digest, body map[string]any) *statement {
	typ := provenance
	switch {
	case strings.HasPrefix(name, "approve"):
		typ = approval
	case strings.HasPrefix(name, "evaluate"), strings.HasPrefix(name, "bias"):
		typ = evaluation
	}
	s := &statement{by: by, subject: subject, typ: typ, body: body}
	p.statements[name] = s
	p.order = append(p.order, name)
	return s
}

func minute(n int) string { return started.Add(time.Duration(n) * time.Minute).Format(time.RFC3339) }

func digestSet(s string) map[string]any {
	alg, hex, _ := strings.Cut(s, ":")
	return map[string]any{alg: hex}
}

func build(step, invocation string, at int, outputs map[string]attest.Digest, inputs ...input) map[string]any {
	var deps, byproducts []any
	for _, in := range inputs {
		d := map[string]any{"digest": digestSet(in.digest), "annotations": map[string]any{"role": in.role}}
		if in.uri != "" {
			d["uri"] = in.uri
		}
		deps = append(deps, d)
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		byproducts = append(byproducts, map[string]any{"name": name, "digest": digestSet(outputs[name].String())})
	}
	return map[string]any{
		"buildDefinition": map[string]any{"buildType": buildTypes + step + "/v1", "externalParameters": map[string]any{}, "resolvedDependencies": deps},
		"runDetails": map[string]any{
			"builder":    map[string]any{"id": "https://pedigree-ml.github.io/builder/local/v1"},
			"metadata":   map[string]any{"invocationId": invocation, "finishedOn": minute(at)},
			"byproducts": byproducts,
		},
	}
}

func (p *pipeline) evaluation(kind string, at int) map[string]any {
	return map[string]any{
		"kind": kind, "evaluatedAt": minute(at), "suite": map[string]any{"name": "holdout", "version": "1"},
		"metrics": map[string]any{"accuracy": map[string]any{"value": "0.75", "n": 300}},
		"slices": map[string]any{"sex": map[string]any{
			"groups": map[string]any{"female": map[string]any{"n": 92}, "male": map[string]any{"n": 208}},
			"gaps":   map[string]any{"demographicParity": map[string]any{"value": "0.01"}}}},
		"inputs": []any{
			map[string]any{"role": "evaluation-data", "digest": digestSet(p.test.String())},
			map[string]any{"role": "harness", "uri": codeURI, "digest": digestSet(commit)},
		},
	}
}

// dig returns the value at a path of keys, for a test to change.
func dig(m map[string]any, path ...string) map[string]any {
	for _, k := range path {
		m = m[k].(map[string]any)
	}
	return m
}

// inputs replaces the inputs of a provenance statement.
func (s *statement) inputs(inputs ...input) {
	s.body["buildDefinition"].(map[string]any)["resolvedDependencies"] = build("x", "x", 0, nil, inputs...)["buildDefinition"].(map[string]any)["resolvedDependencies"]
}

// sign signs everything in order. Approvals without a body of their own name the
// evaluations that were signed before them.
func (p *pipeline) sign() {
	p.t.Helper()
	for i, name := range p.order {
		s := p.statements[name]
		if s.omit {
			continue
		}
		if s.typ == approval {
			p.fillApproval(s, i)
		}
		where := s.where
		if where.IsZero() {
			where = s.subject
		}
		if !s.alsoAbout.IsZero() {
			p.payloads[name] = p.signTwo(where, s)
			continue
		}
		p.payloads[name] = p.world.SignAt(where, s.by, s.subject, s.typ, s.body)
	}
}

// signTwo signs a statement with two subjects.
func (p *pipeline) signTwo(where attest.Digest, s *statement) attest.Digest {
	p.t.Helper()
	b, err := json.Marshal(map[string]any{
		"_type": attest.StatementTypeV1, "predicateType": s.typ, "predicate": s.body,
		"subject": []any{map[string]any{"digest": s.subject.DigestSet()}, map[string]any{"digest": s.alsoAbout.DigestSet()}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.world.SignPayload(where, s.by, b)
}

func (p *pipeline) fillApproval(s *statement, at int) {
	defaults := map[string]any{"decision": "approved", "approvedAt": minute(at), "scope": map[string]any{"environments": []any{"prod"}}}
	var basis []any
	named := s.basis
	if named == nil {
		named = []string{"evaluate", "bias"}
	}
	for _, name := range named {
		if d, ok := p.payloads[name]; ok {
			basis = append(basis, map[string]any{"payload": digestSet(d.String()), "artifact": digestSet(p.quant.String())})
		}
	}
	if s.gone {
		basis = append(basis, map[string]any{"payload": digestSet(chaintestDigest("gone")), "artifact": digestSet(p.quant.String())})
	}
	defaults["basis"] = basis
	if basis == nil {
		defaults["basis"] = []any{}
	}
	for k, v := range defaults {
		if _, set := s.body[k]; !set {
			s.body[k] = v
		}
	}
}

// load loads the pipeline's policy with the world's keys.
func (p *pipeline) load() *policy.Policy {
	p.t.Helper()
	pol, err := loadWith(p.world, p.policy, p.files)
	if err != nil {
		p.t.Fatalf("the policy must load: %v", err)
	}
	return pol
}

func load(w *chaintest.World, src string) (*policy.Policy, error) { return loadWith(w, src, nil) }

// loadWith is load with further files that the policy may name.
func loadWith(w *chaintest.World, src string, files map[string]string) (*policy.Policy, error) {
	return policy.Load([]byte(src), func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		name, ok := strings.CutPrefix(path, "keys/")
		if !ok {
			return nil, os.ErrNotExist
		}
		return w.Key(strings.TrimSuffix(name, ".pub")).PEM(), nil
	})
}

func (p *pipeline) chain(pol *policy.Policy) verify.Chain {
	p.t.Helper()
	c, err := verify.Walk(context.Background(), p.root, append([]verify.Source{p.world.Source()}, p.extra...), pol.Scope())
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// verdict signs, walks and judges.
func (p *pipeline) verdict() *policy.Verdict {
	p.t.Helper()
	p.sign()
	return p.judge()
}

// judge walks and judges what is there.
func (p *pipeline) judge() *policy.Verdict {
	p.t.Helper()
	pol := p.load()
	q := p.question
	q.At, q.Known = p.at, p.at
	return evaluate(p.t, pol, p.chain(pol), q)
}

// codes returns the distinct codes of a verdict's reasons, sorted.
func codes(v *policy.Verdict) []attest.Code {
	var out []attest.Code
	for _, r := range v.Requirements {
		for _, why := range r.Reasons {
			out = append(out, why.Code)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// explain writes a verdict for a failed test.
func explain(v *policy.Verdict) string {
	var b strings.Builder
	b.WriteString(v.Outcome.String() + "\n")
	for _, r := range v.Requirements {
		b.WriteString("  " + r.Status.String() + " " + r.Step + " " + r.Artifact.Short() + "\n")
		for _, why := range r.Reasons {
			b.WriteString("    " + string(why.Code) + " " + why.Why + "\n")
		}
	}
	for _, g := range v.Gaps {
		b.WriteString("  gap " + string(g.Code) + " " + g.Artifact.Short() + "\n")
	}
	return b.String()
}

// replace changes the policy's text; the old text must be there.
func (p *pipeline) replace(old, new string) {
	p.t.Helper()
	if !strings.Contains(p.policy, old) {
		p.t.Fatalf("the policy does not contain %q", old)
	}
	p.policy = strings.Replace(p.policy, old, new, 1)
}
