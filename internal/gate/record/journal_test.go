package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// plain are options of a queue that only takes.
func plain(_ testing.TB, dir string) Options {
	return Options{
		Signers: verify.Signers{Keys: make([]attest.PublicKey, 1)},
		Dir:     dir, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) },
		Signer: func(context.Context, []byte) ([]byte, error) { return nil, errors.New("nobody signs here") },
		Open:   func(attest.Repository) (*oci.Repository, error) { return nil, errors.New("there is no registry here") },
	}
}

// taken is an admission of the nth model at a place.
func taken(n int, service string) gate.Admission {
	repo, _ := attest.ParseRepository("registry.example/m")
	ref := repo.At(attest.SHA256(fmt.Append(nil, n)))
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	v := &policy.Verdict{Outcome: policy.Allow, At: at}
	v.Policy.Name, v.Policy.Digest = "p", attest.SHA256([]byte("policy"))
	return gate.Admission{At: at, Reference: ref, Environment: "prod", Service: service, Answer: gate.Answer{Outcome: policy.Allow, Reference: ref, Policy: v.Policy.Digest, Verdicts: []*policy.Verdict{v}}}
}

// text is a state as one can compare it.
func text(s *state) string {
	var out []any
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		out = append(out, s.entries[id])
	}
	var places []string
	for _, p := range s.places {
		b, _ := json.Marshal(p)
		places = append(places, string(b))
	}
	for _, a := range s.accounts {
		b, _ := json.Marshal(a)
		places = append(places, string(b))
	}
	for _, r := range s.rulings {
		b, _ := json.Marshal(r)
		places = append(places, string(b))
	}
	slices.Sort(places)
	b, _ := json.Marshal(append(out, places, s.lanes, s.next))
	return string(b)
}

// written makes a journal of some admissions, as bytes, and the states after each line.
func written(t testing.TB) ([]byte, map[string]int) {
	t.Helper()
	dir := t.TempDir()
	q, err := Open(plain(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := q.Admitted(taken(i, fmt.Sprint("s", i%2))); err != nil {
			t.Fatal(err)
		}
	}
	err = q.commit(func(s *state) ([]op, error) {
		return []op{{End: 2}, {Lane: &lane{"registry.example/m", &Trouble{attest.CodeRegUnavailable, "down", q.o.Now()}}}}, nil
	})
	if err := errors.Join(err, q.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, journalFile))
	if err != nil {
		t.Fatal(err)
	}
	states, s := map[string]int{text(newState()): 0}, newState()
	for n, l := range bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
		body, err := parseLine(l, uint64(n))
		if err != nil {
			t.Fatal(err)
		}
		ops, err := decode(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range ops {
			if _, err := s.apply(o); err != nil {
				t.Fatal(err)
			}
		}
		states[text(s)] = n + 1
	}
	return b, states
}

// A journal cut anywhere is one that was not written further; and never an error.
func TestCutJournal(t *testing.T) {
	b, states := written(t)
	for n := range b {
		for _, tail := range []string{"", "\x00", strings.Repeat("\x00", 4096)} {
			s, whole, lines, err := readJournal(append(b[:n:n], tail...))
			if err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
			if _, known := states[text(s)]; !known || whole > int64(n) {
				t.Fatalf("cut at %d: a state that never was, of %d lines", n, lines)
			}
			if want := bytes.Count(b[:n], []byte("\n")); int(lines) != want && int(lines) != want+1 {
				t.Fatalf("cut at %d: %d lines, want %d", n, lines, want)
			}
		}
	}
}

// A journal of which any byte is another is refused, or says what it said.
func TestDamagedJournal(t *testing.T) {
	b, _ := written(t)
	want, _, _, err := readJournal(b)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range b {
		for _, to := range []byte{b[i] ^ 1, 0, '\n', ' ', '0'} {
			if to == b[i] {
				continue
			}
			damaged := slices.Clone(b)
			damaged[i] = to
			s, _, _, err := readJournal(damaged)
			if err != nil {
				refused++
				continue
			}
			if text(s) != text(want) {
				t.Fatalf("byte %d as %#x: something was lost or invented", i, to)
			}
		}
	}
	if refused < 4*len(b) {
		t.Errorf("only %d of %d were refused", refused, 5*len(b))
	}
	// Lines that were left out, came twice or changed places.
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines = lines[:len(lines)-1]
	for i := range lines[:len(lines)-1] {
		without := slices.Concat(slices.Concat(lines[:i]...), slices.Concat(lines[i+1:]...))
		twice := slices.Concat(slices.Concat(lines[:i+1]...), slices.Concat(lines[i:]...))
		swapped := slices.Concat(slices.Concat(lines[:i]...), lines[i+1], lines[i], slices.Concat(lines[i+2:]...))
		for what, b := range map[string][]byte{"without": without, "twice": twice, "swapped": swapped} {
			if _, _, _, err := readJournal(b); err == nil {
				t.Errorf("line %d %s: it was read", i+1, what)
			}
		}
	}
}

