package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A path leads from a certificate that issues others up to a root, and was checked
// when the trust was read. What is left to check of a certificate is then one
// signature, whether everything above it is valid at one time, and the rules between
// it and its issuer.
type path struct {
	above  []*x509.Certificate // the issuer first, the root last; never empty
	window                     // in which all of them are valid, and the authority counts
	usage  x509.ExtKeyUsage
	issuer *x509.CertPool // of the issuer alone
	// whole says that something above restricts what is below further than one link, by
	// names or policies: then nothing is taken for checked.
	whole         bool
	root, between *x509.CertPool
}

// newPaths finds the paths of an authority whose certificates are listed, in any
// order but for the root, which is last. Every refusal is E_TRUSTROOT.
func newPaths(certs []*x509.Certificate, w window, usage x509.ExtKeyUsage) ([]*path, error) {
	if w.from.IsZero() {
		return nil, unusable(fmt.Errorf("an authority does not say from when on it counts"))
	}
	if len(certs) == 0 || len(certs) > maxAbove+1 || slices.Contains(certs, nil) {
		return nil, unusable(fmt.Errorf("an authority with %d certificates, 1 to %d are read", len(certs), maxAbove+1))
	}
	root := certs[len(certs)-1]
	if !root.IsCA {
		return nil, unusable(fmt.Errorf("the last certificate of a chain, %s, is no authority", root.Subject))
	}
	var out []*path
	for _, issuer := range certs {
		for _, above := range climb([]*x509.Certificate{issuer}, certs, root) {
			if p := newPath(above, w, usage); p != nil {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// climb returns the ways from the last certificate of a path to a root, over
// certificates that are not in it yet.
func climb(above, certs []*x509.Certificate, root *x509.Certificate) [][]*x509.Certificate {
	last := above[len(above)-1]
	if last.Equal(root) {
		return [][]*x509.Certificate{slices.Clone(above)}
	}
	var out [][]*x509.Certificate
	for _, next := range certs {
		if slices.ContainsFunc(above, next.Equal) || string(last.RawIssuer) != string(next.RawSubject) || last.CheckSignatureFrom(next) != nil {
			continue
		}
		out = append(out, climb(append(above, next), certs, root)...)
	}
	return out
}

// newPath checks what does not depend on the certificate below; nil if nothing can
// be below: because the issuer is no authority, say, or the path longer than a
// certificate in it allows.
func newPath(above []*x509.Certificate, w window, usage x509.ExtKeyUsage) *path {
	p := &path{above: above, window: w, usage: usage, issuer: pool(above[0]), root: pool(above[len(above)-1]), between: pool(above[:len(above)-1]...)}
	for k, c := range above {
		p.window = p.window.within(window{c.NotBefore, c.NotAfter})
		if !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 || c.BasicConstraintsValid && c.MaxPathLen >= 0 && k > c.MaxPathLen {
			return nil
		}
		p.whole = p.whole || restricts(c)
	}
	if p.window.empty() {
		return p // never valid, and its holder is told so, rather than that nobody knows the issuer
	}
	if _, err := above[0].Verify(p.options(p.root, p.between, p.window.from)); err != nil {
		return nil
	}
	return p
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	out := x509.NewCertPool()
	for _, c := range certs {
		out.AddCert(c)
	}
	return out
}

func (p *path) options(roots, between *x509.CertPool, at time.Time) x509.VerifyOptions {
	return x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{p.usage}}
}

// restricts reports whether a certificate has name constraints or policies, which
// hold for everything below it and not for the next link only.
func restricts(c *x509.Certificate) bool {
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool {
		return len(e.Id) == 4 && e.Id[0] == 2 && e.Id[1] == 5 && e.Id[2] == 29 && slices.Contains(restricting, e.Id[3])
	})
}

// restricting are the last arcs, under 2.5.29, of name constraints, certificate
// policies, policy mappings, policy constraints and inhibit-any-policy (RFC 5280,
// section 4.2.1).
var restricting = []int{30, 32, 33, 36, 54}

// named reports whether a certificate names the path's issuer as its own.
func (p *path) named(c *x509.Certificate) bool {
	return string(c.RawIssuer) == string(p.above[0].RawSubject)
}

// below returns when a certificate is valid under the path: in all of the window, since
// time enters a certificate's checks only by the windows of all certificates involved.
// So one signature is verified, whenever the question is about. The window may contain
// no time. The error is E_CERT_CHAIN.
func (p *path) below(c *x509.Certificate) (window, error) {
	w := p.window.within(window{c.NotBefore, c.NotAfter})
	var err error
	switch {
	case !p.named(c):
		err = errors.New("it names another issuer")
	case w.empty():
		err = c.CheckSignatureFrom(p.above[0])
	case p.whole:
		_, err = c.Verify(p.options(p.root, p.between, w.from))
	default:
		_, err = c.Verify(p.options(p.issuer, nil, w.from))
	}
	if err != nil {
		return window{}, &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "not issued by the trusted authority that it names", Err: oneLine(err), Next: "name the trust of the instance that was signed with"}
	}
	return w, nil
}

// expired names the refusal of a time outside of below's window.
func (p *path) expired(w window, at time.Time) error {
	return &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: fmt.Sprintf("with %s and what is above it valid from %s, and signed at %s", p.above[0].Subject, w, stamp(at)), Next: "name the trust that lists the authority for that time"}
}
