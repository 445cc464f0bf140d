package policy

import (
	"fmt"
	"slices"
	"strings"
)

func (d *document) explainDenials() Section {
	s := Section{Title: "What is denied"}
	for _, x := range d.deny {
		if x.list != "" {
			s.Sentences = append(s.Sentences, Sentence{Text: fmt.Sprintf("Nothing in the ancestry, and no file in it, may be on the deny list %s. The newest list counts that %s signed. If there is none, or it is over or more than %s old, the answer is no.",
				x.list, atLeast(x.threshold, x.by), exactly(x.maxAge))})
			continue
		}
		out := Sentence{Text: fmt.Sprintf("Nothing in the ancestry, and no file in it, may be one of these, because of: %s", quoted(x.reason))}
		for _, a := range x.artifacts {
			out.Parts = append(out.Parts, Sentence{Text: a.String()})
		}
		s.Sentences = append(s.Sentences, out)
	}
	return s
}

// atLeast names who does something together.
func atLeast(n int, names []string) string {
	if n < 2 {
		return either(names)
	}
	return fmt.Sprintf("at least %d of %s", n, both(names))
}

// explainWithdrawals says who may withdraw what, and what comes of it.
func (d *document) explainWithdrawals() Section {
	s := Section{Title: "What may be withdrawn"}
	if len(d.revocation) == 0 {
		return s
	}
	add := func(format string, args ...any) {
		s.Sentences = append(s.Sentences, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	words := map[string]string{revokeArtifact: "artifacts", revokePayload: "records", revokeKey: "keys"}
	who := Sentence{Text: "These may withdraw something, hold it back until it is clear, or name what takes its place, and take that back again:"}
	var reasons []string
	for _, v := range d.revocation {
		var what []string
		for _, kind := range v.of {
			what = append(what, words[kind])
		}
		who.Parts = append(who.Parts, Sentence{Text: atLeast(v.threshold, v.by) + ": " + both(what)})
		if v.acknowledge != "" {
			reasons = append(reasons, quoted(v.acknowledge))
		}
	}
	s.Sentences = append(s.Sentences, who)
	add("Whoever signed a record may withdraw it, too. A record that is withdrawn, held back or replaced counts as if it were not there; a no that was said is taken back that way only.")
	add("If the judged artifact, or anything that it was made from, is withdrawn or held back, the answer is no. If something else takes its place, the answer is no only for the judged artifact itself.")
	add("What was signed with a withdrawn key counts only if somebody else confirmed that it existed before.")
	if len(d.policies) > 0 {
		add("This holds for what other teams' policies judge as well.")
	}
	switch {
	case len(reasons) == 0:
		add("If nothing shows that no withdrawal is hidden, the answer is open.")
	case !d.revocationAcknowledged():
		add("A reason why a hidden withdrawal is accepted is given for a part only (%s), so the status must show for all that none is hidden.", strings.Join(reasons, ", "))
	}
	return s
}

// explainStatus says who shows that nothing was removed, and for what it is needed.
func (d *document) explainStatus() Section {
	s := Section{Title: "What shows that nothing was removed"}
	if d.status == nil {
		return s
	}
	over := "or it is over"
	if d.status.maxAge > 0 {
		over += " or more than " + exactly(d.status.maxAge) + " old"
	}
	s.Sentences = []Sentence{
		{Text: fmt.Sprintf("Whoever can write to the registry could have removed records. A status is a signed list of all records about the judged artifact and what is behind it. Only %s may publish one, and the one with the highest number counts.", either(d.status.by))},
		{Text: fmt.Sprintf("If there is none, %s, the answer is no. If a record that it lists is not there, or a higher number was seen before, the answer is open.", over)},
	}
	needed := Sentence{Text: "These rest on nothing having been removed. Where the status does not list what there is, the answer is open:"}
	for _, st := range d.outward() {
		if why := d.absences(st); len(why) > 0 && st.acknowledge == "" {
			needed.Parts = append(needed.Parts, Sentence{Text: st.name + ": " + strings.Join(why, "; ")})
		}
	}
	if slices.ContainsFunc(d.deny, func(x *denial) bool { return x.acknowledge == "" }) {
		needed.Parts = append(needed.Parts, Sentence{Text: "what is denied: nothing denied, and no newer list, is hidden"})
	}
	if d.access != nil && d.access.acknowledge == "" {
		needed.Parts = append(needed.Parts, Sentence{Text: "what access it may be granted: no grant is hidden"})
	}
	if len(d.revocation) > 0 && !d.revocationAcknowledged() {
		needed.Parts = append(needed.Parts, Sentence{Text: "what may be withdrawn: no withdrawal is hidden"})
	}
	for _, o := range d.policies {
		if o.vsa != nil && o.vsa.acknowledge == "" {
			needed.Parts = append(needed.Parts, Sentence{Text: "summaries for " + o.name + ": no newer summary, and nothing against it, is hidden"})
		}
	}
	if len(needed.Parts) > 0 {
		s.Sentences = append(s.Sentences, needed)
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
	switch {
	case !d.trust.IsZero():
		add("Whose certificates are whose, and when something was there, is the word of the authorities in the trust file %s, and in no other.", d.trust)
	case d.identities():
		add("Whose certificates are whose, and when something was there, is the word of the authorities in a trust file, which the one who asks chooses.")
	}
	origins := false
	for _, st := range d.outward() {
		for _, l := range st.inputs {
			origins = origins || l.origin != nil
			if l.accept {
				add("%s takes any %s, whatever it is. The reason given: %s", st.name, l.named(), quoted(l.reason))
			}
		}
	}
	if absences := d.acknowledged(); len(absences.Parts) > 0 {
		s.Sentences = append(s.Sentences, absences)
	}
	if origins {
		add("Where an input is said to come from a place, that is the word of whoever signed the record; nobody looks there.")
	}
	for _, o := range d.policies {
		if o.vsa != nil {
			add("That something passed the policy %s may be the word of %s (a summary).", o.name, either(o.vsa.by))
		}
		if o.policy == nil {
			continue
		}
		if theirs := o.policy.doc.explainTrust().Sentences; len(theirs) > 0 {
			s.Sentences = append(s.Sentences, Sentence{Text: "The policy " + o.name + " takes this on trust in its turn:", Parts: theirs})
		}
	}
	return s
}

// acknowledged lists what rests on absence for a reason that the policy gives.
func (d *document) acknowledged() Sentence {
	out := Sentence{Text: "Whoever can write to the registry could have removed records. These rest on nothing having been removed, and the policy gives a reason why that is accepted:"}
	add := func(format string, args ...any) {
		out.Parts = append(out.Parts, Sentence{Text: fmt.Sprintf(format, args...)})
	}
	for _, o := range d.policies {
		if o.vsa != nil && o.vsa.acknowledge != "" {
			add("summaries for %s: no newer summary, and nothing against it, is hidden. The reason given: %s", o.name, quoted(o.vsa.acknowledge))
		}
	}
	for _, st := range d.outward() {
		if st.acknowledge == "" {
			continue
		}
		rests := "nothing in particular"
		if why := d.absences(st); len(why) > 0 {
			rests = strings.Join(why, "; ")
		}
		add("%s, which rests on %s: %s", st.name, rests, quoted(st.acknowledge))
	}
	for _, x := range d.deny {
		switch {
		case x.acknowledge == "":
		case x.list != "":
			add("the deny list %s, which rests on nothing denied and no newer list being hidden: %s", x.list, quoted(x.acknowledge))
		default:
			add("what is denied (%s), which rests on nothing being hidden: %s", x.reason, quoted(x.acknowledge))
		}
	}
	if d.access != nil && d.access.acknowledge != "" {
		add("what access it may be granted, which rests on no grant being hidden: %s", quoted(d.access.acknowledge))
	}
	if d.revocationAcknowledged() {
		for _, v := range d.revocation {
			add("what %s may withdraw, which rests on no withdrawal being hidden: %s", either(v.by), quoted(v.acknowledge))
		}
	}
	return out
}
