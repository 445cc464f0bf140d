package credit

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

// run runs one command line in the current directory.
func run(line string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Run(strings.Fields(line), bytes.NewReader(Data()), &out, &err, clock)
	return code, out.String(), err.String()
}

func TestUsageErrorsExitWithTwo(t *testing.T) {
	t.Chdir(t.TempDir())
	tests := []struct{ line, want string }{
		{"", "Credit runs one step"},
		{"bake", `credit: unknown command "bake"`},
		{"train --data d", "credit train: --out is missing"},
		{"train --data d --out o extra", `credit train: unexpected argument "extra"`},
		{"train --speed 9", "credit train: flag provided but not defined: -speed"},
		{"train --data d --out o --epochs 0", "credit train: --epochs is 0, want 1 to 100000"},
		{"train --data d --out o --epochs x", `credit train: invalid value "x" for flag -epochs`},
		{"train --data d --out o --learning-rate NaN", "credit train: --learning-rate is NaN, want it above 0 and at most 100"},
		{"train --data d --out o --l2 -1", "credit train: --l2 is -1, want 0 to 100"},
		{"split --in d --train a --test b --test-share 1", "credit split: --test-share is 1, want it between 0 and 1"},
		{"quantize --model m --calibration c --out o --bits 1", "credit quantize: --bits is 1, want 2 to 8"},
		{"quantize --model m --calibration c --out o --base-model a:b", "credit quantize: --base-model: the name must begin with a letter"},
		{"evaluate --model m --data d --out o --kind speed", `credit evaluate: --kind is "speed", want bias or quality`},
	}
	for _, test := range tests {
		code, stdout, stderr := run(test.line)
		if code != steps.ExitUsage || stdout != "" || !strings.HasPrefix(stderr, test.want) {
			t.Errorf("%q: exit status %d, stdout %q, stderr %q; want 2, nothing and %q", test.line, code, stdout, stderr, test.want)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("%d files were left and error %v, want none", len(entries), err)
	}
}

func TestHelp(t *testing.T) {
	for _, c := range commands() {
		code, stdout, stderr := run(c.Name + " --help")
		if code != steps.ExitOK || stderr != "" || !strings.Contains(stdout, "Example:\n\n\tcredit "+c.Name+" --") {
			t.Errorf("%s --help: exit status %d, stdout %q, stderr %q", c.Name, code, stdout, stderr)
		}
		if _, overview, _ := run("help"); !strings.Contains(overview, "\t"+c.Name) {
			t.Errorf("help lacks %s", c.Name)
		}
	}
}

func TestFailuresExitWithOneAndLeaveNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"full", "empty", "bad"} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"full/german-credit.csv": string(Data()), "bad/a.csv": "not,the,header\n"} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ line, want string }{
		{"ingest --in - --out full", "credit ingest: output full already exists\n"},
		{"ingest --in - --out full/german-credit.csv", "credit ingest: output full/german-credit.csv already exists\n"},
		{"ingest --in bad/a.csv --out new", "credit ingest: bad/a.csv: line 1: header is "},
		{"split --in bad --train new --test new2", "credit split: bad/a.csv: line 1: header is "},
		{"split --in full --train new --test full", "credit split: output full is inside full"},
		{"split --in full --train new --test new", "credit split: output new is inside new\n"},
		{"split --in full --train new --test new/test", "credit split: output new/test is inside new\n"},
		{"split --in empty --train new --test new2", "credit split: empty holds 0 CSV files, want exactly one\n"},
		{"train --data full --out full/model", "credit train: output full/model is inside full\n"},
		{"train --data none --out new", "credit train: open none: "},
		{"quantize --model empty --calibration full --out new", "credit quantize: open empty/config.json: "},
		{"evaluate --model empty --data full --kind bias --out empty/bias.json", "credit evaluate: output empty/bias.json is inside empty\n"},
		{"evaluate --model empty --data full --kind bias --out full/german-credit.csv", "credit evaluate: output full/german-credit.csv is inside full\n"},
	}
	for _, test := range tests {
		code, stdout, stderr := run(test.line)
		if code != steps.ExitFailed || stdout != "" || !strings.HasPrefix(filepath.ToSlash(stderr), test.want) {
			t.Errorf("%q: exit status %d, stdout %q, stderr %q; want 1, nothing and %q", test.line, code, stdout, stderr, test.want)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 3 {
		t.Errorf("%v is left and error %v, want the three directories", entries, err)
	}
}

func TestIngestIntoAnEmptyOrNestedDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("empty", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{"empty", "a/b/c/"} {
		if code, _, stderr := run("ingest --in - --out " + out); code != steps.ExitOK {
			t.Fatalf("%s: exit status %d: %s", out, code, stderr)
		}
		data, err := os.ReadFile(filepath.Join(out, dataName))
		if err != nil || !bytes.Equal(data, Data()) {
			t.Errorf("%s: the copy differs or error %v", out, err)
		}
		entries, err := os.ReadDir(filepath.Dir(filepath.Clean(out)))
		if err != nil || len(entries) != 1 && out != "empty" {
			t.Errorf("%s: %v is left beside the output, error %v", out, entries, err)
		}
	}
}
