package authority

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
)

// oidStamps is the extension with a list of certificate timestamps (RFC 6962, section 3.3).
var oidStamps = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

// A CTLog records certificates (RFC 6962). It keeps no tree: a certificate carries
// the log's promise, and nothing else of it.
type CTLog struct {
	URL         string
	From, Until time.Time // as trust lists it; a zero Until is no end
	Key         Key       // P-256
}

// NewCTLog makes a log with a P-256 key.
func NewCTLog(url string, from time.Time) (*CTLog, error) {
	k, err := newKey(P256, "ct log\n"+url)
	return &CTLog{URL: url, From: from, Key: k}, err
}

// ID is the SHA-256 of the log's SubjectPublicKeyInfo.
func (l *CTLog) ID() ([32]byte, error) {
	der, err := spki(l.Key.Public())
	return sha256.Sum256(der), err
}

// Stamp signs that the log saw a certificate at a time. The certificate is as it will
// be, but without timestamps: its TBSCertificate is what is signed (RFC 6962, section
// 3.2). The result is a SignedCertificateTimestamp.
func (l *CTLog) Stamp(precertificate []byte, issuer *x509.Certificate, at time.Time) ([]byte, error) {
	// No more than needed is read: a certificate that no reader takes can be had, too.
	var c struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(precertificate, &c); err != nil {
		return nil, err
	}
	id, err := l.ID()
	if err != nil {
		return nil, err
	}
	stamp := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: id}, Timestamp: uint64(at.UnixMilli())}
	input, err := ct.SerializeSCTSignatureInput(stamp, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version: ct.V1, LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			Timestamp: stamp.Timestamp, EntryType: ct.PrecertLogEntryType,
			PrecertEntry: &ct.PreCert{IssuerKeyHash: sha256.Sum256(issuer.RawSubjectPublicKeyInfo), TBSCertificate: c.TBS.FullBytes},
		},
	}})
	if err != nil {
		return nil, err
	}
	sig, err := l.Key.sign(input)
	if err != nil {
		return nil, err
	}
	stamp.Signature = ct.DigitallySigned{Algorithm: tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA}, Signature: sig}
	return tls.Marshal(stamp)
}

// stampList returns the extension that carries timestamps: a TLS vector of vectors in
// an OCTET STRING (RFC 6962, section 3.3).
func stampList(stamps [][]byte) (pkix.Extension, error) {
	var all []byte
	for _, s := range stamps {
		if len(s) > 1<<16-1 {
			return pkix.Extension{}, fmt.Errorf("a timestamp of %d bytes", len(s))
		}
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(s))), s...)
	}
	if len(all) > 1<<16-1 {
		return pkix.Extension{}, fmt.Errorf("timestamps of %d bytes", len(all))
	}
	der, err := asn1.Marshal(append(binary.BigEndian.AppendUint16(nil, uint16(len(all))), all...))
	return pkix.Extension{Id: oidStamps, Value: der}, err
}

// Stamps returns the extension with these certificate timestamps: what a template
// needs to carry others than those that Issue puts into it.
func Stamps(stamps ...[]byte) (pkix.Extension, error) { return stampList(stamps) }
