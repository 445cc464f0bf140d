package fleet

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/modelpack"
)

func (f *Fleet) makeBase(b *batch, i int) {
	repo := baseRepository()
	b.artifact(repo, tagOf(f.bases[i].name), modelpack.Weight, f.baseContent(i))
	f.made(b, repo, f.makingOfBase(i))
}

// tagOf makes a tag of org/name.
func tagOf(name string) string {
	t := []byte(name)
	for i := range t {
		if t[i] == '/' {
			t[i] = '.'
		}
	}
	return string(t)
}

func (f *Fleet) makeRaw(b *batch, i int) {
	repo := dataRepository()
	b.artifact(repo, f.raws[i].name, modelpack.Dataset, f.rawContent(i))
	f.made(b, repo, f.makingOfRaw(i))
}

func (f *Fleet) makeData(b *batch, i int) {
	repo := dataRepository()
	for _, part := range [...]string{"train", "test"} {
		b.artifact(repo, "prepared-"+strconv.Itoa(i)+"-"+part, modelpack.Dataset, f.preparedContent(i, part))
	}
	f.made(b, repo, f.makingOfData(i))
}

// makeVersion makes the artifacts of a version and what is said about them but for
// deployments. It returns the payload of the summary, on which it is deployed.
func (f *Fleet) makeVersion(b *batch, i int) attest.Digest {
	v := &f.versions[i]
	repo, tag := f.repository(v), f.tag(v)
	if v.style == styleAdapter {
		b.artifact(repo, tag+"-adapter", modelpack.Weight, f.adapterContent(v))
	}
	released := tag // the release has the plain tag
	if len(v.variants) > 0 {
		released = tag + "-full"
	}
	b.artifact(repo, released, modelpack.Weight, f.modelContent(v))
	for k, bits := range v.bits {
		name := tag
		if k > 0 {
			name += "-q" + strconv.Itoa(bits)
		}
		b.artifact(repo, name, modelpack.Weight, f.variantContent(v, bits))
	}
	for _, m := range f.makingsOf(v) {
		f.made(b, repo, m)
	}
	return f.judge(b, v)
}

// judge makes what is said about how good a version is, and who decided what.
func (f *Fleet) judge(b *batch, v *version) attest.Digest {
	r := f.chance("judge", v.slot)
	repo, release := f.repository(v), v.release()
	say := func(who string, about attest.Digest, predicateType string, body any) attest.Digest {
		return b.sign(f.keys[who], repo, attest.Subject{Name: "acme/" + f.familyName(v), Digest: about}, predicateType, body)
	}
	for _, d := range append([]attest.Digest{v.model}, v.variants...) {
		if d != release {
			say(keyEvaluator, d, predicate.TypeEvaluation, f.quality(v, r))
		}
	}
	if v.fate == fateStep {
		say(keyEvaluator, release, predicate.TypeEvaluation, f.quality(v, r))
		return attest.Digest{}
	}
	if r.IntN(5) > 0 {
		say(teamKey(f.team(v)), release, typeBOM, f.components(v))
	}
	basis := []attest.Digest{
		say(keyEvaluator, release, predicate.TypeEvaluation, f.quality(v, r)),
		say(keyEvaluator, release, predicate.TypeEvaluation, f.bias(v, r)),
		say(keyScanner, release, predicate.TypeEvaluation, f.scan(v)),
	}
	first := r.IntN(len(people))
	second := (first + 1 + 2*r.IntN(len(people)/2)) % len(people) // a risk officer and an owner
	approve := func(person, minute int, decision string) attest.Digest {
		return say(people[person], release, predicate.TypeApproval, f.approval(v, person, minute, decision, basis))
	}
	used := basis
	switch v.fate {
	case fateApproved:
		a := approve(first, minuteApprove, predicate.DecisionApproved)
		used = append(basis[:len(basis):len(basis)], a, approve(second, minuteApprove+5, predicate.DecisionApproved))
		if f.withdrawn(v.slot) == withdrawnApproval {
			f.revoke(b, v, a, predicate.TargetPayload, predicate.ActionRevoke)
		}
	case fateRejected:
		used = append(basis[:len(basis):len(basis)], approve(first, minuteApprove, predicate.DecisionApproved), approve(second, minuteApprove+5, predicate.DecisionRejected))
	}
	if v.fate == fateApproved {
		f.grant(b, v)
	}
	summary := attest.Digest{}
	if v.fate != fateWaiting {
		summary = say(keyGate, release, predicate.TypeVSA, f.summary(v, used))
	}
	switch f.withdrawn(v.slot) {
	case withdrawnArtifact:
		f.revoke(b, v, release, predicate.TargetArtifact, predicate.ActionRevoke)
	case setAside:
		f.revoke(b, v, release, predicate.TargetArtifact, predicate.ActionQuarantine)
	}
	f.pester(b, v)
	return summary
}

// What becomes of a version later.
const (
	kept = iota
	withdrawnArtifact
	setAside
	withdrawnApproval // of the first who approved
)

// withdrawn says what becomes of the version in a slot.
func (f *Fleet) withdrawn(slot int) int {
	r := f.chance("withdrawn", slot)
	if r.Float64() >= f.config.Revocations || f.versions[slot].fate == fateStep {
		return kept
	}
	switch x := r.IntN(10); {
	case x < 5:
		return withdrawnArtifact
	case x < 7:
		return setAside
	case f.versions[slot].fate == fateApproved:
		return withdrawnApproval
	}
	return kept
}

