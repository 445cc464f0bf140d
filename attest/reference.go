package attest

import (
	"path/filepath"
	"regexp"
	"strings"
)

// layoutScheme introduces a repository that is a local OCI image layout.
const layoutScheme = "ocidir://"

// A Repository is a place that holds artifacts and the evidence beside them: a
// repository in a registry, or a local OCI image layout. It is comparable.
type Repository struct {
	layout bool
	name   string // host/path, or the layout's folder
}

// IsLayout reports whether r is a folder on this machine.
func (r Repository) IsLayout() bool { return r.layout }

// IsZero reports whether r names no repository.
func (r Repository) IsZero() bool { return r.name == "" }

// Name returns host/path of a registry's repository, or the layout's folder.
func (r Repository) Name() string { return r.name }

// String returns the repository as a reference spells it.
func (r Repository) String() string {
	if r.layout {
		return layoutScheme + r.name
	}
	return r.name
}

// At returns the reference of the artifact d in r.
func (r Repository) At(d Digest) Reference { return Reference{Repository: r, Digest: d} }

// A Reference says where to find one artifact: a repository and a digest, or a
// tag that a repository resolves once. With both, the digest decides.
type Reference struct {
	Repository Repository
	Tag        string
	Digest     Digest
}

// String returns the reference in the form ParseReference reads.
func (r Reference) String() string {
	s := r.Repository.String()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if !r.Digest.IsZero() {
		s += "@" + r.Digest.String()
	}
	return s
}

// The grammar of the OCI distribution specification, "Pulling manifests", with
// a host that must be written: a name without one would mean a public registry
// on one machine and a mirror on the next. Upper case in a host would be a
// second spelling of a repository, so it is refused.
var (
	hostPattern = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?$`)
	pathPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// maxReference bounds what is matched; registries allow 255 characters of name.
const maxReference = 4096

// ParseReference reads HOST/REPO[:TAG][@DIGEST] or ocidir://PATH[:TAG][@DIGEST].
// The host must be written out. A reference without tag and digest names the
// repository itself; commands that need an artifact say so.
func ParseReference(s string) (Reference, error) {
	var ref Reference
	if len(s) > maxReference {
		return Reference{}, malformed(s, "too long")
	}
	rest, digest, hasDigest := cutLast(s, "@")
	if hasDigest {
		d, err := ParseDigest(digest)
		if err != nil {
			return Reference{}, err
		}
		ref.Digest = d
	}
	rest, tag, hasTag := cutTag(rest)
	ref.Tag = tag
	if hasTag && !tagPattern.MatchString(tag) {
		return Reference{}, malformed(s, "malformed tag")
	}
	repo, err := parseRepository(rest)
	if err != nil {
		return Reference{}, err
	}
	ref.Repository = repo
	return ref, nil
}

// ParseRepository reads HOST/REPO or ocidir://PATH.
func ParseRepository(s string) (Repository, error) {
	ref, err := ParseReference(s)
	if err != nil {
		return Repository{}, err
	}
	if ref.Tag != "" || !ref.Digest.IsZero() {
		return Repository{}, malformed(s, "a repository has no tag and no digest")
	}
	return ref.Repository, nil
}

func parseRepository(s string) (Repository, error) {
	if path, ok := strings.CutPrefix(s, layoutScheme); ok {
		return parseLayout(s, path)
	}
	host, path, ok := strings.Cut(s, "/")
	if !ok || !hostPattern.MatchString(host) || !isHost(host) {
		return Repository{}, malformed(s, "a reference is HOST/REPOSITORY or ocidir://FOLDER, with the host written out")
	}
	if len(path) > 255 || !pathPattern.MatchString(path) {
		return Repository{}, malformed(s, "malformed repository name")
	}
	return Repository{name: s}, nil
}

// parseLayout reads the folder of a layout. What a reference would take for a
// tag or a digest cannot be part of a folder's name, or a repository would not be
// what its own spelling says; and a folder has one spelling.
func parseLayout(s, path string) (Repository, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return Repository{}, malformed(s, "the layout's folder is missing")
	}
	path = filepath.Clean(path)
	if strings.Contains(path, "@") || strings.LastIndexByte(path, ':') > strings.LastIndexByte(path, '/') {
		return Repository{}, malformed(s, "a layout's folder cannot have @ in its path or : in its name")
	}
	return Repository{layout: true, name: path}, nil
}

// isHost tells a host from the first part of a repository's name, as every
// registry client does: it has a dot or a port, or is localhost.
func isHost(s string) bool {
	return s == "localhost" || strings.ContainsAny(s, ".:")
}

// cutTag splits off what follows the last colon after the last slash.
func cutTag(s string) (rest, tag string, found bool) {
	if strings.LastIndexByte(s, ':') < strings.LastIndexByte(s, '/') {
		return s, "", false
	}
	return cutLast(s, ":")
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func malformed(s, why string) *Refusal {
	return &Refusal{Code: CodeReference, About: clip(s), Why: why}
}
