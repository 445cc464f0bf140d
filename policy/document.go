package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// A document is a policy as its author wrote it, decoded and with `like`
// expanded. Lists keep the author's order; nothing iterates a map.
type document struct {
	name        string
	version     int
	description string
	notBefore   time.Time // zero: holds since ever
	expires     time.Time
	artifact    []string
	artifactPos position
	evidence    []attest.Repository
	unsafeTime  bool
	maxLag      time.Duration // how much earlier than it was first seen a statement may claim to be
	trust       attest.Digest // of the trust file that must be used; zero: any
	principals  []*principal
	steps       []*step
	contexts    []*contextRule
	status      *statusRule // nil: none
	revocation  []*revoker
	policies    []*otherPolicy
	deny        []*denial
	formats     *formatRule // nil: none
	access      *accessRule // nil: none
	sharedFiles []attest.Digest
	limits      limits

	byStep      map[string]*step
	byPrincipal map[string]*principal
	byPolicy    map[string]*otherPolicy

	// Who signs: the lines of credentials that name one each, by it, and patterns.
	exact    map[verify.Credential][]*credential
	patterns []*credential
}

func (d *document) step(name string) *step           { return d.byStep[name] }
func (d *document) principal(name string) *principal { return d.byPrincipal[name] }

// all calls f for the document and those of the policies it names, each once per
// place that names it.
func (d *document) all(f func(*document)) {
	f(d)
	for _, o := range d.policies {
		if o.policy != nil {
			o.policy.doc.all(f)
		}
	}
}

// position is where something stands in the policy's file; both count from 1.
type position struct{ line, column int }

// A principal is a person, workload or agent, whatever the number of credentials.
type principal struct {
	name        string
	kind        string
	roles       []string
	credentials []*credential
	pos         position
}

// A window is the time in which a credential counts, both ends included. Zero times
// are no bounds.
type window struct {
	from, until time.Time
	// compromised is since when somebody else may sign with it. What was not
	// authentically seen before counts for nothing from then on.
	compromised time.Time
}

// A contextRule says what one environment asks for.
type contextRule struct {
	name    string
	require []string
	pos     position
}

// A statusRule says who lists what there is, so that what is not there is known
// not to be.
type statusRule struct {
	by     []string
	maxAge time.Duration // 0: as long as the status says
	pos    position
}

// A revoker says who may withdraw what.
type revoker struct {
	by          []string
	of          []string // revocable kinds
	threshold   int
	acknowledge string
	pos         position
}

// The kinds of things that a policy lets somebody revoke. An identity is named
// and treated as a key is.
const (
	revokeArtifact = "artifact"
	revokePayload  = "payload"
	revokeKey      = "key"
)

// An otherPolicy is a policy that judges inputs in the place of this one.
type otherPolicy struct {
	name    string
	file    string
	digest  attest.Digest
	context string
	vsa     *summaryRule // nil: only evidence counts
	policy  *Policy      // nil: only a summary counts
	pos     position
}

// A summaryRule says whose verification summary may stand in for evidence.
type summaryRule struct {
	by       []string
	verifier string
	resource string
	maxAge   time.Duration
	levels   []string

	acknowledge string
}

// A formatRule says what files the judged artifact may consist of.
type formatRule struct {
	weights []string // formats of weights
	kinds   []string // kinds of files; empty: any
	scan    string   // a step whose evidence says so; "": only bytes count
	pos     position
}

// selection says which candidates of a step count.
type selection string

const (
	selectAny    selection = "any"
	selectLatest selection = "latest"
	selectAll    selection = "all"
)

// aboutArtifact is the value of `about` that means the judged artifact.
const aboutArtifact = "artifact"

// The values of `covers`.
const (
	coversAll     = "all"
	coversWeights = "weights"
)

// A step is one row of the pipeline: what evidence of it must look like.
type step struct {
	name        string
	predicate   string
	buildType   string
	by          []string
	notBy       []string
	vetoBy      []string // resolved: by, unless stated
	kind        string   // "" for any
	threshold   int
	roles       []place // sorted by role
	about       string  // "" for a step that produces, "artifact", or a step's name
	optional    bool
	selects     selection
	covers      string // "" for evidence about the artifact itself
	inputs      []*line
	basis       []string
	rebase      bool
	samePolicy  bool
	conditions  *conditionRule // nil: approvals with conditions do not count
	compare     []*comparing
	carries     []*carrying
	before      []string
	agree       []string
	minVersion  version // nil: any
	minAge      time.Duration
	maxAge      time.Duration // 0: no limit
	where       *expression
	veto        *expression
	scope       *expression
	rules       []*rule
	controls    []string
	acknowledge string
	pos         position
}

