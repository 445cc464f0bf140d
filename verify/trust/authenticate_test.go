package trust_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

func TestAuthenticate(t *testing.T) {
	i := instance("acme.example")
	v1 := instance("old.example")
	v1.Logs = []*authority.Log{must(authority.NewLogV1("rekor.old.example", epoch))}
	untimed := instance("old.example")
	untimed.Logs, untimed.TSAs = v1.Logs, nil
	p384 := instance("p384.example")
	p384.CAs = []*authority.CA{must(authority.NewCA("https://fulcio.p384.example", epoch, authority.P384))}
	later := 10 * time.Second
	for _, c := range []struct {
		name   string
		trust  *trust.Trust
		bundle []byte
		who    trust.Identity
		seen   time.Time
	}{
		{"a URI", trusting(i), sign(i), who, signed.Add(later)},
		{"among several instances", trusting(instance("other.example"), i), sign(i), who, signed.Add(later)},
		{"Rekor v1", trusting(v1), sign(v1), who, signed.Add(later)},
		{"Rekor v1, timed by the log alone", trusting(untimed), sign(untimed), who, signed.Add(later)},
		{"P-384 authorities", trusting(p384), sign(p384), who, signed.Add(later)},
		{"a P-384 key", trusting(i), signWith(must(i.Certify(must(authority.NewKey(authority.P384, "signer")), who, claims, signed)), i.Witnesses(signed.Add(later))...), who, signed.Add(later)},
		{"an email address", trusting(i), must(i.Sign(context.Background(), payload(), alice, claims, signed)), alice, signed.Add(later)},
		{"a name of Fulcio's own", trusting(i), must(i.Sign(context.Background(), payload(), robot, claims, signed)), robot, signed.Add(later)},
		{"at the first moment of the certificate", trusting(i), signWith(must(i.Signer(who, claims, signed)), i.Witnesses(signed)...), who, signed},
		{"at the last", trusting(i), signWith(must(i.Signer(who, claims, signed)), i.Witnesses(signed.Add(10*time.Minute))...), who, signed.Add(10 * time.Minute)},
		{"timed again too late", trusting(i), signWith(must(i.Signer(who, claims, signed)), append(i.Witnesses(signed.Add(later)), i.TSAs[0].At(signed.AddDate(0, 3, 0)))...), who, signed.Add(later)},
		{"timed twice by one authority", trusting(i), signWith(must(i.Signer(who, claims, signed)), append(i.Witnesses(signed.Add(time.Minute)), i.TSAs[0].At(signed.Add(later)))...), who, signed.Add(later)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := judge(t, c.trust, c.bundle)
			if want := (trust.Signer{Identity: c.who, Claims: claims, Seen: c.seen}); err != nil || got != want {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
			if _, err := judge(t, nil, c.bundle); attest.RefusalCode(err) != attest.CodeKeyUnknown {
				t.Errorf("the nil trust says %v", err)
			}
			if _, err := judge(t, new(trust.Trust), c.bundle); attest.RefusalCode(err) != attest.CodeKeyUnknown {
				t.Errorf("the zero trust says %v", err)
			}
		})
	}
}

var (
	alice = trust.Identity{Issuer: "https://login.example", Subject: "alice@example.org"}
	robot = trust.Identity{Issuer: "https://login.example", Subject: "robot 7"}
)

// A bad is a bundle that must be refused under a trust, and how.
type bad struct {
	name   string
	trust  *trust.Trust
	bundle []byte
	code   attest.Code
}

