package step

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// Bounds of a Spec. They keep every statement far below attest.MaxPayload, and
// within what verifiers follow.
const (
	maxInputs  = 1000     // verifiers follow 1,024 by default; code and lock files count too
	maxOutputs = 256      // each statement lists all
	maxParams  = 1024     // a sweep's configuration has some dozens
	maxEnv     = 256      // recorded by hand-written flags
	maxValue   = 64 << 10 // of one parameter or variable: more is a file, and files are inputs
	maxCommand = 2 << 20  // Linux's usual limit for all arguments together
)

// check refuses a Spec that contradicts itself, whatever the world looks like.
func (s *Spec) check() error {
	if _, err := predicate.BuildType(s.Step); err != nil {
		return err
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		return usage("", "no command", "write it after --")
	}
	size := 0
	for _, a := range s.Command {
		if size += len(a) + 1; !utf8.ValidString(a) {
			return usage("", "an argument is not valid UTF-8 and could not be recorded as it is", "")
		}
	}
	if size > maxCommand {
		return attest.Refuse(attest.CodeLimit, "arguments of %d bytes, at most %d are recorded", size, maxCommand)
	}
	if len(s.Inputs)+len(s.Locks) > maxInputs || len(s.Outputs) > maxOutputs || len(s.Params) > maxParams || len(s.Env) > maxEnv {
		return attest.Refuse(attest.CodeLimit, "at most %d inputs, %d outputs, %d parameters and %d variables are recorded", maxInputs, maxOutputs, maxParams, maxEnv)
	}
	for _, in := range s.Inputs {
		if err := in.check(); err != nil {
			return err
		}
	}
	if s.AllowDirty && s.Code == "" {
		return usage("", "nothing says which work tree may be dirty", "name it with --code DIR")
	}
	if s.Builder != "" {
		if err := checkURI(s.Builder); err != nil {
			return err
		}
	}
	if err := s.checkProducts(); err != nil {
		return err
	}
	return s.checkLabels()
}

// check refuses an Input that is of no form, or of two.
func (in Input) check() error {
	hasRef, hasURI := !in.Ref.Repository.IsZero(), in.URI != ""
	switch {
	case !namePattern.MatchString(in.Role):
		return usage(in.Role, "a role is lower-case words joined by hyphens", "")
	case hasRef && (hasURI || !in.Digest.IsZero()) || !hasRef && !hasURI && in.Path == "":
		return usage(in.Role, "an input is a reference, a file, or a URI with its digest", "")
	case hasRef && in.Ref.Tag == "" && in.Ref.Digest.IsZero():
		return usage(in.Ref.String(), "names a repository and no artifact in it", "add :TAG or @sha256:…")
	case hasRef && in.Ref.Digest.IsCommit():
		return usage(in.Ref.String(), "a commit is no artifact of a repository", "write the place it comes from: git+https://HOST/PATH@gitCommit:…")
	case hasRef:
		return nil
	case !hasURI && !in.Digest.IsZero():
		return usage(in.Role, "a digest without a URI", "a file is named by its own bytes")
	case !hasURI:
		return nil
	case in.Digest.IsZero():
		return &attest.Refusal{Code: attest.CodeUnpinned, About: in.Role, Why: "no digest names its content"}
	case in.Digest.IsCommit() && in.Path != "":
		return usage(in.Role, "a file cannot be compared with a commit", "use --code DIR for a work tree")
	}
	return checkURI(in.URI)
}

// outputKinds are the kinds that packing knows. They are checked before a command
// runs, which may take days.
var outputKinds = []string{"model", "dataset", "code", "doc"}

