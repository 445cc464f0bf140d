package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// advises reports whether a reason with the code tells the next thing to do so.
func advises(v *policy.Verdict, code attest.Code, next string) bool {
	return slices.ContainsFunc(v.Requirements, func(r policy.Requirement) bool {
		return slices.ContainsFunc(r.Reasons, func(why policy.Reason) bool { return why.Code == code && strings.Contains(why.Next, next) })
	})
}

// A refusal names the limit that was reached, and the cause of what cannot be seen
// rather than a repository that does not answer.
func TestAdviceFitsTheCause(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *pipeline)
		want policy.Outcome
		code attest.Code
		next string
	}{
		{"CHN-04 too deep", func(p *pipeline) { p.replace("steps:\n", "limits: {depth: 1}\nsteps:\n") }, policy.Undecided, attest.CodeChainDepth, "raise limits.depth (1)"},
		{"CHN-05 too many inputs", func(p *pipeline) { p.replace("steps:\n", "limits: {inputs: 1}\nsteps:\n") }, policy.Undecided, attest.CodeChainFanout, "raise limits.inputs (1)"},
		{"too much evidence", func(p *pipeline) { p.replace("steps:\n", "limits: {attestations: 2}\nsteps:\n") }, policy.Undecided, attest.CodeLimit, "limits.attestations"},
		{"a repository is silent", func(p *pipeline) { p.world.Break(p.quant, unreachable()) }, policy.Undecided, attest.CodeRegUnavailable, "when every repository answers"},
	} {
		p := newPipeline(t)
		c.do(p)
		if v := p.verdict(); v.Outcome != c.want || !advises(v, c.code, c.next) {
			t.Errorf("%s: want %s, %s and %q, got %s", c.name, c.want, c.code, c.next, explain(v))
		}
	}
	if v := newPipeline(t).verdict(); v.Outcome != policy.Allow {
		t.Errorf("within every limit: %s", explain(v))
	}
}

// Where evidence ends by its maker's word, the verdict tells as what it was taken.
func TestFrontierHasRoles(t *testing.T) {
	p := newPipeline(t)
	p.replace(`    inputs: [{role: raw-data, origin: "https://archive.ics.uci.edu/", pin: ["`+rawDigest+`"]}]`, "    inputs: []")
	dig(p.statements["ingest"].body, "buildDefinition")["resolvedDependencies"] = []any{}
	v := p.verdict()
	i := slices.IndexFunc(v.Frontier, func(f policy.Frontier) bool { return f.Artifact == p.raw && f.How == policy.FrontierSigned })
	if i < 0 || v.Frontier[i].Role != "raw-data" {
		t.Errorf("%+v: %s", v.Frontier, explain(v))
	}
}
