package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

var kinds = []string{"p256", "p384", "ed25519"}

// opens checks that a bundle opens, as the positive twin of the refusals.
func opens(t testing.TB, bundle []byte, keys ...attest.PublicKey) verify.Evidence {
	t.Helper()
	e, err := verify.Open(bundle, verify.Signers{Keys: keys})
	if err != nil {
		t.Fatalf("must open, or this test proves nothing: %v", err)
	}
	return e
}

func refuses(t testing.TB, what string, want attest.Code, bundle []byte, keys ...attest.PublicKey) {
	t.Helper()
	e, err := verify.Open(bundle, verify.Signers{Keys: keys})
	wantCode(t, what, err, want)
	if !e.IsZero() {
		t.Errorf("%s: evidence came with a refusal", what)
	}
}

func TestOpenEveryKindOfKey(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			s, other := signer(t, kind), signer(t, kind)
			payload := statement(t)
			b := sign(t, payload, s)
			e := opens(t, b, other.Public(), s.Public(), s.Public())
			if want := (verify.ID{Payload: attest.SHA256(payload), Credential: verify.KeyCredential(s.Public())}); e.ID() != want {
				t.Errorf("ID is %v, want %v", e.ID(), want)
			}
			if got := e.ID().Credential.String(); got != "key:"+s.Public().Fingerprint().String() {
				t.Errorf("credential is spelled %s", got)
			}
			if !e.About().IsZero() || !e.Seen().IsZero() {
				t.Errorf("fresh evidence is about %v, seen %v; want neither", e.About(), e.Seen())
			}
			if e.PredicateType() != "https://example.test/note/v1" || e.Subjects()[0].Digest != artifact("model") {
				t.Errorf("statement reads %+v", e.Statement())
			}
			refuses(t, "another key", attest.CodeKeyUnknown, b, other.Public())
			refuses(t, "no key", attest.CodeKeyUnknown, b)
		})
	}
}

func TestOpenerTakesNoZeroKey(t *testing.T) {
	_, err := verify.NewOpener(verify.Signers{Keys: []attest.PublicKey{signer(t, "p256").Public(), {}}})
	wantCode(t, "zero key", err, attest.CodeKey)
}

// ENV-01, ENV-02: every bit of payload and signature.
func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	for _, kind := range kinds {
		s := signer(t, kind)
		b := sign(t, statement(t), s)
		opens(t, b, s.Public())
		payload, sig, hint := parts(t, b)
		opens(t, forge(attest.PayloadType, payload, sig, hint, ""), s.Public())
		bits := 8
		if kind == "p384" {
			bits = 1 // ten times as slow, and only the arithmetic differs
		}
		for i := range payload {
			for bit := range bits {
				bad := bytes.Clone(payload)
				bad[i] ^= 1 << bit
				refuses(t, fmt.Sprintf("%s payload byte %d bit %d", kind, i, bit), attest.CodeSigInvalid, forge(attest.PayloadType, bad, sig, hint, ""), s.Public())
			}
		}
		for i := range sig {
			for bit := range bits {
				bad := bytes.Clone(sig)
				bad[i] ^= 1 << bit
				refuses(t, fmt.Sprintf("%s signature byte %d bit %d", kind, i, bit), attest.CodeSigInvalid, forge(attest.PayloadType, payload, bad, hint, ""), s.Public())
			}
		}
	}
}

// Each byte of the bundle's text changed: it is refused, or it was a byte of the
// hint, which nobody signed, and then it is the same evidence.
func TestOpenEveryFlippedByteOfTheBundle(t *testing.T) {
	s := signer(t, "ed25519")
	b := sign(t, statement(t), s)
	good := opens(t, b, s.Public())
	o, err := verify.NewOpener(verify.Signers{Keys: []attest.PublicKey{s.Public()}})
	must(t, err)
	hint := bytes.Index(b, []byte(attest.KeyHint(s.Public())))
	opened := 0
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		e, err := o.Open(bad)
		if err != nil {
			if attest.RefusalCode(err) == "" {
				t.Errorf("byte %d: an error without a code: %v", i, err)
			}
			continue
		}
		opened++
		if e.ID() != good.ID() {
			t.Errorf("byte %d: other evidence", i)
		}
		if i < hint || i >= hint+len(attest.KeyHint(s.Public())) {
			t.Errorf("byte %d (%q in …%s…) is not the hint's, and the bundle opened", i, b[i], b[max(0, i-10):min(len(b), i+10)])
		}
	}
	if opened == 0 {
		t.Error("no changed hint opened: hints decide something")
	}
}

