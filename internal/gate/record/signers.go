package record

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// Recognise says whose records count in the chains, for a queue that was opened without
// Options.Signers because whoever vouches for who signs could not be asked yet. It must
// be called before Run and Flush.
func (q *Queue) Recognise(who verify.Signers) error {
	if !recognisable(who) {
		return &attest.Refusal{Code: attest.CodeUsage, About: q.o.Dir, Why: "nobody is named who vouches for who signs, so the records before would not be recognised", Next: "name a trust file with the signing flags, or sign with a key"}
	}
	q.o.Signers = who
	return nil
}

// recognisable reports whether anybody's signature could be found to be one of who's.
func recognisable(who verify.Signers) bool { return len(who.Keys) > 0 || who.Trust != nil }

// recognises refuses to work without: a chain in which nobody is recognised looks empty,
// and would be begun a second time.
func (q *Queue) recognises() error { return q.Recognise(q.o.Signers) }
