package index

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// What is put into the index is written in batches: each costs a wait for the disk.
// A process that is killed loses the last one, and reads those artifacts again.
const (
	batchVisits = 512
	batchBytes  = 16 << 20
	batchTime   = 2 * time.Second
)

// A writer is the one connection that writes.
type writer struct {
	file *File
	db   *sql.DB

	mu       sync.Mutex
	conn     *sql.Conn
	do       commands
	prepared []*sql.Stmt
	visits   map[visitKey]bool // artifacts of the open batch, by repository and digest
	readings map[int64]int64   // the last reading of each repository
	rows     map[visitKey]*row // that were looked up and not put since
	lastID   int64             // of an artifact
	bytes    int
	began    time.Time
	failure  error // after one, nothing more is written
}

// commands are the statements that the writer uses.
type commands struct {
	repository, addRepository, setRepository, dropStrangers   *sql.Stmt
	artifact, lastID, setArtifact, addLead                    *sql.Stmt
	attestations, bundles, addAttestation, dropAttestation    *sql.Stmt
	strangers, addStranger, dropStranger                      *sql.Stmt
	manifest, manifestBody, addManifest, shared, dropManifest *sql.Stmt
	addHint, dropHint, dropHeld, addHeld                      *sql.Stmt
	forgetHints, forgetAttestations, forgetStrangers          *sql.Stmt
	forgetArtifacts, forgetRepository, forgetManifests        *sql.Stmt
}

func newWriter(ctx context.Context, f *File) (*writer, error) {
	// A commit that is lost with the power is read again, so it need not be waited for.
	db, err := connect(f.path, "synchronous(normal)", "cache_size(-65536)", "wal_autocheckpoint(8192)")
	if err != nil {
		return nil, unusable(f.path, err)
	}
	db.SetMaxOpenConns(1)
	w := &writer{file: f, db: db, visits: map[visitKey]bool{}, readings: map[int64]int64{}, rows: map[visitKey]*row{}}
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(unusable(f.path, err), db.Close())
	}
	err = w.prepare(ctx)
	if err == nil {
		err = w.do.lastID.QueryRow().Scan(&w.lastID)
	}
	if err != nil {
		return nil, errors.Join(unusable(f.path, err), w.end())
	}
	return w, nil
}

// end closes what the writer holds. A statement of a single connection is not closed
// with it, and would keep its locks.
func (w *writer) end() error {
	var errs []error
	for _, s := range w.prepared {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}

func (w *writer) prepare(ctx context.Context) (err error) {
	const ofArtifact, ofRepository = `id >= ?1 * 1048576 AND id < (?1 + 1) * 1048576`, `(SELECT id FROM artifact WHERE repository = ?1 AND id IS NOT NULL)`
	d := &w.do
	w.prepared, err = prepare(ctx, w.conn, map[**sql.Stmt]string{
		&d.repository:    `SELECT id, reading, complete, exhaustive, missed, at, trust FROM repository WHERE name = ?`,
		&d.addRepository: `INSERT INTO repository (name, reading, complete, exhaustive, missed, at, trust, sum) VALUES (?, 0, 0, 0, '', 0, '', x'')`,
		&d.setRepository: `UPDATE repository SET reading = ?2, complete = ?3, exhaustive = ?4, missed = ?5, at = ?6, trust = ?7, sum = ?8 WHERE id = ?1`,
		&d.dropStrangers: `DELETE FROM stranger WHERE artifact IN ` + ofRepository,

		&d.artifact: `SELECT coalesce(id, 0), read, manifest, substr(missed, 1, 4096), listed, sum FROM artifact WHERE repository = ? AND digest = ?`,
		&d.lastID:   `SELECT coalesce(max(id), 0) FROM artifact WHERE id IS NOT NULL`,
		&d.setArtifact: `INSERT INTO artifact (repository, digest, id, consulted, read, manifest, missed, listed, sum) VALUES (?1, ?2, nullif(?3, 0), 0, ?4, ?5, ?6, ?7, ?8)
			ON CONFLICT (repository, digest) DO UPDATE SET id = excluded.id, read = excluded.read, manifest = excluded.manifest, missed = excluded.missed, listed = excluded.listed, sum = excluded.sum`,
		&d.addLead: `INSERT INTO artifact (repository, digest, id, consulted, read, manifest, missed, listed, sum) VALUES (?1, ?2, NULL, ?3, 0, 0, '', x'', x'')
			ON CONFLICT (repository, digest) DO UPDATE SET consulted = 0 WHERE consulted AND NOT excluded.consulted`,

		&d.attestations:    `SELECT id, manifest FROM attestation WHERE ` + ofArtifact,
		&d.bundles:         `SELECT id, ` + bounded("bundle") + ` FROM attestation WHERE ` + ofArtifact,
		&d.addAttestation:  `INSERT INTO attestation (id, manifest, note, bundle, sum) VALUES (?, ?, ?, ?, ?)`,
		&d.dropAttestation: `DELETE FROM attestation WHERE id = ?`,

		&d.strangers:    `SELECT manifest FROM stranger WHERE artifact = ?`,
		&d.addStranger:  `INSERT OR IGNORE INTO stranger (artifact, manifest) VALUES (?, ?)`,
		&d.dropStranger: `DELETE FROM stranger WHERE artifact = ? AND manifest = ?`,

		&d.manifest:     `SELECT id FROM manifest WHERE digest = ?`,
		&d.manifestBody: `SELECT ` + bounded("body") + ` FROM manifest WHERE id = ?`,
		&d.addManifest:  `INSERT INTO manifest (digest, body) VALUES (?, ?)`,
		&d.shared:       `SELECT count(*) > 1 FROM artifact WHERE manifest = ?`,
		&d.dropManifest: `DELETE FROM manifest WHERE id = ?`,

		&d.addHint:  `INSERT OR IGNORE INTO hint (key, artifact) VALUES (?, ?)`,
		&d.dropHint: `DELETE FROM hint WHERE key = ? AND artifact = ?`,
		&d.dropHeld: `DELETE FROM held WHERE repository = ?`,
		&d.addHeld:  `INSERT INTO held (repository, digest, standin, tags) VALUES (?, ?, ?, ?)`,

		&d.forgetHints:        `DELETE FROM hint WHERE artifact IN ` + ofRepository,
		&d.forgetAttestations: `DELETE FROM attestation WHERE id / 1048576 IN ` + ofRepository,
		&d.forgetStrangers:    `DELETE FROM stranger WHERE artifact IN ` + ofRepository,
		&d.forgetArtifacts:    `DELETE FROM artifact WHERE repository = ?`,
		&d.forgetRepository:   `DELETE FROM repository WHERE id = ?`,
		&d.forgetManifests:    `DELETE FROM manifest WHERE id IN (SELECT manifest FROM artifact WHERE repository = ?1) AND id NOT IN (SELECT manifest FROM artifact WHERE repository <> ?1)`,
	})
	return err
}

// exec runs a command. Commands do not end with their caller's context: half of a
// visit would be none.
func exec(s *sql.Stmt, args ...any) (sql.Result, error) {
	return s.ExecContext(context.Background(), args...)
}

// write runs f inside the open batch, or begins one. If f fails, the batch is lost
// and the writer with it: what it held is not known to be whole.
func (w *writer) write(f func() error) error {
	if w.failure != nil {
		return w.failure
	}
	if w.began.IsZero() {
		if _, err := w.conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
			return unusable(w.file.path, err)
		}
		w.began = time.Now()
	}
	if err := f(); err != nil {
		_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK") // the error is f's
		w.failure = unusable(w.file.path, err)
		w.began = time.Time{}
		return w.failure
	}
	return nil
}