// revoke says, a day later, that something about a version is not to be relied on.
func (f *Fleet) revoke(b *batch, v *version, what attest.Digest, target, action string) {
	body := predicate.Revocation{
		Action: action, Target: target, Reason: "found to be wrong in use", IssuedAt: f.at(v.slot, 24*60),
		Incident: "https://incidents.example/" + strconv.Itoa(v.slot),
	}
	b.sign(f.keys[keySecurity], f.repository(v), attest.Subject{Name: "revoked", Digest: what}, predicate.TypeRevocation, body)
	if n := len(b.items); b.err == nil && target == predicate.TargetPayload {
		b.items[n-1].StandIn = true
	}
}

// withdrawnRaw is the raw data set that is withdrawn in the end, with what was made of
// it: the least popular. -1: none; with so few that all are popular, half of the fleet
// would go.
func (f *Fleet) withdrawnRaw() int {
	if f.config.Revocations <= 0 || len(f.raws) < 20 {
		return -1
	}
	return len(f.raws) - 1
}

func (f *Fleet) makeDataRevocation(b *batch) {
	i := f.withdrawnRaw()
	if i < 0 {
		return
	}
	b.sign(f.keys[keySecurity], dataRepository(), attest.Subject{Name: f.raws[i].name, Digest: f.raws[i].digest}, predicate.TypeRevocation, predicate.Revocation{
		Action: predicate.ActionRevoke, Target: predicate.TargetArtifact, Reason: "consent withdrawn", IssuedAt: epoch.Add(span),
	})
}

// revokedReleases says for each version whether its release, or what it rests on, is
// revoked.
func (f *Fleet) revokedReleases() []bool {
	gone := map[attest.Digest]bool{}
	out := make([]bool, len(f.versions))
	var first []attest.Digest
	for i := range f.versions {
		switch f.withdrawn(i) {
		case withdrawnArtifact, setAside:
			first = append(first, f.versions[i].release())
		case withdrawnApproval:
			out[i] = true
		}
	}
	if i := f.withdrawnRaw(); i >= 0 {
		first = append(first, f.raws[i].digest)
	}
	for _, d := range first {
		gone[d] = true
	}
	for _, d := range f.products().from(first...) {
		gone[d] = true
	}
	for i := range f.versions {
		out[i] = out[i] || gone[f.versions[i].release()]
	}
	return out
}

// A deployment is one record of an environment.
type deployment struct {
	version int
	at      time.Time
	reason  string
}

// deployments returns what was deployed to one environment of a team, by time. What
// was approved goes to staging, more than half of that to production, and now and then
// production goes back to what it had before.
func (f *Fleet) deployments(team int, prod bool) []deployment {
	var out []deployment
	for i := range f.versions {
		v := &f.versions[i]
		r := f.chance("deploy", i)
		promoted, back := r.IntN(10) < 7, r.IntN(25) == 0
		if f.team(v) != team || v.fate != fateApproved || prod && !promoted {
			continue
		}
		minute := minuteStaging
		if prod {
			minute = minuteProd
		}
		d := deployment{i, f.at(i, minute), predicate.DeployPromote}
		if prod && back && len(out) > 0 {
			out = append(out, d, deployment{out[len(out)-1].version, f.at(i, minute+30), predicate.DeployRollback})
			continue
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b deployment) int { return cmp.Compare(a.at.Unix(), b.at.Unix()) })
	return out
}

// makeDeployments makes the chain of records of one environment.
func (f *Fleet) makeDeployments(b *batch, team int, prod bool, decisions []attest.Digest) {
	environment := stagingOf(team)
	if prod {
		environment = prodOf(team)
	}
	var previous *predicate.StatementRef
	for _, d := range f.deployments(team, prod) {
		v := &f.versions[d.version]
		release := v.release()
		c := f.modelContent(v)
		if len(v.bits) > 0 {
			c = f.variantContent(v, v.bits[0])
		}
		_, files, err := pack(modelpack.Weight, c)
		if !b.must(err) {
			return
		}
		body := predicate.Deployment{
			Environment: environment, DeployedAt: d.at, Previous: previous, Reason: d.reason,
			Target:   &predicate.DeploymentTarget{Cluster: "eu-" + strconv.Itoa(team%3), Service: "scoring", Endpoint: "https://scoring.fleet.example/" + environment},
			Decision: &predicate.StatementRef{Payload: predicate.DigestSet{Digest: decisions[d.version]}, Artifact: predicate.DigestSet{Digest: release}},
			Observer: &predicate.Observer{ID: "spiffe://fleet.example/loader/" + environment},
			Config:   map[string]any{"replicas": "3", "maxBatch": "32", "region": "eu"},
		}
		for _, path := range sortedPaths(files) {
			body.Loaded = append(body.Loaded, predicate.LoadedFile{Name: path, Digest: predicate.DigestSet{Digest: files[path]}})
		}
		payload := b.sign(f.keys[keyDeployer], f.repository(v), attest.Subject{Name: "acme/" + f.familyName(v), Digest: release}, predicate.TypeDeployment, body)
		previous = &predicate.StatementRef{Payload: predicate.DigestSet{Digest: payload}, Artifact: predicate.DigestSet{Digest: release}}
	}
}
