package report

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/pedigree-ml/pedigree/policy"
)

// Explanation writes a policy's plain sentences for people. Expressions are
// written as they are in the policy, never wrapped: spaces inside of them can
// matter. The error is the writer's.
func Explanation(w io.Writer, e policy.Explanation, o Options) error {
	p := newPrinter(o)
	for i, s := range e.Sections {
		if i > 0 {
			p.b.WriteByte('\n')
		}
		p.wrap("", 0, bold, clean(s.Title))
		for _, sentence := range s.Sentences {
			p.sentence(sentence, 2)
		}
	}
	return p.flush(w)
}

// sentence writes a sentence at a column, and its parts one level further in.
func (p *printer) sentence(s policy.Sentence, column int) {
	p.wrap(strings.Repeat(" ", column)+"- ", column+2, plain, clean(s.Text))
	for line := range strings.Lines(s.Expression) {
		p.line("%s%s", strings.Repeat(" ", column+6), p.paint(dim, clean(strings.TrimRight(line, "\r\n"))))
	}
	for _, part := range s.Parts {
		p.sentence(part, column+4)
	}
}

// ExplanationJSON writes the same as JSON. The error is the writer's.
func ExplanationJSON(w io.Writer, e policy.Explanation) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // expressions are compared with the policy: >= stays >=
	enc.SetIndent("", "  ")
	if err := enc.Encode(e); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
