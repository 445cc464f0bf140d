// Package state keeps what a verifier has seen, so that nobody can make it go back.
//
// A signature says who wrote something, not that it is the newest. Whoever can
// answer for a registry can serve last year's policy, status or deny list, all
// well signed. The defence is to remember: a [policy.Mark] is the highest number
// that was seen of one such thing, with the digest of what had it, and a [Dir]
// keeps marks in a file between one run and the next.
//
// # Rules
//
// Numbers never go back. Of two contents with one number the first stays, and the
// second is an error. A file that is damaged, or of a format that this version
// does not know, is an error too and never "nothing was seen": an attacker who can
// make a verifier forget need not forge anything. Only where there is no file is
// nothing remembered; the caller tells people so, because a deleted file looks the
// same. Whoever can write to the folder can write anything into it: it has to be
// protected as the program is. The format is on the page docs/format/policy.md.
package state

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/policy"
)

const (
	stateFile = "state.json"
	asideFile = ".state.json.aside" // one name suffices: only who holds the lock writes it
	lockFile  = ".lock"

	// format is the version of the file's form that is written and read.
	format = 1

	// maxMarks bounds what is remembered: a mark for each policy, status authority
	// and deny list that one verifier meets, of which thousands would be many.
	maxMarks = 1 << 14

	// maxState is what maxMarks of the longest marks take: 450 bytes each.
	maxState = 8 << 20
)

// A Dir is a folder that remembers marks. Its methods may be called concurrently,
// also by several processes.
type Dir struct {
	path string
	// testOnlyStep, set by tests, hears of every point at which a process that
	// writes could be killed.
	testOnlyStep func(point string)
}

// Open prepares the use of a folder, which need not exist before something is
// remembered. A path that is something else is refused with attest.CodeState.
func Open(path string) (*Dir, error) {
	if path == "" {
		return nil, attest.Refuse(attest.CodeState, "no folder is named")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, unusable(path, err)
	case !info.IsDir():
		return nil, &attest.Refusal{Code: attest.CodeState, About: path, Why: "is not a folder"}
	}
	return &Dir{path: path}, nil
}

// Marks returns what is remembered, sorted by name; none if nothing has been
// remembered here yet. Everything else that keeps the file from being read
// exactly is attest.CodeState.
func (d *Dir) Marks() ([]policy.Mark, error) {
	b, err := readState(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	marks, err := decode(b)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeState, About: d.file(), Err: err,
			Next: "restore it from a copy; delete it only if starting afresh is acceptable"}
	}
	return marks, nil
}

// A Stamp tells one writing of the file from another without reading it. The zero
// Stamp is that of no file.
type Stamp struct{ info fs.FileInfo }

// Stamp returns what tells the file as it is now from what is written later: every
// writing makes a new file. Marks says what is wrong with a file that is none.
func (d *Dir) Stamp() (Stamp, error) {
	info, err := os.Stat(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return Stamp{}, nil
	}
	if err != nil {
		return Stamp{}, unusable(d.file(), err)
	}
	return Stamp{info}, nil
}

