package lineage_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
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

// An oracle works out what is affected from everything at once, again and again
// until nothing changes.
type oracle struct {
	all    []*verify.Artifact
	start  lineage.Start
	whole  map[attest.Digest]int // distance
	part   map[attest.Digest]int
	judged map[string]bool
	rests  map[attest.Digest]bool
}

func (o *oracle) doubted(e verify.Evidence, perhaps bool) bool {
	facts, _ := e.Facts()
	switch {
	case !o.start.Digest.IsZero():
		return e.ID().Payload == o.start.Digest
	case o.start.Builder != "":
		run, _ := facts.Tree["runDetails"].(map[string]any)
		builder, _ := run["builder"].(map[string]any)
		if e.PredicateType() != predicate.TypeProvenance || builder["id"] != o.start.Builder {
			return false
		}
	case e.ID().Credential != o.start.Credential:
		return false
	}
	return perhaps || o.start.Since.IsZero() || facts.Claimed.IsZero() || !facts.Claimed.Before(o.start.Since)
}

// use returns the least distance at which a digest may have been used.
func (o *oracle) use(d attest.Digest) (int, bool) {
	best, found := 0, false
	take := func(n int, ok bool) {
		if ok && (!found || n < best) {
			best, found = n, true
		}
	}
	n, ok := o.whole[d]
	take(n, ok)
	n, ok = o.part[d]
	take(n, ok)
	for _, a := range o.all {
		for _, f := range a.Files {
			if f.Digest == d {
				n, ok := o.whole[a.Digest]
				take(n, ok)
			}
		}
	}
	return best, found
}

func (o *oracle) relax(perhaps bool) bool {
	changed := false
	put := func(m map[attest.Digest]int, d attest.Digest, n int) {
		if old, ok := m[d]; !ok || n < old {
			m[d], changed = n, true
		}
	}
	for _, a := range o.all {
		for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
			if e.PredicateType() != predicate.TypeProvenance {
				continue
			}
			facts, err := e.Facts()
			if err != nil {
				continue
			}
			for _, s := range e.Subjects() {
				if o.doubted(e, perhaps) {
					put(o.whole, s.Digest, 1)
				}
				for _, in := range facts.Inputs {
					if n, ok := o.use(in.Digest); ok {
						put(o.whole, s.Digest, n+1)
					}
				}
			}
		}
		for _, f := range a.Files {
			if n, ok := o.whole[f.Digest]; ok {
				put(o.part, a.Digest, n+1)
			}
		}
	}
	return changed
}

func (o *oracle) judge(perhaps bool) {
	if !perhaps {
		o.judged, o.rests = map[string]bool{}, map[attest.Digest]bool{}
	}
	note := func(a *verify.Artifact, e verify.Evidence, effect lineage.Effect) bool {
		key := fmt.Sprint(a.Digest, " ", e.ID().Payload, " ", e.ID().Credential, " ", effect)
		o.rests[e.ID().Payload] = true
		was := o.judged[key]
		o.judged[key] = true
		return !was
	}
	if !o.start.Digest.IsZero() {
		o.rests[o.start.Digest] = true
	}
	for changed := true; changed; {
		changed = false
		for _, a := range o.all {
			_, whole := o.whole[a.Digest]
			_, part := o.part[a.Digest]
			for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
				facts, err := e.Facts()
				if err != nil {
					continue
				}
				made := e.PredicateType() == predicate.TypeProvenance
				if o.doubted(e, perhaps) {
					if made {
						changed = changed || !o.rests[e.ID().Payload]
						o.rests[e.ID().Payload] = true
					} else {
						effect := map[string]lineage.Effect{predicate.TypeEvaluation: lineage.JudgedBy, predicate.TypeApproval: lineage.ApprovedBy, predicate.TypeDeployment: lineage.DeployedBy, predicate.TypeRevocation: lineage.RevokedBy}[e.PredicateType()]
						changed = note(a, e, effect) || changed
					}
				}
				if whole || part {
					continue // of what is affected, only what is in question itself
				}
				for _, in := range facts.Inputs {
					if _, ok := o.use(in.Digest); ok && !made {
						changed = note(a, e, lineage.JudgedWith) || changed
					}
				}
				for _, b := range facts.Basis {
					if o.rests[b.Payload] {
						changed = note(a, e, lineage.ApprovedOn) || changed
					}
				}
				if d, ok := facts.Tree["decision"].(map[string]any); ok {
					set, _ := d["payload"].(map[string]any)
					hex, _ := set["sha256"].(string)
					if p, err := attest.NewDigest("sha256", hex); err == nil && o.rests[p] {
						changed = note(a, e, lineage.DeployedOn) || changed
					}
				}
			}
		}
	}
}

