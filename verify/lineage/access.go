package lineage

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// AccessRules are how whoever asks about access decides. The zero rules let nobody
// grant or revoke anything.
type AccessRules struct {
	At      time.Time // the time in question
	Known   time.Time // evidence that was first seen later does not exist; zero: At
	Reading Reading   // what those who signed are called
	// Who returns the one name of whoever holds a credential, so that several of one
	// person count once; nil: each is somebody. The other rules take such names.
	Who func(verify.Credential) string
	// MayGrant reports whether somebody may grant what nobody delegated to them.
	MayGrant func(who string) bool
	// Is reports whether a credential is the principal that a grant names, where it is
	// not spelled so; nil: the spelling alone counts.
	Is func(c verify.Credential, id string) bool
	// Revokers may take back. OwnRevoke lets everybody take back what they granted.
	Revokers  []Revokers
	OwnRevoke bool
	// Judge returns why a signature does not count, whatever it says: with the code
	// E_REVOKED that the key is not its holder's any more, with any other that its time
	// does not count; "" if it does. A nil Judge lets all count.
	Judge func(e verify.Evidence) (code attest.Code, why string)
}

// Revokers say who may take back what.
type Revokers struct {
	By        func(who string) bool
	Targets   []string // predicate.TargetArtifact, TargetPayload, TargetKey (of identities too)
	Threshold int      // how many of them must say so; 0: nobody can
}

func (r Revokers) hears(who, target string) bool {
	return r.By != nil && r.By(who) && slices.Contains(r.Targets, target)
}

// AccessScope returns what a walk needs for [Access], with the keys, the memory and
// the limits of s: the artifact, what its grants were delegated from, and what may
// have taken any of that back.
func AccessScope(s verify.Scope) verify.Scope {
	return verify.Scope{Signers: s.Signers, Memory: s.Memory, Limits: s.Limits, Grants: true}
}

// An AccessAnswer says what an artifact had access to at a time.
type AccessAnswer struct {
	Artifact attest.Digest `json:"artifact"`
	At       time.Time     `json:"at"`
	Known    time.Time     `json:"known"`
	// Given is what the grants in force give, each thing once: tools, secrets, execution
	// paths, data scopes, and among them by name.
	Given []Given `json:"given"`
	// Grants are all that somebody trusted made, by when they begin and by identity.
	Grants []Grant `json:"grants"`
	Gaps   []Gap   `json:"gaps"`
}

// A Given is one thing that can be got at.
type Given struct {
	What string `json:"what"` // GivenTool, GivenSecret, GivenPath or GivenScope
	Name string `json:"name"`
	// Schema is the digest of a tool's schema; zero: whatever its schema.
	Schema predicate.DigestSet `json:"schema,omitzero"`
	// Operations of a tool, sorted; nil: everything that it can do.
	Operations []string `json:"operations,omitempty"`
	Grants     []int    `json:"grants"` // that give it, as indices into AccessAnswer.Grants
}

// What a Given is.
const (
	GivenTool   = "tool"
	GivenSecret = "secret"
	GivenPath   = "executionPath"
	GivenScope  = "dataScope"
)

// A Grant is one grant, as it is shown.
type Grant struct {
	Payload       attest.Digest   `json:"payload"`
	Credential    string          `json:"credential"`
	Signer        string          `json:"signer"`
	Principal     string          `json:"principal"` // the signer's word, as all that follows
	PrincipalKind string          `json:"principalKind"`
	Gives         predicate.Reach `json:"gives"`
	From          time.Time       `json:"from,omitzero"`
	NotAfter      time.Time       `json:"notAfter,omitzero"`
	GrantedAt     time.Time       `json:"grantedAt,omitzero"`
	Seen          *time.Time      `json:"seen,omitempty"`
	MayDelegate   int64           `json:"mayDelegate,omitempty"`
	Reason        string          `json:"reason,omitempty"`
	// Chain are the grants that it was delegated from, the nearest first; as far as
	// they were found and it is no more than they are.
	Chain []Link `json:"chain,omitempty"`
	State State  `json:"state"`
	// Code and Why say why it is not in force at the time in question.
	Code attest.Code `json:"code,omitempty"`
	Why  string      `json:"why,omitempty"`
	// Spans are when it is in force, as far as is known.
	Spans []Span `json:"spans"`
	// Taken is what took it back, for as long as it did.
	Taken []Taken `json:"taken,omitempty"`
}

