package lineage

import (
	"cmp"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// What was taken back, and when. It follows what package policy says of one moment
// (withdrawals in docs/policy.md), for all moments at once, because a timeline asks
// about all of them: keys first, and a key that somebody else may hold takes nothing
// back.

// A voice is one revocation by somebody who may be heard about a thing.
type voice struct {
	e     verify.Evidence
	facts *predicate.RevocationFacts
	who   string
	name  string // what who is called
	on    spans  // when it counts
}

// A taking is a time in which something is taken back, and by whom.
type taking struct {
	Span
	action  string
	since   time.Time // the earliest time that one of the voices names
	by      []string
	reason  string
	payload attest.Digest // of the first voice
}

// A takenThing names something that can be taken back. owner is who signed a
// statement, and "" for everything else.
type takenThing struct {
	standin attest.Digest
	target  string // one of the Target… constants; an identity is treated as a key
	owner   string
}

// node returns what was found at a digest, in the chain, consulted or as a stand-in; nil for none.
func (k *reckoning) node(d attest.Digest) []*verify.Artifact {
	var out []*verify.Artifact
	if a := k.standIns[d]; a != nil {
		out = append(out, a)
	}
	for _, n := range []*verify.Artifact{k.chain.Artifact(d), k.chain.Consulted(d)} {
		if n != nil {
			out = append(out, n)
		}
	}
	return out
}

// takings returns when a thing is taken back, and how, in order.
func (k *reckoning) takings(t takenThing) []taking {
	if out, ok := k.taken[t]; ok {
		return out
	}
	k.taken[t] = nil // keys are judged by all voices about them, so this ends
	voices, lifting := k.voices(t)
	lifts := map[attest.Digest][]voice{} // by what they lift
	for _, l := range k.lifting(lifting, t) {
		for _, d := range l.facts.Restores {
			lifts[d] = append(lifts[d], l)
		}
	}
	for i := range voices {
		voices[i].on = voices[i].on.without(k.lifted(voices[i], lifts[voices[i].e.ID().Payload], t))
	}
	out := k.weigh(voices, t)
	k.taken[t] = out
	return out
}

// voices returns who said that a thing is taken back, and who that it is not any
// more.
func (k *reckoning) voices(t takenThing) (voices, lifting []voice) {
	seen := map[verify.ID]bool{} // one digest may be both in the chain and consulted
	nodes := k.node(t.standin)
	if len(nodes) == 0 {
		k.gap(t.standin, attest.CodeLimit) // nobody looked
	}
	for _, node := range nodes {
		evidence := node.Evidence
		if t.target == predicate.TargetArtifact { // what is said of a file is said of what holds it
			evidence = slices.Concat(node.Evidence, node.FileEvidence)
		}
		for _, e := range evidence {
			if e.PredicateType() != predicate.TypeRevocation || seen[e.ID()] || !k.known(e) {
				continue
			}
			seen[e.ID()] = true
			v, heard := k.voice(e, t)
			switch {
			case !heard:
			case v.facts.Action == predicate.ActionRestore:
				lifting = append(lifting, v)
			default:
				voices = append(voices, v)
			}
		}
	}
	return voices, lifting
}

// voice reads one revocation. One that cannot be read, or that is of no time that
// counts, leaves open whether anything was taken back: that is a gap.
func (k *reckoning) voice(e verify.Evidence, t takenThing) (voice, bool) {
	v := voice{e: e, who: k.who(e.ID().Credential), name: k.signer(e)}
	if !k.owns(v.who, t) && !k.mayRevoke(v.who, t.target) {
		return v, false
	}
	facts, err := e.Facts()
	if err == nil && (facts.Revocation == nil || kind(facts.Revocation.Target) != t.target) {
		return v, false
	}
	code, _ := k.judge(e)
	switch {
	case code == attest.CodeRevoked && t.target != predicate.TargetKey:
		return v, false
	case err != nil, code != "" && code != attest.CodeRevoked:
		k.gap(t.standin, attest.CodeRevoked)
		return v, false
	}
	v.facts = facts.Revocation
	from := k.happened(facts.Claimed)
	if v.facts.From.After(from) {
		from = v.facts.From
	}
	v.on = union(Span{From: from})
	if t.target != predicate.TargetKey {
		v.on = v.on.without(k.keyGone(e))
	}
	return v, true
}

// kind is a target as it is counted: an identity is taken back as a key is.
func kind(target string) string {
	if target == predicate.TargetIdentity {
		return predicate.TargetKey
	}
	return target
}

// credentialTarget is what whoever takes back what signed evidence calls that.
func credentialTarget(e verify.Evidence) string {
	if _, ok := e.ID().Credential.Identity(); ok {
		return predicate.TargetIdentity
	}
	return predicate.TargetKey
}

// happened is a claimed time as it is compared with the time of the question: of two
// honest clocks one may be a little ahead.
func (k *reckoning) happened(t time.Time) time.Time {
	if at := k.rules.At; t.After(at) && !t.After(at.Add(skew)) {
		return at
	}
	return t
}

// skew is how far two honest clocks may differ, as package policy has it.
const skew = 5 * time.Minute

// mayRevoke reports whether somebody has a voice about things of a kind.
func (k *reckoning) mayRevoke(who, target string) bool {
	return slices.ContainsFunc(k.rules.Revokers, func(r Revokers) bool { return r.hears(who, target) })
}

// owns reports whether a thing is somebody's own statement, which they may take back.
func (k *reckoning) owns(who string, t takenThing) bool {
	return k.rules.OwnRevoke && t.owner != "" && who == t.owner
}

// lifting returns the restorations that count. Those about keys count until the
// restorer's own key was taken back for the first time: to take back what was said of
// a key, one's own must never have been taken back.
func (k *reckoning) lifting(all []voice, t takenThing) []voice {
	if t.target != predicate.TargetKey {
		return all
	}
	var out []voice
	for _, l := range all {
		if code, _ := k.judge(l.e); code != "" {
			continue
		}
		if first, ever := k.everGone(l.e); ever {
			l.on = l.on.without(union(Span{From: first}))
		}
		out = append(out, l)
	}
	return out
}

// lifted returns when a revocation is taken back: by who made it, or by as many as
// could have made it.
func (k *reckoning) lifted(v voice, lifts []voice, t takenThing) spans {
	var out []Span
	for _, l := range lifts {
		if l.who == v.who {
			out = append(out, l.on...)
		}
	}
	for _, r := range k.rules.Revokers {
		for _, s := range together(lifts, r.Threshold, func(l voice) bool { return r.hears(l.who, t.target) }) {
			out = append(out, s.Span)
		}
	}
	return union(out...)
}

// weigh returns what the voices about one thing amount to: for each action, when
// enough of those who may say so do.
func (k *reckoning) weigh(voices []voice, t takenThing) []taking {
	var out []taking
	for _, action := range []string{predicate.ActionRevoke, predicate.ActionQuarantine, predicate.ActionSupersede} {
		rules := slices.Clone(k.rules.Revokers)
		rules = append(rules, Revokers{Targets: []string{t.target}, Threshold: 1, By: func(who string) bool { return k.owns(who, t) }})
		for _, r := range rules {
			for _, s := range together(voices, r.Threshold, func(v voice) bool { return v.facts.Action == action && r.hears(v.who, t.target) }) {
				out = append(out, taking{Span: s.Span, action: action, since: s.since, by: s.names, reason: s.first.facts.Reason, payload: s.first.e.ID().Payload})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b taking) int {
		return cmp.Or(a.From.Compare(b.From), a.payload.Compare(b.payload), a.To.Compare(b.To), slices.Compare(a.by, b.by))
	})
	// Who may revoke what is their own may by two rules.
	return slices.CompactFunc(out, func(a, b taking) bool {
		return a.From.Equal(b.From) && a.To.Equal(b.To) && a.action == b.action && a.payload == b.payload && slices.Equal(a.by, b.by)
	})
}

// keyGone returns when a record does not count because its key was taken back, and
// nobody authenticated that the record was there before.
func (k *reckoning) keyGone(e verify.Evidence) spans {
	var out []Span
	for _, w := range k.keyTakings(e) {
		out = append(out, w.Span)
	}
	return union(out...)
}

func (k *reckoning) keyTakings(e verify.Evidence) []taking {
	all := k.takings(takenThing{e.ID().Credential.Standin(), predicate.TargetKey, ""})
	return slices.DeleteFunc(slices.Clone(all), func(w taking) bool { return before(e, w.since) })
}

// before reports whether somebody authenticated that a record existed before a
// moment. A claimed time does not help: whoever holds the key can claim any.
func before(e verify.Evidence, moment time.Time) bool {
	return !e.Seen().IsZero() && e.Seen().Before(moment)
}

// everGone returns since when a record's key has ever been taken back, restored or
// not.
func (k *reckoning) everGone(e verify.Evidence) (first time.Time, ever bool) {
	t := takenThing{e.ID().Credential.Standin(), predicate.TargetKey, ""}
	all, known := k.everTaken[t.standin]
	if !known {
		voices, _ := k.voices(t)
		all = k.weigh(voices, t)
		k.everTaken[t.standin] = all
	}
	for _, w := range all {
		if !before(e, w.since) && (!ever || w.From.Before(first)) {
			first, ever = w.From, true
		}
	}
	return first, ever
}
