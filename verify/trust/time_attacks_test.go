package trust_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The rows of the catalogue of attacks on time, logs and timestamps (TIM) that are
// about the engine.
func TestTimeAttacks(t *testing.T) {
	t.Run("TIM-01 no trusted time", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		b := l.sign()
		accepted(t, tr, b)
		b.Timestamps = nil
		refused(t, tr, b, attest.CodeTimeMissing)
		b.Entries = nil
		refused(t, tr, b, attest.CodeTimeMissing)
		// Nor does a trusted root without logs and timestamp authorities wave it through.
		l.Logs, l.TSAs = nil, nil
		if tr, err := trust.OfTrustedRoot(good(l.TrustedRoot())(t)); err == nil {
			refused(t, tr, b, attest.CodeTimeMissing)
		} else if attest.RefusalCode(err) != attest.CodeTrustRoot {
			t.Errorf("%v", err)
		}
	})

	t.Run("no log entry", func(t *testing.T) {
		l := newLab(t)
		b := l.stamped(l.bare(), l.TSAs[0], noon)
		refused(t, l.trust(), b, attest.CodeLogProof)
		// Where the file says why no log is asked for, it does without.
		seen(t, good(l.file(`logs: 0, noLogs: "none here yet"`))(t), b, noon)
	})

	t.Run("TIM-02 timestamp outside certificate window", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		ends := noon.Add(10 * time.Minute)
		for _, at := range []time.Time{noon, ends} {
			seen(t, tr, l.signed("a model", l.Witnesses(at)), at)
		}
		for _, at := range []time.Time{noon.Add(-time.Second), ends.Add(time.Second), noon.AddDate(1, 0, 0), noon.AddDate(-1, 0, 0)} {
			refused(t, tr, l.signed("a model", l.Witnesses(at)), attest.CodeTimeWindow)
		}
		// Fulcio's clock is not the timestamp authority's: what is between the two ends
		// of a second belongs to that second.
		late := l.sign(func(c *x509.Certificate) { c.NotAfter = noon.Add(10 * time.Second) })
		seen(t, tr, late, noon.Add(10*time.Second))
	})

	t.Run("TIM-04 forged leaf first in the bag", func(t *testing.T) {
		l := newLab(t)
		tsa := l.TSAs[0]
		tsa.Unlisted = true // whoever its authorities certify for timestamps may stamp
		tr := l.trust()
		b := l.logged(l.bare(), l.Logs[0], noon)
		stamp := func(change func(*authority.Stamping)) {
			b.Timestamps = [][]byte{good(tsa.Stamp(b.Signature, noon, change))(t)}
		}
		above := tsa.Above[0]
		stamp(func(s *authority.Stamping) { s.Bag = [][]byte{above.Raw, tsa.Signer.Raw} })
		seen(t, tr, b, noon) // the order of the bag says nothing

		// The same authority certified somebody for something else, who now stamps.
		other := tsaCert(t, above, "web server", false, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1})
		for name, bag := range map[string][][]byte{
			"alone":                     {other.Raw},
			"behind a good one":         {tsa.Signer.Raw, other.Raw},
			"before a good one":         {other.Raw, tsa.Signer.Raw},
			"with everybody above":      {tsa.Signer.Raw, other.Raw, above.Raw, tsa.Above[1].Raw},
			"only the good one travels": {tsa.Signer.Raw},
			"nobody travels":            nil,
		} {
			t.Run(name, func(t *testing.T) {
				stamp(func(s *authority.Stamping) { s.Signer, s.Bag = other, bag })
				refused(t, tr, b, attest.CodeTSA)
			})
		}
		t.Run("forged with the signer's name", func(t *testing.T) {
			// Issuer and serial number, by which tokens name their signer, are the good one's.
			key := good(authority.NewKey(authority.P256, "forger"))(t)
			mine := good(authority.NewCert(authority.Authority(above.Subject.CommonName, listed, listed.AddDate(10, 0, 0)), key, nil))(t)
			tmpl := good(authority.TSATemplate("forged", listed))(t)
			tmpl.SerialNumber = tsa.Signer.SerialNumber
			parent := *mine
			parent.Certificate = &x509.Certificate{Raw: above.Raw, RawSubject: above.RawSubject, Subject: above.Subject, SubjectKeyId: above.SubjectKeyId, PublicKey: mine.PublicKey, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
			forged := good(authority.NewCert(tmpl, key, &parent))(t)
			for _, bag := range [][][]byte{{forged.Raw}, {forged.Raw, tsa.Signer.Raw}, {tsa.Signer.Raw, forged.Raw}} {
				stamp(func(s *authority.Stamping) { s.Signer, s.Bag = forged, bag })
				refused(t, tr, b, attest.CodeTSA)
			}
			// A good token does not become bad, or better, by what lies about in its bag.
			stamp(func(s *authority.Stamping) { s.Bag = [][]byte{tsa.Signer.Raw, forged.Raw, other.Raw} })
			seen(t, tr, b, noon)
		})
	})

	t.Run("TIM-05 certificate of the timestamp authority with wrong usage", func(t *testing.T) {
		stamps := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
		tls := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
		private := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
		for _, tt := range []struct {
			name     string
			critical bool
			eku      []asn1.ObjectIdentifier
			template func(*x509.Certificate)
			ok       bool
		}{
			{name: "right", critical: true, eku: []asn1.ObjectIdentifier{stamps}, ok: true},
			{name: "web server", critical: true, eku: []asn1.ObjectIdentifier{tls}},
			{name: "not critical", eku: []asn1.ObjectIdentifier{stamps}},
			{name: "two", critical: true, eku: []asn1.ObjectIdentifier{stamps, tls}},
			{name: "and one nobody knows", critical: true, eku: []asn1.ObjectIdentifier{stamps, private}},
			{name: "any", critical: true, eku: []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}}},
			{name: "none", template: func(c *x509.Certificate) { authority.Drop(c, asn1.ObjectIdentifier{2, 5, 29, 37}) }},
			{name: "an authority", critical: true, eku: []asn1.ObjectIdentifier{stamps}, template: func(c *x509.Certificate) {
				c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, c.KeyUsage|x509.KeyUsageCertSign
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				l := newLab(t)
				l.TSAs[0].Unlisted = true
				tr := l.trust()
				l.TSAs[0].Signer = tsaCert(t, l.TSAs[0].Above[0], tt.name, tt.critical, append(tt.eku, []asn1.ObjectIdentifier{}...)...)
				if tt.template != nil {
					tmpl := good(authority.TSATemplate(tt.name, listed))(t)
					tt.template(tmpl)
					l.TSAs[0].Signer = good(authority.NewCert(tmpl, l.TSAs[0].Signer.Key, l.TSAs[0].Above[0]))(t)
				}
				b := l.sign()
				if tt.ok {
					accepted(t, tr, b)
				} else {
					refused(t, tr, b, attest.CodeTSA)
				}
				// Listed by the trusted root itself it is no better.
				l.TSAs[0].Unlisted = false
				listed, err := trust.OfTrustedRoot(good(l.TrustedRoot())(t))
				switch {
				case tt.ok:
					accepted(t, listed, b)
				case err == nil:
					refused(t, listed, b, attest.CodeTSA)
				case attest.RefusalCode(err) != attest.CodeTrustRoot:
					t.Errorf("%v", err)
				}
			})
		}
		t.Run("intermediate for something else", func(t *testing.T) {
			l := newLab(t)
			tsa := l.TSAs[0]
			tmpl := authority.Authority("intermediate for code", listed, listed.AddDate(10, 0, 0))
			tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
			between := good(authority.NewCert(tmpl, good(authority.NewKey(authority.P256, "between"))(t), tsa.Above[1]))(t)
			tsa.Signer, tsa.Above[0], tsa.Unlisted = tsaCert(t, between, "below", true), between, true
			tr, err := trust.OfTrustedRoot(good(l.TrustedRoot())(t))
			if err == nil {
				refused(t, tr, l.sign(), attest.CodeTSA)
			} else if attest.RefusalCode(err) != attest.CodeTrustRoot {
				t.Errorf("%v", err)
			}
		})
	})

	t.Run("TIM-06 untrusted timestamp authority", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		accepted(t, tr, l.sign())
		mine := good(authority.NewTSA("https://tsa.evil.test", listed))(t)
		same := good(authority.NewTSA(l.TSAs[0].URL, listed.Add(time.Second)))(t) // its names; the keys follow from them
		same.Signer.Key = good(authority.NewKey(authority.P256, "evil"))(t)
		for name, tsa := range map[string]*authority.TSA{"another": mine, "its certificate, another key": same} {
			for _, bag := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, embedded %v", name, bag), func(t *testing.T) {
					b := l.logged(l.bare(), l.Logs[0], noon)
					b.Timestamps = [][]byte{good(tsa.Stamp(b.Signature, noon, func(s *authority.Stamping) {
						if s.Bag = nil; bag {
							s.Bag = [][]byte{tsa.Signer.Raw, tsa.Above[0].Raw, tsa.Above[1].Raw}
						}
					}))(t)}
					refused(t, tr, b, attest.CodeTSA)
				})
			}
		}
		// The trusted one need not send its certificate.
		b := l.logged(l.bare(), l.Logs[0], noon)
		b.Timestamps = [][]byte{good(l.TSAs[0].Stamp(b.Signature, noon, func(s *authority.Stamping) { s.Bag = nil }))(t)}
		seen(t, tr, b, noon)
	})

	t.Run("timestamp over something else", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		b := l.logged(l.bare(), l.Logs[0], noon)
		for name, s := range map[string]func(*authority.Stamping){
			"another signature": func(s *authority.Stamping) { s.Imprint = make([]byte, 32) },
			"the payload":       func(s *authority.Stamping) { x := sha256.Sum256(b.Payload); s.Imprint = x[:] },
			"a short imprint":   func(s *authority.Stamping) { s.Imprint = s.Imprint[:16] },
			"SHA-1":             func(s *authority.Stamping) { s.Hash, s.Imprint = crypto.SHA1, sum(crypto.SHA1, b.Signature) },
			"another hash's":    func(s *authority.Stamping) { s.Hash = crypto.SHA384 },
		} {
			t.Run(name, func(t *testing.T) {
				b.Timestamps = [][]byte{good(l.TSAs[0].Stamp(b.Signature, noon, s))(t)}
				refused(t, tr, b, attest.CodeTSA)
			})
		}
		b.Timestamps = [][]byte{good(l.TSAs[0].Stamp(b.Signature, noon, func(s *authority.Stamping) { s.Hash, s.Imprint = crypto.SHA384, sum(crypto.SHA384, b.Signature) }))(t)}
		seen(t, tr, b, noon)
		for name, der := range map[string][]byte{"nothing": {}, "no DER": []byte("stamp"), "an endless length": {0x30, 0x84, 0xff, 0xff, 0xff, 0xff}} {
			t.Run(name, func(t *testing.T) {
				b.Timestamps = [][]byte{der}
				if _, err := held(t, tr, b); attest.RefusalCode(err) != attest.CodeTSA && attest.RefusalCode(err) != attest.CodeBundleParse {
					t.Errorf("%v", err)
				}
			})
		}
	})

	t.Run("TIM-08 entry of another artifact, signature or key", func(t *testing.T) {
		for _, log := range []string{"second kind", "first kind", "first kind, intoto"} {
			t.Run(log, func(t *testing.T) {
				l := newLab(t)
				kind := authority.HashedRekord
				switch log {
				case "first kind":
					l.Logs[0], kind = good(authority.NewLogV1("rekor.acme.test", listed))(t), authority.DSSE
				case "first kind, intoto":
					l.Logs[0], kind = good(authority.NewLogV1("rekor.acme.test", listed))(t), authority.InToto
				}
				tr := l.trust()
				one := l.stamped(l.bare(), l.TSAs[0], noon)
				two := l.stamped(l.signedBy(good(l.Signer(trainer, build, noon.Add(time.Second)))(t), "another model"), l.TSAs[0], noon.Add(time.Second))
				entry := func(s attest.Signature) authority.Entry {
					return good(l.Logs[0].Prove(good(l.Logs[0].IntegrateAs(kind, s, noon.Add(2*time.Second)))(t)))(t)
				}
				of := l.signature(one)
				one.Entries = []authority.Entry{entry(of)}
				accepted(t, tr, one)

				// The log did take in each of these.
				x := l.signature(two)
				for name, s := range map[string]attest.Signature{
					"artifact":   {Material: of.Material, Payload: x.Payload, Message: x.Message, Sig: of.Sig},
					"signature":  {Material: of.Material, Payload: of.Payload, Message: of.Message, Sig: x.Sig},
					"key":        {Material: x.Material, Payload: of.Payload, Message: of.Message, Sig: of.Sig},
					"everything": x,
					"bare key":   {Material: attest.Material{Key: of.Material.Key}, Payload: of.Payload, Message: of.Message, Sig: of.Sig},
				} {
					t.Run(name, func(t *testing.T) {
						one.Entries = []authority.Entry{entry(s)}
						refused(t, tr, one, attest.CodeLogMismatch)
						// Its true entry beside it does not make it good.
						one.Entries = append(one.Entries, entry(of))
						if _, err := held(t, tr, one); err != nil && attest.RefusalCode(err) != attest.CodeLogMismatch {
							t.Errorf("%v", err)
						}
					})
				}
			})
		}
	})

	t.Run("TIM-09 broken inclusion proof", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		for n := range 11 { // a tree with both kinds of edges
			l.signed(fmt.Sprint(n), l.Witnesses(noon))
		}
		good := func() *authority.Bundle {
			b := l.signed("a model", l.Witnesses(noon))
			for len(b.Entries[0].Proof.Hashes) < 2 { // one hash has no order
				b = l.signed("a model", l.Witnesses(noon))
			}
			return b
		}
		accepted(t, tr, good())
		for name, breaks := range map[string]func(*authority.Entry){
			"wrong hash":       func(e *authority.Entry) { e.Proof.Hashes[0] = make([]byte, 32) },
			"short hash":       func(e *authority.Entry) { e.Proof.Hashes[0] = e.Proof.Hashes[0][:31] },
			"no hashes":        func(e *authority.Entry) { e.Proof.Hashes = nil },
			"one too few":      func(e *authority.Entry) { e.Proof.Hashes = e.Proof.Hashes[1:] },
			"one too many":     func(e *authority.Entry) { e.Proof.Hashes = append(e.Proof.Hashes, make([]byte, 32)) },
			"reordered":        func(e *authority.Entry) { slices.Reverse(e.Proof.Hashes) },
			"index is size":    func(e *authority.Entry) { e.LogIndex, e.Proof.LogIndex = e.Proof.TreeSize, e.Proof.TreeSize },
			"index negative":   func(e *authority.Entry) { e.LogIndex, e.Proof.LogIndex = "-1", "-1" },
			"index 2^63":       func(e *authority.Entry) { e.LogIndex, e.Proof.LogIndex = "9223372036854775808", "9223372036854775808" },
			"another index":    func(e *authority.Entry) { e.LogIndex, e.Proof.LogIndex = "3", "3" },
			"size 0":           func(e *authority.Entry) { e.Proof.TreeSize = "0" },
			"another size":     func(e *authority.Entry) { e.Proof.TreeSize = "1" },
			"another root":     func(e *authority.Entry) { e.Proof.RootHash = make([]byte, 32) },
			"no proof":         func(e *authority.Entry) { e.Proof = nil },
			"a promise only":   func(e *authority.Entry) { e.Proof, e.Promise = nil, &authority.InclusionPromise{SET: []byte("x")} },
			"another body":     func(e *authority.Entry) { e.Body = append(slices.Clone(e.Body), ' ') },
			"two indices":      func(e *authority.Entry) { e.LogIndex = "3" },
			"two, the other":   func(e *authority.Entry) { e.Proof.LogIndex = "3" },
			"a larger size":    func(e *authority.Entry) { e.Proof.TreeSize = "640" },
			"no index in both": func(e *authority.Entry) { e.LogIndex, e.Proof.LogIndex = "", "" },
		} {
			t.Run(name, func(t *testing.T) {
				b := good()
				breaks(&b.Entries[0])
				_, err := held(t, tr, b)
				switch code := attest.RefusalCode(err); {
				case code == attest.CodeLogProof:
				case code == attest.CodeLogMismatch && name == "another body": // it no longer says what was signed
				case strings.HasPrefix(name, "index") && code == attest.CodeBundleParse: // not a number that an index can be
				case code == attest.CodeBundleParse && name == "a promise only":
				default:
					t.Errorf("%v", err)
				}
			})
		}
	})

	t.Run("TIM-09 broken inclusion proof in a log of the first kind", func(t *testing.T) {
		l := newLab(t)
		l.Logs[0] = good(authority.NewLogV1("rekor.acme.test", listed))(t)
		l.Logs[0].Shift = 1000
		tr := l.trust()
		for n := range 11 {
			l.signed(fmt.Sprint(n), l.Witnesses(noon))
		}
		good := func() *authority.Bundle {
			b := l.signed("a model", l.Witnesses(noon))
			for len(b.Entries[0].Proof.Hashes) < 2 { // one hash has no order
				b = l.signed("a model", l.Witnesses(noon))
			}
			return b
		}
		accepted(t, tr, good())
		for name, breaks := range map[string]func(*authority.Entry){
			"wrong hash":       func(e *authority.Entry) { e.Proof.Hashes[0] = make([]byte, 32) },
			"no hashes":        func(e *authority.Entry) { e.Proof.Hashes = nil },
			"one too few":      func(e *authority.Entry) { e.Proof.Hashes = e.Proof.Hashes[1:] },
			"one too many":     func(e *authority.Entry) { e.Proof.Hashes = append(e.Proof.Hashes, make([]byte, 32)) },
			"reordered":        func(e *authority.Entry) { slices.Reverse(e.Proof.Hashes) },
			"index is size":    func(e *authority.Entry) { e.Proof.LogIndex = e.Proof.TreeSize },
			"index negative":   func(e *authority.Entry) { e.Proof.LogIndex = "-1" },
			"another index":    func(e *authority.Entry) { e.Proof.LogIndex = "3" },
			"size 0":           func(e *authority.Entry) { e.Proof.TreeSize = "0" },
			"another size":     func(e *authority.Entry) { e.Proof.TreeSize = "4" },
			"another root":     func(e *authority.Entry) { e.Proof.RootHash = make([]byte, 32) },
			"another place":    func(e *authority.Entry) { e.LogIndex = "3" },
			"another time":     func(e *authority.Entry) { e.IntegratedTime = fmt.Sprint(noon.Unix() + 1) },
			"a forged promise": func(e *authority.Entry) { e.Promise.SET = make([]byte, 70) },
			"no checkpoint":    func(e *authority.Entry) { e.Proof.Checkpoint = nil },
			"an unsigned one": func(e *authority.Entry) {
				e.Proof.Checkpoint.Envelope, _, _ = strings.Cut(e.Proof.Checkpoint.Envelope, "\u2014")
			},
			"an altered one": func(e *authority.Entry) {
				e.Proof.Checkpoint.Envelope = strings.Replace(e.Proof.Checkpoint.Envelope, "\n"+e.Proof.TreeSize+"\n", "\n9\n", 1)
			},
			"a promise only":    func(e *authority.Entry) { e.Proof = nil },
			"nothing of either": func(e *authority.Entry) { e.Proof, e.Promise = nil, nil },
		} {
			t.Run(name, func(t *testing.T) {
				b := good()
				breaks(&b.Entries[0])
				if _, err := held(t, tr, b); attest.RefusalCode(err) != attest.CodeLogProof {
					t.Errorf("%v", err)
				}
			})
		}
	})

	t.Run("TIM-10 bad checkpoint", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		l.sign()
		b := l.signed("another model", l.Witnesses(noon))
		accepted(t, tr, b)
		log, proof := l.Logs[0], b.Entries[0].Proof
		note := func(l *authority.Log, text, as string) string { return good(l.Note(text, as))(t) }
		root := base64.StdEncoding.EncodeToString(proof.RootHash)
		text := "rekor.acme.test\n2\n" + root + "\n"
		if note(log, text, "rekor.acme.test") != proof.Checkpoint.Envelope {
			t.Fatal("the control is another checkpoint")
		}
		stranger := good(authority.NewLog("rekor.evil.test", listed))(t)
		sameName := good(authority.NewLog("rekor.acme.test", listed, authority.P256))(t)
		unsigned, signatures, _ := strings.Cut(proof.Checkpoint.Envelope, "\n\n")
		for name, c := range map[string]string{
			"another origin":       note(log, strings.Replace(text, "acme", "other", 1), "rekor.acme.test"),
			"another signer":       note(log, text, "rekor.other.test"),
			"no root":              note(log, "rekor.acme.test\n2\n", "rekor.acme.test"),
			"another root":         note(log, "rekor.acme.test\n2\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n", "rekor.acme.test"),
			"another size":         note(log, strings.Replace(text, "\n2\n", "\n4\n", 1), "rekor.acme.test"),
			"the size as 02":       note(log, strings.Replace(text, "\n2\n", "\n02\n", 1), "rekor.acme.test"),
			"unknown signer only":  note(stranger, text, "rekor.evil.test"),
			"a key of that name":   note(sameName, text, "rekor.acme.test"),
			"altered size":         strings.Replace(proof.Checkpoint.Envelope, "\n2\n", "\n3\n", 1),
			"signature of another": unsigned + "\n\n" + strings.Replace(signatures, strings.Fields(signatures)[2], base64.StdEncoding.EncodeToString(make([]byte, 68)), 1),
			"unsigned":             unsigned + "\n\n",
			"nothing":              "",
			"no text":              "\n\n" + signatures,
		} {
			t.Run(name, func(t *testing.T) {
				b.Entries[0].Proof.Checkpoint = &authority.Checkpoint{Envelope: c}
				refused(t, tr, b, attest.CodeLogProof)
			})
		}
		// A witness's signature beside the log's does no harm.
		b.Entries[0].Proof.Checkpoint.Envelope = note(log, text, "rekor.acme.test") + strings.SplitAfter(note(stranger, text, "rekor.evil.test"), "\n\n")[1]
		accepted(t, tr, b)
		b.Entries[0].Proof.Checkpoint = nil
		refused(t, tr, b, attest.CodeLogProof)
	})

	t.Run("TIM-12 lists too long", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		b := string(good(l.sign().Bytes())(t))
		entries, times := between(t, b, `"tlogEntries":[`, `],"timestampVerificationData"`), between(t, b, `"rfc3161Timestamps":[`, `]}}`)
		for _, list := range []string{entries, times} {
			for _, n := range []int{33, 1e4, 1e6} {
				// The elements are of no use at all: the limit comes before they are looked at.
				bad := strings.Replace(b, list, strings.Repeat("7,", n-1)+"7", 1)
				within(t, time.Second, func() {
					_, err := attest.ParseBundle([]byte(bad))
					if attest.RefusalCode(err) != attest.CodeLimit {
						t.Errorf("%d: %v", n, err)
					}
				})
			}
		}
		// As many as there may be, each of them true.
		full := l.bare()
		for range 32 {
			l.logged(full, l.Logs[0], noon)
			l.stamped(full, l.TSAs[0], noon)
		}
		within(t, time.Second, func() { seen(t, tr, full, noon) })
	})

	t.Run("one entry twice", func(t *testing.T) {
		l := newLab(t)
		b := l.sign()
		b.Entries = append(b.Entries, b.Entries[0])
		if _, err := held(t, l.trust(), b); err != nil && attest.RefusalCode(err) != attest.CodeLogProof {
			t.Errorf("%v", err)
		}
		// Two entries of one log are one log.
		two := good(authority.NewLog("rekor2.acme.test", listed))(t)
		l.Logs = append(l.Logs, two)
		tr := good(l.file("logs: 2"))(t)
		one := l.stamped(l.bare(), l.TSAs[0], noon)
		refused(t, tr, l.logged(l.logged(one, l.Logs[0], noon), l.Logs[0], noon), attest.CodeLogProof)
		accepted(t, tr, l.logged(one, two, noon))
	})

	t.Run("TIM-18 log v2 without TSA time", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		b := l.sign()
		accepted(t, tr, b)
		b.Timestamps = nil
		refused(t, tr, b, attest.CodeTimeMissing)
		// What the entry says of a time, nobody signed.
		b.Entries[0].IntegratedTime = fmt.Sprint(noon.Unix())
		refused(t, tr, b, attest.CodeTimeMissing)
		b.Entries[0].Promise = &authority.InclusionPromise{SET: make([]byte, 70)}
		if _, err := held(t, tr, b); err == nil {
			t.Error("a made-up promise gave a time")
		}
	})

	t.Run("time of a log of the first kind", func(t *testing.T) {
		l := newLab(t)
		l.Logs[0] = good(authority.NewLogV1("rekor.acme.test", listed))(t)
		l.Logs[0].Shift = 1000
		l.TSAs = nil
		tr := l.trust()
		b := l.signed("a model", l.Witnesses(noon.Add(time.Minute)))
		seen(t, tr, b, noon.Add(time.Minute))
		promise := b.Entries[0].Promise
		// The proof does not cover the time: only the promise does.
		b.Entries[0].Promise = nil
		refused(t, tr, b, attest.CodeTimeMissing)
		b.Entries[0].Promise = promise
		for _, at := range []int64{noon.Unix(), noon.Unix() + 61, 0} {
			b.Entries[0].IntegratedTime = fmt.Sprint(at)
			if _, err := held(t, tr, b); err == nil {
				t.Errorf("an altered time %d", at)
			}
		}
		refused(t, tr, l.signed("a model", l.Witnesses(noon.Add(-time.Second))), attest.CodeTimeWindow)
		refused(t, tr, l.signed("a model", l.Witnesses(noon.Add(11*time.Minute))), attest.CodeTimeWindow)
	})

	t.Run("TIM-20 certificate timestamp missing or forged", func(t *testing.T) {
		l := newLab(t)
		ct := l.CertificateLogs[0]
		tr := l.trust()
		accepted(t, tr, l.sign())
		issue := func(logs []*authority.CTLog, changes ...func(*x509.Certificate)) *authority.Bundle {
			l.CertificateLogs = logs
			defer func() { l.CertificateLogs = []*authority.CTLog{ct} }()
			return l.sign(changes...)
		}
		stranger := good(authority.NewCTLog("https://ct.evil.test", listed))(t)
		liar := good(authority.NewCTLog("https://ct.acme.test", listed))(t)
		liar.Key = good(authority.NewKey(authority.P256, "liar"))(t)
		refused(t, tr, issue(nil), attest.CodeCertChain)
		refused(t, tr, issue([]*authority.CTLog{stranger}), attest.CodeCertChain)
		refused(t, tr, issue([]*authority.CTLog{liar}), attest.CodeCertChain)
		accepted(t, tr, issue([]*authority.CTLog{stranger, ct}))

		// What is stamped is the certificate but for the stamps, its number too.
		number := func(n int64) func(*x509.Certificate) {
			return func(c *x509.Certificate) { c.SerialNumber = big.NewInt(n) }
		}
		with := func(stamps ...[]byte) *authority.Bundle {
			return issue(nil, number(77), func(c *x509.Certificate) {
				c.ExtraExtensions = append(c.ExtraExtensions, good(authority.Stamps(stamps...))(t))
			})
		}
		stamp := func(n int64, issuer *authority.Cert) []byte {
			return good(ct.Stamp(issue(nil, number(n)).Certificate, issuer.Certificate, noon))(t)
		}
		right, ofOther, wrongIssuer := stamp(77, l.CAs[0].Issuer), stamp(78, l.CAs[0].Issuer), stamp(77, l.CAs[0].Above[0])
		accepted(t, tr, with(right))
		for name, stamps := range map[string][][]byte{
			"of another certificate": {ofOther},
			"of another issuer":      {wrongIssuer},
			"cut":                    {right[:len(right)-1]},
			"longer":                 {append(slices.Clone(right), 0)},
			"empty":                  {{}},
			"none in the list":       {},
			"another version":        {append([]byte{1}, right[1:]...)},
			"another time":           {append(append(slices.Clone(right[:33]), 0, 0, 1, 0, 0, 0, 0, 0), right[41:]...)},
		} {
			t.Run(name, func(t *testing.T) { refused(t, tr, with(stamps...), attest.CodeCertChain) })
		}
		// Two of one log are one log.
		two := good(authority.NewCTLog("https://ct2.acme.test", listed))(t)
		l.CertificateLogs = []*authority.CTLog{ct, two}
		strict := good(l.file("certificateLogs: 2"))(t)
		refused(t, strict, issue([]*authority.CTLog{ct, ct}), attest.CodeCertChain)
		accepted(t, strict, issue([]*authority.CTLog{ct, two}))
		// The policy asks for none: and says why.
		accepted(t, good(l.file(`certificateLogs: 0, noCertificateLogs: "private"`))(t), issue(nil))

		t.Run("outside the log's window", func(t *testing.T) {
			ct.From, ct.Until = noon, time.Time{}
			accepted(t, l.trust(), issue([]*authority.CTLog{ct}))
			ct.From, ct.Until = listed, noon
			accepted(t, l.trust(), issue([]*authority.CTLog{ct}))
			ct.From, ct.Until = noon.Add(time.Second), time.Time{}
			refused(t, l.trust(), issue([]*authority.CTLog{ct}), attest.CodeCertChain)
			ct.From, ct.Until = listed, noon.Add(-time.Second)
			refused(t, l.trust(), issue([]*authority.CTLog{ct}), attest.CodeCertChain)
		})
	})

	t.Run("TIM-21 shard window end", func(t *testing.T) {
		l := newLab(t)
		l.Logs[0] = good(authority.NewLogV1("rekor.acme.test", listed))(t)
		l.TSAs = nil
		l.Logs[0].From, l.Logs[0].Until = noon.Add(time.Minute), noon.Add(5*time.Minute)
		tr := l.trust()
		for _, at := range []time.Time{l.Logs[0].From, l.Logs[0].Until} {
			seen(t, tr, l.signed("a model", l.Witnesses(at)), at)
		}
		for _, at := range []time.Time{l.Logs[0].From.Add(-time.Second), l.Logs[0].Until.Add(time.Second)} {
			refused(t, tr, l.signed("a model", l.Witnesses(at)), attest.CodeLogProof)
		}
	})

	t.Run("TIM-21 window of a log that says no time", func(t *testing.T) {
		l := newLab(t)
		l.Logs[0].From, l.Logs[0].Until = noon.Add(time.Minute), noon.Add(5*time.Minute)
		tr := l.trust()
		for _, at := range []time.Time{l.Logs[0].From, l.Logs[0].Until} {
			seen(t, tr, l.signed("a model", l.Witnesses(at)), at)
		}
		for _, at := range []time.Time{l.Logs[0].From.Add(-time.Second), l.Logs[0].Until.Add(time.Second)} {
			refused(t, tr, l.signed("a model", l.Witnesses(at)), attest.CodeLogProof)
		}
	})

	t.Run("IDN-18 timestamp authority outside its window", func(t *testing.T) {
		l := newLab(t)
		l.TSAs[0].From, l.TSAs[0].Until = noon.Add(time.Minute), noon.Add(5*time.Minute)
		tr := l.trust()
		for _, at := range []time.Time{l.TSAs[0].From, l.TSAs[0].Until} {
			seen(t, tr, l.signed("a model", l.Witnesses(at)), at)
		}
		for _, at := range []time.Time{l.TSAs[0].From.Add(-time.Second), l.TSAs[0].Until.Add(time.Second)} {
			refused(t, tr, l.signed("a model", l.Witnesses(at)), attest.CodeTSA)
		}
	})

	t.Run("timestamp authority whose certificate is over", func(t *testing.T) {
		l := newLab(t)
		tmpl := good(authority.TSATemplate("short", listed))(t)
		tmpl.NotAfter = noon.Add(time.Minute)
		l.TSAs[0].Signer = good(authority.NewCert(tmpl, l.TSAs[0].Signer.Key, l.TSAs[0].Above[0]))(t)
		tr := l.trust()
		seen(t, tr, l.signed("a model", l.Witnesses(tmpl.NotAfter)), tmpl.NotAfter)
		b := l.logged(l.bare(), l.Logs[0], noon)
		for _, signing := range []time.Time{tmpl.NotAfter, {}} { // what it says of itself in an attribute, or nothing
			b.Timestamps = [][]byte{good(l.TSAs[0].Stamp(b.Signature, tmpl.NotAfter.Add(time.Second), func(s *authority.Stamping) { s.SigningTime = signing }))(t)}
			refused(t, tr, b, attest.CodeTSA)
		}
	})
}

