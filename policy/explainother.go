package policy

import "fmt"

// explainOthers says what other teams' policies decide.
func (d *document) explainOthers() Section {
	s := Section{Title: "What other policies decide"}
	for _, o := range d.policies {
		out := Sentence{Text: fmt.Sprintf("%s is a policy (%s) that is not at hand. What it is to allow must have a summary.", o.name, o.digest)}
		if o.policy != nil {
			p := o.policy.doc
			out.Text = fmt.Sprintf("%s is the policy %s, version %d (%s). It asks for all that it says of what it is to allow; pedigree policy explain %s tells what. %s", o.name, p.name, p.version, o.digest, o.file, p.validity())
		}
		if o.context != "" {
			out.Parts = append(out.Parts, Sentence{Text: "It is asked about the context " + o.context + "."})
		}
		if v := o.vsa; v != nil {
			text := fmt.Sprintf("A summary is a signed verdict that a model passed this very policy. It counts if %s signed it, as the verifier %s, about %s (and the very artifact), and it is at most %s old. Of each, the newest counts.", either(v.by), v.verifier, v.resource, exactly(v.maxAge))
			if o.policy != nil {
				text += " It takes the place of records that are missing, and counts for nothing where a record says no."
			}
			if len(v.levels) > 0 {
				text += " It must show " + both(v.levels) + "."
			}
			out.Parts = append(out.Parts, Sentence{Text: text})
		}
		s.Sentences = append(s.Sentences, out)
	}
	return s
}

// explainFormats says what files the judged artifact may consist of.
func (d *document) explainFormats() Section {
	s := Section{Title: "What files it may consist of"}
	f := d.formats
	if f == nil {
		return s
	}
	add := func(format string, args ...any) {
		s.Sentences = append(s.Sentences, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	add("Every file with weights must be a sound file of the format %s, and there must be one. A file whose name tells nothing else is taken for weights.", either(f.weights))
	if f.scan == "" {
		add("This is told by their bytes. If these are not given, the answer is open.")
	} else {
		add("This is told by their bytes. If these are not given, it is the word of %s, which must pass.", f.scan)
	}
	add("No file whose bytes are given may be of a format that can run something when it is loaded.")
	if len(f.kinds) > 0 {
		add("Each file must be of the kind %s, by its name.", either(f.kinds))
	}
	return s
}
