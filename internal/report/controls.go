package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// A Controls is a verdict seen from the controls that the policy says it serves:
// for each, which rules and steps answered it, with what evidence. Nothing is
// judged again.
type Controls struct {
	Outcome  policy.Outcome   `json:"outcome"`
	Artifact attest.Digest    `json:"artifact"`
	Policy   policy.PolicyRef `json:"policy"`
	At       time.Time        `json:"at"`
	Context  string           `json:"context,omitempty"`
	Controls []Control        `json:"controls"`
	// Note says what the view is not.
	Note string `json:"note"`
}

// controlsNote ends every controls view.
const controlsNote = "An answer says which signed evidence speaks to a control, and how the policy judged it; whether the control is met is for whoever audits it."

// A Control is one control and everything in the verdict that answers it.
type Control struct {
	ID string `json:"id"`
	// Framework, Asks and Evidence are the table's words; empty for an id that the
	// table does not have.
	Framework string `json:"framework,omitempty"`
	Asks      string `json:"asks,omitempty"`
	Evidence  string `json:"evidence,omitempty"`
	// Status is the weakest of the answers, and of the requirements they belong to.
	// Without an answer it is fail, or unknown where the step's own answer is.
	Status   policy.Status    `json:"status"`
	Answers  []ControlAnswer  `json:"answers"`
	Unproven []ControlMissing `json:"unanswered,omitempty"`
}

// A ControlAnswer is one rule, or one step, answered by one piece of evidence.
type ControlAnswer struct {
	Step     string        `json:"step"`
	Rule     string        `json:"rule,omitempty"`
	Artifact attest.Digest `json:"artifact"`
	Status   policy.Status `json:"status"`
	// StepStatus is the answer to the whole step: a rule may hold on evidence that
	// does not count for another reason.
	StepStatus policy.Status  `json:"stepStatus"`
	Payload    attest.Digest  `json:"payload"`
	Principal  string         `json:"principal,omitempty"`
	Claimed    *time.Time     `json:"claimed,omitempty"`
	Values     []policy.Value `json:"values,omitempty"`
}

// A ControlMissing is a place where the policy names the control and the verdict
// has no answer.
type ControlMissing struct {
	Step string `json:"step"`
	Rule string `json:"rule,omitempty"`
	Why  string `json:"why"`
	Next string `json:"next,omitempty"`
}

// ControlsOf turns a verdict around. The uses are those of the policy that
// judged ([policy.Policy.ControlUses]): an id that got no answer is in the view
// too, as a gap.
func ControlsOf(v *policy.Verdict, uses []policy.ControlUse) *Controls {
	view := &Controls{Outcome: v.Outcome, Artifact: v.Artifact, Policy: v.Policy, At: v.At, Context: v.Context, Controls: []Control{}, Note: controlsNote}
	known := policy.KnownControls()
	entry := func(id string) *Control {
		i := slices.IndexFunc(view.Controls, func(c Control) bool { return c.ID == id })
		if i < 0 {
			c := Control{ID: id, Status: policy.Pass, Answers: []ControlAnswer{}}
			if k := slices.IndexFunc(known, func(k policy.Control) bool { return k.ID == id }); k >= 0 {
				c.Framework, c.Asks, c.Evidence = known[k].Framework, known[k].Asks, known[k].Evidence
			}
			i, view.Controls = len(view.Controls), append(view.Controls, c)
		}
		return &view.Controls[i]
	}
	for _, r := range v.Requirements {
		for _, rule := range r.Rules {
			for _, id := range rule.Controls {
				entry(id).answer(r, ControlAnswer{Step: r.Step, Rule: rule.ID, Artifact: r.Artifact, Status: rule.Status, Payload: rule.Payload, Values: rule.Values})
			}
		}
		for _, id := range r.Controls {
			for _, s := range r.Selected {
				entry(id).answer(r, ControlAnswer{Step: r.Step, Artifact: r.Artifact, Status: s.Status, Payload: s.Payload})
			}
		}
	}
	for _, u := range uses {
		entry(u.ID).missing(v, u)
	}
	for i := range view.Controls {
		// Without any answer it is a gap, unless the step's own answer is open.
		if c := &view.Controls[i]; len(c.Answers) == 0 && c.Status != policy.Unknown {
			c.Status = policy.Fail
		}
	}
	slices.SortFunc(view.Controls, func(a, b Control) int { return strings.Compare(a.ID, b.ID) })
	return view
}

