package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// instanceOf makes a Sigstore instance, always the same one of a name: since 2026, so
// that a script can sign at any time since.
func instanceOf(name string) (*authority.Instance, error) {
	return authority.New(name, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
}

// instance FOLDER NAME describes an instance: FOLDER/trusted_root.json and a trust file
// that names it, FOLDER/trust.yaml, which also lists the SPIFFE trust domain
// prod.acme.example and the instance's timestamp authority for it.
func instance(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: instance FOLDER NAME")
	}
	i, err := instanceOf(args[1])
	ts.Check(err)
	root, err := i.TrustedRoot()
	ts.Check(err)
	domain, err := authority.NewDomain("prod.acme.example", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	ts.Check(err)
	shared, err := authority.NewTSA("https://shared.example", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	name, _, _ := strings.Cut(args[1], ".")
	for file, content := range map[string][]byte{
		"trusted_root.json": root,
		"domain.pem":        domain.PEM(),
		"tsa.pem":           authority.PEM(shared.Chain()...),
		"trust.yaml": fmt.Appendf(nil, `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: %s, version: 3, expires: 2099-01-01T00:00:00Z}
sigstore: [{name: %s, trustedRoot: trusted_root.json}]
timestampAuthorities: [{name: shared, chain: tsa.pem, from: 2026-01-01T00:00:00Z}]
spiffe: [{domain: prod.acme.example, bundle: domain.pem, from: 2026-01-01T00:00:00Z}]
`, name, name),
	} {
		ts.Check(os.WriteFile(filepath.Join(dir, file), content, 0o644))
	}
}

// identify [-only TYPE] LAYOUT INSTANCE KEY.pub ISSUER SUBJECT [CLAIM=VALUE…] has an
// identity say everything that a key said in a layout, at the times that the key said
// it: the very same statements, signed once more under certificates of INSTANCE and
// attached beside. ISSUER spiffe signs with an X.509-SVID. With -only, of one predicate
// type.
func identify(ts *testscript.TestScript, neg bool, args []string) {
	only := ""
	if len(args) > 2 && args[0] == "-only" {
		only, args = args[1], args[2:]
	}
	if neg || len(args) < 5 {
		ts.Fatalf("usage: identify [-only TYPE] LAYOUT INSTANCE KEY.pub ISSUER SUBJECT [CLAIM=VALUE…]")
	}
	i, err := instanceOf(args[1])
	ts.Check(err)
	pem, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	key, err := attest.ParsePublicKey(pem)
	ts.Check(err)
	who := trust.Identity{Issuer: args[3], Subject: args[4]}
	var claims trust.Claims
	for _, s := range args[5:] {
		name, value, ok := strings.Cut(s, "=")
		if !ok || !claims.Set(name, value) {
			ts.Fatalf("%s is no claim", s)
		}
	}
	where, err := attest.ParseRepository("ocidir://" + ts.MkAbs(args[0]))
	ts.Check(err)
	repo, err := oci.Open(where, oci.Options{})
	ts.Check(err)
	ctx := context.Background()
	again, err := signedBy(ctx, repo, key, only)
	ts.Check(err)
	if len(again) == 0 {
		ts.Fatalf("%s signed nothing like it there", args[2])
	}
	for _, a := range again {
		at := a.claimed
		if at.IsZero() {
			at = time.Now().Truncate(time.Second)
		}
		at = at.Add(-10 * time.Second) // authorities see it ten seconds later, and not in the future
		var bundle []byte
		if who.Issuer == "spiffe" {
			bundle, err = svid(ctx, a.payload, who.Subject, at)
		} else {
			bundle, err = i.Sign(ctx, a.payload, who, claims, at)
		}
		ts.Check(err)
		_, err = repo.Attach(ctx, a.artifact, bundle)
		ts.Check(err)
	}
}

// svid signs as a workload of prod.acme.example, and has the shared authority say when.
func svid(ctx context.Context, payload []byte, id string, at time.Time) ([]byte, error) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	domain, err := authority.NewDomain("prod.acme.example", from)
	if err != nil {
		return nil, err
	}
	s, err := domain.SVID(strings.TrimPrefix(id, "spiffe://prod.acme.example/"), at)
	if err != nil {
		return nil, err
	}
	shared, err := authority.NewTSA("https://shared.example", from)
	if err != nil {
		return nil, err
	}
	return attest.Sign(ctx, payload, s, shared.At(at.Add(10*time.Second)))
}

// A saidBy is one statement that a key signed.
type saidBy struct {
	artifact attest.Digest
	payload  []byte
	claimed  time.Time
}

// signedBy finds what a key says that it signed.
func signedBy(ctx context.Context, repo *oci.Repository, key attest.PublicKey, only string) ([]saidBy, error) {
	var out []saidBy
	var held []attest.Digest
	_, err := repo.View().Held(ctx, func(h attest.Held) bool {
		held = append(held, h.Digest)
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, d := range held {
		var bad error
		err := repo.Attestations(ctx, d, func(a attest.Attached) bool {
			b, err := attest.ParseBundle(a.Bundle)
			if bad = errors.Join(bad, a.Err, err); bad != nil || b.KeyHint != attest.KeyHint(key) {
				return bad == nil
			}
			s, err := attest.ParseStatement(b.Payload)
			if err != nil {
				bad = err
				return false
			}
			if only != "" && s.PredicateType != only {
				return true
			}
			said := saidBy{artifact: d, payload: b.Payload}
			if facts, err := predicate.Decode(s); err == nil {
				said.claimed = facts.Claimed
			}
			out = append(out, said)
			return true
		})
		if err := errors.Join(err, bad); err != nil {
			return nil, err
		}
	}
	return out, nil
}
