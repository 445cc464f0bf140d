package lineage

import (
	"context"
	"maps"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// A differ compares two chains. Pairs of artifacts wait in a queue: the chains may
// be ten thousand deep.
type differ struct {
	a, b half
	o    DiffOptions
	out  *Difference

	at       map[pair]int // the change in which two artifacts are compared
	queue    []int        // changes whose artifacts are still to be compared
	reworded map[attest.Digest]bool
	records  map[recordKey]int
	seen     map[counted]bool
	gaps     map[Gap]bool
	partners map[attest.Digest]int // with how many others an artifact was compared
	work     int
	full     bool  // no more is listed
	content  int64 // bytes of files that were read
}

type pair struct{ a, b attest.Digest }

// counted is a thing that Counts has.
type counted struct {
	how How // "" for what is the same
	pair
}

// A half is one of the two chains.
type half struct {
	chain verify.Chain
	o     SideOptions
	// roles are those in which the chain uses an artifact, sorted.
	roles map[attest.Digest][]string
	// said is what each statement beside an artifact is; made when it is needed.
	said map[predicate.Basis]string
}

func newHalf(c verify.Chain, o SideOptions) half {
	h := half{chain: c, o: o, roles: map[attest.Digest][]string{}}
	for _, e := range c.Edges() { // sorted by role, within one product
		if list := h.roles[e.To]; !slices.Contains(list, e.Role) {
			h.roles[e.To] = append(list, e.Role)
		}
	}
	for _, list := range h.roles {
		slices.Sort(list)
	}
	return h
}

// what names a statement that a basis lists; "" if it is not in the chain.
func (h *half) what(b predicate.Basis) string {
	if h.said == nil {
		h.said = map[predicate.Basis]string{}
		for _, d := range h.chain.Artifacts() {
			a := h.chain.Artifact(d)
			for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
				h.said[predicate.Basis{Payload: e.ID().Payload, Artifact: d}] = StepOf(e)
			}
		}
	}
	return h.said[b]
}

func (d *differ) run(ctx context.Context) error {
	d.reworded = map[attest.Digest]bool{}
	for _, digest := range d.a.chain.Artifacts() {
		if y := d.b.chain.Artifact(digest); y != nil && !sameEvidence(d.a.chain.Artifact(digest), y) {
			d.reworded[digest] = true
		}
	}
	roots := pair{d.a.chain.Root(), d.b.chain.Root()}
	d.meet(ArtifactChange{Of: -1}, roots, &InputSeen{Digest: roots.a}, &InputSeen{Digest: roots.b})
	if err := d.compareAll(ctx); err != nil {
		return err
	}
	// Behind what is the same on both sides nothing was aligned. Somebody may have said
	// something there all the same, in one of two repositories.
	for _, digest := range slices.SortedFunc(maps.Keys(d.reworded), attest.Digest.Compare) {
		if _, ok := d.at[pair{digest, digest}]; !ok {
			d.meet(ArtifactChange{Of: -1}, pair{digest, digest}, &InputSeen{Digest: digest}, &InputSeen{Digest: digest})
		}
	}
	if err := d.compareAll(ctx); err != nil {
		return err
	}
	for g := range d.gaps {
		d.out.Gaps = append(d.out.Gaps, g)
	}
	sortGaps(d.out.Gaps)
	return nil
}

func sameEvidence(x, y *verify.Artifact) bool {
	same := func(a, b verify.Evidence) bool { return a.ID() == b.ID() }
	return slices.EqualFunc(x.Evidence, y.Evidence, same) && slices.EqualFunc(x.FileEvidence, y.FileEvidence, same)
}

