// Package policy decides whether a verified chain is good enough, and says why.
//
// A policy states, step by step, who may do what with which inputs, how many
// must agree, and which numbers an evaluation must show. What is true of the
// graph (who, from where, how many, how old) is written in strict YAML; what is
// true of one predicate is an expression in CEL. [Load] checks all of it before
// anything is judged: a policy with a mistake does not load, because a rule that
// is skipped is a rule that allows.
//
// [Policy.Evaluate] takes a [verify.Chain], which only package verify makes, and
// returns a [Verdict]. It reads no clock, no file and no network: the same
// policy, chain and times give the same bytes.
//
// # Three answers
//
// Every requirement is passed, failed or unknown. ALLOW needs all passed; one
// failure is a DENY; the rest is UNDECIDED. A failure is final only if nothing
// that the walk could not see would mend it, and a pass counts only if nothing
// unseen could break it. Nothing to check is never a pass: an empty "for all",
// a policy without steps, a missing field and a costly expression all refuse.
package policy

import (
	"path"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Policy is a loaded, checked and resolved policy. Only Load makes one; the
// zero Policy denies everything.
type Policy struct {
	doc      *document
	resolved []byte
	digest   attest.Digest
	source   *yaml.Node // what Load read, for the places of findings
}

// Name returns metadata.name.
func (p *Policy) Name() string { return p.doc.name }

// Version returns metadata.version.
func (p *Policy) Version() int { return p.doc.version }

// Expires returns the time after which the policy judges nothing.
func (p *Policy) Expires() time.Time { return p.doc.expires }

// Digest returns the SHA-256 of the resolved policy: its name in verdicts,
// summaries and approvals. It covers the keys' contents and every default, so
// two policies with one digest judge alike.
func (p *Policy) Digest() attest.Digest { return p.digest }

// Resolved returns the policy with everything inlined, as canonical JSON.
func (p *Policy) Resolved() []byte { return p.resolved }

// TrustsClaimedTimes reports whether the policy takes the signers' word for when
// things happened (unsafeTime: claimed). Without it, evidence by plain keys, whose
// times nobody authenticates, satisfies nothing.
func (p *Policy) TrustsClaimedTimes() bool { return p.doc.unsafeTime }

// Evidence returns the further repositories that the policy and those it names
// list. A layout's path is relative to the policy's folder, as keys' are.
func (p *Policy) Evidence() []attest.Repository {
	out := slices.Clone(p.doc.evidence)
	for _, o := range p.doc.policies {
		if o.policy == nil {
			continue
		}
		for _, r := range o.policy.Evidence() {
			if r.IsLayout() && !path.IsAbs(r.Name()) {
				if moved, err := attest.ParseRepository("ocidir://" + path.Join(path.Dir(o.file), r.Name())); err == nil {
					r = moved
				}
			}
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// Scope returns what a walk needs to know: whose signatures count, whose
// evidence leads further, and the limits.
func (p *Policy) Scope() verify.Scope {
	s := verify.Scope{Limits: p.doc.limits.walk}
	p.doc.scope(&s)
	return s
}

// scope adds what a policy and those that it names need. The limits stay those
// of the policy that is asked: its budget pays for all of them.
func (d *document) scope(s *verify.Scope) {
	for _, pr := range d.principals {
		s.Keys = append(s.Keys, pr.keys()...)
		for _, r := range pr.rules() {
			// Whatever a certificate claims: that somebody's run was of another branch is a
			// reason to tell, and the run a stranger's would be none.
			r.Claims = trust.Claims{}
			if !slices.Contains(s.Identities, r) {
				s.Identities = append(s.Identities, r)
			}
		}
	}
	for _, st := range d.steps {
		s.Follow = append(s.Follow, d.follow(st))
	}
	s.Consult = s.Consult || len(d.revocation) > 0
	s.Grants = s.Grants || d.access != nil
	for _, x := range d.deny {
		if x.list != "" {
			s.Also = append(s.Also, predicate.DenylistAnchor(x.list))
		}
	}
	for _, o := range d.policies {
		if o.policy != nil {
			o.policy.doc.scope(s)
		}
	}
}

// follow returns which evidence is of a step, and by whom.
func (d *document) follow(s *step) verify.Follow {
	f := verify.Follow{PredicateType: s.predicate, BuildType: s.buildType, Files: s.covers != ""}
	for _, name := range s.by {
		for _, k := range d.principal(name).keys() {
			f.By = append(f.By, verify.KeyCredential(k))
		}
		f.ByIdentity = append(f.ByIdentity, d.principal(name).rules()...)
	}
	return f
}

// Contexts returns the names of the contexts in which the policy can be asked;
// none if it does not tell contexts apart.
func (p *Policy) Contexts() []string {
	var out []string
	for _, c := range p.doc.contexts {
		out = append(out, c.name)
	}
	return out
}

// StepNames returns the policy's steps in the order they are written.
func (p *Policy) StepNames() []string {
	var out []string
	for _, s := range p.doc.steps {
		out = append(out, s.name)
	}
	return out
}

// StepPredicate returns the predicate type of a step, and whether there is one
// of that name.
func (p *Policy) StepPredicate(name string) (string, bool) {
	if s := p.doc.step(name); s != nil {
		return s.predicate, true
	}
	return "", false
}

// ApprovalSteps returns the steps whose evidence is an approval, in the policy's
// order.
func (p *Policy) ApprovalSteps() []string {
	var out []string
	for _, s := range p.doc.steps {
		if s.predicate == predicate.TypeApproval {
			out = append(out, s.name)
		}
	}
	return out
}
