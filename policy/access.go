package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// No access beyond what the policy allows: every grant about the judged artifact by a
// principal of the policy is held to the bound, whoever made it. A grant that gives
// on another one must be whole: a broken one is somebody who acts as if they had been
// given something, and whatever obeys grants may not look as closely.

// access asks that no grant in force goes beyond the policy's bound.
func (t *telling) access() {
	ev := t.ev
	rule := ev.d.access
	if rule == nil {
		return
	}
	root := ev.chain.Root()
	r := Requirement{Step: StepAccess, Artifact: root, Status: Pass, By: rule.by}
	grants := slices.Concat(ev.records[root], ev.files[root]) // what is granted to a file is granted to what holds it
	sortRecords(grants)
	for _, g := range grants {
		if g.e.PredicateType() != predicate.TypeAccess || g.err == nil && !ev.lasting(g.facts.Access) {
			continue
		}
		st, reasons := ev.judgeGrant(rule, g)
		r.Status = min(r.Status, st)
		for _, why := range reasons {
			if len(r.Reasons) < maxReasons {
				r.Reasons = append(r.Reasons, why)
			}
		}
		r.Selected = append(r.Selected, Counted{Payload: g.id.Payload, Credential: g.id.Credential.String(), Principal: g.principal.name, Claims: g.shownClaims(), Claimed: g.claimed().UTC(), Status: st})
	}
	if ev.unprovenAt(root, rule.acknowledge != "") && r.Status != Fail {
		r.Status = Unknown
		r.Reasons = append(r.Reasons, Reason{Code: attest.CodeStatus, About: root.String(), Why: "whether something more was granted cannot be seen", Next: ev.lookAgain(attest.CodeStatus)})
	}
	t.add(r)
}

// lasting reports whether the time of the question lies in a grant's time.
func (ev *evaluator) lasting(f *predicate.AccessFacts) bool {
	return !ev.at.before(f.NotBefore) && !ev.at.ahead(f.GrantedAt) && ev.at.before(f.NotAfter)
}

// judgeGrant answers for one grant that was not withdrawn.
func (ev *evaluator) judgeGrant(rule *accessRule, g *record) (Status, []Reason) {
	about, end := g.id.Payload.String(), ev.endGrant(g)
	var reasons []Reason
	st := Pass
	note := func(s Status, why Reason) {
		st = min(st, s)
		reasons = append(reasons, why)
	}
	if g.err != nil {
		note(Fail, Reason{Code: attest.RefusalCode(g.err), About: about, Why: fmt.Sprintf("%s granted something that nobody can read: %v", g.principal.name, g.err), Next: end})
	} else {
		f := g.facts.Access
		if over := f.Beyond(rule.bound); len(over) > 0 {
			note(Fail, Reason{Code: attest.CodeAccess, About: about, Why: fmt.Sprintf("%s granted more than is allowed: %s", g.principal.name, predicate.Excess(over)), Next: end + "; or allow it in the policy: access"})
		}
		if s, why := ev.wholeDelegation(rule, g); s != Pass {
			if why.Next = cmp.Or(why.Next, end); s == Fail {
				why.About = about
			}
			note(s, *why)
		}
	}
	if g.doubt != nil && st == Fail {
		// Withdrawn, it would be none of these.
		return Unknown, append(reasons, *g.doubt)
	}
	return st, reasons
}

// endGrant says how a grant is ended before its time.
func (ev *evaluator) endGrant(g *record) string {
	if len(ev.d.revocation) == 0 {
		return "say in the policy who may revoke (revocation), and revoke it"
	}
	return fmt.Sprintf("pedigree revoke %s --payload %s --reason TEXT %s (by %s, or who may revoke statements)", RemedyRepository, g.id.Payload, ev.d.signWith(g.principal.name), g.principal.name)
}

