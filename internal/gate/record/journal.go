package record

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	journalFile = "journal"
	asideFile   = ".journal.aside" // one name suffices: only who holds the lock writes it
	lockFile    = ".lock"

	// format is the version of the journal's form that is written and read.
	format = 1

	// maxLine is the longest line: an entry with three bundles, each at most 1 MiB by
	// maxStatement's third, in base64.
	maxLine = 8 << 20

	// maxJournal is how much is read: the limit of records that wait is 100,000, and one
	// takes some 10 KiB.
	maxJournal = 2 << 30

	// compactAt is the size beyond which the journal is written anew if most of it is
	// history.
	compactAt = 4 << 20

	// maxPlaces is how many places without waiting records are remembered: 500 bytes
	// each. Jobs make a place each.
	maxPlaces = 20_000
)

// A disk is the file that a journal is written to; tests have one that fills up.
type disk interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

// A journal is the file that the state is kept in: lines of changes, each with a number,
// its length and a checksum. Lines are added at the end, and the file is replaced by a
// shorter one now and then.
//
// It is used by one goroutine at a time.
type journal struct {
	dir    string
	f      disk
	create func(path string) (disk, error)
	lines  uint64 // in the file; the number of the next one
	size   int64  // what is known to be durable
	first  int64  // the size after it was last written anew
	// broken says that the file's end is unknown: it has to be written anew.
	broken bool
	// testOnlyStep, set by tests, hears of every point at which the process could be
	// killed.
	testOnlyStep func(point string)
}

func (j *journal) step(point string) {
	if j.testOnlyStep != nil {
		j.testOnlyStep(point)
	}
}

// castagnoli is the checksum that processors compute themselves.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// line writes one line: NUMBER LENGTH CHECKSUM JSON. The checksum is over number, length
// and JSON, so that a line is nowhere else than where it was written.
func line(number uint64, body []byte) []byte {
	start := fmt.Sprintf("%d %d ", number, len(body))
	sum := checksum(append([]byte(start), body...))
	return append(append(fmt.Appendf(nil, "%s%08x ", start, sum), body...), '\n')
}

// cutLine takes the next line from b. complete is false if b ends within it.
func cutLine(b []byte, number uint64) (body, rest []byte, complete bool, err error) {
	text, rest, terminated := bytes.Cut(b, []byte("\n"))
	body, err = parseLine(text, number)
	switch {
	case err == nil:
		return body, rest, true, nil // also one whose end alone was not written
	case terminated:
		return nil, nil, false, err
	}
	// It ends without a newline. That is what is left of a write that did not come to
	// its end; unless all of the line is there, and is wrong.
	var n, length int
	if got, _ := fmt.Sscanf(string(text[:min(len(text), 64)]), "%d %d ", &n, &length); got == 2 && n >= 0 && strconv.FormatUint(number, 10) == strconv.Itoa(n) {
		if start := len(fmt.Sprintf("%d %d ", n, length)) + 9; len(text) > start+length {
			return nil, nil, false, errors.New("what follows it is not its end")
		}
	}
	return nil, b, false, nil
}

// parseLine checks one line without its newline.
func parseLine(text []byte, number uint64) ([]byte, error) {
	start := fmt.Sprintf("%d ", number)
	after, ok := bytes.CutPrefix(text, []byte(start))
	if !ok {
		return nil, fmt.Errorf("it is not line %d", number)
	}
	length, after, _ := bytes.Cut(after, []byte(" "))
	sum, body, ok := bytes.Cut(after, []byte(" "))
	if n, err := strconv.Atoi(string(length)); !ok || err != nil || n != len(body) {
		return nil, errors.New("its length is another")
	}
	want := checksum(append([]byte(start+strconv.Itoa(len(body))+" "), body...))
	if string(sum) != fmt.Sprintf("%08x", want) {
		return nil, errors.New("its checksum is another")
	}
	return body, nil
}

// readJournal makes the state out of a journal's bytes, and says how many of them, and
// how many lines, are whole: what comes after is a write that did not come to its end.
// Everything else that cannot be read exactly is an error.
func readJournal(b []byte) (s *state, whole int64, lines uint64, err error) {
	s = newState()
	// Some file systems leave zeros where a write was not finished.
	rest := bytes.TrimRight(b, "\x00")
	for len(rest) > 0 {
		body, after, complete, err := cutLine(rest, lines)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("line %d, at byte %d: %w", lines+1, whole, err)
		}
		if !complete {
			break
		}
		ops, err := decode(body)
		if err == nil && lines == 0 && (len(ops) == 0 || ops[0].Head == nil) {
			err = errors.New("it does not begin as a journal does")
		}
		for i := 0; err == nil && i < len(ops); i++ {
			_, err = s.apply(ops[i])
		}
		if err != nil {
			return nil, 0, 0, fmt.Errorf("line %d, at byte %d: %w", lines+1, whole, err)
		}
		lines++
		whole += int64(len(rest) - len(after))
		rest = after
	}
	return s, whole, lines, nil
}

