package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// application marks the file as an index ("Pdgr"), in the place that SQLite has
	// for it. What bears another mark is not ours, and not touched.
	application = 0x50646772

	// version is that of the schema below, of the dictionary, and of everything that
	// decides what a row means. There are no migrations: an index is made again.
	version = 1
)

// schema returns the statements that make the tables. SQLite keeps them as they are
// written, so a file whose tables are others is recognised by its text.
func schema() []string {
	return []string{
		// A repository as it was last read. reading is the number of the last reading that
		// was begun, complete that of the last one that came to its end, and missed is why
		// that could not list everything. trust are the credentials that the last reading
		// believed, sorted, one a line. sum is one of the row.
		`CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, reading INTEGER NOT NULL, complete INTEGER NOT NULL, exhaustive INTEGER NOT NULL, missed TEXT NOT NULL, at INTEGER NOT NULL, trust TEXT NOT NULL, sum BLOB NOT NULL)`,
		// An artifact that a repository was asked about, in which reading, or is to be: in
		// none; consulted if only for what may have been taken back there. Of most there is
		// nothing; id is only for the others. manifest is the row of its manifest or 0;
		// missed is what could not be looked at (missedText); listed is a sum of the
		// attestations there are, and sum one of this row.
		`CREATE TABLE artifact (repository INTEGER NOT NULL, digest BLOB NOT NULL, id INTEGER, consulted INTEGER NOT NULL, read INTEGER NOT NULL, manifest INTEGER NOT NULL, missed TEXT NOT NULL, listed BLOB NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (repository, digest)) WITHOUT ROWID`,
		`CREATE UNIQUE INDEX artifact_id ON artifact (id) WHERE id IS NOT NULL`,
		`CREATE INDEX artifact_missed ON artifact (missed) WHERE missed <> ''`,
		// An attestation. Its number is its artifact's id, times perArtifact, and a number of
		// its own: those of one artifact lie together, and no index is needed to find them.
		`CREATE TABLE attestation (id INTEGER PRIMARY KEY, manifest BLOB NOT NULL, note BLOB, bundle BLOB NOT NULL, sum BLOB NOT NULL)`,
		// An attestation that nobody trusted signed: passed over, until more are trusted.
		`CREATE TABLE stranger (artifact INTEGER NOT NULL, manifest BLOB NOT NULL, PRIMARY KEY (artifact, manifest)) WITHOUT ROWID`,
		`CREATE TABLE manifest (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL)`,
		// What leads to an artifact, by hintKey.
		`CREATE TABLE hint (key BLOB NOT NULL, artifact INTEGER NOT NULL, PRIMARY KEY (key, artifact)) WITHOUT ROWID`,
		// What a repository listed by itself when it was last read to the end.
		`CREATE TABLE held (repository INTEGER NOT NULL, digest BLOB NOT NULL, standin INTEGER NOT NULL, tags TEXT NOT NULL, PRIMARY KEY (repository, digest)) WITHOUT ROWID`,
	}
}

// perArtifact is more attestations than one artifact can have: package oci lists
// fewer than 70,000.
const perArtifact = 1 << 20

// pragmas of every connection. A file is not trusted to be what we wrote:
// cell_size_check looks harder at its pages, and trusted_schema keeps functions out
// of what a schema may do.
func pragmas() []string {
	return []string{"busy_timeout(10000)", "cell_size_check(1)", "trusted_schema(0)"}
}

// connect prepares connections to a file that is there.
func connect(path string, more ...string) (*sql.DB, error) {
	return dial(path, "rw", append(pragmas(), more...), nil)
}

func dial(path, mode string, pragmas []string, more url.Values) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	for k, v := range more {
		q[k] = v
	}
	// Made as a URL, or a ? in a file's name would be read as an option.
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	return sql.Open("sqlite", u.String())
}

// A kind is what lies at a path.
type kind uint8

const (
	nothing kind = iota // no file, or an empty one
	ours
)

