package trust

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // certificate hashes of RFC 2634; no signature is verified with it
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// This file reads timestamps (RFC 3161, in CMS, RFC 5652). It is our own reader for
// what the one that sigstore-go uses leaves open: that the content is a timestamp's
// (a signature over something else of the same shape would do), that the token names
// the certificate it was signed under by its hash (RFC 3161, section 2.4.2), that the
// digest is not SHA-1, and that nothing trails. It reads DER only, in which everything
// has one spelling, and no certificate but the signer's.

const (
	// maxTimestamp bounds a timestamp. With four certificates on RSA keys it has about
	// 8 kB; certificates in it cost nothing until they are parsed.
	maxTimestamp = 64 << 10

	// maxBag bounds the certificates in a timestamp: a chain, and another one.
	maxBag = 8
)

var (
	oidSignedData  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidDigest      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidCert        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidCertV2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
)

type (
	responseDER struct {
		Status struct {
			Status int
			Text   []asn1.RawValue `asn1:"optional"`
			Fail   asn1.BitString  `asn1:"optional"`
		}
		Token asn1.RawValue `asn1:"optional"`
	}
	contentDER struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedDataDER struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      octetsDER
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revocations  asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []signerDER   `asn1:"set"`
	}
	octetsDER struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	signerDER struct {
		Version int
		Who     struct {
			Issuer asn1.RawValue
			Serial *big.Int
		}
		Digest     pkix.AlgorithmIdentifier
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
		Unsigned   asn1.RawValue `asn1:"optional,tag:1"`
	}
	attributeDER struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	infoDER struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint struct {
			Algorithm pkix.AlgorithmIdentifier
			Digest    []byte
		}
		Serial   *big.Int
		Time     time.Time `asn1:"generalized"`
		Accuracy struct {
			Seconds int `asn1:"optional"`
			Milli   int `asn1:"optional,tag:0"`
			Micro   int `asn1:"optional,tag:1"`
		} `asn1:"optional"`
		Ordering   bool             `asn1:"optional,default:false"`
		Nonce      *big.Int         `asn1:"optional"`
		Authority  asn1.RawValue    `asn1:"optional,tag:0"`
		Extensions []pkix.Extension `asn1:"optional,tag:1"`
	}
	certIDDER struct {
		Algorithm pkix.AlgorithmIdentifier `asn1:"optional"` // default: SHA-256 (RFC 5035)
		Hash      []byte
		Issuer    asn1.RawValue `asn1:"optional"`
	}
)

// A stamped is a timestamp that was read, and is believed in nothing.
type stamped struct {
	der     []byte // as it was read
	time    time.Time
	hash    crypto.Hash // of the signature, in imprint
	imprint []byte

	issuer     []byte // the name, DER
	serial     *big.Int
	message    []byte // what was signed: the attributes, as a SET
	algorithm  x509.SignatureAlgorithm
	signature  []byte
	certHash   crypto.Hash
	certDigest []byte   // of the signer's certificate
	bag        [][]byte // certificates, DER, unparsed
}

// readStamp reads a TimeStampResp. The error is E_LIMIT, or no refusal.
func readStamp(der []byte) (*stamped, error) {
	if len(der) > maxTimestamp {
		return nil, attest.Refuse(attest.CodeLimit, "timestamp of %d bytes, at most %d are read", len(der), maxTimestamp)
	}
	var response responseDER
	if err := unmarshal(der, &response); err != nil {
		return nil, err
	}
	if response.Status.Status != 0 {
		return nil, fmt.Errorf("a timestamp that was not granted")
	}
	var content contentDER
	if err := unmarshal(response.Token.FullBytes, &content); err != nil {
		return nil, err
	}
	if !content.Type.Equal(oidSignedData) {
		return nil, errors.New("a timestamp that is not signed data")
	}
	var signed signedDataDER
	if err := unmarshal(content.Content.Bytes, &signed); err != nil {
		return nil, err
	}
	if !signed.Content.Type.Equal(oidTSTInfo) {
		return nil, errors.New("signed data that is no timestamp")
	}
	if len(signed.Signers) != 1 {
		return nil, fmt.Errorf("a timestamp with %d signers", len(signed.Signers))
	}
	s := &stamped{der: der}
	if err := s.readBag(signed.Certificates.Bytes); err != nil {
		return nil, err
	}
	if err := s.readInfo(signed.Content.Content); err != nil {
		return nil, err
	}
	return s, s.readSigner(signed.Signers[0], signed.Content.Content)
}

