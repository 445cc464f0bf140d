package policy

import (
	"fmt"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A signedList is the deny list that governs, and what is wrong with it.
type signedList struct {
	governing *record // nil: none
	answer    Status
	reasons   []Reason
	mark      *Mark
}

func (l *signedList) fail(st Status, why Reason) {
	l.answer = min(l.answer, st)
	l.reasons = append(l.reasons, why)
}

// readDenylist finds the newest list that enough principals signed, word for word.
func (ev *evaluator) readDenylist(x *denial) *signedList {
	anchor := predicate.DenylistAnchor(x.list)
	l := &signedList{answer: Pass}
	signed := map[attest.Digest][]*record{}
	var lists []*record
	var unreadable *record
	for _, r := range ev.rawRecords(anchor, predicate.TypeDenylist, x.by) {
		if r.err == nil && (r.facts.Denylist.Name != x.list || ev.at.ahead(r.claimed())) {
			continue
		}
		signed[r.id.Payload] = append(signed[r.id.Payload], r)
		lists = append(lists, r)
	}
	// The newest governs, also if a signature was taken back: that the one before
	// it holds again, nobody said.
	for _, r := range lists {
		if principals(signed[r.id.Payload]) < x.threshold {
			continue
		}
		if r.err != nil {
			unreadable = r
			continue
		}
		switch {
		case l.governing == nil || r.facts.Denylist.Sequence > l.governing.facts.Denylist.Sequence:
			l.governing, l.answer, l.reasons = r, Pass, nil
		case r.facts.Denylist.Sequence == l.governing.facts.Denylist.Sequence && r.id.Payload != l.governing.id.Payload:
			l.fail(Unknown, Reason{Code: attest.CodeConflict, About: r.id.Payload.String(), Why: fmt.Sprintf("two lists %s have the sequence %d", x.list, r.facts.Denylist.Sequence), Next: "publish a new one"})
		}
	}
	publish := fmt.Sprintf("pedigree denylist publish %s --name %s --artifacts FILE %s --valid-for 24h (signed by %d of %s)", RemedyRepository, x.list, ev.d.signWith(x.by[0]), x.threshold, strings.Join(x.by, ", "))
	node := ev.chain.Consulted(anchor)
	if l.governing == nil {
		why := Reason{Code: attest.CodeChainMissing, About: anchor.String(), Why: fmt.Sprintf("there is no deny list %s signed by %d of %s", x.list, x.threshold, strings.Join(x.by, ", ")), Next: publish}
		if l.fail(Fail, why); node.Gapped() {
			l.answer = Unknown
		}
		return l
	}
	if unreadable != nil {
		l.fail(Unknown, Reason{Code: attest.CodeDenied, About: unreadable.id.Payload.String(), Why: fmt.Sprintf("a deny list is there that cannot be read, and may be a newer %s", x.list), Next: publish})
	}
	ev.countSigners(x, l, signed[l.governing.id.Payload])
	ev.datedList(x, l, publish)
	if ev.unprovenAt(anchor, x.acknowledge != "") || node.Gapped() {
		l.fail(Unknown, Reason{Code: attest.CodeStatus, About: anchor.String(), Why: fmt.Sprintf("whether there is a newer deny list %s cannot be seen", x.list), Next: ev.lookAgain(attest.CodeStatus)})
	}
	l.mark = &Mark{Name: "denylist/" + markID(anchor, ev.authority(x.by)), Number: l.governing.facts.Denylist.Sequence, Content: l.governing.id.Payload}
	for _, m := range ev.t.Remembered {
		if m.Name == l.mark.Name && (m.Number > l.mark.Number || m.Number == l.mark.Number && m.Content != l.mark.Content) {
			l.fail(Unknown, Reason{Code: attest.CodeRollback, About: l.governing.id.Payload.String(), Why: fmt.Sprintf("the deny list %s has the sequence %d, and another with %d was seen before", x.list, l.mark.Number, m.Number), Next: publish})
		}
	}
	return l
}

// principals counts the distinct principals of records.
func principals(rs []*record) int {
	who := map[*principal]bool{}
	for _, r := range rs {
		who[r.principal] = true
	}
	return len(who)
}

// countSigners asks that enough principals signed the list with a key and at a
// time that count, and did not take it back.
func (ev *evaluator) countSigners(x *denial, l *signedList, signed []*record) {
	var sure, maybe []*record
	var reasons []Reason
	for _, r := range signed {
		gone, doubt := ev.withdrawn(r)
		untimely := ev.dated(r, ev.at)
		switch {
		case gone != nil:
			reasons = append(reasons, *gone)
		case len(untimely) > 0:
			reasons = append(reasons, untimely...)
		case doubt != nil:
			maybe = append(maybe, r)
			reasons = append(reasons, *doubt)
		default:
			sure, maybe = append(sure, r), append(maybe, r)
		}
	}
	if principals(sure) >= x.threshold {
		return
	}
	st := Fail
	if principals(maybe) >= x.threshold {
		st = Unknown
	}
	for _, why := range reasons {
		if why.About == "" {
			why.About = l.governing.id.Payload.String()
		}
		l.fail(st, why)
	}
}

// datedList asks that the governing list is fresh.
func (ev *evaluator) datedList(x *denial, l *signedList, publish string) {
	f := l.governing.facts.Denylist
	if ev.at.after(f.ValidUntil) {
		l.fail(Fail, Reason{Code: attest.CodeStale, About: l.governing.id.Payload.String(), Why: fmt.Sprintf("the deny list %s was valid until %s", x.list, stamp(f.ValidUntil)), Next: publish})
	}
	if ev.at.older(l.governing.claimed(), x.maxAge) {
		l.fail(Fail, Reason{Code: attest.CodeStale, About: l.governing.id.Payload.String(), Why: fmt.Sprintf("the deny list %s is %s old, at most %s are allowed", x.list, span(ev.at.age(l.governing.claimed())), span(x.maxAge)), Next: publish})
	}
}
