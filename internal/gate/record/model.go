package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A place is where in an environment something runs: what has a chain of records of
// its own.
type place struct {
	Environment string `json:"environment"`
	Cluster     string `json:"cluster,omitempty"`
	Service     string `json:"service,omitempty"`
}

func (p place) String() string {
	return p.Environment + " " + lineage.Place{Cluster: p.Cluster, Service: p.Service}.String()
}

// An entry is one admission that waits to be recorded, and how far that is.
type entry struct {
	ID        uint64            `json:"id"`
	At        time.Time         `json:"at"`        // when it was let in
	Reference string            `json:"reference"` // with the digest
	Place     place             `json:"place"`
	Observer  string            `json:"observer,omitempty"`
	Facts     map[string]string `json:"facts,omitempty"` // what the record's config says
	// Settles is when an artifact counts that came back soon after it was replaced; zero
	// for all others. Until then another one in its place makes it void.
	Settles time.Time `json:"settles,omitzero"`
	// Verdict is the ruling that it was let in on; zero if there is none that could be
	// named.
	Verdict attest.Digest `json:"verdict,omitzero"`
	// Paid says that its record may be made: it was taken from the artifact's account.
	// Until then the next one at its place takes its place.
	Paid bool `json:"paid,omitempty"`
	// Coalesced counts the admissions that it took the place of.
	Coalesced int `json:"coalesced,omitempty"`
	// Look says that nothing changed, and the chain is only to be looked at again.
	Look bool `json:"look,omitempty"`
	// Record is the deployment record; nil until it is known what it follows on.
	Record *statement `json:"record,omitempty"`
	// Previous is what Record names.
	Previous *lineage.StatementAt `json:"previous,omitempty"`
	// Withdrawal takes Record back; nil if it stands. If Late is true the record is
	// attached all the same, behind its withdrawal.
	Withdrawal *statement `json:"withdrawal,omitempty"`
	Late       bool       `json:"late,omitempty"`
	// Again counts how often a record of this was taken back, to be made again. It is in
	// the next one, which must not be the same statement.
	Again int `json:"again,omitempty"`
	// Yielded counts how often it was waited for somebody else to take back a record
	// that follows on the same one.
	Yielded int `json:"yielded,omitempty"`
	// Trouble is why it still waits; nil if nothing is known to be wrong.
	Trouble *Trouble `json:"trouble,omitempty"`

	ref   attest.Reference // Reference, read; zero before it was put into a state
	ruled time.Time        // of an entry in glances: when its ruling was made
	took  int              // of an admission: in how many others' place it came
}

// A statement is what is to be signed, was signed, or was attached.
type statement struct {
	Payload  []byte `json:"payload"`
	Bundle   []byte `json:"bundle,omitempty"` // nil: not signed yet
	Attached bool   `json:"attached,omitempty"`
}

func (s *statement) digest() attest.Digest { return attest.SHA256(s.Payload) }

// A Trouble is why something waits.
type Trouble struct {
	Code  attest.Code `json:"code"`
	Why   string      `json:"why"`
	Since time.Time   `json:"since"` // when it was first so
}

// A standing is what the queue knows of a place.
type standing struct {
	Place place `json:"place"`
	// Steady is the artifact that was let in last and counts, Changed when it came,
	// Sighted when the repository was last to be asked about the place.
	Steady  attest.Digest `json:"steady"`
	Changed time.Time     `json:"changed"`
	Sighted time.Time     `json:"sighted"`
	// Former are the artifacts that were replaced lately, and when.
	Former map[attest.Digest]time.Time `json:"former,omitempty"`
	// Recorded is the last record that this queue made or found there, Repository where
	// it is.
	Recorded   *lineage.StatementAt `json:"recorded,omitempty"`
	Repository string               `json:"repository,omitempty"`
	// Untold is how many admissions gave way to others since Recorded, and are in no
	// record's count yet.
	Untold int `json:"untold,omitempty"`
}