// catalogue is a list of bundles that are wrong in one way each.
func catalogue() []bad {
	i := instance("acme.example")
	good, all := sign(i), trusting(i)
	other := must(i.Sign(context.Background(), payload(), alice, claims, signed))
	later := signed.Add(10 * time.Second)
	signer := func(changes ...func(*x509.Certificate)) attest.Signer {
		return must(i.Signer(who, claims, signed, changes...))
	}
	witness := func(changes ...func(*x509.Certificate)) []byte {
		return signWith(signer(changes...), i.Witnesses(later)...)
	}
	alter := func(change func(*authority.Bundle)) []byte { return changed(good, change) }
	entry := func(change func(*authority.Entry)) []byte {
		return alter(func(b *authority.Bundle) { change(&b.Entries[0]) })
	}
	stamped := func(tsa *authority.TSA, at time.Time, changes ...func(*authority.Stamping)) []byte {
		return alter(func(b *authority.Bundle) { b.Timestamps = [][]byte{must(tsa.Stamp(b.Signature, at, changes...))} })
	}
	foreign := instance("foreign.example")
	twin := instance("acme.example") // the same names
	twin.CAs[0] = namesake(i.CAs[0])
	list := []bad{
		{"another payload", all, alter(func(b *authority.Bundle) { b.Payload = bytes.Replace(b.Payload, []byte("fine"), []byte("evil"), 1) }), attest.CodeSigInvalid},
		{"another signature", all, alter(func(b *authority.Bundle) { b.Signature = must(authority.Open(other)).Signature }), attest.CodeSigInvalid},
		{"another certificate", all, alter(func(b *authority.Bundle) { b.Certificate = must(authority.Open(other)).Certificate }), attest.CodeSigInvalid},
		{"nobody's instance", all, sign(foreign), attest.CodeKeyUnknown},
		{"an authority of the same name", all, sign(twin), attest.CodeCertChain},
		{"several names", all, witness(func(c *x509.Certificate) {
			authority.Replace(c, must(authority.SAN(authority.URI(who.Subject), authority.URI("https://ci.example/evil"))))
		}), attest.CodeIdentity},
		{"a URI and an address", all, witness(func(c *x509.Certificate) {
			authority.Replace(c, must(authority.SAN(authority.URI(who.Subject), authority.Email("alice@example.org"))))
		}), attest.CodeIdentity},
		{"no issuer", all, witness(func(c *x509.Certificate) {
			authority.Drop(c, authority.FulcioOID(1))
			authority.Drop(c, authority.FulcioOID(8))
		}), attest.CodeIdentity},
		{"two issuers", all, witness(func(c *x509.Certificate) {
			authority.Replace(c, pkix.Extension{Id: authority.FulcioOID(1), Value: []byte("https://evil.example")})
		}), attest.CodeIdentity},
		{"an authority's certificate", all, witness(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), attest.CodeCertChain},
		{"a certificate for TLS", all, witness(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), attest.CodeCertChain},
		{"a certificate for nothing", all, witness(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), attest.CodeCertChain},
		{"a certificate whose key is not for signatures", all, witness(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), attest.CodeCertChain},
		{"a certificate with something critical", all, witness(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
		}), attest.CodeCertChain},
		{"no log entry", all, alter(func(b *authority.Bundle) { b.Entries = nil }), attest.CodeLogProof},
		{"another's log entry", all, alter(func(b *authority.Bundle) { b.Entries = must(authority.Open(other)).Entries }), attest.CodeLogMismatch},
		{"a log entry twice", all, alter(func(b *authority.Bundle) { b.Entries = append(b.Entries, b.Entries[0]) }), attest.CodeLogProof},
		{"an entry without proof", all, entry(func(e *authority.Entry) { e.Proof = nil }), attest.CodeLogProof},
		{"an entry elsewhere", all, entry(func(e *authority.Entry) { e.LogIndex, e.Proof.LogIndex = "7", "7" }), attest.CodeLogProof},
		{"an entry at two places", all, entry(func(e *authority.Entry) { e.Proof.LogIndex = "7" }), attest.CodeLogProof},
		{"an entry at a negative place", all, entry(func(e *authority.Entry) { e.LogIndex, e.Proof.LogIndex = "-1", "-1" }), attest.CodeLogProof},
		{"an entry beyond numbers", all, entry(func(e *authority.Entry) { e.LogIndex = "9223372036854775808" }), attest.CodeLogProof},
		{"a proof in another tree", all, entry(func(e *authority.Entry) { e.Proof.TreeSize = "77" }), attest.CodeLogProof},
		{"a proof up to another root", all, entry(func(e *authority.Entry) { e.Proof.RootHash[0] ^= 1 }), attest.CodeLogProof},
		{"a proof with a hash too many", all, entry(func(e *authority.Entry) { e.Proof.Hashes = append(e.Proof.Hashes, make([]byte, 32)) }), attest.CodeLogProof},
		{"another body", all, entry(func(e *authority.Entry) { e.Body[len(e.Body)-9] ^= 1 }), attest.CodeLogProof},
		{"a kind of another version", all, entry(func(e *authority.Entry) { e.KindVersion.Version = "0.0.1" }), attest.CodeLogProof},
		{"a forged checkpoint", all, entry(func(e *authority.Entry) {
			e.Proof.Checkpoint.Envelope = must(must(authority.NewLog("rekor.acme.example", epoch, authority.P256)).Checkpoint(1, e.Proof.RootHash))
		}), attest.CodeLogProof},
		{"a checkpoint of another origin", all, entry(func(e *authority.Entry) {
			text := fmt.Sprintf("rekor.evil.example\n%s", strings.SplitN(e.Proof.Checkpoint.Envelope, "\n", 2)[1])
			e.Proof.Checkpoint.Envelope = must(i.Logs[0].Note(strings.SplitN(text, "\n\n", 2)[0]+"\n", "rekor.acme.example"))
		}), attest.CodeLogProof},
		{"no timestamp", all, alter(func(b *authority.Bundle) { b.Timestamps = nil }), attest.CodeTimeMissing},
		{"another authority's timestamp", all, stamped(foreign.TSAs[0], later), attest.CodeTSA},
		{"a timestamp over something else", all, alter(func(b *authority.Bundle) { b.Timestamps = must(authority.Open(other)).Timestamps }), attest.CodeTSA},
		{"a timestamp that is none", all, alter(func(b *authority.Bundle) { b.Timestamps = [][]byte{{0x30, 0}} }), attest.CodeTSA},
		{"a timestamp of a megabyte", all, stamped(i.TSAs[0], later, func(s *authority.Stamping) { s.Bag = slices.Repeat(s.Bag, 2000) }), attest.CodeLimit},
		{"a timestamp with nine certificates", all, stamped(i.TSAs[0], later, func(s *authority.Stamping) { s.Bag = slices.Repeat(s.Bag, 9) }), attest.CodeLimit},
		{"a timestamp before the certificate", all, stamped(i.TSAs[0], signed.Add(-time.Second)), attest.CodeTimeWindow},
		{"a timestamp after it", all, stamped(i.TSAs[0], signed.Add(10*time.Minute+time.Second)), attest.CodeTimeWindow},
		{"no certificate timestamp", all, signWith(must(bare(i).Signer(who, claims, signed)), i.Witnesses(later)...), attest.CodeCertChain},
		{"another log's certificate timestamp", all, signWith(must(recordedBy(i, foreign).Signer(who, claims, signed)), i.Witnesses(later)...), attest.CodeCertChain},
		{"logged and timed by another instance", trusting(i, foreign), signWith(signer(), foreign.Witnesses(later)...), attest.CodeTSA},
		{"logged by another instance", trusting(i, foreign), signWith(signer(), foreign.Logs[0].At(later), i.TSAs[0].At(later)), attest.CodeLogProof},
		{"a chain", all, alter(func(b *authority.Bundle) { b.Chain = [][]byte{b.Certificate, i.CAs[0].Issuer.Raw} }), attest.CodeBundleParse},
	}
	for _, c := range []struct {
		name string
		eku  pkix.Extension
	}{
		{"not critical", must(authority.EKU(false))},
		{"for TLS", must(authority.EKU(true, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}))},
		{"for two purposes", must(authority.EKU(true, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}))},
		{"for an unknown purpose too", must(authority.EKU(true, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}, asn1.ObjectIdentifier{1, 2, 3, 4}))},
	} {
		w := instance("acme.example")
		w.TSAs[0] = must(authority.NewTSA("https://tsa.acme.example", epoch, func(t *x509.Certificate) { authority.Replace(t, c.eku) }))
		list = append(list, bad{"a timestamp authority's certificate " + c.name, trusting(w), sign(w), attest.CodeTSA})
	}
	windows := []struct {
		name   string
		change func(*authority.Instance)
		code   attest.Code
	}{
		{"the certificate authority's end", func(i *authority.Instance) { i.CAs[0].Until = later.Add(-time.Second) }, attest.CodeCertChain},
		{"the certificate authority's beginning", func(i *authority.Instance) { i.CAs[0].From = later.Add(time.Second) }, attest.CodeCertChain},
		{"the log's end", func(i *authority.Instance) { i.Logs[0].Until = later.Add(-time.Second) }, attest.CodeLogProof},
		{"the log's beginning", func(i *authority.Instance) { i.Logs[0].From = later.Add(time.Second) }, attest.CodeLogProof},
		{"the certificate log's end", func(i *authority.Instance) { i.CertificateLogs[0].Until = signed.Add(-time.Second) }, attest.CodeCertChain},
		{"the timestamp authority's end", func(i *authority.Instance) { i.TSAs[0].Until = later.Add(-time.Second) }, attest.CodeTSA},
		{"the timestamp authority's beginning", func(i *authority.Instance) { i.TSAs[0].From = later.Add(time.Second) }, attest.CodeTSA},
	}
	for _, c := range windows {
		w := instance("acme.example")
		c.change(w)
		list = append(list, bad{"after or before " + c.name, trusting(w), good, c.code})
	}
	return list
}

