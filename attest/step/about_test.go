package step

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

const evaluation = `{"kind":"quality","evaluatedAt":"2026-03-01T11:00:00Z","suite":{"name":"holdout"},"metrics":{"accuracy":{"value":"0.8","n":10}}}`

// judged is a step that evaluates the model under the tag m1.
func judged(t *testing.T, script string) (*shop, Spec, attest.Digest) {
	t.Helper()
	s := newShop(t)
	s.write("model/w.bin", "weights")
	model := s.push("model", "m1")
	s.write("test.csv", "5,6\n")
	s.write("written.json", evaluation)
	return s, Spec{
		Step: "evaluate", Command: sh(script),
		Inputs: []Input{{Role: "evaluation-data", Path: "test.csv"}, {Role: "harness", URI: "https://tools.example/h", Digest: attest.SHA256([]byte("h"))}},
		About:  &About{Ref: s.ref("m1"), Path: "model", PredicateType: predicate.TypeEvaluation, Predicate: "eval.json"},
	}, model
}

func TestAPredicateAboutAnArtifact(t *testing.T) {
	s, spec, model := judged(t, "cp written.json eval.json")
	got := s.run(spec)
	if got.About == nil || got.About.Ref.Digest != model {
		t.Fatalf("attested %+v, want the model %s", got.About, model)
	}
	f, text := s.one(model)
	if f.Type != predicate.TypeEvaluation || len(f.Inputs) != 2 {
		t.Fatalf("facts %+v", f)
	}
	if in := f.Inputs[0]; in.Role != "evaluation-data" || in.Digest != attest.SHA256([]byte("5,6\n")) || !in.Observed {
		t.Errorf("first input %+v", in)
	}
	if in := f.Inputs[1]; in.Role != "harness" || in.Observed {
		t.Errorf("second input %+v", in)
	}
	contains(t, text, `"accuracy":{"n":10,"value":"0.8"}`)
}

func TestPredicatesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         attest.Code
	}{
		{"not written", "true", attest.CodeFileMissing},
		{"with inputs of its own", `echo '` + evaluation[:len(evaluation)-1] + `,"inputs":[]}' > eval.json`, attest.CodePredicateSchema},
		{"no evaluation", `echo '{}' > eval.json`, attest.CodePredicateSchema},
		{"no JSON", `echo '{' > eval.json`, attest.CodeJSON},
		{"a link", "ln -s written.json eval.json", attest.CodeFileType},
		{"a pipe", "mkfifo eval.json", attest.CodeFileType},
		{"too large", "head -c 13000000 /dev/zero > eval.json", attest.CodeLimit},
		{"model changed", "cp written.json eval.json; echo >> model/w.bin", attest.CodeFileChanged},
		{"data changed", "cp written.json eval.json; echo >> test.csv", attest.CodeFileChanged},
		{"failed", "cp written.json eval.json; exit 1", attest.CodeCommand},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, spec, _ := judged(t, c.script)
			s.refuse(spec, c.want)
		})
	}
}

// A predicate that was there before could be of another model, or another day.
func TestAPredicateMustNotBeThereBefore(t *testing.T) {
	s, spec, _ := judged(t, "touch ran; cp written.json eval.json")
	s.write("eval.json", evaluation)
	s.refuse(spec, attest.CodeUsage)
	s.must(os.Remove("eval.json"))
	s.must(os.Symlink("written.json", "eval.json"))
	s.refuse(spec, attest.CodeUsage)
	if _, err := os.Stat("ran"); err == nil {
		t.Error("the command ran")
	}
	s.must(os.Remove("eval.json"))
	s.run(spec)
}

func TestTheArtifactOnDiskMustBeTheOneAttested(t *testing.T) {
	s, spec, _ := judged(t, "cp written.json eval.json")
	s.write("model/w.bin", "other weights")
	s.refuse(spec, attest.CodeSubjectMismatch)
	s.write("model/w.bin", "weights")
	s.run(spec)
}

func TestAFailureIsRecordedOnlyOnRequest(t *testing.T) {
	s, spec, model := judged(t, "echo '{}' > eval.json; exit 4")
	if got := s.refuse(spec, attest.CodeCommand); got.Status != 4 {
		t.Errorf("status %d, want 4", got.Status)
	}
	s.must(os.Remove("eval.json"))
	spec.RecordFailure = true
	got := s.refuse(spec, attest.CodeCommand)
	if got.Status != 4 || got.About == nil {
		t.Fatalf("status %d, about %+v", got.Status, got.About)
	}
	f, text := s.one(model)
	if f.Type != typeTestResult {
		t.Errorf("type %s", f.Type)
	}
	contains(t, text, `"result":"FAILED"`, `"failedTests":["evaluate"]`, `"role":"evaluation-data"`, `"observed":false`)

	// A command that never started has failed nothing.
	s.must(os.Remove("eval.json"))
	s.must(os.RemoveAll(filepath.Join(s.dir, "store")))
	s.push("model", "m1")
	spec.Command = []string{"no-such-command-here"}
	if got := s.refuse(spec, attest.CodeCommand); got.About != nil {
		t.Errorf("recorded %+v", got.About)
	}
}

func TestOtherPredicateTypes(t *testing.T) {
	s, spec, model := judged(t, `echo '{"result":"PASSED","configuration":[]}' > eval.json`)
	spec.About.PredicateType = typeTestResult
	s.refuse(spec, attest.CodeUsage) // inputs have no place in it
	spec.Inputs = nil
	s.run(spec)
	if f, _ := s.one(model); f.Type != typeTestResult {
		t.Errorf("type %s", f.Type)
	}
}
