package index_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// made returns the file of an index of the small world, closed.
func made(t testing.TB) (w *chaintest.World, path string, model, data, code attest.Digest) {
	w, model, data, code = small(t)
	path, f := create(t)
	sync(t, f, hold(w, models(t)), keys(w, "trainer", "alice"))
	must(t, f.Close())
	return w, path, model, data, code
}

func TestNoIndex(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	write := func(content []byte) func() {
		return func() { must(t, os.WriteFile(path, content, 0o644)) }
	}
	otherDatabase := func() {
		change(t, path, `CREATE TABLE precious (x)`)
	}
	emptyDatabase := func() {
		change(t, path, `PRAGMA journal_mode = wal`)
	}
	sqlite := append([]byte("SQLite format 3\x00"), make([]byte, 4096)...)
	for _, c := range []struct {
		what  string
		make  func()
		text  string
		write string // what a writer is told; "" if it makes an index
	}{
		{"nothing", func() {}, "there is no index", ""},
		{"an empty file", write(nil), "there is no index", ""},
		{"text", write([]byte("precious\n")), "is not an index", "is not an index"},
		{"a long text", write(bytes.Repeat([]byte("precious\n"), 10000)), "is not an index", "is not an index"},
		{"a head of a database", write(sqlite), "is not an index", "is not an index"},
		{"another database", otherDatabase, "is not an index", "is not an index"},
		{"an empty database", emptyDatabase, "is not an index", "is not an index"},
		{"a folder", func() { must(t, os.Mkdir(path, 0o755)) }, "is not a regular file", "is not a regular file"},
		{"a pipe", func() { must(t, syscall.Mkfifo(path, 0o600)) }, "is not a regular file", "is not a regular file"},
	} {
		must(t, os.RemoveAll(dir))
		must(t, os.Mkdir(dir, 0o755))
		c.make()
		before := contents(t, dir)
		_, err := index.Open(context.Background(), path, index.Options{})
		wantCode(t, c.what, err, attest.CodeIndex, c.text)
		if after := contents(t, dir); after != before {
			t.Errorf("%s: reading changed the folder from %s to %s", c.what, before, after)
		}
		f, err := index.Open(context.Background(), path, index.Options{Write: true})
		if c.write == "" {
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
				continue
			}
			must(t, f.Close())
			for _, name := range []string{path, path + ".key", path + ".lock"} {
				if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", name, info, err)
				}
			}
			if names, _ := filepath.Glob(path + "*"); len(names) != 3 {
				t.Errorf("%s: left behind %v", c.what, names)
			}
			continue
		}
		wantCode(t, c.what+", writing", err, attest.CodeIndex, c.write)
		if after := contents(t, dir); after != before {
			t.Errorf("%s: writing changed the folder from %s to %s", c.what, before, after)
		}
	}
}

// contents describes a folder: names, sizes and sums.
func contents(t testing.TB, dir string) string {
	var out []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		line := d.Name() + " " + d.Type().String()
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		}
		out = append(out, line)
		return nil
	}))
	return strings.Join(out, "\n")
}

func TestAnotherVersion(t *testing.T) {
	_, path, _, _, _ := made(t)
	change(t, path, `PRAGMA user_version = 999`)
	before := contents(t, filepath.Dir(path))
	for _, o := range []index.Options{{}, {Write: true}} {
		_, err := index.Open(context.Background(), path, o)
		wantCode(t, "another version", err, attest.CodeIndex, "is an index of version 999")
	}
	if after := contents(t, filepath.Dir(path)); after != before {
		t.Errorf("it was changed from %s to %s", before, after)
	}
	change(t, path, `PRAGMA user_version = 1`)
	change(t, path, `CREATE TRIGGER t AFTER UPDATE ON repository BEGIN DELETE FROM hint; END`)
	_, err := index.Open(context.Background(), path, index.Options{})
	wantCode(t, "a trigger", err, attest.CodeIndex, "damaged")
}

