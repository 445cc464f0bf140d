package strictyaml

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Fields splits a mapping into its known keys. Unknown keys and duplicates are
// problems; what they hold is not returned.
func (r *Reader) Fields(n *yaml.Node, what string, known []string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.Wrong(n, "%s must be a mapping", what)
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(known, k.Value):
			r.Wrong(k, "%s has no key %q%s", what, k.Value, didYouMean(k.Value, known))
		case out[k.Value] != nil:
			r.Wrong(k, "%s has %q twice", what, k.Value)
		default:
			out[k.Value] = v
		}
	}
	return out
}

// Need reports whether a mapping has a key; that it has not is a problem.
func (r *Reader) Need(parent *yaml.Node, f map[string]*yaml.Node, key string) bool {
	if f[key] == nil {
		r.Wrong(parent, "%q is missing", key)
		return false
	}
	return true
}

// Constant asks that a key has the only value that this version reads.
func (r *Reader) Constant(parent, n *yaml.Node, key, want string) {
	switch {
	case n == nil:
		r.Wrong(parent, "%q is missing; it is %s", key, want)
	case n.Kind != yaml.ScalarNode || n.Value != want:
		r.Wrong(n, "%s is %q, this version reads %s", key, n.Value, want)
	}
}

// Items returns the elements of a list of at most so many. An empty list is a
// problem: whoever writes one expects something of it. Nil has none.
func (r *Reader) Items(n *yaml.Node, what string, most int) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.Wrong(n, "%s must be a list", what)
		return nil
	case len(n.Content) == 0:
		r.Wrong(n, "%s is an empty list; leave it out", what)
	case len(n.Content) > most:
		r.Wrong(n, "%s has %d entries, at most %d are read", what, len(n.Content), most)
		return nil
	}
	return n.Content
}

// ambiguous are plain words that other YAML readers take for booleans or nothing.
var ambiguous = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}

// Text reads a string that is not empty; "" means that there is a problem, or no node.
func (r *Reader) Text(n *yaml.Node, what string) string {
	if n == nil {
		return ""
	}
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!int" || n.Tag == "!!float" || n.Tag == "!!bool" || n.Tag == "!!null" || n.Tag == "!!binary":
		r.Wrong(n, "%s must be text", what)
	case n.Style == 0 && slices.Contains(ambiguous, strings.ToLower(n.Value)):
		r.Wrong(n, "%s: write %q in quotes; some readers take the bare word for a boolean", what, n.Value)
	case n.Value == "":
		r.Wrong(n, "%s is empty", what)
	default:
		return n.Value
	}
	return ""
}

var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// Name reads a name: letters, digits, - and _, at most 64, beginning with a letter.
// So it is no path, whatever becomes of it.
func (r *Reader) Name(n *yaml.Node, what string) string {
	s := r.Text(n, what)
	if s != "" && !namePattern.MatchString(s) {
		r.Wrong(n, "%s: letters, digits, - and _, beginning with a letter", what)
		return ""
	}
	return s
}

var integerPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

// Integer reads a whole number between two bounds, both included; least if there is
// a problem.
func (r *Reader) Integer(n *yaml.Node, what string, least, most int64) int64 {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || !integerPattern.MatchString(n.Value) {
		r.Wrong(n, "%s must be a whole number in decimal", what)
		return least
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || i < least || i > most {
		r.Wrong(n, "%s must be between %d and %d", what, least, most)
		return least
	}
	return i
}

// Time reads a moment in UTC (RFC 3339); zero if there is a problem, or no node.
func (r *Reader) Time(n *yaml.Node, what string) time.Time {
	if n == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || !strings.HasSuffix(n.Value, "Z") {
		r.Wrong(n, "%s must be a time like 2027-05-01T00:00:00Z", what)
		return time.Time{}
	}
	return t.UTC()
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
