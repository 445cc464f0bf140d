package trust_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A yard has two SPIFFE trust domains and a timestamp authority, and no Sigstore.
type yard struct {
	t             testing.TB
	prod, staging *authority.Domain
	tsa           *authority.TSA
}

func newYard(t testing.TB) *yard {
	t.Helper()
	return &yard{t, good(authority.NewDomain("prod.acme.test", listed))(t), good(authority.NewDomain("staging.acme.test", listed))(t), good(authority.NewTSA("https://tsa.acme.test", listed))(t)}
}

// trust believes both domains and the timestamp authority, and whatever else is said.
func (y *yard) trust(more ...string) *trust.Trust {
	y.t.Helper()
	src := `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: yard, version: 1, expires: 2034-01-01T00:00:00Z}
spiffe:
  - {domain: prod.acme.test, bundle: prod.pem, from: 2024-01-01T00:00:00Z}
  - {domain: staging.acme.test, bundle: staging.json, from: 2024-01-01T00:00:00Z}
timestampAuthorities:
  - {name: acme, chain: tsa.pem, from: 2024-01-01T00:00:00Z}
`
	files := map[string][]byte{"prod.pem": y.prod.PEM(), "staging.json": good(y.staging.Bundle())(y.t), "tsa.pem": authority.PEM(y.tsa.Chain()...)}
	return good(trust.Load([]byte(src+strings.Join(more, "\n")), func(path string) ([]byte, error) { return files[path], nil }, nil))(y.t)
}

// by signs with an SVID, stamped then.
func (y *yard) by(s attest.Signer, at ...time.Time) *authority.Bundle {
	y.t.Helper()
	var w []attest.Witness
	for _, x := range at {
		w = append(w, y.tsa.At(x))
	}
	return good(authority.Open(good(attest.Sign(context.Background(), statement(y.t, "a model"), s, w...))(y.t)))(y.t)
}

var workload = trust.Identity{Issuer: "spiffe://prod.acme.test", Subject: "spiffe://prod.acme.test/train"}

