package trust_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

func TestHolder(t *testing.T) {
	i := instance("acme.example")
	d := must(authority.NewDomain("prod.acme.example", epoch))
	of := func(who trust.Identity, changes ...func(*x509.Certificate)) []byte {
		return must(i.CAs[0].Issue(authority.Request{Key: must(authority.NewKey(authority.P256, "k")).Public(), Identity: who, Claims: claims, At: signed, Changes: changes}))
	}
	san := func(names ...authority.Name) func(*x509.Certificate) {
		return func(c *x509.Certificate) { authority.Replace(c, must(authority.SAN(names...))) }
	}
	svid := func(id string) []byte {
		return must(d.SVID("x", signed, san(authority.URI(id)))).Material().Certificate
	}
	workload := func(id string) trust.Identity {
		return trust.Identity{Issuer: "spiffe://prod.acme.example", Subject: id}
	}
	for _, c := range []struct {
		name string
		der  []byte
		want trust.Identity // zero: refused
	}{
		{"a URI", of(who), who},
		{"an address", of(alice), alice},
		{"a name of Fulcio's own", of(robot), robot},
		{"the old issuer alone", of(who, func(c *x509.Certificate) { authority.Drop(c, authority.FulcioOID(8)) }), who},
		{"the new issuer alone", of(who, func(c *x509.Certificate) { authority.Drop(c, authority.FulcioOID(1)) }), who},
		{"a workload", svid("spiffe://prod.acme.example/ns/a/sa/b"), workload("spiffe://prod.acme.example/ns/a/sa/b")},
		{"the longest id", svid("spiffe://prod.acme.example/" + strings.Repeat("x", 2021)), workload("spiffe://prod.acme.example/" + strings.Repeat("x", 2021))},
		{"a longer id", svid("spiffe://prod.acme.example/" + strings.Repeat("x", 2022)), trust.Identity{}},
		{"an id with dot segments", svid("spiffe://prod.acme.example/a/../b"), trust.Identity{}},
		{"an id with an empty segment", svid("spiffe://prod.acme.example/a//b"), trust.Identity{}},
		{"an id with an end", svid("spiffe://prod.acme.example/a/"), trust.Identity{}},
		{"an id with a port", svid("spiffe://prod.acme.example:80/a"), trust.Identity{}},
		{"an id with a user", svid("spiffe://a@prod.acme.example/a"), trust.Identity{}},
		{"an id with a query", svid("spiffe://prod.acme.example/a?b"), trust.Identity{}},
		{"an id in capitals", svid("spiffe://Prod.acme.example/a"), trust.Identity{}},
		{"no name", of(who, func(c *x509.Certificate) { authority.Drop(c, must(authority.SAN()).Id) }), trust.Identity{}},
		{"an empty list of names", of(who, san()), trust.Identity{}},
		{"an empty name", of(who, san(authority.URI(""))), trust.Identity{}},
		{"one name twice", of(who, san(authority.URI(who.Subject), authority.URI(who.Subject))), trust.Identity{}},
		{"a URI and a host", of(who, san(authority.URI(who.Subject), authority.DNS("ci.example"))), trust.Identity{}},
		{"a SPIFFE id and a host, by Fulcio", of(who, san(authority.URI("spiffe://prod.acme.example/a"), authority.DNS("ci.example"))), trust.Identity{}},
		{"a host", of(who, san(authority.DNS("ci.example"))), trust.Identity{}},
		{"a URI with two spellings", of(who, san(authority.URI("HTTPS://ci.example/a"))), trust.Identity{}},
		{"a line feed in an own name", of(who, san(must(authority.Other("a\nb")))), trust.Identity{}},
		{"an own name with a space", of(who, san(must(authority.Other("a b")))), trust.Identity{Issuer: who.Issuer, Subject: "a b"}},
		{"an issuer with a space", of(trust.Identity{Issuer: "https://ci.example https://x", Subject: who.Subject}), trust.Identity{}},
		{"an issuer with a line feed", of(trust.Identity{Issuer: "https://ci.example\n", Subject: who.Subject}), trust.Identity{}},
		{"an issuer that spells a trust domain", of(trust.Identity{Issuer: "spiffe://prod.acme.example", Subject: "spiffe://prod.acme.example/a"}), trust.Identity{}},
		{"an issuer that spells a key", of(trust.Identity{Issuer: "key:sha256:00", Subject: "a@b"}), trust.Identity{}},
		{"a claim with a line feed", of(who, func(c *x509.Certificate) { authority.Replace(c, must(authority.Claim(14, "refs/heads/\nmain"))) }), trust.Identity{}},
		{"a claim that is no text", of(who, func(c *x509.Certificate) {
			authority.Replace(c, pkix.Extension{Id: authority.FulcioOID(14), Value: []byte("refs/heads/main")})
		}), trust.Identity{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, said, err := trust.Holder(c.der)
			if c.want.IsZero() {
				if attest.RefusalCode(err) != attest.CodeIdentity || !got.IsZero() || said != (trust.Claims{}) {
					t.Errorf("got %v, %v, %v, want E_IDENTITY", got, said, err)
				}
				return
			}
			want := claims
			if c.want.IsSPIFFE() {
				want = trust.Claims{}
			}
			if err != nil || got != c.want || said != want {
				t.Errorf("got %v, %v, %v, want %v", got, said, err, c.want)
			}
		})
	}
	if _, _, err := trust.Holder([]byte("x")); attest.RefusalCode(err) != attest.CodeBundleParse {
		t.Error(err)
	}
	full := trust.Claims{BuildSigner: "9", BuildSignerDigest: "10", RunnerEnvironment: "11", SourceRepository: "12", SourceDigest: "13", SourceRef: "14", SourceID: "15",
		SourceOwner: "16", SourceOwnerID: "17", BuildConfig: "18", BuildConfigDigest: "19", BuildTrigger: "20", RunInvocation: "21", SourceVisibility: "22"}
	der := must(i.CAs[0].Issue(authority.Request{Key: must(authority.NewKey(authority.P256, "k")).Public(), Identity: who, Claims: full, At: signed}))
	if _, got, err := trust.Holder(der); err != nil || got != full {
		t.Errorf("got %v, %v", got, err)
	}
}
