package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictyaml"
)

// read reads {name, n, at, list} the way that readers of files do.
func read(src string) (name string, n int64, err error) {
	r := &strictyaml.Reader{Code: attest.CodeTrustRoot}
	root := r.Parse([]byte(src), 1<<10)
	if root == nil {
		return "", 0, r.Err()
	}
	f := r.Fields(root, "the file", []string{"name", "n", "at", "list"})
	if r.Need(root, f, "name") {
		name = r.Name(f["name"], "name")
	}
	if f["n"] != nil {
		n = r.Integer(f["n"], "n", 1, 9)
	}
	r.Time(f["at"], "at")
	for _, x := range r.Items(f["list"], "list", 2) {
		r.Text(x, "list")
	}
	return name, n, r.Err()
}

func TestReader(t *testing.T) {
	name, n, err := read("# a comment\nname: a-b_1\nn: 3\nat: 2026-01-01T00:00:00Z\nlist: [\"yes\", b]\n")
	if err != nil || name != "a-b_1" || n != 3 {
		t.Fatalf("%q, %d, %v", name, n, err)
	}
	for _, tc := range []struct{ src, want string }{
		{"", "E_TRUSTROOT: the file is empty"},
		{"- a\n", "not a mapping"},
		{"name: a\n---\nname: b\n", "more than one document"},
		{"name: [a\n", "not YAML"},
		{"name: a\nNAME: b\n", `2:1: E_TRUSTROOT: the file has no key "NAME"`},
		{"nam: a\n", `did you mean "name"?`},
		{"name: a\nname: b\n", `2:1: E_TRUSTROOT: the file has "name" twice`},
		{"name: &x a\nlist: [*x]\n", "anchors and aliases are not allowed"},
		{"name: !!str 1\n", "explicit tags"},
		{"name: 1\n", "name must be text"},
		{"name: no\n", `write "no" in quotes`},
		{"name: ../x\n", "letters, digits"},
		{"name: ''\n", "name is empty"},
		{"n: 1\n", `1:1: E_TRUSTROOT: "name" is missing`},
		{"name: a\nn: 0x1\n", "whole number"},
		{"name: a\nn: 01\n", "whole number"},
		{"name: a\nn: +1\n", "whole number"},
		{"name: a\nn: 1_0\n", "whole number"},
		{"name: a\nn: 10\n", "between 1 and 9"},
		{"name: a\nat: 2026-01-01\n", "must be a time like"},
		{"name: a\nlist: b\n", "list must be a list"},
		{"name: a\nlist: []\n", "empty list"},
		{"name: a\nlist: [a, b, c]\n", "at most 2"},
		{"name: a\n#" + strings.Repeat("x", 1<<10), "E_LIMIT"},
	} {
		_, _, err := read(tc.src)
		var load *strictyaml.LoadError
		if !errors.As(err, &load) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.40q: %v, want %q", tc.src, err, tc.want)
		}
	}
	// All problems, in the file's order, and the first one's code.
	_, _, err = read("n: 0\nat: x\nx: 1\nname: a\n")
	var load *strictyaml.LoadError
	if !errors.As(err, &load) || len(load.Problems) != 3 || load.Problems[0].Line != 1 || load.Problems[2].Line != 3 || attest.RefusalCode(err) != attest.CodeTrustRoot {
		t.Errorf("%v", err)
	}
}
