package lineage_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A naive finder leads where a world's evidence does: it has looked at everything,
// and asks again for nothing that changes later.
type naive struct {
	leads map[lineage.Relation]map[string]map[attest.Digest]bool
	held  []attest.Held
	err   error        // of every answer, after it was given
	asked atomic.Int64 // questions
}

func (n *naive) add(r lineage.Relation, name string, d attest.Digest) {
	if n.leads[r] == nil {
		n.leads[r] = map[string]map[attest.Digest]bool{}
	}
	if n.leads[r][name] == nil {
		n.leads[r][name] = map[attest.Digest]bool{}
	}
	n.leads[r][name][d] = true
}

func (n *naive) Find(_ context.Context, r lineage.Relation, name string, yield func(attest.Digest) bool) error {
	n.asked.Add(1)
	for _, d := range slices.SortedFunc(maps.Keys(n.leads[r][name]), attest.Digest.Compare) {
		if !yield(d) {
			break
		}
	}
	return n.err
}

func (n *naive) Held(_ context.Context, _ attest.Repository, yield func(attest.Held) bool) error {
	for _, h := range n.held {
		if !yield(h) {
			break
		}
	}
	return n.err
}

// seen returns everything in a world: artifacts with evidence, and the manifests
// given besides.
func seen(t testing.TB, w *chaintest.World, keys []attest.PublicKey, manifests ...attest.Digest) []*verify.Artifact {
	t.Helper()
	var out []*verify.Artifact
	for batch := range slices.Chunk(slices.Concat(w.Artifacts(), manifests), 1000) {
		found, err := verify.Look(t.Context(), batch, []verify.Source{w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keys}})
		must(t, err)
		out = append(out, found...)
	}
	return out
}

// finder makes a naive finder of a world. It leads by what anybody signed who is in
// keys, which may be more than who is trusted.
func finder(t testing.TB, w *chaintest.World, keys []attest.PublicKey, manifests ...attest.Digest) *naive {
	t.Helper()
	n := &naive{leads: map[lineage.Relation]map[string]map[attest.Digest]bool{}}
	for _, a := range seen(t, w, keys, manifests...) {
		for _, f := range a.Files {
			n.add(lineage.HasFile, f.Digest.String(), a.Digest)
		}
		for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
			n.add(lineage.HasPayload, e.ID().Payload.String(), a.Digest)
			n.add(lineage.SignedBy, e.ID().Credential.String(), a.Digest)
			n.add(lineage.OfType, e.PredicateType(), a.Digest)
			facts, err := e.Facts()
			if err != nil {
				continue
			}
			for _, in := range facts.Inputs {
				n.add(lineage.NamesInput, in.Digest.String(), a.Digest)
			}
			for _, b := range facts.Basis {
				n.add(lineage.NamesStatement, b.Payload.String(), a.Digest)
			}
			text := func(way ...string) string {
				tree := facts.Tree
				for _, name := range way[:len(way)-1] {
					tree, _ = tree[name].(map[string]any)
				}
				s, _ := tree[way[len(way)-1]].(string)
				return s
			}
			switch e.PredicateType() {
			case predicate.TypeProvenance:
				n.add(lineage.BuiltBy, text("runDetails", "builder", "id"), a.Digest)
			case predicate.TypeDeployment:
				n.add(lineage.InEnvironment, text("environment"), a.Digest)
				for _, ref := range []string{"decision", "previous"} {
					if d := text(ref, "payload", "sha256"); d != "" {
						n.add(lineage.NamesStatement, "sha256:"+d, a.Digest)
					}
				}
			}
		}
	}
	return n
}

func keysOf(w *chaintest.World, names ...string) []attest.PublicKey {
	var out []attest.PublicKey
	for _, n := range names {
		out = append(out, w.Key(n))
	}
	return out
}

func credential(w *chaintest.World, name string) verify.Credential {
	return verify.KeyCredential(w.Key(name))
}

// impact asks with the keys of these names, over all that is in the world.
func impact(t testing.TB, w *chaintest.World, start lineage.Start, o lineage.ImpactOptions, manifests []attest.Digest, names ...string) *lineage.ImpactAnswer {
	t.Helper()
	keys := keysOf(w, names...)
	o.Reading = called(w, names...)
	// The finder is led by strangers too: hints lead, and decide nothing.
	f := finder(t, w, append(keysOf(w, "mallory"), keys...), manifests...)
	a, err := lineage.Impact(t.Context(), f, []verify.Source{labelled{w.Source(), nil}}, verify.Scope{Signers: verify.Signers{Keys: keys}}, start, o)
	must(t, err)
	return a
}

