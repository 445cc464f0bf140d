package trust_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// One authority, listed by the instance without its certificate and by the file with it,
// is one: a threshold that asks for both can never be met, and does not load.
func TestThresholdOfAuthoritiesThatMayBeOne(t *testing.T) {
	top := certify(t, nil, newKey(t), nil)
	tsa := certify(t, top, newKey(t), func(c *x509.Certificate) { stamper(t, c) })
	otherTop := certify(t, nil, newKey(t), nil)
	root := newRoot(t)
	f := files{"tsa.pem": pemOf(tsa, top)}
	load := func(issuers *issuer) error {
		root["timestampAuthorities"] = []any{chainEntry("https://tsa.example", issuers)}
		f["root.json"] = root.JSON(t)
		_, err := trust.Load([]byte(head+`sigstore:
  - {name: acme, trustedRoot: root.json, timestamps: 3, timestampAuthorities: shared}
timestampAuthorities:
  - {name: acme-tsa, chain: tsa.pem, from: 2026-01-01T00:00:00Z}
`), f.read, nil)
		return err
	}
	// The log, the instance's authority and the shared one.
	if err := load(otherTop); err != nil {
		t.Errorf("three different ones: %v", err)
	}
	err := load(top)
	var wrong *trust.LoadError
	if !errors.As(err, &wrong) {
		t.Fatalf("two, one of them listed twice: %v", err)
	}
	if p := wrong.Problems[0]; p.Line != 5 || p.Column == 0 || p.Code != attest.CodeTrustRoot || !strings.Contains(p.Why, "3 must say when, and 2 could") {
		t.Errorf("%v", err)
	}
}
