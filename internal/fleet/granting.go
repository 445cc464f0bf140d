package fleet

import (
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// grant says, for one approved version in ten, what it may reach: security grants it to
// the team, and every other team gives a part of that on to an agent.
func (f *Fleet) grant(b *batch, v *version) {
	r := f.chance("grant", v.slot)
	if r.IntN(10) != 0 {
		return
	}
	team := f.team(v)
	scope := fmt.Sprintf("s3://acme/team-%02d", team)
	subject := attest.Subject{Name: "acme/" + f.familyName(v), Digest: v.release()}
	platform := f.keys[teamKey(team)]
	wide := predicate.Access{
		Principal: predicate.AccessPrincipal{ID: "key:" + platform.Public().Fingerprint().String(), Kind: predicate.AccessService},
		GrantedAt: f.at(v.slot, minuteSummary+5), NotAfter: f.at(v.slot, minuteSummary+5).AddDate(0, 3, 0), MayDelegate: 2, Reason: "serving " + f.tag(v),
		Reach: predicate.Reach{
			Tools: []predicate.Tool{
				{Name: "search", Digest: predicate.DigestSet{Digest: f.opaque("schema of search")}},
				{Name: "tickets", Operations: []string{"read", "comment", "close"}},
			},
			Secrets:        []predicate.Secret{{Name: "scoring-db", Store: "vault"}, {Name: "ticket-token", Store: "vault"}},
			ExecutionPaths: []string{"/opt/scoring/bin", "/opt/scoring/plugins"},
			DataScopes:     []string{scope + "/features", scope + "/tickets"},
		},
	}
	parent := b.sign(f.keys[keySecurity], f.repository(v), subject, predicate.TypeAccess, wide)
	if r.IntN(2) != 0 {
		return
	}
	narrow := predicate.Access{
		Principal: predicate.AccessPrincipal{ID: fmt.Sprintf("spiffe://fleet.example/team-%02d/agent", team), Kind: predicate.AccessAgent},
		GrantedAt: f.at(v.slot, minuteSummary+10), NotAfter: f.at(v.slot, minuteSummary+5).AddDate(0, 1, 0), Reason: "answering tickets",
		Delegation: &predicate.Delegation{From: predicate.StatementRef{Payload: predicate.DigestSet{Digest: parent}, Artifact: predicate.DigestSet{Digest: v.release()}}},
		Reach: predicate.Reach{
			Tools:      []predicate.Tool{{Name: "tickets", Operations: []string{"read"}}},
			Secrets:    []predicate.Secret{{Name: "ticket-token", Store: "vault"}},
			DataScopes: []string{scope + "/tickets/open"},
		},
	}
	b.sign(platform, f.repository(v), subject, predicate.TypeAccess, narrow)
}