// What holds of certificates for minutes holds of those for an hour, whose authority
// is a trust domain.
func TestWorkloadAttacks(t *testing.T) {
	y := newYard(t)
	tr := y.trust()
	svid := func(changes ...func(*x509.Certificate)) attest.Signer {
		return good(y.prod.SVID("train", noon, changes...))(t)
	}
	s, err := held(t, tr, y.by(svid(), noon.Add(time.Minute)))
	if err != nil || s.Identity != workload || s.Claims != (trust.Claims{}) || !s.Seen.Equal(noon.Add(time.Minute)) {
		t.Fatalf("%+v: %v", s, err)
	}
	if s, err := held(t, tr, y.by(good(y.staging.SVID("train", noon))(t), noon)); err != nil || s.Identity.Issuer != "spiffe://staging.acme.test" {
		t.Fatalf("%+v: %v", s, err)
	}

	t.Run("TIM-01 no trusted time", func(t *testing.T) { refused(t, tr, y.by(svid()), attest.CodeTimeMissing) })
	t.Run("TIM-02 timestamp outside certificate window", func(t *testing.T) {
		for _, at := range []time.Time{noon, noon.Add(time.Hour)} {
			if s, err := held(t, tr, y.by(svid(), at)); err != nil || !s.Seen.Equal(at) {
				t.Errorf("%v: %v", s.Seen, err)
			}
		}
		for _, at := range []time.Time{noon.Add(-time.Second), noon.Add(time.Hour + time.Second)} {
			refused(t, tr, y.by(svid(), at), attest.CodeTimeWindow)
		}
	})
	t.Run("IDN-12 another trust domain", func(t *testing.T) {
		other := good(authority.NewDomain("evil.test", listed))(t)
		refused(t, tr, y.by(good(other.SVID("train", noon))(t), noon), attest.CodeKeyUnknown)
		// Of the same name, with keys of its own.
		forged := good(authority.NewDomain("prod.acme.test", listed))(t)
		forged.Root = like(t, forged.Root, nil)
		forged.Intermediate = like(t, forged.Intermediate, forged.Root)
		refused(t, tr, y.by(good(forged.SVID("train", noon))(t), noon), attest.CodeCertChain)
	})
	t.Run("one domain names the workloads of the other", func(t *testing.T) {
		b := y.by(good(y.staging.SVID("train", noon, func(c *x509.Certificate) {
			authority.Replace(c, good(authority.SAN(authority.URI(workload.Subject)))(t))
		}))(t), noon)
		if s, err := held(t, tr, b); attest.RefusalCode(err) != attest.CodeKeyUnknown && attest.RefusalCode(err) != attest.CodeCertChain {
			t.Errorf("accepted as %v: %v", s.Identity, err)
		}
	})
	t.Run("an issuer of tokens names a workload", func(t *testing.T) {
		l := newLab(t)
		b := l.signedBy(good(l.Signer(trainer, build, noon, func(c *x509.Certificate) {
			authority.Replace(c, good(authority.SAN(authority.URI(workload.Subject)))(t))
			authority.Drop(c, authority.FulcioOID(1))
			authority.Drop(c, authority.FulcioOID(8))
		}))(t), "a model", l.Witnesses(noon)...)
		for _, tr := range []*trust.Trust{tr, l.trust()} {
			if s, err := held(t, tr, b); err == nil {
				t.Errorf("accepted as %v", s.Identity)
			}
		}
	})
	t.Run("a workload that says it came by a token", func(t *testing.T) {
		b := y.by(svid(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, good(authority.Claim(8, "https://ci.example"))(t), good(authority.Claim(12, build.SourceRepository))(t))
		}), noon)
		if s, err := held(t, tr, b); err == nil {
			t.Errorf("accepted as %v with %+v", s.Identity, s.Claims)
		}
	})
	t.Run("claims in an SVID", func(t *testing.T) {
		b := y.by(svid(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, good(authority.Claim(12, build.SourceRepository))(t))
		}), noon)
		if s, err := held(t, tr, b); err == nil && s.Claims != (trust.Claims{}) {
			t.Errorf("claims that no token made: %+v", s.Claims)
		}
	})
	t.Run("names that are no SPIFFE id", func(t *testing.T) {
		for _, id := range []string{
			"spiffe://prod.acme.test", "spiffe://prod.acme.test/", "spiffe://prod.acme.test/a/../train", "spiffe://prod.acme.test//train", "spiffe://PROD.acme.test/train",
			"spiffe://prod.acme.test:443/train", "spiffe://u@prod.acme.test/train", "spiffe://prod.acme.test/train?x", "spiffe://prod.acme.test/train#x", "spiffe://prod.acme.test/tr%61in", "SPIFFE://prod.acme.test/train",
		} {
			b := y.by(svid(func(c *x509.Certificate) { authority.Replace(c, good(authority.SAN(authority.URI(id)))(t)) }), noon)
			if s, err := held(t, tr, b); attest.RefusalCode(err) != attest.CodeIdentity {
				t.Errorf("%s: accepted as %v: %v", id, s.Identity, err)
			}
		}
	})
	t.Run("certificates of authorities", func(t *testing.T) {
		for name, change := range map[string]func(*x509.Certificate){
			"an authority":       func(c *x509.Certificate) { c.IsCA = true },
			"signs certificates": func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
			"signs no messages":  func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement },
		} {
			t.Run(name, func(t *testing.T) { refused(t, tr, y.by(svid(change), noon), attest.CodeCertChain) })
		}
	})
	t.Run("IDN-10 expired intermediate at signing time", func(t *testing.T) {
		d := *y.prod
		tmpl := authority.Authority("short", listed, noon.Add(5*time.Minute))
		d.Intermediate = good(authority.NewCert(tmpl, y.prod.Intermediate.Key, y.prod.Root))(t)
		s := good(d.SVID("train", noon))(t)
		if _, err := held(t, tr, y.by(s, tmpl.NotAfter)); err != nil {
			t.Errorf("%v", err)
		}
		refused(t, tr, y.by(s, tmpl.NotAfter.Add(time.Second)), attest.CodeCertChain)
	})
	t.Run("IDN-13 chains that came along", func(t *testing.T) {
		golden := y.by(svid(), noon)
		own := golden.Chain
		other := y.by(good(y.staging.SVID("train", noon))(t), noon).Chain
		bomb := crossSigned(t, 5000)
		for name, tt := range map[string]struct {
			chain [][]byte
			codes []attest.Code
		}{
			"5,000 more":            {append(slices.Clone(own), bomb...), []attest.Code{attest.CodeLimit, attest.CodeBundleParse}},
			"one more":              {append(slices.Clone(own), bomb[0]), []attest.Code{attest.CodeCertChain, attest.CodeBundleParse}},
			"reversed":              {[][]byte{own[1], own[0]}, []attest.Code{attest.CodeIdentity, attest.CodeCertChain, attest.CodeBundleParse}},
			"the other domain's":    {[][]byte{own[0], other[1]}, []attest.Code{attest.CodeCertChain, attest.CodeKeyUnknown, attest.CodeBundleParse}},
			"the root too":          {append(slices.Clone(own), y.prod.Root.Raw), []attest.Code{attest.CodeBundleParse}},
			"a chain of one":        {own[:1], []attest.Code{attest.CodeNonCanonical}},
			"the intermediate gone": {nil, []attest.Code{attest.CodeCertChain, attest.CodeKeyUnknown}},
			"empty":                 {[][]byte{}, []attest.Code{attest.CodeBundleParse}},
			"an empty one":          {append(slices.Clone(own), []byte{}), []attest.Code{attest.CodeBundleParse}},
		} {
			t.Run(name, func(t *testing.T) {
				b := *golden
				if b.Chain = tt.chain; b.Chain == nil {
					b.Certificate = own[0]
				}
				within(t, time.Second, func() {
					if s, err := held(t, tr, &b); !slices.Contains(tt.codes, attest.RefusalCode(err)) {
						t.Errorf("%v: %v", s.Identity, err)
					}
				})
			})
		}
		// A chain beside a certificate of a token's issuer has nothing to lead to.
		l := newLab(t)
		b := l.sign()
		b.Chain, b.Certificate = [][]byte{b.Certificate, l.CAs[0].Issuer.Raw}, nil
		if _, err := held(t, l.trust(), b); attest.RefusalCode(err) != attest.CodeCertChain && attest.RefusalCode(err) != attest.CodeBundleParse {
			t.Errorf("%v", err)
		}
	})
}