// answer adds one answer, with who signed the evidence and when.
func (c *Control) answer(r policy.Requirement, a ControlAnswer) {
	a.StepStatus = r.Status
	for _, s := range r.Selected {
		if s.Payload != a.Payload {
			continue
		}
		a.Principal = s.Principal
		if !s.Claimed.IsZero() {
			t := s.Claimed.UTC()
			a.Claimed = &t
		}
		break
	}
	c.Answers = append(c.Answers, a)
	c.Status = min(c.Status, a.Status, a.StepStatus)
}

// missing notes a place of the policy that nothing in the verdict answers.
func (c *Control) missing(v *policy.Verdict, u policy.ControlUse) {
	if slices.ContainsFunc(c.Answers, func(a ControlAnswer) bool { return a.Step == u.Step && a.Rule == u.Rule }) {
		return
	}
	m := ControlMissing{Step: u.Step, Rule: u.Rule, Why: "the step was not asked for here"}
	for _, r := range v.Requirements {
		if r.Step != u.Step {
			continue
		}
		m.Why = "no evidence was selected"
		c.Status = min(c.Status, r.Status)
		for _, reason := range r.Reasons {
			if m.Why, m.Next = string(reason.Code)+" "+reason.Why, reason.Next; m.Next != "" {
				break
			}
		}
		break
	}
	c.Unproven = append(c.Unproven, m)
}

// ControlsJSON writes the view as JSON. The error is the writer's.
func ControlsJSON(w io.Writer, view *Controls) error { return indentedJSON(w, view) }

// indentedJSON writes a value as a document with a final line feed. Expressions
// are shown as they are: >= stays >=.
func indentedJSON(w io.Writer, x any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(x); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ControlsText writes the view for people. The error is the writer's.
func ControlsText(w io.Writer, view *Controls, o Options) error {
	p := newPrinter(o)
	p.line("%s  %s", p.outcome(view.Outcome), p.paint(bold, view.Artifact.String()))
	p.b.WriteByte('\n')
	if o.Reference != "" {
		p.line("  artifact  %s", clean(o.Reference))
	}
	p.line("  policy    %s version %d, %s", clean(view.Policy.Name), view.Policy.Version, view.Policy.Digest)
	p.line("  judged    at %s", when(view.At))
	if view.Context != "" {
		p.line("  context   %s", clean(view.Context))
	}
	open := 0
	for _, c := range view.Controls {
		if c.Status != policy.Pass {
			open++
		}
	}
	switch {
	case len(view.Controls) == 0:
		p.section("Controls: the policy names none")
	case open == 0:
		p.section(fmt.Sprintf("Controls: %d, all answered", len(view.Controls)))
	default:
		p.section(fmt.Sprintf("Controls: %d, of them %d without an answer that holds", len(view.Controls), open))
	}
	for _, c := range view.Controls {
		p.control(c)
	}
	p.b.WriteByte('\n')
	p.wrap("", 0, dim, view.Note)
	return p.flush(w)
}

func (p *printer) control(c Control) {
	p.line("  %s %s", p.mark(c.Status), p.paint(bold, clean(c.ID)))
	if c.Asks != "" {
		p.wrap("      ", 6, dim, c.Framework+": "+c.Asks)
		p.wrap("      ", 6, dim, "a chain can show: "+c.Evidence)
	}
	for _, a := range c.Answers {
		p.wrap("      "+p.mark(a.Status)+" ", 8, plain, a.text())
		if a.Status == policy.Pass && a.StepStatus != policy.Pass {
			p.wrap("        ", 8, plain, fmt.Sprintf("and the step %s as a whole: %s", clean(a.Step), a.StepStatus))
		}
	}
	for _, m := range c.Unproven {
		p.wrap("      "+p.paint(red, "-")+" ", 8, plain, clean(join(m.Step, m.Rule)+" has no answer: "+m.Why))
		if m.Next != "" {
			p.wrap("        → ", 10, plain, clean(m.Next))
		}
	}
}

func join(step, rule string) string { return strings.TrimSpace(step + " " + rule) }

func (a ControlAnswer) text() string {
	parts := []string{join(a.Step, a.Rule) + " of " + a.Artifact.Short()}
	for _, v := range a.Values {
		parts = append(parts, label(v.Expression)+" "+v.Value)
	}
	if a.Principal != "" {
		parts = append(parts, "signed by "+a.Principal)
	}
	if a.Claimed != nil {
		parts = append(parts, when(*a.Claimed))
	}
	return clean(strings.Join(append(parts, "payload "+a.Payload.Short()), ", "))
}
