package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// questions are the statements that readers use. Each question is one statement, so
// that its answer is of one moment, whatever a writer does meanwhile.
type questions struct {
	repositories, attestations, manifest, find, whole, missed, held, artifacts   *sql.Stmt
	counts, size, findAny, gather, gatherManifests, gatherHeld, gatherRepository *sql.Stmt
	together, togetherManifest, missedAt                                         *sql.Stmt
}

// prepareQuestions prepares them; they are closed with db.
func prepareQuestions(ctx context.Context, db *sql.DB) (questions, error) {
	var q questions
	_, err := prepare(ctx, db, map[**sql.Stmt]string{
		&q.repositories: fmt.Sprintf(`SELECT id, name, reading, complete, exhaustive, substr(missed, 1, 4096), at, substr(trust, 1, %d), sum FROM repository ORDER BY name LIMIT 100000`, maxTrust),
		&q.attestations: `SELECT ` + standing + `, t.id, iif(length(t.manifest) < 65, t.manifest, x''), iif(length(t.note) < 65, t.note, NULL), ` + bounded("t.bundle") + `, t.sum
			FROM ` + standingFrom + ` LEFT JOIN attestation t ON t.id >= a.id * ` + fmt.Sprint(perArtifact) + ` AND t.id < (a.id + 1) * ` + fmt.Sprint(perArtifact) + ` WHERE r.name = ?1`,
		&q.manifest:         `SELECT ` + standing + `, ` + bounded("m.body") + ` FROM ` + standingFrom + ` LEFT JOIN manifest m ON m.id = a.manifest WHERE r.name = ?1`,
		&q.find:             `SELECT DISTINCT a.digest FROM hint h JOIN artifact a ON a.id = h.artifact WHERE h.key = ? ORDER BY a.digest`,
		&q.findAny:          `SELECT DISTINCT a.digest FROM json_each(?) j CROSS JOIN hint h ON h.key = unhex(j.value) CROSS JOIN artifact a ON a.id = h.artifact ORDER BY a.digest`,
		&q.gather:           gatherText(),
		&q.gatherManifests:  gatherManifestsText(),
		&q.gatherHeld:       gatherHeldText,
		&q.gatherRepository: gatherRepositoryText,
		&q.whole:            `SELECT count(*), (SELECT r.name FROM repository r WHERE r.complete <> r.reading ORDER BY r.name LIMIT 1) FROM repository`,
		&q.missed:           `SELECT DISTINCT missed FROM artifact WHERE missed <> '' UNION SELECT missed FROM repository WHERE missed <> '' LIMIT 1000`,
		&q.held:             `SELECT h.digest, h.standin, substr(h.tags, 1, 1048576) FROM held h JOIN repository r ON r.id = h.repository WHERE r.name = ? ORDER BY h.digest`,
		&q.artifacts:        `SELECT digest FROM artifact WHERE repository = ? AND consulted = ? ORDER BY digest`,
		&q.counts: `SELECT (SELECT count(*) FROM artifact WHERE repository = ?1 AND read <> 0), (SELECT count(*) FROM artifact WHERE repository = ?1 AND missed <> ''),
			(SELECT count(*) FROM stranger s JOIN artifact a ON a.id = s.artifact WHERE a.repository = ?1), n, b
			FROM (SELECT count(*) n, coalesce(sum(length(t.bundle)), 0) b FROM artifact a CROSS JOIN attestation t ON t.id >= a.id * ` + fmt.Sprint(perArtifact) + ` AND t.id < (a.id + 1) * ` + fmt.Sprint(perArtifact) + ` WHERE a.repository = ?1)`,
		&q.missedAt: missedAtText, &q.together: togetherText(), &q.togetherManifest: togetherManifestText(),
		&q.size: `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`,
	})
	return q, err
}

// bounded keeps a value from being read that is larger than anything we wrote.
func bounded(column string) string {
	return fmt.Sprintf("iif(length(%s) <= %d, %s, NULL)", column, maxPacked, column)
}

