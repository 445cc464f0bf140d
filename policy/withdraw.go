package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// What is withdrawn does not count: evidence as if it were not there, an artifact
// as a failure of everything that was made from it.
//
// Who may withdraw what, the policy says; of a statement, also who signed it.
// Withdrawals are worked out before anything else, keys first: a key that
// somebody else may hold withdraws nothing.

// A voice is one revocation by a principal of the policy, not yet weighed.
type voice struct {
	*record
	action string
	from   time.Time
	firm   bool // its time is one that counts; without, it leaves things open
}

// A withdrawal is what enough voices say about one thing.
type withdrawal struct {
	action     string
	from       time.Time
	by         []string
	reason     string
	replacedBy attest.Digest
	payload    attest.Digest // of the first voice
}

// voices returns the revocations of one thing that hold at the time of the
// question and were not lifted, and whether some could not be read. owner is who
// signed a statement, and nil for anything else.
func (ev *evaluator) voices(node *verify.Artifact, kind string, owner *principal) ([]voice, bool) {
	out, lifting, unreadable := ev.spoken(node, kind, owner)
	if kind == revokeKey {
		// About keys all voices count, whatever becomes of the keys that spoke; but to
		// take one back, a key must never have been withdrawn itself.
		lifting = slices.DeleteFunc(lifting, func(l voice) bool { return ev.everGone(l.record) })
	}
	return slices.DeleteFunc(out, func(v voice) bool { return ev.lifted(v, lifting, kind) }), unreadable
}

// spoken returns the revocations and the restorations of one thing.
func (ev *evaluator) spoken(node *verify.Artifact, kind string, owner *principal) (out, lifting []voice, unreadable bool) {
	if node == nil {
		return nil, nil, false
	}
	evidence := node.Evidence
	if kind == revokeArtifact { // what is said of a file is said of what holds it
		evidence = slices.Concat(node.Evidence, node.FileEvidence)
	}
	for _, e := range evidence {
		if e.PredicateType() != predicate.TypeRevocation {
			continue
		}
		for _, r := range ev.known(node.Digest, e) {
			if kind != revokeKey && ev.keyGone(r) != nil {
				continue
			}
			if r.err != nil {
				unreadable = unreadable || slices.ContainsFunc(r.may(), func(p *principal) bool { return p == owner || ev.mayRevoke(p, kind) })
				continue
			}
			f := r.facts.Revocation
			if f == nil || targetKind(f.Target) != kind || ev.at.ahead(r.claimed()) || ev.at.before(f.From) {
				continue
			}
			for _, v := range ev.speak(r, kind) {
				if f.Action == predicate.ActionRestore {
					lifting = append(lifting, v)
				} else {
					out = append(out, v)
				}
			}
		}
	}
	return out, lifting, unreadable
}

// speak returns the voices that a revocation is: one, and of who may be several
// principals one of each, none of them firm: what they withdraw is open.
func (ev *evaluator) speak(r *record, kind string) []voice {
	f := r.facts.Revocation
	v := voice{record: r, action: f.Action, from: f.From}
	if !r.unclear() {
		v.firm = len(ev.dated(r, ev.at)) == 0 && ev.hidden(r.id.Credential.Standin()) == nil && (kind == revokeKey || ev.keyWithdrawals(r.id.Credential).open == nil)
		return []voice{v}
	}
	var out []voice
	for _, p := range r.may() {
		alone := *r
		alone.principal = p
		v.record = &alone
		out = append(out, v)
	}
	return out
}

// everGone reports whether a record's key was ever withdrawn, and nothing shows
// that the record was there before.
func (ev *evaluator) everGone(r *record) bool {
	if ev.compromised(r) {
		return true
	}
	voices, _, _ := ev.spoken(ev.chain.Consulted(r.id.Credential.Standin()), revokeKey, nil)
	found, open := ev.weigh(voices, revokeKey, nil)
	return open || slices.ContainsFunc(found, func(w withdrawal) bool { return ev.unseenBefore(r, w.from) })
}