func (o Output) check() error {
	switch {
	case !labelPattern.MatchString(o.Name):
		return usage(o.Name, "an output's name is letters, digits, dots, hyphens and underscores, and begins with a letter", "")
	case o.Name == predicate.LogName:
		return usage(o.Name, "an output cannot be called so: the name is that of a run's log", "")
	case o.Kind != "" && !slices.Contains(outputKinds, o.Kind):
		return usage(o.Name, "the kind "+o.Kind+" is none of "+strings.Join(outputKinds, ", "), "")
	case o.Path == "" || o.To.Repository.IsZero():
		return usage(o.Name, "an output needs a path and a repository", "NAME=PATH,to=REF")
	case !o.To.Digest.IsZero():
		return usage(o.To.String(), "nobody can choose the digest of an output", "name the repository, and a tag if one should move")
	case strings.HasPrefix(o.To.Tag, "sha256-") || strings.HasPrefix(o.To.Tag, "standin-"):
		// Repositories refuse these too, but after hours of computing.
		return &attest.Refusal{Code: attest.CodeReference, About: o.To.Tag, Why: "tags of this form keep evidence", Next: "choose another tag"}
	}
	return nil
}

func (p Param) check() error {
	switch {
	case !labelPattern.MatchString(p.Name):
		return usage(p.Name, "a parameter's name is letters, digits, dots, hyphens and underscores, and begins with a letter", "")
	case !utf8.ValidString(p.Value):
		return usage(p.Name, "the value is not valid UTF-8", "")
	case len(p.Value) > maxValue:
		return &attest.Refusal{Code: attest.CodeLimit, About: p.Name, Why: fmt.Sprintf("a value of %d bytes, at most %d are recorded", len(p.Value), maxValue),
			Next: "write it to a file and declare the file as an input"}
	}
	return nil
}

// checkProducts checks what the statements will be about.
func (s *Spec) checkProducts() error {
	names, tags := map[string]bool{}, map[attest.Reference]bool{}
	for _, o := range s.Outputs {
		if err := o.check(); err != nil {
			return err
		}
		if names[o.Name] {
			return &attest.Refusal{Code: attest.CodeDup, About: o.Name, Why: "two outputs of that name"}
		}
		if o.To.Tag != "" && tags[o.To] {
			return &attest.Refusal{Code: attest.CodeDup, About: o.To.String(), Why: "two outputs for one tag"}
		}
		names[o.Name], tags[o.To] = true, true
	}
	a := s.About
	switch {
	case (a == nil) == (len(s.Outputs) == 0):
		return usage("", "a step has outputs, or a predicate about an artifact, and not both", "give --output, or --about with --type and --predicate")
	case a == nil && s.RecordFailure:
		return usage("", "a failed step has no output, so there is nothing that a record of it could be about", "--record-failure needs --about")
	case a == nil:
		return nil
	case a.Ref.Repository.IsZero() || a.Ref.Tag == "" && a.Ref.Digest.IsZero():
		return usage(a.Ref.String(), "names no artifact", "add :TAG or @sha256:…")
	case a.Predicate == "":
		return usage("", "no file that the command writes its predicate to", "name it with --predicate")
	case len(s.Params) > 0 || len(s.Env) > 0 || s.Builder != "":
		// Taking them and recording them nowhere would be a promise not kept.
		return usage("", "parameters, variables and a builder have no place in a predicate that the command writes", "let the command write them")
	}
	inputs := len(s.Inputs) + len(s.Locks)
	if s.Code != "" {
		inputs++
	}
	return a.checkType(inputs)
}

// checkLabels checks parameters and the names of recorded variables.
func (s *Spec) checkLabels() error {
	seen := map[string]bool{}
	for _, p := range s.Params {
		if err := p.check(); err != nil {
			return err
		}
		if seen[p.Name] {
			return &attest.Refusal{Code: attest.CodeDup, About: p.Name, Why: "the parameter is given twice"}
		}
		seen[p.Name] = true
	}
	for _, name := range s.Env {
		if !envPattern.MatchString(name) {
			return usage(name, "not the name of an environment variable", "give the name alone; its value is read when the step runs")
		}
		if secretName(name) {
			return usage(name, "by its name a secret, and statements are published", "record something that is none, a version or a host, as --param")
		}
	}
	return nil
}

