package oci_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// holds returns what a fresh View says that a repository holds.
func holds(t testing.TB, where string) (list []attest.Held, exhaustive bool, err error) {
	t.Helper()
	exhaustive, err = open(t, where).View().Held(t.Context(), func(h attest.Held) bool {
		list = append(list, h)
		return true
	})
	for i := range list {
		if len(list[i].Tags) == 0 {
			list[i].Tags = nil
		}
	}
	return list, exhaustive, err
}

// sortedHeld is the list that Held should give.
func sortedHeld(list ...attest.Held) []attest.Held {
	slices.SortFunc(list, func(a, b attest.Held) int { return a.Digest.Compare(b.Digest) })
	return list
}

// index makes an OCI index of what it is given: digests, or media types before them.
func indexOf(children ...string) []byte {
	var entries []string
	for _, c := range children {
		mt, d, ok := strings.Cut(c, " ")
		if !ok {
			mt, d = attest.MediaTypeManifest, c
		}
		entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2}`, mt, d))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, attest.MediaTypeIndex, strings.Join(entries, ","))
}

// Every home lists what people tagged, what evidence is attached to, and what
// stand-ins stand for.
func TestHeld(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		packed, err := r.Push(t.Context(), model(t), "v1")
		must(t, err)
		_, err = r.Push(t.Context(), model(t), "latest")
		must(t, err)
		commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("ab", 20))
		must(t, err)
		opaque := attest.SHA256([]byte("a data set in object storage"))
		for i, d := range []attest.Digest{packed.Digest, commit, opaque, opaque} {
			_, err := r.Attach(t.Context(), d, bundle(t, d, i, ""))
			must(t, err)
		}
		got, exhaustive, err := holds(t, where)
		must(t, err)
		want := sortedHeld(attest.Held{Digest: packed.Digest, Tags: []string{"latest", "v1"}}, attest.Held{Digest: commit, StandIn: true}, attest.Held{Digest: opaque, StandIn: true})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("held: %v, want %v", got, want)
		}
		if api := strings.HasSuffix(t.Name(), "/api"); exhaustive == api {
			t.Errorf("exhaustive: %t", exhaustive)
		}
		// One that has enough stops.
		n := 0
		_, err = open(t, where).View().Held(t.Context(), func(attest.Held) bool { n++; return false })
		if n != 1 || err != nil {
			t.Errorf("yielded %d after it was told to stop (%v)", n, err)
		}
	})
}

// An index is held, and each of its children is; also of an index in an index, and
// each once, though indexes may list each other's children.
func TestHeldIndexes(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		ref, err := r.Push(t.Context(), model(t), "v1")
		must(t, err)
		if strings.HasPrefix(where, "ocidir://") {
			t.Skip("indexes are put into layouts below")
		}
		inner := indexOf(ref.Digest.String())
		putAs(t, where, attest.SHA256(inner).String(), attest.MediaTypeIndex, inner)
		outer := indexOf(ref.Digest.String(), attest.MediaTypeIndex+" "+attest.SHA256(inner).String())
		putAs(t, where, "all", attest.MediaTypeIndex, outer)
		got, _, err := holds(t, where)
		must(t, err)
		want := sortedHeld(attest.Held{Digest: ref.Digest, Tags: []string{"v1"}}, attest.Held{Digest: attest.SHA256(inner)}, attest.Held{Digest: attest.SHA256(outer), Tags: []string{"all"}})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("held: %v, want %v", got, want)
		}
	})
}

func TestHeldIndexesInALayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	r := open(t, "ocidir://"+dir)
	ref, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	child := attest.SHA256([]byte("child")) // kept elsewhere
	b := indexOf(ref.Digest.String(), child.String())
	write := func(b []byte) {
		must(t, os.WriteFile(filepath.Join(dir, "blobs", "sha256", attest.SHA256(b).Hex()), b, 0o600))
	}
	write(b)
	list := func(digest attest.Digest, tag string) {
		text, err := os.ReadFile(filepath.Join(dir, "index.json"))
		must(t, err)
		entry := fmt.Sprintf(`"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"org.opencontainers.image.ref.name":%q}},`, attest.MediaTypeIndex, digest, len(b), tag)
		must(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte(strings.Replace(string(text), `"manifests":[`, entry, 1)), 0o600))
	}
	list(attest.SHA256(b), "all")
	got, exhaustive, err := holds(t, "ocidir://"+dir)
	must(t, err)
	want := sortedHeld(attest.Held{Digest: ref.Digest, Tags: []string{"v1"}}, attest.Held{Digest: child}, attest.Held{Digest: attest.SHA256(b), Tags: []string{"all"}})
	if !reflect.DeepEqual(got, want) || !exhaustive {
		t.Errorf("held: %v (%t), want %v", got, exhaustive, want)
	}
	// What is listed and missing is there, whatever it is; and the list is not whole.
	gone := attest.SHA256([]byte("gone"))
	list(gone, "lost")
	got, exhaustive, err = holds(t, "ocidir://"+dir)
	wantCode(t, err, attest.CodeRegUnavailable)
	if exhaustive || !slices.ContainsFunc(got, func(h attest.Held) bool { return h.Digest == gone }) || len(got) != len(want)+1 {
		t.Errorf("with a damaged entry: %v (%t)", got, exhaustive)
	}
	if _, _, err := holds(t, "ocidir://"+filepath.Join(dir, "nowhere")); err == nil {
		t.Error("what is no layout holds nothing, and says that it could be looked at")
	}
}

