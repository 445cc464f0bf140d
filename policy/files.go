package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// formats asks what the judged artifact's files are: of kinds that the policy
// lists, and the weights of its formats, by their bytes or by the evidence of
// somebody who looked at them.
func (t *telling) formats() {
	ev, f := t.ev, t.ev.d.formats
	if f == nil {
		return
	}
	root := ev.chain.Root()
	r := Requirement{Step: StepFormats, Artifact: root, Status: Pass}
	note := func(st Status, why Reason) {
		r.Status = min(r.Status, st)
		if len(r.Reasons) < maxReasons {
			r.Reasons = append(r.Reasons, why)
		}
	}
	node := ev.chain.Artifact(root)
	switch {
	case node == nil || !node.FilesKnown:
		note(Unknown, Reason{Code: attest.CodeFormat, About: root.String(), Why: "which files there are is not known", Next: ev.lookAgain(attest.CodeRegUnavailable)})
	case len(node.Files) == 0:
		note(Fail, Reason{Code: attest.CodeFormat, About: root.String(), Why: "it is no manifest with files, so there is nothing of a listed format"})
	default:
		scanned := Unknown // nobody was asked to
		if f.scan != "" {
			scanned = ev.satisfies(ev.d.step(f.scan), root).status
		}
		weights := 0
		for _, file := range node.Files {
			kind := kindOf(file.Path)
			if f.kinds != nil && !slices.Contains(f.kinds, kind) {
				note(Fail, Reason{Code: attest.CodeFileExtra, About: file.Path, Why: fmt.Sprintf("a file of kind %s; the policy lists %s", kind, strings.Join(f.kinds, ", ")), Next: "push the model without it"})
			}
			if kind == "weight" {
				weights++
			}
			ev.format(file, kind, scanned, note)
		}
		if weights == 0 {
			note(Fail, Reason{Code: attest.CodeFormat, About: root.String(), Why: "it has no weights"})
		}
	}
	if r.Status == Unknown && ev.live {
		return // who approves need not have the bytes at hand
	}
	t.add(r)
}

// runs are formats that can make whoever loads them run something, or hide what
// does: archives are loaded by what is in them. They are refused whatever a file is
// called.
var runs = []string{"pickle", "pytorch", "zip", "hdf5", "keras", "tar", "gzip", "bzip2", "xz", "zstd", "7z", "rar", "elf", "pe", "mach-o", "script"}

// format judges one file.
func (ev *evaluator) format(file attest.File, kind string, scanned Status, note func(Status, Reason)) {
	f := ev.d.formats
	got, looked := ev.t.Inspected[file.Digest]
	convert := "convert it to " + strings.Join(f.weights, " or ")
	switch {
	case looked && slices.Contains(runs, got.Format):
		note(Fail, Reason{Code: attest.CodeFormat, About: file.Path, Why: fmt.Sprintf("its bytes are %s, which can run what its maker wrote, or hide it", got.Format), Next: convert})
	case kind != "weight":
	case looked && got.Problem != "":
		note(Fail, Reason{Code: attest.CodeFormat, About: file.Path, Why: "no sound file: " + got.Problem, Next: convert})
	case looked && !slices.Contains(f.weights, got.Format):
		name := got.Format
		if name == "" {
			name = "of no known format"
		}
		note(Fail, Reason{Code: attest.CodeFormat, About: file.Path, Why: fmt.Sprintf("its bytes are %s, and not %s", name, strings.Join(f.weights, " or ")), Next: convert})
	case !looked && scanned != Pass && f.scan != "":
		note(scanned, Reason{Code: attest.CodeFormat, About: file.Path, Why: "nobody looked at its bytes: they were not given, and " + f.scan + " does not pass", Next: "give the files: pedigree verify --dir FOLDER; or have " + f.scan + " done"})
	case !looked && f.scan == "":
		note(Unknown, Reason{Code: attest.CodeFormat, About: file.Path, Why: "nobody looked at its bytes", Next: "give the files: pedigree verify --dir FOLDER"})
	}
}

// denylists asks that nothing in the ancestry is on a list that others sign, and
// that the list is there, fresh, and signed by enough of them.
func (t *telling) denylist(x *denial) Requirement {
	ev := t.ev
	r := Requirement{Step: StepDeny, Artifact: ev.chain.Root(), Status: Pass, Threshold: x.threshold, By: x.by}
	l := ev.readDenylist(x)
	r.Reasons = append(r.Reasons, l.reasons...)
	r.Status = l.answer
	if l.mark != nil {
		t.v.Marks = append(t.v.Marks, *l.mark)
	}
	if l.governing == nil {
		return r
	}
	reasons := map[attest.Digest]string{}
	var bad []attest.Digest
	for _, d := range l.governing.facts.Denylist.Artifacts {
		bad = append(bad, d.Digest)
		reasons[d.Digest] = d.Reason
	}
	t.denied(&r, x, bad, func(d attest.Digest) string { return fmt.Sprintf("%s: %.200s", x.list, reasons[d]) })
	return r
}
