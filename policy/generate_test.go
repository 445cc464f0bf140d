package policy_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
)

// runs is how many random policies a property is tried on, each with several
// chains: few, so that every change is tested with them. PEDIGREE_PROPERTY_RUNS
// asks for more, PEDIGREE_PROPERTY_SEED for others.
func runs(t testing.TB, few int) (first, n int) {
	read := func(name string, otherwise int) int {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return n
		}
		return otherwise
	}
	return read("PEDIGREE_PROPERTY_SEED", 1), read("PEDIGREE_PROPERTY_RUNS", few)
}

// asked is when generated chains are judged: an hour after their pipelines began.
var asked = started.Add(time.Hour)

// mode is what a generated policy says of absence.
type mode int

const (
	acknowledged mode = iota // everywhere: why that is acceptable
	sealedBy                 // nowhere: there is a status
	monotone                 // nothing: nothing in it rests on absence
)

// A rowed is one step of a generated policy: what is written of it, and what the
// generator of chains has to know to make evidence that mostly passes.
type rowed struct {
	name, about, kind, role string // role: of its input from the step before
	by, notBy, basis        []string
	threshold               int
	roles                   bool
	lines                   []string
	keys                    []string // further keys, as they are written
	vetoBy                  []string // nil: nobody
	agrees                  bool
}

// A maker makes policies and chains from one seed.
type maker struct {
	*rand.Rand
	t     testing.TB
	world *chaintest.World
	mode  mode
	plain bool // everything is select: any, so that other absences show
	timed bool // some are identities, and no signer's word counts for when
	rows  []*rowed
	byRow map[string]*rowed
	names map[string]string // of artifacts, by digest, for stories
}

func newMaker(t testing.TB, seed int, m mode) *maker {
	// Certificates cost more than keys: one policy in six has some. Statuses are left out,
	// which the reference does not look at.
	timed := seed%6 == 5 && m != sealedBy
	return &maker{Rand: rand.New(rand.NewPCG(uint64(seed), uint64(m))), t: t, world: chaintest.New(t), mode: m, timed: timed, names: map[string]string{}}
}

// likely is true in percent of a hundred cases.
func (m *maker) likely(percent int) bool { return m.IntN(100) < percent }

func pick[E any](m *maker, list ...E) E { return list[m.IntN(len(list))] }

// some returns n different members of a list.
func (m *maker) some(list []string, n int) []string {
	out := slices.Clone(list)
	m.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(n, len(out))]
}

// people are the principals of every generated policy: name, kind and roles.
var people = []struct{ name, kind, roles string }{
	{"ann", "human", "risk"}, {"ben", "human", "risk, owner"}, {"cat", "human", "owner"}, {"dev", "human", ""},
	{"bot", "workload", ""}, {"ci", "workload", ""}, {"gpu", "workload", ""},
}

// identified are the credentials of those who sign as identities where a policy is timed.
var identified = map[string]string{
	"ann": `{issuer: "https://sso.acme.example", subject: ann@acme.example}`,
	"bot": `{issuer: "https://ci.acme.example", subjectPattern: "https://git.example/acme/*@refs/heads/main", trigger: push}`,
	"gpu": `{spiffe: "spiffe://acme.example/gpu"}`,
}

func named(kind string) (out []string) {
	for _, p := range people {
		if kind == "" || p.kind == kind {
			out = append(out, p.name)
		}
	}
	return out
}

