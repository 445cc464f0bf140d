package oci

import (
	"context"
	"errors"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// maxAttestations is how many attestations of one artifact are read. The most
	// an honest artifact had was 60; a verifier takes 4,096 that count and 65,536
	// by strangers, and this must not be less, or strangers could push out what
	// counts. Beyond it the listing is incomplete, and says so.
	maxAttestations = 4096 + 65536

	// maxCandidates bounds the manifests that are opened to find them: a listing
	// may be full of what turns out to be something else.
	maxCandidates = 2 * maxAttestations
)

// Attestations calls yield for each attestation attached to the artifact's
// manifest and to its stand-in, until yield returns false. They are untrusted.
// What is listed but cannot be read is yielded with its Err set; other referrers
// (bills of materials, say) are passed over.
//
// Both places are always looked at. Were it one or the other, whoever may push a
// manifest could hide the evidence on its stand-in.
//
// An error means that the listing is incomplete; what was yielded before it
// counts. More than 69,632 attestations are such an error, attest.CodeLimit. An
// artifact that the repository does not know has no attestations, and that is no
// error. Up to Options.Jobs manifests are fetched at once; yield is not called
// concurrently.
func (r *Repository) Attestations(ctx context.Context, artifact attest.Digest, yield func(attest.Attached) bool) error {
	return r.attestations(ctx, artifact, unknown, yield)
}

// unknown is for those who know no attestations yet.
func unknown(attest.Digest) bool { return false }

// attestations is Attestations, and yields what is known without fetching it.
func (r *Repository) attestations(ctx context.Context, artifact attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	if artifact.IsZero() {
		return attest.Refuse(attest.CodeDigestFormat, "no artifact is named")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found, listErr := r.candidates(ctx, artifact)
	if len(found) > maxCandidates {
		found = found[:maxCandidates]
		listErr = errors.Join(listErr, &attest.Refusal{Code: attest.CodeLimit, About: artifact.String(),
			Why: fmt.Sprintf("more than %d manifests refer to it", maxCandidates)})
	}

	type result struct {
		attached attest.Attached
		ok       bool
	}
	fetches := make([]chan result, len(found))
	launched, yielded := 0, 0
	for i := range found {
		for ; launched < len(found) && launched < i+r.opts.requestJobs(); launched++ {
			ch, f := make(chan result, 1), found[launched]
			fetches[launched] = ch
			if f.err == nil && !f.digest.IsZero() && known(f.digest) {
				ch <- result{attest.Attached{Manifest: f.digest}, true}
				continue
			}
			go func() {
				a, ok := r.fetch(ctx, f.candidate, f.subject, known)
				ch <- result{a, ok}
			}()
		}
		res := <-fetches[i]
		fetches[i] = nil
		if err := ctx.Err(); err != nil {
			// What failed because the caller gave up says nothing about the
			// attestation.
			return errors.Join(listErr, &attest.Refusal{Code: attest.CodeRegUnavailable, About: artifact.String(), Why: "gave up reading attestations", Err: err})
		}
		switch {
		case !res.ok:
			continue
		case yielded == r.limit:
			return errors.Join(listErr, &attest.Refusal{Code: attest.CodeLimit, About: artifact.String(),
				Why: fmt.Sprintf("more than %d attestations", r.limit)})
		}
		yielded++
		if !yield(res.attached) {
			return nil
		}
	}
	return listErr
}

type listed struct {
	candidate
	subject attest.Digest
}

// candidates lists what may be an attestation of the artifact, each manifest once.
func (r *Repository) candidates(ctx context.Context, artifact attest.Digest) ([]listed, error) {
	subjects := []attest.Digest{attest.SHA256(attest.StandIn(artifact))}
	if !artifact.IsCommit() {
		subjects = append([]attest.Digest{artifact}, subjects...)
	}
	type answer struct {
		cs  []candidate
		err error
	}
	answers := make([]chan answer, len(subjects))
	for i, s := range subjects {
		answers[i] = make(chan answer, 1)
		go func() {
			cs, err := r.store.referrers(ctx, s, false)
			answers[i] <- answer{cs, err}
		}()
	}
	var out []listed
	var errs []error
	for i, s := range subjects {
		a := <-answers[i]
		seen := make(map[attest.Digest]bool, len(a.cs))
		for _, c := range a.cs {
			if !c.digest.IsZero() && seen[c.digest] {
				continue
			}
			seen[c.digest] = true
			out = append(out, listed{c, s})
		}
		errs = append(errs, a.err)
	}
	return out, errors.Join(errs...)
}

// fetch reads one listed manifest and its bundle; ok is false if it is no
// attestation of subject. Of one that is known it reads nothing more than it takes to
// learn that.
func (r *Repository) fetch(ctx context.Context, c candidate, subject attest.Digest, known func(attest.Digest) bool) (a attest.Attached, ok bool) {
	fail := func(err error) (attest.Attached, bool) {
		a.Bundle, a.Err = nil, err
		return a, true
	}
	a.Manifest = c.digest
	if c.err != nil {
		return fail(c.err)
	}
	if c.digest.IsZero() {
		d, err := r.store.resolve(ctx, c.tag)
		if err != nil {
			return fail(listedButGone(err))
		}
		a.Manifest = d
		if uniqueTag(subject, d) != c.tag {
			return fail(otherBytes(d, "lies under the tag of another attestation, "+c.tag))
		}
		if known(d) {
			return a, true
		}
	}
	b, err := r.store.manifest(ctx, a.Manifest)
	if err != nil {
		return fail(listedButGone(err))
	}
	ref, err := readReferrer(b)
	if err == nil && !ref.isBundle || ref.subject != subject && !ref.subject.IsZero() {
		return attest.Attached{}, false
	}
	if err != nil {
		return fail(err)
	}
	if ref.subject.IsZero() {
		return attest.Attached{}, false
	}
	a.PredicateType = ref.predicateType
	if a.Bundle = ref.inline; a.Bundle != nil {
		return a, true
	}
	a.Bundle, err = readBlob(ctx, r.store, ref.layer.Digest, attest.MaxBundle, "a bundle")
	if err == nil && int64(len(a.Bundle)) != ref.layer.Size {
		err = otherBytes(ref.layer.Digest, "its descriptor gives another size")
	}
	if err != nil {
		return fail(listedButGone(err))
	}
	return a, true
}

// listedButGone turns "it is not there" into a plain error: a listing named it,
// so there was something that nobody can look at now.
func listedButGone(err error) error {
	if errors.Is(err, attest.ErrAbsent) {
		return attest.Refuse(attest.CodeNotFound, "listed, but not there any more: %s", err)
	}
	return err
}
