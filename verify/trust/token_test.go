package trust_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
)

// der is a value of any tag with parts inside.
func der(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	length := must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagOctetString, Bytes: body}))
	length[0] = tag
	return length
}

func seq(parts ...[]byte) []byte { return der(0x30, parts...) }
func set(parts ...[]byte) []byte { return der(0x31, parts...) }
func oct(b []byte) []byte        { return der(0x04, b) }
func num(n int) []byte           { return must(asn1.Marshal(n)) }
func oid(n ...int) []byte        { return must(asn1.Marshal(asn1.ObjectIdentifier(n))) }

// A token is a timestamp, part by part, to be wrong in one.
type token struct {
	status                                 int
	content, signedContent                 []byte // object identifiers
	version                                int
	hash, digest, imprint                  []byte
	extensions, trailing, certID           []byte
	named, attributes, more, secondSigners bool
	tsa                                    *authority.TSA
	at                                     time.Time
}

// bytes signs the token and writes it as a response.
func (k *token) bytes() []byte {
	sha := seq(k.hash)
	info := seq(num(k.version), oid(1, 2, 3), seq(seq(oid(2, 16, 840, 1, 101, 3, 4, 2, 1)), oct(k.imprint)), num(7), must(asn1.MarshalWithParams(k.at, "generalized")), k.extensions)
	digest := k.digest
	if digest == nil {
		sum := sha256.Sum256(info)
		digest = sum[:]
	}
	one := func(id, value []byte) []byte { return seq(id, set(value)) }
	attributes := [][]byte{one(oid(1, 2, 840, 113549, 1, 9, 3), k.signedContent), one(oid(1, 2, 840, 113549, 1, 9, 4), oct(digest))}
	if k.named {
		attributes = append(attributes, one(oid(1, 2, 840, 113549, 1, 9, 16, 2, 47), seq(seq(seq(oct(k.certID))))))
	}
	if k.more {
		attributes = append(attributes, attributes[0])
	}
	message, signed := set(attributes...), der(0xa0, attributes...)
	if !k.attributes {
		message, signed = info, nil
	}
	sum := sha256.Sum256(message)
	sig := must(k.tsa.Signer.Key.Sign(rand.Reader, sum[:], crypto.SHA256))
	signer := seq(num(1), seq(k.tsa.Signer.RawIssuer, must(asn1.Marshal(k.tsa.Signer.SerialNumber))), sha, signed, seq(oid(1, 2, 840, 10045, 4, 3, 2)), oct(sig))
	signers := set(signer)
	if k.secondSigners {
		signers = set(signer, signer)
	}
	data := seq(num(3), set(sha), seq(k.content, der(0xa0, oct(info))), signers)
	return slices.Concat(seq(seq(num(k.status)), seq(oid(1, 2, 840, 113549, 1, 7, 2), der(0xa0, data))), k.trailing)
}

// A token must say what it is, whom it is by and what it is over; libraries check a
// part of that.
func TestTokens(t *testing.T) {
	i := instance("acme.example")
	good := must(authority.Open(sign(i)))
	tstInfo := oid(1, 2, 840, 113549, 1, 9, 16, 1, 4)
	for name, change := range map[string]func(*token){
		"":                           func(*token) {},
		"granted with changes":       func(k *token) { k.status = 1 },
		"content of another type":    func(k *token) { k.content = oid(1, 2, 840, 113549, 1, 7, 1) },
		"signed as another type":     func(k *token) { k.signedContent = oid(1, 2, 840, 113549, 1, 7, 1) },
		"of another version":         func(k *token) { k.version = 2 },
		"with a digest of SHA-1":     func(k *token) { k.hash = oid(1, 3, 14, 3, 2, 26) },
		"over another content":       func(k *token) { k.digest = make([]byte, 32) },
		"over another signature":     func(k *token) { k.imprint = make([]byte, 32) },
		"with something critical":    func(k *token) { k.extensions = der(0xa1, seq(oid(1, 2, 3), []byte{1, 1, 0xff}, oct([]byte{5, 0}))) },
		"with bytes after it":        func(k *token) { k.trailing = []byte{0} },
		"naming another certificate": func(k *token) { k.certID = make([]byte, 32) },
		"naming no certificate":      func(k *token) { k.named = false },
		"without signed attributes":  func(k *token) { k.attributes = false },
		"with an attribute twice":    func(k *token) { k.more = true },
		"signed twice":               func(k *token) { k.secondSigners = true },
		"by another key under the same name": func(k *token) {
			tsa := *k.tsa
			signer := *tsa.Signer
			signer.Key = must(authority.NewKey(authority.P256, "x"))
			tsa.Signer = &signer
			k.tsa = &tsa
		},
	} {
		t.Run("a token "+name, func(t *testing.T) {
			imprint, certID := sha256.Sum256(good.Signature), sha256.Sum256(i.TSAs[0].Signer.Raw)
			hash := oid(2, 16, 840, 1, 101, 3, 4, 2, 1)
			k := &token{content: tstInfo, signedContent: tstInfo, version: 1, hash: hash, imprint: imprint[:], named: true, certID: certID[:], attributes: true, tsa: i.TSAs[0], at: signed.Add(time.Minute)}
			change(k)
			b := *good
			b.Timestamps = [][]byte{k.bytes()}
			if bytes.Equal(b.Timestamps[0], good.Timestamps[0]) {
				t.Fatal("nothing was made")
			}
			s, err := judge(t, trusting(i), must(b.Bytes()))
			want := attest.CodeTSA
			if name == "" {
				want = ""
			}
			if attest.RefusalCode(err) != want || name == "" && !s.Seen.Equal(k.at) {
				t.Errorf("got %v, %v, want %q", s, err, want)
			}
		})
	}
}
