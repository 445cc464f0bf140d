package policy

import (
	"fmt"
	"slices"

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
	add(explainEvidence(s)...)
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
	add(d.explainRules(s)...)
	add(explainAge(s)...)
	add(explainApproval(s)...)
	add(explainVeto(s)...)
	if len(s.controls) > 0 {
		add(Sentence{Text: "All this is asked for " + both(s.controls) + "."})
	}
	return out
}

// explainEvidence says what records there may be beside those about the artifact
// itself.
func explainEvidence(s *step) []Sentence {
	var out []Sentence
	if s.covers != "" {
		files := "every file of it"
		if s.covers == coversWeights {
			files = "every file of it with weights"
		}
		out = append(out, Sentence{Text: fmt.Sprintf("Records about its files count as well, if those of one signer together name %s, by path and digest.", files)})
	}
	for _, c := range s.carries {
		added := "nothing was added"
		if len(c.added) > 0 {
			added = "nothing was added but files of the kind " + either(c.added)
		}
		out = append(out, Sentence{Text: fmt.Sprintf("Records about what %s made it from count as well, if every file of that is still in it, under the same path, and %s.", c.step, added)})
	}
	return out
}

// explainRules says which expressions must be true.
func (d *document) explainRules(s *step) []Sentence {
	var out []Sentence
	variables := "“predicate” is what it says"
	if len(d.contexts) > 0 {
		variables += ", “context” the context that is asked about"
	}
	if len(s.rules) > 0 {
		rules := Sentence{Text: "Each of these must be true of a record (" + variables + "), or it fails with the words beside it:"}
		for _, r := range s.rules {
			rules.Parts = append(rules.Parts, Sentence{Text: r.explain() + ": " + quoted(r.message), Expression: r.cel.source})
		}
		out = append(out, rules)
	}
	if len(s.compare) > 0 {
		compare := Sentence{Text: "Each of these must be true of a record and every single record that counts for another step (" + variables + ", “other” what that one says). It also fails if there is none to compare with:"}
		for _, c := range s.compare {
			text := fmt.Sprintf("%s, with %s: %s", c.explain(), c.with, quoted(c.message))
			if len(c.sameInputs) > 0 {
				text += ". Both must have taken in the same " + both(c.sameInputs)
			}
			compare.Parts = append(compare.Parts, Sentence{Text: text, Expression: c.cel.source})
		}
		out = append(out, compare)
	}
	return out
}

// explain names a rule, and what it serves.
func (r *rule) explain() string {
	if len(r.controls) == 0 {
		return r.id
	}
	return r.id + " (for " + both(r.controls) + ")"
}

// explainAge says how old, and of which version, a record must be.
func explainAge(s *step) []Sentence {
	var out []Sentence
	add := func(format string, args ...any) {
		out = append(out, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	if s.minVersion != nil {
		add("A record must state the version %s or a later one.", s.minVersion)
	}
	if s.minAge > 0 {
		add("When the question is asked, a record that counts is at least %s old.", exactly(s.minAge))
	}
	if s.maxAge > 0 {
		add("When the question is asked, a record that counts is at most %s old.", exactly(s.maxAge))
	}
	if len(s.before) > 0 {
		add("A record must not be younger than the start of any recorded run of %s, and there must be one.", either(s.before))
	}
	return out
}

// place says what a step has to do with the judged artifact.
func (d *document) place(s *step) string {
	must, where := "must", d.placeContexts(s)
	if d.consulted(s.name) {
		must, where = "may", ""
	}
	if s.about == aboutArtifact {
		return must + " be said about the judged artifact" + where
	}
	if s.about != "" {
		return must + " be said about everything in the ancestry that " + s.about + " makes" + where
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
	if len(uses) == 0 {
		return "makes what other steps speak of" // reached by carriesOver alone
	}
	return "makes " + both(uses)
}

// placeContexts says in which contexts a step is asked for; nothing if in all.
func (d *document) placeContexts(s *step) string {
	var in []string
	for _, c := range d.contexts {
		if slices.Contains(c.require, s.name) {
			in = append(in, c.name)
		}
	}
	if len(in) == 0 {
		return ""
	}
	return ", if the context is " + either(in)
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
	if len(s.roles) > 0 {
		var parts []string
		for _, p := range s.roles {
			parts = append(parts, fmt.Sprintf("%d as %s", p.n, p.role))
		}
		out = append(out, Sentence{Text: fmt.Sprintf("Among them there must be %s; nobody counts for two. A record that names a role counts in that role only.", both(parts))})
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
	case predicate.TypePreregistration:
		return fmt.Sprintf("a plan that was registered beforehand (%s)", s.predicate)
	case predicate.TypeOMS:
		return fmt.Sprintf("a signature over files (%s)", s.predicate)
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

// explainApproval says what holds of approvals, some of it without being
// written in the policy.
func explainApproval(s *step) []Sentence {
	var out []Sentence
	add := func(format string, args ...any) {
		out = append(out, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	if len(s.basis) > 0 {
		when := "that counted when it was given"
		if s.rebase {
			when = "that count when the question is asked, so that a new one there needs a new record here"
		}
		add("Each record must name the very records of %s %s. All that it names must be there, be genuine, and not be younger than it.", both(s.basis), when)
	}
	if s.samePolicy {
		add("Each record must have been given under this very policy, and name it by its digest.")
	}
	switch c := s.conditions; {
	case s.predicate != predicate.TypeApproval:
	case c == nil:
		add("An approval that sets conditions, or whose own validity is over, does not count.")
	default:
		until := ""
		if c.untilDue {
			until = ", or is not due yet"
		}
		add("An approval that sets conditions counts only if each of them is said to be met by a record that counts for %s%s. One whose own validity is over does not count.", c.dischargedBy, until)
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