// commit ends the open batch.
func (w *writer) commit() error {
	if w.failure != nil || w.began.IsZero() {
		return w.failure
	}
	w.file.step("committing")
	if _, err := w.conn.ExecContext(context.Background(), "COMMIT"); err != nil {
		_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK") // the error is COMMIT's
		w.failure = unusable(w.file.path, err)
		w.began = time.Time{}
		return w.failure
	}
	w.began, w.bytes = time.Time{}, 0
	clear(w.visits)
	w.file.step("committed")
	return nil
}

func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.commit()
	if w.failure != nil {
		err = nil // whoever was writing has heard of it
	}
	return errors.Join(err, w.end())
}

// flush writes what readers in this process are to see.
func (f *File) flush() error {
	if f.writer == nil {
		return nil
	}
	f.writer.mu.Lock()
	defer f.writer.mu.Unlock()
	return f.writer.commit()
}

// Begin begins to read a repository, or goes on with the reading that did not come
// to its end. An index that was opened for reading refuses with E_INDEX.
func (f *File) Begin(ctx context.Context, repo attest.Repository, beliefs []string, at time.Time) (lineage.Reader, error) {
	name, err := repositoryName(repo)
	if err != nil {
		return nil, err
	}
	w := f.writer
	if w == nil {
		return nil, &attest.Refusal{Code: attest.CodeIndex, About: f.path, Why: "is open for reading only"}
	}
	text := strings.Join(beliefs, "\n")
	if len(text) > maxTrust {
		return nil, attest.Refuse(attest.CodeLimit, "%d trusted keys and identities", len(beliefs))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	clear(w.rows)
	r := &reader{file: f, name: name}
	err = w.write(func() error { return w.begin(r, text, at) })
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		return nil, err
	}
	f.step("begun")
	return r, nil
}

func (w *writer) begin(r *reader, trust string, at time.Time) error {
	row, err := w.row(r.name)
	if errors.Is(err, sql.ErrNoRows) {
		var result sql.Result
		if result, err = exec(w.do.addRepository, r.name); err == nil {
			row.id, err = result.LastInsertId()
		}
	}
	if err != nil {
		return err
	}
	more := lineage.NotBelieved(believed(trust), believed(row.trust)) != ""
	// What was read while fewer were trusted is to be read again, in a new reading. Fewer
	// trusted now than then is no reason: what is kept besides is opened by nobody.
	if row.complete == row.reading || more {
		row.reading++
	}
	if more {
		if _, err := exec(w.do.dropStrangers, row.id); err != nil {
			return err
		}
	}
	row.at, row.trust = at.Unix(), trust
	r.repository, r.reading = row.id, row.reading
	w.readings[row.id] = row.reading
	return w.setRow(row)
}

// row returns a repository's row. The error is sql.ErrNoRows if there is none; then
// the row has the name alone.
func (w *writer) row(name string) (repositoryRow, error) {
	r := repositoryRow{name: name}
	err := w.do.repository.QueryRow(name).Scan(&r.id, &r.reading, &r.complete, &r.exhaustive, &r.missed, &r.at, &r.trust)
	return r, err
}

func (w *writer) setRow(r repositoryRow) error {
	_, err := exec(w.do.setRepository, r.id, r.reading, r.complete, r.exhaustive, r.missed, r.at, r.trust, r.sum())
	return err
}
