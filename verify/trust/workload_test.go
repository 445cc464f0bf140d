package trust_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

func TestWorkloads(t *testing.T) {
	d := must(authority.NewDomain("prod.acme.example", epoch))
	foreign := must(authority.NewDomain("other.example", epoch))
	twin := must(authority.NewDomain("prod.acme.example", epoch))
	key := must(authority.NewKey(authority.P256, "impostor"))
	twin.Root = must(authority.NewCert(authority.Authority(d.Root.Subject.CommonName, epoch, epoch.AddDate(10, 0, 0)), key, nil))
	twin.Intermediate = nil
	direct := must(authority.NewDomain("prod.acme.example", epoch))
	direct.Intermediate = nil
	tsa, second := must(authority.NewTSA("https://tsa.acme.example", epoch)), must(authority.NewTSA("https://tsa2.acme.example", epoch))
	later := signed.Add(10 * time.Second)
	all := trust.Parts{
		Domains:     []trust.DomainPart{{Name: d.Name, Roots: []*x509.Certificate{d.Root.Certificate}}},
		Authorities: []trust.AuthorityPart{tsaPart(tsa, "tsa"), tsaPart(second, "tsa2")},
	}
	with := func(change func(*trust.Parts)) trust.Parts {
		p := all
		p.Domains = slices.Clone(all.Domains)
		change(&p)
		return p
	}
	svid := func(d *authority.Domain, changes ...func(*x509.Certificate)) attest.Signer {
		return must(d.SVID("trainer", signed, changes...))
	}
	good := signWith(svid(d), tsa.At(later))
	i := instance("acme.example")
	for _, c := range []struct {
		name   string
		parts  trust.Parts
		bundle []byte
		code   attest.Code
	}{
		{"a workload", all, good, ""},
		{"issued by the root", all, signWith(svid(direct), tsa.At(later)), ""},
		{"with a name for TLS beside its id", all, signWith(svid(d, func(c *x509.Certificate) {
			authority.Replace(c, must(authority.SAN(authority.DNS("trainer.acme.example"), authority.URI("spiffe://prod.acme.example/trainer"))))
		}), tsa.At(later)), ""},
		{"two of two authorities", with(func(p *trust.Parts) { p.Timestamps = 2 }), signWith(svid(d), tsa.At(later), second.At(later)), ""},
		{"one of two authorities", with(func(p *trust.Parts) { p.Timestamps = 2 }), good, attest.CodeTimeMissing},
		{"no time", all, signWith(svid(d)), attest.CodeTimeMissing},
		{"a time after it", all, signWith(svid(d), tsa.At(signed.Add(2*time.Hour))), attest.CodeTimeWindow},
		{"another authority's time", all, signWith(svid(d), must(authority.NewTSA("https://tsa.evil.example", epoch)).At(later)), attest.CodeTSA},
		{"a domain that is not listed", all, signWith(svid(foreign), tsa.At(later)), attest.CodeKeyUnknown},
		{"an authority of the same name", all, signWith(svid(twin), tsa.At(later)), attest.CodeCertChain},
		{"the domain's end", with(func(p *trust.Parts) { p.Domains[0].Until = later.Add(-time.Second) }), good, attest.CodeCertChain},
		{"one domain's name under another's authority", with(func(p *trust.Parts) {
			p.Domains = append(p.Domains, trust.DomainPart{Name: foreign.Name, Roots: []*x509.Certificate{foreign.Root.Certificate}})
		}), signWith(svid(foreign, func(c *x509.Certificate) {
			authority.Replace(c, must(authority.SAN(authority.URI("spiffe://prod.acme.example/trainer"))))
		}), tsa.At(later)), attest.CodeKeyUnknown},
		{"two ids", all, signWith(svid(direct, func(c *x509.Certificate) {
			authority.Replace(c, must(authority.SAN(authority.URI("spiffe://prod.acme.example/trainer"), authority.URI("spiffe://prod.acme.example/admin"))))
		}), tsa.At(later)), attest.CodeIdentity},
		{"the id of the domain", all, signWith(svid(direct, func(c *x509.Certificate) {
			authority.Replace(c, must(authority.SAN(authority.URI("spiffe://prod.acme.example"))))
		}), tsa.At(later)), attest.CodeIdentity},
		{"a key that signs certificates", all, signWith(svid(d, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), tsa.At(later)), attest.CodeCertChain},
		{"a key for no signatures", all, signWith(svid(d, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), tsa.At(later)), attest.CodeCertChain},
		{"another payload", all, changed(good, func(b *authority.Bundle) { b.Payload[len(b.Payload)-4] ^= 1 }), attest.CodeSigInvalid},
		{"the intermediate left out", all, changed(good, func(b *authority.Bundle) { b.Certificate, b.Chain = b.Chain[0], nil }), attest.CodeKeyUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := must(c.parts.Trust())
			for range 2 { // the second time from memory
				s, err := judge(t, tr, c.bundle)
				if attest.RefusalCode(err) != c.code {
					t.Fatalf("got %v, %v, want %q", s, err, c.code)
				}
				want := trust.Signer{Identity: trust.Identity{Issuer: "spiffe://prod.acme.example", Subject: "spiffe://prod.acme.example/trainer"}, Seen: later}
				if c.code != "" {
					want = trust.Signer{}
				}
				if s != want {
					t.Fatalf("got %v, want %v", s, want)
				}
			}
		})
	}
	// What Fulcio issues is no workload's, although its authority is the domain's too.
	tr := must(trust.Parts{Domains: []trust.DomainPart{{Name: "acme.example", Roots: []*x509.Certificate{i.CAs[0].Above[0].Certificate, i.CAs[0].Issuer.Certificate}}}, Authorities: all.Authorities}.Trust())
	id := trust.Identity{Issuer: "https://ci.example", Subject: "spiffe://acme.example/trainer"}
	if s, err := judge(t, tr, signWith(must(i.Signer(id, claims, signed)), tsa.At(later))); attest.RefusalCode(err) != attest.CodeKeyUnknown {
		t.Errorf("a token's holder passed for a workload: %v, %v", s, err)
	}
}