func (s *standing) clone() *standing {
	c := *s
	c.Former = maps.Clone(s.Former)
	return &c
}

// An op is one change of the state: exactly one field is set. Applied in order they
// give the state again.
type op struct {
	Head    *head     `json:"head,omitempty"`
	Entry   *entry    `json:"entry,omitempty"`
	End     uint64    `json:"end,omitempty"`
	Place   *standing `json:"place,omitempty"`
	Lane    *lane     `json:"lane,omitempty"`
	Ruling  *ruling   `json:"ruling,omitempty"`
	Account *account  `json:"account,omitempty"`
}

// fields counts those that are set.
func (o op) fields() (n int) {
	for _, set := range []bool{o.Head != nil, o.Entry != nil, o.End != 0, o.Place != nil, o.Lane != nil, o.Ruling != nil, o.Account != nil} {
		if set {
			n++
		}
	}
	return n
}

// A head begins a journal.
type head struct {
	Format int    `json:"format"`
	Next   uint64 `json:"next"` // the ID of the next entry
}

// A lane is what holds up a whole repository; without a Trouble nothing does.
type lane struct {
	Repository string   `json:"repository"`
	Trouble    *Trouble `json:"trouble,omitempty"`
}

// A state is everything that the queue knows. What it points to is never changed, only
// replaced.
type state struct {
	next     uint64
	entries  map[uint64]*entry
	byPlace  map[place][]*entry // the same, by ID
	waiting  map[string]int     // how many, by namespace
	places   map[place]*standing
	lanes    map[string]*Trouble
	rulings  map[attest.Digest]*ruling
	newest   map[attest.Digest]attest.Digest // of rulings, by substance
	accounts map[accountKey]*account
	facts    map[string]map[string]string // those of entries, each once
}

func newState() *state {
	return &state{
		next: 1, entries: map[uint64]*entry{}, byPlace: map[place][]*entry{}, waiting: map[string]int{},
		places: map[place]*standing{}, lanes: map[string]*Trouble{},
		rulings: map[attest.Digest]*ruling{}, newest: map[attest.Digest]attest.Digest{}, accounts: map[accountKey]*account{}, facts: map[string]map[string]string{},
	}
}

// about says which place a change is about, before it is made; ok is false for none.
func (s *state) about(o op) (p place, ok bool) {
	switch {
	case o.Entry != nil:
		return o.Entry.Place, true
	case o.Place != nil:
		return o.Place.Place, true
	case s.entries[o.End] != nil:
		return s.entries[o.End].Place, true
	}
	return place{}, false
}

// apply makes one change, and returns what takes it back. An error is a change that no
// state has.
func (s *state) apply(o op) (undo func(), err error) {
	if o.fields() != 1 {
		return nil, fmt.Errorf("a change that is none, or several")
	}
	switch {
	case o.Head != nil:
		old := s.next
		s.next = o.Head.Next
		return func() { s.next = old }, nil
	case o.Entry != nil:
		return s.put(o.Entry)
	case o.End != 0:
		old := s.entries[o.End]
		if old == nil {
			return nil, fmt.Errorf("entry %d ends, and there is none", o.End)
		}
		s.set(o.End, nil)
		return func() { s.set(o.End, old) }, nil
	case o.Place != nil:
		return exchange(s.places, o.Place.Place, o.Place), nil
	case o.Ruling != nil:
		return s.rule(o.Ruling)
	case o.Account != nil:
		return exchange(s.accounts, o.Account.key(), o.Account), nil
	}
	return exchange(s.lanes, o.Lane.Repository, o.Lane.Trouble), nil
}

// exchange sets what a map has under a key, or removes it if it is to be nil, and returns
// what takes that back.
func exchange[K comparable, V any](m map[K]*V, key K, v *V) (undo func()) {
	old := m[key]
	set := func(v *V) {
		if delete(m, key); v != nil {
			m[key] = v
		}
	}
	set(v)
	return func() { set(old) }
}