// A Link is one grant that another one was delegated from.
type Link struct {
	Payload   attest.Digest `json:"payload"`
	Artifact  attest.Digest `json:"artifact"`
	Signer    string        `json:"signer"`
	Principal string        `json:"principal"`
}

// A State says whether a grant is in force.
type State string

// The states of a grant. Open: the grant that it was delegated from could not be
// looked at.
const (
	InForce    State = "in force"
	NotInForce State = "not in force"
	Open       State = "open"
)

// Taken is a time in which a grant, its key or the artifact was taken back.
type Taken struct {
	Span
	Target  string        `json:"target"` // one of the predicate.Target… constants
	Action  string        `json:"action"`
	By      []string      `json:"by"`
	Reason  string        `json:"reason"`
	Payload attest.Digest `json:"payload"` // of the revocation
}

// Access answers what an artifact had access to at a time: what was granted and not
// revoked, of what was given on only what the giver had. The chain is of a walk in an
// AccessScope; a walk that did not look where it should leaves an answer with gaps.
func Access(chain verify.Chain, rules AccessRules) *AccessAnswer {
	if rules.Known.IsZero() {
		rules.Known = rules.At
	}
	k := &reckoning{chain: chain, rules: rules, taken: map[takenThing][]taking{}, everTaken: map[attest.Digest][]taking{}, standings: map[grantKey]*standing{}}
	a := &AccessAnswer{Artifact: chain.Root(), At: rules.At.UTC(), Known: rules.Known.UTC(), Given: []Given{}, Grants: []Grant{}}
	for _, e := range k.granted(chain.Root()) {
		a.Grants = append(a.Grants, k.grant(e))
	}
	slices.SortFunc(a.Grants, func(a, b Grant) int {
		return cmp.Or(a.From.Compare(b.From), a.Payload.Compare(b.Payload), cmp.Compare(a.Credential, b.Credential))
	})
	a.give()
	a.Gaps = k.gaps
	if chain.Root().IsZero() {
		a.Gaps = append(a.Gaps, Gap{Code: attest.CodeUsage})
	}
	a.Gaps = append(a.Gaps, gapsOf(chain)...)
	for _, d := range chain.ConsultedAll() {
		for _, g := range chain.Consulted(d).Gaps {
			a.Gaps = append(a.Gaps, Gap{g.Artifact, g.Code})
		}
	}
	a.Gaps = append([]Gap{}, sortGaps(a.Gaps)...)
	return a
}

// Complete reports whether everything could be looked at.
func (a *AccessAnswer) Complete() bool { return len(a.Gaps) == 0 }

// give collects what the grants in force give.
func (a *AccessAnswer) give() {
	type thing struct{ what, name, schema string }
	found := map[thing]*Given{}
	every := map[thing]bool{}
	note := func(grant int, g Given, operations []string) {
		t := thing{g.What, g.Name, g.Schema.String()}
		if found[t] == nil {
			found[t] = &g
		}
		have := found[t]
		have.Grants = append(have.Grants, grant)
		every[t] = every[t] || len(operations) == 0
		have.Operations = append(have.Operations, operations...)
	}
	for i, g := range a.Grants {
		if g.State != InForce {
			continue
		}
		for _, t := range g.Gives.Tools {
			note(i, Given{What: GivenTool, Name: t.Name, Schema: t.Digest}, t.Operations)
		}
		for _, s := range g.Gives.Secrets {
			note(i, Given{What: GivenSecret, Name: s.String()}, nil)
		}
		for _, s := range g.Gives.ExecutionPaths {
			note(i, Given{What: GivenPath, Name: s}, nil)
		}
		for _, s := range g.Gives.DataScopes {
			note(i, Given{What: GivenScope, Name: s}, nil)
		}
	}
	for t, g := range found {
		slices.Sort(g.Operations)
		if g.Operations = slices.Compact(g.Operations); every[t] {
			g.Operations = nil
		}
		a.Given = append(a.Given, *g)
	}
	order := []string{GivenTool, GivenSecret, GivenPath, GivenScope}
	slices.SortFunc(a.Given, func(a, b Given) int {
		return cmp.Or(slices.Index(order, a.What)-slices.Index(order, b.What), cmp.Compare(a.Name, b.Name), a.Schema.Compare(b.Schema.Digest))
	})
}

// A reckoning works out one answer.
type reckoning struct {
	chain     verify.Chain
	standIns  map[attest.Digest]*verify.Artifact // that were looked at without a chain
	rules     AccessRules
	taken     map[takenThing][]taking
	everTaken map[attest.Digest][]taking // of keys, restored or not
	standings map[grantKey]*standing
	gaps      []Gap
}

