package policy

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The forms of a credential: exactly one of these is written.
const formsOfCredential = "a credential is {key: FILE}, {issuer: URL, subject: TEXT}, {issuer: URL, subjectPattern: PATTERN}, {spiffe: ID} or {spiffePattern: PATTERN}"

func (r *documentReader) credentials(p *principal, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.parse(n, "principal %s needs a list of credentials", p.name)
		return
	}
	for i, node := range n.Content {
		f := r.fields(node, "a credential", credentialKeys, []string{"identity", "san"})
		c := &credential{owner: p, pos: at(node)}
		if !r.credentialForm(node, f) || !r.credential(c, p, i, node, f) {
			continue
		}
		c.window = r.window(node, f)
		if other := r.holds(c); other != nil {
			r.twice(c, other)
			continue
		}
		p.credentials = append(p.credentials, c)
		if c.rule.Pattern {
			r.doc.patterns = append(r.doc.patterns, c)
		} else {
			r.doc.exact[c.id] = append(r.doc.exact[c.id], c)
		}
	}
}

// credentialForm reports whether exactly one form of a credential is written, whole.
// Half an identity would mean everybody who has the other half.
func (r *documentReader) credentialForm(n *yaml.Node, f map[string]*yaml.Node) bool {
	var kinds []string
	for _, kind := range []string{"key", "issuer", "spiffe", "spiffePattern"} {
		if f[kind] != nil {
			kinds = append(kinds, kind)
		}
	}
	subjects := f["subject"] != nil || f["subjectPattern"] != nil
	switch {
	case f["subject"] != nil && f["subjectPattern"] != nil:
		r.parse(n, "subject and subjectPattern in one credential: write two")
		return false
	case len(kinds) == 0 && subjects:
		r.parse(n, "a subject without issuer: everybody's identity provider may give somebody that name")
		return false
	case len(kinds) == 0:
		r.parse(n, "%s", formsOfCredential)
		return false
	case len(kinds) > 1:
		r.parse(n, "%s in one credential: it would not be clear which is meant; write two", strings.Join(kinds, " and "))
		return false
	case kinds[0] == "issuer" && !subjects:
		r.parse(n, "an issuer without subject or subjectPattern: that would be everybody who has an account there")
		return false
	case kinds[0] != "issuer" && subjects:
		r.parse(n, "%s and a subject in one credential: it would not be clear which is meant; write two", kinds[0])
		return false
	}
	if kinds[0] != "issuer" {
		for _, name := range trust.ClaimNames() {
			if f[name] != nil {
				r.parse(f[name], "%s: a %s has no claims; they are in certificates for an issuer's identities", name, strings.TrimSuffix(kinds[0], "Pattern"))
				return false
			}
		}
	}
	return true
}

// credential reads what a line means.
func (r *documentReader) credential(c *credential, p *principal, i int, n *yaml.Node, f map[string]*yaml.Node) bool {
	if f["key"] != nil {
		var ok bool
		if c.key, ok = r.credentialKey(p, i, f["key"]); !ok {
			return false
		}
		c.id = verify.KeyCredential(c.key)
		if s := f["key"].Value; !strings.HasPrefix(s, "-----BEGIN ") {
			c.file = s
		}
		return true
	}
	ok := true
	text := func(key string, wrong func(string) string) string {
		if f[key] == nil {
			return ""
		}
		s := r.text(f[key], key)
		if s == "" {
			ok = false
		} else if why := wrong(s); why != "" {
			r.parse(f[key], "%s: %s", key, why)
			ok = false
		}
		return s
	}
	switch {
	case f["spiffe"] != nil:
		c.rule = spiffeRule(text("spiffe", func(s string) string { return wrongSPIFFE(s, false) }), false)
	case f["spiffePattern"] != nil:
		c.rule = spiffeRule(text("spiffePattern", func(s string) string { return wrongSPIFFE(s, true) }), true)
	default:
		c.rule.Issuer = text("issuer", wrongIssuer)
		if c.rule.Pattern = f["subjectPattern"] != nil; c.rule.Pattern {
			c.rule.Subject = text("subjectPattern", wrongPattern)
		} else {
			c.rule.Subject = text("subject", wrongSubject)
		}
		for _, name := range trust.ClaimNames() {
			c.rule.Claims.Set(name, text(name, wrongClaim))
		}
	}
	if ok && !c.rule.Pattern {
		c.id = verify.IdentityCredential(trust.Identity{Issuer: c.rule.Issuer, Subject: c.rule.Subject})
	}
	return ok
}

