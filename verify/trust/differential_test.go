package trust_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// What is put together from all sorts of certificates, log entries and timestamps,
// right and wrong, under several thresholds: if it is accepted here, as somebody and at
// a time, then sigstore-go accepts it too, as the same and at that time among others.
//
// One thing is left out, on purpose: sigstore-go refuses a bundle for a time after the
// certificate's end, and here it only proves less. So such times are taken away before
// sigstore-go is asked, and what is left must do.
func TestWhatIsPutTogether(t *testing.T) {
	l := newLab(t)
	v2, other := l.Logs[0], newLab(t)
	other.Instance = good(authority.New("other.test", listed))(t)
	v1 := good(authority.NewLogV1("rekor1.acme.test", listed))(t)
	tsa, tsa2 := l.TSAs[0], l.second()
	ct := l.CertificateLogs[0]
	ct2 := good(authority.NewCTLog("https://ct2.acme.test", listed))(t)
	l.Logs = append(l.Logs, v1)
	l.CertificateLogs = append(l.CertificateLogs, ct2)
	trustedRoot := good(l.TrustedRoot())(t)
	at, late, early := noon.Add(10*time.Second), noon.Add(time.Hour), noon.Add(-time.Second)

	type signer struct {
		name string
		who  trust.Identity
		make func() attest.Signer
	}
	signedBy := func(name string, who trust.Identity, kind authority.Kind, logs []*authority.CTLog, changes ...func(*x509.Certificate)) signer {
		return signer{name, who, func() attest.Signer {
			i := *l.Instance
			i.CertificateLogs = logs
			return good(i.Certify(good(authority.NewKey(kind, name))(t), who, build, noon, changes...))(t)
		}}
	}
	foreign := good(authority.NewCTLog("https://ct.other.test", listed))(t)
	oldIssuer := func(c *x509.Certificate) { authority.Drop(c, authority.FulcioOID(8)) }
	newIssuer := func(c *x509.Certificate) { authority.Drop(c, authority.FulcioOID(1)) }
	twoIssuers := func(c *x509.Certificate) {
		authority.Replace(c, good(authority.Claim(8, "https://other.example"))(t))
	}
	twoNames := func(c *x509.Certificate) {
		authority.Replace(c, good(authority.SAN(authority.URI(trainer.Subject), authority.Email("a@b.example")))(t))
	}
	signers := []signer{
		signedBy("a URI", trainer, authority.P256, []*authority.CTLog{ct}),
		signedBy("two certificate logs", trainer, authority.P256, []*authority.CTLog{ct, ct2}),
		signedBy("P-384", trainer, authority.P384, []*authority.CTLog{ct}),
		signedBy("an address", alice, authority.P256, []*authority.CTLog{ct}),
		signedBy("a name", robot, authority.P256, []*authority.CTLog{ct}),
		signedBy("in no certificate log", trainer, authority.P256, nil),
		signedBy("in another certificate log", trainer, authority.P256, []*authority.CTLog{foreign}),
		signedBy("in another one too", trainer, authority.P256, []*authority.CTLog{foreign, ct}),
		signedBy("the old issuer alone", trainer, authority.P256, []*authority.CTLog{ct}, oldIssuer),
		signedBy("the new issuer alone", trainer, authority.P256, []*authority.CTLog{ct}, newIssuer),
		signedBy("two issuers", trainer, authority.P256, []*authority.CTLog{ct}, twoIssuers),
		signedBy("two names", trainer, authority.P256, []*authority.CTLog{ct}, twoNames),
		signedBy("Ed25519", trainer, authority.Ed25519, []*authority.CTLog{ct}),
	}
	foreignCA := signer{"by another instance", trainer, func() attest.Signer { return good(other.Signer(trainer, build, noon))(t) }}
	signers = append(signers, foreignCA)

	type entry func(b *authority.Bundle) authority.Entry
	from := func(log *authority.Log, kind authority.EntryKind, when time.Time, changes ...func(*authority.Entry)) entry {
		return func(b *authority.Bundle) authority.Entry {
			e := good(log.Prove(good(log.IntegrateAs(kind, l.signature(b), when))(t)))(t)
			for _, change := range changes {
				change(&e)
			}
			return e
		}
	}
	unpromised := func(e *authority.Entry) { e.Promise = nil }
	unproven := func(e *authority.Entry) { e.Proof = nil }
	untimed := func(e *authority.Entry) { e.Promise, e.IntegratedTime = nil, "" }
	retimed := func(e *authority.Entry) { e.IntegratedTime = "1741089601" }
	entries := map[string][]entry{
		"no log":               nil,
		"v2":                   {from(v2, authority.HashedRekord, at)},
		"v1":                   {from(v1, authority.DSSE, at)},
		"v1 in-toto":           {from(v1, authority.InToto, at)},
		"v1 hashedrekord":      {from(v1, authority.HashedRekordV1, at)},
		"v1 of v2's kind":      {from(v1, authority.HashedRekord, at)},
		"v2 of v1's kind":      {from(v2, authority.DSSE, at)},
		"v1 without promise":   {from(v1, authority.DSSE, at, unpromised)},
		"v1 without time":      {from(v1, authority.DSSE, at, untimed)},
		"v1 without proof":     {from(v1, authority.DSSE, at, unproven)},
		"v1 with another time": {from(v1, authority.DSSE, at, retimed)},
		"v1 too early":         {from(v1, authority.DSSE, early)},
		"v1 too late":          {from(v1, authority.DSSE, late)},
		"v1 and v2":            {from(v1, authority.DSSE, at), from(v2, authority.HashedRekord, at)},
		"v2 twice":             {from(v2, authority.HashedRekord, at), from(v2, authority.HashedRekord, at)},
		"another log":          {from(other.Logs[0], authority.HashedRekord, at)},
		"v2 and another log":   {from(other.Logs[0], authority.HashedRekord, at), from(v2, authority.HashedRekord, at)},
		"v2 about something else": {func(*authority.Bundle) authority.Entry {
			return from(v2, authority.HashedRekord, at)(l.signed("other", nil))
		}},
		"v1 about something else": {func(*authority.Bundle) authority.Entry { return from(v1, authority.DSSE, at)(l.signed("other", nil)) }},
	}
	type stamp func(b *authority.Bundle) []byte
	by := func(a *authority.TSA, when time.Time) stamp {
		return func(b *authority.Bundle) []byte { return good(a.Stamp(b.Signature, when))(t) }
	}
	stamps := map[string][]stamp{
		"no timestamp":       nil,
		"one":                {by(tsa, at)},
		"two":                {by(tsa, at), by(tsa2, at.Add(time.Second))},
		"one twice":          {by(tsa, at), by(tsa, at.Add(time.Second))},
		"another's":          {by(other.TSAs[0], at)},
		"one and another's":  {by(other.TSAs[0], at), by(tsa, at)},
		"too early":          {by(tsa, early)},
		"too late":           {by(tsa, late)},
		"one and a late one": {by(tsa, late), by(tsa2, at)},
		"of something else":  {func(*authority.Bundle) []byte { return good(tsa.Stamp([]byte("x"), at))(t) }},
		"forged":             {func(b *authority.Bundle) []byte { return forge(good(tsa.Stamp(b.Signature, at))(t)) }},
	}
	lateParts := map[string]bool{"v1 too late": true, "too late": true, "one and a late one": true}

	few := map[string]bool{"v1": true, "v2": true, "v1 and v2": true, "no timestamp": true, "one": true, "two": true}

	tried, accepted := 0, map[string]int{}
	for _, need := range []trust.InstancePart{{Root: trustedRoot, Logs: 1, Timestamps: 1, CertificateLogs: 1}, {Root: trustedRoot, Logs: 2, Timestamps: 2, CertificateLogs: 1}, {Root: trustedRoot, Logs: 1, Timestamps: 1, CertificateLogs: 2}} {
		ours := good(trust.Parts{Instances: []trust.InstancePart{need}}.Trust())(t)
		theirs := theirVerifier(t, need)
		for n, s := range signers {
			bare := l.signedBy(s.make(), "a model")
			for logName, log := range entries {
				for stampName, stamped := range stamps {
					if n > 0 && !(few[logName] && few[stampName]) {
						continue // everything with everything takes half a minute
					}
					b, kept := *bare, *bare
					for _, e := range log {
						b.Entries = append(b.Entries, e(&b))
					}
					if kept.Entries = b.Entries; logName == "v1 too late" {
						for n := range kept.Entries { // without its time it is in the log still
							kept.Entries = slices.Clone(b.Entries)
							untimed(&kept.Entries[n])
						}
					}
					for n, f := range stamped {
						b.Timestamps = append(b.Timestamps, f(&b))
						if !(lateParts[stampName] && n == 0) {
							kept.Timestamps = append(kept.Timestamps, b.Timestamps[n])
						}
					}
					tried++
					got, err := held(t, ours, &b)
					if err != nil {
						continue
					}
					accepted[s.name]++
					name := fmt.Sprintf("%d/%d/%d: %s, %s, %s", need.Logs, need.Timestamps, need.CertificateLogs, s.name, logName, stampName)
					if got.Identity != s.who {
						t.Errorf("%s: accepted as %v", name, got.Identity)
					}
					if err := theirs(good(kept.Bytes())(t), got); err != nil {
						t.Errorf("%s: accepted, and sigstore-go says %v", name, err)
					}
				}
			}
		}
	}
	t.Logf("%d tried, accepted %v", tried, accepted)
	never := []string{"in no certificate log", "in another certificate log", "two issuers", "two names", "by another instance"}
	for _, s := range signers {
		if (accepted[s.name] == 0) != slices.Contains(never, s.name) {
			t.Errorf("%s: accepted %d times", s.name, accepted[s.name])
		}
	}
}

