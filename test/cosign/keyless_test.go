package cosign

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	alice   = "alice@acme.example"
	mallory = "mallory@acme.example"
)

// A keyless bench has an instance besides, and our program.
type keylessBench struct {
	*bench
	instance
	pedigree string
}

func newKeylessBench(t *testing.T) *keylessBench {
	b := newBench(t)
	k := &keylessBench{bench: b, instance: startInstance(t, b.dir), pedigree: built(t, "../..", "./cmd/pedigree", "pedigree")}
	k.write("predicate.json", `{"epochs":3}`)
	k.write("trust.yaml", `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: acme, version: 1, expires: 2099-01-01T00:00:00Z}
sigstore:
  - {name: acme, trustedRoot: trusted_root.json}
timestampAuthorities:
  - {name: acme-tsa, chain: timestamps-0.pem, from: 2020-01-01T00:00:00Z}
`)
	return k
}

func (k *keylessBench) write(name, text string) string {
	k.t.Helper()
	k.must(os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o600))
	return name
}

// policy is satisfied by one training record of whoever is named.
func (k *keylessBench) policy(credential string) string {
	return k.write("policy.yaml", fmt.Sprintf(`apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: interop, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: train
principals: {trainer: {kind: human, credentials: [%s]}}
steps:
  train:
    predicate: %s
    by: [trainer]
    select: any
    inputs: []
    rules: [{id: TRAIN-1, cel: 'predicate.epochs == 3', message: "not three epochs"}]
`, credential, predicateType))
}

func identity(issuer, subject string) string {
	return fmt.Sprintf("{issuer: %q, subject: %q}", issuer, subject)
}

// ours runs our program.
func (k *keylessBench) ours(args ...string) (string, error) {
	cmd := exec.CommandContext(k.ctx(), k.pedigree, args...)
	cmd.Dir = k.dir
	cmd.Env = []string{"HOME=" + k.dir, "PATH=/usr/bin:/bin", "PEDIGREE_PASSWORD=pass", "DOCKER_CONFIG=" + k.dir}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// weVerify asks for a verdict, and wants ALLOW, or a refusal that says code.
func (k *keylessBench) weVerify(credential, code string) {
	k.t.Helper()
	out, err := k.ours("verify", k.image(), "--policy", k.policy(credential), "--trust", "trust.yaml")
	switch {
	case code == "" && err != nil:
		k.t.Errorf("we refuse what %s signed: %v\n%s", credential, err, out)
	case code != "" && (err == nil || !strings.Contains(out, code)):
		k.t.Errorf("%s: not refused with %s: %v\n%s", credential, code, err, out)
	}
}

// theyVerify asks cosign, with the identity or key in flags.
func (k *keylessBench) theyVerify(ok bool, flags ...string) {
	k.t.Helper()
	args := append([]string{"verify-attestation", "--trusted-root", k.TrustedRoot, "--type", predicateType}, flags...)
	out, err := k.run(append(args, k.image())...)
	if (err == nil) != ok {
		k.t.Errorf("cosign %v: %v, want success %v\n%s", flags, err, ok, out)
	}
}

func (k *keylessBench) theirIdentity(issuer, subject string) []string {
	return []string{"--certificate-oidc-issuer", issuer, "--certificate-identity", subject}
}

// Whoever signs, both verify it, and both refuse whom they were not asked for.
func (k *keylessBench) bothJudge() {
	k.t.Helper()
	k.weVerify(identity(k.People, alice), "")
	k.weVerify(identity(k.People, mallory), "E_CHAIN_MISSING") // Alice is a stranger to that policy
	k.weVerify(identity(k.Workloads, alice), "E_CHAIN_MISSING")
	k.theyVerify(true, k.theirIdentity(k.People, alice)...)
	k.theyVerify(false, k.theirIdentity(k.People, mallory)...)
	k.theyVerify(false, k.theirIdentity(k.Workloads, alice)...)
}

func TestKeylessCosignAttests(t *testing.T) {
	k := newKeylessBench(t)
	out, err := k.run("attest", "-y", "--identity-token", k.person(t, alice), "--signing-config", k.SigningConfig, "--trusted-root", k.TrustedRoot,
		"--predicate", "predicate.json", "--type", predicateType, k.image())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k.bothJudge()
}

func TestKeylessPedigreeAttests(t *testing.T) {
	k := newKeylessBench(t)
	token := k.write("alice.jwt", k.person(t, alice))
	out, err := k.ours("attest", k.image(), "--type", predicateType, "--predicate", "predicate.json", "--identity-token", token, "--signing-config", k.SigningConfig)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k.bothJudge()
}

// Keys, with a log entry and a timestamp: the policies of neither take a key's word for when.
func TestKeysCosignAttests(t *testing.T) {
	k := newKeylessBench(t)
	if out, err := k.run("generate-key-pair"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := k.run("attest", "-y", "--key", "cosign.key", "--signing-config", k.SigningConfig, "--trusted-root", k.TrustedRoot,
		"--predicate", "predicate.json", "--type", predicateType, k.image())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k.bothJudgeKeys("cosign.pub")
}

func TestKeysPedigreeAttests(t *testing.T) {
	k := newKeylessBench(t)
	if out, err := k.ours("key", "generate", "--out", "ours"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := k.ours("attest", k.image(), "--type", predicateType, "--predicate", "predicate.json", "--key", "ours.key", "--rekor", k.Rekor, "--timestamp", k.Timestamps[0])
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k.bothJudgeKeys("ours.pub")
}

func (k *keylessBench) bothJudgeKeys(pub string) {
	k.t.Helper()
	if out, err := k.ours("key", "generate", "--out", "stranger"); err != nil {
		k.t.Fatalf("%v\n%s", err, out)
	}
	k.weVerify("{key: "+pub+"}", "")
	k.weVerify("{key: stranger.pub}", "E_CHAIN_MISSING")
	k.theyVerify(true, "--key", pub)
	k.theyVerify(false, "--key", "stranger.pub")
}