func targetKind(target string) string {
	if target == predicate.TargetIdentity {
		return revokeKey
	}
	return target
}

// mayRevoke reports whether a principal has a voice about things of a kind.
func (ev *evaluator) mayRevoke(p *principal, kind string) bool {
	return slices.ContainsFunc(ev.d.revocation, func(v *revoker) bool {
		return slices.Contains(v.of, kind) && slices.Contains(v.by, p.name)
	})
}

// lifted reports whether a revocation was taken back: by who made it, or by as
// many as could have made it.
func (ev *evaluator) lifted(v voice, lifting []voice, kind string) bool {
	who := map[*principal]bool{}
	for _, l := range lifting {
		if l.firm && slices.Contains(l.facts.Revocation.Restores, v.id.Payload) {
			who[l.principal] = true
		}
	}
	if who[v.principal] {
		return true
	}
	return slices.ContainsFunc(ev.d.revocation, func(rule *revoker) bool {
		n := 0
		for p := range who {
			if slices.Contains(rule.by, p.name) {
				n++
			}
		}
		return slices.Contains(rule.of, kind) && n >= rule.threshold
	})
}

// weigh returns what the voices about one thing amount to, for each action; and
// whether more would be said if those that are not firm were.
func (ev *evaluator) weigh(voices []voice, kind string, owner *principal) (out []withdrawal, open bool) {
	for _, action := range []string{predicate.ActionRevoke, predicate.ActionQuarantine, predicate.ActionSupersede} {
		w, could := ev.weighAction(voices, action, kind, owner)
		if w != nil {
			out = append(out, *w)
		}
		open = open || w == nil && could
	}
	return out, open
}

func (ev *evaluator) weighAction(voices []voice, action, kind string, owner *principal) (w *withdrawal, could bool) {
	count := func(names func(*principal) bool, threshold int) {
		firm, all := map[*principal]bool{}, map[*principal]bool{}
		var heard []voice
		for _, v := range voices {
			if v.action != action || !names(v.principal) {
				continue
			}
			all[v.principal] = true
			if v.firm {
				firm[v.principal] = true
				heard = append(heard, v)
			}
		}
		could = could || len(all) >= threshold
		if len(firm) < threshold {
			return
		}
		got := withdrawal{action: action, from: heard[0].from, reason: heard[0].facts.Revocation.Reason, replacedBy: heard[0].facts.Revocation.ReplacedBy, payload: heard[0].id.Payload}
		for _, v := range heard {
			if v.from.Before(got.from) {
				got.from = v.from
			}
			if !slices.Contains(got.by, v.principal.name) {
				got.by = append(got.by, v.principal.name)
			}
		}
		slices.Sort(got.by)
		if w == nil || got.from.Before(w.from) {
			w = &got
		}
	}
	for _, rule := range ev.d.revocation {
		if slices.Contains(rule.of, kind) {
			count(func(p *principal) bool { return slices.Contains(rule.by, p.name) }, rule.threshold)
		}
	}
	if owner != nil && len(ev.d.revocation) > 0 {
		count(func(p *principal) bool { return p == owner }, 1)
	}
	return w, could
}

func (w *withdrawal) text() string {
	did := map[string]string{predicate.ActionRevoke: "revoked", predicate.ActionQuarantine: "quarantined", predicate.ActionSupersede: "superseded"}[w.action]
	return fmt.Sprintf("%s by %s since %s: %.200s", did, strings.Join(w.by, " and "), stamp(w.from), w.reason)
}