func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("trailing bytes")
	}
	return err
}

// readBag takes the certificates that came along apart, and parses none.
func (s *stamped) readBag(der []byte) error {
	for len(der) > 0 {
		if len(s.bag) == maxBag {
			return attest.Refuse(attest.CodeLimit, "more than %d certificates in a timestamp", maxBag)
		}
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(der, &raw)
		if err != nil {
			return err
		}
		s.bag, der = append(s.bag, raw.FullBytes), rest
	}
	return nil
}

// readInfo reads what the authority says.
func (s *stamped) readInfo(der []byte) error {
	var info infoDER
	if err := unmarshal(der, &info); err != nil {
		return err
	}
	if info.Version != 1 {
		return fmt.Errorf("a timestamp of version %d", info.Version)
	}
	for _, e := range info.Extensions {
		if e.Critical {
			return fmt.Errorf("a timestamp with the unknown critical extension %s", e.Id)
		}
	}
	var ok bool
	if s.hash, ok = hashOf(info.Imprint.Algorithm.Algorithm); !ok {
		return fmt.Errorf("a timestamp over a digest in the algorithm %s", info.Imprint.Algorithm.Algorithm)
	}
	s.time, s.imprint = info.Time.UTC(), info.Imprint.Digest
	return nil
}

// readSigner reads who signed, and checks that the signed attributes are about the
// content: "the signedAttrs field […] MUST be present if the content type […] is not
// id-data" (RFC 5652, section 5.3).
func (s *stamped) readSigner(d signerDER, content []byte) error {
	s.issuer, s.serial, s.signature = d.Who.Issuer.FullBytes, d.Who.Serial, d.Signature
	hash, ok := hashOf(d.Digest.Algorithm)
	if !ok {
		return fmt.Errorf("a timestamp with a digest in the algorithm %s", d.Digest.Algorithm)
	}
	if s.algorithm, ok = algorithmOf(d.Algorithm.Algorithm, hash); !ok {
		return fmt.Errorf("a timestamp signed with the algorithm %s", d.Algorithm.Algorithm)
	}
	if len(d.Attributes.FullBytes) == 0 {
		return errors.New("a timestamp without signed attributes")
	}
	// What is signed has the tag of a SET, where the message has an implicit one.
	s.message = bytes.Clone(d.Attributes.FullBytes)
	s.message[0] = 0x31
	values, err := attributes(d.Attributes.Bytes)
	if err != nil {
		return err
	}
	var contentType asn1.ObjectIdentifier
	if err := unmarshal(values[oidContentType.String()], &contentType); err != nil || !contentType.Equal(oidTSTInfo) {
		return errors.New("the signature is not over a timestamp")
	}
	var digest []byte
	if err := unmarshal(values[oidDigest.String()], &digest); err != nil || !bytes.Equal(digest, sum(hash, content)) {
		return errors.New("the signature is over another timestamp")
	}
	return s.readCertID(values)
}

// attributes returns each attribute's only value, by its type.
func attributes(der []byte) (map[string][]byte, error) {
	out := map[string][]byte{}
	for len(der) > 0 {
		var a attributeDER
		rest, err := asn1.Unmarshal(der, &a)
		if err != nil {
			return nil, err
		}
		name := a.Type.String()
		if _, twice := out[name]; twice || len(a.Values) != 1 {
			return nil, fmt.Errorf("not one value of the signed attribute %s", name)
		}
		out[name], der = a.Values[0].FullBytes, rest
	}
	return out, nil
}

