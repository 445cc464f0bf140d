package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// An issuer is an authority of a SPIFFE domain in the tests.
type issuer struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue makes a certificate for key; a nil by makes a self-signed one.
func (by *issuer) issue(t testing.TB, name string, key crypto.Signer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Unix(1<<33, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key, cert}
}

func workload(uris ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
		for _, s := range uris {
			u, err := url.Parse(s)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

// svidBundle signs the test's statement under a chain, leaf first, as the bytes of a bundle.
func svidBundle(t testing.TB, chain ...*issuer) ([]byte, error) {
	t.Helper()
	s, err := NewKeySigner(chain[0].key)
	if err != nil {
		t.Fatal(err)
	}
	m := Material{Key: s.Public(), Certificate: chain[0].cert.Raw}
	for _, c := range chain[1:] {
		m.Chain = append(m.Chain, c.cert.Raw)
	}
	return Sign(context.Background(), testStatement(t), as{s, m})
}

// as signs with a key under any material.
type as struct {
	*KeySigner
	material Material
}

func (a as) Material() Material { return a.material }

func TestENV14Chain(t *testing.T) {
	root := (*issuer)(nil).issue(t, "root", ecKey(t), nil)
	upper := root.issue(t, "upper", ecKey(t), nil)
	lower := upper.issue(t, "lower", ecKey(t), nil)
	leaf := lower.issue(t, "", ecKey(t), workload("spiffe://prod.acme.example/trainer"))
	top := upper.issue(t, "", ecKey(t), workload("spiffe://prod.acme.example/trainer"))

	b, err := svidBundle(t, leaf, lower, upper)
	accepted(t, err)
	got, err := ParseBundle(b)
	accepted(t, err)
	if string(got.Certificate) != string(leaf.cert.Raw) || len(got.Chain) != 2 || string(got.Chain[0]) != string(lower.cert.Raw) || string(got.Chain[1]) != string(upper.cert.Raw) || got.KeyHint != "" {
		t.Errorf("read as %d further certificates", len(got.Chain))
	}
	// A leaf that a root issued travels alone, spelled as Fulcio's do.
	b2, err := svidBundle(t, leaf)
	accepted(t, err)
	if got, err := ParseBundle(b2); err != nil || got.Chain != nil || strings.Contains(string(b2), "x509CertificateChain") {
		t.Errorf("a lone leaf is read as %v, %v", got, err)
	}
	// Five certificates are the most; nested authorities may all have one name.
	nested := []*issuer{root}
	for range 5 {
		nested = append(nested, nested[len(nested)-1].issue(t, "root", ecKey(t), nil))
	}
	deep := nested[4].issue(t, "", ecKey(t), workload("spiffe://prod.acme.example/trainer"))
	_, err = svidBundle(t, deep, nested[4], nested[3], nested[2], nested[1])
	accepted(t, err)

	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	overRSA := root.issue(t, "rsa", big, nil)
	underRSA := overRSA.issue(t, "", ecKey(t), workload("spiffe://prod.acme.example/trainer"))
	_, err = svidBundle(t, underRSA, overRSA)
	accepted(t, err)

	deepest := nested[5].issue(t, "", ecKey(t), workload("spiffe://prod.acme.example/trainer"))
	for _, c := range []struct {
		name  string
		chain []*issuer
		want  Code
	}{
		{"ENV-14 root inside", []*issuer{top, upper, root}, CodeBundleParse},
		{"ENV-14 root alone above the leaf", []*issuer{root.issue(t, "", ecKey(t), workload("spiffe://a/b")), root}, CodeBundleParse},
		{"out of order", []*issuer{leaf, upper, lower}, CodeBundleParse},
		{"one left out", []*issuer{leaf, upper}, CodeBundleParse},
		{"one twice", []*issuer{leaf, lower, lower}, CodeBundleParse},
		{"leaf last", []*issuer{lower, leaf}, CodeBundleParse},
		{"ENV-14 Fulcio's leaf with a chain", []*issuer{lower.issue(t, "", ecKey(t), workload("https://ci.example/build")), lower}, CodeBundleParse},
		{"no name at all", []*issuer{lower.issue(t, "", ecKey(t), workload()), lower}, CodeBundleParse},
		{"two names", []*issuer{lower.issue(t, "", ecKey(t), workload("spiffe://a/b", "spiffe://a/c")), lower}, CodeBundleParse},
		{"six", []*issuer{deepest, nested[5], nested[4], nested[3], nested[2], nested[1]}, CodeLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := svidBundle(t, c.chain...)
			refused(t, err, c.want)
		})
	}

	text, b64 := string(b), base64.StdEncoding.EncodeToString
	one := func(c *issuer) string { return `{"rawBytes":"` + b64(c.cert.Raw) + `"}` }
	for _, c := range []struct {
		name string
		in   string
		want Code
	}{
		{"a chain of one is a second spelling", swap(t, text, ","+one(lower)+","+one(upper), ""), CodeNonCanonical},
		{"a chain of none", swap(t, text, one(leaf)+","+one(lower)+","+one(upper), ""), CodeBundleParse},
		{"no list", swap(t, text, `{"certificates":[`+one(leaf)+","+one(lower)+","+one(upper)+`]}`, `{}`), CodeBundleParse},
		{"chain and key", swap(t, text, `"x509CertificateChain":`, `"publicKey":{"hint":"x"},"x509CertificateChain":`), CodeBundleParse},
		{"chain and certificate", swap(t, text, `"x509CertificateChain":`, `"certificate":`+one(leaf)+`,"x509CertificateChain":`), CodeBundleParse},
		{"ENV-17 unknown in the chain", swap(t, text, `{"certificates":`, `{"more":1,"certificates":`), CodeNonCanonical},
		{"ENV-17 unknown in a certificate", swap(t, text, one(lower), `{"more":1,`+one(lower)[1:]), CodeNonCanonical},
		{"ENV-09 base64 in the chain", swap(t, text, b64(lower.cert.Raw), b64(lower.cert.Raw[:9])+`\n`), CodeNonCanonical},
		{"ENV-16 cut off in the chain", swap(t, text, b64(lower.cert.Raw), b64(lower.cert.Raw[:99])), CodeBundleParse},
		{"ENV-16 huge in the chain", swap(t, text, b64(lower.cert.Raw), strings.Repeat("AAAA", maxCertificate/3+1)), CodeLimit},
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

// Checking a signature under a key that an attacker made large takes seconds.
func TestENV14HugeKeyInChain(t *testing.T) {
	root := (*issuer)(nil).issue(t, "root", ecKey(t), nil)
	for bits, want := range map[uint]Code{4096: "", 4097: CodeLimit, 1 << 17: CodeLimit} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		between := root.issue(t, "between", only{&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}}, nil)
		// No private key of it is known; the form of the leaf does not depend on it.
		leaf := (&issuer{ecKey(t), &x509.Certificate{RawSubject: between.cert.RawSubject, Subject: between.cert.Subject}}).issue(t, "", ecKey(t), workload("spiffe://a/b"))
		_, err := svidBundle(t, leaf, between)
		refused(t, err, want)
	}
}

// only is a key of which only the public half is known.
type only struct{ public crypto.PublicKey }

func (o only) Public() crypto.PublicKey { return o.public }
func (only) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("nobody knows the private half")
}
