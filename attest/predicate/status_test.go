package predicate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

var (
	hexA, hexB = strings.Repeat("a", 64), strings.Repeat("b", 64)
	setA       = `{"sha256":"` + hexA + `"}`
	setB       = `{"sha256":"` + hexB + `"}`
	someCommit = `{"gitCommit":"` + strings.Repeat("d", 40) + `"}`
)

func TestStatusFacts(t *testing.T) {
	f := mustDecode(t, TypeStatus, examples(t, "status.md")[0])
	model := digest(t, "sha256:fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9")
	s := f.Status
	if !f.Claimed.Equal(utcTime("2027-03-02T06:00:00Z")) || s.Sequence != 41 || !s.ValidUntil.Equal(utcTime("2027-03-03T06:00:00Z")) || len(s.Artifacts) != 3 || len(s.Artifacts[model]) != 2 {
		t.Errorf("got %+v", s)
	}
	if l := s.Artifacts[model][0]; l.Payload.Hex()[:4] != "4e07" || !strings.HasPrefix(l.Credential, "key:sha256:") {
		t.Errorf("got %+v", l)
	}
	// Nothing is known about it, and that is said: another thing than not listed.
	if got, ok := s.Artifacts[digest(t, "gitCommit:1f5a3d0d6c7c2f4b8f7ee1a4b3dfb2c1a0998877")]; !ok || len(got) != 0 {
		t.Errorf("an empty list is %v, %v", got, ok)
	}
	if f.Revocation != nil || f.Denylist != nil || f.Inputs != nil {
		t.Errorf("facts of other types: %+v", f)
	}
}

func TestStatusRefusals(t *testing.T) {
	entry := `{"payload":` + setA + `,"credential":"key:1"}`
	good := `{"sequence":1,"issuedAt":"2027-01-01T00:00:00Z","validUntil":"2027-01-02T00:00:00Z","policy":{"digest":` + someDigest + `},"artifacts":{"sha256:` + hexB + `":[` + entry + `]}}`
	at := `artifacts["sha256:` + hexB + `"]`
	check(t, TypeStatus, good, []refusal{
		{"no sequence", `"sequence":1,`, ``, schemaCode, "sequence"},
		{"sequence 0", `"sequence":1`, `"sequence":0`, schemaCode, "sequence"},
		{"sequence negative", `"sequence":1`, `"sequence":-1`, schemaCode, "sequence"},
		{"sequence a string", `"sequence":1`, `"sequence":"1"`, schemaCode, "sequence"},
		{"no end", `"validUntil":"2027-01-02T00:00:00Z",`, ``, schemaCode, "validUntil"},
		{"ends when it begins", `2027-01-02T00:00:00Z`, `2027-01-01T00:00:00Z`, schemaCode, "validUntil"},
		{"no map", `"artifacts":{"sha256:` + hexB + `":[` + entry + `]}`, `"more":{}`, schemaCode, "artifacts"},
		{"a list", `{"sha256:` + hexB + `":[` + entry + `]}`, `[` + entry + `]`, schemaCode, "artifacts"},
		{"null for an artifact", `[` + entry + `]`, `null`, schemaCode, at},
		{"STM-05 key in upper case", "sha256:" + hexB, "sha256:" + strings.ToUpper(hexB), attest.CodeDigestFormat, `artifacts["sha256:` + strings.ToUpper(hexB) + `"]`},
		{"STM-05 key truncated", "sha256:" + hexB, "sha256:bb", attest.CodeDigestFormat, `artifacts["sha256:bb"]`},
		{"key without algorithm", "sha256:" + hexB, hexB, attest.CodeDigestFormat, `artifacts["` + hexB + `"]`},
		{"STM-04 key in another algorithm", "sha256:" + hexB, "md5:" + hexB, attest.CodeDigestAlg, `artifacts["md5:` + hexB + `"]`},
		{"no payload", `"payload":` + setA + `,`, ``, schemaCode, at + "[0].payload"},
		{"a commit for a payload", setA, someCommit, attest.CodeDigestAlg, at + "[0].payload"},
		{"no credential", `,"credential":"key:1"`, ``, schemaCode, at + "[0].credential"},
		{"empty credential", `"key:1"`, `""`, schemaCode, at + "[0].credential"},
		{"one entry twice", entry, entry + "," + entry, schemaCode, at + "[1]"},
		{"policy a commit", someDigest, someCommit, attest.CodeDigestAlg, "policy.digest"},
		{"too many entries", entry, strings.Repeat(`{},`, maxList) + `{}`, attest.CodeLimit, at},
		{"too many artifacts", `{"sha256:` + hexB + `":[` + entry + `]}`, `{` + manyKeys(maxEntries+1) + `}`, attest.CodeLimit, "artifacts"},
	})
	// Another signer of the same statement, and another statement by the same signer, are other evidence.
	f := mustDecode(t, TypeStatus, swap(t, good, entry, entry+`,{"payload":`+setA+`,"credential":"key:2"},{"payload":`+setB+`,"credential":"key:1"}`))
	if got := f.Status.Artifacts[digest(t, "sha256:"+hexB)]; len(got) != 3 {
		t.Errorf("got %+v", got)
	}
	if f := mustDecode(t, TypeStatus, swap(t, good, `"sha256:`+hexB+`":[`+entry+`]`, manyKeys(maxEntries))); len(f.Status.Artifacts) != maxEntries {
		t.Errorf("%d artifacts", len(f.Status.Artifacts))
	}
}

