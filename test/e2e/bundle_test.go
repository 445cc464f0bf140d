package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

// reference holds a bundle against sigstore-go, as strictly as it can be asked.
func reference(w *world, file, artifact, issuer, subject string) error {
	w.Helper()
	tr, err := root.NewTrustedRootFromPath(w.path("trusted_root.json"))
	if err != nil {
		w.Fatal(err)
	}
	v, err := verify.NewVerifier(tr, verify.WithTransparencyLog(1), verify.WithSignedTimestamps(len(w.stack.Authorities)), verify.WithSignedCertificateTimestamps(1))
	if err != nil {
		w.Fatal(err)
	}
	b, err := bundle.LoadJSONFromPath(w.path(file))
	if err != nil {
		return err
	}
	id, err := verify.NewShortCertificateIdentity(issuer, "", subject, "")
	if err != nil {
		w.Fatal(err)
	}
	sum := sha256.Sum256([]byte(artifact))
	_, err = v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", sum[:]), verify.WithCertificateIdentity(id)))
	return err
}

// theirs has sigstore-go sign, and writes the bundle.
func theirs(w *world, file string, content sign.Content, token string) {
	w.Helper()
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		w.Fatal(err)
	}
	tr, err := root.NewTrustedRootFromPath(w.path("trusted_root.json"))
	if err != nil {
		w.Fatal(err)
	}
	e := w.stack.Endpoints()
	o := sign.BundleOptions{
		CertificateProvider:        sign.NewFulcio(&sign.FulcioOptions{BaseURL: e.Fulcio}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: w.read(token)},
		TransparencyLogs:           []sign.Transparency{sign.NewRekor(&sign.RekorOptions{BaseURL: e.Rekor, Version: 2})},
		TrustedRoot:                tr,
		Context:                    w.Context(),
	}
	for _, u := range e.Timestamps {
		o.TimestampAuthorities = append(o.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: u}))
	}
	pb, err := sign.Bundle(content, key, o)
	if err != nil {
		w.Fatal(err)
	}
	b, err := protojson.Marshal(pb)
	if err != nil {
		w.Fatal(err)
	}
	w.write(file, string(b))
}

