// Package index keeps what was read from registries in a file, so that questions
// which no single walk answers (what was made of this? what runs there?) need not
// read every registry again.
//
// # What is believed
//
// Nothing, and no more than a registry's word. A [File] is a [lineage.Store]: it
// gives back bundles, manifests, and hints where to look. Bundles are opened by
// package verify each time they are used. What saves the time of verifying each
// signature again is a note beside it, under a secret in a file of its own
// ([verify.Memory]): without the secret, or with a wrong note, everything is
// verified anew.
//
// So a file that somebody tampered with can hide things, as a registry can, and
// can make nothing up. What was damaged by accident is recognised by sums, and
// becomes a gap or a refusal with E_INDEX.
//
// # Readings
//
// A repository is read in numbered readings. What is found about one artifact is
// kept all at once, with the number of the reading. A reading that stopped goes on
// where it was; while it has not come to its end, answers about artifacts that it
// did not get to are errors, also if an earlier reading knew about them.
//
// # The file
//
// It is an SQLite database in WAL mode, with one writer, who holds a lock on
// FILE.lock, and any number of readers. It is of one version and never migrated:
// the registries are the truth, and it can be removed and made again.
package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filelock"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Options say how an index is opened. The zero Options are for reading.
type Options struct {
	// Write opens the index for readings of repositories too, makes it if there is none,
	// and keeps others from doing so until it is closed.
	Write bool

	// testOnlyStep, set by tests, hears of every point at which a process that writes
	// could be killed, and testOnlyBatch, if not 0, is how many visits are a batch.
	testOnlyStep  func(point string)
	testOnlyBatch int
}

// maxWait is how long another writer is waited for. One that reads a registry
// takes minutes, so this is for those who end just now.
const maxWait = time.Second

// A File is an open index. Its methods may be called concurrently.
type File struct {
	path    string
	db      *sql.DB // for questions
	ask     questions
	packer  *packer
	memory  *verify.Memory
	writer  *writer // nil in an index that is read only
	unlock  func()
	options Options
}

var _ lineage.Store = (*File)(nil)

// Open opens the index at path. Whoever opens it closes it.
//
// The error is E_INDEX, and says what to do, if there is none to read; if the file
// is none, or of another version, or damaged; and if another process writes to it.
// A file that is not an index is never changed.
func Open(ctx context.Context, path string, o Options) (*File, error) {
	f := &File{path: path, packer: new(packer), unlock: func() {}, options: o}
	if err := f.open(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *File) open(ctx context.Context) (err error) {
	if f.path == "" {
		return attest.Refuse(attest.CodeIndex, "no file is named")
	}
	// Before anything is made beside it: what is there may be somebody else's.
	found, err := look(ctx, f.path)
	if err != nil {
		return err
	}
	if found == nothing && !f.options.Write {
		return &attest.Refusal{Code: attest.CodeIndex, About: f.path, Why: "there is no index", Next: "make it: pedigree index sync REPO… --index FILE"}
	}
	if f.options.Write {
		if err := f.lock(ctx); err != nil {
			return err
		}
		f.step("locked")
		if err := f.prepare(ctx); err != nil {
			return err
		}
	}
	if f.db, err = connect(f.path, "query_only(1)", "cache_size(-16384)"); err != nil {
		return unusable(f.path, err)
	}
	f.db.SetMaxIdleConns(16) // as many as one walk asks at once
	if err := checkSchema(ctx, f.db); err != nil {
		return unusable(f.path, err)
	}
	if f.ask, err = prepareQuestions(ctx, f.db); err != nil {
		return unusable(f.path, err)
	}
	// What says how far everything was read is looked at once, and first.
	if _, err := f.repositories(ctx); err != nil {
		return err
	}
	f.memory = readKey(f.path)
	if f.options.Write {
		f.writer, err = newWriter(ctx, f)
	}
	return err
}

// lock takes the lock that the one writer holds.
func (f *File) lock(ctx context.Context) error {
	name := f.path + ".lock"
	wait, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	unlock, err := filelock.Lock(wait, name, 0o600)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return &attest.Refusal{Code: attest.CodeIndex, About: f.path, Why: "another process is synchronising it", Next: "wait until it is done; readers need not wait"}
	case err != nil:
		return unusable(name, err)
	}
	f.unlock = unlock
	return nil
}

