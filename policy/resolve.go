package policy

import (
	"encoding/json"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// resolve writes the document with nothing left to look up: keys by fingerprint,
// `like` expanded, defaults spelled out. Two policies that judge alike may
// resolve differently, but two that resolve alike judge alike.
func (d *document) resolve() ([]byte, error) {
	m := map[string]any{
		"apiVersion": apiVersion,
		"kind":       kindPolicy,
		"metadata":   map[string]any{"name": d.name, "version": d.version, "description": d.description, "expires": d.expires},
		"artifact":   d.artifact,
		"evidence":   repositories(d),
		"unsafeTime": d.unsafeTime,
		"limits": map[string]any{
			"depth": d.limits.walk.Depth, "attestationsPerArtifact": d.limits.walk.PerArtifact, "attestations": d.limits.walk.Attestations,
			"bytes": d.limits.walk.Bytes, "inputs": d.limits.walk.Inputs, "time": d.limits.walk.Time.String(), "celCost": d.limits.celCost,
		},
		"sharedFiles": d.sharedFiles,
	}
	principals := map[string]any{}
	for _, p := range d.principals {
		var creds []string
		for _, c := range p.credentials {
			creds = append(creds, c.String())
		}
		principals[p.name] = map[string]any{"kind": p.kind, "credentials": creds}
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
		deny = append(deny, map[string]any{"artifacts": x.artifacts, "reason": x.reason, "acknowledgeAbsence": x.acknowledge})
	}
	m["deny"] = deny
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

func repositories(d *document) []string {
	out := []string{}
	for _, r := range d.evidence {
		out = append(out, r.String())
	}
	return out
}

func (s *step) resolve() map[string]any {
	var rules, inputs []any
	for _, r := range s.rules {
		rules = append(rules, map[string]any{"id": r.id, "cel": r.cel.source, "message": r.message, "controls": r.controls})
	}
	for _, l := range s.inputs {
		inputs = append(inputs, l.resolve())
	}
	return map[string]any{
		"name": s.name, "predicate": s.predicate, "buildType": s.buildType, "by": s.by, "notBy": s.notBy, "vetoBy": s.vetoBy, "kind": s.kind,
		"threshold": s.threshold, "about": s.about, "optional": s.optional, "select": s.selects, "inputs": inputs, "basis": s.basis, "agree": s.agree,
		"maxAge": s.maxAge.String(), "where": s.where.text(), "veto": s.veto.text(), "scope": s.scope.text(), "rules": rules, "acknowledgeAbsence": s.acknowledge,
	}
}

func (l *line) resolve() map[string]any {
	m := map[string]any{"role": l.role, "from": l.from, "output": l.output, "pin": l.pin, "reason": l.reason, "min": l.min, "max": l.max}
	if l.origin != nil {
		m["origin"] = l.origin.String()
	}
	if l.accept {
		m["accept"] = "any"
	}
	for key, refs := range map[string][]stepRole{"notIn": l.notIn, "sameRun": l.sameRun} {
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
