package lineage

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// TraceOptions are what a trace shows besides the chain.
type TraceOptions struct {
	Reading
	Trust Trust
	// Counts returns the policy's steps that selected a piece of evidence; nil without
	// a policy.
	Counts func(verify.ID) []string
	// Frontier returns how a policy accepted that the evidence of an input ends, and
	// nil if it did not; it is nil without a policy.
	Frontier func(attest.Digest) *Frontier
}

// Trace answers what made an artifact: it draws its chain as a graph. Evidence that
// the chain's scope did not follow is in the graph, as records beside the artifact
// that it is about; edges are what was followed.
func Trace(c verify.Chain, o TraceOptions) *Graph {
	t := &trace{chain: c, o: o, records: map[recordKey]int{}, names: map[attest.Digest]string{}, origins: map[attest.Digest]string{}, roles: map[attest.Digest]map[string]bool{}, labels: map[attest.Digest]map[string]bool{}}
	t.graph = &Graph{
		Artifact: c.Root(), Trust: o.Trust, Nodes: []Node{}, Edges: []Edge{}, Records: []Record{},
		Contradictions: []Contradiction{}, Gaps: gapsOf(c),
	}
	t.collect()
	t.edges()
	t.nodes()
	return t.graph
}

type trace struct {
	chain   verify.Chain
	o       TraceOptions
	graph   *Graph
	records map[recordKey]int // into graph.Records
	// What the signers say of an artifact that they name as an input: of several the
	// word of the evidence with the least identity.
	names, origins map[attest.Digest]string
	roles          map[attest.Digest]map[string]bool
	labels         map[attest.Digest]map[string]bool // names and origins, by all of them
}

// A recordKey tells apart one statement that lies beside two artifacts.
type recordKey struct {
	about attest.Digest
	id    verify.ID
}

// each calls f for all evidence of the chain, by artifact and identity.
func (t *trace) each(f func(d attest.Digest, e verify.Evidence)) {
	for _, d := range t.chain.Artifacts() {
		a := t.chain.Artifact(d)
		for _, e := range a.Evidence {
			f(d, e)
		}
		for _, e := range a.FileEvidence {
			f(d, e)
		}
	}
}

// collect makes the records, sorted by identity and artifact.
func (t *trace) collect() {
	type found struct {
		recordKey
		evidence verify.Evidence
	}
	var all []found
	t.each(func(d attest.Digest, e verify.Evidence) { all = append(all, found{recordKey{d, e.ID()}, e}) })
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(a.id.Compare(b.id), a.about.Compare(b.about)) })
	for _, f := range all {
		t.records[f.recordKey] = len(t.graph.Records)
		t.graph.Records = append(t.graph.Records, t.record(f.about, f.evidence))
		facts, err := f.evidence.Facts()
		if err != nil {
			continue
		}
		for _, in := range facts.Inputs {
			t.called(in)
		}
	}
}

// called notes what a signer calls an input.
func (t *trace) called(in predicate.Input) {
	if in.Digest.IsZero() {
		return
	}
	if t.names[in.Digest] == "" {
		t.names[in.Digest] = in.Name
	}
	if t.origins[in.Digest] == "" {
		t.origins[in.Digest] = in.URI
	}
	if t.roles[in.Digest] == nil {
		t.roles[in.Digest] = map[string]bool{}
		t.labels[in.Digest] = map[string]bool{}
	}
	t.roles[in.Digest][in.Role] = true
	for _, label := range [...]string{in.Name, in.URI} {
		if label != "" {
			t.labels[in.Digest][label] = true
		}
	}
}

// buildTypePrefix begins the build types of our own steps; "/v1" ends them.
const buildTypePrefix = "https://pedigree-ml.github.io/build/"

// StepOf names what a record did: of provenance the last part of its build type, of
// an evaluation its kind, of an approval its decision, of anything else the short
// name of its type.
func StepOf(e verify.Evidence) string {
	facts, err := e.Facts()
	name := predicate.Name(e.PredicateType())
	if err != nil {
		return name
	}
	switch e.PredicateType() {
	case predicate.TypeProvenance:
		step, ours := strings.CutPrefix(facts.BuildType, buildTypePrefix)
		if ours {
			return strings.TrimSuffix(step, "/v1")
		}
		return facts.BuildType
	case predicate.TypeEvaluation:
		if kind, ok := facts.Tree["kind"].(string); ok {
			return "evaluate " + kind
		}
	case predicate.TypeApproval:
		if decision, ok := facts.Tree["decision"].(string); ok {
			return decision
		}
	}
	return name
}

// record shows one piece of evidence.
func (t *trace) record(about attest.Digest, e verify.Evidence) Record {
	r := RecordOf(e, t.o.Reading)
	r.About = about
	if t.o.Counts != nil {
		r.Counts = t.o.Counts(e.ID())
	}
	return r
}

// RecordOf shows one piece of evidence, with what it says.
func RecordOf(e verify.Evidence, by Reading) Record {
	r := Record{
		Payload: e.ID().Payload, Credential: e.ID().Credential.String(), Signer: by.name(e.ID().Credential), About: e.About(),
		Type: predicate.Name(e.PredicateType()), Step: StepOf(e), Seen: moment(e.Seen()),
	}
	for _, c := range e.Claims() {
		if c != (trust.Claims{}) {
			r.Certificates = append(r.Certificates, c)
		}
	}
	facts, err := e.Facts()
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	r.Claimed = moment(facts.Claimed)
	r.Facts = factsOf(facts)
	return r
}

