package step

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// ParseInput reads an input as a flag gives it:
//
//	ROLE=REF[,path=DIR]                         an artifact in a repository
//	ROLE=file:PATH                              a file
//	ROLE=URI@sha256:HEX[,file=PATH]             something elsewhere
//	ROLE=URI@gitCommit:HEX                      a commit elsewhere
//
// Everything after path=, file= and file: is the path, commas included. A URI
// without a digest is refused with attest.CodeUnpinned: what a name stands for
// today says nothing about what it stood for.
func ParseInput(s string) (Input, error) {
	role, rest, ok := strings.Cut(s, "=")
	if !ok || rest == "" {
		return Input{}, usage(s, "an input is written ROLE=WHAT", "for instance training-data=registry.example/acme/data:v3,path=data")
	}
	in := Input{Role: role}
	if !namePattern.MatchString(role) {
		return Input{}, usage(role, "a role is lower-case words joined by hyphens", "")
	}
	if path, ok := strings.CutPrefix(rest, "file:"); ok {
		if path == "" {
			return Input{}, usage(s, "no path after file:", "")
		}
		in.Path = path
		return in, nil
	}
	if isURI(rest) {
		return parseURIInput(in, rest)
	}
	text, path, hasPath := strings.Cut(rest, ",path=")
	if hasPath && path == "" {
		return Input{}, usage(s, "no folder after path=", "")
	}
	if strings.Contains(text, ",") {
		return Input{}, usage(s, "unknown option of an artifact; it takes path=DIR", "")
	}
	ref, err := attest.ParseReference(text)
	if err != nil {
		return Input{}, err
	}
	in.Ref, in.Path = ref, path
	return in, in.check()
}

// isURI tells a URI from a reference: a reference has no scheme but ocidir.
func isURI(s string) bool {
	if strings.HasPrefix(s, "ocidir://") {
		return false
	}
	scheme, _, ok := strings.Cut(s, ":")
	return ok && (strings.HasPrefix(s, scheme+"://") || scheme == "urn" || scheme == "pkg")
}

func parseURIInput(in Input, s string) (Input, error) {
	text, path, hasPath := s, "", false
	if i := strings.LastIndex(s, ",file="); i >= 0 {
		text, path, hasPath = s[:i], s[i+len(",file="):], true
	}
	if hasPath && path == "" {
		return Input{}, usage(s, "no path after file=", "")
	}
	// The last @ that a digest can follow: a URI may have others before it.
	i := max(strings.LastIndex(text, "@sha256:"), strings.LastIndex(text, "@gitCommit:"))
	if i < 0 {
		return Input{}, &attest.Refusal{Code: attest.CodeUnpinned, About: text, Why: "no digest names its content",
			Next: "write URI@sha256:… or URI@gitCommit:…"}
	}
	d, err := attest.ParseDigest(text[i+1:])
	if err != nil {
		return Input{}, err
	}
	in.URI, in.Digest, in.Path = text[:i], d, path
	return in, in.check()
}

// ParseOutput reads NAME=PATH,to=REF[,kind=K] as a flag gives it. The path may
// have commas; to= and kind= follow it in any order.
func ParseOutput(s string) (Output, error) {
	name, rest, ok := strings.Cut(s, "=")
	const form = "an output is written NAME=PATH,to=REF[,kind=K]"
	if !ok {
		return Output{}, usage(s, form, "")
	}
	out := Output{Name: name}
	var to string
	for {
		i := strings.LastIndexByte(rest, ',')
		if i < 0 {
			break
		}
		value, isTo := strings.CutPrefix(rest[i+1:], "to=")
		kind, isKind := strings.CutPrefix(rest[i+1:], "kind=")
		switch {
		case isTo && to == "" && value != "":
			to = value
		case isKind && out.Kind == "" && kind != "":
			out.Kind = kind
		case isTo || isKind:
			return Output{}, usage(s, "an option that is empty or given twice", form)
		}
		if !isTo && !isKind {
			break
		}
		rest = rest[:i]
	}
	out.Path = rest
	if to == "" || out.Path == "" {
		return Output{}, usage(s, form, "")
	}
	ref, err := attest.ParseReference(to)
	if err != nil {
		return Output{}, err
	}
	out.To = ref
	return out, out.check()
}

// ParseAbout reads REF[,path=DIR] as a flag gives it; the predicate's type and
// file have flags of their own.
func ParseAbout(s string) (About, error) {
	text, path, hasPath := strings.Cut(s, ",path=")
	if hasPath && path == "" {
		return About{}, usage(s, "no folder after path=", "")
	}
	ref, err := attest.ParseReference(text)
	if err != nil {
		return About{}, err
	}
	return About{Ref: ref, Path: path}, nil
}

// ParseParam reads NAME=VALUE as a flag gives it. The value may be empty and may
// hold further equals signs.
func ParseParam(s string) (Param, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return Param{}, usage(s, "a parameter is written NAME=VALUE", "")
	}
	p := Param{Name: name, Value: value}
	return p, p.check()
}

var (
	// namePattern is what steps and roles look like: it is a part of a URI in
	// the one case, and compared with a policy's text in the other.
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}(?:-[a-z0-9]{1,32}){0,7}$`)
	// labelPattern is what outputs and parameters are called.
	labelPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,127}$`)
	// envPattern is POSIX's portable name of an environment variable, and lower case.
	envPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// maxURI bounds a URI: the longest that every HTTP client takes.
const maxURI = 2000

// checkURI refuses what is no absolute URI, and what could hold a secret: a
// statement is published, and a user, a signed query or a fragment in it too.
func checkURI(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque == "" && u.Host == "" || len(s) > maxURI:
		return usage("", "an input's URI is not absolute or too long", "")
	case strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0:
		return usage("", "white space, control or non-ASCII characters in a URI", "")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		// The URI is not repeated: what is wrong with it may be that it holds a secret.
		return usage(u.Host, "a user, query or fragment in a URI, which may be a secret and would be published", "write the URI without it; the digest says which bytes")
	}
	return nil
}

func usage(about, why, next string) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodeUsage, About: about, Why: why, Next: next}
}