// ENV-04, ENV-24: the payload type is signed.
func TestOpenPayloadType(t *testing.T) {
	s := signer(t, "p256")
	payload := statement(t)
	hint := attest.KeyHint(s.Public())
	opens(t, forge(attest.PayloadType, payload, sigOver(t, s, attest.PayloadType, payload), hint, ""), s.Public())
	for _, other := range []string{"application/json", "application/vnd.pedigree.policy.v1+yaml", "", "application/vnd.in-toto+json "} {
		sig := sigOver(t, s, other, payload)
		refuses(t, "signed and declared as "+other, attest.CodePayloadType, forge(other, payload, sig, hint, ""), s.Public())
		refuses(t, "signed as "+other, attest.CodeSigInvalid, forge(attest.PayloadType, payload, sig, hint, ""), s.Public())
	}
	bare, err := s.SignMessage(t.Context(), payload)
	must(t, err)
	refuses(t, "the statement signed as a plain message", attest.CodeSigInvalid, forge(attest.PayloadType, payload, bare, hint, ""), s.Public())
}

// ENV-05, ENV-06.
func TestOpenSignatureCount(t *testing.T) {
	s := signer(t, "p256")
	b := string(sign(t, statement(t), s))
	_, sig, _ := parts(t, []byte(b))
	one := `{"sig":"` + b64(sig) + `"}`
	if !strings.Contains(b, "["+one+"]") {
		t.Fatalf("the bundle is spelled differently: %s", b)
	}
	opens(t, []byte(b), s.Public())
	for name, list := range map[string]string{
		"none": "", "twice": one + "," + one, "garbage after": one + `,{"sig":"AAAA"}`, "garbage before": `{"sig":"AAAA"},` + one, "empty": `{"sig":""}`,
	} {
		refuses(t, name, attest.CodeSigCount, []byte(strings.Replace(b, one, list, 1)), s.Public())
	}
}

// ENV-08: hints and key ids order the work and decide nothing.
func TestOpenHintsLie(t *testing.T) {
	alice, bob, mallory := signer(t, "p256"), signer(t, "ed25519"), signer(t, "p256")
	payload, sig, _ := parts(t, sign(t, statement(t), alice))
	trusted := []attest.PublicKey{alice.Public(), bob.Public()}
	hints := map[string]string{"right": attest.KeyHint(alice.Public()), "another trusted": attest.KeyHint(bob.Public()), "stranger's": attest.KeyHint(mallory.Public()), "none": ""}
	for name, hint := range hints {
		for _, keyid := range []string{"", "SHA256:nonsense", attest.KeyHint(bob.Public())} {
			e := opens(t, forge(attest.PayloadType, payload, sig, hint, keyid), trusted...)
			if e.ID().Credential != verify.KeyCredential(alice.Public()) {
				t.Errorf("%s hint, keyid %q: signed by %s", name, keyid, e.ID().Credential)
			}
		}
	}
	_, forged, _ := parts(t, sign(t, payload, mallory))
	refuses(t, "stranger under a trusted hint", attest.CodeSigInvalid, forge(attest.PayloadType, payload, forged, hints["right"], hints["right"]), trusted...)
	refuses(t, "stranger under no hint", attest.CodeKeyUnknown, forge(attest.PayloadType, payload, forged, "", hints["right"]), trusted...)
}

