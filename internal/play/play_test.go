package play_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/play"
)

// A demonstration in which nothing can surprise would show anything.
func TestSurprises(t *testing.T) {
	for _, c := range []struct {
		name string
		line play.Line
		want int
	}{
		{"as announced", play.Line{Command: "echo yes; exit 1", Status: 1, Want: []string{"yes"}}, 0},
		{"another status", play.Line{Command: "echo yes", Status: 1, Want: []string{"yes"}}, 1},
		{"another text", play.Line{Command: "echo no", Want: []string{"yes"}}, 1},
		{"both", play.Line{Command: "echo no; exit 3", Status: 1, Want: []string{"yes"}}, 2},
		{"what is said to standard error counts", play.Line{Command: "echo yes >&2", Want: []string{"yes"}}, 0},
	} {
		var out bytes.Buffer
		s := &play.Stage{Dir: t.TempDir(), Out: &out}
		if err := s.Play(t.Context(), []play.Scene{{Title: "T", Lines: []play.Line{c.line}}}); err != nil {
			t.Fatal(err)
		}
		if s.Surprises != c.want || strings.Count(out.String(), "!! ") != c.want {
			t.Errorf("%s: %d surprises, want %d\n%s", c.name, s.Surprises, c.want, out.String())
		}
	}
}

// What is cut is not lost: what the command was run for is shown all the same.
func TestWantedIsShown(t *testing.T) {
	var out bytes.Buffer
	s := &play.Stage{Dir: t.TempDir(), Out: &out}
	line := play.Line{Command: "printf 'first\\nDetails\\nlong\\nE_WHY because\\nlong\\n'", Want: []string{"first", "E_WHY"}, Until: "Details"}
	if err := s.Play(t.Context(), []play.Scene{{Title: "T", Lines: []play.Line{line}}}); err != nil {
		t.Fatal(err)
	}
	want := "  first\n  … and 4 more lines\n  E_WHY because\n"
	if s.Surprises != 0 || !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant at its end\n%s", out.String(), want)
	}
}
