package lineage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// begun is when the platform's grants begin; they last for thirty days.
var begun = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func onDay(n int) time.Time { return begun.AddDate(0, 0, n) }

// An accessWorld has a platform that grants the model's lead, an agent, access, about
// a place of its own, and the lead who gives a part of it on to the model.
type accessWorld struct {
	*chaintest.World
	model, squad  attest.Digest
	parent, child *predicate.Access
	by            map[string]string // who signs the two
	keys          []string
	rules         lineage.AccessRules

	parentPayload, childPayload attest.Digest
}

func newAccessWorld(t testing.TB) *accessWorld {
	w := chaintest.New(t)
	a := &accessWorld{World: w, model: w.Manifest(map[string]string{"model.bin": "weights"}), squad: attest.SHA256([]byte("squad")),
		by: map[string]string{"parent": "platform", "child": "lead"}, keys: []string{"platform", "lead", "other", "security", "deputy"}}
	a.parent = &predicate.Access{Principal: predicate.AccessPrincipal{ID: a.credential("lead"), Kind: predicate.AccessAgent}, GrantedAt: begun, NotAfter: onDay(30), MayDelegate: 1,
		Reach: predicate.Reach{Tools: []predicate.Tool{{Name: "search", Operations: []string{"list", "read"}}, {Name: "sql"}}, Secrets: []predicate.Secret{{Name: "api", Store: "vault"}},
			ExecutionPaths: []string{"/srv/agent"}, DataScopes: []string{"s3://acme/credit/"}}}
	a.child = &predicate.Access{Principal: predicate.AccessPrincipal{ID: "summariser", Kind: predicate.AccessAgent}, GrantedAt: onDay(2), NotAfter: onDay(20),
		Reach: predicate.Reach{Tools: []predicate.Tool{{Name: "search", Operations: []string{"read"}}}, DataScopes: []string{"s3://acme/credit/q4"}}}
	a.rules = lineage.AccessRules{
		At:       onDay(10),
		Reading:  lineage.Reading{Name: a.name},
		Who:      a.name,
		MayGrant: func(who string) bool { return who == "platform" },
		Revokers: []lineage.Revokers{
			{By: func(who string) bool { return who == "security" }, Targets: []string{"artifact", "payload", "key"}, Threshold: 1},
			{By: func(who string) bool { return who == "deputy" || who == "other" }, Targets: []string{"payload"}, Threshold: 2},
		},
		OwnRevoke: true,
	}
	return a
}

func (a *accessWorld) credential(name string) string {
	return verify.KeyCredential(a.Key(name)).String()
}

func (a *accessWorld) name(c verify.Credential) string {
	for _, n := range a.keys {
		if a.credential(n) == c.String() {
			return n
		}
	}
	return ""
}

// sign signs the two grants, as far as they are there.
func (a *accessWorld) sign() {
	if a.parent != nil {
		a.parentPayload = a.Sign(a.by["parent"], a.squad, predicate.TypeAccess, *a.parent)
	}
	if a.child != nil {
		if a.child.Delegation == nil && !a.parentPayload.IsZero() {
			a.child.Delegation = &predicate.Delegation{From: predicate.StatementRef{Payload: predicate.DigestSet{Digest: a.parentPayload}, Artifact: predicate.DigestSet{Digest: a.squad}}}
		}
		a.childPayload = a.Sign(a.by["child"], a.model, predicate.TypeAccess, *a.child)
	}
}

