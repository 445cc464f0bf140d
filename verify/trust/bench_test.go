package trust_test

import (
	"bytes"
	"context"
	"encoding/json"
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

// verifier is sigstore-go's for a trusted root, as strict as ours.
func verifier(trustedRoot []byte) func(bundle []byte) error {
	material := must(root.NewTrustedRootFromJSON(trustedRoot))
	v := must(sigstore.NewVerifier(material, sigstore.WithTransparencyLog(1), sigstore.WithObserverTimestamps(1), sigstore.WithSignedCertificateTimestamps(1)))
	id := must(sigstore.NewShortCertificateIdentity(who.Issuer, "", who.Subject, ""))
	policy := sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), sigstore.WithCertificateIdentity(id))
	return func(b []byte) error {
		e := new(bundle.Bundle)
		if err := e.UnmarshalJSON(b); err != nil {
			return err
		}
		_, err := v.Verify(e, policy)
		return err
	}
}

// TestTwiceSigstore holds verifying to its target, twice the rate of sigstore-go on one
// processor: from bytes to answer, on the same bundles, none of which is met twice.
func TestTwiceSigstore(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two seconds")
	}
	i := instance("acme.example")
	var bundles [][]byte
	for n := range 32 {
		bundles = append(bundles, must(i.Sign(context.Background(), payload(), who, claims, signed.Add(time.Duration(n)*time.Minute))))
	}
	trustedRoot := must(i.TrustedRoot())
	theirs := verifier(trustedRoot)
	all := func(verify func([]byte) error) time.Duration {
		start := time.Now()
		for _, b := range bundles {
			if err := verify(b); err != nil {
				t.Fatal(err)
			}
		}
		return time.Since(start)
	}
	var our, their []time.Duration
	for range 15 { // in turn, so that a busy moment hits both
		fresh := must(trust.OfTrustedRoot(trustedRoot))
		our = append(our, all(func(b []byte) error { return authenticate(fresh, b) }))
		their = append(their, all(theirs))
	}
	rate := float64(slices.Min(their)) / float64(slices.Min(our))
	t.Logf("%d bundles: ours %v, sigstore-go %v: %.2f times its rate", len(bundles), slices.Min(our), slices.Min(their), rate)
	if rate < 2 {
		t.Errorf("verifying has %.2f times the rate of sigstore-go, and the target is 2", rate)
	}
}

// authenticate is what is timed.
func authenticate(tr *trust.Trust, raw []byte) error {
	parsed, err := attest.ParseBundle(raw)
	if err != nil {
		return err
	}
	s, err := tr.Authenticate(parsed)
	if err == nil && s.Identity != who {
		return fmt.Errorf("signed by %s", s.Identity)
	}
	return err
}

// What is accepted here sigstore-go accepts too, whatever bit is changed; but for the
// certificates that come along with a timestamp, which are not looked at here, because
// the authority's is listed.
func TestNeverLaxerThanSigstore(t *testing.T) {
	v2, v1 := instance("acme.example"), instance("old.example")
	v1.Logs = []*authority.Log{must(authority.NewLogV1("rekor.old.example", epoch))}
	for name, i := range map[string]*authority.Instance{"v2": v2, "v1": v1} {
		theirs := verifier(must(i.TrustedRoot()))
		ours := trusting(i)
		golden := must(authority.Open(sign(i)))
		stamp, bag := golden.Timestamps[0], i.TSAs[0].Signer.Raw
		skip := bytes.Index(stamp, bag)
		entry := must(json.Marshal(golden.Entries[0]))
		passed, tried := 0, 0
		try := func(part []byte, put func(b *authority.Bundle, changed []byte) bool) {
			for n := range part {
				if len(part) == len(stamp) && n >= skip && n < skip+len(bag) || n%2 == 1 {
					continue
				}
				changed := bytes.Clone(part)
				changed[n] ^= 1 << (n / 2 % 8)
				b := *golden
				if !put(&b, changed) {
					continue
				}
				raw := must(b.Bytes())
				tried++
				if authenticate(ours, raw) != nil {
					continue
				}
				passed++
				if err := theirs(raw); err != nil {
					t.Errorf("%s: accepted with byte %d of a part of %d changed, and sigstore-go says %v", name, n, len(part), err)
				}
			}
		}
		try(golden.Certificate, func(b *authority.Bundle, c []byte) bool { b.Certificate = c; return true })
		try(golden.Signature, func(b *authority.Bundle, c []byte) bool { b.Signature = c; return true })
		try(golden.Payload, func(b *authority.Bundle, c []byte) bool { b.Payload = c; return true })
		try(stamp, func(b *authority.Bundle, c []byte) bool { b.Timestamps = [][]byte{c}; return true })
		try(entry, func(b *authority.Bundle, c []byte) bool {
			b.Entries = make([]authority.Entry, 1)
			return json.Unmarshal(c, &b.Entries[0]) == nil
		})
		t.Logf("%s: %d changed, %d accepted by both", name, tried, passed)
		if tried < 1000 || authenticate(ours, must(golden.Bytes())) != nil || theirs(must(golden.Bytes())) != nil {
			t.Errorf("%s: the test proves nothing", name)
		}
	}
}

// BenchmarkAuthenticate compares bundles verified per second with sigstore-go, whose
// verifier is made once: from the bundle's bytes to the answer, on the same bundles.
func BenchmarkAuthenticate(b *testing.B) {
	i := instance("acme.example")
	var jobs []authority.Job
	for n := range 64 {
		at := signed.Add(time.Duration(n) * time.Minute)
		jobs = append(jobs, authority.Job{Payload: must(attest.NewStatement(attest.Subject{Name: "m", Digest: attest.SHA256(fmt.Append(nil, n))}, "https://example.test/note/v1", map[string]any{"n": n})), Who: who, Claims: claims, At: at})
	}
	together := must(i.SignAll(context.Background(), jobs))
	var apart [][]byte
	for _, j := range jobs {
		apart = append(apart, must(i.Sign(context.Background(), j.Payload, j.Who, j.Claims, j.At)))
	}
	trustedRoot := must(i.TrustedRoot())
	var ours *trust.Trust
	theirs := verifier(trustedRoot)
	for _, c := range []struct {
		name    string
		bundles [][]byte
		verify  func([]byte) error
	}{
		{"ours/apart", apart, func(b []byte) error { return authenticate(ours, b) }},
		{"ours/together", together, func(b []byte) error { return authenticate(ours, b) }},
		{"sigstore-go/apart", apart, theirs},
		{"sigstore-go/together", together, theirs},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%len(c.bundles) == 0 { // no bundle is met twice by one trust
					b.StopTimer()
					ours = must(trust.OfTrustedRoot(trustedRoot))
					b.StartTimer()
				}
				if err := c.verify(c.bundles[n%len(c.bundles)]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "bundles/s")
		})
	}
}
