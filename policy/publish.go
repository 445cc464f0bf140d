package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// What those who publish need to know of a policy before they sign: whether it
// would count. Signed all the same, it would only look like something.

// StatusBy returns the credentials under which a status counts (design section
// 7.4), sorted; none if the policy has no status.
func (p *Policy) StatusBy() []verify.Credential {
	if p.doc.status == nil {
		return nil
	}
	var out []verify.Credential
	for _, name := range p.doc.status.by {
		out = append(out, p.doc.principal(name).credentials...)
	}
	slices.SortFunc(out, verify.Credential.Compare)
	return out
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
	if !slices.Contains(p.StatusBy(), who) {
		return &attest.Refusal{Code: attest.CodeIdentity, About: who.String(), Why: "is not the key of anybody who may publish a status", Next: "use the key of " + strings.Join(p.doc.status.by, " or ")}
	}
	owner := p.doc.byCredential[who]
	if owner == nil {
		return nil // the key of two principals: the policy does not load
	}
	return usable(owner, who, at)
}

// Listing returns what a status about a chain lists (design section 7.4): all that
// was opened about every artifact of the ancestry and everything consulted, also
// where that is nothing. Statuses are not on it; they prove themselves by their
// sequence. A list that says "this is all" must be all: the error has the code of
// the first gap, if the chain has any.
func Listing(c verify.Chain) (map[attest.Digest][]predicate.Listed, error) {
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
				if e.PredicateType() != predicate.TypeStatus && !slices.Contains(list, l) {
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

// usable refuses a credential that does not count at a moment.
func usable(owner *principal, who verify.Credential, at time.Time) error {
	w := owner.windows[who]
	switch {
	case !w.compromised.IsZero():
		// Nobody authenticates when a plain key signs, so that it was before counts
		// for nothing.
		return &attest.Refusal{Code: attest.CodeRevoked, About: who.String(), Why: fmt.Sprintf("the policy says that the key of %s is compromised since %s", owner.name, stamp(w.compromised)), Next: "use another key"}
	case at.Before(w.from) || !w.until.IsZero() && at.After(w.until):
		return &attest.Refusal{Code: attest.CodeKeyWindow, About: who.String(), Why: fmt.Sprintf("the key of %s counts from %s until %s", owner.name, bound(w.from), bound(w.until)), Next: "use a key that is valid now"}
	}
	return nil
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
	owner := p.doc.byCredential[who]
	var able []string
	for _, rule := range p.doc.revocation {
		if !slices.Contains(rule.of, kind) {
			continue
		}
		able = append(able, rule.by...)
		if owner != nil && slices.Contains(rule.by, owner.name) && (threshold == 0 || rule.threshold < threshold) {
			threshold = rule.threshold
		}
	}
	if threshold > 0 || owner != nil && kind == revokePayload {
		return threshold, nil
	}
	slices.Sort(able)
	next := "nobody may under this policy"
	if able = slices.Compact(able); len(able) > 0 {
		next = "use the key of " + strings.Join(able, " or ")
	}
	return 0, &attest.Refusal{Code: attest.CodeIdentity, About: who.String(), Why: fmt.Sprintf("is not the key of anybody who may revoke %s %s under the policy", article(kind), kind), Next: next}
}

func article(kind string) string {
	if kind == revokeArtifact {
		return "an"
	}
	return "a"
}

// A DenylistRule is what a policy asks of a signed deny list.
type DenylistRule struct {
	Keys      []attest.PublicKey // of those who may sign it
	By        []string           // their names
	Threshold int                // how many of them must
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
			rule.Keys = append(rule.Keys, p.doc.principal(by).keys...)
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
			if err != nil || e.ID().Payload != d.Payload || p.doc.byCredential[e.ID().Credential] == nil {
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