// The windows that a trust file gives a key hold whatever a policy says.
func TestKeyWindows(t *testing.T) {
	y := newYard(t)
	key := good(authority.NewKey(authority.P256, "alice"))(t)
	signer := good(authority.NewSigner(key, nil))(t)
	public := signer.Material().Key
	stamped := func(at ...time.Time) *attest.Bundle {
		return good(attest.ParseBundle(good(y.by(signer, at...).Bytes())(t)))(t)
	}
	pem := strings.ReplaceAll(strings.TrimSpace(string(public.PEM())), "\n", "\n      ")
	with := func(rest string) *trust.Trust { return y.trust("keys:\n  - key: |\n      " + pem + "\n    " + rest) }
	end := noon.Add(time.Hour)

	t.Run("IDN-18 key outside its window", func(t *testing.T) {
		tr := with(fmt.Sprintf("from: %s\n    until: %s", noon.Format(time.RFC3339), end.Format(time.RFC3339)))
		for _, at := range []time.Time{noon, end} {
			if got, err := tr.Seen(public, stamped(at), at); err != nil || !got.Equal(at) {
				t.Errorf("%v: %v, %v", at, got, err)
			}
		}
		for name, tt := range map[string]struct{ seen, claimed time.Time }{
			"seen and claimed too early": {noon.Add(-time.Second), noon.Add(-time.Second)},
			"seen too early":             {noon.Add(-time.Second), noon},
			"claimed too early":          {noon, noon.Add(-time.Second)},
			"seen too late":              {end.Add(time.Second), end},
			"both too late":              {end.Add(time.Second), end.Add(time.Second)},
		} {
			t.Run(name, func(t *testing.T) {
				if _, err := tr.Seen(public, stamped(tt.seen), tt.claimed); attest.RefusalCode(err) != attest.CodeKeyWindow {
					t.Errorf("%v", err)
				}
			})
		}
		if _, err := tr.Seen(public, stamped(), time.Time{}); attest.RefusalCode(err) != attest.CodeKeyWindow {
			t.Errorf("nothing says when: %v", err)
		}
	})
	t.Run("compromised since", func(t *testing.T) {
		tr := with("compromisedSince: " + noon.Format(time.RFC3339))
		if _, err := tr.Seen(public, stamped(noon.Add(-time.Second)), noon.Add(-time.Minute)); err != nil {
			t.Error(err)
		}
		// What the thief claims is nothing; what an authority saw too late neither.
		for _, b := range []*attest.Bundle{stamped(noon), stamped(noon.Add(time.Second)), stamped()} {
			if _, err := tr.Seen(public, b, noon.AddDate(0, -1, 0)); attest.RefusalCode(err) != attest.CodeRevoked {
				t.Errorf("%v", err)
			}
		}
		// A stamp that was made over something else, or by somebody else, is none.
		stranger := good(authority.NewTSA("https://tsa.evil.test", listed))(t)
		b := stamped()
		b.Timestamps = [][]byte{good(stranger.Stamp(b.Signature, noon.Add(-time.Hour)))(t), good(y.tsa.Stamp([]byte("something else"), noon.Add(-time.Hour)))(t)}
		if got, err := tr.Seen(public, b, noon.AddDate(0, -1, 0)); attest.RefusalCode(err) != attest.CodeRevoked {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("re-stamped", func(t *testing.T) {
		tr := y.trust()
		year := noon.AddDate(1, 0, 0)
		for _, at := range [][]time.Time{{noon, year}, {year, noon}} {
			if got, err := tr.Seen(public, stamped(at...), noon); err != nil || !got.Equal(noon) {
				t.Errorf("%v, %v", got, err)
			}
		}
		if got, err := tr.Seen(public, stamped(), noon); err != nil || !got.IsZero() {
			t.Errorf("nobody saw it: %v, %v", got, err)
		}
		var nobody *trust.Trust
		if got, err := nobody.Seen(public, stamped(noon), noon); err != nil || !got.IsZero() {
			t.Errorf("nobody is trusted: %v, %v", got, err)
		}
	})
	t.Run("two authorities must agree", func(t *testing.T) {
		second := good(authority.NewTSA("https://tsa2.acme.test", listed))(t)
		files := map[string][]byte{"one.pem": authority.PEM(y.tsa.Chain()...), "two.pem": authority.PEM(second.Chain()...)}
		tr := good(trust.Load([]byte(`apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: two, version: 1, expires: 2034-01-01T00:00:00Z}
timestampAuthorities:
  - {name: one, chain: one.pem, from: 2024-01-01T00:00:00Z}
  - {name: two, chain: two.pem, from: 2024-01-01T00:00:00Z}
timestamps: 2
`), func(path string) ([]byte, error) { return files[path], nil }, nil))(t)
		b := stamped(noon.Add(time.Minute), noon.Add(2*time.Minute))
		if got, err := tr.Seen(public, b, noon); err != nil || !got.IsZero() {
			t.Errorf("one of two: %v, %v", got, err)
		}
		b.Timestamps = append(b.Timestamps, good(second.Stamp(b.Signature, noon.Add(-time.Hour)))(t))
		if got, err := tr.Seen(public, b, noon); err != nil || !got.Equal(noon.Add(time.Minute)) {
			t.Errorf("one of two lies early: %v, %v", got, err)
		}
	})
}

// like is an authority's certificate with the same names and ids, and another key.
func like(t testing.TB, c, parent *authority.Cert) *authority.Cert {
	t.Helper()
	tmpl := authority.Authority("", c.NotBefore, c.NotAfter)
	tmpl.Subject, tmpl.SubjectKeyId, tmpl.SerialNumber, tmpl.ExtKeyUsage, tmpl.MaxPathLenZero = c.Subject, c.SubjectKeyId, c.SerialNumber, c.ExtKeyUsage, c.MaxPathLenZero
	for _, e := range c.Extensions {
		if e.Id.Equal([]int{2, 5, 29, 17}) {
			tmpl.ExtraExtensions = []pkix.Extension{e}
		}
	}
	return good(authority.NewCert(tmpl, good(authority.NewKey(authority.P256, "like "+c.Subject.CommonName))(t), parent))(t)
}
