package lineage

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

const (
	// maxImpact is how many artifacts an impact search looks at: what a large registry
	// holds, and about as much as fits into the memory of one machine.
	maxImpact = 1_000_000

	// maxImpactNames is how many digests it asks the finder about: artifacts and their
	// files, of which a manifest has up to 8,000.
	maxImpactNames = 4_000_000
)

// An impactSearch is one call of Impact.
type impactSearch struct {
	f       Finder
	sources []verify.Source
	scope   verify.Scope
	start   Start
	o       ImpactOptions
	limit   int

	sights map[attest.Digest]*impactSight // what was looked at
	texts  map[string]string
	mu     sync.Mutex // of gaps, while artifacts are looked at
	gaps   []Gap
	older  map[verify.ID]bool

	statement bool // the start is the payload of a statement

	// unproven is true in the second round, about what perhaps is in question. Nothing
	// that the first round found is found again.
	unproven bool
	nodes    []impactNode
	root     int32                   // the node of the start; -1 for a credential or a builder
	entry    map[attest.Digest]int32 // the first node of a digest
	whole    map[attest.Digest]int32 // that of the artifact or file as a whole
	uses     map[attest.Digest]int32 // under which name a step may have used what
	fresh    []impactFresh           // names to ask about next
	suspects map[attest.Digest]bool  // where a name of something affected led
	judged   map[impactSaid]*impactJudged
	rests    map[attest.Digest]bool // payloads of statements that something may rest on
	ask      []attest.Digest        // those of them to ask about next
}

// An impactNode is something affected, and why. A manifest may have two: it contains
// something affected, and then, by a longer way, it is so as a whole.
type impactNode struct {
	digest   attest.Digest
	effect   Effect
	parent   int32 // -1: the start, or the credential or builder in question
	distance int32
	part     bool // only because the manifest contains an affected file
	file     bool
	unproven bool
	role     string
	used     attest.Digest // what the record names; the parent or a file of it
	path     string        // what the file is called that is used, or contained
	record   *impactRecord
}

type impactFresh struct {
	digest  attest.Digest
	used    bool // ask who used it
	spreads bool // ask which manifests have it
}

// An impactSaid is what a judgment is told apart by.
type impactSaid struct {
	artifact attest.Digest
	id       verify.ID
	effect   Effect
}

type impactJudged struct {
	on       attest.Digest
	role     string
	unproven bool
	record   *impactRecord
}

func newImpactSearch(f Finder, sources []verify.Source, scope verify.Scope, start Start, o ImpactOptions) *impactSearch {
	return &impactSearch{
		f: f, sources: sources, start: start, o: o, limit: cmp.Or(o.Limit, maxImpact), root: -1,
		scope: scope, sights: map[attest.Digest]*impactSight{}, texts: map[string]string{}, older: map[verify.ID]bool{},
		entry: map[attest.Digest]int32{}, whole: map[attest.Digest]int32{}, uses: map[attest.Digest]int32{},
		suspects: map[attest.Digest]bool{}, judged: map[impactSaid]*impactJudged{}, rests: map[attest.Digest]bool{},
	}
}

// run finds everything that is affected, and then what may be.
func (s *impactSearch) run(ctx context.Context) error {
	relation, name := HasPayload, s.start.Digest.String()
	switch {
	case s.start.Builder != "":
		relation, name = BuiltBy, s.start.Builder
	case s.start.Digest.IsZero():
		relation, name = SignedBy, s.start.Credential.String()
		// Whether it was revoked already.
		if err := s.lookStandin(ctx, s.start.Credential.Standin()); err != nil {
			return err
		}
	}
	seeds, err := s.find(ctx, relation, []string{name})
	if err != nil {
		return err
	}
	if err := s.look(ctx, seeds, true); err != nil {
		return err
	}
	if !s.start.Digest.IsZero() {
		if err := s.begin(ctx, s.start.Digest); err != nil {
			return err
		}
	}
	if err := s.round(ctx, seeds, doubted); err != nil {
		return err
	}
	s.unproven = true
	return s.round(ctx, seeds, perhapsDoubted)
}

