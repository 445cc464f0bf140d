package lineage

import (
	"context"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// maxRecords is how many records of one environment are read: one every five
// minutes for a year.
const maxRecords = 100_000

// A historian collects what one history is made of.
type historian struct {
	q          HistoryQuestion
	looked     map[attest.Digest]*lookedAt
	found      map[StatementAt][]verify.Evidence // deployments, approvals and summaries
	records    map[StatementAt]*Deployed         // of the environment, by those who count
	places     map[StatementAt]Place             // of the same
	elsewhere  map[StatementAt]bool              // records of other environments, by the same
	passedOver map[StatementAt]bool              // records of this one, by others
	next       []attest.Digest                   // to be looked at
	// expected are the artifacts beside which a record was said to be: what is missing
	// there is missing in the history.
	expected map[attest.Digest]bool
	gaps     []Gap
}

// A lookedAt is what is known of an artifact that was looked at.
type lookedAt struct {
	gap        attest.Code // why there may be more; "" if there is not
	files      map[attest.Digest]bool
	filesKnown bool
}

// collect finds the records: where the hints lead, and then wherever a record says
// that the one before it is, and what it was done on.
func (h *historian) collect(ctx context.Context) error {
	err := h.q.Find(ctx, func(d attest.Digest) bool {
		h.next = append(h.next, d)
		h.expected[d] = true
		return len(h.next) <= maxHeld
	})
	if err != nil {
		if ctx.Err() != nil {
			return &attest.Refusal{Code: attest.CodeInterrupted, Why: "the search for records was stopped", Err: ctx.Err()}
		}
		h.gaps = append(h.gaps, Gap{Code: codeOf(err)})
	}
	limited := len(h.next) > maxHeld
	for len(h.next) > 0 && !limited {
		todo := slices.DeleteFunc(h.next, func(d attest.Digest) bool { return h.looked[d] != nil })
		h.next = nil
		if err := lookInBatches(ctx, todo, h.q.Sources, h.q.Scope, h.take); err != nil {
			return err
		}
		limited = len(h.records) > maxRecords
	}
	if limited {
		h.gaps = append(h.gaps, Gap{Code: attest.CodeLimit})
	}
	for d := range h.expected { // sorted at the end
		if at := h.looked[d]; at != nil && at.gap != "" {
			h.gaps = append(h.gaps, Gap{d, at.gap})
		}
	}
	return nil
}

// take notes what evidence about an artifact says.
func (h *historian) take(a *verify.Artifact) {
	at := &lookedAt{filesKnown: a.FilesKnown, files: map[attest.Digest]bool{}}
	for _, f := range a.Files {
		at.files[f.Digest] = true
	}
	for _, g := range a.Gaps {
		at.gap = g.Code
	}
	h.looked[a.Digest] = at
	for _, e := range a.Evidence {
		if !known(e, h.q.Known) {
			continue
		}
		ref := StatementAt{e.ID().Payload, a.Digest}
		switch e.PredicateType() {
		case predicate.TypeDeployment:
			h.deployment(ref, e)
		case predicate.TypeApproval, predicate.TypeVSA:
			h.found[ref] = append(h.found[ref], e)
		}
	}
}

// deployment notes a record, if it counts.
func (h *historian) deployment(ref StatementAt, e verify.Evidence) {
	counts := slices.ContainsFunc(h.q.By, func(f verify.Follow) bool { return f.Lets(e) })
	rejected := h.rejected(e)
	facts, err := e.Facts()
	if err != nil {
		// It may be of this environment, and say anything.
		if counts && (rejected == nil || rejected.Code != attest.CodeRevoked) {
			h.gaps = append(h.gaps, Gap{ref.Artifact, codeOf(err)})
		}
		return
	}
	here := textAt(facts.Tree, "environment") == h.q.Environment
	switch {
	case !here:
		h.elsewhere[ref] = h.elsewhere[ref] || counts
		return
	case !counts:
		if h.records[ref] == nil {
			h.passedOver[ref] = true
		}
		return
	}
	delete(h.passedOver, ref)
	r := h.records[ref]
	if r == nil {
		r = &Deployed{Payload: ref.Payload, Artifact: ref.Artifact, Claimed: facts.Claimed.UTC(), Reason: textAt(facts.Tree, "reason"), Observer: textAt(facts.Tree, "observer", "id"),
			Previous: statementAt(facts.Tree, "previous"), Rejected: rejected}
		if r.Previous != nil {
			h.next = append(h.next, r.Previous.Artifact)
		}
		if d := statementAt(facts.Tree, "decision"); d != nil {
			r.Decision = &DecidedOn{StatementAt: *d}
			h.next = append(h.next, d.Artifact)
		}
		loaded, _ := facts.Tree["loaded"].([]any)
		r.Loaded = len(loaded)
		at := h.looked[ref.Artifact]
		for _, item := range loaded {
			entry, _ := item.(map[string]any)
			if !at.files[digestIn(entry, "digest")] {
				r.Foreign++
			}
		}
		if !at.filesKnown && r.Loaded > 0 {
			r.Foreign = -1
		}
		h.records[ref] = r
		h.places[ref] = Place{textAt(facts.Tree, "target", "cluster"), textAt(facts.Tree, "target", "service")}
	}
	switch {
	case rejected != nil && r.Rejected == nil:
		return // another signature counts
	case rejected == nil:
		if r.Rejected != nil {
			r.Rejected, r.Signed, r.Seen = nil, nil, nil
		}
		if r.Previous != nil {
			h.expected[r.Previous.Artifact] = true
		}
		h.found[ref] = append(h.found[ref], e)
	}
	r.Signed = append(r.Signed, h.signer(e.ID().Credential))
	if seen := e.Seen(); !seen.IsZero() && (r.Seen == nil || seen.Before(*r.Seen)) {
		r.Seen = moment(seen)
	}
}

// rejected returns why a signature does not count; nil if it does.
func (h *historian) rejected(e verify.Evidence) *Rejected {
	if h.q.Judge == nil {
		return nil
	}
	if code, why := h.q.Judge(e); code != "" {
		return &Rejected{code, why}
	}
	return nil
}

func (h *historian) signer(c verify.Credential) Signer {
	return Signer{c.String(), h.q.Reading.name(c)}
}

// later reports whether a record is of a later time than the one asked about.
func (h *historian) later(r *Deployed) bool { return r.Claimed.After(h.q.At.Add(h.q.Skew)) }

// decisions reads the decisions that the records name.
func (h *historian) decisions() {
	for _, r := range h.records {
		if r.Decision == nil || h.later(r) {
			continue
		}
		d := r.Decision
		var rejected []*Rejected
		for _, e := range h.found[d.StatementAt] {
			if e.PredicateType() == predicate.TypeDeployment {
				continue
			}
			if why := h.rejected(e); why != nil {
				rejected = append(rejected, why)
				continue
			}
			facts, _ := e.Facts() // without facts it says nothing, and so no yes
			d.Found, d.Type, d.Claimed = true, predicate.Name(e.PredicateType()), moment(facts.Claimed)
			d.Says = textAt(facts.Tree, "decision")
			if d.Type == predicate.Name(predicate.TypeVSA) {
				d.Says = textAt(facts.Tree, "verificationResult")
			}
			d.Signed = append(d.Signed, h.signer(e.ID().Credential))
		}
		if !d.Found && len(rejected) > 0 {
			d.Rejected = rejected[0]
		}
		if at := h.looked[d.Artifact]; !d.Found && at == nil {
			d.Unseen = attest.CodeLimit
		} else if !d.Found {
			d.Unseen = at.gap
		}
	}
}

// textAt returns a text in a decoded predicate, and "" if there is none.
func textAt(tree map[string]any, way ...string) string {
	for _, name := range way[:len(way)-1] {
		tree, _ = tree[name].(map[string]any)
	}
	s, _ := tree[way[len(way)-1]].(string)
	return s
}

// digestIn returns the one digest of a digest set in a decoded predicate.
func digestIn(tree map[string]any, name string) attest.Digest {
	set, _ := tree[name].(map[string]any)
	for alg, value := range set { // one entry
		hex, _ := value.(string)
		if d, err := attest.NewDigest(alg, hex); err == nil {
			return d
		}
	}
	return attest.Digest{}
}

// statementAt returns what a field of a deployment names, and nil if it is not
// there.
func statementAt(tree map[string]any, name string) *StatementAt {
	ref, ok := tree[name].(map[string]any)
	if !ok {
		return nil
	}
	return &StatementAt{digestIn(ref, "payload"), digestIn(ref, "artifact")}
}