// wrongClaim returns why a text cannot be what a certificate must claim.
func wrongClaim(s string) string {
	if why := wrongText(s); why != "" {
		return why
	}
	if strings.Contains(s, "*") {
		return escaped(s) + " holds a *; claims are compared whole. A rule can say more: signer.sourceRef.startsWith(…)"
	}
	return ""
}

// holds returns a line that was read before and means what c means as well, as far as
// that can be known: two patterns may overlap, which lint tells.
func (r *documentReader) holds(c *credential) *credential {
	if !c.rule.Pattern {
		for _, o := range append(slices.Clip(r.doc.exact[c.id]), r.doc.patterns...) {
			if c.meet(o) {
				return o
			}
		}
		return nil
	}
	for _, p := range append(slices.Clip(r.doc.principals), c.owner) {
		for _, o := range p.credentials {
			if (!o.rule.Pattern || o.rule.Subject == c.rule.Subject) && c.meet(o) {
				return o
			}
		}
	}
	return nil
}

// twice refuses a line that means what another one does.
func (r *documentReader) twice(c, other *credential) {
	what := c.shown()
	switch {
	case other.owner == c.owner && c.isKey():
		r.problem(c.pos, attest.CodePolicyParse, "the key %s is a credential of %s already", what, other.owner.name)
	case other.owner == c.owner:
		r.problem(c.pos, attest.CodePolicyParse, "%s may be what line %d means as well, and which of them holds would not be clear", what, other.pos.line)
	case c.isKey():
		r.problem(c.pos, attest.CodePolicyParse, "the key %s is a credential of %s already: one signature would count as two principals'", what, other.owner.name)
	default:
		r.problem(c.pos, attest.CodePolicyParse, "%s may be a credential of %s already (line %d): one signature would count as two principals'", what, other.owner.name, other.pos.line)
	}
}

// credentialKey reads a principal's key, or takes the one that whoever loads the
// policy puts in its place.
func (r *documentReader) credentialKey(p *principal, i int, n *yaml.Node) (attest.PublicKey, bool) {
	if r.keys == nil {
		return r.key(n)
	}
	return r.keys(r.prefix+p.name, i), r.text(n, "key") != ""
}

func (r *documentReader) window(n *yaml.Node, f map[string]*yaml.Node) window {
	var w window
	for _, x := range []struct {
		key string
		at  *time.Time
	}{{"from", &w.from}, {"until", &w.until}, {"compromisedSince", &w.compromised}} {
		if f[x.key] != nil {
			*x.at = r.time(f[x.key], x.key)
		}
	}
	if !w.from.IsZero() && !w.until.IsZero() && !w.from.Before(w.until) {
		r.parse(n, "from is not before until, so the credential would never count")
	}
	return w
}

func (r *documentReader) key(n *yaml.Node) (attest.PublicKey, bool) {
	s := r.text(n, "key")
	if s == "" {
		return attest.PublicKey{}, false
	}
	pem := []byte(s)
	if !strings.HasPrefix(s, "-----BEGIN ") {
		var err error
		if pem, err = r.files(s); err != nil {
			r.parse(n, "key %s: %v", s, err)
			return attest.PublicKey{}, false
		}
	}
	k, err := attest.ParsePublicKey(pem)
	if err != nil {
		r.parse(n, "key %.60q: %v", s, err)
		return attest.PublicKey{}, false
	}
	return k, true
}