// begin makes the start a node, when it is known whether it is a statement.
func (s *impactSearch) begin(ctx context.Context, d attest.Digest) error {
	best := impactBest{}
	n := impactNode{digest: d, effect: IsStart, parent: -1}
	if s.statement {
		if err := s.lookStandin(ctx, d); err != nil {
			return err
		}
	} else {
		holding, err := s.find(ctx, HasFile, []string{d.String()})
		if err != nil {
			return err
		}
		if err := s.look(ctx, holding, false); err != nil {
			return err
		}
		n.file = slices.ContainsFunc(holding, func(m attest.Digest) bool { return s.sights[m].has(d) })
	}
	best.add(s, n)
	if err := s.apply(ctx, best); err != nil {
		return err
	}
	if len(s.nodes) > 0 {
		s.root = 0
	}
	s.on(d)
	return nil
}

// round follows what is in question, and all that rests on it.
func (s *impactSearch) round(ctx context.Context, seeds []attest.Digest, want impactDoubt) error {
	best := impactBest{}
	for _, d := range seeds {
		sight := s.sights[d]
		if sight == nil {
			continue // left for a limit
		}
		for i := range sight.sayings {
			say := &sight.sayings[i]
			if say.question != want {
				continue
			}
			if say.kind == impactMaking {
				s.on(say.record.id.Payload)
				s.targets(best, d, say, impactNode{effect: MadeBy, parent: s.root, distance: 1})
			} else {
				s.judge(d, say, effects[say.kind], attest.Digest{}, "")
			}
		}
	}
	if err := s.apply(ctx, best); err != nil {
		return err
	}
	for len(s.fresh) > 0 {
		if err := s.level(ctx); err != nil {
			return err
		}
	}
	if err := s.weighed(ctx); err != nil {
		return err
	}
	for len(s.ask) > 0 {
		if err := s.resting(ctx); err != nil {
			return err
		}
	}
	return nil
}

// level goes one step on from the names that are new.
func (s *impactSearch) level(ctx context.Context) error {
	var used, held []string
	for _, f := range s.fresh {
		if f.used {
			used = append(used, f.digest.String())
		}
		if f.spreads && !f.digest.IsCommit() {
			held = append(held, f.digest.String())
		}
	}
	s.fresh = nil
	by, err := s.find(ctx, NamesInput, used)
	if err != nil {
		return err
	}
	in, err := s.find(ctx, HasFile, held)
	if err != nil {
		return err
	}
	todo := impactSorted(slices.Concat(by, in))
	if err := s.look(ctx, todo, false); err != nil {
		return err
	}
	if err := s.look(ctx, slices.DeleteFunc(slices.Clone(todo), s.borneOut), true); err != nil {
		return err
	}
	best := impactBest{}
	for _, d := range todo {
		if sight := s.sights[d]; sight != nil {
			s.weigh(best, d, sight)
			s.suspects[d] = true
		}
	}
	return s.apply(ctx, best)
}

// weighed finds out what was judged with what is affected, now that all of that is
// known. Of something affected it is not asked: whoever takes that back takes back
// what was said of it, and most of what is said is said of it.
func (s *impactSearch) weighed(ctx context.Context) error {
	var todo []attest.Digest
	for d := range s.suspects {
		if _, ok := s.entry[d]; !ok {
			todo = append(todo, d)
		}
	}
	clear(s.suspects)
	todo = impactSorted(todo)
	if err := s.look(ctx, todo, true); err != nil {
		return err
	}
	for _, d := range todo {
		sight := s.sights[d]
		for i := range sight.sayings {
			say := &sight.sayings[i]
			if in, ok := s.used(say.inputs); ok && say.kind != impactMaking {
				s.judge(d, say, JudgedWith, in.digest, in.role)
			}
		}
	}
	return nil
}

// borneOut reports whether an artifact is affected, or is by what was seen there.
func (s *impactSearch) borneOut(d attest.Digest) bool {
	sight := s.sights[d]
	if _, ok := s.entry[d]; ok || sight == nil {
		return true
	}
	return slices.ContainsFunc(sight.sayings, func(say impactSaying) bool {
		_, ok := s.used(say.inputs)
		return ok && say.kind == impactMaking
	}) || slices.ContainsFunc(sight.files, func(f impactFile) bool {
		_, ok := s.whole[f.digest]
		return ok
	})
}

