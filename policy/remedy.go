package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// Words in remedies that stand for what only the one who asks knows: the
// artifact's repository and the policy's file. A verdict keeps them as they are,
// so that its bytes do not depend on where it was asked; a report puts the real
// ones in their place.
const (
	RemedyRepository = "REPO"
	RemedyPolicy     = "POLICY"
)

// remedy names the command that would supply what a step lacks, and who could give
// it. What only they know is in capitals.
func (ev *evaluator) remedy(s *step, d attest.Digest, by []string) string {
	if len(by) == 0 {
		return "nobody is left in by of " + s.name + ": the policy's owners must name somebody"
	}
	who := " (by " + strings.Join(by, " or ") + ")"
	if ev.above != nil {
		return fmt.Sprintf("the owners of policy %s ask for it: %s of %s%s; if it is in their repository, name that: --evidence, or evidence in the policy", ev.d.name, s.name, d, who)
	}
	key := " " + ev.d.signWith(by[0])
	at := fmt.Sprintf(" %s@%s", RemedyRepository, d)
	switch {
	case s.predicate == predicate.TypeApproval:
		return "pedigree approve" + at + " --policy " + RemedyPolicy + " --step " + s.name + ev.contextFlag() + ev.d.roleFlag(s, by[0]) + key + who
	case s.produces() && s.predicate == predicate.TypeProvenance:
		return "pedigree run --step " + lastSegment(s) + inputFlags(s) + " --output NAME=PATH,to=" + RemedyRepository + ":TAG" + key + " -- COMMAND" + who
	case s.predicate == predicate.TypeEvaluation:
		return "pedigree run --step " + s.name + " --about" + at + " --type evaluation --predicate FILE" + inputFlags(s) + key + " -- COMMAND" + who
	}
	return "pedigree attest" + at + " --type " + predicate.Name(s.predicate) + " --predicate FILE" + key + who
}

// roleFlag names the role in which a principal would fill a place of the step.
func (d *document) roleFlag(s *step, name string) string {
	for _, place := range s.roles {
		if p := d.principal(name); p != nil && slices.Contains(p.roles, place.role) {
			return " --role " + place.role
		}
	}
	return ""
}

// signWith names the options with which a principal signs, by its first credential,
// so that it counts: a key is guessed to lie beside the public one, and unless the
// signer's word is taken somebody else must say when.
func (d *document) signWith(name string) string {
	p := d.principal(name)
	if p == nil || len(p.credentials) == 0 {
		return "--key " + name + ".key" // unreachable: by names principals
	}
	const services = " --signing-config FILE"
	dated := " --timestamp URL"
	if d.unsafeTime {
		dated = ""
	}
	switch c := p.credentials[0]; {
	case c.isKey() && strings.HasSuffix(c.file, ".pub"):
		return "--key " + strings.TrimSuffix(c.file, ".pub") + ".key" + dated
	case c.isKey():
		return "--key " + name + ".key" + dated
	case isSPIFFE(c.rule):
		return "--spiffe SOCKET --timestamp URL" // over in an hour, whatever the policy says
	case p.kind == "human":
		return "--oidc" + services
	}
	return "--identity-token FILE" + services
}

func (ev *evaluator) contextFlag() string {
	if ev.t.Context == "" {
		return ""
	}
	return " --context " + ev.t.Context
}

// inputFlags writes the inputs that the step's lines require.
func inputFlags(s *step) string {
	var b strings.Builder
	for _, l := range s.inputs {
		switch {
		case l.min == 0 || l.role == "":
		case l.role == "code":
			b.WriteString(" --code .")
		case l.origin != nil && strings.HasPrefix(l.origin.scheme, "git"):
			fmt.Fprintf(&b, " --input %s=%s@gitCommit:COMMIT", l.role, l.origin)
		case l.role == "environment":
			b.WriteString(" --lock FILE")
		default:
			fmt.Fprintf(&b, " --input %s=%s@DIGEST", l.role, RemedyRepository)
		}
	}
	return b.String()
}

// lastSegment is the step's name in `pedigree run`, where its build type is one of
// ours; otherwise the policy's own name for it.
func lastSegment(s *step) string {
	const ours = "https://pedigree-ml.github.io/build/"
	if rest, ok := strings.CutPrefix(s.buildType, ours); ok {
		if name := path.Dir(rest); name != "." && !slices.Contains(strings.Split(name, "/"), "") {
			return name
		}
	}
	return s.name
}
