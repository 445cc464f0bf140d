package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/single"
)

// signBundleFlags are what sign-bundle is told.
type signBundleFlags struct {
	signing
	bundle, trustedRoot string
	inToto, staging     bool
}

func (a *app) signBundleCommand() *cobra.Command {
	var f signBundleFlags
	c := &cobra.Command{
		Use:   "sign-bundle --bundle FILE (--identity-token T | --key K | …) FILE",
		Short: "sign one file, and write a Sigstore bundle",
		Long: `Signs a file as it is, and writes a Sigstore bundle v0.3 to a new file: what
verify-bundle and cosign verify-blob read. With --in-toto the file is a statement,
and is signed as such.

This is for files that are no models, and for tools that speak the protocol of
Sigstore's conformance suite. Such a signature says that somebody had the file, and
nothing about it; for what a verdict can rest on there is pedigree attest.

With --trusted-root the bundle is verified before it is written, by what the root
lists. --identity-token takes here, and only here, the token itself too.`,
		Example: "  pedigree sign-bundle --identity-token github --signing-config signing.json --bundle eval.sigstore.json eval.json",
		Args:    arguments("FILE"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.signBundle(ctx, f, args[0])
		}),
	}
	fl := c.Flags()
	fl.StringVar(&f.bundle, "bundle", "", "write the bundle to this new `FILE`")
	fl.BoolVar(&f.inToto, "in-toto", false, "the file is an in-toto statement")
	fl.StringVar(&f.trustedRoot, "trusted-root", "", "verify what was made by this trusted_root.json `FILE`, before it is written")
	fl.BoolVar(&f.staging, "staging", false, "refused: no public service is assumed")
	f.signing.flags(c)
	required(c, "bundle")
	return c
}

func (a *app) signBundle(ctx context.Context, f signBundleFlags, file string) error {
	if f.staging {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--staging", Why: "no public service is assumed", Next: "name the services: --signing-config FILE"}
	}
	// Before a log records what could then not be written.
	if _, err := os.Lstat(f.bundle); err == nil {
		return &attest.Refusal{Code: attest.CodeUsage, About: f.bundle, Why: "is there already, and nothing is overwritten", Next: "name a new file"}
	}
	f.signing.inline = true
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return err
	}
	var b []byte
	var artifact single.Artifact
	if f.inToto {
		b, artifact.Digest, err = a.signStatement(ctx, by, file)
	} else {
		b, err = a.signFile(ctx, by, file)
	}
	if err != nil {
		return err
	}
	if f.trustedRoot != "" {
		if err := checkOwn(b, by, file, artifact, f.trustedRoot); err != nil {
			return err
		}
	}
	return writeNew(f.bundle, append(b, '\n'), 0o644)
}

// signStatement signs a file that is a statement. It returns the digest of what that
// is about, of the first if of several.
func (a *app) signStatement(ctx context.Context, by *signature, file string) ([]byte, attest.Digest, error) {
	payload, err := readFile(file, attest.MaxPayload)
	if err != nil {
		return nil, attest.Digest{}, err
	}
	s, err := attest.ParseStatement(payload)
	if err != nil {
		return nil, attest.Digest{}, about(file, err)
	}
	b, err := by.bundle(ctx, payload)
	return b, s.Subjects[0].Digest, err
}

// signFile signs a file's bytes, whatever they are.
func (a *app) signFile(ctx context.Context, by *signature, file string) ([]byte, error) {
	content, size, err := openRegular(file)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	bars, wait := a.progress()
	defer wait()
	add, done := bars.Start(file, size)
	defer done()
	return by.message(ctx, &watchedReader{ctx, content, add})
}

// checkOwn verifies what was just made, as somebody else would. A file is read again:
// it must not have changed since.
func checkOwn(bundle []byte, by *signature, file string, artifact single.Artifact, trustedRoot string) error {
	root, err := readFile(trustedRoot, single.MaxTrustedRoot)
	if err != nil {
		return &attest.Refusal{Code: attest.CodeTrustRoot, About: trustedRoot, Why: "the trusted root cannot be read", Err: cause(err)}
	}
	q := single.Question{Bundle: bundle, Artifact: artifact, TrustedRoot: root}
	if who, ok := by.credential().Identity(); ok {
		q.Identity = single.Identity{Subject: who.Subject, Issuer: who.Issuer}
	} else {
		q.Key = by.material.Key
	}
	if artifact.Digest.IsZero() {
		content, _, err := openRegular(file)
		if err != nil {
			return err
		}
		defer content.Close()
		q.Artifact.Content = content
	}
	_, err = single.Check(q)
	return unfit(err)
}
