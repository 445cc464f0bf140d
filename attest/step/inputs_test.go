package step

import (
	"os"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

const makeOutput = "mkdir -p out; echo w > out/w; touch ran; "

// withInput is a step that reads one input.
func (s *shop) withInput(in Input) Spec {
	spec := s.spec(makeOutput)
	spec.Inputs = []Input{in}
	return spec
}

func TestInputsAreCheckedBeforeTheCommandRuns(t *testing.T) {
	file := attest.SHA256([]byte("1,2\n"))
	for _, c := range []struct {
		name  string
		setup func(s *shop)
		input func(s *shop) Input
		want  attest.Code
	}{
		{"whole artifact", nil, artifact, ""},
		{"part of it", func(s *shop) { s.must(os.Remove("data/a.csv")) }, artifact, attest.CodeFileMissing},
		{"more than it", func(s *shop) { s.write("data/c.csv", "") }, artifact, attest.CodeSubjectMismatch},
		{"other bytes", func(s *shop) { s.write("data/a.csv", "1,3\n") }, artifact, attest.CodeSubjectMismatch},
		{"swapped files", func(s *shop) {
			s.write("data/a.csv", "3,4\n")
			s.write("data/sub/b.csv", "1,2\n")
		}, artifact, attest.CodeSubjectMismatch},
		{"a link", func(s *shop) {
			s.must(os.Rename("data/a.csv", "a.csv"))
			s.must(os.Symlink("../a.csv", "data/a.csv"))
		}, artifact, attest.CodePath},
		{"no folder", func(s *shop) { s.must(os.RemoveAll("data")) }, artifact, attest.CodeFileMissing},
		{"no such tag", nil, func(s *shop) Input { return Input{Role: "data", Ref: s.ref("other")} }, attest.CodeNotFound},
		{"no such digest", nil, func(s *shop) Input { return Input{Role: "data", Ref: s.repo.At(file)} }, attest.CodeNotFound},
		{"a tag alone", nil, func(s *shop) Input { return Input{Role: "data", Ref: s.ref("v3")} }, ""},

		{"a file", nil, func(*shop) Input { return Input{Role: "data", Path: "data/a.csv"} }, ""},
		{"a missing file", nil, func(*shop) Input { return Input{Role: "data", Path: "data/b.csv"} }, attest.CodeFileMissing},
		{"a folder as a file", nil, func(*shop) Input { return Input{Role: "data", Path: "data"} }, attest.CodeUsage},

		{"declared bytes", nil, func(*shop) Input {
			return Input{Role: "data", URI: "https://data.example/a", Digest: file, Path: "data/a.csv"}
		}, ""},
		{"other bytes than declared", nil, func(*shop) Input {
			return Input{Role: "data", URI: "https://data.example/a", Digest: file, Path: "data/sub/b.csv"}
		}, attest.CodeSubjectMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			s.write("data/a.csv", "1,2\n")
			s.write("data/sub/b.csv", "3,4\n")
			s.push("data", "v3")
			if c.setup != nil {
				c.setup(s)
			}
			if c.want == "" {
				s.run(s.withInput(c.input(s)))
				return
			}
			s.refuse(s.withInput(c.input(s)), c.want)
			if _, err := os.Stat("ran"); err == nil {
				t.Error("the command ran")
			}
		})
	}
}

func artifact(s *shop) Input { return Input{Role: "training-data", Ref: s.ref("v3"), Path: "data"} }

// The digest decides what is compared; what the tag names later does not.
func TestATagIsResolvedOnce(t *testing.T) {
	s := newShop(t)
	s.write("data/a.csv", "1,2\n")
	first := s.push("data", "v3")
	s.write("data/a.csv", "5,6\n")
	s.push("data", "v3")
	s.write("data/a.csv", "1,2\n")
	in := artifact(s)
	s.refuse(s.withInput(in), attest.CodeSubjectMismatch)
	in.Ref.Digest = first
	got := s.run(s.withInput(in))
	if got.Inputs[0] != (Consumed{"training-data", first, true}) {
		t.Errorf("recorded %+v", got.Inputs[0])
	}
}

func TestAPlaceForEvidenceIsNoInput(t *testing.T) {
	s := newShop(t)
	commit, err := attest.ParseDigest("gitCommit:0123456789012345678901234567890123456789")
	s.must(err)
	payload, err := attest.NewStatement(attest.Subject{Digest: commit}, "https://types.example/t/v1", map[string]any{})
	s.must(err)
	b, err := s.deps.Sign(t.Context(), payload)
	s.must(err)
	_, err = s.store().Attach(t.Context(), commit, b)
	s.must(err)
	in := Input{Role: "code", Ref: s.ref(attest.StandInTag(commit))}
	if _, err := Run(t.Context(), s.withInput(in), s.deps); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("got %v", err)
	}
	s.run(s.withInput(Input{Role: "code", URI: "git+https://git.example/acme", Digest: commit}))
}

