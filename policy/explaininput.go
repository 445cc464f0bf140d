package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// explainInputs says what the step may have consumed. Only records of making and
// evaluations name inputs.
func (d *document) explainInputs(s *step) []Sentence {
	if len(s.inputs) == 0 {
		if s.predicate == predicate.TypeProvenance || s.predicate == predicate.TypeEvaluation {
			return []Sentence{{Text: "It took in nothing; a record that names anything fails."}}
		}
		return nil
	}
	out := Sentence{Text: "It took in only this; a record that names anything else, or something without a digest, fails:"}
	for _, l := range s.inputs {
		out.Parts = append(out.Parts, d.explainLine(l))
	}
	sentences := []Sentence{out}
	if s.anyApart() {
		sentences = append(sentences, Sentence{Text: "One and the same thing cannot be two of these that different steps make."})
	}
	return sentences
}

// anyApart reports whether some of the step's roles exclude each other.
func (s *step) anyApart() bool {
	for _, l := range s.inputs {
		if slices.ContainsFunc(s.inputs, func(o *line) bool { return o.role != l.role && s.apart(l.role, o.role) }) {
			return true
		}
	}
	return false
}

// named is an input's role, in a sentence.
func (l *line) named() string {
	if l.role == "" {
		return "input without a role"
	}
	return l.role
}

func (l *line) howMany() string {
	switch {
	case l.min == l.max && l.min == 1:
		return "exactly one"
	case l.min == l.max:
		return fmt.Sprintf("exactly %d", l.min)
	case l.min == 0 && l.max == 1:
		return "at most one"
	case l.min == 0:
		return fmt.Sprintf("at most %d", l.max)
	}
	return fmt.Sprintf("%d to %d", l.min, l.max)
}

func (d *document) explainLine(l *line) Sentence {
	var asks []string
	var out Sentence
	if len(l.from) > 0 {
		ask := "made by " + either(l.from)
		if l.output != "" {
			ask += ", where it is the output " + quoted(l.output)
		}
		asks = append(asks, ask)
	}
	if l.origin != nil {
		asks = append(asks, "said to come from "+l.origin.String()+" or below it")
	}
	if l.policy != "" {
		asks = append(asks, "allowed by the policy "+l.policy)
	}
	if l.minVersion != nil {
		asks = append(asks, fmt.Sprintf("of which the record that made it states the version %s or a later one", l.minVersion))
	}
	for _, ref := range l.sameAs {
		asks = append(asks, fmt.Sprintf("being the very same as the %s of %s", ref.role, ref.step))
	}
	for _, ref := range l.sameRun {
		asks = append(asks, fmt.Sprintf("made in the same run, and signed by the same signer, as the %s of %s", ref.role, ref.step))
	}
	for _, ref := range l.notIn {
		if ref.step == anyStep {
			asks = append(asks, fmt.Sprintf("having nothing in common, whole or by file, with any %s that a record of any step in the ancestry names, those of other policies included", ref.role))
			continue
		}
		asks = append(asks, fmt.Sprintf("having nothing in common, whole or by file, with any %s that a record of %s in the ancestry names", ref.role, ref.step))
	}
	if l.accept {
		asks = append(asks, "whatever it is")
	}
	if l.reason != "" {
		asks = append(asks, "with the reason "+quoted(l.reason))
	}
	if l.pin != nil {
		ask := "being, byte for byte, one of these:"
		if len(l.pin) == 1 {
			ask = "being, byte for byte, this:"
		}
		asks = append(asks, ask)
		for _, p := range l.pin {
			out.Parts = append(out.Parts, Sentence{Text: p.String()})
		}
	}
	out.Text = l.howMany() + " " + l.named() + ", " + strings.Join(asks, "; ")
	return out
}
