package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// A completeness is what the status of a chain proves: which statements there
// are, so that what is not there is known not to be.
type completeness struct {
	governing *record
	fresh     bool
	// missing are the artifacts at which a statement is listed that is not there.
	missing map[attest.Digest]bool
	answer  Status
	reasons []Reason
	mark    *Mark
}

// seals reports whether the status proves that nothing but what it lists is at d.
func (c *completeness) seals(d attest.Digest) bool {
	if c == nil || !c.fresh || c.missing[d] {
		return false
	}
	_, listed := c.governing.facts.Status.Artifacts[d]
	return listed
}

// readStatus finds the status that governs: the highest sequence, expired or not,
// because a lower one is what an attacker would show.
func (ev *evaluator) readStatus() *completeness {
	c := &completeness{missing: map[attest.Digest]bool{}}
	rule := ev.d.status
	if rule == nil {
		return nil
	}
	root := ev.chain.Root()
	publish := fmt.Sprintf("pedigree status publish %s@%s --policy %s %s --valid-for 24h (by %s)", RemedyRepository, root, RemedyPolicy, ev.d.signWith(rule.by[0]), strings.Join(rule.by, " or "))
	var highest int64 // of all that there are, also of those from the future
	var unreadable bool
	for _, r := range ev.rawRecords(root, predicate.TypeStatus, rule.by) {
		if r.err != nil {
			unreadable = true
			continue
		}
		highest = max(highest, r.facts.Status.Sequence)
		if ev.at.ahead(r.claimed()) {
			continue
		}
		switch {
		case c.governing == nil || r.facts.Status.Sequence > c.governing.facts.Status.Sequence:
			c.governing, c.answer, c.reasons = r, Pass, nil
		case r.facts.Status.Sequence == c.governing.facts.Status.Sequence && r.id.Payload != c.governing.id.Payload:
			c.fail(Unknown, Reason{Code: attest.CodeConflict, About: r.id.Payload.String(), Why: fmt.Sprintf("two statuses have the sequence %d and say different things", highest), Next: publish})
		}
	}
	if c.governing == nil {
		if c.answer = ev.unlessGapped(root); unreadable {
			c.answer = Unknown
		}
		c.reasons = []Reason{{Code: attest.CodeStatus, About: root.String(), Why: "nobody published a status: nothing shows that nothing was removed", Next: publish}}
		return c
	}
	if unreadable {
		c.fail(Unknown, Reason{Code: attest.CodeStatus, About: root.String(), Why: "a status is there that cannot be read, and may be newer"})
	}
	for _, why := range ev.staleStatus(rule, c.governing) {
		why.Next = publish
		c.fail(Fail, why)
	}
	ev.standing(c)
	c.fresh = c.answer == Pass
	ev.missingListed(c)
	name := "status/" + markID(root, ev.authority(rule.by))
	c.mark = &Mark{Name: name, Number: c.governing.facts.Status.Sequence, Content: c.governing.id.Payload}
	ev.rolledBack(c, name, highest)
	return c
}

// standing asks that the governing status was not taken back. The one before it
// does not govern in its place: it would list less.
func (ev *evaluator) standing(c *completeness) {
	gone, doubt := ev.withdrawn(c.governing)
	if gone != nil {
		c.fail(Fail, *gone)
	} else if doubt != nil {
		c.fail(Unknown, *doubt)
	}
}

func (c *completeness) fail(st Status, why Reason) {
	c.answer = min(c.answer, st)
	c.reasons = append(c.reasons, why)
	c.fresh = false
}

func (ev *evaluator) staleStatus(rule *statusRule, r *record) []Reason {
	out := ev.dated(r, ev.at)
	f := r.facts.Status
	if ev.at.after(f.ValidUntil) {
		out = append(out, Reason{Code: attest.CodeStale, About: r.id.Payload.String(), Why: fmt.Sprintf("the status %d was valid until %s", f.Sequence, stamp(f.ValidUntil))})
	}
	if rule.maxAge > 0 && ev.at.older(r.claimed(), rule.maxAge) {
		out = append(out, Reason{Code: attest.CodeStale, About: r.id.Payload.String(), Why: fmt.Sprintf("the status %d is %s old, at most %s are allowed", f.Sequence, span(ev.at.age(r.claimed())), span(rule.maxAge))})
	}
	return out
}

