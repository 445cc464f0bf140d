// Package cosign checks that cosign reads what Pedigree writes and the other way
// round: real signatures, a real registry on loopback, the real program.
package cosign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/verify"
)

const predicateType = "https://example.org/training/v1"

// cosignPath returns the program that the Makefile built, or builds it. It is a
// failure, not a skip, where CI asks for everything.
func cosignPath(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("PEDIGREE_TEST_COSIGN"); p != "" {
		return p
	}
	out := filepath.Join(os.TempDir(), "pedigree-test-cosign-v3.1.3")
	if _, err := os.Stat(out); err == nil {
		return out
	}
	cmd := exec.Command("go", "build", "-o", out, "github.com/sigstore/cosign/v3/cmd/cosign")
	cmd.Dir = "tool"
	if b, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("building cosign: %v\n%s", err, b)
		}
		t.Skipf("cosign cannot be built here: %v\n%s", err, b)
	}
	return out
}

// A bench holds a registry, a cosign and an artifact in the registry.
type bench struct {
	t      *testing.T
	cosign string
	dir    string
	repo   *oci.Repository
	ref    attest.Reference
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, cosign: cosignPath(t), dir: t.TempDir()}
	srv := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	t.Cleanup(srv.Close)
	name, err := attest.ParseRepository(strings.TrimPrefix(srv.URL, "http://") + "/acme/credit")
	b.must(err)
	b.repo, err = oci.Open(name, oci.Options{})
	b.must(err)
	model := filepath.Join(b.dir, "model.safetensors")
	b.must(os.WriteFile(model, []byte("weights"), 0o600))
	packed, err := oci.Pack(b.ctx(), []string{model}, oci.Metadata{Kind: "model"}, oci.Options{})
	b.must(err)
	b.ref, err = b.repo.Push(b.ctx(), packed, "v1")
	b.must(err)
	return b
}

