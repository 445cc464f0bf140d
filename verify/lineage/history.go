package lineage

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// A History is what was deployed to one environment, by the records of those whose
// word counts for it.
//
// Each record names the one before it in the same place, so that the records of a
// place are a chain: what was taken out of it, or put in beside it, shows. What
// shows nothing is what was left out at the end.
type History struct {
	Environment string    `json:"environment"`
	At          time.Time `json:"at"` // what was recorded later is left out
	// Signers are whose records count, sorted by name.
	Signers []string       `json:"signers"`
	Places  []PlaceHistory `json:"places"` // sorted
	// Later is how many records were left out because they are of a later time.
	Later int `json:"later"`
	// PassedOver is how many records were left out because their signer, whose key is
	// known, is none of Signers.
	PassedOver int   `json:"passedOver"`
	Gaps       []Gap `json:"gaps"`
}

// A Place is where in an environment something runs: a service in a cluster, as the
// records' target says. The address in a target tells no places apart. Records
// without a target are of one place, which has no name.
type Place struct {
	Cluster string `json:"cluster,omitempty"`
	Service string `json:"service,omitempty"`
}

// String returns CLUSTER/SERVICE, as --target takes it; "" for the place without a
// name.
func (p Place) String() string {
	if p == (Place{}) {
		return ""
	}
	return p.Cluster + "/" + p.Service
}

// Compare orders places by cluster and service.
func (p Place) Compare(q Place) int {
	if c := strings.Compare(p.Cluster, q.Cluster); c != 0 {
		return c
	}
	return strings.Compare(p.Service, q.Service)
}

// A PlaceHistory is what was deployed to one place.
type PlaceHistory struct {
	Place Place `json:"place"`
	// Records are ordered by what follows on what, and where that says nothing by the
	// claimed time: the last first.
	Records []Deployed `json:"records"`
	// Contested is true if more than one record may be the last.
	Contested bool             `json:"contested"`
	Findings  []HistoryFinding `json:"findings"`
}

// Running returns the record of what runs there at the time of the question: the
// last that was not withdrawn; nil if there is none.
func (p *PlaceHistory) Running() *Deployed {
	if i := slices.IndexFunc(p.Records, func(r Deployed) bool { return r.Running }); i >= 0 {
		return &p.Records[i]
	}
	return nil
}

// A Deployed is one record: an artifact was deployed there.
type Deployed struct {
	Payload  attest.Digest `json:"payload"`
	Artifact attest.Digest `json:"artifact"`
	// Names are what repositories call the artifact: labels.
	Names   []string   `json:"names,omitempty"`
	Claimed time.Time  `json:"claimed"`
	Seen    *time.Time `json:"seen,omitempty"`
	Signed  []Signer   `json:"signed"` // by credential
	Reason  string     `json:"reason,omitempty"`
	// Observer is who saw it run, by the signer's word.
	Observer string `json:"observer,omitempty"`
	// Loaded is how many files the signer hashed where it runs, and Foreign how many
	// of them are not the artifact's; -1 if its files are not known.
	Loaded  int `json:"loaded,omitempty"`
	Foreign int `json:"foreign,omitempty"`
	// Previous is the record before it; nil if it says that there was none.
	Previous *StatementAt `json:"previous,omitempty"`
	// Decision is what it was done on; nil if it names nothing.
	Decision *DecidedOn `json:"decision,omitempty"`
	// Withdrawn says that the record does not count any more, and why; nil if it does.
	Withdrawn *Withdrawn `json:"withdrawn,omitempty"`
	// Rejected is why the signatures do not count; nil if one of them does.
	Rejected *Rejected `json:"rejected,omitempty"`
	// Until is when the next record there says that something else runs; nil for the
	// last one, and for those that do not count.
	Until   *time.Time `json:"until,omitempty"`
	Running bool       `json:"running,omitempty"`
	// Judgment is what whoever asks thinks of the artifact; nil if nobody was asked.
	Judgment *Judgment `json:"judgment,omitempty"`
}

