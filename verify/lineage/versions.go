package lineage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// maxHeld is how many artifacts of one repository are looked at. The largest that
// were measured have ten thousand; beyond this the answer would take longer than
// anybody waits, and says that it is not complete.
const maxHeld = 200_000

// A Version is one artifact of a repository, with what trusted evidence says of
// its making.
type Version struct {
	Digest attest.Digest `json:"digest"`
	// Tags are what the repository calls it: labels, and no order.
	Tags []string `json:"tags,omitempty"`
	// Made is when, by the earliest record, and never later than somebody saw that
	// record; nil if none says.
	Made *time.Time `json:"made,omitempty"`
	// By are the records of its making, the earliest first.
	By []Record `json:"by,omitempty"`
	// Gaps say that there may be further evidence about it.
	Gaps []attest.Code `json:"gaps,omitempty"`
}

// Versions are what a repository holds.
type Versions struct {
	// Dated are the versions, the newest first, and those of one moment by digest.
	Dated []Version `json:"dated"`
	// Undated are artifacts of which no trusted record says when they were made:
	// nobody can tell whether they come before or after another one.
	Undated []Version `json:"undated"`
	LeftOut LeftOut   `json:"leftOut"`
	// Deployed are the artifacts that a trusted key says were deployed, anywhere.
	Deployed []attest.Digest `json:"-"`
	Gaps     []Gap           `json:"gaps"`
}

// LeftOut counts what a repository holds and what is no version of anything.
type LeftOut struct {
	// StandIns stand for something that is kept elsewhere.
	StandIns int `json:"standIns"`
	// Other artifacts have trusted evidence, and none of the steps in question: a
	// data set beside the models.
	Other int `json:"other"`
	// Unknown have neither files nor trusted evidence: images, indexes.
	Unknown int `json:"unknown"`
}

// VersionsQuestion says what is a version, and where to look.
type VersionsQuestion struct {
	// Held yields what the repository lists by itself.
	Held func(ctx context.Context, yield func(attest.Held) bool) error
	// Made says which evidence, by whom, makes an artifact a version: of a policy, the
	// steps whose output it judges.
	Made    []verify.Follow
	Sources []verify.Source
	Scope   verify.Scope // whose signatures count
	Known   time.Time    // evidence that was first seen later does not exist
	Reading Reading
}

// ListVersions lists what a repository holds, in the order in which trusted
// evidence says it was made. Names and tags have no part in the order.
//
// What could not be looked at is in the answer as gaps. The error is that of
// [verify.Look].
func ListVersions(ctx context.Context, q VersionsQuestion) (*Versions, error) {
	out := &Versions{Dated: []Version{}, Undated: []Version{}}
	tags := map[attest.Digest][]string{}
	err := q.Held(ctx, func(h attest.Held) bool {
		if len(tags) == maxHeld {
			out.Gaps = append(out.Gaps, Gap{Code: attest.CodeLimit})
			return false
		}
		if h.StandIn {
			out.LeftOut.StandIns++
		} else {
			tags[h.Digest] = append(tags[h.Digest], h.Tags...)
		}
		return true
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, &attest.Refusal{Code: attest.CodeInterrupted, Why: "the listing was stopped", Err: ctx.Err()}
		}
		out.Gaps = append(out.Gaps, Gap{Code: codeOf(err)})
	}
	artifacts := make([]attest.Digest, 0, len(tags))
	for d := range tags {
		artifacts = append(artifacts, d) // sorted when they are looked at
	}
	err = lookInBatches(ctx, artifacts, q.Sources, q.Scope, func(a *verify.Artifact) {
		slices.Sort(tags[a.Digest])
		out.place(q.version(a, slices.Compact(tags[a.Digest])), a)
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out.Dated, func(a, b Version) int { return b.Made.Compare(*a.Made) })
	out.Gaps = sortGaps(out.Gaps)
	return out, nil
}

// place puts an artifact where it belongs; they come in the order of digests.
func (vs *Versions) place(v Version, a *verify.Artifact) {
	for _, code := range v.Gaps {
		vs.Gaps = append(vs.Gaps, Gap{v.Digest, code})
	}
	if slices.ContainsFunc(a.Evidence, func(e verify.Evidence) bool { return e.PredicateType() == predicate.TypeDeployment }) {
		vs.Deployed = append(vs.Deployed, v.Digest)
	}
	switch made := slices.ContainsFunc(a.Evidence, makes) || slices.ContainsFunc(a.FileEvidence, makes); {
	case v.Made != nil:
		vs.Dated = append(vs.Dated, v)
	case len(v.By) > 0 || len(v.Gaps) > 0 || !made && len(a.Files) > 0:
		vs.Undated = append(vs.Undated, v)
	case made || len(a.Evidence) > 0:
		vs.LeftOut.Other++
	default:
		vs.LeftOut.Unknown++
	}
}

// makes reports whether evidence says how something was made, by whatever step.
func makes(e verify.Evidence) bool { return e.PredicateType() == predicate.TypeProvenance }

// version reads what evidence says of the making of one artifact.
func (q *VersionsQuestion) version(a *verify.Artifact, tags []string) Version {
	v := Version{Digest: a.Digest, Tags: tags}
	for _, g := range a.Gaps {
		v.Gaps = append(v.Gaps, g.Code)
	}
	var first time.Time
	when := map[verify.ID]time.Time{}
	var by []verify.Evidence
	take := func(list []verify.Evidence, files bool) {
		for _, e := range list {
			facts, err := e.Facts()
			if !known(e, q.Known) || !q.admits(e, facts.BuildType, err == nil, files) {
				continue
			}
			by = append(by, e)
			// What a record says that cannot be read, nobody knows.
			if t := bounded(facts.Claimed, e.Seen()); err == nil && !t.IsZero() {
				when[e.ID()] = t
				if first.IsZero() || t.Before(first) {
					first = t
				}
			}
		}
	}
	take(a.Evidence, false)
	take(a.FileEvidence, true)
	slices.SortFunc(by, func(x, y verify.Evidence) int {
		tx, ty := when[x.ID()], when[y.ID()]
		if tx.IsZero() != ty.IsZero() { // what has no time comes last
			return cmp.Compare(btoi(tx.IsZero()), btoi(ty.IsZero()))
		}
		return cmp.Or(tx.Compare(ty), x.ID().Compare(y.ID()))
	})
	for _, e := range by {
		r := RecordOf(e, q.Reading)
		r.Facts = nil // of ten thousand versions nobody reads them; pedigree trace shows them
		v.By = append(v.By, r)
	}
	v.Made = moment(first)
	return v
}

// admits reports whether evidence is of a step in question, by somebody who may
// perform it. Without facts the build type is not known, and any is possible.
func (q *VersionsQuestion) admits(e verify.Evidence, buildType string, read, file bool) bool {
	return slices.ContainsFunc(q.Made, func(f verify.Follow) bool {
		return f.PredicateType == e.PredicateType() && (f.BuildType == "" || !read || f.BuildType == buildType) && (f.Files || !file) && f.Lets(e)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
