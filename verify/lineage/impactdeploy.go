package lineage

import (
	"cmp"
	"context"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// deployments returns the records about what is affected, and which of them others
// replaced.
func (s *impactSearch) deployments(ctx context.Context) ([]ImpactDeployment, error) {
	type about struct {
		place    impactPlace
		record   *impactRecord
		unproven bool
	}
	var list []about
	places := map[impactPlace][]*impactRecord{} // of what is affected, and the records there
	for d, i := range s.entry {
		if s.nodes[i].file {
			continue // where a file lies is where the manifests run that have it
		}
		for _, say := range s.sights[d].sayings {
			if say.place != nil {
				list = append(list, about{*say.place, say.record, s.nodes[i].unproven})
				places[say.place.same()] = nil
			}
		}
	}
	there := &impactThere{s: s, places: places, looked: map[attest.Digest]bool{}, taken: map[*impactSight]bool{}}
	if err := there.collect(ctx); err != nil {
		return nil, err
	}
	var out []ImpactDeployment
	for _, l := range list {
		d := ImpactDeployment{
			Artifact: l.record.about, Environment: l.place.environment, Cluster: l.place.cluster, Service: l.place.service, Endpoint: l.place.endpoint,
			Last: true, Unproven: l.unproven, Record: l.record.show(s.o.Reading),
		}
		records := places[l.place.same()] // by claimed time
		if i := slices.IndexFunc(records, func(r *impactRecord) bool { return r.claimed.After(l.record.claimed) }); i >= 0 {
			next := records[i].show(s.o.Reading)
			d.Last, d.ReplacedBy = false, &next
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(x, y ImpactDeployment) int {
		at := func(d ImpactDeployment) impactPlace {
			return impactPlace{d.Environment, d.Cluster, d.Service, d.Endpoint}
		}
		return cmp.Or(cmp.Compare(b2i(y.Last), b2i(x.Last)), at(x).same().compare(at(y).same()), y.Record.Claimed.Compare(*x.Record.Claimed), compareRecords(x.Record, y.Record), x.Artifact.Compare(y.Artifact))
	})
	return out, nil
}

// An impactThere collects, for some places, records of deployments there: those of
// what is affected, and as many others as it takes to know which of these another one
// replaced. Those that claim a time to come are left out: nothing is replaced yet.
type impactThere struct {
	s      *impactSearch
	places map[impactPlace][]*impactRecord
	looked map[attest.Digest]bool // and not kept
	taken  map[*impactSight]bool
}

func (t *impactThere) collect(ctx context.Context) error {
	for d, i := range t.s.entry {
		if !t.s.nodes[i].file {
			t.take(t.s.sights[d]) // into lists that are sorted below
		}
	}
	// Mostly something affected follows on something affected, and of the last one the
	// next record says that it does. Only where that leads nowhere all that was ever
	// deployed to the environment has to be looked at.
	last := map[impactPlace]*impactRecord{}
	var names []string
	for p, list := range t.places {
		for _, r := range list {
			if last[p] == nil || r.claimed.After(last[p].claimed) {
				last[p] = r
			}
		}
		if last[p] != nil {
			names = append(names, last[p].id.Payload.String())
		}
	}
	slices.Sort(names)
	followed := func(say impactSaying) bool { return true }
	if err := t.follow(ctx, NamesStatement, slices.Compact(names), followed); err != nil {
		return err
	}
	environments := map[string]bool{}
	for p, list := range t.places {
		if !slices.ContainsFunc(list, func(r *impactRecord) bool { return r.claimed.After(last[p].claimed) }) {
			environments[p.environment] = true
		}
	}
	in := func(say impactSaying) bool { return environments[say.place.environment] }
	if err := t.follow(ctx, InEnvironment, impactKeys(environments), in); err != nil {
		return err
	}
	for _, list := range t.places {
		slices.SortFunc(list, func(x, y *impactRecord) int { return cmp.Or(x.claimed.Compare(y.claimed), x.compare(y)) })
	}
	return nil
}

// take notes the records of an artifact, once.
func (t *impactThere) take(sight *impactSight) {
	if sight == nil || t.taken[sight] {
		return
	}
	t.taken[sight] = true
	at := t.s.o.At
	for _, say := range sight.sayings {
		if say.place == nil || !at.IsZero() && say.record.claimed.After(at.Add(skew)) {
			continue
		}
		if list, ok := t.places[say.place.same()]; ok {
			t.places[say.place.same()] = append(list, say.record)
		}
	}
}

// follow takes the records where names lead. Where none explains why they lead there,
// everything is opened.
func (t *impactThere) follow(ctx context.Context, r Relation, names []string, explains func(impactSaying) bool) error {
	s := t.s
	found, err := s.find(ctx, r, names)
	if err != nil {
		return err
	}
	explained := func(sight *impactSight) bool {
		return slices.ContainsFunc(sight.sayings, func(say impactSaying) bool { return say.place != nil && explains(say) })
	}
	var todo, again []attest.Digest
	for _, d := range found {
		switch sight := s.sights[d]; {
		case sight == nil && !t.looked[d]:
			todo = append(todo, d)
		case sight != nil && !explained(sight):
			again = append(again, d)
		}
	}
	if err := s.look(ctx, again, true); err != nil {
		return err
	}
	for _, d := range found {
		t.take(s.sights[d])
	}
	if len(todo) > s.limit {
		todo = todo[:s.limit]
		s.gaps = append(s.gaps, Gap{Code: attest.CodeLimit})
	}
	again = nil
	look := func(types []string, artifacts []attest.Digest) error {
		return s.lookFor(ctx, artifacts, types, func(a *verify.Artifact) {
			sight := s.keep(a)
			t.looked[a.Digest] = true
			t.take(sight)
			if !explained(sight) {
				again = append(again, a.Digest)
			}
		})
	}
	if err := look([]string{predicate.TypeDeployment}, todo); err != nil {
		return err
	}
	return look(nil, slices.Clone(again))
}

func impactKeys(set map[string]bool) []string {
	var out []string
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
