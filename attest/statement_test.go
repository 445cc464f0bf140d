package attest

import (
	"strings"
	"testing"
)

const plain = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}],"predicateType":"https://example.test/thing/v1","predicate":{"passed":true}}`

func TestParseStatement(t *testing.T) {
	s, err := ParseStatement([]byte(plain))
	accepted(t, err)
	if s.PredicateType != testType || len(s.Subjects) != 1 || s.Subjects[0].Name != "m" || s.Payload != SHA256([]byte(plain)) {
		t.Errorf("read as %+v", s)
	}
	if v, _ := s.Predicate.Get("passed"); !v.Truth() {
		t.Error("the predicate is lost")
	}
	for name, in := range map[string]string{
		"v0.1, as cosign writes":   swap(t, plain, "Statement/v1", "Statement/v0.1"),
		"no predicate":             swap(t, plain, `,"predicate":{"passed":true}`, ""),
		"null predicate":           swap(t, plain, `{"passed":true}`, "null"),
		"two subjects":             swap(t, plain, `"subject":[`, `"subject":[{"digest":{"gitCommit":"`+strings.Repeat("b", 40)+`"}},`),
		"fields of a resource":     swap(t, plain, `"name":"m"`, `"name":"m","uri":"u","annotations":{}`),
		"STM-24 unknown predicate": swap(t, plain, `"passed":true`, `"passed":true,"more":1`),
	} {
		if _, err := ParseStatement([]byte(in)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatementRefusals(t *testing.T) {
	_, err := ParseStatement([]byte(plain))
	accepted(t, err)
	set := `{"sha256":"` + strings.Repeat("a", 64) + `"}`
	subject := `[{"name":"m","digest":` + set + `}]`
	for _, c := range []struct {
		name string
		in   string
		want Code
	}{
		{"STM-04 md5", swap(t, plain, set, `{"md5":"aa"}`), CodeDigestAlg},
		{"STM-04 sha1", swap(t, plain, set, `{"sha1":"`+strings.Repeat("a", 40)+`"}`), CodeDigestAlg},
		{"STM-04 sha512", swap(t, plain, set, `{"sha512":"`+strings.Repeat("a", 128)+`"}`), CodeDigestAlg},
		{"STM-04 unknown", swap(t, plain, set, `{"crc":"0"}`), CodeDigestAlg},
		{"STM-04 upper case", swap(t, plain, `"sha256"`, `"SHA256"`), CodeDigestAlg},
		{"two digests", swap(t, plain, set, strings.TrimSuffix(set, "}")+`,"gitCommit":"`+strings.Repeat("b", 40)+`"}`), CodeDigestAlg},
		{"a digest and a foreign one", swap(t, plain, set, strings.TrimSuffix(set, "}")+`,"sha512":"bb"}`), CodeDigestAlg},
		{"STM-05 truncated", swap(t, plain, strings.Repeat("a", 64), "aaaaaaaa"), CodeDigestFormat},
		{"STM-05 too long", swap(t, plain, strings.Repeat("a", 64), strings.Repeat("a", 66)), CodeDigestFormat},
		{"STM-05 commit cut off", swap(t, plain, set, `{"gitCommit":"aaaaaaa"}`), CodeDigestFormat},
		{"upper-case hexadecimal", swap(t, plain, strings.Repeat("a", 64), strings.Repeat("A", 64)), CodeDigestFormat},
		{"not hexadecimal", swap(t, plain, strings.Repeat("a", 64), strings.Repeat("g", 64)), CodeDigestFormat},
		{"digits without quotes", swap(t, plain, `"`+strings.Repeat("a", 64)+`"`, strings.Repeat("1", 64)), CodeDigestFormat},
		{"STM-06 empty digest", swap(t, plain, strings.Repeat("a", 64), ""), CodeDigestFormat},
		{"STM-06 empty set", swap(t, plain, set, `{}`), CodeDigestFormat},
		{"STM-06 null set", swap(t, plain, set, `null`), CodeDigestFormat},
		{"STM-14 null subject", swap(t, plain, subject, `[null]`), CodeStatement},
		{"STM-14 no subjects", swap(t, plain, subject, `[]`), CodeStatement},
		{"STM-14 empty subject", swap(t, plain, subject, `[{}]`), CodeStatement},
		{"STM-14 subject without digest", swap(t, plain, subject, `[{"name":"m"}]`), CodeStatement},
		{"STM-14 good and null", swap(t, plain, `}}],`, `}},null],`), CodeStatement},
		{"STM-14 subject null", swap(t, plain, subject, `null`), CodeStatement},
		{"STM-14 no subject field", swap(t, plain, `"subject":`+subject+`,`, ``), CodeStatement},
		{"STM-16 twice", swap(t, plain, `"passed":true`, `"passed":false,"passed":true`), CodeDupKey},
		{"STM-16 nested", swap(t, plain, `"passed":true`, `"a":[{"b":{"passed":false,"passed":true}}]`), CodeDupKey},
		{"STM-16 by escape", swap(t, plain, `"passed":true`, `"passed":false,"p\u0061ssed":true`), CodeDupKey},
		{"STM-16 predicate type twice", swap(t, plain, `"predicateType"`, `"predicateType":"https://example.test/other","predicateType"`), CodeDupKey},
		{"STM-16 digest twice", swap(t, plain, `{"sha256":`, `{"sha256":"bb","sha256":`), CodeDupKey},
		{"STM-17 in the predicate", swap(t, plain, `"passed":true`, `"passed":false,"Passed":true`), CodeDupKey},
		{"STM-17 of the subject", swap(t, plain, `"subject"`, `"Subject":[],"subject"`), CodeDupKey},
		{"STM-17 alone", swap(t, plain, `"subject"`, `"Subject"`), CodeStatement},
		{"STM-18 snake case", swap(t, plain, `"predicateType"`, `"predicate_type"`), CodeStatement},
		{"STM-18 both", swap(t, plain, `"predicateType"`, `"predicate_type":"https://example.test/x","predicateType"`), CodeStatement},
		{"STM-20 predicate a string", swap(t, plain, `{"passed":true}`, `"{}"`), CodePredicateSchema},
		{"STM-20 predicate an array", swap(t, plain, `{"passed":true}`, `[]`), CodePredicateSchema},
		{"STM-20 predicate a number", swap(t, plain, `{"passed":true}`, `1`), CodePredicateSchema},
		{"name a number", swap(t, plain, `"name":"m"`, `"name":1`), CodeStatement},
		{"STM-24 unknown field", swap(t, plain, `"predicate":`, `"more":1,"predicate":`), CodeStatement},
		{"type missing", swap(t, plain, `"_type":"https://in-toto.io/Statement/v1",`, ``), CodeStatement},
		{"type unknown", swap(t, plain, `Statement/v1`, `Statement/v2`), CodeStatement},
		{"type a number", swap(t, plain, `"https://in-toto.io/Statement/v1"`, `1`), CodeStatement},
		{"STM-12 type missing", swap(t, plain, `"predicateType":"`+testType+`",`, ``), CodePredicateType},
		{"STM-25 too large", swap(t, plain, `"passed":true`, `"x":"`+strings.Repeat("a", MaxPayload)+`"`), CodeLimit},
		{"STM-25 too many keys", swap(t, plain, `true`, "["+strings.Repeat("0,", 300_000)+"0]"), CodeLimit},
		{"too many subjects", swap(t, plain, subject, "["+strings.Repeat(`{"digest":`+set+`},`, maxSubjects)+`{"digest":`+set+`}]`), CodeLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ParseStatement([]byte(c.in))
			refused(t, err, c.want)
			if s != nil {
				t.Error("an error came with a statement")
			}
		})
	}
}

func TestSTM12PredicateTypeAliases(t *testing.T) {
	for _, good := range []string{
		"https://slsa.dev/provenance/v1", "https://model_signing/signature/v1.0", "https://cyclonedx.org/bom/v1.4",
		"https://spdx.dev/Document/v3", "urn:example:thing", "https://github.com/npm/attestation/tree/main/specs/publish/v0.1",
	} {
		if err := CheckPredicateType(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", " ", "slsa.dev/provenance/v1", "/provenance/v1", "https://", "https:///v1", "https:slsa.dev/v1", "urn%3Ax:y",
		"http://slsa.dev/provenance/v1", "HTTPS://slsa.dev/provenance/v1", "https://SLSA.dev/provenance/v1",
		"https://slsa.dev/provenance/v1/", "https://slsa.dev//provenance/v1", "https://slsa.dev/provenance//v1", "https://slsa.dev/",
		"https://slsa.dev/provenance%2Fv1", "https://slsa.dev/./provenance/v1", "https://slsa.dev/x/../provenance/v1", "https://slsa.dev/provenance/v1/..",
		"https://slsa.dev:443/provenance/v1", "https://slsa.dev./provenance/v1", "https://me@slsa.dev/provenance/v1",
		"https://slsa.dev/provenance/v1?", "https://slsa.dev/provenance/v1?a=b", "https://slsa.dev/provenance/v1#x", `https://slsa.dev\provenance/v1`,
		"https://slsa.dev/provenance/v1\n", "https://slsa.dev/\u202ev1", "https://slsа.dev/provenance/v1" /* Cyrillic а */, "https://slsa.dev/provenance/v1 ",
		"https://slsa.dev/" + strings.Repeat("a", maxPredicateType),
	} {
		refused(t, CheckPredicateType(bad), CodePredicateType)
	}
}

