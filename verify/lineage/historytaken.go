package lineage

import (
	"context"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// withdrawals works out which records and decisions do not count any more, because
// they, or the keys that signed them, were taken back: by the rules that grants of
// access are taken back by.
func (h *historian) withdrawals(ctx context.Context) error {
	each := func(f func(signed []verify.Evidence, put **Withdrawn)) {
		for ref, r := range h.records {
			if h.later(r) {
				continue
			}
			f(h.signed(ref, true), &r.Withdrawn)
			if d := r.Decision; d != nil && d.Found {
				f(h.signed(d.StatementAt, false), &d.Withdrawn)
			}
		}
	}
	var ask []attest.Digest
	each(func(signed []verify.Evidence, _ **Withdrawn) {
		for _, e := range signed {
			ask = append(ask, e.ID().Payload, e.ID().Credential.Standin())
		}
	})
	standIns, err := h.standIns(ctx, ask)
	if err != nil {
		return err
	}
	k := &reckoning{standIns: standIns, taken: map[takenThing][]taking{}, everTaken: map[attest.Digest][]taking{}, rules: AccessRules{
		At: h.q.At, Known: h.q.Known, Reading: h.q.Reading, Who: h.q.Who, Revokers: h.q.Revokers, OwnRevoke: true, Judge: h.q.Judge,
	}}
	each(func(signed []verify.Evidence, put **Withdrawn) { *put = k.withdrawn(signed) })
	h.gaps = append(h.gaps, k.gaps...)
	return nil
}

// standIns looks at stand-ins, and then at those of the keys that took anything back
// or gave it back there: a key that somebody else may hold does neither. That ends,
// because each key is trusted, and looked at once.
func (h *historian) standIns(ctx context.Context, ask []attest.Digest) (map[attest.Digest]*verify.Artifact, error) {
	out := map[attest.Digest]*verify.Artifact{}
	for len(ask) > 0 {
		var next []attest.Digest
		err := lookAtStandIns(ctx, ask, h.q.Sources, h.q.Scope, func(a *verify.Artifact) {
			out[a.Digest] = a
			for _, g := range a.Gaps {
				h.gaps = append(h.gaps, Gap{a.Digest, g.Code})
			}
			for _, e := range a.Evidence {
				if e.PredicateType() == predicate.TypeRevocation {
					next = append(next, e.ID().Credential.Standin())
				}
			}
		})
		if err != nil {
			return nil, err
		}
		ask = slices.DeleteFunc(next, func(d attest.Digest) bool { return out[d] != nil })
	}
	return out, nil
}

// signed returns the signatures of a statement that count: a record's, or a
// decision's.
func (h *historian) signed(ref StatementAt, record bool) []verify.Evidence {
	var out []verify.Evidence
	for _, e := range h.found[ref] {
		if (e.PredicateType() == predicate.TypeDeployment) == record && (record || h.rejected(e) == nil) {
			out = append(out, e)
		}
	}
	return out
}

// withdrawn returns who took a statement back at the time of the question; nil if
// nobody did who may. Each who signed it may; signed by several, it stands as long as
// one of their keys does.
func (k *reckoning) withdrawn(signed []verify.Evidence) *Withdrawn {
	for _, e := range signed {
		if w := k.inForce(predicate.TargetPayload, k.takings(takenThing{e.ID().Payload, predicate.TargetPayload, k.who(e.ID().Credential)})); w != nil {
			return w
		}
	}
	var gone *Withdrawn
	for _, e := range signed {
		w := k.inForce(credentialTarget(e), k.keyTakings(e))
		if w == nil {
			return nil
		}
		gone = w
	}
	return gone
}

// inForce returns the first taking that is in force at the time of the question.
func (k *reckoning) inForce(target string, all []taking) *Withdrawn {
	for _, w := range all {
		if w.action != predicate.ActionSupersede && w.contains(k.rules.At) {
			return &Withdrawn{Target: target, Payload: w.payload, By: w.by, Since: w.since.UTC(), Reason: w.reason}
		}
	}
	return nil
}
