package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/verify"
)

// maxDenied bounds a file of denied artifacts: 65,536 lines, as many as a list
// holds, of a digest and a short reason each.
const maxDenied = 12 << 20

// An edition is one deny list as it lies in a repository, with its signers' own
// word for who they are.
type edition struct {
	Payload    attest.Digest `json:"payload"`
	Sequence   int64         `json:"sequence"`
	IssuedAt   time.Time     `json:"issuedAt"`
	ValidUntil time.Time     `json:"validUntil"`
	SignedBy   []string      `json:"signedBy"`
	Artifacts  []denied      `json:"artifacts"`

	bundles [][]byte
}

type denied struct {
	Digest attest.Digest `json:"digest"`
	Reason string        `json:"reason"`
}

// editions reads what lies in the list's place, the newest first. What cannot be
// read, or is another list, is passed over; the error says that there may be more.
func editions(ctx context.Context, repo *oci.Repository, name string) ([]*edition, error) {
	found, err := attached(ctx, repo, predicate.DenylistAnchor(name))
	if err != nil {
		return nil, err
	}
	byPayload := map[attest.Digest]*edition{}
	var out []*edition
	for _, l := range found {
		if l.statement == nil || l.Problem != "" || l.PredicateType != predicate.TypeDenylist {
			continue
		}
		facts, err := predicate.Decode(l.statement)
		if err != nil || facts.Denylist.Name != name {
			continue
		}
		e := byPayload[l.Payload]
		if e == nil {
			e = &edition{Payload: l.Payload, Sequence: facts.Denylist.Sequence, IssuedAt: facts.Claimed.UTC(), ValidUntil: facts.Denylist.ValidUntil.UTC(), Artifacts: []denied{}}
			for _, d := range facts.Denylist.Artifacts {
				e.Artifacts = append(e.Artifacts, denied(d))
			}
			byPayload[l.Payload] = e
			out = append(out, e)
		}
		e.SignedBy = append(e.SignedBy, l.signer())
		e.bundles = append(e.bundles, l.bundle)
	}
	slices.SortStableFunc(out, func(x, y *edition) int {
		return cmp.Or(cmp.Compare(y.Sequence, x.Sequence), x.Payload.Compare(y.Payload))
	})
	for _, e := range out {
		slices.Sort(e.SignedBy)
	}
	return out, nil
}

// signedBy reports whether one of the keys verifiably signed an edition.
func (e *edition) signedBy(o *verify.Opener) bool {
	return slices.ContainsFunc(e.bundles, func(b []byte) bool {
		_, err := o.Open(b)
		return err == nil
	})
}

// payload returns the bytes that were signed.
func (e *edition) payload() []byte {
	for _, b := range e.bundles {
		if parsed, err := attest.ParseBundle(b); err == nil {
			return parsed.Payload
		}
	}
	return nil // unreachable: the edition was read from a bundle
}

// editionText writes one edition for people, who are told that nobody verified it.
func editionText(w io.Writer, e *edition) error {
	var b strings.Builder
	fmt.Fprintf(&b, "edition %d, %s, not verified\n", e.Sequence, e.Payload)
	fmt.Fprintf(&b, "  issued  %s, valid until %s\n", e.IssuedAt.Format(time.RFC3339), e.ValidUntil.Format(time.RFC3339))
	for _, s := range e.SignedBy {
		fmt.Fprintf(&b, "  says it is signed by %s\n", report.Who(s))
	}
	fmt.Fprintf(&b, "  denies %d\n", len(e.Artifacts))
	for _, d := range e.Artifacts {
		fmt.Fprintf(&b, "    %s  %s\n", d.Digest, attest.Printable(d.Reason))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// parseDenied reads a list's file, strictly: a line that was passed over would be
// something that nobody denies.
func parseDenied(file string, b []byte) ([]predicate.Denied, error) {
	refuse := func(n int, why string) error {
		return &attest.Refusal{Code: attest.CodeUsage, About: fmt.Sprintf("%s:%d", file, n), Why: why, Next: "write a digest, a space and a reason: sha256:… consent withdrawn"}
	}
	if !utf8.Valid(b) {
		return nil, refuse(1, "the file is not UTF-8")
	}
	var out []predicate.Denied
	seen := map[attest.Digest]int{}
	n := 0
	for line := range strings.SplitSeq(string(b), "\n") {
		n++
		line = strings.TrimSuffix(line, "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		digest, reason, ok := strings.Cut(line, " ")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, refuse(n, "no reason")
		}
		d, err := attest.ParseDigest(digest)
		if err != nil {
			return nil, refuse(n, fmt.Sprintf("%.100q is no digest", digest))
		}
		if seen[d] > 0 {
			return nil, refuse(n, fmt.Sprintf("denies what line %d denies", seen[d]))
		}
		seen[d] = n
		out = append(out, predicate.Denied{Digest: d, Reason: strings.TrimSpace(reason)})
	}
	return out, nil
}
