package authority

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// years is how long the certificates of authorities are valid.
const years = 10

// short is how long Fulcio's certificates are valid.
const short = 10 * time.Minute

// Object identifiers of Fulcio's extensions (fulcio, docs/oid-info.md).
var (
	fulcio        = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	oidSAN        = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidEKU        = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimestamps = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// FulcioOID returns 1.3.6.1.4.1.57264.1.n: 1 and 8 are the issuer, 7 the type of a
// name that is neither URI nor address, 9 to 22 the claims in the order of trust.Claims.
func FulcioOID(n int) asn1.ObjectIdentifier {
	return append(append(asn1.ObjectIdentifier{}, fulcio...), n)
}

// A Cert is a certificate with its key: an authority's.
type Cert struct {
	*x509.Certificate
	Key Key
}

// NewCert makes a certificate for a key, issued by parent, or by itself if that is
// nil. The template's missing serial number is made from what is certified.
func NewCert(t *x509.Certificate, key Key, parent *Cert) (*Cert, error) {
	if parent == nil {
		parent = &Cert{t, key}
	}
	der, err := issue(t, key.Public(), parent)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Cert{c, key}, nil
}

func issue(t *x509.Certificate, pub crypto.PublicKey, parent *Cert) ([]byte, error) {
	of, err := spki(pub)
	if err != nil {
		return nil, err
	}
	if t.SerialNumber == nil {
		sum := sha256.Sum256(fmt.Appendf(of, "%v %v %v %v", t.Subject, t.NotBefore.UnixNano(), t.NotAfter.UnixNano(), t.ExtraExtensions))
		sum[0] = sum[0]&0x7f | 0x40 // positive, and of one length
		t.SerialNumber = new(big.Int).SetBytes(sum[:16])
	}
	if t.SubjectKeyId == nil {
		sum := sha256.Sum256(of)
		t.SubjectKeyId = sum[:20]
	}
	return x509.CreateCertificate(nil, t, parent.Certificate, pub, parent.Key)
}

// Authority returns the template of a certificate that issues others.
func Authority(name string, from, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"authority"}},
		NotBefore:             from,
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// A CA issues certificates to those whom a token names, as Fulcio does.
type CA struct {
	URL         string
	From, Until time.Time // as trust lists it; a zero Until is no end
	Issuer      *Cert
	Above       []*Cert // from the issuer's issuer to the root; none if the issuer is the root
}

// NewCA makes a certificate authority with a root and one intermediate.
func NewCA(url string, from time.Time, kind ...Kind) (*CA, error) {
	k := P256
	if len(kind) > 0 {
		k = kind[0]
	}
	root, intermediate, err := twoLevels(url, from, k, x509.ExtKeyUsageCodeSigning)
	if err != nil {
		return nil, err
	}
	return &CA{URL: url, From: from, Issuer: intermediate, Above: []*Cert{root}}, nil
}

// twoLevels makes a root and an intermediate that is for one purpose.
func twoLevels(name string, from time.Time, kind Kind, purpose ...x509.ExtKeyUsage) (root, intermediate *Cert, err error) {
	until := from.AddDate(years, 0, 0)
	key, err := newKey(kind, "root\n"+name)
	if err != nil {
		return nil, nil, err
	}
	if root, err = NewCert(Authority(name+" root", from, until), key, nil); err != nil {
		return nil, nil, err
	}
	if key, err = newKey(kind, "intermediate\n"+name); err != nil {
		return nil, nil, err
	}
	t := Authority(name+" intermediate", from, until)
	t.ExtKeyUsage, t.MaxPathLenZero = purpose, true
	intermediate, err = NewCert(t, key, root)
	return root, intermediate, err
}

// A Request is what a CA certifies.
type Request struct {
	Key      crypto.PublicKey
	Identity trust.Identity
	Claims   trust.Claims
	At       time.Time
	Logs     []*CTLog // which record it
	// Changes are made to the template before anything is signed.
	Changes []func(*x509.Certificate)
}