func TestSeenOfKeys(t *testing.T) {
	tsa, second := must(authority.NewTSA("https://tsa.acme.example", epoch)), must(authority.NewTSA("https://tsa2.acme.example", epoch))
	old := instance("old.example")
	old.Logs = []*authority.Log{must(authority.NewLogV1("rekor.old.example", epoch))}
	k := must(attest.NewKeySigner(must(authority.NewKey(authority.P256, "plain"))))
	other := must(attest.NewKeySigner(must(authority.NewKey(authority.P256, "other"))))
	authorities := []trust.AuthorityPart{tsaPart(tsa, "tsa"), tsaPart(second, "tsa2")}
	one, two := trust.Parts{Authorities: authorities}, trust.Parts{Authorities: authorities, Timestamps: 2}
	hour := signed.Add(time.Hour)
	listed := func(from, until, compromised time.Time) trust.Parts {
		return trust.Parts{Authorities: authorities, Keys: []trust.KeyPart{{Key: k.Public(), From: from, Until: until, CompromisedSince: compromised}}}
	}
	both := signWith(k, tsa.At(signed), second.At(hour))
	for _, c := range []struct {
		name    string
		parts   trust.Parts
		bundle  []byte
		claimed time.Time
		seen    time.Time
		code    attest.Code
	}{
		{"nothing", one, signWith(k), signed, time.Time{}, ""},
		{"one of one", one, both, signed, signed, ""},
		{"two of two", two, both, signed, hour, ""},
		{"one of two", two, signWith(k, tsa.At(signed)), signed, time.Time{}, ""},
		{"one twice of two", two, signWith(k, tsa.At(signed), tsa.At(hour)), signed, time.Time{}, ""},
		{"over another signature", one, changed(signWith(k), func(b *authority.Bundle) {
			b.Timestamps = must(authority.Open(signWith(other, tsa.At(signed)))).Timestamps
		}), signed, time.Time{}, ""},
		{"spoilt beside a good one", one, changed(signWith(k, tsa.At(signed)), func(b *authority.Bundle) { b.Timestamps = append([][]byte{{1}, make([]byte, 1<<17)}, b.Timestamps...) }), signed, signed, ""},
		{"a log that promises", trust.Parts{Instances: []trust.InstancePart{{Root: must(old.TrustedRoot())}}}, signWith(k, old.Logs[0].At(hour)), signed, hour, ""},
		{"a log's entry for another key", trust.Parts{Instances: []trust.InstancePart{{Root: must(old.TrustedRoot())}}}, changed(signWith(k), func(b *authority.Bundle) {
			b.Entries = must(authority.Open(signWith(other, old.Logs[0].At(hour)))).Entries
		}), signed, time.Time{}, ""},
		{"at both ends of the key's window", listed(signed, signed, time.Time{}), signWith(k, tsa.At(signed)), signed, signed, ""},
		{"seen after it", listed(signed, signed, time.Time{}), signWith(k, tsa.At(signed.Add(time.Second))), signed, time.Time{}, attest.CodeKeyWindow},
		{"claimed before it", listed(signed, hour, time.Time{}), both, signed.Add(-time.Second), time.Time{}, attest.CodeKeyWindow},
		{"claimed after it", listed(epoch, signed, time.Time{}), signWith(k), signed.Add(time.Second), time.Time{}, attest.CodeKeyWindow},
		{"no time at all", listed(epoch, hour, time.Time{}), signWith(k), time.Time{}, time.Time{}, attest.CodeKeyWindow},
		{"seen before the key was compromised", listed(time.Time{}, time.Time{}, signed.Add(time.Second)), both, signed, signed, ""},
		{"seen when it was", listed(time.Time{}, time.Time{}, signed), both, signed, time.Time{}, attest.CodeRevoked},
		{"not seen, of a compromised key", listed(time.Time{}, time.Time{}, hour), signWith(k), signed, time.Time{}, attest.CodeRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := must(c.parts.Trust()).Seen(k.Public(), parse(c.bundle), c.claimed)
			if attest.RefusalCode(err) != c.code || !got.Equal(c.seen) {
				t.Errorf("got %v, %v, want %v, %q", got, err, c.seen, c.code)
			}
		})
	}
	if got, err := (*trust.Trust)(nil).Seen(k.Public(), parse(both), signed); err != nil || !got.IsZero() {
		t.Errorf("the nil trust says %v, %v", got, err)
	}
}
