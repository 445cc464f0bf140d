package predicate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

var (
	someKey = "key:sha256:" + hexA
	// grant is a grant that says everything.
	grant = `{"principal":{"id":"` + someKey + `","kind":"agent"},"tools":[{"name":"search","digest":` + setA + `,"operations":["read","list"]},{"name":"sql"}],` +
		`"secrets":[{"name":"api","store":"vault","version":"2"},{"name":"db"}],"executionPaths":["/srv/agent"],"dataScopes":["s3://acme/credit/"],` +
		`"notBefore":"2027-01-02T00:00:00Z","notAfter":"2027-02-01T00:00:00Z","grantedAt":"2027-01-01T00:00:00Z","mayDelegate":2,"reason":"r"}`
)

func TestAccess(t *testing.T) {
	parent := mustDecode(t, TypeAccess, examples(t, "access.md")[0]).Access
	child := mustDecode(t, TypeAccess, examples(t, "access.md")[1]).Access
	if err := child.Within(parent); err != nil {
		t.Errorf("the page's child is not within its parent: %v", err)
	}
	if parent.Principal[:11] != "key:sha256:" || parent.PrincipalKind != AccessAgent || len(parent.Tools) != 2 || parent.Tools[0].Operations[0] != "read" || parent.Tools[0].Digest.IsZero() ||
		parent.Secrets[1].String() != "tickets-token@vault version 4" || len(parent.DataScopes) != 2 || parent.MayDelegate != 1 || !parent.Parent.Payload.IsZero() ||
		!parent.From().Equal(utcTime("2026-11-01T00:00:00Z")) {
		t.Errorf("got %+v", parent)
	}
	if child.Parent.Payload.Hex()[:4] != "3946" || child.Parent.Artifact.Hex()[:4] != "548e" || child.MayDelegate != 0 || !child.From().Equal(child.GrantedAt) {
		t.Errorf("got %+v", child)
	}
	delegated := `"delegation":{"from":{"payload":` + setA + `,"artifact":` + setB + `}},`
	check(t, TypeAccess, swap(t, grant, `"mayDelegate"`, delegated+`"mayDelegate"`), []refusal{
		{"no principal", `"principal":{"id":"` + someKey + `","kind":"agent"},`, ``, schemaCode, "principal"},
		{"nobody", `"id":"` + someKey + `",`, ``, schemaCode, "principal.id"},
		{"a key that is none", someKey, "key:sha256:AA", schemaCode, "principal.id"},
		{"no kind", `,"kind":"agent"`, ``, schemaCode, "principal.kind"},
		{"unknown kind", `"agent"`, `"workload"`, schemaCode, "principal.kind"},
		{"a principal with a condition", `"kind":"agent"`, `"kind":"agent","audience":"x"`, schemaCode, `principal["audience"]`},
		{"a limit that nobody here knows", `"reason"`, `"rateLimit":5,"reason"`, schemaCode, `["rateLimit"]`},
		{"another spelling", `"mayDelegate"`, `"may_delegate"`, schemaCode, `["may_delegate"]`},
		{"a tool with a limit", `{"name":"sql"}`, `{"name":"sql","readOnly":true}`, schemaCode, `tools[1]["readOnly"]`},
		{"a tool without a name", `{"name":"sql"}`, `{}`, schemaCode, "tools[1].name"},
		{"one tool twice", `"sql"`, `"search"`, schemaCode, "tools[1].name"},
		{"a tool's schema a commit", `"digest":` + setA + `,"op`, `"digest":` + someCommit + `,"op`, attest.CodeDigestAlg, "tools[0].digest"},
		{"no operations, which reads both ways", `["read","list"]`, `[]`, schemaCode, "tools[0].operations"},
		{"an operation twice", `"list"]`, `"read"]`, schemaCode, "tools[0].operations[1]"},
		{"an operation without a name", `"list"]`, `""]`, schemaCode, "tools[0].operations[1]"},
		{"a secret's value", `{"name":"db"}`, `{"name":"db","value":"hunter2"}`, schemaCode, `secrets[1]["value"]`},
		{"one secret twice", `{"name":"db"}`, `{"name":"api","store":"vault","version":"2"}`, schemaCode, "secrets[1]"},
		{"a path that climbs", `"/srv/agent"`, `"/srv/../etc"`, schemaCode, "executionPaths[0]"},
		{"a scope with a pattern", `"s3://acme/credit/"`, `"s3://acme/*"`, schemaCode, "dataScopes[0]"},
		{"one scope twice", `"s3://acme/credit/"`, `"s3://acme/credit/","s3://acme/credit"`, schemaCode, "dataScopes[1]"},
		{"a name that is too long", `"/srv/agent"`, `"/` + strings.Repeat("a", maxAccessName) + `"`, attest.CodeLimit, "executionPaths[0]"},
		{"an operation that is too long", `"list"]`, `"` + strings.Repeat("a", maxAccessName+1) + `"]`, attest.CodeLimit, "tools[0]"},
		{"no end", `"notAfter":"2027-02-01T00:00:00Z",`, ``, schemaCode, "notAfter"},
		{"ends as it begins", `"notAfter":"2027-02-01`, `"notAfter":"2027-01-02`, schemaCode, "notAfter"},
		{"ended before it was granted", `"grantedAt":"2027-01-01`, `"grantedAt":"2027-03-01`, schemaCode, "notAfter"},
		{"no time", `"grantedAt":"2027-01-01T00:00:00Z",`, ``, schemaCode, "grantedAt"},
		{"delegated from nothing", delegated, `"delegation":{},`, schemaCode, "delegation.from"},
		{"delegated from nowhere", `,"artifact":` + setB, ``, schemaCode, "delegation.from.artifact"},
		{"delegated from a commit", `"payload":` + setA, `"payload":` + someCommit, attest.CodeDigestAlg, "delegation.from.payload"},
		{"delegated with a condition", `"delegation":{`, `"delegation":{"unless":"x",`, schemaCode, `delegation["unless"]`},
		{"delegated part of it", `"artifact":` + setB, `"artifact":` + setB + `,"only":"x"`, schemaCode, `delegation.from["only"]`},
		{"more levels than are followed", `"mayDelegate":2`, `"mayDelegate":17`, schemaCode, "mayDelegate"},
		{"levels below none", `"mayDelegate":2`, `"mayDelegate":-1`, schemaCode, "mayDelegate"},
	})

	d := DigestSet{attest.SHA256([]byte("a"))}
	f := encoded(t, TypeAccess, Access{Principal: AccessPrincipal{"p", AccessHuman}, NotBefore: noon, NotAfter: noon.Add(time.Hour), GrantedAt: noon, MayDelegate: 1, Reason: "r",
		Reach:      Reach{Tools: []Tool{{"t", d, []string{"o"}}}, Secrets: []Secret{{"s", "k", "1"}}, ExecutionPaths: []string{"/a"}, DataScopes: []string{"b"}},
		Delegation: &Delegation{StatementRef{d, d}}})
	if !f.Claimed.Equal(noon) || f.Claimed.Location() != time.UTC || f.Access.Parent != (Basis{d.Digest, d.Digest}) || f.Access.Tools[0].Operations[0] != "o" || f.Access.Secrets[0].Version != "1" {
		t.Errorf("got %+v", f.Access)
	}
	encoded(t, TypeAccess, Access{Principal: AccessPrincipal{"p", AccessHuman}, NotAfter: noon.Add(time.Hour), GrantedAt: noon})
}