// missingListed notes what the governing status lists and is not there, under
// credentials that the policy or one that it names knows: evidence of others
// would change nothing.
func (ev *evaluator) missingListed(c *completeness) {
	known := func(name string) (is bool) {
		who, ok := verify.ParseCredential(name)
		ev.d.all(func(d *document) { is = is || ok && len(d.lines(who)) > 0 })
		return is
	}
	for _, d := range sortedDigests(c.governing.facts.Status.Artifacts) {
		nodes := []*verify.Artifact{ev.chain.Artifact(d), ev.chain.Consulted(d)}
		if nodes[0] == nil && nodes[1] == nil {
			continue // not part of what is judged
		}
		there := map[predicate.Listed]bool{}
		for _, n := range nodes {
			if n == nil {
				continue
			}
			for _, list := range [][]verify.Evidence{n.Evidence, n.FileEvidence, n.Misplaced} {
				for _, e := range list {
					if !ev.d.listed(e) {
						continue // a run that is nobody's must not stand in for one that was removed
					}
					there[predicate.Listed{Payload: e.ID().Payload, Credential: e.ID().Credential.String()}] = true
				}
			}
		}
		for _, l := range c.governing.facts.Status.Artifacts[d] {
			if there[l] || !known(l.Credential) {
				continue
			}
			c.missing[d] = true
			why := Reason{Code: attest.CodeStatus, About: l.Payload.String(), Why: fmt.Sprintf("the status lists %s about %s, and it is not there", l.Payload.Short(), d.Short()),
				Next: "restore it; if it was removed on purpose, publish a status without it: pedigree status publish --drop"}
			c.answer = min(c.answer, Unknown)
			if len(c.reasons) < maxReasons {
				c.reasons = append(c.reasons, why)
			}
		}
	}
}

// rolledBack compares with what the verifier remembers.
func (ev *evaluator) rolledBack(c *completeness, name string, highest int64) {
	for _, m := range ev.t.Remembered {
		if m.Name != name {
			continue
		}
		switch {
		case m.Number > highest:
			c.fail(Unknown, Reason{Code: attest.CodeRollback, About: c.governing.id.Payload.String(), Why: fmt.Sprintf("the status has the sequence %d, and %d was seen before: a newer one was removed", c.governing.facts.Status.Sequence, m.Number),
				Next: "restore the newer one, or publish a new status"})
		case m.Number == c.mark.Number && m.Content != c.mark.Content:
			c.fail(Unknown, Reason{Code: attest.CodeRollback, About: c.governing.id.Payload.String(), Why: fmt.Sprintf("another status with the sequence %d was seen before", m.Number), Next: "publish a new status"})
		}
	}
}

