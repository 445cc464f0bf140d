package lineage

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// Contradictions compares what a card claims with what was signed, and returns where
// the two disagree, in the card's order:
//
//   - a base model that the card names, and nothing in the signed ancestry is called
//     so (as an input in the role of a model, a teacher or an adapter, at any depth);
//   - a model that a signed step took, and neither it nor anything that it was made
//     from is one that the card names, although the card says what its bases are;
//   - a relation to the base model that is not what the signed steps did;
//   - a data set that the card names, and no data in the signed ancestry are called so.
//
// Names are compared as [Card] has them with the names and addresses by which signers
// call inputs; nothing here compares bytes, and a signer's name for something is the
// signer's word. A card that does not say what its bases are contradicts nothing, and
// neither does one that leaves out data sets: lists of them are seldom complete.
//
// Where the evidence ends before it could tell, nothing is contradicted: the entry is
// Open, and its Why begins with "cannot be told". That is so if nobody trusted says how
// the artifact was made, if signers call a model or data by one word only, and if the way back ends unsigned at something that may be
// made from what is claimed. It is not so at what a signer took in the role of a base
// model, or of raw data: with these words the signer says where it began, and what
// those were made of is for their own cards.
func Contradictions(card Card, g *Graph) []Contradiction {
	if card.Empty() || g == nil {
		return nil
	}
	x := newComparison(g)
	var out []Contradiction
	out = append(out, x.bases(card)...)
	out = append(out, x.relation(card)...)
	return append(out, x.datasets(card)...)
}

// bases compares the base models.
func (x *comparison) bases(card Card) []Contradiction {
	var branches []*Edge // what the artifact's own steps took as models
	for _, e := range x.edges[x.graph.Artifact] {
		if isModel(e.Role) && e.Role != "teacher" { // no card names a teacher as a base
			branches = append(branches, e)
		}
	}
	var out []Contradiction
	var found []attest.Digest
	unmatched := 0
	for _, claim := range card.BaseModels {
		models := x.named(claim.Value, x.models)
		found = append(found, models...)
		if len(models) > 0 || claim.Field != "base_model" && x.itself(card, claim.Value) {
			continue
		}
		unmatched++
		c := Contradiction{Source: claim.Source, Field: claim.Field, Claimed: claim.Value, Signed: cmp.Or(x.list(branches), "no base model"), Records: x.records(branches)}
		switch {
		case x.ends(x.models):
			c.Open, c.Why = true, "cannot be told: nothing signed names that model, and the signed lineage does not say enough to exclude it"
		case len(branches) == 0:
			c.Why = "the signed lineage names no base model"
		default:
			c.Why = "the signed lineage names other models"
		}
		out = append(out, c)
	}
	if !card.SaysBase || unmatched > 0 && unmatched == len(card.BaseModels) {
		return out // nothing is claimed, or what is claimed is contradicted as a whole
	}
	settled, fromUnknown := x.madeFrom(found), x.madeFrom(x.unknown(x.models))
	for _, e := range branches {
		if settled[e.To] {
			continue
		}
		settled[e.To] = true // a model may be taken in two roles
		c := Contradiction{Source: cardFile, Field: "base_model", Claimed: listed(card.BaseModels), Signed: x.list([]*Edge{e}), Records: x.records([]*Edge{e}),
			Why: "the signed lineage names a model that the card leaves out"}
		// What it was made of may be what the card names.
		if !x.gapless || fromUnknown[e.To] {
			c.Open, c.Why = true, "cannot be told: the card does not name that model, and what it was made from is not known"
		}
		out = append(out, c)
	}
	return out
}

// datasets compares the data sets.
func (x *comparison) datasets(card Card) []Contradiction {
	var trained []*Edge // what any of the models was trained on
	for _, e := range x.graph.Edges {
		if x.models[e.From] && isData(e.Role) && x.made(&e) {
			trained = append(trained, &e)
		}
	}
	var out []Contradiction
	for _, claim := range card.Datasets {
		if len(x.named(claim.Value, x.data)) > 0 {
			continue
		}
		c := Contradiction{Source: claim.Source, Field: claim.Field, Claimed: claim.Value, Signed: cmp.Or(x.list(trained), "no training data"), Records: x.records(trained)}
		switch {
		case x.ends(x.models) || x.ends(x.data):
			c.Open, c.Why = true, "cannot be told: nothing signed names those data, and the signed lineage does not say enough to exclude them"
		case len(trained) == 0:
			c.Why = "the signed lineage names no training data"
		default:
			c.Why = "the signed lineage names other data"
		}
		out = append(out, c)
	}
	return out
}

// relation compares how the card says the model was made with the steps that made it.
func (x *comparison) relation(card Card) []Contradiction {
	claimed := strings.ToLower(card.Relation.Value)
	if !slices.Contains([]string{relationFinetune, relationAdapter, relationMerge, relationQuantized}, claimed) {
		return nil // not a word that means a step, or none
	}
	acts, edges := x.acts()
	for _, act := range acts {
		if slices.Contains(act.relations, claimed) {
			return nil
		}
	}
	c := Contradiction{Source: card.Relation.Source, Field: card.Relation.Field, Claimed: card.Relation.Value, Records: x.records(edges)}
	var steps []string
	for _, act := range acts {
		c.Open = c.Open || !act.known
		if !slices.Contains(steps, act.step) {
			steps = append(steps, act.step)
		}
	}
	slices.Sort(steps)
	c.Signed = cmp.Or(strings.Join(steps, ", "), "no step")
	switch {
	case len(acts) == 0:
		c.Open, c.Why = true, "cannot be told: nothing signed says how it was made"
	case c.Open:
		c.Why = "cannot be told: what that step does is not known"
	default:
		c.Why = "the signed step is another one"
	}
	return []Contradiction{c}
}

// An act is a step that made the model what it is, with the relations that a card may
// call it by.
type act struct {
	step      string
	known     bool // it is a step of ours: relations are all
	relations []string
}

// acts returns what made the artifact, with the edges that say so. Packing and
// converting change no model: what came before them counts.
func (x *comparison) acts() ([]act, []*Edge) {
	var out []act
	var edges []*Edge
	seen := map[attest.Digest]bool{}
	for todo := []attest.Digest{x.graph.Artifact}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		n := x.nodes[d]
		if n == nil || seen[d] {
			continue
		}
		seen[d] = true
		for _, step := range n.Steps {
			through := step == "convert" || step == "package"
			if !through {
				relations, known := x.relations(step, d)
				out = append(out, act{step, known, relations})
			}
			for _, e := range x.edges[d] {
				if e.Step != step {
					continue
				}
				if !through {
					edges = append(edges, e)
				} else if isModel(e.Role) {
					todo = append(todo, e.To)
				}
			}
		}
	}
	return out, edges
}

// relations returns what a card may call a step of ours: a training from other weights
// is a fine-tuning, and so is merging an adapter into the model that it was trained on.
func (x *comparison) relations(step string, d attest.Digest) (relations []string, known bool) {
	from, adapter := false, false
	for _, e := range x.edges[d] {
		if e.Step == step {
			from = from || isModel(e.Role) && e.Role != "teacher"
			adapter = adapter || e.Role == "adapter"
		}
	}
	switch {
	case step == "quantize":
		return []string{relationQuantized}, true
	case step == "merge" && adapter:
		return []string{relationMerge, relationFinetune}, true
	case step == "merge":
		return []string{relationMerge}, true
	case step == "finetune", step == "train" && from:
		return []string{relationFinetune, relationAdapter}, true
	case step == "train":
		return nil, true // from data alone: every relation is wrong
	}
	return nil, false
}
