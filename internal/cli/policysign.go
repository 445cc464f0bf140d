package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/policy"
)

// signFlags say who signs a policy and where it goes.
type signFlags struct{ key, out, push string }

func (a *app) policySignCommand() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use:   "sign POLICY --key K (--out FILE | --push REF)",
		Short: "sign a policy as one of its roots",
		Long: `Signs a policy with everything that it names, so that it is the same policy wherever
it is read. POLICY is a YAML file, or a signed policy (a file, or a reference to one
in a registry), which gets a further signature: roots sign one after the other. Roots
are keys: a policy is what says which identities count, so none of them signs it.

What does not load, or has expired, is not signed. Prints the policy's digest, and
with --push the reference. Read what you sign: pedigree policy explain.

A file of roots, as --policy-roots takes it, says who must have signed:

  apiVersion: pedigree-ml.github.io/v1
  kind: PolicyRoots
  policies: [credit-prod]
  threshold: 2
  keys: [root-a.pub, root-b.pub, root-c.pub]`,
		Example: `  pedigree policy sign policy.yaml --key root-a.key --out policy.signed.json
  pedigree policy sign policy.signed.json --key root-b.key --push registry.example/policies:credit-prod`,
		Args: arguments("POLICY"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.policySign(ctx, args[0], f)
		}),
	}
	c.Flags().StringVar(&f.key, "key", "", "the private key to sign with")
	c.Flags().StringVar(&f.out, "out", "", "write the signed policy to this new `FILE`, or to the one that was read")
	c.Flags().StringVar(&f.push, "push", "", "push the signed policy to this `REF`, under its tag")
	c.MarkFlagsOneRequired("out", "push")
	c.MarkFlagsMutuallyExclusive("out", "push")
	required(c, "key")
	return c
}

func (a *app) policySign(ctx context.Context, name string, f signFlags) error {
	to, err := pushTarget(f.push)
	if err != nil {
		return err
	}
	key, err := a.keySigner(ctx, f.key)
	if err != nil {
		return err
	}
	t, err := a.readPolicy(ctx, name)
	if err != nil {
		return err
	}
	s, err := t.signed()
	if err != nil {
		return err
	}
	p, err := s.LoadUnchecked()
	if err != nil {
		return policyProblem(name, err)
	}
	if err := valid(p, name, a.Now()); err != nil {
		return err
	}
	if err := s.Sign(ctx, key); err != nil {
		return about(name, err)
	}
	b, err := s.Marshal()
	if err != nil {
		return err
	}
	result := p.Digest().String() + "\n"
	if f.push != "" {
		ref, err := a.pushPolicy(ctx, to, b)
		if err != nil {
			return err
		}
		result += ref.Repository.At(ref.Digest).String() + "\n"
	} else if err := t.write(f.out, b); err != nil {
		return err
	}
	a.note("signed: %s version %d, until %s; signatures: %d", attest.Printable(p.Name()), p.Version(), p.Expires().UTC().Format(time.RFC3339), s.Signatures())
	_, err = io.WriteString(a.Stdout, result)
	return err
}

// pushTarget reads where a policy is pushed to, before anybody signs.
func pushTarget(s string) (attest.Reference, error) {
	if s == "" {
		return attest.Reference{}, nil
	}
	ref, err := attest.ParseReference(s)
	if err != nil {
		return attest.Reference{}, &statusError{exitUsage, err}
	}
	if ref.Tag == "" || !ref.Digest.IsZero() {
		return attest.Reference{}, &attest.Refusal{Code: attest.CodeUsage, About: "--push", Why: "wants a reference with a tag and without a digest"}
	}
	return ref, nil
}

func (a *app) pushPolicy(ctx context.Context, to attest.Reference, b []byte) (attest.Reference, error) {
	repo, err := oci.Open(to.Repository, a.ociOptions(nil))
	if err != nil {
		return attest.Reference{}, err
	}
	return repo.PushSingle(ctx, policyArtifact(), b, to.Tag)
}

// write writes the signed policy to a new file, or in place of the signed policy
// that was read; over anything else it is not written.
func (t *policyText) write(name string, b []byte) error {
	if t.registry || !policy.IsSigned(t.src) || !sameFile(t.name, name) {
		return writeNew(name, b, 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+strings.TrimLeft(filepath.Base(name), ".")+".aside-*")
	if err != nil {
		return fileRefusal(name, err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fileRefusal(name, err), os.Remove(f.Name()))
	}
	return nil
}

func sameFile(x, y string) bool {
	a, err := os.Stat(x)
	if err != nil {
		return false
	}
	b, err := os.Stat(y)
	return err == nil && os.SameFile(a, b)
}

// signatures tells people who look at a policy what its signatures are worth.
func (a *app) signatures(t *policyText) {
	if s, err := policy.ParseSigned(t.src); err == nil {
		a.note("signatures: %s, checked by nobody without --policy-roots", fmt.Sprint(s.Signatures()))
	}
}
