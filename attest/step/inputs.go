package step

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filehash"
)

// Roles that this package gives itself.
const (
	roleCode        = "code"
	roleEnvironment = "environment"
)

// An observation is one input: what it is called, and what lay on disk under
// that name before the command ran.
type observation struct {
	role   string
	name   string
	uri    string
	digest attest.Digest
	// observed is true if the bytes that the command could read were hashed. A
	// manifest alone is not what a command reads.
	observed bool

	path    string // where the bytes lie; empty: nobody looked
	files   snapshot
	folders map[string]fs.FileInfo // of the path, itself first
}

// A snapshot is the state of a file or folder, by path in the artifact.
type snapshot map[string]fileState

type fileState struct {
	digest attest.Digest
	info   fs.FileInfo
}

// observe hashes every input, before the command runs.
func (r *run) observe(ctx context.Context) error {
	for _, in := range r.spec.Inputs {
		o, err := r.observeInput(ctx, in)
		if err != nil {
			return err
		}
		r.inputs = append(r.inputs, o)
	}
	for _, lock := range r.spec.Locks {
		o := &observation{role: roleEnvironment}
		if err := r.observeFile(ctx, o, lock); err != nil {
			return err
		}
		r.inputs = append(r.inputs, o)
	}
	if r.spec.Code != "" {
		if err := r.observeCode(ctx); err != nil {
			return err
		}
	}
	if a := r.spec.About; a != nil {
		r.subject = &observation{}
		return r.observeArtifact(ctx, r.subject, a.Ref, a.Path)
	}
	return nil
}

func (r *run) observeInput(ctx context.Context, in Input) (*observation, error) {
	o := &observation{role: in.Role, uri: in.URI, digest: in.Digest}
	switch {
	case !in.Ref.Repository.IsZero():
		return o, r.observeArtifact(ctx, o, in.Ref, in.Path)
	case in.Path == "":
		return o, nil
	}
	if err := r.observeFile(ctx, o, in.Path); err != nil {
		return nil, err
	}
	if !in.Digest.IsZero() && o.digest != in.Digest {
		return nil, &attest.Refusal{Code: attest.CodeSubjectMismatch, About: in.Path, Why: "is " + o.digest.String() + ", not " + in.Digest.String() + " as declared",
			Next: "fetch the declared file again, or declare the one that is used"}
	}
	return o, nil
}

// observeFile hashes one file.
func (r *run) observeFile(ctx context.Context, o *observation, path string) error {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return usage(path, "a folder has no bytes of its own to be named by", "push it as an artifact, and use ROLE=REF,path="+path)
	}
	files, err := r.snapshot(ctx, path)
	if err != nil {
		return err
	}
	for name, f := range files { // exactly one
		o.digest = f.digest
		if o.uri == "" {
			o.name = name
		}
	}
	o.observed, o.path, o.files = true, path, files
	if o.folders, err = folders(path); err != nil {
		return err
	}
	return nil
}

// observeArtifact finds an artifact in its repository and, if path says where
// it lies, compares every file with what the manifest says.
func (r *run) observeArtifact(ctx context.Context, o *observation, ref attest.Reference, path string) error {
	store, err := r.store(ref.Repository)
	if err != nil {
		return err
	}
	d, err := store.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	b, err := store.Manifest(ctx, d)
	if err != nil {
		return missingManifest(ref, err)
	}
	if attest.SHA256(b) != d {
		return &attest.Refusal{Code: attest.CodeRegDigest, About: d.String(), Why: "the repository holds other bytes under this digest"}
	}
	o.digest, o.name, o.uri = d, ref.Tag, locationOf(ref.Repository)
	if attest.IsIndex(b) {
		if path != "" {
			return usage(ref.String(), "is an index of several manifests, of which nobody can say which one lies in "+path, "name one of them by its digest")
		}
		return nil
	}
	m, err := attest.ParseManifest(b)
	if err != nil {
		return err
	}
	if !m.StandsFor.IsZero() {
		return usage(ref.String(), "is a place for evidence about "+m.StandsFor.String()+", and not the thing itself", "name that by where it comes from: URI@"+m.StandsFor.String())
	}
	if path == "" {
		return nil
	}
	if len(m.Files) == 0 || len(m.Files) != len(m.Layers) {
		return usage(ref.String(), "its manifest does not name its files, so nothing can be compared with "+path, "leave out path=")
	}
	if o.files, err = r.snapshot(ctx, path); err != nil {
		return err
	}
	if o.folders, err = folders(path); err != nil {
		return err
	}
	o.path, o.observed = path, true
	return compareWithManifest(o, m)
}

func missingManifest(ref attest.Reference, err error) error {
	if !errors.Is(err, attest.ErrAbsent) {
		return err
	}
	return &attest.Refusal{Code: attest.CodeNotFound, About: ref.String(), Why: "no manifest is there",
		Next: "push the artifact first; something that is in no repository is declared as URI@sha256:…", Err: err}
}

// locationOf returns where a repository is, as a URI that others understand. A
// layout's folder is this machine's business and says nothing elsewhere.
func locationOf(repo attest.Repository) string {
	if repo.IsLayout() {
		return ""
	}
	return "oci://" + repo.Name()
}

