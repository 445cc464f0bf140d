package config

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
)

// maxText bounds a text in bytes: an expression over an object is the longest that
// anybody writes.
const maxText = 4096

// maxList bounds a list. A cluster has thousands of namespaces and fewer rules; each
// question looks at all of them.
const maxList = 1024

// A form is what a text may look like, and how to say so.
type form struct{ pattern, want string }

// The forms of Kubernetes' names, and ours. They are compiled when a file is read: other
// commands of the program need none of them.
var (
	ruleName = form{`^[A-Za-z][A-Za-z0-9_-]{0,63}$`, "letters, digits, - and _, beginning with a letter, at most 64"}
	// A cluster's and an environment's name stand in signed records and in references to
	// services, in which a slash divides parts.
	clusterName    = form{`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`, "letters, digits, ., - and _"}
	namespaceForm  = form{`^(\(cluster\)|[a-z0-9*]([a-z0-9*-]*[a-z0-9*])?)$`, "a name of a namespace, in which * stands for any characters, or (cluster)"}
	variableForm   = form{`^[-._a-zA-Z][-._a-zA-Z0-9]*$`, "a name of an environment variable"}
	annotationForm = form{`^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`, "a key of an annotation: NAME or PREFIX/NAME"}
	labelForm      = form{`^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/\*|([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)$`, "a key of a label: NAME, PREFIX/NAME or PREFIX/*"}
	groupForm      = form{`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`, "an API group, like serving.kserve.io"}
	kindForm       = form{`^[A-Z][A-Za-z0-9]*$`, "a kind, like InferenceService"}
	versionForm    = form{`^v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?$`, "an API version, like v1beta1"}
	groupKindForm  = form{`^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?/[A-Z][A-Za-z0-9]*$`, "GROUP/KIND, and /KIND in the core group"}
	whoForm        = form{`^[!-)+-~][ -)+-~]*$`, "a name as the API server gives it, without *: nobody is let pass by a pattern"}
	// With less than SCHEME:// a line would take every scheme that begins so.
	uriForm         = form{`^[a-z][a-z0-9+.-]*://[!-~]*$`, "the beginning of a URI with its scheme, like s3://acme-models/"}
	certificateName = form{`^[!-~][ -~]*$`, "a name in a certificate"}
	jsonPathForm    = form{`^\$[.\[]`, "a JSONPath (RFC 9535), beginning with $"}
)

// text reads a text that has no control characters and is not too long; "" means that
// there is a problem, or no node.
func (r *reader) text(n *yaml.Node, what string) string {
	s := r.Text(n, what)
	switch {
	case len(s) > maxText:
		r.Wrong(n, "%s has %d bytes, at most %d are read", what, len(s), maxText)
	case !utf8.ValidString(s) || attest.Printable(s) != s:
		r.Wrong(n, "%s has characters that cannot be shown", what)
	default:
		return s
	}
	return ""
}

func (r *reader) compiled(pattern string) *regexp.Regexp {
	if r.patterns == nil {
		r.patterns = map[string]*regexp.Regexp{}
	}
	if r.patterns[pattern] == nil {
		r.patterns[pattern] = regexp.MustCompile(pattern)
	}
	return r.patterns[pattern]
}

// matching reads a text of a form.
func (r *reader) matching(n *yaml.Node, what string, f form) string {
	s := r.text(n, what)
	if s != "" && !r.compiled(f.pattern).MatchString(s) {
		r.Wrong(n, "%s: %q is not %s", what, s, f.want)
		return ""
	}
	return s
}

// texts reads a list of texts of a form, none of them twice.
func (r *reader) texts(n *yaml.Node, what string, f form) []string {
	return r.list(n, what, func(n *yaml.Node, what string) string { return r.matching(n, what, f) })
}

// list reads a list of texts, none of them twice. read gives "" where there is a problem.
func (r *reader) list(n *yaml.Node, what string, read func(n *yaml.Node, what string) string) []string {
	var out []string
	for _, item := range r.Items(n, what, maxList) {
		s := read(item, what)
		switch {
		case s == "":
		case slices.Contains(out, s):
			r.Wrong(item, "%s has %q twice", what, s)
		default:
			out = append(out, s)
		}
	}
	return out
}

// number reads a whole number between two bounds; def without a node.
func (r *reader) number(n *yaml.Node, what string, b bound) int64 {
	if n == nil {
		return b.def
	}
	return r.Integer(n, what, b.least, b.most)
}

const durationPattern = `^[1-9][0-9]{0,8}(ms|s|m|h)$`

// duration reads a duration between two bounds; def without a node.
func (r *reader) duration(n *yaml.Node, what string, s span) time.Duration {
	if n == nil {
		return s.def
	}
	d, err := time.ParseDuration(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil || !r.compiled(durationPattern).MatchString(n.Value):
		r.Wrong(n, "%s must be a whole number of h, m, s or ms, like 9s", what)
	case d < s.least || d > s.most:
		r.Wrong(n, "%s must be between %s and %s", what, short(s.least), short(s.most))
	default:
		return d
	}
	return s.def
}

// short writes a duration as it is read.
func short(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}

// yes reads a boolean that is only ever written to say yes.
func (r *reader) yes(n *yaml.Node, what string) bool {
	switch {
	case n == nil:
		return false
	case n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false":
		r.Wrong(n, "%s must be true or false", what)
	}
	return n.Value == "true"
}

// word reads one of some words; the first without a node.
func (r *reader) word(n *yaml.Node, what string, words []string) string {
	s := r.Text(n, what)
	switch {
	case n == nil, s == "":
		return words[0]
	case !slices.Contains(words, s):
		r.Wrong(n, "%s is %q, want one of %s", what, attest.Printable(s), strings.Join(words, ", "))
		return words[0]
	}
	return s
}
