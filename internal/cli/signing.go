package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/keyless"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// signing says who signs and who testifies to it: the flags that all commands share
// which sign something.
type signing struct {
	key    string // a file, pkcs11:…, or NAME://…
	token  string
	oidc   bool
	spiffe string // a socket or a folder

	config, fulcio   string
	logs, timestamps []string
	issuer, clientID string
	noBrowser        bool
	inline           bool        // the token itself is taken too
	trusted          trustSource // verify what was made by this, before it is given away
}

// flags defines them, --key among them.
func (s *signing) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.key, "key", "", "sign with this private `KEY`: a file, pkcs11:…, or NAME://… of a key service")
	s.identityFlags(c)
}

// trustFlag is for commands that believe nobody otherwise; the others have the flag
// already.
func (s *signing) trustFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.trusted.file, "trust", "", "verify what was signed by this trust `FILE` or trusted_root.json, before it is attached")
	s.trusted.cacheFlag(c)
}

// identityFlags defines all but --key, for commands that call that otherwise.
func (s *signing) identityFlags(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&s.token, "identity-token", "", "sign as the identity in a token: a `FILE`, env, github, gitlab or kubernetes")
	fl.BoolVar(&s.oidc, "oidc", false, "sign as the person who signs in, in a browser")
	fl.StringVar(&s.spiffe, "spiffe", "", "sign as a workload, with its X.509-SVID: the `SOCKET` of the Workload API, env (as SPIFFE_ENDPOINT_SOCKET says), or a folder with svid.pem and svid_key.pem")
	fl.StringVar(&s.config, "signing-config", "", "which services to use: a Sigstore signing config `FILE`")
	fl.StringVar(&s.fulcio, "fulcio", "", "the certificate authority that knows the token's issuer: a `URL`")
	fl.StringArrayVar(&s.logs, "rekor", nil, "record the signature in this transparency log, Rekor v2: a `URL` (repeatable)")
	fl.StringArrayVar(&s.timestamps, "timestamp", nil, "have this timestamp authority say when: a `URL`, with its path (repeatable)")
	fl.StringVar(&s.issuer, "oidc-issuer", "", "with --oidc: where to sign in, a `URL` (default: as the signing config says)")
	fl.StringVar(&s.clientID, "oidc-client-id", "", "whom tokens are made out to: the audience, or the client of --oidc (default sigstore)")
	fl.BoolVar(&s.noBrowser, "no-browser", false, "with --oidc: only print where to sign in")
}

// who lists what was said about who signs.
func (s *signing) who() []string {
	var said []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"--key", s.key != ""}, {"--identity-token", s.token != ""}, {"--oidc", s.oidc}, {"--spiffe", s.spiffe != ""}} {
		if f.set {
			said = append(said, f.name)
		}
	}
	return said
}

// isZero reports whether nothing was said.
func (s *signing) isZero() bool {
	return len(s.who()) == 0 && s.config == "" && s.fulcio == "" && s.issuer == "" && s.clientID == "" && !s.noBrowser && len(s.logs)+len(s.timestamps) == 0
}

// check refuses flags that contradict each other, before anything is read.
func (s *signing) check() error {
	switch said := s.who(); {
	case len(said) == 0:
		return &attest.Refusal{Code: attest.CodeUsage, Why: "who signs?", Next: "say one of --key K, --identity-token FILE|env|github|gitlab|kubernetes, --oidc, --spiffe SOCKET"}
	case len(said) > 1:
		return &attest.Refusal{Code: attest.CodeUsage, Why: strings.Join(said, " and ") + " are different ways to say who signs", Next: "say one of them"}
	case s.fulcio != "" && !s.keyless():
		return usage("--fulcio certifies the identity in a token, and belongs to --identity-token or --oidc; %s needs no certificate", said[0])
	case s.clientID != "" && !s.keyless():
		return usage("--oidc-client-id belongs to --identity-token or --oidc")
	case (s.issuer != "" || s.noBrowser) && !s.oidc:
		return usage("--oidc-issuer and --no-browser belong to --oidc")
	}
	return nil
}

// keyless reports whether a token says who signs.
func (s *signing) keyless() bool { return s.token != "" || s.oidc }

// signers gives a signer whenever something is to be signed: one whose certificate,
// if it has one, holds for at least a minute more. Between two calls hours may pass.
type signers func(ctx context.Context) (attest.Signer, error)

// A signature is what a command signs with: whoever signs, and the witnesses.
type signature struct {
	signers   signers
	material  attest.Material // of the first signer
	who       verify.Credential
	claims    trust.Claims // of the first certificate
	witnesses []attest.Witness
	dated     bool         // a witness says when
	trust     *trust.Trust // verifies what was made; nil: nobody does
	now       func() time.Time
}

