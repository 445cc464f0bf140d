//go:build pkcs11

package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/pkcs11"
)

// A key is a private key on a token, for attest.NewKeySigner, which verifies what it signs.
type key struct {
	session *session
	handle  pkcs11.ObjectHandle
	public  crypto.PublicKey
	always  bool // the PIN is wanted for each signature, as for slot 9c of PIV cards
}

var _ crypto.Signer = (*key)(nil)

// find finds the private key that a URI names, and the public key beside it.
func (s *session) find(u URI) (*key, error) {
	private, err := s.objects(append(u.template(), pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)))
	what := s.label + " " + u.name()
	switch {
	case err != nil:
		return nil, refuse(what, "the token does not answer", "", err)
	case len(private) == 0:
		return nil, refuse(what, "there is no such private key on the token", "see what is there: pkcs11-tool --list-objects --login", nil)
	case len(private) > 1:
		return nil, refuse(what, "several private keys fit", "say which: id=%01", nil)
	}
	k := &key{session: s, handle: private[0]}
	k.always = bytes.Equal(s.attribute(k.handle, pkcs11.CKA_ALWAYS_AUTHENTICATE), []byte{1})
	if !k.always {
		s.pin = ""
	}
	if k.public, err = s.public(s.attribute(k.handle, pkcs11.CKA_ID), s.attribute(k.handle, pkcs11.CKA_LABEL)); err != nil {
		return nil, refuse(what, "the token does not show the public key of it", "put the public key, or a certificate for it, on the token under the same id", err)
	}
	return k, nil
}

// name returns how the URI calls the key.
func (u URI) name() string {
	if u.Object != "" {
		return u.Object
	}
	return fmt.Sprintf("%x", u.ID)
}

func (u URI) template() []*pkcs11.Attribute {
	var t []*pkcs11.Attribute
	if u.Object != "" {
		t = append(t, pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object))
	}
	if len(u.ID) > 0 {
		t = append(t, pkcs11.NewAttribute(pkcs11.CKA_ID, u.ID))
	}
	return t
}

func (s *session) objects(template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := s.module.FindObjectsInit(s.handle, template); err != nil {
		return nil, err
	}
	found, _, err := s.module.FindObjects(s.handle, maxFound)
	return found, errors.Join(err, s.module.FindObjectsFinal(s.handle))
}

// attribute returns one attribute of an object; nil if the object does not have it.
func (s *session) attribute(o pkcs11.ObjectHandle, of uint) []byte {
	a, err := s.module.GetAttributeValue(s.handle, o, []*pkcs11.Attribute{pkcs11.NewAttribute(of, nil)})
	if err != nil || len(a) != 1 {
		return nil
	}
	return a[0].Value
}

// public returns the public key that belongs to a private one with this id and label:
// that of a public key object, or of a certificate, where people keep only that. The
// two have one id (PKCS #11, section 4.6), and where ids are not kept well, one label.
// A wrong guess does no harm: what the private key signs will not verify.
func (s *session) public(id, label []byte) (crypto.PublicKey, error) {
	looks := []URI{{ID: id, Object: string(label)}, {ID: id}, {Object: string(label)}}
	for _, class := range []uint{pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_CERTIFICATE} {
		for _, u := range looks {
			if len(u.ID) == 0 && u.Object == "" {
				continue
			}
			found, err := s.objects(append(u.template(), pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)))
			switch {
			case err != nil:
				return nil, err
			case len(found) != 1:
				continue
			case class == pkcs11.CKO_PUBLIC_KEY:
				return s.publicOf(found[0])
			}
			c, err := x509.ParseCertificate(s.attribute(found[0], pkcs11.CKA_VALUE))
			if err != nil {
				return nil, err
			}
			return c.PublicKey, nil
		}
	}
	return nil, errors.New("no public key and no certificate has its id or label, or several have")
}

// mechanismEdDSA is CKM_EDDSA (PKCS #11 3.0, section 6.3.13), which the library's
// constants, of version 2.40, lack. Without parameters it is Ed25519 itself.
const mechanismEdDSA = 0x1057

// The curves, as CKA_EC_PARAMS spells them: an object identifier, and of Ed25519 also a
// name (PKCS #11 3.0, section 6.3).
var curves = []struct {
	params []byte
	curve  elliptic.Curve // nil for Ed25519
}{
	{[]byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, elliptic.P256()},
	{[]byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}, elliptic.P384()},
	{[]byte{0x06, 0x03, 0x2b, 0x65, 0x70}, nil},
	{append([]byte{0x13, 0x0c}, "edwards25519"...), nil},
}

func (s *session) publicOf(o pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	params, encoded := s.attribute(o, pkcs11.CKA_EC_PARAMS), s.attribute(o, pkcs11.CKA_EC_POINT)
	for _, c := range curves {
		if !bytes.Equal(c.params, params) {
			continue
		}
		// A point is a DER octet string; some modules leave the wrapping away.
		var point []byte
		if rest, err := asn1.Unmarshal(encoded, &point); err != nil || len(rest) > 0 {
			point = encoded
		}
		if c.curve == nil {
			return ed25519.PublicKey(point), nil // its length is for attest.NewPublicKey
		}
		return ecdsa.ParseUncompressedPublicKey(c.curve, point)
	}
	return nil, errors.New("not a key on P-256, P-384 or Ed25519")
}

func (k *key) Public() crypto.PublicKey { return k.public }

// Sign signs a hash, or with Ed25519 the message. The token has its own randomness.
func (k *key) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	s := k.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the session with the token was closed")
	}
	mechanism := uint(pkcs11.CKM_ECDSA)
	_, edwards := k.public.(ed25519.PublicKey)
	if edwards {
		mechanism = mechanismEdDSA
	}
	if err := s.module.SignInit(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, k.handle); err != nil {
		return nil, err
	}
	if k.always {
		if err := s.module.Login(s.handle, pkcs11.CKU_CONTEXT_SPECIFIC, s.pin); err != nil {
			return nil, err
		}
	}
	sig, err := s.module.Sign(s.handle, digest)
	if err != nil || edwards {
		return sig, err
	}
	// Tokens write r and s side by side, the rest of the world as ASN.1 (RFC 3279,
	// section 2.2.3).
	if len(sig) == 0 || len(sig)%2 != 0 {
		return nil, fmt.Errorf("the token's signature has %d bytes", len(sig))
	}
	half := len(sig) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
}
