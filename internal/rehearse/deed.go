package rehearse

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// deedKeys are the keys of one piece of evidence, beside `like`.
var deedKeys = []string{"step", "type", "of", "by", "key", "as", "at", "seen", "validFor", "run", "outputs", "inputs", "started", "parameters",
	"basis", "discharges", "restores", "replacedBy", "denies", "predicate", "set", "malformed"}

// A deed is one piece of evidence in one case: what somebody did and signed, one
// statement for each artifact that it is of.
type deed struct {
	name      string
	node      *yaml.Node
	never     bool   // the case is as if it had never been made
	step      string // of the policy; "" for evidence of a type
	typ       string // the predicate type
	buildType string
	basisOf   []string // the policy's steps whose evidence an approval must name
	of        []subject
	by        string
	key       int    // the number of the credential, from 0
	as        *guise // nil: as the credential has it
	at        time.Time
	seen      *time.Time // nil: as it is signed; the zero time: never
	validFor  time.Duration
	started   time.Time

	run        string
	outputs    []output
	inputs     []input
	parameters any
	basis      []string
	discharges []discharge
	restores   []string
	replacedBy string
	denies     []string
	predicate  map[string]any
	sets       []setting
	malformed  bool
}

// A subject is what a statement is about: an artifact, a file of one, the
// statements of other evidence, a key, or a deny list.
type subject struct {
	artifact string
	file     string // of the artifact
	payload  string // evidence
	holder   string // of a key
	list     string // a deny list
}

type output struct{ name, artifact string }

type discharge struct{ approval, id string }

// An input is one thing that was consumed.
type input struct {
	role, artifact, uri, name string
	unobserved                bool
}

// deed reads one piece of evidence for a case.
func (r *reader) deed(f *File, s *source, names []string) *deed {
	d := &deed{name: s.name, node: s.node}
	m := s.fields
	r.kind(f, d, m)
	if m["of"] == nil || m["by"] == nil {
		r.problem(s.node, "evidence %s needs of (what it is about) and by (who signs it)", s.name)
		return nil
	}
	for _, n := range list(m["of"]) {
		d.of = append(d.of, r.subject(f, n, names))
	}
	d.by = r.known(m["by"], "by", f.members)
	if m["key"] != nil {
		d.key = int(r.integer(m["key"], "key", 1)) - 1
	}
	for _, p := range f.parties {
		if p.Name == d.by && d.key >= len(p.Means) {
			r.problem(m["key"], "%s has %d credentials", d.by, len(p.Means))
		}
	}
	if m["as"] != nil {
		d.as = r.guise(m["as"])
		if _, _, ok := f.identity(d.by, d.key, d.as); !ok {
			r.problem(m["as"], "%s signs with a key: as needs an issuer and a subject, or spiffe", d.by)
		}
	}
	if n := m["seen"]; n != nil {
		d.seen = new(time.Time)
		if n.Value != "never" {
			*d.seen = r.moment(n, "seen", f.at)
		}
	}
	if m["validFor"] != nil {
		var ok bool
		if d.validFor, ok = span(m["validFor"].Value); !ok {
			r.problem(m["validFor"], "validFor is a duration like 24h or 90d")
		}
	}
	if m["run"] != nil {
		d.run = r.text(m["run"], "run")
	}
	if m["malformed"] != nil {
		d.malformed = r.boolean(m["malformed"], "malformed")
	}
	r.consumed(f, d, m)
	r.references(f, d, m, names)
	if m["parameters"] != nil {
		d.parameters = r.value(m["parameters"], "parameters")
	}
	if n := m["predicate"]; n != nil {
		d.predicate, _ = r.value(n, "predicate").(map[string]any)
		if d.predicate == nil {
			r.problem(n, "predicate must be a mapping")
		}
	}
	if m["set"] != nil {
		d.sets = r.settings(m["set"])
	}
	return d
}