// keyGone returns why a record's credential does not count for it: the policy
// says that somebody else may hold it, or an authorised revocation does, and
// nobody authenticated that the record was there before.
func (ev *evaluator) keyGone(r *record) *Reason {
	if ev.compromised(r) {
		return &Reason{Code: attest.CodeRevoked, About: r.id.Payload.String(), Why: fmt.Sprintf("the %s of %s is compromised since %s (policy), and nothing shows that this was signed before", r.means(), r.principal.name, stamp(r.window.compromised)), Next: newKey(r)}
	}
	for _, w := range ev.keyWithdrawals(r.id.Credential).found {
		if ev.unseenBefore(r, w.from) {
			return &Reason{Code: attest.CodeRevoked, About: r.id.Payload.String(), Why: fmt.Sprintf("the %s of %s is %s; nothing shows that this was signed before", r.means(), r.principal.name, w.text()), Next: newKey(r)}
		}
	}
	return nil
}

// newKey says what lets somebody whose key or identity is gone go on.
func newKey(r *record) string {
	return fmt.Sprintf("the policy's owners give %s a new %s, and %s signs again with that", r.principal.name, r.means(), r.principal.name)
}

// compromised reports whether the policy says that somebody else may hold the
// record's key, and nothing shows that it was signed before.
func (ev *evaluator) compromised(r *record) bool {
	since := r.window.compromised
	return !since.IsZero() && ev.unseenBefore(r, since)
}

// unseenBefore reports whether nobody authenticated that the record existed
// before a moment. A claimed time does not help: whoever holds the key can claim
// any.
func (ev *evaluator) unseenBefore(r *record, since time.Time) bool {
	seen := r.seen
	return seen.IsZero() || !seen.Before(since)
}

// weighed is what is known about the withdrawal of one thing.
type weighed struct {
	found []withdrawal
	open  *Reason // it may be withdrawn, and that cannot be seen
}

// keyWithdrawals works out, once per credential, who withdrew it.
func (ev *evaluator) keyWithdrawals(c verify.Credential) *weighed {
	if w, ok := ev.keys[c]; ok {
		return w
	}
	w := &weighed{}
	ev.keys[c] = w // also ends the recursion: keys are judged by all voices about them
	if len(ev.d.revocation) == 0 {
		return w
	}
	*w = ev.withdrawals(c.Standin(), ev.chain.Consulted(c.Standin()), revokeKey, nil)
	return w
}

// withdrawals works out who withdrew one thing.
func (ev *evaluator) withdrawals(d attest.Digest, node *verify.Artifact, kind string, owner *principal) weighed {
	voices, unreadable := ev.voices(node, kind, owner)
	var w weighed
	var open bool
	// Also beside what was found: an artifact that is superseded may be revoked too.
	if w.found, open = ev.weigh(voices, kind, owner); open || unreadable {
		w.open = &Reason{Code: attest.CodeRevoked, About: d.String(), Why: fmt.Sprintf("something was signed that may withdraw %s, and does not say so in a form or at a time that counts", d.Short())}
	}
	return w
}

// hidden returns why it cannot be seen whether something was withdrawn: its
// stand-in could not be looked at, or nothing proves that all was seen.
func (ev *evaluator) hidden(d attest.Digest) *Reason {
	if len(ev.d.revocation) == 0 {
		return nil
	}
	node := ev.chain.Consulted(d)
	code := attest.CodeStatus
	switch {
	case node == nil:
		code = attest.CodeLimit
	case len(node.Gaps) > 0:
		code = node.Gaps[0].Code
	case ev.early || !ev.unprovenAt(d, ev.d.revocationAcknowledged()):
		return nil // early: the status cannot speak for the key that signs it
	}
	return &Reason{Code: code, About: d.String(), Why: fmt.Sprintf("whether %s was withdrawn cannot be seen", d.Short()), Next: ev.lookAgain(code)}
}

// revocationAcknowledged reports whether the policy takes it on trust that no
// revocation was hidden.
func (d *document) revocationAcknowledged() bool {
	return !slices.ContainsFunc(d.revocation, func(v *revoker) bool { return v.acknowledge == "" })
}

