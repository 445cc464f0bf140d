package policy

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Shape is what evidence of a step has to look like, for those who write such
// evidence, and what the step asks of it, for those who count what was tried.
type Shape struct {
	Step        string // of a policy NAME that this one names: "NAME/step", as verdicts have it
	Predicate   string // the predicate type
	BuildType   string // SLSA provenance only
	About       string // "" for a step that makes an artifact
	By          []string
	Basis       []string // the steps whose evidence an approval must name
	Rules       []string // the rules' IDs
	Comparisons []string // the IDs of compare
	Roles       []string // the roles of its input lines, each once
	Veto        bool     // whether somebody can say no
	Consulted   bool     // whether it is only looked at for another step and has no answer of its own
}

// Shapes returns the shape of each step in the policy's order, and after them
// those of the policies that it names and that are here to be read.
func (p *Policy) Shapes() []Shape { return p.doc.shapes("") }

func (d *document) shapes(prefix string) []Shape {
	var out []Shape
	for _, s := range d.steps {
		sh := Shape{Step: prefix + s.name, Predicate: s.predicate, BuildType: s.buildType, About: s.about,
			By: slices.Clone(s.by), Basis: prefixed(prefix, s.basis), Veto: s.veto != nil, Consulted: d.consulted(s.name)}
		for _, r := range s.rules {
			sh.Rules = append(sh.Rules, r.id)
		}
		for _, c := range s.compare {
			sh.Comparisons = append(sh.Comparisons, c.id)
		}
		for _, l := range s.inputs {
			if !slices.Contains(sh.Roles, l.role) {
				sh.Roles = append(sh.Roles, l.role)
			}
		}
		out = append(out, sh)
	}
	for _, o := range d.policies {
		if o.policy != nil {
			out = append(out, o.policy.doc.shapes(prefix+o.name+"/")...)
		}
	}
	return out
}

func prefixed(prefix string, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, prefix+n)
	}
	return out
}

// A Party is one principal of a policy, with what it signs with.
type Party struct {
	Name        string              // of a policy NAME that this one names: "NAME/principal"
	Credentials []verify.Credential // that are named one by one: keys, and exact identities
	Rules       []trust.Rule        // for identities, the exact ones included
	Means       []Means             // its credentials as they are written, in order
}

// Means is one credential of a principal as it is written: a key or a rule.
type Means struct {
	Key  attest.PublicKey // zero for a rule
	Rule trust.Rule       // zero for a key
}

// String gives the credential for people.
func (m Means) String() string {
	c := credential{key: m.Key, rule: m.Rule}
	switch {
	case c.isKey():
		c.id = verify.KeyCredential(m.Key)
	case !m.Rule.Pattern:
		c.id = verify.IdentityCredential(trust.Identity{Issuer: m.Rule.Issuer, Subject: m.Rule.Subject})
	}
	return c.shown()
}

// Parties returns the policy's principals in its order, and after them those of
// the policies that it names and that are here to be read.
func (p *Policy) Parties() []Party { return p.doc.parties("") }

func (d *document) parties(prefix string) []Party {
	var out []Party
	for _, pr := range d.principals {
		party := Party{Name: prefix + pr.name, Credentials: pr.ids(), Rules: pr.rules()}
		for _, c := range pr.credentials {
			party.Means = append(party.Means, Means{Key: c.key, Rule: c.rule})
		}
		out = append(out, party)
	}
	for _, o := range d.policies {
		if o.policy != nil {
			out = append(out, o.policy.doc.parties(prefix+o.name+"/")...)
		}
	}
	return out
}

// Authorities returns the principals that may publish a status; none if the
// policy asks for no status.
func (p *Policy) Authorities() []string {
	if p.doc.status == nil {
		return nil
	}
	return slices.Clone(p.doc.status.by)
}

// Others returns the names of the policies that this one names, and of those that
// they name, as "NAME" and "NAME/OTHER".
func (p *Policy) Others() []string { return p.doc.others("") }

func (d *document) others(prefix string) []string {
	var out []string
	for _, o := range d.policies {
		out = append(out, prefix+o.name)
		if o.policy != nil {
			out = append(out, o.policy.doc.others(prefix+o.name+"/")...)
		}
	}
	return out
}