// compareWithManifest refuses everything but the whole artifact and nothing else:
// with a part of it, or with more, the command would have used something that
// the digest does not name.
func compareWithManifest(o *observation, m *attest.Manifest) error {
	named := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		named[f.Path] = true
		have, ok := o.files[f.Path]
		if !ok {
			return &attest.Refusal{Code: attest.CodeFileMissing, About: filepath.Join(o.path, filepath.FromSlash(f.Path)), Why: "is part of " + m.Digest.String() + " and not there",
				Next: "path= is where the whole artifact lies; pull it there"}
		}
		if have.digest != f.Digest {
			return &attest.Refusal{Code: attest.CodeSubjectMismatch, About: filepath.Join(o.path, filepath.FromSlash(f.Path)),
				Why: "is " + have.digest.String() + ", and " + f.Digest.String() + " in " + m.Digest.String(), Next: "pull the artifact again"}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(o.files)) {
		if !named[p] {
			return &attest.Refusal{Code: attest.CodeSubjectMismatch, About: filepath.Join(o.path, filepath.FromSlash(p)), Why: "is not part of " + m.Digest.String(),
				Next: "remove it, or pull the artifact into a folder of its own"}
		}
	}
	return nil
}

// snapshot finds and hashes what lies at path.
func (r *run) snapshot(ctx context.Context, path string) (snapshot, error) {
	tree, err := filehash.Scan([]string{path}, attest.MaxFiles)
	if err != nil {
		return nil, err
	}
	top, err := os.Lstat(path)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeFileChanged, About: path, Err: err}
	}
	out := make(snapshot, len(tree.Files))
	for _, f := range tree.Files {
		place := path
		if top.IsDir() {
			place = filepath.Join(path, filepath.FromSlash(f.Path))
		}
		// Before the file is hashed: what it becomes from here on is noticed by
		// the hasher, or by whoever compares this snapshot with the next.
		info, err := os.Lstat(place)
		if err != nil {
			return nil, &attest.Refusal{Code: attest.CodeFileChanged, About: place, Err: err}
		}
		out[f.Path] = fileState{info: info}
	}
	if err := tree.Hash(ctx, 0, r.deps.Progress); err != nil {
		return nil, err
	}
	for _, f := range tree.Files {
		s := out[f.Path]
		s.digest = f.Digest
		out[f.Path] = s
	}
	return out, nil
}

// recheck refuses if anything that was hashed is not as it was.
func (r *run) recheck(ctx context.Context) error {
	all := r.inputs
	if r.subject != nil {
		all = append(slices.Clip(all), r.subject)
	}
	for _, o := range all {
		if o.path == "" {
			continue
		}
		now, err := r.snapshot(ctx, o.path)
		if err != nil {
			return whileRunning(ctx, o.path, err)
		}
		if err := o.files.compare(o.path, now); err != nil {
			return err
		}
		if err := o.sameFolders(); err != nil {
			return err
		}
	}
	if r.code != nil {
		return r.recheckCode(ctx)
	}
	return nil
}

// whileRunning says of an input which could be read before and cannot be now
// that it changed. The context's end is no change.
func whileRunning(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil || attest.RefusalCode(err) == attest.CodeFileIO {
		return err
	}
	return changed(path, "is not what it was before the command ran", err)
}

// compare refuses every difference. Times count too: a file that was written
// and put back was something else in between. So do change times, by which a file
// that was renamed away and back, or had its times put back, is found; not where a
// link to it was made, which changes nothing in it.
func (before snapshot) compare(path string, now snapshot) error {
	for _, p := range slices.Sorted(maps.Keys(before)) {
		b, n := before[p], now[p]
		switch {
		case n.info == nil:
			return changed(filepath.Join(path, p), "was removed while the command ran", nil)
		case b.digest != n.digest:
			return changed(filepath.Join(path, p), "was "+b.digest.String()+" before the command ran, and is "+n.digest.String(), nil)
		case !os.SameFile(b.info, n.info) || !b.info.ModTime().Equal(n.info.ModTime()) || filehash.Touched(b.info, n.info):
			return changed(filepath.Join(path, p), "was written while the command ran; that it is the same again proves nothing", nil)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(now)) {
		if _, ok := before[p]; !ok {
			return changed(filepath.Join(path, p), "was added while the command ran", nil)
		}
	}
	return nil
}

// folders returns the folders of an input, itself first, as they are now.
func folders(path string) (map[string]fs.FileInfo, error) {
	out := map[string]fs.FileInfo{}
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		out[p], err = d.Info()
		return err
	})
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
	}
	return out, nil
}

// sameFolders refuses a folder that is another one than before, or was away in the
// meantime: what the command read while it was is not what was hashed. Files that
// come and go in a folder set both its times, and are not looked at here.
func (o *observation) sameFolders() error {
	now, err := folders(o.path)
	if err != nil {
		return changed(o.path, "is not what it was before the command ran", err)
	}
	for _, p := range slices.Sorted(maps.Keys(o.folders)) {
		b, n := o.folders[p], now[p]
		if n == nil || !os.SameFile(b, n) || b.ModTime().Equal(n.ModTime()) && filehash.Touched(b, n) {
			return changed(p, "was replaced or moved while the command ran; that it is back proves nothing", nil)
		}
	}
	return nil
}

func changed(about, why string, err error) error {
	return &attest.Refusal{Code: attest.CodeFileChanged, About: about, Why: why,
		Next: "nothing was attested; keep writers away from inputs, and run the step again", Err: err}
}
