package tufsource_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/pedigree-ml/pedigree/attest"
)

const first, second = `{"trusted":1}`, `{"trusted":2}`

func TestFetch(t *testing.T) {
	r := newRepository(t)
	v := newVerifier(t, r)
	got := v.good(t, first)
	// The timestamp ends first.
	if want := now.Add(day); !got.Expires.Equal(want) {
		t.Errorf("expires %s, want %s", got.Expires, want)
	}
	r.requests()

	// Within the hour nobody is asked; after it, the repository is.
	r.content = []byte(second)
	r.publish()
	v.Now = now.Add(59 * time.Minute)
	v.good(t, first)
	if n := r.requests(); n != 0 {
		t.Errorf("%d requests within the hour", n)
	}
	v.Now = now.Add(time.Hour)
	v.good(t, second)
	if n := r.requests(); n == 0 {
		t.Error("nobody was asked after an hour")
	}

	// A clock that went back is no reason to believe longer.
	v.Now = now.Add(-time.Minute)
	v.fetch(t)
	if n := r.requests(); n == 0 {
		t.Error("an answer from the future was taken for fresh")
	}
}

func TestOffline(t *testing.T) {
	r := newRepository(t)
	v := newVerifier(t, r)
	v.Offline = true
	if _, _, err := v.Fetch(context.Background(), v.src); attest.RefusalCode(err) != attest.CodeTrustRootStale {
		t.Errorf("never fetched, and offline: %v", err)
	}
	v.Offline = false
	v.good(t, first)
	r.requests()
	// Offline the answer is what it was, also when it is over: who judges sees when.
	v.Offline, v.Now = true, now.Add(40*day)
	got, report := v.fetch(t)
	if string(got.Content) != first || !got.Expires.Equal(now.Add(day)) || report.Asked || !report.Checked.Equal(now) {
		t.Errorf("got %s until %s, %+v", got.Content, got.Expires, report)
	}
	if n := r.requests(); n != 0 {
		t.Errorf("%d requests offline", n)
	}
	// Another initial root is another source: nothing is known of it.
	other := newRepository(t).source()
	other.URL = v.src.URL
	if _, _, err := v.Fetch(context.Background(), other); attest.RefusalCode(err) != attest.CodeTrustRootStale {
		t.Errorf("another root's answer was taken: %v", err)
	}
}

// Keys change, roots follow each other, and roles that were delegated are found.
func TestRotation(t *testing.T) {
	r := newRepository(t)
	v := newVerifier(t, r)
	v.good(t, first)
	r.rotate(metadata.ROOT, metadata.TARGETS)
	r.rotate(metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT)
	r.content = []byte(second)
	r.publish()
	v.Now = now.Add(2 * time.Hour)
	v.good(t, second)
	// All of it from what was kept, beginning with the first root.
	v.Offline = true
	v.good(t, second)
	// And for somebody who comes new.
	newVerifier(t, r).good(t, second)
}

// IDN-17: whatever a repository answers, the last good root stands until its own end, and
// a verifier that never had one has none.
func TestRefreshFailsOrLies(t *testing.T) {
	always := func(f func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { f(w); return true }
	}
	on := func(part string, f func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, req *http.Request) bool {
			if !strings.Contains(req.URL.Path, part) {
				return false
			}
			f(w)
			return true
		}
	}
	write := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = w.Write([]byte(s)) }
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.Error("a redirect was followed to another host") }))
	t.Cleanup(elsewhere.Close)
	for _, tc := range []struct {
		name, why string
		answer    func(http.ResponseWriter, *http.Request) bool
	}{
		{"status 500", "status 500", always(func(w http.ResponseWriter) { w.WriteHeader(500) })},
		{"status 403", "status 403", always(func(w http.ResponseWriter) { w.WriteHeader(403) })},
		{"HTML with status 200", "a new root", always(write("<html>Log in to the guest network"))},
		{"half a timestamp", "timestamp.json", on("timestamp", write(`{"signed":{"_type":"timestamp"`))},
		{"a connection that breaks off", "EOF", on("timestamp", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "900"); _, _ = w.Write([]byte("{")) })},
		{"another role's file", "timestamp.json", on("timestamp", write(string(newRepository(t).files["1.root.json"])))},
		{"an empty file", "timestamp.json", on("timestamp", write(""))},
		{"a JSON null", "", on("timestamp", write("null"))},
		{"a body without end", "longer than 16384 bytes", on("timestamp", func(w http.ResponseWriter) {
			for range 1 << 20 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		})},
		{"a target without end", "longer than", on("targets/", func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 1<<20)) })},
		{"another target", "trusted_root.json", on("targets/", write(`{"trusted":9}`))},
		{"a redirect to another host", "redirects to another host", on("timestamp", func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL+"/timestamp.json")
			w.WriteHeader(302)
		})},
		{"a redirect to itself", "on and on", on("timestamp", func(w http.ResponseWriter) { w.Header().Set("Location", "/timestamp.json"); w.WriteHeader(302) })},
		{"a root of somebody else", "a new root", on("2.root", write(string(newRepository(t).files["1.root.json"])))},
		{"roots without end", "", func() func(http.ResponseWriter, *http.Request) bool {
			other := newRepository(t)
			return on("root.json", write(string(other.files["1.root.json"])))
		}()},
	} {
		t.Run("IDN-17 "+tc.name, func(t *testing.T) {
			r := newRepository(t)
			v := newVerifier(t, r)
			v.good(t, first) // the positive twin
			r.content = []byte(second)
			r.publish()
			r.attack(tc.answer)
			v.Now = now.Add(2 * time.Hour)
			v.stands(t, first, tc.why)
			// After its end it is still given, and says that it is over.
			v.Now = now.Add(3 * day)
			if got, _ := v.fetch(t); v.Now.Before(got.Expires) {
				t.Errorf("it would hold until %s", got.Expires)
			}
			fresh := newVerifier(t, r)
			if _, _, err := fresh.Fetch(context.Background(), fresh.src); attest.RefusalCode(err) != attest.CodeTrustRootStale {
				t.Errorf("somebody without an earlier answer: %v", err)
			}
			// The attack ends, and what was published counts.
			r.attack(nil)
			r.at = v.Now
			r.publish()
			v.good(t, second)
		})
	}
}

