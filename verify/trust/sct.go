package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pedigree-ml/pedigree/attest"
)

// This file checks certificate timestamps (RFC 6962, section 3.2): promises of
// certificate-transparency logs to record a certificate, embedded in it.

// maxSCTs bounds how many are looked at; Fulcio embeds one, and public web
// certificates have two or three.
const maxSCTs = 8

var oidSCTs = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

// An sct is one such promise.
type sct struct {
	log       string
	at        time.Time
	millis    uint64
	ext       []byte
	hash, alg uint8
	signature []byte
}

// recorded checks that as many distinct logs as asked for promised to record a
// certificate that issuer issued. The error is E_CERT_CHAIN.
func (i *instance) recorded(c, issuer *x509.Certificate) error {
	if i.need.certificateLogs == 0 {
		return nil
	}
	bad := func(err error) error {
		return &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: fmt.Sprintf("not recorded by %d of the listed certificate-transparency logs", i.need.certificateLogs), Err: err, Next: "name the trust that lists the log"}
	}
	list, tbs, err := splitSCTs(c)
	if err != nil {
		return bad(err)
	}
	who := map[string]bool{}
	var why error
	for _, s := range list {
		l, ok := i.ctLogs[s.log]
		if !ok || who[l.who] {
			continue
		}
		if err := s.verify(l, tbs, issuer); err != nil {
			why = err
			continue
		}
		who[l.who] = true
	}
	if len(who) < i.need.certificateLogs {
		return bad(why)
	}
	return nil
}

// verify checks the log's signature, over the certificate as it was before the
// promises were put in.
func (s *sct) verify(l *log, tbs []byte, issuer *x509.Certificate) error {
	if !l.contains(s.at) {
		return fmt.Errorf("promised at %s, and the log counts from %s", stamp(s.at), l.window)
	}
	key := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	var b cryptobyte.Builder
	b.AddUint8(0) // version 1
	b.AddUint8(0) // a certificate timestamp
	b.AddUint64(s.millis)
	b.AddUint16(1) // of a precertificate
	b.AddBytes(key[:])
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(tbs) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.ext) })
	message, err := b.Bytes()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(message)
	const sha256Hash, rsaSignature, ecdsaSignature = 4, 1, 3 // RFC 5246, section 7.4.1.4.1
	ok := false
	switch k := l.sigstore.PublicKey.(type) {
	case *ecdsa.PublicKey:
		ok = s.hash == sha256Hash && s.alg == ecdsaSignature && ecdsa.VerifyASN1(k, digest[:], s.signature)
	case *rsa.PublicKey:
		ok = s.hash == sha256Hash && s.alg == rsaSignature && rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], s.signature) == nil
	}
	if !ok {
		return errors.New("the log did not promise this")
	}
	return nil
}

// splitSCTs returns a certificate's promises, and what they are over: its
// TBSCertificate without them (RFC 6962, section 3.2).
func splitSCTs(c *x509.Certificate) ([]sct, []byte, error) {
	bad := errors.New("no readable certificate timestamps")
	input := cryptobyte.String(c.RawTBSCertificate)
	var fields, wrapped, extensions cryptobyte.String
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) {
		return nil, nil, bad
	}
	extTag := cbasn1.Tag(3).Constructed().ContextSpecific()
	var before, kept, value []byte
	for !fields.Empty() && !fields.PeekASN1Tag(extTag) {
		var field cryptobyte.String
		var tag cbasn1.Tag
		if !fields.ReadAnyASN1Element(&field, &tag) {
			return nil, nil, bad
		}
		before = append(before, field...)
	}
	if !fields.ReadASN1(&wrapped, extTag) || !fields.Empty() || !wrapped.ReadASN1(&extensions, cbasn1.SEQUENCE) || !wrapped.Empty() {
		return nil, nil, bad
	}
	for !extensions.Empty() {
		var whole cryptobyte.String
		if !extensions.ReadASN1Element(&whole, cbasn1.SEQUENCE) {
			return nil, nil, bad
		}
		inner := whole
		var id asn1.ObjectIdentifier
		var e cryptobyte.String
		if !inner.ReadASN1(&e, cbasn1.SEQUENCE) || !e.ReadASN1ObjectIdentifier(&id) {
			return nil, nil, bad
		}
		if !id.Equal(oidSCTs) {
			kept = append(kept, whole...)
			continue
		}
		var critical bool
		var octets, list cryptobyte.String
		if !e.ReadOptionalASN1Boolean(&critical, cbasn1.BOOLEAN, false) || !e.ReadASN1(&octets, cbasn1.OCTET_STRING) || !octets.ReadASN1(&list, cbasn1.OCTET_STRING) {
			return nil, nil, bad
		}
		value = list
	}
	if value == nil {
		return nil, nil, errors.New("no certificate timestamp in the certificate")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(before)
		b.AddASN1(extTag, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(kept) })
		})
	})
	tbs, err := b.Bytes()
	if err != nil {
		return nil, nil, err
	}
	list, err := readSCTs(value)
	return list, tbs, err
}

// readSCTs reads a SignedCertificateTimestampList (RFC 6962, section 3.3).
func readSCTs(b []byte) ([]sct, error) {
	bad := errors.New("no readable certificate timestamps")
	input := cryptobyte.String(b)
	var list cryptobyte.String
	if !input.ReadUint16LengthPrefixed(&list) || !input.Empty() {
		return nil, bad
	}
	var out []sct
	for !list.Empty() {
		var one, ext, signature cryptobyte.String
		var version uint8
		id := make([]byte, sha256.Size)
		s := sct{}
		if len(out) == maxSCTs || !list.ReadUint16LengthPrefixed(&one) || !one.ReadUint8(&version) {
			return nil, bad
		}
		if version != 0 {
			continue // of another version of the protocol: not for us to read
		}
		if !one.CopyBytes(id) || !one.ReadUint64(&s.millis) || s.millis > math.MaxInt64 || !one.ReadUint16LengthPrefixed(&ext) ||
			!one.ReadUint8(&s.hash) || !one.ReadUint8(&s.alg) || !one.ReadUint16LengthPrefixed(&signature) || !one.Empty() {
			return nil, bad
		}
		s.log, s.at, s.ext, s.signature = string(id), time.UnixMilli(int64(s.millis)).UTC(), ext, signature
		out = append(out, s)
	}
	return out, nil
}
