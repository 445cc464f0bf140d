package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A record is one piece of evidence by a principal of the policy, under one
// certificate.
type record struct {
	e         verify.Evidence
	id        verify.ID
	artifact  attest.Digest
	principal *principal
	also      []*principal // that it may be as well; then it counts for none of them
	claims    trust.Claims // of the certificate; none with a key
	seen      time.Time    // of the signature under that certificate; zero if nobody says
	window    window       // of the credential's line
	// first and last are between when it was made, as far as its signer or a
	// short-lived certificate says; zero if nothing does.
	first, last time.Time
	facts       predicate.Facts
	err         error   // why the predicate does not decode
	doubt       *Reason // it may have been withdrawn
	file        bool    // about a file of the artifact
}

// newRecord returns the record of evidence that lines name, which are at least one.
// Of several, each one's window holds: the policy says less than any of them alone.
func (d *document) newRecord(artifact attest.Digest, e verify.Evidence, facts predicate.Facts, err error, lines []*credential, made verify.Signing) *record {
	r := &record{e: e, id: e.ID(), artifact: artifact, principal: lines[0].owner, claims: made.Claims, seen: made.Seen, window: lines[0].window, facts: facts, err: err}
	r.first, r.last = d.made(e.PredicateType(), made, facts.Claimed)
	for _, c := range lines[1:] {
		r.window = r.window.and(c.window)
		if c.owner != r.principal && !slices.Contains(r.also, c.owner) {
			r.also = append(r.also, c.owner)
		}
	}
	return r
}

// unclear reports whether the record is one of several principals', and nobody can say
// whose.
func (r *record) unclear() bool { return len(r.also) > 0 }

// may returns everybody whose record it may be.
func (r *record) may() []*principal { return append([]*principal{r.principal}, r.also...) }

// mayBe reports whether it may be a record of one of the names.
func (r *record) mayBe(names []string) bool {
	return slices.ContainsFunc(r.may(), func(p *principal) bool { return slices.Contains(names, p.name) })
}

// claimed is when the record says that what it tells of happened; zero if it does not
// say.
func (r *record) claimed() time.Time { return r.facts.Claimed }

// when is what ages and order are counted from: the claimed time, and where the type
// has none the moment from which the certificate was valid. Of the moments at which
// the record may have been made it is the first, so that it counts as old as it may
// be. Zero: nothing says when.
func (r *record) when() time.Time { return r.first }

// made returns between when evidence was made.
func (d *document) made(predicateType string, s verify.Signing, claimed time.Time) (first, last time.Time) {
	if !claimed.IsZero() || predicate.HasTime(predicateType) {
		return claimed, claimed
	}
	first, last = s.NotBefore, s.NotAfter
	// A certificate of a year says nothing about the day: it may say when for as long
	// as a claimed time may be off.
	if first.IsZero() || last.Sub(first) > d.maxLag {
		return time.Time{}, time.Time{}
	}
	return first, last
}

// means says in a word what the principal signed with.
func (r *record) means() string { return means(r.id.Credential) }

func means(c verify.Credential) string {
	if _, ok := c.Identity(); ok {
		return "identity"
	}
	return "key"
}

// shownClaims returns the record's claims for a verdict; nil for a key.
func (r *record) shownClaims() *trust.Claims {
	if _, ok := r.id.Credential.Identity(); !ok {
		return nil
	}
	c := r.claims
	return &c
}

// of reports whether the record is evidence of the step, by whomever.
func (r *record) of(s *step) bool {
	if r.e.PredicateType() != s.predicate {
		return false
	}
	// A provenance that does not decode may be of any build type.
	return s.buildType == "" || r.err != nil || r.facts.BuildType == s.buildType
}

// sortRecords orders records by identity: the order of everything that is
// reported about them.
func sortRecords(rs []*record) { slices.SortFunc(rs, compareRecords) }

func compareRecords(a, b *record) int {
	return cmp.Or(a.id.Compare(b.id), a.artifact.Compare(b.artifact), a.claims.Compare(b.claims))
}

// late reports whether something was first seen after the moment up to which things are
// known: then it is not there. What nobody says a time of is there at every moment.
func (ev *evaluator) late(seen time.Time) bool { return !seen.IsZero() && ev.upTo.before(seen) }

