package predicate

import (
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// What follows takes facts from a tree that the tables already checked, so a
// field that is there has its kind; and it checks what no table can say.

// at returns the value at the end of a way through objects, and the zero value
// if something on the way is missing.
func at[T any](tree map[string]any, way ...string) T {
	var zero T
	for _, name := range way[:len(way)-1] {
		next, ok := tree[name].(map[string]any)
		if !ok {
			return zero
		}
		tree = next
	}
	if got, ok := tree[way[len(way)-1]].(T); ok {
		return got
	}
	return zero
}

// digestAt returns a digest that readDigests read, and zero if there is none.
func digestAt(tree map[string]any, name string) attest.Digest {
	set, _ := tree[name].(map[string]any)
	for alg, value := range set { // one entry
		hex, _ := value.(string)
		if d, err := attest.NewDigest(alg, hex); err == nil {
			return d
		}
	}
	return attest.Digest{}
}

func (f *Facts) provenance() error {
	f.BuildType = at[string](f.Tree, "buildDefinition", "buildType")
	f.InvocationID = at[string](f.Tree, "runDetails", "metadata", "invocationId")
	f.Started = at[time.Time](f.Tree, "runDetails", "metadata", "startedOn")
	if !f.Claimed.IsZero() && f.Started.After(f.Claimed) {
		return schema((*path)(nil).field("runDetails").field("metadata"), "ended before it began")
	}
	// pedigree run keeps what was chosen for a step in an object of its own; others
	// put it beside the rest.
	f.Version = at[string](f.Tree, "buildDefinition", "externalParameters", "parameters", "version")
	if f.Version == "" {
		f.Version = at[string](f.Tree, "buildDefinition", "externalParameters", "version")
	}
	p := (*path)(nil).field("buildDefinition").field("resolvedDependencies")
	var err error
	f.Inputs, err = inputs(p, at[[]any](f.Tree, "buildDefinition", "resolvedDependencies"), func(p *path, entry map[string]any) (string, error) {
		return annotation(p, entry, "role", "")
	})
	if err != nil {
		return err
	}
	for _, item := range at[[]any](f.Tree, "runDetails", "byproducts") {
		entry, _ := item.(map[string]any)
		// A byproduct without a name or a digest cannot be the output that anybody
		// refers to.
		if o := (Output{Name: at[string](entry, "name"), Digest: digestAt(entry, "digest")}); o.Name != "" && !o.Digest.IsZero() {
			f.Outputs = append(f.Outputs, o)
		}
	}
	return nil
}

// inputs takes the inputs from a list of resource descriptors. An entry that
// names nothing at all is refused: it would be an input that nobody can see.
func inputs(p *path, items []any, role func(*path, map[string]any) (string, error)) ([]Input, error) {
	var out []Input
	for i, item := range items {
		entry, _ := item.(map[string]any)
		in := Input{Name: at[string](entry, "name"), URI: at[string](entry, "uri"), Digest: digestAt(entry, "digest")}
		var err error
		if in.Role, err = role(p.index(i), entry); err != nil {
			return nil, err
		}
		if in.Observed, err = annotation(p.index(i), entry, "observed", true); err != nil {
			return nil, err
		}
		if in.Digest.IsZero() && in.URI == "" && at[string](entry, "content") == "" {
			return nil, schema(p.index(i), "has neither digest nor uri nor content")
		}
		out = append(out, in)
	}
	return out, nil
}

// annotation returns a known annotation of an input. Another kind of value is an
// error and not an absence: an "observed" of "false" would pass for true.
func annotation[T any](p *path, entry map[string]any, name string, absent T) (T, error) {
	notes, _ := entry["annotations"].(map[string]any)
	for key := range notes {
		if key != name && plainKey(key) == name {
			return absent, schema(p.field("annotations"), "has a second spelling of %s", name)
		}
	}
	value, ok := notes[name]
	if !ok {
		return absent, nil
	}
	got, ok := value.(T)
	if !ok {
		return absent, schema(p.field("annotations").field(name), "is not a %T", absent)
	}
	return got, nil
}

func (f *Facts) evaluation() error {
	if err := checkMetrics((*path)(nil).field("metrics"), f.Tree["metrics"]); err != nil {
		return err
	}
	slices, _ := f.Tree["slices"].(map[string]any)
	for _, name := range sortedKeys(slices) {
		p := (*path)(nil).field("slices").key(name)
		slice, _ := slices[name].(map[string]any)
		if err := checkMetrics(p.field("gaps"), slice["gaps"]); err != nil {
			return err
		}
		groups, _ := slice["groups"].(map[string]any)
		for _, group := range sortedKeys(groups) {
			g, _ := groups[group].(map[string]any)
			if err := checkMetrics(p.field("groups").key(group).field("metrics"), g["metrics"]); err != nil {
				return err
			}
		}
	}
	var err error
	f.Inputs, err = inputsByRole(f.Tree)
	return err
}

// inputsByRole takes the inputs of our own types, where the role is a field.
func inputsByRole(tree map[string]any) ([]Input, error) {
	return inputs((*path)(nil).field("inputs"), at[[]any](tree, "inputs"), func(_ *path, entry map[string]any) (string, error) {
		return at[string](entry, "role"), nil
	})
}

// checkMetrics checks that intervals are intervals. A level of 95 is a level in
// percent, and what else is in percent nobody can see.
func checkMetrics(p *path, metrics any) error {
	byName, _ := metrics.(map[string]any)
	for _, name := range sortedKeys(byName) {
		metric, _ := byName[name].(map[string]any)
		interval, ok := metric["interval"].(map[string]any)
		if !ok {
			continue
		}
		if at[float64](interval, "low") > at[float64](interval, "high") {
			return schema(p.key(name).field("interval"), "ends below where it begins")
		}
		if level := at[float64](interval, "level"); level <= 0 || level >= 1 {
			return schema(p.key(name).field("interval").field("level"), "is not between 0 and 1")
		}
	}
	return nil
}

func (f *Facts) approval() error {
	f.Role = at[string](f.Tree, "role")
	f.ValidUntil = at[time.Time](f.Tree, "validUntil")
	if !f.ValidUntil.IsZero() && !f.ValidUntil.After(f.Claimed) {
		return schema((*path)(nil).field("validUntil"), "is not after approvedAt")
	}
	p := (*path)(nil).field("scope").field("environments")
	environments := at[[]any](f.Tree, "scope", "environments")
	if len(environments) == 0 {
		return schema(p, "is empty: a decision for nothing")
	}
	for i, e := range environments {
		if e == "" {
			return schema(p.index(i), "is empty")
		}
	}
	basis := at[[]any](f.Tree, "basis")
	if len(basis) == 0 && at[string](f.Tree, "decision") == DecisionApproved {
		return schema((*path)(nil).field("basis"), "is empty: an approval rests on evidence that was seen")
	}
	for i, item := range basis {
		entry, _ := item.(map[string]any)
		b := Basis{Payload: digestAt(entry, "payload"), Artifact: digestAt(entry, "artifact")}
		if err := bytesOnly((*path)(nil).field("basis").index(i).field("payload"), b.Payload); err != nil {
			return err
		}
		f.Basis = append(f.Basis, b)
	}
	if policy, ok := f.Tree["policy"].(map[string]any); ok {
		f.Policy = digestAt(policy, "digest")
		if err := bytesOnly((*path)(nil).field("policy").field("digest"), f.Policy); err != nil {
			return err
		}
	}
	return f.conditions()
}

// conditions takes the conditions of an approval, and those of others that it
// finds met.
func (f *Facts) conditions() error {
	p := (*path)(nil).field("conditions")
	seen := map[string]bool{}
	for i, item := range at[[]any](f.Tree, "conditions") {
		entry, _ := item.(map[string]any)
		c := ConditionFacts{ID: at[string](entry, "id"), DueBy: at[time.Time](entry, "dueBy")}
		// Whoever discharges one of two with one name would discharge both.
		if seen[c.ID] {
			return schema(p.index(i).field("id"), "is a second condition of that name")
		}
		seen[c.ID] = true
		f.Conditions = append(f.Conditions, c)
	}
	p = (*path)(nil).field("discharges")
	met := at[[]any](f.Tree, "discharges")
	if len(met) > 0 && at[string](f.Tree, "decision") != DecisionApproved {
		return schema(p, "is only for an approval: a rejection finds nothing met")
	}
	for i, item := range met {
		entry, _ := item.(map[string]any)
		d := DischargeFacts{Payload: digestAt(entry, "payload"), ID: at[string](entry, "id")}
		if err := bytesOnly(p.index(i).field("payload"), d.Payload); err != nil {
			return err
		}
		f.Discharges = append(f.Discharges, d)
	}
	return nil
}

// bytesOnly refuses a git commit where the digest of a document is needed.
func bytesOnly(p *path, d attest.Digest) error {
	if d.IsCommit() {
		return &attest.Refusal{Code: attest.CodeDigestAlg, About: p.String(), Why: "a git commit where the sha256 of bytes is needed"}
	}
	return nil
}
