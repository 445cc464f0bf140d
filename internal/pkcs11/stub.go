//go:build !pkcs11

package pkcs11

import "github.com/pedigree-ml/pedigree/attest"

// Built reports whether this program can open keys in hardware modules.
const Built = false

// Open refuses, E_KEY: this program was built without cgo.
func Open(text string, _ Options) (*Signer, error) {
	if _, err := Parse(text); err != nil {
		return nil, err
	}
	return nil, &attest.Refusal{Code: attest.CodeKey, About: "pkcs11:", Why: "this program was built without PKCS #11, which needs a C compiler",
		Next: "build one that has it: make build BUILDTAGS=pkcs11"}
}