func (d *differ) compareAll(ctx context.Context) error {
	for len(d.queue) > 0 && !d.full {
		i := d.queue[0]
		d.queue = d.queue[1:]
		if err := ctx.Err(); err != nil {
			return &attest.Refusal{Code: attest.CodeInterrupted, Why: "the comparison was stopped", Err: err}
		}
		if err := d.compare(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// count counts a thing, once.
func (d *differ) count(how How, p pair) {
	key := counted{how, p}
	if d.seen[key] {
		return
	}
	d.seen[key] = true
	switch c := &d.out.Counts; how {
	case HowReplaced:
		c.Replaced++
	case HowAdded:
		c.Added++
	case HowRemoved:
		c.Removed++
	case HowRecords:
		c.Records++
	default:
		c.Same++
	}
}

// list appends a change, and returns its index; -1 if there are too many.
func (d *differ) list(c ArtifactChange, p pair) int {
	d.count(c.How, p)
	if len(d.out.Changes) >= maxDiffChanges {
		d.gap(oneOf(p.b, p.a), attest.CodeLimit)
		d.full = true
		return -1
	}
	d.out.Changes = append(d.out.Changes, c)
	return len(d.out.Changes) - 1
}

// oneOf returns the first of two digests that is not zero.
func oneOf(a, b attest.Digest) attest.Digest {
	if a.IsZero() {
		return b
	}
	return a
}

func (d *differ) gap(artifact attest.Digest, code attest.Code) {
	d.gaps[Gap{Artifact: artifact, Code: code}] = true
}

// meet takes two artifacts that stand in the same place. It reports whether they
// are the same, and everything that was said about them too.
func (d *differ) meet(c ArtifactChange, p pair, a, b *InputSeen) (same bool) {
	c.How, c.A, c.B = HowReplaced, a, b
	if p.a == p.b {
		if !d.reworded[p.a] {
			d.count("", p)
			return true
		}
		if _, ok := d.at[p]; ok {
			return true // listed where it was met first: here nothing changed
		}
		c.How = HowRecords
	} else if !p.a.IsCommit() && !p.b.IsCommit() { // one repository has code and harness
		c.RolesInA, c.RolesInB = otherRoles(d.a.roles[p.b], c.Role), otherRoles(d.b.roles[p.a], c.Role)
	}
	if before, ok := d.at[p]; ok {
		c.See = &before
	}
	i := d.list(c, p)
	switch {
	case i < 0 || c.See != nil || p.a.IsZero() || p.b.IsZero():
	case d.partners[p.a] >= maxPartners || d.partners[p.b] >= maxPartners:
		d.gap(oneOf(p.b, p.a), attest.CodeLimit)
	default:
		d.partners[p.a]++
		d.partners[p.b]++
		d.at[p] = i
		d.queue = append(d.queue, i)
	}
	return false
}

// otherRoles returns the roles but for one, if there are any.
func otherRoles(roles []string, role string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == role || r == "" })
}

// alone takes an artifact that only one side has in its place.
func (d *differ) alone(c ArtifactChange, in *InputSeen) {
	var p pair
	there := d.b.roles[in.Digest]
	if c.How == HowAdded {
		there = d.a.roles[in.Digest]
	}
	if in.Digest.IsCommit() || slices.Contains(there, c.Role) {
		there = nil // in the same role, elsewhere in the chain
	}
	if c.How == HowAdded {
		c.B, p.b, c.RolesInA = in, in.Digest, otherRoles(there, c.Role)
	} else {
		c.A, p.a, c.RolesInB = in, in.Digest, otherRoles(there, c.Role)
	}
	d.list(c, p)
}

// compare compares the two artifacts of a change. Their inputs join the queue.
func (d *differ) compare(ctx context.Context, i int) error {
	c := d.out.Changes[i]
	x, y := d.a.chain.Artifact(c.A.Digest), d.b.chain.Artifact(c.B.Digest)
	if x == nil || y == nil {
		c.Unfollowed = true
		x, y = &verify.Artifact{}, &verify.Artifact{} // one side alone is no comparison
	}
	left, right := d.evidence(x), d.evidence(y)
	if d.work += len(x.Files) + len(y.Files) + left.size + right.size; d.work > maxDiffWork {
		d.gap(oneOf(c.B.Digest, c.A.Digest), attest.CodeLimit)
		return nil
	}
	c.Steps = d.steps(left, right)
	c.Evaluations = d.evaluations(left, right)
	c.Approvals = d.approvals(left, right)
	c.Others = d.others(left, right)
	if c.A.Digest != c.B.Digest {
		if err := d.bytes(ctx, &c, x, y); err != nil {
			return err
		}
	}
	if i == 0 {
		d.out.A.Policies, d.out.B.Policies = d.policies(&d.a, left), d.policies(&d.b, right)
	}
	d.out.Changes[i] = c
	d.out.Changes[i].Same = d.inputs(i, left, right)
	return nil
}

// said is what was said about one artifact, by kind. Records whose predicate cannot
// be read are among the others.
type said struct {
	provenance  []verify.Evidence
	evaluations []verify.Evidence
	approvals   []verify.Evidence
	others      []verify.Evidence
	size        int
}

func (d *differ) evidence(a *verify.Artifact) *said {
	s := &said{}
	for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
		facts, err := e.Facts()
		s.size += 1 + len(facts.Inputs) + len(facts.Basis)
		switch {
		case err != nil:
			s.others = append(s.others, e)
		case facts.Type == predicate.TypeProvenance:
			s.provenance = append(s.provenance, e)
		case facts.Type == predicate.TypeEvaluation:
			s.evaluations = append(s.evaluations, e)
		case facts.Type == predicate.TypeApproval:
			s.approvals = append(s.approvals, e)
		default:
			s.others = append(s.others, e)
		}
	}
	return s
}

// record returns the index of a record, listing it if need be.
func (d *differ) record(h *half, e verify.Evidence) int {
	key := recordKey{e.About(), e.ID()}
	i, ok := d.records[key]
	if !ok {
		i = len(d.out.Records)
		d.records[key] = i
		r := RecordOf(e, d.o.Reading)
		switch e.PredicateType() {
		case predicate.TypeProvenance, predicate.TypeEvaluation, predicate.TypeApproval:
			r.Facts = nil // what of them differs stands beside the changes
		}
		d.out.Records = append(d.out.Records, r)
	}
	if h.o.Counts != nil {
		r := &d.out.Records[i]
		if r.Counts == nil {
			r.Counts = []string{}
		}
		for _, step := range h.o.Counts(e.ID()) {
			if !slices.Contains(r.Counts, step) {
				r.Counts = append(r.Counts, step)
			}
		}
		slices.Sort(r.Counts)
	}
	return i
}

func (d *differ) recordAll(h *half, list []verify.Evidence) []int {
	out := make([]int, 0, len(list))
	for _, e := range list {
		out = append(out, d.record(h, e))
	}
	return out
}
