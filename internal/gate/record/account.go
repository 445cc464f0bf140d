package record

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// What is attached beside an artifact stays there, and whoever verifies it looks at all
// of it: at 4,096 pieces the verifier gives up. So what one gate adds is counted.
const (
	// defaultPerNamespace is how many services of a namespace are recorded one by one
	// beside an artifact in an environment, defaultPerArtifact how many of all
	// namespaces. A namespace with more than 32 services of one model is a loop that
	// makes pods, far more often than not.
	defaultPerNamespace = 32
	defaultPerArtifact  = 256

	// burst is how many attestations may be made at once beside an artifact in an
	// environment, as many as there are places; afterwards one every refill. A namespace
	// has at most a quarter of that: both states of each of its services.
	defaultBurst          = 256
	defaultNamespaceBurst = 64
	refill                = time.Hour

	// maxBeside is how many records beside an artifact in an environment are made one by
	// one, those of other gates and of earlier queues counted too. Two gates that both
	// make a summary for each are still below a verifier's limit.
	maxBeside = 1024

	// maxAccounts is of how many artifacts is remembered what was counted, some KiB
	// each. Of those that were used longest ago it is forgotten: maxBeside still holds.
	maxAccounts = 1000
)

// An account is what was counted beside one artifact in an environment. Like everything
// that a state points to it is never changed, only replaced.
type account struct {
	Environment string `json:"environment"`
	Artifact    string `json:"artifact"` // REPOSITORY@DIGEST
	// Seats are the services that are recorded one by one, with their namespaces.
	Seats marks `json:"seats,omitempty"`
	// Full is when the bucket is full again, and Shares say the same of each namespace,
	// in seconds since 1970.
	Full   time.Time `json:"full"`
	Shares marks     `json:"shares,omitempty"`
	Used   time.Time `json:"used"`
}

type accountKey struct{ environment, artifact string }

func (a *account) key() accountKey { return accountKey{a.Environment, a.Artifact} }

// Marks are pairs of numbers, sorted: names are in them as 64 bits of their SHA-256, so
// that nobody's long name needs much room.
type marks []mark

type mark struct{ namespace, value uint64 }

func (m mark) compare(o mark) int {
	if m.namespace != o.namespace {
		return compareUint(m.namespace, o.namespace)
	}
	return compareUint(m.value, o.value)
}

func compareUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// MarshalText writes marks as base64 of 16 bytes each.
func (m marks) MarshalText() ([]byte, error) {
	b := make([]byte, 0, 16*len(m))
	for _, x := range m {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, x.namespace), x.value)
	}
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads what MarshalText wrote.
func (m *marks) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(b)%16 != 0 {
		return errors.New("marks that are none")
	}
	*m = make(marks, 0, len(b)/16)
	for ; len(b) > 0; b = b[16:] {
		*m = append(*m, mark{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])})
	}
	if !slices.IsSortedFunc(*m, mark.compare) {
		return errors.New("marks that are not sorted")
	}
	return nil
}