func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// edges groups what the walk followed.
func (t *trace) edges() {
	byKey := map[edgeKey]int{}
	for _, e := range t.chain.Edges() {
		i, ok := t.records[recordKey{e.From, e.Evidence}]
		if !ok {
			continue // unreachable: edges come from evidence of the chain
		}
		key := edgeKey{e.From, e.To, e.Role, t.graph.Records[i].Step}
		n, ok := byKey[key]
		if !ok {
			n = len(t.graph.Edges)
			byKey[key] = n
			t.graph.Edges = append(t.graph.Edges, Edge{From: e.From, To: e.To, Role: e.Role, Step: key.step})
		}
		if at := &t.graph.Edges[n]; !slices.Contains(at.Records, i) {
			at.Records = append(at.Records, i)
		}
	}
	for _, e := range t.graph.Edges {
		slices.Sort(e.Records)
	}
	slices.SortFunc(t.graph.Edges, Edge.Compare)
}

// An edgeKey is what an edge of a graph is told apart by.
type edgeKey struct {
	from, to   attest.Digest
	role, step string
}

// nodes makes the nodes: the root first, then by depth and digest.
func (t *trace) nodes() {
	made := map[attest.Digest][]int{} // the provenance that was followed, or could be
	for key, i := range t.records {
		if t.graph.Records[i].Type == predicate.Name(predicate.TypeProvenance) && t.counts(i) {
			made[key.about] = append(made[key.about], i)
		}
	}
	for _, d := range t.chain.Artifacts() {
		a := t.chain.Artifact(d)
		n := Node{Digest: d, Depth: t.chain.Depth(d), Name: t.names[d], Kind: t.kind(d), Labels: slices.Sorted(maps.Keys(t.labels[d]))}
		for _, f := range a.Files {
			n.Files, n.Bytes = n.Files+1, n.Bytes+f.Size
		}
		for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
			i := t.records[recordKey{d, e.ID()}]
			n.Records = append(n.Records, i)
			if n.Name == "" && slices.Contains(made[d], i) {
				n.Name = subjectName(e, d)
			}
		}
		slices.Sort(n.Records)
		for _, i := range made[d] {
			if step := t.graph.Records[i].Step; !slices.Contains(n.Steps, step) {
				n.Steps = append(n.Steps, step)
			}
		}
		slices.Sort(n.Steps)
		for _, g := range a.Gaps {
			n.Gaps = append(n.Gaps, g.Code)
		}
		n.Frontier = t.frontier(d, a, made[d])
		t.graph.Nodes = append(t.graph.Nodes, n)
	}
	slices.SortFunc(t.graph.Nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Depth, b.Depth), a.Digest.Compare(b.Digest)) })
}

// counts reports whether a record has a say in how the artifact was made: under a
// policy only what the policy selected has.
func (t *trace) counts(i int) bool {
	return t.o.Counts == nil || len(t.graph.Records[i].Counts) > 0
}

func subjectName(e verify.Evidence, d attest.Digest) string {
	for _, s := range e.Subjects() {
		if s.Digest == d {
			return s.Name
		}
	}
	return ""
}

// frontier says why the evidence ends at an artifact; nil if it goes on.
func (t *trace) frontier(d attest.Digest, a *verify.Artifact, made []int) *Frontier {
	if t.o.Frontier != nil {
		if f := t.o.Frontier(d); f != nil {
			return f
		}
	}
	for _, i := range made {
		if t.leadsOn(i, d) {
			return nil
		}
	}
	switch {
	case len(made) == 0 && madeBySomebody(a):
		return &Frontier{How: EndsUncounted, Detail: t.origins[d]}
	case len(made) > 0:
		// Somebody trusted made it, and names nothing that it was made of.
		return &Frontier{How: EndsSigned, Detail: t.graph.Records[slices.Min(made)].Signer}
	case a.Gapped():
		return &Frontier{How: EndsUnseen, Detail: t.origins[d]}
	}
	return &Frontier{How: EndsUnsigned, Detail: t.origins[d]}
}

// madeBySomebody reports whether somebody trusted says how the artifact was made,
// though the policy does not count it.
func madeBySomebody(a *verify.Artifact) bool {
	for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
		if e.PredicateType() == predicate.TypeProvenance {
			return true
		}
	}
	return false
}

// leadsOn reports whether a record names an input of the artifact.
func (t *trace) leadsOn(record int, d attest.Digest) bool {
	i, _ := slices.BinarySearchFunc(t.graph.Edges, d, func(e Edge, d attest.Digest) int { return e.From.Compare(d) })
	for ; i < len(t.graph.Edges) && t.graph.Edges[i].From == d; i++ {
		if slices.Contains(t.graph.Edges[i].Records, record) {
			return true
		}
	}
	return false
}

// kind works out what kind of artifact it is, from the roles in which it was used.
func (t *trace) kind(d attest.Digest) NodeKind {
	if d.IsCommit() {
		return KindCode
	}
	if d == t.chain.Root() {
		return KindModel
	}
	for _, role := range slices.Sorted(maps.Keys(t.roles[d])) {
		switch {
		case role == "code" || role == "harness":
			return KindCode
		case role == "environment":
			return KindEnvironment
		case strings.HasSuffix(role, "data"):
			return KindData
		case strings.HasSuffix(role, "model") || role == "adapter" || role == "teacher":
			return KindModel
		}
	}
	return KindOther
}
