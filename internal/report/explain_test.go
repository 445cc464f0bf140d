package report

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
)

// example loads the example's policy with keys that are the same every time.
func example(t *testing.T) *policy.Policy {
	t.Helper()
	src, err := os.ReadFile("../../policy/testdata/credit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := chaintest.New(t)
	p, err := policy.Load(src, func(path string) ([]byte, error) {
		return w.Key(strings.TrimSuffix(strings.TrimPrefix(path, "keys/"), ".pub")).PEM(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExplanationGolden(t *testing.T) {
	p := example(t)
	for name, o := range map[string]Options{
		"explain":        {},
		"explain-narrow": {Width: 20},
		"explain-colour": {Width: 80, Color: true},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Explanation(&b, p.Explain(), o); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), p.Digest().String()) {
				t.Error("the policy's digest is not told")
			}
			// The digest changes with each default that is added to the language.
			golden(t, name+".txt", strings.ReplaceAll(b.String(), p.Digest().String(), "sha256:"+strings.Repeat("d", 64)))
		})
	}
}

// Lines keep to the width, but for a word that is longer and for expressions,
// which stay as they are written.
func TestExplanationWidth(t *testing.T) {
	p := example(t)
	for _, width := range []int{60, 80, 200} {
		var b bytes.Buffer
		if err := Explanation(&b, p.Explain(), Options{Width: width}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimRight(line, "\n")
			text := strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if utf8.RuneCountInString(line) > width && strings.Contains(text, " ") && !strings.Contains(text, "predicate.") {
				t.Errorf("width %d: %q", width, line)
			}
		}
		if !strings.Contains(b.String(), `predicate.slices["sex"].gaps["demographicParity"].value <= 0.10`+"\n") {
			t.Errorf("width %d: an expression is not as written", width)
		}
	}
}

// What a policy's author wrote is data: it cannot move the cursor.
func TestExplanationEscapes(t *testing.T) {
	evil := "x\x1b[1A\nALLOW\u202e"
	s := policy.Sentence{Text: evil, Expression: evil, Parts: []policy.Sentence{{Text: evil, Expression: evil}}}
	var b bytes.Buffer
	if err := Explanation(&b, policy.Explanation{Sections: []policy.Section{{Title: evil, Sentences: []policy.Sentence{s}}}}, Options{}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") {
		t.Error("a control character reached the terminal")
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "ALLOW") {
			t.Errorf("the author wrote the line %q", line)
		}
	}
}

func TestExplanationJSON(t *testing.T) {
	e := example(t).Explain()
	var b bytes.Buffer
	if err := ExplanationJSON(&b, e); err != nil {
		t.Fatal(err)
	}
	var got policy.Explanation
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Sections) != len(e.Sections) || got.Policy.Digest != e.Policy.Digest {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(b.String(), `.value >= 0.70"`) {
		t.Error("an expression is not as written")
	}
	if Explanation(fullDisk{}, e, Options{}) == nil || ExplanationJSON(fullDisk{}, e) == nil {
		t.Error("a write error was hidden")
	}
}