func (a *accessWorld) walk(t testing.TB) verify.Chain {
	t.Helper()
	var scope verify.Scope
	for _, n := range a.keys {
		scope.Keys = append(scope.Keys, a.Key(n))
	}
	chain, err := verify.Walk(context.Background(), a.model, []verify.Source{a.Source()}, lineage.AccessScope(scope))
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func (a *accessWorld) ask(t testing.TB) *lineage.AccessAnswer {
	t.Helper()
	return lineage.Access(a.walk(t), a.rules)
}

// revoke says that something is taken back; days are when that is said.
func (a *accessWorld) revoke(by string, d attest.Digest, target string, days int, change ...func(*predicate.Revocation)) attest.Digest {
	r := predicate.Revocation{Action: predicate.ActionRevoke, Target: target, Reason: "reason", IssuedAt: onDay(days)}
	for _, f := range change {
		f(&r)
	}
	return a.Sign(by, d, predicate.TypeRevocation, r)
}

func (a *accessWorld) restore(by string, d attest.Digest, target string, days int, what ...attest.Digest) attest.Digest {
	return a.revoke(by, d, target, days, func(r *predicate.Revocation) {
		r.Action = predicate.ActionRestore
		for _, p := range what {
			r.Restores = append(r.Restores, predicate.Restored{Payload: predicate.DigestSet{Digest: p}})
		}
	})
}

func (a *accessWorld) key(name string) attest.Digest { return a.Key(name).Fingerprint() }

func action(s string) func(*predicate.Revocation) {
	return func(r *predicate.Revocation) { r.Action = s }
}

func effective(days int) func(*predicate.Revocation) {
	return func(r *predicate.Revocation) { r.EffectiveFrom = onDay(days) }
}

func written(ss []lineage.Span) string {
	var out []string
	for _, s := range ss {
		out = append(out, fmt.Sprintf("%d-%d", int(s.From.Sub(begun).Hours())/24, int(s.To.Sub(begun).Hours())/24))
	}
	return strings.Join(out, " ")
}

// The grant as it is, and what comes of one change each: whether it is in force on
// the tenth day, why not, and when it is.
func TestAccess(t *testing.T) {
	const payload, artifact, key = predicate.TargetPayload, predicate.TargetArtifact, predicate.TargetKey
	beyond := func(change func(c *predicate.Access)) func(*accessWorld) {
		return func(a *accessWorld) { change(a.child); a.sign() }
	}
	for _, c := range []struct {
		name  string
		do    func(a *accessWorld)
		code  attest.Code // "" if in force
		why   string
		spans string
	}{
		{"as it is", (*accessWorld).sign, "", "", "2-20"},
		{"all that the parent gives", beyond(func(c *predicate.Access) {
			c.Reach = predicate.Reach{Tools: []predicate.Tool{{Name: "search", Operations: []string{"list", "read"}}, {Name: "sql"}}, Secrets: []predicate.Secret{{Name: "api", Store: "vault"}},
				ExecutionPaths: []string{"/srv/agent"}, DataScopes: []string{"s3://acme/credit"}}
			c.GrantedAt, c.NotAfter = begun, onDay(30)
		}), "", "", "0-30"},

		{"another tool", beyond(func(c *predicate.Access) { c.Tools[0].Name = "shell" }), attest.CodeDelegation, "the tool shell", ""},
		{"another operation", beyond(func(c *predicate.Access) { c.Tools[0].Operations = []string{"write"} }), attest.CodeDelegation, "the operation write", ""},
		{"all operations", beyond(func(c *predicate.Access) { c.Tools[0].Operations = nil }), attest.CodeDelegation, "every operation", ""},
		{"another secret", beyond(func(c *predicate.Access) { c.Secrets = []predicate.Secret{{Name: "root"}} }), attest.CodeDelegation, "the secret root", ""},
		{"another path", beyond(func(c *predicate.Access) { c.ExecutionPaths = []string{"/srv"} }), attest.CodeDelegation, "the execution path /srv", ""},
		{"another scope", beyond(func(c *predicate.Access) { c.DataScopes = []string{"s3://acme/credit-old"} }), attest.CodeDelegation, "the data scope", ""},
		{"a longer time", beyond(func(c *predicate.Access) { c.NotAfter = onDay(31) }), attest.CodeDelegation, "it ends 2026-12-02", ""},
		{"an earlier time", beyond(func(c *predicate.Access) { c.GrantedAt = onDay(-1) }), attest.CodeDelegation, "it begins 2026-10-31", ""},
		{"as many levels", beyond(func(c *predicate.Access) { c.MayDelegate = 1 }), attest.CodeDelegation, "mayDelegate", ""},
		{"not to be given on", func(a *accessWorld) { a.parent.MayDelegate = 0; a.sign() }, attest.CodeDelegation, "may not be given on", ""},

		{"signed by somebody else", func(a *accessWorld) { a.by["child"] = "other"; a.sign() }, attest.CodeDelegation, "it is signed by other", ""},
		{"signed by the platform itself", func(a *accessWorld) { a.by["child"] = "platform"; a.sign() }, attest.CodeDelegation, "it is signed by platform", ""},
		{"the parent names who signs otherwise", func(a *accessWorld) { a.parent.Principal.ID = "spiffe://acme/lead"; a.sign() }, attest.CodeDelegation, "is for spiffe://acme/lead", ""},
		{"and whoever asks knows both", func(a *accessWorld) {
			a.parent.Principal.ID = "spiffe://acme/lead"
			a.rules.Is = func(c verify.Credential, id string) bool { return a.name(c) == "lead" && id == "spiffe://acme/lead" }
			a.sign()
		}, "", "", "2-20"},
		{"no parent", func(a *accessWorld) { a.sign(); a.Remove(a.parentPayload) }, attest.CodeDelegation, "there is no grant", ""},
		{"the parent by a stranger", func(a *accessWorld) { a.by["parent"] = "mallory"; a.sign() }, attest.CodeDelegation, "there is no grant", ""},
		{"the parent by somebody who may not grant", func(a *accessWorld) { a.by["parent"] = "other"; a.sign() }, attest.CodeDelegation, "other may grant nothing", ""},
		{"the parent is no grant that can be read", func(a *accessWorld) {
			a.parentPayload = a.Sign("platform", a.squad, predicate.TypeAccess, map[string]any{"tools": "all"})
			a.parent = nil
			a.sign()
		}, attest.CodeDelegation, "cannot be read", ""},
		{"the parent, about another artifact", func(a *accessWorld) {
			a.sign()
			a.Remove(a.childPayload)
			a.child.Delegation.From.Artifact.Digest = a.model
			a.sign()
			a.Remove(a.parentPayload)
		}, attest.CodeDelegation, "there is no grant", ""},
		{"the parent taken back", func(a *accessWorld) { a.sign(); a.revoke("platform", a.parentPayload, payload, 5) }, attest.CodeDelegation, "not in force: it was revoked by platform from 2026-11-06", "2-5"},
		{"the parent's signer's key", func(a *accessWorld) { a.sign(); a.revoke("security", a.key("platform"), key, 5) }, attest.CodeDelegation, "the key of platform was revoked", "2-5"},
		{"the parent's artifact", func(a *accessWorld) { a.sign(); a.revoke("security", a.squad, artifact, 5) }, attest.CodeDelegation, "the artifact was revoked", "2-5"},
		{"not delegated, and by somebody who may", func(a *accessWorld) { a.parent, a.by["child"] = nil, "platform"; a.sign() }, "", "", "2-20"},
		{"not delegated", func(a *accessWorld) { a.parent = nil; a.sign() }, attest.CodeIdentity, "lead may grant nothing", ""},
		{"cannot be read", func(a *accessWorld) {
			a.Sign("platform", a.model, predicate.TypeAccess, map[string]any{"tools": "all"})
		}, attest.CodePredicateSchema, "cannot be read", ""},
		{"to come", func(a *accessWorld) { a.child.NotBefore = onDay(11); a.sign() }, attest.CodeTimeWindow, "it begins 2026-11-12", "11-20"},
		{"granted later", func(a *accessWorld) { a.child.GrantedAt = onDay(11); a.sign() }, attest.CodeTimeWindow, "it begins", "11-20"},
		{"granted now, by a clock that is ahead", func(a *accessWorld) { a.child.GrantedAt = onDay(10).Add(5 * time.Minute); a.sign() }, "", "", "10-20"},
		{"granted now, by a clock too far ahead", func(a *accessWorld) { a.child.GrantedAt = onDay(10).Add(5*time.Minute + time.Second); a.sign() }, attest.CodeTimeWindow, "", "10-20"},
		{"over at that very moment", func(a *accessWorld) { a.child.NotAfter = onDay(10); a.sign() }, attest.CodeStale, "it ended 2026-11-11", "2-10"},

		{"taken back", func(a *accessWorld) { a.sign(); a.revoke("lead", a.childPayload, payload, 5) }, attest.CodeRevoked, "it was revoked by lead from 2026-11-06", "2-5"},
		{"taken back by security", func(a *accessWorld) { a.sign(); a.revoke("security", a.childPayload, payload, 5) }, attest.CodeRevoked, "by security", "2-5"},
		{"taken back by the parent's signer, who may not", func(a *accessWorld) { a.sign(); a.revoke("platform", a.childPayload, payload, 5) }, "", "", "2-20"},
		{"taken back by a stranger", func(a *accessWorld) { a.sign(); a.revoke("mallory", a.childPayload, payload, 5) }, "", "", "2-20"},
		{"taken back by one of two", func(a *accessWorld) { a.sign(); a.revoke("deputy", a.childPayload, payload, 5) }, "", "", "2-20"},
		{"taken back by both", func(a *accessWorld) {
			a.sign()
			a.revoke("deputy", a.childPayload, payload, 5)
			a.revoke("other", a.childPayload, payload, 8)
		}, attest.CodeRevoked, "by deputy and other from 2026-11-09", "2-8"},
		{"taken back by both, in other ways", func(a *accessWorld) {
			a.sign()
			a.revoke("deputy", a.childPayload, payload, 5)
			a.revoke("other", a.childPayload, payload, 8, action(predicate.ActionQuarantine))
		}, "", "", "2-20"},
		{"taken back by its signer, where nobody may", func(a *accessWorld) {
			a.rules.OwnRevoke = false
			a.sign()
			a.revoke("lead", a.childPayload, payload, 5)
		}, "", "", "2-20"},
		{"taken back later", func(a *accessWorld) { a.sign(); a.revoke("lead", a.childPayload, payload, 11) }, "", "", "2-11"},
		{"taken back from a later time on", func(a *accessWorld) { a.sign(); a.revoke("lead", a.childPayload, payload, 5, effective(12)) }, "", "", "2-12"},
		{"taken back from an earlier time on", func(a *accessWorld) { a.sign(); a.revoke("lead", a.childPayload, payload, 5, effective(1)) }, attest.CodeRevoked, "", "2-5"},
		{"taken back as if it were an artifact", func(a *accessWorld) { a.sign(); a.revoke("security", a.childPayload, artifact, 5) }, "", "", "2-20"},
		{"quarantined", func(a *accessWorld) {
			a.sign()
			a.revoke("lead", a.childPayload, payload, 5, action(predicate.ActionQuarantine))
		}, attest.CodeQuarantined, "it was quarantined", "2-5"},
		{"taken back and restored", func(a *accessWorld) {
			a.sign()
			a.restore("lead", a.childPayload, payload, 8, a.revoke("lead", a.childPayload, payload, 5))
		}, "", "", "2-5 8-20"},
		{"taken back, and restored later", func(a *accessWorld) {
			a.sign()
			a.restore("lead", a.childPayload, payload, 12, a.revoke("lead", a.childPayload, payload, 5))
		}, attest.CodeRevoked, "", "2-5 12-20"},
		{"taken back, and another one restored", func(a *accessWorld) {
			a.sign()
			a.revoke("lead", a.childPayload, payload, 5)
			a.restore("lead", a.childPayload, payload, 8, a.parentPayload)
		}, attest.CodeRevoked, "", "2-5"},
		{"taken back by security, and restored by its signer", func(a *accessWorld) {
			a.sign()
			a.restore("lead", a.childPayload, payload, 8, a.revoke("security", a.childPayload, payload, 5))
		}, attest.CodeRevoked, "", "2-5"},
		{"taken back by its signer, and restored by security", func(a *accessWorld) {
			a.sign()
			a.restore("security", a.childPayload, payload, 8, a.revoke("lead", a.childPayload, payload, 5))
		}, "", "", "2-5 8-20"},
		{"taken back by a key that is taken back", func(a *accessWorld) {
			a.sign()
			a.revoke("lead", a.childPayload, payload, 5)
			a.revoke("security", a.childPayload, payload, 6)
			a.revoke("security", a.key("security"), key, 7)
		}, attest.CodeRevoked, "by lead", "2-5"},

		{"taken back by nobody else than a key that is taken back", func(a *accessWorld) {
			a.sign()
			a.revoke("security", a.childPayload, payload, 5)
			a.revoke("security", a.key("security"), key, 7)
		}, "", "", "2-5 7-20"},
		{"taken back where nobody is enough", func(a *accessWorld) {
			a.rules.Revokers = []lineage.Revokers{{By: func(string) bool { return true }, Targets: []string{payload}}}
			a.rules.OwnRevoke = false
			a.sign()
			a.revoke("security", a.childPayload, payload, 5)
		}, "", "", "2-20"},

		{"the key", func(a *accessWorld) { a.sign(); a.revoke("security", a.key("lead"), key, 5) }, attest.CodeRevoked, "the key of lead was revoked by security", "2-5"},
		{"the key, by its holder", func(a *accessWorld) { a.sign(); a.revoke("lead", a.key("lead"), key, 5) }, "", "", "2-20"},
		{"the key, and it is restored", func(a *accessWorld) {
			a.sign()
			a.restore("security", a.key("lead"), key, 8, a.revoke("security", a.key("lead"), key, 5))
		}, "", "", "2-5 8-20"},
		{"the key, restored by a key that was once taken back", func(a *accessWorld) {
			a.sign()
			a.restore("security", a.key("security"), key, 7, a.revoke("security", a.key("security"), key, 6))
			a.restore("security", a.key("lead"), key, 8, a.revoke("security", a.key("lead"), key, 5))
		}, attest.CodeRevoked, "the key of lead", "2-5"},
		{"the artifact", func(a *accessWorld) { a.sign(); a.revoke("security", a.model, artifact, 5) }, attest.CodeRevoked, "the artifact was revoked", "2-5"},
		{"a file of the artifact", func(a *accessWorld) {
			a.sign()
			a.SignAt(a.model, "security", chaintest.File("weights"), predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: artifact, Reason: "x", IssuedAt: onDay(5)})
		}, attest.CodeRevoked, "the artifact was revoked", "2-5"},
		{"the artifact, by who may not", func(a *accessWorld) { a.sign(); a.revoke("lead", a.model, artifact, 5) }, "", "", "2-20"},
		{"the artifact has a successor", func(a *accessWorld) {
			a.sign()
			a.revoke("security", a.model, artifact, 5, action(predicate.ActionSupersede), func(r *predicate.Revocation) { r.ReplacedBy = predicate.DigestSet{Digest: a.squad} })
		}, "", "", "2-20"},
		{"a signature that does not count", func(a *accessWorld) {
			a.sign()
			a.rules.Judge = func(e verify.Evidence) (attest.Code, string) {
				if a.name(e.ID().Credential) == "lead" {
					return attest.CodeKeyWindow, "the key of lead counts from later on"
				}
				return "", ""
			}
		}, attest.CodeKeyWindow, "counts from later on", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAccessWorld(t)
			c.do(a)
			got := a.ask(t)
			if len(got.Grants) != 1 || !got.Complete() {
				t.Fatalf("want one grant and no gaps, got %+v", got)
			}
			g := got.Grants[0]
			state := lineage.NotInForce
			if c.code == "" {
				state = lineage.InForce
			}
			if g.State != state || g.Code != c.code || !strings.Contains(g.Why, c.why) || (c.code == "") != (g.Why == "") || written(g.Spans) != c.spans {
				t.Errorf("got %s %s %q, %s\nwant %s %q, %s", g.State, g.Code, g.Why, written(g.Spans), c.code, c.why, c.spans)
			}
			if (len(got.Given) > 0) != (c.code == "") {
				t.Errorf("given: %+v", got.Given)
			}
		})
	}
}

