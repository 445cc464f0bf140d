package trust_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Whatever byte of a bundle is changed: it is refused, or it says what it said. What
// may still change and pass is what nobody signed, and that is little.
func TestChangedBytesNeverSaySomethingElse(t *testing.T) {
	l := newLab(t)
	for range 3 { // for a proof with hashes in it
		l.sign()
	}
	v2 := l.sign()
	l.Logs[0] = good(authority.NewLogV1("rekor1.acme.test", listed))(t)
	l.sign()
	v1 := l.sign()
	l2 := newLab(t)
	l2.Logs = append(l2.Logs, l.Logs[0])
	tr := l2.trust()
	deadline := time.Now().Add(time.Minute) // it takes two seconds; a machine may have more to do

	for name, golden := range map[string]*authority.Bundle{"log of the second kind": v2, "log of the first kind": v1} {
		t.Run(name, func(t *testing.T) {
			want, err := held(t, tr, golden)
			if err != nil {
				t.Fatal(err)
			}
			entry := good(json.Marshal(golden.Entries[0]))(t)
			passed := map[string]int{}
			// One bit of every stride-th byte, another one each time.
			try := func(part string, stride int, original []byte, put func(*authority.Bundle, []byte) bool) {
				tried := 0
				for n := 0; n < len(original); n += stride {
					changed := slices.Clone(original)
					changed[n] ^= 1 << (n / stride % 8)
					b := *golden
					b.Entries, b.Timestamps = slices.Clone(golden.Entries), slices.Clone(golden.Timestamps)
					if !put(&b, changed) {
						continue
					}
					tried++
					got, err := held(t, tr, &b)
					switch {
					case err != nil && attest.RefusalCode(err) == "":
						t.Errorf("%s, byte %d: an error without a code: %v", part, n, err)
					case err == nil && (got != want || !bytes.Equal(b.Payload, golden.Payload)):
						t.Errorf("%s, byte %d: accepted as %+v", part, n, got)
					case err == nil:
						passed[part]++
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s, byte %d: not done in time", part, n)
					}
				}
				if tried < len(original)/stride/2 {
					t.Errorf("%s: %d of %d bytes tried", part, tried, len(original))
				}
			}
			try("payload", 1, golden.Payload, func(b *authority.Bundle, x []byte) bool { b.Payload = x; return true })
			try("signature", 1, golden.Signature, func(b *authority.Bundle, x []byte) bool { b.Signature = x; return true })
			try("certificate", 1, golden.Certificate, func(b *authority.Bundle, x []byte) bool { b.Certificate = x; return true })
			try("timestamp", 3, golden.Timestamps[0], func(b *authority.Bundle, x []byte) bool { b.Timestamps[0] = x; return true })
			try("entry", 3, entry, func(b *authority.Bundle, x []byte) bool {
				var e authority.Entry
				if json.Unmarshal(x, &e) != nil {
					return false
				}
				b.Entries[0] = e
				return true
			})
			for _, part := range []string{"payload", "signature", "certificate"} {
				if passed[part] > 0 {
					t.Errorf("%d changes of the %s pass", passed[part], part)
				}
			}
			t.Logf("changes that pass and say the same: %v", passed)
		})
	}
}

// Cut anywhere, nothing of a bundle is taken for a shorter one.
func TestCutPartsAreRefused(t *testing.T) {
	l := newLab(t)
	tr := l.trust()
	golden := l.sign()
	accepted(t, tr, golden)
	for name, cut := range map[string]struct {
		whole []byte
		put   func(*authority.Bundle, []byte)
	}{
		"certificate": {golden.Certificate, func(b *authority.Bundle, x []byte) { b.Certificate = x }},
		"signature":   {golden.Signature, func(b *authority.Bundle, x []byte) { b.Signature = x }},
		"timestamp":   {golden.Timestamps[0], func(b *authority.Bundle, x []byte) { b.Timestamps = [][]byte{x} }},
		"body":        {golden.Entries[0].Body, func(b *authority.Bundle, x []byte) { b.Entries[0].Body = x }},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 0; n < len(cut.whole); n += 3 {
				b := *golden
				b.Entries = slices.Clone(golden.Entries)
				cut.put(&b, cut.whole[:n:n])
				if len(b.Certificate) == 0 {
					continue // then it is a bundle by a key
				}
				_, err := held(t, tr, &b)
				if attest.RefusalCode(err) == "" {
					t.Errorf("%d of %d bytes: %v", n, len(cut.whole), err)
				}
			}
			b := *golden
			cut.put(&b, append(slices.Clone(cut.whole), 0))
			if s, err := held(t, tr, &b); err == nil && (s.Identity != trainer || name == "certificate" || name == "signature") {
				t.Errorf("longer by a byte: accepted as %+v", s)
			}
		})
	}
}

// FuzzAuthenticate: nothing panics, every refusal has a code, and who is believed is
// one of those who signed.
func FuzzAuthenticate(f *testing.F) {
	l := newLab(f)
	l.Logs = append(l.Logs, good(authority.NewLogV1("rekor1.acme.test", listed))(f))
	l.second()
	tr := good(l.file("timestamps: 2"))(f)
	seed := l.sign()
	f.Add(good(seed.Bytes())(f))
	bad := *seed
	bad.Timestamps = nil
	f.Add(good(bad.Bytes())(f))
	f.Add([]byte(`{}`))
	want := accepted(f, tr, seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := attest.ParseBundle(b)
		if err != nil {
			return
		}
		s, err := tr.Authenticate(parsed)
		switch {
		case err != nil && attest.RefusalCode(err) == "":
			t.Errorf("an error without a code: %v", err)
		case err != nil && s != (trust.Signer{}):
			t.Errorf("a refusal with a signer: %+v", s)
		case err == nil && (s.Identity != trainer || s.Claims != build || s.Seen.Before(want) || !bytes.Equal(parsed.Payload, seed.Payload)):
			t.Errorf("accepted as %+v", s)
		}
	})
}
