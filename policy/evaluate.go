package policy

import (
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// Evaluate judges a verified chain at the given times. It always returns a
// Verdict, and all requirements are worked out whatever the first answer is.
func (p *Policy) Evaluate(c verify.Chain, q Question) *Verdict {
	if p == nil || p.doc == nil || len(p.doc.steps) == 0 || c.Root().IsZero() {
		return nothingToJudge(c, q)
	}
	ev := newEvaluator(p, c, q)
	ev.begin()
	return ev.verdict()
}

// nothingToJudge is the answer where there is no policy or no chain.
func nothingToJudge(c verify.Chain, q Question) *Verdict {
	at, known := q.points()
	return &Verdict{
		Artifact: c.Root(), At: at.time(), Known: known.time(), Until: at.until(), Context: q.Context,
		Requirements: []Requirement{{Step: StepPolicy, Artifact: c.Root(), Reasons: []Reason{{Code: attest.CodePolicyVacuous, Why: "no policy or no chain to judge"}}}},
	}
}

// skew is how far two honest clocks may differ (design of the time rules in
// docs/policy.md, "Time").
const skew = 5 * time.Minute

// defaultMaxLag is how much earlier than it was first seen a statement may claim to
// be, unless the policy says otherwise: long enough for a signature that waits a night
// for its timestamp.
const defaultMaxLag = 24 * time.Hour

// An evaluator works out one verdict. It is used once, by one goroutine.
type evaluator struct {
	p      *Policy
	d      *document
	chain  verify.Chain
	t      Question        // without its times
	at     point           // that is asked about
	upTo   point           // up to which evidence counts
	except map[string]bool // steps that are left out: the approval that somebody considers, and others that may come later
	// live says that somebody looks now, before a status can be there: that nothing
	// was removed they see, or not, for themselves.
	live   bool
	early  bool       // the status is being read
	above  *evaluator // of the policy that names this one; nil for the first
	place  string     // the names by which this policy was come to
	shared *shared    // by all evaluators of one verdict

	keys     map[verify.Credential]*weighed
	status   *completeness // nil: the policy has none
	gone     []withdrawnRecord
	goneAt   map[attest.Digest][]*record // the same, by artifact
	records  map[attest.Digest][]*record
	files    map[attest.Digest][]*record // about files of the artifact
	unclear  map[attest.Digest][]*record // by one of several principals, and nobody can say which
	payloads map[predicate.Basis]*record // the same, by what an approval names
	gaps     bool                        // something, somewhere in the chain, could not be seen

	// binding is true while it is worked out which artifacts play which step. In
	// that pass notBy, basis and sameRun, which ask about those artifacts, are
	// left out; so at least the right artifacts are bound, and at worst more, of
	// which the second pass then demands more.
	binding bool
	memo    map[key]*result
	active  map[key]bool
	bound   map[string]map[attest.Digest]Status   // by step: which artifacts play it, and how surely
	roles   map[stepRole]map[attest.Digest]Status // by step and role: what was taken there, and how surely
	taken   map[stepRole]*taken
	players map[string]*playing // by step
	// anywhere is whether nothing shows, somewhere in the ancestry, that all
	// evidence was seen; nil if nobody asked yet.
	anywhere *bool
	growing  map[string]bool // steps that unseen evidence may bind further artifacts to
	// growingUnproven are those to which removed evidence may have.
	growingUnproven map[string]bool
}

// A withdrawnRecord is evidence that does not count, and why.
type withdrawnRecord struct {
	*record
	why Reason
}

// A shared is what the evaluators of one verdict have together.
type shared struct {
	left   int // answers that may still be worked out
	limit  int
	others map[otherKey]*otherAnswer
}

// A key names one requirement: a step, of one artifact.
type key struct {
	step     string
	artifact attest.Digest
}

func newEvaluator(p *Policy, c verify.Chain, q Question) *evaluator {
	at, known := q.points()
	return &evaluator{
		p: p, d: p.doc, chain: c, t: q.without(), at: at, upTo: known,
		shared:   &shared{left: p.doc.limits.requirements, limit: p.doc.limits.requirements, others: map[otherKey]*otherAnswer{}},
		keys:     map[verify.Credential]*weighed{},
		records:  map[attest.Digest][]*record{},
		files:    map[attest.Digest][]*record{},
		unclear:  map[attest.Digest][]*record{},
		payloads: map[predicate.Basis]*record{},
		memo:     map[key]*result{},
		active:   map[key]bool{},
		bound:    map[string]map[attest.Digest]Status{},
		roles:    map[stepRole]map[attest.Digest]Status{},
		taken:    map[stepRole]*taken{},
		players:  map[string]*playing{},
		goneAt:   map[attest.Digest][]*record{},
	}
}

// begin sorts the evidence out, in this order: which keys count, what the status
// lists, which statements were withdrawn; and then which artifacts play which step.
func (ev *evaluator) begin() {
	ev.early = true
	ev.status = ev.readStatus()
	ev.early = false
	clear(ev.keys) // judged without the status, to read it
	for _, d := range ev.chain.Artifacts() {
		ev.gaps = ev.gaps || ev.gapped(d)
		node := ev.chain.Artifact(d)
		for _, e := range node.Evidence {
			ev.take(ev.records, d, e, false)
		}
		for _, e := range node.FileEvidence {
			ev.take(ev.files, d, e, true)
		}
	}
	ev.bind()
}

// find notes a record by what an approval would name it.
func (ev *evaluator) find(r *record) {
	if b := (predicate.Basis{Payload: r.id.Payload, Artifact: r.artifact}); ev.payloads[b] == nil {
		ev.payloads[b] = r // in the order of identities: the first of several signers
	}
}

// bind works out which artifacts play which step, until nothing is added.
func (ev *evaluator) bind() {
	ev.binding = true
	root := ev.chain.Root()
	var queue []key
	take := func(name string, d attest.Digest) {
		st := ev.satisfies(ev.d.step(name), d).status
		if st == Fail {
			return
		}
		if ev.bound[name] == nil {
			ev.bound[name] = map[attest.Digest]Status{}
		}
		if _, known := ev.bound[name][d]; !known {
			ev.bound[name][d] = st
			queue = append(queue, key{name, d})
		}
	}
	for _, name := range ev.d.artifact {
		take(name, root)
	}
	for visited := map[key]bool{}; ; {
		if len(queue) == 0 { // not on every level: a chain may have thousands
			for _, s := range ev.d.steps {
				if !s.produces() {
					for _, d := range ev.targets(s) {
						queue = append(queue, key{s.name, d})
					}
				}
			}
			queue = slices.DeleteFunc(queue, func(k key) bool { return visited[k] })
		}
		if len(queue) == 0 {
			break
		}
		pending := queue
		queue = nil
		for _, k := range pending {
			if visited[k] {
				continue
			}
			visited[k] = true
			for _, c := range ev.satisfies(ev.d.step(k.step), k.artifact).selected {
				ev.takeInputs(k.step, c, take)
			}
		}
	}
	ev.growing = ev.grows(ev.gapped)
	ev.growingUnproven = ev.growing
	if ev.status != nil {
		ev.growingUnproven = ev.grows(func(d attest.Digest) bool { return ev.unprovenAt(d, false) })
	}
	ev.binding = false
	ev.memo = map[key]*result{}
}

// takeInputs notes what a selected candidate took, and binds what it took
// through a from line.
func (ev *evaluator) takeInputs(name string, c *candidate, take func(string, attest.Digest)) {
	for _, cl := range c.claims {
		role := stepRole{name, cl.input.Role}
		if ev.roles[role] == nil {
			ev.roles[role] = map[attest.Digest]Status{}
		}
		ev.roles[role][cl.input.Digest] = max(ev.roles[role][cl.input.Digest], min(c.status(), cl.status))
		for _, from := range cl.line.from {
			take(from, cl.input.Digest)
		}
	}
}

// targets returns the artifacts that a step is about, sorted.
func (ev *evaluator) targets(s *step) []attest.Digest {
	if s.about == aboutArtifact {
		return []attest.Digest{ev.chain.Root()}
	}
	return sortedDigests(ev.bound[s.about])
}

func sortedDigests[V any](m map[attest.Digest]V) []attest.Digest {
	out := make([]attest.Digest, 0, len(m))
	for d := range m {
		out = append(out, d)
	}
	slices.SortFunc(out, attest.Digest.Compare)
	return out
}

// mayGrow reports whether a step may be played by further artifacts, for what
// another step says of all of them.
func (ev *evaluator) mayGrow(s *step, name string) bool {
	if s.acknowledge != "" {
		return ev.growing[name]
	}
	return ev.growingUnproven[name]
}

// grows returns the steps to which evidence that could not be seen may bind
// further artifacts: those from which an artifact of which evidence may be missing
// may take its inputs, and so on backwards.
func (ev *evaluator) grows(missing func(attest.Digest) bool) map[string]bool {
	out := map[string]bool{}
	var open func(s *step)
	open = func(s *step) {
		for _, l := range s.inputs {
			for _, name := range l.from {
				if !out[name] {
					out[name] = true
					open(ev.d.step(name))
				}
			}
		}
		for _, o := range ev.d.steps {
			if o.about == s.name && out[s.name] {
				open(o)
			}
		}
	}
	for _, name := range ev.d.artifact {
		out[name] = out[name] || missing(ev.chain.Root())
	}
	for _, s := range ev.d.steps {
		if out[s.name] || slices.ContainsFunc(ev.played(s), missing) {
			open(s)
		}
	}
	return out
}
