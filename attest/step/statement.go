package step

import (
	"encoding/json"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// typeTestResult is in-toto's test result (attestation specification,
// spec/predicates/test-result.md).
const typeTestResult = "https://in-toto.io/attestation/test-result/v0.1"

// provenance writes the statement about one output. All statements of a run say
// the same but for their subject.
func (r *run) provenance(id string, subject int, packed []Packed) ([]byte, error) {
	p := predicate.ProvenanceInput{
		Step:         r.spec.Step,
		External:     r.external(),
		Internal:     r.internal(),
		Inputs:       recorded(r.inputs),
		Builder:      r.spec.Builder,
		InvocationID: id,
		// Nobody needs fractions of a second, and their absence keeps times readable.
		Started:  r.outcome.started.UTC().Truncate(time.Second),
		Finished: r.outcome.finished.UTC().Truncate(time.Second),
	}
	if p.Builder == "" {
		p.Builder = DefaultBuilder
	}
	for i, o := range r.spec.Outputs {
		p.Outputs = append(p.Outputs, predicate.Output{Name: o.Name, Digest: packed[i].Digest})
	}
	body, err := predicate.NewProvenance(p)
	if err != nil {
		return nil, err
	}
	return attest.NewStatement(attest.Subject{Name: r.spec.Outputs[subject].Name, Digest: packed[subject].Digest}, predicate.TypeProvenance, body)
}

// external is what whoever started the step chose.
func (r *run) external() map[string]any {
	params := map[string]any{}
	for _, p := range r.spec.Params {
		params[p.Name] = p.Value
	}
	return map[string]any{"command": r.spec.Command, "parameters": params}
}

// internal is what the machine and the run were like. It is there to be read,
// not to be relied on: it says what this process saw, and no more.
func (r *run) internal() map[string]any {
	log := map[string]any{"sha256": r.outcome.log.digest.Hex(), "size": r.outcome.log.size}
	if r.outcome.log.truncated {
		log["truncated"] = true
	}
	m := map[string]any{
		"platform":        runtime.GOOS + "/" + runtime.GOARCH,
		"pedigreeVersion": r.deps.Version,
		"exitStatus":      r.outcome.status,
		"log":             log,
	}
	if env := r.environment(); len(env) > 0 {
		m["environment"] = env
	}
	if len(r.existed) > 0 {
		m["outputsBefore"] = r.existed // they were not empty when the command started
	}
	if r.code != nil {
		if code := r.code.remarks(); len(code) > 0 {
			m["code"] = code
		}
	}
	return m
}

// remarks is what a reader of the code input should know besides its digest.
func (c *codeState) remarks() map[string]any {
	m := map[string]any{}
	if c.dirty {
		m["dirty"], m["baseCommit"] = true, c.commit.Hex()
	}
	if c.submodules > 0 {
		m["submodules"] = strconv.Itoa(c.submodules) // the commit names theirs; there is more to fetch
	}
	return m
}

// environment returns the variables on the list, as far as they are set. No
// other value of the environment is ever read here.
func (r *run) environment() map[string]any {
	m := map[string]any{}
	for _, name := range r.spec.Env {
		if v, ok := lookSet(r.deps.Environ, name); ok {
			m[name] = v
		}
	}
	return m
}

// checkEnvironment refuses values that could not be recorded as they are.
func (r *run) checkEnvironment() error {
	for _, name := range r.spec.Env {
		v, _ := lookSet(r.deps.Environ, name)
		if !utf8.ValidString(v) {
			return usage(name, "the variable's value is not valid UTF-8", "")
		}
		if u, err := url.Parse(v); err == nil && u.User != nil {
			return usage(name, "the variable's value is a URL with a user in it, and statements are published", "record the host alone, as --param")
		}
		if len(v) > maxValue {
			return &attest.Refusal{Code: attest.CodeLimit, About: name, Why: fmt.Sprintf("a value of %d bytes, at most %d are recorded", len(v), maxValue)}
		}
	}
	return nil
}

func recorded(inputs []*observation) []predicate.Input {
	var out []predicate.Input
	for _, o := range inputs {
		out = append(out, predicate.Input{Role: o.role, Name: o.name, URI: o.uri, Digest: o.digest, Observed: o.observed})
	}
	return out
}

// checkType refuses, before the command runs, a predicate whose type could not
// take what the flags say.
func (a *About) checkType(inputs int) error {
	if err := attest.CheckPredicateType(a.PredicateType); err != nil {
		return err
	}
	switch a.PredicateType {
	case predicate.TypeProvenance:
		return usage("", "provenance is what outputs get", "declare what the command makes with --output")
	case predicate.TypeEvaluation:
		return nil
	}
	if inputs > 0 {
		return usage(predicate.Name(a.PredicateType), "a predicate of this type has no place for inputs", "leave them out, or write an evaluation")
	}
	return nil
}

// complete fills in what this package observed. A predicate that names inputs
// itself is refused: the command would vouch for what only its observer can.
func (a *About) complete(written []byte, inputs []*observation) (json.RawMessage, error) {
	if a.PredicateType == predicate.TypeEvaluation {
		return predicate.WithInputs(written, recorded(inputs))
	}
	return predicate.Encode(a.PredicateType, json.RawMessage(written))
}

// failure is a test result that says only that the step failed. What it was
// configured with are its inputs.
func failure(step string, inputs []*observation) (json.RawMessage, error) {
	type descriptor struct {
		Name        string            `json:"name,omitempty"`
		URI         string            `json:"uri,omitempty"`
		Digest      map[string]string `json:"digest"`
		Annotations map[string]any    `json:"annotations"`
	}
	configuration := []descriptor{} // required, also when it is empty
	for _, in := range recorded(inputs) {
		d := descriptor{in.Name, in.URI, in.Digest.DigestSet(), map[string]any{"role": in.Role}}
		if !in.Observed {
			d.Annotations["observed"] = false
		}
		configuration = append(configuration, d)
	}
	return predicate.Encode(typeTestResult, map[string]any{
		"result": "FAILED", "configuration": configuration, "failedTests": []string{step},
	})
}
