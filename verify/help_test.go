package verify_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

const trainType = "https://pedigree-ml.github.io/build/train/v1"

// signer makes a fresh key of a kind: "p256", "p384" or "ed25519".
func signer(t testing.TB, kind string) *attest.KeySigner {
	t.Helper()
	var k crypto.Signer
	var err error
	switch kind {
	case "p256":
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ed25519":
		_, k, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no kind %q", kind)
	}
	must(t, err)
	s, err := attest.NewKeySigner(k)
	must(t, err)
	return s
}

// forge builds a bundle of any payload, payload type, signature and hint: what
// attest.Sign would refuse to make.
func forge(payloadType string, payload, sig []byte, hint, keyid string) []byte {
	one := map[string]any{"sig": sig}
	if keyid != "" {
		one["keyid"] = keyid
	}
	b, _ := json.Marshal(map[string]any{
		"mediaType":            attest.MediaTypeBundle,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": hint}},
		"dsseEnvelope":         map[string]any{"payload": payload, "payloadType": payloadType, "signatures": []any{one}},
	})
	return b
}

// signRaw signs any bytes as an in-toto payload.
func signRaw(t testing.TB, s attest.Signer, payload []byte) []byte {
	t.Helper()
	return forge(attest.PayloadType, payload, sigOver(t, s, attest.PayloadType, payload), attest.KeyHint(s.Material().Key), "")
}

func sigOver(t testing.TB, s attest.Signer, payloadType string, payload []byte) []byte {
	t.Helper()
	sig, err := s.SignMessage(context.Background(), dsse.PAE(payloadType, payload))
	must(t, err)
	return sig
}

// parts takes a bundle apart into payload, signature and hint.
func parts(t testing.TB, bundle []byte) (payload, sig []byte, hint string) {
	t.Helper()
	var b struct {
		VerificationMaterial struct{ PublicKey struct{ Hint string } }
		DsseEnvelope         struct {
			Payload    []byte
			Signatures []struct{ Sig []byte }
		}
	}
	must(t, json.Unmarshal(bundle, &b))
	return b.DsseEnvelope.Payload, b.DsseEnvelope.Signatures[0].Sig, b.VerificationMaterial.PublicKey.Hint
}

// statement is a small statement about the artifact "model".
func statement(t testing.TB) []byte {
	t.Helper()
	p, err := attest.NewStatement(attest.Subject{Name: "model", Digest: artifact("model")}, "https://example.test/note/v1", map[string]any{"a": 1})
	must(t, err)
	return p
}

func sign(t testing.TB, payload []byte, s attest.Signer) []byte {
	t.Helper()
	b, err := attest.Sign(context.Background(), payload, s)
	must(t, err)
	return b
}

// artifact is an artifact that is no manifest, by a name.
func artifact(name string) attest.Digest { return attest.SHA256([]byte("artifact " + name)) }

// build is an SLSA provenance predicate with inputs, each in the role "input".
func build(buildType string, inputs ...attest.Digest) map[string]any {
	deps := []any{}
	for i, d := range inputs {
		deps = append(deps, map[string]any{
			"name": fmt.Sprintf("input-%d", i), "digest": d.DigestSet(), "annotations": map[string]any{"role": "input"},
		})
	}
	return map[string]any{
		"buildDefinition": map[string]any{
			"buildType": buildType, "externalParameters": map[string]any{}, "resolvedDependencies": deps,
		},
		"runDetails": map[string]any{
			"builder":  map[string]any{"id": "https://builder.example.test"},
			"metadata": map[string]any{"invocationId": "run-1", "finishedOn": "2026-01-02T03:04:05Z"},
		},
	}
}

// train signs by name that product was made of inputs.
func train(w *chaintest.World, name string, product attest.Digest, inputs ...attest.Digest) attest.Digest {
	return w.Sign(name, product, predicate.TypeProvenance, build(trainType, inputs...))
}

// scope trusts the named keys and follows provenance by all of them.
func scope(w *chaintest.World, names ...string) verify.Scope {
	var s verify.Scope
	f := verify.Follow{PredicateType: predicate.TypeProvenance}
	for _, n := range names {
		s.Keys = append(s.Keys, w.Key(n))
		f.By = append(f.By, verify.KeyCredential(w.Key(n)))
	}
	s.Follow = []verify.Follow{f}
	return s
}

func walk(t testing.TB, root attest.Digest, s verify.Scope, sources ...verify.Source) verify.Chain {
	t.Helper()
	c, err := verify.Walk(context.Background(), root, sources, s)
	must(t, err)
	return c
}

// dump writes everything a chain says; equal chains have equal dumps.
func dump(c verify.Chain) string {
	var b strings.Builder
	fmt.Fprintf(&b, "root %s strangers %d\n%s", c.Root(), c.Strangers(), ancestry(c))
	for _, d := range c.ConsultedAll() {
		fmt.Fprintf(&b, "consulted %s", dumpNode(c, c.Consulted(d)))
	}
	for _, f := range c.Findings() {
		fmt.Fprintf(&b, "finding %s %s %v\n", f.Artifact, f.Manifest, f.Err)
	}
	return b.String()
}

// ancestry writes what a chain says about its artifacts and edges.
func ancestry(c verify.Chain) string {
	var b strings.Builder
	for _, d := range c.Artifacts() {
		fmt.Fprintf(&b, "depth %d %s", c.Depth(d), dumpNode(c, c.Artifact(d)))
	}
	fmt.Fprintf(&b, "edges %v\n", c.Edges())
	return b.String()
}

func dumpNode(c verify.Chain, a *verify.Artifact) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s filesKnown %t files %v\n", a.Digest, a.FilesKnown, a.Files)
	for _, e := range a.Evidence {
		_, err := e.Facts()
		fmt.Fprintf(&b, "  evidence %v about %s decodes %t cycle %v\n", e.ID(), e.About(), err == nil, c.Cycle(e))
	}
	for _, e := range a.FileEvidence {
		fmt.Fprintf(&b, "  file evidence %v about %s\n", e.ID(), e.About())
	}
	for _, e := range a.Misplaced {
		fmt.Fprintf(&b, "  misplaced %v\n", e.ID())
	}
	fmt.Fprintf(&b, "  gaps %v\n", a.Gaps)
	return b.String()
}

// gaps writes the gaps of a chain as codes with short digests.
func gaps(c verify.Chain) string {
	var out []string
	for _, g := range c.Gaps() {
		out = append(out, string(g.Code)+" "+g.Artifact.Short())
	}
	return strings.Join(out, ", ")
}

func wantCode(t testing.TB, what string, err error, want attest.Code) {
	t.Helper()
	if got := attest.RefusalCode(err); got != want {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// sha256Of returns the value of a sha256 digest.
func sha256Of(d attest.Digest) []byte {
	b, err := hex.DecodeString(d.Hex())
	if err != nil {
		panic(err) // unreachable: a Digest is well formed
	}
	return b
}