// rule keeps a ruling.
func (s *state) rule(r *ruling) (undo func(), err error) {
	if r.ID.IsZero() || r.Summary != nil && r.Summary.digest() != r.ID {
		return nil, fmt.Errorf("a ruling under another name: %s", r.ID)
	}
	id := r.ID
	if was, known := s.newest[r.Substance]; known && s.rulings[was] != nil && s.rulings[was].At.After(r.At) {
		id = was
	}
	back, last := exchange(s.rulings, r.ID, r), s.newest[r.Substance]
	s.newest[r.Substance] = id
	return func() {
		back()
		if s.newest[r.Substance] = last; last.IsZero() {
			delete(s.newest, r.Substance)
		}
	}, nil
}

func (s *state) put(e *entry) (undo func(), err error) {
	old, next := s.entries[e.ID], s.next
	switch {
	case e.ID == 0, old == nil && e.ID < s.next:
		return nil, fmt.Errorf("entry %d comes again", e.ID)
	case e.ID > s.next:
		return nil, fmt.Errorf("entry %d, and the next is %d", e.ID, s.next)
	}
	ref, err := e.reference()
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", e.ID, err)
	}
	if !e.Verdict.IsZero() && s.rulings[e.Verdict] == nil {
		return nil, fmt.Errorf("entry %d rests on a verdict that is not there", e.ID)
	}
	e.ref = ref
	s.share(e)
	if old != nil && old.Place != e.Place {
		return nil, fmt.Errorf("entry %d moves", e.ID)
	}
	s.set(e.ID, e)
	s.next = max(s.next, e.ID+1)
	return func() {
		s.set(e.ID, old)
		s.next = next
	}, nil
}

// share has an entry share what others have as well: thousands of entries have a dozen
// different facts between them, and the names of their places are the places'.
func (s *state) share(e *entry) {
	if p := s.places[e.Place]; p != nil {
		e.Place = p.Place
	}
	var key strings.Builder
	for _, k := range slices.Sorted(maps.Keys(e.Facts)) {
		fmt.Fprintf(&key, "%q=%q ", k, e.Facts[k])
	}
	same, known := s.facts[key.String()]
	if !known {
		if len(s.facts) >= maxFacts {
			clear(s.facts)
		}
		same, s.facts[key.String()] = e.Facts, e.Facts
	}
	e.Facts = same
}

// maxFacts is how many different facts are shared.
const maxFacts = 256

// set replaces an entry; nil removes it.
func (s *state) set(id uint64, e *entry) {
	if old := s.entries[id]; old != nil {
		rest := slices.DeleteFunc(slices.Clone(s.byPlace[old.Place]), func(x *entry) bool { return x.ID == id })
		if s.byPlace[old.Place] = rest; len(rest) == 0 {
			delete(s.byPlace, old.Place)
		}
		delete(s.entries, id)
		ns := namespaceOf(old.Place.Service)
		if s.waiting[ns]--; s.waiting[ns] == 0 {
			delete(s.waiting, ns)
		}
	}
	if e == nil {
		return
	}
	s.entries[id] = e
	s.waiting[namespaceOf(e.Place.Service)]++
	list := s.byPlace[e.Place]
	i, _ := slices.BinarySearchFunc(list, id, func(x *entry, id uint64) int { return cmp.Compare(x.ID, id) })
	s.byPlace[e.Place] = slices.Insert(slices.Clone(list), i, e)
}

// ops are the changes that make the state out of nothing, the head first, and what others
// rest on before them.
func (s *state) ops() []op {
	out := []op{{Head: &head{Format: format, Next: 1}}}
	for _, r := range slices.SortedFunc(maps.Values(s.rulings), func(a, b *ruling) int {
		return cmp.Or(a.At.Compare(b.At), a.ID.Compare(b.ID))
	}) {
		out = append(out, op{Ruling: r})
	}
	for _, a := range s.accounts {
		out = append(out, op{Account: a})
	}
	for _, p := range s.places {
		out = append(out, op{Place: p})
	}
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		// Each stands before the entry that makes it true, as it did when it came.
		out = append(out, op{Head: &head{Format: format, Next: id}}, op{Entry: s.entries[id]})
	}
	for _, repo := range slices.Sorted(maps.Keys(s.lanes)) {
		out = append(out, op{Lane: &lane{repo, s.lanes[repo]}})
	}
	return append(out, op{Head: &head{Format: format, Next: s.next}})
}