// theirVerifier is sigstore-go's, with the same root and the same thresholds. It says
// why a bundle is not the signer's, or not at that time.
func theirVerifier(t *testing.T, need trust.InstancePart) func([]byte, trust.Signer) error {
	t.Helper()
	v := good(sigstore.NewVerifier(good(root.NewTrustedRootFromJSON(need.Root))(t),
		sigstore.WithTransparencyLog(need.Logs), sigstore.WithObserverTimestamps(need.Timestamps), sigstore.WithSignedCertificateTimestamps(need.CertificateLogs)))(t)
	return func(raw []byte, want trust.Signer) error {
		e := new(bundle.Bundle)
		if err := e.UnmarshalJSON(raw); err != nil {
			return err
		}
		id, err := sigstore.NewShortCertificateIdentity(want.Identity.Issuer, "", want.Identity.Subject, "")
		if err != nil {
			return err
		}
		r, err := v.Verify(e, sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), sigstore.WithCertificateIdentity(id)))
		if err != nil {
			return err
		}
		if c := r.Signature.Certificate; c.SourceRepositoryURI != want.Claims.SourceRepository || c.SourceRepositoryRef != want.Claims.SourceRef || c.BuildTrigger != want.Claims.BuildTrigger {
			return fmt.Errorf("it claims %+v", c)
		}
		if !slices.ContainsFunc(r.VerifiedTimestamps, func(x sigstore.TimestampVerificationResult) bool { return x.Timestamp.Equal(want.Seen) }) {
			return fmt.Errorf("it was signed at %v, and not at %v", r.VerifiedTimestamps, want.Seen)
		}
		return nil
	}
}
