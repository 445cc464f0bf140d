package tufsource

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Limits of one look at a repository. Sigstore's public repository has a root of 5 kB, a
// timestamp of 1 kB, a snapshot of 1 kB and targets of 5 kB; the numbers are go-tuf's.
const (
	maxRoot        = 512_000
	maxTimestamp   = 16_384
	maxSnapshot    = 2_000_000
	maxTargets     = 5_000_000
	maxTarget      = 1 << 20 // what trust.Load reads
	maxRotations   = 256
	maxDelegations = 32
)

// A getter returns a file of the repository by its escaped name; errAbsent if it says
// that there is none. Nil stands for a repository that is not asked.
type getter func(name string, most int64) ([]byte, error)

// A workflow is one run of the TUF client workflow (specification, section 5).
type workflow struct {
	trusted *trustedmetadata.TrustedMetadata
	get     getter
	last    *kept // what was good before; verified again here
	next    *kept
	now     time.Time
}

// update verifies what a repository says, beginning with the source's root and with what
// was good before. Without a getter it verifies only the latter, whose time may be over.
func update(src trust.TUFSource, last *kept, get getter, now time.Time) (_ *kept, err error) {
	// go-tuf takes it for granted that signed documents have all their parts. Whoever has
	// stolen a role's key can sign one that has not.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its metadata lacks a part: %v", p)
		}
	}()
	if last == nil {
		last = &kept{}
	}
	w := &workflow{get: get, last: last, next: &kept{Targets: map[string][]byte{}}, now: now}
	if w.trusted, err = trustedmetadata.New(src.Root); err != nil {
		return nil, fmt.Errorf("the initial root: %w", err)
	}
	if w.trusted.RefTime = now.UTC(); get == nil {
		w.trusted.RefTime = time.Time{} // before every end: how old it may be is for others
	}
	for _, step := range []func() error{w.roots, w.timestamp, w.snapshot} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	info, err := w.find(src.Target)
	if err != nil {
		return nil, err
	}
	if err := w.target(src.Target, info); err != nil {
		return nil, err
	}
	w.next.expires = w.ends()
	return w.next, nil
}

// roots goes from the initial root to the newest, one version at a time (5.3).
func (w *workflow) roots() error {
	for _, b := range w.last.Roots {
		if _, err := w.trusted.UpdateRoot(b); err != nil {
			return err
		}
		w.next.Roots = append(w.next.Roots, b)
	}
	if w.get == nil {
		return nil
	}
	for range maxRotations {
		b, err := w.get(fmt.Sprintf("%d.root.json", w.trusted.Root.Signed.Version+1), maxRoot)
		if errors.Is(err, errAbsent) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.trusted.UpdateRoot(b); err != nil {
			return fmt.Errorf("a new root: %w", err)
		}
		w.next.Roots = append(w.next.Roots, b)
	}
	return fmt.Errorf("more than %d new roots", maxRotations)
}

// timestamp (5.4). The last one is loaded first, also if its time is over, so that go-tuf
// holds the new one's version against it; unless a new root took its key away.
func (w *workflow) timestamp() error {
	if w.last.Timestamp != nil {
		if _, err := w.trusted.UpdateTimestamp(w.last.Timestamp); w.get == nil && err != nil {
			return err
		}
	}
	w.next.Timestamp = w.last.Timestamp
	if w.get == nil {
		return nil
	}
	b, err := w.get("timestamp.json", maxTimestamp)
	if err != nil {
		return err
	}
	switch _, err := w.trusted.UpdateTimestamp(b); {
	case errors.Is(err, &metadata.ErrEqualVersionNumber{}):
		return nil // the last one stays
	case err != nil:
		return fmt.Errorf("timestamp.json: %w", err)
	}
	w.next.Timestamp = b
	return nil
}

// snapshot (5.5). The last one is loaded first for the same reason.
func (w *workflow) snapshot() error {
	if w.last.Snapshot != nil {
		_, err := w.trusted.UpdateSnapshot(w.last.Snapshot, true)
		if err == nil {
			w.next.Snapshot = w.last.Snapshot
			return nil
		}
		if w.get == nil {
			return err
		}
	}
	if w.get == nil {
		return errAbsent
	}
	info := w.trusted.Timestamp.Signed.Meta["snapshot.json"]
	b, err := w.get(w.versioned("snapshot", info.Version), bounded(info.Length, maxSnapshot))
	if err != nil {
		return err
	}
	if _, err := w.trusted.UpdateSnapshot(b, false); err != nil {
		return fmt.Errorf("snapshot.json: %w", err)
	}
	w.next.Snapshot = b
	return nil
}

