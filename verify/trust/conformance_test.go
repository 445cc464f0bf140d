package trust_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// suite returns where the public suite sigstore-conformance (v0.0.29, Apache-2.0)
// lies; see verify/single.
func suite(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("PEDIGREE_CONFORMANCE")
	if dir == "" {
		dir = "../../../shared/conformance"
	}
	if _, err := os.Stat(filepath.Join(dir, "sigstore", "bundle-verify")); err != nil {
		t.Skipf("the public suite sigstore-conformance is not here (%v); PEDIGREE_CONFORMANCE names its folder", err)
	}
	return dir
}

// vector returns a case's bundle and trusted root.
func vector(t testing.TB, name string) (bundle, root []byte) {
	t.Helper()
	dir := filepath.Join(suite(t), "sigstore", "bundle-verify", name)
	bundle, err := os.ReadFile(filepath.Join(dir, "bundle.sigstore.json"))
	if err != nil {
		t.Fatal(err)
	}
	root, err = os.ReadFile(filepath.Join(dir, "trusted_root.json"))
	if errors.Is(err, fs.ErrNotExist) {
		root, err = os.ReadFile(filepath.Join(suite(t), "public-good-trusted-root.json"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return bundle, root
}

// What the world's public instances and other people's tools made is read here too:
// of the suite's cases those that are attestations in a bundle of our version.
func TestConformance(t *testing.T) {
	beacon := trust.Identity{
		Issuer:  "https://token.actions.githubusercontent.com",
		Subject: "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main",
	}
	for name, code := range map[string]attest.Code{
		"happy-path-intoto-in-dsse-v3":       "",
		"rekor2-dsse-happy-path":             "",
		"dsse-invalid-sig_fail":              attest.CodeSigInvalid,
		"dsse-mismatch-envelope_fail":        attest.CodeLogMismatch,
		"dsse-mismatch-sig_fail":             attest.CodeLogMismatch,
		"rekor2-dsse-invalid-sig_fail":       attest.CodeSigInvalid,
		"rekor2-dsse-mismatch-envelope_fail": attest.CodeLogMismatch,
		"rekor2-dsse-mismatch-sig_fail":      attest.CodeLogMismatch,
	} {
		t.Run(name, func(t *testing.T) {
			raw, root := vector(t, name)
			tr, err := trust.OfTrustedRoot(root)
			if err != nil {
				t.Fatal(err)
			}
			b, err := attest.ParseBundle(raw)
			if err != nil {
				t.Fatal(err)
			}
			s, err := tr.Authenticate(b)
			if attest.RefusalCode(err) != code {
				t.Fatalf("got %v, %v, want %q", s, err, code)
			}
			if code == "" && (s.Identity != beacon || s.Claims.SourceRepository != "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon" || s.Seen.IsZero()) {
				t.Errorf("got %v", s)
			}
		})
	}
}
