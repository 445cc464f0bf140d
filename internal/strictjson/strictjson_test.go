package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParseAccepts(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":[true,false,null,"x"]}`: `{"a":[true,false,null,"x"],"b":1}`,
		` { } `:                             `{}`,
		`"\u00e9\ud83d\ude00\n\/"`:          `"é😀\u000a/"`,
		`-0.50e+3`:                          `-0.50e+3`,
		`9007199254740993`:                  `9007199254740993`,
		`[]`:                                `[]`,
	} {
		v, err := Parse([]byte(in), 1<<20)
		if err != nil {
			t.Errorf("Parse(%s): %v", in, err)
			continue
		}
		if got := string(v.Canonical()); got != want {
			t.Errorf("Parse(%s).Canonical() = %s, want %s", in, got, want)
		}
		again, err := Parse(v.Canonical(), 1<<20)
		if err != nil || !bytes.Equal(again.Canonical(), v.Canonical()) {
			t.Errorf("canonical form of %s is no fixed point: %v", in, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := Parse([]byte(deep(MaxDepth)), 1<<20); err != nil {
		t.Fatalf("depth %d must parse, or the depth case proves nothing: %v", MaxDepth, err)
	}
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"empty":                 {``, ErrSyntax},
		"trailing text":         {`{} {}`, ErrSyntax},
		"byte order mark":       {"\ufeff{}", ErrSyntax},
		"raw NUL":               {"\"a\x00\"", ErrSyntax},
		"invalid UTF-8":         {"\"a\xff\"", ErrSyntax},
		"lone surrogate":        {`"\ud83d"`, ErrSyntax},
		"reversed surrogates":   {`"\ude00\ud83d"`, ErrSyntax},
		"unknown escape":        {`"\x41"`, ErrSyntax},
		"escape cut off":        {`"\u00`, ErrSyntax},
		"backslash at the end":  {`"\`, ErrSyntax},
		"leading zero":          {`01`, ErrSyntax},
		"plus sign":             {`+1`, ErrSyntax},
		"bare point":            {`1.`, ErrSyntax},
		"number out of range":   {`1e400`, ErrSyntax},
		"trailing comma":        {`[1,]`, ErrSyntax},
		"comment":               {`[1] // x`, ErrSyntax},
		"unquoted key":          {`{a:1}`, ErrSyntax},
		"NaN":                   {`NaN`, ErrSyntax},
		"duplicate key":         {`{"passed":false,"passed":true}`, ErrDuplicate},
		"duplicate by escape":   {`{"a":1,"\u0061":2}`, ErrDuplicate},
		"case variant":          {`{"passed":false,"Passed":true}`, ErrDuplicate},
		"folded variant":        {`{"key":1,"` + "\u212a" + `ey":2}`, ErrDuplicate},
		"nested duplicate":      {`[{"x":{"a":1,"a":1}}]`, ErrDuplicate},
		"duplicate in a large":  {`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"A":1}`, ErrDuplicate},
		"too deep":              {deep(MaxDepth + 1), ErrLimit},
		"far too deep":          {strings.Repeat("[", 100_000), ErrLimit},
		"too many values":       {"[" + strings.Repeat("0,", MaxValues) + "0]", ErrLimit},
		"too large":             {`"` + strings.Repeat("a", 1<<20) + `"`, ErrLimit},
		"closing the wrong one": {`[}`, ErrSyntax},
	} {
		v, err := Parse([]byte(c.in), 1<<20)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if v.Kind() != Invalid && err != nil {
			t.Errorf("%s: an error came with a value", name)
		}
	}
}

// Whatever Parse accepts, encoding/json accepts too and means the same by it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"\u00e9"],"b":{"c":null}}`, `"\ud83d\ude00"`, `[{"a":1},{"A":2}]`, `-0`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b, 1<<16)
		if err != nil {
			if v.Kind() != Invalid {
				t.Fatal("an error came with a value")
			}
			return
		}
		var theirs, ours any
		if err := json.Unmarshal(b, &theirs); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if err := json.Unmarshal(v.Canonical(), &ours); err != nil {
			t.Fatalf("canonical form does not parse: %v", err)
		}
		x, _ := json.Marshal(theirs)
		y, _ := json.Marshal(ours)
		if !bytes.Equal(x, y) {
			t.Fatalf("read %s as %s", x, y)
		}
	})
}

func TestParseCased(t *testing.T) {
	const labels = `{"App":1,"app":2}`
	if _, err := Parse([]byte(labels), 1<<20); !errors.Is(err, ErrDuplicate) {
		t.Errorf("Parse: %v, want ErrDuplicate", err)
	}
	v, err := ParseCased([]byte(labels), 1<<20)
	if err != nil || string(v.JSON()) != labels {
		t.Errorf("ParseCased: %s, %v", v.JSON(), err)
	}
	for _, bad := range []string{`{"a":1,"a":1}`, `{"a":{"b":[{"c":1,"\u0063":2}]}}`, `{"a":1}x`, `{"a":"\ud800"}`} {
		if _, err := ParseCased([]byte(bad), 1<<20); err == nil {
			t.Errorf("ParseCased read %s", bad)
		}
	}
}
