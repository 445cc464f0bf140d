package rehearse

import (
	"bytes"
	"encoding/json"
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
	"github.com/pedigree-ml/pedigree/policy"
)

const (
	// maxTest bounds a test file. The longest written so far has 15 kB.
	maxTest = 1 << 20
	// maxNodes bounds what a test file holds. Each case copies the evidence, so
	// that a file of a megabyte of cases could ask for very much work; the longest
	// so far has 2,500.
	maxNodes = 1 << 17
)

// A reader takes a YAML tree apart and collects problems instead of stopping at
// one. It is as strict as the policy's own: a key that is passed over in a test
// is a case that tests something else than its author believes.
type reader struct{ problems []policy.Problem }

func (r *reader) problem(n *yaml.Node, format string, args ...any) {
	p := policy.Problem{Code: attest.CodePolicyParse, Why: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	// Evidence is read again for each case; a mistake in it is still one mistake.
	if !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b policy.Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &policy.LoadError{Problems: r.problems}
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// document reads exactly one document that is a mapping.
func (r *reader) document(src []byte) *yaml.Node {
	if len(src) > maxTest {
		r.problem(nil, "%d bytes, at most %d are read", len(src), maxTest)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		p := policy.Problem{Code: attest.CodePolicyParse, Why: "not YAML: " + err.Error()}
		if errors.Is(err, io.EOF) {
			p.Why = "the file is empty: a test without cases tests nothing"
		} else if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			p.Line, _ = strconv.Atoi(m[1])
			p.Column, p.Why = 1, "not YAML: "+m[2]
		}
		r.problems = append(r.problems, p)
		return nil
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		r.problem(&second, "more than one document in the file")
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.problem(&doc, "a test is a mapping that begins with apiVersion and kind")
		return nil
	}
	if n := r.plain(doc.Content[0], 0); n > maxNodes {
		r.problem(&doc, "%d values, at most %d are read", n, maxNodes)
	}
	if len(r.problems) > 0 {
		return nil
	}
	return doc.Content[0]
}

// plain refuses anchors, aliases and tags, with which a small text has a large
// meaning or two, and what is nested deeper than anybody writes. It returns how
// many values there are.
func (r *reader) plain(n *yaml.Node, depth int) int {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.problem(n, "anchors and aliases are not allowed; evidence has like: NAME")
		return 1
	case n.Style&yaml.TaggedStyle != 0:
		r.problem(n, "explicit tags are not allowed")
	case depth > 64:
		r.problem(n, "nested deeper than 64")
		return 1
	}
	count := 1
	for _, c := range n.Content {
		count += r.plain(c, depth+1)
	}
	return count
}

// fields splits a mapping into its known keys.
func (r *reader) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	for _, e := range r.entries(n, what) {
		if !slices.Contains(known, e.key.Value) {
			r.problem(e.key, "%s has no key %q; it has %s", what, e.key.Value, strings.Join(known, ", "))
			continue
		}
		out[e.key.Value] = e.value
	}
	return out
}

// An entry is one pair of a mapping.
type entry struct{ key, value *yaml.Node }

// entries returns a mapping's pairs in order, without duplicates.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be a mapping", what)
		return nil
	}
	var out []entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			r.problem(k, "%s: a key must be a word", what)
			continue
		}
		if seen[k.Value] {
			r.problem(k, "%s has %q twice", what, k.Value)
			continue
		}
		seen[k.Value] = true
		out = append(out, entry{k, v})
	}
	return out
}

var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// named returns a mapping's pairs whose keys are names.
func (r *reader) named(n *yaml.Node, what string) []entry {
	return slices.DeleteFunc(r.entries(n, what), func(e entry) bool {
		if namePattern.MatchString(e.key.Value) {
			return false
		}
		r.problem(e.key, "%s: %q is not a name: letters, digits, - _ and ., beginning with a letter", what, e.key.Value)
		return true
	})
}

// text returns a scalar's text, and "" with a problem if there is none.
func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Tag == "!!bool" || n.Value == "" {
		r.problem(n, "%s must be text", what)
		return ""
	}
	return n.Value
}

// texts reads one text or a list of different texts.
func (r *reader) texts(n *yaml.Node, what string) []string {
	var out []string
	for _, t := range list(n) {
		s := r.text(t, what)
		if slices.Contains(out, s) {
			r.problem(t, "%s lists %q twice", what, s)
		} else if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// list returns the elements of a sequence, or the node itself as the only one.
func list(n *yaml.Node) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	}
	return []*yaml.Node{n}
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		r.problem(n, "%s must be true or false", what)
	}
	return n.Value == "true"
}

func (r *reader) integer(n *yaml.Node, what string, least int64) int64 {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || i < least {
		r.problem(n, "%s must be a whole number from %d", what, least)
		return least
	}
	return i
}

var spanPattern = regexp.MustCompile(`^([+-]?)([0-9]{1,6})(s|m|h|d)$`)

// span reads -58m, 24h or +40d.
func span(s string) (time.Duration, bool) {
	m := spanPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[2])
	if err != nil {
		return 0, false // unreachable: at most six digits
	}
	d := time.Duration(n) * map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[3]]
	if m[1] == "-" {
		d = -d
	}
	return d, true
}

// moment reads a time, or a distance from a known one.
func (r *reader) moment(n *yaml.Node, what string, from time.Time) time.Time {
	if n.Kind == yaml.ScalarNode {
		if d, ok := span(n.Value); ok && !from.IsZero() {
			return from.Add(d)
		}
		if t, err := time.Parse(time.RFC3339, n.Value); err == nil && strings.HasSuffix(n.Value, "Z") {
			return t
		}
	}
	if from.IsZero() {
		r.problem(n, "%s must be a time like 2026-11-23T13:00:00Z", what)
	} else {
		r.problem(n, "%s must be a time like 2026-11-23T13:00:00Z, or a distance from the test's at, like -58m or +40d", what)
	}
	return time.Time{}
}

// value turns a part of a predicate into what encoding/json writes as it. Numbers
// keep their spelling: 0.60 in a test is "0.60" where the predicate wants text.
func (r *reader) value(n *yaml.Node, what string) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for _, e := range r.entries(n, what) {
			out[e.key.Value] = r.value(e.value, what)
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, r.value(c, what))
		}
		return out
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return r.boolean(n, what)
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			r.problem(n, "%s: %q is not a number as JSON writes it; for text, use quotes", what, n.Value)
		}
		return json.Number(n.Value)
	}
	return n.Value
}
