package policy_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// smallPolicy is a policy with one key file; VERSION and AGE are filled in.
const smallPolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: small, version: VERSION, expires: 2099-01-01T00:00:00Z}
artifact: train
unsafeTime: claimed
principals:
  trainer: {kind: workload, credentials: [{key: keys/trainer.pub}]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    maxAge: AGEh
    inputs: [{role: training-data, accept: any, reason: "a test"}]
`

const smallRoots = `apiVersion: pedigree-ml.github.io/v1
kind: PolicyRoots
policies: [small]
threshold: 2
keys: [a.pub, b.pub, c.pub]
`

// A rootsWorld has the files that policies and roots name, and the root keys.
type rootsWorld struct {
	t     testing.TB
	files map[string][]byte
	keys  map[string]*attest.KeySigner
}

func newRootsWorld(t testing.TB) *rootsWorld {
	t.Helper()
	w := &rootsWorld{t, map[string][]byte{}, map[string]*attest.KeySigner{}}
	// One of each kind: each has its own way to be verified.
	for name, alg := range map[string]attest.KeyAlgorithm{"a": attest.P256, "b": attest.P384, "c": attest.Ed25519, "stranger": attest.P256, "keys/trainer": attest.Ed25519} {
		k, err := attest.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		w.keys[name], w.files[name+".pub"] = k, k.Public().PEM()
	}
	return w
}

func (w *rootsWorld) read(name string) ([]byte, error) {
	if b, ok := w.files[name]; ok {
		return b, nil
	}
	return nil, os.ErrNotExist
}

func smallVersion(version int, age int) string {
	return strings.NewReplacer("VERSION", fmt.Sprint(version), "AGE", fmt.Sprint(age)).Replace(smallPolicy)
}

func (w *rootsWorld) signed(src string, by ...string) *policy.Signed {
	w.t.Helper()
	s, err := policy.NewSigned([]byte(src), w.read)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range by {
		if err := s.Sign(context.Background(), w.keys[name]); err != nil {
			w.t.Fatal(err)
		}
	}
	return s
}

func (w *rootsWorld) envelope(src string, by ...string) []byte {
	w.t.Helper()
	b, err := w.signed(src, by...).Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *rootsWorld) roots(src string) *policy.Roots {
	w.t.Helper()
	r, err := policy.LoadRoots([]byte(src), w.read)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// open reads an envelope and loads it as somebody with roots does.
func (w *rootsWorld) open(b []byte, remembered ...policy.Mark) (*policy.Policy, error) {
	s, err := policy.ParseSigned(b)
	if err != nil {
		return nil, err
	}
	return policy.LoadSigned(s, w.roots(smallRoots), remembered)
}

func refused(t *testing.T, name string, p *policy.Policy, err error, code attest.Code, why string) {
	t.Helper()
	if got := attest.RefusalCode(err); got != code || p != nil || !strings.Contains(fmt.Sprint(err), why) {
		t.Errorf("%s: got %v (a policy: %v), want %s with %q", name, err, p != nil, code, why)
	}
}

func TestSignedPolicyIsTheSameEverywhere(t *testing.T) {
	w := newRootsWorld(t)
	want, err := policy.Load([]byte(smallVersion(7, 1)), w.read)
	if err != nil {
		t.Fatal(err)
	}
	b := w.envelope(smallVersion(7, 1), "a", "c")
	p, err := w.open(b)
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest() != want.Digest() || p.Mark() != (policy.Mark{Name: "policy/small", Number: 7, Content: want.Digest()}) {
		t.Errorf("signed, the policy is %v, and was %s", p.Mark(), want.Digest())
	}
	s, err := policy.ParseSigned(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Marshal()
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("written again it is another text (%v)", err)
	}
	if !policy.IsSigned(b) || policy.IsSigned([]byte(smallVersion(7, 1))) {
		t.Error("the two forms are not told apart")
	}
	// Every kind of key's signature counts.
	for _, pair := range [][]string{{"a", "b"}, {"b", "c"}, {"c", "a"}} {
		if _, err := w.open(w.envelope(smallVersion(7, 1), pair...)); err != nil {
			t.Errorf("signed by %v: %v", pair, err)
		}
	}
}

func TestSignedPolicyTakesItsFilesAlong(t *testing.T) {
	w := newRootsWorld(t)
	w.files["../out.pub"], w.files["/abs.pub"], w.files["latin"] = w.files["a.pub"], w.files["a.pub"], []byte("\xe9")
	for name, code := range map[string]attest.Code{
		"../out.pub": attest.CodePath, "/abs.pub": attest.CodePath, "'c:\\x.pub'": attest.CodePath, "keys/../../out.pub": attest.CodePath,
		"latin": attest.CodePolicyParse, "gone.pub": attest.CodePolicyParse,
	} {
		s, err := policy.NewSigned([]byte(strings.Replace(smallVersion(1, 1), "keys/trainer.pub", name, 1)), w.read)
		if attest.RefusalCode(err) != code || s != nil && err == nil {
			t.Errorf("%s: got %v, want %s", name, err, code)
		}
	}
	// Another spelling inside the folder is the same file.
	w.files["./keys//trainer.pub"] = w.files["keys/trainer.pub"]
	if _, err := w.open(w.envelope(strings.Replace(smallVersion(1, 1), "keys/trainer.pub", "./keys//trainer.pub", 1), "a", "b")); err != nil {
		t.Error(err)
	}
}

// A policy that another one names goes along, with its own files.
func TestSignedPolicyTakesOtherPoliciesAlong(t *testing.T) {
	w := newRootsWorld(t)
	w.files["base/base.yaml"] = []byte(strings.Replace(smallVersion(3, 1), "name: small", "name: base", 1))
	w.files["base/keys/trainer.pub"] = w.files["a.pub"]
	base, err := policy.Load(w.files["base/base.yaml"], func(string) ([]byte, error) { return w.files["a.pub"], nil })
	if err != nil {
		t.Fatal(err)
	}
	src := strings.Replace(smallVersion(7, 1), "steps:", fmt.Sprintf("policies:\n  base: {file: base/base.yaml, digest: %q}\nsteps:", base.Digest()), 1)
	src = strings.Replace(src, "inputs: [", "inputs: [{role: base-model, policy: base}, ", 1)
	want, err := policy.Load([]byte(src), w.read)
	if err != nil {
		t.Fatal(err)
	}
	b := w.envelope(src, "a", "b")
	clear(w.files["base/base.yaml"]) // what is signed does not look back
	p, err := w.open(b)
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest() != want.Digest() {
		t.Errorf("signed, the policy is %s, and was %s", p.Digest(), want.Digest())
	}
	var e envelopeJSON
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base/base.yaml", "base/keys/trainer.pub", "keys/trainer.pub"} {
		if !bytes.Contains(e.Payload, []byte(`"`+name+`":`)) {
			t.Errorf("%s is not in the payload", name)
		}
	}
}

// An envelopeJSON is an envelope that a test takes apart.
type envelopeJSON struct {
	PayloadType string           `json:"payloadType"`
	Payload     []byte           `json:"payload"`
	Signatures  []map[string]any `json:"signatures"`
}

func (w *rootsWorld) edit(b []byte, f func(e *envelopeJSON)) []byte {
	w.t.Helper()
	var e envelopeJSON
	if err := json.Unmarshal(b, &e); err != nil {
		w.t.Fatal(err)
	}
	f(&e)
	out, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// resign gives an envelope good signatures of a and b over whatever it holds.
func (w *rootsWorld) resign(e *envelopeJSON) {
	w.t.Helper()
	e.Signatures = nil
	for _, name := range []string{"a", "b"} {
		sig, err := w.keys[name].SignMessage(context.Background(), dsse.PAE(e.PayloadType, e.Payload))
		if err != nil {
			w.t.Fatal(err)
		}
		e.Signatures = append(e.Signatures, map[string]any{"sig": sig})
	}
}

func TestPolicySignatures(t *testing.T) {
	w := newRootsWorld(t)
	good := w.envelope(smallVersion(7, 1), "a", "b")
	if _, err := w.open(w.edit(good, func(*envelopeJSON) {})); err != nil {
		t.Fatalf("the untouched envelope must load, or this test proves nothing: %v", err)
	}
	twice := func(e *envelopeJSON) { // a's signature, made anew, under another key's id
		sig, err := w.keys["a"].SignMessage(context.Background(), dsse.PAE(e.PayloadType, e.Payload))
		if err != nil {
			t.Fatal(err)
		}
		e.Signatures[1] = map[string]any{"keyid": w.keys["b"].Public().Fingerprint().String(), "sig": sig}
	}
	for _, c := range []struct {
		name string
		edit func(e *envelopeJSON)
		code attest.Code
		why  string
	}{
		{"POL-01 signatures stripped", func(e *envelopeJSON) { e.Signatures = []map[string]any{} }, attest.CodePolicySig, "0 signatures"},
		{"POL-01 signatures null", func(e *envelopeJSON) { e.Signatures = nil }, attest.CodePolicyParse, "signatures is null"},
		{"POL-01 one signature stripped", func(e *envelopeJSON) { e.Signatures = e.Signatures[:1] }, attest.CodePolicySig, "1 of the 3 root keys signed the policy, and 2 must"},
		{"POL-01 empty signature", func(e *envelopeJSON) { e.Signatures[0]["sig"] = "" }, attest.CodePolicySig, "a signature of 0 bytes"},
		{"POL-01 empty block", func(e *envelopeJSON) { e.Signatures[0] = map[string]any{} }, attest.CodePolicyParse, "not a string"},
		{"POL-02 a bad signature under a good id", func(e *envelopeJSON) { e.Signatures[1]["sig"] = []byte("no signature at all") }, attest.CodePolicySig, "1 of the 3"},
		{"POL-02 a stranger's signature under a root's id", func(e *envelopeJSON) {
			sig, _ := w.keys["stranger"].SignMessage(context.Background(), dsse.PAE(e.PayloadType, e.Payload))
			e.Signatures[1]["sig"] = sig
		}, attest.CodePolicySig, "1 of the 3"},
		{"POL-02 one root twice", twice, attest.CodePolicySig, "1 of the 3"},
		{"POL-02 one signature twice", func(e *envelopeJSON) { e.Signatures[1] = e.Signatures[0] }, attest.CodePolicyParse, "twice"},
		{"POL-02 signed without the type", func(e *envelopeJSON) {
			for i, name := range []string{"a", "b"} {
				sig, _ := w.keys[name].SignMessage(context.Background(), e.Payload)
				e.Signatures[i]["sig"] = sig
			}
		}, attest.CodePolicySig, "0 of the 3"},
		{"another payload type, well signed", func(e *envelopeJSON) { e.PayloadType = attest.PayloadType; w.resign(e) }, attest.CodePolicyParse, "payload's type"},
		{"tampered payload", func(e *envelopeJSON) {
			e.Payload = bytes.Replace(e.Payload, []byte("maxAge: 1h"), []byte("maxAge: 9h"), 1)
		}, attest.CodePolicySig, "0 of the 3"},
		{"another digest, well signed", func(e *envelopeJSON) {
			e.Payload = regexp.MustCompile(`"digest":"sha256:.{8}`).ReplaceAll(e.Payload, []byte(`"digest":"sha256:00000000`))
			w.resign(e)
		}, attest.CodePolicySig, "does not read it so"},
		{"a file that the policy does not name, well signed", func(e *envelopeJSON) {
			e.Payload = bytes.Replace(e.Payload, []byte(`"files":{`), []byte(`"files":{"an":"other",`), 1)
			w.resign(e)
		}, attest.CodePolicyParse, "of which the policy names 1"},
		{"a path that escapes, well signed", func(e *envelopeJSON) {
			e.Payload = bytes.Replace(e.Payload, []byte(`"files":{`), []byte(`"files":{"../an":"other",`), 1)
			w.resign(e)
		}, attest.CodePolicyParse, "plain relative path"},
		{"a path in another spelling, well signed", func(e *envelopeJSON) {
			e.Payload = bytes.Replace(e.Payload, []byte(`"keys/trainer.pub"`), []byte(`"./keys/trainer.pub"`), 1)
			w.resign(e)
		}, attest.CodePolicyParse, "plain relative path"},
		{"a payload with white space, well signed", func(e *envelopeJSON) {
			e.Payload = bytes.Replace(e.Payload, []byte(`,"policy"`), []byte(`, "policy"`), 1)
			w.resign(e)
		}, attest.CodePolicyParse, "not canonical"},
		{"a payload with a further field, well signed", func(e *envelopeJSON) {
			e.Payload = bytes.Replace(e.Payload, []byte(`,"policy"`), []byte(`,"more":1,"policy"`), 1)
			w.resign(e)
		}, attest.CodePolicyParse, "unknown field"},
		{"a payload that is a policy, well signed", func(e *envelopeJSON) { e.Payload = []byte(smallVersion(7, 1)); w.resign(e) }, attest.CodePolicyParse, "not strict JSON"},
		{"too many signatures", func(e *envelopeJSON) {
			for i := range 31 {
				e.Signatures = append(e.Signatures, map[string]any{"sig": []byte{byte(i), 1}})
			}
		}, attest.CodePolicySig, "33 signatures"},
		{"a further field", func(e *envelopeJSON) { e.Signatures[0]["cert"] = "x" }, attest.CodePolicyParse, "unknown field"},
	} {
		p, err := w.open(w.edit(good, c.edit))
		refused(t, c.name, p, err, c.code, c.why)
	}

	// What neither helps nor harms.
	for name, edit := range map[string]func(e *envelopeJSON){
		"garbage beside": func(e *envelopeJSON) {
			e.Signatures = append([]map[string]any{{"keyid": "x", "sig": []byte("garbage")}}, e.Signatures...)
		},
		"no key ids":    func(e *envelopeJSON) { delete(e.Signatures[0], "keyid"); delete(e.Signatures[1], "keyid") },
		"wrong key ids": func(e *envelopeJSON) { e.Signatures[0]["keyid"], e.Signatures[1]["keyid"] = "", "sha256:00" },
	} {
		if _, err := w.open(w.edit(good, edit)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Base64 has one spelling, in the envelope and in signatures.
	for name, broken := range map[string]string{
		"a line break in base64": strings.Replace(string(good), `"payload":"`, `"payload":"\n`, 1),
		"text after it":          string(good) + "{}",
		"a field twice":          strings.Replace(string(good), `"payload":`, `"payload":"","payload":`, 1),
		"a field by case":        strings.Replace(string(good), `"payload":`, `"Payload":`, 1),
		"YAML":                   smallVersion(7, 1),
	} {
		p, err := w.open([]byte(broken))
		refused(t, name, p, err, attest.CodePolicyParse, "")
	}
}

func TestEveryFlippedByteOfASignedPolicyRefuses(t *testing.T) {
	w := newRootsWorld(t)
	good := w.envelope(smallVersion(7, 1), "a", "b")
	var e envelopeJSON
	if err := json.Unmarshal(good, &e); err != nil {
		t.Fatal(err)
	}
	roots := w.roots(smallRoots)
	for i := range e.Payload {
		bad := w.edit(good, func(e *envelopeJSON) { e.Payload[i] ^= 1 })
		if s, err := policy.ParseSigned(bad); err == nil {
			if p, err := policy.LoadSigned(s, roots, nil); err == nil || p != nil {
				t.Fatalf("loaded with byte %d of the payload flipped", i)
			}
		}
	}
}

func TestPolicyRollback(t *testing.T) {
	w := newRootsWorld(t)
	seven, err := policy.Load([]byte(smallVersion(7, 1)), w.read)
	if err != nil {
		t.Fatal(err)
	}
	mark := seven.Mark()
	good := w.envelope(smallVersion(7, 1), "a", "b")
	for name, remembered := range map[string][]policy.Mark{
		"nothing remembered": nil, "the same": {mark}, "an older one": {{Name: mark.Name, Number: 6, Content: attest.SHA256(nil)}},
		"another policy": {{Name: "policy/other", Number: 9, Content: attest.SHA256(nil)}},
	} {
		if _, err := w.open(good, remembered...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := w.open(w.envelope(smallVersion(6, 1), "a", "b"), mark)
	refused(t, "POL-04 an older version", p, err, attest.CodePolicyRollback, "version 6, and version 7 was seen before")
	p, err = w.open(w.envelope(smallVersion(7, 2), "a", "b"), mark)
	refused(t, "POL-04 the same version, other content", p, err, attest.CodePolicyRollback, "when it was first seen")
	if _, err := w.open(w.envelope(smallVersion(8, 2), "a", "b"), mark); err != nil {
		t.Errorf("a newer version: %v", err)
	}

	s, err := policy.ParseSigned(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.LoadSigned(s, w.roots(smallRoots+"minVersion: 7\n"), nil); err != nil {
		t.Error(err)
	}
	p, err = policy.LoadSigned(s, w.roots(smallRoots+"minVersion: 8\n"), nil)
	refused(t, "POL-04 below minVersion", p, err, attest.CodePolicyRollback, "the roots ask for 8 at least")
	p, err = policy.LoadSigned(s, w.roots(strings.Replace(smallRoots, "[small]", "[other, third]", 1)), nil)
	refused(t, "a policy of another name", p, err, attest.CodePolicySig, "these roots sign for other, third")
	for _, roots := range []*policy.Roots{nil, {}} {
		p, err = policy.LoadSigned(s, roots, nil)
		refused(t, "POL-01 no roots", p, err, attest.CodePolicySig, "no root keys")
	}
	p, err = policy.LoadSigned(&policy.Signed{}, w.roots(smallRoots), nil)
	refused(t, "POL-01 the zero policy", p, err, attest.CodePolicySig, "0 of the 3")
}

func TestPolicyExpiryIsSigned(t *testing.T) {
	w := newRootsWorld(t)
	_, err := policy.NewSigned([]byte(strings.Replace(smallVersion(1, 1), ", expires: 2099-01-01T00:00:00Z", "", 1)), w.read)
	if attest.RefusalCode(err) != attest.CodePolicyExpired {
		t.Errorf("POL-05 no expiry: got %v", err)
	}
	p, err := w.open(w.envelope(smallVersion(1, 1), "a", "b"))
	if err != nil || p.Expires().Year() != 2099 {
		t.Errorf("the expiry is lost: %v", err)
	}
}

func TestSignTwice(t *testing.T) {
	w := newRootsWorld(t)
	s := w.signed(smallVersion(7, 1), "a", "b", "c")
	for name := range map[string]bool{"a": true, "b": true, "c": true} {
		if err := s.Sign(t.Context(), w.keys[name]); attest.RefusalCode(err) != attest.CodePolicySig {
			t.Errorf("%s signed a second time: %v", name, err)
		}
	}
	if s.Signatures() != 3 {
		t.Errorf("%d signatures, want 3", s.Signatures())
	}
	if _, err := w.signed(smallVersion(7, 1)).Marshal(); attest.RefusalCode(err) != attest.CodePolicySig {
		t.Errorf("written without a signature: %v", err)
	}
	if err := new(policy.Signed).Sign(t.Context(), w.keys["a"]); err == nil {
		t.Error("nothing at all was signed")
	}
}

func TestRoots(t *testing.T) {
	w := newRootsWorld(t)
	w.files["copy.pub"] = append([]byte("\n"), w.files["a.pub"]...)
	r := w.roots(smallRoots + "minVersion: 3\n")
	if r.Threshold() != 2 || len(r.Keys()) != 3 || r.MinVersion() != 3 || cmp.Diff(r.Policies(), []string{"small"}) != "" {
		t.Errorf("read %v", r)
	}
	for _, c := range []struct{ name, old, new, why string }{
		{"POL-18 threshold zero", "threshold: 2", "threshold: 0", "between 1 and"},
		{"POL-18 threshold above the keys", "threshold: 2", "threshold: 4", "cannot be met"},
		{"POL-18 threshold missing", "threshold: 2\n", "", `"threshold" is missing`},
		{"one key under two names", "b.pub", "copy.pub", "listed already"},
		{"one key twice", "b.pub", "a.pub", "listed already"},
		{"no keys", "[a.pub, b.pub, c.pub]", "[]", "cannot be met"},
		{"a key that is not there", "b.pub", "gone.pub", "gone.pub"},
		{"no policies", "[small]", "[]", "policies: none"},
		{"any policy", "[small]", `["*"]`, "not the name of a policy"},
		{"a policy for roots", "PolicyRoots", "Policy", "this version reads PolicyRoots"},
		{"a misspelt key", "policies", "policys", `did you mean "policies"?`},
		{"minVersion zero", "threshold: 2", "minVersion: 0\nthreshold: 2", "between 1 and"},
	} {
		src := strings.Replace(smallRoots, c.old, c.new, 1)
		if src == smallRoots {
			t.Fatalf("%s changes nothing", c.name)
		}
		got, err := policy.LoadRoots([]byte(src), w.read)
		if attest.RefusalCode(err) != attest.CodePolicyParse || got != nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, want E_POLICY_PARSE with %q", c.name, err, c.why)
		}
	}
	if _, err := policy.LoadRoots(nil, w.read); err == nil {
		t.Error("an empty file was read as roots")
	}
}

var update = flag.Bool("update", false, "rewrite the example on the page about signed policies")

// The envelope of the page is real: the roots beside it signed the policy in it.
// The private key is 32 zero bytes, so that the example can be made again.
func TestSignedPolicyPage(t *testing.T) {
	const page = "../docs/format/policy.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) []byte {
		m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(b)
		if m == nil {
			t.Fatalf("the page has no block of %s", language)
		}
		return m[1]
	}
	files := func(string) ([]byte, error) { return block("pem"), nil }
	if *update {
		key, err := attest.NewKeySigner(ed25519.NewKeyFromSeed(make([]byte, 32)))
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.Replace(b, block("pem"), key.Public().PEM(), 1)
		s, err := policy.NewSigned([]byte(smallVersion(1, 720)), files)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Sign(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		text, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "  "); err != nil {
			t.Fatal(err)
		}
		b = bytes.Replace(b, block("json"), indented.Bytes(), 1)
		if err := os.WriteFile(page, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := policy.ParseSigned(block("json"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := policy.LoadRoots(block("yaml"), files)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.LoadSigned(s, roots, nil)
	if err != nil {
		t.Fatalf("if the resolved form of policies changed, run this test with -update: %v", err)
	}
	if p.Name() != "small" || s.SignedBy(roots) != 1 {
		t.Errorf("the page's policy is %s, signed by %d", p.Name(), s.SignedBy(roots))
	}
}

// Whatever is read is written as it was, but for white space, and on an error
// there is nothing.
func FuzzParseSigned(f *testing.F) {
	w := newRootsWorld(f)
	s, err := policy.NewSigned([]byte(smallVersion(1, 1)), w.read)
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Sign(context.Background(), w.keys["c"]); err != nil {
		f.Fatal(err)
	}
	b, err := s.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"payloadType":"` + policy.PayloadTypeSigned + `","payload":"` + base64.StdEncoding.EncodeToString([]byte(`{"digest":"x","files":{},"policy":""}`)) + `","signatures":[{"sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := policy.ParseSigned(b)
		if err != nil {
			if s != nil {
				t.Fatal("an error came with a policy")
			}
			return
		}
		out, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.ParseSigned(out)
		if err != nil || again.Digest() != s.Digest() || again.Signatures() != s.Signatures() {
			t.Fatalf("not read again: %v", err)
		}
	})
}
