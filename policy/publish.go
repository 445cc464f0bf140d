package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// What those who publish need to know of a policy before they sign: whether it
// would count. Signed all the same, it would only look like something.

// StatusBy returns the credentials under which a status counts (design section
// 7.4), sorted; none if the policy has no status. Those that a pattern means are not
// among them: see [Policy.Publishes].
func (p *Policy) StatusBy() []verify.Credential {
	if p.doc.status == nil {
		return nil
	}
	var out []verify.Credential
	for _, name := range p.doc.status.by {
		out = append(out, p.doc.principal(name).ids()...)
	}
	slices.SortFunc(out, verify.Credential.Compare)
	return out
}

// Publishes reports whether a piece of evidence is by somebody whose statuses count.
func (p *Policy) Publishes(e verify.Evidence) bool {
	pr := p.doc.principalOf(e)
	return pr != nil && p.doc.status != nil && slices.Contains(p.doc.status.by, pr.name)
}

// StatusMark returns the [Mark.Name] under which a verifier remembers the sequence
// of an artifact's status; "" if the policy has no status.
func (p *Policy) StatusMark(root attest.Digest) string {
	if p.doc.status == nil {
		return ""
	}
	return "status/" + markID(root, (&evaluator{d: p.doc}).authority(p.doc.status.by))
}

// MayPublish says whether a status that this credential signs at a moment would
// count. The error says why not: E_USAGE if the policy has no status, E_IDENTITY
// for a key of somebody else, and otherwise what is wrong with the key.
func (p *Policy) MayPublish(who verify.Credential, at time.Time) error {
	if p.doc.status == nil {
		return &attest.Refusal{Code: attest.CodeUsage, About: p.doc.name, Why: "the policy asks for no status, so nobody would read one", Next: "say in the policy who publishes it: status: {by: [NAME]}"}
	}
	lines := linesOf(p.doc.lines(who), p.doc.status.by)
	if len(lines) == 0 {
		return &attest.Refusal{Code: attest.CodeIdentity, About: escapedName(who), Why: fmt.Sprintf("is not the %s of anybody who may publish a status", means(who)), Next: "sign as " + strings.Join(p.doc.status.by, " or ")}
	}
	return usable(lines, who, at)
}

// linesOf returns the lines that belong to principals of some names.
func linesOf(lines []*credential, names []string) []*credential {
	return slices.DeleteFunc(slices.Clone(lines), func(c *credential) bool { return !slices.Contains(names, c.owner.name) })
}

// Listing returns what a status about a chain lists (design section 7.4): all that
// was opened about every artifact of the ancestry and everything consulted, also
// where that is nothing. Statuses are not on it; they prove themselves by their
// sequence; nor what identities of the policy signed in runs that it does not mean. A list that says "this is all" must be all: the error has the code of
// the first gap, if the chain has any.
func (p *Policy) Listing(c verify.Chain) (map[attest.Digest][]predicate.Listed, error) {
	gaps := c.Gaps()
	for _, d := range c.ConsultedAll() {
		gaps = append(gaps, c.Consulted(d).Gaps...)
	}
	if len(gaps) > 0 {
		r := &attest.Refusal{Code: gaps[0].Code, About: gaps[0].Artifact.String(), Why: "what is there could not be completely looked at, so a list of it would not be complete", Next: "publish again when every repository answers"}
		for _, u := range c.Unseen() {
			if u.Artifact == gaps[0].Artifact {
				r.Err = u.Err
				break
			}
		}
		return nil, r
	}
	out := map[attest.Digest][]predicate.Listed{}
	add := func(node *verify.Artifact) {
		list := out[node.Digest]
		for _, es := range [][]verify.Evidence{node.Evidence, node.FileEvidence, node.Misplaced} {
			for _, e := range es {
				l := predicate.Listed{Payload: e.ID().Payload, Credential: e.ID().Credential.String()}
				if e.PredicateType() != predicate.TypeStatus && p.doc.listed(e) && !slices.Contains(list, l) {
					list = append(list, l)
				}
			}
		}
		out[node.Digest] = list
	}
	for _, d := range c.Artifacts() {
		add(c.Artifact(d))
	}
	for _, d := range c.ConsultedAll() {
		add(c.Consulted(d)) // the same digest may be an artifact as well
	}
	return out, nil
}

