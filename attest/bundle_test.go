package attest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Most ENV rows end here or in verify: what is wrong with a bundle's form is
// refused by ParseBundle, what is wrong with its signature by verify.Open.

func TestParseBundle(t *testing.T) {
	b, err := ParseBundle(testBundle(t))
	accepted(t, err)
	if !bytes.Equal(b.Payload, testStatement(t)) || b.KeyHint == "" || b.Certificate != nil {
		t.Errorf("read as %+v", b)
	}
	b, err = ParseBundle([]byte(fullBundle(t)))
	accepted(t, err)
	if len(b.LogEntries) != 1 || len(b.Timestamps) != 1 || len(b.Certificate) == 0 || b.KeyHint != "" {
		t.Errorf("read as %+v", b)
	}
}

func TestBundleRefusals(t *testing.T) {
	key, full := string(testBundle(t)), fullBundle(t)
	for _, s := range []string{key, full} {
		_, err := ParseBundle([]byte(s))
		accepted(t, err)
	}
	sigs := key[strings.Index(key, `"signatures":`) : len(key)-2]
	one := strings.TrimSuffix(strings.TrimPrefix(sigs, `"signatures":[`), "]")
	raw := full[strings.Index(full, `"rawBytes":`):strings.Index(full, `},`)]
	entry := full[strings.Index(full, `[{"logIndex"`)+1 : strings.Index(full, `],"timestampVerificationData"`)]
	for _, c := range []struct {
		name string
		in   string
		want Code
	}{
		{"ENV-04 payload type", swap(t, key, PayloadType, "application/json"), CodePayloadType},
		{"ENV-04 payload type is no string", swap(t, key, `"`+PayloadType+`"`, "1"), CodePayloadType},
		{"ENV-05 no signature", swap(t, key, sigs, `"signatures":[]`), CodeSigCount},
		{"ENV-05 no signatures field", swap(t, key, ","+sigs, ``), CodeSigCount},
		{"ENV-05 empty signature", swap(t, key, one, `{"sig":""}`), CodeSigCount},
		{"ENV-06 two signatures", swap(t, key, one, one+","+one), CodeSigCount},
		{"ENV-06 valid and garbage", swap(t, key, one, one+`,{"sig":"!"}`), CodeSigCount},
		{"ENV-06 garbage and valid", swap(t, key, one, `{"sig":"!"},`+one), CodeSigCount},
		{"ENV-06 signatures is an object", swap(t, key, "["+one+"]", one), CodeBundleParse},
		{"ENV-08 key id is no string", swap(t, full, `"keyid":"k"`, `"keyid":1`), CodeBundleParse},
		{"ENV-08 hint is no string", swap(t, key, `"hint":"`, `"hint":1,"x":"`), CodeNonCanonical},
		{"ENV-12 v0.2", swap(t, key, "bundle.v0.3", "bundle.v0.2"), CodeBundleVersion},
		{"ENV-12 v0.1", swap(t, key, "bundle.v0.3+json", "bundle+json;version=0.1"), CodeBundleVersion},
		{"ENV-12 v0.3 in the old spelling", swap(t, key, "bundle.v0.3+json", "bundle+json;version=0.3"), CodeBundleVersion},
		{"ENV-12 v0.3.1", swap(t, key, "bundle.v0.3", "bundle.v0.3.1"), CodeBundleVersion},
		{"ENV-12 no version", swap(t, key, `"mediaType":"`+MediaTypeBundle+`",`, ""), CodeBundleVersion},
		{"ENV-13 message signature", swap(t, key, `"dsseEnvelope":{`, `"messageSignature":{`), CodePayloadType},
		{"ENV-13 both", swap(t, key, `"dsseEnvelope":{`, `"messageSignature":{},"dsseEnvelope":{`), CodePayloadType},
		{"ENV-14 chain", swap(t, key, `"publicKey":{`, `"x509CertificateChain":{"certificates":[]},"publicKey":{`), CodeBundleParse},
		{"ENV-14 chain alone", swap(t, full, `"certificate":{`+raw+`}`, `"x509CertificateChain":{"certificates":[{`+raw+`}]}`), CodeNonCanonical},
		{"key and certificate", swap(t, full, `"certificate":{`, `"publicKey":{"hint":"x"},"certificate":{`), CodeBundleParse},
		{"neither key nor certificate", swap(t, full, `"certificate":{`+raw+`},`, ``), CodeBundleParse},
		{"ENV-16 empty DER", swap(t, full, raw, `"rawBytes":""`), CodeBundleParse},
		{"ENV-16 no DER", swap(t, full, raw, ``), CodeBundleParse},
		{"ENV-16 one byte", swap(t, full, raw, `"rawBytes":"MA=="`), CodeBundleParse},
		{"ENV-16 huge DER", swap(t, full, raw, `"rawBytes":"`+strings.Repeat("AAAA", maxCertificate/3+1)+`"`), CodeLimit},
		{"ENV-17 twice", swap(t, key, `"publicKey":{`, `"publicKey":{},"publicKey":{`), CodeDupKey},
		{"ENV-17 case variant", swap(t, key, `"publicKey":{`, `"PublicKey":{},"publicKey":{`), CodeDupKey},
		{"ENV-17 snake case", swap(t, key, `"dsseEnvelope"`, `"dsse_envelope"`), CodeNonCanonical},
		{"ENV-17 snake case deep down", swap(t, full, `"integratedTime"`, `"integrated_time"`), CodeNonCanonical},
		{"ENV-17 unknown", swap(t, key, `"dsseEnvelope"`, `"more":1,"dsseEnvelope"`), CodeNonCanonical},
		{"ENV-17 unknown beside the key", swap(t, key, `"publicKey"`, `"more":1,"publicKey"`), CodeNonCanonical},
		{"ENV-17 unknown in the envelope", swap(t, key, `"payloadType"`, `"more":1,"payloadType"`), CodeNonCanonical},
		{"ENV-17 unknown in the signature", swap(t, key, `"sig"`, `"more":1,"sig"`), CodeNonCanonical},
		{"ENV-17 unknown in an entry", swap(t, full, `"canonicalizedBody"`, `"more":1,"canonicalizedBody"`), CodeNonCanonical},
		{"ENV-17 unknown in a proof", swap(t, full, `"treeSize"`, `"more":1,"treeSize"`), CodeNonCanonical},
		{"ENV-17 unknown in a checkpoint", swap(t, full, `"envelope"`, `"more":1,"envelope"`), CodeNonCanonical},
		{"ENV-17 unknown in a timestamp", swap(t, full, `"signedTimestamp"`, `"more":1,"signedTimestamp"`), CodeNonCanonical},
		{"ENV-17 unknown among timestamps", swap(t, full, `"rfc3161Timestamps"`, `"more":1,"rfc3161Timestamps"`), CodeNonCanonical},
		{"null entries", swap(t, full, `[`+entry+`]`, `null`), CodeBundleParse},
		{"an entry is no object", swap(t, full, entry, `7`), CodeBundleParse},
		{"too many entries", swap(t, full, entry, entry+strings.Repeat(","+entry, maxLogEntries)), CodeLimit},
		{"too many timestamps", swap(t, full, `{"signedTimestamp":"AAAA"}`, `{}`+strings.Repeat(",{}", maxTimestamps)), CodeLimit},
		{"too many hashes", swap(t, full, `"hashes":["AAAA"]`, `"hashes":["AAAA"`+strings.Repeat(`,"AAAA"`, maxProofHashes)+`]`), CodeLimit},
		{"ENV-18 trailing document", key + "{}", CodeJSON},
		{"ENV-18 byte order mark", "\ufeff" + key, CodeJSON},
		{"ENV-18 NUL", key + "\x00", CodeJSON},
		{"ENV-18 invalid UTF-8", swap(t, full, `"keyid":"k"`, "\"keyid\":\"\xff\""), CodeJSON},
		{"ENV-18 deep", strings.Repeat("[", 100_000), CodeLimit},
		{"ENV-18 large", `"` + strings.Repeat("a", MaxBundle) + `"`, CodeLimit},
		{"empty", "", CodeJSON},
		{"null", "null", CodeBundleParse},
		{"array", "[]", CodeBundleParse},
		{"no material", `{"mediaType":"` + MediaTypeBundle + `"}`, CodeBundleParse},
		{"no envelope", `{"mediaType":"` + MediaTypeBundle + `","verificationMaterial":{"publicKey":{"hint":"x"}}}`, CodeBundleParse},
		{"null envelope", `{"mediaType":"` + MediaTypeBundle + `","verificationMaterial":{"publicKey":{}},"dsseEnvelope":null}`, CodeBundleParse},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := ParseBundle([]byte(c.in))
			refused(t, err, c.want)
			if b != nil {
				t.Error("an error came with a bundle")
			}
		})
	}
}

