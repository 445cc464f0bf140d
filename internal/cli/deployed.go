package cli

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/internal/rows"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// deployed says whether what runs somewhere is the artifact, and whether that is
// approved.
func (a *app) deployed(ctx context.Context, r diffRequest) error {
	if err := checkOutput(r.output); err != nil {
		return err
	}
	if r.git != "" {
		return usage("--git is about the code of two versions; --deployed is about files")
	}
	place, err := placeOf(r.deployed)
	if err != nil {
		return err
	}
	gr, err := a.ground(ctx, r.grounds)
	if err != nil {
		return err
	}
	defer gr.close()
	ref, err := gr.artifact(ctx, r.refs[0])
	if err != nil {
		return err
	}
	m, err := gr.manifest(ctx, ref)
	if err != nil {
		return err
	}
	o := lineage.DeployedOptions{Reading: gr.reading(), Place: r.deployed}
	question := gr.question
	want, got, err := gr.running(ctx, place, m, &o, &question)
	if err != nil {
		return err
	}
	chain, err := gr.walk(ctx, ref)
	if err != nil {
		return err
	}
	o.SideOptions = gr.side(ref, chain, question)
	o.Elsewhere = func(ctx context.Context, bytes []attest.Digest) (map[attest.Digest][]lineage.KnownFile, error) {
		return gr.elsewhere(ctx, ref, bytes)
	}
	if o.Content, err = gr.deployedContents(place, ref, got); err != nil {
		return err
	}
	d, err := lineage.CompareDeployed(ctx, chain, want, got, o)
	if err != nil {
		return err
	}
	if err := a.writeDeployed(d, chain, ref, gr, r.output); err != nil {
		return err
	}
	return deployedAnswer(d)
}

// deployedAnswer is what the command ends with. That every file is the artifact's is
// no yes by itself: somebody has to have judged the artifact.
func deployedAnswer(d *lineage.DeployedState) error {
	switch {
	case !d.Matches:
		return answer(policy.Deny)
	case d.Trust.Outcome == policy.Allow.String():
		return answer(policy.Allow)
	case d.Trust.Outcome == policy.Deny.String():
		return answer(policy.Deny)
	}
	return answer(policy.Undecided)
}

// A runningPlace is where what runs is looked at: one of the two.
type runningPlace struct {
	folder string
	ref    attest.Reference
}

// placeOf reads the value of --deployed.
func placeOf(s string) (runningPlace, error) {
	ref, err := attest.ParseReference(s)
	if err != nil {
		return runningPlace{folder: s}, nil
	}
	if info, err := os.Stat(s); err == nil && info.IsDir() {
		return runningPlace{}, &attest.Refusal{Code: attest.CodeUsage, About: s, Why: "is a folder here, and reads as a reference", Next: "write ./" + s + " for the folder, or stand somewhere else"}
	}
	return runningPlace{ref: ref}, nil
}

// running returns the files that are compared: the artifact's, and those of the
// place.
func (gr *ground) running(ctx context.Context, place runningPlace, m *attest.Manifest, o *lineage.DeployedOptions, q *policy.Question) (want, got []attest.File, err error) {
	if place.folder == "" {
		return gr.runningTag(ctx, place.ref, m, o)
	}
	if r := nameless(m); r != nil {
		return nil, nil, r
	}
	bars, wait := gr.app.progress()
	defer wait()
	// Every file is read to its end, also one that cannot be the artifact's by its
	// size: what it is instead may be known.
	if info, err := os.Stat(place.folder); err != nil || !info.IsDir() {
		// A folder that was mistyped is no folder that was tampered with.
		return nil, nil, &attest.Refusal{Code: attest.CodeUsage, About: "--deployed", Why: place.folder + " is no folder", Next: "name the folder that was loaded, or a reference with its tag"}
	}
	inspected, files, err := inspectFiles(ctx, place.folder, nil, bars)
	if err != nil {
		return nil, nil, err
	}
	q.Inspected = inspected
	for _, f := range files {
		got = append(got, attest.File{Path: f.Path, Descriptor: attest.Descriptor{Digest: f.Digest, Size: f.Size}})
	}
	return m.Files, got, nil
}