// trim forgets the oldest of what nothing that waits needs, where there is too much of
// it, and says of which places: all of it is looked up again, or made again.
func (s *state) trim() (forgotten []place) {
	if over(s.places, maxPlaces+len(s.byPlace)) {
		forgotten = oldest(s.places, maxPlaces, func(p place, x *standing) (time.Time, bool) { return x.Sighted, s.waits(p) })
	}
	if over(s.accounts, maxAccounts) {
		oldest(s.accounts, maxAccounts, func(_ accountKey, x *account) (time.Time, bool) { return x.Used, false })
	}
	if over(s.rulings, maxRulings+len(s.entries)) {
		needed := map[attest.Digest]bool{}
		for _, e := range s.entries {
			needed[e.Verdict] = true
		}
		oldest(s.rulings, maxRulings+len(needed), func(id attest.Digest, x *ruling) (time.Time, bool) { return x.At, needed[id] })
		maps.DeleteFunc(s.newest, func(_, id attest.Digest) bool { return s.rulings[id] == nil })
	}
	return forgotten
}

// over reports whether a map has so much more than its limit that a look at all of it is
// worth it.
func over[K comparable, V any](m map[K]V, limit int) bool { return len(m) > limit+limit/8 }

// oldest removes the oldest from a map until it has no more than its limit, or all that is
// left is needed, and returns which.
func oldest[K comparable, V any](m map[K]V, limit int, of func(K, V) (at time.Time, needed bool)) (removed []K) {
	type aged struct {
		key K
		at  time.Time
	}
	var all []aged
	for k, v := range m {
		if at, needed := of(k, v); !needed {
			all = append(all, aged{k, at})
		}
	}
	slices.SortFunc(all, func(a, b aged) int { return a.at.Compare(b.at) })
	for _, x := range all[:min(len(all), max(0, len(m)-limit))] {
		delete(m, x.key)
		removed = append(removed, x.key)
	}
	return removed
}

// reference reads what the entry is about.
func (e *entry) reference() (attest.Reference, error) {
	if !e.ref.Digest.IsZero() {
		return e.ref, nil
	}
	ref, err := attest.ParseReference(e.Reference)
	if err == nil && ref.Digest.IsZero() {
		err = attest.Refuse(attest.CodeReference, "names no digest")
	}
	return ref, err
}

// clone returns a copy whose parts can be replaced.
func (e *entry) clone() *entry {
	c := *e
	return &c
}

// settling reports whether the entry may still turn out to be void.
func (e *entry) settling(now time.Time) bool { return now.Before(e.Settles) }

// encode writes changes as one line of the journal has them.
func encode(ops []op) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ops); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads what encode wrote, and nothing else: a field that this version does not
// know could be one that matters.
func decode(b []byte) ([]op, error) {
	v, err := strictjson.Parse(b, maxLine)
	if err != nil {
		return nil, err
	}
	if v.Kind() != strictjson.Array {
		return nil, fmt.Errorf("it is %s, want a list of changes", v.Kind())
	}
	for _, item := range v.Items() {
		if h, ok := item.Get("head"); ok {
			if f, _ := h.Get("format"); f.Text() != fmt.Sprint(format) {
				return nil, fmt.Errorf("it has format %.20q, and this version reads %d: use the version that wrote it, or a newer one", f.Text(), format)
			}
		}
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var ops []op
	if err := dec.Decode(&ops); err != nil {
		return nil, err
	}
	return ops, nil
}
