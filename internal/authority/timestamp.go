package authority

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// Object identifiers of tokens (RFC 3161, RFC 5652, RFC 5816).
var (
	oidSignedData  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidDigest      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidSigningCert = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidPolicy      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}

	oidHash = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
	oidECDSA = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
		crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3},
	}
)

// A TSA is a timestamp authority (RFC 3161).
type TSA struct {
	URL         string
	From, Until time.Time // as trust lists it; a zero Until is no end
	Signer      *Cert     // signs the tokens
	Above       []*Cert   // from the signer's issuer to the root
	// Unlisted says that trust lists only what is above: then whatever is below and is
	// for timestamps may sign them.
	Unlisted bool
}

// NewTSA makes an authority with a root, an intermediate and a certificate that is
// for timestamps only, critically so (RFC 3161, section 2.3). Changes are made to
// that certificate's template.
func NewTSA(url string, from time.Time, changes ...func(*x509.Certificate)) (*TSA, error) {
	root, intermediate, err := twoLevels(url, from, P256, x509.ExtKeyUsageTimeStamping)
	if err != nil {
		return nil, err
	}
	key, err := newKey(P256, "tsa\n"+url)
	if err != nil {
		return nil, err
	}
	t, err := TSATemplate(url, from)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		change(t)
	}
	s, err := NewCert(t, key, intermediate)
	if err != nil {
		return nil, err
	}
	return &TSA{URL: url, From: from, Signer: s, Above: []*Cert{intermediate, root}}, nil
}

// Chain returns the certificates that trust lists, the root last.
func (t *TSA) Chain() []*Cert {
	if t.Unlisted {
		return t.Above
	}
	return append([]*Cert{t.Signer}, t.Above...)
}

// PEM returns certificates as a file.
func PEM(certs ...*Cert) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// TSATemplate returns the template of a certificate that signs timestamps.
func TSATemplate(name string, from time.Time) (*x509.Certificate, error) {
	eku, err := EKU(true, oidTimestamps)
	return &x509.Certificate{
		Subject:         pkix.Name{CommonName: name, Organization: []string{"authority"}},
		NotBefore:       from,
		NotAfter:        from.AddDate(years, 0, 0),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{eku},
	}, err
}

// EKU returns an extended key usage extension. Without purposes it is the one of
// timestamp authorities.
func EKU(critical bool, purposes ...asn1.ObjectIdentifier) (pkix.Extension, error) {
	if len(purposes) == 0 {
		purposes = []asn1.ObjectIdentifier{oidTimestamps}
	}
	der, err := asn1.Marshal(purposes)
	return pkix.Extension{Id: oidEKU, Critical: critical, Value: der}, err
}

// A Stamping is a token before it is signed.
type Stamping struct {
	Time    time.Time
	Hash    crypto.Hash // of the imprint
	Imprint []byte      // the hash of what is stamped
	Signer  *Cert       // who signs, and whom the token names
	// Bag holds the certificates that travel with the token, DER, in this order.
	Bag [][]byte
	// SigningTime is the signed attribute of that name; a zero one is left out.
	SigningTime time.Time
}

// Stamp returns a granted TimeStampResp, DER, that what hashes to the imprint existed
// at a time, to the second. It carries the signer's certificate. Changes are made
// before the token is signed.
func (t *TSA) Stamp(stamped []byte, at time.Time, changes ...func(*Stamping)) ([]byte, error) {
	sum := sha256.Sum256(stamped)
	s := &Stamping{Time: at, Hash: crypto.SHA256, Imprint: sum[:], Signer: t.Signer, Bag: [][]byte{t.Signer.Raw}, SigningTime: at}
	for _, change := range changes {
		change(s)
	}
	return s.response()
}

// At returns a witness who says that signatures existed at a time.
func (t *TSA) At(at time.Time, changes ...func(*Stamping)) attest.Witness {
	return witness(func(s attest.Signature) (attest.Testimony, error) {
		stamp, err := t.Stamp(s.Sig, at, changes...)
		return attest.Testimony{Timestamps: [][]byte{stamp}}, err
	})
}

