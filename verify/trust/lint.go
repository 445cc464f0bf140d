package trust

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
)

// Severities of a Finding.
const (
	// SeverityWarning: who wrote the file probably did not mean this.
	SeverityWarning = "warning"
	// SeverityAdvice: the file could ask for more, or say it more clearly.
	SeverityAdvice = "advice"
)

// A Finding is something in a trust file that loads and may not mean what it says. It
// changes no answer.
type Finding struct {
	Line     int    `json:"line"`   // from 1; 0 of a bare trusted root
	Column   int    `json:"column"` // from 1
	Severity string `json:"severity"`
	Code     string `json:"code"` // a short stable name, such as ends-soon
	What     string `json:"what"`
	Advice   string `json:"advice"`
}

// soon is how long before something ends a person should hear of it: a month, in which
// whoever runs it can be asked.
const soon = 30 * 24 * time.Hour

// Findings returns what is doubtful about the trust at the time at, in the file's order;
// none for the nil Trust. What keeps a file from loading is no finding.
func (t *Trust) Findings(at time.Time) []Finding {
	if t == nil {
		return nil
	}
	l := &linter{t: t, at: at}
	l.file()
	for i := range t.instances {
		l.instance(i)
	}
	l.own()
	for _, p := range t.told.parts {
		l.known(p)
	}
	slices.SortStableFunc(l.out, func(a, b Finding) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return l.out
}

type linter struct {
	t   *Trust
	at  time.Time
	out []Finding
}

func (l *linter) say(n *yaml.Node, severity, code, advice, what string, args ...any) {
	f := Finding{Severity: severity, Code: code, What: fmt.Sprintf(what, args...), Advice: advice}
	if n != nil {
		f.Line, f.Column = n.Line, n.Column
	}
	l.out = append(l.out, f)
}

// where is the entry that a part came from; nil of a bare trusted root.
func (l *linter) where(p Part) *yaml.Node {
	d := l.t.told.doc
	if d == nil {
		return nil
	}
	for _, in := range d.instances {
		if p.Instance == in.name {
			return in.pos
		}
	}
	for _, a := range d.authorities {
		if p.Kind == KindTimestamps && p.Name == a.name {
			return a.pos
		}
	}
	for _, x := range d.domains {
		if p.Kind == KindDomain && p.Name == x.domain {
			return x.pos
		}
	}
	for _, k := range d.keys {
		if p.Kind == KindKey && p.Key == k.key.Fingerprint() {
			return k.pos
		}
	}
	return d.pos
}

// file looks at the time in which everything holds.
func (l *linter) file() {
	t, d := l.t, l.t.told.doc
	switch {
	case d == nil:
		l.say(nil, SeverityAdvice, "bare-root", "make a trust file of it: pedigree trust init --trusted-root FILE",
			"a bare trusted root asks for one of each kind that it lists, and never expires")
	case !l.at.Before(t.expires):
		l.say(d.pos, SeverityWarning, "ended", "review it; then a later metadata.expires, and metadata.version one higher", "%s ended at %s: every answer is UNDECIDED", t.told.ends, stamp(t.expires))
	case t.told.ends == endsFile && t.expires.Before(l.at.Add(soon)):
		l.say(d.pos, SeverityWarning, "ends-soon", "review it; then a later metadata.expires, and metadata.version one higher", "the trust file ends at %s", stamp(t.expires))
	}
}

// instance looks at what one Sigstore instance must show, and who could.
func (l *linter) instance(i int) {
	in := l.t.instances[i]
	var pos *yaml.Node
	if d := l.t.told.doc; d != nil {
		pos = d.instances[i].pos
	}
	if in.need.certificateLogs <= 0 {
		l.say(pos, SeverityAdvice, "no-certificate-log", "run a certificate log, and ask for it", "instance %s: no certificate log is asked for, so a certificate that its authority should not have issued is seen by nobody", in.name)
	}
	if in.need.logs <= 0 {
		l.say(pos, SeverityAdvice, "no-log", "run a log, and ask for it", "instance %s: no log is asked for, so a signature that somebody should not have made is seen by nobody", in.name)
	}
	current := map[string][]Part{}
	listed := map[string]bool{}
	for _, p := range l.t.told.parts {
		if p.Instance != in.name {
			continue
		}
		listed[p.Kind] = true
		if (p.Until.IsZero() || !l.at.After(p.Until)) && !l.at.Before(p.From) {
			current[p.Kind] = append(current[p.Kind], p)
		}
	}
	for _, kind := range []string{KindAuthority, KindLog, KindCertificateLog, KindTimestamps} {
		l.ends(pos, in.name, kind, listed[kind], current[kind])
	}
	for _, x := range []struct {
		kind, key string
		need      int
	}{{KindLog, "logs", in.need.logs}, {KindCertificateLog, "certificateLogs", in.need.certificateLogs}, {KindTimestamps, "timestamps", in.need.timestamps}} {
		n := distinctKeys(current[x.kind])
		if x.need == 1 && n > 1 {
			l.say(pos, SeverityAdvice, "one-of-several", fmt.Sprintf("%s: 2, if both are used whenever something is signed", x.key), "instance %s: one %s is enough, and %d are listed", in.name, x.kind, n)
		}
		if by := operators(current[x.kind]); x.need > 1 && by == 1 {
			l.say(pos, SeverityWarning, "one-operator", "list one of another operator's", "instance %s: %d must agree, and one operator runs every %s: whoever is in there agrees with themselves", in.name, x.need, x.kind)
		}
	}
	if logs := current[KindLog]; len(logs) > 1 && operators(logs) == 1 && in.need.logs == 1 {
		l.say(pos, SeverityAdvice, "one-operator", "list one of another operator's", "instance %s: one operator runs all %d logs", in.name, len(logs))
	}
}

// ends looks at when the last of a kind is over.
func (l *linter) ends(pos *yaml.Node, instance, kind string, listed bool, current []Part) {
	if !listed {
		return
	}
	if len(current) == 0 {
		l.say(pos, SeverityWarning, "ended", "get the instance's newest trusted_root.json", "instance %s: no %s counts at %s; nothing that is signed now will verify", instance, kind, stamp(l.at))
		return
	}
	var last time.Time
	for _, p := range current {
		end := p.end()
		if end.IsZero() {
			return
		}
		if end.After(last) {
			last = end
		}
	}
	if last.Before(l.at.Add(soon)) {
		l.say(pos, SeverityWarning, "ends-soon", "get the instance's newest trusted_root.json", "instance %s: after %s no %s counts", instance, stamp(last), kind)
	}
}

// end is when a part ends, by its window or by its first certificate; zero: never.
func (p Part) end() time.Time {
	end := p.Until
	for _, c := range p.Certificates {
		if end.IsZero() || c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

func distinctKeys(list []Part) int {
	keys := map[attest.Digest]bool{}
	for _, p := range list {
		keys[p.Key] = true
	}
	return len(keys)
}

// operators counts who runs them; 0 if one of them does not say.
func operators(list []Part) int {
	who := map[string]bool{}
	for _, p := range list {
		if p.Operator == "" {
			return 0
		}
		who[p.Operator] = true
	}
	return len(who)
}

// own looks at what the trust file itself lists.
func (l *linter) own() {
	d := l.t.told.doc
	if d == nil {
		return
	}
	shared := 0
	for _, p := range l.t.told.parts {
		if p.Instance != "" {
			continue
		}
		pos, end := l.where(p), p.end()
		switch {
		case !end.IsZero() && !l.at.Before(end) && p.Kind != KindKey:
			l.say(pos, SeverityWarning, "ended", "list its successor beside it; keep this one for what was signed before", "the %s %s ended at %s", p.Kind, p.Name, stamp(end))
		case !end.IsZero() && end.Before(l.at.Add(soon)):
			l.say(pos, SeverityWarning, "ends-soon", "list its successor beside it", "the %s %s ends at %s", p.Kind, p.Name, stamp(end))
		case p.Kind == KindKey && p.Until.IsZero() && p.CompromisedSince.IsZero():
			l.say(pos, SeverityAdvice, "no-end", "until: the day by which it is to be replaced", "the key %s counts for ever", cmp.Or(p.Name, p.Key.Short()))
		}
		if p.Kind == KindTimestamps {
			shared++
		}
	}
	if shared > 1 && d.timestamps == 1 {
		l.say(d.authorities[0].pos, SeverityAdvice, "one-of-several", "timestamps: 2, if both are asked whenever something is signed", "one timestamp authority is enough, and %d are listed", shared)
	}
}

// known warns of keys whose private halves are published.
func (l *linter) known(p Part) {
	for _, k := range p.keys() {
		if from, ok := published(k); ok {
			l.say(l.where(p), SeverityWarning, "published-key", "replace it; whatever it signed proves nothing", "the %s %s has a key whose private half is published (%s): everybody can sign with it", p.Kind, cmp.Or(p.Name, k.Short()), from)
		}
	}
}