// preparer is a *sql.DB or a *sql.Conn.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// prepare prepares statements, and returns what was prepared, also with an error.
func prepare(ctx context.Context, p preparer, statements map[**sql.Stmt]string) ([]*sql.Stmt, error) {
	var done []*sql.Stmt
	for s, text := range statements {
		var err error
		if *s, err = p.PrepareContext(ctx, text); err != nil {
			return done, err
		}
		done = append(done, *s)
	}
	return done, nil
}

// standing is how a repository and an artifact in it stand; see place.
const standing = `r.id, r.reading, r.complete, r.exhaustive, coalesce(a.id, 0), coalesce(a.read, 0), coalesce(a.manifest, 0), coalesce(substr(a.missed, 1, 4096), ''), a.listed, a.sum,
	EXISTS (SELECT 1 FROM held h WHERE h.repository = r.id AND h.digest = ?2)`

const standingFrom = `repository r LEFT JOIN artifact a ON a.repository = r.id AND a.digest = ?2`

// A place is an artifact in a repository, as far as the index has read it.
type place struct {
	repository repositoryRow
	artifactRow
	rowSum []byte
	held   bool
}

func (p *place) columns() []any {
	r := &p.repository
	return []any{&r.id, &r.reading, &r.complete, &r.exhaustive, &p.id, &p.read, &p.manifest, &p.missed, &p.listed, &p.rowSum, &p.held}
}

// asked returns nil if the repository was asked about the artifact in its last
// reading, whatever came of it.
func (p *place) asked(f *File, name string, d attest.Digest) error {
	refusal := func(why string) error {
		return &attest.Refusal{Code: attest.CodeIndex, About: d.String(), Why: name + " " + why, Next: syncAgain(f.path, "")}
	}
	if p.repository.id == 0 {
		return &attest.Refusal{Code: attest.CodeIndex, About: name, Why: "is not in the index", Next: syncAgain(f.path, name)}
	}
	if p.read == p.repository.reading {
		p.artifactRow.repository, p.digest = p.repository.id, digestBlob(d)
		if !p.intact(p.rowSum) {
			return f.damaged()
		}
		return nil
	}
	if p.repository.complete != p.repository.reading {
		return refusal("was not read to the end")
	}
	return refusal("was not asked about it")
}

// nothing reports whether nobody had to ask about the artifact: the repository was
// read to its end, lists everything, and did not list it.
func (p *place) nothing() bool {
	r := p.repository
	return r.id != 0 && p.read != r.reading && r.complete == r.reading && r.exhaustive && !p.held
}

// lookedAt is an error for each code of what could not be looked at.
func lookedAt(codes []attest.Code, name, about string) []error {
	var out []error
	for _, c := range codes {
		out = append(out, &attest.Refusal{Code: c, About: about, Why: "something could not be looked at in " + name + " when the index was synchronised", Next: "pedigree index sync --index FILE, with the --policy or --key of the question"})
	}
	return out
}

// syncAgain is the command that makes the index whole: of one repository, or of all.
func syncAgain(path, name string) string {
	if name != "" {
		name += " "
	}
	return "pedigree index sync " + name + "--index " + path + ", with the --policy or --key of the question"
}

func (f *File) damaged() error { return unusable(f.path, errDamaged) }

// A source is one repository of an index.
type source struct {
	file *File
	name string
	err  error // why it has no name
}

// Source returns what the index has of one repository. Its errors are E_INDEX where
// the index cannot know what the repository has: it was not read into the index, or
// not to its end; or nobody asked about the artifact, and the repository cannot list
// everything it holds. What could not be looked at when the repository was read is
// yielded with the code of then.
func (f *File) Source(repo attest.Repository) verify.Source {
	name, err := repositoryName(repo)
	return source{f, name, err}
}

