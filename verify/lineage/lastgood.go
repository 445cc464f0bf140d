package lineage

import (
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// An Outcome is the answer about one version, in the words of verdicts.
type Outcome string

// The three answers. Any other, the zero one too, is no yes.
const (
	OutcomeAllow     Outcome = "ALLOW"
	OutcomeDeny      Outcome = "DENY"
	OutcomeUndecided Outcome = "UNDECIDED"
)

// A Judgment is what whoever asks thinks of one artifact now: of a policy, its
// verdict in short.
type Judgment struct {
	Outcome Outcome `json:"outcome"`
	// Why says why it is no yes: causes before what follows from them.
	Why []Why `json:"why,omitempty"`
	// MoreWhy is how many reasons were left out.
	MoreWhy int `json:"moreWhy,omitempty"`
	// MadeBy and ApprovedBy are the records that count, the earliest first.
	MadeBy     []Record `json:"madeBy,omitempty"`
	ApprovedBy []Record `json:"approvedBy,omitempty"`
}

// A Why is one reason why something does not satisfy a policy.
type Why struct {
	Step  string      `json:"step"` // the requirement
	Code  attest.Code `json:"code"`
	About string      `json:"about,omitempty"`
	Why   string      `json:"why"`
	// Open is true if that is not known rather than not so.
	Open bool `json:"open,omitempty"`
}

// A JudgedVersion is a version with the answer about it.
type JudgedVersion struct {
	Version
	Judgment
}

// A LastGood is the answer to: which is the newest version that is good now?
type LastGood struct {
	// Found is that version; nil if there is none.
	Found *JudgedVersion `json:"found"`
	// Newer are the versions that were judged before it was found, the newest first:
	// none of them is a yes.
	Newer []JudgedVersion `json:"newer"`
	// Undecided is how many of Newer are neither a yes nor a no: they may be better
	// than what was found.
	Undecided int `json:"undecided"`
	// TooNew is how many versions were left out because they were not made before the
	// time that was asked about.
	TooNew int `json:"tooNew"`
	// Unjudged is how many versions the limit left.
	Unjudged int `json:"unjudged"`
	// Older is how many versions are older than the one found.
	Older   int       `json:"older"`
	Undated []Version `json:"undated"`
	LeftOut LeftOut   `json:"leftOut"`
	// Rollback says, for each place of the environment that was asked about, what
	// ran there and can be gone back to.
	Rollback []Rollback `json:"rollback"`
	Gaps     []Gap      `json:"gaps"`
}

// A Rollback is where to go back to in one place.
type Rollback struct {
	Place Place `json:"place"`
	// Running is what the records say runs there.
	Running attest.Digest `json:"running"`
	Since   time.Time     `json:"since"`
	// Contested is true if the records do not agree on what runs there.
	Contested bool `json:"contested"`
	// Target is the newest good version that is older than what runs, and that ran
	// there before; nil if there is none.
	Target *JudgedVersion `json:"target"`
	// Until is until when it ran there, for the last time.
	Until *time.Time `json:"until,omitempty"`
	// Passed is how many versions that ran there were judged before the target was
	// found, and are not good.
	Passed int `json:"passed"`
	// Open is true if there may be a newer target: a version that ran there is
	// undecided, or the limit left it.
	Open bool `json:"open"`
}

// A LastGoodQuestion says what is asked of the versions.
type LastGoodQuestion struct {
	Versions *Versions
	// Before, if set, leaves out what was not made before it.
	Before time.Time
	// Limit is how many versions are judged at most.
	Limit int
	// Judge answers about one version. An error ends the search.
	Judge func(Version) (Judgment, error)
	// Places are the histories of the environment that is asked about; none, and
	// nothing is said of going back.
	Places []PlaceHistory
}

// FindLastGood judges versions from the newest on until one is good. The error is
// that of the question's Judge.
func FindLastGood(q LastGoodQuestion) (*LastGood, error) {
	s := &search{q: q, judged: map[attest.Digest]JudgedVersion{}}
	out := &LastGood{Newer: []JudgedVersion{}, Undated: q.Versions.Undated, LeftOut: q.Versions.LeftOut, Rollback: []Rollback{}, Gaps: q.Versions.Gaps}
	candidates := slices.DeleteFunc(slices.Clone(q.Versions.Dated), func(v Version) bool { return !q.Before.IsZero() && !v.Made.Before(q.Before) })
	out.TooNew = len(q.Versions.Dated) - len(candidates)
	for i, v := range candidates {
		j, ok, err := s.judge(v)
		if err != nil {
			return nil, err
		}
		if !ok {
			out.Unjudged = len(candidates) - i
			break
		}
		if j.Outcome == OutcomeAllow {
			out.Found, out.Older = &j, len(candidates)-i-1
			break
		}
		if j.Outcome == OutcomeUndecided {
			out.Undecided++
		}
		out.Newer = append(out.Newer, j)
	}
	for _, p := range q.Places {
		if r := p.Running(); r != nil {
			back, err := s.rollback(candidates, p, *r)
			if err != nil {
				return nil, err
			}
			out.Rollback = append(out.Rollback, back)
		}
	}
	return out, nil
}

// Open reports whether there may be a good version that was not found: something
// could not be looked at, or was not judged. It says nothing where one was found,
// but that a newer one may be.
func (l *LastGood) Open() bool { return l.Undecided > 0 || l.Unjudged > 0 || len(l.Gaps) > 0 }

// A search judges versions, each once.
type search struct {
	q      LastGoodQuestion
	judged map[attest.Digest]JudgedVersion
}

// judge answers about a version; false if the limit is reached.
func (s *search) judge(v Version) (JudgedVersion, bool, error) {
	if j, ok := s.judged[v.Digest]; ok {
		return j, true, nil
	}
	if len(s.judged) >= s.q.Limit {
		return JudgedVersion{}, false, nil
	}
	answer, err := s.q.Judge(v)
	j := JudgedVersion{v, answer}
	s.judged[v.Digest] = j
	return j, true, err
}

// rollback finds what can be gone back to in one place: good, there before, and
// older than what runs there. Of what runs there and has no date nobody knows
// what is older, so anything that was there before it may be.
func (s *search) rollback(candidates []Version, p PlaceHistory, runs Deployed) (Rollback, error) {
	out := Rollback{Place: p.Place, Running: runs.Artifact, Since: runs.Claimed, Contested: p.Contested}
	until := map[attest.Digest]*time.Time{}
	for _, r := range p.Records { // the newest first: the last time counts
		if _, ok := until[r.Artifact]; !ok && r.counts() {
			until[r.Artifact] = r.Until
		}
	}
	var made *time.Time
	if i := slices.IndexFunc(s.q.Versions.Dated, func(v Version) bool { return v.Digest == runs.Artifact }); i >= 0 {
		made = s.q.Versions.Dated[i].Made
	}
	for _, v := range candidates {
		end, ran := until[v.Digest]
		if !ran || v.Digest == runs.Artifact || made != nil && !v.Made.Before(*made) {
			continue
		}
		j, ok, err := s.judge(v)
		switch {
		case err != nil:
			return Rollback{}, err
		case !ok:
			out.Open = true
			return out, nil
		case j.Outcome == OutcomeAllow:
			out.Target, out.Until = &j, end
			return out, nil
		}
		out.Open = out.Open || j.Outcome == OutcomeUndecided
		out.Passed++
	}
	return out, nil
}
