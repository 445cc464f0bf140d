package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/pedigree-ml/pedigree/attest"
)

// The kinds of parts.
const (
	KindAuthority      = "certificate authority"
	KindLog            = "log"
	KindCertificateLog = "certificate log"
	KindTimestamps     = "timestamp authority"
	KindDomain         = "SPIFFE domain"
	KindKey            = "key"
)

// A Part is one thing that is believed: whose key it is, and when it counts.
type Part struct {
	Kind     string `json:"kind"`
	Instance string `json:"instance,omitempty"` // that it belongs to; none of shared ones
	Name     string `json:"name"`               // its URL, name, domain or file
	Operator string `json:"operator,omitempty"` // who runs it, where the trusted root says so
	// Key is the SHA-256 of the SubjectPublicKeyInfo that it signs with: of an
	// authority, its issuing certificate's; of a domain, its first authority's.
	Key       attest.Digest `json:"key"`
	Algorithm string        `json:"algorithm"`
	From      time.Time     `json:"from,omitzero"`
	Until     time.Time     `json:"until,omitzero"`
	// CompromisedSince is of keys: what nobody saw before it counts for nothing.
	CompromisedSince time.Time `json:"compromisedSince,omitzero"`
	// Certificates is the chain, the one that signs first.
	Certificates []Certificate `json:"certificates,omitempty"`
}

// A Certificate of a part.
type Certificate struct {
	Subject   string        `json:"subject"`
	SHA256    attest.Digest `json:"sha256"` // of the DER
	Key       attest.Digest `json:"key"`    // SHA-256 of its SubjectPublicKeyInfo
	NotBefore time.Time     `json:"notBefore"`
	NotAfter  time.Time     `json:"notAfter"`
}

// keys returns every key of the part, of all its certificates.
func (p *Part) keys() []attest.Digest {
	out := []attest.Digest{p.Key}
	for _, c := range p.Certificates {
		if c.Key != p.Key {
			out = append(out, c.Key)
		}
	}
	return out
}

