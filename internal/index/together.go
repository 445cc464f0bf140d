package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A together is several repositories as one source: a walk asks all of them about
// each artifact, and most have nothing, so that asking is most of the time.
type together struct {
	file  *File
	names []string
	list  string // the names, as JSON
	err   error
}

// Together returns what the index has of some repositories, as one source. It answers
// what their sources answer, one after the other.
func (f *File) Together(repos []attest.Repository) verify.Source {
	t := together{file: f}
	for _, r := range repos {
		name, err := repositoryName(r)
		if err != nil {
			return together{err: err}
		}
		t.names = append(t.names, name)
	}
	list, err := json.Marshal(t.names)
	t.list, t.err = string(list), err
	return t
}

const togetherFrom = `json_each(?1) n JOIN repository r ON r.name = n.value LEFT JOIN artifact a ON a.repository = r.id AND a.digest = ?2`

func togetherText() string {
	return `SELECT n.key, ` + standing + `, t.id, iif(length(t.manifest) < 65, t.manifest, x''), iif(length(t.note) < 65, t.note, NULL), ` + bounded("t.bundle") + `, t.sum
		FROM ` + togetherFrom + ` LEFT JOIN attestation t ON t.id >= a.id * ` + fmt.Sprint(perArtifact) + ` AND t.id < (a.id + 1) * ` + fmt.Sprint(perArtifact)
}

func togetherManifestText() string {
	return `SELECT n.key, ` + standing + `, ` + bounded("m.body") + ` FROM ` + togetherFrom + ` LEFT JOIN manifest m ON m.id = a.manifest`
}

// Attestations yields what [File.Source] of each repository yields.
func (t together) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	if t.err != nil {
		return t.err
	}
	if err := t.file.flush(); err != nil {
		return err
	}
	rows, err := t.file.ask.together.QueryContext(ctx, t.list, digestBlob(d))
	if err != nil {
		return t.file.unusable(ctx, err)
	}
	defer rows.Close()
	places := make([]place, len(t.names))
	manifests := make([][][]byte, len(t.names))
	for rows.Next() {
		var i int
		var p place
		var r attestationRow
		if err := rows.Scan(append(append([]any{&i}, p.columns()...), &r.id, &r.manifest, &r.note, &r.bundle, &r.sum)...); err != nil {
			return t.file.unusable(ctx, err)
		}
		if i < 0 || i >= len(places) {
			return t.file.damaged() // unreachable: it is the number in the list
		}
		places[i] = p
		if !r.id.Valid || p.nothing() {
			continue // the artifact has none, or none any more
		}
		manifests[i] = append(manifests[i], r.manifest)
		if !yield(t.file.attached(&r, p.repository.id, digestBlob(d))) {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return t.file.unusable(ctx, err)
	}
	var last error
	for i := range places {
		err := t.of(i).ended(&places[i], manifests[i], d, yield)
		if err != nil && last != nil && !yield(attest.Attached{Err: last}) {
			return nil
		}
		if err != nil {
			last = err
		}
	}
	return last
}

// of is one of the repositories by itself.
func (t together) of(i int) source { return source{file: t.file, name: t.names[i]} }

// Manifest returns the manifest of an artifact from the first repository that has it.
func (t together) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if t.err != nil {
		return nil, t.err
	}
	if err := t.file.flush(); err != nil {
		return nil, err
	}
	rows, err := t.file.ask.togetherManifest.QueryContext(ctx, t.list, digestBlob(d))
	if err != nil {
		return nil, t.file.unusable(ctx, err)
	}
	defer rows.Close()
	places := make([]place, len(t.names))
	for rows.Next() {
		var i int
		var p place
		var packed []byte
		if err := rows.Scan(append(append([]any{&i}, p.columns()...), &packed)...); err != nil {
			return nil, t.file.unusable(ctx, err)
		}
		if i < 0 || i >= len(places) {
			return nil, t.file.damaged() // unreachable: it is the number in the list
		}
		if p.manifest != 0 {
			return t.of(i).manifest(&p, packed, d)
		}
		places[i] = p
	}
	if err := rows.Err(); err != nil {
		return nil, t.file.unusable(ctx, err)
	}
	for i := range places {
		if _, err := t.of(i).manifest(&places[i], nil, d); !errors.Is(err, attest.ErrAbsent) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", d, attest.ErrAbsent)
}

// maxMissed bounds the gaps that are told one by one: a repository that answered
// nothing has one for each artifact.
const maxMissed = 10_000

const missedAtText = `SELECT a.digest, a.missed FROM json_each(?1) n JOIN repository r ON r.name = n.value JOIN artifact a ON a.repository = r.id WHERE a.missed <> ''
	UNION ALL SELECT NULL, r.missed FROM json_each(?1) n JOIN repository r ON r.name = n.value WHERE r.missed <> '' LIMIT 10000`

// Missed returns what could not be looked at when the repositories were read, as the
// report of the crawl did.
func (f *File) Missed(ctx context.Context, repos []attest.Repository) ([]lineage.Gap, error) {
	t, ok := f.Together(repos).(together)
	if !ok || t.err != nil {
		return nil, t.err
	}
	if err := f.flush(); err != nil {
		return nil, err
	}
	rows, err := f.ask.missedAt.QueryContext(ctx, t.list)
	if err != nil {
		return nil, f.unusable(ctx, err)
	}
	defer rows.Close()
	var out []lineage.Gap
	for rows.Next() {
		var digest []byte
		var text string
		if err := rows.Scan(&digest, &text); err != nil {
			return nil, f.unusable(ctx, err)
		}
		var d attest.Digest
		if digest != nil {
			if d, err = blobDigest(digest); err != nil {
				return nil, f.damaged()
			}
		}
		codes, manifest, err := missedCodes(text)
		if err != nil {
			return nil, f.damaged()
		}
		if manifest != "" {
			codes = append(codes, manifest)
		}
		for _, c := range codes {
			out = append(out, lineage.Gap{Artifact: d, Code: c})
		}
		if len(out) >= maxMissed {
			out = append(out, lineage.Gap{Code: attest.CodeLimit})
			break
		}
	}
	if err := rows.Err(); err != nil {
		return nil, f.unusable(ctx, err)
	}
	return out, nil
}
