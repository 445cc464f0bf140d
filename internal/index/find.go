package index

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Find yields the artifacts that a name leads to. The error is E_INDEX if nothing
// was read into the index, or some repository not to its end, and has the codes of
// what could not be looked at in the last readings: there may be more.
func (f *File) Find(ctx context.Context, r lineage.Relation, name string, yield func(attest.Digest) bool) error {
	if err := f.flush(); err != nil {
		return err
	}
	key := hintKey(r, name)
	found, err := f.digests(ctx, f.ask.find, key[:])
	for _, d := range found {
		if !yield(d) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return f.whole(ctx)
}

// whole returns nil if all of the index was read to the end, and nothing missed.
func (f *File) whole(ctx context.Context) error {
	var repositories int
	var behind sql.NullString
	switch err := f.ask.whole.QueryRowContext(ctx).Scan(&repositories, &behind); {
	case err != nil:
		return f.unusable(ctx, err)
	case repositories == 0:
		return f.empty()
	case behind.Valid:
		return &attest.Refusal{Code: attest.CodeIndex, About: behind.String, Why: "was not read into the index to its end: there may be more", Next: syncAgain(f.path, behind.String)}
	}
	rows, err := f.ask.missed.QueryContext(ctx)
	if err != nil {
		return f.unusable(ctx, err)
	}
	defer rows.Close()
	var all []attest.Code
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return f.unusable(ctx, err)
		}
		codes, manifest, err := missedCodes(text)
		if err != nil {
			return f.damaged()
		}
		if all = append(all, codes...); manifest != "" {
			all = append(all, manifest)
		}
	}
	if err := rows.Err(); err != nil {
		return f.unusable(ctx, err)
	}
	slices.Sort(all)
	return errors.Join(lookedAt(slices.Compact(all), "some repository", f.path)...)
}

// digests returns the digests of a statement's rows. They are all read before
// anybody sees one: who is led to an artifact asks the index about it.
func (f *File) digests(ctx context.Context, s *sql.Stmt, args ...any) ([]attest.Digest, error) {
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, f.unusable(ctx, err)
	}
	defer rows.Close()
	var out []attest.Digest
	for rows.Next() {
		var b sql.RawBytes
		if err := rows.Scan(&b); err != nil {
			return out, f.unusable(ctx, err)
		}
		d, err := blobDigest(b)
		if err != nil {
			return out, f.damaged()
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return out, f.unusable(ctx, err)
	}
	return out, nil
}

// Held yields what a repository listed when it was last read to the end. The error
// is E_INDEX if it is not in the index, or was not read to its end since, and has the
// codes of why it could not list all.
func (f *File) Held(ctx context.Context, repo attest.Repository, yield func(attest.Held) bool) error {
	name, err := repositoryName(repo)
	if err != nil {
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	all, err := f.repositories(ctx)
	if err != nil {
		return err
	}
	held, err := f.heldRows(ctx, name)
	for _, h := range held {
		if !yield(h) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.name == name && r.whole() {
			codes, _, err := missedCodes(r.missed)
			if err != nil {
				return f.damaged()
			}
			return errors.Join(lookedAt(codes, name, name)...)
		}
	}
	return &attest.Refusal{Code: attest.CodeIndex, About: name, Why: "was not read into the index to its end", Next: syncAgain(f.path, name)}
}

func (f *File) heldRows(ctx context.Context, name string) ([]attest.Held, error) {
	rows, err := f.ask.held.QueryContext(ctx, name)
	if err != nil {
		return nil, f.unusable(ctx, err)
	}
	defer rows.Close()
	var out []attest.Held
	for rows.Next() {
		var digest []byte
		var standIn int64
		var tags string
		if err := rows.Scan(&digest, &standIn, &tags); err != nil {
			return out, f.unusable(ctx, err)
		}
		h, err := heldRow(digest, standIn, tags)
		if err != nil {
			return out, f.damaged()
		}
		out = append(out, h)
	}
	if err := rows.Err(); err != nil {
		return out, f.unusable(ctx, err)
	}
	return out, nil
}
