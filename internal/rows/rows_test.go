package rows

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// show writes a comparison on one line.
func show(differ []Difference, same int) string {
	var parts []string
	for _, d := range differ {
		s := "+"
		switch {
		case d.Marked:
			s = "!"
		case d.InA && d.InB:
			s = "~"
		case d.InA:
			s = "-"
		}
		parts = append(parts, fmt.Sprintf("%s%s %s>%s", s, d.Name, d.A, d.B))
	}
	return strings.Join(append(parts, fmt.Sprint(same)), "|")
}

func TestCompare(t *testing.T) {
	for _, c := range []struct{ file, a, b, want string }{
		{"requirements.txt", "# by pip-compile\nnumpy==1.26.4 \\\n    --hash=sha256:aa\nTorch==2.1\nold>=1 # why\nsame==3\n", "numpy==1.26.4 --hash=sha256:bb\ntorch==2.2\nnew_Thing[x]==1; python_version<'3'\nsame==3\n",
			"+new-thing[x] >1; python_version<'3'|!numpy 1.26.4>1.26.4|-old >=1>|~torch 2.1>2.2|1"},
		{"requirements.lock", "git+https://x.test/a@1\n-r base.txt\n", "git+https://x.test/a@2\n-r base.txt\n", "-git+https://x.test/a@1 >|+git+https://x.test/a@2 >|1"},
		{"uv.lock", "version = 1\n\n[[package]]\nname = \"a\"\nversion = \"1\"\nsdist = { url = \"u\", hash = \"sha256:00000000000000000001\" }\n[[package]]\nname = \"b\"\nversion = \"1\"\n[package.metadata]\nname = \"x\"\n",
			"[[package]]\nname = \"a\"\nversion = \"1\"\nsdist = { url = \"u\", hash = \"sha256:00000000000000000002\" }\n[[package]]\nname = \"b\"\nversion = \"2\"\n", "!a 1>1|~b 1>2|0"},
		{"poetry.lock", "[[package]]\nname = \"a\"\nversion = \"1\"\nfiles = [\n    {file = \"a.whl\", hash = \"sha256:00000000000000000001\"},\n]\n\n[metadata]\ncontent-hash = \"x\"\n", "[[package]]\nname = \"a\"\nversion = \"1\"\nfiles = [\n    {file = \"a.whl\", hash = \"sha256:00000000000000000003\"},\n]\n", "!a 1>1|0"},
		{"Pipfile.lock", `{"_meta":{"hash":1},"default":{"a":{"version":"==1","hashes":["x"]}},"develop":{"b":{"version":"==1"}}}`, `{"default":{"a":{"version":"==1","hashes":["y"]}},"develop":{"b":{"version":"==2"}}}`, "!a 1>1|~develop/b 1>2|0"},
		{"package-lock.json", `{"packages":{"":{"version":"1"},"node_modules/a":{"version":"1","integrity":"x"}}}`, `{"packages":{"":{"version":"2"},"node_modules/a":{"version":"1","integrity":"y"}}}`, "!a 1>1|0"},
		{"package-lock.json", `{"dependencies":{"a":{"version":"1","dependencies":{"b":{"version":"1"}}}}}`, `{"dependencies":{"a":{"version":"1","dependencies":{"b":{"version":"2"}}}}}`, "~a/b 1>2|1"},
		{"go.mod", "module m\n\ngo 1.26\n\nrequire (\n\ta.test/x v1.0.0 // indirect\n)\nrequire b.test/y v1.0.0\n", "module m\ngo 1.27\nrequire a.test/x v1.0.1\nreplace b.test/y => ../y\n", "~a.test/x v1.0.0>v1.0.1|-b.test/y v1.0.0>|~go  1.26>1.27|+replace b.test/y >../y|0"},
		{"go.sum", "a v1 h1:x\na v1/go.mod h1:y\n", "a v1 h1:z\na v1/go.mod h1:y\n", "!a v1>v1|1"},
		{"environment.yml", "name: e\ndependencies:\n  - python=3.11\n  - pip:\n    - torch==2.1\n", "name: e\ndependencies: [python=3.12, {pip: [torch==2.1]}]\n", "~python 3.11>3.12|2"},
		{"config.json", `{"bits":8,"layers":[1,2],"a.b":{"c":"x"},"deep":[{"e":1}],"none":{}}`, `{"bits":4,"layers":[1,2,3],"a.b":{"c":"x"},"deep":[{"e":2}],"none":{}}`, "~bits 8>4|~deep[0].e 1>2|~layers [1,2]>[1,2,3]|2"},
		{"params.yaml", "lr: 0.1\nname: 'x'\nseq: [a, 1]\n", "lr: 0.2\nname: x\nseq: [a, 2]\n", `~lr 0.1>0.2|~seq ["a",1]>["a",2]|1`},
	} {
		a, err := Read(KindOf(c.file), []byte(c.a))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		b, err := Read(KindOf(c.file), []byte(c.b))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if got := show(Compare(a, b)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.file, got, c.want)
		}
		if differ, same := Compare(a, a); len(differ) != 0 || same != len(a) {
			t.Errorf("%s differs from itself: %v", c.file, differ)
		}
	}
}

