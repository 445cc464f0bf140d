package trust_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The rows of the catalogue of attacks on identities (IDN) that are about the engine;
// each unmodified, too, for it must not be refused for another reason.
func TestIdentityAttacks(t *testing.T) {
	t.Run("IDN-05 right subject, wrong issuer", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		accepted(t, tr, l.sign())
		other := trust.Identity{Issuer: "https://ci.example.evil.test", Subject: trainer.Subject}
		b := l.signedBy(good(l.Signer(other, build, noon))(t), "a model", l.Witnesses(noon)...)
		s, err := held(t, tr, b)
		if err != nil {
			t.Fatal(err)
		}
		rule := trust.Rule{Issuer: trainer.Issuer, Subject: trainer.Subject}
		if s.Identity != other || rule.Matches(s.Identity, s.Claims) {
			t.Errorf("the other issuer's subject passes as %v", s.Identity)
		}
		// A certificate that has it both ways is nobody's.
		refused(t, tr, l.sign(func(c *x509.Certificate) {
			authority.Replace(c, pkix.Extension{Id: authority.FulcioOID(1), Value: []byte(other.Issuer)})
		}), attest.CodeIdentity)
	})

	t.Run("one certificate, several names", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		for name, names := range map[string][]authority.Name{
			"two URIs":          {authority.URI(trainer.Subject), authority.URI("https://ci.example/other")},
			"URI and address":   {authority.URI("https://ci.example/other"), authority.Email("alice@acme.example")},
			"a host":            {authority.DNS("ci.example")},
			"nothing":           {authority.URI("")},
			"a line feed":       {authority.URI(trainer.Subject + "\nx")},
			"a NUL":             {authority.Email("alice@acme.example\x00.evil.test")},
			"SPIFFE and token":  {authority.URI("spiffe://prod.acme.test/train")},
			"no text":           {authority.Email("\xff\xfe@acme.example")},
			"URI spelled twice": {authority.URI("https://ci.example/%61cme")},
		} {
			t.Run(name, func(t *testing.T) {
				signer := good(l.Signer(trainer, build, noon, func(c *x509.Certificate) { authority.Replace(c, good(authority.SAN(names...))(t)) }))(t)
				raw, err := attest.Sign(t.Context(), statement(t, "a model"), signer, l.Witnesses(noon)...)
				if attest.RefusalCode(err) == attest.CodeBundleParse {
					return // no reader of certificates takes it, ours neither
				}
				s, err := held(t, tr, good(authority.Open(good(raw, err)(t)))(t))
				if err == nil && name == "URI spelled twice" && s.Identity.Subject == "https://ci.example/%61cme" {
					return // taken literally, which is as good
				}
				if err == nil && name == "SPIFFE and token" && !s.Identity.IsSPIFFE() {
					return // an issuer of tokens may name what it likes; it is no trust domain
				}
				if attest.RefusalCode(err) != attest.CodeIdentity {
					t.Errorf("%v, as %v", err, s.Identity)
				}
			})
		}
	})

	t.Run("issuers that are none", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		for _, issuer := range []string{"spiffe://prod.acme.test", "https://ci.example x", " https://ci.example", "https://ci.example\n", "https://ci.example\t", ""} {
			who := trust.Identity{Issuer: issuer, Subject: trainer.Subject}
			refused(t, tr, l.signedBy(good(l.Signer(who, build, noon))(t), "a model", l.Witnesses(noon)...), attest.CodeIdentity)
		}
	})

	t.Run("IDN-10 expired intermediate or root at signing time", func(t *testing.T) {
		for _, level := range []string{"intermediate", "root"} {
			t.Run(level, func(t *testing.T) {
				l := newLab(t)
				expires := noon.Add(5 * time.Minute) // the leaf lives five minutes longer
				l.CAs[0] = shortCA(t, level, expires)
				tr := l.trust()
				for _, at := range []time.Time{noon, expires.Add(-time.Second), expires} {
					seen(t, tr, l.signed("a model", l.Witnesses(at)), at)
				}
				refused(t, tr, l.signed("a model", l.Witnesses(expires.Add(time.Second))), attest.CodeCertChain)
				refused(t, tr, l.signed("a model", l.Witnesses(noon.Add(10*time.Minute))), attest.CodeCertChain)
			})
		}
	})

	t.Run("IDN-12 other instance", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		accepted(t, tr, l.sign())

		// Same names, same key ids, other keys; everything else of the true instance.
		forged := newLab(t)
		forged.CAs[0] = forgedCA(t, l.CAs[0])
		b := forged.signed("a model", l.Witnesses(noon))
		refused(t, tr, b, attest.CodeCertChain)
		accepted(t, forged.trust(), b) // it is a good one, of somebody else

		// The operator's instance for trials against the one for work.
		staging := lab{t, good(authority.New("staging.acme.test", listed))(t)}
		refused(t, tr, staging.sign(), attest.CodeKeyUnknown)
		accepted(t, staging.trust(), staging.sign())

		// Each part of one instance with the rest of the other.
		swaps := map[string]struct {
			swap func(ours, theirs *authority.Bundle)
			want attest.Code
		}{
			"log entry":   {func(o, x *authority.Bundle) { o.Entries = x.Entries }, attest.CodeLogProof},
			"timestamp":   {func(o, x *authority.Bundle) { o.Timestamps = x.Timestamps }, attest.CodeTSA},
			"certificate": {func(o, x *authority.Bundle) { o.Certificate = x.Certificate }, attest.CodeKeyUnknown},
		}
		for name, s := range swaps {
			t.Run(name, func(t *testing.T) {
				ours := l.bare()
				l.logged(l.stamped(ours, l.TSAs[0], noon), l.Logs[0], noon)
				theirs := &authority.Bundle{}
				*theirs = *ours
				theirs.Entries, theirs.Timestamps = nil, nil
				staging.logged(staging.stamped(theirs, staging.TSAs[0], noon), staging.Logs[0], noon)
				theirs.Certificate = staging.bare().Certificate
				accepted(t, tr, ours)
				s.swap(ours, theirs)
				refused(t, tr, ours, s.want)
			})
		}
	})

	// Two trusted instances do not lend each other what neither says alone.
	t.Run("IDN-12 parts of two trusted instances", func(t *testing.T) {
		l := newLab(t)
		other := lab{t, good(authority.New("other.test", listed))(t)}
		both := good(trust.Load([]byte(`apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: both, version: 1, expires: 2034-01-01T00:00:00Z}
sigstore: [{name: acme, trustedRoot: a.json}, {name: other, trustedRoot: b.json}]
`), func(path string) ([]byte, error) {
			return map[string][]byte{"a.json": good(l.TrustedRoot())(t), "b.json": good(other.TrustedRoot())(t)}[path], nil
		}, nil))(t)
		accepted(t, both, l.sign())
		accepted(t, both, other.sign())
		refused(t, both, l.logged(other.stamped(l.bare(), other.TSAs[0], noon), l.Logs[0], noon), attest.CodeTSA)
		refused(t, both, other.logged(l.stamped(l.bare(), l.TSAs[0], noon), other.Logs[0], noon), attest.CodeLogProof)
	})

	t.Run("IDN-13 path-building bomb", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		accepted(t, tr, l.sign())
		bomb := crossSigned(t, 5000)

		t.Run("in a timestamp", func(t *testing.T) {
			b := l.logged(l.bare(), l.Logs[0], noon)
			b.Timestamps = [][]byte{good(l.TSAs[0].Stamp(b.Signature, noon, func(s *authority.Stamping) { s.Bag = append(s.Bag, bomb...) }))(t)}
			within(t, time.Second, func() { refused(t, tr, b, attest.CodeLimit) })
		})
		t.Run("in all of 32 timestamps", func(t *testing.T) {
			for _, unlisted := range []bool{false, true} { // with the latter, somebody in the bag is the signer
				l.TSAs[0].Unlisted = unlisted
				tr := l.trust()
				b := l.logged(l.bare(), l.Logs[0], noon)
				for n := range 32 {
					b.Timestamps = append(b.Timestamps, good(l.TSAs[0].Stamp(b.Signature, noon, func(s *authority.Stamping) { s.Bag = append(s.Bag, bomb[n*120:n*120+120]...) }))(t))
				}
				// Nobody has to build these paths: who does not, may take the stamps.
				within(t, time.Second, func() {
					if _, err := held(t, tr, b); err != nil && attest.RefusalCode(err) != attest.CodeLimit && attest.RefusalCode(err) != attest.CodeTSA {
						t.Errorf("%v", err)
					}
				})
			}
			l.TSAs[0].Unlisted = false
		})
		t.Run("in the chain of a bundle", func(t *testing.T) {
			b := l.sign()
			b.Chain, b.Certificate = append([][]byte{b.Certificate}, bomb...), nil
			within(t, time.Second, func() {
				if _, err := held(t, tr, b); err == nil || attest.RefusalCode(err) == "" {
					t.Errorf("%v", err)
				}
			})
		})
		t.Run("in a trusted root", func(t *testing.T) {
			root := good(l.TrustedRoot())(t)
			var list []string
			for _, c := range bomb[:1000] {
				list = append(list, string(good(json.Marshal(map[string][]byte{"rawBytes": c}))(t)))
			}
			bad := bytes.Replace(root, []byte(`"certificates": [`), []byte(`"certificates": [`+join(list)+`,`), 1)
			within(t, time.Second, func() {
				if _, err := trust.OfTrustedRoot(bad); attest.RefusalCode(err) != attest.CodeTrustRoot {
					t.Errorf("%v", err)
				}
			})
		})
		t.Run("in certificate policies", func(t *testing.T) {
			var policies []asn1.ObjectIdentifier
			for n := range 3000 {
				policies = append(policies, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, n})
			}
			b := l.sign(func(c *x509.Certificate) { c.Policies = oids(t, policies) })
			within(t, time.Second, func() { // nothing asks for policies: they say nothing, and cost nothing
				s, err := held(t, tr, b)
				if err == nil && s.Identity != trainer {
					t.Errorf("accepted as %v", s.Identity)
				}
			})
		})
		t.Run("names in a certificate", func(t *testing.T) {
			var names []authority.Name
			for n := range 2000 {
				names = append(names, authority.URI(fmt.Sprintf("https://%d.example", n)))
			}
			b := l.sign(func(c *x509.Certificate) { authority.Replace(c, good(authority.SAN(names...))(t)) })
			within(t, time.Second, func() { refused(t, tr, b, attest.CodeIdentity) })
		})
	})

	t.Run("IDN-18 authority outside its window", func(t *testing.T) {
		// What the trusted root says of the authority, not of its certificates.
		l := newLab(t)
		l.CAs[0].From, l.CAs[0].Until = noon.Add(time.Minute), noon.Add(5*time.Minute)
		tr := l.trust()
		for _, at := range []time.Time{l.CAs[0].From, l.CAs[0].Until} {
			seen(t, tr, l.signed("a model", l.Witnesses(at)), at)
		}
		for _, at := range []time.Time{l.CAs[0].From.Add(-time.Second), l.CAs[0].Until.Add(time.Second)} {
			refused(t, tr, l.signed("a model", l.Witnesses(at)), attest.CodeCertChain)
		}
	})

	t.Run("a key that is no key", func(t *testing.T) {
		l := newLab(t)
		b := l.sign()
		tr := l.trust()
		accepted(t, tr, b)
		refused(t, tr, l.rsaSigned(), attest.CodeKey)
	})

	t.Run("an authority's certificate as signer", func(t *testing.T) {
		l := newLab(t)
		b := l.sign(func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		})
		refused(t, l.trust(), b, attest.CodeCertChain)
	})

	t.Run("a certificate for another purpose", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		for _, eku := range [][]x509.ExtKeyUsage{{x509.ExtKeyUsageServerAuth}, {x509.ExtKeyUsageTimeStamping}} {
			refused(t, tr, l.sign(func(c *x509.Certificate) { c.ExtKeyUsage = eku }), attest.CodeCertChain)
		}
	})

	t.Run("an unknown critical extension", func(t *testing.T) {
		l := newLab(t)
		refused(t, l.trust(), l.sign(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
		}), attest.CodeCertChain)
	})
}