// Same reports whether two stamps are of one writing.
func (s Stamp) Same(o Stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == o.info
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

func (d *Dir) file() string { return filepath.Join(d.path, stateFile) }

// Remember merges marks into what is remembered, and returns when that is durable:
// of each name the highest number stays. Where a number comes again with other
// content, what was first seen stays, all other marks are kept, and the error is
// attest.CodeState: somebody publishes two things under one number.
//
// A process that is killed meanwhile leaves the old memory or the new one. Marks
// without a name, a positive number and a content are refused, and then nothing is
// remembered.
func (d *Dir) Remember(marks []policy.Mark) error {
	for _, m := range marks {
		if why := malformed(m); why != "" {
			return &attest.Refusal{Code: attest.CodeState, About: m.Name, Why: "cannot be remembered: " + why}
		}
	}
	// Numbers only rise, so what is known now will be known behind the lock too.
	// Most runs see nothing new, and a folder that cannot be written serves those.
	known, err := d.Marks()
	if err != nil {
		return err
	}
	if merged, conflict := merge(known, marks); slices.Equal(merged, known) {
		return conflict
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return unusable(d.path, err)
	}
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	d.step("locked")
	old, err := d.Marks()
	if err != nil {
		return err
	}
	merged, conflict := merge(old, marks)
	if !slices.Equal(merged, old) {
		b, err := encode(merged)
		if err != nil {
			return err
		}
		if err := d.replace(b); err != nil {
			return unusable(d.file(), err)
		}
	}
	return conflict
}

// merge returns the highest mark of each name. The error reports the first number
// that came again with other content.
func merge(old, more []policy.Mark) ([]policy.Mark, error) {
	var conflict error
	out := slices.Clone(old)
	for _, m := range more {
		i, found := slices.BinarySearchFunc(out, m.Name, func(x policy.Mark, name string) int { return cmp.Compare(x.Name, name) })
		switch {
		case !found:
			out = slices.Insert(out, i, m)
		case m.Number > out[i].Number:
			out[i] = m
		case m.Number == out[i].Number && m.Content != out[i].Content && conflict == nil:
			conflict = &attest.Refusal{Code: attest.CodeState, About: m.Name,
				Why:  fmt.Sprintf("number %d was %s when it was first seen, and is %s now", m.Number, out[i].Content, m.Content),
				Next: "ask who publishes it which of the two is theirs"}
		}
	}
	return out, conflict
}

// replace writes the file aside, makes it durable and renames it: under its final
// name it is always whole.
func (d *Dir) replace(b []byte) error {
	aside := filepath.Join(d.path, asideFile)
	// What a killed process left is in nobody's way.
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	d.step("created")
	if err := d.fill(f, b); err != nil {
		return errors.Join(err, f.Close(), os.Remove(aside))
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	d.step("synced")
	if err := os.Rename(aside, d.file()); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	d.step("renamed")
	return syncDir(d.path)
}

func (d *Dir) fill(f *os.File, b []byte) error {
	half := len(b) / 2
	if _, err := f.Write(b[:half]); err != nil {
		return err
	}
	d.step("half written")
	if _, err := f.Write(b[half:]); err != nil {
		return err
	}
	d.step("written")
	return f.Sync()
}

// syncDir makes a rename durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *Dir) step(point string) {
	if d.testOnlyStep != nil {
		d.testOnlyStep(point)
	}
}

// readState reads the file. Only that it is not there wraps fs.ErrNotExist.
func readState(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		link, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fs.ErrNotExist
		case err != nil:
			return nil, unusable(path, err)
		case link.Mode()&fs.ModeSymlink != 0: // a link to nothing is not nothing
			return nil, &attest.Refusal{Code: attest.CodeState, About: path, Why: "is a link to nothing"}
		}
		info = link // the first writer was done in between
	} else if err != nil {
		return nil, unusable(path, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, &attest.Refusal{Code: attest.CodeState, About: path, Why: "is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	defer f.Close()
	// One byte past the limit tells "exactly full" from "cut short".
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, unusable(path, err)
	}
	return b, nil
}

func unusable(path string, err error) *attest.Refusal {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &attest.Refusal{Code: attest.CodeState, About: path, Err: err}
}

// encode writes marks in the file's one form; it refuses more than can be read.
func encode(marks []policy.Mark) ([]byte, error) {
	if len(marks) > maxMarks {
		return nil, attest.Refuse(attest.CodeState, "%d marks, at most %d are kept", len(marks), maxMarks)
	}
	// Keys in byte order, as encoding/json writes those of maps; the texts need no
	// escapes (markName), so this is canonical.
	list := make([]map[string]any, len(marks))
	for i, m := range marks {
		list[i] = map[string]any{"content": m.Content, "name": m.Name, "number": m.Number}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err // unreachable: strings and numbers
	}
	b, err := json.Marshal(map[string]any{"format": format, "marks": json.RawMessage(text), "sum": attest.SHA256(text)})
	if err != nil {
		return nil, err // unreachable: strings and numbers
	}
	return append(b, '\n'), nil
}

// decode reads exactly what encode writes, and nothing else: the file is made by
// this program alone, so every other spelling means that something went wrong.
func decode(b []byte) ([]policy.Mark, error) {
	v, err := strictjson.Parse(b, maxState)
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if n, _ := v.Get("format"); n.Kind() == strictjson.Number && n.Text() != strconv.Itoa(format) {
		return nil, fmt.Errorf("it has format %.20s, and this version reads %d: use the version of the program that wrote it, or a newer one", n.Text(), format)
	}
	list, _ := v.Get("marks")
	if list.Kind() != strictjson.Array {
		return nil, errors.New("it is damaged: it has no marks")
	}
	marks := make([]policy.Mark, 0, len(list.Items()))
	for i, item := range list.Items() {
		m, err := decodeMark(item)
		if err != nil {
			return nil, fmt.Errorf("it is damaged: mark %d: %w", i, err)
		}
		if i > 0 && marks[i-1].Name >= m.Name {
			return nil, fmt.Errorf("it is damaged: mark %d is out of order", i)
		}
		marks = append(marks, m)
	}
	again, err := encode(marks)
	if err != nil {
		return nil, err
	}
	if string(again) != string(b) {
		return nil, errors.New("it is damaged: its sum is another, or it was edited")
	}
	return marks, nil
}

func decodeMark(v strictjson.Value) (policy.Mark, error) {
	name, _ := v.Get("name")
	number, _ := v.Get("number")
	content, _ := v.Get("content")
	n, err := strconv.ParseInt(number.Text(), 10, 64)
	if err != nil {
		return policy.Mark{}, errors.New("its number is none")
	}
	d, err := attest.ParseDigest(content.Text())
	if err != nil {
		return policy.Mark{}, err
	}
	m := policy.Mark{Name: name.Text(), Number: n, Content: d}
	if why := malformed(m); why != "" {
		return policy.Mark{}, errors.New(why)
	}
	return m, nil
}

// markName has no character that JSON escapes, and no space to end a line with.
var markName = regexp.MustCompile(`^[a-z]+/[A-Za-z0-9._:-]{1,240}$`)

func malformed(m policy.Mark) string {
	switch {
	case !markName.MatchString(m.Name):
		return "its name is not of the form kind/name"
	case m.Number < 1:
		return "its number is not positive"
	case m.Content.IsZero():
		return "it has no content"
	}
	return ""
}