// produces reports whether the step makes artifacts, rather than saying
// something about one.
func (s *step) produces() bool { return s.about == "" }

// A place is how many principals of a role a step needs.
type place struct {
	role string
	n    int
}

// A conditionRule says how the conditions of an approval are met.
type conditionRule struct {
	dischargedBy string
	untilDue     bool
}

// A comparing is one expression over the step's evidence and another's.
type comparing struct {
	rule
	with       string
	sameInputs []string
}

// A carrying says over which step evidence about the parent carries, and of which
// kinds the files may be that it adds.
type carrying struct {
	step  string
	added []string
}

// A rule is one expression that selected evidence must satisfy.
type rule struct {
	id       string
	cel      *expression
	message  string
	controls []string
	pos      position
}

// A line claims inputs of one role, under conditions that must all hold.
type line struct {
	role       string
	from       []string
	output     string
	origin     *origin
	pin        []attest.Digest
	policy     string // the name of another policy; "" for none
	accept     bool
	reason     string
	minVersion version
	notIn      []stepRole
	sameAs     []stepRole
	sameRun    []stepRole
	min        int
	max        int
	pos        position
}

// anyStep is the step of a stepRole that means every step: of this policy and of
// those that it names.
const anyStep = "*"

// A stepRole names the inputs of one role in one step.
type stepRole struct{ step, role string }

func (r stepRole) String() string { return r.step + "." + r.role }

// A denial lists artifacts that must not occur anywhere in the ancestry: here, or
// in a list that others sign.
type denial struct {
	artifacts   []attest.Digest
	reason      string
	list        string // the name of a signed list; "" for artifacts
	by          []string
	threshold   int
	maxAge      time.Duration
	acknowledge string
	pos         position
}

type limits struct {
	walk         verify.Limits
	celCost      uint64
	policies     int
	requirements int
}

// absences returns why the step's requirement rests on something not being
// there; empty if removing evidence can only make it fail.
func (d *document) absences(s *step) []string {
	var why []string
	add := func(rests bool, reason string) {
		if rests {
			why = append(why, reason)
		}
	}
	add(s.selects == selectLatest, "select: latest (nothing newer)")
	add(s.selects == selectAll, "select: all (nothing that fails)")
	add(s.veto != nil, "veto (no veto)")
	add(len(s.agree) > 0, "agree (no contradicting record)")
	add(slices.ContainsFunc(s.inputs, func(l *line) bool { return len(l.notIn) > 0 }), "notIn (no further training data)")
	add(slices.ContainsFunc(s.inputs, func(l *line) bool { return len(l.sameRun) > 0 }), "sameRun (nothing else taken there)")
	add(slices.ContainsFunc(s.inputs, func(l *line) bool { return len(l.sameAs) > 0 }), "sameAs (nothing else taken there)")
	add(s.claimsDepend(), "inputs (no second line that claims one)")
	add(len(s.notBy) > 0, "notBy: "+strings.Join(s.notBy, ", ")+" (nobody who signed both)")
	add(len(s.basis) > 0, "basis (nothing that the approval leaves out)")
	add(len(s.compare) > 0, "compare (no other result)")
	add(len(s.before) > 0, "before (no earlier run)")
	add(s.about != "" && s.about != aboutArtifact, "about: "+s.about+" (no further artifact that plays it)")
	return why
}

// claimsDepend reports whether it depends on other evidence how many lines claim
// an input: two lines of one role, of which one has a condition on evidence.
func (s *step) claimsDepend() bool {
	for i, l := range s.inputs {
		for _, o := range s.inputs[:i] {
			if l.role == o.role && (l.restsOnEvidence() || o.restsOnEvidence()) {
				return true
			}
		}
	}
	return false
}

func (l *line) restsOnEvidence() bool {
	return len(l.from) > 0 || l.policy != "" || len(l.sameRun)+len(l.sameAs) > 0
}

// consulted reports whether the step is only looked up where another one names it,
// and required nowhere by itself.
func (d *document) consulted(name string) bool {
	return slices.ContainsFunc(d.steps, func(s *step) bool { return s.conditions != nil && s.conditions.dischargedBy == name })
}
