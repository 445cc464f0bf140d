package single_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/single"
)

// suite returns where the public suite sigstore-conformance (v0.0.29, Apache-2.0)
// lies: its bundle-verify assets under sigstore/, beside them the trusted root of
// the public-good instance. It is not part of this project: a checkout beside it,
// or the folder that PEDIGREE_CONFORMANCE names, is used if it is there.
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

func cases(t testing.TB) string {
	t.Helper()
	return filepath.Join(suite(t), "sigstore", "bundle-verify")
}

// A vector is one case of the suite, as its README describes them.
type vector struct {
	name     string
	fails    bool
	artifact []byte
	key      []byte // PEM; nil: the identity signs
	question single.Question
}

// read returns a file of the case, or the default if the case has none.
func read(t testing.TB, path, otherwise string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(otherwise)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func text(t testing.TB, path, otherwise string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return otherwise
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func load(t testing.TB, name string) vector {
	t.Helper()
	dir := filepath.Join(cases(t), name)
	v := vector{name: name, fails: strings.HasSuffix(name, "_fail")}
	v.question.Bundle = read(t, filepath.Join(dir, "bundle.sigstore.json"), "")
	v.question.TrustedRoot = read(t, filepath.Join(dir, "trusted_root.json"), filepath.Join(suite(t), "public-good-trusted-root.json"))
	v.artifact = read(t, filepath.Join(dir, "artifact"), filepath.Join(cases(t), "a.txt"))
	if pem := text(t, filepath.Join(dir, "key.pub"), ""); pem != "" {
		v.key = []byte(pem)
		return v
	}
	v.question.Identity = single.Identity{
		Subject: text(t, filepath.Join(dir, "identity"), "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"),
		Issuer:  text(t, filepath.Join(dir, "issuer"), "https://token.actions.githubusercontent.com"),
	}
	return v
}

func vectors(t testing.TB) []vector {
	t.Helper()
	entries, err := os.ReadDir(cases(t))
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, load(t, e.Name()))
		}
	}
	if len(out) != 70 {
		t.Fatalf("found %d cases, want 70: the suite moved or was not checked out", len(out))
	}
	return out
}

// check asks about a case by the artifact's content, or by its digest alone.
func (v vector) check(byDigest bool) (*single.Report, error) {
	q := v.question
	if v.key != nil {
		k, err := attest.ParsePublicKey(v.key)
		if err != nil {
			return nil, err
		}
		q.Key = k
	}
	if byDigest {
		q.Artifact.Digest = attest.SHA256(v.artifact)
	} else {
		q.Artifact.Content = bytes.NewReader(v.artifact)
	}
	return single.Check(q)
}

// The public suite, whole: 70 cases, by path and by digest. It asks no more of a
// failing case than that it fails, which any bug would do too; we ask for the
// reason.
func TestConformance(t *testing.T) {
	runs, seen := 0, map[string]bool{}
	for _, v := range vectors(t) {
		want, listed := reasons[v.name]
		if v.fails != listed {
			t.Errorf("%s: no reason is listed for a failing case, or one for a passing", v.name)
		}
		seen[v.name] = true
		for mode, byDigest := range map[string]bool{"path": false, "digest": true} {
			t.Run(v.name+"/"+mode, func(t *testing.T) {
				r, err := v.check(byDigest)
				if (err == nil) == (r == nil) {
					t.Fatalf("report %v, error %v", r, err)
				}
				if got := attest.RefusalCode(err); got != want {
					t.Fatalf("%q (%v), want %q", got, err, want)
				}
				if err != nil {
					t.Log(err)
					return
				}
				consistent(t, v, r)
			})
			runs++
		}
	}
	if runs != 140 {
		t.Errorf("%d runs, want 140", runs)
	}
	for name := range reasons {
		if !seen[name] {
			t.Errorf("%s is listed and not in the suite", name)
		}
	}
}

// consistent checks a report against what the case is known to hold.
func consistent(t *testing.T, v vector, r *single.Report) {
	t.Helper()
	if r.Artifact != attest.SHA256(v.artifact) || r.Bundle != attest.SHA256(v.question.Bundle) {
		t.Errorf("about %s in %s", r.Artifact, r.Bundle)
	}
	if (r.Certificate == nil) == (r.Key.IsZero()) {
		t.Errorf("signed by %v and by %v", r.Key, r.Certificate)
	}
	if len(r.Log) != 1 || r.Log[0].Index <= 0 || r.Log[0].Log == "" || !r.Log[0].Proof && r.MediaType[len(r.MediaType)-3:] != "0.1" {
		t.Errorf("log %+v", r.Log)
	}
	if r.Log[0].IntegratedTime.IsZero() == r.Log[0].Promise || len(r.Timestamps) == 0 && !r.Log[0].Promise {
		t.Errorf("no time, or one that nobody signed: %+v %+v", r.Log, r.Timestamps)
	}
	if c := r.Certificate; c != nil {
		if c.Identity != v.question.Identity.Subject || c.Issuer != v.question.Identity.Issuer || len(c.Transparency) == 0 || c.Root == "" || c.NotAfter.IsZero() {
			t.Errorf("certificate %+v", c)
		}
		for _, ts := range r.Timestamps {
			if ts.Time.Before(c.NotBefore) || ts.Time.After(c.NotAfter) {
				t.Errorf("at %s under a certificate of %s to %s", ts.Time, c.NotBefore, c.NotAfter)
			}
		}
	}
	if dsse := strings.Contains(v.name, "intoto") || strings.Contains(v.name, "dsse"); dsse != (r.Statement != nil) {
		t.Errorf("statement %+v", r.Statement)
	}
	if s := r.Statement; s != nil && (s.PredicateType != "https://slsa.dev/provenance/v1" || !s.Subjects[0].Matches || s.Subjects[0].Digest != r.Artifact) {
		t.Errorf("statement %+v", s)
	}
}

