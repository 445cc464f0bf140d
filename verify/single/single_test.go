package single_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/single"
)

// verifies is the positive twin of the refusals.
func verifies(t testing.TB, v vector) *single.Report {
	t.Helper()
	r, err := v.check(false)
	if err != nil {
		t.Fatalf("%s must verify, or this test proves nothing: %v", v.name, err)
	}
	return r
}

func refuses(t testing.TB, what string, want attest.Code, v vector, byDigest bool) {
	t.Helper()
	r, err := v.check(byDigest)
	if got := attest.RefusalCode(err); got != want || r != nil {
		t.Errorf("%s: %q (%v), want %q", what, got, err, want)
	}
}

// edited returns the case with its bundle changed as a tree.
func edited(t testing.TB, v vector, change func(bundle map[string]any)) vector {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(v.question.Bundle, &doc); err != nil {
		t.Fatal(err)
	}
	change(doc)
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	v.question.Bundle = b
	return v
}

func material(doc map[string]any) map[string]any {
	return doc["verificationMaterial"].(map[string]any)
}

func repeated(n int, item any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = item
	}
	return out
}

// IDN-01, IDN-04, IDN-05, IDN-06: identities are whole strings.
func TestIdentityIsExact(t *testing.T) {
	v := load(t, "happy-path-v0.3")
	verifies(t, v)
	id := v.question.Identity
	for what, other := range map[string]single.Identity{
		"a pattern":          {Subject: ".*", Issuer: id.Issuer},
		"an issuer pattern":  {Subject: id.Subject, Issuer: ".*"},
		"a part":             {Subject: strings.TrimSuffix(id.Subject, "@refs/heads/main"), Issuer: id.Issuer},
		"more":               {Subject: id.Subject + "x", Issuer: id.Issuer},
		"a dot for a dot":    {Subject: strings.Replace(id.Subject, ".", "x", 1), Issuer: id.Issuer},
		"another case":       {Subject: strings.Replace(id.Subject, "https", "HTTPS", 1), Issuer: id.Issuer},
		"a look-alike":       {Subject: strings.Replace(id.Subject, "o", "\u043e", 1), Issuer: id.Issuer},
		"another issuer":     {Subject: id.Subject, Issuer: "https://accounts.example.com"},
		"an issuer with a /": {Subject: id.Subject, Issuer: id.Issuer + "/"},
	} {
		v.question.Identity = other
		refuses(t, what, attest.CodeIdentity, v, false)
		refuses(t, what, attest.CodeIdentity, v, true)
	}
	for what, half := range map[string]single.Identity{"no subject": {Issuer: id.Issuer}, "no issuer": {Subject: id.Subject}, "nobody": {}} {
		v.question.Identity = half
		refuses(t, what, attest.CodeUsage, v, false)
	}
}

// IDN-21, and everything else that makes a question none.
func TestIncompleteQuestions(t *testing.T) {
	v := load(t, "managed-key-happy-path")
	verifies(t, v)
	both := v
	both.question.Identity = single.Identity{Subject: "a", Issuer: "b"}
	refuses(t, "key and identity", attest.CodeUsage, both, false)
	if r, err := single.Check(single.Question{}); r != nil || attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("the zero Question: %v, %v", r, err)
	}
	named := load(t, "happy-path-v0.3")
	named.question.TrustedRoot = nil
	refuses(t, "identity without trusted root", attest.CodeUsage, named, false)
	q := load(t, "happy-path-v0.3").question
	for what, a := range map[string]single.Artifact{"no artifact": {}, "two": {Digest: attest.SHA256(nil), Content: strings.NewReader("")}} {
		q.Artifact = a
		if r, err := single.Check(q); r != nil || attest.RefusalCode(err) != attest.CodeUsage {
			t.Errorf("%s: %v, %v", what, r, err)
		}
	}
	q.Artifact = single.Artifact{Content: iotest.ErrReader(errors.New("disk on fire"))}
	if r, err := single.Check(q); r != nil || attest.RefusalCode(err) != attest.CodeFileIO {
		t.Errorf("an unreadable artifact: %v, %v", r, err)
	}
}

// A certificate with two names is refused for that, before anything else.
func TestCertificateWithTwoNames(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, emails := range map[attest.Code][]string{attest.CodeIdentity: {"a@example.test", "b@example.test"}, attest.CodeSigInvalid: {"a@example.test"}} {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), EmailAddresses: emails}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		v := edited(t, load(t, "happy-path-v0.3"), func(doc map[string]any) {
			material(doc)["certificate"] = map[string]any{"rawBytes": base64.StdEncoding.EncodeToString(der)}
		})
		refuses(t, strings.Join(emails, " and "), want, v, false)
	}
}

