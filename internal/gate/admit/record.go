package admit

import (
	"cmp"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// dryRun reports whether nothing of a request will be stored.
func dryRun(r *admissionv1.AdmissionRequest) bool { return r.DryRun != nil && *r.DryRun }

// record has what was let in recorded, if it runs from here on: what a policy judged, at a
// place from which something starts. What is let in against the policy's answer, in modes
// warn and audit, runs as well, and is recorded with that answer. A dry run runs nothing.
//
// A record that cannot be kept is a refusal, unless the configuration says to drop it.
func (a *Admitter) record(g *gate.Grounds, c *considered) {
	if a.recorder == nil || g.Config.Records == nil || c.rule == nil || c.rule.Environment == "" || dryRun(c.request) {
		return
	}
	for _, s := range c.seen {
		if s.Question.Ground == nil || !s.Runs || s.Answer.Reference.Digest.IsZero() {
			continue
		}
		err := a.recorder.Admitted(gate.Admission{
			At: a.now(), Reference: s.Answer.Reference, Answer: s.Answer,
			Environment: c.rule.Environment, Cluster: g.Config.Cluster,
			Service:  service(c.object, c.request.Namespace, s.Place),
			Observer: "pedigree-gate:" + g.Config.Name,
			Rule:     c.rule.Name, Mode: c.rule.Mode,
		})
		if err != nil && g.Config.Records.Full != "drop" {
			c.unrecorded = err
			return
		}
	}
}

// service says where in the cluster something runs: NAMESPACE/KIND/NAME/PLACE of the
// outermost object that is known to own it, so that one pod after another of a Deployment
// is one service.
func service(o *object, namespace, at string) string {
	kind, name := place.Owner(o.content)
	return strings.ToLower(strings.Join([]string{scope(namespace), kind, cmp.Or(name, o.name), at}, "/"))
}
