package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/admit"
	"github.com/pedigree-ml/pedigree/policy"
)

// yamlObject reads one object; nil if there is none. A key that is there twice is an
// error, because the API server and we might take different ones.
func yamlObject(doc []byte) (map[string]any, error) {
	b, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, err
	}
	if string(b) == "null" {
		return nil, nil
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, err
	}
	return out, nil
}

// A gateReport is what a gate would answer to some objects.
type gateReport struct {
	Outcome string         `json:"outcome"`
	Config  string         `json:"config"`
	Objects []objectReport `json:"objects"`

	outcome policy.Outcome
}

// An objectReport is what it would answer to one: ALLOW if it would be let in, whatever
// the mode of its rule.
type objectReport struct {
	Outcome    string            `json:"outcome"`
	File       string            `json:"file"`
	Kind       string            `json:"kind"`
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Rule       string            `json:"rule,omitempty"`
	Mode       string            `json:"mode,omitempty"`
	References []referenceReport `json:"references"`

	outcome policy.Outcome
}

// A referenceReport is about one reference.
type referenceReport struct {
	Place    string `json:"place,omitempty"`
	Text     string `json:"text,omitempty"`
	Standing string `json:"standing"`
	Line     int    `json:"line,omitempty"` // of the rule, from 1
	Policy   string `json:"policy,omitempty"`
	Context  string `json:"context,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	Artifact string `json:"artifact,omitempty"`
	Code     string `json:"code,omitempty"`
	Why      string `json:"why,omitempty"`
	Next     string `json:"next,omitempty"`
}

func (r *objectReport) add(s admit.Seen) {
	x := referenceReport{Place: attest.Printable(s.Place), Text: attest.Printable(s.Text), Standing: s.Standing.String()}
	if s.Rule != nil {
		r.Rule, r.Mode = s.Rule.Name, s.Rule.Mode.String()
		x.Line = 1 + slices.IndexFunc(s.Rule.Artifacts, func(l gate.ArtifactLine) bool { return s.Line != nil && sameLine(l, *s.Line) })
	}
	if g := s.Question.Ground; g != nil {
		x.Policy, x.Context = g.Name, s.Question.Context
		x.Outcome = s.Answer.Outcome.String()
		if !s.Answer.Reference.Digest.IsZero() {
			x.Artifact = s.Answer.Reference.String()
		}
	}
	switch s.Standing {
	case admit.Allowed:
	case admit.Accepted:
		x.Why = attest.Printable(s.Line.Reason)
	default:
		code, why, next := s.Reason()
		x.Code, x.Why, x.Next = string(code), why, next
	}
	if s.Standing == admit.Refused && (s.Rule == nil || s.Rule.Mode == gate.Enforce) {
		r.outcome = min(r.outcome, refusedAs(s))
	}
	r.References = append(r.References, x)
}

// refusedAs is DENY or UNDECIDED: a refusal is never more.
func refusedAs(s admit.Seen) policy.Outcome {
	if s.Outcome == policy.Undecided {
		return policy.Undecided
	}
	return policy.Deny
}

// sameLine compares what makes a line one of a rule: no two of a rule claim the same.
func sameLine(a, b gate.ArtifactLine) bool {
	return slices.Equal(a.Repositories, b.Repositories) && slices.Equal(a.URIs, b.URIs)
}

// sum works out what all come to: of nothing looked at, DENY.
func (r *gateReport) sum() {
	for i, o := range r.Objects {
		if i == 0 || o.outcome < r.outcome {
			r.outcome = o.outcome
		}
	}
	r.Outcome = r.outcome.String()
}

func (r *gateReport) json(w io.Writer) error { return indentedJSON(w, r) }

func indentedJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func (r *gateReport) text(w io.Writer) error {
	var b strings.Builder
	for _, o := range r.Objects {
		fmt.Fprintf(&b, "%s  %s %s/%s", o.Outcome, o.Kind, attest.Printable(o.Namespace), attest.Printable(o.Name))
		if o.Rule != "" {
			fmt.Fprintf(&b, ", rule %s (%s)", o.Rule, o.Mode)
		}
		b.WriteString("\n")
		if len(o.References) == 0 {
			b.WriteString("    names nothing that is judged, or is exempt\n")
		}
		for _, x := range o.References {
			x.text(&b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (x referenceReport) text(b *strings.Builder) {
	fmt.Fprintf(b, "  %s", x.Standing)
	for _, part := range []string{x.Place, x.Text} {
		if part != "" {
			b.WriteString("  " + part)
		}
	}
	b.WriteString("\n")
	switch {
	case x.Policy != "" && x.Context != "":
		fmt.Fprintf(b, "    line %d, policy %s, context %s: %s", x.Line, x.Policy, x.Context, x.Outcome)
	case x.Policy != "":
		fmt.Fprintf(b, "    line %d, policy %s: %s", x.Line, x.Policy, x.Outcome)
	case x.Line > 0:
		fmt.Fprintf(b, "    line %d", x.Line)
	}
	if x.Policy != "" && x.Artifact != "" {
		fmt.Fprintf(b, " %s", attest.Printable(x.Artifact))
	}
	if x.Line > 0 {
		b.WriteString("\n")
	}
	if why := strings.TrimSpace(x.Code + " " + x.Why); why != "" {
		fmt.Fprintf(b, "    %s\n", why)
	}
	if x.Next != "" {
		fmt.Fprintf(b, "    next: %s\n", x.Next)
	}
}

// gateSummaryJSON is what a configuration that loads comes to.
func gateSummaryJSON(w io.Writer, g *gate.Grounds) error {
	type policySummary struct {
		Name    string   `json:"name"`
		Policy  string   `json:"policy"`
		Version int      `json:"version"`
		Digest  string   `json:"digest"`
		Expires string   `json:"expires"`
		Trust   string   `json:"trust,omitempty"`
		Notes   []string `json:"notes,omitempty"`
	}
	out := struct {
		Name     string          `json:"name"`
		Config   string          `json:"config"`
		Policies []policySummary `json:"policies"`
		Rules    []string        `json:"rules"`
		Warnings []string        `json:"warnings"`
	}{Name: g.Config.Name, Config: g.Config.Digest, Rules: []string{}, Warnings: append([]string{}, g.Config.Warnings...)}
	for _, src := range g.Config.Policies {
		p := g.Policies[src.Name]
		s := policySummary{Name: src.Name, Policy: p.Policy.Name(), Version: p.Policy.Version(), Digest: p.Policy.Digest().String(), Expires: p.Policy.Expires().UTC().Format(time.RFC3339), Notes: p.Notes}
		if p.Trust != nil {
			s.Trust = p.Trust.Digest().String()
		}
		out.Policies = append(out.Policies, s)
	}
	for _, r := range g.Config.Rules {
		out.Rules = append(out.Rules, r.Name)
	}
	return indentedJSON(w, out)
}
