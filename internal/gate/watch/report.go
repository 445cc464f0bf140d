package watch

import (
	"cmp"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate/admit"
	"github.com/pedigree-ml/pedigree/policy"
)

// A Result is what became of a workload, or of one thing that it names. They are ordered
// by how bad they are; the zero Result is the worst.
type Result uint8

// The results.
const (
	Denied       Result = iota // a policy, or a rule, says no
	Undecided                  // it could not be found out
	Unrecognised               // nobody can judge it, and the rule only reports that
	Allowed                    // a policy judged it, and allows it
	Accepted                   // a line of the rule accepts it without a verdict
)

var results = [...]string{"denied", "undecided", "unrecognised", "allowed", "accepted"}

// Results returns all results, the worst first.
func Results() []Result { return []Result{Denied, Undecided, Unrecognised, Allowed, Accepted} }

// String returns the result in lower case.
func (r Result) String() string {
	if int(r) < len(results) {
		return results[r]
	}
	return results[Denied]
}

// MarshalText writes String's form.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// A Report says what runs in a cluster and what the policies say of it now.
type Report struct {
	Gate    string `json:"gate"`
	Cluster string `json:"cluster,omitempty"`
	// At is when the report was made, Oldest when the oldest answer in it was looked for:
	// what was published later may not be in it. Without any answer there is no Oldest.
	At       time.Time `json:"at"`
	Oldest   time.Time `json:"oldest,omitzero"`
	Policies []Judged  `json:"policies"` // that judge, by name
	// Objects is how many were looked at, and Waiting how many workloads name something
	// about which nobody has answered yet.
	Objects int `json:"objects"`
	Waiting int `json:"waiting"`
	// Counts are workloads by result; every result is there.
	Counts map[string]int `json:"counts"`
	// Workloads are sorted by namespace, kind and name.
	Workloads []Workload `json:"workloads"`
	// Gaps are what could not be looked at: with any, more may run than is listed.
	Gaps []Gap `json:"gaps"`
}

// Outcome is what a report comes to as an answer to "may all of it run?": DENY if
// something is denied, whatever the mode of its rule; UNDECIDED if something is undecided
// or unrecognised, could not be listed or is still waited for, or if nothing was found;
// ALLOW if everything is allowed, or accepted with a reason.
func (r *Report) Outcome() policy.Outcome {
	switch {
	case r == nil:
		return policy.Undecided
	case r.Counts[Denied.String()] > 0:
		return policy.Deny
	case len(r.Gaps) > 0, r.Waiting > 0, len(r.Workloads) == 0:
		return policy.Undecided
	}
	for _, l := range r.Workloads {
		if l.Result != Allowed && l.Result != Accepted {
			return policy.Undecided
		}
	}
	return policy.Allow
}

// Judged names a policy.
type Judged struct {
	Name   string        `json:"name"`
	Policy attest.Digest `json:"policy"`
}

// A Gap is a resource whose objects could not be looked at.
type Gap struct {
	Resource string `json:"resource"`
	Why      string `json:"why"`
}

func (g Gap) compare(h Gap) int {
	return cmp.Or(cmp.Compare(g.Resource, h.Resource), cmp.Compare(g.Why, h.Why))
}

// A Workload is the outermost object that is known to own what runs.
type Workload struct {
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Result    Result `json:"result"` // the worst of its references
	// Since is when the result became what it is, as far as this watcher knows.
	Since time.Time `json:"since"`
	// Rule governs its namespace, and Mode is what the rule does with what it would refuse.
	Rule string `json:"rule,omitempty"`
	Mode string `json:"mode,omitempty"`
	// References are what it and what it owns name, each once, the worst first; More is
	// how many beyond these there are.
	References []Reference `json:"references"`
	More       int         `json:"more,omitempty"`

	who   owner  // as it is written
	about object // one of its objects, which events are about
}

// A Reference is one thing that a workload names.
type Reference struct {
	Place    string        `json:"place,omitempty"`
	Text     string        `json:"text"` // as it is written, or with the digest that was started
	Artifact attest.Digest `json:"artifact,omitzero"`
	Result   Result        `json:"result"`
	Policy   attest.Digest `json:"policy,omitzero"`
	At       time.Time     `json:"at,omitzero"` // when the answer was looked for
	Code     attest.Code   `json:"code,omitempty"`
	Why      string        `json:"why,omitempty"`
	Next     string        `json:"next,omitempty"`
}

// maxText bounds what is shown of what tenants wrote, and maxReferences how much of one
// workload: what claims to be owned by it is its tenant's word.
const (
	maxText       = 512
	maxReferences = 64
)

// reference makes what was seen at a place ready to be shown.
func reference(s admit.Seen) Reference {
	r := Reference{Place: show(s.Place), Text: show(s.Text), Artifact: s.Answer.Reference.Digest, Policy: s.Answer.Policy, Result: resultOf(s)}
	switch {
	case r.Result == Accepted && s.Line != nil:
		r.Why = show(s.Line.Reason)
	case r.Result != Allowed:
		var code attest.Code
		code, why, next := s.Reason()
		r.Code, r.Why, r.Next = code, show(why), show(next)
	}
	return r
}

// resultOf reads a standing; whatever is not known to let something in denies.
func resultOf(s admit.Seen) Result {
	switch s.Standing {
	case admit.Allowed:
		return Allowed
	case admit.Accepted:
		return Accepted
	case admit.Reported:
		return Unrecognised
	}
	if s.Outcome == policy.Undecided {
		return Undecided
	}
	return Denied
}

func show(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return attest.Printable(s)
}

