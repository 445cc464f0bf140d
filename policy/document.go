package policy

import (
	"slices"
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
	expires     time.Time
	artifact    []string
	artifactPos position
	evidence    []attest.Repository
	unsafeTime  bool
	principals  []*principal
	steps       []*step
	deny        []*denial
	sharedFiles []attest.Digest
	limits      limits

	byStep       map[string]*step
	byPrincipal  map[string]*principal
	byCredential map[verify.Credential]*principal
}

func (d *document) step(name string) *step           { return d.byStep[name] }
func (d *document) principal(name string) *principal { return d.byPrincipal[name] }

// position is where something stands in the policy's file; both count from 1.
type position struct{ line, column int }

// A principal is a person, workload or agent, whatever the number of keys.
type principal struct {
	name        string
	kind        string
	keys        []attest.PublicKey
	credentials []verify.Credential
	pos         position
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
	about       string // "" for a step that produces, "artifact", or a step's name
	optional    bool
	selects     selection
	inputs      []*line
	basis       []string
	agree       []string
	maxAge      time.Duration // 0: no limit
	where       *expression
	veto        *expression
	scope       *expression
	rules       []*rule
	acknowledge string
	pos         position
}

// produces reports whether the step makes artifacts, rather than saying
// something about one.
func (s *step) produces() bool { return s.about == "" }

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
	role    string
	from    []string
	output  string
	origin  *origin
	pin     []attest.Digest
	accept  bool
	reason  string
	notIn   []stepRole
	sameRun []stepRole
	min     int
	max     int
	pos     position
}

// A stepRole names the inputs of one role in one step.
type stepRole struct{ step, role string }

func (r stepRole) String() string { return r.step + "." + r.role }

// A denial lists artifacts that must not occur anywhere in the ancestry.
type denial struct {
	artifacts   []attest.Digest
	reason      string
	acknowledge string
	pos         position
}

type limits struct {
	walk    verify.Limits
	celCost uint64
}

// absences returns why the step's requirement rests on something not being
// there; empty if removing evidence can only make it fail.
func (d *document) absences(s *step) []string {
	var why []string
	switch s.selects {
	case selectLatest:
		why = append(why, "select: latest (nothing newer)")
	case selectAll:
		why = append(why, "select: all (nothing that fails)")
	}
	if s.veto != nil {
		why = append(why, "veto (no veto)")
	}
	if len(s.agree) > 0 {
		why = append(why, "agree (no contradicting record)")
	}
	for _, l := range s.inputs {
		if len(l.notIn) > 0 {
			why = append(why, "notIn (no further training data)")
			break
		}
	}
	for _, other := range s.notBy {
		if o := d.step(other); o != nil && slices.ContainsFunc(s.by, func(n string) bool { return slices.Contains(o.by, n) }) {
			why = append(why, "notBy: "+other+" (both may be done by the same principal)")
		}
	}
	return why
}