// reasons are why each failing case fails here: what its README says is wrong,
// unless a comment says otherwise.
var reasons = map[string]attest.Code{
	"bundle-empty-certificate-chain_fail":  attest.CodeCertChain,
	"bundle-from-wrong-instance_fail":      attest.CodeLogProof, // the staging instance's log is as unknown as its authority, and is looked at first
	"bundle-invalid-base64-signature_fail": attest.CodeBundleParse,
	"bundle-malformed-json_fail":           attest.CodeJSON,
	"bundle-negative-log-index_fail":       attest.CodeBundleParse,
	"bundle-unknown-version_fail":          attest.CodeBundleVersion,
	// sigstore-go refuses it, like the empty chain, because its proof has no
	// checkpoint, and would pass over the root; our own check comes first.
	"bundle-with-root-cert_fail":                                attest.CodeCertChain,
	"checkpoint-bad-keyhint_fail":                               attest.CodeLogProof,
	"checkpoint-wrong-roothash_fail":                            attest.CodeLogProof,
	"dsse-invalid-sig_fail":                                     attest.CodeSigInvalid,
	"dsse-mismatch-envelope_fail":                               attest.CodeLogMismatch,
	"dsse-mismatch-sig_fail":                                    attest.CodeLogMismatch,
	"inclusion-proof-corrupted-hash_fail":                       attest.CodeLogProof,
	"incorrect-public-key_fail":                                 attest.CodeBundleParse, // the log entry verifies under its key when it is parsed, and does not: no entry
	"integrated-time-in-future_fail":                            attest.CodeTimeWindow,
	"intoto-expired-certificate_fail":                           attest.CodeTimeWindow,
	"intoto-log-entry-mismatch_fail":                            attest.CodeBundleParse, // the log entry's envelope is no envelope to sigstore-go; wrong-hashedrekord-* and TestSwappedLogEntry have the mismatch itself
	"intoto-missing-inclusion-proof_fail":                       attest.CodeLogProof,
	"intoto-set-outside-signing-cert-validity_fail":             attest.CodeTimeWindow,
	"intoto-tsa-timestamp-outside-cert-validity_fail":           attest.CodeTimeWindow,
	"invalid-checkpoint-signature_fail":                         attest.CodeLogProof,
	"invalid-ct-key_fail":                                       attest.CodeCertChain,
	"invalid-inclusion-proof_fail":                              attest.CodeLogProof, // by its missing checkpoint, before anybody sees that the proof is old; inclusion-proof-corrupted-hash has a wrong proof
	"managed-key-no-key_fail":                                   attest.CodeIdentity,
	"managed-key-wrong-key_fail":                                attest.CodeKey, // the key is not a point on the curve; TestWrongKey has a real one
	"message-digest-mismatch_fail":                              attest.CodeSubjectMismatch,
	"rekor2-checkpoint-missing-log-signature_fail":              attest.CodeLogProof,
	"rekor2-checkpoint-missing-origin_fail":                     attest.CodeLogProof,
	"rekor2-checkpoint-missing-root-hash_fail":                  attest.CodeLogProof,
	"rekor2-checkpoint-missing-size_fail":                       attest.CodeLogProof,
	"rekor2-checkpoint-no-matching-signature_fail":              attest.CodeLogProof,
	"rekor2-dsse-invalid-sig_fail":                              attest.CodeSigInvalid,
	"rekor2-dsse-mismatch-envelope_fail":                        attest.CodeLogMismatch,
	"rekor2-dsse-mismatch-sig_fail":                             attest.CodeLogMismatch,
	"rekor2-no-inclusion-proof_fail":                            attest.CodeLogProof,
	"rekor2-no-timestamp_fail":                                  attest.CodeTimeMissing,
	"rekor2-timestamp-outside-trust-root-tsa-validity_fail":     attest.CodeTSA,
	"rekor2-timestamp-outside-tsa-cert-validity_fail":           attest.CodeTSA,
	"rekor2-timestamp-payload-mismatch_fail":                    attest.CodeTSA,
	"rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail":    attest.CodeTSA,
	"rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail": attest.CodeTSA,
	"rekor2-timestamp-with-incorrect-time_fail":                 attest.CodeBundleParse, // the timestamp's base64 has line breaks; TestIncorrectTime takes them out
	"set-invalid-signature_fail":                                attest.CodeLogProof,
	"signature-mismatch_fail":                                   attest.CodeSigInvalid,
	"trust-root-tlog-missing-validity-start_fail":               attest.CodeTrustRoot,
	"wrong-hashedrekord-artifact_fail":                          attest.CodeLogMismatch,
	"wrong-hashedrekord-cert-and-sig_fail":                      attest.CodeLogMismatch,
	"wrong-hashedrekord-entry_fail":                             attest.CodeLogMismatch,
	"wrong-material_fail":                                       attest.CodeSubjectMismatch,
}