// A child is within its parent, and with one change it is not: each dimension by
// itself, with what the message says.
func TestWithin(t *testing.T) {
	parent := mustDecode(t, TypeAccess, grant).Access
	same := swap(t, swap(t, grant, `"mayDelegate":2`, `"mayDelegate":1`), `"grantedAt":"2027-01-01T00:00:00Z"`, `"grantedAt":"2027-01-01T23:59:00Z"`)
	for _, c := range []struct{ name, old, new, why string }{
		{"the same, one level less", ``, ``, ""},
		{"no tools", `"tools":[{"name":"search","digest":` + setA + `,"operations":["read","list"]},{"name":"sql"}],`, ``, ""},
		{"fewer operations", `["read","list"]`, `["list"]`, ""},
		{"some operations of all", `{"name":"sql"}`, `{"name":"sql","operations":["drop"]}`, ""},
		{"a schema where the parent has any", `{"name":"sql"}`, `{"name":"sql","digest":` + setB + `}`, ""},
		{"a store where the parent has any", `{"name":"db"}`, `{"name":"db","store":"vault","version":"9"}`, ""},
		{"below a path", `"/srv/agent"`, `"/srv/agent/bin"`, ""},
		{"a scope without the slash", `"s3://acme/credit/"`, `"s3://acme/credit"`, ""},
		{"a shorter time", `"notAfter":"2027-02-01`, `"notAfter":"2027-01-03`, ""},
		{"granted while the parent holds", `"grantedAt":"2027-01-01T23:59`, `"grantedAt":"2027-01-20T00:00`, ""},
		{"begins as the parent does, granted five minutes before", `23:59:00Z`, `23:55:00Z`, ""},
		{"of another principal", someKey, "x", ""},

		{"another tool", `"sql"`, `"shell"`, "the tool shell"},
		{"a tool in another case", `"sql"`, `"SQL"`, "the tool SQL"},
		{"another operation", `"list"]`, `"write"]`, "the operation write of the tool search"},
		{"all operations of some", `,"operations":["read","list"]`, ``, "every operation of the tool search"},
		{"another schema", setA + `,"op`, setB + `,"op`, "the tool search with another schema"},
		{"any schema", `"digest":` + setA + `,`, ``, "the tool search with another schema"},
		{"another secret", `{"name":"db"}`, `{"name":"root"}`, "the secret root"},
		{"another store", `"vault"`, `"file"`, "the secret api@file"},
		{"any store", `"store":"vault",`, ``, "the secret api version 2"},
		{"any version", `,"version":"2"`, ``, "the secret api@vault"},
		{"another path", `"/srv/agent"`, `"/srv/agents"`, "the execution path /srv/agents"},
		{"a path above", `"/srv/agent"`, `"/srv"`, "the execution path /srv"},
		{"every path", `"/srv/agent"`, `"/"`, "the execution path /"},
		{"the path, relative", `"/srv/agent"`, `"srv/agent"`, "the execution path srv/agent"},
		{"a scope above", `"s3://acme/credit/"`, `"s3://acme"`, "the data scope s3://acme"},
		{"a scope beside", `"s3://acme/credit/"`, `"s3://acme/credit-old"`, "the data scope s3://acme/credit-old"},
		{"another scheme", `"s3://acme/credit/"`, `"gs://acme/credit"`, "the data scope gs://acme/credit"},
		{"no scheme", `"s3://acme/credit/"`, `"acme/credit"`, "the data scope acme/credit"},
		{"begins before", `"notBefore":"2027-01-02`, `"notBefore":"2027-01-01`, "it begins 2027-01-01T23:59:00Z, before 2027-01-02T00:00:00Z"},
		{"ends after", `"notAfter":"2027-02-01T00:00:00Z"`, `"notAfter":"2027-02-01T00:00:01Z"`, "it ends 2027-02-01T00:00:01Z, after 2027-02-01T00:00:00Z"},
		{"granted before the parent held", `23:59:00Z`, `23:54:59Z`, "when the parent did not hold yet"},
		{"as many levels", `"mayDelegate":1`, `"mayDelegate":2`, "mayDelegate is 2, and must be less than 2"},
	} {
		child := same
		if c.old != "" {
			child = swap(t, child, c.old, c.new)
		}
		err := mustDecode(t, TypeAccess, child).Access.Within(parent)
		if c.why == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if attest.RefusalCode(err) != attest.CodeDelegation || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: want E_DELEGATION with %q, got %v", c.name, c.why, err)
		}
	}

	last := mustDecode(t, TypeAccess, swap(t, grant, `"mayDelegate":2,`, ``)).Access
	if err := last.Within(last); attest.RefusalCode(err) != attest.CodeDelegation || !strings.Contains(err.Error(), "may not be given on") {
		t.Errorf("got %v", err)
	}
	var nobody AccessFacts
	if err := parent.Within(&nobody); attest.RefusalCode(err) != attest.CodeDelegation || !strings.Contains(err.Error(), "; and ") && !strings.Contains(err.Error(), "the tool sql") {
		t.Errorf("the zero grant gives something on: %v", err)
	}
}