// policy makes a policy of two to five steps that loads, and returns its text.
func (m *maker) policy() string {
	m.rows, m.byRow, m.plain = nil, map[string]*rowed{}, m.likely(50)
	making := []string{"train", "prepare"}
	if m.likely(40) {
		making = []string{"quantize", "train", "prepare"}
	}
	for i, name := range making {
		m.producing(name, append(slices.Clone(making), "")[i+1])
	}
	if m.likely(70) {
		m.evaluating()
	}
	if m.likely(60) {
		m.approving()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: pedigree-ml.github.io/v1\nkind: Policy\nmetadata: {name: random, version: 1, expires: 2027-05-01T00:00:00Z}\nartifact: %s\n%s\n", making[0], map[bool]string{false: "unsafeTime: claimed", true: "maxLag: 20m"}[m.timed])
	b.WriteString("principals:\n  registrar: {kind: workload, credentials: [{key: keys/registrar.pub}]}\n")
	for _, p := range people {
		line := "{key: keys/" + p.name + ".pub}"
		if m.timed && identified[p.name] != "" {
			line = identified[p.name]
		}
		fmt.Fprintf(&b, "  %s: {kind: %s, roles: [%s], credentials: [%s]}\n", p.name, p.kind, p.roles, line)
	}
	absence := ", acknowledgeAbsence: fine"
	if m.mode == sealedBy {
		absence = ""
		b.WriteString("status: {by: [registrar]}\n")
	}
	if m.mode != monotone && m.likely(30) {
		fmt.Fprintf(&b, "revocation: [{by: [%s], threshold: %d%s}]\n", strings.Join(m.some(named(""), 3), ", "), pick(m, 1, 1, 2), absence)
	}
	if m.mode != monotone && m.likely(15) {
		fmt.Fprintf(&b, "deny: [{artifacts: [%q], reason: withdrawn%s}]\n", chaintest.File(pick(m, "rows of leaky set", "rows of leaky set", "rows 1", "nothing")), absence)
	}
	if m.likely(70) {
		fmt.Fprintf(&b, "sharedFiles: [%q]\n", chaintest.File("licence"))
	}
	b.WriteString("steps:\n")
	for _, r := range m.rows {
		m.write(&b, r)
	}
	return b.String()
}

func (m *maker) write(b *strings.Builder, r *rowed) {
	typ := "predicate: " + provenance + "\n    buildType: " + buildTypes + r.name + "/v1"
	switch r.name {
	case "evaluate":
		typ = "predicate: " + evaluation
	case "approve":
		typ = "predicate: " + approval
	}
	fmt.Fprintf(b, "  %s:\n    %s\n    by: [%s]\n", r.name, typ, strings.Join(r.by, ", "))
	if r.about != "" {
		fmt.Fprintf(b, "    about: %s\n", r.about)
	}
	if m.mode == acknowledged {
		b.WriteString("    acknowledgeAbsence: fine\n")
	}
	for _, k := range r.keys {
		fmt.Fprintf(b, "    %s\n", k)
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"notBy", r.notBy}, {"basis", r.basis}, {"inputs", r.lines}} {
		if len(list.names) > 0 {
			fmt.Fprintf(b, "    %s: [%s]\n", list.key, strings.Join(list.names, ", "))
		}
	}
}

// row begins a step: who may do it, how many must, and which evidence counts.
func (m *maker) row(name, about string) *rowed {
	r := &rowed{name: name, about: about, threshold: 1, by: m.some(named(""), 1+m.IntN(3))}
	if name == "approve" {
		r.by = m.some(named(""), 3+m.IntN(3))
	}
	if m.likely(25) {
		kind := pick(m, "human", "workload")
		if able := len(slices.DeleteFunc(slices.Clone(r.by), func(n string) bool { return !slices.Contains(named(kind), n) })); able > 0 {
			r.kind = kind
			r.keys = append(r.keys, "kind: "+kind)
		}
	}
	able := slices.DeleteFunc(slices.Clone(r.by), func(n string) bool { return !slices.Contains(named(r.kind), n) })
	if len(able) > 1 && m.likely(35) {
		r.threshold = 2
		r.keys = append(r.keys, "threshold: 2")
	}
	selects := "any"
	if m.mode != monotone && !m.plain {
		selects = pick(m, "any", "any", "latest", "all")
	}
	r.keys = append(r.keys, "select: "+selects)
	if m.likely(20) {
		r.keys = append(r.keys, "maxAge: "+pick(m, "65m", "65m", "45m", "25m"))
	} else if m.likely(10) {
		r.keys = append(r.keys, "minAge: "+pick(m, "8m", "18m"))
	}
	m.rows = append(m.rows, r)
	m.byRow[name] = r
	return r
}

// producing adds a step that makes what the step above takes.
func (m *maker) producing(name, below string) {
	r := m.row(name, "")
	switch name {
	case "quantize":
		r.role, r.lines = "parent-model", []string{"{role: parent-model, from: train}"}
		if m.mode != monotone && m.likely(30) {
			r.notBy = []string{below}
		}
	case "train":
		r.role = "training-data"
		from := "{role: training-data, from: prepare"
		if m.likely(40) {
			from += ", output: train"
		}
		switch {
		case m.mode != monotone && m.likely(20): // two lines that a digest may both meet
			r.lines = []string{from + ", min: 0, max: 2}", "{role: training-data, from: prepare, output: test, min: 0}"}
		default:
			r.lines = []string{from + pick(m, "", "", ", max: 2", ", min: 2, max: 3") + "}"}
		}
		m.agree(r, "training-data")
	case "prepare":
		r.role, r.lines = "raw-data", []string{fmt.Sprintf("{role: raw-data, pin: [%q, %q]}", m.artifact("raw"), m.artifact("raw 2"))}
		m.agree(r, "raw-data")
	}
	if m.likely(50) {
		r.lines = append(r.lines, pick(m, `{role: code, origin: "git+https://git.example/acme/credit"}`, fmt.Sprintf("{role: code, pin: [%q]}", commit), "{role: code, accept: any, reason: recorded}"))
	} else {
		r.lines = append(r.lines, "{role: code, accept: any, reason: recorded, min: 0, max: 3}")
	}
	if m.likely(30) {
		r.keys = append(r.keys, `rules: [{id: N-`+name+`, cel: 'predicate.buildDefinition.externalParameters.n >= 3', message: too few}]`)
	}
	if m.mode != monotone && m.likely(10) {
		r.vetoBy, r.keys = r.by, append(r.keys, `veto: 'predicate.buildDefinition.externalParameters.n < 0'`)
	}
}

