package lineage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func TestImpactDeployed(t *testing.T) {
	p := newPoisoned(t)
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	none := attest.Digest{}
	deployed(t, p.w, "ops", p.model, "prod", "credit", hour(0), none)
	deployed(t, p.w, "ops", p.small, "prod", "fraud", hour(1), none)
	deployed(t, p.w, "ops", p.small, "staging", "credit", hour(1), none)
	replaced := func() (int, string) {
		a := impact(t, p.w, lineage.Start{Digest: p.data}, lineage.ImpactOptions{At: hour(10)}, p.manifests(), everybody...)
		var out []string
		for _, d := range a.Deployments {
			s := d.Environment + "/" + d.Cluster + "/" + d.Service + fmt.Sprint(" ", d.Last)
			if d.ReplacedBy != nil {
				s += " by " + map[attest.Digest]string{p.clean: "clean", p.model: "model", p.small: "small"}[d.ReplacedBy.About]
			}
			out = append(out, s)
		}
		return a.Counts.Deployed, strings.Join(out, ", ")
	}
	if n, got := replaced(); n != 2 || got != "prod/eu-1/credit true, prod/eu-1/fraud true, staging/eu-1/credit true" {
		t.Errorf("%d: %s", n, got)
	}
	// Elsewhere, earlier, in times to come, or by a stranger, nothing is replaced.
	deployed(t, p.w, "ops", p.clean, "prod", "other", hour(3), none)
	deployed(t, p.w, "ops", p.clean, "prod", "credit", hour(-1), none)
	deployed(t, p.w, "ops", p.clean, "prod", "credit", hour(11), none)
	deployed(t, p.w, "mallory", p.clean, "prod", "credit", hour(3), none)
	if n, got := replaced(); n != 2 || strings.Contains(got, "by") {
		t.Errorf("%d: %s", n, got)
	}
	deployed(t, p.w, "ops", p.clean, "prod", "credit", hour(2), none)
	deployed(t, p.w, "ops", p.clean, "prod", "credit", hour(4), none)
	if n, got := replaced(); n != 1 || got != "prod/eu-1/fraud true, staging/eu-1/credit true, prod/eu-1/credit false by clean" {
		t.Errorf("%d: %s", n, got)
	}
	// What follows may be affected as well.
	deployed(t, p.w, "ops", p.model, "prod", "fraud", hour(2), none)
	if n, got := replaced(); n != 2 || !strings.Contains(got, "prod/eu-1/fraud true") || !strings.Contains(got, "prod/eu-1/fraud false by model") {
		t.Errorf("%d: %s", n, got)
	}
	// The address tells no places apart.
	p.w.Sign("ops", p.clean, predicate.TypeDeployment, predicate.Deployment{Environment: "prod", DeployedAt: hour(5), Target: &predicate.DeploymentTarget{Cluster: "eu-1", Service: "fraud", Endpoint: "https://fraud.test/"}})
	if n, got := replaced(); n != 1 || !strings.Contains(got, "prod/eu-1/fraud false by clean") {
		t.Errorf("%d: %s", n, got)
	}
	// The start itself can be what runs.
	a := p.impact(t, lineage.Start{Digest: p.small})
	if a.Counts.Deployed != 1 || a.Counts.Affected != 0 || a.Affected[0].Deployed != 1 {
		t.Errorf("%+v", a.Counts)
	}
}

func TestImpactRevoked(t *testing.T) {
	p := newPoisoned(t)
	revoke := func(who string, d attest.Digest, r predicate.Revocation) attest.Digest {
		r.IssuedAt, r.Reason = noon, "a reason"
		return p.w.Sign(who, d, predicate.TypeRevocation, r)
	}
	first := revoke("alice", p.model, predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetArtifact})
	revoke("data", p.model, predicate.Revocation{Action: predicate.ActionQuarantine, Target: predicate.TargetArtifact, EffectiveFrom: noon.Add(time.Hour)})
	lift := predicate.Revocation{Action: predicate.ActionRestore, Target: predicate.TargetArtifact, Restores: []predicate.Restored{{Payload: predicate.DigestSet{Digest: first}}}}
	revoke("data", p.model, lift) // by another hand: whether that lifts it is for a policy
	revoke("alice", credential(p.w, "trainer").Standin(), predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetKey})
	found := func() string {
		var out []string
		for _, e := range p.impact(t, lineage.Start{Digest: p.data}).Affected {
			for _, r := range e.Revoked {
				out = append(out, fmt.Sprint(r.Action, " by ", r.Record.Signer, " ", r.Lifted))
			}
		}
		return strings.Join(out, ", ")
	}
	if got := found(); got != "revoke by alice false, quarantine by data false" {
		t.Error(got)
	}
	revoke("alice", p.model, lift)
	if got := found(); got != "revoke by alice true, quarantine by data false" {
		t.Error(got)
	}
	a := p.impact(t, lineage.Start{Credential: credential(p.w, "trainer")})
	if len(a.Start.Revoked) != 1 || a.Start.Name != "trainer" || a.Start.Kind != "credential" {
		t.Errorf("%+v", a.Start)
	}
	if a := p.impact(t, lineage.Start{Digest: p.model}); len(a.Start.Revoked) != 2 {
		t.Errorf("%+v", a.Start)
	}
}

