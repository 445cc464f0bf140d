package policy

import (
	"fmt"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// disjoint answers whether an input shares nothing, as a whole or by file, with
// what any functionary's evidence of a step in the ancestry took in a role.
func (ev *evaluator) disjoint(s *step, in predicate.Input, ref stepRole) (Status, Reason) {
	mine, known := ev.contents(in.Digest, ev.d.sharedFiles)
	theirs := ev.takenAs(ref)
	if shared, ok := overlap(mine, theirs.by); ok {
		return theirs.by[shared].doubted(), Reason{Code: attest.CodeLeakage, Why: fmt.Sprintf("%s shares %s with the %s of %s %s", inputName(in), shared.Short(), ref.role, ref.step, theirs.by[shared].artifact.Short()),
			Next: "evaluate on data that no training in the ancestry has seen"}
	}
	open := ev.anyUnproven(s.acknowledge != "")
	switch {
	case len(theirs.by) == 0 && !ev.gaps:
		return Fail, Reason{Code: attest.CodeChainMissing, Why: fmt.Sprintf("there is no %s of %s to compare with, so disjointness is not shown", ref.role, ref.step)}
	case len(theirs.by) > 0 && !open && known && theirs.known:
		return Pass, Reason{}
	}
	return Unknown, Reason{Code: attest.CodeLeakage, Why: fmt.Sprintf("whether %s is disjoint from %s depends on evidence or file lists that could not be seen", inputName(in), ref)}
}

// A taken is everything that was taken in a role, as a whole and by file.
type taken struct {
	by    map[attest.Digest]*record // the first, in the chain's order, to take it
	known bool                      // all records could be read, and all file lists
}

// takenAs works out, once, what any functionary's evidence of a step in the
// ancestry took in a role.
func (ev *evaluator) takenAs(ref stepRole) *taken {
	if t := ev.taken[ref]; t != nil {
		return t
	}
	t := &taken{by: map[attest.Digest]*record{}, known: true}
	ev.taken[ref] = t
	seen := map[attest.Digest]bool{}
	for _, d := range ev.chain.Artifacts() {
		for _, rec := range ev.takers(d, ref.step) {
			t.known = t.known && rec.err == nil
			for _, in := range rec.facts.Inputs {
				if in.Role != ref.role || seen[in.Digest] {
					continue
				}
				seen[in.Digest] = true
				files, known := ev.contents(in.Digest, ev.d.sharedFiles)
				t.known = t.known && known
				for f := range files {
					if t.by[f] == nil {
						t.by[f] = rec
					}
				}
			}
		}
	}
	return t
}

// takers returns the records about d by functionaries of a step; for any step,
// those of all steps of this policy and of those that it names.
func (ev *evaluator) takers(d attest.Digest, name string) []*record {
	var out []*record
	if name != anyStep {
		s := ev.d.step(name)
		// Whoever of several signed it: somebody took what it says.
		for _, r := range slices.Concat(ev.about(s, d), ev.unclearAbout(s, d)) {
			if r.of(s) && r.mayBe(s.by) {
				out = append(out, r)
			}
		}
		return out
	}
	of := func(d *document, r *record) bool {
		return slices.ContainsFunc(d.steps, func(s *step) bool { return r.of(s) && r.mayBe(s.by) })
	}
	for _, r := range slices.Concat(ev.records[d], ev.files[d], ev.unclear[d]) {
		if of(ev.d, r) {
			out = append(out, r)
		}
	}
	node := ev.chain.Artifact(d)
	for _, o := range ev.d.policies {
		if o.policy == nil {
			continue
		}
		o.policy.doc.all(func(doc *document) {
			for _, e := range slices.Concat(node.Evidence, node.FileEvidence) {
				if slices.ContainsFunc(out, func(r *record) bool { return r.id == e.ID() }) {
					continue
				}
				for _, r := range doc.whose(d, e) {
					if ev.late(r.seen) || !of(doc, r) {
						continue
					}
					if gone, doubt := ev.withdrawn(r); gone == nil {
						r.doubt = doubt
						out = append(out, r)
					}
				}
			}
		})
	}
	return out
}

// contents returns the digests of an artifact and of its files, without those
// that are left out, and whether the files are known.
func (ev *evaluator) contents(d attest.Digest, without []attest.Digest) (map[attest.Digest]bool, bool) {
	out := map[attest.Digest]bool{d: true}
	node := ev.chain.Artifact(d)
	if node == nil {
		return out, d.IsCommit()
	}
	for _, f := range node.Files {
		if !slices.Contains(without, f.Digest) {
			out[f.Digest] = true
		}
	}
	return out, node.FilesKnown || d.IsCommit()
}

// overlap returns the least digest that both hold.
func overlap(a map[attest.Digest]bool, b map[attest.Digest]*record) (attest.Digest, bool) {
	for _, d := range sortedDigests(a) {
		if b[d] != nil {
			return d, true
		}
	}
	return attest.Digest{}, false
}
