package policy

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// A playing is what all artifacts that play a step have in common for those who
// ask about each of them: otherwise every statement about a chain would look at
// the whole chain again.
type playing struct {
	artifacts []attest.Digest
	// signed is, of each principal, the first record that surely is evidence of the
	// step, or else the first that may be.
	signed map[*principal]deed
	// unseen is, without and with acknowledged absence, the first artifact about
	// which evidence may be missing; zero for none.
	unseen map[bool]attest.Digest
}

// A deed is a record of a step, the artifact that plays it, and how surely.
type deed struct {
	record   *record
	artifact attest.Digest
	surely   Status
}

// playing works out, once, what is asked of all artifacts that play a step. While
// these are still being found nothing is kept.
func (ev *evaluator) playing(s *step) *playing {
	if p := ev.players[s.name]; p != nil {
		return p
	}
	p := &playing{artifacts: ev.findPlayed(s), signed: map[*principal]deed{}, unseen: map[bool]attest.Digest{}}
	if !ev.binding {
		ev.players[s.name] = p
	}
	for _, d := range p.artifacts {
		for _, r := range ev.signed(s, d) {
			if !r.of(s) || ev.d.elsewhere(r, s) {
				continue
			}
			surely := Pass
			if bound, ok := ev.bound[s.name][d]; ok && bound == Unknown || r.doubt != nil {
				surely = Unknown
			}
			p.did(r.principal, deed{r, d, surely})
		}
		for _, r := range ev.unclearAbout(s, d) {
			for _, who := range r.may() { // each of them may be the one
				p.did(who, deed{r, d, Pass})
			}
		}
	}
	for _, acknowledged := range []bool{false, true} {
		if i := slices.IndexFunc(p.artifacts, func(d attest.Digest) bool { return ev.gapped(d) || ev.unprovenAt(d, acknowledged) }); i >= 0 {
			p.unseen[acknowledged] = p.artifacts[i]
		}
	}
	return p
}

// did notes a deed, if none is noted that is as sure.
func (p *playing) did(who *principal, x deed) {
	if first, ok := p.signed[who]; !ok || x.surely > first.surely {
		p.signed[who] = x
	}
}

// played returns the artifacts that play a step: those bound to it, and for a
// step about artifacts those that it is about.
func (ev *evaluator) played(s *step) []attest.Digest { return ev.playing(s).artifacts }

func (ev *evaluator) findPlayed(s *step) []attest.Digest {
	if s.produces() {
		return sortedDigests(ev.bound[s.name])
	}
	return ev.targets(s)
}
