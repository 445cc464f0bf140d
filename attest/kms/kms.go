// Package kms signs with keys that a key service keeps: a cloud's, a company's, a
// device's for which somebody wrote a plugin.
//
// Sigstore's plugin protocol (sigstore, pkg/signature/kms/cliplugin, version 1) names a
// key NAME://RESOURCE. The program sigstore-kms-NAME, found on the PATH, is run once for
// each question: its arguments are the protocol's version and the question as JSON,
// its input is the message to sign, its output is the answer as JSON. So none of the
// services' libraries is linked here, and what works with cosign works with this.
//
// A plugin is somebody else's program: it may hang, print without end, or answer
// anything. Its time and its output are limited, and a signature is verified under the
// key that it named before, so that nothing leaves which nobody could verify.
package kms

import (
	"context"
	"crypto"
	"io"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// prefix begins the names of plugins' programs.
	prefix = "sigstore-kms-"

	// maxName and maxResource bound a key's name. The longest resource of a cloud, an
	// Azure key with its version, has about 200 bytes.
	maxName     = 64
	maxResource = 4 << 10

	// wait is how long a plugin may take for an answer: somebody may have to touch
	// a device.
	wait = time.Minute
)

// Options are what a plugin gets of the world.
type Options struct {
	// Environ is the plugin's environment, as os.Environ has it. Its PATH says where
	// plugins are found; the protocol has them read credentials from the rest.
	Environ []string
	// Stderr takes what the plugin writes to its standard error, at most 64 KiB for
	// each question; nil drops it.
	Stderr io.Writer
	// Wait is how long the plugin may take for one answer; zero means a minute.
	Wait time.Duration
}

// A Signer signs with one key of a key service. Only Open makes one.
type Signer struct {
	plugin plugin
	public attest.PublicKey
}

var _ attest.Signer = (*Signer)(nil)

// IsKey reports whether a name has the form of a key in a key service: NAME://RESOURCE,
// NAME being a plain word: lower-case letters, digits and single hyphens between them.
func IsKey(name string) bool {
	_, _, err := parse(name)
	return err == nil
}

// parse splits NAME://RESOURCE.
func parse(key string) (name, resource string, err error) {
	name, resource, ok := strings.Cut(key, "://")
	refuse := func(why, next string) (string, string, error) {
		return "", "", &attest.Refusal{Code: attest.CodeKey, About: key, Why: why, Next: next}
	}
	switch {
	case !ok:
		return refuse("not the name of a key in a key service", "write NAME://RESOURCE")
	// The name becomes part of a program's: no slash, no dot, nothing that a shell or a
	// file system reads in two ways.
	case len(name) > maxName || !plainWord(name):
		return refuse("the name of a key service is a plain word", "use the NAME of a program sigstore-kms-NAME: lower-case letters, digits and hyphens")
	case resource == "" || len(resource) > maxResource:
		return refuse("the key service's name for the key is empty or too long", "write NAME://RESOURCE")
	case strings.ContainsRune(resource, 0):
		return refuse("a zero byte in the name of a key", "")
	}
	return name, resource, nil
}

// plainWord reports whether s consists of lower-case letters and digits, with single
// hyphens between them.
func plainWord(s string) bool {
	for part := range strings.SplitSeq(s, "-") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

// builtIn are the schemes that Sigstore's programs answer themselves, and for which
// therefore no plugin is written. What to do instead is said, because cosign's users
// will try.
var builtIn = [...]string{"awskms", "azurekms", "gcpkms", "hashivault", "k8s", "gitlab", "fakekms", "file", "http", "https", "env", "oci", "docker", "unix", "tcp", "spiffe"}

// Open finds the plugin of a key NAME://RESOURCE and asks it for the public key, once.
//
// What is no key of a plugin's, or of a kind that is not taken, is E_KEY; a plugin that
// fails is E_SIGN_SERVICE, and E_LIMIT if it prints too much; one that says no is
// E_SIGN_REFUSED.
func Open(ctx context.Context, key string, o Options) (*Signer, error) {
	name, resource, err := parse(key)
	if err != nil {
		return nil, err
	}
	for _, b := range builtIn {
		if name == b {
			return nil, &attest.Refusal{Code: attest.CodeKey, About: key, Why: name + ":// is no plugin's: the services that cosign has built in are not linked here",
				Next: "use a plugin sigstore-kms-NAME for that service, the service's PKCS #11 module, or --identity-token"}
		}
	}
	p := plugin{key: key, resource: resource, options: o}
	if p.options.Wait <= 0 {
		p.options.Wait = wait
	}
	if p.program, err = find(o.Environ, prefix+name); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeKey, About: key, Why: "there is no program " + prefix + name, Next: "install the plugin, and see that its folder is on the PATH", Err: err}
	}
	s := &Signer{plugin: p}
	// Which hash goes with the key is not known before the key is. SHA-256 is what
	// Sigstore's own programs say then.
	answer, err := p.ask(ctx, crypto.SHA256, &common.MethodArgs{
		MethodName: common.PublicKeyMethodName,
		PublicKey:  &common.PublicKeyArgs{PublicKeyOptions: &common.PublicKeyOptions{RPCOptions: p.rpc(ctx)}},
	}, nil)
	if err != nil {
		return nil, err
	}
	if answer.PublicKey == nil {
		return nil, p.unusable("the plugin answered something else than a public key", nil)
	}
	if s.public, err = attest.ParsePublicKey(answer.PublicKey.PublicKeyPEM); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeKey, About: key, Why: "the plugin's public key is not taken", Next: "use a key on P-256, P-384 or Ed25519", Err: err}
	}
	return s, nil
}

// Public returns the key that verifies what s signs.
func (s *Signer) Public() attest.PublicKey { return s.public }

// Material names the key.
func (s *Signer) Material() attest.Material { return attest.Material{Key: s.public} }

// SignMessage has the plugin sign msg, and verifies what it answers: E_SIG_INVALID if
// the signature is by another key than the one that the plugin named before, or over
// something else. Other refusals are those of Open.
func (s *Signer) SignMessage(ctx context.Context, msg []byte) ([]byte, error) {
	hash := s.public.Hash()
	if hash == 0 {
		hash = crypto.SHA256 // Ed25519 has none to choose; plugins expect a known number
	}
	answer, err := s.plugin.ask(ctx, hash, &common.MethodArgs{
		MethodName:  common.SignMessageMethodName,
		SignMessage: &common.SignMessageArgs{SignOptions: &common.SignOptions{RPCOptions: s.plugin.rpc(ctx)}},
	}, msg)
	if err != nil {
		return nil, err
	}
	if answer.SignMessage == nil || len(answer.SignMessage.Signature) == 0 {
		return nil, s.plugin.unusable("the plugin answered something else than a signature", nil)
	}
	sig := answer.SignMessage.Signature
	if err := s.public.Verify(msg, sig); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeSigInvalid, About: s.plugin.key, Why: "the plugin's signature is not by the public key that it named", Next: "look at the plugin's configuration; nothing was attached", Err: err}
	}
	return sig, nil
}

// rpc are the options that every question has, written as Sigstore's programs do, for
// plugins that expect each field.
func (p plugin) rpc(ctx context.Context) common.RPCOptions {
	o := common.RPCOptions{KeyVersion: new(string), RemoteVerification: new(bool)}
	if d, ok := ctx.Deadline(); ok {
		o.CtxDeadline = &d
	}
	return o
}