// wholeDelegation answers whether a grant that gives on another one is no more than
// that, signed by whom it is for, and whether that one holds and is whole in its turn.
// A grant that was not delegated is whole whoever made it: the bound is for all.
//
// It ends, and is never deeper than predicate.MaxDelegations: a child is only
// followed if its mayDelegate is less than its parent's.
func (ev *evaluator) wholeDelegation(rule *accessRule, g *record) (Status, *Reason) {
	ref := g.facts.Access.Parent
	if ref.Payload.IsZero() {
		return Pass, nil
	}
	broken := func(format string, args ...any) (Status, *Reason) {
		return Fail, &Reason{Code: attest.CodeDelegation, About: g.id.Payload.String(), Why: fmt.Sprintf("the grant by %s gives on what its giver did not have: ", g.principal.name) + fmt.Sprintf(format, args...)}
	}
	st, why := broken("there is no grant %s about %s by a principal of the policy", ref.Payload.Short(), ref.Artifact.Short())
	nodes := slices.DeleteFunc([]*verify.Artifact{ev.chain.Artifact(ref.Artifact), ev.chain.Consulted(ref.Artifact)}, func(n *verify.Artifact) bool { return n == nil })
	var unseen attest.Code
	switch {
	case len(nodes) == 0:
		unseen = attest.CodeLimit // nobody looked there
	case ev.status != nil && ev.status.missing[ref.Artifact]:
		unseen = attest.CodeStatus
	}
	for _, node := range nodes {
		if len(node.Gaps) > 0 {
			unseen = node.Gaps[0].Code
		}
		for _, e := range slices.Concat(node.Evidence, node.FileEvidence) {
			if e.PredicateType() != predicate.TypeAccess || e.ID().Payload != ref.Payload {
				continue
			}
			for _, parent := range ev.known(ref.Artifact, e) {
				if parent.unclear() {
					continue // by nobody of the policy
				}
				if s, because := ev.parentHolds(rule, g, parent, node); because == nil {
					return Pass, nil
				} else if s == Unknown {
					st, why = s, because
				} else if st == Fail {
					st, why = broken("%s", because.Why)
				}
			}
		}
	}
	if st == Fail && unseen != "" {
		return Unknown, &Reason{Code: unseen, About: ref.Artifact.String(), Why: fmt.Sprintf("the grant that %s gives on may be about %s, and that could not be completely seen", g.principal.name, ref.Artifact.Short()), Next: ev.lookAgain(unseen)}
	}
	return st, why
}

// parentHolds answers whether a parent lets a child be, and why not.
func (ev *evaluator) parentHolds(rule *accessRule, g, parent *record, node *verify.Artifact) (Status, *Reason) {
	no := func(format string, args ...any) (Status, *Reason) {
		return Fail, &Reason{Why: fmt.Sprintf(format, args...)}
	}
	if parent.err != nil {
		return no("the parent grant by %s cannot be read: %v", parent.principal.name, parent.err)
	}
	f := parent.facts.Access
	if !g.principal.is(f.Principal) && g.id.Credential.String() != f.Principal {
		return no("the parent grant is for %.200s, and %s signed", f.Principal, g.principal.name)
	}
	if err := g.facts.Access.Within(f); err != nil {
		var r *attest.Refusal
		if errors.As(err, &r) {
			return no("%s", r.Why)
		}
		return no("%v", err) // unreachable: Within returns refusals
	}
	if why := ev.dated(parent, ev.at); len(why) > 0 {
		return no("%s", why[0].Why)
	}
	// That the time of the question lies in the parent's follows from Within.
	gone, doubt := ev.withdrawn(parent)
	if gone != nil {
		return no("%s", gone.Why)
	}
	placeGone, placeDoubt := ev.withdrawnPlace(parent.artifact, node)
	if placeGone != nil {
		return no("%s", placeGone.Why)
	}
	doubt = cmp.Or(doubt, placeDoubt)
	if f.Parent.Payload.IsZero() {
		if !slices.Contains(rule.by, parent.principal.name) {
			return no("it begins with %s, who is none of those whose grants count (%s)", parent.principal.name, strings.Join(rule.by, ", "))
		}
	} else if st, why := ev.wholeDelegation(rule, parent); st != Pass {
		return st, why
	}
	if doubt != nil {
		return Unknown, doubt
	}
	return Pass, nil
}

// withdrawnPlace returns why what is granted about an artifact does not hold because
// the artifact was withdrawn, or why that cannot be seen. The judged artifact and its
// ancestors are asked about by themselves.
func (ev *evaluator) withdrawnPlace(d attest.Digest, node *verify.Artifact) (gone, doubt *Reason) {
	if len(ev.d.revocation) == 0 {
		return nil, nil
	}
	w := ev.withdrawals(d, node, revokeArtifact, nil)
	for _, found := range w.found {
		if found.action != predicate.ActionSupersede { // an old version can do what it could
			return &Reason{Code: withdrawnCode(found.action), About: d.String(), Why: fmt.Sprintf("%s, which the parent grant is about, is %s", d.Short(), found.text())}, nil
		}
	}
	if w.open != nil {
		return nil, w.open
	}
	code := attest.CodeStatus
	if len(node.Gaps) > 0 {
		code = node.Gaps[0].Code
	} else if !ev.unprovenAt(d, ev.d.revocationAcknowledged()) {
		return nil, nil
	}
	return nil, &Reason{Code: code, About: d.String(), Why: fmt.Sprintf("whether %s was withdrawn cannot be seen", d.Short()), Next: ev.lookAgain(code)}
}
