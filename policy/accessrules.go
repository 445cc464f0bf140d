package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// What a question about access needs to know of a policy: who is who, who may grant,
// and who may take back.

// A Revoker says which principals may withdraw what.
type Revoker struct {
	By        []string
	Targets   []string // predicate.TargetArtifact, TargetPayload, TargetKey (of identities too)
	Threshold int
}

// Revokers returns who may withdraw what. None: nothing is withdrawn under the
// policy, not even by who signed it.
func (p *Policy) Revokers() []Revoker {
	var out []Revoker
	for _, v := range p.doc.revocation {
		out = append(out, Revoker{By: slices.Clone(v.by), Targets: slices.Clone(v.of), Threshold: v.threshold})
	}
	return out
}

// Principal returns the name of the principal that holds a credential, and "" if it
// is none of this policy's own, or several'. Of an identity it goes by issuer and
// subject; who signed a piece of evidence, [Policy.Signer] says more exactly.
func (p *Policy) Principal(c verify.Credential) string {
	if pr := holder(p.doc.lines(c)); pr != nil {
		return pr.name
	}
	return ""
}

// Signer returns the name of the principal that signed a piece of evidence, by its
// credential and by what its certificate claims; "" for a stranger, and for what may
// be several principals'.
func (p *Policy) Signer(e verify.Evidence) string {
	if pr := p.doc.principalOf(e); pr != nil {
		return pr.name
	}
	return ""
}

// Is reports whether a credential's holder is the principal that a grant of access
// names by id: by its name in the policy, or by any of its credentials.
func (p *Policy) Is(c verify.Credential, id string) bool {
	pr := holder(p.doc.lines(c))
	return pr != nil && pr.is(id)
}

func (pr *principal) is(id string) bool {
	if pr.name == id {
		return true
	}
	c, ok := verify.ParseCredential(id)
	return ok && pr.names(c)
}

// distant is after everything: asked about then, no time is in the future.
var distant = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Counts returns why a signature does not count under the policy, whatever it says:
// E_REVOKED if the policy says that somebody else may hold the key, E_IDENTITY for a
// key of nobody, and otherwise the code for a time that cannot be used; "" if it
// counts. What was withdrawn is not asked.
func (p *Policy) Counts(e verify.Evidence) (code attest.Code, why string) {
	ev := &evaluator{d: p.doc, at: fixed(distant), upTo: fixed(distant)}
	code, why = attest.CodeIdentity, "it is signed by no principal of the policy"
	for _, r := range p.doc.whose(e.About(), e) {
		dated := ev.dated(r, ev.at)
		switch {
		case r.unclear():
			code, why = attest.CodeIdentity, "by the policy's patterns several principals may have signed it, so it counts for none"
		case ev.compromised(r):
			code, why = attest.CodeRevoked, fmt.Sprintf("the %s of %s is compromised since %s (policy), and nothing shows that this was signed before", r.means(), r.principal.name, stamp(r.window.compromised))
		case len(dated) > 0:
			code, why = dated[0].Code, dated[0].Why
		default:
			return "", ""
		}
	}
	return code, why
}

// Bounded reports whether the policy says what an artifact may get at.
func (p *Policy) Bounded() bool { return p.doc.access != nil }

// Grantors returns the principals whose grants of access count without having been
// delegated: those of access, and all of the policy's if it has none.
func (p *Policy) Grantors() []string {
	if p.doc.access != nil {
		return slices.Clone(p.doc.access.by)
	}
	var out []string
	for _, pr := range p.doc.principals {
		out = append(out, pr.name)
	}
	return out
}
