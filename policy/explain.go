package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Explanation is a policy in plain sentences, for those who sign it off and
// do not read YAML. It begins with what is judged and goes outward from there:
// what must be said about the judged artifact, what made it, what made that.
//
// It is worked out from the loaded policy and holds everything that the policy
// asks: a key of the language that changes no sentence is a bug, and a test
// looks for one.
type Explanation struct {
	Policy   PolicyRef `json:"policy"`
	Sections []Section `json:"sections"`
}

// A Section is one part of an explanation.
type Section struct {
	Title string `json:"title"`
	// Step is the policy's step that the section is about; empty for the others.
	Step      string     `json:"step,omitempty"`
	Sentences []Sentence `json:"sentences"`
}

// A Sentence is one thing that the policy says.
type Sentence struct {
	Text string `json:"text"`
	// Expression is the condition that the text speaks of, as it is written in the
	// policy; it may have several lines.
	Expression string `json:"expression,omitempty"`
	// Parts are what the text introduces, such as the inputs or the rules.
	Parts []Sentence `json:"parts,omitempty"`
}

// Explain says in plain sentences what the policy asks. It reads no clock: until
// when the policy holds is told, and never whether it still does. Of the zero
// Policy it says that it denies everything.
func (p *Policy) Explain() Explanation {
	if p == nil || p.doc == nil {
		return Explanation{Sections: []Section{{Title: "What is judged", Sentences: []Sentence{{Text: "There is no policy, so everything is denied."}}}}}
	}
	d := p.doc
	e := Explanation{Policy: PolicyRef{Name: d.name, Version: d.version, Digest: p.digest, Expires: d.expires.UTC()}}
	add := func(s Section) {
		if len(s.Sentences) > 0 {
			e.Sections = append(e.Sections, s)
		}
	}
	add(p.explainJudged())
	add(d.explainPrincipals())
	for _, s := range d.outward() {
		add(d.explainStep(s))
	}
	add(d.explainDenials())
	add(d.explainTrust())
	add(d.explainReach())
	limits := Section{Title: "What this cannot show"}
	for _, s := range notProven {
		limits.Sentences = append(limits.Sentences, Sentence{Text: s})
	}
	add(limits)
	return e
}

func (p *Policy) explainJudged() Section {
	d := p.doc
	s := Section{Title: "What is judged"}
	what := "what the step " + d.artifact[0] + " makes"
	if len(d.artifact) > 1 {
		what = "what one of the steps " + either(d.artifact) + " makes"
	}
	s.Sentences = []Sentence{
		{Text: fmt.Sprintf("This is the policy %s, version %d. It judges %s.", d.name, d.version, what)},
		{Text: "A record is a signed statement about one artifact: a model, a data set, or anything else that the digest of its bytes names."},
		{Text: "The policy allows only if everything below is shown by records. It denies if something is not, and is undecided if records that could not be seen might change the answer."},
		{Text: fmt.Sprintf("It holds until %s. After that it allows nothing.", calendar(d.expires))},
		{Text: fmt.Sprintf("Its digest is %s. Verdicts and approvals name it by this, and a policy that asks for something else has another.", p.digest)},
	}
	if d.description != "" {
		s.Sentences = append(s.Sentences, Sentence{Text: "Its authors describe it so: " + quoted(d.description)})
	}
	return s
}

// people are the kinds of principals in words: of one, and of several.
func people(kind string) (one, many string) {
	switch kind {
	case "human":
		return "a person", "people"
	case "workload":
		return "an automated system", "automated systems"
	case "agent":
		return "a software agent", "software agents"
	}
	return kind, kind
}

func (d *document) explainPrincipals() Section {
	s := Section{Title: "Who is who"}
	intro := Sentence{Text: "Only what these sign counts. That each holds the key beside the name is this policy's word:"}
	for _, p := range d.principals {
		one, _ := people(p.kind)
		var keys []string
		for _, c := range p.credentials {
			keys = append(keys, c.String())
		}
		intro.Parts = append(intro.Parts, Sentence{Text: fmt.Sprintf("%s, %s: %s", p.name, one, strings.Join(keys, ", "))})
	}
	s.Sentences = []Sentence{intro}
	return s
}

// outward orders the steps from the judged artifact back to where its chain
// ends; what is said about an artifact stands behind what made it.
func (d *document) outward() []*step {
	var order []*step
	add := func(s *step) {
		if s != nil && !slices.Contains(order, s) {
			order = append(order, s)
		}
	}
	about := func(name string) {
		for _, s := range d.steps {
			if s.about == name {
				add(s)
			}
		}
	}
	for _, name := range d.artifact {
		add(d.step(name))
	}
	about(aboutArtifact)
	for _, name := range d.artifact {
		about(name)
	}
	for i := 0; i < len(order); i++ {
		for _, l := range order[i].inputs {
			for _, name := range l.from {
				add(d.step(name))
				about(name)
			}
		}
	}
	for _, s := range d.steps { // none is left: Load refuses steps that nothing reaches
		add(s)
	}
	return order
}

