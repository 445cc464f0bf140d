package lineage

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// What an impact search keeps of an artifact that it looked at. Evidence holds
// whole predicates; of a million artifacts there is no room for them, and only
// what connects artifacts is needed again.

// An impactSight is what is kept of one artifact.
type impactSight struct {
	files   []impactFile
	sayings []impactSaying
	all     bool // everything was opened, and not only what leads on
}

type impactFile struct {
	digest attest.Digest
	path   string
}

// path returns what the artifact calls a file; "" if it has none of that digest.
func (s *impactSight) path(d attest.Digest) string {
	if s != nil {
		for _, f := range s.files {
			if f.digest == d {
				return f.path
			}
		}
	}
	return ""
}

// has reports whether the artifact has a file of that digest.
func (s *impactSight) has(d attest.Digest) bool {
	return s != nil && slices.ContainsFunc(s.files, func(f impactFile) bool { return f.digest == d })
}

// An impactSaying is what one piece of evidence says that can matter.
type impactSaying struct {
	record   *impactRecord
	kind     impactKind
	question impactDoubt
	about    bool            // the artifact that it lies beside is a subject
	others   []attest.Digest // further subjects
	inputs   []impactInput
	rests    []attest.Digest // payloads that it names as its basis or decision
	place    *impactPlace
	revoked  *impactRevoked
}

type impactKind uint8

const (
	impactOther impactKind = iota
	impactMaking
	impactJudging
	impactApproving
	impactDeploying
	impactRevoking
)

// effects are how what is in question itself is connected.
var effects = [...]Effect{impactOther: SaidBy, impactMaking: MadeBy, impactJudging: JudgedBy, impactApproving: ApprovedBy, impactDeploying: DeployedBy, impactRevoking: RevokedBy}

// An impactDoubt says whether a statement itself is in question.
type impactDoubt uint8

const (
	notDoubted impactDoubt = iota
	doubted
	perhapsDoubted // only its own word says that it is too old
)

type impactInput struct {
	digest attest.Digest
	role   string
}

type impactPlace struct{ environment, cluster, service, endpoint string }

// same is what tells places apart: the address in a target does not.
func (p impactPlace) same() impactPlace {
	p.endpoint = ""
	return p
}

func (p impactPlace) compare(q impactPlace) int {
	return cmp.Or(strings.Compare(p.environment, q.environment), strings.Compare(p.cluster, q.cluster), strings.Compare(p.service, q.service), strings.Compare(p.endpoint, q.endpoint))
}

type impactRevoked struct {
	action, reason string
	from           time.Time
	restores       []attest.Digest
}

// An impactRecord is what is kept to name a piece of evidence.
type impactRecord struct {
	id            verify.ID
	about         attest.Digest
	typ, step     string
	claimed, seen time.Time
}