// The same grants at other times: minus what was taken back by then.
func TestAccessAtTimes(t *testing.T) {
	a := newAccessWorld(t)
	a.sign()
	r := a.revoke("lead", a.childPayload, predicate.TargetPayload, 5)
	a.restore("lead", a.childPayload, predicate.TargetPayload, 8, r)
	a.revoke("platform", a.parentPayload, predicate.TargetPayload, 15)
	for at, want := range map[int]bool{0: false, 1: false, 2: true, 4: true, 5: false, 7: false, 8: true, 14: true, 15: false, 25: false} {
		a.rules.At = onDay(at)
		got := a.ask(t)
		if (got.Grants[0].State == lineage.InForce) != want {
			t.Errorf("day %d: %+v", at, got.Grants[0])
		}
		if written(got.Grants[0].Spans) != "2-5 8-15" {
			t.Errorf("day %d: the intervals depend on the time that is asked about: %v", at, written(got.Grants[0].Spans))
		}
	}
}

// What takes a grant back is told once, also where its signer may do so twice over, and
// for as long as it did.
func TestAccessTaken(t *testing.T) {
	a := newAccessWorld(t)
	a.rules.Revokers = append(a.rules.Revokers, lineage.Revokers{By: func(string) bool { return true }, Targets: []string{"payload"}, Threshold: 1})
	a.sign()
	r := a.revoke("lead", a.childPayload, predicate.TargetPayload, 5)
	a.revoke("lead", a.childPayload, predicate.TargetPayload, 6)
	a.restore("lead", a.childPayload, predicate.TargetPayload, 8, r)
	got := a.ask(t).Grants[0].Taken
	if len(got) != 2 || got[0].Payload != r || !got[0].From.Equal(onDay(5)) || !slices.Equal(got[0].By, []string{"lead"}) || got[0].Target != predicate.TargetPayload || got[0].Action != predicate.ActionRevoke || got[0].Reason != "reason" || !got[1].To.IsZero() {
		t.Errorf("got %+v", got)
	}
}

