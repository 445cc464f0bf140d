// Package spiffe signs as a workload: with the X.509-SVID that its SPIFFE domain
// issues to it.
//
// An X.509-SVID is a certificate that names a workload by its SPIFFE id,
// spiffe://DOMAIN/PATH, and holds for an hour or so. Nobody keeps its key: an agent
// on the machine (SPIRE's, say) looks at which process asks, and gives it the
// certificate that its operator registered for it. That is the Workload API, a socket
// ([Fetch]); spiffe-helper writes the same into a folder ([Load]).
//
// What is signed so outlives the certificate, therefore it is worth nothing without
// somebody who says that the signature was made while the certificate held: have a
// timestamp authority testify (attest.Sign takes it as a witness).
//
// A verifier needs the domain's bundle of roots, which SPIRE publishes. The
// intermediates between it and the SVID travel with the signature ([Signer.Material]);
// the root never does.
package spiffe

import (
	"context"
	"crypto/rsa"
	"errors"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Signer signs with the key of one X.509-SVID. Only Fetch, Load and Parse make one.
type Signer struct {
	id            string
	key           *attest.KeySigner
	leaf          []byte
	chain         [][]byte
	issued, until time.Time
}

var _ attest.Signer = (*Signer)(nil)

// ID returns the SPIFFE id, spiffe://DOMAIN/PATH.
func (s *Signer) ID() string { return s.id }

// Until returns when the certificate ends.
func (s *Signer) Until() time.Time { return s.until }

// Holds is an error, E_TIME_WINDOW, unless the certificate holds at a moment and for a
// while after. What is signed outside of its window nobody will accept.
func (s *Signer) Holds(at time.Time, atLeast time.Duration) error {
	switch {
	case at.Before(s.issued):
		return &attest.Refusal{Code: attest.CodeTimeWindow, About: s.id, Why: "the X.509-SVID does not hold before " + utc(s.issued), Next: "compare the clocks of this machine and of the SPIFFE server"}
	case at.Add(atLeast).After(s.until):
		return &attest.Refusal{Code: attest.CodeTimeWindow, About: s.id, Why: "the X.509-SVID holds until " + utc(s.until) + ", which is over or too soon",
			Next: "see that what renews it runs: the SPIFFE agent, or spiffe-helper for files"}
	}
	return nil
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Material returns the certificate, and the intermediates that lead to the domain's root.
func (s *Signer) Material() attest.Material {
	return attest.Material{Key: s.key.Public(), Certificate: s.leaf, Chain: s.chain}
}

// SignMessage signs msg with the workload's key.
func (s *Signer) SignMessage(ctx context.Context, msg []byte) ([]byte, error) {
	return s.key.SignMessage(ctx, msg)
}

// Parse reads an X.509-SVID and its key from PEM: certificates, the leaf first, and
// one PKCS #8 private key (SPIFFE X509-SVID, sections 2 and 4). Intermediates must follow in
// order; a root at their end is left out, because a verifier has its own.
//
// Every refusal is E_KEY: of what is not an X.509-SVID, of a key of another kind than
// attest.NewPublicKey takes, and of one that does not belong to the certificate.
func Parse(certificates, key []byte) (*Signer, error) {
	svid, err := x509svid.Parse(certificates, key)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeKey, Why: "not an X.509-SVID with its key", Next: "the leaf comes first and names one SPIFFE id; the key is the leaf's, in PKCS #8", Err: err}
	}
	return newSigner(svid)
}

func newSigner(svid *x509svid.SVID) (*Signer, error) {
	id := svid.ID.String()
	if _, ok := svid.PrivateKey.(*rsa.PrivateKey); ok {
		return nil, &attest.Refusal{Code: attest.CodeKey, About: id, Why: "the X.509-SVID has an RSA key, which no verifier here takes",
			Next: `have EC keys issued: workload_x509_svid_key_type = "ec-p256" (the default) in the configuration of the SPIRE agent`}
	}
	key, err := attest.NewKeySigner(svid.PrivateKey)
	if err != nil {
		return nil, about(id, err)
	}
	chain := svid.Certificates
	if n := len(chain); n > 1 && attest.SelfSigned(chain[n-1]) {
		chain = chain[:n-1]
	}
	if err := attest.CheckChain(chain); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeKey, About: id, Why: "the X.509-SVID's intermediates cannot be written into a bundle", Next: "they follow the leaf in order, each issued by the next", Err: err}
	}
	s := &Signer{id: id, key: key, leaf: chain[0].Raw, issued: chain[0].NotBefore, until: chain[0].NotAfter}
	for _, c := range chain[1:] {
		s.chain = append(s.chain, c.Raw)
		// An intermediate that ends sooner ends the chain.
		s.issued, s.until = later(s.issued, c.NotBefore), earlier(s.until, c.NotAfter)
	}
	return s, nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// about says of whom a refusal is, which so far names nobody.
func about(whom string, err error) error {
	var r *attest.Refusal
	if !errors.As(err, &r) || r.About != "" {
		return err
	}
	with := *r
	with.About = whom
	return &with
}