// Issue returns a certificate, DER, with a timestamp by each CT log inside.
func (ca *CA) Issue(r Request) ([]byte, error) {
	t, err := Leaf(r.Identity, r.Claims, r.At)
	if err != nil {
		return nil, err
	}
	for _, change := range r.Changes {
		change(t)
	}
	if len(r.Logs) == 0 {
		return issue(t, r.Key, ca.Issuer)
	}
	precertificate, err := issue(t, r.Key, ca.Issuer)
	if err != nil {
		return nil, err
	}
	var stamps [][]byte
	for _, l := range r.Logs {
		s, err := l.Stamp(precertificate, ca.Issuer.Certificate, r.At)
		if err != nil {
			return nil, err
		}
		stamps = append(stamps, s)
	}
	list, err := stampList(stamps)
	if err != nil {
		return nil, err
	}
	t.ExtraExtensions = append(t.ExtraExtensions, list)
	return issue(t, r.Key, ca.Issuer)
}

// Leaf returns the template of a certificate as Fulcio issues it. The subject
// alternative name is a URI if it has a scheme, an email address if it has an @, and
// otherwise a name of Fulcio's own kind.
func Leaf(who trust.Identity, claims trust.Claims, at time.Time) (*x509.Certificate, error) {
	v2, err := asn1.MarshalWithParams(who.Issuer, "utf8")
	if err != nil {
		return nil, err
	}
	san, err := SAN(NameOf(who.Subject))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		NotBefore:       at,
		NotAfter:        at.Add(short),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{san, {Id: FulcioOID(1), Value: []byte(who.Issuer)}, {Id: FulcioOID(8), Value: v2}},
	}
	for i, c := range []string{
		claims.BuildSigner, claims.BuildSignerDigest, claims.RunnerEnvironment, claims.SourceRepository, claims.SourceDigest,
		claims.SourceRef, claims.SourceID, claims.SourceOwner, claims.SourceOwnerID, claims.BuildConfig, claims.BuildConfigDigest,
		claims.BuildTrigger, claims.RunInvocation, claims.SourceVisibility,
	} {
		if c == "" {
			continue
		}
		e, err := Claim(9+i, c)
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = append(t.ExtraExtensions, e)
	}
	return t, nil
}

// Claim returns the extension FulcioOID(n) with a UTF8String, as all from 8 on have.
func Claim(n int, value string) (pkix.Extension, error) {
	v, err := asn1.MarshalWithParams(value, "utf8")
	return pkix.Extension{Id: FulcioOID(n), Value: v}, err
}

// Replace puts an extension into a template in place of those with the same
// identifier.
func Replace(t *x509.Certificate, e pkix.Extension) {
	Drop(t, e.Id)
	t.ExtraExtensions = append(t.ExtraExtensions, e)
}

// Drop takes the extensions with an identifier out of a template.
func Drop(t *x509.Certificate, id asn1.ObjectIdentifier) {
	var kept []pkix.Extension
	for _, x := range t.ExtraExtensions {
		if !x.Id.Equal(id) {
			kept = append(kept, x)
		}
	}
	t.ExtraExtensions = kept
}

// A Name is one GeneralName of a subject alternative name, as DER.
type Name []byte

// The kinds of names, with exactly these bytes: nothing is checked or escaped.
func URI(s string) Name   { return name(6, s) }
func Email(s string) Name { return name(1, s) }
func DNS(s string) Name   { return name(2, s) }

func name(tag int, s string) Name {
	der, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(s)})
	if err != nil {
		return nil // cannot be: a RawValue of bytes always has a DER form
	}
	return der
}

// Other is Fulcio's own kind: an OtherName of type FulcioOID(7) with a UTF8String.
func Other(s string) (Name, error) {
	type otherName struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}
	return asn1.MarshalWithParams(otherName{FulcioOID(7), s}, "tag:0")
}

// NameOf returns the name that Leaf gives a subject.
func NameOf(subject string) Name {
	switch {
	case strings.Contains(subject, "://"):
		return URI(subject)
	case strings.Contains(subject, "@"):
		return Email(subject)
	}
	n, err := Other(subject)
	if err != nil {
		return URI(subject) // bytes that no UTF8String can have
	}
	return n
}

// SAN returns a subject alternative name extension with the names, critical as it is
// where there is no other name (RFC 5280, section 4.2.1.6).
func SAN(names ...Name) (pkix.Extension, error) {
	var all []asn1.RawValue
	for _, n := range names {
		all = append(all, asn1.RawValue{FullBytes: n})
	}
	der, err := asn1.Marshal(all)
	return pkix.Extension{Id: oidSAN, Critical: true, Value: der}, err
}
