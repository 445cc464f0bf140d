package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// start is when everything in these tests begins, and over when it ends.
var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	over  = start.AddDate(5, 0, 0)
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// An issuer is a certificate with its key.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// certify makes a certificate: of an authority, of a timestamp authority, or signed by
// itself if there is nobody above.
func certify(t testing.TB, above *issuer, key crypto.Signer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "ca"}, NotBefore: start, NotAfter: over,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if above != nil {
		parent, signer = above.cert, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{made, key}
}

// stamper is a timestamp authority's certificate: its one use is critical, which
// x509.CreateCertificate cannot say by itself.
func stamper(t testing.TB, c *x509.Certificate) {
	t.Helper()
	c.IsCA, c.KeyUsage, c.Subject = false, x509.KeyUsageDigitalSignature, pkix.Name{CommonName: "tsa"}
	oids, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: oids})
}

func pemOf(list ...*issuer) string {
	var b strings.Builder
	for _, i := range list {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw}))
	}
	return b.String()
}

// A sigstoreRoot is a trusted_root.json as a tree, to change at will.
type sigstoreRoot map[string]any

func (r sigstoreRoot) JSON(t testing.TB) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func logEntry(t testing.TB, name string, key crypto.PublicKey) map[string]any {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id := attest.SHA256(der).String()
	return map[string]any{
		"baseUrl": name, "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": base64.StdEncoding.EncodeToString([]byte(id)[:32])},
		"publicKey": map[string]any{"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": map[string]any{"start": start.Format(time.RFC3339)}},
	}
}

func chainEntry(name string, chain ...*issuer) map[string]any {
	var list []any
	for _, c := range chain {
		list = append(list, map[string]any{"rawBytes": c.cert.Raw})
	}
	return map[string]any{"uri": name, "certChain": map[string]any{"certificates": list}, "validFor": map[string]any{"start": start.Format(time.RFC3339)}}
}

// newRoot makes the trusted root of a whole instance of its own.
func newRoot(t testing.TB) sigstoreRoot {
	t.Helper()
	top := certify(t, nil, newKey(t), nil)
	ca := certify(t, top, newKey(t), nil)
	tsaTop := certify(t, nil, newKey(t), nil)
	tsa := certify(t, tsaTop, newKey(t), func(c *x509.Certificate) { stamper(t, c) })
	return sigstoreRoot{
		"mediaType":              "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"certificateAuthorities": []any{chainEntry("https://fulcio.example", ca, top)},
		"tlogs":                  []any{logEntry(t, "https://rekor.example", newKey(t).Public())},
		"ctlogs":                 []any{logEntry(t, "https://ct.example", newKey(t).Public())},
		"timestampAuthorities":   []any{chainEntry("https://tsa.example", tsa, tsaTop)},
	}
}

// files are what a trust file names.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	if s, ok := f[name]; ok {
		return []byte(s), nil
	}
	return nil, fs.ErrNotExist
}

const head = `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: acme, version: 3, expires: 2027-05-01T00:00:00Z}
`