func hashOf(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

// of returns the marks of a namespace.
func (m marks) of(namespace uint64) marks {
	i, _ := slices.BinarySearchFunc(m, mark{namespace, 0}, mark.compare)
	n := i
	for n < len(m) && m[n].namespace == namespace {
		n++
	}
	return m[i:n]
}

func (m marks) has(x mark) bool {
	_, there := slices.BinarySearchFunc(m, x, mark.compare)
	return there
}

// with returns the marks and one more.
func (m marks) with(x mark) marks {
	i, _ := slices.BinarySearchFunc(m, x, mark.compare)
	return slices.Insert(slices.Clone(m), i, x)
}

// account returns a copy of what was counted beside an artifact.
func (s *state) account(environment string, ref attest.Reference) *account {
	key := accountKey{environment, ref.Repository.At(ref.Digest).String()}
	if a := s.accounts[key]; a != nil {
		c := *a
		return &c
	}
	return &account{Environment: key.environment, Artifact: key.artifact}
}

// The part of a folded place's service that no real one has: a real one is
// NAMESPACE/KIND/NAME/PLACE, and a kind has letters only.
const rest = "…"

// namespaceOf returns the namespace of a service.
func namespaceOf(service string) string {
	ns, _, _ := strings.Cut(service, "/")
	return ns
}

// folded reports whether a place stands for many.
func (p place) folded() bool {
	ns, below, _ := strings.Cut(p.Service, "/")
	return ns == rest || strings.HasPrefix(below, rest+"/")
}

// A fold is how many services a place stands for.
type fold string

// The folds, as a record's config has them.
const (
	foldNone      fold = ""
	foldNamespace fold = "namespace" // all of a namespace that are not recorded one by one
	foldCluster   fold = "cluster"   // all of the cluster
)

// in returns the place that stands for this one and others like it. It is of one
// artifact alone: nobody knows when the last of those services went on to another
// artifact, so it is never said that this one was replaced there.
func (f fold) in(p place, artifact attest.Digest) place {
	switch f {
	case foldNamespace:
		p.Service = namespaceOf(p.Service) + "/" + rest + "/" + artifact.String()
	case foldCluster:
		p.Service = rest + "/" + artifact.String()
	case foldNone:
	}
	return p
}

// seat finds the place at which an admission is recorded, and counts it if it is new
// beside the artifact; counted says so.
func (a *account) seat(p place, artifact attest.Digest, o *Options) (where place, f fold, counted bool) {
	ns := hashOf(namespaceOf(p.Service))
	own := mark{ns, hashOf(p.Cluster + "/" + p.Service)}
	taken := a.Seats.of(ns)
	if taken.has(own) {
		return p, foldNone, false
	}
	room := len(a.Seats) < o.PerArtifact
	if room && len(taken) < o.PerNamespace {
		a.Seats = a.Seats.with(own)
		return p, foldNone, true
	}
	where = foldNamespace.in(p, artifact)
	shared := mark{ns, hashOf(where.Cluster + "/" + where.Service)}
	if taken.has(shared) {
		return where, foldNamespace, false
	}
	if room {
		a.Seats = a.Seats.with(shared)
		return where, foldNamespace, true
	}
	return foldCluster.in(p, artifact), foldCluster, false
}

// take takes n from the bucket and from the namespace's share of it; if there is not as
// much, it says when there will be.
func (a *account) take(namespace string, n int, now time.Time, o *Options) (ok bool, next time.Time) {
	ns := hashOf(namespace)
	var share time.Time
	rest := a.Shares
	if of := a.Shares.of(ns); len(of) > 0 {
		share = time.Unix(int64(of[0].value), 0) //nolint:gosec // it was a time
		rest = slices.DeleteFunc(slices.Clone(a.Shares), func(m mark) bool { return m.namespace == ns })
	}
	all, of := later(a.Full, now).Add(time.Duration(n)*refill), later(share, now).Add(time.Duration(n)*refill)
	next = later(all.Add(-time.Duration(o.burst)*refill), of.Add(-time.Duration(o.namespaceBurst)*refill))
	if next.After(now) {
		return false, next
	}
	// Shares that are whole again are not worth remembering.
	rest = slices.DeleteFunc(slices.Clone(rest), func(m mark) bool { return int64(m.value) <= now.Unix() }) //nolint:gosec // it was a time
	a.Full, a.Used = all.UTC(), now.UTC()
	a.Shares = rest.with(mark{ns, uint64(max(0, of.Unix()))}) //nolint:gosec // not negative
	return true, time.Time{}
}

// giveBack returns one to the bucket: nothing was made of it.
func (a *account) giveBack(namespace string) {
	a.Full = a.Full.Add(-refill)
	ns := hashOf(namespace)
	if of := a.Shares.of(ns); len(of) > 0 {
		left := slices.DeleteFunc(slices.Clone(a.Shares), func(m mark) bool { return m.namespace == ns })
		a.Shares = left.with(mark{ns, of[0].value - min(of[0].value, uint64(refill/time.Second))})
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