func TestWrongKey(t *testing.T) {
	v := load(t, "managed-key-happy-path")
	r := verifies(t, v)
	if r.Key.IsZero() || r.Certificate != nil || len(r.Log) != 1 || len(r.Timestamps) != 1 {
		t.Errorf("report %+v", r)
	}
	for _, a := range []attest.KeyAlgorithm{attest.P256, attest.P384, attest.Ed25519} {
		k, err := attest.GenerateKey(a)
		if err != nil {
			t.Fatal(err)
		}
		v.key = k.Public().PEM()
		refuses(t, a.String(), attest.CodeSigInvalid, v, false)
	}
	named := load(t, "happy-path-v0.3")
	named.key, named.question.Identity = v.key, single.Identity{}
	refuses(t, "a key for a certificate", attest.CodeKeyUnknown, named, false)
}

// Without a trusted root the key's signature is all that is verified, and the
// report doesn't say otherwise.
func TestKeyAlone(t *testing.T) {
	v := load(t, "managed-key-happy-path")
	v.question.TrustedRoot = nil
	r := verifies(t, v)
	if len(r.Log) != 0 || len(r.Timestamps) != 0 || !r.TrustedRoot.IsZero() {
		t.Errorf("the report claims a log or a time: %+v", r)
	}
	skipped := strings.Join(r.NotChecked, "\n")
	for _, want := range []string{"1 log entries", "timestamps (1)", "when it was signed"} {
		if !strings.Contains(skipped, want) {
			t.Errorf("not checked: %q, want %q", skipped, want)
		}
	}
	// A root that lists logs demands an entry: stripping it must not pass.
	stripped := edited(t, load(t, "managed-key-happy-path"), func(doc map[string]any) { delete(material(doc), "tlogEntries") })
	refuses(t, "entries stripped", attest.CodeLogProof, stripped, false)
	stripped.question.TrustedRoot = nil
	verifies(t, stripped)
}

// What the trusted root lists is demanded, and what it doesn't list is not claimed.
func TestTrustedRootDemands(t *testing.T) {
	v := load(t, "happy-path-v0.3")
	verifies(t, v)
	without := func(keys ...string) vector {
		var doc map[string]any
		if err := json.Unmarshal(v.question.TrustedRoot, &doc); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if _, ok := doc[k]; !ok {
				t.Fatalf("the trusted root has no %s", k)
			}
			delete(doc, k)
		}
		changed := v
		var err error
		if changed.question.TrustedRoot, err = json.Marshal(doc); err != nil {
			t.Fatal(err)
		}
		return changed
	}
	refuses(t, "no log, and so no time", attest.CodeTimeMissing, without("tlogs"), false)
	refuses(t, "no authority", attest.CodeCertChain, without("certificateAuthorities"), false)
	r := verifies(t, without("ctlogs", "timestampAuthorities"))
	if len(r.Certificate.Transparency) != 0 || !strings.Contains(strings.Join(r.NotChecked, "\n"), "certificate transparency") {
		t.Errorf("the report claims a certificate timestamp, or hides that there is none: %+v", r)
	}
	stripped := edited(t, v, func(doc map[string]any) { delete(material(doc), "tlogEntries") })
	refuses(t, "entries stripped", attest.CodeLogProof, stripped, false)
}