// look says what lies at a path, and refuses what is no index or one of another
// version. It writes nothing, takes no lock and looks at no journal: a file that is
// not ours is left exactly as it is.
func look(ctx context.Context, path string) (kind, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nothing, nil
	case err != nil:
		return nothing, unusable(path, err)
	case !info.Mode().IsRegular(): // opening a pipe would wait for ever
		return nothing, &attest.Refusal{Code: attest.CodeIndex, About: path, Why: "is not a regular file"}
	case info.Size() == 0:
		return nothing, nil
	}
	// SQLite reads the file's head, and not this function: closing a file takes every
	// lock away that the process has on it (POSIX), also those of an index that is open.
	db, err := dial(path, "ro", nil, url.Values{"immutable": {"1"}})
	if err != nil {
		return nothing, unusable(path, err)
	}
	defer db.Close()
	var app, v int64
	if err := db.QueryRowContext(ctx, `SELECT a.application_id, v.user_version FROM pragma_application_id a, pragma_user_version v`).Scan(&app, &v); err != nil {
		if ctx.Err() != nil {
			return nothing, ctx.Err()
		}
		var e *sqlite.Error
		if errors.As(err, &e) && e.Code() == sqlite3.SQLITE_NOTADB {
			return nothing, foreign(path)
		}
		return nothing, unusable(path, err)
	}
	switch {
	case app != application:
		return nothing, foreign(path)
	case v != version:
		return nothing, &attest.Refusal{Code: attest.CodeIndex, About: path,
			Why:  fmt.Sprintf("is an index of version %d, and this program reads version %d", v, version),
			Next: "use the program that wrote it; or remove it and run pedigree index sync: the registries are the truth"}
	}
	return ours, nil
}

func foreign(path string) error {
	return &attest.Refusal{Code: attest.CodeIndex, About: path, Why: "is not an index", Next: "name another file with --index"}
}

// create makes the tables in an empty file, all or none.
func create(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		// Nobody has it open yet who could lose a lock by this.
		err = f.Close()
	case errors.Is(err, fs.ErrExist): // and it is empty: look was here
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return unusable(path, err)
	}
	db, err := connect(path, "page_size(8192)")
	if err != nil {
		return unusable(path, err)
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return unusable(path, err)
	}
	defer tx.Rollback() // of nothing, once it is committed
	for _, s := range append(schema(), fmt.Sprintf("PRAGMA application_id = %d", application), fmt.Sprintf("PRAGMA user_version = %d", version)) {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return unusable(path, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return unusable(path, err)
	}
	// Only now: the switch writes to the file, and a file with neither tables nor our
	// mark would be nobody's.
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = wal").Scan(&mode); err != nil {
		return unusable(path, err)
	}
	return nil
}

// checkSchema refuses a file that has our mark and other tables: a trigger, say,
// would run inside our own statements.
func checkSchema(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT coalesce(sql, '') FROM sqlite_schema LIMIT 100`)
	if err != nil {
		return err
	}
	defer rows.Close()
	want := schema()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return err
		}
		if i := slices.Index(want, s); i >= 0 {
			want = slices.Delete(want, i, i+1)
		} else if s != "" { // SQLite's own indices have no text
			return errDamaged
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(want) > 0 {
		return errDamaged
	}
	return nil
}

var errDamaged = errors.New("it is damaged")

// unusable is the refusal of a file that cannot be used, and why.
func unusable(path string, err error) error {
	if attest.RefusalCode(err) != "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	r := &attest.Refusal{Code: attest.CodeIndex, About: path, Err: err}
	var e *sqlite.Error
	damaged := errors.Is(err, errDamaged) || errors.Is(err, errPacked)
	if errors.As(err, &e) {
		switch e.Code() & 0xff { // without what SQLite adds to a code
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			damaged = true
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			r.Next = "another process uses it; see which one, and try again"
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
			r.Next = "readers and writers of an index note beside it that they are there: copy it to a folder that you may write to"
		}
	}
	if damaged {
		r.Why, r.Next = "the index is damaged", "remove it and run pedigree index sync: the registries are the truth"
	}
	return r
}