// counts reports whether the record counts as one that was made.
func (d *Deployed) counts() bool { return d.Withdrawn == nil && d.Rejected == nil }

// at names the record.
func (d *Deployed) at() StatementAt { return StatementAt{d.Payload, d.Artifact} }

// A Signer is a credential, with what the one who asks calls it.
type Signer struct {
	Credential string `json:"credential"`
	Name       string `json:"name"`
}

// A StatementAt names a statement and the artifact that it is attached to.
type StatementAt struct {
	Payload  attest.Digest `json:"payload"`
	Artifact attest.Digest `json:"artifact"`
}

// Compare orders by payload, then artifact.
func (s StatementAt) Compare(o StatementAt) int {
	if c := s.Payload.Compare(o.Payload); c != 0 {
		return c
	}
	return s.Artifact.Compare(o.Artifact)
}

// String returns PAYLOAD@ARTIFACT.
func (s StatementAt) String() string { return s.Payload.String() + "@" + s.Artifact.String() }

// A DecidedOn is the decision that a record names.
type DecidedOn struct {
	StatementAt
	// Found is true if it is there, signed by somebody trusted.
	Found bool `json:"found"`
	// Unseen is why that cannot be said; "" if it can.
	Unseen  attest.Code `json:"unseen,omitempty"`
	Type    string      `json:"type,omitempty"` // "approval" or "vsa"
	Says    string      `json:"says,omitempty"` // "approved", "PASSED", …
	Claimed *time.Time  `json:"claimed,omitempty"`
	Signed  []Signer    `json:"signed,omitempty"`
	// Withdrawn says that the decision does not count any more.
	Withdrawn *Withdrawn `json:"withdrawn,omitempty"`
	// Rejected is why it is not found though it is there: its signatures do not count.
	Rejected *Rejected `json:"rejected,omitempty"`
}

// Rejected says why a signature does not count, whatever it says: its key may be
// somebody else's, or its time cannot be used.
type Rejected struct {
	Code attest.Code `json:"code"`
	Why  string      `json:"why"`
}

// Withdrawn says who took a statement back, or the key or identity that signed it.
type Withdrawn struct {
	Target  string        `json:"target"` // predicate.TargetPayload, TargetKey or TargetIdentity
	Payload attest.Digest `json:"payload"`
	By      []string      `json:"by"`
	Since   time.Time     `json:"since"`
	Reason  string        `json:"reason"`
}

// A HistoryFinding is something that is wrong with the history of a place.
type HistoryFinding struct {
	// Code is attest.CodeHistory where records contradict each other, and otherwise
	// why something is missing: attest.CodeChainMissing, or the code of a gap.
	Code attest.Code `json:"code"`
	Kind FindingKind `json:"kind"`
	// Records are those that it is about, by payload, in the order of the history.
	Records []attest.Digest `json:"records"`
	// Missing is the statement that is not there; nil if none is missing.
	Missing *StatementAt `json:"missing,omitempty"`
	Why     string       `json:"why"`
}

// A FindingKind is what kind of thing is wrong.
type FindingKind string

// The kinds of findings.
const (
	FindingFork      FindingKind = "fork"      // several records follow on the same one, or on none
	FindingSecond    FindingKind = "second"    // a record names none before it, and is not the first
	FindingBackwards FindingKind = "backwards" // a record claims an earlier time than the one before it
	FindingElsewhere FindingKind = "elsewhere" // the record before is of another place or environment
	FindingLoop      FindingKind = "loop"      // records that follow on each other in a circle
	FindingDecision  FindingKind = "decision"  // the decision is about something else, or is a no
	FindingMissing   FindingKind = "missing"   // the record before is not there
	FindingUnseen    FindingKind = "unseen"    // whether the record before is there could not be seen
	FindingUndecided FindingKind = "undecided" // the decision is not there, or could not be seen
)

// Broken reports whether records contradict each other anywhere.
func (h *History) Broken() bool {
	return h.has(func(f HistoryFinding) bool { return f.Code == attest.CodeHistory })
}