// world is a set of files that trust files can name.
func world(t testing.TB) files {
	t.Helper()
	tsaTop := certify(t, nil, newKey(t), nil)
	tsa := certify(t, tsaTop, newKey(t), func(c *x509.Certificate) { stamper(t, c) })
	domain := certify(t, nil, newKey(t), func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "prod.acme.example"}}
	})
	key, err := attest.NewPublicKey(newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := json.Marshal(map[string]any{"spiffe_sequence": 1, "keys": []any{
		map[string]any{"kty": "EC", "use": "x509-svid", "x5c": []any{domain.cert.Raw}},
		map[string]any{"kty": "EC", "use": "jwt-svid", "kid": "1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return files{
		"root.json": newRoot(t).JSON(t), "other.json": newRoot(t).JSON(t), "tsa.pem": pemOf(tsa, tsaTop),
		"domain.pem": pemOf(domain), "domain.json": string(bundle), "data.pub": string(key.PEM()), "tuf.json": `{"signed":{}}`,
	}
}

// whole names everything that a trust file can hold.
const whole = head + `sigstore:
  - name: acme
    trustedRoot: root.json
    logs: 1
    timestamps: 2
    timestampAuthorities: shared
  - {name: far, tuf: acme-tuf}
timestampAuthorities:
  - {name: acme-tsa, chain: tsa.pem, from: 2026-01-01T00:00:00Z, until: 2028-01-01T00:00:00Z}
timestamps: 1
spiffe:
  - {domain: prod.acme.example, bundle: domain.json, from: 2026-01-01T00:00:00Z}
keys:
  - {key: data.pub, from: 2026-01-01T00:00:00Z, compromisedSince: 2026-03-01T00:00:00Z}
tuf:
  - {name: acme-tuf, url: https://tuf.acme.example, root: tuf.json, target: trusted_root.json}
`

// fetched answers for every TUF repository with other.json, for a day.
func fetched(f files) trust.Fetch {
	return func(trust.TUFSource) (trust.TUFTarget, error) {
		return trust.TUFTarget{Content: []byte(f["other.json"]), Expires: start.AddDate(0, 6, 0)}, nil
	}
}

func TestLoad(t *testing.T) {
	f := world(t)
	got, err := trust.Load([]byte(whole), f.read, fetched(f))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name() != "acme" || got.Version() != 3 || got.Digest().IsZero() || got.Material().IsZero() || got.Digest() == got.Material() {
		t.Errorf("name %q, version %d, digest %s, material %s", got.Name(), got.Version(), got.Digest(), got.Material())
	}
	// What is fetched ends before the file does.
	if want := start.AddDate(0, 6, 0); !got.Expires().Equal(want) {
		t.Errorf("expires %s, want %s", got.Expires(), want)
	}
	d := got.Describe()
	kinds := map[string]int{}
	for _, p := range d.Parts {
		kinds[p.Kind]++
		if p.Key.IsZero() || p.Algorithm != "ECDSA P-256" || p.From.IsZero() {
			t.Errorf("a part is not described: %+v", p)
		}
	}
	if want := fmt.Sprint(map[string]int{trust.KindAuthority: 2, trust.KindLog: 2, trust.KindCertificateLog: 2, trust.KindTimestamps: 3, trust.KindDomain: 1, trust.KindKey: 1}); fmt.Sprint(kinds) != want {
		t.Errorf("parts: %v, want %v", kinds, want)
	}
	if len(d.Instances) != 2 || d.Instances[0].Timestamps != 2 || d.Instances[1].Logs != 1 || d.Instances[1].TUF != "acme-tuf" {
		t.Errorf("instances: %+v", d.Instances)
	}
}

// replaced is whole with one text in the place of another, which must be there.
func replaced(t *testing.T, old, text string) string {
	t.Helper()
	if strings.Count(whole, old) != 1 {
		t.Fatalf("%q is not once in the file", old)
	}
	return strings.Replace(whole, old, text, 1)
}

func TestLoadRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, old, text string
		line            int
		code            attest.Code
		why             string
	}{
		{"unknown key", "timestamps: 1\nspiffe", "timestamp: 1\nspiffe", 13, "", `no key "timestamp"; did you mean "timestamps"?`},
		{"another kind", "kind: Trust", "kind: Policy", 2, "", `kind is "Policy"`},
		{"version 0", "version: 3", "version: 0", 3, "", "between 1 and"},
		{"no end", ", expires: 2027-05-01T00:00:00Z}\nsigstore", "}\nsigstore", 3, "", "metadata.expires is missing"},
		{"a local time", "expires: 2027-05-01T00:00:00Z", "expires: 2027-05-01T00:00:00+02:00", 3, "", "must be a time like"},
		{"an anchor", "name: acme\n", "name: &a acme\n", 5, "", "anchors"},
		{"two instances of one name", "{name: far,", "{name: acme,", 10, "", "there is an instance acme already"},
		{"two sources of an instance", "trustedRoot: root.json", "trustedRoot: root.json\n    tuf: acme-tuf", 5, "", "one of them"},
		{"no source of an instance", "{name: far, tuf: acme-tuf}", "{name: far}", 10, "", "trustedRoot is missing"},
		{"a source that is not there", "{name: far, tuf: acme-tuf}", "{name: far, tuf: acme}", 10, "", "no TUF repository \"acme\""},
		{"a file that is not there", "trustedRoot: root.json", "trustedRoot: roots.json", 6, "", "not exist"},
		{"more logs than are listed", "logs: 1", "logs: 2", 5, "", "2 logs asked for, and the trusted root lists 1"},
		{"more times than could be", "timestamps: 2", "timestamps: 4", 5, "", "4 must say when, and 3 could"},
		{"0 times", "timestamps: 2", "timestamps: 0", 8, "", "between 1 and 64"},
		{"0 logs without a reason", "logs: 1", "logs: 0", 7, "", "needs a reason"},
		{"a reason for nothing", "logs: 1", "logs: 1\n    noLogs: because", 8, "", "noLogs is for logs: 0"},
		{"a negative threshold", "logs: 1", "logs: -1", 7, "", "whole number"},
		{"more shared times than are listed", "timestamps: 1\nspiffe", "timestamps: 2\nspiffe", 13, "", "no time would ever count"},
		{"another word for shared", "timestampAuthorities: shared", "timestampAuthorities: all", 9, "", "the only value is shared"},
		{"an authority without a start", "chain: tsa.pem, from: 2026-01-01T00:00:00Z", "chain: tsa.pem", 12, "", "from is missing"},
		{"an authority that never counts", "until: 2028-01-01T00:00:00Z", "until: 2025-01-01T00:00:00Z", 12, "", "that never holds"},
		{"an authority that is over before it begins", "from: 2026-01-01T00:00:00Z, until: 2028-01-01T00:00:00Z", "from: 2032-01-01T00:00:00Z", 12, "", "never while the window holds"},
		{"a chain that is none", "chain: tsa.pem", "chain: data.pub", 12, "", `a PEM block "PUBLIC KEY"`},
		{"a chain in the wrong order", "chain: tsa.pem", "chain: tsa-reversed.pem", 12, "", "is not issued by the next one"},
		{"an authority that is a web server", "chain: tsa.pem", "chain: tls.pem", 12, "", "not for timestamps alone"},
		{"a domain with its scheme", "domain: prod.acme.example", "domain: spiffe://prod.acme.example", 15, "", "is no trust domain"},
		{"a domain without a start", "bundle: domain.json, from: 2026-01-01T00:00:00Z", "bundle: domain.json", 15, "", "from is missing"},
		{"another domain's bundle", "domain: prod.acme.example", "domain: test.acme.example", 15, "", "is of spiffe://prod.acme.example"},
		{"a bundle of nobody", "bundle: domain.json", "bundle: empty.json", 15, "", "no authority for X.509-SVIDs"},
		{"a bundle with a key twice", "bundle: domain.json", "bundle: twice.json", 15, "", "duplicate key"},
		{"a bundle with a leaf", "bundle: domain.json", "bundle: tsa.pem", 15, "", "is no authority's"},
		{"weak RSA", "bundle: domain.json", "bundle: weak.pem", 15, "", "RSA key of 1024 bits"},
		{"a curve that is not believed", "bundle: domain.json", "bundle: p224.pem", 15, "", "curve P-224"},
		{"a key without a window", "{key: data.pub, from: 2026-01-01T00:00:00Z, compromisedSince: 2026-03-01T00:00:00Z}", "{key: data.pub}", 17, "", "needs from, until or compromisedSince"},
		{"a key twice", "  - {key: data.pub,", "  - {key: data.pub, until: 2028-01-01T00:00:00Z}\n  - {key: data.pub,", 18, "", "is listed already, on line 17"},
		{"a key that is a certificate", "key: data.pub", "key: domain.pem", 17, "", "CERTIFICATE"},
		{"a source that nobody uses", "  - {name: far, tuf: acme-tuf}\n", "", 18, "", "no instance takes"},
		{"a source over plain HTTP", "url: https://tuf.acme.example", "url: http://tuf.acme.example", 19, "", "https, or http on this machine"},
		{"a source with a password", "url: https://tuf.acme.example", "url: https://me:pw@tuf.acme.example", 19, "", "no user"},
		{"a source that is a file", "url: https://tuf.acme.example", "url: file:///srv/tuf", 19, "", "not a URL"},
		{"IDN-16 a target above", "target: trusted_root.json", "target: ../../x", 19, attest.CodePath, "not a plain path"},
		{"IDN-16 an absolute target", "target: trusted_root.json", "target: /etc/passwd", 19, attest.CodePath, "not a plain path"},
		{"IDN-16 a target with a backslash", "target: trusted_root.json", `target: '..\..\x'`, 19, attest.CodePath, "not a plain path"},
		{"IDN-16 an escaped target", "target: trusted_root.json", "target: '%2e%2e/x'", 19, attest.CodePath, "not a plain path"},
		{"IDN-16 a repository called ..", "- {name: acme-tuf", `- {name: ".."`, 19, "", "letters, digits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := world(t)
			rsaKey, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
			if err != nil {
				t.Fatal(err)
			}
			p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			top := certify(t, nil, newKey(t), nil)
			f["weak.pem"] = pemOf(certify(t, nil, rsaKey, nil))
			f["p224.pem"] = pemOf(certify(t, nil, p224, nil))
			f["tls.pem"] = pemOf(certify(t, top, newKey(t), func(c *x509.Certificate) {
				c.IsCA, c.ExtKeyUsage = false, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			}), top)
			f["tsa-reversed.pem"] = reversed(f["tsa.pem"])
			f["empty.json"] = `{"keys":[{"use":"jwt-svid"}]}`
			f["twice.json"] = `{"keys":[],"keys":[]}`
			src := replaced(t, tc.old, tc.text)
			if strings.HasPrefix(tc.name, "a source that nobody uses") || strings.HasPrefix(tc.name, "IDN-16 a repository") {
				src = strings.Replace(src, "tuf: acme-tuf", "trustedRoot: other.json", 1)
			}
			if strings.HasPrefix(tc.name, "a source that is not there") {
				src = strings.Replace(src, "- {name: acme-tuf", "- {name: acme", 1)
				src = strings.Replace(src, "tuf: acme}", "tuf: acme-tuf}", 1)
				tc.why = "no TUF repository \"acme-tuf\""
			}
			_, err = trust.Load([]byte(src), f.read, fetched(f))
			var load *trust.LoadError
			if !errors.As(err, &load) {
				t.Fatalf("loads, or fails otherwise: %v", err)
			}
			code := tc.code
			if code == "" {
				code = attest.CodeTrustRoot
			}
			for _, p := range load.Problems {
				if p.Line == tc.line && p.Column > 0 && p.Code == code && strings.Contains(p.Why, tc.why) {
					return
				}
			}
			t.Errorf("no problem %s on line %d with %q:\n%v", code, tc.line, tc.why, err)
		})
	}
}