// secretName reports whether a variable's name says that its value is a secret.
// It looks at the ends of words, so that HF_TOKEN and PGPASSWORD are found and
// TOKENIZERS_PARALLELISM is not. It finds slips, not intentions.
func secretName(name string) bool {
	whole := []string{"PWD", "PASS", "AUTH", "PAT", "SAS", "CRED", "CREDS", "DSN"} // too short to be looked for at ends
	ends := []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "KEY", "CREDENTIAL", "COOKIE", "AUTHORIZATION", "WEBHOOK"}
	for word := range strings.SplitSeq(strings.ToUpper(name), "_") {
		word = strings.TrimRight(word, "0123456789")
		if slices.Contains(whole, word) || slices.ContainsFunc(ends, func(end string) bool {
			return strings.HasSuffix(word, end) || strings.HasSuffix(strings.TrimSuffix(word, "S"), end)
		}) {
			return true
		}
	}
	return false
}

// checkPlaces refuses outputs that lie in inputs and inputs that lie in outputs:
// one of them would change the other, or be part of it unnoticed. Links are
// resolved, so that two names of one folder are seen to be one.
func checkPlaces(s Spec) error {
	var read, written []place
	add := func(to *[]place, what, path string) error {
		if path == "" {
			return nil
		}
		real, err := realPath(path)
		*to = append(*to, place{what, path, real})
		return err
	}
	var errs []error
	for _, in := range s.Inputs {
		errs = append(errs, add(&read, "input "+in.Role, in.Path))
	}
	for _, l := range s.Locks {
		errs = append(errs, add(&read, "lock file", l))
	}
	for _, o := range s.Outputs {
		errs = append(errs, add(&written, "output "+o.Name, o.Path))
	}
	if s.About != nil {
		errs = append(errs, add(&read, "artifact", s.About.Path), add(&written, "predicate", s.About.Predicate))
	}
	products := len(written)
	errs = append(errs, add(&written, "log", s.Log))
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	for _, w := range written {
		for _, r := range read {
			if within(r.real, w.real) || within(w.real, r.real) {
				return usage(w.path, fmt.Sprintf("the %s and the %s share files", w.what, r.what), "give the command a place of its own to write to")
			}
		}
	}
	if s.Log != "" {
		for _, w := range written[:products] {
			if log := written[products]; within(log.real, w.real) || within(w.real, log.real) {
				return usage(s.Log, "the log lies in the "+w.what, "write the log elsewhere")
			}
		}
	}
	return nil
}

type place struct{ what, path, real string }

// within reports whether path is dir or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// realPath resolves the links of a path of which the end may not exist yet.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
	}
	rest := ""
	for dir := abs; ; dir = filepath.Dir(dir) {
		real, err := filepath.EvalSymlinks(dir)
		switch {
		case err == nil:
			return filepath.Join(real, rest), nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
		}
		rest = filepath.Join(filepath.Base(dir), rest)
		if dir == filepath.Dir(dir) {
			return abs, nil
		}
	}
}

// lookForOutputs notes what is there before the command ran. An output may be,
// a cache is made that way, but then nobody can say that the command made all of
// it, and the statement says so. A predicate may not: a stale one would be signed
// as what this command found.
func (r *run) lookForOutputs() error {
	for _, o := range r.spec.Outputs {
		if occupied(o.Path) {
			r.existed = append(r.existed, o.Name)
			r.note(fmt.Sprintf("output %s was there before the command ran: part of it may not be this step's", o.Name))
		}
	}
	if a := r.spec.About; a != nil {
		if _, err := os.Lstat(a.Predicate); !errors.Is(err, fs.ErrNotExist) {
			return usage(a.Predicate, "is there already, so nobody could say that this command wrote it", "remove it, or name another file")
		}
	}
	return nil
}

// occupied reports whether something lies at path; an empty folder is nothing.
func occupied(path string) bool {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	entries, err := os.ReadDir(path)
	return err != nil || len(entries) > 0
}