func join(list []string) string {
	var b bytes.Buffer
	for n, s := range list {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s)
	}
	return b.String()
}

func oids(t testing.TB, list []asn1.ObjectIdentifier) []x509.OID {
	t.Helper()
	var out []x509.OID
	for _, id := range list {
		var parts []uint64
		for _, n := range id {
			parts = append(parts, uint64(n))
		}
		out = append(out, good(x509.OIDFromInts(parts))(t))
	}
	return out
}

// shortCA is the lab's certificate authority, with one level that expires then.
func shortCA(t testing.TB, level string, expires time.Time) *authority.CA {
	t.Helper()
	until := map[string]time.Time{"root": listed.AddDate(10, 0, 0), "intermediate": listed.AddDate(10, 0, 0)}
	until[level] = expires
	root := good(authority.NewCert(authority.Authority("short root", listed, until["root"]), good(authority.NewKey(authority.P256, "short root"))(t), nil))(t)
	below := good(authority.NewCert(authority.Authority("short intermediate", listed, until["intermediate"]), good(authority.NewKey(authority.P256, "short intermediate"))(t), root))(t)
	return &authority.CA{URL: "https://fulcio.acme.test", From: listed, Issuer: below, Above: []*authority.Cert{root}}
}

// forgedCA is a certificate authority with the same names, key ids and serial
// numbers, and other keys.
func forgedCA(t testing.TB, ca *authority.CA) *authority.CA {
	t.Helper()
	root := like(t, ca.Above[0], nil)
	return &authority.CA{URL: ca.URL, From: ca.From, Issuer: like(t, ca.Issuer, root), Above: []*authority.Cert{root}}
}