func reversed(chain string) string {
	parts := strings.SplitAfter(chain, "-----END CERTIFICATE-----\n")
	return parts[1] + parts[0]
}

// IDN-14: a trusted root in which a part has no start, or that is not whole.
func TestTrustedRoots(t *testing.T) {
	src := head + "sigstore:\n  - {name: acme, trustedRoot: root.json}\n"
	load := func(t *testing.T, r sigstoreRoot) error {
		t.Helper()
		_, err := trust.Load([]byte(src), files{"root.json": r.JSON(t)}.read, nil)
		_, bare := trust.OfTrustedRoot([]byte(r.JSON(t)))
		// What the trust file asks for by name, a bare root need not have.
		if err == nil && bare != nil || bare == nil && err != nil && !strings.Contains(err.Error(), "say that none is asked for") {
			t.Errorf("the trust file says %v, the bare root %v", err, bare)
		}
		return err
	}
	if err := load(t, newRoot(t)); err != nil {
		t.Fatalf("a whole trusted root does not load, so this proves nothing: %v", err)
	}
	first := func(r sigstoreRoot, list string) map[string]any { return r[list].([]any)[0].(map[string]any) }
	for _, tc := range []struct {
		name, why string
		change    func(sigstoreRoot)
	}{
		{"IDN-14 an authority without a start", "from when on", func(r sigstoreRoot) { first(r, "certificateAuthorities")["validFor"] = map[string]any{} }},
		{"IDN-14 an authority without validity", "", func(r sigstoreRoot) { delete(first(r, "certificateAuthorities"), "validFor") }},
		{"IDN-14 a log without a start", "start", func(r sigstoreRoot) { first(r, "tlogs")["publicKey"].(map[string]any)["validFor"] = map[string]any{} }},
		{"IDN-14 a certificate log without a start", "start", func(r sigstoreRoot) { first(r, "ctlogs")["publicKey"].(map[string]any)["validFor"] = map[string]any{} }},
		{"IDN-14 a timestamp authority without a start", "", func(r sigstoreRoot) { delete(first(r, "timestampAuthorities"), "validFor") }},
		{"a window that never holds", "never holds", func(r sigstoreRoot) {
			first(r, "certificateAuthorities")["validFor"] = map[string]any{"start": "2027-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
		}},
		{"a window after the certificate", "never while the window holds", func(r sigstoreRoot) {
			first(r, "certificateAuthorities")["validFor"] = map[string]any{"start": "2040-01-01T00:00:00Z"}
		}},
		{"no authority", "no certificate authority", func(r sigstoreRoot) { delete(r, "certificateAuthorities") }},
		{"an empty chain", "", func(r sigstoreRoot) { first(r, "certificateAuthorities")["certChain"] = map[string]any{} }},
		{"a chain out of order", "", func(r sigstoreRoot) {
			list := first(r, "certificateAuthorities")["certChain"].(map[string]any)["certificates"].([]any)
			list[0], list[1] = list[1], list[0]
		}},
		{"one log id twice", "twice", func(r sigstoreRoot) { r["tlogs"] = append(r["tlogs"].([]any), r["tlogs"].([]any)[0]) }},
		{"another media type", "media type", func(r sigstoreRoot) { r["mediaType"] = "application/json" }},
		{"an unknown field", "", func(r sigstoreRoot) { r["extra"] = 1 }},
		{"no log, and nobody said so", "lists no log; say that none is asked for", func(r sigstoreRoot) { delete(r, "tlogs") }},
		{"no certificate log, and nobody said so", "lists no certificate log; say", func(r sigstoreRoot) { delete(r, "ctlogs") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRoot(t)
			tc.change(r)
			if err := load(t, r); attest.RefusalCode(err) != attest.CodeTrustRoot || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("got %v, want E_TRUSTROOT with %q", err, tc.why)
			}
		})
	}
	t.Run("no log, and somebody said why", func(t *testing.T) {
		r := newRoot(t)
		delete(r, "tlogs")
		delete(r, "ctlogs")
		src := head + "sigstore:\n  - {name: acme, trustedRoot: root.json, logs: 0, noLogs: none is run, certificateLogs: 0, noCertificateLogs: none is run}\n"
		got, err := trust.Load([]byte(src), files{"root.json": r.JSON(t)}.read, nil)
		if err != nil {
			t.Fatal(err)
		}
		if in := got.Describe().Instances[0]; in.Logs != 0 || in.NoLogs != "none is run" || in.CertificateLogs != 0 || in.Timestamps != 1 {
			t.Errorf("%+v", in)
		}
	})
}

