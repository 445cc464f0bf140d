package index

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// What follows answers many questions with one statement. Asked one by one, what is
// made of a data set takes tens of thousands, and most of the time goes into asking.

// maxAtOnce is how many names are asked about in one statement.
const maxAtOnce = 1024

// ofArtifact is standing, for those artifacts of a JSON list of digests that were ever
// asked about.
const (
	ofArtifact = `j.key, coalesce(a.id, 0), a.read, a.manifest, substr(a.missed, 1, 4096), a.listed, a.sum`

	ofArtifactFrom = `json_each(?2) j CROSS JOIN artifact a ON a.repository = ?1 AND a.digest = unhex(j.value)`
)

// wanted tells whether an attestation is of one of the classes of the third
// parameter: hexadecimal bytes with a comma before each; empty: all are.
const wanted = `(?3 = '' OR instr(?3, ',' || hex(substr(t.bundle, 1, 1))) > 0)`

func gatherText() string {
	return `SELECT ` + ofArtifact + `, t.id, iif(length(t.manifest) < 65, t.manifest, x''), iif(length(t.note) < 65 AND ` + wanted + `, t.note, NULL),
		iif(` + wanted + `, ` + bounded("t.bundle") + `, NULL), t.sum, coalesce(` + wanted + `, 0)
		FROM ` + ofArtifactFrom + ` LEFT JOIN attestation t ON t.id >= a.id * ` + fmt.Sprint(perArtifact) + ` AND t.id < (a.id + 1) * ` + fmt.Sprint(perArtifact)
}

func gatherManifestsText() string {
	return `SELECT m.id, ` + bounded("m.body") + ` FROM json_each(?) j CROSS JOIN manifest m ON m.id = j.value`
}

const gatherHeldText = `SELECT h.digest FROM json_each(?2) j CROSS JOIN held h ON h.repository = ?1 AND h.digest = unhex(j.value)`

const gatherRepositoryText = `SELECT id, reading, complete, exhaustive FROM repository WHERE name = ?`

var _ lineage.ManyFinder = (*File)(nil)
var _ lineage.Gatherer = source{}

// FindAny yields the artifacts that any of the names leads to, each once for some of
// the names. The error is that of [File.Find].
func (f *File) FindAny(ctx context.Context, r lineage.Relation, names []string, yield func(attest.Digest) bool) error {
	if err := f.flush(); err != nil {
		return err
	}
	for names := range slices.Chunk(names, maxAtOnce) {
		keys := make([]string, len(names))
		for i, n := range names {
			key := hintKey(r, n)
			keys[i] = hex.EncodeToString(key[:])
		}
		found, err := f.digests(ctx, f.ask.findAny, list(keys))
		for _, d := range found {
			if !yield(d) {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
	return f.whole(ctx)
}

// list writes hexadecimal values as a JSON array.
func list(values []string) string { return `["` + strings.Join(values, `","`) + `"]` }

// A gathered source has what its source has of some artifacts, read at once.
type gathered struct {
	source
	of map[attest.Digest]*gatheredPlace
}

type gatheredPlace struct {
	place
	rows      []attestationRow // those that are wanted
	manifests [][]byte         // of all
	packed    []byte
}

// Gather returns a source that answers about some artifacts as s does, without asking
// anew, and leaves out the attestations of other types than those given; no types
// are all. About other artifacts it asks s.
func (s source) Gather(ctx context.Context, artifacts []attest.Digest, types []string) (verify.Source, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := s.file.flush(); err != nil {
		return nil, err
	}
	classes := ""
	for _, t := range types {
		classes += fmt.Sprintf(",%02X", classOf(t))
	}
	g := &gathered{s, make(map[attest.Digest]*gatheredPlace, len(artifacts))}
	// One transaction, so that all is of one moment.
	tx, err := s.file.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, s.file.unusable(ctx, err)
	}
	defer tx.Rollback() // it wrote nothing
	for some := range slices.Chunk(artifacts, maxAtOnce) {
		if err := g.gather(ctx, tx, some, classes); err != nil {
			return nil, s.file.unusable(ctx, err)
		}
	}
	return g, nil
}

// gather reads everything about some artifacts. Nothing is known of them before but
// the repository: that is the answer about those that it was never asked about.
func (g *gathered) gather(ctx context.Context, tx *sql.Tx, artifacts []attest.Digest, classes string) error {
	var r repositoryRow
	switch err := tx.StmtContext(ctx, g.file.ask.gatherRepository).QueryRowContext(ctx, g.name).Scan(&r.id, &r.reading, &r.complete, &r.exhaustive); {
	case errors.Is(err, sql.ErrNoRows):
		return nil // whoever asks is told so
	case err != nil:
		return err
	}
	places := make([]gatheredPlace, len(artifacts))
	keys := make([]string, len(artifacts))
	for i, d := range artifacts {
		keys[i] = hex.EncodeToString(digestBlob(d))
		places[i].repository = r
		g.of[d] = &places[i]
	}
	each := func(s *sql.Stmt, row func(scan func(...any) error) error, args ...any) error {
		rows, err := tx.StmtContext(ctx, s).QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := row(rows.Scan); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	err := each(g.file.ask.gather, func(scan func(...any) error) error {
		var i int
		var p place
		var a attestationRow
		var wanted bool
		if err := scan(&i, &p.id, &p.read, &p.manifest, &p.missed, &p.listed, &p.rowSum, &a.id, &a.manifest, &a.note, &a.bundle, &a.sum, &wanted); err != nil {
			return err
		}
		p.repository = r
		places[i].place = p
		if !a.id.Valid {
			return nil
		}
		places[i].manifests = append(places[i].manifests, a.manifest)
		if wanted {
			places[i].rows = append(places[i].rows, a)
		}
		return nil
	}, r.id, list(keys), classes)
	if err != nil {
		return err
	}
	// What is held was asked about, unless the reading was not to its end.
	var unread []string
	var manifests []int64
	for i := range places {
		if places[i].read != r.reading {
			unread = append(unread, keys[i])
		}
		if places[i].manifest != 0 {
			manifests = append(manifests, places[i].manifest)
		}
	}
	err = each(g.file.ask.gatherHeld, func(scan func(...any) error) error {
		var digest []byte
		if err := scan(&digest); err != nil {
			return err
		}
		d, err := blobDigest(digest)
		if err != nil {
			return err
		}
		if at := g.of[d]; at != nil {
			at.held = true
		}
		return nil
	}, r.id, list(unread))
	if err != nil {
		return err
	}
	numbers, err := json.Marshal(manifests)
	if err != nil {
		return err // unreachable: they are numbers
	}
	bodies := make(map[int64][]byte, len(manifests))
	err = each(g.file.ask.gatherManifests, func(scan func(...any) error) error {
		var id int64
		var packed []byte
		err := scan(&id, &packed)
		bodies[id] = packed
		return err
	}, string(numbers))
	for i := range places {
		places[i].packed = bodies[places[i].manifest]
	}
	return err
}

// Attestations yields what was gathered.
func (g *gathered) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	at := g.of[d]
	if at == nil {
		return g.source.Attestations(ctx, d, yield)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p := at.place // ended writes to it, and others may ask at once
	if !p.nothing() {
		for _, r := range at.rows {
			if !yield(g.file.attached(&r, p.repository.id, digestBlob(d))) {
				return nil
			}
		}
	}
	return g.ended(&p, at.manifests, d, yield)
}

// Manifest returns the manifest that was gathered.
func (g *gathered) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	at := g.of[d]
	if at == nil {
		return g.source.Manifest(ctx, d)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := at.place
	return g.manifest(&p, at.packed, d)
}
