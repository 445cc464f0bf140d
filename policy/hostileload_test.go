package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/policy"
)

// Sections that would ask for nothing, or of nobody, do not load.
func TestEmptySectionsDoNotLoad(t *testing.T) { // POL-06
	for _, c := range []struct{ section, why string }{
		{"contexts: {}", "contexts is empty"},
		{"status: {by: []}", "by is empty"},
		{"revocation: []", "must be a list"},
		{"revocation: {}", "must be a list"},
		{"revocation: [{by: [], acknowledgeAbsence: x}]", "by is empty"},
		{"revocation: [{by: [data], of: [], acknowledgeAbsence: x}]", "of is empty"},
		{"revocation: [{by: [data], of: [everything], acknowledgeAbsence: x}]", "some of"},
		{"revocation: [{by: [data], threshold: 2, acknowledgeAbsence: x}]", "cannot be met"},
		{"revocation: [{by: [data]}]", "no revocation being hidden"},
		{"formats: {weights: []}", "weights is empty"},
		{"formats: {weights: [pickle]}", "none of"},
		{"formats: {weights: [gguf], kinds: []}", "kinds is empty"},
		{"formats: {weights: [gguf], scan: train}", "about the judged artifact"},
		{"policies: {hub: {}}", "needs a file"},
		{"policies: {hub: {vsa: {by: [data], verifier: v, resource: r, maxAge: 1h, acknowledgeAbsence: x}}}", "by its digest"},
		{"policies: {hub: {digest: \"" + rawDigest + "\", vsa: {by: [], verifier: v, resource: r, maxAge: 1h, acknowledgeAbsence: x}}}", "by is empty"},
	} {
		p := newPipeline(t)
		if _, err := load(p.world, p.policy); err != nil {
			t.Fatalf("without the section: %v", err)
		}
		p.replace("steps:\n", c.section+"\nsteps:\n")
		_, err := load(p.world, p.policy)
		var problems *policy.LoadError
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: want %q, got %v", c.section, c.why, err)
		}
	}
}