// runningTag asks what a reference names now: the repository itself, whatever an
// index says.
func (gr *ground) runningTag(ctx context.Context, ref attest.Reference, m *attest.Manifest, o *lineage.DeployedOptions) (want, got []attest.File, err error) {
	repo, ref, err := gr.app.resolve(ctx, ref.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	o.Place, o.Running = ref.String(), ref.Digest
	if ref.Digest == m.Digest {
		return m.Files, m.Files, nil
	}
	b, err := repo.Manifest(ctx, ref.Digest)
	if err != nil {
		return nil, nil, missing(ref, err)
	}
	if attest.IsIndex(b) {
		return nil, nil, &attest.Refusal{Code: attest.CodeUsage, About: ref.String(), Why: "an index of several artifacts, and one of them runs", Next: "name the one that runs by its digest"}
	}
	running, err := attest.ParseManifest(b)
	if err != nil {
		return nil, nil, err
	}
	if nameless(m) != nil || nameless(running) != nil {
		return nil, nil, nil // another artifact; that is all that can be said
	}
	return m.Files, running.Files, nil
}

// manifest reads the artifact's manifest, from the index if there is one.
func (gr *ground) manifest(ctx context.Context, ref attest.Reference) (*attest.Manifest, error) {
	sources, err := gr.sources(ref.Repository)
	if err != nil {
		return nil, err
	}
	b, err := readManifest(ctx, sources, ref.Digest)
	if err != nil {
		return nil, missing(ref, err)
	}
	return attest.ParseManifest(b)
}

// readManifest asks one source after the other. That one has nothing says nothing
// about one that could not be asked.
func readManifest(ctx context.Context, sources []verify.Source, d attest.Digest) ([]byte, error) {
	var unseen error
	for _, s := range sources {
		b, err := s.Manifest(ctx, d)
		switch {
		case err == nil && attest.SHA256(b) == d:
			return b, nil
		case err == nil:
			unseen = &attest.Refusal{Code: attest.CodeRegDigest, About: d.String(), Why: "other bytes than the digest promises"}
		case !errors.Is(err, attest.ErrAbsent):
			unseen = err
		}
	}
	if unseen != nil {
		return nil, unseen
	}
	return nil, attest.ErrAbsent
}

// deployedContents returns how bytes are found: on disk what lies there, and else
// as for any artifact.
func (gr *ground) deployedContents(place runningPlace, ref attest.Reference, got []attest.File) (func(context.Context, attest.File) ([]byte, error), error) {
	own := []attest.Repository{ref.Repository}
	if place.folder == "" {
		own = append(own, place.ref.Repository)
	}
	kept, err := gr.contents(own, nil)
	if err != nil || place.folder == "" {
		return kept, err
	}
	lies := make(map[attest.Digest]string, len(got))
	for _, f := range got {
		lies[f.Digest] = f.Path
	}
	return func(ctx context.Context, f attest.File) ([]byte, error) {
		if p, ok := lies[f.Digest]; ok {
			return readFile(filepath.Join(place.folder, filepath.FromSlash(p)), rows.MaxBytes)
		}
		return kept(ctx, f)
	}, nil
}

// maxVersions is how many tagged versions of a repository are looked at for where
// bytes are known from: one request each.
const maxVersions = 200

// elsewhere looks in which other versions bytes are known: what the index leads to,
// or else the tagged versions of the artifact's repository.
func (gr *ground) elsewhere(ctx context.Context, ref attest.Reference, bytes []attest.Digest) (map[attest.Digest][]lineage.KnownFile, error) {
	if gr.index != nil {
		return gr.indexedElsewhere(ctx, bytes)
	}
	repo, err := gr.repository(ref.Repository)
	if err != nil {
		return nil, err
	}
	tags, err := repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	tags = slices.DeleteFunc(tags, oci.IsOwnTag)
	var cut error
	if len(tags) > maxVersions {
		cut = attest.Refuse(attest.CodeLimit, "more than %d tags", maxVersions)
		tags = tags[len(tags)-maxVersions:] // the last in order are mostly the newest
	}
	named := map[attest.Digest][]string{}
	for _, tag := range tags {
		d, err := repo.Resolve(ctx, attest.Reference{Repository: ref.Repository, Tag: tag})
		if err != nil {
			cut = err // a tag that was removed meanwhile is no reason to stop
			continue
		}
		named[d] = append(named[d], ref.Repository.String()+":"+tag)
	}
	out := map[attest.Digest][]lineage.KnownFile{}
	for _, d := range slices.SortedFunc(maps.Keys(named), attest.Digest.Compare) {
		b, err := repo.Manifest(ctx, d)
		if err != nil {
			cut = err
			continue
		}
		recognise(out, b, d, named[d], bytes)
	}
	return out, cut
}

// recognise notes the files of a manifest that have some bytes. What is no manifest
// has no files.
func recognise(out map[attest.Digest][]lineage.KnownFile, manifest []byte, d attest.Digest, tags []string, bytes []attest.Digest) {
	m, err := attest.ParseManifest(manifest)
	if err != nil {
		return
	}
	for _, f := range m.Files {
		if slices.Contains(bytes, f.Digest) {
			out[f.Digest] = append(out[f.Digest], lineage.KnownFile{Artifact: d, Path: f.Path, Tags: tags})
		}
	}
}

// indexedElsewhere is elsewhere by the index. It leads to artifacts; that one has
// the file is read in its manifest.
func (gr *ground) indexedElsewhere(ctx context.Context, bytes []attest.Digest) (map[attest.Digest][]lineage.KnownFile, error) {
	repos, err := gr.index.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	var sources []verify.Source
	tags := map[attest.Digest][]string{}
	for _, r := range repos {
		sources = append(sources, gr.index.Source(r))
		err = errors.Join(err, gr.index.Held(ctx, r, func(h attest.Held) bool {
			for _, t := range h.Tags {
				tags[h.Digest] = append(tags[h.Digest], r.String()+":"+t)
			}
			return true
		}))
	}
	out := map[attest.Digest][]lineage.KnownFile{}
	for _, d := range bytes {
		var led []attest.Digest
		err = errors.Join(err, gr.index.Find(ctx, lineage.HasFile, d.String(), func(a attest.Digest) bool {
			led = append(led, a)
			return len(led) < maxVersions
		}))
		for _, a := range led {
			b, missed := readManifest(ctx, sources, a)
			if missed != nil {
				err = errors.Join(err, missed)
				continue
			}
			recognise(out, b, a, tags[a], []attest.Digest{d})
		}
	}
	return out, err
}

func (a *app) writeDeployed(d *lineage.DeployedState, chain verify.Chain, ref attest.Reference, gr *ground, output string) error {
	if output == "json" {
		return a.writeJSON(d)
	}
	return report.Deployed(a.Stdout, d, a.reportOptions(&found{ref: ref, chain: chain, named: gr.named, notes: gr.notes}))
}
