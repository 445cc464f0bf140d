package templates_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/rehearse"
	"github.com/pedigree-ml/pedigree/internal/templates"
	"github.com/pedigree-ml/pedigree/policy"
)

// ends is when the policies end in these tests.
var ends = time.Date(2027, 10, 1, 0, 0, 0, 0, time.UTC)

// folder returns a template's policy and test, and how it reads files.
func folder(t *testing.T, name string) (src, test []byte, read policy.ReadFile) {
	t.Helper()
	list, err := templates.Files(name, ends)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string][]byte{}
	for _, f := range list {
		byName[f.Name] = f.Content
	}
	return byName["policy.yaml"], byName["policy_test.yaml"], func(file string) ([]byte, error) {
		if b, ok := byName[file]; ok {
			return b, nil
		}
		return nil, fs.ErrNotExist
	}
}

func play(t *testing.T, src, test []byte, read policy.ReadFile, pick func(string) bool) *rehearse.Report {
	t.Helper()
	p, err := policy.Rehearse(src, read, rehearse.Key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := rehearse.Load("policy_test.yaml", test, p)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := rehearse.Run(context.Background(), p, []*rehearse.File{f}, pick)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestTemplatesJudgeAsTheirTestsExpect(t *testing.T) {
	for _, tmpl := range templates.All() {
		t.Run(tmpl.Name, func(t *testing.T) {
			t.Parallel()
			src, test, read := folder(t, tmpl.Name)
			rep := play(t, src, test, read, func(string) bool { return true })
			for _, c := range rep.Cases {
				if !c.OK {
					t.Errorf("line %d, %s: got %s without %s, want %s: %+v", c.Line, c.Name, c.Got, c.Lacking, c.Expected, c.Reasons)
				}
			}
			for _, i := range rep.Coverage {
				if !i.Passed || !i.Failed {
					t.Errorf("%s %s: seen passing %t, failing %t", i.Kind, i.Name, i.Passed, i.Failed)
				}
			}
			if len(rep.Cases) < 10 || rep.Covered != 100 {
				t.Errorf("%d cases cover %d%%", len(rep.Cases), rep.Covered)
			}
		})
	}
}

// What people copy has no warnings: those would be theirs from the first day.
func TestTemplatesHaveNoWarnings(t *testing.T) {
	for _, tmpl := range templates.All() {
		src, _, read := folder(t, tmpl.Name)
		p, err := policy.Rehearse(src, read, rehearse.Key)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
		for _, f := range p.Findings(at) {
			if f.Severity == policy.SeverityWarning {
				t.Errorf("%s: %+v", tmpl.Name, f)
			}
		}
	}
}

// The examples are copied from too.
func TestExamplesHaveNoWarnings(t *testing.T) {
	for _, file := range []string{"credit/policy.yaml", "library/policy.yaml", "llm/policy.yaml", "llm/base.yaml"} {
		file = filepath.Join("..", "..", "examples", filepath.FromSlash(file))
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Rehearse(src, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(filepath.Dir(file), name)) }, rehearse.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Findings(time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)) {
			if f.Severity == policy.SeverityWarning {
				t.Errorf("%s: %+v", file, f)
			}
		}
	}
}

// casesNaming returns the names of the cases that expect a rule to fail.
func casesNaming(t *testing.T, test []byte, rule string) []string {
	t.Helper()
	var file struct {
		Cases []struct {
			Name  string
			Rules any // one, or a list
		}
	}
	if err := yaml.Unmarshal(test, &file); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range file.Cases {
		if one, ok := c.Rules.(string); ok && one == rule {
			out = append(out, c.Name)
		} else if list, ok := c.Rules.([]any); ok && slices.Contains(list, any(rule)) {
			out = append(out, c.Name)
		}
	}
	return out
}

// A rule that is switched off must be noticed, or its template's tests only
// touch it.
func TestTemplatesNoticeARuleThatIsGone(t *testing.T) {
	rule := regexp.MustCompile(`(\{id: ([A-Z0-9-]+),[^{}']* cel: )'[^']*'`)
	for _, tmpl := range templates.All() {
		t.Run(tmpl.Name, func(t *testing.T) {
			t.Parallel()
			src, test, read := folder(t, tmpl.Name)
			rules := rule.FindAllSubmatchIndex(src, -1)
			if len(rules) == 0 {
				t.Fatal("found no rule: the pattern does not fit how templates are written")
			}
			for _, at := range rules {
				id := string(src[at[4]:at[5]])
				// The cases that name it, if there are any: of a step that is only
				// consulted no verdict names the rules.
				named := casesNaming(t, test, id)
				without := slices.Concat(src[:at[3]], []byte(`'true'`), src[at[1]:])
				if rep := play(t, without, test, read, func(name string) bool { return len(named) == 0 || slices.Contains(named, name) }); rep.Failed == 0 {
					t.Errorf("no case notices that %s always holds", id)
				}
			}
		})
	}
}

// Where keys lie is what pedigree policy init says: keys/NAME.pub.
func TestTemplatesNameKeysByTheirHolders(t *testing.T) {
	key := regexp.MustCompile(`(?m)^  ([a-z]+): .*credentials: \[\{key: (\S+)\}\]`)
	for _, tmpl := range templates.All() {
		src, _, read := folder(t, tmpl.Name)
		p, err := policy.Rehearse(src, read, rehearse.Key)
		if err != nil {
			t.Fatal(err)
		}
		own := slices.DeleteFunc(p.Parties(), func(p policy.Party) bool { return strings.Contains(p.Name, "/") || len(p.Rules) > 0 })
		found := key.FindAllSubmatch(src, -1)
		if len(found) != len(own) {
			t.Errorf("%s: found %d keys of %d principals", tmpl.Name, len(found), len(own))
		}
		for _, m := range found {
			if want := "keys/" + string(m[1]) + ".pub"; string(m[2]) != want {
				t.Errorf("%s: the key of %s is %s, and not %s", tmpl.Name, m[1], m[2], want)
			}
		}
	}
}

// Every folder is listed, and every line of the list is one line.
func TestTemplatesAreListed(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var folders, listed []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	for _, tmpl := range templates.All() {
		listed = append(listed, tmpl.Name)
		if tmpl.For == "" || strings.Contains(tmpl.For, "\n") {
			t.Errorf("%s: %q is not one line", tmpl.Name, tmpl.For)
		}
		files, err := templates.Files(tmpl.Name, ends)
		if err != nil || len(files) < 3 {
			t.Errorf("%s has %d files, %v", tmpl.Name, len(files), err)
		}
		for _, f := range files {
			if len(f.Content) < 500 {
				t.Errorf("%s/%s has %d bytes", tmpl.Name, f.Name, len(f.Content))
			}
			if _, after, ok := strings.Cut(string(f.Content), "expires: "); ok && !strings.HasPrefix(after, "2027-10-01T00:00:00Z") {
				t.Errorf("%s/%s ends when nobody asked it to: %.40s", tmpl.Name, f.Name, after)
			}
		}
	}
	slices.Sort(listed)
	if !slices.Equal(folders, listed) {
		t.Errorf("the folders are %v, the list has %v", folders, listed)
	}
	if _, err := templates.Files("../minimal", ends); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("a name that is no template gives %v", err)
	}
}
