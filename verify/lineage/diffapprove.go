package lineage

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// An ApprovalChange is what one signer decided, in one role, about the two
// artifacts. An approval of the one is none of the other: both are listed.
type ApprovalChange struct {
	Signer string         `json:"signer"`
	Role   string         `json:"role,omitempty"`
	A      []ApprovalSeen `json:"a"`
	B      []ApprovalSeen `json:"b"`
	// OtherKey is true if the signer's name is the same, and the key is not.
	OtherKey bool `json:"otherKey,omitempty"`
}

// ApprovalSeen is one decision.
type ApprovalSeen struct {
	Record       int         `json:"record"`
	Decision     string      `json:"decision"`
	Environments []string    `json:"environments"`
	ValidUntil   *time.Time  `json:"validUntil,omitempty"`
	Policy       PolicyNamed `json:"policy,omitzero"`
	// Basis is what it rests on.
	Basis      []BasisSeen `json:"basis"`
	Conditions []string    `json:"conditions,omitempty"`
}

// BasisSeen is a statement that a decision rests on.
type BasisSeen struct {
	Payload  attest.Digest `json:"payload"`
	Artifact attest.Digest `json:"artifact"`
	// What is what the statement is, as "evaluate quality"; "" if the chain does not
	// have it.
	What string `json:"what,omitempty"`
}

// approvals compares who decided what. Decisions that both sides have are left
// out: they are about one artifact.
func (d *differ) approvals(left, right *said) []ApprovalChange {
	key := func(e verify.Evidence) string {
		facts, _ := e.Facts()
		return d.o.name(e.ID().Credential) + "\x00" + facts.Role
	}
	a, b := grouped(onlyIn(left.approvals, right.approvals), key), grouped(onlyIn(right.approvals, left.approvals), key)
	var out []ApprovalChange
	for _, k := range keysOf(a, b) {
		first := slices.Concat(a[k], b[k])[0]
		facts, _ := first.Facts()
		out = append(out, ApprovalChange{
			Signer: d.o.name(first.ID().Credential), Role: facts.Role,
			A: d.decisions(&d.a, a[k]), B: d.decisions(&d.b, b[k]), OtherKey: len(a[k]) > 0 && len(b[k]) > 0 && d.signers(a[k], b[k]).OtherKeys,
		})
	}
	return out
}

// decisions shows decisions in the order of their claimed times.
func (d *differ) decisions(h *half, list []verify.Evidence) []ApprovalSeen {
	list = slices.Clone(list)
	slices.SortStableFunc(list, byClaim)
	out := []ApprovalSeen{}
	for _, e := range list {
		out = append(out, d.decision(h, e))
	}
	return out
}

func (d *differ) decision(h *half, e verify.Evidence) ApprovalSeen {
	facts, _ := e.Facts()
	s := ApprovalSeen{Record: d.record(h, e), Environments: []string{}, Basis: []BasisSeen{}, ValidUntil: moment(facts.ValidUntil)}
	s.Decision, _ = facts.Tree["decision"].(string)
	if scope, ok := facts.Tree["scope"].(map[string]any); ok {
		list, _ := scope["environments"].([]any)
		for _, v := range list {
			if name, ok := v.(string); ok {
				s.Environments = append(s.Environments, cut(name))
			}
		}
	}
	for _, b := range facts.Basis {
		s.Basis = append(s.Basis, BasisSeen{b.Payload, b.Artifact, h.what(b)})
	}
	for _, c := range facts.Conditions {
		s.Conditions = append(s.Conditions, cut(c.ID))
	}
	s.Policy, _ = policyOf(facts)
	return s
}

// byClaim orders evidence by the claimed time, then by identity.
func byClaim(x, y verify.Evidence) int {
	f, _ := x.Facts()
	g, _ := y.Facts()
	return cmp.Or(f.Claimed.Compare(g.Claimed), x.ID().Compare(y.ID()))
}

// policyOf returns the policy that an approval or a summary names.
func policyOf(facts predicate.Facts) (PolicyNamed, bool) {
	tree, _ := facts.Tree["policy"].(map[string]any)
	if tree == nil {
		return PolicyNamed{}, false
	}
	var p PolicyNamed
	p.Name, _ = tree["name"].(string)
	if p.Name == "" {
		p.Name, _ = tree["uri"].(string)
	}
	p.Name = cut(p.Name)
	p.Version, _ = tree["version"].(int64)
	if set, ok := tree["digest"].(map[string]any); ok {
		if alg, hex, ok := digestSet(set); ok {
			p.Digest, _ = attest.NewDigest(alg, hex)
		}
	}
	return p, true
}

// policies lists the policies that an artifact's approvals and summaries name.
func (d *differ) policies(h *half, s *said) []PolicyNamed {
	type key struct {
		digest attest.Digest
		name   string // of one without a digest
	}
	found := map[key]*PolicyNamed{}
	for _, e := range slices.Concat(s.approvals, s.others) {
		facts, err := e.Facts()
		if err != nil || facts.Type != predicate.TypeApproval && facts.Type != predicate.TypeVSA {
			continue
		}
		p, ok := policyOf(facts)
		if !ok {
			continue
		}
		k := key{digest: p.Digest}
		if p.Digest.IsZero() {
			k.name = p.Name
		}
		if found[k] == nil {
			found[k] = &p
		}
		found[k].Records = append(found[k].Records, d.record(h, e))
	}
	out := []PolicyNamed{}
	for _, k := range slices.SortedFunc(maps.Keys(found), func(a, b key) int { return cmp.Or(a.digest.Compare(b.digest), cmp.Compare(a.name, b.name)) }) {
		out = append(out, *found[k])
	}
	return out
}
