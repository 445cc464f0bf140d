package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// refused fails the test unless err carries the code.
func refused(t *testing.T, err error, want Code) {
	t.Helper()
	if got := RefusalCode(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// accepted is the positive twin: without it a refusal proves nothing.
func accepted(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the unmodified input must be accepted, or the rest proves nothing: %v", err)
	}
}

func newKey(t testing.TB, a KeyAlgorithm) *KeySigner {
	t.Helper()
	k, err := GenerateKey(a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const testType = "https://example.test/thing/v1"

func testStatement(t testing.TB) []byte {
	t.Helper()
	b, err := NewStatement(Subject{Name: "model", Digest: SHA256([]byte("model"))}, testType, map[string]any{"passed": true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testBundle(t testing.TB) []byte {
	t.Helper()
	b, err := Sign(context.Background(), testStatement(t), newKey(t, P256))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rawBundle signs any payload as any payload type: what an attacker with a key does.
func rawBundle(t testing.TB, payloadType string, payload []byte) []byte {
	t.Helper()
	k := newKey(t, P256)
	sig, err := k.SignMessage(context.Background(), dsse.PAE(payloadType, payload))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(bundleJSON{
		MediaType:            MediaTypeBundle,
		VerificationMaterial: materialJSON{PublicKey: &hintJSON{Hint: KeyHint(k.Public())}},
		DSSEEnvelope:         envelopeJSON{Payload: payload, PayloadType: payloadType, Signatures: []signatureJSON{{Sig: sig}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testCertificate(t testing.TB) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), crypto.Signer(k))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// fullBundle has every field a bundle may have.
func fullBundle(t testing.TB) string {
	b64 := base64.StdEncoding.EncodeToString
	return `{"mediaType":"` + MediaTypeBundle + `","verificationMaterial":{"certificate":{"rawBytes":"` + b64(testCertificate(t)) + `"},
"tlogEntries":[{"logIndex":"1","logId":{"keyId":"AAAA"},"kindVersion":{"kind":"dsse","version":"0.0.1"},"integratedTime":"1",
"inclusionPromise":{"signedEntryTimestamp":"AAAA"},"inclusionProof":{"logIndex":"1","rootHash":"AAAA","treeSize":"2","hashes":["AAAA"],"checkpoint":{"envelope":"x"}},
"canonicalizedBody":"AAAA"}],"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AAAA"}]}},
"dsseEnvelope":{"payload":"` + b64(testStatement(t)) + `","payloadType":"` + PayloadType + `","signatures":[{"sig":"AAAA","keyid":"k"}]}}`
}

// swap replaces the one occurrence of old.
func swap(t testing.TB, s, old, with string) string {
	t.Helper()
	if n := strings.Count(s, old); n != 1 {
		t.Fatalf("%q occurs %d times, so replacing it proves nothing", old, n)
	}
	return strings.Replace(s, old, with, 1)
}