// kind reads what kind of evidence it is: of a step of the policy, which knows
// its predicate type, or of a type.
func (r *reader) kind(f *File, d *deed, m map[string]*yaml.Node) {
	switch {
	case (m["step"] == nil) == (m["type"] == nil):
		r.problem(d.node, "evidence %s needs step (of the policy) or type (of the predicate), and not both", d.name)
	case m["step"] != nil:
		var steps []string
		for _, s := range f.shapes {
			steps = append(steps, s.Step)
		}
		d.step = r.known(m["step"], "step", steps)
		for _, s := range f.shapes {
			if s.Step == d.step {
				d.typ, d.buildType, d.basisOf = s.Predicate, s.BuildType, s.Basis
			}
		}
	default:
		d.typ = r.text(m["type"], "type")
		if t, ok := predicate.TypeByName(d.typ); ok {
			d.typ = t
		} else if err := attest.CheckPredicateType(d.typ); err != nil {
			r.problem(m["type"], "type: %v", err)
		}
	}
}

// subject reads what evidence is about.
func (r *reader) subject(f *File, n *yaml.Node, names []string) subject {
	if n.Kind != yaml.MappingNode {
		return subject{artifact: r.known(n, "of", f.order)}
	}
	var s subject
	m := r.fields(n, "of", "file", "in", "payload", "key", "list")
	switch {
	case len(m) == 2 && m["file"] != nil && m["in"] != nil:
		s.artifact, s.file = r.known(m["in"], "in", f.order), r.text(m["file"], "file")
		if a := f.artifacts[s.artifact]; a != nil {
			if _, ok := a.files[s.file]; !ok {
				r.problem(m["file"], "there is no file %q in %s", s.file, a.name)
			}
		}
	case len(m) == 1 && m["payload"] != nil:
		s.payload = r.known(m["payload"], "payload", names)
	case len(m) == 1 && m["key"] != nil:
		s.holder = r.known(m["key"], "key", f.members)
	case len(m) == 1 && m["list"] != nil:
		s.list = r.text(m["list"], "list")
	default:
		r.problem(n, "of is an artifact, or one of {file: PATH, in: ARTIFACT}, {payload: EVIDENCE}, {key: PRINCIPAL} and {list: NAME}")
	}
	return s
}

// consumed reads inputs and outputs.
func (r *reader) consumed(f *File, d *deed, m map[string]*yaml.Node) {
	if m["inputs"] != nil {
		for _, e := range r.entries(m["inputs"], "inputs") {
			for _, n := range list(e.value) {
				d.inputs = append(d.inputs, r.input(f, e.key.Value, n))
			}
		}
	}
	if m["outputs"] != nil {
		for _, e := range r.entries(m["outputs"], "outputs") {
			d.outputs = append(d.outputs, output{e.key.Value, r.known(e.value, "outputs", f.order)})
		}
		return
	}
	for _, s := range d.of { // as pedigree run has it: all outputs of one run, by name
		if s.artifact != "" && s.file == "" {
			d.outputs = append(d.outputs, output{s.artifact, s.artifact})
		}
	}
}

func (r *reader) input(f *File, role string, n *yaml.Node) input {
	in := input{role: role}
	if n.Kind != yaml.MappingNode {
		in.artifact = r.known(n, "inputs", f.order)
	} else {
		m := r.fields(n, "an input", "of", "uri", "name", "observed")
		if m["of"] != nil {
			in.artifact = r.known(m["of"], "of", f.order)
		}
		if m["uri"] != nil {
			in.uri = r.text(m["uri"], "uri")
		}
		if m["name"] != nil {
			in.name = r.text(m["name"], "name")
		}
		in.unobserved = m["observed"] != nil && !r.boolean(m["observed"], "observed")
	}
	if a := f.artifacts[in.artifact]; a != nil && in.uri == "" {
		in.uri = a.uri
	}
	return in
}

// references reads the names of other evidence.
func (r *reader) references(f *File, d *deed, m map[string]*yaml.Node, names []string) {
	d.basis = r.knowns(m["basis"], "basis", names)
	d.restores = r.knowns(m["restores"], "restores", names)
	d.denies = r.knowns(m["denies"], "denies", f.order)
	if m["replacedBy"] != nil {
		d.replacedBy = r.known(m["replacedBy"], "replacedBy", f.order)
	}
	if m["discharges"] != nil {
		for _, e := range r.entries(m["discharges"], "discharges") {
			approval := r.known(e.key, "discharges", names)
			for _, id := range r.texts(e.value, "discharges") {
				d.discharges = append(d.discharges, discharge{approval, id})
			}
		}
	}
}

