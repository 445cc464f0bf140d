package predicate

// The standard has two Go bindings. The generated one, which in-toto-golang
// recommends, holds parameters as protobuf doubles (2^53+1 comes back as 2^53)
// and writes with random white space; this one writes what it is given.
//
//lint:file-ignore SA1019 see above

import (
	"encoding/json"
	"regexp"
	"time"

	"github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/common"
	slsa "github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/v1"

	"github.com/pedigree-ml/pedigree/attest"
)

// stepPattern is what a step may be called: it becomes part of a URI, a key in
// policies and a word in messages.
var stepPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// BuildType returns the build type of a step of ours, as
// "https://pedigree-ml.github.io/build/train/v1". A step's name is a lower-case
// letter and at most 31 more, digits or hyphens; others are E_USAGE.
func BuildType(step string) (string, error) {
	if !stepPattern.MatchString(step) {
		return "", &attest.Refusal{Code: attest.CodeUsage, About: step, Why: "a step's name is a lower-case letter and at most 31 letters, digits or hyphens"}
	}
	return "https://pedigree-ml.github.io/build/" + step + "/v1", nil
}

// A ProvenanceInput is what NewProvenance writes down.
type ProvenanceInput struct {
	Step           string            // the step's name; it becomes the build type
	External       map[string]any    // parameters that whoever started the step chose
	Internal       map[string]any    // parameters that the platform chose
	Inputs         []Input           // at most MaxInputs
	Outputs        []Output          // every output of the run, under distinct names
	Log            attest.Digest     // the run's log, a byproduct named LogName; zero: none kept
	Builder        string            // URI of who ran it
	BuilderVersion map[string]string // versions of the builder's parts
	InvocationID   string            // shared by all statements of the run
	Started        time.Time         // zero: not said
	Finished       time.Time         // the claimed time; zero: not said
}

// LogName is the name of the byproduct that is the run's log. No output may be
// called so.
const LogName = "log"

// NewProvenance writes SLSA Provenance v1 in canonical JSON. It refuses what
// Decode would refuse, a malformed step name (E_USAGE), and outputs that have no
// name or no digest, or share a name (E_PREDICATE_SCHEMA): a policy asks which
// output the subject is.
func NewProvenance(in ProvenanceInput) (json.RawMessage, error) {
	buildType, err := BuildType(in.Step)
	if err != nil {
		return nil, err
	}
	byproducts, err := byproducts(in)
	if err != nil {
		return nil, err
	}
	p := slsa.ProvenancePredicate{
		BuildDefinition: slsa.ProvenanceBuildDefinition{BuildType: buildType, ExternalParameters: in.External},
		RunDetails: slsa.ProvenanceRunDetails{
			Builder:       slsa.Builder{ID: in.Builder, Version: in.BuilderVersion},
			BuildMetadata: slsa.BuildMetadata{InvocationID: in.InvocationID, StartedOn: utc(in.Started), FinishedOn: utc(in.Finished)},
			Byproducts:    byproducts,
		},
	}
	if in.External == nil {
		p.BuildDefinition.ExternalParameters = map[string]any{} // the field is required
	}
	if in.Internal != nil {
		p.BuildDefinition.InternalParameters = in.Internal
	}
	for _, i := range in.Inputs {
		d := slsa.ResourceDescriptor{Name: i.Name, URI: i.URI, Digest: digestSet(i.Digest), Annotations: map[string]any{}}
		if i.Role != "" {
			d.Annotations["role"] = i.Role
		}
		if !i.Observed {
			d.Annotations["observed"] = false
		}
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies, d)
	}
	return Encode(TypeProvenance, p)
}

func byproducts(in ProvenanceInput) ([]slsa.ResourceDescriptor, error) {
	outputs := in.Outputs
	if !in.Log.IsZero() {
		outputs = append(outputs[:len(outputs):len(outputs)], Output{Name: LogName, Digest: in.Log})
	}
	var out []slsa.ResourceDescriptor
	seen := map[string]bool{}
	for i, o := range outputs {
		p := (*path)(nil).field("runDetails").field("byproducts").index(i)
		switch {
		case o.Name == "" || o.Digest.IsZero():
			return nil, schema(p, "an output without a name or a digest")
		case o.Name == LogName && i < len(in.Outputs):
			return nil, schema(p, "an output named %s, which is the run's log", LogName)
		case seen[o.Name]:
			return nil, schema(p, "a second output named %.40q", o.Name)
		}
		seen[o.Name] = true
		out = append(out, slsa.ResourceDescriptor{Name: o.Name, Digest: digestSet(o.Digest)})
	}
	return out, nil
}

func digestSet(d attest.Digest) common.DigestSet {
	if d.IsZero() {
		return nil
	}
	return d.DigestSet()
}

func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
