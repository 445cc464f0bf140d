package index

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Status says what an index has of one repository.
type Status struct {
	Repository string    `json:"repository"`
	At         time.Time `json:"at"` // when the last reading began, or was last resumed
	// Complete is true if that reading came to its end.
	Complete bool `json:"complete"`
	// Exhaustive is true if the repository listed everything that evidence can be
	// attached to.
	Exhaustive   bool  `json:"exhaustive"`
	Artifacts    int   `json:"artifacts"`
	Attestations int   `json:"attestations"`
	Strangers    int   `json:"strangers"` // attestations that were passed over
	Missed       int   `json:"missed"`    // artifacts that could not be completely looked at
	Bytes        int64 `json:"bytes"`     // of the attestations, as they are kept
	Trusted      int   `json:"trusted"`   // keys and rules for identities that were believed
	// Beliefs are what was believed (lineage.Beliefs): only questions that believe no
	// more are answered.
	Beliefs []string `json:"beliefs"`
}

// ReadAt returns when the last readings of the repositories began, or were last
// resumed: the first and the last of these times.
func (f *File) ReadAt(ctx context.Context) (oldest, newest time.Time, err error) {
	all, err := f.repositories(ctx)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	for i, r := range all {
		at := time.Unix(r.at, 0).UTC()
		if i == 0 || at.Before(oldest) {
			oldest = at
		}
		if at.After(newest) {
			newest = at
		}
	}
	return oldest, newest, nil
}

// Status returns what the index has, sorted by repository, and how large its file is.
func (f *File) Status(ctx context.Context) (list []Status, size int64, err error) {
	if err := f.flush(); err != nil {
		return nil, 0, err
	}
	all, err := f.repositories(ctx)
	if err != nil {
		return nil, 0, err
	}
	list = []Status{}
	for _, r := range all {
		s := Status{Repository: r.name, At: time.Unix(r.at, 0).UTC(), Complete: r.whole(), Exhaustive: r.exhaustive, Beliefs: believed(r.trust)}
		for _, b := range s.Beliefs {
			if !strings.HasPrefix(b, "trust ") {
				s.Trusted++
			}
		}
		if err := f.ask.counts.QueryRowContext(ctx, r.id).Scan(&s.Artifacts, &s.Missed, &s.Strangers, &s.Attestations, &s.Bytes); err != nil {
			return nil, 0, f.unusable(ctx, err)
		}
		list = append(list, s)
	}
	if err := f.ask.size.QueryRowContext(ctx).Scan(&size); err != nil {
		return nil, 0, f.unusable(ctx, err)
	}
	return list, size, nil
}

// Forget removes what the index has of a repository. The error wraps
// attest.ErrAbsent if it has nothing. The file keeps its size: the room is used
// again.
func (f *File) Forget(ctx context.Context, repo attest.Repository) error {
	name, err := repositoryName(repo)
	if err != nil {
		return err
	}
	w := f.writer
	if w == nil {
		return &attest.Refusal{Code: attest.CodeIndex, About: f.path, Why: "is open for reading only"}
	}
	all, err := f.repositories(ctx)
	if err != nil {
		return err
	}
	var id int64
	for _, r := range all {
		if r.name == name {
			id = r.id
		}
	}
	if id == 0 {
		return &attest.Refusal{Code: attest.CodeNotFound, About: name, Why: "is not in the index", Err: attest.ErrAbsent}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.rows)
	err = w.write(func() error {
		// What refers to artifacts goes before them.
		d := &w.do
		for _, s := range []*sql.Stmt{d.forgetManifests, d.forgetHints, d.forgetAttestations, d.forgetStrangers, d.forgetArtifacts, d.dropHeld, d.forgetRepository} {
			if _, err := exec(s, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.commit()
}
