package attest

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// maxChain is how many certificates a chain has at most. SPIRE issues below one
	// intermediate for each level of nested servers, and two levels are many.
	maxChain = 5

	// maxRSA is the largest RSA key of an authority, in bits; SPIRE has 2048 and 4096.
	// Whoever makes a bundle chooses the keys in it, and checking a signature under a
	// key of 64 KiB takes seconds.
	maxRSA = 4096
)

// readChain reads the certificates of an X.509-SVID: the leaf first, each issued by
// the next, without the root. They are checked for form only, and lead to somebody
// only from the verifier's own roots.
//
// Sigstore's bundle v0.3 has one certificate, because Fulcio's intermediates stand in
// the trusted root. SPIFFE's don't: a domain's bundle lists its roots, and the
// intermediates, which change daily, travel with the leaf.
func (b *Bundle) readChain(v strictjson.Value) error {
	if err := onlyKeys(v, "x509CertificateChain", "certificates"); err != nil {
		return err
	}
	list, err := list(v, "certificates", maxChain)
	switch {
	case err != nil:
		return err
	case len(list) == 0:
		return Refuse(CodeBundleParse, "a chain without certificates")
	case len(list) == 1:
		return &Refusal{Code: CodeNonCanonical, About: "x509CertificateChain", Why: "a chain of one certificate, which is spelled certificate"}
	}
	chain := make([]*x509.Certificate, len(list))
	for i, item := range list {
		if _, chain[i], err = readCertificate(item); err != nil {
			return err
		}
	}
	if err := CheckChain(chain); err != nil {
		return err
	}
	b.Certificate = chain[0].Raw
	for _, c := range chain[1:] {
		b.Chain = append(b.Chain, c.Raw)
	}
	return nil
}

// CheckChain checks the form of the certificates with which an X.509-SVID signs, the
// leaf first, as a bundle has them. It verifies nothing: E_BUNDLE_PARSE for what a
// bundle must not carry, E_LIMIT for what is too large to be looked at.
func CheckChain(chain []*x509.Certificate) error {
	switch {
	case len(chain) == 0:
		return Refuse(CodeBundleParse, "a chain without certificates")
	case len(chain) > maxChain:
		return Refuse(CodeLimit, "%d certificates in a chain, at most %d are read", len(chain), maxChain)
	case !IsSVID(chain[0]):
		return Refuse(CodeBundleParse, "a chain whose first certificate is no X.509-SVID: only those travel with their intermediates")
	}
	for i, c := range chain {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
			return Refuse(CodeLimit, "an RSA key of %d bits in a chain, at most %d are read", key.N.BitLen(), maxRSA)
		}
		switch {
		case SelfSigned(c):
			return Refuse(CodeBundleParse, "a self-signed certificate in a chain: roots come from the verifier")
		case i > 0 && !bytes.Equal(chain[i-1].RawIssuer, c.RawSubject):
			return Refuse(CodeBundleParse, "a chain out of order: the holder of certificate %d is not the issuer of the one before", i+1)
		}
	}
	return nil
}

// IsSVID reports whether a certificate has the form of an X.509-SVID's leaf: one URI
// among its names, of the scheme spiffe (SPIFFE X509-SVID, section 2). It
// verifies nothing.
func IsSVID(c *x509.Certificate) bool {
	return len(c.URIs) == 1 && c.URIs[0].Scheme == "spiffe"
}

// SelfSigned reports whether a certificate's own key signed it, as a root's does. Having one name as
// holder and issuer is not enough: nested SPIRE servers all have the same.
func SelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// readCertificate reads an X509Certificate (protobuf-specs, sigstore_common.proto). It is
// parsed for form only, so that what follows is spared cut-off certificates.
func readCertificate(v strictjson.Value) ([]byte, *x509.Certificate, error) {
	if err := onlyKeys(v, "certificate", "rawBytes"); err != nil {
		return nil, nil, err
	}
	raw, _ := v.Get("rawBytes")
	der, err := canonicalBase64(raw, "certificate")
	if err != nil {
		return nil, nil, err
	}
	if len(der) > maxCertificate {
		return nil, nil, Refuse(CodeLimit, "certificate of %d bytes, at most %d are read", len(der), maxCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, &Refusal{Code: CodeBundleParse, Why: "not a certificate", Err: err}
	}
	return der, cert, nil
}