// Our own bundles: every kind of key, statements, and no log.
func TestOurBundles(t *testing.T) {
	artifact := []byte("weights")
	for _, a := range []attest.KeyAlgorithm{attest.P256, attest.P384, attest.Ed25519} {
		k, err := attest.GenerateKey(a)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := attest.NewStatement(attest.Subject{Name: "model", Digest: attest.SHA256(artifact)}, "https://example.test/note/v1", map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := attest.Sign(t.Context(), payload, k)
		if err != nil {
			t.Fatal(err)
		}
		v := vector{name: a.String(), artifact: artifact, key: k.Public().PEM(), question: single.Question{Bundle: b}}
		r := verifies(t, v)
		want := []single.Subject{{Name: "model", Digest: attest.SHA256(artifact), Matches: true}}
		if r.Key != k.Public().Fingerprint() || r.Statement.Payload != attest.SHA256(payload) || !reflect.DeepEqual(r.Statement.Subjects, want) {
			t.Errorf("report %+v %+v", r, r.Statement)
		}
		v.artifact = []byte("other weights")
		refuses(t, "another artifact", attest.CodeSubjectMismatch, v, false)
		refuses(t, "another digest", attest.CodeSubjectMismatch, v, true)
		v.artifact = artifact
		v.question.Bundle = b
		refuses(t, "two signatures", attest.CodeSigCount, edited(t, v, func(doc map[string]any) {
			e := doc["dsseEnvelope"].(map[string]any)
			e["signatures"] = repeated(2, e["signatures"].([]any)[0])
		}), false)
		v.question.Bundle = bytes.Replace(b, []byte(attest.PayloadType), []byte("text/plain"), 1)
		refuses(t, "another payload type", attest.CodePayloadType, v, false)
	}
}

// What is signed and no statement is refused with the reader's own code; sigstore-go
// alone would take a statement without _type.
func TestStatementIsReadStrictly(t *testing.T) {
	k, err := attest.GenerateKey(attest.P256)
	if err != nil {
		t.Fatal(err)
	}
	d := attest.SHA256([]byte("x")).Hex()
	for payload, want := range map[string]attest.Code{
		`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + d + `"}}],"predicateType":"https://example.test/a","predicate":{}}`:            "",
		`{"subject":[{"digest":{"sha256":"` + d + `"}}],"predicateType":"https://example.test/a","predicate":{}}`:                                                      attest.CodeStatement,
		`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + strings.ToUpper(d) + `"}}],"predicateType":"https://example.test/a"}`:          attest.CodeDigestFormat,
		`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + d + `","sha512":"00"}}],"predicateType":"https://example.test/a"}`:             attest.CodeDigestAlg,
		`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + d + `"}}],"predicateType":"https://example.test/a","predicate":{"a":1,"a":2}}`: attest.CodeDupKey,
		``: attest.CodeBundleParse,
	} {
		v := vector{name: payload, artifact: []byte("x"), key: k.Public().PEM()}
		v.question.Bundle = envelope(t, k, []byte(payload))
		r, err := v.check(false)
		if got := attest.RefusalCode(err); got != want || (r == nil) != (want != "") {
			t.Errorf("%s: %v, want %q", payload, err, want)
		}
	}
}

// IDN-12 and TIM-08: entries exchanged between two good bundles.
func TestSwappedLogEntry(t *testing.T) {
	a, b := load(t, "happy-path-v0.3"), load(t, "happy-path-v0.2")
	verifies(t, a)
	verifies(t, b)
	var other any
	edited(t, b, func(doc map[string]any) { other = material(doc)["tlogEntries"] })
	refuses(t, "another bundle's entry", attest.CodeLogMismatch, edited(t, a, func(doc map[string]any) { material(doc)["tlogEntries"] = other }), false)
	twice := edited(t, a, func(doc map[string]any) {
		m := material(doc)
		m["tlogEntries"] = repeated(2, m["tlogEntries"].([]any)[0])
	})
	refuses(t, "the same entry twice", attest.CodeLogProof, twice, false)
}

// rekor2-timestamp-with-incorrect-time, with the base64 that it meant to have.
func TestIncorrectTime(t *testing.T) {
	v := load(t, "rekor2-timestamp-with-incorrect-time_fail")
	repaired := edited(t, v, func(doc map[string]any) {
		stamp := material(doc)["timestampVerificationData"].(map[string]any)["rfc3161Timestamps"].([]any)[0].(map[string]any)
		stamp["signedTimestamp"] = strings.ReplaceAll(stamp["signedTimestamp"].(string), "\n", "")
	})
	refuses(t, "a timestamp long after the certificate", attest.CodeTimeWindow, repaired, false)
}

// TIM-12 and the other limits: reached before anything is parsed or verified.
func TestLimits(t *testing.T) {
	v := load(t, "managed-key-happy-path")
	verifies(t, v)
	long := v
	long.question.Bundle = append(bytes.Clone(v.question.Bundle), bytes.Repeat([]byte(" "), attest.MaxBundle)...)
	refuses(t, "a bundle over 16 MiB", attest.CodeLimit, long, false)
	full := v
	full.question.Bundle = append(bytes.Clone(v.question.Bundle), bytes.Repeat([]byte(" "), attest.MaxBundle-len(v.question.Bundle))...)
	verifies(t, full)
	for _, n := range []int{33, 10_000} {
		refuses(t, "entries", attest.CodeLimit, edited(t, v, func(doc map[string]any) { material(doc)["tlogEntries"] = repeated(n, nil) }), false)
		refuses(t, "timestamps", attest.CodeLimit, edited(t, v, func(doc map[string]any) {
			material(doc)["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": repeated(n, nil)}
		}), false)
	}
	root := v
	pad := bytes.Repeat([]byte(" "), single.MaxTrustedRoot-len(v.question.TrustedRoot))
	root.question.TrustedRoot = append(bytes.Clone(v.question.TrustedRoot), pad...)
	verifies(t, root)
	root.question.TrustedRoot = append(root.question.TrustedRoot, ' ')
	refuses(t, "a long trusted root", attest.CodeTrustRoot, root, false)
	root.question.TrustedRoot = []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[],"tlogs":[]}`)
	refuses(t, "a trusted root with two readings", attest.CodeTrustRoot, root, false)
}

// Every byte of the signature, and of the artifact, matters.
func TestFlippedBytes(t *testing.T) {
	v := load(t, "managed-key-happy-path")
	verifies(t, v)
	for i := range v.artifact {
		bad := v
		bad.artifact = bytes.Clone(v.artifact)
		bad.artifact[i] ^= 1
		refuses(t, "artifact", attest.CodeSubjectMismatch, bad, false)
	}
	var size int
	edited(t, v, func(doc map[string]any) { size = len(signature(t, doc)) })
	for i := range size {
		bad := edited(t, v, func(doc map[string]any) {
			sig := signature(t, doc)
			sig[i] ^= 1
			doc["messageSignature"].(map[string]any)["signature"] = base64.StdEncoding.EncodeToString(sig)
		})
		refuses(t, "signature", attest.CodeSigInvalid, bad, false)
	}
}

func signature(t testing.TB, doc map[string]any) []byte {
	t.Helper()
	sig, err := base64.StdEncoding.DecodeString(doc["messageSignature"].(map[string]any)["signature"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// A plain Ed25519 signature over a message needs the message.
func TestEd25519Message(t *testing.T) {
	k, err := attest.GenerateKey(attest.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	for _, artifact := range [][]byte{[]byte("weights"), {}} {
		v := vector{name: "ed25519", artifact: artifact, key: k.Public().PEM()}
		v.question.Bundle = message(t, k, artifact)
		verifies(t, v)
		refuses(t, "by digest", attest.CodeUsage, v, true)
		v.artifact = []byte("other")
		refuses(t, "another artifact", attest.CodeSubjectMismatch, v, false)
		v.artifact, v.question.Bundle = artifact, message(t, k, []byte("other"))
		v.question.Bundle = bytes.Replace(v.question.Bundle, digestOf([]byte("other")), digestOf(artifact), 1)
		refuses(t, "another signature", attest.CodeSigInvalid, v, false)
	}
}

func TestDeterministic(t *testing.T) {
	v := load(t, "rekor2-dsse-happy-path")
	want, err := json.Marshal(verifies(t, v))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if got, err := json.Marshal(verifies(t, v)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s\n%s\n%v", got, want, err)
		}
	}
}

func digestOf(b []byte) []byte {
	s := attest.SHA256(b).Hex()
	raw := make([]byte, len(s)/2)
	for i := range raw {
		raw[i] = unhex(s[2*i])<<4 | unhex(s[2*i+1])
	}
	return []byte(base64.StdEncoding.EncodeToString(raw))
}

func unhex(c byte) byte { return byte(strings.IndexByte("0123456789abcdef", c)) }

// message makes a bundle with a message signature and no log.
func message(t testing.TB, k *attest.KeySigner, content []byte) []byte {
	t.Helper()
	sig, err := k.SignMessage(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"mediaType":"` + attest.MediaTypeBundle + `","verificationMaterial":{"publicKey":{"hint":"x"}},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"` +
		string(digestOf(content)) + `"},"signature":"` + base64.StdEncoding.EncodeToString(sig) + `"}}`)
}