// rootParts reads what a trusted_root.json lists that newInstance accepted, and
// refuses one with a part that nobody can have meant: weak keys, chains out of order,
// windows that never hold.
func rootParts(instance string, json []byte) ([]Part, error) {
	pb, err := root.NewTrustedRootProtobuf(json)
	if err != nil {
		return nil, err // unreachable: newInstance read it
	}
	var parts []Part
	add := func(p Part, what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		p.Instance = instance
		parts = append(parts, p)
		return nil
	}
	for i, ca := range pb.GetCertificateAuthorities() {
		p, err := authorityPart(KindAuthority, ca)
		if err := add(p, fmt.Sprintf("certificate authority %d", i+1), err); err != nil {
			return nil, err
		}
	}
	for _, l := range []struct {
		kind string
		list []*trustroot.TransparencyLogInstance
	}{{KindLog, pb.GetTlogs()}, {KindCertificateLog, pb.GetCtlogs()}} {
		for i, log := range l.list {
			p, err := logPart(l.kind, log)
			if err := add(p, fmt.Sprintf("%s %d", l.kind, i+1), err); err != nil {
				return nil, err
			}
		}
	}
	for i, tsa := range pb.GetTimestampAuthorities() {
		p, err := authorityPart(KindTimestamps, tsa)
		if err := add(p, fmt.Sprintf("timestamp authority %d", i+1), err); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func authorityPart(kind string, ca *trustroot.CertificateAuthority) (Part, error) {
	w, err := windowOf(ca.GetValidFor())
	if err != nil {
		return Part{}, err
	}
	var chain []*x509.Certificate
	for _, c := range ca.GetCertChain().GetCertificates() {
		cert, err := x509.ParseCertificate(c.GetRawBytes())
		if err != nil {
			return Part{}, err
		}
		chain = append(chain, cert)
	}
	if err := soundChain(chain, w); err != nil {
		return Part{}, err
	}
	return chainPart(kind, ca.GetUri(), ca.GetOperator(), chain, w)
}

func logPart(kind string, log *trustroot.TransparencyLogInstance) (Part, error) {
	w, err := windowOf(log.GetPublicKey().GetValidFor())
	if err != nil {
		return Part{}, err
	}
	parse := x509.ParsePKIXPublicKey
	//lint:ignore SA1019 Sigstore's staging log has such a key
	if log.GetPublicKey().GetKeyDetails() == protocommon.PublicKeyDetails_PKCS1_RSA_PKCS1V5 {
		parse = func(der []byte) (any, error) { return x509.ParsePKCS1PublicKey(der) }
	}
	key, err := parse(log.GetPublicKey().GetRawBytes())
	if err != nil {
		return Part{}, err
	}
	algorithm, err := strong(key)
	if err != nil {
		return Part{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return Part{}, err
	}
	return Part{Kind: kind, Name: log.GetBaseUrl(), Operator: log.GetOperator(), Key: attest.SHA256(spki), Algorithm: algorithm, From: w.from, Until: w.until}, nil
}

// chainPart describes a chain that soundChain accepted.
func chainPart(kind, name, operator string, chain []*x509.Certificate, w window) (Part, error) {
	algorithm, err := strong(chain[0].PublicKey)
	if err != nil {
		return Part{}, err
	}
	p := Part{Kind: kind, Name: name, Operator: operator, Key: attest.SHA256(chain[0].RawSubjectPublicKeyInfo), Algorithm: algorithm, From: w.from, Until: w.until}
	for _, c := range chain {
		p.Certificates = append(p.Certificates, Certificate{
			Subject: c.Subject.String(), SHA256: attest.SHA256(c.Raw), Key: attest.SHA256(c.RawSubjectPublicKeyInfo),
			NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		})
	}
	return p, nil
}

// windowOf reads when a part of a trusted root counts.
func windowOf(v *protocommon.TimeRange) (window, error) {
	if v.GetStart() == nil {
		return window{}, fmt.Errorf("its validity has no start: it would count for signatures of any age")
	}
	if err := v.GetStart().CheckValid(); err != nil {
		return window{}, err
	}
	w := window{from: v.GetStart().AsTime()}
	if v.GetEnd() != nil {
		if err := v.GetEnd().CheckValid(); err != nil {
			return window{}, err
		}
		w.until = v.GetEnd().AsTime()
	}
	return w, holds(w)
}

// holds refuses a window that never does. Both its ends belong to it.
func holds(w window) error {
	if !w.from.IsZero() && w.empty() {
		return fmt.Errorf("it is valid from %s until %s: that never holds", stamp(w.from), stamp(w.until))
	}
	return nil
}

// soundChain refuses a chain, leaf or issuing certificate first, that could not be
// what somebody meant to trust: out of order, with weak keys, or over whenever the
// window holds.
func soundChain(chain []*x509.Certificate, w window) error {
	switch {
	case len(chain) == 0:
		return fmt.Errorf("its certificate chain is empty")
	case len(chain) > maxAbove+1:
		return fmt.Errorf("its chain has %d certificates, at most %d are read", len(chain), maxAbove+1)
	}
	for i, c := range chain {
		if _, err := strong(c.PublicKey); err != nil {
			return fmt.Errorf("certificate %d: %w", i+1, err)
		}
		if i > 0 && (!c.IsCA || !c.BasicConstraintsValid) {
			return fmt.Errorf("certificate %d (%s) issues the one before it, and is no authority's", i+1, c.Subject)
		}
		if i+1 < len(chain) {
			if err := c.CheckSignatureFrom(chain[i+1]); err != nil {
				return fmt.Errorf("certificate %d (%s) is not issued by the next one: %w", i+1, c.Subject, err)
			}
		}
		if !w.from.IsZero() && w.from.After(c.NotAfter) || !w.until.IsZero() && w.until.Before(c.NotBefore) {
			return fmt.Errorf("certificate %d (%s) is valid from %s until %s, never while the window holds", i+1, c.Subject, stamp(c.NotBefore), stamp(c.NotAfter))
		}
	}
	return nil
}

// minRSA is the shortest RSA key that is believed (NIST SP 800-131A revision 2).
const minRSA = 2048

// strong returns a key's algorithm, and refuses kinds and sizes that can be broken.
func strong(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			if _, err := k.ECDH(); err != nil { // the point is not on the curve
				return "", fmt.Errorf("not a valid ECDSA key: %w", err)
			}
			return "ECDSA " + k.Curve.Params().Name, nil
		}
		return "", fmt.Errorf("an ECDSA key on the curve %s; P-256, P-384 and P-521 are believed", k.Curve.Params().Name)
	case ed25519.PublicKey:
		if _, err := attest.NewPublicKey(k); err != nil { // small order
			return "", err
		}
		return "Ed25519", nil
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA {
			return "", fmt.Errorf("an RSA key of %d bits; fewer than %d can be broken", n, minRSA)
		}
		if k.E < 3 || k.E%2 == 0 {
			return "", fmt.Errorf("an RSA key with the exponent %d", k.E)
		}
		return fmt.Sprintf("RSA %d", k.N.BitLen()), nil
	}
	return "", fmt.Errorf("a key of type %T", key)
}
