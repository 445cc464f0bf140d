package rehearse

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/policy"
)

// The first two lines of every test file.
const (
	apiVersion = "pedigree-ml.github.io/v1"
	kindTest   = "PolicyTest"
)

// A File is a test file that was read and found to make sense for its policy.
type File struct {
	name      string
	at        time.Time
	artifacts map[string]*artifact
	order     []string // the artifacts' names as written
	cases     []*testCase

	parties     []policy.Party
	shapes      []policy.Shape
	base        []*source // the evidence as it is written
	judge       string
	context     string
	status      *yaml.Node
	members     []string // the names that sign: principals and strangers
	others      []string // the policies that the policy names
	authorities []string // who may publish a status
	unsafeTime  bool     // whether the policy takes the signers' word for when
	office      *office  // who certifies and times what is signed
}

// A source is one piece of evidence as it is written: its keys, not yet read.
type source struct {
	name   string
	node   *yaml.Node
	fields map[string]*yaml.Node
	added  bool // by a case
}

// A testCase is one case, with everything it changes worked in.
type testCase struct {
	name    string
	line    int
	expect  policy.Outcome
	codes   []string
	steps   []string
	rules   []string
	at      time.Time
	known   time.Time
	context string
	judge   string

	deeds   []*deed
	removed []string // evidence that was made and taken away again
	unseen  []string // artifacts about which nobody answers
	status  *statusDeed
	// remembers are the highest numbers that the verifier has seen: of the status,
	// of deny lists.
	remembers map[string]int64
}

// Load reads a test file for a policy, which must come from [policy.Rehearse]
// with [Key]. The name is what results and errors call the file. The error is a
// *policy.LoadError with everything that is wrong with the file: it is read as
// strictly as a policy, and names nothing that the policy does not have.
func Load(name string, src []byte, p *policy.Policy) (*File, error) {
	r := &reader{}
	root := r.document(src)
	if root == nil {
		return nil, r.err()
	}
	f := &File{name: name, artifacts: map[string]*artifact{}, parties: p.Parties(), shapes: p.Shapes(), others: p.Others(), authorities: p.Authorities(), unsafeTime: p.TrustsClaimedTimes()}
	r.file(f, root)
	if err := r.err(); err != nil {
		return nil, err
	}
	var err error
	if f.office, err = newOffice(f.parties, f.at); err != nil {
		return nil, fmt.Errorf("the authorities of a rehearsal: %w", err)
	}
	return f, nil
}

func (r *reader) file(f *File, root *yaml.Node) {
	n := r.fields(root, "the test", "apiVersion", "kind", "description", "at", "context", "strangers", "artifacts", "evidence", "status", "judge", "cases")
	for _, must := range []string{"apiVersion", "kind", "at", "artifacts", "evidence", "judge", "cases"} {
		if n[must] == nil {
			r.problem(root, "%q is missing", must)
		}
	}
	if len(r.problems) > 0 {
		return
	}
	if n["apiVersion"].Value != apiVersion || n["kind"].Value != kindTest {
		r.problem(root, "a test begins with apiVersion: %s and kind: %s", apiVersion, kindTest)
	}
	f.at = r.moment(n["at"], "at", time.Time{})
	if n["context"] != nil {
		f.context = r.text(n["context"], "context")
	}
	for _, p := range f.parties {
		f.members = append(f.members, p.Name)
	}
	if n["strangers"] != nil {
		for _, s := range r.texts(n["strangers"], "strangers") {
			if slices.Contains(f.members, s) {
				r.problem(n["strangers"], "%s is a principal of the policy, and no stranger", s)
			}
			f.members = append(f.members, s)
		}
	}
	for _, e := range r.named(n["artifacts"], "artifacts") {
		if a := r.artifact(e); a != nil {
			f.artifacts[a.name] = a
			f.order = append(f.order, a.name)
		}
	}
	f.judge = r.known(n["judge"], "judge", f.order)
	for _, e := range r.named(n["evidence"], "evidence") {
		f.base = append(f.base, &source{name: e.key.Value, node: e.key, fields: r.evidence(e.value, f.base)})
	}
	f.status = n["status"]
	if len(r.problems) == 0 {
		r.cases(f, n["cases"])
	}
}

// known reads a name that must be one of those that exist.
func (r *reader) known(n *yaml.Node, what string, names []string) string {
	s := r.text(n, what)
	if s != "" && !slices.Contains(names, s) {
		r.problem(n, "%s: there is no %q; there is %s", what, s, strings.Join(names, ", "))
		return ""
	}
	return s
}

