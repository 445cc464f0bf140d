// Package chaintest builds small worlds of signed statements for tests.
//
// A [World] has keys by name, manifests, and bundles attached to artifacts, and
// is asked through [World.Source] or [World.Holding] as a registry would be.
// Everything in it is real: keys sign, bundles verify, manifests hash. What a test
// can do is what an attacker or an outage can do: leave something out
// ([World.Remove]), change it ([World.Corrupt]), attach it elsewhere
// ([World.Attach]), or fail to answer ([World.Break]).
//
// A name signs with a key, or as an identity of the world's own authority
// ([World.Identity]); who sees it when is for the test to say ([World.Stamp]).
//
// Keys are Ed25519 keys made from their names and Ed25519 signs without
// randomness, so a world built twice has the same bytes.
package chaintest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify"
)

// A World is a set of keys, manifests and attached bundles. Its methods fail the
// test on every error: a world that cannot be built proves nothing. Sources may
// be read concurrently, also while the world changes.
type World struct {
	t testing.TB

	mu        sync.Mutex
	signers   map[string]attest.Signer
	manifests map[attest.Digest][]byte
	attached  map[attest.Digest][]attached
	listing   map[attest.Digest]error
	fetching  map[attest.Digest]error
	tags      map[attest.Digest][]string
	holding   error
	authority *authority.Instance // nil: not asked for yet
	domain    *authority.Domain   // likewise
	witnesses map[string][]attest.Witness
}

type attached struct {
	payload attest.Digest // zero for bytes that are no bundle
	item    attest.Attached
}

// New returns an empty world.
func New(t testing.TB) *World {
	return &World{
		t:         t,
		signers:   map[string]attest.Signer{},
		manifests: map[attest.Digest][]byte{},
		attached:  map[attest.Digest][]attached{},
		listing:   map[attest.Digest]error{},
		fetching:  map[attest.Digest]error{},
		tags:      map[attest.Digest][]string{},
		witnesses: map[string][]attest.Witness{},
	}
}

// Key returns the public key of the given name, made on first use: an Ed25519
// key whose seed is the SHA-256 of the name.
func (w *World) Key(name string) attest.PublicKey { return w.Signer(name).Material().Key }

// Signer returns the signer of the given name; see [World.Key].
func (w *World) Signer(name string) attest.Signer {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.signers[name]; ok {
		return s
	}
	seed := sha256.Sum256([]byte("chaintest key " + name))
	s, err := attest.NewKeySigner(ed25519.NewKeyFromSeed(seed[:]))
	w.must(err)
	w.signers[name] = s
	return s
}

// Use gives a name another signer than the Ed25519 key made from it.
func (w *World) Use(name string, s attest.Signer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signers[name] = s
}

// Sign signs a statement about subject and attaches it to subject. The predicate
// is anything encoding/json writes as an object. It returns the payload's digest.
func (w *World) Sign(name string, subject attest.Digest, predicateType string, predicate any) attest.Digest {
	w.t.Helper()
	return w.SignAt(subject, name, subject, predicateType, predicate)
}

// SignAt is Sign with the bundle attached to another artifact than the subject,
// as evidence about a file is attached to the manifest that holds it.
func (w *World) SignAt(at attest.Digest, name string, subject attest.Digest, predicateType string, predicate any) attest.Digest {
	w.t.Helper()
	payload, err := attest.NewStatement(attest.Subject{Name: "subject", Digest: subject}, predicateType, predicate)
	w.must(err)
	return w.SignPayload(at, name, payload)
}

// SignPayload signs a payload that attest.ParseStatement reads and attaches it.
func (w *World) SignPayload(at attest.Digest, name string, payload []byte) attest.Digest {
	w.t.Helper()
	s := w.Signer(name)
	w.mu.Lock()
	seenBy := w.witnesses[name]
	w.mu.Unlock()
	b, err := attest.Sign(context.Background(), payload, s, seenBy...)
	w.must(err)
	return w.Attach(at, b)
}