func statement(artifact string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"model","digest":{"sha256":"%x"}}],"predicateType":"https://example.org/training/v1","predicate":{"epochs":3}}`, sha256.Sum256([]byte(artifact)))
}

// What the reference implementation signed, verify-bundle verifies: by the trusted
// root as anybody has it, and by a trust file.
func TestVerifyBundleOfSigstoreGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	train := workload("train")
	theirs(w, "statement.sigstore.json", &sign.DSSEData{Data: statement("weights"), PayloadType: attest.PayloadType}, w.token(train))
	theirs(w, "file.sigstore.json", &sign.PlainData{Data: []byte("weights")}, w.token(alice))
	for _, trusted := range []string{"--trusted-root trusted_root.json", "--trust trust.yaml"} {
		by := func(bundle, issuer, subject string) string {
			return fmt.Sprintf("verify-bundle --offline --bundle %s --certificate-identity %s --certificate-oidc-issuer %s %s model/model.safetensors", bundle, subject, issuer, trusted)
		}
		w.ok(by("statement.sigstore.json", acme.Workloads.URL, train.Subject()))
		w.ok(by("file.sigstore.json", acme.People.URL, alice))
		w.refused(1, "E_IDENTITY", by("file.sigstore.json", acme.People.URL, bob))
		w.refused(1, "E_IDENTITY", by("file.sigstore.json", acme.Workloads.URL, alice))
		w.refused(1, "E_IDENTITY", by("statement.sigstore.json", acme.Workloads.URL, workload("evaluate").Subject()))
		w.write("model/other.safetensors", "other weights")
		w.refused(1, "E_", strings.Replace(by("file.sigstore.json", acme.People.URL, alice), "model.safetensors", "other.safetensors", 1))
	}
}

// The protocol of the public conformance suite, each kind of its signing tests against
// an instance of our own: what we sign, the reference and we ourselves verify.
func TestSignBundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	train := workload("train")
	w.write("statement.json", string(statement("weights")))
	for _, c := range []struct {
		name, flags, file string
		intoto            bool
	}{
		{name: "a file", file: "model/model.safetensors"},
		{name: "a statement", flags: "--in-toto", file: "statement.json", intoto: true},
	} {
		for _, root := range []string{"", "--trusted-root trusted_root.json"} {
			t.Run(c.name+" "+root, func(t *testing.T) {
				w := &world{T: t, dir: w.dir, stack: w.stack}
				token := w.read(w.token(train))
				w.ok(strings.Join([]string{"sign-bundle", c.flags, "--identity-token", token, "--bundle out.json", root, "--signing-config signing_config.json", c.file}, " "))
				if err := reference(w, "out.json", "weights", acme.Workloads.URL, train.Subject()); err != nil {
					t.Errorf("sigstore-go refuses it: %v", err)
				}
				if err := reference(w, "out.json", "other weights", acme.Workloads.URL, train.Subject()); err == nil {
					t.Error("sigstore-go accepts it for another file, so the check above proves nothing")
				}
				w.ok(fmt.Sprintf("verify-bundle --bundle out.json --certificate-identity %s --certificate-oidc-issuer %s --trusted-root trusted_root.json model/model.safetensors", train.Subject(), acme.Workloads.URL))
				w.ok(fmt.Sprintf("verify-bundle --bundle out.json --certificate-identity %s --certificate-oidc-issuer %s --trusted-root trusted_root.json %s", train.Subject(), acme.Workloads.URL, digest("weights")))
				b := w.bundle("out.json")
				if got := b.GetVerificationMaterial().GetCertificate(); got == nil {
					t.Errorf("a bundle v0.3 has one certificate and no chain: %v", b.GetVerificationMaterial())
				}
				if n := len(b.GetVerificationMaterial().GetTlogEntries()); n != 1 {
					t.Errorf("%d log entries", n)
				}
				if n := len(b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()); n != len(acme.Authorities) {
					t.Errorf("%d timestamps of %d authorities", n, len(acme.Authorities))
				}
				if (b.GetDsseEnvelope() != nil) != c.intoto {
					t.Errorf("in-toto %v, and the bundle is of %T", c.intoto, b.GetContent())
				}
				os.Remove(w.path("out.json"))
			})
		}
	}
}

func (w *world) bundle(file string) *protobundle.Bundle {
	w.Helper()
	var b protobundle.Bundle
	if err := protojson.Unmarshal([]byte(w.read(file)), &b); err != nil {
		w.Fatal(err)
	}
	return &b
}

// A trusted root of another instance, with the same names in it, verifies nothing.
func TestOtherInstance(t *testing.T) {
	t.Parallel()
	other, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), Authorities: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w := newWorld(t, acme)
	token := w.token(alice)
	theirs(w, "file.sigstore.json", &sign.PlainData{Data: []byte("weights")}, token)
	line := fmt.Sprintf("verify-bundle --bundle file.sigstore.json --certificate-identity %s --certificate-oidc-issuer %s --trust trust.yaml model/model.safetensors", alice, acme.People.URL)
	w.ok(line)
	if _, err := other.Write(w.dir); err != nil {
		t.Fatal(err)
	}
	t.Run("IDN-12 the authority has the same name and another key", func(t *testing.T) {
		w := &world{T: t, dir: w.dir, stack: w.stack}
		w.refused(1, "E_KEY_UNKNOWN", line)
	})
	t.Run("a certificate of one, timestamps and log of another", func(t *testing.T) {
		w := &world{T: t, dir: w.dir, stack: w.stack}
		if _, err := acme.Write(w.dir); err != nil {
			t.Fatal(err)
		}
		w.write("trusted_root.json", mixed(t, acme, other))
		if s := w.refused(1, "E_", line); strings.Contains(s.err, "E_USAGE") || strings.Contains(s.err, "E_TRUSTROOT") {
			t.Errorf("refused for another reason: %v", s)
		}
	})
}

// mixed returns the trusted root of one instance with the logs of another.
func mixed(t *testing.T, a, b *stack.Stack) string {
	t.Helper()
	var of [2]map[string]json.RawMessage
	for i, s := range []*stack.Stack{a, b} {
		raw, err := s.TrustedRoot()
		if err == nil {
			err = json.Unmarshal(raw, &of[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	of[0]["tlogs"] = of[1]["tlogs"]
	out, err := json.Marshal(of[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