// weigh finds out what an artifact, by what lies beside it and in its manifest, has
// to do with what is affected.
func (s *impactSearch) weigh(best impactBest, d attest.Digest, sight *impactSight) {
	for i := range sight.sayings {
		say := &sight.sayings[i]
		in, ok := s.used(say.inputs)
		if !ok || say.kind != impactMaking {
			continue
		}
		parent := s.uses[in.digest]
		n := impactNode{effect: MadeFrom, parent: parent, distance: s.nodes[parent].distance + 1, role: in.role, used: in.digest}
		if in.digest != s.nodes[parent].digest {
			n.path = s.sights[s.nodes[parent].digest].path(in.digest)
		}
		s.targets(best, d, say, n)
	}
	if _, ok := s.entry[d]; ok {
		return
	}
	for _, f := range sight.files {
		if parent, ok := s.whole[f.digest]; ok {
			best.add(s, impactNode{digest: d, effect: Contains, part: true, parent: parent, distance: s.nodes[parent].distance + 1, path: f.path})
		}
	}
}

// used returns the input that is affected by the shortest way; of several the one
// that is an artifact and not a file of one, and then the least.
func (s *impactSearch) used(inputs []impactInput) (best impactInput, found bool) {
	order := func(in impactInput) (distance int32, file int) {
		n := &s.nodes[s.uses[in.digest]]
		return n.distance, b2i(n.digest != in.digest)
	}
	for _, in := range inputs {
		if _, ok := s.uses[in.digest]; !ok {
			continue
		}
		if found {
			ad, af := order(in)
			bd, bf := order(best)
			if cmp.Or(cmp.Compare(ad, bd), cmp.Compare(af, bf), in.digest.Compare(best.digest), strings.Compare(in.role, best.role)) >= 0 {
				continue
			}
		}
		best, found = in, true
	}
	return best, found
}

// targets proposes the subjects of a provenance as affected.
func (s *impactSearch) targets(best impactBest, at attest.Digest, say *impactSaying, n impactNode) {
	n.record = say.record
	if say.about {
		n.digest = at
		best.add(s, n)
	}
	for _, d := range say.others {
		n.digest = d
		n.file = s.sights[at].has(d)
		best.add(s, n)
	}
}

// judge notes something that was said with, by or on what is bad.
func (s *impactSearch) judge(d attest.Digest, say *impactSaying, effect Effect, on attest.Digest, role string) {
	key := impactSaid{d, say.record.id, effect}
	if s.judged[key] == nil {
		s.judged[key] = &impactJudged{on, role, s.unproven, say.record}
		s.on(say.record.id.Payload)
	}
}

// on notes that it is to be asked what rests on a statement.
func (s *impactSearch) on(payload attest.Digest) {
	if !s.rests[payload] && !payload.IsCommit() {
		s.rests[payload] = true
		s.ask = append(s.ask, payload)
	}
}

// resting finds approvals and deployments that name a statement of the last turn.
func (s *impactSearch) resting(ctx context.Context) error {
	var names []string
	for _, d := range s.ask {
		names = append(names, d.String())
	}
	s.ask = nil
	found, err := s.find(ctx, NamesStatement, names)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(d attest.Digest) bool { _, ok := s.entry[d]; return ok })
	if err := s.look(ctx, found, true); err != nil {
		return err
	}
	for _, d := range found {
		sight := s.sights[d]
		if sight == nil {
			continue
		}
		for i := range sight.sayings {
			say := &sight.sayings[i]
			effect := ApprovedOn
			if say.kind == impactDeploying {
				effect = DeployedOn
			}
			on := slices.SortedFunc(slices.Values(say.rests), attest.Digest.Compare)
			if i := slices.IndexFunc(on, func(p attest.Digest) bool { return s.rests[p] }); i >= 0 {
				s.judge(d, say, effect, on[i], "")
			}
		}
	}
	return nil
}
