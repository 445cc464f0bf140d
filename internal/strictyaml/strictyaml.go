// Package strictyaml reads YAML that has exactly one meaning, for files in which a
// misread word decides whom one believes.
//
// YAML's readers disagree about what a plain word is ("no", "on", "1e3"), let one
// text mean much (aliases) and let a misspelt key mean nothing. A [Reader] takes one
// document that is a mapping, without anchors, aliases and tags, knows every key, and
// refuses the words that others read otherwise. It collects problems instead of
// stopping at one: who writes such a file by hand wants to see all of them, with line
// and column.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Problem is one thing that keeps a file from loading.
type Problem struct {
	Line   int // from 1; 0 if it concerns the whole file
	Column int // from 1
	Code   attest.Code
	Why    string
}

// String gives the problem as editors and compilers write it, without the file.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.Code, p.Why)
	}
	return fmt.Sprintf("%d:%d: %s: %s", p.Line, p.Column, p.Code, p.Why)
}

// A LoadError lists everything that is wrong with a file, in the file's order.
type LoadError struct{ Problems []Problem }

// Error gives all problems, one a line.
func (e *LoadError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = attest.Printable(p.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the first problem as a refusal, so that its code can be asked for
// as everywhere.
func (e *LoadError) Unwrap() error {
	if len(e.Problems) == 0 {
		return nil
	}
	p := e.Problems[0]
	return &attest.Refusal{Code: p.Code, About: fmt.Sprintf("line %d, column %d", p.Line, p.Column), Why: p.Why}
}

// A Reader walks a YAML tree and collects problems. Its Code is what they have
// unless something else is said.
type Reader struct {
	Code     attest.Code
	problems []Problem
}

// Report adds a problem at a node; nil stands for the whole file.
func (r *Reader) Report(n *yaml.Node, code attest.Code, format string, args ...any) {
	p := Problem{Code: code, Why: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

// Wrong adds a problem of the usual code.
func (r *Reader) Wrong(n *yaml.Node, format string, args ...any) {
	r.Report(n, r.Code, format, args...)
}

// Err returns the problems as a *LoadError in the file's order; nil if there are none.
func (r *Reader) Err() error {
	if len(r.problems) == 0 {
		return nil
	}
	sorted := slices.Clone(r.problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &LoadError{Problems: slices.Compact(sorted)}
}

// Parse reads exactly one document that is a mapping, of at most limit bytes. Nil
// means that there is a problem.
func (r *Reader) Parse(src []byte, limit int) *yaml.Node {
	if len(src) > limit {
		r.Report(nil, attest.CodeLimit, "%d bytes, at most %d are read", len(src), limit)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		r.Wrong(nil, "the file is empty")
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		r.Wrong(&second, "more than one document in the file")
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.Wrong(&doc, "not a mapping")
		return nil
	}
	r.plain(doc.Content[0])
	return doc.Content[0]
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

func (r *Reader) syntax(err error) {
	at, why := &yaml.Node{}, err.Error()
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		at.Column, why = 1, m[2]
	}
	r.Wrong(at, "not YAML: %s", why)
}

// plain refuses the parts of YAML with which one text has two readings or a small
// text a large meaning: anchors, aliases and explicit tags.
func (r *Reader) plain(n *yaml.Node) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.Wrong(n, "anchors and aliases are not allowed")
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.Wrong(n, "explicit tags are not allowed")
	}
	for _, c := range n.Content {
		r.plain(c)
	}
}