// ENV-10: (r, n-s) is another signature and the same evidence.
func TestOpenMalleatedSignature(t *testing.T) {
	s := signer(t, "p256")
	b := sign(t, statement(t), s)
	payload, sig, hint := parts(t, b)
	var rs struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(sig, &rs)
	must(t, err)
	rs.S.Sub(elliptic.P256().Params().N, rs.S)
	twin, err := asn1.Marshal(rs)
	must(t, err)
	if bytes.Equal(sig, twin) {
		t.Fatal("the signature did not change")
	}
	if x, y := opens(t, b, s.Public()), opens(t, forge(attest.PayloadType, payload, twin, hint, ""), s.Public()); x.ID() != y.ID() {
		t.Errorf("two identities: %v and %v", x.ID(), y.ID())
	}
}

// ENV-21: an authentic signature over something that is no statement.
func TestOpenGarbagePayload(t *testing.T) {
	s, mallory := signer(t, "p256"), signer(t, "p256")
	opens(t, signRaw(t, s, statement(t)), s.Public())
	dup := `{"_type":"https://in-toto.io/Statement/v1","_type":"https://in-toto.io/Statement/v1"}`
	for in, want := range map[string]attest.Code{
		"not json": attest.CodeJSON, "7": attest.CodeJSON, "null": attest.CodeJSON, "[]": attest.CodeJSON, "{} {}": attest.CodeJSON, "\xff": attest.CodeJSON,
		"{}": attest.CodeStatement, dup: attest.CodeDupKey, strings.Repeat("[", 100_000): attest.CodeLimit,
	} {
		name := fmt.Sprintf("%.20q", in)
		refuses(t, name, want, signRaw(t, s, []byte(in)), s.Public())
		refuses(t, name+" by a stranger", attest.CodeKeyUnknown, signRaw(t, mallory, []byte(in)), s.Public())
	}
	e, err := verify.Open(signRaw(t, s, nil), verify.Signers{Keys: []attest.PublicKey{s.Public()}})
	if err == nil || !e.IsZero() {
		t.Errorf("an empty payload: %v, %v", e, err)
	}
}

// ENV-12, ENV-17, ENV-18: the bundle's own shape.
func TestOpenShape(t *testing.T) {
	s := signer(t, "p256")
	b := string(sign(t, statement(t), s))
	opens(t, []byte(b), s.Public())
	for name, c := range map[string]struct {
		bundle string
		want   attest.Code
	}{
		"v0.2":           {strings.Replace(b, "v0.3", "v0.2", 1), attest.CodeBundleVersion},
		"duplicate":      {strings.Replace(b, "{", `{"mediaType":"x",`, 1), attest.CodeDupKey},
		"snake case":     {strings.Replace(b, "dsseEnvelope", "dsse_envelope", 1), attest.CodeNonCanonical},
		"two documents":  {b + "{}", attest.CodeJSON},
		"empty":          {"", attest.CodeJSON},
		"null":           {"null", attest.CodeBundleParse},
		"deep":           {strings.Repeat("[", 100_000), attest.CodeLimit},
		"over the limit": {b + strings.Repeat(" ", attest.MaxBundle), attest.CodeLimit},
		"certificate":    {strings.Replace(b, `"publicKey":{"hint":"`+attest.KeyHint(s.Public())+`"}`, `"certificate":{"rawBytes":"`+b64(certificate(t))+`"}`, 1), attest.CodeKeyUnknown},
	} {
		if c.bundle == b {
			t.Fatalf("%s: the bundle did not change", name)
		}
		refuses(t, name, c.want, []byte(c.bundle), s.Public())
	}
}

// certificate makes a self-signed certificate.
func certificate(t testing.TB) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	must(t, err)
	return der
}