func TestENV09NonCanonicalBase64(t *testing.T) {
	full := fullBundle(t)
	payload := base64.StdEncoding.EncodeToString(testStatement(t))
	if !strings.HasSuffix(payload, "=") {
		payload = base64.StdEncoding.EncodeToString(append(testStatement(t), ' '))
		full = swap(t, full, base64.StdEncoding.EncodeToString(testStatement(t)), payload)
	}
	_, err := ParseBundle([]byte(full))
	accepted(t, err)
	// One more than the last character before the padding: the bits that padding
	// leaves over are no longer zero.
	cut := strings.TrimRight(payload, "=")
	loose := cut[:len(cut)-1] + string(cut[len(cut)-1]+1) + payload[len(cut):]
	for name, bad := range map[string]string{
		"newline": payload[:8] + `\n` + payload[8:], "carriage return": payload + `\r`,
		"trailing bits": loose, "no padding": cut, "more padding": payload + "=",
		"URL alphabet": "-_-_", "space": payload[:8] + " " + payload[8:],
	} {
		t.Run("ENV-09 "+name, func(t *testing.T) {
			_, err := ParseBundle([]byte(swap(t, full, payload, bad)))
			refused(t, err, CodeNonCanonical)
		})
	}
	for _, field := range []string{"keyId", "signedEntryTimestamp", "rootHash", "canonicalizedBody", "signedTimestamp", "sig"} {
		t.Run("ENV-09 in "+field, func(t *testing.T) {
			_, err := ParseBundle([]byte(swap(t, full, `"`+field+`":"AAAA"`, `"`+field+`":"AAAB="`)))
			refused(t, err, CodeNonCanonical)
			_, err = ParseBundle([]byte(swap(t, full, `"`+field+`":"AAAA"`, `"`+field+`":7`)))
			refused(t, err, CodeBundleParse)
		})
	}
	_, err = ParseBundle([]byte(swap(t, full, `["AAAA"]`, `["AAB="]`)))
	refused(t, err, CodeNonCanonical)
}

