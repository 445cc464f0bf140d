package oci_test

import (
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// A verifier asks what is attached to the stand-ins of payloads and keys, most of
// which were never made. That there is none means that nothing is attached, in
// every kind of repository, and no error.
func TestStandInsThatWereNeverMade(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		p := model(t)
		_, err := r.Push(t.Context(), p, "")
		must(t, err)
		statement := bundle(t, p.Digest(), 1, "")
		_, err = r.Attach(t.Context(), p.Digest(), statement)
		must(t, err)
		key, err := testKey()
		must(t, err)
		parsed, err := attest.ParseBundle(statement)
		must(t, err)
		commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("ab", 20))
		must(t, err)
		payload, signer := attest.SHA256(parsed.Payload), verify.KeyCredential(key.Public()).Standin()
		for name, d := range map[string]attest.Digest{
			"payload": payload, "key": signer, "commit": commit,
			"file": p.Files()[0].Digest, "bundle": attest.SHA256(statement), // content is there, and no manifest
		} {
			if got, err := tryList(t, open(t, where), d); err != nil || len(got) != 0 {
				t.Errorf("%s: %d attestations, %v", name, len(got), err)
			}
		}
		scope := verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{key.Public()}}, Consult: true}
		consulted := func() *verify.Artifact {
			c, err := verify.Walk(t.Context(), p.Digest(), []verify.Source{open(t, where)}, scope)
			must(t, err)
			for _, d := range c.ConsultedAll() {
				if c.Consulted(d).Gapped() || len(c.Unseen()) != 0 {
					t.Errorf("%s is gapped: %v", d.Short(), c.Unseen())
				}
			}
			if len(c.ConsultedAll()) != 2 || len(c.Gaps()) != 0 || len(c.Artifact(p.Digest()).Evidence) != 1 {
				t.Errorf("consulted %v, gaps %v", c.ConsultedAll(), c.Gaps())
			}
			return c.Consulted(payload)
		}
		if a := consulted(); a == nil || len(a.Evidence) != 0 {
			t.Errorf("before it is revoked: %+v", a)
		}
		revocation, err := attest.NewStatement(attest.Subject{Digest: payload}, predicate.TypeRevocation, map[string]any{
			"action": "revoke", "target": "payload", "reason": "wrong test set", "issuedAt": "2026-03-01T00:00:00Z"})
		must(t, err)
		b, err := attest.Sign(t.Context(), revocation, key)
		must(t, err)
		_, err = r.Attach(t.Context(), payload, b)
		must(t, err)
		if a := consulted(); a == nil || len(a.Evidence) != 1 || a.Evidence[0].PredicateType() != predicate.TypeRevocation {
			t.Errorf("after it was revoked: %+v", a)
		}
	})
}