func (r *reader) knowns(n *yaml.Node, what string, names []string) []string {
	var out []string
	for _, t := range list(n) {
		if s := r.known(t, what, names); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// cases reads the cases. A file without one that the policy allows is refused: a
// policy that allows nothing would pass all of it.
func (r *reader) cases(f *File, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.problem(n, "cases must be a list of at least one case")
		return
	}
	seen := map[string]bool{}
	allowed := false
	for _, c := range n.Content {
		t := r.testCase(f, c)
		if t == nil {
			continue
		}
		if seen[t.name] {
			r.problem(c, "there are two cases with the name %q", t.name)
		}
		seen[t.name] = true
		allowed = allowed || t.expect == policy.Allow
		f.cases = append(f.cases, t)
	}
	if !allowed && len(r.problems) == 0 {
		r.problem(n, "no case expects ALLOW: a policy that refuses everything would pass")
	}
}

func (r *reader) testCase(f *File, n *yaml.Node) *testCase {
	m := r.fields(n, "a case", "name", "expect", "codes", "steps", "rules", "at", "known", "context", "judge",
		"without", "with", "change", "set", "removed", "unseen", "status", "remembers")
	for _, must := range []string{"name", "expect"} {
		if m[must] == nil {
			r.problem(n, "a case needs %q", must)
			return nil
		}
	}
	c := &testCase{name: r.text(m["name"], "name"), line: n.Line, at: f.at, context: f.context, judge: f.judge}
	r.expectation(f, c, n, m)
	if m["at"] != nil {
		c.at = r.moment(m["at"], "at", f.at)
	}
	if c.known = c.at; m["known"] != nil {
		c.known = r.moment(m["known"], "known", f.at)
	}
	if m["context"] != nil {
		c.context = r.text(m["context"], "context")
	}
	if m["judge"] != nil {
		c.judge = r.known(m["judge"], "judge", f.order)
	}
	all := r.play(f, c, m)
	c.removed = r.knowns(m["removed"], "removed", all)
	c.unseen = r.knowns(m["unseen"], "unseen", f.order)
	c.status = r.statusOf(f, c, m["status"])
	if m["remembers"] != nil {
		c.remembers = map[string]int64{}
		for key, n := range r.fields(m["remembers"], "remembers", "status", "denylist") {
			c.remembers[key] = r.integer(n, "remembers", 1)
		}
	}
	return c
}

// expectation reads what the case expects. A refusal names its reason: else it
// might be refused for a mistake in the test.
func (r *reader) expectation(f *File, c *testCase, n *yaml.Node, m map[string]*yaml.Node) {
	switch r.text(m["expect"], "expect") {
	case "ALLOW":
		c.expect = policy.Allow
	case "UNDECIDED":
		c.expect = policy.Undecided
	case "DENY":
		c.expect = policy.Deny
	default:
		r.problem(m["expect"], "expect is ALLOW, DENY or UNDECIDED")
	}
	c.codes = r.texts(m["codes"], "codes")
	for _, t := range list(m["codes"]) {
		if !strings.HasPrefix(t.Value, "E_") {
			r.problem(t, "codes: %q is no code; docs/codes.md lists them", t.Value)
		}
	}
	var steps, rules []string
	for _, s := range f.shapes {
		steps, rules = append(steps, s.Step), append(append(rules, s.Rules...), s.Comparisons...)
	}
	for _, prefix := range append([]string{""}, f.others...) {
		for _, part := range []string{"policy", "deny", "status", "revocation", "formats", "access"} {
			steps = append(steps, path.Join(prefix, part))
		}
	}
	c.steps = r.knowns(m["steps"], "steps", steps)
	c.rules = r.knowns(m["rules"], "rules", rules)
	switch reasons := len(list(m["codes"])) + len(list(m["steps"])) + len(list(m["rules"])); {
	case c.expect == policy.Allow && reasons > 0:
		r.problem(n, "what is allowed has no reasons: codes, steps and rules are for DENY and UNDECIDED")
	case c.expect != policy.Allow && reasons == 0:
		r.problem(n, "say why it is %s, with codes, steps or rules: any refusal would do otherwise", c.expect)
	}
}

// play works out which evidence there is in the case, and returns the names.
func (r *reader) play(f *File, c *testCase, m map[string]*yaml.Node) []string {
	var names []string
	for _, s := range f.base {
		names = append(names, s.name)
	}
	without := r.knowns(m["without"], "without", names)
	all := slices.Clone(f.base)
	if m["with"] != nil {
		for _, e := range r.named(m["with"], "with") {
			if slices.Contains(names, e.key.Value) {
				r.problem(e.key, "with: there is %q already; change: changes it", e.key.Value)
			}
			names = append(names, e.key.Value)
			all = append(all, &source{name: e.key.Value, node: e.key, fields: r.evidence(e.value, f.base), added: true})
		}
	}
	present := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(without, n) })
	if m["change"] != nil {
		r.change(all, m["change"], present)
	}
	for _, s := range all {
		if d := r.deed(f, s, names); d != nil {
			d.time(r, f, c, s)
			d.never = slices.Contains(without, d.name)
			c.deeds = append(c.deeds, d)
		}
	}
	if m["set"] != nil {
		for _, e := range r.named(m["set"], "set") {
			i := slices.IndexFunc(c.deeds, func(d *deed) bool { return d.name == e.key.Value })
			if !slices.Contains(present, e.key.Value) || i < 0 {
				r.problem(e.key, "set: there is no evidence %q in this case", e.key.Value)
				continue
			}
			c.deeds[i].sets = append(c.deeds[i].sets, r.settings(e.value)...)
		}
	}
	return present
}

// change replaces keys of evidence, in a copy: null takes a key away.
func (r *reader) change(all []*source, n *yaml.Node, present []string) {
	for _, e := range r.named(n, "change") {
		i := slices.IndexFunc(all, func(s *source) bool { return s.name == e.key.Value })
		if !slices.Contains(present, e.key.Value) {
			r.problem(e.key, "change: there is no evidence %q in this case", e.key.Value)
			continue
		}
		s := *all[i]
		s.fields = overlay(s.fields, r.fields(e.value, "change", deedKeys...))
		all[i] = &s
	}
}

// overlay returns base with the keys of top over it.
func overlay(base, top map[string]*yaml.Node) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range top {
		if out[k] = v; v.Tag == "!!null" {
			delete(out, k)
		}
	}
	return out
}

// evidence reads the keys of one piece of evidence, with those of the one it is
// like below them.
func (r *reader) evidence(n *yaml.Node, before []*source) map[string]*yaml.Node {
	top := r.fields(n, "evidence", append([]string{"like"}, deedKeys...)...)
	like := top["like"]
	if like == nil {
		return top
	}
	delete(top, "like")
	for _, s := range before {
		if s.name == like.Value {
			return overlay(s.fields, top)
		}
	}
	r.problem(like, "like: there is no evidence %q before this", like.Value)
	return top
}