// A labelled source says of each attestation what type it is, as registries do:
// the right one, or a lie.
type labelled struct {
	verify.Source
	lie func(payload attest.Digest) string // "" for the truth; may be nil
}

func (l labelled) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	return l.Source.Attestations(ctx, d, func(a attest.Attached) bool {
		if b, err := attest.ParseBundle(a.Bundle); err == nil {
			if l.lie != nil {
				a.PredicateType = l.lie(attest.SHA256(b.Payload))
			}
			if s, err := attest.ParseStatement(b.Payload); err == nil && a.PredicateType == "" {
				a.PredicateType = s.PredicateType
			}
		}
		return yield(a)
	})
}

func evaluated(t testing.TB, w *chaintest.World, who string, artifact attest.Digest, at time.Time, inputs ...predicate.EvaluationInput) attest.Digest {
	t.Helper()
	return w.Sign(who, artifact, predicate.TypeEvaluation, predicate.Evaluation{
		Kind: "quality", EvaluatedAt: at, Suite: predicate.Suite{Name: "s"}, Metrics: map[string]predicate.Metric{"accuracy": {Value: "0.9"}}, Inputs: inputs,
	})
}

func measured(role string, d attest.Digest) predicate.EvaluationInput {
	return predicate.EvaluationInput{Role: role, Digest: predicate.DigestSet{Digest: d}}
}

func approved(t testing.TB, w *chaintest.World, who string, artifact attest.Digest, at time.Time, basis ...attest.Digest) attest.Digest {
	t.Helper()
	list := []any{}
	for _, b := range basis {
		list = append(list, map[string]any{"payload": b.DigestSet(), "artifact": artifact.DigestSet()})
	}
	return w.Sign(who, artifact, predicate.TypeApproval, map[string]any{
		"decision": "approved", "approvedAt": at.Format(time.RFC3339), "scope": map[string]any{"environments": []any{"prod"}}, "basis": list,
	})
}

func deployed(t testing.TB, w *chaintest.World, who string, artifact attest.Digest, environment, service string, at time.Time, decision attest.Digest) attest.Digest {
	t.Helper()
	d := predicate.Deployment{Environment: environment, DeployedAt: at, Target: &predicate.DeploymentTarget{Cluster: "eu-1", Service: service}}
	if !decision.IsZero() {
		d.Decision = &predicate.StatementRef{Payload: predicate.DigestSet{Digest: decision}, Artifact: predicate.DigestSet{Digest: artifact}}
	}
	return w.Sign(who, artifact, predicate.TypeDeployment, d)
}

// followed is deployed, with the record before it named.
func followed(t testing.TB, w *chaintest.World, who string, artifact attest.Digest, environment, service string, at time.Time, previous attest.Digest) attest.Digest {
	t.Helper()
	ref := predicate.StatementRef{Payload: predicate.DigestSet{Digest: previous}, Artifact: predicate.DigestSet{Digest: artifact}}
	return w.Sign(who, artifact, predicate.TypeDeployment, predicate.Deployment{Environment: environment, DeployedAt: at, Target: &predicate.DeploymentTarget{Cluster: "eu-1", Service: service}, Previous: &ref})
}

// builtAt signs provenance at a time, by a builder, about subjects, beside an artifact.
func builtAt(t testing.TB, w *chaintest.World, who, builder string, at time.Time, beside attest.Digest, subjects []attest.Digest, inputs ...attest.Digest) attest.Digest {
	t.Helper()
	in := predicate.ProvenanceInput{Step: "train", Builder: builder, Finished: at}
	for _, d := range inputs {
		in.Inputs = append(in.Inputs, predicate.Input{Role: "training-data", Digest: d, Observed: true})
	}
	pred, err := predicate.NewProvenance(in)
	must(t, err)
	if len(subjects) == 1 {
		return w.SignAt(beside, who, subjects[0], predicate.TypeProvenance, pred)
	}
	return w.SignPayload(beside, who, manySubjects(t, subjects, pred))
}

func manySubjects(t testing.TB, subjects []attest.Digest, pred []byte) []byte {
	t.Helper()
	var list []any
	for _, d := range subjects {
		list = append(list, map[string]any{"name": "one", "digest": d.DigestSet()})
	}
	b, err := json.Marshal(map[string]any{"_type": attest.StatementTypeV1, "subject": list, "predicateType": predicate.TypeProvenance, "predicate": json.RawMessage(pred)})
	must(t, err)
	return b
}
