package policy

import (
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A credential is one line of a principal's credentials: a key, or a rule for
// identities, and when what it signs counts.
type credential struct {
	owner  *principal
	key    attest.PublicKey  // zero for a rule
	file   string            // that the key was read from; "" if its text stands in the policy
	id     verify.Credential // the one credential that is meant; zero for a pattern
	rule   trust.Rule        // zero for a key
	window window
	pos    position
}

// isKey reports whether the line is a key and not a rule.
func (c *credential) isKey() bool { return !c.key.IsZero() }

// text is the line's one spelling: what a resolved policy holds, and what marks are
// made of. For a key and an exact identity without claims it is the credential.
func (c *credential) text() string {
	if c.isKey() {
		return c.id.String()
	}
	var b strings.Builder
	switch {
	case !c.rule.Pattern:
		b.WriteString(c.id.String())
	case isSPIFFE(c.rule):
		b.WriteString("pattern " + c.rule.Subject)
	default:
		b.WriteString("pattern " + c.rule.Issuer + " " + c.rule.Subject)
	}
	for _, name := range trust.ClaimNames() {
		if v := c.rule.Claims.Get(name); v != "" {
			b.WriteString("\n" + name + "=" + v)
		}
	}
	return b.String()
}

// resolve writes the line for the resolved policy.
func (c *credential) resolve() map[string]any {
	w := c.window
	m := map[string]any{"from": momentText(w.from), "until": momentText(w.until), "compromisedSince": momentText(w.compromised)}
	if c.isKey() {
		m["credential"] = c.id.String()
	} else {
		m["issuer"], m["subject"], m["pattern"], m["claims"] = c.rule.Issuer, c.rule.Subject, c.rule.Pattern, c.rule.Claims
	}
	return m
}

// shown is the line for people: what is meant, and what a certificate must claim.
func (c *credential) shown() string {
	s, claims, ok := strings.Cut(c.text(), "\n")
	if ok {
		s += " (" + strings.ReplaceAll(claims, "\n", ", ") + ")"
	}
	return s
}

func isSPIFFE(r trust.Rule) bool { return strings.HasPrefix(r.Issuer, spiffeScheme) }

const spiffeScheme = "spiffe://"

// ids are the credentials that a principal's lines name one by one: keys and exact
// identities.
func (p *principal) ids() []verify.Credential {
	var out []verify.Credential
	for _, c := range p.credentials {
		if c.id != (verify.Credential{}) {
			out = append(out, c.id)
		}
	}
	return out
}

func (p *principal) keys() []attest.PublicKey {
	var out []attest.PublicKey
	for _, c := range p.credentials {
		if c.isKey() {
			out = append(out, c.key)
		}
	}
	return out
}

func (p *principal) rules() []trust.Rule {
	var out []trust.Rule
	for _, c := range p.credentials {
		if !c.isKey() {
			out = append(out, c.rule)
		}
	}
	return out
}

// names reports whether one of the principal's lines means a credential, whatever a
// certificate claims.
func (p *principal) names(who verify.Credential) bool {
	i, ok := who.Identity()
	return slices.ContainsFunc(p.credentials, func(c *credential) bool {
		return c.id == who || ok && c.rule.Pattern && plainIdentity(i) && c.rule.Names(i)
	})
}

// lines returns the lines that name a credential, whatever a certificate claims: in
// the policy's order, those that name it alone first.
func (d *document) lines(who verify.Credential) []*credential {
	out := d.exact[who]
	if len(d.patterns) == 0 {
		return out
	}
	i, ok := who.Identity()
	if !ok || !plainIdentity(i) {
		return out
	}
	out = slices.Clip(out)
	for _, c := range d.patterns {
		if c.rule.Names(i) {
			out = append(out, c)
		}
	}
	return out
}

// holder returns the one principal that lines belong to; nil if there is none, or
// several, because nobody can say whose signature it is.
func holder(lines []*credential) *principal {
	if len(lines) == 0 {
		return nil
	}
	for _, c := range lines[1:] {
		if c.owner != lines[0].owner {
			return nil
		}
	}
	return lines[0].owner
}

// whose returns what evidence about an artifact is by the policy's principals: a
// record for each certificate that is somebody's, usually one; none for a stranger's.
//
// A certificate is weighed with what it claims: the same identity signs in many
// runs, and not all of them need be of the branch that a credential asks for. One
// that is two principals' gives a record that counts for neither: [record.unclear].
func (d *document) whose(artifact attest.Digest, e verify.Evidence) []*record {
	lines := d.lines(e.ID().Credential)
	if len(lines) == 0 {
		return nil
	}
	facts, err := e.Facts()
	identity, named := e.ID().Credential.Identity()
	if !named {
		return []*record{d.newRecord(artifact, e, facts, err, lines, verify.Signing{Seen: e.Seen()})}
	}
	var out []*record
	for _, made := range e.Signings() {
		matching := slices.DeleteFunc(slices.Clone(lines), func(c *credential) bool { return !c.rule.Matches(identity, made.Claims) })
		if len(matching) > 0 {
			out = append(out, d.newRecord(artifact, e, facts, err, matching, made))
		}
	}
	return out
}

// listed reports whether a status lists a piece of evidence: all but what an identity
// that the policy, or one that it names, knows signed only under certificates that no
// credential means. That counts for nobody, and could be made by who may start the
// same workflow in another way, of the very bytes of evidence that counts.
func (d *document) listed(e verify.Evidence) bool {
	named, meant := false, false
	d.all(func(d *document) {
		named = named || len(d.lines(e.ID().Credential)) > 0
		meant = meant || len(d.whose(attest.Digest{}, e)) > 0
	})
	return meant || !named
}

// principalOf returns the principal that signed evidence, nil for a stranger and for
// who may be several.
func (d *document) principalOf(e verify.Evidence) *principal {
	for _, r := range d.whose(attest.Digest{}, e) {
		if !r.unclear() {
			return r.principal
		}
	}
	return nil
}

// and returns the window in which both count.
func (w window) and(o window) window {
	if o.from.After(w.from) {
		w.from = o.from
	}
	if !o.until.IsZero() && (w.until.IsZero() || o.until.Before(w.until)) {
		w.until = o.until
	}
	if !o.compromised.IsZero() && (w.compromised.IsZero() || o.compromised.Before(w.compromised)) {
		w.compromised = o.compromised
	}
	return w
}

// meet reports whether one signature may be two lines'. Of two patterns that is so if
// some text matches both.
func (c *credential) meet(o *credential) bool {
	if c.isKey() || o.isKey() {
		return c.id == o.id && c.isKey() && o.isKey()
	}
	if c.rule.Issuer != o.rule.Issuer || !compatible(c.rule.Claims, o.rule.Claims) {
		return false
	}
	switch a, b := c.rule, o.rule; {
	case !a.Pattern && !b.Pattern:
		return a.Subject == b.Subject
	case !a.Pattern:
		return b.Names(trust.Identity{Issuer: a.Issuer, Subject: a.Subject})
	case !b.Pattern:
		return a.Names(trust.Identity{Issuer: b.Issuer, Subject: b.Subject})
	default:
		return intersect(a.Subject, b.Subject)
	}
}

// meets reports whether one signature may be two principals', of two policies.
func (p *principal) meets(other *principal) bool {
	return slices.ContainsFunc(p.credentials, func(c *credential) bool { return slices.ContainsFunc(other.credentials, c.meet) })
}

// compatible reports whether one certificate may have the claims that two rules ask
// for.
func compatible(a, b trust.Claims) bool {
	for _, name := range trust.ClaimNames() {
		if x, y := a.Get(name), b.Get(name); x != "" && y != "" && x != y {
			return false
		}
	}
	return true
}
