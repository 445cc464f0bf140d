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
	ev.active[k] = true
	defer delete(ev.active, k)
	r := &result{step: s, artifact: d}
	for _, rec := range ev.records[d] {
		if c := ev.candidate(s, rec); c != nil {
			ev.judge(s, d, c)
			r.candidates = append(r.candidates, c)
		}
	}
	ev.choose(r)
	ev.memo[k] = r
	return r
}

// candidate returns the record as a candidate of the step, and nil if it is none:
// other evidence, by somebody else, or outside of where.
func (ev *evaluator) candidate(s *step, rec *record) *candidate {
	if !rec.of(s) || !slices.Contains(s.by, rec.principal.name) {
		return nil
	}
	c := &candidate{record: rec, timed: Pass, eligible: Pass, sound: Pass}
	if rec.err != nil {
		c.hopeless = true
		c.fail(&c.eligible, Fail, Reason{Code: refusalCode(rec.err, attest.CodePredicateSchema), Why: "the signed predicate cannot be used: " + rec.err.Error()})
		return c
	}
	if s.where != nil {
		st, why := s.where.eval(rec.facts.Tree)
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
func (ev *evaluator) judge(s *step, d attest.Digest, c *candidate) {
	if c.hopeless {
		return
	}
	for _, why := range ev.timely(s, c.record, ev.t.At) {
		c.fail(&c.timed, Fail, why)
	}
	if s.kind != "" && c.principal.kind != s.kind {
		c.fail(&c.eligible, Fail, Reason{Code: attest.CodeIdentity, Why: fmt.Sprintf("%s is %s; the step asks for %s", c.principal.name, c.principal.kind, s.kind)})
	}
	if len(c.facts.Conditions) > 0 {
		c.fail(&c.eligible, Fail, Reason{Code: attest.CodeConditions, Why: fmt.Sprintf("%s approved with %d conditions, which nothing discharges", c.principal.name, len(c.facts.Conditions)),
			Next: "approve again without conditions once they are met"})
	}
	if path := ev.chain.Cycle(c.e); path != nil {
		c.fail(&c.sound, Fail, Reason{Code: attest.CodeChainCycle, Why: "its inputs lead back to its own subject: " + shortPath(path)})
		return
	}
	if !ev.binding {
		ev.separation(s, c)
		ev.rests(s, c)
	}
	for _, ru := range s.rules {
		ev.rule(s, ru, c)
	}
	ev.inputs(s, c)
}

func (ev *evaluator) rule(s *step, ru *rule, c *candidate) {
	st, why := ru.cel.eval(c.facts.Tree)
	res := RuleResult{ID: ru.id, Status: st, Message: ru.message, Controls: ru.controls, Payload: c.id.Payload}
	if !ev.binding { // nobody reads the values of the first pass
		res.Values = ru.cel.values(c.facts.Tree)
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
func (ev *evaluator) timely(s *step, r *record, at time.Time) []Reason {
	claimed, seen := r.claimed(), r.e.Seen()
	if claimed.IsZero() {
		return []Reason{{Code: attest.CodeTimeMissing, Why: "it does not say when it happened"}}
	}
	var out []Reason
	switch {
	case seen.IsZero() && !ev.d.unsafeTime:
		out = append(out, Reason{Code: attest.CodeTimeMissing, Why: fmt.Sprintf("nobody authenticated when %s signed", r.principal.name), Next: "with plain keys the policy must accept the signer's word: unsafeTime: claimed"})
	case !seen.IsZero() && (claimed.Before(seen.Add(-maxLag)) || claimed.After(seen.Add(skew))):
		out = append(out, Reason{Code: attest.CodeTimeWindow, Why: fmt.Sprintf("the one by %s claims %s, but was first seen %s", r.principal.name, stamp(claimed), stamp(seen))})
	}
	if claimed.After(at.Add(skew)) {
		out = append(out, Reason{Code: attest.CodeTimeWindow, Why: fmt.Sprintf("the one by %s claims %s, which is after %s", r.principal.name, stamp(claimed), stamp(at))})
	}
	if s.maxAge > 0 && at.Sub(claimed) > s.maxAge {
		out = append(out, Reason{Code: attest.CodeStale, Why: fmt.Sprintf("the one by %s is %s old, at most %s are allowed", r.principal.name, span(at.Sub(claimed)), span(s.maxAge)), Next: ev.remedy(s, r.artifact, s.by)})
	}
	if until := r.facts.ValidUntil; !until.IsZero() && at.After(until) {
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
		if ev.growing[name] || ev.growing[other.about] {
			c.fail(&c.eligible, Unknown, Reason{Code: attest.CodeQuorum, Why: fmt.Sprintf("whether %s also did %s cannot be seen: which artifacts play it is incomplete", c.principal.name, name)})
		}
		for _, d := range ev.played(other) {
			if ev.gapped(d) {
				c.fail(&c.eligible, Unknown, Reason{Code: attest.CodeQuorum, About: d.String(), Why: fmt.Sprintf("whether %s also did %s cannot be seen: evidence about %s is incomplete", c.principal.name, name, d.Short())})
			}
			for _, r := range ev.records[d] {
				if r.principal != c.principal || !r.of(other) {
					continue
				}
				st := Fail
				if bound, ok := ev.bound[name][d]; ok && bound == Unknown {
					st = Unknown
				}
				c.fail(&c.eligible, st, Reason{Code: attest.CodeQuorum, About: r.id.Payload.String(),
					Why:  fmt.Sprintf("%s also signed %s of %s, so %s does not count here", c.principal.name, name, d.Short(), c.principal.name),
					Next: "somebody else must sign " + s.name})
				break // one is enough; a thousand would be a thousand reasons for each candidate
			}
		}
	}
}

// separated reports whether the principal signed evidence of a step that must be
// somebody else's, so that whatever they sign of s does not count.
func (ev *evaluator) separated(s *step, p *principal) bool {
	for _, name := range s.notBy {
		other := ev.d.step(name)
		for _, d := range ev.played(other) {
			if slices.ContainsFunc(ev.records[d], func(r *record) bool { return r.principal == p && r.of(other) }) {
				return true
			}
		}
	}
	return false
}

// played returns the artifacts that play a step: those bound to it, and for a
// step about artifacts those that it is about.
func (ev *evaluator) played(s *step) []attest.Digest {
	if s.produces() {
		return sortedDigests(ev.bound[s.name])
	}
	return ev.targets(s)
}