func (d *document) explainDenials() Section {
	s := Section{Title: "What is denied"}
	for _, x := range d.deny {
		out := Sentence{Text: fmt.Sprintf("Nothing in the ancestry, and no file in it, may be one of these, because of: %s", quoted(x.reason))}
		for _, a := range x.artifacts {
			out.Parts = append(out.Parts, Sentence{Text: a.String()})
		}
		s.Sentences = append(s.Sentences, out)
	}
	return s
}

// explainTrust collects what the policy accepts without proof, wherever it says
// so: whoever signs the policy off answers for this list.
func (d *document) explainTrust() Section {
	s := Section{Title: "What is taken on trust"}
	add := func(format string, args ...any) {
		s.Sentences = append(s.Sentences, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	if d.unsafeTime {
		add("When something happened is the word of whoever signed that it did; nobody else confirms it (unsafeTime: claimed).")
	}
	absences := Sentence{Text: "Whoever can write to the registry could have removed records. These rest on nothing having been removed, and the policy gives a reason why that is accepted:"}
	origins := false
	for _, st := range d.outward() {
		for _, l := range st.inputs {
			origins = origins || l.origin != nil
			if l.accept {
				add("%s takes any %s, whatever it is. The reason given: %s", st.name, l.named(), quoted(l.reason))
			}
		}
		rests := "nothing in particular"
		if why := d.absences(st); len(why) > 0 {
			rests = strings.Join(why, "; ")
		}
		if st.acknowledge != "" {
			absences.Parts = append(absences.Parts, Sentence{Text: fmt.Sprintf("%s, which rests on %s: %s", st.name, rests, quoted(st.acknowledge))})
		}
	}
	for _, x := range d.deny {
		absences.Parts = append(absences.Parts, Sentence{Text: fmt.Sprintf("what is denied (%s), which rests on nothing being hidden: %s", x.reason, quoted(x.acknowledge))})
	}
	if len(absences.Parts) > 0 {
		s.Sentences = append(s.Sentences, absences)
	}
	if origins {
		add("Where an input is said to come from a place, that is the word of whoever signed the record; nobody looks there.")
	}
	return s
}

// explainReach says where evidence is looked for and how far.
func (d *document) explainReach() Section {
	s := Section{Title: "Where it looks, and how far"}
	add := func(format string, args ...any) {
		s.Sentences = append(s.Sentences, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	places := append([]string{"the artifact's own repository"}, repositories(d)...)
	add("Records are looked for in %s, and wherever the one who asks points to. Where a record lies proves nothing: its signature counts.", both(places))
	if !d.unsafeTime {
		add("A record counts only if somebody other than its signer confirmed when it existed.")
	}
	if len(d.sharedFiles) > 0 {
		out := Sentence{Text: "These files may occur anywhere, also where things must have nothing in common:"}
		for _, f := range d.sharedFiles {
			out.Parts = append(out.Parts, Sentence{Text: f.String()})
		}
		s.Sentences = append(s.Sentences, out)
	}
	w := d.limits.walk
	for _, l := range []struct {
		set  bool
		text string
	}{
		{w.Depth != 0, fmt.Sprintf("%d steps back", w.Depth)},
		{w.PerArtifact != 0, fmt.Sprintf("%d records about one artifact", w.PerArtifact)},
		{w.Attestations != 0, fmt.Sprintf("%d records in all", w.Attestations)},
		{w.Bytes != 0, fmt.Sprintf("%d bytes of records", w.Bytes)},
		{w.Inputs != 0, fmt.Sprintf("%d inputs of one record", w.Inputs)},
		{w.Time != 0, exactly(w.Time) + " of looking"},
	} {
		if l.set {
			add("It looks at no more than %s; what lies beyond counts as unseen.", l.text)
		}
	}
	if d.limits.celCost != defaultCELCost {
		add("A condition that takes more than %d units of work to evaluate fails.", d.limits.celCost)
	}
	return s
}

func quoted(s string) string { return "“" + s + "”" }

func calendar(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05") + " UTC" }

// either joins names of which one is enough, both those that are all meant.
func either(names []string) string { return joined(names, "or") }
func both(names []string) string   { return joined(names, "and") }

func joined(names []string, word string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}

// exactly writes a duration without rounding, in the largest unit that divides it.
func exactly(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.unit; d%u.unit == 0 {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return d.String()
}