func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// run runs cosign with nothing in its environment that could lead it to a public
// service: HOME is empty, and every service is named by file.
func (b *bench) run(args ...string) (string, error) {
	cmd := exec.CommandContext(b.ctx(), b.cosign, args...)
	cmd.Env = []string{"HOME=" + b.dir, "PATH=/usr/bin:/bin", "COSIGN_PASSWORD=pass", "DOCKER_CONFIG=" + b.dir}
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// offline writes the signing configuration and trusted root that name no service.
func (b *bench) offline() (signing, trusted string) {
	signing, trusted = filepath.Join(b.dir, "signing.json"), filepath.Join(b.dir, "trusted.json")
	b.must(os.WriteFile(signing, []byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}`), 0o600))
	b.must(os.WriteFile(trusted, []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), 0o600))
	return signing, trusted
}

func (b *bench) image() string {
	return b.ref.Repository.String() + "@" + b.ref.Digest.String()
}

// P-384 is left out: cosign v3.1.3 signs with SHA-384 and such a key, as we do,
// but its verify-attestation takes SHA-256 whatever the key, and refuses its own.
// TestWeVerifyCosigns has the other direction.
func TestCosignVerifiesOurs(t *testing.T) {
	for _, alg := range []attest.KeyAlgorithm{attest.P256, attest.Ed25519} {
		b := newBench(t)
		key, err := attest.GenerateKey(alg)
		b.must(err)
		payload, err := attest.NewStatement(attest.Subject{Name: "credit", Digest: b.ref.Digest}, predicateType, map[string]any{"epochs": 3})
		b.must(err)
		bundle, err := attest.Sign(b.ctx(), payload, key)
		b.must(err)
		if _, err := b.repo.Attach(b.ctx(), b.ref.Digest, bundle); err != nil {
			t.Fatal(err)
		}
		pub := filepath.Join(b.dir, "ours.pub")
		b.must(os.WriteFile(pub, key.Public().PEM(), 0o600))
		out, err := b.run("verify-attestation", "--key", pub, "--insecure-ignore-tlog", "--type", predicateType, b.image())
		if err != nil {
			t.Fatalf("%v: cosign refuses our attestation: %v\n%s", alg, err, out)
		}
		if out, err := b.run("verify-attestation", "--key", pub, "--insecure-ignore-tlog", "--type", "https://example.org/other/v1", b.image()); err == nil {
			t.Errorf("%v: cosign accepts another predicate type, so the check above proves nothing\n%s", alg, out)
		}
	}
}

func TestWeVerifyCosigns(t *testing.T) {
	t.Run("cosign's own key", func(t *testing.T) {
		b := newBench(t)
		if out, err := b.run("generate-key-pair"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b.weVerifyCosigns()
	})
	t.Run("a P-384 key", func(t *testing.T) {
		b := newBench(t)
		key, err := attest.GenerateKey(attest.P384)
		b.must(err)
		sealed, err := key.MarshalPEM([]byte("pass"))
		b.must(err)
		b.must(os.WriteFile(filepath.Join(b.dir, "cosign.key"), sealed, 0o600))
		b.must(os.WriteFile(filepath.Join(b.dir, "cosign.pub"), key.Public().PEM(), 0o600))
		b.weVerifyCosigns()
	})
}

// weVerifyCosigns lets cosign attest with the key in the folder, and opens the
// attestation with its public key, and with another.
func (b *bench) weVerifyCosigns() {
	t := b.t
	predicate := filepath.Join(b.dir, "predicate.json")
	b.must(os.WriteFile(predicate, []byte(`{"epochs":3}`), 0o600))
	signing, trusted := b.offline()
	out, err := b.run("attest", "-y", "--key", "cosign.key", "--signing-config", signing, "--trusted-root", trusted, "--predicate", predicate, "--type", predicateType, b.image())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pem, err := os.ReadFile(filepath.Join(b.dir, "cosign.pub"))
	b.must(err)
	pub, err := attest.ParsePublicKey(pem)
	b.must(err)
	chain, err := verify.Walk(b.ctx(), b.ref.Digest, []verify.Source{b.repo}, verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{pub}}})
	b.must(err)
	evidence := chain.Artifact(b.ref.Digest).Evidence
	if len(evidence) != 1 || evidence[0].PredicateType() != predicateType {
		t.Fatalf("got %d pieces of evidence, findings %v", len(evidence), chain.Findings())
	}
	facts, err := evidence[0].Facts()
	if err != nil || facts.Tree["epochs"] != int64(3) {
		t.Errorf("the predicate reads %v, %v", facts.Tree, err)
	}
	stranger, err := attest.GenerateKey(attest.P256)
	b.must(err)
	chain, err = verify.Walk(b.ctx(), b.ref.Digest, []verify.Source{b.repo}, verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{stranger.Public()}}})
	b.must(err)
	if n := len(chain.Artifact(b.ref.Digest).Evidence); n != 0 || chain.Strangers() != 1 {
		t.Errorf("another key opens %d of cosign's attestations; %d strangers", n, chain.Strangers())
	}
}

// cosign's key files open here, and ours there.
func TestKeyFiles(t *testing.T) {
	b := newBench(t)
	if out, err := b.run("generate-key-pair"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	theirs, err := os.ReadFile(filepath.Join(b.dir, "cosign.key"))
	b.must(err)
	key, err := attest.LoadKey(theirs, func() ([]byte, error) { return []byte("pass"), nil })
	if err != nil {
		t.Fatalf("cosign's key file: %v", err)
	}
	pem, err := os.ReadFile(filepath.Join(b.dir, "cosign.pub"))
	b.must(err)
	if !bytes.Equal(bytes.TrimSpace(key.Public().PEM()), bytes.TrimSpace(pem)) {
		t.Error("the key we read has another public key than cosign wrote")
	}
	if _, err := attest.LoadKey(theirs, func() ([]byte, error) { return []byte("wrong"), nil }); attest.RefusalCode(err) != attest.CodeKey {
		t.Errorf("a wrong passphrase: %v", err)
	}
	ours, err := attest.GenerateKey(attest.P256)
	b.must(err)
	sealed, err := ours.MarshalPEM([]byte("pass"))
	b.must(err)
	b.must(os.WriteFile(filepath.Join(b.dir, "ours.key"), sealed, 0o600))
	out, err := b.run("public-key", "--key", "ours.key")
	if err != nil || strings.TrimSpace(out) != strings.TrimSpace(string(ours.Public().PEM())) {
		t.Errorf("cosign reads our key file as %v\n%s", err, out)
	}
}

// The shape in the registry is cosign's, field by field.
func TestSameShapeInTheRegistry(t *testing.T) {
	b := newBench(t)
	if out, err := b.run("generate-key-pair"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	predicate := filepath.Join(b.dir, "predicate.json")
	b.must(os.WriteFile(predicate, []byte(`{"epochs":3}`), 0o600))
	signing, trusted := b.offline()
	if out, err := b.run("attest", "-y", "--key", "cosign.key", "--signing-config", signing, "--trusted-root", trusted, "--predicate", predicate, "--type", predicateType, b.image()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key, err := attest.GenerateKey(attest.P256)
	b.must(err)
	payload, err := attest.NewStatement(attest.Subject{Digest: b.ref.Digest}, predicateType, map[string]any{"epochs": 4})
	b.must(err)
	bundle, err := attest.Sign(b.ctx(), payload, key)
	b.must(err)
	_, err = b.repo.Attach(b.ctx(), b.ref.Digest, bundle)
	b.must(err)
	var shapes []map[string]any
	b.must(b.repo.Attestations(b.ctx(), b.ref.Digest, func(a attest.Attached) bool {
		b.must(a.Err)
		raw, err := b.repo.Manifest(b.ctx(), a.Manifest)
		b.must(err)
		var m map[string]any
		b.must(json.Unmarshal(raw, &m))
		shapes = append(shapes, m)
		return true
	}))
	if len(shapes) != 2 {
		t.Fatalf("%d attestations, want cosign's and ours", len(shapes))
	}
	for _, field := range []string{"schemaVersion", "mediaType", "artifactType"} {
		if shapes[0][field] != shapes[1][field] {
			t.Errorf("%s: %v and %v", field, shapes[0][field], shapes[1][field])
		}
	}
	sum := func(m map[string]any, field string) [32]byte {
		v, err := json.Marshal(m[field])
		b.must(err)
		return sha256.Sum256(v)
	}
	if sum(shapes[0], "subject") != sum(shapes[1], "subject") {
		t.Errorf("subjects: %v and %v", shapes[0]["subject"], shapes[1]["subject"])
	}
}
