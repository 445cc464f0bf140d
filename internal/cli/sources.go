package cli

import (
	"path/filepath"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// sources are where evidence is looked for: the artifact's own repository, those
// that the policy names, and those that the command line names; never a place
// that only an attestation names. They are views, of the moment of one command: all
// artifacts of an index are judged by the same list of tags.
func (a *app) sources(own *oci.Repository, p *policy.Policy, text *policyText, extra []string) ([]verify.Source, []string, error) {
	sources := []verify.Source{own.View()}
	opened := []attest.Repository{own.Ref()}
	add := func(r attest.Repository) error {
		if slices.Contains(opened, r) {
			return nil
		}
		repo, err := oci.Open(r, a.ociOptions(nil))
		if err != nil {
			return err
		}
		opened = append(opened, r)
		sources = append(sources, repo.View())
		return nil
	}
	for _, r := range p.Evidence() {
		r, err := text.beside(r)
		if err != nil {
			return nil, nil, err
		}
		if err := add(r); err != nil {
			return nil, nil, err
		}
	}
	var notes []string
	for _, s := range extra {
		if r, err := attest.ParseRepository(s); err == nil {
			if err := add(r); err != nil {
				return nil, nil, err
			}
		} else {
			loose, err := a.looseSource(s)
			if err != nil {
				return nil, nil, err
			}
			sources = append(sources, loose)
		}
		notes = append(notes, "further evidence was looked for in "+s)
	}
	return sources, notes, nil
}

// beside returns a repository that the policy names: like the keys' files, a layout
// lies beside the policy.
func (t *policyText) beside(r attest.Repository) (attest.Repository, error) {
	if !r.IsLayout() || filepath.IsAbs(r.Name()) {
		return r, nil
	}
	if t.registry {
		return r, &attest.Refusal{Code: attest.CodeUsage, About: r.String(), Why: "the policy looks for evidence in a folder beside it, and it comes from a registry", Next: "name the folder by an absolute path in the policy, or keep the policy in a file"}
	}
	return attest.ParseRepository("ocidir://" + filepath.Join(filepath.Dir(t.name), r.Name()))
}

// looseSource reads bundles that lie in files.
func (a *app) looseSource(s string) (*verify.Bundles, error) {
	loose, err := looseBundles(s)
	if err != nil {
		return nil, &statusError{exitUsage, err}
	}
	for _, bad := range loose.Bad() {
		a.note("passed over in %s: document %d: %s", attest.Printable(s), bad.Index+1, attest.Printable(bad.Err.Error()))
	}
	return loose, nil
}
