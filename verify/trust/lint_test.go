package trust_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/rehearse"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// codes lists the findings as "line code".
func codes(list []trust.Finding) []string {
	out := []string{}
	for _, f := range list {
		out = append(out, f.Code)
		if f.What == "" || f.Advice == "" || f.Severity != trust.SeverityWarning && f.Severity != trust.SeverityAdvice {
			out = append(out, "incomplete: "+f.Code)
		}
	}
	return out
}

func TestFindings(t *testing.T) {
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	one := head + "sigstore:\n  - {name: acme, trustedRoot: root.json}\n"
	second := func(r sigstoreRoot, list string, operator string) {
		l := r[list].([]any)
		l = append(l, newRoot(t)[list].([]any)[0])
		for _, x := range l {
			if operator != "" {
				x.(map[string]any)["operator"] = operator
			}
		}
		r[list] = l
	}
	validFor := func(r sigstoreRoot, list, end string) {
		for _, x := range r[list].([]any) {
			m := x.(map[string]any)
			if k, ok := m["publicKey"]; ok {
				m = k.(map[string]any)
			}
			m["validFor"].(map[string]any)["end"] = end
		}
	}
	for _, tc := range []struct {
		name, src string
		change    func(sigstoreRoot)
		at        time.Time
		want      []string
	}{
		{"nothing to say", one, nil, at, nil},
		{"the file ends soon", one, nil, at.AddDate(0, 10, 10), []string{"ends-soon"}},
		{"the file is over", one, nil, at.AddDate(1, 0, 0), []string{"ended"}},
		{"the only log ends soon", one, func(r sigstoreRoot) { validFor(r, "tlogs", "2026-06-20T00:00:00Z") }, at, []string{"ends-soon"}},
		{"the only log is over", one, func(r sigstoreRoot) { validFor(r, "tlogs", "2026-05-20T00:00:00Z") }, at, []string{"ended"}},
		{"an old log beside the present one", one, func(r sigstoreRoot) {
			validFor(r, "tlogs", "2026-05-20T00:00:00Z")
			second(r, "tlogs", "")
		}, at, nil},
		{"one of two timestamp authorities is enough", one, func(r sigstoreRoot) { second(r, "timestampAuthorities", "") }, at, []string{"one-of-several"}},
		{"one operator for all logs", one, func(r sigstoreRoot) { second(r, "tlogs", "acme.example") }, at, []string{"one-of-several", "one-operator"}},
		{"two logs of one operator must agree", strings.Replace(one, "root.json}", "root.json, logs: 2}", 1), func(r sigstoreRoot) { second(r, "tlogs", "acme.example") }, at, []string{"one-operator"}},
		{"no logs", strings.Replace(one, "root.json}", "root.json, logs: 0, noLogs: none, certificateLogs: 0, noCertificateLogs: none}", 1), nil, at, []string{"no-certificate-log", "no-log"}},
		{"a key without an end", head + "keys:\n  - {key: data.pub, from: 2026-01-01T00:00:00Z}\n", nil, at, []string{"no-end"}},
		{"a key that is lost needs no end", head + "keys:\n  - {key: data.pub, compromisedSince: 2026-01-01T00:00:00Z}\n", nil, at, nil},
		{"an authority that is over", head + "timestampAuthorities:\n  - {name: a, chain: tsa.pem, from: 2026-01-01T00:00:00Z, until: 2026-03-01T00:00:00Z}\n", nil, at, []string{"ended"}},
		{"a domain that ends soon", head + "spiffe:\n  - {domain: prod.acme.example, bundle: domain.pem, from: 2026-01-01T00:00:00Z, until: 2026-06-03T00:00:00Z}\n", nil, at, []string{"ends-soon"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, r := world(t), newRoot(t)
			if tc.change != nil {
				tc.change(r)
			}
			f["root.json"] = r.JSON(t)
			got, err := trust.Load([]byte(tc.src), f.read, nil)
			if err != nil {
				t.Fatal(err)
			}
			list := got.Findings(tc.at)
			if got := codes(list); !slices.Equal(got, append([]string{}, tc.want...)) {
				t.Errorf("got %v, want %v\n%+v", got, tc.want, list)
			}
			for _, f := range list {
				if f.Line == 0 {
					t.Errorf("no line: %+v", f)
				}
			}
		})
	}
}

// IDN-24: keys that everybody has are named; and where nothing is said nobody is
// believed, because no trust is built in (see also internal/arch).
func TestPublishedKeys(t *testing.T) {
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60") // RFC 8032, section 7.1, test 1
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{"a standard's": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
	for _, who := range []string{"alice", "authority", "bob", "carol", "data", "deployer", "dora", "evaluator", "registrar", "scanner", "security", "trainer"} {
		keys["the rehearsed "+who] = string(rehearse.Key(who, 0).PEM())
	}
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	src := head + "keys:\n  - {key: k.pub, until: 2027-01-01T00:00:00Z}\n"
	for name, key := range keys {
		t.Run("IDN-24 "+name+" key", func(t *testing.T) {
			got, err := trust.Load([]byte(src), files{"k.pub": key}.read, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c := codes(got.Findings(at)); !slices.Equal(c, []string{"published-key"}) {
				t.Errorf("findings: %v", c)
			}
		})
	}
	t.Run("IDN-24 a log's published key", func(t *testing.T) {
		r := newRoot(t)
		log := r["tlogs"].([]any)[0].(map[string]any)["publicKey"].(map[string]any)
		log["rawBytes"], log["keyDetails"] = der, "PKIX_ED25519"
		got, err := trust.OfTrustedRoot([]byte(r.JSON(t)))
		if err != nil {
			t.Fatal(err)
		}
		if c := codes(got.Findings(at)); !slices.Equal(c, []string{"bare-root", "published-key"}) {
			t.Errorf("findings: %v", c)
		}
	})
	own, err := attest.GenerateKey(attest.P256)
	if err != nil {
		t.Fatal(err)
	}
	got, err := trust.Load([]byte(src), files{"k.pub": string(own.Public().PEM())}.read, nil)
	if err != nil || len(got.Findings(at)) != 0 {
		t.Errorf("a key of one's own: %v, %+v", err, got.Findings(at))
	}
}