func (r *impactRecord) compare(o *impactRecord) int {
	if r == nil || o == nil {
		return cmp.Compare(b2i(r != nil), b2i(o != nil))
	}
	return cmp.Or(r.id.Compare(o.id), r.about.Compare(o.about))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// show returns the record as answers have it, without what it says.
func (r *impactRecord) show(by Reading) Record {
	return Record{
		Payload: r.id.Payload, Credential: r.id.Credential.String(), Signer: by.name(r.id.Credential), About: r.about,
		Type: r.typ, Step: r.step, Claimed: moment(r.claimed), Seen: moment(r.seen),
	}
}

// keep takes from an artifact what can matter later.
func (s *impactSearch) keep(a *verify.Artifact) *impactSight {
	sight := &impactSight{}
	for _, f := range a.Files {
		sight.files = append(sight.files, impactFile{f.Digest, s.text(f.Path)})
	}
	for _, g := range a.Gaps {
		s.gaps = append(s.gaps, Gap{a.Digest, g.Code})
	}
	for _, list := range [][]verify.Evidence{a.Evidence, a.FileEvidence} {
		for _, e := range list {
			if s.o.Admits == nil || s.o.Admits(e) {
				s.hear(sight, a.Digest, e)
			}
		}
	}
	return sight
}

// hear takes from a piece of evidence what can matter later.
func (s *impactSearch) hear(sight *impactSight, at attest.Digest, e verify.Evidence) {
	facts, err := e.Facts()
	say := impactSaying{kind: impactKindOf(e.PredicateType())}
	say.question = s.doubt(e, facts)
	if err != nil {
		// What says nothing usable makes nothing affected, unless it is in question
		// itself. What says too much to be read is a limit, and where something
		// affected may have been deployed is not known.
		if c := attest.RefusalCode(err); c == attest.CodeChainFanout || c == attest.CodeLimit || say.kind == impactDeploying {
			s.gaps = append(s.gaps, Gap{at, c})
		}
	}
	for _, sub := range e.Subjects() {
		if sub.Digest == at {
			say.about = true
		} else if say.kind == impactMaking && !slices.Contains(say.others, sub.Digest) {
			say.others = append(say.others, sub.Digest)
		}
	}
	for _, in := range facts.Inputs {
		if !in.Digest.IsZero() {
			say.inputs = append(say.inputs, impactInput{in.Digest, s.text(in.Role)})
		}
	}
	for _, b := range facts.Basis {
		say.rests = append(say.rests, b.Payload)
	}
	s.special(&say, facts)
	if say.question == notDoubted && say.inputs == nil && say.rests == nil && say.place == nil && say.revoked == nil {
		return
	}
	say.record = &impactRecord{id: e.ID(), about: at, typ: predicate.Name(e.PredicateType()), step: s.text(StepOf(e)), claimed: facts.Claimed, seen: e.Seen()}
	sight.sayings = append(sight.sayings, say)
}

func impactKindOf(predicateType string) impactKind {
	switch predicateType {
	case predicate.TypeProvenance:
		return impactMaking
	case predicate.TypeEvaluation:
		return impactJudging
	case predicate.TypeApproval:
		return impactApproving
	case predicate.TypeDeployment:
		return impactDeploying
	case predicate.TypeRevocation:
		return impactRevoking
	}
	return impactOther
}

// special takes what only deployments and revocations say.
func (s *impactSearch) special(say *impactSaying, facts predicate.Facts) {
	if say.kind == impactDeploying && facts.Tree != nil {
		say.place = &impactPlace{
			s.text(treeText(facts.Tree, "environment")), s.text(treeText(facts.Tree, "target", "cluster")),
			s.text(treeText(facts.Tree, "target", "service")), s.text(treeText(facts.Tree, "target", "endpoint")),
		}
		decision, _ := facts.Tree["decision"].(map[string]any)
		if d := treeDigest(decision, "payload"); !d.IsZero() {
			say.rests = append(say.rests, d)
		}
	}
	if r := facts.Revocation; r != nil {
		say.revoked = &impactRevoked{s.text(r.Action), strings.Clone(r.Reason), r.From, r.Restores}
	}
}

// doubt reports whether a statement itself is in question.
func (s *impactSearch) doubt(e verify.Evidence, facts predicate.Facts) impactDoubt {
	switch {
	case !s.start.Digest.IsZero() && e.ID().Payload == s.start.Digest:
		s.statement = true
		return doubted
	case s.start.Credential != verify.Credential{} && e.ID().Credential == s.start.Credential:
	case s.start.Builder != "" && e.PredicateType() == predicate.TypeProvenance && treeText(facts.Tree, "runDetails", "builder", "id") == s.start.Builder:
	default:
		return notDoubted
	}
	d := s.start.doubts(facts.Claimed, e.Seen())
	if d == notDoubted {
		s.older[e.ID()] = true
	}
	return d
}

// doubts reports whether a statement of these times is in question. An authenticated
// time decides; without one, a claim to be older is the word of whoever has the key.
func (s Start) doubts(claimed, seen time.Time) impactDoubt {
	switch {
	case s.Since.IsZero():
		return doubted
	case !seen.IsZero() && seen.Before(s.Since):
		return notDoubted
	case seen.IsZero() && !claimed.IsZero() && claimed.Before(s.Since):
		return perhapsDoubted
	}
	return doubted
}

// text keeps a text once, and not the payload that it was cut out of.
func (s *impactSearch) text(t string) string {
	if kept, ok := s.texts[t]; ok {
		return kept
	}
	t = strings.Clone(t)
	s.texts[t] = t
	return t
}