// What has two readings, or is too much, is not compared.
func TestReadRefuses(t *testing.T) {
	deep := strings.Repeat("[", 3000) + strings.Repeat("]", 3000)
	for _, c := range []struct {
		file, text string
		want       attest.Code
	}{
		{"config.json", `{"a":1,"a":2}`, attest.CodeJSON},
		{"config.json", deep, attest.CodeJSON},
		{"params.yaml", "a: 1\na: 2\n", attest.CodeJSON},
		{"params.yaml", "a: &x [1]\nb: *x\n", attest.CodeJSON},
		{"params.yaml", "base: &x {a: 1}\nb: {<<: *x}\n", attest.CodeJSON},
		{"params.yaml", "a: 1\n---\nb: 2\n", attest.CodeJSON},
		{"params.yaml", deep, attest.CodeJSON},
		{"params.yaml", "a: [\n", attest.CodeJSON},
		{"environment.yml", "dependencies: [[a]]\n", attest.CodeJSON},
		{"go.sum", "nothing like it at all\n", attest.CodeJSON},
		{"config.json", strings.Repeat(" ", MaxBytes+1), attest.CodeLimit},
		{"requirements.txt", strings.Repeat("a\n", maxRows+1), attest.CodeLimit},
		{"model.safetensors", "x", attest.CodeJSON},
	} {
		rows, err := Read(KindOf(c.file), []byte(c.text))
		if got := attest.RefusalCode(err); got != c.want || rows != nil {
			t.Errorf("%s %.20q: %s, want %s (%v)", c.file, c.text, got, c.want, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("the error repeats the file: %d bytes", len(err.Error()))
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"a==1\n", "{\"a\":1}", "a: [1, {b: c}]\n", "[[package]]\nname = \"a\"\n", "require (\n a v1\n)\n"} {
		f.Add(seed)
	}
	kinds := []Kind{KindPip, KindTOML, KindPipfile, KindNPM, KindGoMod, KindGoSum, KindConda, KindJSON, KindYAML}
	f.Fuzz(func(t *testing.T, text string) {
		for _, k := range kinds {
			rows, err := Read(k, []byte(text))
			if err != nil {
				if rows != nil {
					t.Fatalf("%s: rows beside an error", k)
				}
				continue
			}
			for i := range rows[min(1, len(rows)):] {
				if rows[i].Name >= rows[i+1].Name {
					t.Fatalf("%s: %q is not before %q", k, rows[i].Name, rows[i+1].Name)
				}
			}
			if differ, same := Compare(rows, rows); len(differ) != 0 || same != len(rows) {
				t.Fatalf("%s: differs from itself", k)
			}
		}
	})
}