// affected returns what is affected, with effect and distance, and the judgments.
func (o *oracle) affected(perhaps bool) (map[attest.Digest]string, map[string]bool) {
	o.whole, o.part = map[attest.Digest]int{}, map[attest.Digest]int{}
	if !o.start.Digest.IsZero() {
		o.whole[o.start.Digest] = 0
	}
	for o.relax(perhaps) {
	}
	out := map[attest.Digest]string{}
	for d, n := range o.part {
		out[d] = fmt.Sprint(lineage.Contains, " ", n)
	}
	for d, n := range o.whole {
		if part, ok := o.part[d]; ok && part < n {
			continue
		}
		effect := lineage.MadeFrom
		if n == 0 {
			effect = lineage.IsStart
		}
		for _, a := range o.all {
			for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
				about := slices.ContainsFunc(e.Subjects(), func(s attest.Subject) bool { return s.Digest == d })
				if n == 1 && e.PredicateType() == predicate.TypeProvenance && about && o.doubted(e, perhaps) {
					effect = lineage.MadeBy
				}
			}
		}
		out[d] = fmt.Sprint(effect, " ", n)
	}
	o.judge(perhaps)
	return out, maps.Clone(o.judged)
}

// deployments counts the records about what is affected, and how many of them the
// answer wrongly calls the last there, or not the last.
func (o *oracle) deployments(got *lineage.ImpactAnswer) (n, wrong int) {
	affected := map[attest.Digest]bool{}
	for _, a := range slices.Concat(got.Affected, got.Unproven) {
		affected[a.Digest] = !a.File
	}
	type record struct {
		about, payload attest.Digest
		place          string
		at             time.Time
	}
	var all []record
	for _, a := range o.all {
		for _, e := range slices.Concat(a.Evidence, a.FileEvidence) {
			if facts, err := e.Facts(); err == nil && e.PredicateType() == predicate.TypeDeployment {
				target, _ := facts.Tree["target"].(map[string]any)
				all = append(all, record{a.Digest, e.ID().Payload, fmt.Sprint(facts.Tree["environment"], target["service"]), facts.Claimed})
			}
		}
	}
	last := map[attest.Digest]bool{}
	for _, r := range all {
		if affected[r.about] {
			n++
		}
		last[r.payload] = !slices.ContainsFunc(all, func(later record) bool { return later.place == r.place && later.at.After(r.at) })
	}
	for _, d := range got.Deployments {
		if d.Last != last[d.Record.Payload] || d.Last != (d.ReplacedBy == nil) {
			wrong++
		}
	}
	return n, wrong
}

