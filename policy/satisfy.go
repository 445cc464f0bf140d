package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A result is the answer to "does this artifact satisfy this step?".
type result struct {
	step       *step
	artifact   attest.Digest
	at         []attest.Digest // where its evidence lies: the artifact, and parents it is carried over from
	open       bool            // from which parents evidence carries over cannot be seen
	status     Status
	candidates []*candidate // by ID
	selected   []*candidate // those of them that the step selects, by ID
	reasons    []Reason
}

// A candidate is evidence that could satisfy a step, with the answers about it.
type candidate struct {
	*record
	timed    Status // time, judged now
	eligible Status // kind, basis, separation of duties
	sound    Status // rules and inputs
	reasons  []Reason
	rules    []RuleResult
	claims   []claim
	hopeless bool // undecodable: no further evidence could supersede it
}

func (c *candidate) status() Status { return min(c.timed, c.eligible, c.sound) }

// A claim is one input and the line of the step that claims it.
type claim struct {
	input  predicate.Input
	line   *line
	status Status
}

// satisfies works out one requirement, once.
func (ev *evaluator) satisfies(s *step, d attest.Digest) *result {
	k := key{s.name, d}
	if r := ev.memo[k]; r != nil {
		return r
	}
	if ev.active[k] {
		// The walk of evidence comes back to where it began. Each candidate on the
		// way fails for its own cycle; this answer only ends the recursion.
		return &result{step: s, artifact: d, reasons: []Reason{{Code: attest.CodeChainCycle, About: d.String(), Why: "its ancestry leads back to itself"}}}
	}
	if ev.shared.left--; ev.shared.left < 0 {
		return &result{step: s, artifact: d, status: Unknown, reasons: []Reason{{Code: attest.CodeLimit, About: d.String(),
			Why: fmt.Sprintf("more than %d answers would be needed (limits.requirements)", ev.shared.limit), Next: "raise limits.requirements, if the chain is honest"}}}
	}
	ev.active[k] = true
	defer delete(ev.active, k)
	r := &result{step: s, artifact: d, at: []attest.Digest{d}}
	if len(s.carries) > 0 {
		ev.carry(r)
	}
	for _, at := range r.at {
		for _, rec := range ev.about(s, at) {
			if c := ev.candidate(s, rec); c != nil {
				ev.judge(s, c)
				r.candidates = append(r.candidates, c)
			}
		}
	}
	if s.covers != "" {
		ev.cover(r)
	}
	if len(r.at) > 1 {
		slices.SortFunc(r.candidates, func(a, b *candidate) int { return compareRecords(a.record, b.record) })
	}
	ev.choose(r)
	ev.memo[k] = r
	return r
}

// about returns the records that may be evidence of the step about d: about the
// artifact itself, and where the step says so about its files.
func (ev *evaluator) about(s *step, d attest.Digest) []*record {
	if s.covers == "" {
		return ev.records[d]
	}
	return slices.Concat(ev.records[d], ev.files[d])
}

// candidate returns the record as a candidate of the step, and nil if it is none:
// other evidence, by somebody else, or outside of where.
func (ev *evaluator) candidate(s *step, rec *record) *candidate {
	if !rec.of(s) || !slices.Contains(s.by, rec.principal.name) {
		return nil
	}
	if ev.d.elsewhere(rec, s) {
		return nil
	}
	c := &candidate{record: rec, timed: Pass, eligible: Pass, sound: Pass}
	if rec.err != nil {
		c.hopeless = true
		c.fail(&c.eligible, Fail, Reason{Code: refusalCode(rec.err, attest.CodePredicateSchema), Why: "the signed predicate cannot be used: " + rec.err.Error()})
		return c
	}
	if s.where != nil {
		st, why := s.where.eval(ev.scene(rec))
		if st == Fail && why == nil {
			return nil
		}
		if why != nil {
			why.Why = "where: " + why.Why
			c.fail(&c.eligible, st, *why)
		}
	}
	return c
}

func refusalCode(err error, otherwise attest.Code) attest.Code {
	if c := attest.RefusalCode(err); c != "" {
		return c
	}
	return otherwise
}

// fail lowers one of the candidate's answers and notes why.
func (c *candidate) fail(answer *Status, st Status, why Reason) {
	*answer = min(*answer, st)
	if why.About == "" {
		why.About = c.id.Payload.String()
	}
	c.reasons = append(c.reasons, why)
}

