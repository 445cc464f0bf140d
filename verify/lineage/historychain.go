package lineage

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// chain puts the records of each place in order, and says where they do not follow
// each other.
func (h *historian) chain() []PlaceHistory {
	byPlace := map[Place][]*Deployed{}
	for ref, r := range h.records {
		byPlace[h.places[ref]] = append(byPlace[h.places[ref]], r)
	}
	out := []PlaceHistory{}
	for _, place := range slices.SortedFunc(maps.Keys(byPlace), Place.Compare) {
		if p := h.placeHistory(place, byPlace[place]); len(p.Records) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// placeHistory makes the history of one place.
func (h *historian) placeHistory(place Place, all []*Deployed) PlaceHistory {
	p := PlaceHistory{Place: place, Records: []Deployed{}, Findings: []HistoryFinding{}}
	ordered, loop := h.order(place, all)
	before := h.before(place, ordered, func(r *Deployed) bool { return !r.counts() || h.later(r) })
	// Whoever holds a key that does not count breaks nothing with it.
	follows := h.before(place, ordered, func(r *Deployed) bool { return r.Rejected != nil })
	listed := slices.DeleteFunc(ordered, h.later)
	for _, r := range listed {
		if r.Rejected != nil {
			continue
		}
		if ref, ok := follows[r.at()]; ok {
			h.follows(&p, place, r, ref)
		}
		h.decided(&p, r)
	}
	if len(loop) > 0 {
		p.find(FindingLoop, attest.CodeHistory, "records follow on each other in a circle", loop...)
	}
	// What was withdrawn counts as if it had not been made.
	var counted []*Deployed
	for _, r := range listed {
		if r.counts() {
			counted = append(counted, r)
		}
	}
	forked := h.forks(&p, counted, before)
	for i, r := range counted {
		if r.Previous == nil && i > 0 {
			forked = true
			p.find(FindingSecond, attest.CodeHistory, "it says that nothing was deployed there before, and something was", r)
		}
		if i+1 < len(counted) {
			r.Until = moment(counted[i+1].Claimed)
		} else {
			r.Running = true
		}
	}
	// Behind what is missing, which is told, there may be what joins the pieces to one
	// chain.
	n := heads(counted, before)
	p.Contested = n > 1 && (forked || n > 1+h.holes(counted, before))
	for _, r := range slices.Backward(listed) {
		p.Records = append(p.Records, *r)
	}
	return p
}

func (p *PlaceHistory) find(kind FindingKind, code attest.Code, why string, records ...*Deployed) *HistoryFinding {
	f := HistoryFinding{Code: code, Kind: kind, Why: why, Records: []attest.Digest{}}
	for _, r := range records {
		f.Records = append(f.Records, r.Payload)
	}
	p.Findings = append(p.Findings, f)
	return &p.Findings[len(p.Findings)-1]
}

// follows looks at what is before a record, by its own word and that of those that
// do not count.
func (h *historian) follows(p *PlaceHistory, place Place, r *Deployed, ref StatementAt) {
	before := h.records[ref]
	switch {
	case before != nil && h.places[ref] != place:
		p.find(FindingElsewhere, attest.CodeHistory, fmt.Sprintf("the record before it is of another place: %s", cmp.Or(h.places[ref].String(), "one without a target")), r)
	case before != nil && before.Claimed.After(r.Claimed.Add(skew)):
		p.find(FindingBackwards, attest.CodeHistory, fmt.Sprintf("it claims %s, and the record before it %s", r.Claimed.Format(time.RFC3339), before.Claimed.Format(time.RFC3339)), before, r)
	case before != nil:
	case h.elsewhere[ref]:
		p.find(FindingElsewhere, attest.CodeHistory, "the record before it is of another environment", r)
	default:
		kind, code, why := FindingMissing, attest.CodeChainMissing, "the record before it is not there, by anybody whose records count: it was removed, or never written"
		if at := h.looked[ref.Artifact]; at == nil {
			kind, code, why = FindingUnseen, attest.CodeLimit, "whether the record before it is there was not looked at"
		} else if at.gap != "" {
			kind, code, why = FindingUnseen, at.gap, "whether the record before it is there could not be seen"
		}
		p.find(kind, code, why, r).Missing = &ref
	}
}

// decided looks at the decision that a record names.
func (h *historian) decided(p *PlaceHistory, r *Deployed) {
	d := r.Decision
	if d == nil {
		return
	}
	switch yes := d.Says == "approved" || d.Says == "PASSED"; {
	case d.Artifact != r.Artifact:
		p.find(FindingDecision, attest.CodeHistory, "the decision that it names is about another artifact: "+d.Artifact.String(), r)
	case d.Found && !yes:
		p.find(FindingDecision, attest.CodeHistory, fmt.Sprintf("the decision that it names is no yes, but %.40q", d.Says), r)
	case d.Found:
	case d.Unseen != "":
		p.find(FindingUndecided, d.Unseen, "whether the decision that it names is there could not be seen", r).Missing = &d.StatementAt
	case d.Rejected != nil:
		p.find(FindingUndecided, d.Rejected.Code, "the decision that it names does not count: "+d.Rejected.Why, r).Missing = &d.StatementAt
	default:
		p.find(FindingUndecided, attest.CodeChainMissing, "the decision that it names is not there, by anybody trusted", r).Missing = &d.StatementAt
	}
}

// before returns what each record follows on if those that are passed had not been
// made: the nearest record before it, what is not there, or nothing, for which there
// is no entry. The records are in order.
func (h *historian) before(place Place, ordered []*Deployed, passed func(*Deployed) bool) map[StatementAt]StatementAt {
	out := map[StatementAt]StatementAt{}
	for _, r := range ordered {
		if r.Previous == nil {
			continue
		}
		ref, ok := *r.Previous, true
		if p := h.records[ref]; p != nil && h.places[ref] == place && passed(p) {
			ref, ok = out[ref]
		}
		if ok {
			out[r.at()] = ref
		}
	}
	return out
}

// forks finds the records that several others follow on, and several that follow on
// nothing, unless they say so themselves.
func (h *historian) forks(p *PlaceHistory, counted []*Deployed, before map[StatementAt]StatementAt) (found bool) {
	after := map[StatementAt][]*Deployed{}
	silent := false // whether one begins again, and does not say so
	for i, r := range counted {
		ref := before[r.at()] // zero: nothing
		after[ref] = append(after[ref], r)
		silent = silent || i > 0 && ref == (StatementAt{}) && r.Previous != nil
	}
	for _, r := range counted { // in order; a fork is told at the first of its branches
		ref := before[r.at()]
		branches := after[ref]
		if len(branches) < 2 || branches[0] != r {
			continue
		}
		if ref == (StatementAt{}) && !silent {
			continue // each is told as a second first one
		}
		found = true
		switch same := !slices.ContainsFunc(branches, func(b *Deployed) bool { return b.Previous == nil || *b.Previous != *branches[0].Previous }); {
		case same:
			p.find(FindingFork, attest.CodeHistory, fmt.Sprintf("%d records name the same one before them, %s", len(branches), r.Previous.Payload.Short()), branches...)
		case ref == (StatementAt{}):
			p.find(FindingFork, attest.CodeHistory, fmt.Sprintf("%d records follow on none that counts", len(branches)), branches...)
		default:
			p.find(FindingFork, attest.CodeHistory, fmt.Sprintf("%d records follow on the same one, %s, without those between that do not count", len(branches), ref.Payload.Short()), branches...)
		}
	}
	return found
}

// holes returns how many records that are followed on are not there.
func (h *historian) holes(counted []*Deployed, before map[StatementAt]StatementAt) int {
	missing := map[StatementAt]bool{}
	for _, r := range counted {
		if ref, ok := before[r.at()]; ok && h.records[ref] == nil && !h.elsewhere[ref] {
			missing[ref] = true
		}
	}
	return len(missing)
}

// heads returns how many records no other one follows on.
func heads(counted []*Deployed, before map[StatementAt]StatementAt) int {
	named := map[StatementAt]bool{}
	for _, r := range counted {
		named[before[r.at()]] = true
	}
	n := 0
	for _, r := range counted {
		if !named[r.at()] {
			n++
		}
	}
	return n
}

// order returns records so that each comes after the one that it names, and else
// by claimed time, then payload. The loop are those that no order has: digests
// that name each other in a circle would be a collision, and so there are none.
func (h *historian) order(place Place, all []*Deployed) (ordered, loop []*Deployed) {
	after := map[StatementAt][]*Deployed{}
	var ready byTime
	for _, r := range all {
		if r.Previous != nil && h.records[*r.Previous] != nil && h.places[*r.Previous] == place {
			after[*r.Previous] = append(after[*r.Previous], r)
		} else {
			ready = append(ready, r)
		}
	}
	heap.Init(&ready)
	for len(ready) > 0 {
		r, _ := heap.Pop(&ready).(*Deployed)
		ordered = append(ordered, r)
		for _, next := range after[r.at()] {
			heap.Push(&ready, next)
		}
	}
	if len(ordered) < len(all) { // unreachable
		for _, r := range all {
			if !slices.Contains(ordered, r) {
				loop = append(loop, r)
			}
		}
		slices.SortFunc(loop, compareDeployed)
		ordered = append(ordered, loop...)
	}
	return ordered, loop
}

func compareDeployed(a, b *Deployed) int {
	return cmp.Or(a.Claimed.Compare(b.Claimed), a.at().Compare(b.at()))
}

// byTime is a heap of records, the earliest first.
type byTime []*Deployed

func (t byTime) Len() int           { return len(t) }
func (t byTime) Less(i, j int) bool { return compareDeployed(t[i], t[j]) < 0 }
func (t byTime) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *byTime) Push(x any)        { r, _ := x.(*Deployed); *t = append(*t, r) }
func (t *byTime) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}
