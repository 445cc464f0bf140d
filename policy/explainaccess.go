package policy

import "fmt"

// explainAccess says what the judged artifact may be granted.
func (d *document) explainAccess() Section {
	s := Section{Title: "What access it may be granted"}
	v := d.access
	if v == nil {
		return s
	}
	bound := Sentence{Text: "A grant is a signed record of what the judged artifact may use, and until when. No grant by anybody named here that holds may give more than this:"}
	add := func(format string, args ...any) {
		bound.Parts = append(bound.Parts, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	for _, t := range v.bound.Tools {
		if len(t.Operations) == 0 {
			add("the tool %s, for everything that it can do", t.Name)
		} else {
			add("the tool %s, for %s", t.Name, both(t.Operations))
		}
	}
	for _, x := range v.bound.Secrets {
		if x.Store == "" {
			add("the secret %s, wherever it is kept", x.Name)
		} else {
			add("the secret %s, kept in %s", x.Name, x.Store)
		}
	}
	for _, x := range v.bound.ExecutionPaths {
		add("the execution path %s, and all below it", x)
	}
	for _, x := range v.bound.DataScopes {
		add("the data scope %s, and all below it", x)
	}
	if len(bound.Parts) == 0 {
		bound.Text = "A grant is a signed record of what the judged artifact may use, and until when. No grant by anybody named here may give anything."
	}
	s.Sentences = []Sentence{
		bound,
		{Text: fmt.Sprintf("A grant may give on another one: signed by whom that one is for, giving no more, for no longer, and beginning with a grant by %s. If it does not, or the one that it gives on does not hold any more, the answer is no.", either(v.by))},
		{Text: "A grant that cannot be read makes the answer no."},
	}
	return s
}
