package policy

import (
	"cmp"
	"slices"
	"strings"
)

// A Control is one requirement of a framework or law that a chain of signed
// records can help to answer. The wording is this program's own; what a control
// says in full stands in the framework itself.
type Control struct {
	ID        string // as policies write it, FRAMEWORK:NUMBER
	Framework string // the framework's name and edition
	Asks      string // what it asks, in a few words
	Evidence  string // what in a chain, or about one, speaks to it
}

// KnownControls returns the table of controls, sorted by framework and number as
// the frameworks count. The copy is the caller's.
func KnownControls() []Control {
	var out []Control
	for _, f := range frameworks() {
		for _, row := range f.rows {
			out = append(out, Control{ID: f.prefix + ":" + row.number, Framework: f.name, Asks: row.asks, Evidence: row.evidence})
		}
	}
	return out
}

// A framework is one source of controls. `also` are numbers that exist and to
// which a chain has nothing of its own to say; with them the list is whole if
// `whole` says so, and a number that is in neither place is a slip.
type framework struct {
	prefix string
	name   string
	whole  bool
	rows   []controlRow
	also   []string
}

type controlRow struct{ number, asks, evidence string }

func (f framework) numbers() []string {
	out := slices.Clone(f.also)
	for _, r := range f.rows {
		out = append(out, r.number)
	}
	return out
}

// CheckControl reports whether a policy may name a control by this id. An id of
// a framework that the table does not know is the organisation's own, and fine.
// An unknown id within a known framework is not, and neither is a known id under
// a misspelt framework; for these the nearest known id is returned, "" if
// nothing is near.
func CheckControl(id string) (ok bool, suggestion string) {
	verdict, near := checkControl(id)
	return verdict == controlFine, near
}

// What can be said about a control's id.
type controlCheck uint8

const (
	controlFine     controlCheck = iota
	controlWrong                 // it does not exist
	controlUnlisted              // the table has a part of this framework only, and not this one
)

func checkControl(id string) (controlCheck, string) {
	prefix, number, _ := strings.Cut(id, ":")
	all := frameworks()
	for _, f := range all {
		if f.prefix != prefix {
			continue
		}
		if slices.Contains(f.numbers(), number) {
			return controlFine, ""
		}
		near := ""
		if n := nearestNumber(number, f.numbers()); n != "" {
			near = f.prefix + ":" + n
		}
		if f.whole {
			return controlWrong, near
		}
		return controlUnlisted, near
	}
	for _, f := range all {
		// Another framework may be called almost alike: a slip in the name is one
		// only if the rest is a control of the framework that was meant.
		if almost(prefix, f.prefix) && slices.ContainsFunc(f.numbers(), func(n string) bool { return plainID(n) == plainID(number) }) {
			i := slices.IndexFunc(f.numbers(), func(n string) bool { return plainID(n) == plainID(number) })
			return controlWrong, f.prefix + ":" + f.numbers()[i]
		}
	}
	return controlFine, ""
}

// plainID is an id without what people write in different ways.
func plainID(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ._-()/", r) {
			return -1
		}
		return r
	}, strings.ToUpper(s))
}

// almost reports whether a framework's name is another one misspelt. Names that
// differ in a digit are different standards: ISO-27001 is not ISO-42001.
func almost(got, want string) bool {
	got, want = plainID(got), plainID(want)
	if digitsOf(got) != digitsOf(want) {
		return false
	}
	if len(want) < 7 {
		return got == want
	}
	return distance(got, want) <= 2
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// nearestNumber returns the known number that differs by least; of several, the
// one that agrees longest from the start, then the first in order.
func nearestNumber(got string, known []string) string {
	best, least, shared := "", 4, -1
	for _, k := range known {
		d := distance(plainID(got), plainID(k))
		if p := commonPrefix(got, k); d < least || d == least && (p > shared || p == shared && cmp.Less(k, best)) {
			best, least, shared = k, d, p
		}
	}
	return best
}

func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// A ControlUse is one place where a policy says that it serves a control.
type ControlUse struct {
	ID   string `json:"id"`
	Step string `json:"step"`
	Rule string `json:"rule,omitempty"` // "" if the step itself names it
}

// ControlUses returns where the policy and those that it names say that they
// serve controls, in their own order; what `like` copied counts where it was
// copied to. Steps of another policy begin with its name and a slash, as in
// verdicts. None for the zero Policy.
func (p *Policy) ControlUses() []ControlUse {
	if p == nil || p.doc == nil {
		return nil
	}
	var out []ControlUse
	for _, s := range p.doc.steps {
		for _, id := range s.controls {
			out = append(out, ControlUse{ID: id, Step: s.name})
		}
		for _, ru := range s.allRules() {
			for _, id := range ru.controls {
				out = append(out, ControlUse{ID: id, Step: s.name, Rule: ru.id})
			}
		}
	}
	for _, o := range p.doc.policies {
		for _, u := range o.policy.ControlUses() {
			u.Step = o.name + "/" + u.Step
			out = append(out, u)
		}
	}
	return out
}