// versioned is a metadata file's name in the repository. A delegated role's name is what
// its delegator chose, so it is escaped: it stays one part of the URL's path.
func (w *workflow) versioned(role string, version int64) string {
	name := url.PathEscape(role) + ".json"
	if w.trusted.Root.Signed.ConsistentSnapshot {
		return fmt.Sprintf("%d.%s", version, name)
	}
	return name
}

func bounded(stated, most int64) int64 {
	if stated <= 0 || stated > most {
		return most
	}
	return stated
}

// role loads one role of targets (5.6).
func (w *workflow) role(name, parent string) (*metadata.TargetsType, error) {
	if b := w.last.Targets[name]; b != nil {
		m, err := w.trusted.UpdateDelegatedTargets(b, name, parent)
		if err == nil {
			w.next.Targets[name] = b
			return &m.Signed, nil
		}
		if w.get == nil {
			return nil, err
		}
	}
	info := w.trusted.Snapshot.Signed.Meta[name+".json"]
	if info == nil || w.get == nil {
		return nil, fmt.Errorf("the role %s is not in the snapshot", name)
	}
	b, err := w.get(w.versioned(name, info.Version), bounded(info.Length, maxTargets))
	if err != nil {
		return nil, err
	}
	m, err := w.trusted.UpdateDelegatedTargets(b, name, parent)
	if err != nil {
		return nil, fmt.Errorf("the role %s: %w", name, err)
	}
	w.next.Targets[name] = b
	return &m.Signed, nil
}

// find looks for the target's description, in the order of the delegations (5.6.7).
func (w *workflow) find(target string) (*metadata.TargetFiles, error) {
	type visit struct{ role, parent string }
	seen := map[string]bool{}
	for stack := []visit{{metadata.TARGETS, metadata.ROOT}}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[at.role] {
			continue
		}
		if len(seen) == maxDelegations {
			return nil, fmt.Errorf("%s is not in the first %d roles", target, maxDelegations)
		}
		seen[at.role] = true
		signed, err := w.role(at.role, at.parent)
		if err != nil {
			return nil, err
		}
		if info := signed.Targets[target]; info != nil {
			return info, nil
		}
		if signed.Delegations == nil {
			continue
		}
		var below []visit
		for _, r := range signed.Delegations.GetRolesForTarget(target) {
			below = append(below, visit{r.Name, at.role})
			if r.Terminating {
				stack = nil
				break
			}
		}
		slices.Reverse(below)
		stack = append(stack, below...)
	}
	return nil, fmt.Errorf("it has no target %s", target)
}

// target gets the file itself (5.7).
func (w *workflow) target(name string, info *metadata.TargetFiles) error {
	if w.last.Target != nil && info.VerifyLengthHashes(w.last.Target) == nil {
		w.next.Target = w.last.Target
		return nil
	}
	if w.get == nil {
		return errAbsent
	}
	if info.Length > maxTarget {
		return fmt.Errorf("%s has %d bytes, at most %d are read", name, info.Length, maxTarget)
	}
	where := name
	if w.trusted.Root.Signed.ConsistentSnapshot {
		dir, base := path.Split(name)
		hash, ok := info.Hashes["sha256"]
		if !ok {
			hash = info.Hashes["sha512"]
		}
		where = dir + hex.EncodeToString(hash) + "." + base
	}
	b, err := w.get("targets/"+escaped(where), info.Length)
	if err != nil {
		return err
	}
	if err := info.VerifyLengthHashes(b); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w.next.Target = b
	return nil
}

// escaped escapes each part of a path.
func escaped(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i] = url.PathEscape(s)
	}
	return strings.Join(parts, "/")
}

// ends is when the first of the roles ends that the target rests on.
func (w *workflow) ends() time.Time {
	first := w.trusted.Root.Signed.Expires
	for _, t := range []time.Time{w.trusted.Timestamp.Signed.Expires, w.trusted.Snapshot.Signed.Expires} {
		if t.Before(first) {
			first = t
		}
	}
	for _, m := range w.trusted.Targets {
		if m.Signed.Expires.Before(first) {
			first = m.Signed.Expires
		}
	}
	return first.UTC()
}