// What is given is told once, with all the grants that give it; what others sign
// about the model changes nothing.
func TestAccessGiven(t *testing.T) {
	a := newAccessWorld(t)
	a.sign()
	direct := predicate.Access{Principal: predicate.AccessPrincipal{ID: "p", Kind: predicate.AccessService}, GrantedAt: begun, NotAfter: onDay(30), Reach: predicate.Reach{
		Tools:   []predicate.Tool{{Name: "search", Operations: []string{"list"}}, {Name: "search2", Digest: predicate.DigestSet{Digest: a.squad}}},
		Secrets: []predicate.Secret{{Name: "z"}, {Name: "api", Store: "vault", Version: "2"}}, ExecutionPaths: []string{"/bin"}}}
	a.Sign("platform", a.model, predicate.TypeAccess, direct)
	a.SignAt(a.model, "platform", chaintest.File("weights"), predicate.TypeAccess, predicate.Access{Principal: direct.Principal, GrantedAt: onDay(3), NotAfter: onDay(30), Reach: predicate.Reach{Secrets: []predicate.Secret{{Name: "z"}}}})
	a.Sign("mallory", a.model, predicate.TypeAccess, predicate.Access{Principal: direct.Principal, GrantedAt: begun, NotAfter: onDay(30), Reach: predicate.Reach{Tools: []predicate.Tool{{Name: "rm"}}}})
	got := a.ask(t)
	schema := predicate.DigestSet{Digest: a.squad}
	want := []lineage.Given{
		{What: lineage.GivenTool, Name: "search", Operations: []string{"list", "read"}, Grants: []int{0, 1}},
		{What: lineage.GivenTool, Name: "search2", Schema: schema, Grants: []int{0}},
		{What: lineage.GivenSecret, Name: "api@vault version 2", Grants: []int{0}},
		{What: lineage.GivenSecret, Name: "z", Grants: []int{0, 2}},
		{What: lineage.GivenPath, Name: "/bin", Grants: []int{0}},
		{What: lineage.GivenScope, Name: "s3://acme/credit/q4", Grants: []int{1}},
	}
	if !reflect.DeepEqual(got.Given, want) {
		t.Errorf("got %+v", got.Given)
	}
	if g := got.Grants[1]; g.Payload != a.childPayload || len(g.Chain) != 1 || g.Chain[0] != (lineage.Link{Payload: a.parentPayload, Artifact: a.squad, Signer: "platform", Principal: a.credential("lead")}) {
		t.Errorf("got %+v", got.Grants[1])
	}
	// Every operation wins over some.
	direct.Tools[0].Operations = nil
	a.Sign("platform", a.model, predicate.TypeAccess, direct)
	if got := a.ask(t); got.Given[0].Operations != nil || len(got.Given[0].Grants) != 3 {
		t.Errorf("got %+v", got.Given[0])
	}
}

