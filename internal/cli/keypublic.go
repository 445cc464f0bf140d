package cli

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
)

func (a *app) keyPublicCommand() *cobra.Command {
	var key, out string
	c := &cobra.Command{
		Use:   "public --key KEY",
		Short: "show the public key that belongs to a private one",
		Long: `Writes the public key, for policies, of a key in a file, a hardware module
(pkcs11:…), or a key service (NAME://…). A public key's own file is taken too. The
key's name in policies and verdicts, key:sha256:…, goes to standard error.`,
		Example: `  pedigree key public --key 'pkcs11:token=acme;object=trainer' > keys/trainer.pub
  pedigree key public --key keys/alice.key --out keys/alice.pub`,
		Args: arguments(),
		RunE: act(func(ctx context.Context, _ []string) error {
			public, err := a.publicHalf(ctx, key)
			if err != nil {
				return err
			}
			a.note("key:%s", public.Fingerprint())
			if out != "" {
				return writeNew(out, public.PEM(), 0o644)
			}
			_, err = a.Stdout.Write(public.PEM())
			return err
		}),
	}
	c.Flags().StringVar(&key, "key", "", "the `KEY`: a file, pkcs11:…, or NAME://… of a key service")
	c.Flags().StringVar(&out, "out", "", "write a new `FILE` instead of standard output")
	required(c, "key")
	return c
}

// publicHalf returns the public key of a key, wherever it is kept.
func (a *app) publicHalf(ctx context.Context, key string) (attest.PublicKey, error) {
	if !elsewhere(key) {
		b, err := readFile(key, maxKeyFile)
		if err == nil && bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN PUBLIC KEY-----")) {
			public, err := attest.ParsePublicKey(b)
			if err != nil {
				return attest.PublicKey{}, about(key, err)
			}
			return public, nil
		}
	}
	s, err := a.keySigner(ctx, key)
	if err != nil {
		return attest.PublicKey{}, err
	}
	return s.Material().Key, nil
}
