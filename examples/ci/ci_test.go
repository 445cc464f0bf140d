// Package ci holds what a CI system needs to ask pedigree, for copying; here it is run
// as the CI systems run it.
package ci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/internal/cli"
)

// The test binary is pedigree, too, where it is called so: what runs is what is here.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "pedigree" {
		os.Exit(cli.Run(context.Background(), cli.Process{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ()}))
	}
	os.Exit(m.Run())
}

// pedigree runs a command of the program where the test is.
func pedigree(t *testing.T, args ...string) {
	t.Helper()
	var said bytes.Buffer
	if status := cli.Run(context.Background(), cli.Process{Args: args, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &said, Env: os.Environ()}); status != 0 {
		t.Fatalf("pedigree %v: %d\n%s", args, status, said.String())
	}
}

const policyText = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: mini, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: train
unsafeTime: claimed
principals:
  trainer: {kind: workload, credentials: [{key: trainer.pub}]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    inputs: [{role: training-data, accept: any, reason: "<script>alert(1)</script> a test"}]
`

// checkout makes what a job has before it: a layout with a model, and policies that
// allow it, refuse it and cannot decide.
func checkout(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Chdir(dir)
	t.Setenv("PEDIGREE_PASSWORD", "")
	pedigree(t, "-q", "key", "generate", "--out", "trainer")
	pedigree(t, "-q", "key", "generate", "--out", "other")
	if err := os.WriteFile("data.csv", []byte("1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pedigree(t, "-q", "run", "--step", "train", "--key", "trainer.key", "--input", "training-data=file:data.csv", "--output", "model=model,to=ocidir://reg:m",
		"--", "sh", "-c", "mkdir model && cp data.csv model/w.bin")
	for name, text := range map[string]string{
		"allow.yaml":     policyText,
		"deny.yaml":      strings.Replace(policyText, "trainer.pub", "other.pub", 1),
		"undecided.yaml": strings.Replace(strings.Replace(policyText, "trainer.pub", "other.pub", 1), "artifact: train\n", "artifact: train\nevidence: [\"ocidir://broken\"]\n", 1),
		"contexts.yaml":  strings.Replace(policyText, "steps:\n", "contexts: {prod: {require: []}}\nsteps:\n", 1),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS("broken", os.DirFS("reg")); err != nil { // what it holds may be the other's record
		t.Fatal(err)
	}
	if err := os.WriteFile("broken/index.json", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("bin", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, "bin/pedigree"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A result is what a job leaves behind.
type result struct {
	status  int
	log     string
	outputs map[string]string
	summary string
	reports string // the folder
}

// A job runs the steps of one of the examples with inputs by their names on GitHub.
type job func(t *testing.T, inputs map[string]string, env ...string) result

// jobs are the examples, each with the shells that their runners have.
func jobs(t *testing.T) map[string]job {
	t.Helper()
	out := map[string]job{"github": github(t)}
	for _, sh := range []string{"bash", "sh"} {
		out["gitlab with "+sh] = gitlab(t, sh)
	}
	return out
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// action is what GitHub documents of a composite action's metadata; another key is an
// error. https://docs.github.com/actions/reference/workflows-and-actions/metadata-syntax
type action struct {
	Name, Description string
	Inputs            map[string]struct {
		Description string
		Required    bool
		Default     string
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []struct {
			ID, Shell, Run, If, Uses string
			Env                      map[string]string
		}
	}
}

var inputOf = regexp.MustCompile(`^\$\{\{ inputs\.([a-z-]+) \}\}$`)

func github(t *testing.T) job {
	var a action
	read(t, here(t, "github/action.yml"), &a)
	return func(t *testing.T, inputs map[string]string, env ...string) result {
		t.Helper()
		temp := t.TempDir()
		env = append(env, "RUNNER_TEMP="+temp, "GITHUB_OUTPUT="+filepath.Join(temp, "output"), "GITHUB_STEP_SUMMARY="+filepath.Join(temp, "summary"))
		step := a.Runs.Steps[0]
		for name, value := range step.Env {
			m := inputOf.FindStringSubmatch(value)
			if m == nil {
				t.Fatalf("%s: %s is no input", name, value)
			}
			given, ok := inputs[m[1]]
			if !ok {
				given = a.Inputs[m[1]].Default
			}
			env = append(env, name+"="+given)
		}
		script := filepath.Join(temp, "step.sh")
		if err := os.WriteFile(script, []byte(step.Run), 0o600); err != nil {
			t.Fatal(err)
		}
		// As the runner calls it: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
		r := run(t, env, "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
		r.reports = filepath.Join(temp, "pedigree-report")
		b, err := os.ReadFile(filepath.Join(temp, "output"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		if len(lines) != len(a.Outputs) {
			t.Errorf("%d outputs, %d are declared: %q", len(lines), len(a.Outputs), lines)
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, "=")
			if got := a.Outputs[name].Value; got != "${{ steps."+step.ID+".outputs."+name+" }}" {
				t.Errorf("the output %s is declared as %q", name, got)
			}
			r.outputs[name] = value
		}
		b, err = os.ReadFile(filepath.Join(temp, "summary"))
		if err != nil {
			t.Fatal(err)
		}
		r.summary = string(b)
		return r
	}
}

// template is what GitLab documents of the keywords that are used; another is an error.
// https://docs.gitlab.com/ci/yaml/
type template map[string]struct {
	Image     string
	Variables map[string]string
	Script    []string
	Artifacts struct {
		When, Name string
		Paths      []string
		Reports    struct{ Junit, Dotenv string }
	}
}

func gitlab(t *testing.T, shell string) job {
	var tpl template
	read(t, here(t, "gitlab/pedigree.gitlab-ci.yml"), &tpl)
	j := tpl[".pedigree-verify"]
	return func(t *testing.T, inputs map[string]string, env ...string) result {
		t.Helper()
		project, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range j.Variables {
			key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "PEDIGREE_")), "_", "-")
			if given, ok := inputs[map[string]string{"program": "pedigree"}[key]]; ok && key == "program" {
				value = given
			} else if given, ok := inputs[key]; ok {
				value = given
			}
			env = append(env, name+"="+value)
		}
		script := filepath.Join(t.TempDir(), "script.sh")
		if err := os.WriteFile(script, []byte("set -e\n"+strings.Join(j.Script, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		r := run(t, append(env, "CI_PROJECT_DIR="+project), shell, script)
		r.reports = filepath.Join(project, strings.TrimSuffix(j.Artifacts.Paths[0], "/"))
		if j.Artifacts.When != "always" || filepath.Dir(filepath.Join(project, j.Artifacts.Reports.Junit)) != r.reports {
			t.Errorf("the reports would not be kept: %+v", j.Artifacts)
		}
		b, err := os.ReadFile(filepath.Join(project, j.Artifacts.Reports.Dotenv))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			r.outputs[strings.ToLower(strings.TrimPrefix(name, "PEDIGREE_"))] = value
		}
		return r
	}
}

// here is a file of the examples, wherever a test stands.
func here(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(home, filepath.FromSlash(name))
}

var home = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

func run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	c := exec.Command(name, args...)
	if !slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, "PATH=") }) {
		env = append(env, "PATH="+os.Getenv("PATH"))
	}
	c.Env = append(env, "HOME="+t.TempDir())
	out, err := c.CombinedOutput()
	r := result{log: string(out), outputs: map[string]string{}}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestJobs(t *testing.T) {
	for name, job := range jobs(t) {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t)
			program := filepath.Join(dir, "bin", "pedigree")
			ask := func(t *testing.T, policy string, more ...string) result {
				t.Helper()
				inputs := map[string]string{"reference": "ocidir://reg:m", "policy": policy, "pedigree": program}
				for i := 0; i < len(more); i += 2 {
					inputs[more[i]] = more[i+1]
				}
				return job(t, inputs)
			}
			for _, c := range []struct {
				policy, outcome string
				status          int
				more            []string
			}{
				{"allow.yaml", "ALLOW", 0, nil},
				{"deny.yaml", "DENY", 1, nil},
				{"undecided.yaml", "UNDECIDED", 3, nil},
				{"contexts.yaml", "ALLOW", 0, []string{"context", "prod"}},
				{"contexts.yaml", "DENY", 1, []string{"context", "other"}},
			} {
				t.Run(c.policy+" "+strings.Join(c.more, " "), func(t *testing.T) {
					r := ask(t, c.policy, c.more...)
					if r.status != c.status || r.outputs["outcome"] != c.outcome || !strings.HasPrefix(r.outputs["artifact"], "sha256:") {
						t.Fatalf("status %d, outputs %v\n%s", r.status, r.outputs, r.log)
					}
					if !strings.Contains(r.log, c.outcome+"  sha256:") || c.status > 0 && !strings.Contains(r.log, c.outcome+": ") {
						t.Errorf("the log does not say %s:\n%s", c.outcome, r.log)
					}
					for file, want := range map[string]string{"verdict.txt": c.outcome + "  sha256:", "verdict.json": `"outcome": "` + c.outcome + `"`, "verdict.xml": `name="outcome" value="` + c.outcome, "verdict.sarif": `"exitCodeDescription": "` + c.outcome} {
						b, err := os.ReadFile(filepath.Join(r.reports, file))
						if err != nil || !strings.Contains(string(b), want) {
							t.Errorf("%s: %v\n%.300s", file, err, b)
						}
					}
					if r.summary != "" {
						if !strings.HasPrefix(r.summary, "## Pedigree: "+c.outcome+"\n") || strings.Contains(r.summary, "<script>") || strings.Count(r.summary, "</pre>") != 1 {
							t.Errorf("summary:\n%s", r.summary)
						}
						if !strings.Contains(r.summary, "does not prove") {
							t.Error("the summary does not say what is not proven")
						}
					}
				})
			}
			t.Run("no verdict, and none of the run before", func(t *testing.T) {
				ask(t, "allow.yaml")
				for _, in := range [][]string{{"policy", "absent.yaml"}, {"policy", ""}, {"reference", ""}, {"pedigree", "/bin/true"}, {"pedigree", "/bin/false"},
					{"pedigree", filepath.Join(dir, "absent")}, {"trust", "absent.yaml"}, {"policy-roots", "absent.yaml"}, {"reference", "ocidir://reg:absent"}} {
					r := ask(t, "allow.yaml", in...)
					if r.status == 0 || r.outputs["outcome"] == "ALLOW" || r.outputs["artifact"] != "" {
						t.Errorf("%v: status %d, outputs %v\n%s", in, r.status, r.outputs, r.log)
					}
					if b, _ := os.ReadFile(filepath.Join(r.reports, "verdict.txt")); strings.Contains(string(b), "ALLOW") {
						t.Errorf("%v: the report of an earlier run:\n%s", in, b)
					}
				}
			})
			t.Run("inputs are no scripts, flags or outputs", func(t *testing.T) {
				for _, evil := range []string{"$(touch pwned)", "`touch pwned`", "; touch pwned #", "\"; touch pwned; \"", "'; touch pwned; '", "--help", "--policy=allow.yaml", "a\noutcome=ALLOW\nartifact=x", "$PATH ${HOME} *", "-", "--"} {
					for _, input := range []string{"reference", "policy", "trust", "context", "policy-roots", "pedigree", "version"} {
						more := []string{input, evil}
						if input == "version" {
							more = append(more, "pedigree", "")
						}
						r := ask(t, "deny.yaml", more...)
						if r.status == 0 || r.outputs["outcome"] == "ALLOW" || strings.Contains(r.outputs["artifact"], "x") {
							t.Errorf("%s %q: status %d, outputs %v\n%s", input, evil, r.status, r.outputs, r.log)
						}
					}
				}
				for _, where := range []string{dir, filepath.Join(dir, "pedigree-report")} {
					if _, err := os.Stat(filepath.Join(where, "pwned")); err == nil {
						t.Error("an input ran")
					}
				}
			})
			t.Run("built with Go", func(t *testing.T) {
				fake := t.TempDir()
				script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%s/asked\nln -s %s \"$GOBIN/pedigree\" 2>/dev/null || { mkdir -p \"$GOBIN\"; ln -s %s \"$GOBIN/pedigree\"; }\n", fake, program, program)
				if err := os.WriteFile(filepath.Join(fake, "go"), []byte(script), 0o700); err != nil { //nolint:gosec // it is to run
					t.Fatal(err)
				}
				path := "PATH=" + fake + string(os.PathListSeparator) + os.Getenv("PATH")
				for _, v := range []string{"v1.2.3", "v1.2.3-rc.1", strings.Repeat("0a", 20)} {
					r := job(t, map[string]string{"reference": "ocidir://reg:m", "policy": "allow.yaml", "version": v}, path)
					if r.status != 0 {
						t.Fatalf("%d\n%s", r.status, r.log)
					}
					asked, err := os.ReadFile(filepath.Join(fake, "asked"))
					if err != nil || !strings.HasSuffix(string(asked), "install github.com/pedigree-ml/pedigree/cmd/pedigree@"+v+"\n") {
						t.Errorf("%v %s", err, asked)
					}
				}
				before, _ := os.ReadFile(filepath.Join(fake, "asked"))
				for _, v := range []string{"", "latest", "main", "v1", "v1.2.3\nx", "../../evil@v1.2.3", "v1.2.3 -toolexec=x", "V1.2.3"} {
					if r := job(t, map[string]string{"reference": "ocidir://reg:m", "policy": "allow.yaml", "version": v}, path); r.status != 2 || r.outputs["outcome"] != "ERROR" {
						t.Errorf("%q: status %d, outputs %v\n%s", v, r.status, r.outputs, r.log)
					}
				}
				if after, _ := os.ReadFile(filepath.Join(fake, "asked")); !bytes.Equal(before, after) {
					t.Errorf("asked for\n%s", after)
				}
			})
		})
	}
}

// What signers wrote is shown to the runner between stop-commands and its token.
func TestReportsAreNoCommands(t *testing.T) {
	job := github(t)
	dir := checkout(t)
	liar := filepath.Join(dir, "liar")
	text := "DENY  sha256:" + strings.Repeat("0", 64) + "\n::set-output name=outcome::ALLOW\n::error::</pre><img src=x>\n"
	script := "#!/bin/sh\nfor a in \"$@\"; do case $a in --report=text=*) cat >\"${a#--report=text=}\" <<'END'\n" + text + "END\n;; esac; done\nexit 1\n"
	if err := os.WriteFile(liar, []byte(script), 0o700); err != nil { //nolint:gosec // it is to run
		t.Fatal(err)
	}
	r := job(t, map[string]string{"reference": "x", "policy": "y", "pedigree": liar})
	m := regexp.MustCompile(`(?s)^::stop-commands::([0-9a-f]{32})\n(.*)\n::([0-9a-f]{32})::\n`).FindStringSubmatch(r.log)
	if m == nil || m[1] != m[3] || m[2] != text {
		t.Errorf("the log is\n%s", r.log)
	}
	if r.status != 1 || strings.Contains(r.summary, "<img") {
		t.Errorf("status %d, summary\n%s", r.status, r.summary)
	}
}

// The files are what the systems read: every key is one that they know, no expression
// stands in a script, every action of somebody else is pinned by hash, and no token may
// do more than is needed.
func TestWorkflows(t *testing.T) {
	var a action
	read(t, here(t, "github/action.yml"), &a)
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 1 || a.Runs.Steps[0].Uses != "" || a.Runs.Steps[0].Shell != "bash" {
		t.Errorf("the action has changed: %+v", a.Runs)
	}
	for _, name := range []string{"reference", "policy", "trust", "context", "policy-roots", "version"} {
		if in, ok := a.Inputs[name]; !ok || in.Description == "" || in.Required != (name == "reference" || name == "policy") {
			t.Errorf("input %s: %+v", name, in)
		}
	}
	var w struct {
		Name        string
		On          any
		Permissions map[string]string
		Jobs        map[string]struct {
			RunsOn      string `yaml:"runs-on"`
			Timeout     int    `yaml:"timeout-minutes"`
			Needs       string
			Permissions map[string]string
			Outputs     map[string]string
			Steps       []struct {
				ID, Name, If, Uses, Run string
				With, Env               map[string]string
			}
		}
	}
	read(t, here(t, "github/workflow.yml"), &w)
	if w.Permissions == nil || len(w.Permissions) > 0 || w.Jobs["deploy"].Needs != "verify" || w.Jobs["verify"].Permissions["contents"] != "read" {
		t.Errorf("permissions: %v", w.Permissions)
	}
	pinned := regexp.MustCompile(`^[\w-]+/[\w/-]+@[0-9a-f]{40}$`)
	uses := 0
	scripts := []string{a.Runs.Steps[0].Run}
	for _, j := range w.Jobs {
		for _, s := range j.Steps {
			scripts = append(scripts, s.Run)
			switch {
			case s.Uses == "./.github/actions/pedigree":
				uses++
				for in := range s.With {
					if _, ok := a.Inputs[in]; !ok {
						t.Errorf("the action has no input %s", in)
					}
				}
				if s.If != "" {
					t.Error("the gate has a condition")
				}
			case s.Uses != "" && !pinned.MatchString(s.Uses):
				t.Errorf("%s is not pinned by hash", s.Uses)
			}
		}
	}
	if uses != 1 {
		t.Errorf("the action is used %d times", uses)
	}
	for _, s := range scripts {
		if strings.Contains(s, "${{") {
			t.Errorf("an expression stands in a script:\n%s", s)
		}
	}
	var g map[string]any
	read(t, here(t, "gitlab/example.gitlab-ci.yml"), &g)
	b, err := json.Marshal(g)
	if err != nil || !strings.Contains(string(b), `"extends":".pedigree-verify"`) || strings.Contains(string(b), "allow_failure") || strings.Contains(string(b), "$[[") {
		t.Errorf("%v\n%s", err, b)
	}
	var tpl template
	read(t, here(t, "gitlab/pedigree.gitlab-ci.yml"), &tpl)
	for name := range g["verify-model"].(map[string]any)["variables"].(map[string]any) {
		if _, ok := tpl[".pedigree-verify"].Variables[name]; !ok {
			t.Errorf("the template has no variable %s", name)
		}
	}
}