// What could not be looked at is a gap, whichever place it is; and where the parent
// may lie there, the grant is open.
func TestAccessGaps(t *testing.T) {
	for name, c := range map[string]struct {
		where func(a *accessWorld) attest.Digest
		code  attest.Code
		state lineage.State
	}{
		"the model":            {func(a *accessWorld) attest.Digest { return a.model }, attest.CodeRegUnavailable, lineage.InForce},
		"the parent's place":   {func(a *accessWorld) attest.Digest { return a.squad }, attest.CodeRegUnavailable, lineage.InForce},
		"the grant's payload":  {func(a *accessWorld) attest.Digest { return a.childPayload }, attest.CodeRegUnavailable, lineage.InForce},
		"the parent's payload": {func(a *accessWorld) attest.Digest { return a.parentPayload }, attest.CodeRegUnavailable, lineage.InForce},
		"the signer's key":     {func(a *accessWorld) attest.Digest { return a.key("lead") }, attest.CodeRegUnavailable, lineage.InForce},
		"the parent's key":     {func(a *accessWorld) attest.Digest { return a.key("platform") }, attest.CodeRegUnavailable, lineage.InForce},
	} {
		a := newAccessWorld(t)
		a.sign()
		a.Break(c.where(a), attest.Refuse(attest.CodeRegUnavailable, "no answer"))
		got := a.ask(t)
		if got.Complete() || !slices.Contains(got.Gaps, lineage.Gap{Artifact: c.where(a), Code: c.code}) || got.Grants[0].State != c.state {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	a := newAccessWorld(t)
	a.sign()
	a.Remove(a.parentPayload)
	a.Break(a.squad, attest.Refuse(attest.CodeRegUnavailable, "no answer"))
	if g := a.ask(t).Grants[0]; g.State != lineage.Open || g.Code != attest.CodeRegUnavailable || len(g.Spans) != 0 {
		t.Errorf("got %+v", g)
	}
	// A revocation that nobody can read, by somebody who could have meant it.
	for by, want := range map[string]bool{"lead": true, "security": true, "platform": false, "mallory": false} {
		a := newAccessWorld(t)
		a.sign()
		a.Sign(by, a.childPayload, predicate.TypeRevocation, map[string]any{"action": "revoke"})
		if got := a.ask(t); slices.Contains(got.Gaps, lineage.Gap{Artifact: a.childPayload, Code: attest.CodeRevoked}) != want || got.Complete() == want {
			t.Errorf("%s: got %+v", by, got.Gaps)
		}
	}
	// A walk that did not look for what takes grants back proves nothing.
	a = newAccessWorld(t)
	a.sign()
	chain, err := verify.Walk(context.Background(), a.model, []verify.Source{a.Source()}, verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{a.Key("lead")}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := lineage.Access(chain, a.rules); got.Complete() || got.Grants[0].State != lineage.Open {
		t.Errorf("got %+v", got)
	}
	if got := lineage.Access(verify.Chain{}, a.rules); got.Complete() {
		t.Error("of nothing everything is known")
	}
}

// Who is not in the rules can do nothing.
func TestAccessZeroRules(t *testing.T) {
	a := newAccessWorld(t)
	a.sign()
	a.rules = lineage.AccessRules{At: onDay(10)}
	if g := a.ask(t).Grants[0]; g.State != lineage.NotInForce || g.Code != attest.CodeDelegation || !strings.Contains(g.Why, "may grant nothing") {
		t.Errorf("got %+v", g)
	}
}

// A chain as long as one can be, and the answer has the same bytes whatever the order
// in which things were attached.
func TestAccessLongChainAndBytes(t *testing.T) {
	build := func(reverse bool) (*accessWorld, *lineage.AccessAnswer) {
		a := newAccessWorld(t)
		var attach []func()
		names := []string{"platform"}
		var from predicate.StatementRef
		for i := range predicate.MaxDelegations + 1 {
			holder := fmt.Sprint("agent ", i)
			g := predicate.Access{Principal: predicate.AccessPrincipal{ID: a.credential(holder), Kind: predicate.AccessAgent}, GrantedAt: begun, NotAfter: onDay(30),
				MayDelegate: int64(predicate.MaxDelegations - i), Reach: predicate.Reach{Tools: []predicate.Tool{{Name: "t"}}}}
			if i > 0 {
				g.Delegation = &predicate.Delegation{From: from}
			}
			at := attest.SHA256([]byte(holder))
			if i == predicate.MaxDelegations {
				at = a.model
			}
			signer := names[len(names)-1]
			payload, err := attest.NewStatement(attest.Subject{Name: "subject", Digest: at}, predicate.TypeAccess, g)
			if err != nil {
				t.Fatal(err)
			}
			from = predicate.StatementRef{Payload: predicate.DigestSet{Digest: attest.SHA256(payload)}, Artifact: predicate.DigestSet{Digest: at}}
			attach = append(attach, func() { a.SignPayload(at, signer, payload) })
			names = append(names, holder)
		}
		for i := range 5 {
			attach = append(attach, func() {
				a.Sign("platform", a.model, predicate.TypeAccess, predicate.Access{Principal: predicate.AccessPrincipal{ID: fmt.Sprint(i), Kind: predicate.AccessHuman}, GrantedAt: begun, NotAfter: onDay(30)})
			})
		}
		a.keys = append(a.keys, names[1:]...)
		if reverse {
			slices.Reverse(attach)
		}
		for _, f := range attach {
			f()
		}
		return a, a.ask(t)
	}
	_, one := build(false)
	_, two := build(true)
	b1, err1 := json.Marshal(one)
	b2, err2 := json.Marshal(two)
	if err1 != nil || err2 != nil || string(b1) != string(b2) {
		t.Errorf("%v %v\n%s\n%s", err1, err2, b1, b2)
	}
	i := slices.IndexFunc(one.Grants, func(g lineage.Grant) bool { return len(g.Chain) > 0 })
	if i < 0 || len(one.Grants[i].Chain) != predicate.MaxDelegations || one.Grants[i].State != lineage.InForce || !one.Complete() {
		t.Errorf("got %+v", one)
	}
}