// markID names what is numbered: the same thing by the same authority.
func markID(d attest.Digest, authority []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", d)
	for _, c := range authority {
		fmt.Fprintf(h, "%s\n", c)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// authority returns the texts of principals' credentials, sorted.
func (ev *evaluator) authority(by []string) []string {
	var out []string
	for _, n := range by {
		for _, c := range ev.d.principal(n).credentials {
			out = append(out, c.text())
		}
	}
	slices.Sort(out)
	return out
}

// rawRecords returns records of one type by some principals at an artifact, or
// consulted there, that are not gone with their key.
func (ev *evaluator) rawRecords(d attest.Digest, predicateType string, by []string) []*record {
	node := ev.chain.Artifact(d)
	if node == nil {
		node = ev.chain.Consulted(d)
	}
	if node == nil {
		return nil
	}
	var out []*record
	for _, e := range node.Evidence {
		if e.PredicateType() != predicateType {
			continue
		}
		for _, r := range ev.known(d, e) {
			if !r.unclear() && slices.Contains(by, r.principal.name) && ev.keyGone(r) == nil {
				out = append(out, r)
			}
		}
	}
	return out
}

// askStatus asks for the status itself, where the policy has one.
func (t *telling) askStatus() {
	c := t.ev.status
	if c == nil {
		return
	}
	if !t.ev.live {
		r := Requirement{Step: StepStatus, Artifact: t.ev.chain.Root(), Status: c.answer, Threshold: 1, By: t.ev.d.status.by, Reasons: c.reasons}
		if g := c.governing; g != nil {
			r.Selected = []Counted{{Payload: g.id.Payload, Credential: g.id.Credential.String(), Principal: g.principal.name, Claims: g.shownClaims(), Claimed: g.claimed().UTC(), Status: c.answer}}
		}
		t.add(r)
	}
	if c.governing != nil {
		f := c.governing.facts.Status
		t.v.Status = &StatusRef{Sequence: f.Sequence, Payload: c.governing.id.Payload, Principal: c.governing.principal.name,
			Issued: c.governing.claimed().UTC(), ValidUntil: f.ValidUntil.UTC(), Fresh: c.fresh}
	}
	if c.mark != nil {
		t.v.Marks = append(t.v.Marks, *c.mark)
	}
}

// gapped reports whether evidence about d may be missing: it could not be looked
// at, or is listed and not there.
func (ev *evaluator) gapped(d attest.Digest) bool {
	return ev.chain.Artifact(d).Gapped() || ev.status != nil && ev.status.missing[d]
}

// unprovenAt reports whether nothing shows that all evidence about d was seen:
// something could not be looked at, or the policy acknowledges no absence and no
// fresh status lists what there is.
func (ev *evaluator) unprovenAt(d attest.Digest, acknowledged bool) bool {
	if node := ev.chain.Artifact(d); node != nil && node.Gapped() {
		return true
	}
	if ev.status != nil && ev.status.missing[d] {
		return true
	}
	return !acknowledged && !ev.live && !ev.status.seals(d)
}

// unproven is unprovenAt for what a step says of an artifact.
func (ev *evaluator) unproven(s *step, d attest.Digest) bool {
	return ev.gapped(d) || ev.unprovenAt(d, s.acknowledge != "")
}

// anyUnproven reports the same of the whole ancestry.
func (ev *evaluator) anyUnproven(acknowledged bool) bool {
	if acknowledged || ev.live {
		return ev.gaps
	}
	if ev.anywhere == nil { // once: it is asked for every input with a notIn
		some := slices.ContainsFunc(ev.chain.Artifacts(), func(d attest.Digest) bool { return ev.unprovenAt(d, false) })
		ev.anywhere = &some
	}
	return ev.gaps || *ev.anywhere
}

// dated returns why the time that a record claims cannot be used at the moment at:
// it has none, nobody authenticated it, it is in the future, or outside the time
// in which its key counts.
func (ev *evaluator) dated(r *record, at point) []Reason {
	claimed, seen, lag := r.claimed(), r.seen, ev.d.maxLag
	var out []Reason
	if claimed.IsZero() {
		if predicate.HasTime(r.e.PredicateType()) {
			return []Reason{{Code: attest.CodeTimeMissing, Why: "it does not say when it happened"}}
		}
		claimed = seen // a type without a time of its own: all there is to say is when it was seen
	}
	switch {
	case seen.IsZero() && !ev.d.unsafeTime:
		out = append(out, Reason{Code: attest.CodeTimeMissing, Why: fmt.Sprintf("nobody authenticated when %s signed", r.principal.name), Next: "sign with --timestamp URL, and verify with --trust FILE that lists the authority; or the policy accepts the signer's word: unsafeTime: claimed"})
	case !seen.IsZero() && (claimed.Before(seen.Add(-lag)) || claimed.After(seen.Add(skew))):
		out = append(out, Reason{Code: attest.CodeTimeWindow, Why: fmt.Sprintf("the one by %s claims %s, but was first seen %s", r.principal.name, stamp(claimed), stamp(seen))})
	}
	if at.ahead(claimed) {
		out = append(out, Reason{Code: attest.CodeTimeWindow, Why: fmt.Sprintf("the one by %s claims %s, which is after %s", r.principal.name, stamp(claimed), stamp(at.time()))})
	}
	w := r.window
	switch {
	case w.from.IsZero() && w.until.IsZero():
	case claimed.IsZero():
		out = append(out, Reason{Code: attest.CodeKeyWindow, Why: fmt.Sprintf("the %s of %s counts for a time only, and nothing says when this was signed", r.means(), r.principal.name)})
	case !w.from.IsZero() && r.claimed().IsZero() && r.first.IsZero():
		// That it was seen later does not say that it was not made before.
		out = append(out, Reason{Code: attest.CodeKeyWindow, Why: fmt.Sprintf("the %s of %s counts from %s on, and nothing says that this was signed after it", r.means(), r.principal.name, stamp(w.from))})
	case claimed.Before(w.from) || r.claimed().IsZero() && r.first.Before(w.from) || !w.until.IsZero() && (claimed.After(w.until) || seen.After(w.until)):
		out = append(out, Reason{Code: attest.CodeKeyWindow, Why: fmt.Sprintf("the %s of %s counts from %s until %s, and signed %s", r.means(), r.principal.name, bound(w.from), bound(w.until), signedAt(claimed, seen)), Next: "sign again with a key or identity that counts"})
	}
	return out
}

// signedAt says when something was signed, by its own word and by others'.
func signedAt(claimed, seen time.Time) string {
	if seen.IsZero() || seen.Equal(claimed) {
		return stamp(claimed)
	}
	return stamp(claimed) + ", as it says; it was first seen " + stamp(seen)
}

func bound(t time.Time) string {
	if t.IsZero() {
		return "ever"
	}
	return stamp(t)
}
