package trust

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// A domain is a SPIFFE trust domain: who may issue X.509-SVIDs for its workloads.
type domain struct {
	window
	name  string
	roots []*x509.Certificate
}

// newDomain reads a trust domain's name and the authorities of its bundle. Every
// refusal is E_TRUSTROOT.
func newDomain(name string, roots []*x509.Certificate, w window) (*domain, error) {
	switch {
	case !validDomain(name):
		return nil, unusable(fmt.Errorf("%q is no SPIFFE trust domain", name))
	case len(roots) == 0 || len(roots) > maxListed:
		return nil, unusable(fmt.Errorf("trust domain %s has %d authorities, 1 to %d are read", name, len(roots), maxListed))
	case slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return c == nil || !c.IsCA }):
		return nil, unusable(fmt.Errorf("trust domain %s lists a certificate that is no authority", name))
	}
	return &domain{window: w, name: name, roots: roots}, nil
}

// path finds the way from a workload's certificate over the chain that came along to
// one of the domain's authorities. There is no search: each certificate must be issued
// by the next one (X.509-SVID, section 5; RFC 5280, section 6), so what a stranger
// attaches costs one signature each and no more than maxAbove of them.
//
// The error is E_LIMIT for a chain that is too long, E_CERT_CHAIN if an authority of
// the same name exists, and E_KEY_UNKNOWN if none does.
func (d *domain) path(leaf *x509.Certificate, chain [][]byte, m *memo) (*path, window, error) {
	if len(chain) > maxAbove {
		return nil, window{}, attest.Refuse(attest.CodeLimit, "%d certificates above the signer's, at most %d are read", len(chain), maxAbove)
	}
	above := make([]*x509.Certificate, 0, len(chain)+1)
	last := leaf
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, window{}, &attest.Refusal{Code: attest.CodeBundleParse, Why: "not a certificate", Err: err}
		}
		if string(last.RawIssuer) != string(c.RawSubject) {
			return nil, window{}, &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "the certificates do not follow each other up from the signer's"}
		}
		above, last = append(above, c), c
	}
	known := false
	for _, r := range d.roots {
		if string(last.RawIssuer) != string(r.RawSubject) {
			continue
		}
		known = true
		parts := []string{"svid", d.name, d.window.String(), string(r.Raw)}
		for _, c := range above {
			parts = append(parts, string(c.Raw))
		}
		p := m.path(keyOf(parts...), func() *path { return linked(append(slices.Clone(above), r), d.window) })
		if p == nil {
			continue
		}
		if w, err := p.below(leaf); err == nil {
			return p, w, nil
		}
	}
	if known {
		return nil, window{}, &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "not issued by the authority of trust domain " + d.name + " that it names", Next: "fetch the trust domain's bundle again if its keys were changed"}
	}
	return nil, window{}, &attest.Refusal{Code: attest.CodeKeyUnknown, About: "certificate", Why: "issued by no authority of trust domain " + d.name}
}

// linked checks that each certificate is signed by the next.
func linked(above []*x509.Certificate, w window) *path {
	for i, c := range above[:len(above)-1] {
		if c.CheckSignatureFrom(above[i+1]) != nil {
			return nil
		}
	}
	return newPath(above, w, x509.ExtKeyUsageAny)
}

// workload says why a certificate is not a workload's; nil if it is. X.509-SVID,
// section 4.1 and 4.3: "Leaf certificates MUST set the cA field to false", "Leaf SVIDs
// MUST set digitalSignature […], MUST NOT set keyCertSign or cRLSign."
func workload(c *x509.Certificate) error {
	switch {
	case c.IsCA:
		return fmt.Errorf("the certificate is an authority's")
	case c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fmt.Errorf("the certificate's key is not for signatures")
	case c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return fmt.Errorf("the certificate's key signs certificates")
	}
	return nil
}