// A layout by other tools: attestations without a hint, under no tag.
func TestHeldInAForeignLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	r := open(t, "ocidir://"+dir)
	commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("cd", 20))
	must(t, err)
	ref, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	for _, d := range []attest.Digest{commit, ref.Digest} {
		_, err = r.Attach(t.Context(), d, bundle(t, d, 1, ""))
		must(t, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	foreign := strings.ReplaceAll(string(text), "io.github.pedigree-ml.subject", "org.example.other")
	foreign = strings.ReplaceAll(foreign, attest.StandInTag(commit), "a-commit")
	if foreign == string(text) {
		t.Fatal("the layout has no hints to remove")
	}
	must(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte(foreign), 0o600))
	got, exhaustive, err := holds(t, "ocidir://"+dir)
	must(t, err)
	want := sortedHeld(attest.Held{Digest: ref.Digest, Tags: []string{"v1"}}, attest.Held{Digest: commit, Tags: []string{"a-commit"}, StandIn: true})
	if !reflect.DeepEqual(got, want) || !exhaustive {
		t.Errorf("held: %v (%t), want %v", got, exhaustive, want)
	}
}

// What a registry cannot list is an error, and never an empty list.
func TestHeldIsNotKnown(t *testing.T) {
	const (
		fine = iota
		denied
		noTags
		dangling
		unavailable
	)
	for name, c := range map[string]struct {
		state int32
		api   bool
		want  attest.Code
		held  bool // the artifact is among what was listed
	}{
		"all is well":                      {fine, false, "", true},
		"tags are withheld":                {denied, false, attest.CodeRegUnavailable, false},
		"tags are withheld beside the API": {denied, true, attest.CodeRegUnavailable, false},
		"no such repository":               {noTags, false, attest.CodeNotFound, false},
		"a tag that leads nowhere":         {dangling, false, attest.CodeNotFound, true},
		"a tag that cannot be had":         {unavailable, false, attest.CodeRegUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var state atomic.Int32
			where := memory(t, func(h http.Handler) http.Handler {
				if !c.api {
					h = noAPI(h)
				}
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					switch list, bad := strings.HasSuffix(req.URL.Path, "/tags/list"), strings.HasSuffix(req.URL.Path, "/manifests/v2"); {
					case list && state.Load() == denied:
						w.WriteHeader(http.StatusForbidden)
					case list && state.Load() == noTags, bad && state.Load() == dangling:
						w.WriteHeader(http.StatusNotFound)
					case bad && state.Load() == unavailable:
						w.WriteHeader(http.StatusForbidden) // not repeated, unlike 500
					default:
						h.ServeHTTP(w, req)
					}
				})
			})
			r := open(t, where)
			ref, err := r.Push(t.Context(), model(t), "v1")
			must(t, err)
			putOther(t, where, "v2")
			_, err = r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, 1, ""))
			must(t, err)
			state.Store(c.state)
			got, exhaustive, err := holds(t, where)
			wantCode(t, err, c.want)
			if attest.IsAbsent(err) {
				t.Errorf("%v passes for absence", err)
			}
			if held := slices.ContainsFunc(got, func(h attest.Held) bool { return h.Digest == ref.Digest }); held != c.held || exhaustive != (c.want == "") {
				t.Errorf("held: %v, exhaustive: %t", got, exhaustive)
			}
		})
	}
}

