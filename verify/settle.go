package verify

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// settle turns a visit into its node: it applies the budgets in an order that
// chance has no part in, and binds evidence to the artifact.
func (w *walk) settle(ctx context.Context, v *visit) {
	n := v.node
	for c := range v.gaps {
		n.gap(c)
	}
	w.unseen = append(w.unseen, v.unseen...)
	w.settleFiles(n, v)
	if v.overrun {
		v.node.gap(attest.CodeLimit)
		// How far it was read before the limit is chance; the price is not.
		w.left.read, w.left.readBytes = w.left.read-w.limits.listed(), w.left.readBytes-w.limits.Bytes
		return
	}
	items := make([]*item, 0, len(v.items))
	for _, it := range v.items {
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b *item) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	w.left.read -= len(items)
	w.left.readBytes -= v.bytes
	w.tryAll(ctx, v, items)
	// Who names somebody falsely was tried at once, because honest bundles name
	// somebody too. So what it cost is charged afterwards, and when there is nothing left
	// to pay with, whatever would have been looked at next is left.
	for _, it := range items {
		if it.falsely {
			w.left.attempts -= falseName
		}
	}
	bound := w.bind(v, items)
	bound = w.admit(n, bound)
	for _, b := range bound {
		if b.file {
			n.FileEvidence = append(n.FileEvidence, b.evidence)
		} else {
			n.Evidence = append(n.Evidence, b.evidence)
		}
	}
}

// settleFiles notes which files the artifact's manifest has.
func (w *walk) settleFiles(n *node, v *visit) {
	switch {
	case v.noFiles:
		n.FilesKnown = true
	case v.manifErr != nil:
		// The bytes are right, so everybody who looks reads them like this: no gap.
		err := &attest.Refusal{Code: attest.CodeRegManifest, About: v.node.Digest.String(), Why: "the manifest cannot be read", Err: v.manifErr}
		w.find(v.node.Digest, v.node.Digest, err)
	case v.manifest != nil:
		n.FilesKnown = true
		n.Files = append([]attest.File{}, v.manifest.Files...)
	}
	// What is left is an index, whose children are artifacts of their own, or a
	// manifest that no source could give, for which there is a gap.
}

// tryAll tries the remaining keys on the envelopes that wait, as far as the
// strangers' budget goes. Each is charged the price of a stranger in advance and
// in the order of digests; what turns out to be evidence is paid back.
func (w *walk) tryAll(ctx context.Context, v *visit, items []*item) {
	var waiting []*item
	for _, it := range items {
		if it.waiting != nil {
			waiting = append(waiting, it)
		}
	}
	price := w.opener.attempts()
	if can := max(0, w.left.attempts) / price; v.crowded || can < len(waiting) {
		v.node.gap(attest.CodeLimit)
		waiting = waiting[:min(can, len(waiting))]
	}
	w.left.attempts -= price * len(waiting)
	var opening sync.WaitGroup
	for i, it := range waiting {
		if ctx.Err() != nil {
			v.node.gap(attest.CodeLimit)
			waiting = waiting[:i]
			break
		}
		w.cpu <- struct{}{}
		opening.Add(1)
		go func() {
			defer func() { <-w.cpu; opening.Done() }()
			_ = v.guard(func() {
				it.evidence, it.err = w.opener.unhinted(it.waiting)
			})
		}()
	}
	opening.Wait()
	if v.recovered != nil {
		panic(v.recovered)
	}
	for _, it := range waiting {
		if !it.evidence.IsZero() {
			w.left.attempts += price
		}
	}
}

// A binding is a piece of evidence that is about the artifact or a file in it.
type binding struct {
	evidence Evidence
	file     bool
	size     int64 // of the smallest bundle that proves it
}

