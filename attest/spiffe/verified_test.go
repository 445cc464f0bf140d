package spiffe_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/spiffe"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/spiffeagent"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// trusting returns a trust in SPIFFE domains and a timestamp authority.
func trusting(t *testing.T, tsa *authority.TSA, domains ...*authority.Domain) *trust.Trust {
	t.Helper()
	files := map[string][]byte{}
	for _, c := range append([]*authority.Cert{tsa.Signer}, tsa.Above...) {
		files["tsa.pem"] = append(files["tsa.pem"], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	src := `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: test, version: 1, expires: 2030-01-01T00:00:00Z}
timestampAuthorities:
  - {name: tsa, chain: tsa.pem, from: 2026-01-01T00:00:00Z}
timestamps: 1
spiffe:
`
	for i, d := range domains {
		name := fmt.Sprintf("bundle%d.json", i)
		files[name] = must(d.Bundle())(t)
		src += fmt.Sprintf("  - {domain: %s, bundle: %s, from: 2026-01-01T00:00:00Z}\n", d.Name, name)
	}
	tr, err := trust.Load([]byte(src), func(name string) ([]byte, error) {
		b, ok := files[name]
		if !ok {
			return nil, os.ErrNotExist
		}
		return b, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// What an agent gave, signed with and stamped, is held against the bundles that
// domains publish.
func TestSignedByAgentVerifiedByTrust(t *testing.T) {
	d := newDomain(t, "prod.acme.example")
	stranger := newDomain(t, "stranger.example")
	// Of the same name, with keys of its own.
	forged := newDomain(t, "prod.acme.example")
	root := authority.Authority("spiffe prod.acme.example root", day.AddDate(0, -1, 0), day.AddDate(1, 0, 0))
	root.URIs = d.Root.URIs
	forged.Root = must(authority.NewCert(root, must(authority.NewKey(authority.P256, "forged"))(t), nil))(t)
	direct := newDomain(t, "direct.acme.example")
	direct.Intermediate = nil
	tsa := must(authority.NewTSA("https://tsa.example", day.AddDate(0, -1, 0)))(t)
	strangeTSA := must(authority.NewTSA("https://tsa.stranger.example", day.AddDate(0, -1, 0)))(t)
	a := start(t)

	sign := func(t *testing.T, svid *spiffeagent.SVID, w ...attest.Witness) *attest.Bundle {
		t.Helper()
		a.Give(svid)
		s, err := spiffe.Open(t.Context(), a.Socket)
		if err != nil {
			t.Fatal(err)
		}
		return must(attest.ParseBundle(must(attest.Sign(t.Context(), statement(t), s, w...))(t)))(t)
	}
	issue := func(t *testing.T, d *authority.Domain, changes ...func(*x509.Certificate)) *spiffeagent.SVID {
		return must(spiffeagent.Issue(d, "trainer", nil, day, changes...))(t)
	}
	at := day.Add(10 * time.Minute)
	good := sign(t, issue(t, d), tsa.At(at))

	for name, tr := range map[string]*trust.Trust{"alone": trusting(t, tsa, d), "among others": trusting(t, tsa, stranger, d, direct)} {
		got, err := tr.Authenticate(good)
		want := trust.Identity{Issuer: "spiffe://prod.acme.example", Subject: "spiffe://prod.acme.example/trainer"}
		if err != nil || got.Identity != want || !got.Seen.Equal(at) || got.Claims != (trust.Claims{}) {
			t.Fatalf("%s: got %+v, %v", name, got, err)
		}
	}
	tr := trusting(t, tsa, d, direct)
	if _, err := tr.Authenticate(sign(t, issue(t, direct), tsa.At(at))); err != nil {
		t.Errorf("without an intermediate: %v", err)
	}
	// A second stamp after the end proves less, and takes nothing away.
	if got, err := tr.Authenticate(sign(t, issue(t, d), tsa.At(at), tsa.At(day.AddDate(1, 0, 0)))); err != nil || !got.Seen.Equal(at) {
		t.Errorf("stamped again: %+v, %v", got, err)
	}

	headless := *good
	headless.Chain = nil
	crossed := *good
	crossed.Chain = [][]byte{stranger.Intermediate.Raw}
	other := sign(t, issue(t, stranger), tsa.At(at))
	swapped := *good
	swapped.Certificate, swapped.Chain = other.Certificate, other.Chain
	short := newDomain(t, "short.acme.example")
	c := authority.Authority("spiffe short.acme.example intermediate", day, day.Add(5*time.Minute))
	short.Intermediate = must(authority.NewCert(c, must(authority.NewKey(authority.P256, "short"))(t), short.Root))(t)

	for _, c := range []struct {
		name  string
		trust *trust.Trust
		b     *attest.Bundle
		want  attest.Code
	}{
		{"another domain's bundle", trusting(t, tsa, stranger), good, attest.CodeKeyUnknown},
		{"a domain of the same name", trusting(t, tsa, forged), good, attest.CodeCertChain},
		{"no trust at all", nil, good, attest.CodeKeyUnknown},
		{"no timestamp", tr, sign(t, issue(t, d)), attest.CodeTimeMissing},
		{"a stranger's timestamp", tr, sign(t, issue(t, d), strangeTSA.At(at)), attest.CodeTSA},
		{"stamped after the SVID's end", tr, sign(t, issue(t, d), tsa.At(day.Add(time.Hour+time.Minute))), attest.CodeTimeWindow},
		{"stamped before its beginning", tr, sign(t, issue(t, d), tsa.At(day.Add(-time.Minute))), attest.CodeTimeWindow},
		{"stamped after the intermediate's end", trusting(t, tsa, short), sign(t, issue(t, short), tsa.At(at)), attest.CodeCertChain},
		{"the intermediate left out", tr, &headless, attest.CodeKeyUnknown},
		{"another domain's intermediate", tr, &crossed, attest.CodeCertChain},
		{"another's certificate", trusting(t, tsa, d, stranger), &swapped, attest.CodeSigInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.trust.Authenticate(c.b)
			refused(t, err, c.want)
			if got != (trust.Signer{}) {
				t.Errorf("a refusal came with %+v", got)
			}
		})
	}
	// The twin of the short intermediate: stamped while it held.
	if _, err := trusting(t, tsa, short).Authenticate(sign(t, issue(t, short), tsa.At(day.Add(4*time.Minute)))); err != nil {
		t.Error(err)
	}
}
