// Package lineage asks questions of verified chains: what made this, what
// changed, what is the last good version, who is affected, who could reach what.
//
// # Evidence, and what leads to it
//
// A chain runs from a model back to what it was made of, because that is how
// statements point. The questions of a bad day run the other way: which models
// were made of this data set? No statement answers that, and no registry does; it
// takes having read everything. [Crawl] reads repositories to the end and keeps
// what it finds in a [Store]: in memory for one command ([Survey]), or in a file
// (package internal/index).
//
// A store is believed no more than a registry. Its answers are digests and bundles:
// [Finder] says beside which artifacts to look, and whatever is found there is
// opened again by package verify before it counts. So a store that lies can hide
// something, as a registry can, and can make nothing up.
//
// # Answers
//
// Each question has a type for its answer, with JSON names, sorted, and the same
// bytes for the same evidence. An answer names the evidence that it rests on and
// says where the evidence ends: what could not be looked at is a [Gap] in it, and
// an answer with gaps is not complete.
package lineage

import (
	"cmp"
	"context"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Reading is how whoever asks reads a chain: what they call those who signed.
// The zero Reading knows no names.
type Reading struct {
	// Name returns what a credential is called; "" or a nil Name leaves its spelling.
	Name func(verify.Credential) string
	// RuleName returns whom a rule for identities means; "" or a nil RuleName leaves the
	// identity, or the pattern.
	RuleName func(trust.Rule) string
}

// rule returns whom a rule for identities means.
func (r Reading) rule(x trust.Rule) string {
	if r.RuleName != nil {
		if s := r.RuleName(x); s != "" {
			return s
		}
	}
	i := trust.Identity{Issuer: x.Issuer, Subject: x.Subject}
	if x.Pattern {
		return i.String()
	}
	return r.name(verify.IdentityCredential(i))
}

// name returns what a credential is called.
func (r Reading) name(c verify.Credential) string {
	if r.Name != nil {
		if s := r.Name(c); s != "" {
			return s
		}
	}
	return c.String()
}

// A Gap is something that could not be looked at: evidence about the artifact may
// be missing. The artifact is zero where no single one is concerned, as when a
// repository cannot list what it holds.
type Gap struct {
	Artifact attest.Digest `json:"artifact"`
	Code     attest.Code   `json:"code"`
}

// sortGaps sorts gaps by artifact and code, each once.
func sortGaps(gaps []Gap) []Gap {
	slices.SortFunc(gaps, func(a, b Gap) int {
		return cmp.Or(a.Artifact.Compare(b.Artifact), cmp.Compare(a.Code, b.Code))
	})
	return slices.Compact(gaps)
}

// gapsOf returns a chain's gaps.
func gapsOf(c verify.Chain) []Gap {
	out := []Gap{}
	for _, g := range c.Gaps() {
		out = append(out, Gap{g.Artifact, g.Code})
	}
	return sortGaps(out)
}

// Everything returns a scope in which no policy has a say: what any of the signers
// signed counts, and leads to its inputs. What such a walk finds is who said what,
// not whether they had any business saying it.
func Everything(s verify.Signers) verify.Scope {
	return verify.Scope{
		Signers: s,
		Follow: []verify.Follow{
			{PredicateType: predicate.TypeProvenance, ByAll: true, Files: true},
			{PredicateType: predicate.TypeEvaluation, ByAll: true, Files: true},
		},
		Limits: verify.Limits{Depth: maxDepth},
	}
}

// maxDepth is how far back a walk without a policy looks. A model that is tuned
// every hour has 8,760 ancestors after a year.
const maxDepth = 16384

// A Relation is how an artifact is connected with a name that evidence beside it
// mentions.
type Relation uint8

// The relations. The name is a digest in its one spelling where nothing else is
// said.
const (
	// NamesInput: evidence beside the artifact names the digest as an input.
	NamesInput Relation = iota + 1
	// NamesStatement: evidence beside the artifact names the statement with that
	// payload digest: an approval its basis, a deployment its decision or the record
	// before it, a grant the grant it was delegated from, a revocation what it
	// restores.
	NamesStatement
	// HasFile: the artifact's manifest has a file with that digest.
	HasFile
	// HasPayload: beside the artifact lies the statement with that payload digest.
	HasPayload
	// SignedBy: beside the artifact lies evidence by the credential of that spelling.
	SignedBy
	// BuiltBy: beside the artifact lies provenance with that builder id.
	BuiltBy
	// OfType: beside the artifact lies evidence of that predicate type.
	OfType
	// InEnvironment: beside the artifact lies a deployment to that environment.
	InEnvironment
)

// A Finder leads to artifacts. What it says is a hint: whoever is led somewhere
// looks for themselves. An error means that there may be more than was yielded;
// E_INDEX if what the finder was made of was not read to the end. Its methods may
// be called concurrently.
type Finder interface {
	// Find yields the artifacts that stand in a relation to a name, sorted, each
	// once, until yield returns false.
	Find(ctx context.Context, r Relation, name string, yield func(attest.Digest) bool) error
	// Held yields what a repository listed by itself, sorted by digest.
	Held(ctx context.Context, repo attest.Repository, yield func(attest.Held) bool) error
}

// Related are the names that lead to an artifact: what [Crawl] notes of each piece
// of evidence beside it.
type Related struct {
	Relation Relation
	Name     string
}