const someDigest = `{"sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}`

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"sha256:%064x":[]`, i)
	}
	return strings.Join(keys, ",")
}

func TestStatusIsWrittenSorted(t *testing.T) {
	a, b := attest.SHA256([]byte("a")), attest.SHA256([]byte("b"))
	list := []Listed{{a, "key:2"}, {b, "key:1"}, {a, "key:1"}}
	given := slices.Clone(list)
	s := Status{Sequence: 7, IssuedAt: noon, ValidUntil: noon.Add(time.Hour), Policy: &ApprovalPolicy{Digest: DigestSet{a}}, Artifacts: map[attest.Digest][]Listed{a: list, b: nil}}
	f := encoded(t, TypeStatus, s)
	want := []Listed{{b, "key:1"}, {a, "key:1"}, {a, "key:2"}}
	slices.SortFunc(want, func(x, y Listed) int { return x.Payload.Compare(y.Payload) })
	if !reflect.DeepEqual(f.Status.Artifacts, map[attest.Digest][]Listed{a: want, b: {}}) || f.Status.Sequence != 7 || !f.Claimed.Equal(noon) || f.Claimed.Location() != time.UTC {
		t.Errorf("got %+v", f.Status)
	}
	if !slices.Equal(list, given) {
		t.Error("the caller's list was sorted in place")
	}
	one, err := Encode(TypeStatus, s)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	if two, err := Encode(TypeStatus, s); err != nil || string(one) != string(two) {
		t.Errorf("another order gives other bytes, %v", err)
	}
	encoded(t, TypeStatus, Status{Sequence: 1, IssuedAt: noon, ValidUntil: noon.Add(1)}) // about nothing
	for name, bad := range map[string]Status{
		"no sequence":       {IssuedAt: noon, ValidUntil: noon.Add(1)},
		"no end":            {Sequence: 1, IssuedAt: noon},
		"entry of nothing":  {Sequence: 1, IssuedAt: noon, ValidUntil: noon.Add(1), Artifacts: map[attest.Digest][]Listed{a: {{}}}},
		"artifact nameless": {Sequence: 1, IssuedAt: noon, ValidUntil: noon.Add(1), Artifacts: map[attest.Digest][]Listed{{}: nil}},
	} {
		if b, err := Encode(TypeStatus, bad); err == nil || b != nil {
			t.Errorf("%s was written: %s", name, b)
		}
	}
}

func TestDenylist(t *testing.T) {
	f := mustDecode(t, TypeDenylist, examples(t, "denylist.md")[0])
	l := f.Denylist
	if !f.Claimed.Equal(utcTime("2027-03-02T06:00:00Z")) || l.Name != "acme-banned" || l.Sequence != 12 || !l.ValidUntil.Equal(utcTime("2027-03-09T06:00:00Z")) ||
		len(l.Artifacts) != 2 || l.Artifacts[0].Reason != "consent withdrawn (DP-2027-4)" || !l.Artifacts[1].Digest.IsCommit() {
		t.Errorf("got %+v", l)
	}
	entry := `{"digest":` + setA + `,"reason":"r"}`
	good := `{"name":"n","sequence":1,"issuedAt":"2027-01-01T00:00:00Z","validUntil":"2027-01-02T00:00:00Z","artifacts":[` + entry + `]}`
	check(t, TypeDenylist, good, []refusal{
		{"no name", `"name":"n",`, ``, schemaCode, "name"},
		{"empty name", `"n"`, `""`, schemaCode, "name"},
		{"sequence 0", `"sequence":1`, `"sequence":0`, schemaCode, "sequence"},
		{"ends before it begins", `2027-01-02T00:00:00Z`, `2026-01-01T00:00:00Z`, schemaCode, "validUntil"},
		{"no list", `"artifacts"`, `"things"`, schemaCode, "artifacts"},
		{"no digest", `"digest":` + setA + `,`, ``, schemaCode, "artifacts[0].digest"},
		{"STM-04 another algorithm", setA, `{"md5":"aa"}`, attest.CodeDigestAlg, "artifacts[0].digest"},
		{"no reason", `,"reason":"r"`, ``, schemaCode, "artifacts[0].reason"},
		{"one artifact twice", entry, entry + `,{"digest":` + setA + `,"reason":"another"}`, schemaCode, "artifacts[1]"},
		{"too many", entry, strings.Repeat("0,", maxEntries) + "0", attest.CodeLimit, "artifacts"},
	})
	if f := mustDecode(t, TypeDenylist, swap(t, good, entry, "")); f.Denylist == nil || len(f.Denylist.Artifacts) != 0 {
		t.Errorf("an empty list: %+v", f.Denylist)
	}
	if f := mustDecode(t, TypeDenylist, swap(t, good, entry, entry+`,{"digest":`+setB+`,"reason":"r"}`)); len(f.Denylist.Artifacts) != 2 {
		t.Errorf("two artifacts: %+v", f.Denylist)
	}

	a, b := attest.SHA256([]byte("a")), attest.SHA256([]byte("b"))
	f = encoded(t, TypeDenylist, Denylist{Name: "n", Sequence: 2, IssuedAt: noon, ValidUntil: noon.Add(time.Hour), Artifacts: []Denied{{a, "r"}, {b, "s"}}})
	if want := []Denied{{b, "s"}, {a, "r"}}; !reflect.DeepEqual(f.Denylist.Artifacts, want) || !f.Claimed.Equal(noon) {
		t.Errorf("got %+v, want it sorted", f.Denylist)
	}
	encoded(t, TypeDenylist, Denylist{Name: "n", Sequence: 1, IssuedAt: noon, ValidUntil: noon.Add(1)})
}

// The anchor is part of the format: two programs must find one list.
func TestDenylistAnchor(t *testing.T) {
	vector := page(t, "denylist.md")
	got := DenylistAnchor("acme-banned").String()
	if !strings.Contains(vector, "    subject  "+got+"\n") {
		t.Errorf("%s is not the page's", got)
	}
	if DenylistAnchor("a") == DenylistAnchor("b") || DenylistAnchor("a") == attest.SHA256([]byte("a")) {
		t.Error("two things have one anchor")
	}
}

// What a large chain has: 10,000 statements about 2,000 artifacts.
func BenchmarkDecodeStatus(b *testing.B) {
	s := Status{Sequence: 1, IssuedAt: noon, ValidUntil: noon.Add(time.Hour), Artifacts: map[attest.Digest][]Listed{}}
	for i := range 10000 {
		d := attest.SHA256([]byte{byte(i % 2000), byte(i % 2000 >> 8)})
		s.Artifacts[d] = append(s.Artifacts[d], Listed{attest.SHA256([]byte(fmt.Sprint(i))), "key:" + attest.SHA256([]byte{byte(i % 7)}).String()})
	}
	pred, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	st := statement(b, TypeStatus, string(pred))
	b.SetBytes(int64(len(pred)))
	for b.Loop() {
		if _, err := Decode(st); err != nil {
			b.Fatal(err)
		}
	}
}
