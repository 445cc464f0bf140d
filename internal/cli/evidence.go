package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/internal/summary"
)

// predicateType reads --type: a type's short name, or its URI.
func predicateType(s string) (string, error) {
	if t, ok := predicate.TypeByName(s); ok {
		return t, nil
	}
	if !strings.Contains(s, ":") {
		return "", &attest.Refusal{Code: attest.CodeUsage, About: s, Why: "not a predicate type", Next: "use provenance, evaluation, approval, vsa, revocation, deployment, another name that pedigree attest --help lists, or a URI"}
	}
	return s, attest.CheckPredicateType(s)
}

func (a *app) attestCommand() *cobra.Command {
	var typ, file string
	var s signing
	c := &cobra.Command{
		Use:   "attest REF --type TYPE --predicate FILE --key K",
		Short: "sign a statement about an artifact and attach it",
		Long: `Signs a statement about an artifact, with the predicate in a JSON file, attaches it
and prints the digest of its payload. TYPE is provenance, evaluation, approval, vsa,
revocation, status, denylist, deployment, access, preregistration or oms, whose
predicates are checked before anything is signed; test-result, scai, vulns, link,
cyclonedx or spdx; or a URI.`,
		Example: "  pedigree attest ocidir://registry:model --type evaluation --predicate eval.json --key evaluator.key",
		Args:    arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.attest(ctx, args[0], typ, file, s)
		}),
	}
	c.Flags().StringVar(&typ, "type", "", "the predicate's type")
	c.Flags().StringVar(&file, "predicate", "", "the JSON file with the predicate")
	s.flags(c)
	s.trustFlag(c)
	required(c, "type", "predicate")
	c.AddCommand(a.attestAccessCommand(), a.attestDeploymentCommand()) // no group: a reference is no name of a command
	return c
}

func (a *app) attest(ctx context.Context, where, typ, file string, s signing) error {
	uri, err := predicateType(typ)
	if err != nil {
		return err
	}
	b, err := readFile(file, attest.MaxPayload)
	if err != nil {
		return err
	}
	value, err := strictjson.Parse(b, attest.MaxPayload)
	if err != nil {
		return jsonError(file, err)
	}
	by, err := a.signer(ctx, s)
	if err != nil {
		return err
	}
	repo, ref, err := a.resolve(ctx, where, nil)
	if err != nil {
		return err
	}
	payload, err := a.signAndAttach(ctx, repo, ref, uri, value, by)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
}

// signAndAttach makes a statement about an artifact, signs it and attaches it.
// It returns the digest of the payload: the statement's name.
func (a *app) signAndAttach(ctx context.Context, repo *oci.Repository, ref attest.Reference, typ string, pred any, by *signature) (attest.Digest, error) {
	if _, err := repo.Manifest(ctx, ref.Digest); errors.Is(err, attest.ErrAbsent) {
		a.note("%s is no manifest in %s: its evidence is kept beside a stand-in", ref.Digest, attest.Printable(ref.Repository.String()))
	} else if err != nil {
		return attest.Digest{}, err
	}
	payload, err := attest.NewStatement(attest.Subject{Name: summary.SubjectName(ref), Digest: ref.Digest}, typ, pred)
	if err != nil {
		return attest.Digest{}, err
	}
	statement, err := attest.ParseStatement(payload)
	if err != nil {
		return attest.Digest{}, err
	}
	// What verifiers could not read is not signed in the first place.
	if _, err := predicate.Decode(statement); err != nil {
		return attest.Digest{}, err
	}
	bundle, err := by.bundle(ctx, payload)
	if err != nil {
		return attest.Digest{}, err
	}
	if _, err := repo.Attach(ctx, ref.Digest, bundle); err != nil {
		return attest.Digest{}, err
	}
	return statement.Payload, nil
}

func jsonError(file string, err error) error {
	code := attest.CodeJSON
	switch {
	case errors.Is(err, strictjson.ErrDuplicate):
		code = attest.CodeDupKey
	case errors.Is(err, strictjson.ErrLimit):
		code = attest.CodeLimit
	}
	return &attest.Refusal{Code: code, About: file, Err: err}
}

func (a *app) attachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "attach REF BUNDLE",
		Short: "attach a bundle that was made elsewhere",
		Long: `Attaches a Sigstore bundle, made by cosign or GitHub for instance, to an artifact
and prints the digest of its payload. The bundle is checked for shape and subject
and believed in nothing: verify looks at its signature.`,
		Example: "  pedigree attach ghcr.io/acme/model:1.0 model.sigstore.json",
		Args:    arguments("REF", "BUNDLE"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.attach(ctx, args[0], args[1])
		}),
	}
}

func (a *app) attach(ctx context.Context, where, file string) error {
	b, err := readFile(file, attest.MaxBundle)
	if err != nil {
		return err
	}
	parsed, err := attest.ParseBundle(b)
	if err != nil {
		return about(file, err)
	}
	statement, err := attest.ParseStatement(parsed.Payload)
	if err != nil {
		return about(file, err)
	}
	repo, ref, err := a.resolve(ctx, where, nil)
	if err != nil {
		return err
	}
	names, err := namesOf(ctx, repo, ref.Digest)
	if err != nil {
		return err
	}
	fits := func(s attest.Subject) bool { return slices.Contains(names, s.Digest) }
	signed, err := signsAFile(ctx, repo, ref.Digest, statement)
	if err != nil {
		return err
	}
	if !signed && !slices.ContainsFunc(statement.Subjects, fits) {
		return &attest.Refusal{Code: attest.CodeSubjectMismatch, About: file, Why: fmt.Sprintf("is about %s, which is neither %s nor a file in it", statement.Subjects[0].Digest, ref.Digest), Next: "attach it to the artifact that it is about"}
	}
	if _, err := repo.Attach(ctx, ref.Digest, b); err != nil {
		return err
	}
	a.note("attached; nothing was verified")
	_, err = fmt.Fprintf(a.Stdout, "%s\n", statement.Payload)
	return err
}

// signsAFile reports whether the statement is an OMS signature that names a file of
// the manifest by path and digest. Its subject is a hash over all files, which
// names nothing that a registry holds.
func signsAFile(ctx context.Context, repo *oci.Repository, d attest.Digest, s *attest.Statement) (bool, error) {
	if s.PredicateType != predicate.TypeOMS {
		return false, nil
	}
	b, err := repo.Manifest(ctx, d)
	if errors.Is(err, attest.ErrAbsent) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m, err := attest.ParseManifest(b)
	if err != nil {
		return false, nil // an index or another document has no files
	}
	facts, err := predicate.Decode(s)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(m.Files, func(f attest.File) bool {
		return slices.ContainsFunc(facts.Resources, func(r predicate.Resource) bool { return r.Name == f.Path && r.Digest == f.Digest })
	}), nil
}

// namesOf returns the digests that a statement attached to the artifact may be
// about: the artifact and, of a manifest, its files.
func namesOf(ctx context.Context, repo *oci.Repository, d attest.Digest) ([]attest.Digest, error) {
	names := []attest.Digest{d}
	b, err := repo.Manifest(ctx, d)
	if errors.Is(err, attest.ErrAbsent) {
		return names, nil // it will have a stand-in
	}
	if err != nil {
		return nil, err
	}
	m, err := attest.ParseManifest(b)
	if err != nil {
		return names, nil // an index or another document has no files
	}
	for _, f := range m.Files {
		names = append(names, f.Digest)
	}
	if !m.StandsFor.IsZero() {
		names = append(names, m.StandsFor)
	}
	return names, nil
}