// Lacks reports whether something is missing, or could not be looked at.
func (h *History) Lacks() bool {
	return len(h.Gaps) > 0 || h.has(func(f HistoryFinding) bool { return f.Code != attest.CodeHistory })
}

// Records returns how many records there are.
func (h *History) Records() int {
	n := 0
	for _, p := range h.Places {
		n += len(p.Records)
	}
	return n
}

func (h *History) has(what func(HistoryFinding) bool) bool {
	return slices.ContainsFunc(h.Places, func(p PlaceHistory) bool { return slices.ContainsFunc(p.Findings, what) })
}

// A HistoryQuestion says whose records count, and where to look.
type HistoryQuestion struct {
	Environment string
	// At is the moment that is asked about, and Known up to when evidence counts.
	At, Known time.Time
	// Skew is how much later than At a record may claim to be and still count: what
	// two honest clocks may differ, if At is now.
	Skew time.Duration
	// Find yields artifacts beside which there may be records of the environment:
	// hints. Its error becomes a gap.
	Find func(ctx context.Context, yield func(attest.Digest) bool) error
	// By are whose records count, whatever these rules say of types. Nobody's do if it
	// is empty.
	By      []verify.Follow
	Sources []verify.Source
	Scope   verify.Scope // whose signatures count, for decisions and revocations too
	Reading Reading
	// Who, Revokers and Judge are those of [AccessRules]: who is the same, who may take
	// back what others signed, and whose signatures do not count. Everybody may take
	// back their own statements.
	Who      func(verify.Credential) string
	Revokers []Revokers
	Judge    func(e verify.Evidence) (code attest.Code, why string)
}

// AskHistory collects the records of an environment, and says where they do not
// follow each other. What could not be looked at is in the answer. The error is
// that of [verify.Look].
func AskHistory(ctx context.Context, q HistoryQuestion) (*History, error) {
	h := &historian{q: q, looked: map[attest.Digest]*lookedAt{}, found: map[StatementAt][]verify.Evidence{}, records: map[StatementAt]*Deployed{},
		places: map[StatementAt]Place{}, elsewhere: map[StatementAt]bool{}, passedOver: map[StatementAt]bool{}, expected: map[attest.Digest]bool{}}
	if err := h.collect(ctx); err != nil {
		return nil, err
	}
	h.decisions()
	if err := h.withdrawals(ctx); err != nil {
		return nil, err
	}
	out := &History{Environment: q.Environment, At: q.At.UTC(), Signers: []string{}, Places: h.chain(), PassedOver: len(h.passedOver)}
	for _, r := range h.records {
		if h.later(r) {
			out.Later++
		}
	}
	for _, f := range q.By {
		out.Signers = append(out.Signers, namesOf(f, q.Reading)...)
	}
	slices.Sort(out.Signers)
	out.Signers = slices.Compact(out.Signers)
	out.Gaps = sortGaps(h.gaps)
	return out, nil
}

// Missed adds what could not be read before the question was asked.
func (h *History) Missed(gaps []Gap) { h.Gaps = sortGaps(append(h.Gaps, gaps...)) }

// Name gives the artifacts their names.
func (h *History) Name(names func(attest.Digest) []string) {
	for i := range h.Places {
		for j := range h.Places[i].Records {
			r := &h.Places[i].Records[j]
			r.Names = names(r.Artifact)
		}
	}
}

// Judge judges what runs, and the artifacts of the newest records of each place;
// negative: of all. The error is that of judge, which is asked once about each
// artifact.
func (h *History) Judge(newest int, judge func(attest.Digest) (Judgment, error)) error {
	answers := map[attest.Digest]*Judgment{}
	for i := range h.Places {
		for j := range h.Places[i].Records {
			r := &h.Places[i].Records[j]
			if newest == 0 || newest > 0 && j >= newest && !r.Running {
				continue
			}
			if answers[r.Artifact] == nil {
				answer, err := judge(r.Artifact)
				if err != nil {
					return err
				}
				answers[r.Artifact] = &answer
			}
			r.Judgment = answers[r.Artifact]
		}
	}
	return nil
}
