package rehearse

import (
	"context"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// builder names who ran every step of a rehearsal.
const builder = "https://pedigree-ml.github.io/builder/rehearsal/v1"

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func set(d attest.Digest) map[string]any {
	out := map[string]any{}
	for alg, hex := range d.DigestSet() {
		out[alg] = hex
	}
	return out
}

// body writes a deed's predicate: what its type needs, with what the author wrote
// over it, and then what evidence and case set in it.
func (w *world) body(ctx context.Context, d *deed) (map[string]any, error) {
	b, err := w.defaults(ctx, d)
	if err != nil {
		return nil, err
	}
	own, err := w.digests(ctx, d, any(d.predicate))
	if err != nil {
		return nil, err
	}
	if over, ok := own.(map[string]any); ok {
		merge(b, over)
	}
	decimals(d.typ, b)
	for _, s := range d.sets {
		value, err := w.digests(ctx, d, s.value)
		if err != nil {
			return nil, err
		}
		if !put(b, s.path, value, s.remove) {
			return nil, wrong(s.node, "set: the predicate of %s has no such place", d.name)
		}
	}
	decimals(d.typ, b)
	return b, nil
}

func (w *world) defaults(ctx context.Context, d *deed) (map[string]any, error) {
	at := stamp(d.at)
	switch d.typ {
	case predicate.TypeProvenance:
		return w.provenance(d), nil
	case predicate.TypeEvaluation:
		kind := d.step
		if kind == "" {
			kind = "quality"
		}
		return map[string]any{"kind": kind, "evaluatedAt": at, "suite": map[string]any{"name": "rehearsal"}, "metrics": map[string]any{},
			"inputs": w.inputs(d, func(in input, e map[string]any) { e["role"] = in.role })}, nil
	case predicate.TypeApproval:
		return w.approval(ctx, d)
	case predicate.TypeVSA:
		return map[string]any{"timeVerified": at, "verificationResult": predicate.ResultPassed, "verifiedLevels": []any{}}, nil
	case predicate.TypeRevocation:
		return w.revocation(ctx, d)
	case predicate.TypeDenylist:
		list := []any{}
		for _, name := range d.denies {
			list = append(list, map[string]any{"digest": set(w.f.artifacts[name].digest), "reason": "denied in a rehearsal"})
		}
		return map[string]any{"name": d.of[0].list, "sequence": 1, "issuedAt": at, "validUntil": stamp(d.until(24 * time.Hour)), "artifacts": list}, nil
	case predicate.TypeDeployment:
		return map[string]any{"environment": w.environment(), "deployedAt": at}, nil
	case predicate.TypeAccess:
		return map[string]any{"principal": map[string]any{"id": "rehearsal", "kind": predicate.AccessAgent}, "grantedAt": at, "notAfter": stamp(d.until(24 * time.Hour))}, nil
	case predicate.TypePreregistration:
		return map[string]any{"registeredAt": at}, nil
	case predicate.TypeOMS:
		return map[string]any{"resources": w.resources(d)}, nil
	}
	return map[string]any{}, nil
}

func (d *deed) until(unless time.Duration) time.Time {
	if d.validFor != 0 {
		unless = d.validFor
	}
	return d.at.Add(unless)
}

// environment is where things are approved for and deployed to, unless the
// author says so: the test's context.
func (w *world) environment() string {
	if w.f.context != "" {
		return w.f.context
	}
	return "prod"
}

func (w *world) provenance(d *deed) map[string]any {
	external := map[string]any{}
	if d.parameters != nil {
		external["parameters"] = d.parameters
	}
	byproducts := []any{}
	for _, o := range d.outputs {
		byproducts = append(byproducts, map[string]any{"name": o.name, "digest": set(w.f.artifacts[o.artifact].digest)})
	}
	run := d.run
	if run == "" {
		run = "run-" + d.name
	}
	inputs := w.inputs(d, func(in input, e map[string]any) {
		if in.role != "" {
			notes, _ := e["annotations"].(map[string]any)
			if notes == nil {
				notes = map[string]any{}
			}
			notes["role"] = in.role
			e["annotations"] = notes
		}
	})
	return map[string]any{
		"buildDefinition": map[string]any{"buildType": d.buildType, "externalParameters": external, "resolvedDependencies": inputs},
		"runDetails": map[string]any{
			"builder":    map[string]any{"id": builder},
			"metadata":   map[string]any{"invocationId": run, "startedOn": stamp(d.started), "finishedOn": stamp(d.at)},
			"byproducts": byproducts,
		},
	}
}

// inputs writes a deed's inputs; role writes the role where the type has it.
func (w *world) inputs(d *deed, role func(in input, entry map[string]any)) []any {
	out := []any{}
	for _, in := range d.inputs {
		e := map[string]any{}
		if a := w.f.artifacts[in.artifact]; a != nil {
			e["digest"] = set(a.digest)
		}
		if in.uri != "" {
			e["uri"] = in.uri
		}
		if in.name != "" {
			e["name"] = in.name
		}
		if in.unobserved {
			e["annotations"] = map[string]any{"observed": false}
		}
		role(in, e)
		out = append(out, e)
	}
	return out
}

// approval writes an approval as pedigree approve does: it names the policy, and
// the evidence that the policy's basis asks for as of its own time.
func (w *world) approval(ctx context.Context, d *deed) (map[string]any, error) {
	basis := []any{}
	for _, other := range w.basis(d) {
		statements, err := w.sign(ctx, other)
		if err != nil {
			return nil, err
		}
		for _, s := range statements {
			basis = append(basis, map[string]any{"payload": set(s.payload), "artifact": set(s.at), "predicateType": other.typ})
		}
	}
	b := map[string]any{"decision": predicate.DecisionApproved, "approvedAt": stamp(d.at), "basis": basis,
		"scope":  map[string]any{"environments": []any{w.environment()}},
		"policy": map[string]any{"name": w.p.Name(), "version": w.p.Version(), "digest": set(w.p.Digest())}}
	if d.validFor != 0 {
		b["validUntil"] = stamp(d.until(0))
	}
	var discharges []any
	for _, x := range d.discharges {
		statements, err := w.signNamed(ctx, x.approval)
		if err != nil {
			return nil, err
		}
		for _, s := range statements {
			discharges = append(discharges, map[string]any{"payload": set(s.payload), "id": x.id})
		}
	}
	if discharges != nil {
		b["discharges"] = discharges
	}
	return b, nil
}

// basis returns what an approval rests on: what its author wrote, or all evidence
// so far of the steps that the policy wants named, or all evidence so far about
// the same artifact that is no approval. What the case takes away is left out,
// unless nothing would be left: an approval rests on something.
func (w *world) basis(d *deed) []*deed {
	var written, asked, about []*deed
	for _, other := range w.c.deeds {
		if slices.Contains(d.basis, other.name) {
			written = append(written, other)
		}
		if other == d || other.at.After(d.at) {
			continue
		}
		if other.stepOf(d.basisOf) {
			asked = append(asked, other)
		}
		if other.typ != predicate.TypeApproval && other.of[0] == d.of[0] {
			about = append(about, other)
		}
	}
	choices := [][]*deed{asked, about}
	if d.basis != nil {
		choices = [][]*deed{written}
	}
	for _, all := range choices {
		if made := slices.DeleteFunc(slices.Clone(all), func(d *deed) bool { return d.never }); len(made) > 0 {
			return made
		}
	}
	for _, all := range choices {
		if len(all) > 0 {
			return all
		}
	}
	return nil
}

func (w *world) revocation(ctx context.Context, d *deed) (map[string]any, error) {
	target := predicate.TargetArtifact
	switch {
	case d.of[0].payload != "":
		target = predicate.TargetPayload
	case d.of[0].holder != "":
		target = predicate.TargetKey
	}
	b := map[string]any{"action": predicate.ActionRevoke, "target": target, "reason": "revoked in a rehearsal", "issuedAt": stamp(d.at)}
	if d.replacedBy != "" {
		b["action"], b["replacedBy"] = predicate.ActionSupersede, set(w.f.artifacts[d.replacedBy].digest)
	}
	var restores []any
	for _, name := range d.restores {
		statements, err := w.signNamed(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, s := range statements {
			restores = append(restores, map[string]any{"payload": set(s.payload)})
		}
	}
	if restores != nil {
		b["action"], b["restores"] = predicate.ActionRestore, restores
	}
	return b, nil
}

// resources lists the files of the artifact, as an OMS signature does.
func (w *world) resources(d *deed) []any {
	out := []any{}
	a := w.f.artifacts[d.of[0].artifact]
	if a == nil {
		return out
	}
	for _, path := range a.paths() {
		out = append(out, map[string]any{"name": path, "algorithm": "sha256", "digest": fileDigest(a.files[path]).Hex()})
	}
	return out
}

// digests replaces {digestOf: ARTIFACT} and {payloadOf: EVIDENCE} by digest sets.
func (w *world) digests(ctx context.Context, d *deed, v any) (any, error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = w.digests(ctx, d, v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if name, ok := v["digestOf"].(string); ok && len(v) == 1 {
			if a := w.f.artifacts[name]; a != nil {
				return set(a.digest), nil
			}
			return nil, wrong(d.node, "digestOf: there is no artifact %q", name)
		}
		if name, ok := v["payloadOf"].(string); ok && len(v) == 1 {
			statements, err := w.signNamed(ctx, name)
			if err != nil {
				return nil, err
			}
			if len(statements) != 1 {
				return nil, wrong(d.node, "payloadOf: %s is %d statements in this case, not one", name, len(statements))
			}
			return set(statements[0].payload), nil
		}
		out := map[string]any{}
		for k := range v {
			var err error
			if out[k], err = w.digests(ctx, d, v[k]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}