// readCertID reads which certificate the authority says that it signed under (RFC
// 5035; RFC 2634 with SHA-1).
func (s *stamped) readCertID(values map[string][]byte) error {
	var list struct {
		Certs    []certIDDER
		Policies asn1.RawValue `asn1:"optional"`
	}
	s.certHash = crypto.SHA256
	raw, ok := values[oidCertV2.String()]
	if !ok {
		s.certHash, raw = crypto.SHA1, values[oidCert.String()]
	}
	if err := unmarshal(raw, &list); err != nil || len(list.Certs) == 0 {
		return errors.New("a timestamp that does not name its certificate")
	}
	id := list.Certs[0] // "The first certificate identified […] MUST be the certificate used to verify the signature"
	if id.Algorithm.Algorithm != nil {
		hash, known := hashOf(id.Algorithm.Algorithm)
		if !ok || !known {
			return errors.New("a timestamp that names its certificate by an unknown digest")
		}
		s.certHash = hash
	}
	s.certDigest = id.Hash
	return nil
}

var (
	// errOther says that a timestamp is of another authority, which is no reason by itself.
	errOther = errors.New("made by an authority that is not listed")
	// errForged says that a timestamp names an authority that did not make it. That is
	// nobody's mistake, and nobody needs such a bundle.
	errForged = errors.New("not signed by the authority that it names")
)

// names reports whether the timestamp says that it was signed under a certificate.
func (s *stamped) names(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, s.issuer) && c.SerialNumber.Cmp(s.serial) == 0 && bytes.Equal(s.certDigest, sum(s.certHash, c.Raw))
}

// signedBy verifies the signature.
func (s *stamped) signedBy(c *x509.Certificate) error {
	if err := c.CheckSignature(s.algorithm, s.message, s.signature); err != nil {
		return fmt.Errorf("%w: %w", errForged, err)
	}
	return nil
}

// over checks what was stamped.
func (s *stamped) over(signature []byte) error {
	if !bytes.Equal(s.imprint, sum(s.hash, signature)) {
		return errors.New("over another signature")
	}
	return nil
}

// maker finds the signer's certificate among those that came along. Which it is, the
// signed attributes say, so what else is there does not matter.
func (s *stamped) maker() (*x509.Certificate, error) {
	for _, der := range s.bag {
		if bytes.Equal(s.certDigest, sum(s.certHash, der)) {
			return x509.ParseCertificate(der)
		}
	}
	return nil, errors.New("the authority's certificate is neither listed nor in the timestamp")
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

// hashOf returns the digest algorithms that are strong enough.
func hashOf(id asn1.ObjectIdentifier) (crypto.Hash, bool) {
	switch id.String() {
	case "2.16.840.1.101.3.4.2.1":
		return crypto.SHA256, true
	case "2.16.840.1.101.3.4.2.2":
		return crypto.SHA384, true
	case "2.16.840.1.101.3.4.2.3":
		return crypto.SHA512, true
	}
	return 0, false
}

// algorithmOf returns the signature algorithm of a CMS signer, who may name the key's
// kind only and leave the digest to the other field.
func algorithmOf(id asn1.ObjectIdentifier, digest crypto.Hash) (x509.SignatureAlgorithm, bool) {
	rsa := map[crypto.Hash]x509.SignatureAlgorithm{crypto.SHA256: x509.SHA256WithRSA, crypto.SHA384: x509.SHA384WithRSA, crypto.SHA512: x509.SHA512WithRSA}
	ecdsa := map[crypto.Hash]x509.SignatureAlgorithm{crypto.SHA256: x509.ECDSAWithSHA256, crypto.SHA384: x509.ECDSAWithSHA384, crypto.SHA512: x509.ECDSAWithSHA512}
	switch id.String() {
	case "1.2.840.113549.1.1.1":
		return rsa[digest], true
	case "1.2.840.113549.1.1.11":
		return x509.SHA256WithRSA, digest == crypto.SHA256
	case "1.2.840.113549.1.1.12":
		return x509.SHA384WithRSA, digest == crypto.SHA384
	case "1.2.840.113549.1.1.13":
		return x509.SHA512WithRSA, digest == crypto.SHA512
	case "1.2.840.10045.2.1", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35":
		return ecdsa[digest], true
	case "1.2.840.10045.4.3.2":
		return x509.ECDSAWithSHA256, true
	case "1.2.840.10045.4.3.3":
		return x509.ECDSAWithSHA384, true
	case "1.2.840.10045.4.3.4":
		return x509.ECDSAWithSHA512, true
	}
	return 0, false
}
