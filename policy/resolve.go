package policy

import (
	"encoding/json"
	"time"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// resolve writes the document with nothing left to look up: keys by fingerprint,
// `like` expanded, defaults spelled out. Two policies that judge alike may
// resolve differently, but two that resolve alike judge alike.
func (d *document) resolve() ([]byte, error) {
	m := map[string]any{
		"apiVersion": apiVersion,
		"kind":       kindPolicy,
		"metadata":   map[string]any{"name": d.name, "version": d.version, "description": d.description, "notBefore": momentText(d.notBefore), "expires": d.expires},
		"artifact":   d.artifact,
		"evidence":   repositories(d),
		"unsafeTime": d.unsafeTime,
		"limits": map[string]any{
			"depth": d.limits.walk.Depth, "attestationsPerArtifact": d.limits.walk.PerArtifact, "attestations": d.limits.walk.Attestations,
			"bytes": d.limits.walk.Bytes, "inputs": d.limits.walk.Inputs, "time": d.limits.walk.Time.String(), "celCost": d.limits.celCost,
			"policies": d.limits.policies, "requirements": d.limits.requirements,
		},
		"sharedFiles": d.sharedFiles,
	}
	if d.maxLag != defaultMaxLag { // nothing said is 24h: as it was before this could be said
		m["maxLag"] = d.maxLag.String()
	}
	if !d.trust.IsZero() {
		m["trust"] = d.trust
	}
	principals := map[string]any{}
	for _, p := range d.principals {
		var creds []any
		for _, c := range p.credentials {
			creds = append(creds, c.resolve())
		}
		principals[p.name] = map[string]any{"kind": p.kind, "roles": p.roles, "credentials": creds}
	}
	m["principals"] = principals
	// A list keeps the order of steps, which orders the verdict.
	var steps []any
	for _, s := range d.steps {
		steps = append(steps, s.resolve())
	}
	m["steps"] = steps
	var deny []any
	for _, x := range d.deny {
		deny = append(deny, map[string]any{"artifacts": x.artifacts, "reason": x.reason, "list": x.list, "by": x.by, "threshold": x.threshold,
			"maxAge": x.maxAge.String(), "acknowledgeAbsence": x.acknowledge})
	}
	m["deny"] = deny
	d.resolveRest(m)
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	v, err := strictjson.Parse(b, 16*maxPolicy)
	if err != nil {
		return nil, err
	}
	return v.Canonical(), nil
}

// resolveRest adds what stands beside principals and steps.
func (d *document) resolveRest(m map[string]any) {
	var contexts, revocation []any
	for _, c := range d.contexts {
		contexts = append(contexts, map[string]any{"name": c.name, "require": c.require})
	}
	for _, v := range d.revocation {
		revocation = append(revocation, map[string]any{"by": v.by, "of": v.of, "threshold": v.threshold, "acknowledgeAbsence": v.acknowledge})
	}
	m["contexts"], m["revocation"] = contexts, revocation
	if d.status != nil {
		m["status"] = map[string]any{"by": d.status.by, "maxAge": d.status.maxAge.String()}
	}
	if d.formats != nil {
		m["formats"] = map[string]any{"weights": d.formats.weights, "kinds": d.formats.kinds, "scan": d.formats.scan}
	}
	if d.access != nil {
		m["access"] = d.access.resolve()
	}
	policies := map[string]any{}
	for _, o := range d.policies {
		p := map[string]any{"digest": o.digest, "context": o.context}
		if o.policy != nil {
			// Whole, so that the resolved policy says all that is asked.
			p["policy"] = json.RawMessage(o.policy.resolved)
		}
		if v := o.vsa; v != nil {
			p["vsa"] = map[string]any{"by": v.by, "verifier": v.verifier, "resource": v.resource, "maxAge": v.maxAge.String(), "levels": v.levels, "acknowledgeAbsence": v.acknowledge}
		}
		policies[o.name] = p
	}
	m["policies"] = policies
}

// momentText writes a time that may not be stated.
func momentText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func repositories(d *document) []string {
	out := []string{}
	for _, r := range d.evidence {
		out = append(out, r.String())
	}
	return out
}

func (s *step) resolve() map[string]any {
	var rules, inputs, compare, carries, roles []any
	for _, r := range s.rules {
		rules = append(rules, r.resolve())
	}
	for _, c := range s.compare {
		m := c.rule.resolve()
		m["with"], m["sameInputs"] = c.with, c.sameInputs
		compare = append(compare, m)
	}
	for _, c := range s.carries {
		carries = append(carries, map[string]any{"step": c.step, "added": c.added})
	}
	for _, p := range s.roles {
		roles = append(roles, map[string]any{"role": p.role, "n": p.n})
	}
	conditions := map[string]any{}
	if c := s.conditions; c != nil {
		conditions = map[string]any{"dischargedBy": c.dischargedBy, "untilDue": c.untilDue}
	}
	for _, l := range s.inputs {
		inputs = append(inputs, l.resolve())
	}
	return map[string]any{
		"name": s.name, "predicate": s.predicate, "buildType": s.buildType, "by": s.by, "notBy": s.notBy, "vetoBy": s.vetoBy, "kind": s.kind,
		"threshold": s.threshold, "about": s.about, "optional": s.optional, "select": s.selects, "inputs": inputs, "basis": s.basis, "agree": s.agree,
		"maxAge": s.maxAge.String(), "where": s.where.text(), "veto": s.veto.text(), "scope": s.scope.text(), "rules": rules, "acknowledgeAbsence": s.acknowledge,
		"roles": roles, "covers": s.covers, "rebase": s.rebase, "samePolicy": s.samePolicy, "conditions": conditions, "compare": compare, "carriesOver": carries,
		"before": s.before, "minVersion": s.minVersion.String(), "minAge": s.minAge.String(), "controls": s.controls,
	}
}

func (r *rule) resolve() map[string]any {
	return map[string]any{"id": r.id, "cel": r.cel.source, "message": r.message, "controls": r.controls}
}

func (l *line) resolve() map[string]any {
	m := map[string]any{"role": l.role, "from": l.from, "output": l.output, "pin": l.pin, "reason": l.reason, "policy": l.policy, "minVersion": l.minVersion.String(), "min": l.min, "max": l.max}
	if l.origin != nil {
		m["origin"] = l.origin.String()
	}
	if l.accept {
		m["accept"] = "any"
	}
	for key, refs := range map[string][]stepRole{"notIn": l.notIn, "sameAs": l.sameAs, "sameRun": l.sameRun} {
		var out []string
		for _, r := range refs {
			out = append(out, r.String())
		}
		m[key] = out
	}
	return m
}

func (e *expression) text() string {
	if e == nil {
		return ""
	}
	return e.source
}
