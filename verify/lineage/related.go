package lineage

import (
	"cmp"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// RelatedTo returns the names that lead to wherever a piece of evidence lies,
// sorted, each once. Of a predicate that does not decode there is only what stands
// outside of it.
func RelatedTo(e verify.Evidence) []Related {
	id := e.ID()
	out := []Related{
		{HasPayload, id.Payload.String()},
		{SignedBy, id.Credential.String()},
		{OfType, e.PredicateType()},
	}
	add := func(r Relation, name string) {
		if name != "" {
			out = append(out, Related{r, name})
		}
	}
	facts, err := e.Facts()
	if err == nil {
		for _, in := range facts.Inputs {
			add(NamesInput, in.Digest.String())
		}
		// What a signature over a folder lists was not consumed by anybody; but who asks
		// what has to do with a file asks about it too.
		for _, r := range facts.Resources {
			add(NamesInput, r.Digest.String())
		}
		for _, ref := range references(&facts) {
			add(NamesStatement, ref.Payload.String())
		}
		for _, d := range facts.Discharges {
			add(NamesStatement, d.Payload.String())
		}
		if facts.Revocation != nil {
			for _, d := range facts.Revocation.Restores {
				add(NamesStatement, d.String())
			}
		}
		switch facts.Type {
		case predicate.TypeProvenance:
			add(BuiltBy, treeText(facts.Tree, "runDetails", "builder", "id"))
		case predicate.TypeDeployment:
			add(InEnvironment, treeText(facts.Tree, "environment"))
		}
	}
	slices.SortFunc(out, Related.Compare)
	return slices.Compact(out)
}

// Compare orders names by relation, then name.
func (r Related) Compare(s Related) int {
	return cmp.Or(cmp.Compare(r.Relation, s.Relation), cmp.Compare(r.Name, s.Name))
}

// leadsTo returns the artifacts that a piece of evidence names: what was consumed,
// and where the statements lie that it rests on.
func leadsTo(e verify.Evidence) []attest.Digest {
	facts, err := e.Facts()
	if err != nil {
		return nil
	}
	var out []attest.Digest
	for _, in := range facts.Inputs {
		out = append(out, in.Digest)
	}
	for _, ref := range references(&facts) {
		out = append(out, ref.Artifact)
	}
	return out
}

// references returns the statements that a predicate names with the artifact they
// are attached to: the basis of an approval, the decision and the record before of a
// deployment, the grant that another one was delegated from. Only some types have
// such fields, and those of other types that spell them alike are a hint as well.
func references(f *predicate.Facts) []predicate.Basis {
	out := slices.Clone(f.Basis)
	for _, way := range [][]string{{"decision"}, {"previous"}, {"delegation", "from"}} {
		ref := f.Tree
		for _, name := range way {
			ref, _ = ref[name].(map[string]any)
		}
		if b := (predicate.Basis{Payload: treeDigest(ref, "payload"), Artifact: treeDigest(ref, "artifact")}); !b.Payload.IsZero() {
			out = append(out, b)
		}
	}
	return out
}

// treeDigest returns the digest of a digest set in a predicate, and zero if there is
// none.
func treeDigest(tree map[string]any, name string) attest.Digest {
	set, _ := tree[name].(map[string]any)
	if len(set) != 1 {
		return attest.Digest{}
	}
	for alg, value := range set {
		hex, _ := value.(string)
		if d, err := attest.NewDigest(alg, hex); err == nil {
			return d
		}
	}
	return attest.Digest{}
}

// treeText returns the text at the end of a way through a predicate; "" if there is
// none.
func treeText(tree map[string]any, way ...string) string {
	for _, name := range way[:len(way)-1] {
		tree, _ = tree[name].(map[string]any)
	}
	text, _ := tree[way[len(way)-1]].(string)
	return text
}
