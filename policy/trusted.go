package policy

import (
	"errors"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
)

// What a policy says about whom the walk believed. Which certificates are anybody's,
// and when something was there, is no word of the policy's: it is that of the trust
// file, so a policy may say which one it is to be, and a verdict says which one it was.

// TrustRef names the trust file under which the evidence was verified.
type TrustRef struct {
	Name    string        `json:"name"`
	Version int           `json:"version"`
	Digest  attest.Digest `json:"digest"`
	// Material is the digest of everything that was believed, what was fetched included.
	Material attest.Digest `json:"material"`
}

// Trust returns the digest of the trust file that the policy asks for; zero if any
// will do.
func (p *Policy) Trust() attest.Digest { return p.doc.trust }

// NamesIdentities reports whether the policy, or one that it names, has principals who
// sign under certificates. Without a trust file nobody is one of them.
func (p *Policy) NamesIdentities() bool {
	found := false
	p.doc.all(func(d *document) { found = found || d.identities() })
	return found
}

// NamesKeys reports whether the policy, or one that it names, has principals who sign
// with plain keys.
func (p *Policy) NamesKeys() bool {
	found := false
	p.doc.all(func(d *document) {
		for _, pr := range d.principals {
			found = found || len(pr.keys()) > 0
		}
	})
	return found
}

func (d *document) identities() bool {
	for _, pr := range d.principals {
		if len(pr.rules()) > 0 {
			return true
		}
	}
	return false
}

// askTrust asks that the chain was verified under the trust that the policy pins, and
// under some if it names identities, and that it is not out of date.
func (t *telling) askTrust() {
	d, used := t.ev.d, t.ev.chain.Trust()
	if used != nil && !used.Digest().IsZero() {
		t.v.Trust = &TrustRef{Name: used.Name(), Version: used.Version(), Digest: used.Digest(), Material: used.Material()}
	} else {
		used = nil
	}
	r := Requirement{Step: StepTrust, Artifact: t.ev.chain.Root(), Status: Pass}
	fail := func(st Status, why Reason) {
		r.Status = min(r.Status, st)
		r.Reasons = append(r.Reasons, why)
	}
	asked := d.identities() || !d.trust.IsZero()
	switch {
	case used == nil && !d.trust.IsZero():
		fail(Fail, Reason{Code: attest.CodeTrustRoot, Why: fmt.Sprintf("the policy asks for the trust file %s, and none was used", d.trust.Short()), Next: "verify with --trust FILE"})
	case used == nil && asked:
		fail(Fail, Reason{Code: attest.CodeTrustRoot, Why: "the policy names identities, and no trust file says which certificates are theirs", Next: "verify with --trust FILE"})
	case used != nil && !d.trust.IsZero() && used.Digest() != d.trust:
		fail(Fail, Reason{Code: attest.CodeTrustRoot, About: used.Digest().String(), Why: fmt.Sprintf("the policy asks for the trust file %s, and %s version %d (%s) was used", d.trust.Short(), used.Name(), used.Version(), used.Digest().Short()),
			Next: "verify with the trust file that the policy names; or its owners publish a version that names this one"})
	}
	if used != nil {
		if err := t.ev.at.stale(used); err != nil {
			asked = true
			why := Reason{Code: attest.CodeTrustRootStale, About: used.Digest().String(), Why: err.Error()}
			if r := new(attest.Refusal); errors.As(err, &r) {
				why.Why, why.Next = r.About+": "+r.Why, r.Next
			}
			fail(Unknown, why)
		}
	}
	if asked {
		t.add(r)
	}
}
