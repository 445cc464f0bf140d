package oci

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
)

// Repository returns the repository's name.
func (v *View) Repository() attest.Repository { return v.repo.ref }

// Held yields what the repository lists by itself, sorted by digest, until yield
// returns false: what a tag or a layout's index names, the children of indexes that
// they name, and what the bookkeeping of evidence says that evidence is attached to.
//
// exhaustive is true if nothing else can have evidence attached: of a layout, whose
// index lists everything, and of a registry that has no referrers API and listed its
// tags to the end, a fallback index among them. A registry with the API may know of
// evidence beside what no tag names.
//
// An error means that there is more than was yielded. A repository that the registry
// does not know is such an error, E_NOT_FOUND: the name may be misspelt.
func (v *View) Held(ctx context.Context, yield func(attest.Held) bool) (exhaustive bool, err error) {
	list, exhaustive, err := v.repo.store.held(ctx, v.repo.opts.requestJobs())
	for _, h := range list.held() {
		if !yield(h) {
			return exhaustive && err == nil, nil
		}
	}
	return exhaustive && err == nil, err
}

// AttestationsExcept is as Attestations, but does not fetch an attestation whose
// manifest is known: it is yielded with its Manifest alone. One that is listed under
// its own tag only is fetched all the same, because nothing else tells its digest.
func (v *View) AttestationsExcept(ctx context.Context, artifact attest.Digest, known func(manifest attest.Digest) bool, yield func(attest.Attached) bool) error {
	return v.repo.attestations(ctx, artifact, known, yield)
}

// maxIndexes bounds the indexes of one repository that are read for what they list: a
// multi-platform image has one for each version.
const maxIndexes = 20_000

// An inventory is what a repository holds, while it is found out.
type inventory struct {
	mu       sync.Mutex
	tags     map[attest.Digest][]string // of manifests: what people call them
	standIns map[attest.Digest][]string // of what stand-ins stand for
	indexes  map[attest.Digest]bool     // that were read, or are being read
	over     bool
}

func newInventory() *inventory {
	return &inventory{tags: map[attest.Digest][]string{}, standIns: map[attest.Digest][]string{}, indexes: map[attest.Digest]bool{}}
}

// add notes that a manifest is held, under a tag unless that is empty.
func (l *inventory) add(d attest.Digest, tag string) { l.note(l.tags, d, tag) }

// addStandIn notes that a stand-in is held for d.
func (l *inventory) addStandIn(d attest.Digest, tag string) { l.note(l.standIns, d, tag) }

func (l *inventory) note(to map[attest.Digest][]string, d attest.Digest, tag string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := to[d]; !ok && len(l.tags)+len(l.standIns) >= maxEntries {
		l.over = true
		return
	}
	if tag == "" || IsOwnTag(tag) {
		to[d] = append(to[d], []string{}...)
		return
	}
	to[d] = append(to[d], tag)
}

// enter reports whether an index has to be read: each once, or a few that list each
// other would be many.
func (l *inventory) enter(d attest.Digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.indexes[d] || l.over {
		return false
	}
	l.over = len(l.indexes) == maxIndexes
	l.indexes[d] = true
	return !l.over
}

// held returns the list, sorted, each artifact once. What is known by the digest of
// its stand-in is named by what that stands for.
func (l *inventory) held() []attest.Held {
	if l == nil {
		return nil
	}
	out := map[attest.Digest]attest.Held{}
	for d, tags := range l.standIns {
		m := attest.SHA256(attest.StandIn(d))
		tags = append(tags, l.tags[m]...)
		delete(l.tags, m)
		out[d] = attest.Held{Digest: d, Tags: tags, StandIn: true}
	}
	for d, tags := range l.tags {
		out[d] = attest.Held{Digest: d, Tags: append(tags, out[d].Tags...)}
	}
	list := slices.SortedFunc(maps.Values(out), func(a, b attest.Held) int { return a.Digest.Compare(b.Digest) })
	for i, h := range list {
		slices.Sort(h.Tags)
		list[i].Tags = slices.Compact(h.Tags)
	}
	return list
}

// limit is the error of a list that got too long; nil for others.
func (l *inventory) limit(about string) error {
	if !l.over {
		return nil
	}
	return &attest.Refusal{Code: attest.CodeLimit, About: about, Why: "holds more artifacts than are read of one repository"}
}

// standsForTag reads the tag of a stand-in.
func standsForTag(tag string) (attest.Digest, bool) {
	rest, ok := strings.CutPrefix(tag, "standin-")
	alg, hex, _ := strings.Cut(rest, "-")
	d, err := attest.NewDigest(alg, hex)
	return d, ok && err == nil && attest.StandInTag(d) == tag
}

