package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictyaml"
)

// maxPolicy bounds a policy's file. The longest written so far has 12 kB.
const maxPolicy = 1 << 20

// A Problem is one thing that keeps a policy from loading: E_POLICY_PARSE,
// E_POLICY_VACUOUS or E_POLICY_EXPIRED.
type Problem = strictyaml.Problem

// A LoadError lists everything that is wrong with a policy, in the file's order.
type LoadError = strictyaml.LoadError

// A reader walks a YAML tree and collects problems instead of stopping at one.
type reader struct{ problems []Problem }

func (r *reader) problem(pos position, code attest.Code, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: pos.line, Column: pos.column, Code: code, Why: fmt.Sprintf(format, args...)})
}

func (r *reader) parse(n *yaml.Node, format string, args ...any) {
	r.problem(at(n), attest.CodePolicyParse, format, args...)
}

func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &LoadError{Problems: slices.Compact(r.problems)}
}

func at(n *yaml.Node) position { return position{n.Line, n.Column} }

// parseYAML reads exactly one document that is a mapping.
func (r *reader) parseYAML(src []byte) *yaml.Node {
	if len(src) > maxPolicy {
		r.problem(position{}, attest.CodePolicyParse, "%d bytes, at most %d are read", len(src), maxPolicy)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		r.problem(position{}, attest.CodePolicyVacuous, "the file is empty: a policy that asks for nothing proves nothing")
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		r.problem(at(&second), attest.CodePolicyParse, "more than one document in the file")
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.problem(at(&doc), attest.CodePolicyVacuous, "not a mapping: a policy that asks for nothing proves nothing")
		return nil
	}
	r.plain(doc.Content[0])
	return doc.Content[0]
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

func (r *reader) syntax(err error) {
	var pos position
	why := err.Error()
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		pos.line, _ = strconv.Atoi(m[1])
		pos.column, why = 1, m[2]
	}
	r.problem(pos, attest.CodePolicyParse, "not YAML: %s", why)
}

// plain refuses the parts of YAML with which one text has two readings or a
// small text a large meaning: anchors, aliases and explicit tags.
func (r *reader) plain(n *yaml.Node) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.parse(n, "anchors and aliases are not allowed")
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.parse(n, "explicit tags are not allowed")
	}
	for _, c := range n.Content {
		r.plain(c)
	}
}

// fields splits a mapping into its known keys. Unknown keys, keys of a later
// version and duplicates are problems.
func (r *reader) fields(n *yaml.Node, what string, known []string, later []string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.parse(n, "%s must be a mapping", what)
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case slices.Contains(later, k.Value):
			r.parse(k, "%s: %q is not supported by this version, and a policy is never obeyed in part", what, k.Value)
		case !slices.Contains(known, k.Value):
			r.parse(k, "%s has no key %q%s", what, k.Value, didYouMean(k.Value, known))
		case out[k.Value] != nil:
			r.parse(k, "%s has %q twice", what, k.Value)
		default:
			out[k.Value] = v
		}
	}
	return out
}

// entries returns a mapping with free keys, in order.
func (r *reader) entries(n *yaml.Node, what string) (names []*yaml.Node, values []*yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.parse(n, "%s must be a mapping", what)
		return nil, nil
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Style == 0 && slices.Contains(ambiguous, strings.ToLower(k.Value)) {
			r.parse(k, "%s: write %q in quotes; some readers take the bare word for a boolean", what, k.Value)
			continue
		}
		if !namePattern.MatchString(k.Value) {
			r.parse(k, "%s: %q is not a name: letters, digits, - and _, beginning with a letter", what, k.Value)
			continue
		}
		if seen[k.Value] {
			r.parse(k, "%s has %q twice", what, k.Value)
			continue
		}
		seen[k.Value] = true
		names, values = append(names, k), append(values, n.Content[i+1])
	}
	return names, values
}

var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// ambiguous are plain words that other YAML readers take for booleans or nothing.
var ambiguous = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}

func (r *reader) text(n *yaml.Node, what string) string {
	if n == nil {
		return ""
	}
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!int" || n.Tag == "!!float" || n.Tag == "!!bool" || n.Tag == "!!null" || n.Tag == "!!binary":
		r.parse(n, "%s must be text", what)
	case n.Style == 0 && slices.Contains(ambiguous, strings.ToLower(n.Value)):
		r.parse(n, "%s: write %q in quotes; some readers take the bare word for a boolean", what, n.Value)
	case n.Value == "":
		r.parse(n, "%s is empty", what)
	default:
		return n.Value
	}
	return ""
}

// texts reads one text or a list of texts.
func (r *reader) texts(n *yaml.Node, what string) []string {
	var out []string
	for _, t := range r.list(n) {
		if s := r.text(t, what); s != "" {
			if slices.Contains(out, s) {
				r.parse(t, "%s lists %q twice", what, s)
				continue
			}
			out = append(out, s)
		}
	}
	return out
}

// list returns the elements of a sequence, or the node itself as the only one.
func (r *reader) list(n *yaml.Node) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	}
	return []*yaml.Node{n}
}

var integerPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

func (r *reader) integer(n *yaml.Node, what string, least, most int64) int64 {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || !integerPattern.MatchString(n.Value) {
		r.parse(n, "%s must be a whole number in decimal", what)
		return least
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || i < least || i > most {
		r.parse(n, "%s must be between %d and %d", what, least, most)
		return least
	}
	return i
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
		r.parse(n, "%s must be true or false", what)
		return false
	}
	return n.Value == "true"
}

var durationPattern = regexp.MustCompile(`^[1-9][0-9]*(h|m|s)$`)

func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || !durationPattern.MatchString(n.Value) {
		r.parse(n, "%s must be a whole number of h, m or s, like 720h", what)
		return 0
	}
	return d
}

func (r *reader) time(n *yaml.Node, what string) time.Time {
	t, err := time.Parse(time.RFC3339, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || !strings.HasSuffix(n.Value, "Z") {
		r.parse(n, "%s must be a time like 2027-05-01T00:00:00Z", what)
		return time.Time{}
	}
	return t
}

func (r *reader) digests(n *yaml.Node, what string) []attest.Digest {
	var out []attest.Digest
	for _, t := range r.list(n) {
		s := r.text(t, what)
		if s == "" {
			continue
		}
		d, err := attest.ParseDigest(s)
		if err != nil {
			r.parse(t, "%s: %v", what, err)
			continue
		}
		out = append(out, d)
	}
	return out
}

// didYouMean suggests the known key that differs by least, if it is close.
func didYouMean(got string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(got, k); d > 0 && d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is Levenshtein's, capped by giving up on long words.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