// prepare makes what a writer needs and is not there.
func (f *File) prepare(ctx context.Context) error {
	// Again, behind the lock: another process may have made it meanwhile.
	found, err := look(ctx, f.path)
	if err != nil {
		return err
	}
	if found == nothing {
		if err := create(ctx, f.path); err != nil {
			return err
		}
		f.step("created")
	}
	if err := makeKey(f.path); err != nil {
		return err
	}
	f.step("made")
	return nil
}

// Close ends the use of the index. What a reading put into it and was not yet
// written is written. The error is that of writing.
func (f *File) Close() error {
	var errs []error
	if f.writer != nil {
		errs = append(errs, f.writer.close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	f.unlock()
	f.unlock = func() {}
	if err := errors.Join(errs...); err != nil {
		return unusable(f.path, err)
	}
	return nil
}

func (f *File) step(point string) {
	if f.options.testOnlyStep != nil {
		f.options.testOnlyStep(point)
	}
}

// Memory recognises what was opened when the index was synchronised; nil if the
// secret for that is not there.
func (f *File) Memory() *verify.Memory { return f.memory }

// Repositories returns the repositories that were read, or begun to be, sorted by
// their names.
func (f *File) Repositories(ctx context.Context) ([]attest.Repository, error) {
	all, err := f.repositories(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]attest.Repository, len(all))
	for i, r := range all {
		out[i] = r.repository
	}
	return out, nil
}

// Trusted refuses with E_INDEX if some repository was not read with all of these
// believed ([lineage.Beliefs]): what they signed would be missing. It does so too if
// nothing was read at all, or under another trust.
func (f *File) Trusted(ctx context.Context, beliefs []string) error {
	all, err := f.repositories(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return f.empty()
	}
	for _, r := range all {
		switch b := lineage.NotBelieved(beliefs, believed(r.trust)); {
		case strings.HasPrefix(b, "trust "):
			return &attest.Refusal{Code: attest.CodeIndex, About: f.path,
				Why:  fmt.Sprintf("%s was read under another trust: whose signatures count, and when they were made, may differ", r.name),
				Next: "run pedigree index sync with this trust; if the question is asked without --trust, without it"}
		case b != "":
			return &attest.Refusal{Code: attest.CodeIndex, About: f.path,
				Why:  fmt.Sprintf("%s was read without trusting %s: what it signed is not here", r.name, b),
				Next: "run pedigree index sync with this policy, or with these keys, and with the same --trust"}
		}
	}
	return nil
}

func (f *File) empty() error {
	return &attest.Refusal{Code: attest.CodeIndex, About: f.path, Why: "no repository was read into it", Next: "pedigree index sync REPO… --index FILE"}
}

// A repositoryRow is a row of that table.
type repositoryRow struct {
	id, reading, complete, at int64
	exhaustive                bool
	name, trust, missed       string
	rowSum                    []byte
	repository                attest.Repository
}

// whole reports whether the last reading of it came to its end.
func (r repositoryRow) whole() bool { return r.complete == r.reading }

func (r repositoryRow) sum() []byte {
	exhaustive := int64(0)
	if r.exhaustive {
		exhaustive = 1
	}
	return sumOf([]byte("repository"), number(r.id), []byte(r.name), number(r.reading), number(r.complete), number(exhaustive), []byte(r.missed), number(r.at), []byte(r.trust))
}

// maxTrust bounds the beliefs of a row: a policy has hundreds of keys and identities at
// most, of 75 bytes, or a few hundred, each.
const maxTrust = 1 << 20

func (f *File) repositories(ctx context.Context) ([]repositoryRow, error) {
	rows, err := f.ask.repositories.QueryContext(ctx)
	if err != nil {
		return nil, f.unusable(ctx, err)
	}
	defer rows.Close()
	var out []repositoryRow
	for rows.Next() {
		var r repositoryRow
		if err := rows.Scan(&r.id, &r.name, &r.reading, &r.complete, &r.exhaustive, &r.missed, &r.at, &r.trust, &r.rowSum); err != nil {
			return nil, f.unusable(ctx, err)
		}
		if r.repository, err = attest.ParseRepository(r.name); err != nil || !bytes.Equal(r.sum(), r.rowSum) {
			return nil, f.unusable(ctx, errDamaged)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, f.unusable(ctx, err)
	}
	return out, nil
}

// unusable is an error of a question to the file.
func (f *File) unusable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unusable(f.path, err)
}