func (k *reckoning) gap(d attest.Digest, code attest.Code) { k.gaps = append(k.gaps, Gap{d, code}) }

// who is the one name of whoever holds a credential.
func (k *reckoning) who(c verify.Credential) string {
	if k.rules.Who == nil {
		return c.String()
	}
	return k.rules.Who(c)
}

// signer is what whoever signed is called.
func (k *reckoning) signer(e verify.Evidence) string { return k.rules.Reading.name(e.ID().Credential) }

// known reports whether evidence exists at all for whoever asks.
func (k *reckoning) known(e verify.Evidence) bool { return !e.Seen().After(k.rules.Known) }

func (k *reckoning) judge(e verify.Evidence) (attest.Code, string) {
	if k.rules.Judge == nil {
		return "", ""
	}
	return k.rules.Judge(e)
}

// granted returns the grants about an artifact, or about a file of it.
func (k *reckoning) granted(d attest.Digest) []verify.Evidence {
	var out []verify.Evidence
	seen := map[verify.ID]bool{}
	for _, node := range k.node(d) {
		for _, e := range slices.Concat(node.Evidence, node.FileEvidence) {
			if e.PredicateType() == predicate.TypeAccess && k.known(e) && !seen[e.ID()] {
				seen[e.ID()] = true
				out = append(out, e)
			}
		}
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// grant writes one grant, with why it is not in force.
func (k *reckoning) grant(e verify.Evidence) Grant {
	g := Grant{Payload: e.ID().Payload, Credential: e.ID().Credential.String(), Signer: k.signer(e), State: NotInForce, Spans: []Span{}}
	if seen := e.Seen(); !seen.IsZero() {
		seen = seen.UTC()
		g.Seen = &seen
	}
	facts, err := e.Facts()
	if err != nil {
		g.Code, g.Why = attest.RefusalCode(err), "it cannot be read: "+err.Error()
		return g
	}
	f := facts.Access
	g.Principal, g.PrincipalKind, g.Gives, g.MayDelegate, g.Reason = f.Principal, f.PrincipalKind, f.Reach, f.MayDelegate, f.Reason
	g.From, g.NotAfter, g.GrantedAt = f.From().UTC(), f.NotAfter.UTC(), f.GrantedAt.UTC()
	s := k.standing(e)
	g.Chain, g.Taken = s.chain, s.taken
	for _, span := range s.on {
		g.Spans = append(g.Spans, Span{span.From.UTC(), span.To.UTC()})
	}
	at := k.rules.At
	switch took := slices.IndexFunc(s.taken, func(t Taken) bool { return t.contains(at) }); {
	case s.on.contain(at):
		g.State = InForce
	case k.happened(f.GrantedAt).After(at) || f.NotBefore.After(at):
		g.Code, g.Why = attest.CodeTimeWindow, "it begins "+stamp(f.From())
	case !f.NotAfter.After(at):
		g.Code, g.Why = attest.CodeStale, "it ended "+stamp(f.NotAfter)
	case took >= 0:
		g.Code, g.Why = s.taken[took].why(g.Signer)
	case s.why == "" && !s.parent.IsZero():
		g.Code, g.Why = attest.CodeDelegation, "the grant that it was delegated from is not in force: "+k.grant(s.parent).Why
	default:
		g.Code, g.Why = s.code, s.why
		if s.open {
			g.State = Open
		}
	}
	return g
}

func (t Taken) why(signer string) (attest.Code, string) {
	code := attest.CodeRevoked
	if t.Action == predicate.ActionQuarantine {
		code = attest.CodeQuarantined
	}
	what := map[string]string{predicate.TargetArtifact: "the artifact", predicate.TargetPayload: "it", predicate.TargetKey: "the key of " + signer, predicate.TargetIdentity: "the identity of " + signer}[t.Target]
	did := map[string]string{predicate.ActionRevoke: "revoked", predicate.ActionQuarantine: "quarantined", predicate.ActionSupersede: "superseded"}[t.Action]
	return code, fmt.Sprintf("%s was %s by %s from %s: %.200s", what, did, joined(t.By), stamp(t.From), t.Reason)
}

func joined(names []string) string {
	out := ""
	for i, n := range names {
		if i > 0 {
			out += " and "
		}
		out += n
	}
	return out
}