// Who re-stamps, and what it changes: the rules of "seen".
func TestRestampedStaysWhatItWas(t *testing.T) {
	first, year := noon.Add(10*time.Second), noon.AddDate(1, 0, 0)
	t.Run("a later stamp beside the first", func(t *testing.T) {
		l := newLab(t)
		tr := l.trust()
		b := l.stamped(l.sign(), l.TSAs[0], year)
		seen(t, tr, b, first)
		slices.Reverse(b.Timestamps)
		seen(t, tr, b, first)
	})
	t.Run("a later stamp by another authority", func(t *testing.T) {
		l := newLab(t)
		b := l.sign()
		seen(t, l.trust(), l.stamped(b, l.second(), year), first)
		seen(t, l.trust(), b, first)
	})
	t.Run("only late stamps", func(t *testing.T) {
		l := newLab(t)
		b := l.logged(l.stamped(l.bare(), l.TSAs[0], year, year.Add(time.Hour)), l.Logs[0], noon)
		refused(t, l.trust(), b, attest.CodeTimeWindow)
	})
	t.Run("a stamp before the certificate", func(t *testing.T) {
		l := newLab(t)
		refused(t, l.trust(), l.stamped(l.sign(), l.TSAs[0], noon.Add(-time.Second)), attest.CodeTimeWindow)
		b := l.sign()
		refused(t, func() *trust.Trust { l.second(); return l.trust() }(), l.stamped(b, l.TSAs[1], noon.Add(-time.Hour)), attest.CodeTimeWindow)
	})
	t.Run("two authorities, one early", func(t *testing.T) {
		l := newLab(t)
		liar := l.second()
		tr := good(l.file("timestamps: 2"))(t)
		b := l.stamped(l.logged(l.bare(), l.Logs[0], noon), l.TSAs[0], noon.Add(5*time.Minute))
		refused(t, tr, b, attest.CodeTimeMissing) // one of two
		seen(t, tr, l.stamped(b, liar, noon.Add(time.Second)), noon.Add(5*time.Minute))
		// Saying it often, or late as well, does not help.
		seen(t, tr, l.stamped(b, liar, noon.Add(2*time.Second), year), noon.Add(5*time.Minute))
		seen(t, l.trust(), b, noon.Add(time.Second)) // with a threshold of one, one may lie
		// Two late ones do not make two.
		b = l.stamped(l.logged(l.bare(), l.Logs[0], noon), l.TSAs[0], noon, year)
		b = l.stamped(b, liar, year)
		if _, err := held(t, tr, b); attest.RefusalCode(err) != attest.CodeTimeWindow && attest.RefusalCode(err) != attest.CodeTimeMissing {
			t.Errorf("%v", err)
		}
	})
	t.Run("one authority under two URLs", func(t *testing.T) {
		l := newLab(t)
		same := *l.TSAs[0]
		same.URL = "https://mirror.acme.test"
		l.TSAs = append(l.TSAs, &same)
		if tr, err := l.file("timestamps: 2"); err == nil {
			refused(t, tr, l.stamped(l.logged(l.bare(), l.Logs[0], noon), &same, noon, noon.Add(time.Second)), attest.CodeTimeMissing)
		} else if attest.RefusalCode(err) != attest.CodeTrustRoot {
			t.Errorf("%v", err)
		}
		// With a third it can be met, by the third.
		third := l.second()
		tr, err := l.file("timestamps: 2")
		if err != nil {
			if attest.RefusalCode(err) != attest.CodeTrustRoot {
				t.Errorf("%v", err)
			}
			return // a file that lists one key twice is not read, which is as good
		}
		b := l.stamped(l.logged(l.bare(), l.Logs[0], noon), &same, noon, noon.Add(time.Second))
		refused(t, tr, b, attest.CodeTimeMissing)
		seen(t, tr, l.stamped(b, third, noon.Add(time.Minute)), noon.Add(time.Minute))
	})
	t.Run("one authority, listed with its certificate and without", func(t *testing.T) {
		l := newLab(t)
		same := *l.TSAs[0]
		same.URL, same.Unlisted = "https://mirror.acme.test", true
		l.TSAs = append(l.TSAs, &same)
		if tr, err := l.file("timestamps: 2"); err == nil {
			b := l.stamped(l.logged(l.bare(), l.Logs[0], noon), &same, noon, noon.Add(time.Second))
			refused(t, tr, b, attest.CodeTimeMissing)
		} else if attest.RefusalCode(err) != attest.CodeTrustRoot {
			t.Errorf("%v", err)
		}
		l.TSAs[0], l.TSAs[1] = l.TSAs[1], l.TSAs[0]
		if tr, err := l.file("timestamps: 2"); err == nil {
			b := l.stamped(l.logged(l.bare(), l.Logs[0], noon), &same, noon, noon.Add(time.Second))
			refused(t, tr, b, attest.CodeTimeMissing)
		}
	})
	t.Run("one authority before and after a change of its listing", func(t *testing.T) {
		l := newLab(t)
		same := *l.TSAs[0]
		same.URL, same.Unlisted = "https://mirror.acme.test", true
		l.TSAs[0].Until, same.From = noon.Add(5*time.Minute), noon.Add(5*time.Minute+time.Second)
		l.TSAs = append(l.TSAs, &same)
		tr, err := l.file("timestamps: 2")
		if err != nil {
			if attest.RefusalCode(err) != attest.CodeTrustRoot {
				t.Errorf("%v", err)
			}
			return
		}
		refused(t, tr, l.stamped(l.logged(l.bare(), l.Logs[0], noon), &same, noon, noon.Add(6*time.Minute)), attest.CodeTimeMissing)
	})
	t.Run("a log and an authority", func(t *testing.T) {
		l := newLab(t)
		l.Logs[0] = good(authority.NewLogV1("rekor.acme.test", listed))(t)
		tr := good(l.file("timestamps: 2"))(t)
		b := l.logged(l.stamped(l.bare(), l.TSAs[0], noon.Add(time.Minute)), l.Logs[0], noon.Add(2*time.Minute))
		seen(t, tr, b, noon.Add(2*time.Minute))
		seen(t, l.trust(), b, noon.Add(time.Minute))
	})
}

func between(t testing.TB, s, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, from)
	in, _, found := strings.Cut(rest, to)
	if !ok || !found || in == "" {
		t.Fatalf("no %s in the bundle", from)
	}
	return in
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

// tsaCert is a certificate that signs timestamps, or something else.
func tsaCert(t testing.TB, parent *authority.Cert, name string, critical bool, eku ...asn1.ObjectIdentifier) *authority.Cert {
	t.Helper()
	tmpl := good(authority.TSATemplate(name, listed))(t)
	authority.Replace(tmpl, good(authority.EKU(critical, eku...))(t))
	tmpl.Subject = pkix.Name{CommonName: name}
	return good(authority.NewCert(tmpl, good(authority.NewKey(authority.P256, "tsa "+name))(t), parent))(t)
}
