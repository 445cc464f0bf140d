package cli

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A keylessCase is a model in a layout that a workload trained, and what is said about
// it: to be asked about as an auditor would, by files and flags.
type keylessCase struct {
	t *testing.T
	*authority.Instance
	dir   string
	model attest.Digest
}

var (
	casesNoon = time.Date(2025, 3, 4, 12, 0, 0, 0, time.UTC)
	casesWho  = trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/acme/credit/train@refs/heads/main"}
)

const keylessPolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: keyless, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: train
principals:
  trainer: {kind: workload, credentials: [{issuer: "https://ci.example", subject: "https://ci.example/acme/credit/train@refs/heads/main"}]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    inputs: [{role: training-data, accept: any, reason: "a test"}]
`

const keylessTrust = `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: acme, version: 1, expires: 2099-01-01T00:00:00Z}
sigstore: [{name: acme, trustedRoot: root.json}]
`

func newKeylessCase(t *testing.T) *keylessCase {
	t.Helper()
	i, err := authority.New("acme.test", casesNoon.AddDate(-1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	k := &keylessCase{t: t, Instance: i, dir: t.TempDir()}
	k.write("policy.yaml", []byte(keylessPolicy))
	k.write("trust.yaml", []byte(keylessTrust))
	k.write("model/w.bin", []byte("weights"))
	if status, out, errs := k.run("push", "ocidir://reg:m", "model"); status != 0 {
		t.Fatalf("push: %d\n%s%s", status, out, errs)
	} else if k.model, err = attest.ParseDigest(strings.TrimSpace(out[strings.Index(out, "sha256:"):])); err != nil {
		t.Fatalf("push said %q: %v", out, err)
	}
	return k
}

func (k *keylessCase) write(name string, b []byte) {
	k.t.Helper()
	file := filepath.Join(k.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keylessCase) run(args ...string) (status int, stdout, stderr string) {
	k.t.Chdir(k.dir)
	return run(Process{Args: args, Env: []string{"HOME=" + k.dir}})
}

// payload is what the trainer says about an artifact.
func (k *keylessCase) payload(of attest.Digest) []byte {
	k.t.Helper()
	p, err := attest.NewStatement(attest.Subject{Name: "model", Digest: of}, predicate.TypeProvenance, map[string]any{
		"buildDefinition": map[string]any{
			"buildType": "https://pedigree-ml.github.io/build/train/v1", "externalParameters": map[string]any{},
			"resolvedDependencies": []any{map[string]any{"digest": map[string]any{"sha256": strings.Repeat("ab", 32)}, "annotations": map[string]any{"role": "training-data"}}},
		},
		"runDetails": map[string]any{
			"builder":  map[string]any{"id": "https://ci.example"},
			"metadata": map[string]any{"invocationId": "1", "finishedOn": casesNoon.Format(time.RFC3339)},
		},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

// sign signs about the model at noon; who of the instance vouches for it does so then.
func (k *keylessCase) sign(who trust.Identity, at time.Time, changes ...func(*x509.Certificate)) *authority.Bundle {
	k.t.Helper()
	return k.about(k.model, who, at, changes...)
}

func (k *keylessCase) about(of attest.Digest, who trust.Identity, at time.Time, changes ...func(*x509.Certificate)) *authority.Bundle {
	k.t.Helper()
	s, err := k.Signer(who, trust.Claims{}, casesNoon, changes...)
	if err != nil {
		k.t.Fatal(err)
	}
	raw, err := attest.Sign(context.Background(), k.payload(of), s, k.Witnesses(at)...)
	if err != nil {
		k.t.Fatal(err)
	}
	b, err := authority.Open(raw)
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

// verdict attaches a bundle and asks for the verdict.
func (k *keylessCase) verdict(b *authority.Bundle) (int, string) {
	k.t.Helper()
	raw, err := b.Bytes()
	if err != nil {
		k.t.Fatal(err)
	}
	root, err := k.TrustedRoot()
	if err != nil {
		k.t.Fatal(err)
	}
	k.write("root.json", root)
	k.write("bundle.json", raw)
	if status, out, errs := k.run("attach", "ocidir://reg:m", "bundle.json"); status != 0 {
		k.t.Fatalf("attach: %d\n%s%s", status, out, errs)
	}
	status, out, errs := k.run("verify", "ocidir://reg:m", "--policy", "policy.yaml", "--trust", "trust.yaml", "--at", casesNoon.Add(time.Hour).Format(time.RFC3339))
	return status, out + errs
}

// The attacks on identities and time that an auditor would notice last: as somebody
// meets them who has a layout, a policy and a trust file, and no word with the engine.
func TestIdentityAttacksAtTheCommandLine(t *testing.T) {
	until := func(c *authority.CA, end time.Time) {
		key, err := authority.NewKey(authority.P256, "short")
		if err != nil {
			t.Fatal(err)
		}
		if c.Issuer, err = authority.NewCert(authority.Authority("short", casesNoon.AddDate(-1, 0, 0), end), key, c.Above[0]); err != nil {
			t.Fatal(err)
		}
	}
	at := casesNoon.Add(time.Minute)
	for _, tt := range []struct {
		name string
		make func(*keylessCase) *authority.Bundle
		want attest.Code // "" for ALLOW
	}{
		{"control", func(k *keylessCase) *authority.Bundle { return k.sign(casesWho, at) }, ""},
		{"IDN-05 right subject, wrong issuer", func(k *keylessCase) *authority.Bundle {
			return k.sign(trust.Identity{Issuer: "https://ci.example.evil.test", Subject: casesWho.Subject}, at)
		}, attest.CodeChainMissing},
		{"IDN-10 intermediate valid at signing time", func(k *keylessCase) *authority.Bundle {
			until(k.CAs[0], at)
			return k.sign(casesWho, at)
		}, ""},
		{"IDN-10 expired intermediate at signing time", func(k *keylessCase) *authority.Bundle {
			until(k.CAs[0], at.Add(-time.Second))
			return k.sign(casesWho, at)
		}, attest.CodeCertChain},
		{"IDN-12 other instance", func(k *keylessCase) *authority.Bundle {
			other, err := authority.New("staging.acme.test", casesNoon.AddDate(-1, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			mine := *k
			mine.Instance = other
			return mine.sign(casesWho, at)
		}, attest.CodeChainMissing}, // a stranger's, like everything whose authority nobody lists
		{"IDN-12 same name, other key", func(k *keylessCase) *authority.Bundle {
			forged, err := authority.New("acme.test", casesNoon.AddDate(-1, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			key, err := authority.NewKey(authority.P256, "forged")
			if err != nil {
				t.Fatal(err)
			}
			like := forged.CAs[0].Issuer
			tmpl := authority.Authority("", like.NotBefore, like.NotAfter)
			tmpl.Subject, tmpl.SubjectKeyId = like.Subject, like.SubjectKeyId
			if forged.CAs[0].Issuer, err = authority.NewCert(tmpl, key, nil); err != nil {
				t.Fatal(err)
			}
			mine := *k
			mine.Instance = forged
			return mine.sign(casesWho, at)
		}, attest.CodeCertChain},
		{"TIM-01 no trusted time", func(k *keylessCase) *authority.Bundle {
			b := k.sign(casesWho, at)
			b.Entries, b.Timestamps = nil, nil
			return b
		}, attest.CodeTimeMissing},
		{"TIM-02 timestamp at the end of the certificate's window", func(k *keylessCase) *authority.Bundle {
			return k.sign(casesWho, casesNoon.Add(10*time.Minute))
		}, ""},
		{"TIM-02 timestamp outside certificate window", func(k *keylessCase) *authority.Bundle {
			return k.sign(casesWho, casesNoon.Add(10*time.Minute+time.Second))
		}, attest.CodeTimeWindow},
		{"TIM-08 entry of another artifact", func(k *keylessCase) *authority.Bundle {
			b := k.sign(casesWho, at)
			b.Entries = k.about(attest.SHA256([]byte("another")), casesWho, at).Entries
			return b
		}, attest.CodeLogMismatch},
		{"TIM-18 log v2 without TSA time", func(k *keylessCase) *authority.Bundle {
			b := k.sign(casesWho, at)
			b.Timestamps = nil
			return b
		}, attest.CodeTimeMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKeylessCase(t)
			status, out := k.verdict(tt.make(k))
			switch {
			case tt.want == "" && (status != 0 || !strings.HasPrefix(out, "ALLOW  sha256:")):
				t.Errorf("status %d\n%s", status, out)
			case tt.want != "" && (status != 1 || !strings.HasPrefix(out, "DENY  sha256:") || !strings.Contains(out, string(tt.want))):
				t.Errorf("status %d, want 1 and %s\n%s", status, tt.want, out)
			}
			// Beside it the true one: what is wrong takes nothing from what is right.
			if tt.want != "" {
				k := newKeylessCase(t)
				k.verdict(tt.make(k))
				k.Instance = newKeylessCase(t).Instance
				if status, out := k.verdict(k.sign(casesWho, at)); status != 0 {
					t.Errorf("beside a good one: status %d\n%s", status, out)
				}
			}
		})
	}
}