// known returns the evidence by principals, clear or not, that was not first seen
// after the moment up to which things are known.
func (ev *evaluator) known(d attest.Digest, e verify.Evidence) []*record {
	if ev.late(e.Seen()) {
		return nil // all of it, at no further cost
	}
	return slices.DeleteFunc(ev.d.whose(d, e), func(r *record) bool { return ev.late(r.seen) })
}

// take notes what evidence is by principals: among into, what is unclear apart, and
// what was withdrawn apart as well.
func (ev *evaluator) take(into map[attest.Digest][]*record, d attest.Digest, e verify.Evidence, file bool) {
	for _, r := range ev.known(d, e) {
		r.file = file
		if r.unclear() {
			ev.unclear[d] = append(ev.unclear[d], r)
			continue
		}
		gone, doubt := ev.withdrawn(r)
		if gone != nil {
			ev.gone = append(ev.gone, withdrawnRecord{r, *gone})
			ev.goneAt[d] = append(ev.goneAt[d], r)
			continue
		}
		r.doubt = doubt
		into[d] = append(into[d], r)
		ev.find(r)
	}
}

// unclearAbout returns the unclear records that may be evidence of the step about d:
// see about.
func (ev *evaluator) unclearAbout(s *step, d attest.Digest) []*record {
	var out []*record
	for _, r := range ev.unclear[d] {
		if (!r.file || s.covers != "") && r.of(s) {
			out = append(out, r)
		}
	}
	return out
}

// strange says why what the policy's identities signed of a step about d counts for
// nobody: it is two principals', or the certificate claims something else than the
// credential asks for.
func (ev *evaluator) strange(s *step, d attest.Digest) []Reason {
	var out []Reason
	for _, r := range ev.unclearAbout(s, d) {
		if !r.mayBe(s.by) || len(out) == maxReasons {
			continue
		}
		var names []string
		for _, p := range r.may() {
			names = append(names, p.name)
		}
		slices.Sort(names)
		out = append(out, Reason{Code: attest.CodeQuorum, About: r.id.Payload.String(), Why: escapedName(r.id.Credential) + " is " + strings.Join(names, " and ") + " by the policy's patterns, so what it signs counts for neither",
			Next: "the policy's owners narrow the credentials, until each signature is one principal's"})
	}
	node := ev.chain.Artifact(d)
	if node == nil {
		return out
	}
	list := node.Evidence
	if s.covers != "" {
		list = slices.Concat(list, node.FileEvidence)
	}
	for _, e := range list {
		if e.PredicateType() != s.predicate || ev.late(e.Seen()) || len(out) == maxReasons {
			continue
		}
		if why := ev.otherwise(s, d, e); why != "" {
			out = append(out, Reason{Code: attest.CodeIdentity, About: e.ID().Payload.String(), Why: why, Next: "have it done by a run that the credential means; or the policy's owners change the credential"})
		}
	}
	return out
}

// otherwise says what a certificate claims that a credential of the step's principals
// asks for otherwise; "" for evidence that is somebody's, a stranger's, or of another
// kind.
func (ev *evaluator) otherwise(s *step, d attest.Digest, e verify.Evidence) string {
	_, ok := e.ID().Credential.Identity()
	facts, err := e.Facts()
	if !ok || s.buildType != "" && err == nil && facts.BuildType != s.buildType || len(ev.d.whose(d, e)) > 0 {
		return ""
	}
	for _, c := range ev.d.lines(e.ID().Credential) {
		if !slices.Contains(s.by, c.owner.name) {
			continue
		}
		for _, claims := range e.Claims() {
			for _, name := range trust.ClaimNames() {
				if want, got := c.rule.Claims.Get(name), claims.Get(name); want != "" && got != want {
					return escapedName(e.ID().Credential) + " signed one, with the " + name + " " + escaped(got) + " in its certificate; the credential of " + c.owner.name + " asks for " + escaped(want)
				}
			}
		}
	}
	return ""
}

// escapedName writes a credential so that it cannot be taken for another.
func escapedName(c verify.Credential) string {
	if s := c.String(); !plainText(s) || len(s) > 400 {
		return escaped(s)
	}
	return c.String()
}