func TestTruncated(t *testing.T) {
	w, path, model, _, _ := made(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	trusted := keys(w, "trainer", "alice")
	want := dump(walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), w.Source()))
	refused := 0
	for n := len(whole) - 1; n > 0; n -= 1777 {
		cut := filepath.Join(t.TempDir(), "cut")
		must(t, os.WriteFile(cut, whole[:n], 0o600))
		f, err := index.Open(context.Background(), cut, index.Options{})
		if err != nil {
			wantCode(t, fmt.Sprintf("%d of %d bytes", n, len(whole)), err, attest.CodeIndex, "")
			refused++
			continue
		}
		if got := walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), f.Source(models(t))); dump(got) != want && len(got.Gaps()) == 0 {
			t.Errorf("%d of %d bytes:\n%s", n, len(whole), dump(got))
		}
		must(t, f.Close())
	}
	if refused < 10 {
		t.Errorf("%d refused: were they cut?", refused)
	}
}

// Whatever is changed in the file, a walk over it says what it should, or that
// something is missing.
func TestTampered(t *testing.T) {
	w, good, model, data, code := made(t)
	trusted := keys(w, "trainer", "alice")
	want := dump(walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), w.Source()))
	mallory := attest.Attached{Bundle: w.Bundles(model)[2]}
	opener, err := verify.NewOpener(verify.Signers{Keys: keys(w, "mallory")})
	must(t, err)
	if _, err := opener.Open(mallory.Bundle); err != nil {
		t.Fatalf("the stranger's bundle is another one: %v", err)
	}
	const artifactOf = `(SELECT id FROM artifact WHERE digest = ?)`
	for _, c := range []struct {
		what      string
		statement string
		args      []any
		same      bool // the answer is the same; otherwise it has a gap, or is refused
	}{
		{"a note is lost", `UPDATE attestation SET note = NULL`, nil, true},
		{"a note is forged", `UPDATE attestation SET note = randomblob(32)`, nil, true},
		{"notes are exchanged", `UPDATE attestation SET note = (SELECT note FROM attestation a ORDER BY a.id DESC LIMIT 1)`, nil, true},
		{"a note is long", `UPDATE attestation SET note = zeroblob(1000000)`, nil, true},
		{"a note is text", `UPDATE attestation SET note = 'trust me'`, nil, true},
		{"an attestation is gone", `DELETE FROM attestation WHERE id = (SELECT min(id) FROM attestation)`, nil, false},
		{"all attestations are gone", `DELETE FROM attestation`, nil, false},
		{"an attestation is moved", `UPDATE attestation SET id = 1048576 * ` + artifactOf + ` + 77 WHERE id = 1048576 * ` + artifactOf, []any{blob(code), blob(model)}, false},
		{"an attestation is copied", `INSERT INTO attestation SELECT 1048576 * ` + artifactOf + ` + 77, manifest, note, bundle, sum FROM attestation WHERE id = 1048576 * ` + artifactOf, []any{blob(code), blob(model)}, false},
		{"an attestation is there twice", `INSERT INTO attestation SELECT id + 5, manifest, note, bundle, sum FROM attestation WHERE id = 1048576 * ` + artifactOf, []any{blob(model)}, false},
		{"a bundle is another's", `UPDATE attestation SET bundle = (SELECT bundle FROM attestation a ORDER BY a.id DESC LIMIT 1)`, nil, false},
		{"a bundle is empty", `UPDATE attestation SET bundle = x''`, nil, false},
		{"a bundle is a number", `UPDATE attestation SET bundle = 7`, nil, false},
		{"a bundle is large", `UPDATE attestation SET bundle = zeroblob(50000000)`, nil, false},
		{"a bundle swells", `UPDATE attestation SET bundle = ?`, []any{bomb(t)}, false},
		{"a manifest digest is another", `UPDATE attestation SET manifest = x'02' || randomblob(32)`, nil, false},
		{"a manifest digest is none", `UPDATE attestation SET manifest = x'07'`, nil, false},
		{"an artifact is gone", `DELETE FROM artifact WHERE digest = ?`, []any{blob(code)}, false},
		{"an artifact is another", `UPDATE artifact SET digest = ? WHERE digest = ?`, []any{blob(attest.SHA256(nil)), blob(code)}, false},
		{"artifacts are exchanged", `UPDATE attestation SET id = id + 1048576 * 50`, nil, false},
		{"a model has no manifest", `UPDATE artifact SET manifest = 0 WHERE digest = ?`, []any{blob(model)}, false},
		{"a model has another's manifest", `UPDATE artifact SET manifest = (SELECT manifest FROM artifact WHERE digest = ?) WHERE digest = ?`, []any{blob(data), blob(model)}, false},
		{"a manifest is gone", `DELETE FROM manifest`, nil, false},
		{"manifests are exchanged", `UPDATE manifest SET body = (SELECT body FROM manifest m ORDER BY m.id DESC LIMIT 1)`, nil, false},
		{"a manifest swells", `UPDATE manifest SET body = ?`, []any{bomb(t)}, false},
		{"a miss is made up", `UPDATE artifact SET missed = 'rubbish'`, nil, false},
		{"a reading is made up", `UPDATE artifact SET read = 5`, nil, false},
		{"the trust is made up", `UPDATE repository SET trust = trust || 'key:sha256:ab'`, nil, false},
		{"the reading is made up", `UPDATE repository SET reading = 5, complete = 5`, nil, false},
		{"the repository is another", `UPDATE repository SET name = 'registry.example/other'`, nil, false},
		{"the repository is none", `UPDATE repository SET name = char(27) || '[2J'`, nil, false},
		{"a hint leads nowhere", `INSERT INTO hint SELECT DISTINCT key, 12345 FROM hint`, nil, true},
		{"hints are rubbish", `INSERT INTO hint VALUES (x'', 1), (zeroblob(100000), 'x')`, nil, true},
	} {
		path := copyOf(t, good)
		change(t, path, c.statement, c.args...)
		f, err := index.Open(context.Background(), path, index.Options{})
		if err != nil {
			if c.same {
				t.Errorf("%s: %v", c.what, err)
			}
			wantCode(t, c.what, err, attest.CodeIndex, "")
			continue
		}
		scope := lineage.Everything(verify.Signers{Keys: trusted})
		scope.Memory = f.Memory()
		got := walk(t, model, scope, f.Source(models(t)))
		switch same := dump(got) == want; {
		case c.same && !same:
			t.Errorf("%s: it is\n%s\nwant\n%s", c.what, dump(got), want)
		case !c.same && !strings.Contains(gaps(got), "E_INDEX"):
			t.Errorf("%s: it is\n%s\nand no gap", c.what, dump(got))
		}
		for _, a := range got.Artifacts() {
			for _, e := range got.Artifact(a).Evidence {
				if !strings.Contains(want, fmt.Sprint(e.ID())) {
					t.Errorf("%s: made up %v", c.what, e.ID())
				}
			}
		}
		must(t, f.Close())
	}
	// The positive twin: a copy that is left alone.
	f := open(t, copyOf(t, good), index.Options{})
	if got := dump(walk(t, model, lineage.Everything(verify.Signers{Keys: trusted}), f.Source(models(t)))); got != want {
		t.Errorf("untouched:\n%s", got)
	}
}

