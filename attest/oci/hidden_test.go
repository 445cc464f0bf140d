package oci_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

func nothing(*hostile, http.ResponseWriter, *http.Request) bool { return false }

// Whoever may push can overwrite the fallback index, and say in it that the
// attestation is something else. It is found all the same.
func TestALyingIndexHidesNothing(t *testing.T) {
	where, d := prepared(t, false, 1, nothing)
	before := list(t, open(t, where), d)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":1,"artifactType":"text/plain"}]}`,
		attest.MediaTypeIndex, attest.MediaTypeManifest, before[0].Manifest)
	putAs(t, where, "sha256-"+d.Hex(), attest.MediaTypeIndex, []byte(index))
	if got := list(t, open(t, where), d); len(got) != 1 || got[0].Err != nil {
		t.Errorf("listed %v", got)
	}
}

// cosign reads a manifest with a bundle as its layer, whatever its artifact type.
func TestBundlesUnderAnotherArtifactType(t *testing.T) {
	where, d := prepared(t, true, 1, nothing)
	b := bundle(t, d, 99, "")
	push(t, where, b)
	m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.in-toto+json","config":{"mediaType":%q,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"subject":{"mediaType":%q,"digest":%q,"size":1}}`,
		attest.MediaTypeManifest, attest.MediaTypeEmpty, attest.MediaTypeBundle, attest.SHA256(b), len(b), attest.MediaTypeManifest, d)
	put(t, where, attest.SHA256(m).String(), m)
	if got := list(t, open(t, where), d); len(got) != 2 {
		t.Errorf("%d listed, want ours and the other", len(got))
	}
}

// Somebody has taken the attestation's tag, and the registry says "created". What
// no listing shows is not confirmed.
func TestAttachConfirmsContentNotNames(t *testing.T) {
	var taken atomic.Bool
	where, d := prepared(t, false, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		last := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
		switch {
		case !taken.Load():
			return false
		case req.Method == http.MethodPut && strings.Contains(last, "."):
			w.WriteHeader(http.StatusCreated)
			return true
		case req.Method == http.MethodGet && strings.HasPrefix(last, "sha256-") && !strings.Contains(last, "."):
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})
	b := bundle(t, d, 77, "")
	a, err := open(t, where).Attach(t.Context(), d, b)
	must(t, err) // the twin: as long as nobody interferes it is confirmed
	other := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`, attest.MediaTypeManifest, attest.MediaTypeEmpty)
	put(t, where, "sha256-"+d.Hex()+"."+a.Hex()[:32], other)
	taken.Store(true)
	_, err = open(t, where).Attach(t.Context(), d, b)
	if err == nil {
		t.Error("confirmed, and no listing shows it")
	}
}

// A registry got the referrers API after something was attached, or a proxy makes
// one up: what lies under the attestations' own tags is listed all the same.
func TestTheAPIDoesNotHideTags(t *testing.T) {
	var api atomic.Bool
	where := memory(t, func(h http.Handler) http.Handler {
		without := noAPI(h)
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if isReferrers(req) && api.Load() {
				w.Header().Set("Content-Type", attest.MediaTypeIndex)
				_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
				return
			}
			without.ServeHTTP(w, req)
		})
	})
	r := open(t, where)
	ref, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	_, err = r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, 1, ""))
	must(t, err)
	api.Store(true)
	if got := list(t, open(t, where), ref.Digest); len(got) != 1 {
		t.Errorf("%d listed, want the one under its tag", len(got))
	}
}

// A registry that holds the artifact and says that there is no list of tags has
// not said that there are no tags.
func TestNoListOfTagsIsNoAbsence(t *testing.T) {
	where, d := prepared(t, false, 3, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		switch {
		case strings.HasSuffix(req.URL.Path, "/tags/list"):
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(req.URL.Path, "/manifests/sha256-") && !strings.Contains(req.URL.Path, "."):
			w.Header().Set("Content-Type", attest.MediaTypeIndex)
			_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
		default:
			return false
		}
		return true
	})
	_, err := tryList(t, open(t, where), d)
	wantCode(t, err, attest.CodeRegUnavailable)
}

// With the API, a list of tags that is denied is passed over; one that cannot be
// had just now is "could not look", as everywhere.
func TestTagsBesideTheAPI(t *testing.T) {
	for status, want := range map[int]attest.Code{
		http.StatusOK:                  "",
		http.StatusForbidden:           "",
		http.StatusNotFound:            "",
		http.StatusInternalServerError: attest.CodeRegUnavailable,
		http.StatusTooManyRequests:     attest.CodeRegUnavailable,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
				if status == http.StatusOK || !strings.HasSuffix(req.URL.Path, "/tags/list") {
					return false
				}
				w.WriteHeader(status)
				return true
			})
			got, err := tryList(t, open(t, where), d)
			if len(got) != 1 || attest.RefusalCode(err) != want {
				t.Errorf("%d listed, %v; want 1 and %q", len(got), err, want)
			}
		})
	}
}

// What is listed as an attestation under a digest nobody computes cannot be looked
// at, and that is told.
func TestListedUnderAnotherAlgorithm(t *testing.T) {
	where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if !isReferrers(req) {
			return false
		}
		w.Header().Set("Content-Type", attest.MediaTypeIndex)
		fmt.Fprintf(w, `{"manifests":[{"mediaType":%q,"artifactType":%q,"digest":"sha512:%s","size":7}]}`, attest.MediaTypeManifest, attest.MediaTypeBundle, strings.Repeat("ab", 64))
		return true
	})
	got, err := tryList(t, open(t, where), d)
	must(t, err)
	if len(got) == 0 {
		t.Fatal("nothing was said of it")
	}
	wantCode(t, got[0].Err, attest.CodeDigestAlg)
}

// A listing of millions of empty entries is left before it becomes memory.
func TestListingOfNothing(t *testing.T) {
	body := []byte(`{"manifests":[` + strings.Repeat("{},", 200_000) + `{}]}`)
	where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if !isReferrers(req) {
			return false
		}
		w.Header().Set("Content-Type", attest.MediaTypeIndex)
		_, _ = w.Write(body)
		return true
	})
	_, err := tryList(t, open(t, where), d)
	wantCode(t, err, attest.CodeLimit)
}

// A pipe in place of a file of the layout keeps nobody waiting.
func TestPipesInALayout(t *testing.T) {
	for _, what := range []string{"blob", "index.json", "oci-layout"} {
		dir := filepath.Join(t.TempDir(), "l")
		r := open(t, "ocidir://"+dir)
		ref, err := r.Push(t.Context(), model(t), "v1")
		must(t, err)
		p := filepath.Join(dir, what)
		if what == "blob" {
			p = filepath.Join(dir, "blobs/sha256", ref.Digest.Hex())
		}
		must(t, os.Remove(p))
		must(t, syscall.Mkfifo(p, 0o600))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err = open(t, "ocidir://"+dir).Manifest(ctx, ref.Digest)
		if err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v, context %v", what, err, ctx.Err())
		}
		cancel()
	}
}

// A tag on a manifest of which nobody here computes the digest is not absent.
func TestTagOnAnotherAlgorithm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	must(t, os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha512:`+strings.Repeat("ab", 64)+`","size":2,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`), 0o600))
	var r *oci.Repository = open(t, "ocidir://"+dir)
	_, err := r.Resolve(t.Context(), attest.Reference{Repository: r.Ref(), Tag: "v1"})
	wantCode(t, err, attest.CodeDigestAlg)
}