// IDN-14: an old state of the repository, well signed, is not taken for the newest.
func TestOldTrustRoots(t *testing.T) {
	later := now.Add(2 * time.Hour)
	t.Run("IDN-14 rollback to the version before", func(t *testing.T) {
		r := newRepository(t)
		old := r.files["timestamp.json"]
		r.content = []byte(second)
		r.publish()
		v := newVerifier(t, r)
		v.good(t, second)
		r.files["timestamp.json"] = old
		v.Now = later
		v.stands(t, second, "version")
	})
	t.Run("IDN-14 rollback of the timestamp alone", func(t *testing.T) {
		r := newRepository(t)
		old := r.files["timestamp.json"]
		m := metadata.Timestamp(now.Add(day))
		m.Signed.Version = 7
		m.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)
		r.files["timestamp.json"] = sign(r, m, r.keys[metadata.TIMESTAMP])
		v := newVerifier(t, r)
		v.good(t, first)
		r.files["timestamp.json"] = old
		v.Now = later
		v.stands(t, first, "new timestamp version 1 must be >= 7")
	})
	t.Run("IDN-14 rollback of targets below a new timestamp", func(t *testing.T) {
		r := newRepository(t)
		r.content = []byte(second)
		r.publish()
		v := newVerifier(t, r)
		v.good(t, second)
		// Whoever has the timestamp's and the snapshot's keys names an older file.
		r.extra = func(_ *metadata.Metadata[metadata.TargetsType], s *metadata.Metadata[metadata.SnapshotType]) {
			s.Signed.Meta["targets.json"] = metadata.MetaFile(1)
		}
		r.publish()
		v.Now = later
		v.stands(t, second, "version")
	})
	t.Run("IDN-14 frozen past its end", func(t *testing.T) {
		r := newRepository(t)
		v := newVerifier(t, r)
		v.good(t, first)
		v.Now = now.Add(2 * day) // the timestamp ended a day ago, and the repository still serves it
		v.stands(t, first, "expired")
		got, _ := v.fetch(t)
		if v.Now.Before(got.Expires) {
			t.Errorf("a frozen answer would hold until %s", got.Expires)
		}
		if _, _, err := newVerifierAt(t, r, v.Now).Fetch(context.Background(), v.src); attest.RefusalCode(err) != attest.CodeTrustRootStale {
			t.Errorf("a frozen answer was taken as the first one: %v", err)
		}
	})
	t.Run("IDN-14 fast-forward, and the owner's way out", func(t *testing.T) {
		r := newRepository(t)
		v := newVerifier(t, r)
		v.good(t, first)
		// Somebody with the keys of timestamp and snapshot counts so high that nobody could
		// ever publish again.
		r.version = 1 << 40
		r.publish()
		v.Now = later
		v.good(t, first)
		// New keys for both, and versions begin again.
		r.rotate(metadata.TIMESTAMP, metadata.SNAPSHOT)
		r.version = 1
		r.content = []byte(second)
		r.publish()
		v.Now = later.Add(2 * time.Hour)
		v.good(t, second)
	})
	t.Run("IDN-14 unsigned, or signed by a stranger", func(t *testing.T) {
		r := newRepository(t)
		v := newVerifier(t, r)
		v.good(t, first)
		r.keys[metadata.TIMESTAMP] = newRepository(t).keys[metadata.TIMESTAMP]
		r.content = []byte(second)
		r.publish()
		v.Now = later
		v.stands(t, first, "timestamp.json")
	})
	t.Run("IDN-14 signed documents that lack a part", func(t *testing.T) {
		r := newRepository(t)
		v := newVerifier(t, r)
		v.good(t, first)
		m := metadata.Timestamp(now.Add(day))
		m.Signed.Version = 9
		m.Signed.Meta = map[string]*metadata.MetaFiles{}
		r.files["timestamp.json"] = sign(r, m, r.keys[metadata.TIMESTAMP])
		v.Now = later
		v.stands(t, first, "lacks a part")
	})
}