func TestPlaces(t *testing.T) {
	for _, s := range []string{"/", "/srv", "srv/agent/", "s3://acme", "git+ssh://host/x", "table:customers", "C:/x", "a b", "postgres://h:5432/db", "..a/b..", "urn:x"} {
		if err := CheckPlace(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "//", "/a//b", "a/./b", "..", "/a/..", "s3://", "s3:///", "S3://acme", "a/*", "a?b", `C:\x`, "a/%2e%2e/b", "a%2Fb", "a%255cb"} {
		if err := CheckPlace(s); attest.RefusalCode(err) != schemaCode {
			t.Errorf("%q is taken for a place: %v", s, err)
		}
	}
	if err := CheckPlace(strings.Repeat("a", maxAccessName+1)); attest.RefusalCode(err) != attest.CodeLimit {
		t.Errorf("got %v", err)
	}
	root := Reach{DataScopes: []string{"/"}}
	for s, want := range map[string]bool{"/x/y": true, "/": true, "x": false, "s3://x": false} {
		if got := len((Reach{DataScopes: []string{s}}).Beyond(root)) == 0; got != want {
			t.Errorf("%s below /: got %v", s, got)
		}
	}
}

// Nothing is within nothing; of a long list the message names the first, and what
// a signer wrote is shown as data.
func TestBeyond(t *testing.T) {
	var many Reach
	for i := range 20 {
		many.Tools = append(many.Tools, Tool{Name: fmt.Sprintf("t%02d\u202e", i)})
	}
	over := many.Beyond(Reach{})
	if len(over) != 20 || len((Reach{}).Beyond(Reach{})) != 0 || len(many.Beyond(many)) != 0 {
		t.Errorf("got %v", over)
	}
	if text := Excess(over); !strings.HasSuffix(text, "; and 12 more") || strings.Contains(text, "\u202e") || strings.Contains(text, "t08") {
		t.Errorf("got %s", text)
	}
}

// Whatever is within a bound stays within it when it shrinks, and is beyond it with
// anything else: by every pair of places made of few parts.
func TestPlacesByEveryPair(t *testing.T) {
	var all []string
	for _, head := range []string{"", "/", "s3://"} {
		for _, rest := range []string{"a", "b", "ab", "a/b", "a/bc", "a/b/c", "b/a"} {
			all = append(all, head+rest)
		}
	}
	pairs := 0
	for _, bound := range all {
		for _, s := range all {
			want := s == bound || strings.HasPrefix(s, bound+"/")
			if got := !slices.Contains((Reach{DataScopes: []string{s}}).Beyond(Reach{DataScopes: []string{bound}}), "the data scope "+s); got != want {
				t.Errorf("%s within %s: got %v", s, bound, got)
			}
			pairs++
		}
	}
	if pairs != 441 {
		t.Errorf("%d pairs", pairs)
	}
}