func TestENV16CertificateCutAtEveryLength(t *testing.T) {
	full := fullBundle(t)
	b, err := ParseBundle([]byte(full))
	accepted(t, err)
	whole := base64.StdEncoding.EncodeToString(b.Certificate)
	for n := range len(b.Certificate) {
		_, err := ParseBundle([]byte(swap(t, full, whole, base64.StdEncoding.EncodeToString(b.Certificate[:n]))))
		refused(t, err, CodeBundleParse)
	}
}

// The signature over garbage is valid; the payload still is no statement.
func TestENV21SignedGarbage(t *testing.T) {
	_, err := ParseBundle(rawBundle(t, PayloadType, testStatement(t)))
	accepted(t, err)
	for _, payload := range []string{"not json", "7", "null", "[]", "", `"text"`} {
		t.Run("ENV-21 "+payload, func(t *testing.T) {
			b, err := ParseBundle(rawBundle(t, PayloadType, []byte(payload)))
			if err != nil {
				t.Fatal(err)
			}
			s, err := ParseStatement(b.Payload)
			refused(t, err, CodeJSON)
			if s != nil {
				t.Error("an error came with a statement")
			}
			_, err = Sign(context.Background(), []byte(payload), newKey(t, P256))
			refused(t, err, CodeJSON)
		})
	}
}

func TestSign(t *testing.T) {
	for _, a := range []KeyAlgorithm{P256, P384, Ed25519} {
		k := newKey(t, a)
		b, err := Sign(context.Background(), testStatement(t), k)
		accepted(t, err)
		got, err := ParseBundle(b)
		accepted(t, err)
		var doc bundleJSON
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		sig := doc.DSSEEnvelope.Signatures[0].Sig
		if !verifies(k.Public(), dsse.PAE(PayloadType, got.Payload), sig) {
			t.Errorf("%s: the signature is not over DSSE's encoding", a)
		}
		// ENV-24: what is signed is never the bare payload, nor under another type.
		if verifies(k.Public(), got.Payload, sig) || verifies(k.Public(), dsse.PAE("application/json", got.Payload), sig) {
			t.Errorf("%s: ENV-24: the signature fits another protocol", a)
		}
	}
	_, err := Sign(context.Background(), testStatement(t), nobody{})
	refused(t, err, CodeKey)
}

type nobody struct{}

func (nobody) SignMessage(context.Context, []byte) ([]byte, error) { return []byte{1}, nil }
func (nobody) Material() Material                                  { return Material{} }

func FuzzParseBundle(f *testing.F) {
	f.Add(testBundle(f))
	f.Add([]byte(fullBundle(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseBundle(b)
		if err != nil {
			if got != nil || RefusalCode(err) == "" {
				t.Fatalf("a bundle with an error, or an error without a code: %v", err)
			}
			return
		}
		// One payload has one base64 form, so it stands in the bundle literally.
		if !bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(got.Payload))) && !bytes.Contains(b, []byte(`\`)) {
			t.Fatal("the payload is not what the bundle spells")
		}
	})
}