type (
	tstInfo struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint imprint
		Serial  *big.Int
		Time    time.Time `asn1:"generalized"`
	}
	imprint struct {
		Hash pkix.AlgorithmIdentifier
		Sum  []byte
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	signerInfo struct {
		Version   int
		Name      issuerAndSerial
		Digest    pkix.AlgorithmIdentifier
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      encapsulated
		Certificates asn1.RawValue `asn1:"optional"`
		Signers      []signerInfo  `asn1:"set"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	status struct {
		Status int
	}
	responseDER struct {
		Status status
		Token  asn1.RawValue
	}
	// essCert is an ESSCertIDv2 with SHA-256, the default (RFC 5035, section 4).
	essCert struct {
		Sum  []byte
		Name struct {
			Issuer []asn1.RawValue
			Serial *big.Int
		}
	}
	signingCertificate struct {
		Certs []essCert
	}
)

// token returns the ContentInfo of the token (RFC 3161, section 2.4.2; RFC 5652,
// section 5).
func (s *Stamping) token() ([]byte, error) {
	digest := s.Signer.Key.hash()
	scheme, ok := oidECDSA[digest]
	if !ok {
		return nil, fmt.Errorf("timestamps are signed with ECDSA keys")
	}
	serial := sha256.Sum256(fmt.Appendf(s.Imprint, "%d", s.Time.Unix()))
	serial[0] &= 0x7f
	info, err := asn1.Marshal(tstInfo{
		Version: 1, Policy: oidPolicy, Imprint: imprint{algorithm(oidHash[s.Hash]), s.Imprint},
		Serial: new(big.Int).SetBytes(serial[:16]), Time: s.Time.UTC().Truncate(time.Second),
	})
	if err != nil {
		return nil, err
	}
	attributes, err := s.attributes(digest, info)
	if err != nil {
		return nil, err
	}
	// What is signed is the SET OF; what is written is the same under another tag.
	signed, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: attributes})
	if err != nil {
		return nil, err
	}
	sig, err := s.Signer.Key.sign(signed)
	if err != nil {
		return nil, err
	}
	data := signedData{
		Version: 3, Digests: []pkix.AlgorithmIdentifier{algorithm(oidHash[digest])}, Content: encapsulated{oidTSTInfo, info},
		Signers: []signerInfo{{
			Version: 1, Name: issuerAndSerial{asn1.RawValue{FullBytes: s.Signer.RawIssuer}, s.Signer.SerialNumber},
			Digest: algorithm(oidHash[digest]), Signed: tagged(0, attributes),
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: scheme}, Signature: sig,
		}},
	}
	if len(s.Bag) > 0 {
		data.Certificates = tagged(0, slices.Concat(s.Bag...))
	}
	der, err := asn1.Marshal(data)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{oidSignedData, tagged(0, der)})
}

// attributes returns the signed attributes, sorted as DER has them in a SET OF.
func (s *Stamping) attributes(digest crypto.Hash, info []byte) ([]byte, error) {
	h := digest.New()
	h.Write(info)
	cert := essCert{}
	sum := sha256.Sum256(s.Signer.Raw)
	cert.Sum = sum[:]
	cert.Name.Issuer = []asn1.RawValue{tagged(4, s.Signer.RawIssuer)}
	cert.Name.Serial = s.Signer.SerialNumber
	type value struct {
		id asn1.ObjectIdentifier
		v  any
	}
	values := []value{{oidContentType, oidTSTInfo}, {oidDigest, h.Sum(nil)}, {oidSigningCert, signingCertificate{[]essCert{cert}}}}
	if !s.SigningTime.IsZero() {
		values = append(values, value{oidSigningTime, s.SigningTime.UTC().Truncate(time.Second)})
	}
	var all [][]byte
	for _, v := range values {
		der, err := asn1.Marshal(v.v)
		if err != nil {
			return nil, err
		}
		if der, err = asn1.Marshal(attribute{v.id, []asn1.RawValue{{FullBytes: der}}}); err != nil {
			return nil, err
		}
		all = append(all, der)
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.Concat(all...), nil
}

func (s *Stamping) response() ([]byte, error) {
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(responseDER{Token: asn1.RawValue{FullBytes: token}}) // status 0: granted
}

func algorithm(id asn1.ObjectIdentifier) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: id, Parameters: asn1.NullRawValue}
}

// tagged is a constructed value with a context-specific tag.
func tagged(tag int, der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: der}
}
