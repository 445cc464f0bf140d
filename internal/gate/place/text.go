package place

import (
	"errors"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/pedigree-ml/pedigree/attest"
)

// image keeps the text at n as an image, read as the kubelet reads it.
func (w *walk) image(n node) {
	s, ok := w.text(n)
	if !ok {
		return // what names nothing starts nothing: the pod that is made needs an image, and is looked at
	}
	f := Found{Pointer: n.pointer, Value: s, Text: s}
	if _, _, uri := cutScheme(s); uri {
		f.Problem = "an image is named without a scheme"
	} else {
		f.Reference, f.Problem = read(s, kubelet)
	}
	w.add(n, f)
}

// storage keeps the text at n as a URI of a model, as KServe reads it: every scheme
// counts here, because the field can name nothing else.
func (w *walk) storage(n node) {
	s, ok := w.text(n)
	if !ok {
		return
	}
	if _, _, uri := cutScheme(s); !uri {
		w.problem(n, "is no URI: it has no scheme")
		return
	}
	w.add(n, whole(n, s, kubelet))
}

// named keeps the text at n as a reference or URI because somebody said that this is one.
func (w *walk) named(n node, by reader) {
	if s, ok := w.text(n); ok {
		w.add(n, whole(n, s, by))
	}
}

// whole is what s, all of the text at n, names.
func whole(n node, s string, by reader) Found {
	return part(n, "", s, "", by)
}

// part is what s, a part of the text at n, names.
func part(n node, before, s, after string, by reader) Found {
	value, _ := n.value.(string) // not put together again: a text of 1 MiB may have 1,024 parts
	f := Found{Pointer: n.pointer, Value: value, Text: s, before: before, after: after}
	scheme, rest, uri := cutScheme(s)
	switch {
	case !uri:
		f.Reference, f.Problem = read(s, by)
	case scheme != strings.ToLower(scheme):
		f.Problem = "the scheme is not in lower case"
	case scheme == "oci" || scheme == "docker":
		f.Prefix = scheme + "://"
		f.Reference, f.Problem = read(rest, by)
	case scheme == "ocidir":
		f.Reference, f.Problem = read(s, stranger)
	default:
		f.Problem = scheme + ": names no artifact by digest"
		if plainURI(s) {
			f.URI = s
		}
	}
	return f
}

// maxName bounds a name that is parsed; registries allow 255 characters of a repository
// and 128 of a tag.
const maxName = 4096

// read reads an image's name. What has neither tag nor digest means latest to the kubelet,
// and nothing certain to anybody else.
func read(s string, by reader) (ref attest.Reference, problem string) {
	if len(s) > maxName {
		return ref, "is no reference: too long"
	}
	if assembled(s) {
		return ref, "is put together later"
	}
	var err error
	if by == kubelet {
		ref, err = asKubelet(s)
	} else {
		ref, err = attest.ParseReference(s)
	}
	if err == nil && !ref.Digest.IsZero() && ref.Digest.IsCommit() {
		return attest.Reference{}, "a commit is nothing that a registry holds"
	}
	if err == nil && ref.Tag == "" && ref.Digest.IsZero() {
		return attest.Reference{}, "has neither a tag nor a digest"
	}
	if err != nil {
		return attest.Reference{}, because(err)
	}
	return canonical(ref), ""
}

// asKubelet reads a name with the library that kubelet and containerd read it with, and
// then as every reference is read here, which refuses what has two spellings.
func asKubelet(s string) (attest.Reference, error) {
	if s != strings.TrimSpace(s) {
		return attest.Reference{}, errors.New("has spaces around it")
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return attest.Reference{}, err
	}
	return attest.ParseReference(reference.TagNameOnly(named).String())
}

// canonical gives Docker Hub its one name: registries' clients know docker.io/credit and
// index.docker.io/library/credit as docker.io/library/credit, and rules should too.
func canonical(ref attest.Reference) attest.Reference {
	if ref.Repository.IsLayout() {
		return ref
	}
	named, err := reference.ParseNormalizedNamed(ref.Repository.Name())
	if err != nil {
		return ref
	}
	repo, err := attest.ParseRepository(named.Name())
	if err != nil {
		return ref
	}
	ref.Repository = repo
	return ref
}

// because gives the reason of err in one clause.
func because(err error) string {
	var r *attest.Refusal
	if errors.As(err, &r) && r.Why != "" {
		return "is no reference: " + r.Why
	}
	return "is no reference: " + err.Error()
}

// assembled reports whether s is a pattern that something else fills in: $(VAR) of
// Kubernetes, ${VAR} of shells, {{.Name}} of templates.
func assembled(s string) bool {
	return strings.Contains(s, "$") || strings.Contains(s, "{{") || strings.Contains(s, "}}")
}

var schemePattern = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)

// cutScheme splits SCHEME://REST.
func cutScheme(s string) (scheme, rest string, found bool) {
	if !strings.Contains(s, "://") {
		return "", s, false // most texts, and every argument and variable is one
	}
	m := schemePattern.FindStringSubmatch(s)
	if m == nil {
		return "", s, false
	}
	return m[1], s[len(m[0]):], true
}

// plainURI reports whether s has only one reading, so that what a prefix of it says is
// true of all of it: no way up (s3://good/../bad), no escapes, nothing filled in later.
func plainURI(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`\%"'<>`+"`", r) {
			return false
		}
	}
	_, rest, _ := cutScheme(s)
	for _, segment := range strings.Split(rest, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !assembled(s) && !strings.Contains(rest, "@")
}
