package verify_test

import (
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

// Follow.Files has evidence about files lead on, by whom and to what it says, as
// evidence about the artifact does.
func TestFollowFiles(t *testing.T) {
	w := chaintest.New(t)
	model := w.Manifest(map[string]string{"model.safetensors": "weights"})
	made := w.SignAt(model, "trainer", chaintest.File("weights"), predicate.TypeProvenance, build(trainType, artifact("data")))
	trainer := []verify.Credential{verify.KeyCredential(w.Key("trainer"))}
	for name, c := range map[string]struct {
		follow []verify.Follow
		want   int
	}{
		"files":         {[]verify.Follow{{PredicateType: predicate.TypeProvenance, By: trainer, Files: true}}, 2},
		"no files":      {[]verify.Follow{{PredicateType: predicate.TypeProvenance, By: trainer}}, 1},
		"another build": {[]verify.Follow{{PredicateType: predicate.TypeProvenance, BuildType: trainType + "x", By: trainer, Files: true}}, 1},
		"nobody":        {[]verify.Follow{{PredicateType: predicate.TypeProvenance, Files: true}}, 1},
		"two halves":    {[]verify.Follow{{PredicateType: predicate.TypeProvenance, By: trainer}, {PredicateType: noteType, By: trainer, Files: true}}, 1},
	} {
		got := walk(t, model, verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{w.Key("trainer")}}, Follow: c.follow}, w.Source())
		if len(got.Artifacts()) != c.want || len(got.Edges()) != c.want-1 || len(got.Artifact(model).FileEvidence) != 1 {
			t.Errorf("%s: chain is\n%s", name, dump(got))
		}
		for _, e := range got.Edges() {
			if e.From != model || e.To != artifact("data") || e.Evidence.Payload != made {
				t.Errorf("%s: edge %v", name, e)
			}
		}
	}
	// Too many inputs are a gap only where the evidence would have led on.
	for files, want := range map[bool]string{true: "E_CHAIN_FANOUT " + model.Short(), false: ""} {
		w.SignAt(model, "trainer", chaintest.File("weights"), predicate.TypeProvenance, build(trainType, artifact("a"), artifact("b")))
		sc := verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{w.Key("trainer")}}, Follow: []verify.Follow{{PredicateType: predicate.TypeProvenance, By: trainer, Files: files}}}
		sc.Limits.Inputs = 1
		if got := walk(t, model, sc, w.Source()); gaps(got) != want {
			t.Errorf("files %t: gaps %q, want %q", files, gaps(got), want)
		}
	}
}

// CLI-12, for what others signed: an OMS signature is about the manifests that
// have one of its files, under the very name.
func TestOMSBindsByPathAndDigest(t *testing.T) {
	root := attest.SHA256([]byte("over all of it"))
	sha := func(content string) string { return chaintest.File(content).Hex() }
	resource := func(name, alg, digest string) map[string]any {
		return map[string]any{"name": name, "algorithm": alg, "digest": digest}
	}
	readme, weights := resource("README.md", "sha256", sha("read me")), resource("dir/model.safetensors", "sha256", sha("weights"))
	for name, c := range map[string]struct {
		subject   attest.Digest
		resources []any
		want      bool
	}{
		"all of it":               {root, []any{readme, weights}, true},
		"one of many":             {root, []any{resource("other", "sha256", sha("other")), weights}, true},
		"another name":            {root, []any{resource("dir/renamed.safetensors", "sha256", sha("weights"))}, false},
		"without the folder":      {root, []any{resource("model.safetensors", "sha256", sha("weights"))}, false},
		"other bytes":             {root, []any{resource("dir/model.safetensors", "sha256", sha("read me"))}, false},
		"names exchanged":         {root, []any{resource("README.md", "sha256", sha("weights")), resource("dir/model.safetensors", "sha256", sha("read me"))}, false},
		"another algorithm":       {root, []any{resource("dir/model.safetensors", "blake2b", sha("weights"))}, false},
		"a file for the root":     {chaintest.File("weights"), []any{resource("other", "sha256", sha("other"))}, false},
		"does not decode":         {root, []any{weights, map[string]any{"name": 7}}, false},
		"a file as root, by path": {chaintest.File("weights"), []any{weights}, true},
	} {
		w := chaintest.New(t)
		model := w.Manifest(map[string]string{"dir/model.safetensors": "weights", "README.md": "read me"})
		payload := w.SignAt(model, "signer", c.subject, predicate.TypeOMS, map[string]any{
			"serialization": map[string]any{"method": "files", "hash_type": "sha256", "allow_symlinks": false, "ignore_paths": []any{}},
			"resources":     c.resources,
		})
		a := walk(t, model, verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{w.Key("signer")}}}, w.Source()).Artifact(model)
		bound := len(a.FileEvidence) == 1 && a.FileEvidence[0].ID().Payload == payload && a.FileEvidence[0].About() == model
		if bound != c.want || len(a.Evidence) != 0 || len(a.Misplaced) == len(a.FileEvidence) {
			t.Errorf("%s: file evidence %d, evidence %d, misplaced %d", name, len(a.FileEvidence), len(a.Evidence), len(a.Misplaced))
		}
		if c.want {
			continue
		}
		for _, e := range a.Misplaced {
			if !strings.HasPrefix(e.PredicateType(), "https://model_signing/") {
				t.Errorf("%s: misplaced %v", name, e.ID())
			}
		}
	}
}