// blob is a digest as rows have it.
func blob(d attest.Digest) []byte {
	var b []byte
	fmt.Sscanf(d.Hex(), "%x", &b)
	if d.IsCommit() {
		return append([]byte{1}, b...)
	}
	return append([]byte{2}, b...)
}

// bomb is a small stream that becomes a large one.
func bomb(t testing.TB) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	must(t, err)
	head := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 1<<62), 1<<30), 5)
	_, err = w.Write(head)
	must(t, err)
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, err := w.Write(zeros)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// copyOf copies an index with its secret.
func copyOf(t testing.TB, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	for _, suffix := range []string{"", ".key"} {
		b, err := os.ReadFile(path + suffix)
		must(t, err)
		must(t, os.WriteFile(to+suffix, b, 0o600))
	}
	return to
}

// A flipped bit anywhere in the file is a gap, a refusal, or nothing that matters.
func TestFlippedBits(t *testing.T) {
	w, good, model, data, _ := made(t)
	trusted := keys(w, "trainer", "alice")
	scope := lineage.Everything(verify.Signers{Keys: trusted})
	want := dump(walk(t, model, scope, w.Source()))
	whole, err := os.ReadFile(good)
	must(t, err)
	path := copyOf(t, good)
	noticed := 0
	step := 29
	if testing.Short() {
		step = 997
	}
	for i := 0; i < len(whole); i += step {
		if zero(whole[max(0, i-64):min(len(whole), i+64)]) {
			continue // nothing is kept here
		}
		bad := bytes.Clone(whole)
		bad[i] ^= 1 << (i % 8)
		must(t, os.WriteFile(path, bad, 0o600))
		f, err := index.Open(context.Background(), path, index.Options{})
		if err != nil {
			wantCode(t, fmt.Sprintf("byte %d", i), err, attest.CodeIndex, "")
			noticed++
			continue
		}
		scope.Memory = f.Memory()
		got := walk(t, model, scope, f.Source(models(t)))
		if dump(got) != want {
			if noticed++; len(got.Gaps()) == 0 {
				t.Errorf("byte %d: silently\n%s", i, dump(got))
			}
		}
		if _, err := found(f, lineage.NamesInput, data.String()); err != nil {
			wantCode(t, fmt.Sprintf("byte %d, finding", i), err, attest.CodeIndex, "")
		}
		_ = f.Close()
	}
	if noticed < 10 {
		t.Errorf("%d flips were noticed: were they made?", noticed)
	}
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func TestSecret(t *testing.T) {
	_, path, _, _, _ := made(t)
	secret, err := os.ReadFile(path + ".key")
	must(t, err)
	if len(secret) != verify.MemorySecret {
		t.Fatalf("the secret has %d bytes", len(secret))
	}
	if f := open(t, path, index.Options{}); f.Memory() == nil {
		t.Error("no memory")
	}
	for what, spoil := range map[string]func(){
		"short":       func() { must(t, os.WriteFile(path+".key", secret[1:], 0o600)) },
		"long":        func() { must(t, os.WriteFile(path+".key", append(secret, 0), 0o600)) },
		"others' too": func() { must(t, os.Chmod(path+".key", 0o640)) },
		"missing":     func() { must(t, os.Remove(path+".key")) },
		"a folder":    func() { must(t, os.Remove(path+".key")); must(t, os.Mkdir(path+".key", 0o700)) },
	} {
		must(t, os.RemoveAll(path+".key"))
		must(t, os.WriteFile(path+".key", secret, 0o600))
		spoil()
		if f := open(t, path, index.Options{}); f.Memory() != nil {
			t.Errorf("%s: there is a memory", what)
		}
		f, err := index.Open(context.Background(), path, index.Options{Write: true})
		if what != "missing" {
			wantCode(t, what, err, attest.CodeIndex, "is not the secret")
			continue
		}
		must(t, err)
		again, err := os.ReadFile(path + ".key")
		must(t, err)
		if f.Memory() == nil || bytes.Equal(again, secret) {
			t.Error("a lost secret was not made anew")
		}
		must(t, f.Close())
	}
}

func TestOneWriter(t *testing.T) {
	w, path, model, _, _ := made(t)
	trusted := keys(w, "trainer", "alice")
	f := open(t, path, index.Options{Write: true})
	_, err := index.Open(context.Background(), path, index.Options{Write: true})
	wantCode(t, "a second writer", err, attest.CodeIndex, "another process")
	// Readers are not kept, and see what is written only when it is.
	r := open(t, path, index.Options{})
	if _, err := r.Begin(context.Background(), models(t), nil, at); attest.RefusalCode(err) != attest.CodeIndex {
		t.Errorf("a reader begins: %v", err)
	}
	reading, err := f.Begin(context.Background(), models(t), trust(trusted), at)
	must(t, err)
	_, _, err = attached(r.Source(models(t)), model)
	wantCode(t, "a new reading was begun", err, attest.CodeIndex, "not read to the end")
	must(t, reading.Put(context.Background(), visit(t, f, hold(w, models(t)), trusted, model)))
	_, _, err = attached(r.Source(models(t)), model)
	wantCode(t, "what is not written", err, attest.CodeIndex, "not read to the end")
	if done, err := reading.Done(context.Background(), model); !done || err != nil {
		t.Errorf("done: %t, %v", done, err)
	}
	if good, _, err := attached(r.Source(models(t)), model); len(good) != 2 || err != nil {
		t.Errorf("what is done is written: %v, %v", good, err)
	}
	// Beginning again with others trusted ends the older reading.
	must(t, reading.Put(context.Background(), lineage.Visit{Artifact: attest.SHA256(nil)}))
	_, err = f.Begin(context.Background(), models(t), trust(keys(w, "trainer", "alice", "mallory")), at)
	must(t, err)
	err = reading.Put(context.Background(), lineage.Visit{Artifact: model})
	wantCode(t, "an older reading", err, attest.CodeIndex, "another reading")
	must(t, r.Close())
	must(t, f.Close())
	open(t, path, index.Options{Write: true})
}