func (m *maker) agree(r *rowed, role string) {
	if m.mode != monotone && m.likely(25) {
		r.agrees, r.keys = true, append(r.keys, "agree: ["+role+"]")
	}
}

func (m *maker) evaluating() {
	about := "artifact"
	if m.mode != monotone {
		about = pick(m, "artifact", "artifact", "train", "prepare")
	}
	r := m.row("evaluate", about)
	r.role = "evaluation-data"
	if about == "train" || about == "prepare" {
		r.keys = append(r.keys, "optional: "+pick(m, "true", "false"))
	}
	line := pick(m, "{role: evaluation-data, from: prepare", "{role: evaluation-data, from: prepare, output: test", "{role: evaluation-data, accept: any, reason: public")
	if m.mode != monotone && about != "prepare" {
		if strings.Contains(line, "from") && m.likely(35) {
			line += ", sameRun: [train.training-data]"
		}
		if m.likely(35) {
			line += ", notIn: [" + pick(m, "train.training-data", "\"*.training-data\"") + "]"
		}
		if m.likely(8) {
			line += ", sameAs: [train.training-data]"
		}
	}
	r.lines = []string{line + "}"}
	if m.likely(60) {
		r.keys = append(r.keys, pick(m, `where: 'predicate.kind == "quality"'`, `where: 'predicate.metrics["m"].value > 0.2'`))
	}
	r.keys = append(r.keys, `rules: [{id: EVAL, cel: 'predicate.metrics["m"].value >= 0.5', message: too low}]`)
	if m.mode != monotone && m.likely(30) {
		r.notBy = m.some([]string{"train", "prepare"}, 1+m.IntN(2))
	}
	if m.mode != monotone && m.likely(25) {
		m.veto(r, `predicate.metrics["m"].value < 0.1`)
	}
}

func (m *maker) approving() {
	r := m.row("approve", "artifact")
	if m.mode != monotone {
		if m.likely(40) {
			r.notBy = m.some([]string{"train", "prepare"}, 1)
			if m.byRow["evaluate"] != nil && m.likely(50) {
				r.notBy = append(r.notBy, "evaluate")
			}
		}
		if m.byRow["evaluate"] != nil && m.likely(60) {
			r.basis = []string{"evaluate"}
			if m.likely(20) {
				r.keys = append(r.keys, "rebase: true")
			}
		}
		if m.likely(50) {
			m.veto(r, `predicate.decision == "rejected"`)
		}
	}
	if m.likely(60) {
		r.keys = append(r.keys, `where: '"prod" in predicate.scope.environments'`)
	}
	r.keys = append(r.keys, `rules: [{id: APPR, cel: 'predicate.decision == "approved"', message: not approved}]`)
	if m.mode == monotone && m.likely(25) && r.kind != "workload" { // the reference knows no roles
		r.by, r.roles = append(r.by, slices.DeleteFunc([]string{"ann", "ben", "cat"}, func(n string) bool { return slices.Contains(r.by, n) })...), true
		r.keys = append(slices.DeleteFunc(r.keys, func(k string) bool { return strings.HasPrefix(k, "threshold") }), "roles: {risk: 1, owner: 1}")
		r.threshold = 2
	}
}

func (m *maker) veto(r *rowed, cel string) {
	r.vetoBy, r.keys = r.by, append(r.keys, "veto: '"+cel+"'")
	if m.likely(40) {
		r.vetoBy = m.some(named(""), 2)
		r.keys = append(r.keys, "vetoBy: ["+strings.Join(r.vetoBy, ", ")+"]")
	}
}

// artifact makes a manifest that a name stands for. Data sets share a licence, and
// sometimes more.
func (m *maker) artifact(name string) attest.Digest {
	files := map[string]string{"data": "rows of " + name, "LICENSE": "licence"}
	switch name {
	case "train set":
		files["data"] = "rows 1"
	case "leaky set":
		files["more"] = "rows 1"
	case "model":
		files = map[string]string{"model.safetensors": "weights 1"}
	case "small model":
		files = map[string]string{"model.safetensors": "weights 2"}
	}
	d := m.world.Manifest(files)
	m.names[d.Hex()] = name
	return d
}

func (m *maker) load(text string) *policy.Policy {
	m.t.Helper()
	p, err := load(m.world, text)
	if err != nil {
		m.t.Fatalf("a generated policy must load: %v\n%s", err, text)
	}
	return p
}