// One key in two places: what each instance would not sign alone, one could for the
// other.
func TestOneKeyInTwoPlaces(t *testing.T) {
	src := head + "sigstore:\n  - {name: a, trustedRoot: a.json}\n  - {name: b, trustedRoot: b.json}\n"
	for _, list := range []string{"certificateAuthorities", "tlogs", "ctlogs", "timestampAuthorities"} {
		t.Run(list, func(t *testing.T) {
			a, b := newRoot(t), newRoot(t)
			f := files{"a.json": a.JSON(t), "b.json": b.JSON(t)}
			if _, err := trust.Load([]byte(src), f.read, nil); err != nil {
				t.Fatalf("two different instances do not load: %v", err)
			}
			b[list] = a[list]
			f["b.json"] = b.JSON(t)
			if p := problemOf(t, src, f); p.Line != 6 || !strings.Contains(p.Why, "which instance a has already") {
				t.Errorf("got %v", p)
			}
		})
	}
	t.Run("an instance's authority as a SPIFFE domain", func(t *testing.T) {
		ca := certify(t, nil, newKey(t), nil)
		r := newRoot(t)
		r["certificateAuthorities"] = []any{chainEntry("https://fulcio.example", ca)}
		src := head + "sigstore:\n  - {name: a, trustedRoot: a.json}\nspiffe:\n  - {domain: d.example, bundle: ca.pem, from: 2026-01-01T00:00:00Z}\n"
		if p := problemOf(t, src, files{"a.json": r.JSON(t), "ca.pem": pemOf(ca)}); p.Line != 7 || !strings.Contains(p.Why, "one could sign for the other") {
			t.Errorf("got %v", p)
		}
	})
}