func TestInputsThatChangeWhileTheCommandRuns(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         attest.Code
	}{
		{"read", "cat data/a.csv data/sub/b.csv base.bin lock raw", ""},
		{"linked", "ln data/a.csv linked", ""}, // changes no byte of it
		{"written", "echo 9 > data/a.csv", attest.CodeFileChanged},
		{"written and put back", "cp data/a.csv old; echo 9 > data/a.csv; cat old > data/a.csv", attest.CodeFileChanged},
		{"replaced by the same", "cp data/a.csv new; mv new data/a.csv", attest.CodeFileChanged},
		{"replaced by the same, with its time", "cp -p data/a.csv new; mv new data/a.csv", attest.CodeFileChanged},
		{"added", "echo 9 > data/c.csv", attest.CodeFileChanged},
		{"removed", "rm data/sub/b.csv", attest.CodeFileChanged},
		{"a link instead", "mv data/a.csv x; ln -s ../x data/a.csv", attest.CodeFileChanged},
		{"all removed", "rm -r data", attest.CodeFileChanged},
		{"a file", "echo 9 >> base.bin", attest.CodeFileChanged},
		{"a lock file", "echo 9 >> lock", attest.CodeFileChanged},
		{"a declared file", "rm raw", attest.CodeFileChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			s.write("data/a.csv", "1,2\n")
			s.write("data/sub/b.csv", "3,4\n")
			s.push("data", "v3")
			s.write("base.bin", "base")
			s.write("lock", "locked")
			s.write("raw", "raw")
			spec := s.spec(makeOutput + c.script)
			spec.Locks = []string{"lock"}
			spec.Inputs = []Input{artifact(s), {Role: "base-model", Path: "base.bin"},
				{Role: "raw-data", URI: "https://data.example/raw", Digest: attest.SHA256([]byte("raw")), Path: "raw"}}
			if c.want == "" {
				s.run(spec)
				return
			}
			if got := s.refuse(spec, c.want); got.Status != StatusFailed {
				t.Errorf("status %d, want %d", got.Status, StatusFailed)
			}
			if _, err := os.Stat("ran"); err != nil {
				t.Error("the command did not run, so this shows nothing")
			}
		})
	}
}

func TestPlacesThatShareFiles(t *testing.T) {
	s := newShop(t)
	s.write("data/a.csv", "1,2\n")
	s.push("data", "v3")
	s.must(os.Symlink("data", "alias"))
	for _, c := range []struct {
		name string
		edit func(*Spec)
	}{
		{"output in an input", func(p *Spec) { p.Outputs[0].Path = "data/out" }},
		{"output in an input by another name", func(p *Spec) { p.Outputs[0].Path = "alias/out" }},
		{"input in an output", func(p *Spec) { p.Outputs[0].Path = "." }},
		{"lock file in an output", func(p *Spec) { p.Outputs[0].Path, p.Locks = "o", []string{"o/lock"} }},
		{"log in an input", func(p *Spec) { p.Log = "data/log" }},
		{"log in an output", func(p *Spec) { p.Log = "out/log" }},
	} {
		spec := s.withInput(artifact(s))
		c.edit(&spec)
		t.Run(c.name, func(t *testing.T) { s.refuse(spec, attest.CodeUsage) })
	}
	s.run(s.withInput(artifact(s)))
}

func TestLocationOfARepository(t *testing.T) {
	for in, want := range map[string]string{
		"registry.example:5000/acme/data": "oci://registry.example:5000/acme/data",
		"ocidir:///home/me/store":         "", // says nothing elsewhere, and something about me
	} {
		repo, err := attest.ParseRepository(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := locationOf(repo); got != want {
			t.Errorf("%s is at %q, want %q", in, got, want)
		}
	}
}

// Whatever the store says, what it hands out is hashed here.
func TestManifestsOfOtherKinds(t *testing.T) {
	s := newShop(t)
	s.write("data/a.csv", "1,2\n")
	d := s.push("data", "v3")
	const descriptor = `{"mediaType":"application/octet-stream","digest":"sha256:` + hex64 + `","size":1}`
	image := []byte(`{"schemaVersion":2,"mediaType":"` + attest.MediaTypeManifest + `","config":` + descriptor + `,"layers":[` + descriptor + `]}`)
	index := []byte(`{"schemaVersion":2,"mediaType":"` + attest.MediaTypeIndex + `","manifests":[` + descriptor + `]}`)
	s.other = map[attest.Digest][]byte{d: image, attest.SHA256(image): image, attest.SHA256(index): index}
	s.refuse(s.withInput(Input{Role: "data", Ref: s.ref("v3")}), attest.CodeRegDigest)
	for _, b := range [][]byte{image, index} {
		// Neither names files, so nothing can be compared with a folder.
		s.refuse(s.withInput(Input{Role: "data", Ref: s.repo.At(attest.SHA256(b)), Path: "data"}), attest.CodeUsage)
	}
	for _, b := range [][]byte{image, index} {
		if got := s.run(s.withInput(Input{Role: "data", Ref: s.repo.At(attest.SHA256(b))})); got.Inputs[0].Observed {
			t.Errorf("recorded %+v as observed", got.Inputs[0])
		}
	}
}