// time gives the deed its time. What does not say when it happened happened in
// the order in which it is written, a minute apart, the last a minute before the
// test's at; what a case adds, at the time that the case asks about.
func (d *deed) time(r *reader, f *File, c *testCase, s *source) {
	switch {
	case s.fields["at"] != nil:
		d.at = r.moment(s.fields["at"], "at", f.at)
	case s.added:
		d.at = c.at
	default:
		i := slices.IndexFunc(f.base, func(b *source) bool { return b.name == s.name })
		d.at = f.at.Add(-time.Duration(len(f.base)-i) * time.Minute)
	}
	if d.started = d.at; s.fields["started"] != nil {
		d.started = r.moment(s.fields["started"], "started", f.at)
	}
}

// A setting puts a value at a place in a predicate; a removal takes it away.
type setting struct {
	node   *yaml.Node
	path   []any // string keys and int indexes
	value  any
	remove bool
}

// settings reads {PATH: VALUE}.
func (r *reader) settings(n *yaml.Node) []setting {
	var out []setting
	for _, e := range r.entries(n, "set") {
		path, ok := parsePath(e.key.Value)
		if !ok {
			r.problem(e.key, `set: a place is written like metrics.accuracy.value, inputs[0].uri or metrics["f1.macro"]`)
			continue
		}
		out = append(out, setting{e.key, path, r.value(e.value, "set"), e.value.Tag == "!!null"})
	}
	return out
}

var pathPart = regexp.MustCompile(`^(?:\.?([A-Za-z0-9_-]+)|\[([0-9]{1,5})\]|\["([^"]+)"\])`)

func parsePath(s string) ([]any, bool) {
	var out []any
	for rest := s; rest != ""; {
		m := pathPart.FindStringSubmatch(rest)
		if m == nil || strings.HasPrefix(rest, ".") == (rest == s) && m[1] != "" {
			return nil, false // the first name stands without a dot, the others with
		}
		switch rest = rest[len(m[0]):]; {
		case m[2] != "":
			i, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, false // unreachable: at most five digits
			}
			out = append(out, i)
		default:
			out = append(out, m[1]+m[3])
		}
	}
	return out, len(out) > 0
}

// A statusDeed is the status of a case: a list of all that there should be.
type statusDeed struct {
	node     *yaml.Node
	by       string
	at       time.Time
	validFor time.Duration
	sequence int64
	unlisted []string // artifacts that it leaves out
}

// statusOf reads whether the case has a status: as the test says, unless the
// case says otherwise. What the case writes replaces what the test has, key by key.
func (r *reader) statusOf(f *File, c *testCase, own *yaml.Node) *statusDeed {
	n := own
	base := map[string]*yaml.Node{}
	keys := []string{"by", "at", "validFor", "sequence", "unlisted"}
	if f.status != nil && f.status.Tag != "!!bool" {
		base = r.fields(f.status, "status", keys...)
	}
	switch {
	case own == nil && f.status == nil:
		return nil
	case own == nil && f.status.Tag == "!!bool" && !r.boolean(f.status, "status"):
		return nil
	case own == nil:
		n = f.status
	case own.Tag == "!!bool":
		if !r.boolean(own, "status") {
			return nil
		}
	default:
		base = overlay(base, r.fields(own, "status", keys...))
	}
	s := &statusDeed{node: n, at: c.at, validFor: 24 * time.Hour, sequence: 1}
	switch {
	case base["by"] != nil:
		s.by = r.known(base["by"], "by", f.members)
	case len(f.authorities) > 0:
		s.by = f.authorities[0]
	default:
		r.problem(n, "status needs by: the policy does not say who publishes one")
		return nil
	}
	if base["at"] != nil {
		s.at = r.moment(base["at"], "at", f.at)
	}
	if base["validFor"] != nil {
		var ok bool
		if s.validFor, ok = span(base["validFor"].Value); !ok || s.validFor <= 0 {
			r.problem(base["validFor"], "validFor is a duration like 24h")
		}
	}
	if base["sequence"] != nil {
		s.sequence = r.integer(base["sequence"], "sequence", 1)
	}
	s.unlisted = r.knowns(base["unlisted"], "unlisted", f.order)
	return s
}

// stepOf reports whether d is evidence of one of the steps.
func (d *deed) stepOf(steps []string) bool { return d.step != "" && slices.Contains(steps, d.step) }