// usable refuses a credential that by none of the lines that name it, which are at
// least one, counts at a moment.
func usable(lines []*credential, who verify.Credential, at time.Time) (err error) {
	for _, c := range lines {
		w, name := c.window, c.owner.name
		switch {
		case !w.compromised.IsZero():
			// What is signed now is seen now at the earliest, and not before.
			err = &attest.Refusal{Code: attest.CodeRevoked, About: escapedName(who), Why: fmt.Sprintf("the policy says that the %s of %s is compromised since %s", means(who), name, stamp(w.compromised)), Next: "use another " + means(who)}
		case at.Before(w.from) || !w.until.IsZero() && at.After(w.until):
			err = &attest.Refusal{Code: attest.CodeKeyWindow, About: escapedName(who), Why: fmt.Sprintf("the %s of %s counts from %s until %s", means(who), name, bound(w.from), bound(w.until)), Next: fmt.Sprintf("use a %s that is valid now", means(who))}
		default:
			return nil
		}
	}
	return err
}

// MayRevoke says whether a revocation of a target (one of the Target… constants)
// that this credential signs would count, and how many principals must say so.
// The threshold is 0 where only the signer of a statement is left: whether it is
// theirs, the policy cannot know. The error is E_IDENTITY.
func (p *Policy) MayRevoke(who verify.Credential, target string) (threshold int, err error) {
	if len(p.doc.revocation) == 0 {
		return 0, &attest.Refusal{Code: attest.CodeIdentity, About: p.doc.name, Why: "nobody can revoke anything under this policy: it has no revocation", Next: "say in the policy who may revoke what: revocation: [{by: [NAME], …}]"}
	}
	kind := targetKind(target)
	lines := p.doc.lines(who)
	var able []string
	for _, rule := range p.doc.revocation {
		if !slices.Contains(rule.of, kind) {
			continue
		}
		able = append(able, rule.by...)
		if len(linesOf(lines, rule.by)) > 0 && (threshold == 0 || rule.threshold < threshold) {
			threshold = rule.threshold
		}
	}
	if threshold > 0 || len(lines) > 0 && kind == revokePayload {
		return threshold, nil
	}
	slices.Sort(able)
	next := "nobody may under this policy"
	if able = slices.Compact(able); len(able) > 0 {
		next = "sign as " + strings.Join(able, " or ")
	}
	return 0, &attest.Refusal{Code: attest.CodeIdentity, About: escapedName(who), Why: fmt.Sprintf("is not the %s of anybody who may revoke %s %s under the policy", means(who), article(kind), kind), Next: next}
}

func article(kind string) string {
	if kind == revokeArtifact {
		return "an"
	}
	return "a"
}

// A DenylistRule is what a policy asks of a signed deny list.
type DenylistRule struct {
	Keys       []attest.PublicKey // of those who may sign it
	Identities []trust.Rule       // and who else may
	By         []string           // their names
	Threshold  int                // how many of them must
}

// Admits reports whether a credential is of somebody who may sign the list. Of an
// identity it goes by issuer and subject.
func (r DenylistRule) Admits(who verify.Credential) bool {
	i, ok := who.Identity()
	return slices.ContainsFunc(r.Keys, func(k attest.PublicKey) bool { return verify.KeyCredential(k) == who }) ||
		ok && plainIdentity(i) && slices.ContainsFunc(r.Identities, func(x trust.Rule) bool { return x.Names(i) })
}

// Denylist returns what the policy asks of the deny list called name, and whether
// it reads one of that name.
func (p *Policy) Denylist(name string) (DenylistRule, bool) {
	for _, x := range p.doc.deny {
		if x.list != name || name == "" {
			continue
		}
		rule := DenylistRule{By: x.by, Threshold: x.threshold}
		for _, by := range x.by {
			rule.Keys = append(rule.Keys, p.doc.principal(by).keys()...)
			rule.Identities = append(rule.Identities, p.doc.principal(by).rules()...)
		}
		return rule, true
	}
	return DenylistRule{}, false
}

// Conditional returns an error unless an artifact of the chain has an approval
// with this payload, by a principal of the policy, that was given on this
// condition: discharging anything else would discharge nothing. The error is
// E_CONDITIONS.
func (p *Policy) Conditional(c verify.Chain, d predicate.DischargeFacts) error {
	if node := c.Artifact(c.Root()); node != nil {
		for _, e := range node.Evidence {
			facts, err := e.Facts()
			if err != nil || e.ID().Payload != d.Payload || p.doc.principalOf(e) == nil {
				continue
			}
			if slices.ContainsFunc(facts.Conditions, func(f predicate.ConditionFacts) bool { return f.ID == d.ID }) {
				return nil
			}
			return &attest.Refusal{Code: attest.CodeConditions, About: d.Payload.String(), Why: fmt.Sprintf("was not given on the condition %.60q", d.ID), Next: "pedigree show prints its conditions"}
		}
	}
	return &attest.Refusal{Code: attest.CodeConditions, About: d.Payload.String(), Why: "no approval of the artifact, by anybody whom the policy knows, has this payload", Next: "pedigree list shows what there is"}
}
