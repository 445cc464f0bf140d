package record

import (
	"context"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// maxYield is how often a record that was first waits for the other to be taken back.
const maxYield = 5

// check looks at the chain after a record was attached: if it is alone in its place, it
// is done; else one of those that follow on the same one has to go.
func (j *job) check(ctx context.Context, e *entry, c *chain) error {
	ref, err := e.reference()
	if err != nil {
		return err
	}
	if c.trouble != nil {
		return c.trouble
	}
	at := lineage.StatementAt{Payload: e.Record.digest(), Artifact: ref.Digest}
	l, there := c.find(at.Payload)
	switch {
	case !there:
		return &attest.Refusal{Code: attest.CodeAttachUnconfirm, About: at.Payload.String(), Why: "was listed when it was attached, and is not listed now"}
	case l.withdrawn:
		return j.end(e, endWithdrawn, at)
	}
	others, followed := c.siblings(l)
	if len(others) == 0 || followed {
		return j.end(e, endRecorded, at)
	}
	// Each who sees the fork may take back only their own. By the rule the later one
	// goes; but who made it may have looked before this one was there, and never look
	// again. So who is first waits for a while, and then goes too.
	first := !slices.ContainsFunc(others, func(o link) bool { return o.before(l) || len(c.following(o)) > 0 })
	if first && e.Yielded < maxYield {
		waits := e.clone()
		waits.Yielded++
		if err := j.keep(waits); err != nil {
			return err
		}
		return &attest.Refusal{Code: attest.CodeHistory, About: e.Place.String(), Why: "another record follows on the same one, and is waited for to be taken back: " + others[0].Payload.String()}
	}
	gone, err := j.q.withdraw(e, ref, "another record follows on the same one; this one is made again after it")
	if err != nil {
		return err
	}
	_, err = j.takeBack(ctx, gone, ref)
	return err
}

// before orders records that follow on the same one.
func (l link) before(o link) bool {
	if d := l.claimed.Compare(o.claimed); d != 0 {
		return d < 0
	}
	return l.Payload.Compare(o.Payload) < 0
}

// following returns the records that follow on one.
func (c *chain) following(l link) []link {
	return slices.DeleteFunc(c.counted(), func(x link) bool {
		at := c.before(x)
		return at == nil || *at != l.StatementAt
	})
}
