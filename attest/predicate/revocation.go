package predicate

import (
	"encoding/json"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

func revocationTable() []Field {
	return []Field{
		required(oneOf(text("action", "what it does"), ActionRevoke, ActionSupersede, ActionQuarantine, ActionRestore)),
		required(oneOf(text("target", "what kind of thing the subject is"), TargetArtifact, TargetPayload, TargetKey, TargetIdentity)),
		required(text("reason", "why, for people")),
		required(moment("issuedAt", "when: the claimed time")),
		moment("effectiveFrom", "since when it holds, before or after `issuedAt`; missing: since `issuedAt`"),
		digests("replacedBy", "what to use instead; for `supersede`, and only there"),
		// Closed: a restriction that is ignored would lift more than was lifted.
		list("restores", "the revocations that are lifted; for `restore`, and only there", closed(object("", "",
			required(digests("payload", "the revocation: SHA-256 of its statement"))))),
		text("incident", "where the incident is described"),
		text("comment", "anything else"),
	}
}

func (f *Facts) revocation() error {
	r := &RevocationFacts{
		Action:     at[string](f.Tree, "action"),
		Target:     at[string](f.Tree, "target"),
		Reason:     at[string](f.Tree, "reason"),
		From:       at[time.Time](f.Tree, "effectiveFrom"),
		ReplacedBy: digestAt(f.Tree, "replacedBy"),
	}
	if r.From.IsZero() {
		r.From = f.Claimed
	}
	p := (*path)(nil).field("replacedBy")
	switch supersedes := r.Action == ActionSupersede; {
	case supersedes && r.ReplacedBy.IsZero():
		return schema(p, "is missing: what is superseded has a successor")
	case !supersedes && !r.ReplacedBy.IsZero():
		return schema(p, "is only for %s", ActionSupersede)
	}
	p = (*path)(nil).field("restores")
	lifted := at[[]any](f.Tree, "restores")
	switch restores := r.Action == ActionRestore; {
	case restores && len(lifted) == 0:
		// Whoever lifts "everything" lifts what comes later as well.
		return schema(p, "is missing: a restoration names the revocations that it lifts")
	case !restores && f.Tree["restores"] != nil:
		return schema(p, "is only for %s", ActionRestore)
	}
	seen := make(map[attest.Digest]bool, len(lifted))
	for i, item := range lifted {
		entry, _ := item.(map[string]any)
		d := digestAt(entry, "payload")
		if err := bytesOnly(p.index(i).field("payload"), d); err != nil {
			return err
		}
		if seen[d] {
			return schema(p.index(i), "names one revocation a second time")
		}
		seen[d] = true
		r.Restores = append(r.Restores, d)
	}
	f.Revocation = r
	return nil
}

// A Revocation is the predicate TypeRevocation, for writing;
// docs/format/revocation.md has the rules.
type Revocation struct {
	Action        string     `json:"action"`                 // one of the Action… constants
	Target        string     `json:"target"`                 // one of the Target… constants
	Reason        string     `json:"reason"`                 // why, for people
	IssuedAt      time.Time  `json:"issuedAt"`               // the claimed time
	EffectiveFrom time.Time  `json:"effectiveFrom,omitzero"` // zero: from IssuedAt
	ReplacedBy    DigestSet  `json:"replacedBy,omitzero"`    // only, and always, for ActionSupersede
	Restores      []Restored `json:"restores,omitempty"`     // only, and always, for ActionRestore
	Incident      string     `json:"incident,omitempty"`     // where the incident is described
	Comment       string     `json:"comment,omitempty"`      // anything else
}

// Restored names one revocation that a restoration lifts.
type Restored struct {
	Payload DigestSet `json:"payload"`
}

// MarshalJSON writes times in UTC.
func (r Revocation) MarshalJSON() ([]byte, error) {
	type plain Revocation
	r.IssuedAt = r.IssuedAt.UTC()
	r.EffectiveFrom = r.EffectiveFrom.UTC()
	return json.Marshal(plain(r))
}