// bind finds out what is about the artifact. Every bundle that is not becomes a
// finding or is counted; bundles over a limit become a gap as well, because what
// is in them was not read.
func (w *walk) bind(v *visit, items []*item) []binding {
	files := newContents(v.node.Files)
	byID := map[ID]int{}
	var out []binding
	for _, it := range items {
		if it.err != nil {
			w.refused(v.node, it)
			continue
		}
		if it.evidence.IsZero() {
			continue // left untried; the gap was noted
		}
		file, err := about(it.evidence, v.node.Digest, files)
		if err != nil {
			w.find(v.node.Digest, it.manifest, err)
			v.node.misplace(it.evidence)
			continue
		}
		if i, ok := byID[it.evidence.ID()]; ok {
			// The same statement by the same signer in other wrapping: it counts once.
			out[i].size = min(out[i].size, it.size)
			out[i].evidence.e.merge(it.evidence.e)
			continue
		}
		byID[it.evidence.ID()] = len(out)
		bound := *it.evidence.e // evidence is bound per artifact: one statement may be at two
		bound.about = v.node.Digest
		out = append(out, binding{Evidence{&bound}, file, it.size})
	}
	return out
}

// misplace keeps authentic evidence that lies beside an artifact it is not about.
func (n *node) misplace(e Evidence) {
	i, found := slices.BinarySearchFunc(n.Misplaced, e, func(a, b Evidence) int { return a.ID().Compare(b.ID()) })
	if !found {
		n.Misplaced = slices.Insert(n.Misplaced, i, e)
	}
}

// refused notes a bundle that gave no evidence.
func (w *walk) refused(n *node, it *item) {
	switch attest.RefusalCode(it.err) {
	case attest.CodeKeyUnknown:
		w.strangers++
		return // somebody's signature, and no business of ours
	case attest.CodeSigInvalid:
		w.strangers++
	case attest.CodeLimit:
		n.gap(attest.CodeLimit)
	}
	w.find(n.Digest, it.manifest, it.err)
}

// contents are the files of one manifest: by digest, and by path and digest.
type contents struct {
	digests map[attest.Digest]bool
	files   map[predicate.Resource]bool
}

func newContents(files []attest.File) contents {
	c := contents{make(map[attest.Digest]bool, len(files)), make(map[predicate.Resource]bool, len(files))}
	for _, f := range files {
		c.digests[f.Digest] = true
		c.files[predicate.Resource{Name: f.Path, Digest: f.Digest}] = true
	}
	return c
}

// signed reports whether an OMS signature lists one of the files. Its subject is
// a digest over all that was signed, which no manifest holds, so what it is about
// is the list in its predicate. Path and digest must both agree: it vouches for a
// folder, and the same bytes under another name are another folder. A resource
// without a digest that we compute has the zero Digest, which no file has.
func (c contents) signed(e Evidence) bool {
	facts, err := e.Facts()
	return err == nil && slices.ContainsFunc(facts.Resources, func(r predicate.Resource) bool { return c.files[r] })
}

// about reports whether evidence is about a file of the artifact (true) or the
// artifact itself (false). The error says why it is about neither.
func about(e Evidence, artifact attest.Digest, files contents) (file bool, err error) {
	subjects := e.Subjects()
	// SLSA builders write one provenance for all outputs. Anywhere else several
	// subjects leave open which of them a metric or a decision is about.
	if len(subjects) != 1 && e.PredicateType() != predicate.TypeProvenance {
		return false, &attest.Refusal{Code: attest.CodeSubjectAmbiguous, About: e.ID().Payload.String(), Why: "several subjects; only provenance may have them"}
	}
	for _, s := range subjects {
		if s.Digest == artifact {
			return false, nil
		}
		file = file || files.digests[s.Digest]
	}
	if e.PredicateType() == predicate.TypeOMS {
		file = files.signed(e)
	}
	if !file {
		return false, &attest.Refusal{Code: attest.CodeSubjectMismatch, About: e.ID().Payload.String(), Why: "about neither " + artifact.String() + " nor a file of its manifest"}
	}
	return true, nil
}

// admit applies the evidence budgets: the first in the order of identities stay.
func (w *walk) admit(n *node, bound []binding) []binding {
	slices.SortFunc(bound, func(a, b binding) int { return a.evidence.ID().Compare(b.evidence.ID()) })
	for i, b := range bound {
		if i >= w.limits.PerArtifact || w.left.evidence <= 0 || w.left.bytes < b.size {
			n.gap(attest.CodeLimit)
			w.left.over = w.left.over || i < w.limits.PerArtifact // the walk's own limit, not the artifact's
			return bound[:i]
		}
		w.left.evidence--
		w.left.bytes -= b.size
	}
	return bound
}