func TestImpactNames(t *testing.T) {
	p := newPoisoned(t)
	keys := keysOf(p.w, everybody...)
	f := finder(t, p.w, keys, p.manifests()...)
	f.held = []attest.Held{{Digest: p.model, Tags: []string{"latest", "v1"}}, {Digest: p.clean, Tags: []string{"other"}}, {Digest: p.base}}
	repo, err := attest.ParseRepository("ocidir://reg")
	must(t, err)
	a, err := lineage.Impact(t.Context(), f, []verify.Source{p.w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keys}}, lineage.Start{Digest: p.data}, lineage.ImpactOptions{Repositories: []attest.Repository{repo, repo}})
	must(t, err)
	if got := fmt.Sprint(a.Affected[1].Names, a.Judged[0].Names, a.Affected[0].Names); got != "[{ocidir://reg [latest v1]}] [{ocidir://reg [other]}] []" {
		t.Error(got)
	}
}

// The same evidence gives the same bytes: in one source or several, in any order.
func TestImpactIsDeterministic(t *testing.T) {
	p := newPoisoned(t)
	// Several shortest ways, and several statements for each.
	for _, who := range []string{"trainer", "data"} {
		made(t, p.w, who, "train", p.small, input("training-data", "data", p.data), input("other", "rows", p.rows))
	}
	deployed(t, p.w, "ops", p.small, "prod", "credit", noon, attest.Digest{})
	deployed(t, p.w, "alice", p.small, "prod", "credit", noon, attest.Digest{})
	want := text(t, p.impact(t, lineage.Start{Digest: p.data}))
	other := chaintest.New(t)
	for _, d := range slices.Backward(p.w.Artifacts()) {
		for _, b := range slices.Backward(p.w.Bundles(d)) {
			other.Attach(d, b)
		}
	}
	keys := keysOf(p.w, everybody...)
	for range 5 {
		f := finder(t, p.w, keys, p.manifests()...)
		a, err := lineage.Impact(t.Context(), f, []verify.Source{other.Source(), p.w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keys}}, lineage.Start{Digest: p.data}, lineage.ImpactOptions{Reading: called(p.w, everybody...)})
		must(t, err)
		if got := text(t, a); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestImpactOfACycle(t *testing.T) {
	w := chaintest.New(t)
	a, b := attest.SHA256([]byte("a")), attest.SHA256([]byte("b"))
	made(t, w, "trainer", "train", a, input("x", "b", b), input("x", "a", a))
	made(t, w, "trainer", "train", b, input("x", "a", a))
	got := impact(t, w, lineage.Start{Digest: a}, lineage.ImpactOptions{}, nil, "trainer")
	if len(got.Affected) != 2 || got.Affected[1].Digest != b || got.Affected[1].Distance != 1 || !got.Complete() {
		t.Errorf("%+v", got.Affected)
	}
	got = impact(t, w, lineage.Start{Credential: credential(w, "trainer")}, lineage.ImpactOptions{}, nil, "trainer")
	if len(got.Affected) != 2 || got.Affected[0].Distance != 1 || got.Affected[1].Distance != 1 {
		t.Errorf("%+v", got.Affected)
	}
}

// A long chain and a wide one end, in bounded time, with every way at hand.
func TestImpactOfLargeWorlds(t *testing.T) {
	deep, wide := 10_000, 100_000
	if testing.Short() {
		deep, wide = 500, 5_000
	}
	at := func(i int) attest.Digest { return attest.SHA256(fmt.Append(nil, "model ", i)) }
	w := chaintest.New(t)
	f := &naive{leads: map[lineage.Relation]map[string]map[attest.Digest]bool{}}
	for i := range deep {
		builtAt(t, w, "trainer", "b", noon, at(i+1), []attest.Digest{at(i + 1)}, at(i))
		f.add(lineage.NamesInput, at(i).String(), at(i+1))
	}
	ask := func(w *chaintest.World, f *naive) *lineage.ImpactAnswer {
		began := time.Now()
		a, err := lineage.Impact(t.Context(), f, []verify.Source{w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keysOf(w, "trainer")}}, lineage.Start{Digest: at(0)}, lineage.ImpactOptions{})
		must(t, err)
		t.Logf("%d affected, %d deep: %v, %d questions", a.Counts.Affected, a.Counts.Deepest, time.Since(began), f.asked.Load())
		if time.Since(began) > time.Minute || !a.Complete() {
			t.Errorf("%v, gaps %v", time.Since(began), a.Gaps)
		}
		return a
	}
	a := ask(w, f)
	if a.Counts.Deepest != deep || len(a.Path(at(deep))) != deep || a.Affected[deep].Via.From != at(deep-1) {
		t.Errorf("%d deep", a.Counts.Deepest)
	}
	if n := f.asked.Load(); n > int64(3*deep+10) {
		t.Errorf("%d questions for %d artifacts", n, deep)
	}
	w, f = chaintest.New(t), &naive{leads: map[lineage.Relation]map[string]map[attest.Digest]bool{}}
	for first := 0; first < wide; first += 1000 {
		var subjects []attest.Digest
		for i := range 1000 {
			subjects = append(subjects, at(first+i+1))
		}
		builtAt(t, w, "trainer", "b", noon, subjects[0], subjects, at(0))
		f.add(lineage.NamesInput, at(0).String(), subjects[0])
	}
	if a = ask(w, f); a.Counts.Affected != wide || a.Counts.Deepest != 1 {
		t.Errorf("%d wide, %d deep", a.Counts.Affected, a.Counts.Deepest)
	}
}
