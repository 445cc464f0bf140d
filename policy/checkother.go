package policy

import (
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// checkFile looks at what stands beside the steps.
func (r *documentReader) checkFile() {
	d := r.doc
	for _, c := range d.contexts {
		for _, n := range c.require {
			switch s := d.step(n); {
			case s == nil:
				r.problem(c.pos, attest.CodePolicyParse, "context %s: there is no step %q%s", c.name, n, didYouMean(n, r.stepNames()))
			case s.produces():
				r.problem(c.pos, attest.CodePolicyParse, "context %s: step %s makes an artifact; contexts tell which steps about artifacts (about) are required", c.name, n)
			case d.consulted(n):
				r.problem(c.pos, attest.CodePolicyParse, "context %s: step %s discharges conditions, and is required only where there are some", c.name, n)
			}
		}
	}
	if d.status != nil {
		r.checkPrincipals(d.status.pos, "status: by", d.status.by)
	}
	for _, v := range d.revocation {
		r.checkPrincipals(v.pos, "revocation: by", v.by)
		if len(v.by) > 0 && v.threshold > len(v.by) {
			r.problem(v.pos, attest.CodePolicyParse, "revocation: threshold %d cannot be met by %d principals", v.threshold, len(v.by))
		}
	}
	for _, x := range d.deny {
		r.checkPrincipals(x.pos, "deny: by", x.by)
		if len(x.by) > 0 && x.threshold > len(x.by) {
			r.problem(x.pos, attest.CodePolicyParse, "deny: threshold %d cannot be met by %d principals", x.threshold, len(x.by))
		}
	}
	if d.access != nil {
		r.checkPrincipals(d.access.pos, "access: by", d.access.by)
	}
	if f := d.formats; f != nil && f.scan != "" {
		if s := d.step(f.scan); s == nil || s.about != aboutArtifact {
			r.problem(f.pos, attest.CodePolicyParse, "formats: scan names %q, which is no step about the judged artifact (about: artifact)", f.scan)
		}
	}
	for _, o := range d.policies {
		r.checkOther(o)
	}
}

// checkOther looks at a policy that judges inputs, and at who may sum it up.
func (r *documentReader) checkOther(o *otherPolicy) {
	if o.policy != nil && o.context == "" && len(o.policy.doc.contexts) > 0 {
		r.problem(o.pos, attest.CodePolicyParse, "policy %s tells contexts apart; say which is asked for: context: one of %s", o.name, strings.Join(o.policy.Contexts(), ", "))
	}
	if o.policy != nil && o.context != "" && !slices.Contains(o.policy.Contexts(), o.context) {
		r.problem(o.pos, attest.CodePolicyParse, "policy %s has no context %q", o.name, o.context)
	}
	used := false
	for _, s := range r.doc.steps {
		used = used || slices.ContainsFunc(s.inputs, func(l *line) bool { return l.policy == o.name })
	}
	if !used {
		r.problem(o.pos, attest.CodePolicyParse, "policy %s judges no input: it would never be asked", o.name)
	}
	if o.vsa == nil {
		return
	}
	r.checkPrincipals(o.pos, "vsa: by", o.vsa.by)
	if o.vsa.acknowledge == "" && r.doc.status == nil {
		r.problem(o.pos, attest.CodePolicyParse, "policy %s: vsa rests on no newer summary being hidden; say who lists what there is (status), or why that is acceptable: acknowledgeAbsence: \"…\"", o.name)
	}
	if o.policy == nil {
		return
	}
	// Who made the thing could pass it by their own word.
	for _, n := range o.vsa.by {
		p := r.doc.principal(n)
		if p == nil {
			continue
		}
		for _, s := range o.policy.doc.steps {
			for _, maker := range s.by {
				other := o.policy.doc.principal(maker)
				if s.produces() && other != nil && p.meets(other) {
					r.problem(o.pos, attest.CodePolicyParse, "policy %s: %s, who may do %s there, may not sum it up: the summary would be about their own work", o.name, n, s.name)
				}
			}
		}
	}
}

func (r *documentReader) checkPrincipals(pos position, what string, names []string) {
	for _, n := range names {
		if r.doc.principal(n) == nil {
			r.problem(pos, attest.CodePolicyParse, "%s names %q, which is no principal%s", what, n, didYouMean(n, r.principalNames()))
		}
	}
}

// checkRelations looks at what one step says of others.
func (r *documentReader) checkRelations(s *step) {
	d := r.doc
	about := func(key, name string) *step {
		other := d.step(name)
		if other == nil || other.produces() {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: %s names %q, which is no step about an artifact%s", s.name, key, name, didYouMean(name, r.stepNames()))
			return nil
		}
		return other
	}
	for _, c := range s.compare {
		if d.step(c.with) == nil {
			r.problem(c.pos, attest.CodePolicyParse, "compare: there is no step %q%s", c.with, didYouMean(c.with, r.stepNames()))
		}
		for _, role := range c.sameInputs {
			if !hasRole(s, role) {
				r.problem(c.pos, attest.CodePolicyParse, "sameInputs: step %s has no input of role %q", s.name, role)
			}
		}
	}
	if s.conditions != nil {
		if other := about("conditions", s.conditions.dischargedBy); other != nil && (other.about != aboutArtifact || other.predicate != s.predicate) {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: conditions are discharged by approvals of the judged artifact; %s is no such step", s.name, other.name)
		}
	}
	for _, c := range s.carries {
		if other := d.step(c.step); other == nil || !other.produces() {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: carriesOver names %q, which is no step that makes artifacts", s.name, c.step)
		} else if !slices.ContainsFunc(other.inputs, func(l *line) bool { return len(l.from) > 0 || l.policy != "" }) {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: carriesOver: %s takes nothing from a step, so it has no parent to carry from", s.name, c.step)
		}
	}
	for _, n := range s.before {
		if other := d.step(n); other == nil || !other.produces() {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: before names %q, which is no step that makes artifacts", s.name, n)
		}
	}
}

func hasRole(s *step, role string) bool {
	return slices.ContainsFunc(s.inputs, func(l *line) bool { return l.role == role })
}

// checkRoles refuses places that the step's principals cannot fill.
func (r *documentReader) checkRoles(s *step) {
	if len(s.roles) == 0 {
		return
	}
	var able []*principal
	for _, n := range s.by {
		if p := r.doc.principal(n); p != nil && (s.kind == "" || p.kind == s.kind) {
			able = append(able, p)
		}
	}
	if len(able) > 0 && !filled(s.roles, able, func(p *principal) []string { return p.roles }) {
		r.problem(s.pos, attest.CodePolicyParse, "step %s: its principals cannot fill the roles it asks for (%s), one person one place", s.name, placesText(s.roles))
	}
}
