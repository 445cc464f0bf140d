package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pedigree-ml/pedigree/attest"
)

// passwordVariable holds the passphrase of key files, for where nobody types.
const passwordVariable = "PEDIGREE_PASSWORD"

// maxKeyFile bounds a key file; attest.LoadKey refuses larger ones.
const maxKeyFile = 64 << 10

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "make keys, and show them"}
	c.AddCommand(a.keyGenerateCommand(), a.keyPublicCommand())
	return group(c)
}

func (a *app) keyGenerateCommand() *cobra.Command {
	var out, algorithm string
	c := &cobra.Command{
		Use:   "generate --out PREFIX",
		Short: "make a signing key",
		Long: `Makes a key: PREFIX.key, readable only by you, and PREFIX.pub for policies. It
never overwrites a file. The passphrase is taken from PEDIGREE_PASSWORD, or asked
for; an empty one leaves the key unencrypted.`,
		Example: "  pedigree key generate --out keys/alice",
		Args:    arguments(),
		RunE: act(func(context.Context, []string) error {
			return a.keyGenerate(out, algorithm)
		}),
	}
	c.Flags().StringVar(&out, "out", "", "write PREFIX.key and PREFIX.pub")
	c.Flags().StringVar(&algorithm, "algorithm", "p256", "p256, p384 or ed25519")
	required(c, "out")
	return c
}

func (a *app) keyGenerate(prefix, algorithm string) error {
	alg, err := attest.ParseKeyAlgorithm(algorithm)
	if err != nil {
		return err
	}
	if base := filepath.Base(prefix); prefix == "" || strings.HasSuffix(prefix, "/") || base == "." || base == ".." {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--out", Why: fmt.Sprintf("%q names a folder, not a key", prefix), Next: "for instance --out keys/alice"}
	}
	private, public := prefix+".key", prefix+".pub"
	for _, name := range []string{private, public} {
		if _, err := os.Lstat(name); err == nil {
			return &attest.Refusal{Code: attest.CodeKey, About: name, Why: "is there already, and a key is never overwritten", Next: "choose another --out, or move the file away"}
		}
	}
	passphrase, err := a.newPassphrase()
	if err != nil {
		return err
	}
	key, err := attest.GenerateKey(alg)
	if err != nil {
		return err
	}
	pem, err := key.MarshalPEM(passphrase)
	if err != nil {
		return err
	}
	if err := writeNew(private, pem, 0o600); err != nil {
		return err
	}
	if err := writeNew(public, key.Public().PEM(), 0o644); err != nil {
		// Half a pair would keep the next attempt from running.
		return errors.Join(err, os.Remove(private))
	}
	if passphrase == nil {
		a.note("%s is not encrypted: whoever can read it can sign", attest.Printable(private))
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", key.Public().Fingerprint())
	return err
}

// writeNew writes a file that must not exist, and leaves none if it cannot.
func writeNew(name string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fileRefusal(name, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fileRefusal(name, err), os.Remove(name))
	}
	return nil
}

// newPassphrase returns the passphrase for a new key; nil means that the key is
// to stay unencrypted.
func (a *app) newPassphrase() ([]byte, error) {
	if s, ok := a.getenv(passwordVariable); ok {
		return orNil([]byte(s)), nil
	}
	first, err := a.askSecret(passwordVariable, "passphrase for the new key (empty for none): ")
	if err != nil || len(first) == 0 {
		return nil, err
	}
	again, err := a.askSecret(passwordVariable, "the same once more: ")
	if err != nil {
		return nil, err
	}
	if string(first) != string(again) {
		return nil, attest.Refuse(attest.CodeKey, "the two passphrases differ")
	}
	return first, nil
}

func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// askSecret asks for a line on the terminal without showing it. The variable is what
// to set where nobody types.
func (a *app) askSecret(variable, prompt string) ([]byte, error) {
	f, ok := terminal(a.Stdin)
	if !ok {
		next := "set " + variable
		if variable == passwordVariable {
			next += "; an empty value means no passphrase"
		}
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: variable, Why: "is not set, and there is no terminal to ask on", Next: next}
	}
	fmt.Fprint(a.Stderr, prompt)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.Stderr)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeFileIO, About: "terminal", Err: err}
	}
	return b, nil
}

// loadKey reads a private key; the passphrase is asked for if it needs one.
func (a *app) loadKey(name string) (*attest.KeySigner, error) {
	b, err := readFile(name, maxKeyFile)
	if err != nil {
		// A key that cannot be read is a wrong argument, not missing evidence.
		return nil, &attest.Refusal{Code: attest.CodeKey, About: name, Why: "the key cannot be read", Err: cause(err)}
	}
	key, err := attest.LoadKey(b, func() ([]byte, error) {
		if s, ok := a.getenv(passwordVariable); ok {
			return []byte(s), nil
		}
		return a.askSecret(passwordVariable, "passphrase for "+attest.Printable(name)+": ")
	})
	if err != nil {
		return nil, about(name, err)
	}
	return key, nil
}

// terminal returns the file behind a stream if it is a terminal.
func terminal(stream any) (*os.File, bool) {
	if r, ok := stream.(*resultWriter); ok {
		stream = r.w
	}
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return f, true
}

var _ io.Writer = (*resultWriter)(nil)