// Signed but undecodable is evidence: it counts against what depends on it.
func TestOpenUndecodablePredicate(t *testing.T) {
	s := signer(t, "p256")
	p, err := attest.NewStatement(attest.Subject{Digest: artifact("model")}, "https://slsa.dev/provenance/v1", map[string]any{"nonsense": true})
	must(t, err)
	e := opens(t, sign(t, p, s), s.Public())
	facts, err := e.Facts()
	if attest.RefusalCode(err) == "" {
		t.Errorf("the predicate decodes: %v", err)
	}
	if facts.Type != predicate.TypeProvenance || facts.BuildType != "" || len(facts.Inputs) != 0 || facts.Tree != nil {
		t.Errorf("half-read facts: %+v", facts)
	}
}

// ENV-22: one Opener, 64 goroutines, good and bad bundles; run with -race too.
func TestOpenerConcurrently(t *testing.T) {
	var keys []attest.PublicKey
	var bundles [][]byte
	for _, kind := range kinds {
		s := signer(t, kind)
		keys = append(keys, s.Public())
		b := sign(t, statement(t), s)
		payload, sig, hint := parts(t, b)
		bad := bytes.Clone(sig)
		bad[len(bad)-1] ^= 1
		bundles = append(bundles, b, forge(attest.PayloadType, payload, sig, "", ""), forge(attest.PayloadType, payload, bad, hint, ""), sign(t, payload, signer(t, kind)), []byte("{"))
	}
	o, err := verify.NewOpener(verify.Signers{Keys: keys})
	must(t, err)
	type answer struct {
		id   verify.ID
		code attest.Code
	}
	ask := func(i int) answer {
		e, err := o.Open(bundles[i%len(bundles)])
		return answer{e.ID(), attest.RefusalCode(err)}
	}
	var serial []answer
	opened := 0
	for i := range bundles {
		serial = append(serial, ask(i))
		if serial[i].code == "" {
			opened++
		}
	}
	if opened != 6 {
		t.Fatalf("%d of %d bundles open, want 6", opened, len(bundles))
	}
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for g := range 64 {
		wg.Go(func() {
			for i := range 16 {
				if got, want := ask(g+i), serial[(g+i)%len(bundles)]; got != want {
					errs <- fmt.Errorf("goroutine %d bundle %d: %v, alone %v", g, i, got, want)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func TestZeroValuesSayNothing(t *testing.T) {
	var e verify.Evidence
	if _, err := e.Facts(); err == nil || !e.IsZero() || !e.ID().Payload.IsZero() || len(e.Subjects()) != 0 || !e.About().IsZero() {
		t.Error("the zero Evidence says something")
	}
	var c verify.Chain
	if !c.Root().IsZero() || c.Artifact(artifact("x")) != nil || len(c.Artifacts())+len(c.Edges())+len(c.Gaps())+len(c.Findings())+c.Strangers() != 0 || c.Depth(artifact("x")) != -1 || c.Cycle(e) != nil {
		t.Error("the zero Chain says something")
	}
	if !c.Artifact(artifact("x")).Gapped() {
		t.Error("an artifact nobody looked at is not gapped")
	}
}

// Whatever the bytes: no panic, an error has a code and comes with nothing, and
// what opens was signed.
func FuzzOpen(f *testing.F) {
	w := chaintest.New(f) // its keys are the same in every fuzzing process
	s, key := w.Signer("fuzz"), w.Key("fuzz")
	good := sign(f, statement(f), s)
	want := opens(f, good, key).ID()
	payload, sig, hint := parts(f, good)
	f.Add(good)
	f.Add(forge(attest.PayloadType, payload, sig, "", "x"))
	f.Add(forge(attest.PayloadType, []byte("[]"), sig, hint, ""))
	f.Add([]byte(`{"mediaType":"` + attest.MediaTypeBundle + `"}`))
	o, err := verify.NewOpener(verify.Signers{Keys: []attest.PublicKey{key}})
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		switch e, err := o.Open(b); {
		case err == nil && e.ID() != want:
			t.Fatalf("opened as %v", e.ID())
		case err != nil && (!e.IsZero() || attest.RefusalCode(err) == ""):
			t.Fatalf("refused with %v and evidence %v", err, e.ID())
		}
	})
}
