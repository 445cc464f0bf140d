package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// The severities of findings.
const (
	// SeverityWarning: the policy allows something, or refuses everything, that its
	// author probably did not mean.
	SeverityWarning = "warning"
	// SeverityAdvice: the policy could ask for more, or say it more clearly.
	SeverityAdvice = "advice"
)

// A Finding is something in a policy that loads and may not mean what it says.
// It changes no verdict.
type Finding struct {
	Line     int    `json:"line"`     // from 1; 0 for a policy that was not read from a file
	Column   int    `json:"column"`   // from 1
	Severity string `json:"severity"` // SeverityWarning or SeverityAdvice
	Code     string `json:"code"`     // a short stable name, such as vacuous-rule
	What     string `json:"what"`
	Advice   string `json:"advice"`
}

// Findings returns what is doubtful about the policy at the time at, in the order
// of the file; none for the zero Policy. What keeps a policy from loading is no
// finding: [Load] has refused it.
func (p *Policy) Findings(at time.Time) []Finding {
	if p == nil || p.doc == nil {
		return nil
	}
	l := &linter{d: p.doc, in: locator{p.source}}
	l.file(at)
	l.principals()
	l.identities()
	l.controls()
	l.access()
	for _, s := range p.doc.steps {
		l.expressions(s)
		l.step(s)
		switch {
		case s.predicate == predicate.TypeApproval && !s.produces():
			l.approval(s)
		case s.predicate == predicate.TypeEvaluation:
			l.evaluation(s)
		}
		l.lines(s)
	}
	l.twins()
	slices.SortStableFunc(l.out, func(a, b Finding) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Code, b.Code))
	})
	return slices.CompactFunc(l.out, func(a, b Finding) bool {
		// What `like` copied is the same text at the same place: said once, of the
		// step that comes first.
		return a.Line == b.Line && a.Column == b.Column && a.Code == b.Code && a.Line > 0
	})
}

// A linter collects findings about one policy.
type linter struct {
	d   *document
	in  locator
	out []Finding
}

func (l *linter) add(pos position, severity, code, advice, format string, args ...any) {
	l.out = append(l.out, Finding{Line: pos.line, Column: pos.column, Severity: severity, Code: code, What: fmt.Sprintf(format, args...), Advice: advice})
}

func (l *linter) warn(pos position, code, advice, format string, args ...any) {
	l.add(pos, SeverityWarning, code, advice, format, args...)
}

func (l *linter) advise(pos position, code, advice, format string, args ...any) {
	l.add(pos, SeverityAdvice, code, advice, format, args...)
}

// How far away an expiry is too far, and how near too near to be noticed in time.
const (
	longExpiry  = 396 * 24 * time.Hour // 13 months: a yearly review, and a month's delay
	shortExpiry = 30 * 24 * time.Hour
)

func (l *linter) file(at time.Time) {
	d := l.d
	expires := l.in.key("metadata", "expires")
	switch left := d.expires.Sub(at); {
	case left > longExpiry:
		l.advise(expires, "long-expiry", "a year is enough: a review each year is part of the price of a policy",
			"the policy holds until %s: nobody has to look at it for more than 13 months", d.expires.UTC().Format(time.DateOnly))
	case left > 0 && left < shortExpiry:
		l.advise(expires, "short-expiry", fmt.Sprintf("review it now, and publish version %d with a later metadata.expires", d.version+1),
			"the policy ends on %s, and then everything is refused", d.expires.UTC().Format(time.DateOnly))
	}
	if d.unsafeTime {
		l.advise(l.in.key("unsafeTime"), "unsafe-time", "have the signers' times authenticated by a timestamp authority or a log, and remove the line",
			"whoever holds a key can date evidence back: ages and order rest on the signers' word")
	}
	if d.status == nil {
		return
	}
	for _, s := range d.steps {
		if s.acknowledge != "" && len(d.absences(s)) > 0 {
			l.warn(l.in.stepKey(s, "acknowledgeAbsence"), "status-waived", "remove acknowledgeAbsence: the status shows whether something was removed",
				"step %s acknowledges absence, so it passes without the status that the policy asks for", s.name)
		}
	}
	for _, x := range d.deny {
		if x.acknowledge != "" {
			l.warn(l.in.at(x.pos, "acknowledgeAbsence"), "status-waived", "remove acknowledgeAbsence: the status shows whether something was removed",
				"deny acknowledges absence, so it passes without the status that the policy asks for")
		}
	}
}

func (l *linter) step(s *step) {
	if s.acknowledge != "" && len(l.d.absences(s)) == 0 {
		l.advise(l.in.stepKey(s, "acknowledgeAbsence"), "needless-acknowledgment", "remove acknowledgeAbsence: a reader believes that something is given up here",
			"nothing in step %s rests on absence", s.name)
	}
	seen := map[string]*rule{}
	for _, ru := range s.rules {
		if first := seen[ru.cel.source]; first != nil {
			l.warn(ru.pos, "duplicate-rule", "change the one that was meant to say something else, or remove it",
				"rule %s asks the same as %s", ru.id, first.id)
			continue
		}
		seen[ru.cel.source] = ru
	}
}

