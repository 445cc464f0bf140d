package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A packedEntry is an entry as its row will be.
type packedEntry struct {
	lineage.Entry
	bundle []byte
	sum    []byte
}

// Put keeps what was found about an artifact. It is written with others' of the
// batch; until then nobody else sees it, and Done does not count it.
func (r *reader) Put(ctx context.Context, v lineage.Visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := r.pack(v)
	if err != nil {
		return err
	}
	var manifest []byte
	if v.Manifest != nil {
		if manifest, err = r.file.packer.deflate(v.Manifest); err != nil {
			return err
		}
	}
	w := r.file.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	p := putting{w: w, r: r, visit: v, entries: entries, packed: manifest}
	if err := w.write(p.run); err != nil {
		return err
	}
	r.file.step("put")
	w.visits[visitKey{r.repository, v.Artifact}] = true
	if len(w.visits) >= cmp.Or(r.file.options.testOnlyBatch, batchVisits) || w.bytes >= batchBytes || time.Since(w.began) >= batchTime {
		return w.commit()
	}
	return nil
}

// pack packs a visit's entries, on all processors: it is the larger part of the work,
// and needs no lock.
func (r *reader) pack(v lineage.Visit) ([]packedEntry, error) {
	digest := digestBlob(v.Artifact)
	out := make([]packedEntry, len(v.Entries))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range v.Entries {
		group.Go(func() (err error) {
			out[i] = packedEntry{Entry: e, sum: attestationSum(r.repository, digest, digestBlob(e.Manifest), e.Bundle)}
			out[i].bundle, err = r.file.packer.bundle(e.Bundle, e.Related)
			return err
		})
	}
	return out, group.Wait()
}

// putting is the work of one Put.
type putting struct {
	w       *writer
	r       *reader
	visit   lineage.Visit
	entries []packedEntry
	packed  []byte // the manifest

	*row
	manifestStays bool
	gone          []int64               // rows that go
	unhinted      map[[16]byte]struct{} // hints of what goes
}

func (p *putting) run() (err error) {
	if err := p.r.current(p.w); err != nil {
		return err
	}
	if p.row, err = p.r.row(p.w, p.visit.Artifact); err != nil {
		return err
	}
	delete(p.w.rows, visitKey{p.r.repository, p.visit.Artifact})
	if p.id != 0 {
		if err := p.w.load(p.row); err != nil {
			return err
		}
	} else if len(p.entries)+len(p.visit.Strangers) > 0 || p.visit.Manifest != nil {
		p.w.lastID++
		p.id, p.kept = p.w.lastID, map[attest.Digest]int64{}
	}
	for _, step := range []func() error{p.partition, p.drop, p.putManifest, p.add, p.dropHints, p.lead} {
		if err := step(); err != nil {
			return err
		}
	}
	p.r.file.step("half")
	return p.mark()
}

// lead keeps what is to be read because of this visit.
func (p *putting) lead() error {
	for consulted, list := range [][]attest.Digest{p.visit.Leads, p.visit.Consults} {
		for _, d := range list {
			delete(p.w.rows, visitKey{p.r.repository, d})
			if _, err := exec(p.w.do.addLead, p.r.repository, digestBlob(d), consulted); err != nil {
				return err
			}
		}
	}
	return nil
}

