package step

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A shop is a folder to run steps in: an OCI layout, a key and a clock.
type shop struct {
	t       *testing.T
	dir     string
	repo    attest.Repository
	deps    Deps
	out     bytes.Buffer
	attach  error                    // makes attaching fail, if set
	other   map[attest.Digest][]byte // manifests that the store answers with instead
	random  byte
	started int
}

// layoutStore is a real layout as a step sees it.
type layoutStore struct {
	*oci.Repository
	shop *shop
}

func (s layoutStore) Pack(ctx context.Context, paths []string, m Metadata) (Packed, error) {
	p, err := oci.Pack(ctx, paths, oci.Metadata{Kind: m.Kind, Name: m.Name}, oci.Options{})
	if err != nil {
		return Packed{}, err
	}
	return Packed{Digest: p.Digest(), Push: func(ctx context.Context, tag string) error {
		_, err := s.Push(ctx, p, tag)
		return err
	}}, nil
}

func (s layoutStore) Attach(ctx context.Context, to attest.Digest, bundle []byte) (attest.Digest, error) {
	if s.shop.attach != nil {
		return attest.Digest{}, s.shop.attach
	}
	return s.Repository.Attach(ctx, to, bundle)
}

func (s layoutStore) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if b, ok := s.shop.other[d]; ok {
		return b, nil
	}
	return s.Repository.Manifest(ctx, d)
}

// newShop makes a shop and makes its folder the working directory.
func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir()}
	t.Chdir(s.dir)
	repo, err := attest.ParseRepository("ocidir://" + filepath.Join(s.dir, "store"))
	s.must(err)
	s.repo = repo
	signer, err := attest.NewKeySigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
	s.must(err)
	s.deps = Deps{
		Store: func(r attest.Repository) (Store, error) {
			o, err := oci.Open(r, oci.Options{})
			return layoutStore{o, s}, err
		},
		Sign: func(ctx context.Context, payload []byte) ([]byte, error) { return attest.Sign(ctx, payload, signer) },
		Now: func() time.Time {
			s.started++
			return time.Date(2026, 3, 1, 12, 0, s.started, 0, time.UTC)
		},
		Rand:    s,
		Stdout:  &s.out,
		Stderr:  &s.out,
		Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "SEED=42", "CANARY_NAME=tweet-7b1e"},
		Version: "v0.0.0-test",
		Scratch: t.TempDir(),
	}
	return s
}

// Read gives each run another name.
func (s *shop) Read(p []byte) (int, error) {
	s.random++
	for i := range p {
		p[i] = s.random
	}
	return len(p), nil
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) write(path, content string) {
	s.t.Helper()
	s.must(os.MkdirAll(filepath.Dir(path), 0o755))
	s.must(os.WriteFile(path, []byte(content), 0o644))
}

func (s *shop) ref(tag string) attest.Reference {
	return attest.Reference{Repository: s.repo, Tag: tag}
}

// push puts a folder into the store under a tag.
func (s *shop) push(dir, tag string) attest.Digest {
	s.t.Helper()
	p, err := oci.Pack(s.t.Context(), []string{dir}, oci.Metadata{Name: tag}, oci.Options{})
	s.must(err)
	_, err = s.store().Push(s.t.Context(), p, tag)
	s.must(err)
	return p.Digest()
}

func (s *shop) store() *oci.Repository {
	s.t.Helper()
	o, err := oci.Open(s.repo, oci.Options{})
	s.must(err)
	return o
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// spec is a step that makes one output "model" at out.
func (s *shop) spec(script string) Spec {
	return Spec{Step: "train", Command: sh(script), Outputs: []Output{{Name: "model", Path: "out", To: s.ref("made")}}}
}

func (s *shop) run(spec Spec) Result {
	s.t.Helper()
	got, err := Run(s.t.Context(), spec, s.deps)
	s.must(err)
	if got.Status != 0 {
		s.t.Fatalf("no error and status %d", got.Status)
	}
	return got
}

// refuse runs a step that must be refused with a code, and checks that nothing
// was attested and no tag was moved.
func (s *shop) refuse(spec Spec, want attest.Code) Result {
	s.t.Helper()
	got, err := Run(s.t.Context(), spec, s.deps)
	s.refused(got, err, want)
	return got
}

func (s *shop) refused(got Result, err error, want attest.Code) {
	s.t.Helper()
	if code := attest.RefusalCode(err); code != want {
		s.t.Fatalf("got %v, want a refusal with %s", err, want)
	}
	if got.Status == 0 {
		s.t.Errorf("refused with status 0")
	}
	if got.About == nil && len(s.payloads()) != 0 {
		s.t.Errorf("refused, and %d statements were attached", len(s.payloads()))
	}
	if d, err := s.store().Resolve(context.Background(), s.ref("made")); err == nil {
		s.t.Errorf("refused, and the output's tag names %s", d)
	}
}

// payloads returns the bytes of every statement in the store, whatever it is
// attached to.
func (s *shop) payloads() [][]byte {
	s.t.Helper()
	var out [][]byte
	blobs, _ := filepath.Glob(filepath.Join(s.repo.Name(), "blobs", "sha256", "*"))
	for _, b := range blobs {
		content, err := os.ReadFile(b)
		s.must(err)
		if bundle, err := attest.ParseBundle(content); err == nil {
			out = append(out, bundle.Payload)
		}
	}
	return out
}

// statements returns what is attached to d.
func (s *shop) statements(d attest.Digest) []*attest.Statement {
	s.t.Helper()
	var out []*attest.Statement
	s.must(s.store().Attestations(s.t.Context(), d, func(a attest.Attached) bool {
		s.must(a.Err)
		b, err := attest.ParseBundle(a.Bundle)
		s.must(err)
		st, err := attest.ParseStatement(b.Payload)
		s.must(err)
		out = append(out, st)
		return true
	}))
	return out
}

// one returns the facts and the text of the only statement attached to d.
func (s *shop) one(d attest.Digest) (predicate.Facts, string) {
	s.t.Helper()
	all := s.statements(d)
	if len(all) != 1 {
		s.t.Fatalf("%d statements about %s, want 1", len(all), d)
	}
	f, err := predicate.Decode(all[0])
	s.must(err)
	if all[0].Subjects[0].Digest != d {
		s.t.Errorf("subject %s, want %s", all[0].Subjects[0].Digest, d)
	}
	return f, string(all[0].Predicate.Canonical())
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s\nlacks %s", text, p)
		}
	}
}
