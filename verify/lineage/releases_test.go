package lineage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// releasePolicy judges what trainer trains and alice approves.
const releasePolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: releases, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: train
unsafeTime: claimed
principals:
  trainer: {kind: workload, credentials: [{key: trainer}]}
  helper: {kind: workload, credentials: [{key: helper}]}
  alice: {kind: human, credentials: [{key: alice}]}
  deployer: {kind: workload, credentials: [{key: deployer}]}
  security: {kind: human, credentials: [{key: security}]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer, helper]
    select: any
    inputs: [{role: training-data, accept: any, reason: "a test", min: 0}]
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice]
    select: any
    rules: [{id: APPR-1, cel: 'predicate.decision == "approved"', message: "not approved"}]
revocation: [{by: [security], acknowledgeAbsence: "a test"}]
`

// releases is a repository with versions of one model.
type releases struct {
	*chaintest.World
	t      testing.TB
	held   []attest.Held
	listed error // what listing ends with
	policy *policy.Policy
	now    time.Time
	judged []attest.Digest // in the order in which they were
	names  map[verify.Credential]string
	word   attest.Digest // a revocation that a test is about
}

func day(d int) time.Time { return time.Date(2026, 5, d, 12, 0, 0, 0, time.UTC) }

func newReleases(t testing.TB) *releases {
	w := chaintest.New(t)
	p, err := policy.Load([]byte(releasePolicy), func(name string) ([]byte, error) { return w.Key(name).PEM(), nil })
	if err != nil {
		t.Fatal(err)
	}
	r := &releases{World: w, t: t, policy: p, now: day(30), names: map[verify.Credential]string{}}
	for _, who := range p.Parties() {
		r.names[who.Credentials[0]] = who.Name
	}
	return r
}

// hold adds an artifact with one file to the repository.
func (r *releases) hold(name string, tags ...string) attest.Digest {
	d := r.Manifest(map[string]string{"model.safetensors": name})
	r.held = append(r.held, attest.Held{Digest: d, Tags: tags})
	return d
}

// trained signs that a version was made.
func (r *releases) trained(by string, d attest.Digest, at time.Time, inputs ...attest.Digest) attest.Digest {
	return r.made(by, "train", d, at, inputs...)
}

func (r *releases) made(by, step string, d attest.Digest, at time.Time, inputs ...attest.Digest) attest.Digest {
	deps := []any{}
	for _, in := range inputs {
		deps = append(deps, map[string]any{"digest": in.DigestSet(), "annotations": map[string]any{"role": "training-data"}})
	}
	meta := map[string]any{"invocationId": at.String()}
	if !at.IsZero() {
		meta["finishedOn"] = at.Format(time.RFC3339)
	}
	return r.Sign(by, d, predicate.TypeProvenance, map[string]any{
		"buildDefinition": map[string]any{"buildType": "https://pedigree-ml.github.io/build/" + step + "/v1", "externalParameters": map[string]any{}, "resolvedDependencies": deps},
		"runDetails":      map[string]any{"builder": map[string]any{"id": "https://ci.example"}, "metadata": meta},
	})
}

func (r *releases) approved(by string, d attest.Digest, at time.Time) attest.Digest {
	return r.Sign(by, d, predicate.TypeApproval, map[string]any{
		"decision": "approved", "approvedAt": at.Format(time.RFC3339), "scope": map[string]any{"environments": []string{"prod"}},
		"basis": []any{map[string]any{"payload": d.DigestSet(), "artifact": d.DigestSet()}},
	})
}

// good adds a version that satisfies the policy.
func (r *releases) good(name string, at time.Time, tags ...string) attest.Digest {
	d := r.hold(name, tags...)
	r.trained("trainer", d, at)
	r.approved("alice", d, at.Add(time.Hour))
	return d
}

func (r *releases) revoked(by string, d attest.Digest, target string, at time.Time) attest.Digest {
	return r.Sign(by, d, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: target, Reason: "poisoned", IssuedAt: at})
}

func (r *releases) reading() lineage.Reading {
	return lineage.Reading{Name: func(c verify.Credential) string { return r.names[c] }}
}

func (r *releases) versions() *lineage.Versions {
	r.t.Helper()
	step, ok := r.policy.StepEvidence("train")
	if !ok {
		r.t.Fatal("the policy has no step train")
	}
	vs, err := lineage.ListVersions(r.t.Context(), lineage.VersionsQuestion{
		Held: func(_ context.Context, yield func(attest.Held) bool) error {
			for _, h := range r.held {
				if !yield(h) {
					return nil
				}
			}
			return r.listed
		},
		Made: []verify.Follow{step}, Sources: []verify.Source{r.Source()}, Scope: r.policy.Scope(), Known: r.now, Reading: r.reading(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return vs
}

func (r *releases) judge(d attest.Digest) (lineage.Judgment, error) {
	r.judged = append(r.judged, d)
	c, err := verify.Walk(r.t.Context(), d, []verify.Source{r.Source()}, r.policy.Scope())
	if err != nil {
		return lineage.Judgment{}, err
	}
	return report.JudgmentOf(r.policy, r.policy.Evaluate(c, policy.Question{At: r.now})), nil
}

// lastGood asks for it; change may change the question.
func (r *releases) lastGood(change func(*lineage.LastGoodQuestion)) *lineage.LastGood {
	r.t.Helper()
	r.judged = nil
	q := lineage.LastGoodQuestion{Versions: r.versions(), Limit: 1000, Judge: func(v lineage.Version) (lineage.Judgment, error) { return r.judge(v.Digest) }}
	if change != nil {
		change(&q)
	}
	l, err := lineage.FindLastGood(q)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// A deploy is one deployment record before it is signed.
type deploy struct {
	by, env, place, reason string
	at                     time.Time
	previous, decision     *lineage.StatementAt
}

// deployed signs a record and returns where it is.
func (r *releases) deployed(d attest.Digest, x deploy) *lineage.StatementAt {
	ref := func(s *lineage.StatementAt) *predicate.StatementRef {
		if s == nil {
			return nil
		}
		return &predicate.StatementRef{Payload: predicate.DigestSet{Digest: s.Payload}, Artifact: predicate.DigestSet{Digest: s.Artifact}}
	}
	pred := predicate.Deployment{Environment: "prod", DeployedAt: x.at, Reason: x.reason, Previous: ref(x.previous), Decision: ref(x.decision)}
	if x.env != "" {
		pred.Environment = x.env
	}
	if cluster, service, ok := strings.Cut(x.place, "/"); ok {
		pred.Target = &predicate.DeploymentTarget{Cluster: cluster, Service: service}
	}
	by := x.by
	if by == "" {
		by = "deployer"
	}
	return &lineage.StatementAt{Payload: r.Sign(by, d, predicate.TypeDeployment, pred), Artifact: d}
}

// history asks for that of prod; change may change the question.
func (r *releases) history(change func(*lineage.HistoryQuestion)) *lineage.History {
	r.t.Helper()
	q := lineage.HistoryQuestion{
		Environment: "prod", At: r.now, Known: r.now, By: []verify.Follow{{By: []verify.Credential{verify.KeyCredential(r.Key("deployer"))}}},
		Find:    r.find("prod"),
		Sources: []verify.Source{r.Source()}, Scope: r.policy.Scope(), Reading: r.reading(),
	}
	if change != nil {
		change(&q)
	}
	h, err := lineage.AskHistory(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// revokers lets so many of some take things of a kind back.
func (r *releases) revokers(threshold int, target string, names ...string) []lineage.Revokers {
	by := func(who string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return verify.KeyCredential(r.Key(n)).String() == who })
	}
	return []lineage.Revokers{{By: by, Targets: []string{target}, Threshold: threshold}}
}

// find is a naive finder: everything that something is attached to is a hint.
func (r *releases) find(string) func(context.Context, func(attest.Digest) bool) error {
	return func(_ context.Context, yield func(attest.Digest) bool) error {
		for _, d := range r.Artifacts() {
			if !yield(d) {
				return nil
			}
		}
		return nil
	}
}

func (r *releases) dated() (out []attest.Digest) {
	for _, v := range r.versions().Dated {
		out = append(out, v.Digest)
	}
	return out
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantList(t *testing.T, what string, got []attest.Digest, want ...attest.Digest) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %s, want %s", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}