// lines looks at what inputs are taken on.
func (l *linter) lines(s *step) {
	for _, in := range s.inputs {
		firm := len(in.from) > 0 || in.pin != nil || in.policy != ""
		switch {
		case in.accept && (firm || in.origin != nil):
			l.advise(l.in.at(in.pos, "accept"), "needless-accept", "remove accept: any and its reason; the other condition decides",
				"the %s of %s is said to be anything, and has another condition", roleName(in.role), s.name)
		case in.accept && slices.Contains(decisiveRoles[:], in.role):
			l.warn(l.in.at(in.pos, "accept"), "accept-any", "say which step makes it (from), pin its digest, or name a policy for it",
				"%s takes any %s: whoever signs the step chooses it", s.name, in.role)
		case in.accept:
			l.advise(l.in.at(in.pos, "accept"), "accept-any", "pin it, or say which step makes it (from), as soon as there is one",
				"%s takes any %s", s.name, roleName(in.role))
		case in.origin != nil && !firm && in.origin.wide():
			l.warn(l.in.at(in.pos, "origin"), "wide-origin", "add the path of the account and repository that are meant",
				"%s holds what anybody puts there", in.origin)
		case in.origin != nil && !firm:
			l.advise(l.in.at(in.pos, "origin"), "signers-word", "pin the digests, or have a step of its own record where it comes from (from)",
				"that the %s of %s comes from %s is only the signer's word", roleName(in.role), s.name, in.origin)
		}
	}
}

// decisiveRoles are the inputs that make a model, or a measurement, what it is.
var decisiveRoles = [...]string{"training-data", "evaluation-data", "calibration-data", "base-model", "parent-model", "adapter", "teacher", "code"}

// wide reports whether an origin is a whole site on which anybody can publish.
func (o *origin) wide() bool {
	open := [...]string{"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "huggingface.co", "www.kaggle.com", "zenodo.org", "ghcr.io", "quay.io", "docker.io",
		"registry-1.docker.io", "storage.googleapis.com", "s3.amazonaws.com", "raw.githubusercontent.com", "pypi.org", "registry.npmjs.org"}
	return strings.Trim(o.path, "/") == "" && slices.Contains(open[:], o.host)
}

// principals looks at who exists and who can do how much alone.
func (l *linter) principals() {
	used := l.in.named()
	for _, p := range l.d.principals {
		if !used[p.name] && l.in.root != nil {
			l.advise(p.pos, "unused-principal", "remove the principal, or name it in by where it was meant to be", "no step lets %s do anything", p.name)
		}
		if l.alone(p) {
			l.warn(p.pos, "one-for-all", "name others for the steps about the artifact, or separate them: notBy", "%s alone can sign everything that the policy asks for", p.name)
		}
	}
}

// alone reports whether one principal suffices for all of several steps.
func (l *linter) alone(p *principal) bool {
	for _, s := range l.d.steps {
		if !slices.Contains(s.by, p.name) || s.threshold > 1 || s.kind != "" && s.kind != p.kind || len(s.notBy) > 0 {
			return false
		}
	}
	return len(l.d.steps) > 1
}

func (l *linter) controls() {
	any := slices.ContainsFunc(l.d.steps, func(s *step) bool {
		return slices.ContainsFunc(s.allRules(), func(ru *rule) bool { return len(ru.controls) > 0 })
	})
	for _, s := range l.d.steps {
		for i, id := range s.controls {
			l.control(l.in.element(l.in.stepNode(s, "controls"), i, l.in.stepKey(s, "controls")), id)
		}
		for _, ru := range s.allRules() {
			for i, id := range ru.controls {
				l.control(l.in.element(l.in.value(ru.pos, "controls"), i, ru.pos), id)
			}
			if any && len(ru.controls) == 0 && len(s.controls) == 0 {
				l.advise(ru.pos, "no-controls", "name the controls that it serves; pedigree verify --controls lists them by their ids",
					"other rules name controls, and %s names none", ru.id)
			}
		}
	}
}

func (l *linter) control(pos position, id string) {
	check, near := checkControl(id)
	advice := "docs/controls.md lists the known ids"
	if near != "" {
		advice = fmt.Sprintf("did you mean %s?", near)
	}
	switch check {
	case controlWrong:
		l.warn(pos, "unknown-control", advice, "there is no control %s", id)
	case controlUnlisted:
		l.advise(pos, "unlisted-control", advice, "the table of controls does not have %s, and it has only a part of that framework", id)
	}
}
