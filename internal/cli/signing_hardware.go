package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/kms"
	"github.com/pedigree-ml/pedigree/internal/pkcs11"
)

const (
	// pinVariable holds the PIN of a token, for where nobody types.
	pinVariable = "PEDIGREE_PIN"

	// moduleVariable names the PKCS #11 module if the URI does not, as for other tools.
	moduleVariable = "PKCS11_MODULE_PATH"
)

// isKeyService reports whether a key is named as a key service has it: NAME://…. What is
// no plain NAME is refused there, and not looked for as a file.
func isKeyService(key string) bool { return strings.Contains(key, "://") }

// elsewhere reports whether a key is named that is not in a file.
func elsewhere(key string) bool { return strings.HasPrefix(key, "pkcs11:") || isKeyService(key) }

// pkcs11Signer returns the signer of a key in a hardware module (RFC 7512).
func (a *app) pkcs11Signer(_ context.Context, uri string) (attest.Signer, error) {
	module, _ := a.getenv(moduleVariable)
	s, err := pkcs11.Open(uri, pkcs11.Options{Module: module, PIN: func(token string) ([]byte, error) {
		if pin, ok := a.getenv(pinVariable); ok {
			return []byte(pin), nil
		}
		return a.askSecret(pinVariable, "PIN of "+attest.Printable(token)+": ")
	}})
	if err != nil {
		return nil, err
	}
	// The session ends with the process: whatever is signed, is signed before.
	return s, nil
}

// kmsSigner returns the signer of a key in a key service, by its Sigstore plugin.
func (a *app) kmsSigner(ctx context.Context, key string) (attest.Signer, error) {
	s, err := kms.Open(ctx, key, kms.Options{Environ: a.foreignEnv(), Stderr: a.Stderr})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// foreignEnv is the environment for programs that have no business with our secrets.
func (a *app) foreignEnv() []string {
	return slices.DeleteFunc(slices.Clone(a.Env), func(e string) bool {
		return strings.HasPrefix(e, passwordVariable+"=") || strings.HasPrefix(e, pinVariable+"=")
	})
}
