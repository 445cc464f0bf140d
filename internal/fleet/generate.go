package fleet

import (
	"context"
	"encoding/json"
	"runtime"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/modelpack"
)

// An Item is one thing that lies in a repository: an artifact, or an attestation
// beside one.
type Item struct {
	Repository attest.Repository
	Artifact   attest.Digest

	// Manifest is set for an artifact: it is what Artifact is the digest of. Tag is
	// its name, "" for one without, and Files are its files, by path. Kind is what it
	// is as a whole: "model" or "dataset".
	Manifest []byte
	Tag      string
	Kind     string
	Files    map[string]string

	// Bundle is set for an attestation. The artifact came before it, or is one that
	// has a stand-in only: a payload.
	Bundle        []byte
	PredicateType string // what an annotation says
	StandIn       bool   // Artifact is what a stand-in stands for
	Stranger      bool   // nobody of the fleet made it
}

// ahead is how many units each processor makes before their turn has come: enough
// that nobody waits for a slow one, and few enough to hold (30 kB each).
const ahead = 16

// Generate makes everything that is in the fleet and yields it, in one order: first
// what versions are made from, then version after version, each artifact before what
// is attached to it, then the deployments and what is revoked. It works on all processors; yield
// is not called concurrently. The items' bytes are the caller's.
//
// It returns yield's error, and E_INTERRUPTED if ctx ends.
func (f *Fleet) Generate(ctx context.Context, yield func(Item) error) error {
	decisions := make([]attest.Digest, len(f.versions)) // the payloads of the summaries
	for _, part := range []struct {
		n    int
		make func(b *batch, i int)
	}{
		{len(f.bases), f.makeBase},
		{len(f.raws), f.makeRaw},
		{len(f.data), f.makeData},
		{len(f.versions), func(b *batch, i int) { decisions[i] = f.makeVersion(b, i) }},
		{2 * f.config.Teams, func(b *batch, i int) { f.makeDeployments(b, i/2, i%2 == 1, decisions) }},
		{1, func(b *batch, _ int) { f.makeDataRevocation(b) }},
	} {
		if err := inOrder(ctx, part.n, part.make, yield); err != nil {
			return err
		}
	}
	return nil
}

// inOrder makes n units on all processors and yields their items in order.
func inOrder(ctx context.Context, n int, unit func(*batch, int), yield func(Item) error) error {
	window := ahead * runtime.GOMAXPROCS(0)
	for from := 0; from < n; from += window {
		batches := make([]batch, min(window, n-from))
		err := parallel(len(batches), func(i int) error {
			batches[i].ctx = ctx
			unit(&batches[i], from+i)
			return batches[i].err
		})
		if ctx.Err() != nil {
			return &attest.Refusal{Code: attest.CodeInterrupted, Why: "making a fleet", Err: ctx.Err()}
		}
		if err != nil {
			return err
		}
		for i := range batches {
			for _, item := range batches[i].items {
				if err := yield(item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// A batch collects what one unit makes. After an error it collects nothing.
type batch struct {
	ctx   context.Context
	items []Item
	err   error
}

func (b *batch) must(err error) bool {
	if b.err == nil {
		b.err = err
	}
	return b.err == nil
}

// artifact adds an artifact by its files.
func (b *batch) artifact(repo attest.Repository, tag string, kind modelpack.Kind, c content) {
	manifest, _, err := pack(kind, c)
	if !b.must(err) {
		return
	}
	word := "model"
	if kind == modelpack.Dataset {
		word = "dataset"
	}
	b.items = append(b.items, Item{Repository: repo, Artifact: attest.SHA256(manifest), Manifest: manifest, Tag: tag, Kind: word, Files: c})
}

// sign writes and signs a statement about an artifact, attaches it there, and returns
// the payload's digest.
func (b *batch) sign(by attest.Signer, repo attest.Repository, subject attest.Subject, predicateType string, body any) attest.Digest {
	encoded, err := predicate.Encode(predicateType, body)
	if !b.must(err) {
		return attest.Digest{}
	}
	return b.attach(by, repo, subject, predicateType, encoded)
}

// attach is sign for a predicate that is encoded already.
func (b *batch) attach(by attest.Signer, repo attest.Repository, subject attest.Subject, predicateType string, body json.RawMessage) attest.Digest {
	if b.err != nil {
		return attest.Digest{}
	}
	payload, err := attest.NewStatement(subject, predicateType, body)
	if !b.must(err) {
		return attest.Digest{}
	}
	bundle, err := attest.Sign(b.ctx, payload, by)
	if !b.must(err) {
		return attest.Digest{}
	}
	b.items = append(b.items, Item{Repository: repo, Artifact: subject.Digest, Bundle: bundle, PredicateType: predicateType})
	return attest.SHA256(payload)
}

// made signs the record of a run about each of its outputs.
func (f *Fleet) made(b *batch, repo attest.Repository, m making) {
	body, err := m.provenance(f)
	if !b.must(err) {
		return
	}
	for i, o := range m.outputs {
		b.attach(f.keys[m.by], repo, attest.Subject{Name: m.names[i], Digest: o.Digest}, predicate.TypeProvenance, body)
	}
}