// namesake is a certificate authority with the same names and other keys.
func namesake(ca *authority.CA) *authority.CA {
	root := must(authority.NewCert(authority.Authority(ca.Above[0].Subject.CommonName, epoch, epoch.AddDate(10, 0, 0)), must(authority.NewKey(authority.P256, "impostor's root")), nil))
	issuer := must(authority.NewCert(authority.Authority(ca.Issuer.Subject.CommonName, epoch, epoch.AddDate(10, 0, 0)), must(authority.NewKey(authority.P256, "impostor")), root))
	return &authority.CA{URL: ca.URL, From: epoch, Issuer: issuer, Above: []*authority.Cert{root}}
}

// bare is an instance that has no certificates recorded.
func bare(i *authority.Instance) *authority.Instance {
	return &authority.Instance{Name: i.Name, CAs: i.CAs, Logs: i.Logs, TSAs: i.TSAs}
}

// recordedBy is an instance whose certificates another records.
func recordedBy(i, by *authority.Instance) *authority.Instance {
	return &authority.Instance{Name: i.Name, CAs: i.CAs, CertificateLogs: by.CertificateLogs, Logs: i.Logs, TSAs: i.TSAs}
}

func TestAuthenticateRefuses(t *testing.T) {
	for _, c := range catalogue() {
		t.Run(c.name, func(t *testing.T) {
			s, err := judge(t, c.trust, c.bundle)
			if got := attest.RefusalCode(err); got != c.code || s != (trust.Signer{}) {
				t.Errorf("got %v, %v, want %s", s, err, c.code)
			}
		})
	}
}