// What a damaged journal says to who opens it.
func TestDamagedJournalIsNotOpened(t *testing.T) {
	b, _ := written(t)
	dir := t.TempDir()
	path := filepath.Join(dir, journalFile)
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(plain(t, dir)); code(err) != attest.CodeState || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("%v", err)
	}
	if _, err := List(dir, time.Now()); code(err) != attest.CodeState {
		t.Errorf("listing: %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(after, b) {
		t.Error("the damaged journal was changed")
	}
	// Of a later version.
	later := line(0, []byte(`[{"head":{"format":2,"next":1}}]`))
	if err := os.WriteFile(path, later, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(plain(t, dir)); code(err) != attest.CodeState || !strings.Contains(err.Error(), `it has format "2"`) {
		t.Errorf("%v", err)
	}
}

func FuzzReadJournal(f *testing.F) {
	b, _ := written(f)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte{})
	f.Add(line(0, []byte(`[{"head":{"format":1,"next":1}}]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, whole, lines, err := readJournal(b)
		if err != nil {
			return
		}
		if whole > int64(len(b)) {
			t.Fatalf("%d bytes of %d", whole, len(b))
		}
		// What was read can be written, and says the same.
		var again []byte
		for i, o := range s.ops() {
			body, err := encode([]op{o})
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, line(uint64(i), body)...)
		}
		s2, _, _, err := readJournal(again)
		if err != nil {
			t.Fatalf("%d lines: what was read cannot be read again: %v", lines, err)
		}
		if text(s) != text(s2) {
			t.Fatal("written anew it says something else")
		}
	})
}

// A journal that grows is written anew, and nothing is lost by it.
func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	q, err := Open(plain(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		for n := range 3 {
			if err := q.Admitted(taken(i, fmt.Sprint("s", i, " ", n))); err != nil {
				t.Fatal(err)
			}
		}
		err := q.commit(func(s *state) (ops []op, _ error) {
			for n := range 2 {
				e := s.byPlace[place{"prod", "", fmt.Sprint("s", i, " ", n)}][0]
				with := e.clone()
				with.Record = &statement{Payload: bytes.Repeat([]byte("x"), 100_000)}
				ops = append(ops, op{Entry: with}, op{End: e.ID})
			}
			return ops, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := text(q.state)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, journalFile))
	if err != nil || info.Size() > 2*compactAt {
		t.Errorf("%d bytes: %v", info.Size(), err)
	}
	again, err := Open(plain(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if after := text(again.state); after != before || len(again.state.entries) != 100 {
		t.Errorf("%d entries; the same: %t", len(again.state.entries), after == before)
	}
}

// A process that is killed between any two steps of writing leaves what it had promised,
// and at most what it was about to promise besides.
func TestKilledBetweenSteps(t *testing.T) {
	dir := t.TempDir()
	q, err := Open(plain(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	promised, points := 0, map[string]int{}
	q.journal.testOnlyStep = func(point string) {
		points[point]++
		// What the disk has now is what the next process finds.
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		again, err := Open(plain(t, copied))
		if err != nil {
			t.Fatalf("%s: %v", point, err)
		}
		defer again.Close()
		if n := again.Stats().Waiting; n != promised && n != promised+1 {
			t.Errorf("%s: %d records, and %d were promised", point, n, promised)
		}
	}
	for i := range 5 {
		if err := q.Admitted(taken(i, fmt.Sprint("s", i))); err != nil {
			t.Fatal(err)
		}
		promised++
		q.mu.Lock()
		err := q.journal.rewrite(q.state)
		q.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, point := range []string{"before write", "written", "synced", "aside written", "aside synced", "renamed"} {
		if points[point] != 5 {
			t.Errorf("%s: %d times", point, points[point])
		}
	}
}

// A fullDisk takes some bytes, and then none until there is room.
type fullDisk struct {
	disk
	room *int
	sync *error
}

func (d fullDisk) Write(b []byte) (int, error) {
	if *d.room >= 0 && len(b) > *d.room {
		n, _ := d.disk.Write(b[:*d.room])
		*d.room = 0
		return n, &fs.PathError{Op: "write", Path: "journal", Err: syscall.ENOSPC}
	}
	if *d.room >= 0 {
		*d.room -= len(b)
	}
	return d.disk.Write(b)
}

func (d fullDisk) Truncate(size int64) error {
	if *d.room >= 0 || *d.sync != nil {
		return syscall.EIO // nothing is certain
	}
	return d.disk.Truncate(size)
}

func (d fullDisk) Sync() error {
	if *d.sync != nil {
		return *d.sync
	}
	return d.disk.Sync()
}

// A full disk refuses admissions, and keeps every one that it took; when there is room
// again it takes more.
func TestFullDisk(t *testing.T) {
	for room := 0; room < 3000; room += 137 {
		dir := t.TempDir()
		var failing error
		free := -1
		create := func(path string) (disk, error) {
			f, err := createFile(path)
			return fullDisk{f, &free, &failing}, err
		}
		o := plain(t, dir)
		o.Limit, o.Window, o.Settle = 100, time.Hour, time.Minute
		q, err := open(o, create)
		if err != nil {
			t.Fatal(err)
		}
		free = room
		var kept []string
		refused := 0
		for i := range 8 {
			service := fmt.Sprint("s", i)
			switch err := q.Admitted(taken(i, service)); {
			case err == nil:
				kept = append(kept, service)
			case code(err) == attest.CodeState && errors.Is(err, syscall.ENOSPC):
				refused++
			default:
				t.Fatalf("room %d: %v", room, err)
			}
		}
		if refused == 0 {
			t.Fatalf("room %d: nothing was refused", room)
		}
		free = -1
		if err := q.Admitted(taken(9, "after")); err != nil {
			t.Fatalf("room %d, with room again: %v", room, err)
		}
		failing = syscall.EIO
		if err := q.Admitted(taken(10, "lost")); !errors.Is(err, syscall.EIO) {
			t.Fatalf("a failed fsync: %v", err)
		}
		failing = nil
		if err := q.Admitted(taken(11, "after that")); err != nil {
			t.Fatal(err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		list, err := List(dir, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range list {
			got = append(got, w.Service)
		}
		if want := append(kept, "after", "after that"); !slices.Equal(got, want) {
			t.Fatalf("room %d: kept %v, want %v", room, got, want)
		}
	}
}

// Admissions that come together are all durable, in one order.
func TestAdmittedTogether(t *testing.T) {
	dir := t.TempDir()
	q, err := Open(plain(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if err := q.Admitted(taken(i, fmt.Sprint("s", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := List(dir, time.Now()) // while the queue has it
	if err != nil || len(list) != 200 {
		t.Errorf("%d waiting: %v", len(list), err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	q, err := Open(plain(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	second := plain(t, dir)
	second.wait = 50 * time.Millisecond
	if _, err := Open(second); code(err) != attest.CodeState || !strings.Contains(err.Error(), "another process has this queue") {
		t.Errorf("%v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(plain(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// BenchmarkAdmitted measures how many changes a second become durable, with so many
// callers at once.
func BenchmarkAdmitted(b *testing.B) {
	for _, callers := range []int{1, 16, 128} {
		b.Run(fmt.Sprint("callers ", callers), func(b *testing.B) {
			o := plain(b, b.TempDir())
			o.Limit = MaxLimit
			q, err := Open(o)
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			next := make(chan int)
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for i := range next {
						a := taken(i, fmt.Sprint("s", i%1000))
						a.At = a.At.Add(time.Duration(i) * time.Minute)
						err := q.Admitted(a)
						if attest.RefusalCode(err) == attest.CodeLimit {
							err = q.commit(func(s *state) (ops []op, _ error) {
								for id := range s.entries {
									ops = append(ops, op{End: id})
								}
								return ops, nil
							})
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				next <- i
			}
			close(next)
			all.Wait()
		})
	}
}

// BenchmarkFiles is what the other way would cost: a file for each record, renamed, and
// the folder made durable.
func BenchmarkFiles(b *testing.B) {
	for _, callers := range []int{1, 16, 128} {
		b.Run(fmt.Sprint("callers ", callers), func(b *testing.B) {
			dir := b.TempDir()
			body := bytes.Repeat([]byte("x"), 1500)
			next := make(chan int)
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for i := range next {
						aside, path := filepath.Join(dir, fmt.Sprint(".", i)), filepath.Join(dir, fmt.Sprint(i))
						f, err := createFile(aside)
						if err == nil {
							_, err = f.Write(body)
							err = errors.Join(err, f.Sync(), f.Close(), os.Rename(aside, path), syncDir(dir))
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				next <- i
			}
			close(next)
			all.Wait()
		})
	}
}

// BenchmarkRepeated measures an admission that changes nothing.
func BenchmarkRepeated(b *testing.B) {
	q, err := Open(plain(b, b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	a := taken(1, "s")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := q.Admitted(a); err != nil {
				b.Error(err)
			}
		}
	})
}