func newVerifierAt(t *testing.T, r *repository, at time.Time) *verifier {
	v := newVerifier(t, r)
	v.Now = at
	return v
}

// IDN-16: no name that a repository chooses leads anywhere, in the cache or in a URL.
func TestHostileNames(t *testing.T) {
	for _, role := range []string{"../../x", "..", "/etc/x", `..\..\x`, "a/../../x", "%2e%2e/x", "x\x00y"} {
		t.Run("IDN-16 a role called "+strings.ReplaceAll(role, "/", "|"), func(t *testing.T) {
			r := newRepository(t)
			r.extra = func(targets *metadata.Metadata[metadata.TargetsType], snapshot *metadata.Metadata[metadata.SnapshotType]) {
				delegate(r, targets, snapshot, role)
			}
			r.publish()
			above := t.TempDir()
			v := newVerifier(t, r)
			v.Cache = filepath.Join(above, "a", "b", "cache")
			v.good(t, first) // through the delegation: it works, and is nobody's path
			var files []string
			check(t, filepath.WalkDir(above, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					files = append(files, path)
				}
				return err
			}))
			if len(files) != 1 || filepath.Dir(files[0]) != v.Cache || !strings.HasPrefix(filepath.Base(files[0]), "tuf-") {
				t.Errorf("written: %q", files)
			}
			for _, name := range r.asked {
				if strings.Contains(name, "/..") || strings.HasPrefix(name, "../") {
					t.Errorf("asked for %s", name)
				}
			}
			v.Offline = true
			v.good(t, first)
		})
	}
}

// The cache is as untrusted as the network: what was changed in it is no answer.
func TestDamagedCache(t *testing.T) {
	r := newRepository(t)
	v := newVerifier(t, r)
	v.good(t, first)
	names, err := filepath.Glob(filepath.Join(v.Cache, "tuf-*.json"))
	if err != nil || len(names) != 1 {
		t.Fatalf("kept: %q, %v", names, err)
	}
	whole, err := os.ReadFile(names[0])
	check(t, err)
	v.Offline = true
	v.good(t, first)
	for _, change := range []struct {
		name string
		f    func([]byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"half", func(b []byte) []byte { return b[:len(b)/2] }},
		{"null", func([]byte) []byte { return []byte("null") }},
		{"other content", func(b []byte) []byte {
			var m map[string]any
			check(t, json.Unmarshal(b, &m))
			m["target"] = []byte(`{"trusted":9}`)
			out, err := json.Marshal(m)
			check(t, err)
			return out
		}},
	} {
		check(t, os.WriteFile(names[0], change.f(whole), 0o600))
		if _, _, err := v.Fetch(context.Background(), v.src); attest.RefusalCode(err) != attest.CodeTrustRootStale {
			t.Errorf("%s: %v", change.name, err)
		}
	}
	// A link in its place is not followed.
	target := filepath.Join(t.TempDir(), "elsewhere.json")
	check(t, os.WriteFile(target, whole, 0o600))
	check(t, os.Remove(names[0]))
	check(t, os.Symlink(target, names[0]))
	if _, _, err := v.Fetch(context.Background(), v.src); attest.RefusalCode(err) != attest.CodeTrustRootStale {
		t.Errorf("a link was followed: %v", err)
	}
	// Online, everything is fetched again and the link replaced, not written through.
	v.Offline = false
	v.Now = now.Add(2 * time.Hour)
	v.good(t, first)
	if b, err := os.ReadFile(target); err != nil || string(b) != string(whole) {
		t.Error("the file behind the link was written")
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	r := newRepository(t)
	v := newVerifier(t, r)
	v.Cache = filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(v.Cache, nil, 0o600))
	got, report := v.fetch(t)
	if string(got.Content) != first || report.Unkept == nil {
		t.Errorf("got %s, unkept %v", got.Content, report.Unkept)
	}
}

func TestInterrupted(t *testing.T) {
	r := newRepository(t)
	v := newVerifier(t, r)
	v.good(t, first)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	v.Now = now.Add(2 * time.Hour)
	if _, _, err := v.Fetch(ctx, v.src); err != context.Canceled {
		t.Errorf("interrupted: %v", err)
	}
}
