package authority

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Domain is a SPIFFE trust domain (SPIFFE, X.509-SVID standard).
type Domain struct {
	Name         string
	Root         *Cert
	Intermediate *Cert // issues the SVIDs; nil if the root does
}

// lifetime is how long SVIDs are valid; SPIRE's default.
const lifetime = time.Hour

// NewDomain makes a trust domain with a root and an intermediate, as SPIRE has them
// below an upstream authority.
func NewDomain(name string, from time.Time) (*Domain, error) {
	d := &Domain{Name: name}
	for _, c := range []struct {
		to    **Cert
		what  string
		above *Cert
	}{{&d.Root, "root", nil}, {&d.Intermediate, "intermediate", nil}} {
		key, err := newKey(P256, "spiffe "+c.what+"\n"+name)
		if err != nil {
			return nil, err
		}
		t := Authority("spiffe "+name+" "+c.what, from, from.AddDate(years, 0, 0))
		san, err := SAN(URI("spiffe://" + name))
		if err != nil {
			return nil, err
		}
		san.Critical = false // there is a subject
		t.ExtraExtensions = []pkix.Extension{san}
		if *c.to, err = NewCert(t, key, d.Root); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// SVID returns a signer with an X.509-SVID for spiffe://NAME/PATH: a P-256 key,
// certified for an hour from the given time. Changes are made to the template.
func (d *Domain) SVID(path string, at time.Time, changes ...func(*x509.Certificate)) (attest.Signer, error) {
	id := "spiffe://" + d.Name + "/" + path
	key, err := newKey(P256, fmt.Sprintf("svid\n%s\n%d", id, at.UnixNano()))
	if err != nil {
		return nil, err
	}
	san, err := SAN(URI(id))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		NotBefore:             at,
		NotAfter:              at.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{san},
	}
	for _, change := range changes {
		change(t)
	}
	if d.Intermediate == nil {
		der, err := issue(t, key.Public(), d.Root)
		if err != nil {
			return nil, err
		}
		return newSigner(key, der, nil)
	}
	der, err := issue(t, key.Public(), d.Intermediate)
	if err != nil {
		return nil, err
	}
	return newSigner(key, der, [][]byte{d.Intermediate.Raw})
}

// PEM returns the domain's root as a PEM file.
func (d *Domain) PEM() []byte { return PEM(d.Root) }

// Bundle returns the domain's root as a SPIFFE bundle (SPIFFE Trust Domain and Bundle,
// section 4): a JWK set.
func (d *Domain) Bundle() ([]byte, error) {
	k, ok := d.Root.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a root with a key of type %T", d.Root.PublicKey)
	}
	point, err := k.Bytes() // 4, then both coordinates
	if err != nil {
		return nil, err
	}
	half := (len(point) - 1) / 2
	enc := base64.RawURLEncoding
	return json.MarshalIndent(map[string]any{
		"keys": []any{map[string]any{
			"kty": "EC", "use": "x509-svid", "crv": k.Curve.Params().Name,
			"x": enc.EncodeToString(point[1 : 1+half]), "y": enc.EncodeToString(point[1+half:]),
			"x5c": []string{base64.StdEncoding.EncodeToString(d.Root.Raw)},
		}},
		"spiffe_sequence": 1,
	}, "", "  ")
}