// judge answers everything about one candidate, whatever the first answer is.
func (ev *evaluator) judge(s *step, c *candidate) {
	if c.doubt != nil {
		c.fail(&c.eligible, Unknown, *c.doubt)
	}
	if c.hopeless {
		return
	}
	for _, why := range ev.timely(s, c.record, ev.at) {
		c.fail(&c.timed, Fail, why)
	}
	if s.kind != "" && c.principal.kind != s.kind {
		c.fail(&c.eligible, Fail, Reason{Code: attest.CodeIdentity, Why: fmt.Sprintf("%s is %s; the step asks for %s", c.principal.name, c.principal.kind, s.kind)})
	}
	if role := c.facts.Role; role != "" && len(s.roles) > 0 && !slices.Contains(c.principal.roles, role) {
		c.fail(&c.eligible, Fail, Reason{Code: attest.CodeIdentity, Why: fmt.Sprintf("%s signed as %.60q, a role that the policy does not give them", c.principal.name, role)})
	}
	if s.samePolicy && c.facts.Policy != ev.p.digest {
		c.fail(&c.eligible, Fail, Reason{Code: attest.CodeBasis, Why: fmt.Sprintf("%s approved under another policy than this one (%s)", c.principal.name, ev.p.digest.Short()), Next: "approve again under this policy"})
	}
	ev.floor(s, c)
	if path := ev.chain.Cycle(c.e); path != nil {
		c.fail(&c.sound, Fail, Reason{Code: attest.CodeChainCycle, Why: "its inputs lead back to its own subject: " + shortPath(path)})
		return
	}
	ev.conditions(s, c)
	if !ev.binding {
		ev.separation(s, c)
		ev.rests(s, c)
		ev.compare(s, c)
		ev.precedes(s, c)
	}
	for _, ru := range s.rules {
		ev.rule(s, ru, c)
	}
	ev.inputs(s, c)
}

func (ev *evaluator) rule(s *step, ru *rule, c *candidate) {
	ev.ruleOver(s, ru, c, ev.scene(c.record))
}

// scene is what an expression sees of one record.
func (ev *evaluator) scene(r *record) scene {
	return scene{predicate: r.facts.Tree, signer: r.signer(), context: ev.t.Context}
}

func (ev *evaluator) ruleOver(s *step, ru *rule, c *candidate, sc scene) {
	st, why := ru.cel.eval(sc)
	res := RuleResult{ID: ru.id, Status: st, Message: ru.message, Controls: ru.controls, Payload: c.id.Payload}
	if !ev.binding { // nobody reads the values of the first pass
		res.Values = ru.cel.values(sc)
	}
	c.rules = append(c.rules, res)
	if st == Pass {
		return
	}
	if why == nil {
		why = &Reason{Code: attest.CodeRule, Why: ru.message + shown(res.Values), Next: fmt.Sprintf("an artifact of which %s shows that %s", s.name, ru.cel.source)}
	} else {
		why.Why = fmt.Sprintf("%s (%s)", ru.message, why.Why)
	}
	why.About = "rule " + ru.id
	c.fail(&c.sound, st, *why)
}

func shown(values []Value) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, v.Expression+" is "+v.Value)
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// maxShownPath keeps a cycle readable.
const maxShownPath = 8

func shortPath(path []attest.Digest) string {
	var parts []string
	for i, d := range path {
		if i == maxShownPath {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, d.Short())
	}
	return strings.Join(parts, " ← ")
}