// a random world: few digests and many statements, so that everything meets.
func randomWorld(t testing.TB, r *rand.Rand) (w *chaintest.World, digests []attest.Digest, payloads []attest.Digest) {
	w = chaintest.New(t)
	files := []string{"licence", "weights a", "weights b", "rows", "card"}
	for i := range 6 {
		m := map[string]string{"own": fmt.Sprint("own ", i)}
		for _, f := range files {
			if r.IntN(3) == 0 {
				m[f] = f
			}
		}
		digests = append(digests, w.Manifest(m))
	}
	manifests := len(digests)
	for _, f := range files {
		digests = append(digests, chaintest.File(f))
	}
	for i := range 8 {
		digests = append(digests, attest.SHA256(fmt.Append(nil, "opaque ", i)))
	}
	digests = append(digests, commit(1), commit(2))
	who := func() string { return []string{"trainer", "evaluator", "thief", "mallory"}[r.IntN(4)] }
	any := func() attest.Digest { return digests[r.IntN(len(digests))] }
	at := func() time.Time { return noon.Add(time.Duration(r.IntN(5)-2) * time.Hour) }
	for range 10 + r.IntN(25) {
		switch r.IntN(8) {
		case 0:
			payloads = append(payloads, evaluated(t, w, who(), any(), at(), measured("evaluation-data", any())))
		case 1:
			d, basis := any(), attest.SHA256(nil)
			if len(payloads) > 0 {
				basis = payloads[r.IntN(len(payloads))]
			}
			payloads = append(payloads, approved(t, w, who(), d, at(), basis))
		case 2:
			decision := attest.Digest{}
			if len(payloads) > 0 {
				decision = payloads[r.IntN(len(payloads))]
			}
			if r.IntN(2) == 0 && !decision.IsZero() {
				payloads = append(payloads, followed(t, w, who(), any(), "prod", fmt.Sprint("s", r.IntN(2)), at(), decision))
			} else {
				payloads = append(payloads, deployed(t, w, who(), any(), []string{"prod", "staging"}[r.IntN(2)], fmt.Sprint("s", r.IntN(2)), at(), decision))
			}
		case 7:
			payloads = append(payloads, w.Sign(who(), any(), predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetArtifact, Reason: "x", IssuedAt: at()}))
		case 3: // about a file, or about many things, beside a manifest
			m := digests[r.IntN(manifests)]
			subjects := []attest.Digest{chaintest.File(files[r.IntN(len(files))])}
			if r.IntN(2) == 0 {
				subjects = append(subjects, any())
			}
			payloads = append(payloads, builtAt(t, w, who(), "https://ci.test/"+who(), at(), m, subjects, any()))
		default:
			d := any()
			inputs := []attest.Digest{any()}
			if r.IntN(3) == 0 {
				inputs = append(inputs, any())
			}
			payloads = append(payloads, builtAt(t, w, who(), "https://ci.test/"+who(), at(), d, []attest.Digest{d}, inputs...))
		}
	}
	return w, digests, payloads
}