// signer makes the flags ready: the key is read, the services chosen, the certificate
// fetched. What is refused here is refused before the command did anything.
func (a *app) signer(ctx context.Context, s signing) (*signature, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	services, err := a.services(&s)
	if err != nil {
		return nil, err
	}
	if a.offline && (s.keyless() || len(services.Timestamps)+len(services.Logs) > 0) {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: "--offline", Why: "sends nothing, and whoever certifies, dates or records a signature has to be asked", Next: "leave --offline out, or sign with a key alone"}
	}
	out := &signature{now: a.Now, dated: len(services.Timestamps) > 0}
	if s.trusted.file != "" {
		// Who asks under a trust is told elsewhere which one it was.
		if out.trust, _, err = a.loadTrust(ctx, s.trusted); err != nil {
			return nil, err
		}
	}
	g, err := a.signers(ctx, s, services)
	if err != nil {
		return nil, err
	}
	if s.key == "" {
		a.tellPublic(services)
	}
	first, err := g(ctx)
	if err != nil {
		return nil, err
	}
	out.signers, out.material = g, first.Material()
	if out.who, out.claims, err = credentialOf(out.material); err != nil {
		return nil, err
	}
	if len(services.Logs) > 0 {
		if err := keyless.CheckLoggable(out.material.Key); err != nil {
			return nil, err
		}
	}
	if s.key != "" {
		a.tellPublic(services)
	} else {
		a.note("signing as %s", attest.Printable(out.who.String()))
	}
	for _, url := range services.Timestamps {
		out.witnesses = append(out.witnesses, keyless.Timestamps{URL: url})
	}
	for _, url := range services.Logs {
		out.witnesses = append(out.witnesses, keyless.Log{URL: url})
	}
	return out, nil
}

// signers returns whoever the flags say signs.
func (a *app) signers(ctx context.Context, s signing, services keyless.Config) (signers, error) {
	switch {
	case s.keyless():
		return a.identitySigners(s, services)
	case s.spiffe != "":
		return a.spiffeSigners(ctx, s.spiffe)
	}
	key, err := a.keySigner(ctx, s.key)
	if err != nil {
		return nil, err
	}
	return func(context.Context) (attest.Signer, error) { return key, nil }, nil
}

// keySigner returns the signer of a key, wherever it is kept. A file that exists
// wins over every other reading of its name.
func (a *app) keySigner(ctx context.Context, key string) (attest.Signer, error) {
	switch {
	case strings.HasPrefix(key, "pkcs11:"):
		return a.pkcs11Signer(ctx, key)
	case isKeyService(key):
		return a.kmsSigner(ctx, key)
	}
	return a.loadKey(key)
}

// credentialOf says who signs with a material: of a certificate, as that says,
// verified by nobody yet.
func credentialOf(m attest.Material) (verify.Credential, trust.Claims, error) {
	if m.Certificate == nil {
		return verify.KeyCredential(m.Key), trust.Claims{}, nil
	}
	who, claims, err := trust.Holder(m.Certificate)
	if err != nil {
		return verify.Credential{}, trust.Claims{}, err
	}
	return verify.IdentityCredential(who), claims, nil
}

// credential returns who signs.
func (s *signature) credential() verify.Credential { return s.who }

// same returns whose signatures are the same signer's, for those who look for
// what they signed before. An identity is only recognised by a trust.
func (s *signature) same(t *trust.Trust) verify.Signers {
	if who, ok := s.who.Identity(); ok {
		return verify.Signers{Identities: []trust.Rule{{Issuer: who.Issuer, Subject: who.Subject}}, Trust: t}
	}
	return verify.Signers{Keys: []attest.PublicKey{s.material.Key}, Trust: t}
}

// bundle signs a statement and has the witnesses testify to it.
func (s *signature) bundle(ctx context.Context, payload []byte) ([]byte, error) {
	by, err := s.again(ctx)
	if err != nil {
		return nil, err
	}
	b, err := attest.Sign(ctx, payload, by, s.witnesses...)
	if err != nil {
		return nil, err
	}
	return b, unfit(s.verify(b))
}

// verify holds a bundle that was just made against the trust, as others will.
func (s *signature) verify(b []byte) error {
	if s.trust == nil {
		return nil
	}
	made, err := attest.ParseBundle(b)
	if err != nil {
		return err
	}
	if made.Certificate != nil {
		_, err := s.trust.Authenticate(made)
		return err
	}
	seen, err := s.trust.Seen(s.material.Key, made, s.now())
	if err == nil && seen.IsZero() && s.dated {
		err = &attest.Refusal{Code: attest.CodeTimeMissing, About: s.who.String(), Why: "the trust file believes none of the timestamps, or asks for more of them", Next: "list the authority in it: timestampAuthorities"}
	}
	return err
}

// message signs bytes that are no statement.
func (s *signature) message(ctx context.Context, content io.Reader) ([]byte, error) {
	by, err := s.again(ctx)
	if err != nil {
		return nil, err
	}
	return attest.SignMessage(ctx, content, by, s.witnesses...)
}

// again returns who signs now: the same as before. Hours may have passed, and another
// token lie where the first one did.
func (s *signature) again(ctx context.Context) (attest.Signer, error) {
	by, err := s.signers(ctx)
	if err != nil {
		return nil, err
	}
	who, _, err := credentialOf(by.Material())
	if err != nil {
		return nil, err
	}
	if who != s.who {
		return nil, &attest.Refusal{Code: attest.CodeIdentity, About: who.String(), Why: "is who would sign now, and it was " + s.who.String() + " before", Next: "find out who changed the token, or the key"}
	}
	return by, nil
}

// unfit says of an error that it is about what was just made.
func unfit(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("what was just signed does not verify, and was not given away: %w", err)
}