// workloads groups what was seen by who owns it. What names nothing is not listed. With
// all, what nobody has answered yet is listed as undecided, instead of waited for.
func (w *Watcher) workloads(all bool) (out []Workload, waiting int) {
	type group struct {
		at     int
		bodies map[body]bool
		told   map[Reference]bool
		waits  bool
	}
	groups := map[owner]*group{}
	now := w.elapsed()
	for _, o := range w.objects {
		b := o.body()
		v := w.bodies[b]
		if v == nil || len(v.seen) == 0 {
			continue
		}
		g := groups[o.owner]
		if g == nil {
			g = &group{at: len(out), bodies: map[body]bool{}, told: map[Reference]bool{}}
			groups[o.owner] = g
			out = append(out, Workload{Namespace: show(o.namespace), Kind: show(o.owner.kind), Name: show(o.owner.name), Result: Accepted, Rule: v.rule, Mode: v.mode, who: o.owner, about: o})
		}
		l := &out[g.at]
		if o.self() == o.owner || l.about.self() != o.owner && o.self().compare(l.about.self()) < 0 {
			l.about = o
		}
		if g.bodies[b] {
			continue
		}
		g.bodies[b] = true
		for _, s := range v.seen {
			r, ok := w.judged(s, now, all)
			if !ok {
				g.waits = true
			} else if !g.told[r] {
				g.told[r] = true
				l.add(r)
			}
		}
	}
	for _, g := range groups {
		if g.waits {
			waiting++
		}
	}
	out = slices.DeleteFunc(out, func(l Workload) bool { return len(l.References) == 0 })
	for i := range out {
		out[i].trim()
	}
	slices.SortFunc(out, func(a, b Workload) int { return a.who.compare(b.who) })
	return out, waiting
}

// judged is what is told of a place now; not ok if that is not known yet.
func (w *Watcher) judged(s seen, now time.Duration, all bool) (r Reference, ok bool) {
	r = s.Reference
	r.At = s.asked()
	var since time.Duration
	switch i := s.inquiry; {
	case i == nil:
		return r, true
	case s.pending:
		if since = i.raised; now-since <= w.Interval && !all {
			return r, s.kept
		}
	default:
		if since = i.begun; now-since <= outdated*w.Interval {
			return r, true
		}
	}
	r.Result, r.Code, r.Next = Undecided, attest.CodeDeadline, "see whether the registry answers slowly, or whether there is more to ask than can be asked"
	r.Why = "nobody has answered about it yet"
	if !s.pending || s.kept {
		r.Why = "it was not answered anew, and what was answered before is too old"
	}
	return r, true
}

func (l *Workload) add(r Reference) {
	l.Result = min(l.Result, r.Result)
	l.References = append(l.References, r)
}

// trim orders the references, and leaves a number that can be read.
func (l *Workload) trim() {
	slices.SortFunc(l.References, Reference.compare)
	if n := len(l.References); n > maxReferences {
		l.References, l.More = slices.Clip(l.References[:maxReferences]), n-maxReferences
	}
}

func (r Reference) compare(s Reference) int {
	return cmp.Or(cmp.Compare(r.Result, s.Result), cmp.Compare(r.Place, s.Place), cmp.Compare(r.Text, s.Text), r.At.Compare(s.At), cmp.Compare(r.Why, s.Why))
}

// settle tells what is known now, if it is new or was not told for a while.
func (w *Watcher) settle() {
	last, now := w.Report(), w.elapsed()
	late := now-w.loaded > w.Patience
	if last != nil && !w.news && now-w.told < w.Interval || last == nil && !w.whole && !late {
		return
	}
	r := w.compose(last == nil && late)
	if last == nil && r.Waiting > 0 {
		return // until all is answered, or it takes too long
	}
	w.news = false
	if last != nil && now-w.told < w.Interval && last.same(r) {
		return
	}
	w.told = now
	there := map[owner]bool{}
	for i := range r.Workloads {
		l := &r.Workloads[i]
		there[l.who] = true
		l.Since = w.note(l, r.At, now)
	}
	for o := range w.states {
		if !there[o] {
			delete(w.states, o)
		}
	}
	w.report.Store(r)
	if w.Told != nil {
		w.Told(r)
	}
}

// compose makes a report.
func (w *Watcher) compose(all bool) *Report {
	c := w.grounds.Config
	r := &Report{Gate: c.Name, Cluster: c.Cluster, At: w.asks.now(), Policies: []Judged{}, Objects: len(w.objects), Counts: map[string]int{}, Gaps: append([]Gap{}, w.gaps...)}
	r.Workloads, r.Waiting = w.workloads(all)
	if r.Workloads == nil {
		r.Workloads = []Workload{}
	}
	for name, p := range w.grounds.Policies {
		r.Policies = append(r.Policies, Judged{name, p.Policy.Digest()})
	}
	slices.SortFunc(r.Policies, func(a, b Judged) int { return cmp.Compare(a.Name, b.Name) })
	for _, name := range results {
		r.Counts[name] = 0
	}
	for _, l := range r.Workloads {
		r.Counts[l.Result.String()]++
		for _, x := range l.References {
			if !x.At.IsZero() && (r.Oldest.IsZero() || x.At.Before(r.Oldest)) {
				r.Oldest = x.At
			}
		}
	}
	return r
}

// same reports whether two reports say the same but for when.
func (r *Report) same(s *Report) bool {
	return r.Waiting == s.Waiting && r.Objects == s.Objects && slices.Equal(r.Policies, s.Policies) && slices.Equal(r.Gaps, s.Gaps) &&
		slices.EqualFunc(r.Workloads, s.Workloads, func(a, b Workload) bool {
			return a.who == b.who && a.Result == b.Result && a.Rule == b.Rule && a.Mode == b.Mode && a.More == b.More &&
				slices.EqualFunc(a.References, b.References, func(x, y Reference) bool { x.At, y.At = time.Time{}, time.Time{}; return x == y })
		})
}