// crossSigned returns authorities of two names that all certify each other.
func crossSigned(t testing.TB, n int) [][]byte {
	t.Helper()
	names := []string{"left", "right"}
	key := good(authority.NewKey(authority.P256, "cross"))(t)
	var parents []*authority.Cert
	for _, name := range names {
		parents = append(parents, good(authority.NewCert(authority.Authority(name, listed, listed.AddDate(10, 0, 0)), key, nil))(t))
	}
	first := parents[0].Raw
	out := make([][]byte, 0, n)
	for len(out) < n {
		// Signing each would take longer than the attack: they differ in a byte of the
		// serial number, and a verifier that checks signatures checks them last.
		sum := sha256.Sum256(fmt.Append(nil, len(out)))
		c := slices.Clone(first)
		copy(c[bytes.Index(c, parents[0].SerialNumber.Bytes())+4:], sum[:8])
		out = append(out, c)
	}
	return out
}

// rsaSigned is a bundle by a certificate for an RSA key, right in all other ways.
func (l lab) rsaSigned() *authority.Bundle {
	l.t.Helper()
	key := good(rsa.GenerateKey(rand.Reader, 2048))(l.t)
	b := l.bare()
	b.Certificate = good(l.CAs[0].Issue(authority.Request{Key: key.Public(), Identity: trainer, Claims: build, At: noon, Logs: l.CertificateLogs}))(l.t)
	sum := sha256.Sum256(pae(b.PayloadType, b.Payload))
	b.Signature = good(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))(l.t)
	l.stamped(b, l.TSAs[0], noon)
	// The entry that such a log has: the verifier must not come to look at it.
	b.Entries = l.sign().Entries
	return b
}