// Attestations yields the attestations that trusted credentials signed, with their
// notes, in no particular order.
func (s source) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	if s.err != nil {
		return s.err
	}
	if err := s.file.flush(); err != nil {
		return err
	}
	rows, err := s.file.ask.attestations.QueryContext(ctx, s.name, digestBlob(d))
	if err != nil {
		return s.file.unusable(ctx, err)
	}
	defer rows.Close()
	var p place
	var manifests [][]byte
	for rows.Next() {
		var r attestationRow
		if err := rows.Scan(append(p.columns(), &r.id, &r.manifest, &r.note, &r.bundle, &r.sum)...); err != nil {
			return s.file.unusable(ctx, err)
		}
		if !r.id.Valid || p.nothing() {
			continue // the artifact has none, or none any more
		}
		manifests = append(manifests, r.manifest)
		if !yield(s.file.attached(&r, p.repository.id, digestBlob(d))) {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return s.file.unusable(ctx, err)
	}
	return s.ended(&p, manifests, d, yield)
}

// ended is what remains to be said of an artifact when its attestations were yielded:
// whether these are all.
func (s source) ended(p *place, manifests [][]byte, d attest.Digest, yield func(attest.Attached) bool) error {
	if p.nothing() {
		return nil
	}
	if err := p.asked(s.file, s.name, d); err != nil {
		return err
	}
	codes, _, err := missedCodes(p.missed)
	if err != nil || !bytes.Equal(listedSum(manifests), p.listed) {
		return s.file.damaged()
	}
	missed := lookedAt(codes, s.name, d.String())
	// An error has one code that decides. Whoever looks is told of each.
	for _, err := range missed[:max(0, len(missed)-1)] {
		if !yield(attest.Attached{Err: err}) {
			return nil
		}
	}
	if len(missed) > 0 {
		return missed[len(missed)-1]
	}
	return nil
}

// An attestationRow is a row of that table; all NULL where there is none.
type attestationRow struct {
	id                          sql.NullInt64
	manifest, note, bundle, sum []byte
}

// attached reads an attestation, or says why it cannot be read.
func (f *File) attached(r *attestationRow, repository int64, artifact []byte) attest.Attached {
	m, err := blobDigest(r.manifest)
	if err != nil {
		return attest.Attached{Err: f.damaged()}
	}
	bundle, related, err := f.packer.unbundle(r.bundle)
	if err != nil || !bytes.Equal(attestationSum(repository, artifact, r.manifest, bundle), r.sum) {
		return attest.Attached{Manifest: m, Err: f.damaged()}
	}
	a := attest.Attached{Manifest: m, Bundle: bundle, Note: r.note}
	for _, h := range related {
		if h.Relation == lineage.OfType {
			a.PredicateType = h.Name
		}
	}
	return a
}

// Manifest returns the manifest of an artifact.
func (s source) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := s.file.flush(); err != nil {
		return nil, err
	}
	var p place
	var packed []byte
	err := s.file.ask.manifest.QueryRowContext(ctx, s.name, digestBlob(d)).Scan(append(p.columns(), &packed)...)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, s.file.unusable(ctx, err)
	}
	return s.manifest(&p, packed, d)
}

// manifest returns what is known of the manifest of an artifact.
func (s source) manifest(p *place, packed []byte, d attest.Digest) ([]byte, error) {
	if p.manifest != 0 {
		// Bytes with the right digest are the right bytes, whenever they were read.
		b, err := s.file.packer.inflate(packed)
		if err != nil || attest.SHA256(b) != d {
			return nil, s.file.damaged()
		}
		return b, nil
	}
	if err := p.asked(s.file, s.name, d); err != nil {
		return nil, err
	}
	switch _, missed, err := missedCodes(p.missed); {
	case err != nil:
		return nil, s.file.damaged()
	case missed != "":
		return nil, lookedAt([]attest.Code{missed}, s.name, d.String())[0]
	}
	return nil, fmt.Errorf("%s in %s: %w", d, s.name, attest.ErrAbsent)
}
