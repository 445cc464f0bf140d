package lineage

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// answer makes the answer of what was found.
func (s *impactSearch) answer(ctx context.Context) (*ImpactAnswer, error) {
	a := &ImpactAnswer{
		Trust: s.o.Trust, Repositories: []string{}, Affected: []Affected{}, Unproven: []Affected{}, Judged: []ImpactJudgment{}, Deployments: []ImpactDeployment{},
		nodes: s.nodes, entry: s.entry, by: s.o.Reading,
	}
	for _, repo := range s.repositories() {
		a.Repositories = append(a.Repositories, repo.String())
	}
	deployments, err := s.deployments(ctx)
	if err != nil {
		return nil, err
	}
	a.Deployments = append(a.Deployments, deployments...)
	last := map[attest.Digest]int{}
	for _, d := range deployments {
		last[d.Artifact] += b2i(d.Last)
	}
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	for d, i := range s.entry {
		n := &s.nodes[i]
		e := Affected{Digest: d, File: n.file, Effect: n.effect, Distance: int(n.distance), Names: names[d], Revoked: s.revocations(d), Deployed: last[d]}
		if n.effect != IsStart {
			step := a.step(i)
			e.Via = &step
		}
		if n.unproven {
			a.Unproven = append(a.Unproven, e)
		} else {
			a.Affected = append(a.Affected, e)
		}
	}
	for key, j := range s.judged {
		a.Judged = append(a.Judged, ImpactJudgment{Artifact: key.artifact, Effect: key.effect, On: j.on, Role: j.role, Unproven: j.unproven, Names: names[key.artifact], Record: j.record.show(s.o.Reading)})
	}
	a.Start = s.showStart()
	a.Gaps = sortGaps(append(slices.Clone(s.o.Gaps), s.gaps...))
	if a.Gaps == nil {
		a.Gaps = []Gap{}
	}
	a.sort()
	a.count()
	a.Counts.Older = len(s.older)
	return a, nil
}

func (a *ImpactAnswer) sort() {
	for _, list := range [][]Affected{a.Affected, a.Unproven} {
		slices.SortFunc(list, func(x, y Affected) int {
			return cmp.Or(cmp.Compare(x.Distance, y.Distance), x.Digest.Compare(y.Digest))
		})
	}
	slices.SortFunc(a.Judged, func(x, y ImpactJudgment) int {
		return cmp.Or(x.Artifact.Compare(y.Artifact), compareRecords(x.Record, y.Record), strings.Compare(string(x.Effect), string(y.Effect)))
	})
}

func compareRecords(x, y Record) int {
	return cmp.Or(x.Payload.Compare(y.Payload), strings.Compare(x.Credential, y.Credential))
}

func (a *ImpactAnswer) count() {
	for _, e := range a.Affected {
		a.Counts.Deployed += b2i(e.Deployed > 0)
		a.Counts.Deepest = max(a.Counts.Deepest, e.Distance)
		switch {
		case e.Effect == IsStart:
		case e.File:
			a.Counts.Files++
		default:
			a.Counts.Affected++
		}
	}
	for _, e := range a.Unproven {
		a.Counts.Maybe += b2i(e.Deployed > 0)
		a.Counts.Unproven += b2i(!e.File)
	}
	a.Counts.Judged = len(a.Judged)
}

// step returns the last step to a node.
func (a *ImpactAnswer) step(i int32) ImpactStep {
	n := &a.nodes[i]
	s := ImpactStep{To: n.digest, Effect: n.effect, Role: n.role, Path: n.path}
	if n.parent >= 0 {
		s.From = a.nodes[n.parent].digest
		if n.effect == MadeFrom && n.used != s.From {
			s.File = n.used
		}
	}
	if n.record != nil {
		r := n.record.show(a.by)
		s.Record = &r
	}
	return s
}

// Path returns a shortest way from the start to something affected, the last step
// last. It is nil for what is not affected, and for the start.
func (a *ImpactAnswer) Path(d attest.Digest) []ImpactStep {
	i, ok := a.entry[d]
	if !ok {
		return nil
	}
	var out []ImpactStep
	for ; i >= 0 && a.nodes[i].effect != IsStart; i = a.nodes[i].parent {
		out = append(out, a.step(i))
	}
	slices.Reverse(out)
	return out
}

func (s *impactSearch) showStart() ImpactStart {
	st := ImpactStart{Digest: s.start.Digest, Builder: s.start.Builder, Since: moment(s.start.Since)}
	switch d := s.start.Digest; {
	case st.Builder != "":
		st.Kind = "builder"
	case d.IsZero():
		c := s.start.Credential
		st.Kind, st.Credential, st.Name = "credential", c.String(), s.o.name(c)
		st.Revoked = s.revocations(c.Standin())
	case d.IsCommit():
		st.Kind = "commit"
	case s.statement:
		st.Kind = "statement"
	default:
		st.Kind = "artifact"
		if s.root >= 0 && s.nodes[s.root].file {
			st.Kind = "file"
		}
	}
	if !st.Digest.IsZero() {
		st.Revoked = s.revocations(st.Digest)
	}
	return st
}

// revocations returns what was revoked beside an artifact.
func (s *impactSearch) revocations(d attest.Digest) []ImpactRevocation {
	sight := s.sights[d]
	if i, ok := s.entry[d]; sight == nil || ok && s.nodes[i].file {
		return nil // what is said about a file lies beside the manifests that have it
	}
	type lifts struct {
		by      verify.Credential
		payload attest.Digest
	}
	lifted := map[lifts]bool{}
	for _, say := range sight.sayings {
		if say.revoked != nil {
			for _, p := range say.revoked.restores {
				lifted[lifts{say.record.id.Credential, p}] = true
			}
		}
	}
	var out []ImpactRevocation
	for _, say := range sight.sayings {
		if r := say.revoked; r != nil && r.action != predicate.ActionRestore {
			id := say.record.id
			out = append(out, ImpactRevocation{r.action, r.reason, r.from.UTC(), lifted[lifts{id.Credential, id.Payload}], say.record.show(s.o.Reading)})
		}
	}
	slices.SortFunc(out, func(x, y ImpactRevocation) int {
		return cmp.Or(x.From.Compare(y.From), compareRecords(x.Record, y.Record))
	})
	return out
}

// repositories returns where it is looked, sorted, each once.
func (s *impactSearch) repositories() []attest.Repository {
	return slices.Compact(slices.SortedFunc(slices.Values(s.o.Repositories), func(a, b attest.Repository) int { return strings.Compare(a.String(), b.String()) }))
}

// names returns what repositories call what is in the answer.
func (s *impactSearch) names(ctx context.Context) (map[attest.Digest][]ImpactName, error) {
	wanted := make(map[attest.Digest]bool, len(s.entry))
	for d := range s.entry {
		wanted[d] = true
	}
	for key := range s.judged {
		wanted[key.artifact] = true
	}
	out := map[attest.Digest][]ImpactName{}
	for _, repo := range s.repositories() {
		err := s.f.Held(ctx, repo, func(h attest.Held) bool {
			if wanted[h.Digest] {
				out[h.Digest] = append(out[h.Digest], ImpactName{repo.String(), slices.Clone(h.Tags)})
			}
			return true
		})
		if ctx.Err() != nil {
			return nil, &attest.Refusal{Code: attest.CodeInterrupted, Why: "the search was stopped", Err: ctx.Err()}
		}
		if err != nil {
			s.gaps = append(s.gaps, Gap{Code: cmp.Or(attest.RefusalCode(err), attest.CodeRegUnavailable)})
		}
	}
	return out, nil
}
