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
	add(d.explainOthers())
	add(d.explainFormats())
	add(d.explainAccess())
	add(d.explainDenials())
	add(d.explainWithdrawals())
	add(d.explainStatus())
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
		{Text: d.validity()},
		{Text: fmt.Sprintf("Its digest is %s. Verdicts and approvals name it by this, and a policy that asks for something else has another.", p.digest)},
	}
	if d.description != "" {
		s.Sentences = append(s.Sentences, Sentence{Text: "Its authors describe it so: " + quoted(d.description)})
	}
	if len(d.contexts) > 0 {
		out := Sentence{Text: "It is asked about one of these contexts, and denies if none or another is named. A step that one of them lists is asked for only where it is listed, any other step always:"}
		for _, c := range d.contexts {
			lists := "none"
			if len(c.require) > 0 {
				lists = both(c.require)
			}
			out.Parts = append(out.Parts, Sentence{Text: c.name + " lists " + lists})
		}
		s.Sentences = append(s.Sentences, out)
	}
	return s
}

func (d *document) validity() string {
	if d.notBefore.IsZero() {
		return fmt.Sprintf("It holds until %s. After that it allows nothing.", calendar(d.expires))
	}
	return fmt.Sprintf("It holds from %s until %s. Before and after that it allows nothing.", calendar(d.notBefore), calendar(d.expires))
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
	if d.identities() {
		intro.Text = "Only what these sign counts. That each holds the key, or has the identity, beside the name is this policy's word. In a pattern * stands for any run of characters but a slash, ** for any; what is in brackets the certificate must say as well:"
	}
	for _, p := range d.principals {
		one, _ := people(p.kind)
		if len(p.roles) > 0 {
			one += ", who may sign as " + either(p.roles)
		}
		var keys []string
		for _, c := range p.credentials {
			keys = append(keys, c.shown()+c.window.explain())
		}
		intro.Parts = append(intro.Parts, Sentence{Text: fmt.Sprintf("%s, %s: %s", p.name, one, strings.Join(keys, ", "))})
	}
	s.Sentences = []Sentence{intro}
	return s
}

// explain says in brackets when a key counts, and nothing if it always does.
func (w window) explain() string {
	var parts []string
	if !w.from.IsZero() {
		parts = append(parts, "counts from "+calendar(w.from))
	}
	if !w.until.IsZero() {
		parts = append(parts, "counts until "+calendar(w.until))
	}
	if !w.compromised.IsZero() {
		parts = append(parts, "somebody else may hold it since "+calendar(w.compromised)+": counts only for what somebody confirmed to have existed before")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
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

// explainReach says where evidence is looked for and how far.
func (d *document) explainReach() Section {
	s := Section{Title: "Where it looks, and how far"}
	add := func(format string, args ...any) {
		s.Sentences = append(s.Sentences, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	places := append([]string{"the artifact's own repository"}, repositories(d)...)
	add("Records are looked for in %s, and wherever the one who asks points to. Where a record lies proves nothing: its signature counts.", both(places))
	for _, o := range d.policies {
		if o.policy == nil {
			continue
		}
		if more := repositories(o.policy.doc); len(more) > 0 {
			add("For the policy %s they are looked for in %s as well.", o.name, both(more))
		}
	}
	if !d.unsafeTime {
		add("A record counts only if somebody other than its signer confirmed when it existed.")
	}
	if d.maxLag != defaultMaxLag {
		add("A record may not claim to be more than %s older than it was first confirmed to be.", exactly(d.maxLag))
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
		add("What a condition says that takes more than %d units of work to evaluate is open; the answer is not ALLOW then.", d.limits.celCost)
	}
	if n := d.limits.policies; n != maxPolicyDepth {
		add("No more than %d policies may name each other in a row.", n)
	}
	if n := d.limits.requirements; n != defaultRequirements {
		add("If more than %d answers would be needed, the answer is open.", n)
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