// What a trust keeps of good bundles spares work and vouches for nothing: bad bundles
// are refused for the same reasons after it saw good ones, and after it saw each
// other, whoever asks at the same time.
func TestMemoVouchesForNothing(t *testing.T) {
	i := instance("acme.example")
	good := sign(i)
	list := catalogue()
	for round := range 2 {
		var asking sync.WaitGroup
		for n := range list {
			c := list[(n*7+round)%len(list)]
			asking.Go(func() {
				// Most of them are distinguished by nothing but one field from good.
				if _, err := judge(t, c.trust, good); err == nil {
					if checkpoints, _ := c.trust.Memoised(); checkpoints == 0 {
						t.Errorf("%s: nothing was kept", c.name)
					}
				}
				if _, err := judge(t, c.trust, c.bundle); attest.RefusalCode(err) != c.code {
					t.Errorf("%s, after good ones: %v, want %s", c.name, err, c.code)
				}
			})
		}
		asking.Wait()
	}
}

func TestThresholds(t *testing.T) {
	i := instance("acme.example")
	second := instance("second.example")
	i.Logs, i.TSAs, i.CertificateLogs = append(i.Logs, second.Logs...), append(i.TSAs, second.TSAs...), append(i.CertificateLogs, second.CertificateLogs...)
	later := signed.Add(10 * time.Second)
	s := must(i.Signer(who, claims, signed))
	renamed := func(i *authority.Instance) []byte {
		tsa := *i.TSAs[0]
		tsa.URL = "https://tsa2.acme.example"
		return must((&authority.Instance{Name: i.Name, CAs: i.CAs, CertificateLogs: i.CertificateLogs, Logs: i.Logs[:1], TSAs: []*authority.TSA{i.TSAs[0], &tsa}}).TrustedRoot())
	}
	root := must(i.TrustedRoot())
	part := func(logs, stamps, certs int) trust.InstancePart {
		return trust.InstancePart{Root: root, Logs: logs, Timestamps: stamps, CertificateLogs: certs}
	}
	both := signWith(s, i.Logs[0].At(later), i.Logs[1].At(later), i.TSAs[0].At(later), i.TSAs[1].At(later.Add(time.Minute)))
	for _, c := range []struct {
		name   string
		part   trust.InstancePart
		bundle []byte
		code   attest.Code
		seen   time.Time
	}{
		{"two of each", part(2, 2, 2), both, "", later.Add(time.Minute)},
		{"one of each", part(1, 1, 1), both, "", later},
		{"one log of two", part(2, 1, 1), signWith(s, i.Logs[0].At(later), i.TSAs[0].At(later)), attest.CodeLogProof, time.Time{}},
		{"two entries of one log", part(2, 1, 1), signWith(s, i.Logs[0].At(later), i.Logs[0].At(later), i.TSAs[0].At(later)), attest.CodeLogProof, time.Time{}},
		{"one authority of two", part(1, 2, 1), signWith(s, i.Logs[0].At(later), i.TSAs[0].At(later)), attest.CodeTimeMissing, time.Time{}},
		{"one authority twice", part(1, 2, 1), signWith(s, i.Logs[0].At(later), i.TSAs[0].At(later), i.TSAs[0].At(later.Add(time.Second))), attest.CodeTimeMissing, time.Time{}},
		{"one authority behind two URLs", trust.InstancePart{Root: renamed(i), Timestamps: 2}, signWith(s, i.Logs[0].At(later), i.TSAs[0].At(later), i.TSAs[0].At(later.Add(time.Second))), attest.CodeTimeMissing, time.Time{}},
		{"one certificate log of two", part(1, 1, 2), signWith(must(recordedBy(i, second).Signer(who, claims, signed)), i.Witnesses(later)...), attest.CodeCertChain, time.Time{}},
		{"no log asked for", part(trust.None, 1, 1), signWith(s, i.TSAs[0].At(later)), "", later},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := must(trust.Parts{Instances: []trust.InstancePart{c.part}}.Trust())
			got, err := judge(t, tr, c.bundle)
			if attest.RefusalCode(err) != c.code || !got.Seen.Equal(c.seen) {
				t.Errorf("got %v, %v, want %q and %v", got, err, c.code, c.seen)
			}
		})
	}
	for _, p := range []trust.InstancePart{part(3, 1, 1), part(1, 1, 3), part(1, trust.None, 1), part(-2, 1, 1)} {
		if _, err := (trust.Parts{Instances: []trust.InstancePart{p}}).Trust(); attest.RefusalCode(err) != attest.CodeTrustRoot {
			t.Errorf("%d, %d, %d: %v", p.Logs, p.Timestamps, p.CertificateLogs, err)
		}
	}
}