// Attach attaches any bytes to an artifact, and returns the digest of the
// payload if they are a bundle.
func (w *World) Attach(at attest.Digest, bundle []byte) attest.Digest {
	a := attached{item: attest.Attached{Bundle: bundle}}
	if b, err := attest.ParseBundle(bundle); err == nil {
		a.payload = attest.SHA256(b.Payload)
	}
	w.AttachItem(at, a.payload, a.item)
	return a.payload
}

// AttachItem attaches what a listing may yield; a missing Manifest is made up.
func (w *World) AttachItem(at, payload attest.Digest, item attest.Attached) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if item.Manifest.IsZero() {
		item.Manifest = attest.SHA256(fmt.Appendf(nil, "attached %x", sha256.Sum256(item.Bundle)))
	}
	w.attached[at] = append(w.attached[at], attached{payload, item})
}

// Bundles returns the bundles attached to an artifact, in order of attaching.
func (w *World) Bundles(at attest.Digest) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out [][]byte
	for _, a := range w.attached[at] {
		if a.item.Bundle != nil {
			out = append(out, a.item.Bundle)
		}
	}
	return out
}

// Artifacts returns every artifact that something is attached to, sorted.
func (w *World) Artifacts() []attest.Digest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Keys(w.attached), attest.Digest.Compare)
}

// File returns the digest under which a manifest made by Manifest names content.
func File(content string) attest.Digest { return attest.SHA256([]byte(content)) }

// Manifest adds a ModelPack manifest with the given files, path to content, and
// returns its digest.
func (w *World) Manifest(files map[string]string) attest.Digest {
	w.t.Helper()
	type descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int               `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	m := struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		ArtifactType  string       `json:"artifactType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, attest.MediaTypeManifest, attest.ArtifactTypeModel, descriptor{attest.MediaTypeModelConfig, File("{}").String(), 2, nil}, []descriptor{}}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		m.Layers = append(m.Layers, descriptor{
			MediaType: "application/vnd.cncf.model.weight.v1.raw", Digest: File(files[path]).String(), Size: len(files[path]),
			Annotations: map[string]string{attest.AnnotationFilepath: path, attest.AnnotationTitle: path},
		})
	}
	b, err := json.Marshal(m)
	w.must(err)
	return w.PutManifest(b)
}

// PutManifest adds a manifest's bytes, whatever they are, and returns their digest.
func (w *World) PutManifest(b []byte) attest.Digest {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := attest.SHA256(b)
	w.manifests[d] = b
	return d
}

// Corrupt makes the sources answer with other bytes for a manifest.
func (w *World) Corrupt(d attest.Digest, bytes []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.manifests[d] = bytes
}

// Break makes listing what is attached to d fail with err, after everything
// attached was yielded; a nil err mends it.
func (w *World) Break(d attest.Digest, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listing[d] = err
}

// BreakManifest makes fetching the manifest d fail with err; a nil err mends it.
func (w *World) BreakManifest(d attest.Digest, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetching[d] = err
}

// Remove removes every bundle with that payload, wherever it is attached.
func (w *World) Remove(payload attest.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, list := range w.attached {
		w.attached[at] = slices.DeleteFunc(list, func(a attached) bool { return a.payload == payload })
	}
}

// Source returns the world as a source. It shows later changes too.
func (w *World) Source() verify.Source { return source{w} }

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

type source struct{ w *World }

func (s source) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	s.w.mu.Lock()
	list, broken := slices.Clone(s.w.attached[d]), s.w.listing[d]
	s.w.mu.Unlock()
	for _, a := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(a.item) {
			return nil
		}
	}
	return broken
}

func (s source) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := s.w.fetching[d]; err != nil {
		return nil, err
	}
	if b, ok := s.w.manifests[d]; ok {
		return b, nil
	}
	return nil, attest.ErrAbsent
}