func problemOf(t *testing.T, src string, f files) trust.Problem {
	t.Helper()
	_, err := trust.Load([]byte(src), f.read, nil)
	var load *trust.LoadError
	if !errors.As(err, &load) {
		t.Fatalf("loads, or fails otherwise: %v", err)
	}
	return load.Problems[0]
}

// A file with a mistake is not a reason to ask anybody anything.
func TestNothingIsFetchedForAFileWithAMistake(t *testing.T) {
	f := world(t)
	asked := 0
	get := func(s trust.TUFSource) (trust.TUFTarget, error) { asked++; return fetched(f)(s) }
	if _, err := trust.Load([]byte(whole), f.read, get); err != nil || asked != 1 {
		t.Fatalf("asked %d times: %v", asked, err)
	}
	if _, err := trust.Load([]byte(strings.Replace(whole, "version: 3", "version: x", 1)), f.read, get); err == nil || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	// Could not look is not wrong: status 3, not 2.
	none := func(trust.TUFSource) (trust.TUFTarget, error) {
		return trust.TUFTarget{}, attest.Refuse(attest.CodeTrustRootStale, "it cannot be reached")
	}
	if _, err := trust.Load([]byte(whole), f.read, none); attest.RefusalCode(err) != attest.CodeTrustRootStale {
		t.Errorf("a repository that cannot be reached: %v", err)
	}
	if _, err := trust.Load([]byte(whole), f.read, nil); attest.RefusalCode(err) != attest.CodeTrustRootStale {
		t.Errorf("a repository that nobody asks: %v", err)
	}
	// What it says is wrong is wrong.
	junk := func(trust.TUFSource) (trust.TUFTarget, error) {
		return trust.TUFTarget{Content: []byte("{}"), Expires: over}, nil
	}
	if _, err := trust.Load([]byte(whole), f.read, junk); attest.RefusalCode(err) != attest.CodeTrustRoot {
		t.Errorf("a repository that says nothing: %v", err)
	}
}

