package rehearse_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/rehearse"
	"github.com/pedigree-ml/pedigree/policy"
)

var fence = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The worked example of the page plays, and fails in the way that the page shows
// if the policy is wrong.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/policy-testing.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of YAML, want a policy and its test", len(blocks))
	}
	play := func(src string) *rehearse.Report {
		p, err := policy.Rehearse([]byte(src), nil, rehearse.Key)
		if err != nil {
			t.Fatal(err)
		}
		f, err := rehearse.Load("policy_test.yaml", blocks[1][1], p)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := rehearse.Run(context.Background(), p, []*rehearse.File{f}, func(string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	src := string(blocks[0][1])
	if rep := play(src); rep.Failed != 0 || len(rep.Cases) < 8 {
		t.Errorf("%+v", rep.Cases)
	}
	rep := play(strings.Replace(src, ">= 0.70", ">= 0.07", 1))
	i := slices.IndexFunc(rep.Cases, func(r rehearse.Result) bool { return r.Name == "accuracy below it" })
	if i < 0 || rep.Cases[i].OK || rep.Cases[i].Line != 16 || rep.Cases[i].Got != policy.Allow {
		t.Errorf("with the rule loosened: %+v", rep.Cases)
	}
}

// The page lists every key that is read.
func TestPageListsKeys(t *testing.T) {
	page, err := os.ReadFile("../../docs/policy-testing.md")
	if err != nil {
		t.Fatal(err)
	}
	var src []byte
	for _, name := range []string{"read.go", "deed.go", "artifact.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		src = append(src, b...)
	}
	keys := regexp.MustCompile(`m\["([a-zA-Z]+)"\]|f\["([a-zA-Z]+)"\]|n\["([a-zA-Z]+)"\]`).FindAllSubmatch(src, -1)
	if len(keys) < 40 {
		t.Fatalf("found %d keys: the pattern no longer fits the code", len(keys))
	}
	for _, k := range keys {
		key := string(slices.Concat(k[1], k[2], k[3]))
		if !regexp.MustCompile("`[^`\n]*\\b" + key + "\\b[^`\n]*`").Match(page) {
			t.Errorf("the page does not mention %s", key)
		}
	}
}
