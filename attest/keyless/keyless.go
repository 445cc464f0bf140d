// Package keyless signs for identities that live elsewhere: a build, a workload, a
// person who signs in.
//
// A build system has no key of its own, and should not be given one: a file with a
// key in it is what gets stolen. What it has is a token, in which its platform says
// which build this is, of which source. A certificate authority that knows the
// platform ([Fulcio]) turns the token into a certificate for a key that was made a
// moment ago, holds for minutes, and never leaves memory ([Identity]). So there is
// nothing to keep, and nothing to steal afterwards; but the certificate is over
// before anybody looks at the signature. Witnesses make up for that: a timestamp
// authority ([Timestamps]) says that the signature was there while the certificate
// held, and a transparency log ([Log]) that it was made in the open.
//
// # What is checked here, and what is not
//
// A token is read and never verified: that is the authority's business. It is read
// to refuse, before anybody is asked, what could only fail; to tell people who they
// are about to sign as; and to hold the certificate against it. What the services
// answer is held against what they were asked: the certificate has the key, the
// timestamp the signature's hash, the log entry the signature. Whether they are who
// they should be, only a verifier can say, who has been told whom to believe:
// package verify/trust.
//
// # What is sent where
//
// The token goes to the authority and to nobody else, never over an unencrypted
// connection, and redirects are not followed. A timestamp authority gets a hash of
// the signature, a log the signature, the certificate and the statement's hash. The
// statement itself goes nowhere. Authorities and logs may publish what they get, for
// good: [Identity] and Log say where that is.
//
// Nothing is read from the environment, the clock or a terminal: see [Platform].
package keyless

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// spare is how long a certificate must still hold when something is to be signed:
// witnesses are asked after that, and a slow one may take most of a minute.
const spare = time.Minute

// An Identity signs as whoever its tokens name. It gets a token and a certificate
// when something is to be signed and no certificate holds, so it may outlive both:
// one that is asked again after hours asks its platform again. It may be used by
// several goroutines at once.
type Identity struct {
	// Tokens gives a token that is good now.
	Tokens TokenSource
	// Authority makes a certificate of it.
	Authority Fulcio
	// Audience is whom tokens are made out to; "" is DefaultAudience.
	Audience string
	// Now is the clock.
	Now func() time.Time
	// Note is told which token is used, before it is sent to anybody; nil is fine.
	Note func(Token)

	mu      sync.Mutex
	current *certified
	until   time.Time
}

// A certified is a key with its certificate. The key exists in memory and nowhere
// else, for as long as this value.
type certified struct {
	*attest.KeySigner
	certificate []byte
}

var _ attest.Signer = (*certified)(nil)

// Material names the certificate.
func (c *certified) Material() attest.Material {
	return attest.Material{Key: c.Public(), Certificate: c.certificate}
}

// Signer returns a signer whose certificate holds for at least a minute more. The
// error is E_TOKEN if there is no token, or one that cannot be used or that the authority
// does not take; E_SIGN_SERVICE or E_SIGN_REFUSED if there is no certificate.
func (i *Identity) Signer(ctx context.Context) (attest.Signer, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.Now()
	if i.current != nil && now.Before(i.until) {
		return i.current, nil
	}
	token, err := i.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	if err := token.Check(i.Now(), i.Audience); err != nil {
		return nil, err
	}
	if i.Note != nil {
		i.Note(token)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := attest.NewKeySigner(private)
	if err != nil {
		return nil, err
	}
	asked := i.Now()
	der, err := i.Authority.Certificate(ctx, private, token)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err // unreachable: Certificate parsed it
	}
	// Counted from when it was asked for, not from what it says: this clock and the
	// authority's need not agree, and the authority's is the one that counts.
	lives := cert.NotAfter.Sub(cert.NotBefore)
	i.current, i.until = &certified{key, der}, asked.Add(lives-spare)
	return i.current, nil
}
