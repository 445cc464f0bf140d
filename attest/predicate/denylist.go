package predicate

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// DenylistAnchor returns the digest that names the deny list called name: what its
// statements are about. A list is no artifact with bytes, and its name is all
// that those who look for it know; so the name gives the digest, and the stand-in
// of the digest the place. The prefix keeps lists apart from files that happen to
// hold a name (docs/format/denylist.md).
func DenylistAnchor(name string) attest.Digest {
	return attest.SHA256([]byte("pedigree denylist\n" + name))
}

func denylistTable() []Field {
	return []Field{
		required(text("name", "what the list is called; the subject follows from it")),
		required(count("sequence", "the number of this edition, from 1; the highest governs")),
		required(moment("issuedAt", "when: the claimed time")),
		required(moment("validUntil", "until when nothing newer need be looked for; after `issuedAt`")),
		required(atMost(maxEntries, list("artifacts", "what must not be used; may be empty", object("", "",
			required(digests("digest", "the artifact or file")),
			required(text("reason", "why, for people")))))),
	}
}

func (f *Facts) denylist() error {
	l := &DenylistFacts{Name: at[string](f.Tree, "name"), Sequence: at[int64](f.Tree, "sequence"), ValidUntil: at[time.Time](f.Tree, "validUntil")}
	if err := published(l.Sequence, f.Claimed, l.ValidUntil); err != nil {
		return err
	}
	items := at[[]any](f.Tree, "artifacts")
	l.Artifacts = make([]Denied, len(items))
	seen := make(map[attest.Digest]bool, len(items))
	for i, item := range items {
		entry, _ := item.(map[string]any)
		d := Denied{Digest: digestAt(entry, "digest"), Reason: at[string](entry, "reason")}
		if seen[d.Digest] {
			return schema((*path)(nil).field("artifacts").index(i), "is a second entry for one artifact")
		}
		seen[d.Digest] = true
		l.Artifacts[i] = d
	}
	f.Denylist = l
	return nil
}

// A Denylist is the predicate TypeDenylist, for writing; docs/format/denylist.md
// has the rules. The entries are written sorted by digest. Its statement's subject
// is DenylistAnchor(Name).
type Denylist struct {
	Name       string    `json:"name"`
	Sequence   int64     `json:"sequence"`   // from 1
	IssuedAt   time.Time `json:"issuedAt"`   // the claimed time
	ValidUntil time.Time `json:"validUntil"` // after IssuedAt
	Artifacts  []Denied  `json:"artifacts"`
}

// MarshalJSON writes times in UTC, and a list of nothing as an empty one.
func (l Denylist) MarshalJSON() ([]byte, error) {
	type plain Denylist
	l.IssuedAt = l.IssuedAt.UTC()
	l.ValidUntil = l.ValidUntil.UTC()
	l.Artifacts = append([]Denied{}, l.Artifacts...)
	slices.SortStableFunc(l.Artifacts, func(a, b Denied) int { return a.Digest.Compare(b.Digest) })
	return json.Marshal(plain(l))
}

// MarshalJSON writes an entry of a deny list: its digest as a digest set.
func (d Denied) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Digest DigestSet `json:"digest"`
		Reason string    `json:"reason"`
	}{DigestSet{d.Digest}, d.Reason})
}
