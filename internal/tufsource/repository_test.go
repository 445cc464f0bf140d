package tufsource_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/pedigree-ml/pedigree/internal/tufsource"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// now is when these tests begin. A root ends in a year, targets in 30 days, snapshot in
// 7, timestamp in one.
var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// A repository is a real one: go-tuf writes and signs it, and httptest serves it.
type repository struct {
	t       *testing.T
	at      time.Time // when it signs
	keys    map[string]ed25519.PrivateKey
	root    *metadata.Metadata[metadata.RootType]
	version int64 // of timestamp, snapshot and targets
	content []byte
	extra   func(*metadata.Metadata[metadata.TargetsType], *metadata.Metadata[metadata.SnapshotType])

	mu    sync.Mutex
	files map[string][]byte
	asked []string
	// answer, if not nil, answers in the repository's place where it returns true.
	answer func(http.ResponseWriter, *http.Request) bool
	server *httptest.Server
}

var roles = []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, at: now, keys: map[string]ed25519.PrivateKey{}, files: map[string][]byte{}, content: []byte(`{"trusted":1}`)}
	r.root = metadata.Root(now.AddDate(1, 0, 0))
	for _, role := range roles {
		r.newKey(role)
	}
	r.signRoot()
	r.publish()
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newKey gives a role another key, instead of the one it has.
func (r *repository) newKey(role string) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	check(r.t, err)
	key, err := metadata.KeyFromPublicKey(pub)
	check(r.t, err)
	if r.keys[role] != nil {
		for _, id := range append([]string(nil), r.root.Signed.Roles[role].KeyIDs...) {
			check(r.t, r.root.Signed.RevokeKey(id, role))
		}
	}
	check(r.t, r.root.Signed.AddKey(key, role))
	r.keys[role] = private
}

func sign[T metadata.Roles](r *repository, m *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	m.ClearSignatures()
	for _, k := range keys {
		s, err := signature.LoadSigner(k, crypto.Hash(0))
		check(r.t, err)
		_, err = m.Sign(s)
		check(r.t, err)
	}
	b, err := m.ToBytes(false)
	check(r.t, err)
	return b
}

// signRoot publishes the root, signed by its own key and by those that are given.
func (r *repository) signRoot(also ...ed25519.PrivateKey) {
	b := sign(r, r.root, append(also, r.keys[metadata.ROOT])...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[fmt.Sprintf("%d.root.json", r.root.Signed.Version)] = b
}

// rotate publishes a root one version higher, with other keys for roles.
func (r *repository) rotate(roles ...string) {
	old := r.keys[metadata.ROOT]
	for _, role := range roles {
		r.newKey(role)
	}
	r.root.Signed.Version++
	if r.keys[metadata.ROOT].Equal(old) {
		r.signRoot()
	} else {
		r.signRoot(old)
	}
}

// publish signs the next version of everything below the root.
func (r *repository) publish() {
	r.version++
	targets := metadata.Targets(r.at.Add(30 * day))
	targets.Signed.Version = r.version
	info, err := metadata.TargetFile().FromBytes("trusted_root.json", r.content, "sha256")
	check(r.t, err)
	targets.Signed.Targets["trusted_root.json"] = info
	snapshot := metadata.Snapshot(r.at.Add(7 * day))
	snapshot.Signed.Version = r.version
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(r.version)
	if r.extra != nil {
		r.extra(targets, snapshot)
	}
	timestamp := metadata.Timestamp(r.at.Add(day))
	timestamp.Signed.Version = r.version
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)
	files := map[string][]byte{
		fmt.Sprintf("%d.targets.json", r.version):  sign(r, targets, r.keys[metadata.TARGETS]),
		fmt.Sprintf("%d.snapshot.json", r.version): sign(r, snapshot, r.keys[metadata.SNAPSHOT]),
		"timestamp.json": sign(r, timestamp, r.keys[metadata.TIMESTAMP]),
		"targets/" + hex.EncodeToString(info.Hashes["sha256"]) + ".trusted_root.json": r.content,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, b := range files {
		r.files[name] = b
	}
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	answer, name := r.answer, strings.TrimPrefix(req.URL.EscapedPath(), "/")
	b, ok := r.files[name]
	r.asked = append(r.asked, name)
	r.mu.Unlock()
	switch {
	case answer != nil && answer(w, req):
	case !ok:
		http.NotFound(w, req)
	default:
		_, _ = w.Write(b)
	}
}

// attack has f answer from now on; nil ends it.
func (r *repository) attack(f func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func (r *repository) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.asked)
	r.asked = nil
	return n
}

func (r *repository) source() trust.TUFSource {
	r.mu.Lock()
	defer r.mu.Unlock()
	return trust.TUFSource{Name: "acme", URL: r.server.URL, Root: r.files["1.root.json"], Target: "trusted_root.json"}
}

// A verifier is a client with a cache of its own, at a time.
type verifier struct {
	tufsource.Client
	src trust.TUFSource
}

func newVerifier(t *testing.T, r *repository) *verifier {
	return &verifier{tufsource.Client{Cache: t.TempDir(), Now: now}, r.source()}
}

func (v *verifier) fetch(t *testing.T) (trust.TUFTarget, tufsource.Report) {
	t.Helper()
	got, report, err := v.Fetch(context.Background(), v.src)
	check(t, err)
	return got, report
}

// good fetches, and wants that content by an answer of the repository itself.
func (v *verifier) good(t *testing.T, want string) trust.TUFTarget {
	t.Helper()
	got, report := v.fetch(t)
	if string(got.Content) != want || report.Failed != nil || report.Unkept != nil {
		t.Fatalf("got %s, failed %v, unkept %v; want %s", got.Content, report.Failed, report.Unkept, want)
	}
	return got
}

// stands fetches, and wants the last good content, because the repository's answer was
// not taken for a reason that says why.
func (v *verifier) stands(t *testing.T, want, why string) {
	t.Helper()
	got, report := v.fetch(t)
	if string(got.Content) != want {
		t.Fatalf("got %s, want %s to stand", got.Content, want)
	}
	if report.Failed == nil || !strings.Contains(report.Failed.Error(), why) {
		t.Fatalf("failed: %v, want %q", report.Failed, why)
	}
}

// delegate moves the target from the role targets to one that it delegates to.
func delegate(r *repository, targets *metadata.Metadata[metadata.TargetsType], snapshot *metadata.Metadata[metadata.SnapshotType], role string) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	check(r.t, err)
	key, err := metadata.KeyFromPublicKey(pub)
	check(r.t, err)
	id, err := key.ID()
	check(r.t, err)
	targets.Signed.Delegations = &metadata.Delegations{
		Keys:  map[string]*metadata.Key{id: key},
		Roles: []metadata.DelegatedRole{{Name: role, KeyIDs: []string{id}, Threshold: 1, Paths: []string{"*"}}},
	}
	below := metadata.Targets(r.at.Add(30 * day))
	below.Signed.Version = r.version
	below.Signed.Targets["trusted_root.json"] = targets.Signed.Targets["trusted_root.json"]
	delete(targets.Signed.Targets, "trusted_root.json")
	snapshot.Signed.Meta[role+".json"] = metadata.MetaFile(r.version)
	b := sign(r, below, private)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[fmt.Sprintf("%d.%s.json", r.version, url.PathEscape(role))] = b
}