// timely returns why evidence does not count at the moment at: no time, one that
// nobody authenticated, in the future, or too old.
func (ev *evaluator) timely(s *step, r *record, at point) []Reason {
	first := r.when()
	out := ev.dated(r, at)
	if first.IsZero() {
		// A type without a time of its own: nothing says how old it is.
		if s.maxAge > 0 || s.minAge > 0 {
			out = append(out, Reason{Code: attest.CodeTimeMissing, Why: "it does not say when it happened, and the step asks how old it is"})
		}
		return out
	}
	if s.minAge > 0 && at.younger(r.last, s.minAge) {
		out = append(out, Reason{Code: attest.CodeTimeWindow, Why: fmt.Sprintf("the one by %s is %s old, at least %s are asked for", r.principal.name, span(max(at.age(r.last), 0)), span(s.minAge)), Next: "wait until " + stamp(r.last.Add(s.minAge))})
	}
	if s.maxAge > 0 && at.older(first, s.maxAge) {
		out = append(out, Reason{Code: attest.CodeStale, Why: fmt.Sprintf("the one by %s is %s old, at most %s are allowed", r.principal.name, span(at.age(first)), span(s.maxAge)), Next: ev.remedy(s, r.artifact, s.by)})
	}
	if until := r.facts.ValidUntil; !until.IsZero() && at.after(until) {
		out = append(out, Reason{Code: attest.CodeStale, Why: fmt.Sprintf("the one by %s was valid until %s", r.principal.name, stamp(until)), Next: ev.remedy(s, r.artifact, s.by)})
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span writes a duration in days and hours, as people count ages.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}

// separation excludes a candidate whose principal also signed, counted or not,
// evidence of a step that must be somebody else's.
func (ev *evaluator) separation(s *step, c *candidate) {
	for _, name := range s.notBy {
		other := ev.d.step(name)
		if ev.mayGrow(s, name) || ev.mayGrow(s, other.about) {
			c.fail(&c.eligible, Unknown, Reason{Code: attest.CodeQuorum, Why: fmt.Sprintf("whether %s also did %s cannot be seen: which artifacts play it is incomplete", c.principal.name, name)})
		}
		all := ev.playing(other)
		if d := all.unseen[s.acknowledge != ""]; !d.IsZero() {
			c.fail(&c.eligible, Unknown, Reason{Code: attest.CodeQuorum, About: d.String(), Why: fmt.Sprintf("whether %s also did %s cannot be seen: evidence about %s is incomplete", c.principal.name, name, d.Short())})
		}
		// One is enough; a thousand would be a thousand reasons for each candidate.
		if did, ok := all.signed[c.principal]; ok {
			c.fail(&c.eligible, maybeBound(did.surely), Reason{Code: attest.CodeQuorum, About: did.record.id.Payload.String(),
				Why:  fmt.Sprintf("%s also signed %s of %s, so %s does not count here", c.principal.name, name, did.artifact.Short(), c.principal.name),
				Next: "somebody else must sign " + s.name})
		}
	}
}

// elsewhere reports whether an approval belongs to another step: one that says that
// conditions are met belongs to the step that discharges them, and one that does
// not to the others. What cannot be read may belong to any.
func (d *document) elsewhere(r *record, s *step) bool {
	return r.err == nil && s.predicate == predicate.TypeApproval && (len(r.facts.Discharges) > 0) != d.consulted(s.name)
}

// signed returns the records that may be evidence of a step about d, counted or
// not: about it, about its files, and about parents from which it may carry over.
// What was withdrawn is among them: who signed it has signed it, or whoever made
// something could take that back and approve it. It asks for nobody's answers,
// because those may ask for separation in turn.
func (ev *evaluator) signed(s *step, d attest.Digest) []*record {
	if len(s.carries) == 0 {
		return ev.ever(s, d)
	}
	var out []*record
	seen := map[attest.Digest]bool{d: true}
	for queue := []attest.Digest{d}; len(queue) > 0; queue = queue[1:] {
		out = append(out, ev.ever(s, queue[0])...)
		for _, rule := range s.carries {
			maker := ev.d.step(rule.step)
			for _, r := range ev.ever(maker, queue[0]) {
				for _, in := range r.facts.Inputs {
					if r.of(maker) && !seen[in.Digest] && ev.unchanged(in.Digest, queue[0], rule.added) != Fail {
						seen[in.Digest] = true
						queue = append(queue, in.Digest)
					}
				}
			}
		}
	}
	return out
}

// ever is about, with what was withdrawn.
func (ev *evaluator) ever(s *step, d attest.Digest) []*record {
	out := ev.about(s, d)
	for _, r := range ev.goneAt[d] {
		if !r.file || s.covers != "" {
			out = append(slices.Clip(out), r)
		}
	}
	return out
}

// separated reports whether the principal signed evidence of a step that must be
// somebody else's, so that whatever they sign of s does not count.
func (ev *evaluator) separated(s *step, p *principal) bool {
	for _, name := range s.notBy {
		if _, ok := ev.playing(ev.d.step(name)).signed[p]; ok {
			return true
		}
	}
	return false
}