// envelope makes a bundle with any payload, as attest.Sign would refuse to.
func envelope(t testing.TB, k *attest.KeySigner, payload []byte) []byte {
	t.Helper()
	sig, err := k.SignMessage(t.Context(), dsse.PAE(attest.PayloadType, payload))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"mediaType":"` + attest.MediaTypeBundle + `","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"` +
		base64.StdEncoding.EncodeToString(payload) + `","payloadType":"` + attest.PayloadType + `","signatures":[{"sig":"` + base64.StdEncoding.EncodeToString(sig) + `","keyid":"nonsense"}]}}`)
}

// Whatever the bytes: no panic, an error has a code and comes without report, and
// what verifies is about the artifact that was asked about.
func FuzzCheck(f *testing.F) {
	for _, v := range vectors(f) {
		if len(v.question.Bundle) < 20_000 {
			f.Add(v.question.Bundle)
		}
	}
	v := load(f, "happy-path-v0.3")
	f.Fuzz(func(t *testing.T, b []byte) {
		q := v.question
		q.Bundle, q.Artifact = b, single.Artifact{Digest: attest.SHA256(v.artifact)}
		r, err := single.Check(q)
		if (r == nil) != (err != nil) || err != nil && attest.RefusalCode(err) == "" {
			t.Fatalf("%v, %v", r, err)
		}
		if r != nil && (r.Artifact != q.Artifact.Digest || r.Certificate.Identity != q.Identity.Subject) {
			t.Fatalf("verified as %+v", r)
		}
	})
}