func TestNewStatement(t *testing.T) {
	d := SHA256([]byte("x"))
	_, err := NewStatement(Subject{Name: "<&>", Digest: d}, testType, map[string]int{"n": 1})
	accepted(t, err)
	for name, c := range map[string]struct {
		subject Subject
		typ     string
		pred    any
		want    Code
	}{
		"no digest":       {Subject{Name: "m"}, testType, map[string]int{}, CodeStatement},
		"name not UTF-8":  {Subject{Name: "\xff", Digest: d}, testType, map[string]int{}, CodeStatement},
		"no type":         {Subject{Digest: d}, "", map[string]int{}, CodePredicateType},
		"not an object":   {Subject{Digest: d}, testType, []int{1}, CodePredicateSchema},
		"not JSON at all": {Subject{Digest: d}, testType, func() {}, CodeStatement},
	} {
		b, err := NewStatement(c.subject, c.typ, c.pred)
		if RefusalCode(err) != c.want || b != nil {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add([]byte(plain))
	f.Add(testStatement(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatement(b)
		if err != nil {
			if s != nil || RefusalCode(err) == "" {
				t.Fatalf("a statement with an error, or an error without a code: %v", err)
			}
			return
		}
		again, err := NewStatement(s.Subjects[0], s.PredicateType, s.Predicate)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		r, err := ParseStatement(again)
		if err != nil || r.Subjects[0] != s.Subjects[0] || r.PredicateType != s.PredicateType || string(r.Predicate.Canonical()) != string(s.Predicate.Canonical()) {
			t.Fatalf("%s came back as %s: %v", b, again, err)
		}
	})
}