// otherManifest is some image.
var otherManifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`, attest.MediaTypeManifest, attest.MediaTypeEmpty)

// putOther puts it under a tag.
func putOther(t *testing.T, where, tag string) {
	t.Helper()
	push(t, where, []byte("{}"))
	put(t, where, tag, otherManifest)
}

// A registry whose API is only sometimes there, or that leaves the fallback indexes
// out of its list, may have more than it lists.
func TestHeldMayBeMore(t *testing.T) {
	where := memory(t, noAPI)
	r := open(t, where)
	_, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	if _, exhaustive, err := holds(t, where); exhaustive || err != nil {
		t.Errorf("without any fallback index: exhaustive %t (%v)", exhaustive, err)
	}
	// The twin: with one it is.
	d := attest.SHA256([]byte("opaque"))
	_, err = r.Attach(t.Context(), d, bundle(t, d, 1, ""))
	must(t, err)
	if _, exhaustive, err := holds(t, where); !exhaustive || err != nil {
		t.Errorf("with a fallback index: exhaustive %t (%v)", exhaustive, err)
	}
	// The API does not answer just now.
	down := memory(t, func(h http.Handler) http.Handler {
		h = noAPI(h)
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if isReferrers(req) && req.Method == http.MethodGet && req.Header.Get("X-Up") == "" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			h.ServeHTTP(w, req)
		})
	})
	putOther(t, down, "v1")
	putAs(t, down, "sha256-"+attest.SHA256(otherManifest).Hex(), attest.MediaTypeIndex, indexOf())
	if _, exhaustive, err := holds(t, down); exhaustive || err != nil {
		t.Errorf("with an API that does not answer: exhaustive %t (%v)", exhaustive, err)
	}
}

// A known attestation costs no request; what is new is fetched.
func TestAttestationsExcept(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		ref, err := r.Push(t.Context(), model(t), "v1")
		must(t, err)
		for i := range 4 {
			_, err := r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, i, ""))
			must(t, err)
		}
		all := list(t, r, ref.Digest)
		known := map[attest.Digest]bool{all[1].Manifest: true, all[2].Manifest: true, attest.SHA256([]byte("another")): true}
		var got []string
		err = r.View().AttestationsExcept(t.Context(), ref.Digest, func(d attest.Digest) bool { return known[d] }, func(a attest.Attached) bool {
			got = append(got, fmt.Sprintf("%s %d", a.Manifest, len(a.Bundle)))
			if a.Err != nil || known[a.Manifest] && (a.Bundle != nil || a.PredicateType != "") {
				t.Errorf("yielded %v of %s, known: %t", a, a.Manifest, known[a.Manifest])
			}
			return true
		})
		must(t, err)
		var want []string
		for _, a := range all {
			n := len(a.Bundle)
			if known[a.Manifest] {
				n = 0
			}
			want = append(want, fmt.Sprintf("%s %d", a.Manifest, n))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("yielded %q, want %q", got, want)
		}
	})
}

func TestKnownAttestationsAreNotAskedFor(t *testing.T) {
	for name, api := range map[string]bool{"api": true, "no-api": false} {
		t.Run(name, func(t *testing.T) {
			l := newLineage(t, api, 1, 5)
			all := list(t, open(t, l.where), l.root)
			v := open(t, l.where).View()
			_, err := v.Held(t.Context(), func(attest.Held) bool { return true })
			must(t, err)
			l.reset(0)
			seen := 0
			must(t, v.AttestationsExcept(t.Context(), l.root, func(attest.Digest) bool { return true }, func(attest.Attached) bool { seen++; return true }))
			if seen != len(all) || l.asked["manifest"]+l.asked["other"]+l.asked["tags"] > 0 {
				t.Errorf("%d of %d were listed with the requests %v", seen, len(all), l.asked)
			}
			l.reset(0)
			must(t, v.AttestationsExcept(t.Context(), l.root, func(d attest.Digest) bool { return d != all[0].Manifest }, func(attest.Attached) bool { return true }))
			if l.asked["manifest"] != 1 {
				t.Errorf("one new attestation was fetched with the requests %v", l.asked)
			}
		})
	}
}

// Held lists the tags once, and what is asked afterwards does not list them again.
func TestHeldListsOnce(t *testing.T) {
	l := newLineage(t, false, 2, 3)
	v := open(t, l.where).View()
	l.reset(0)
	_, err := v.Held(t.Context(), func(attest.Held) bool { return true })
	must(t, err)
	l.walk(t, v)
	if l.asked["tags"] != 1 {
		t.Errorf("the tags were listed %d times", l.asked["tags"])
	}
}

func TestHeldGivesUp(t *testing.T) {
	where := memory(t, noAPI)
	putOther(t, where, "v1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	exhaustive, err := open(t, where).View().Held(ctx, func(attest.Held) bool { return true })
	if err == nil || exhaustive || attest.IsAbsent(err) {
		t.Errorf("given up: %t, %v", exhaustive, err)
	}
}

// However often, and how deep in each other, indexes are listed, each is fetched once.
func TestHeldIndexBomb(t *testing.T) {
	var fetched atomic.Int32
	where := memory(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/manifests/") {
				fetched.Add(1)
			}
			h.ServeHTTP(w, req)
		})
	})
	// Each level lists the one below many times, and by two names.
	putOther(t, where, "leaf")
	below := indexOf(attest.SHA256(otherManifest).String())
	putAs(t, where, attest.SHA256(below).String(), attest.MediaTypeIndex, below)
	for range 12 {
		twin := append(slices.Clone(below), ' ')
		putAs(t, where, attest.SHA256(twin).String(), attest.MediaTypeIndex, twin)
		below = indexOf(attest.MediaTypeIndex+" "+attest.SHA256(below).String(), attest.MediaTypeIndex+" "+attest.SHA256(twin).String())
		putAs(t, where, attest.SHA256(below).String(), attest.MediaTypeIndex, below)
	}
	putAs(t, where, "top", attest.MediaTypeIndex, below)
	putAs(t, where, "twin", attest.MediaTypeIndex, below)
	got, _, err := holds(t, where)
	must(t, err)
	if n := fetched.Load(); n != 2*12+3 || len(got) != 2*12+2 {
		t.Errorf("%d manifests were fetched and %d are held", n, len(got))
	}
}
