package lineage_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

func believed(t testing.TB, name string) *trust.Trust {
	t.Helper()
	i, err := authority.New(name, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	must(t, err)
	root, err := i.TrustedRoot()
	must(t, err)
	out, err := trust.OfTrustedRoot(root)
	must(t, err)
	return out
}

// What a store was filled under is spelled so that no two that differ look alike, and
// answers only who believes no more, and under the same trust.
func TestBeliefs(t *testing.T) {
	key := func(name string) attest.PublicKey {
		k, err := authority.NewKey(authority.P256, name)
		must(t, err)
		public, err := attest.NewPublicKey(k.Public())
		must(t, err)
		return public
	}
	acme, other := believed(t, "acme.example"), believed(t, "other.example")
	alice, bob := key("alice"), key("bob")
	exact := trust.Rule{Issuer: "https://ci.example", Subject: "https://ci.example/a"}
	pattern := trust.Rule{Issuer: "https://ci.example", Subject: "https://ci.example/a", Pattern: true}
	claims := exact
	claims.Claims.SourceRef = "refs/heads/main"
	one := verify.Signers{Keys: []attest.PublicKey{alice}, Identities: []trust.Rule{exact}, Trust: acme}

	variants := map[string]verify.Signers{
		"itself":          one,
		"another key":     {Keys: []attest.PublicKey{bob}, Identities: one.Identities, Trust: acme},
		"one key more":    {Keys: []attest.PublicKey{alice, bob}, Identities: one.Identities, Trust: acme},
		"a pattern":       {Keys: one.Keys, Identities: []trust.Rule{pattern}, Trust: acme},
		"with claims":     {Keys: one.Keys, Identities: []trust.Rule{claims}, Trust: acme},
		"another trust":   {Keys: one.Keys, Identities: one.Identities, Trust: other},
		"no trust":        {Keys: one.Keys, Identities: one.Identities},
		"fewer":           {Keys: one.Keys, Trust: acme},
		"anyone":          {Keys: one.Keys, Anyone: true, Trust: acme},
		"keys alone":      {Keys: one.Keys},
		"issuer moved on": {Keys: one.Keys, Identities: []trust.Rule{{Issuer: "https://ci.example https://ci.example/a", Subject: ""}}, Trust: acme},
	}
	spelled := map[string]string{}
	for name, s := range variants {
		b := lineage.Beliefs(s)
		if !slices.IsSorted(b) {
			t.Errorf("%s: not sorted: %q", name, b)
		}
		all := ""
		for _, line := range b {
			all += line + "\n"
		}
		if before, twice := spelled[all]; twice {
			t.Errorf("%s and %s are spelled alike: %q", name, before, b)
		}
		spelled[all] = name
	}
	for name, want := range map[string]bool{
		"itself": true, "fewer": true,
		"another key": false, "one key more": false, "a pattern": false, "with claims": false, "another trust": false, "no trust": false, "anyone": false, "keys alone": false,
	} {
		if got := lineage.NotBelieved(lineage.Beliefs(variants[name]), lineage.Beliefs(one)) == ""; got != want {
			t.Errorf("%s is answered by a store filled under one: %t, want %t", name, got, want)
		}
	}
	// Who believed anyone believed each of them, but no key more, and under no other trust.
	anyone := lineage.Beliefs(variants["anyone"])
	for name, want := range map[string]bool{"itself": true, "a pattern": true, "with claims": true, "one key more": false, "another trust": false, "no trust": false} {
		if got := lineage.NotBelieved(lineage.Beliefs(variants[name]), anyone) == ""; got != want {
			t.Errorf("%s is answered by a store filled under anyone: %t, want %t", name, got, want)
		}
	}
	if lineage.NotBelieved(nil, nil) != "" || lineage.NotBelieved(lineage.Beliefs(variants["keys alone"]), nil) == "" {
		t.Error("of nothing, nothing is answered; nothing is answered by nothing")
	}
	if hostile := lineage.Beliefs(verify.Signers{Identities: []trust.Rule{{Issuer: "i", Subject: "s\nanyone"}}}); len(hostile) != 1 || slices.ContainsFunc(hostile, func(s string) bool { return slices.Contains([]byte(s), '\n') }) {
		t.Errorf("a line feed makes a line: %q", hostile)
	}
}

// In a repository that does not list everything, what takes an identity back is asked
// for by name, also if the identity was known only by a pattern before it signed; and
// what an identity signed is a stranger's under another trust, and read again under its
// own.
func TestCrawlByIdentities(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	w := chaintest.New(t)
	who := trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/acme/train"}
	w.Identity("ci", who, trust.Claims{}, at)
	w.Sign("ci", opaque(0), predicate.TypeProvenance, madeOf(opaque(1)))
	w.Tag(opaque(0), "v1")
	credential := verify.IdentityCredential(who)
	w.Sign("ci", credential.Standin(), predicate.TypeRevocation, map[string]any{
		"action": "revoke", "target": "identity", "reason": "stolen", "issuedAt": at.Format(time.RFC3339),
	})
	pattern := trust.Rule{Issuer: who.Issuer, Subject: "https://ci.example/acme/*", Pattern: true}
	for name, signers := range map[string]verify.Signers{
		"a pattern": {Identities: []trust.Rule{pattern}, Trust: w.Trust()},
		"exactly":   {Identities: []trust.Rule{{Issuer: who.Issuer, Subject: who.Subject}}, Trust: w.Trust()},
		"anyone":    {Anyone: true, Trust: w.Trust()},
	} {
		for _, exhaustive := range []bool{false, true} {
			s := lineage.NewSurvey()
			h := w.Holding("registry.example/models", exhaustive)
			report := mustCrawl(t, s, lineage.CrawlOptions{Signers: signers, At: at}, h)
			if report.Fetched != 2 && !exhaustive || report.Fetched == 0 || len(report.Missed) > 0 {
				t.Errorf("%s, exhaustive %t: %+v", name, exhaustive, report)
			}
			got, err := verify.LookStandIns(t.Context(), []attest.Digest{credential.Standin()}, []verify.Source{s.Source(h.Repository())}, verify.Scope{Signers: signers})
			must(t, err)
			if n := len(got[0].Evidence); n != 1 || len(got[0].Gaps) > 0 {
				t.Errorf("%s, exhaustive %t: %d revocations, gaps %v", name, exhaustive, n, got[0].Gaps)
			}
			// Under another trust nobody vouches for it: everything is a stranger's. The same
			// store under the first one again has it all, because what was passed over is read
			// again.
			if exhaustive {
				continue
			}
			other := signers
			other.Trust = believed(t, "other.example")
			s = lineage.NewSurvey()
			if r := mustCrawl(t, s, lineage.CrawlOptions{Signers: other, At: at}, h); r.Fetched != 0 || r.Strangers == 0 {
				t.Errorf("%s under another trust: %+v", name, r)
			}
			if r := mustCrawl(t, s, lineage.CrawlOptions{Signers: signers, At: at}, h); r.Fetched != 2 {
				t.Errorf("%s, read again: %+v", name, r)
			}
		}
	}
}
