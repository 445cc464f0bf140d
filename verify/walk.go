package verify

import (
	"context"
	"maps"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Scope says whose signatures count and which evidence leads further. A policy
// makes it; the walk obeys it.
type Scope struct {
	// Signers are those whose signatures count. Bundles by others are strangers'.
	Signers
	// Follow lists the steps whose evidence extends the walk to its inputs.
	Follow []Follow
	// Consult asks, once the ancestry is known, what is attached to the stand-ins of
	// what it rests on: every payload of evidence in it, and every credential that
	// signed any, those met by consulting included. That is where revocations lie.
	Consult bool
	// Also are further digests to consult, as those that deny lists are kept under;
	// with Consult, the payloads found there and who signed them are consulted too.
	Also []attest.Digest
	// Grants asks, also without Consult, what access grants about the ancestry rest on:
	// what is attached to the stand-ins of their payloads and of who signed them, and
	// about the artifacts of the grants that they were delegated from, as far as
	// predicate.MaxDelegations leads.
	Grants bool
	// Memory recognises bundles that were opened before; nil: there is none.
	Memory *Memory
	Limits Limits
}

// Follow admits the inputs of evidence of one step, by the credentials that the
// policy lets perform it. An empty BuildType admits every one; an empty By and
// ByIdentity admit nobody.
type Follow struct {
	PredicateType string
	BuildType     string
	By            []Credential
	ByIdentity    []trust.Rule // and whoever these mean
	ByAll         bool         // and all of the scope's signers
	// Files admits evidence about files of an artifact's manifest too: what a file
	// was made of is then an input of the artifact.
	Files bool
}

// Walk looks up the evidence about root in all sources, opens it, and follows
// the inputs of what scope admits, until nothing is left or a limit is reached.
//
// The walk goes level by level, asks about the artifacts of a level concurrently
// and visits each once, so diamonds cost nothing and cycles end. Evidence that
// scope does not follow is kept (it may be a veto, or tell who must not approve)
// but leads nowhere. What binds where: a statement binds to the artifact it was
// found at if that is its subject, or if its subject is a file of that
// artifact's manifest; else it is a finding, and binds nothing. An OMS signature
// binds to a manifest if it lists one of its files, by path and digest.
//
// After the ancestry comes what scope consults. It is looked up in the same way
// and kept apart ([Chain.Consulted]): it has no manifest and no files, and nothing
// leads on from it but who signed there.
//
// It returns an error only for wrong arguments (E_USAGE, E_KEY) or if ctx ends
// (E_INTERRUPTED, wrapping its error). What it could not look at is in the Chain
// as gaps, also when Limits.Time is over.
func Walk(ctx context.Context, root attest.Digest, sources []Source, scope Scope) (Chain, error) {
	w, err := newWalk(root, sources, scope)
	if err != nil {
		return Chain{}, err
	}
	timed, cancel := context.WithTimeout(ctx, w.limits.Time)
	defer cancel()
	level := []attest.Digest{root}
	for depth := 0; len(level) > 0; depth++ {
		if level, err = w.level(ctx, timed, level, depth); err != nil {
			return Chain{}, err
		}
		if depth == 0 {
			w.foresee(timed)
		}
	}
	if err := w.consult(ctx, timed, scope); err != nil {
		return Chain{}, err
	}
	return w.chain(), nil
}

// A walk is one call of Walk. Only look runs concurrently; everything else is
// one goroutine's.
type walk struct {
	root    attest.Digest
	sources []Source
	opener  *Opener
	limits  Limits
	left    budget
	follow  map[string][]Follow // by predicate type
	cpu     chan struct{}       // one token per bundle being opened

	nodes     map[attest.Digest]*node
	consulted map[attest.Digest]*node // apart from nodes: one digest may be in both
	edges     []Edge
	next      map[attest.Digest]bool // the next level
	strangers int
	findings  []Finding
	unseen    []Finding
}

// A node is an Artifact in the making, with what only the chain needs.
type node struct {
	Artifact
	depth int
}

func newWalk(root attest.Digest, sources []Source, scope Scope) (*walk, error) {
	if root.IsZero() {
		return nil, attest.Refuse(attest.CodeUsage, "no artifact to start at")
	}
	// With nobody to ask, "nothing is attached" would be an answer nobody gave.
	if len(sources) == 0 || slices.Contains(sources, nil) {
		return nil, attest.Refuse(attest.CodeUsage, "no source of evidence, or a nil one")
	}
	if slices.ContainsFunc(scope.Also, attest.Digest.IsZero) {
		return nil, attest.Refuse(attest.CodeUsage, "nothing to consult: a zero digest")
	}
	limits, err := scope.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	opener, err := NewOpener(scope.Signers)
	if err != nil {
		return nil, err
	}
	w := &walk{
		root: root, sources: sources, opener: opener.Remembering(scope.Memory), limits: limits, left: newBudget(limits),
		follow: map[string][]Follow{}, cpu: make(chan struct{}, openers()),
		nodes: map[attest.Digest]*node{}, consulted: map[attest.Digest]*node{},
	}
	for _, f := range scope.Follow {
		w.follow[f.PredicateType] = append(w.follow[f.PredicateType], f)
	}
	return w, nil
}

// level visits the artifacts of one level, sorted, and returns the next level,
// sorted. ctx is the caller's, timed is ctx with the walk's own deadline.
func (w *walk) level(ctx, timed context.Context, level []attest.Digest, depth int) ([]attest.Digest, error) {
	w.next = map[attest.Digest]bool{}
	nodes := make([]*node, len(level))
	for i, d := range level {
		nodes[i] = &node{Artifact: Artifact{Digest: d}, depth: depth}
		w.nodes[d] = nodes[i]
	}
	if depth > w.limits.Depth {
		leave(nodes, attest.CodeChainDepth)
		return nil, nil
	}
	if err := w.visitAll(ctx, timed, nodes, true); err != nil {
		return nil, err
	}
	return sorted(w.next), nil
}

// foresee tells the sources what they will be asked about, as far as a status about the
// root says: it lists all of the chain, which else is found out level by level. Whoever
// signed it is one of those whose signatures count, so no stranger can have us ask for
// anything. What it says counts for nothing here: all of it is looked at as ever, or not
// at all, and what it leaves out is looked at later.
func (w *walk) foresee(ctx context.Context) {
	with, without := map[attest.Digest]bool{}, map[attest.Digest]bool{}
	for _, e := range w.nodes[w.root].Evidence {
		facts, err := e.Facts()
		if err != nil || facts.Status == nil {
			continue
		}
		for d, list := range facts.Status.Artifacts {
			switch {
			case w.nodes[d] != nil:
			case len(list) > 0: // in the ancestry, most likely; of what is consulted no manifest is asked for
				with[d] = true
			default:
				without[d] = true
			}
		}
	}
	for _, s := range w.sources {
		if e, ok := s.(Expecter); ok && len(with)+len(without) > 0 {
			e.Expect(ctx, sorted(with), true)
			e.Expect(ctx, sorted(without), false)
		}
	}
}

// visitAll looks at artifacts, which are sorted, a batch at a time, and settles
// them. Those of the ancestry have manifests and lead on; what is consulted does
// neither.
func (w *walk) visitAll(ctx, timed context.Context, nodes []*node, ancestry bool) error {
	for todo := range slices.Chunk(nodes, batch) {
		if timed.Err() != nil || w.left.spent() {
			leave(todo, attest.CodeLimit)
		} else {
			for _, v := range w.look(timed, todo, ancestry) {
				w.settle(timed, v)
				if ancestry {
					w.extend(v.node)
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return &attest.Refusal{Code: attest.CodeInterrupted, Why: "the walk was stopped", Err: err}
		}
	}
	return nil
}

// sorted returns the members of a set in the order of digests.
func sorted(set map[attest.Digest]bool) []attest.Digest {
	return slices.SortedFunc(maps.Keys(set), attest.Digest.Compare)
}

// leave marks artifacts that nobody looked at.
func leave(nodes []*node, code attest.Code) {
	for _, n := range nodes {
		n.gap(code)
	}
}

// gap notes that evidence about the artifact may be missing.
func (n *node) gap(code attest.Code) {
	g := Gap{Code: code, Artifact: n.Digest}
	if !slices.Contains(n.Gaps, g) {
		n.Gaps = append(n.Gaps, g)
	}
}

// find notes a remark for people.
func (w *walk) find(artifact, manifest attest.Digest, err error) {
	w.findings = append(w.findings, Finding{Artifact: artifact, Manifest: manifest, Err: err})
}

// extend follows the evidence about an artifact of the ancestry to its inputs.
func (w *walk) extend(n *node) {
	for _, e := range n.Evidence {
		w.followInputs(n, e, false)
	}
	for _, e := range n.FileEvidence {
		w.followInputs(n, e, true)
	}
}

// followInputs goes from one piece of evidence, about n or about a file of it, to
// its inputs, if scope admits it.
func (w *walk) followInputs(n *node, e Evidence, file bool) {
	facts, err := e.Facts()
	if err != nil {
		// Evidence that says nothing usable leads nowhere, and that is for a policy to
		// judge. Evidence that says too much to be read is a limit reached.
		if c := attest.RefusalCode(err); (c == attest.CodeChainFanout || c == attest.CodeLimit) && w.admits(e, nil, file) {
			n.gap(c)
		}
		return
	}
	if !w.admits(e, &facts, file) {
		return
	}
	// All or nothing: which thousand of a million inputs are looked at must not be
	// the signer's choice.
	if len(facts.Inputs) > w.limits.Inputs {
		n.gap(attest.CodeChainFanout)
		return
	}
	for _, in := range facts.Inputs {
		if in.Digest.IsZero() {
			continue // unpinned: there is no artifact to go to, and a policy will say so
		}
		if w.nodes[in.Digest] == nil && !w.next[in.Digest] {
			if w.left.artifacts <= 0 {
				n.gap(attest.CodeLimit)
				continue
			}
			w.left.artifacts--
			w.next[in.Digest] = true
		}
		w.edges = append(w.edges, Edge{From: n.Digest, To: in.Digest, Role: in.Role, Evidence: e.ID()})
	}
}

// admits reports whether scope lets e extend the walk: see Follow.admits.
func (w *walk) admits(e Evidence, facts *predicate.Facts, file bool) bool {
	return slices.ContainsFunc(w.follow[e.PredicateType()], func(f Follow) bool { return f.admits(e, facts, file) })
}

// code gives a source's error its code. Errors without one say only that the
// source could not be asked.
func code(err error) attest.Code {
	if c := attest.RefusalCode(err); c != "" {
		return c
	}
	return attest.CodeRegUnavailable
}
