package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// A fixed source lists what it is given, in that order.
type fixed map[attest.Digest][]attest.Attached

func (f fixed) Attestations(_ context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	for _, a := range f[d] {
		if !yield(a) {
			return nil
		}
	}
	return nil
}
func (f fixed) Manifest(context.Context, attest.Digest) ([]byte, error) { return nil, attest.ErrAbsent }

func att(b []byte) attest.Attached { return attest.Attached{Manifest: attest.SHA256(b), Bundle: b} }

// A listing that overruns the byte limit costs the walk the same in every order,
// so that what can still be read after it does not depend on chance.
func TestOverrunDoesNotDependOnOrder(t *testing.T) {
	top := artifact("top")
	var mids []attest.Digest
	for i := range 17 { // one more than a batch, so that the budget is looked at again
		mids = append(mids, artifact(fmt.Sprint("mid", i)))
	}
	k := signer(t, "p256")
	stmt := func(d attest.Digest, typ string, p any) []byte {
		b, err := attest.NewStatement(attest.Subject{Digest: d}, typ, p)
		must(t, err)
		return sign(t, b, k)
	}
	slices.SortFunc(mids, attest.Digest.Compare)
	root := stmt(top, "https://slsa.dev/provenance/v1", build(trainType, mids...))
	first := mids[0]
	mk := func(d attest.Digest, n int, s string) []byte {
		return stmt(d, "https://example.test/note/v1", map[string]any{"a": strings.Repeat(s, n)})
	}
	big := mk(first, 60000, "x")
	little := mk(first, 100, "y")
	mid2 := mk(first, 30000, "z")
	n := 10000
	other := mk(mids[1], n, "o")
	for len(root)+len(other) < 78100 {
		n += 100
		other = mk(mids[1], n, "o")
	}
	limits := verify.Limits{Bytes: 100_000}
	sc := verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{k.Public()}}, Limits: limits,
		Follow: []verify.Follow{{PredicateType: "https://slsa.dev/provenance/v1", By: []verify.Credential{verify.KeyCredential(k.Public())}}}}
	dumps := map[string][]string{}
	for _, order := range [][][]byte{{big, mid2, little}, {mid2, little, big}, {big, little, mid2}} {
		var as []attest.Attached
		for _, b := range order {
			as = append(as, att(b))
		}
		src := fixed{top: {att(root)}, first: as, mids[1]: {att(other)}}
		c := walk(t, top, sc, src)
		var names []string
		for _, b := range order {
			names = append(names, fmt.Sprint(len(b)))
		}
		d := dump(c)
		dumps[d] = append(dumps[d], strings.Join(names, ","))
	}
	if len(dumps) > 1 {
		t.Errorf("%d chains from one set of evidence", len(dumps))
	}
}

// An error that says "absent" of one place and "unreachable" of another leaves a
// gap.
type joined struct{}

func (joined) Attestations(context.Context, attest.Digest, func(attest.Attached) bool) error {
	return errors.Join(attest.ErrAbsent, attest.Refuse(attest.CodeRegUnavailable, "the second mirror is down"))
}
func (joined) Manifest(context.Context, attest.Digest) ([]byte, error) {
	return nil, errors.Join(attest.ErrAbsent, attest.Refuse(attest.CodeRegUnavailable, "the second mirror is down"))
}

func TestAbsentHereAndUnreachableThere(t *testing.T) {
	k := signer(t, "p256")
	c := walk(t, artifact("x"), verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{k.Public()}}}, joined{})
	if len(c.Gaps()) == 0 {
		t.Errorf("no gap; files known: %v", c.Artifact(artifact("x")).FilesKnown)
	}
}
