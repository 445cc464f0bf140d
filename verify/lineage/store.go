package lineage

import (
	"context"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// A Holding is a repository that can tell what it holds. Like a source it is
// untrusted, and keeps "there is nothing" apart from "I could not look".
type Holding interface {
	// Repository names it.
	Repository() attest.Repository
	// Held yields what the repository lists by itself. exhaustive is true if that is
	// everything that evidence can be attached to: it is false for a registry whose
	// referrers API knows of artifacts that no tag names.
	Held(ctx context.Context, yield func(attest.Held) bool) (exhaustive bool, err error)
	// AttestationsExcept is as verify.Source.Attestations, but does not fetch an
	// attestation whose manifest is known: it is yielded with its Manifest alone.
	AttestationsExcept(ctx context.Context, artifact attest.Digest, known func(manifest attest.Digest) bool, yield func(attest.Attached) bool) error
	// Manifest is as verify.Source.Manifest.
	Manifest(ctx context.Context, d attest.Digest) ([]byte, error)
}

// A Store keeps what Crawl finds, and finds it again.
//
// About each artifact of each repository it knows one of three things: what there
// is, that nobody looked (E_INDEX), and what could not be looked at when somebody
// tried (the codes of [Visit]). A repository is read to the end once a reading of it
// was finished; while the next one runs, what that one has not come to counts as not
// looked at.
type Store interface {
	// Find's and Held's errors are E_INDEX if nothing was read, or some repository not to
	// the end, and the codes of whatever could not be looked at in the last reading.
	Finder
	// Source returns what the store holds of one repository, as a source of evidence:
	// the attestations that a trusted credential signed, with their notes. What could
	// not be looked at is an error with the codes of the Visit. E_INDEX is the answer
	// about an artifact that nobody asked the repository about; but of attestations
	// there are none, if the repository was read to the end and lists everything that
	// evidence can be attached to.
	Source(repo attest.Repository) verify.Source
	// Begin begins to read a repository, or goes on where an earlier reading of it
	// stopped. beliefs ([Beliefs]) are whose signatures are believed in this reading, and
	// at is now. If beliefs has something that the last reading had not ([NotBelieved]),
	// everything that was passed over as a stranger's is to be read again, and nothing is
	// done.
	Begin(ctx context.Context, repo attest.Repository, beliefs []string, at time.Time) (Reader, error)
}

// A ManyFinder answers many questions of a [Finder] at once, where that is quicker.
type ManyFinder interface {
	Finder
	// FindAny yields the artifacts that stand in the relation to any of the names, in no
	// order, and perhaps several times. The error is that of Find.
	FindAny(ctx context.Context, r Relation, names []string, yield func(attest.Digest) bool) error
}

// A Gatherer is a source that reads what it has of many artifacts at once, where
// that is quicker.
type Gatherer interface {
	verify.Source
	// Gather returns a source that answers about these artifacts as this one does, and
	// of attestations yields those of the given predicate types, no types being all of
	// them; it may yield others too. What it says of other artifacts is what this one
	// says.
	Gather(ctx context.Context, artifacts []attest.Digest, types []string) (verify.Source, error)
}

// A Reader is one reading of one repository into a Store. Its methods are not
// called concurrently.
type Reader interface {
	// Artifacts yields what the store has of the repository from before, each once:
	// artifacts that were read, and those that a Visit leads to. consulted is true for
	// what is known from Visit.Consults alone, whether it was read since or not.
	Artifacts(ctx context.Context, yield func(d attest.Digest, consulted bool) bool) error
	// Done reports whether the artifact was read already in this reading, before it
	// stopped, and nothing was missed.
	Done(ctx context.Context, artifact attest.Digest) (bool, error)
	// Known returns what need not be fetched again, by the digest of the manifest: the
	// attestations of an artifact, true for those that the store keeps, false for those
	// that it passes over; and, true, the artifact itself, if the store has its manifest.
	Known(ctx context.Context, artifact attest.Digest) (map[attest.Digest]bool, error)
	// Put keeps what was found about one artifact, all or nothing.
	Put(ctx context.Context, v Visit) error
	// Finish ends the reading: the repository was read to the end. Without it the
	// store is incomplete, and says so. held is sorted by digest, each once. missed says
	// why held is not all that there is; the store passes that on in errors.
	Finish(ctx context.Context, held []attest.Held, exhaustive bool, missed []attest.Code) error
}

// A Visit is what was found about one artifact in one repository. Its lists are
// sorted, each member once; entries by manifest.
type Visit struct {
	Artifact attest.Digest
	// Manifest is the artifact's manifest, checked against its digest; nil if the
	// repository has none, or if it was known: then Kept has the artifact itself.
	Manifest []byte
	Files    []attest.File // of the manifest, in its order
	// ManifestMissed says why the manifest could not be had; "" if it could, or if the
	// repository has none.
	ManifestMissed attest.Code
	// Entries are the attestations that were fetched and that a trusted credential
	// signed.
	Entries []Entry
	// Kept are those that were known, kept or passed over, and are listed still; and the
	// artifact itself if its manifest was known: content does not change, so it is not
	// asked for again. Whatever other attestations the store has of the artifact are gone
	// from the repository, unless something is in Missed: then they stay.
	Kept []attest.Digest
	// Strangers are those that nobody trusted signed, by manifest.
	Strangers []attest.Digest
	// Missed says what could not be looked at of what is attached; not empty means that
	// there may be more.
	Missed []attest.Code
	// Leads are artifacts that what was found leads to, Consults the payloads, and the
	// identities that signed, beside whose stand-ins it may have been taken back. They are to be read too, the latter only in repositories
	// that do not list everything, and are among the Reader's Artifacts from now on.
	Leads, Consults []attest.Digest
}

// An Entry is one attestation that was opened.
type Entry struct {
	attest.Attached // with Bundle and Note
	ID              verify.ID
	Claimed         time.Time // zero if it does not say
	Related         []Related // sorted, each once
}
