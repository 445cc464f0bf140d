package rehearse

import (
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Principals with identities sign under certificates, as they do in production: of
// authorities that exist for one test file, at the moments that the test names. So a
// rehearsal tries what matters about an identity: whose it is, what the certificate
// claims, and when it was seen.

// office is the authorities of a test file, and the trust in them.
type office struct {
	instance *authority.Instance
	domains  map[string]*authority.Domain
	trust    *trust.Trust
}

// newOffice opens authorities for the identities of parties; they hold for five years
// before and after the moment at.
func newOffice(parties []policy.Party, at time.Time) (*office, error) {
	from := at.AddDate(-5, 0, 0).UTC().Truncate(time.Second)
	i, err := authority.New("rehearsal.example", from)
	if err != nil {
		return nil, err
	}
	o := &office{instance: i, domains: map[string]*authority.Domain{}}
	files := map[string][]byte{}
	if files["root.json"], err = i.TrustedRoot(); err != nil {
		return nil, err
	}
	for _, c := range append([]*authority.Cert{i.TSAs[0].Signer}, i.TSAs[0].Above...) {
		files["tsa.pem"] = append(files["tsa.pem"], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	var domains strings.Builder
	for _, p := range parties {
		for _, r := range p.Rules {
			name, ok := strings.CutPrefix(r.Issuer, spiffeScheme)
			if !ok || o.domains[name] != nil {
				continue
			}
			d, err := authority.NewDomain(name, from)
			if err != nil {
				return nil, err
			}
			o.domains[name], files[name+".pem"] = d, d.PEM()
			fmt.Fprintf(&domains, "  - {domain: %s, bundle: %s.pem, from: %s}\n", name, name, stamp(from))
		}
	}
	src := fmt.Sprintf("apiVersion: %s\nkind: Trust\nmetadata: {name: rehearsal, version: 1, expires: 9999-01-01T00:00:00Z}\n"+
		"sigstore: [{name: rehearsal, trustedRoot: root.json}]\ntimestampAuthorities: [{name: rehearsal-tsa, chain: tsa.pem, from: %s}]\ntimestamps: 1\n", apiVersion, stamp(from))
	if domains.Len() > 0 {
		src += "spiffe:\n" + domains.String()
	}
	o.trust, err = trust.Load([]byte(src), func(name string) ([]byte, error) { return files[name], nil }, nil)
	return o, err
}

const spiffeScheme = "spiffe://"

// A guise is what a piece of evidence says of its signer's certificate: what is empty
// is as the credential has it.
type guise struct {
	issuer, subject string
	claims          map[string]string
}

// A hand is what one statement is signed with.
type hand struct {
	signer     attest.Signer
	seenBy     []attest.Witness
	credential verify.Credential
}

// guise reads as.
func (r *reader) guise(n *yaml.Node) *guise {
	m := r.fields(n, "as", append([]string{"issuer", "subject", "spiffe"}, trust.ClaimNames()...)...)
	g := &guise{claims: map[string]string{}}
	for name, v := range m {
		switch s := r.text(v, name); name {
		case "issuer":
			g.issuer = s
		case "subject":
			g.subject = s
		case "spiffe":
			domain, _, _ := strings.Cut(strings.TrimPrefix(s, spiffeScheme), "/")
			if !strings.HasPrefix(s, spiffeScheme) || m["issuer"] != nil || m["subject"] != nil {
				r.problem(v, "spiffe is an id like spiffe://domain/path, and stands without issuer and subject")
			}
			g.issuer, g.subject = spiffeScheme+domain, s
		default:
			g.claims[name] = s
		}
	}
	return g
}

// means returns what the n-th credential of a name is; a key for strangers.
func (f *File) means(by string, n int) policy.Means {
	for _, p := range f.parties {
		if p.Name == by && n < len(p.Means) {
			return p.Means[n]
		}
	}
	return policy.Means{}
}

// identity returns whom a name signs as, and what the certificate claims; false if it
// signs with a key.
func (f *File) identity(by string, n int, g *guise) (who trust.Identity, claims trust.Claims, ok bool) {
	if r := f.means(by, n).Rule; r.Subject != "" {
		who, claims = trust.Identity{Issuer: r.Issuer, Subject: r.Subject}, r.Claims
		if r.Pattern { // somebody whom the pattern means
			who.Subject = strings.ReplaceAll(strings.ReplaceAll(r.Subject, "**", "*"), "*", "any")
		}
	}
	if g != nil {
		if g.issuer != "" {
			who.Issuer = g.issuer
		}
		if g.subject != "" {
			who.Subject = g.subject
		}
		for name, v := range g.claims {
			claims.Set(name, v)
		}
	}
	return who, claims, who.Issuer != "" && who.Subject != ""
}

// credential returns what a name is known by when it signs with its n-th credential.
func (f *File) credential(by string, n int, g *guise) verify.Credential {
	if who, _, ok := f.identity(by, n, g); ok {
		return verify.IdentityCredential(who)
	}
	return verify.KeyCredential(Key(by, n))
}

// hand returns what a name signs with at a moment. seen is when others first see it;
// nil is when it is signed, and with a key under a policy that takes the signers' word
// never; the zero time is never.
func (f *File) hand(by string, n int, g *guise, at time.Time, seen *time.Time) (hand, error) {
	who, claims, certified := f.identity(by, n, g)
	if seen == nil {
		if seen = new(time.Time); certified || !f.unsafeTime {
			seen = &at
		}
	}
	h := hand{signer: signer(by, n), credential: f.credential(by, n, g)}
	o := f.office
	if !certified {
		if !seen.IsZero() {
			h.seenBy = []attest.Witness{o.instance.TSAs[0].At(*seen)}
		}
		return h, nil
	}
	issued := at
	if !seen.IsZero() {
		issued = *seen
	}
	var err error
	if !who.IsSPIFFE() {
		if !seen.IsZero() {
			h.seenBy = o.instance.Witnesses(*seen)
		}
		h.signer, err = o.instance.Signer(who, claims, issued)
		return h, err
	}
	if !seen.IsZero() {
		h.seenBy = []attest.Witness{o.instance.TSAs[0].At(*seen)}
	}
	name, path, _ := strings.Cut(strings.TrimPrefix(who.Subject, spiffeScheme), "/")
	d := o.domains[name]
	if d == nil { // one that the policy does not name: nobody believes it
		if d, err = authority.NewDomain(name, f.at.AddDate(-5, 0, 0)); err != nil {
			return h, err
		}
	}
	h.signer, err = d.SVID(path, issued)
	return h, err
}
