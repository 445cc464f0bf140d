package index

import (
	"context"
	"database/sql"
	"errors"

	"github.com/pedigree-ml/pedigree/attest"
)

// A reader is one reading of one repository.
type reader struct {
	file       *File
	name       string
	repository int64 // its row
	reading    int64
}

// current refuses a reading after which another was begun: it trusted others.
func (r *reader) current(w *writer) error {
	if w.readings[r.repository] != r.reading {
		return attest.Refuse(attest.CodeIndex, "another reading of %s was begun meanwhile", r.name)
	}
	return nil
}

// Artifacts yields what the index has of the repository, and what that leads to.
func (r *reader) Artifacts(ctx context.Context, yield func(d attest.Digest, consulted bool) bool) error {
	if err := r.file.flush(); err != nil {
		return err
	}
	// One after the other: whoever hears of an artifact puts what is found there.
	for _, consulted := range []bool{false, true} {
		all, err := r.file.digests(ctx, r.file.ask.artifacts, r.repository, consulted)
		if err != nil {
			return err
		}
		for _, d := range all {
			if !yield(d, consulted) {
				return nil
			}
		}
	}
	return nil
}

// A row is an artifact's row with what belongs to it.
type row struct {
	artifactRow
	loaded    bool
	kept      map[attest.Digest]int64    // the rows of its attestations, by manifest
	strangers map[attest.Digest]struct{} // those that were passed over
}

// row returns an artifact's row. Who reads asks for it several times before it is put.
func (r *reader) row(w *writer, d attest.Digest) (*row, error) {
	key := visitKey{r.repository, d}
	if found := w.rows[key]; found != nil {
		return found, nil
	}
	found := &row{artifactRow: artifactRow{repository: r.repository, digest: digestBlob(d)}}
	var sum []byte
	err := w.do.artifact.QueryRow(r.repository, found.digest).Scan(&found.id, &found.read, &found.manifest, &found.missed, &found.listed, &sum)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return nil, err
	case !found.intact(sum):
		return nil, errDamaged
	}
	if len(w.rows) > 1024 { // a crawl has a handful under way
		clear(w.rows)
	}
	w.rows[key] = found
	return found, nil
}

// load reads what belongs to a row.
func (w *writer) load(r *row) (err error) {
	if !r.loaded {
		r.kept, r.strangers, err = w.listed(r.id)
		r.loaded = err == nil
	}
	return err
}

// seen returns an artifact's row for whoever reads. What is said here is written: an
// artifact of the open batch is written first.
func (r *reader) seen(ctx context.Context, d attest.Digest) (*row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := r.file.writer
	if w.visits[visitKey{r.repository, d}] {
		if err := w.commit(); err != nil {
			return nil, err
		}
	}
	if w.failure != nil {
		return nil, w.failure
	}
	found, err := r.row(w, d)
	if err != nil {
		return nil, unusable(r.file.path, err)
	}
	return found, nil
}

// A visitKey is an artifact in a repository.
type visitKey struct {
	repository int64
	artifact   attest.Digest
}

// Done reports whether the artifact was read in this reading, with nothing missed,
// and that is written.
func (r *reader) Done(ctx context.Context, d attest.Digest) (bool, error) {
	w := r.file.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := r.seen(ctx, d)
	return err == nil && s.read == r.reading && s.missed == "", err
}

// Known returns what need not be fetched again.
func (r *reader) Known(ctx context.Context, d attest.Digest) (map[attest.Digest]bool, error) {
	w := r.file.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := r.seen(ctx, d)
	if err != nil {
		return nil, err
	}
	out := map[attest.Digest]bool{}
	if s.id == 0 {
		return out, nil // there is nothing of it
	}
	if s.manifest != 0 {
		out[d] = true
	}
	if err := w.load(s); err != nil {
		return nil, unusable(r.file.path, err)
	}
	for m := range s.strangers {
		out[m] = false
	}
	for m := range s.kept {
		out[m] = true
	}
	return out, nil
}

// Finish ends the reading: the repository was read to its end. It is refused with
// E_INDEX if another reading of the repository was begun since.
func (r *reader) Finish(ctx context.Context, held []attest.Held, exhaustive bool, missed []attest.Code) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := r.file.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.write(func() error {
		if _, err := exec(w.do.dropHeld, r.repository); err != nil {
			return err
		}
		for _, h := range held {
			tags, err := tagsText(h.Tags)
			if err != nil {
				return err
			}
			if _, err := exec(w.do.addHeld, r.repository, digestBlob(h.Digest), h.StandIn, tags); err != nil {
				return err
			}
		}
		row, err := w.row(r.name)
		if err != nil {
			return err
		}
		if err := r.current(w); err != nil {
			return err
		}
		row.complete, row.exhaustive, row.missed = r.reading, exhaustive, missedText(missed, "")
		return w.setRow(row)
	})
	if err != nil {
		return err
	}
	return w.commit()
}