// subjectOfTag reads the tag of a fallback index, or of an attestation.
func subjectOfTag(tag string) (attest.Digest, bool) {
	hex, ok := strings.CutPrefix(tag, fallbackPrefix)
	hex, _, _ = strings.Cut(hex, ".")
	d, err := attest.NewDigest("sha256", hex)
	return d, ok && err == nil
}

// takeStock finds out what a registry holds, by its list of all tags. Those of the
// bookkeeping say by themselves what they are about; every other is asked for.
func (r *registry) takeStock(ctx context.Context, jobs int, list tagList) (*inventory, bool, error) {
	out := newInventory()
	if list.err == nil && !list.found {
		return out, false, attest.Refuse(attest.CodeNotFound, "the registry knows no repository %s, or does not list its tags", r.repo.Name())
	}
	errs := []error{list.err}
	var mu sync.Mutex
	var asking errgroup.Group
	asking.SetLimit(jobs)
	for _, tag := range list.tags {
		if d, ok := standsForTag(tag); ok {
			out.addStandIn(d, "")
			continue
		}
		if d, ok := subjectOfTag(tag); ok && IsOwnTag(tag) {
			out.add(d, "")
			continue
		}
		if IsOwnTag(tag) {
			continue // the form of ours, and no digest of ours
		}
		asking.Go(func() error {
			if err := r.stockTag(ctx, out, tag); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			return nil
		})
	}
	_ = asking.Wait() // what went wrong is in errs
	if err := ctx.Err(); err != nil {
		errs = append(errs, &attest.Refusal{Code: attest.CodeRegUnavailable, About: r.repo.Name(), Why: "gave up reading tags", Err: err})
	}
	errs = append(errs, out.limit(r.repo.Name()))
	// The first is what is told; which came first is chance.
	slices.SortStableFunc(errs[1:], func(a, b error) int {
		return strings.Compare(string(attest.RefusalCode(a)), string(attest.RefusalCode(b)))
	})
	err := errors.Join(errs...)
	return out, err == nil && list.from == "" && slices.ContainsFunc(list.tags, isFallbackIndex) && r.lacksAPI(ctx, out), err
}

// stockTag asks what a tag points at.
func (r *registry) stockTag(ctx context.Context, out *inventory, tag string) error {
	b, err := r.getManifest(ctx, tag)
	if err != nil {
		return listedButGone(err)
	}
	return stock(out, attest.SHA256(b), b, tag, func(d attest.Digest) ([]byte, error) { return r.manifest(ctx, d) })
}

// stock notes a manifest, and all that it lists if it is an index. get fetches a
// manifest of the repository.
func stock(out *inventory, d attest.Digest, b []byte, tag string, get func(attest.Digest) ([]byte, error)) error {
	if !attest.IsIndex(b) {
		if m, err := attest.ParseManifest(b); err == nil && !m.StandsFor.IsZero() {
			out.addStandIn(m.StandsFor, tag)
			return nil
		}
		out.add(d, tag) // of whatever form: its bytes are what was tagged
		return nil
	}
	out.add(d, tag)
	if !out.enter(d) {
		return nil
	}
	var errs []error
	for todo := []attest.Digest{d}; len(todo) > 0; todo = todo[1:] {
		if todo[0] != d {
			var err error
			if b, err = get(todo[0]); errors.Is(err, attest.ErrAbsent) {
				continue // an index may list what is kept elsewhere
			} else if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		children, err := attest.ParseIndex(b)
		if err != nil {
			errs = append(errs, &attest.Refusal{Code: attest.CodeRegManifest, About: todo[0].String(), Why: "an index that cannot be read", Err: err})
		}
		for _, c := range children {
			out.add(c.Digest, "")
			if (c.MediaType == attest.MediaTypeIndex || c.MediaType == mediaTypeDockerList) && out.enter(c.Digest) {
				todo = append(todo, c.Digest)
			}
		}
	}
	return errors.Join(errs...)
}

// lacksAPI reports whether the registry certainly has no referrers API. It is asked
// about something that is there: some registries answer about nothing else.
func (r *registry) lacksAPI(ctx context.Context, l *inventory) bool {
	if r.hasAPI.Load() || len(l.tags) == 0 {
		return false
	}
	_, ok, err := r.fromAPI(ctx, slices.MinFunc(slices.Collect(maps.Keys(l.tags)), attest.Digest.Compare))
	return !ok && err == nil
}

func (r *registry) held(ctx context.Context, jobs int) (*inventory, bool, error) {
	return r.takeStock(ctx, jobs, r.listTags(ctx, ""))
}