// Timestamps of the trust's own authorities count for an instance that says so.
func TestSharedAuthorities(t *testing.T) {
	i := instance("acme.example")
	tsa := i.TSAs[0]
	bundle := sign(i)
	i.TSAs = nil
	for _, shared := range []bool{true, false} {
		p := trust.Parts{Instances: []trust.InstancePart{{Root: must(i.TrustedRoot()), Shared: shared}}, Authorities: []trust.AuthorityPart{tsaPart(tsa, "tsa")}}
		if _, err := judge(t, must(p.Trust()), bundle); shared != (err == nil) {
			t.Errorf("shared %v: %v", shared, err)
		}
	}
}

// RSA keys are refused as everywhere: three kinds of keys suffice.
func TestAuthenticateRefusesRSA(t *testing.T) {
	i := instance("acme.example")
	k := must(rsa.GenerateKey(rand.Reader, 2048))
	bundle := changed(sign(i), func(b *authority.Bundle) {
		b.Certificate = must(i.CAs[0].Issue(authority.Request{Key: k.Public(), Identity: who, Claims: claims, At: signed, Logs: i.CertificateLogs}))
	})
	if _, err := judge(t, trusting(i), bundle); attest.RefusalCode(err) != attest.CodeKey {
		t.Error(err)
	}
}