// load reads the journal in a folder; absent is true if there is none.
func load(dir string) (s *state, whole, size int64, lines uint64, absent bool, err error) {
	path := filepath.Join(dir, journalFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), 0, 0, 0, true, nil
	}
	if err != nil {
		return nil, 0, 0, 0, false, unusable(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJournal+1))
	if err != nil {
		return nil, 0, 0, 0, false, unusable(path, err)
	}
	if len(b) > maxJournal {
		return nil, 0, 0, 0, false, &attest.Refusal{Code: attest.CodeLimit, About: path, Why: fmt.Sprintf("is longer than %d bytes", maxJournal)}
	}
	s, whole, lines, err = readJournal(b)
	if err != nil {
		return nil, 0, 0, 0, false, &attest.Refusal{Code: attest.CodeState, About: path, Why: "is damaged", Err: err,
			Next: "restore the file from a copy; moving the folder away loses the records that wait in it"}
	}
	return s, whole, int64(len(b)), lines, false, nil
}

// openJournal reads the journal of a folder and makes it ready to be written.
func openJournal(dir string, create func(string) (disk, error)) (*journal, *state, error) {
	s, whole, size, lines, absent, err := load(dir)
	if err != nil {
		return nil, nil, err
	}
	s.trim()
	j := &journal{dir: dir, create: create, lines: lines, size: whole, first: whole, broken: true}
	if absent || lines == 0 || whole < size || whole > 0 && !endsLine(dir, whole) {
		return j, s, j.rewrite(s)
	}
	f, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, unusable(dir, err)
	}
	j.f, j.broken = f, false
	return j, s, nil
}

// endsLine reports whether the byte before n is a newline.
func endsLine(dir string, n int64) bool {
	f, err := os.Open(filepath.Join(dir, journalFile))
	if err != nil {
		return false
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], n-1)
	return err == nil && last[0] == '\n'
}

// add writes lines and returns when they are durable. After an error none of them
// counts, and the journal has to be written anew.
func (j *journal) add(bodies [][]byte) error {
	var b []byte
	for i, body := range bodies {
		b = append(b, line(j.lines+uint64(i), body)...)
	}
	j.step("before write")
	_, err := j.f.Write(b)
	if err == nil {
		j.step("written")
		err = j.f.Sync()
	}
	if err != nil {
		// What of it reached the disk nobody knows, and after a failed fsync not what of
		// the rest did either.
		j.broken = true
		return unusable(filepath.Join(j.dir, journalFile), errors.Join(err, j.f.Truncate(j.size)))
	}
	j.step("synced")
	j.lines += uint64(len(bodies))
	j.size += int64(len(b))
	return nil
}

// full reports whether the journal is worth being written anew.
func (j *journal) full() bool { return j.size > compactAt && j.size > 4*j.first }

// rewrite replaces the journal by one that says what s is.
func (j *journal) rewrite(s *state) (err error) {
	aside := filepath.Join(j.dir, asideFile)
	defer func() {
		if err != nil {
			err = unusable(aside, err)
		}
	}()
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := j.create(aside)
	if err != nil {
		return err
	}
	var size int64
	var lines uint64
	for _, o := range s.ops() {
		body, err := encode([]op{o})
		if err != nil {
			return errors.Join(err, f.Close())
		}
		b := line(lines, body)
		if _, err := f.Write(b); err != nil {
			return errors.Join(err, f.Close(), os.Remove(aside))
		}
		lines++
		size += int64(len(b))
	}
	j.step("aside written")
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close(), os.Remove(aside))
	}
	j.step("aside synced")
	if err := os.Rename(aside, filepath.Join(j.dir, journalFile)); err != nil {
		return errors.Join(err, f.Close(), os.Remove(aside))
	}
	j.step("renamed")
	if j.f != nil {
		_ = j.f.Close() // of a file that has no name any more
	}
	// From here on the new file is the journal, whether its name is durable or not.
	j.f, j.lines, j.size, j.first, j.broken = f, lines, size, size, true
	if err := syncDir(j.dir); err != nil {
		return err
	}
	j.broken = false
	return nil
}

func (j *journal) close() error {
	if j.f == nil {
		return nil
	}
	return j.f.Close()
}

func createFile(path string) (disk, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

// syncDir makes a rename durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func unusable(path string, err error) error {
	return &attest.Refusal{Code: attest.CodeState, About: path, Why: "the queue of deployment records cannot be read or kept", Err: err, Next: "check permissions and space of the folder"}
}
