package admit

import (
	"log/slog"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Decision is what is told of one answer: a line of the log, and to who observes. Every text in it is
// bounded and printable. Of these only Hook, Operation, Rule, Mode, Outcome, Code and
// Allowed are the operator's or the program's own words, and can be labels of metrics:
// all others are written by whoever deploys, and there is no end of them.
type Decision struct {
	Hook      string // validate or mutate
	Operation string // CREATE, UPDATE, DELETE, CONNECT, or unknown
	Rule      string // "" if none governs
	Mode      string // of the rule; "" without one
	Outcome   string // ALLOW, DENY, UNDECIDED, or [None]
	Code      attest.Code
	Allowed   bool
	DryRun    bool

	UID, Namespace, Kind, Name, Subresource, User string
	// Why is the message of a refusal, or why it was let in without being looked at.
	Why    string
	Exempt bool
	// References are those that were looked at; Kept counts those that stood before.
	References []Reference
	Kept       int
	Duration   time.Duration
}

// Reference is what a Decision says of one reference.
type Reference struct {
	Place    string        `json:"place,omitempty"`
	Text     string        `json:"text"`
	Standing string        `json:"standing"`
	Outcome  string        `json:"outcome,omitempty"`  // the policy's answer; "" if none was asked
	Artifact string        `json:"artifact,omitempty"` // with its digest; "" if it has none
	Policy   string        `json:"policy,omitempty"`   // digest of the policy; "" if none was asked
	Code     attest.Code   `json:"code,omitempty"`
	Why      string        `json:"why,omitempty"`
	Cached   bool          `json:"cached,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
}

// maxLogged bounds the references in one decision; Limits.References is usually less.
const maxLogged = 64

func (c *considered) decision() Decision {
	d := Decision{Hook: "validate", Outcome: c.outcomeText(), Allowed: c.allowed(), Exempt: c.exempt, Operation: "unknown"}
	if c.mutate {
		d.Hook = "mutate"
	}
	if c.rule != nil {
		d.Rule, d.Mode = shown(c.rule.Name), c.rule.Mode.String()
	}
	if r := c.request; r != nil {
		switch r.Operation {
		case "CREATE", "UPDATE", "DELETE", "CONNECT":
			d.Operation = string(r.Operation)
		}
		d.DryRun = dryRun(r)
		d.UID, d.Namespace, d.Kind, d.Subresource = shown(string(r.UID)), shown(r.Namespace), shown(r.Kind.Group+"/"+r.Kind.Kind), shown(r.SubResource)
		d.Name, d.User = shown(r.Name), shown(r.UserInfo.Username)
	}
	if c.object != nil {
		d.Name = shown(c.object.name)
	}
	d.Why = c.why
	if lines := c.lines(); len(lines) > 0 {
		d.Why = message(lines)
	}
	d.Code = c.code()
	for _, s := range c.seen {
		switch {
		case s.Standing == Kept:
			d.Kept++
		case len(d.References) < maxLogged:
			d.References = append(d.References, s.reference())
		}
	}
	return d
}

// code is that of the first refusal, as the message gives them; "" if there is none.
func (c *considered) code() attest.Code {
	for _, err := range []error{c.problem, c.unrecorded} {
		if err != nil {
			return reasonOfError(err).code
		}
	}
	code, at := attest.Code(""), 3
	for _, s := range c.seen {
		if s.Standing == Refused && weight(s) < at {
			code, at = reasonOf(s).code, weight(s)
		}
	}
	return code
}

func (s Seen) reference() Reference {
	r := Reference{Place: shown(s.Place), Text: shown(s.Text), Standing: s.Standing.String()}
	if s.Question.Ground != nil {
		r.Outcome, r.Cached, r.Duration = s.Outcome.String(), s.Answer.Cached, s.Took
		r.Policy = s.Answer.Policy.String()
		if !s.Answer.Reference.Digest.IsZero() {
			r.Artifact = s.Answer.Reference.String()
		}
	}
	switch {
	case s.Standing == Accepted:
		r.Why = shown(s.Line.Reason)
	case s.Standing == Refused || s.Err != nil || s.Standing == Left && s.Question.Ground != nil:
		x := reasonOf(s)
		r.Code, r.Why = x.code, shown(x.why)
	}
	return r
}

// Level is how loud a decision is: a refusal, and what would be one in another mode, is a
// warning, and so is an exemption that was used.
func (d Decision) Level() slog.Level {
	if !d.Allowed || d.Code != "" || d.Exempt {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Attrs are the decision as one line of a log.
func (d Decision) Attrs() []slog.Attr {
	out := []slog.Attr{
		slog.String("hook", d.Hook), slog.String("uid", d.UID), slog.String("operation", d.Operation),
		slog.String("namespace", d.Namespace), slog.String("kind", d.Kind), slog.String("name", d.Name), slog.String("user", d.User),
		slog.String("rule", d.Rule), slog.String("mode", d.Mode), slog.Bool("allowed", d.Allowed), slog.String("outcome", d.Outcome),
		slog.Duration("duration", d.Duration),
	}
	if d.Subresource != "" {
		out = append(out, slog.String("subresource", d.Subresource))
	}
	if d.DryRun {
		out = append(out, slog.Bool("dryRun", true))
	}
	if d.Exempt {
		out = append(out, slog.Bool("exempt", true))
	}
	if d.Code != "" {
		out = append(out, slog.String("code", string(d.Code)))
	}
	if d.Why != "" {
		out = append(out, slog.String("why", d.Why))
	}
	if d.Kept > 0 {
		out = append(out, slog.Int("kept", d.Kept))
	}
	if len(d.References) > 0 {
		out = append(out, slog.Any("references", d.References))
	}
	return out
}