// partition says which of what is there stays. Of an artifact that could not be
// completely looked at, everything does: what was not listed may be there.
func (p *putting) partition() error {
	stays := map[attest.Digest]bool{}
	for _, m := range p.visit.Kept {
		if m == p.visit.Artifact && p.manifest != 0 {
			p.manifestStays = true
			continue
		}
		_, kept := p.kept[m]
		_, passed := p.strangers[m]
		if !kept && !passed {
			return &attest.Refusal{Code: attest.CodeInternal, About: m.String(), Why: "was to be kept, and is not in the index"}
		}
		stays[m] = true
	}
	again := map[attest.Digest]bool{}
	for _, e := range p.entries {
		again[e.Manifest] = true
	}
	for _, m := range p.visit.Strangers {
		again[m] = true
	}
	all := len(p.visit.Missed) > 0
	for m, row := range p.kept {
		if again[m] || !all && !stays[m] {
			p.gone = append(p.gone, row)
			delete(p.kept, m)
		}
	}
	for m := range p.strangers {
		if again[m] || !all && !stays[m] {
			if _, err := exec(p.w.do.dropStranger, p.id, digestBlob(m)); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop removes the rows that go, and finds out which hints go with them: those that
// nothing else beside the artifact gives.
func (p *putting) drop() error {
	if len(p.gone) == 0 {
		return nil
	}
	related, err := p.w.hintsOf(p.id)
	if err != nil {
		return err
	}
	p.unhinted = map[[16]byte]struct{}{}
	for _, row := range p.gone {
		for key := range related[row] {
			p.unhinted[key] = struct{}{}
		}
		delete(related, row)
		if _, err := exec(p.w.do.dropAttestation, row); err != nil {
			return err
		}
	}
	for _, keys := range related {
		for key := range keys {
			delete(p.unhinted, key)
		}
	}
	return nil
}

// hintsOf returns the hints of an artifact's attestations, by row. A row that cannot
// be read has none that could be told; they lead here for nothing.
func (w *writer) hintsOf(id int64) (map[int64]map[[16]byte]struct{}, error) {
	rows, err := w.do.bundles.Query(id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[int64]map[[16]byte]struct{}{}
	for rows.Next() {
		var row int64
		var packed []byte
		if err := rows.Scan(&row, &packed); err != nil {
			return nil, err
		}
		keys := map[[16]byte]struct{}{}
		_, related, err := w.file.packer.unbundle(packed)
		if err != nil {
			continue
		}
		for _, r := range related {
			keys[hintKey(r.Relation, r.Name)] = struct{}{}
		}
		out[row] = keys
	}
	return out, rows.Err()
}

// putManifest keeps the manifest, or forgets it if the repository has it no more.
func (p *putting) putManifest() error {
	switch {
	case p.visit.Manifest != nil && p.manifest == 0:
		err := p.w.do.manifest.QueryRow(p.digest).Scan(&p.manifest)
		if errors.Is(err, sql.ErrNoRows) {
			p.w.bytes += len(p.packed)
			var result sql.Result
			if result, err = exec(p.w.do.addManifest, p.digest, p.packed); err == nil {
				p.manifest, err = result.LastInsertId()
			}
		}
		if err != nil {
			return err
		}
		for _, f := range p.visit.Files {
			if err := p.hint(hintKey(lineage.HasFile, f.Digest.String())); err != nil {
				return err
			}
		}
	case p.visit.Manifest == nil && p.manifest != 0 && !p.manifestStays && p.visit.ManifestMissed == "":
		return p.loseManifest()
	}
	return nil
}

func (p *putting) loseManifest() error {
	var packed []byte
	if err := p.w.do.manifestBody.QueryRow(p.manifest).Scan(&packed); err != nil {
		return err
	}
	// One that cannot be read has no files; then their hints lead here for nothing.
	if body, err := p.w.file.packer.inflate(packed); err == nil {
		if m, err := attest.ParseManifest(body); err == nil {
			if p.unhinted == nil {
				p.unhinted = map[[16]byte]struct{}{}
			}
			for _, f := range m.Files {
				p.unhinted[hintKey(lineage.HasFile, f.Digest.String())] = struct{}{}
			}
		}
	}
	var shared bool
	if err := p.w.do.shared.QueryRow(p.manifest).Scan(&shared); err != nil {
		return err
	}
	if !shared {
		if _, err := exec(p.w.do.dropManifest, p.manifest); err != nil {
			return err
		}
	}
	p.manifest = 0
	return nil
}

func (p *putting) hint(key [16]byte) error {
	delete(p.unhinted, key)
	_, err := exec(p.w.do.addHint, key[:], p.id)
	return err
}

// add writes what is new.
func (p *putting) add() error {
	next := p.id * perArtifact
	for _, row := range p.kept {
		next = max(next, row+1)
	}
	for _, row := range p.gone {
		next = max(next, row+1)
	}
	for _, e := range p.entries {
		if _, twice := p.kept[e.Manifest]; twice {
			continue // listed twice, it is one attestation
		}
		if next >= (p.id+1)*perArtifact {
			return attest.Refuse(attest.CodeLimit, "more than %d attestations of one artifact", perArtifact)
		}
		if _, err := exec(p.w.do.addAttestation, next, digestBlob(e.Manifest), e.Note, e.bundle, e.sum); err != nil {
			return err
		}
		for _, r := range e.Related {
			if err := p.hint(hintKey(r.Relation, r.Name)); err != nil {
				return err
			}
		}
		p.kept[e.Manifest] = next
		p.w.bytes += len(e.bundle)
		next++
	}
	for _, m := range p.visit.Strangers {
		if _, both := p.kept[m]; both {
			continue // somebody trusted signed it after all
		}
		if _, err := exec(p.w.do.addStranger, p.id, digestBlob(m)); err != nil {
			return err
		}
	}
	return nil
}

func (p *putting) dropHints() error {
	for key := range p.unhinted {
		if _, err := exec(p.w.do.dropHint, key[:], p.id); err != nil {
			return err
		}
	}
	return nil
}

// mark writes the artifact's row: it was read in this reading, and this is there.
func (p *putting) mark() error {
	manifests := make([][]byte, 0, len(p.kept))
	for m := range p.kept {
		manifests = append(manifests, digestBlob(m))
	}
	row := p.artifactRow
	row.read, row.missed, row.listed = p.r.reading, missedText(p.visit.Missed, p.visit.ManifestMissed), listedSum(manifests)
	_, err := exec(p.w.do.setArtifact, row.repository, row.digest, row.id, row.read, row.manifest, row.missed, row.listed, row.sum())
	return err
}

// listed returns what the index has of an artifact, by manifest: the attestations'
// rows, and the strangers.
func (w *writer) listed(id int64) (kept map[attest.Digest]int64, strangers map[attest.Digest]struct{}, err error) {
	kept, strangers = map[attest.Digest]int64{}, map[attest.Digest]struct{}{}
	err = each(w.do.attestations, id, func(rows *sql.Rows) error {
		var row int64
		var b []byte
		if err := rows.Scan(&row, &b); err != nil {
			return err
		}
		m, err := blobDigest(b)
		if err != nil {
			return err
		}
		if _, twice := kept[m]; twice {
			return fmt.Errorf("%w: %s is there twice", errDamaged, m)
		}
		kept[m] = row
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = each(w.do.strangers, id, func(rows *sql.Rows) error {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return err
		}
		m, err := blobDigest(b)
		strangers[m] = struct{}{}
		return err
	})
	return kept, strangers, err
}

// each calls f for each row of a statement about an artifact.
func each(s *sql.Stmt, id int64, f func(*sql.Rows) error) error {
	rows, err := s.Query(id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
