package verify

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
)

// Bundles is a [Source] over loose bundles, as files hold them: what is attached
// to an artifact are the bundles whose statement names it as a subject. It holds
// no manifests, so evidence about a file is found for the file, and not for a
// manifest that has it. It may be read by many goroutines at once.
type Bundles struct {
	bySubject map[attest.Digest][]attest.Attached
	bad       []BadBundle
}

// A BadBundle is a member of a list that cannot be indexed, because it is no
// bundle or carries no statement.
type BadBundle struct {
	Index int // in the list given to NewBundles
	Err   error
}

var _ Source = (*Bundles)(nil)

// NewBundles indexes bundles by the subjects that their statements name. Nothing
// is verified here: the index is as untrusted as the bundles. Each bundle is held
// to the limits of [attest.ParseBundle]; how many there are is for the caller to
// bound, who has read them all. The bundles must not be changed afterwards.
func NewBundles(list [][]byte) *Bundles {
	s := &Bundles{bySubject: map[attest.Digest][]attest.Attached{}}
	for i, b := range list {
		st, err := unverified(b)
		if err != nil {
			s.bad = append(s.bad, BadBundle{Index: i, Err: err})
			continue
		}
		a := attest.Attached{Manifest: attest.SHA256(b), PredicateType: st.PredicateType, Bundle: b}
		named := map[attest.Digest]bool{}
		for _, sub := range st.Subjects {
			if !named[sub.Digest] {
				named[sub.Digest] = true
				s.bySubject[sub.Digest] = append(s.bySubject[sub.Digest], a)
			}
		}
	}
	return s
}

// unverified reads a bundle's statement without looking at the signature.
func unverified(b []byte) (*attest.Statement, error) {
	parsed, err := attest.ParseBundle(b)
	if err != nil {
		return nil, err
	}
	return attest.ParseStatement(parsed.Payload)
}

// Bad returns the members that could not be indexed, in the list's order.
// Something may be in them that nobody saw, which the caller should say.
func (s *Bundles) Bad() []BadBundle { return s.bad }

// Attestations yields the bundles that name the artifact as a subject.
func (s *Bundles) Attestations(ctx context.Context, artifact attest.Digest, yield func(attest.Attached) bool) error {
	for _, a := range s.bySubject[artifact] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(a) {
			return nil
		}
	}
	return nil
}

// Manifest returns [attest.ErrAbsent]: there are none here.
func (s *Bundles) Manifest(context.Context, attest.Digest) ([]byte, error) {
	return nil, attest.ErrAbsent
}
