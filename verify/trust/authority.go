package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// An authority makes RFC 3161 timestamps.
type authority struct {
	window        // of the authority as a whole
	name   string // for people
	// who is its key, or without a certificate of its own the key of whoever issued it:
	// what tells it from another authority. Its URL would not: one key behind two URLs
	// is one authority.
	who string

	leaf   *x509.Certificate   // nil: it travels with the timestamps, and only its issuers are known
	terms  []window            // when the leaf's certificate and what is above it were valid, one for each path
	faulty error               // why the leaf is no timestamp authority's
	chain  []*x509.Certificate // of issuers, as it was given
	paths  []*path             // of issuers, without a leaf
}

// newAuthority reads a timestamp authority's chain: its own certificate first, if it
// is known, the root last. Every refusal is E_TRUSTROOT. A certificate that may not
// make timestamps is no error here: it makes none that count.
func newAuthority(name string, chain []*x509.Certificate, w window) (*authority, error) {
	if w.from.IsZero() {
		return nil, unusable(fmt.Errorf("timestamp authority %s does not say from when on it counts", name))
	}
	if len(chain) == 0 || slices.Contains(chain, nil) {
		return nil, unusable(fmt.Errorf("timestamp authority %s has no certificates", name))
	}
	a := &authority{window: w, name: name, who: attest.SHA256(chain[0].RawSubjectPublicKeyInfo).String()}
	if !chain[0].IsCA {
		a.leaf, chain = chain[0], chain[1:]
		a.faulty = maker(a.leaf)
	}
	a.chain = chain
	var err error
	if a.paths, err = newPaths(chain, w, x509.ExtKeyUsageTimeStamping); err != nil {
		return nil, err
	}
	if a.leaf != nil {
		a.settle()
	}
	return a, nil
}

// settle checks the leaf's chain once and for all.
func (a *authority) settle() {
	for _, p := range a.paths {
		if w, err := p.below(a.leaf); err == nil {
			a.terms = append(a.terms, w)
		}
	}
	if len(a.terms) == 0 && a.faulty == nil {
		a.faulty = fmt.Errorf("its certificate was never valid for timestamps under the root that is listed")
	}
}

// maker says why a certificate may not make timestamps; nil if it may. RFC 3161,
// section 2.3: "The corresponding certificate MUST contain only one instance of the
// extended key usage field extension […] with KeyPurposeID having value
// id-kp-timeStamping. This extension MUST be critical."
func maker(c *x509.Certificate) error {
	critical := false
	for _, e := range c.Extensions {
		critical = critical || e.Critical && e.Id.Equal(oidExtKeyUsage)
	}
	switch {
	case c.IsCA:
		return fmt.Errorf("the certificate is an authority's")
	case !critical:
		return fmt.Errorf("the certificate's extended key usage is not critical")
	case len(c.ExtKeyUsage) != 1 || len(c.UnknownExtKeyUsage) > 0 || c.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping:
		return fmt.Errorf("the certificate is not for timestamps alone")
	case c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return fmt.Errorf("the certificate's key is not for signatures")
	}
	return nil
}

// time returns when the authority says that the signature existed. Only what a hash
// does not refuse costs a signature, and what verified once costs none again: the
// bundle that fails for another reason may come in many copies.
func (a *authority) time(s *stamped, signature []byte, m *memo) (time.Time, error) {
	leaf := a.leaf
	if leaf == nil {
		var err error
		if leaf, err = s.maker(); err != nil {
			return time.Time{}, err
		}
	}
	// Whose it is comes first, so that the reason given is by the right authority.
	if !s.names(leaf) {
		return time.Time{}, errOther
	}
	if err := s.over(signature); err != nil {
		return time.Time{}, err
	}
	terms, faulty := a.terms, a.faulty
	if a.leaf == nil {
		var err error
		if terms, err = a.issued(leaf); err != nil {
			return time.Time{}, err
		}
		faulty = maker(leaf)
	}
	if err := m.stamp(keyOf(string(leaf.Raw), string(s.der)), func() error { return s.signedBy(leaf) }); err != nil {
		return time.Time{}, err
	}
	switch {
	case !a.contains(s.time):
		return time.Time{}, fmt.Errorf("made at %s, and %s counts from %s", stamp(s.time), a.name, a.window)
	case faulty != nil:
		return time.Time{}, faulty
	case !slices.ContainsFunc(terms, func(w window) bool { return w.contains(s.time) }):
		return time.Time{}, fmt.Errorf("made at %s, when the authority's certificate, or one above it, was not valid", stamp(s.time))
	}
	return s.time, nil
}

// issued returns when a certificate that came along is valid under the authority, one
// window for each path. The error is errOther if it names none of the authority's
// certificates as its issuer.
func (a *authority) issued(leaf *x509.Certificate) (terms []window, err error) {
	err = errOther
	for _, p := range a.paths {
		if !p.named(leaf) {
			continue
		}
		if w, why := p.below(leaf); why == nil {
			terms = append(terms, w)
		} else {
			err = fmt.Errorf("%w: its certificate was not issued by the authority", errForged)
		}
	}
	if len(terms) > 0 {
		return terms, nil
	}
	return nil, err
}