// A certificate that was issued while everything above it was valid, and used when it
// no longer was.
func TestExpiredAbove(t *testing.T) {
	i := instance("acme.example")
	end := signed.Add(5 * time.Minute)
	root := i.CAs[0].Above[0]
	for _, c := range []struct {
		name string
		at   time.Time
		code attest.Code
	}{{"before", end, ""}, {"after", end.Add(time.Second), attest.CodeCertChain}} {
		template := authority.Authority("short-lived", epoch, end)
		template.SerialNumber = big.NewInt(7)
		i.CAs[0].Issuer = must(authority.NewCert(template, must(authority.NewKey(authority.P256, "short")), root))
		bundle := signWith(must(i.Signer(who, claims, signed)), i.Witnesses(c.at)...)
		if _, err := judge(t, trusting(i), bundle); attest.RefusalCode(err) != c.code {
			t.Errorf("%s the end of the intermediate: %v", c.name, err)
		}
	}
}

// What restricts everything below it is asked in full: names above the issuer.
func TestNameConstraintsAbove(t *testing.T) {
	for _, c := range []struct {
		permitted string
		code      attest.Code
	}{{"ci.example", ""}, {"elsewhere.example", attest.CodeCertChain}} {
		i := instance("acme.example")
		template := authority.Authority("constrained", epoch, epoch.AddDate(10, 0, 0))
		template.PermittedURIDomains, template.PermittedDNSDomainsCritical = []string{c.permitted}, true
		root := must(authority.NewCert(template, must(authority.NewKey(authority.P256, "constrained")), nil))
		i.CAs[0].Issuer = must(authority.NewCert(authority.Authority("below", epoch, epoch.AddDate(10, 0, 0)), must(authority.NewKey(authority.P256, "below")), root))
		i.CAs[0].Above = []*authority.Cert{root}
		if _, err := judge(t, trusting(i), sign(i)); attest.RefusalCode(err) != c.code {
			t.Errorf("%s permitted: %v", c.permitted, err)
		}
	}
}