// withdrawn returns why a record does not count at all, or why that is open. The
// policies that lead here have their say as well: who asks for another team's
// judgment still obeys their own revokers.
func (ev *evaluator) withdrawn(r *record) (gone, doubt *Reason) {
	for at := ev; at != nil; at = at.above {
		owner := r
		if at != ev {
			owner = at.d.same(r)
		}
		if why := at.keyGone(owner); why != nil {
			return why, nil
		}
		if len(at.d.revocation) == 0 {
			continue
		}
		w := at.withdrawals(r.id.Payload, at.chain.Consulted(r.id.Payload), revokePayload, owner.principal)
		for _, found := range w.found {
			return &Reason{Code: attest.CodeRevoked, About: r.id.Payload.String(), Why: fmt.Sprintf("the %s by %s is %s", predicate.Name(r.e.PredicateType()), r.principal.name, found.text())}, nil
		}
		for _, why := range []*Reason{w.open, at.keyWithdrawals(r.id.Credential).open, at.hidden(r.id.Payload), at.hidden(r.id.Credential.Standin())} {
			if why != nil && doubt == nil {
				doubt = why
			}
		}
	}
	return nil, doubt
}

// same returns what another policy's record is to this one: by which of its own
// principals, and by nobody if it does not know the signer.
func (d *document) same(r *record) *record {
	for _, own := range d.whose(r.artifact, r.e) {
		if own.claims == r.claims {
			return own
		}
	}
	out := *r
	out.principal, out.also, out.window = &principal{name: r.principal.name}, nil, window{}
	return &out
}

// revocations asks that nothing in the ancestry was withdrawn: not the artifact,
// and nothing that it was made from.
func (t *telling) revocations() {
	ev := t.ev
	if len(ev.d.revocation) == 0 {
		return
	}
	r := Requirement{Step: StepRevocation, Artifact: ev.chain.Root(), Status: Pass}
	for _, d := range ev.chain.Artifacts() {
		w := ev.withdrawals(d, ev.chain.Artifact(d), revokeArtifact, nil)
		for _, found := range w.found {
			if found.action == predicate.ActionSupersede && d != ev.chain.Root() {
				continue // what was made from an old version is not wrong for it
			}
			r.Status = Fail
			r.Reasons = append(r.Reasons, ev.withdrawnArtifact(d, &found))
		}
		why := w.open
		if ev.unprovenAt(d, ev.d.revocationAcknowledged()) {
			why = &Reason{Code: attest.CodeStatus, About: d.String(), Why: fmt.Sprintf("whether %s was withdrawn cannot be seen", d.Short()), Next: ev.lookAgain(attest.CodeStatus)}
		}
		if why != nil && r.Status != Fail {
			r.Status = Unknown
			if len(r.Reasons) < maxReasons {
				r.Reasons = append(r.Reasons, *why)
			}
		}
	}
	t.add(r)
}

func (ev *evaluator) withdrawnArtifact(d attest.Digest, w *withdrawal) Reason {
	root := ev.chain.Root()
	switch {
	case w.action == predicate.ActionSupersede:
		return Reason{Code: attest.CodeRollback, About: d.String(), Why: fmt.Sprintf("it is %s; %s takes its place", w.text(), w.replacedBy), Next: "use " + w.replacedBy.String()}
	case d == root:
		return Reason{Code: withdrawnCode(w.action), About: d.String(), Why: "it is " + w.text(), Next: "use another version"}
	}
	return Reason{Code: withdrawnCode(w.action), About: d.String(), Why: fmt.Sprintf("it is made from %s, which is %s: %s", d.Short(), w.text(), shortPath(ev.chain.Path(d))), Next: "make the model without it"}
}

func withdrawnCode(action string) attest.Code {
	if action == predicate.ActionQuarantine {
		return attest.CodeQuarantined
	}
	return attest.CodeRevoked
}
