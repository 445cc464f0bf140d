// Package oci packs artifacts, keeps bundles beside them in an OCI registry or
// layout, and finds them again.
//
// # Two homes, one behaviour
//
// A [Repository] is a repository in a registry, or an OCI image layout: a folder
// that holds the same things as files. Everything works with both, the layout
// needing no server.
//
// # Packing
//
// [Pack] makes a CNCF ModelPack manifest of files: one file, one raw layer. So a
// layer's digest is the file's SHA-256, and that a manifest contains a file under
// a path is proven by hashing the manifest. Packing is deterministic.
//
// # Evidence
//
// An attestation is a manifest of its own that names the artifact's manifest as
// its subject, in the shape cosign gives it. What is no manifest has a stand-in
// to attach to (attest.StandIn). The OCI distribution specification calls such
// manifests referrers and gives registries an API that lists them; registries
// without it keep a list under a tag, which concurrent writers overwrite for each
// other. There this package writes one more tag for each attestation, whose name
// follows from the attestation, so that nobody overwrites anybody.
//
// # Trust
//
// None. A registry may hide, repeat and invent. What is asked by digest is
// checked against the digest; that a listed manifest names the artifact is
// checked in the manifest; and [Repository.Attach] calls an attestation attached
// only when a fresh listing shows it. What is said nowhere else is kept apart
// everywhere: "it is not there" (attest.ErrAbsent, an empty listing), and "it
// could not be looked at" (every other error).
package oci

import (
	"context"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/pedigree-ml/pedigree/attest"
)

// Options says how to reach and use a repository. The zero Options is complete.
type Options struct {
	// Transport sends requests to registries. If nil, a clone of
	// http.DefaultTransport with timeouts. Plain HTTP is refused to every host
	// but this one, whatever the Transport would do.
	Transport http.RoundTripper
	// Keychain has the credentials for registries. If nil, the docker
	// configuration's.
	Keychain authn.Keychain
	// UserAgent is sent to registries.
	UserAgent string
	// Jobs is how many requests run, or files are read, at once. If 0: 8 for
	// requests, one for each core for hashing.
	Jobs int
	// Progress hears of long work. If nil, nobody does.
	Progress Progress
}

// A Progress shows how long work proceeds. Its methods and the functions it
// returns are called from several goroutines.
type Progress interface {
	// Start announces work of total bytes. add is called as bytes are done, done
	// once at the end, also of work that was given up.
	Start(name string, total int64) (add func(n int64), done func())
}

func (o *Options) start(name string, total int64) (add func(int64), done func()) {
	if o.Progress == nil {
		return func(int64) {}, func() {}
	}
	return o.Progress.Start(name, total)
}

// defaultJobs is how many requests run at once. With 50 ms a request, 100
// attestations take 1.4 s so; more gain little and strain small registries.
const defaultJobs = 8

func (o *Options) requestJobs() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return defaultJobs
}

// A Repository is one open place of artifacts and evidence. Its methods may be
// called concurrently.
type Repository struct {
	ref   attest.Repository
	opts  Options
	store store
	limit int // attestations of one artifact; fewer in tests
}

// Open prepares the use of a repository. It asks nobody anything: a registry is
// first spoken to when it is first needed, and a layout's folder need not exist
// before something is written.
func Open(repo attest.Repository, o Options) (*Repository, error) {
	if repo.IsZero() {
		return nil, attest.Refuse(attest.CodeReference, "no repository is named")
	}
	r := &Repository{ref: repo, opts: o, limit: maxAttestations}
	if repo.IsLayout() {
		r.store = newLayout(repo.Name())
		return r, nil
	}
	reg, err := newRegistry(repo, o)
	if err != nil {
		return nil, err
	}
	r.store = reg
	return r, nil
}

// Ref returns the repository's name.
func (r *Repository) Ref() attest.Repository { return r.ref }

// Resolve returns the digest that ref names. A digest decides, whatever the tag
// beside it points at. A tag is asked for once: what the caller does with the
// digest later is about one artifact, even if the tag moves meanwhile. The error
// wraps attest.ErrAbsent if the repository says there is no such tag.
func (r *Repository) Resolve(ctx context.Context, ref attest.Reference) (attest.Digest, error) {
	switch {
	case ref.Repository != r.ref:
		return attest.Digest{}, &attest.Refusal{Code: attest.CodeReference, About: ref.String(), Why: "is not in " + r.ref.String()}
	case !ref.Digest.IsZero():
		return ref.Digest, nil
	case ref.Tag == "":
		return attest.Digest{}, &attest.Refusal{Code: attest.CodeReference, About: ref.String(), Why: "names a repository, not an artifact",
			Next: "add :TAG or @sha256:DIGEST"}
	}
	return r.store.resolve(ctx, ref.Tag)
}

// Manifest returns the bytes of the manifest with digest d, at most
// attest.MaxManifest of them, checked against d. The error wraps attest.ErrAbsent
// if the repository says that it holds none; a commit never has one.
func (r *Repository) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if d.IsZero() || d.IsCommit() {
		return nil, absent(d.String(), "only its stand-in could be here")
	}
	return r.store.manifest(ctx, d)
}

// Tags returns all tags of the repository, sorted, those that [IsOwnTag] reports
// included. A repository that the registry does not know has none.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	tags, err := r.store.tags(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}
