package verify

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A pursuit finds out what access grants rest on: the grants that they give on, and
// what may have taken any of them, or the keys that signed them, back.
type pursuit struct {
	walk *walk
	ask  func(attest.Digest)
	// wanted are, by artifact, the payloads to find there and how few delegations lead
	// to them; found are the grants of the artifacts that were looked at.
	wanted map[attest.Digest]map[attest.Digest]int
	found  map[attest.Digest]map[attest.Digest][]Evidence
	todo   []pursued
}

// A pursued is a grant, level delegations away from the ancestry.
type pursued struct {
	grant Evidence
	level int
}

func newPursuit(w *walk, ask func(attest.Digest)) *pursuit {
	return &pursuit{walk: w, ask: ask, wanted: map[attest.Digest]map[attest.Digest]int{},
		found: map[attest.Digest]map[attest.Digest][]Evidence{}}
}

// ancestor looks at an artifact of the ancestry: every grant about it counts.
func (p *pursuit) ancestor(n *node) {
	p.revokers(n)
	for _, list := range [][]Evidence{n.Evidence, n.FileEvidence} {
		for _, e := range list {
			if e.PredicateType() == predicate.TypeAccess {
				p.todo = append(p.todo, pursued{e, 0})
			}
		}
	}
	p.run()
}

// consulted looks at something consulted: of the grants there only those count that
// another one names. Who signs one grant about an artifact that has thousands would
// have us look for all that these rest on.
func (p *pursuit) consulted(n *node) {
	p.revokers(n)
	grants := map[attest.Digest][]Evidence{}
	p.found[n.Digest] = grants
	for _, e := range n.Evidence {
		if e.PredicateType() != predicate.TypeAccess {
			continue
		}
		grants[e.ID().Payload] = append(grants[e.ID().Payload], e)
		if level, ok := p.wanted[n.Digest][e.ID().Payload]; ok {
			p.todo = append(p.todo, pursued{e, level})
		}
	}
	p.run()
}

// revokers asks who took something back, because their keys may be gone as well.
func (p *pursuit) revokers(n *node) {
	for _, list := range [][]Evidence{n.Evidence, n.FileEvidence} {
		for _, e := range list {
			if e.PredicateType() == predicate.TypeRevocation {
				p.ask(e.ID().Credential.Standin())
			}
		}
	}
}

// run asks what grants rest on, until nothing is left that was looked at already.
func (p *pursuit) run() {
	for len(p.todo) > 0 {
		next := p.todo[len(p.todo)-1]
		p.todo = p.todo[:len(p.todo)-1]
		p.ask(next.grant.ID().Payload)
		p.ask(next.grant.ID().Credential.Standin())
		facts, err := next.grant.Facts()
		if err != nil || next.level >= predicate.MaxDelegations {
			continue
		}
		parent, level := facts.Access.Parent, next.level+1
		if parent.Artifact.IsZero() || p.walk.nodes[parent.Artifact] != nil {
			continue // of the ancestry every grant is followed
		}
		wanted := p.wanted[parent.Artifact]
		if wanted == nil {
			wanted = map[attest.Digest]int{}
			p.wanted[parent.Artifact] = wanted
		}
		if before, ok := wanted[parent.Payload]; ok && before <= level {
			continue
		}
		wanted[parent.Payload] = level
		p.ask(parent.Artifact)
		for _, e := range p.found[parent.Artifact][parent.Payload] {
			p.todo = append(p.todo, pursued{e, level})
		}
	}
}