// Everything that Impact says agrees with working it out from all there is.
func TestImpactAgainstOracle(t *testing.T) {
	trusted := []string{"trainer", "evaluator", "thief"}
	effects := map[lineage.Effect]int{}
	unproven, files, gaps, worlds := 0, 0, 0, 100
	if testing.Short() {
		worlds = 40
	}
	for seed := range worlds {
		r := rand.New(rand.NewPCG(1, uint64(seed)))
		w, digests, payloads := randomWorld(t, r)
		keys := keysOf(w, trusted...)
		manifests := digests[:6]
		all := seen(t, w, keys, manifests...)
		all = slices.CompactFunc(all, func(a, b *verify.Artifact) bool { return a.Digest == b.Digest })
		holding, survey := w.Holding("ocidir://reg", true), lineage.NewSurvey()
		_, err := lineage.Crawl(t.Context(), survey, []lineage.Holding{holding}, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys}, At: noon})
		must(t, err)
		starts := []lineage.Start{
			{Digest: digests[r.IntN(len(digests))]}, {Digest: digests[r.IntN(len(digests))]}, {Digest: payloads[r.IntN(len(payloads))]},
			{Credential: credential(w, "thief")}, {Credential: credential(w, "thief"), Since: noon},
			{Builder: "https://ci.test/thief"}, {Builder: "https://ci.test/thief", Since: noon},
		}
		for _, start := range starts {
			o := &oracle{all: all, start: start}
			got := impact(t, w, start, lineage.ImpactOptions{}, manifests, trusted...)
			want, judged := o.affected(false)
			also, alsoJudged := o.affected(true)
			maps.DeleteFunc(also, func(d attest.Digest, _ string) bool { return want[d] != "" })
			name := fmt.Sprintf("world %d, %+v", seed, start)
			for what, pair := range map[string]struct {
				want map[attest.Digest]string
				got  []lineage.Affected
			}{"affected": {want, got.Affected}, "unproven": {also, got.Unproven}} {
				if len(pair.want) != len(pair.got) {
					t.Errorf("%s: %d %s, want %d", name, len(pair.got), what, len(pair.want))
				}
				for _, a := range pair.got {
					effects[a.Effect]++
					if a.File {
						files++
					}
					if text := fmt.Sprint(a.Effect, " ", a.Distance); pair.want[a.Digest] != text {
						t.Errorf("%s: %s %s is %q, want %q", name, what, a.Digest.Short(), text, pair.want[a.Digest])
					}
					checkPath(t, name, got, a)
				}
			}
			unproven += len(got.Unproven)
			if len(got.Judged) != len(alsoJudged) {
				t.Errorf("%s: %d judged, want %d", name, len(got.Judged), len(alsoJudged))
			}
			for _, j := range got.Judged {
				effects[j.Effect]++
				key := fmt.Sprint(j.Artifact, " ", j.Record.Payload, " ", j.Record.Credential, " ", j.Effect)
				if !alsoJudged[key] || judged[key] == j.Unproven {
					t.Errorf("%s: judged %s, unproven %v", name, key, j.Unproven)
				}
			}
			if n, last := o.deployments(got); n != len(got.Deployments) || last != 0 {
				t.Errorf("%s: %d deployments, want %d; %d of them are wrongly the last or not", name, len(got.Deployments), n, last)
			}
			if !got.Complete() {
				t.Errorf("%s: gaps %v", name, got.Gaps)
			}
			// Over what was crawled the answer is the same, but that nobody asked there
			// about digests that nobody names.
			crawled, err := lineage.Impact(t.Context(), survey, []verify.Source{survey.Source(holding.Repository())}, verify.Scope{Signers: verify.Signers{Keys: keys}}, start, lineage.ImpactOptions{Reading: called(w, trusted...)})
			must(t, err)
			for _, g := range crawled.Gaps {
				gaps++
				if g.Code != attest.CodeIndex || slices.ContainsFunc(all, func(a *verify.Artifact) bool { return a.Digest == g.Artifact }) {
					t.Errorf("%s: gap %v", name, g)
				}
			}
			crawled.Gaps = got.Gaps
			if text(t, crawled) != text(t, got) {
				t.Errorf("%s: over what was crawled\n%s\nwant\n%s", name, text(t, crawled), text(t, got))
			}
		}
		if t.Failed() {
			return
		}
	}
	for _, e := range []lineage.Effect{lineage.IsStart, lineage.MadeBy, lineage.MadeFrom, lineage.Contains, lineage.JudgedWith, lineage.JudgedBy, lineage.ApprovedBy, lineage.ApprovedOn, lineage.DeployedBy, lineage.DeployedOn, lineage.RevokedBy} {
		if effects[e] < 5 {
			t.Errorf("%q was found %d times: the worlds show too little", e, effects[e])
		}
	}
	t.Logf("%v, %d unproven, %d files, %d gaps", effects, unproven, files, gaps)
	if unproven < 10 || files < 10 {
		t.Errorf("%d unproven, %d files: the worlds show too little", unproven, files)
	}
}

// checkPath checks that a way leads from the start, step by step, to the artifact.
func checkPath(t *testing.T, name string, a *lineage.ImpactAnswer, to lineage.Affected) {
	t.Helper()
	path := a.Path(to.Digest)
	if len(path) != to.Distance {
		t.Errorf("%s: a way of %d steps to %s, which is %d away", name, len(path), to.Digest.Short(), to.Distance)
		return
	}
	at := a.Start.Digest
	for i, s := range path {
		if s.From != at || s.To.IsZero() || (s.Record == nil) != (s.Effect == lineage.Contains) || s.Record != nil && (s.Record.Signer == "" || strings.HasPrefix(s.Record.Signer, "mallory")) {
			t.Errorf("%s: step %d from %s: %+v", name, i, at.Short(), s)
		}
		at = s.To
	}
	if len(path) > 0 && (at != to.Digest || fmt.Sprint(path[len(path)-1].To) != fmt.Sprint(to.Via.To)) {
		t.Errorf("%s: the way ends at %s", name, at.Short())
	}
}
