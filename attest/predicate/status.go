package predicate

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// maxEntries bounds the artifacts of a status and the entries of a deny list. One
// walk reads at most 65,536 attestations, so no chain has more artifacts that
// anything could be said of. What is said of one artifact has the bound of every
// list, 4,096, which is also how many attestations a walk reads at one artifact.
const maxEntries = 1 << 16

func statusTable() []Field {
	return []Field{
		required(count("sequence", "the number of this status, from 1; the highest governs")),
		required(moment("issuedAt", "when: the claimed time")),
		required(moment("validUntil", "when it ceases to prove anything; after `issuedAt`")),
		object("policy", "the policy whose chain was walked",
			text("name", "its name, for people"),
			count("version", "its version, for people"),
			required(digests("digest", "SHA-256 of the resolved policy"))),
		required(atMost(maxEntries, mapOf("artifacts", "by the artifact's digest (`sha256:…` or `gitCommit:…`), all that is known to be there about it; may be empty", Field{
			Kind: List, Elem: &Field{Kind: Struct, Fields: []Field{
				required(digests("payload", "the statement: SHA-256 of its bytes")),
				required(text("credential", "whose signature it has")),
			}}}))),
	}
}

func (f *Facts) status() error {
	s := &StatusFacts{Sequence: at[int64](f.Tree, "sequence"), ValidUntil: at[time.Time](f.Tree, "validUntil")}
	if err := published(s.Sequence, f.Claimed, s.ValidUntil); err != nil {
		return err
	}
	if policy, ok := f.Tree["policy"].(map[string]any); ok {
		if err := bytesOnly((*path)(nil).field("policy").field("digest"), digestAt(policy, "digest")); err != nil {
			return err
		}
	}
	artifacts := at[map[string]any](f.Tree, "artifacts")
	s.Artifacts = make(map[attest.Digest][]Listed, len(artifacts))
	for _, name := range sortedKeys(artifacts) { // sorted, so that the first error is always the same one
		p := (*path)(nil).field("artifacts").key(name)
		// A digest has one spelling, so two keys are two artifacts.
		d, err := attest.ParseDigest(name)
		if err != nil {
			return &attest.Refusal{Code: attest.RefusalCode(err), About: p.String(), Why: "the artifact's digest", Err: err}
		}
		items, _ := artifacts[name].([]any)
		if s.Artifacts[d], err = listed(p, items); err != nil {
			return err
		}
	}
	f.Status = s
	return nil
}

func listed(p *path, items []any) ([]Listed, error) {
	out := make([]Listed, len(items))
	seen := make(map[Listed]bool, len(items))
	for i, item := range items {
		entry, _ := item.(map[string]any)
		l := Listed{Payload: digestAt(entry, "payload"), Credential: at[string](entry, "credential")}
		if l.Payload.IsCommit() {
			return nil, bytesOnly(p.index(i).field("payload"), l.Payload)
		}
		if seen[l] {
			return nil, schema(p.index(i), "lists one piece of evidence a second time")
		}
		seen[l] = true
		out[i] = l
	}
	return out, nil
}

// published checks what a status and a deny list have in common: both are
// numbered editions, each valid for a while.
func published(sequence int64, issued, until time.Time) error {
	// A verifier that has seen none remembers 0; a first edition must be newer.
	if sequence < 1 {
		return schema((*path)(nil).field("sequence"), "is 0; the first one is 1")
	}
	if !until.After(issued) {
		return schema((*path)(nil).field("validUntil"), "is not after issuedAt")
	}
	return nil
}

// A Status is the predicate TypeStatus, for writing; docs/format/status.md has the
// rules. Artifacts is written sorted, whatever the order of its lists, so that
// one state of things has one text.
type Status struct {
	Sequence   int64                      `json:"sequence"`         // from 1
	IssuedAt   time.Time                  `json:"issuedAt"`         // the claimed time
	ValidUntil time.Time                  `json:"validUntil"`       // after IssuedAt
	Policy     *ApprovalPolicy            `json:"policy,omitempty"` // the policy whose chain was walked
	Artifacts  map[attest.Digest][]Listed `json:"artifacts"`        // an artifact without evidence has an empty list
}

// MarshalJSON writes times in UTC, and missing lists as empty ones.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.IssuedAt = s.IssuedAt.UTC()
	s.ValidUntil = s.ValidUntil.UTC()
	artifacts := make(map[attest.Digest][]Listed, len(s.Artifacts))
	for d, list := range s.Artifacts {
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b Listed) int {
			return cmp.Or(a.Payload.Compare(b.Payload), cmp.Compare(a.Credential, b.Credential))
		})
		if list == nil {
			list = []Listed{}
		}
		artifacts[d] = list
	}
	s.Artifacts = artifacts
	return json.Marshal(plain(s))
}

// MarshalJSON writes an entry of a status: its payload as a digest set.
func (l Listed) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Payload    DigestSet `json:"payload"`
		Credential string    `json:"credential"`
	}{DigestSet{l.Payload}, l.Credential})
}
