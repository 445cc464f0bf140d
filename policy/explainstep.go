package policy

import (
	"fmt"
	"strings"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// explainStep says what a step asks, in the order of a reader's questions: what
// it is, who, what record, from what, under which conditions, how old.
func (d *document) explainStep(s *step) Section {
	out := Section{Title: s.name + ": " + d.place(s), Step: s.name}
	add := func(more ...Sentence) { out.Sentences = append(out.Sentences, more...) }
	add(explainWho(s)...)
	add(Sentence{Text: "The signed record is " + recordKind(s) + "."})
	if s.where != nil {
		add(Sentence{Text: "Only records of which this is true are looked at; one of which it cannot be worked out fails:", Expression: s.where.source})
	}
	add(Sentence{Text: selectText(s)})
	if s.about != "" && s.about != aboutArtifact {
		if s.optional {
			add(Sentence{Text: fmt.Sprintf("If nothing in the ancestry is what %s makes, this is not asked.", s.about)})
		} else {
			add(Sentence{Text: fmt.Sprintf("If nothing in the ancestry is what %s makes, the answer is no.", s.about)})
		}
	}
	add(d.explainInputs(s)...)
	if len(s.agree) > 0 {
		add(Sentence{Text: fmt.Sprintf("All records by these signers, also those that do not count, must name the same %s.", both(s.agree))})
	}
	if len(s.rules) > 0 {
		rules := Sentence{Text: "Each of these must be true of a record (“predicate” is what it says), or it fails with the words beside it:"}
		for _, r := range s.rules {
			text := r.id
			if len(r.controls) > 0 {
				text += " (for " + both(r.controls) + ")"
			}
			rules.Parts = append(rules.Parts, Sentence{Text: text + ": " + quoted(r.message), Expression: r.cel.source})
		}
		add(rules)
	}
	if s.maxAge > 0 {
		add(Sentence{Text: fmt.Sprintf("When the question is asked, a record that counts is at most %s old.", exactly(s.maxAge))})
	}
	add(explainApproval(s)...)
	add(explainVeto(s)...)
	return out
}

// place says what a step has to do with the judged artifact.
func (d *document) place(s *step) string {
	if s.about == aboutArtifact {
		return "must be said about the judged artifact"
	}
	if s.about != "" {
		return "must be said about everything in the ancestry that " + s.about + " makes"
	}
	var uses []string
	for _, name := range d.artifact {
		if name == s.name {
			uses = append(uses, "the judged artifact")
		}
	}
	for _, other := range d.outward() {
		for _, l := range other.inputs {
			for _, from := range l.from {
				if from == s.name {
					uses = append(uses, "the "+l.named()+" of "+other.name)
				}
			}
		}
	}
	return "makes " + both(uses)
}

func explainWho(s *step) []Sentence {
	does := "may do it"
	switch {
	case s.produces():
		does = "may make it"
	case s.predicate == predicate.TypeApproval:
		does = "may approve"
	case s.predicate == predicate.TypeEvaluation:
		does = "may evaluate"
	}
	who := fmt.Sprintf("Only %s %s.", either(s.by), does)
	switch {
	case s.threshold > 1:
		who = fmt.Sprintf("Only %s %s, and at least %d different ones of them must.", either(s.by), does, s.threshold)
	case len(s.by) > 1:
		who = fmt.Sprintf("Only %s %s; one of them is enough.", either(s.by), does)
	}
	out := []Sentence{{Text: who}}
	if s.kind != "" {
		_, many := people(s.kind)
		out = append(out, Sentence{Text: "Of these, only " + many + " count."})
	}
	if len(s.notBy) > 0 {
		out = append(out, Sentence{Text: fmt.Sprintf("Whoever also signed a record of %s, used or not, does not count here.", either(s.notBy))})
	}
	return out
}

// recordKind names a type of record in words and exactly.
func recordKind(s *step) string {
	switch s.predicate {
	case predicate.TypeProvenance:
		return fmt.Sprintf("a record of how something was made (%s), of the kind %s", s.predicate, s.buildType)
	case predicate.TypeEvaluation:
		return fmt.Sprintf("an evaluation (%s)", s.predicate)
	case predicate.TypeApproval:
		return fmt.Sprintf("an approval (%s)", s.predicate)
	case predicate.TypeVSA:
		return fmt.Sprintf("a verifier's own verdict (%s)", s.predicate)
	}
	return "of the type " + s.predicate
}

func selectText(s *step) string {
	switch s.selects {
	case selectLatest:
		return "Of each signer the newest record counts, several if they are of one time. If one of those fails what is asked here, the answer is no; older ones do not matter."
	case selectAll:
		return "Every record by these signers counts. If one of them fails what is asked here, the answer is no."
	}
	return "The records that pass what is asked here count. Others beside them, also ones that fail, change nothing."
}

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
	return []Sentence{out}
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
	for _, ref := range l.sameRun {
		asks = append(asks, fmt.Sprintf("made in the same run, and signed by the same signer, as the %s of %s", ref.role, ref.step))
	}
	for _, ref := range l.notIn {
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

// explainApproval says what holds of approvals, some of it without being
// written in the policy.
func explainApproval(s *step) []Sentence {
	var out []Sentence
	if len(s.basis) > 0 {
		out = append(out, Sentence{Text: fmt.Sprintf("Each record must name the very records of %s that counted when it was given. All that it names must be there, be genuine, and not be younger than it.", both(s.basis))})
	}
	if s.predicate == predicate.TypeApproval {
		out = append(out, Sentence{Text: "An approval that sets conditions, or whose own validity is over, does not count."})
	}
	return out
}

func explainVeto(s *step) []Sentence {
	if s.veto == nil {
		return nil
	}
	out := []Sentence{{Text: fmt.Sprintf("A single no by %s stops it, however old and whatever else there is. A record is a no if this is true of it, or cannot be worked out:", either(s.vetoBy)), Expression: s.veto.source}}
	if s.scope != nil {
		out = append(out, Sentence{Text: "A no of which this is false does not stop it:", Expression: s.scope.source})
	}
	return out
}