// The digest is that of what the file says, whatever it looks like; the material's is of
// everything.
func TestDigests(t *testing.T) {
	f := world(t)
	load := func(src string, f files) *trust.Trust {
		t.Helper()
		got, err := trust.Load([]byte(src), f.read, fetched(f))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	base := load(whole, f)
	same := load("# a comment\n"+strings.Replace(whole, "timestamps: 1\nspiffe", "timestamps:   1\nspiffe", 1), f)
	if same.Digest() != base.Digest() || same.Material() != base.Material() {
		t.Error("a comment changes the digest")
	}
	// PEM or SPIFFE bundle, the certificates are what counts.
	if other := load(strings.Replace(whole, "domain.json", "domain.pem", 1), f); other.Digest() != base.Digest() {
		t.Error("the form of a bundle changes the digest")
	}
	for _, change := range []struct{ name, old, text string }{
		{"version", "version: 3", "version: 4"}, {"expires", "expires: 2027", "expires: 2028"}, {"a threshold", "timestamps: 2", "timestamps: 1"},
		{"a window", "until: 2028-01-01", "until: 2029-01-01"}, {"a date", "compromisedSince: 2026-03", "compromisedSince: 2026-04"}, {"a URL", "tuf.acme.example", "tuf2.acme.example"},
		{"sharing", "    timestampAuthorities: shared\n", ""},
	} {
		if load(strings.Replace(whole, change.old, change.text, 1), f).Digest() == base.Digest() {
			t.Errorf("%s does not change the digest", change.name)
		}
	}
	for _, name := range []string{"root.json", "tsa.pem", "domain.json", "data.pub", "tuf.json"} {
		g := files{}
		for k, v := range f {
			g[k] = v
		}
		if g[name] = world(t)[name]; name == "tuf.json" {
			g[name] = `{"signed":{"version":2}}`
		}
		if load(whole, g).Digest() == base.Digest() {
			t.Errorf("another %s does not change the digest", name)
		}
	}
	// What the repository says changes what is believed, not the file.
	g := world(t)
	for k, v := range f {
		if k != "other.json" {
			g[k] = v
		}
	}
	moved := load(whole, g)
	if moved.Digest() != base.Digest() || moved.Material() == base.Material() {
		t.Error("what was fetched belongs to the material, and not to the file's digest")
	}
}

// IDN-14: a trust that is over answers nothing, and says so as "not known".
func TestStale(t *testing.T) {
	f := world(t)
	got, err := trust.Load([]byte(whole), f.read, fetched(f))
	if err != nil {
		t.Fatal(err)
	}
	end := start.AddDate(0, 6, 0)
	if err := got.Stale(end.Add(-time.Second)); err != nil {
		t.Errorf("before its end: %v", err)
	}
	if err := got.Stale(end); attest.RefusalCode(err) != attest.CodeTrustRootStale || !strings.Contains(err.Error(), "what the TUF repository acme-tuf says ended") {
		t.Errorf("IDN-14 at its end: %v", err)
	}
	got, err = trust.Load([]byte(head+"keys:\n  - {key: data.pub, until: 2027-01-01T00:00:00Z}\n"), f.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Stale(time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC)); attest.RefusalCode(err) != attest.CodeTrustRootStale || !strings.Contains(err.Error(), "the trust file ended") {
		t.Errorf("IDN-14 at the file's end: %v", err)
	}
	if err := (*trust.Trust)(nil).Stale(over); err != nil {
		t.Errorf("nobody is believed for ever: %v", err)
	}
	bare, err := trust.OfTrustedRoot([]byte(newRoot(t).JSON(t)))
	if err != nil || bare.Stale(over.AddDate(100, 0, 0)) != nil {
		t.Errorf("a bare root never ends: %v", err)
	}
}

// What is neither, and what is nothing.
func TestNothing(t *testing.T) {
	for _, src := range []string{"", "\n", "[]", "a", head, head + "keys: []\n", "---\n" + head + "---\n" + head, head + "keys: {}\n", "\xff", strings.Repeat("a", 2<<20)} {
		if got, err := trust.Load([]byte(src), files{}.read, nil); err == nil || got != nil {
			t.Errorf("%.40q loads", src)
		}
	}
	for _, src := range []string{"", "{", "{}", "null", `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`} {
		if got, err := trust.OfTrustedRoot([]byte(src)); attest.RefusalCode(err) != attest.CodeTrustRoot || got != nil {
			t.Errorf("%q: %v", src, err)
		}
	}
}
