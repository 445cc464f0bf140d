package lineage

import (
	"maps"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/rows"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/verify"
)

// grouped sorts evidence by a key.
func grouped(list []verify.Evidence, key func(verify.Evidence) string) map[string][]verify.Evidence {
	out := map[string][]verify.Evidence{}
	for _, e := range list {
		k := key(e)
		out[k] = append(out[k], e)
	}
	return out
}

// keysOf returns the keys of both, sorted.
func keysOf(a, b map[string][]verify.Evidence) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// onlyIn returns the members of list that other lacks.
func onlyIn(list, other []verify.Evidence) []verify.Evidence {
	there := make(map[verify.ID]bool, len(other))
	for _, e := range other {
		there[e.ID()] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(e verify.Evidence) bool { return there[e.ID()] })
}

// steps compares how two artifacts were made, step by step. Where each was made by
// one step that the other was not made by, these stand in each other's place.
func (d *differ) steps(left, right *said) []StepChange {
	a, b := grouped(left.provenance, StepOf), grouped(right.provenance, StepOf)
	var onlyA, onlyB []string
	for _, step := range keysOf(a, b) {
		switch {
		case b[step] == nil:
			onlyA = append(onlyA, step)
		case a[step] == nil:
			onlyB = append(onlyB, step)
		}
	}
	instead := ""
	if len(onlyA) == 1 && len(onlyB) == 1 {
		instead = onlyA[0]
	}
	var out []StepChange
	for _, step := range keysOf(a, b) {
		before, after, was := a[step], b[step], ""
		switch {
		case instead != "" && step == instead:
			continue
		case instead != "" && step == onlyB[0]:
			before, was = a[instead], instead
		}
		if len(onlyIn(before, after))+len(onlyIn(after, before)) == 0 {
			continue // of an artifact that both have: nobody said anything else of it
		}
		c := StepChange{Step: step, Was: was, A: d.recordAll(&d.a, before), B: d.recordAll(&d.b, after), SignersChange: d.signers(before, after)}
		if len(before) > 0 && len(after) > 0 {
			c.Parameters, c.ParametersSame = compareParameters(before, after)
		}
		out = append(out, c)
	}
	return out
}

// signers compares who signed.
func (d *differ) signers(a, b []verify.Evidence) SignersChange {
	who := func(list []verify.Evidence) (names, keys []string) {
		names, keys = []string{}, []string{}
		for _, e := range list {
			names, keys = append(names, d.o.name(e.ID().Credential)), append(keys, e.ID().Credential.String())
		}
		slices.Sort(names)
		slices.Sort(keys)
		return slices.Compact(names), slices.Compact(keys)
	}
	namesA, keysA := who(a)
	namesB, keysB := who(b)
	return SignersChange{namesA, namesB, slices.Equal(namesA, namesB) && !slices.Equal(keysA, keysB)}
}

// parameters returns what a step was run with, by the way to each value, with the
// values of all its records: what was chosen under its own name, what the platform
// chose behind "internal.", and the builder.
func parameters(list []verify.Evidence) map[string][]string {
	out := map[string][]string{}
	add := func(prefix string, v strictjson.Value) {
		for _, row := range rows.Flatten(v) {
			name, value := cut(strings.TrimSuffix(prefix+row.Name, ".")), cut(row.Value)
			if !slices.Contains(out[name], value) {
				out[name] = append(out[name], value)
			}
		}
	}
	for _, e := range list {
		p := e.Statement().Predicate
		build, _ := p.Get("buildDefinition")
		run, _ := p.Get("runDetails")
		for prefix, v := range map[string]strictjson.Value{"": get(build, "externalParameters"), "internal.": get(build, "internalParameters"), "builder.": get(run, "builder")} {
			if v.Kind() == strictjson.Object && len(v.Members()) > 0 {
				add(prefix, v)
			}
		}
	}
	for _, values := range out {
		slices.Sort(values)
	}
	return out
}

func get(v strictjson.Value, key string) strictjson.Value {
	out, _ := v.Get(key)
	return out
}

func compareParameters(a, b []verify.Evidence) (list []ParameterChange, same int) {
	before, after := parameters(a), parameters(b)
	all := maps.Clone(before)
	maps.Copy(all, after)
	names := slices.Sorted(maps.Keys(all))
	for i, name := range names {
		if slices.Equal(before[name], after[name]) {
			same++
			continue
		}
		// An empty object that got members: these say it.
		if i+1 < len(names) && strings.HasPrefix(names[i+1], name+".") && slices.Equal(all[name], []string{"{}"}) {
			continue
		}
		list = append(list, ParameterChange{name, before[name], after[name]})
	}
	return list, same
}

// others compares what else was said about two artifacts.
func (d *differ) others(left, right *said) []RecordsChange {
	kind := func(e verify.Evidence) string { return predicate.Name(e.PredicateType()) }
	a, b := grouped(left.others, kind), grouped(right.others, kind)
	var out []RecordsChange
	for _, k := range keysOf(a, b) {
		before, after := onlyIn(a[k], b[k]), onlyIn(b[k], a[k])
		if len(before)+len(after) > 0 {
			out = append(out, RecordsChange{k, d.recordAll(&d.a, before), d.recordAll(&d.b, after)})
		}
	}
	return out
}
