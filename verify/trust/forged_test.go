package trust_test

import (
	"crypto/x509"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// What a bundle costs that does not hold: who was certified and what was signed is
// public, so anybody can make copies of a good bundle that fail as late as may be.

// forge spoils the last byte of a timestamp, which is its signature's.
func forge(stamp []byte) []byte {
	out := slices.Clone(stamp)
	out[len(out)-1] ^= 1
	return out
}

func TestForgedTimestampsEndIt(t *testing.T) {
	l := newLab(t)
	at := noon.Add(10 * time.Second)
	tr := l.trust()
	b := l.sign()
	seen(t, tr, b, at)
	stranger := good(authority.NewTSA("https://tsa.other.test", listed))(t)
	foreign := good(stranger.Stamp(b.Signature, at))(t)
	misplaced := good(l.TSAs[0].Stamp([]byte("something else"), at))(t)
	for name, c := range map[string]struct {
		stamp []byte
		code  attest.Code
	}{
		"by somebody else":               {foreign, ""},
		"by somebody else, forged":       {forge(foreign), ""},
		"over something else":            {misplaced, ""},
		"over something else, forged":    {forge(misplaced), ""}, // no signature is looked at
		"by the authority":               {b.Timestamps[0], ""},
		"in the authority's name":        {forge(b.Timestamps[0]), attest.CodeTSA},
		"no timestamp":                   {[]byte{1}, ""},
		"a good one that is a byte less": {b.Timestamps[0][:len(b.Timestamps[0])-1], ""},
	} {
		for _, order := range []string{"before", "behind"} {
			t.Run(name+", "+order+" a good one", func(t *testing.T) {
				beside := *b
				beside.Timestamps = [][]byte{b.Timestamps[0], c.stamp}
				if order == "before" {
					slices.Reverse(beside.Timestamps)
				}
				if c.code != "" {
					refused(t, l.trust(), &beside, c.code) // with nothing remembered
					refused(t, tr, &beside, c.code)        // and with the good one
					return
				}
				seen(t, tr, &beside, at)
			})
		}
	}
}

// Of an authority that is listed without its own certificate, that comes along: one in
// the name of the listed issuer that it did not issue is forged as well.
func TestForgedTimestampCertificatesEndIt(t *testing.T) {
	l := newLab(t)
	at := noon.Add(10 * time.Second)
	tsa := l.TSAs[0]
	tsa.Unlisted = true
	tr := l.trust()
	b := l.sign()
	seen(t, tr, b, at)
	template := good(authority.TSATemplate("acme tsa", listed))(t)
	fake := *tsa.Above[0]
	fake.Key = good(authority.NewKey(authority.P256, "nobody"))(t)
	own := *fake.Certificate
	own.PublicKey = fake.Key.Public()
	fake.Certificate = &own
	signer := good(authority.NewCert(template, good(authority.NewKey(authority.P256, "forger"))(t), &fake))(t)
	forged := *b
	forged.Timestamps = append(slices.Clone(b.Timestamps), good(tsa.Stamp(b.Signature, at, func(s *authority.Stamping) {
		s.Signer, s.Bag = signer, [][]byte{signer.Raw}
	}))(t))
	refused(t, tr, &forged, attest.CodeTSA)
	forged.Timestamps = forged.Timestamps[1:]
	refused(t, tr, &forged, attest.CodeTSA)
	if _, err := x509.ParseCertificate(signer.Raw); err != nil {
		t.Fatal(err)
	}
}

// A key's signature needs no time, and whoever stores its bundle could spoil it: so a
// forged timestamp takes nothing from the others.
func TestForgedTimestampsOfKeysAreNothing(t *testing.T) {
	l := newLab(t)
	at := noon.Add(10 * time.Second)
	b := l.sign()
	key := good(attest.NewPublicKey(good(x509.ParseCertificate(b.Certificate))(t).PublicKey))(t)
	for _, stamps := range [][][]byte{{b.Timestamps[0]}, {b.Timestamps[0], forge(b.Timestamps[0])}, {forge(b.Timestamps[0]), b.Timestamps[0]}} {
		got, err := l.trust().Seen(key, &attest.Bundle{Payload: b.Payload, Signature: b.Signature, Timestamps: stamps}, time.Time{})
		if err != nil || !got.Equal(at) {
			t.Errorf("seen %v, %v", got, err)
		}
	}
}

// The index that an entry without a promise shows is nobody's word: with another one it
// is the same entry still.
func TestOneEntryUnderManyIndexes(t *testing.T) {
	l := newLab(t)
	l.Logs[0] = good(authority.NewLogV1("rekor1.acme.test", listed))(t)
	tr := l.trust()
	b := l.sign()
	b.Entries[0].Promise, b.Entries[0].IntegratedTime = nil, ""
	accepted(t, tr, b)
	e := b.Entries[0]
	e.LogIndex = strconv.Itoa(77)
	other := *b
	other.Entries = []authority.Entry{e}
	accepted(t, tr, &other) // by itself it does no harm
	other.Entries = []authority.Entry{b.Entries[0], e}
	refused(t, tr, &other, attest.CodeLogProof)
}

// A good timestamp is verified once, whatever bundle it comes in, and a forged one
// never counts for having been beside it.
func TestMemoOfTimestamps(t *testing.T) {
	l := newLab(t)
	tr := l.trust()
	b := l.sign()
	if n := trust.MemoisedStamps(tr); n != 0 {
		t.Fatalf("%d kept before anything was verified", n)
	}
	accepted(t, tr, b)
	for range 3 {
		copied := *b
		copied.Timestamps = append(slices.Clone(b.Timestamps), forge(b.Timestamps[0]))
		refused(t, tr, &copied, attest.CodeTSA)
	}
	if n := trust.MemoisedStamps(tr); n != 1 {
		t.Errorf("%d kept, one is good", n)
	}
	// Kept is that the authority made it, and not over what.
	other := l.signed("another model", nil)
	other.Timestamps = b.Timestamps
	refused(t, tr, l.logged(other, l.Logs[0], noon), attest.CodeTSA)
}

// A log of the second kind makes no promises, and no time comes of one that is there.
func TestPromisesOfNobody(t *testing.T) {
	l := newLab(t)
	tr := l.trust()
	b := l.sign()
	accepted(t, tr, b)
	b.Entries[0].Promise, b.Entries[0].IntegratedTime = &authority.InclusionPromise{SET: []byte{1}}, strconv.FormatInt(noon.Unix(), 10)
	refused(t, tr, b, attest.CodeLogProof)
	b.Entries[0].Promise = nil // beside a proof a time is anybody's word
	seen(t, tr, b, noon.Add(10*time.Second))
	b.Timestamps = nil
	refused(t, tr, b, attest.CodeTimeMissing)
}

// Of several instances that accept a bundle, as after a change of their listing, the one
// that saw it first counts, whichever is listed first.
func TestTheFirstInstanceCounts(t *testing.T) {
	l := newLab(t)
	tsa := l.second()
	b := l.signed("a model", []attest.Witness{l.Logs[0].At(noon)})
	l.stamped(b, l.TSAs[0], noon.Add(2*time.Minute))
	l.stamped(b, tsa, noon.Add(time.Minute))
	one, other := *l.Instance, *l.Instance
	one.TSAs, other.TSAs = l.TSAs[:1], l.TSAs[1:]
	for _, order := range [][]*authority.Instance{{&one, &other}, {&other, &one}} {
		seen(t, trusting(order...), b, noon.Add(time.Minute))
	}
	seen(t, trusting(&one), b, noon.Add(2*time.Minute))
}

// FuzzParts changes what is inside of a bundle, which no change of its text reaches:
// nothing panics, every refusal has a code, and who is believed is who signed, then.
func FuzzParts(f *testing.F) {
	l := newLab(f)
	v1 := good(authority.NewLogV1("rekor1.acme.test", listed))(f)
	l.Logs = append(l.Logs, v1)
	golden := l.sign()
	tr := l.trust()
	want := accepted(f, tr, golden)
	text := func(e authority.Entry) []byte { return good(json.Marshal(e))(f) }
	f.Add(golden.Certificate, golden.Timestamps[0], text(golden.Entries[0]), golden.Signature)
	f.Add(golden.Certificate, golden.Timestamps[0], text(golden.Entries[1]), golden.Signature)
	f.Fuzz(func(t *testing.T, certificate, stamp, entry, signature []byte) {
		b := &attest.Bundle{Payload: golden.Payload, Signature: signature, Certificate: certificate, Timestamps: [][]byte{stamp}, LogEntries: [][]byte{entry}}
		s, err := tr.Authenticate(b)
		switch {
		case err != nil && (attest.RefusalCode(err) == "" || s != (trust.Signer{})):
			t.Errorf("%+v, %v", s, err)
		case err == nil && (s.Identity != trainer || s.Claims != build || s.Seen.Before(want)):
			t.Errorf("accepted as %+v", s)
		}
	})
}

// Only X.509-SVIDs bring a chain along; beside a token's certificate it is refused also
// from who made the bundle otherwise than by reading one.
func TestChainsOfTokensAreRefused(t *testing.T) {
	l := newLab(t)
	b := good(attest.ParseBundle(good(l.sign().Bytes())(t)))(t)
	if _, err := l.trust().Authenticate(b); err != nil {
		t.Fatal(err)
	}
	b.Chain = [][]byte{l.CAs[0].Issuer.Raw}
	if s, err := l.trust().Authenticate(b); attest.RefusalCode(err) != attest.CodeCertChain {
		t.Errorf("%+v, %v", s, err)
	}
}
