package oci_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// A hostile stands between the client and an honest registry.
type hostile struct {
	honest http.Handler
	answer func(h *hostile, w http.ResponseWriter, req *http.Request) bool // false: the honest answer
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !h.answer(h, w, req) {
		h.honest.ServeHTTP(w, req)
	}
}

// ask gets the honest answer to req.
func (h *hostile) ask(req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.honest.ServeHTTP(rec, req)
	return rec
}

// prepared attaches n small and one large bundle to d, then lets the registry
// become hostile.
func prepared(t *testing.T, api bool, n int, answer func(h *hostile, w http.ResponseWriter, req *http.Request) bool) (string, attest.Digest) {
	t.Helper()
	var on atomic.Bool
	where := memory(t, func(honest http.Handler) http.Handler {
		if !api {
			honest = noAPI(honest)
		}
		return &hostile{honest, func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
			return on.Load() && answer(h, w, req)
		}}
	})
	r := open(t, where)
	ref, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	for i := range n {
		_, err := r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, i, ""))
		must(t, err)
	}
	if got := list(t, open(t, where), ref.Digest); len(got) != n {
		t.Fatalf("%d listed before anything is hostile, want %d", len(got), n)
	}
	on.Store(true)
	return where, ref.Digest
}

func isReferrers(req *http.Request) bool { return strings.Contains(req.URL.Path, "/referrers/") }

// Regression: a first page that is empty once hid everything on the later ones.
func TestPages(t *testing.T) {
	where, d := prepared(t, true, 5, func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
		if !isReferrers(req) {
			return false
		}
		var all struct {
			Manifests []json.RawMessage `json:"manifests"`
		}
		json.Unmarshal(h.ask(req).Body.Bytes(), &all)
		n := 0
		fmt.Sscan(req.URL.Query().Get("page"), &n)
		page := []json.RawMessage{}
		if n > 0 && n <= len(all.Manifests) {
			page = all.Manifests[n-1 : n]
		}
		w.Header().Set("Content-Type", attest.MediaTypeIndex+"; charset=utf-8")
		if n < len(all.Manifests) {
			w.Header().Set("Link", fmt.Sprintf(`</v2/x/>; rel="prev", <%s?page=%d&x=a,b>; rel=next`, req.URL.Path, n+1))
		}
		json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "manifests": page})
		return true
	})
	if got := list(t, open(t, where), d); len(got) != 5 {
		t.Errorf("%d listed over 6 pages, want 5", len(got))
	}
}

func TestHostileListing(t *testing.T) {
	index := func(w http.ResponseWriter, link string) bool {
		w.Header().Set("Content-Type", attest.MediaTypeIndex)
		if link != "" {
			w.Header().Set("Link", "<"+link+`>; rel="next"`)
		}
		io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
		return true
	}
	var stranger atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stranger.Add(1) }))
	defer elsewhere.Close()
	var endless, toItself atomic.Int64
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter, req *http.Request) bool
		want   attest.Code
	}{
		"a web page": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>please log in")
			return true
		}, attest.CodeRegUnavailable},
		"no content type": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, `{"manifests":[]}`)
			return true
		}, attest.CodeRegUnavailable},
		"not JSON": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", attest.MediaTypeIndex)
			io.WriteString(w, `{"manifests":[`)
			return true
		}, attest.CodeRegUnavailable},
		"forbidden":    {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(403); return true }, attest.CodeRegUnavailable},
		"unauthorized": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(401); return true }, attest.CodeRegUnavailable},
		"a page that leads to itself": {func(w http.ResponseWriter, req *http.Request) bool {
			toItself.Add(1)
			return index(w, req.URL.String())
		}, attest.CodeLimit},
		"pages without end": {func(w http.ResponseWriter, req *http.Request) bool {
			n := endless.Add(1)
			return index(w, fmt.Sprintf("%s?n=%d", req.URL.Path, n))
		}, attest.CodeLimit},
		"a page on another host": {func(w http.ResponseWriter, req *http.Request) bool {
			return index(w, elsewhere.URL+req.URL.Path)
		}, attest.CodeRegRedirect},
		"a page by another scheme": {func(w http.ResponseWriter, req *http.Request) bool {
			return index(w, "https://"+req.Host+req.URL.Path)
		}, attest.CodeRegRedirect},
		"a page outside the API": {func(w http.ResponseWriter, req *http.Request) bool {
			return index(w, "../../../../admin")
		}, attest.CodeRegRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
				return isReferrers(req) && tt.answer(w, req)
			})
			_, err := tryList(t, open(t, where), d)
			wantCode(t, err, tt.want)
		})
	}
	if toItself.Load() != 8 { // by both ways, twice for each of the two subjects: the first URL has another scheme
		t.Errorf("a page that leads to itself was asked for %d times", toItself.Load())
	}
	if n := stranger.Load(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

func TestListingTooLarge(t *testing.T) {
	t.Parallel()
	where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if !isReferrers(req) {
			return false
		}
		w.Header().Set("Content-Type", attest.MediaTypeIndex)
		io.WriteString(w, `{"manifests":[`)
		chunk := bytes.Repeat([]byte(" "), 1<<20)
		for range 80 {
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
		return true
	})
	_, err := tryList(t, open(t, where), d)
	wantCode(t, err, attest.CodeLimit)
}

// An API that answered before and answers 404 now is out of order: the fallback,
// which nobody wrote, must not be taken for the truth.
func TestAPIDisappears(t *testing.T) {
	var gone atomic.Bool
	where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if !isReferrers(req) || !gone.Load() {
			return false
		}
		w.WriteHeader(404)
		return true
	})
	r := open(t, where)
	if got := list(t, r, d); len(got) != 1 {
		t.Fatalf("%d listed, want 1", len(got))
	}
	gone.Store(true)
	_, err := tryList(t, r, d)
	wantCode(t, err, attest.CodeRegUnavailable)
}

func TestThrottling(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if !isReferrers(req) || n.Add(1) > 2 {
			return false
		}
		w.Header().Set("Retry-After", "-86400")
		w.WriteHeader(429)
		return true
	})
	if got := list(t, open(t, where), d); len(got) != 1 {
		t.Errorf("%d listed after two refusals, want 1", len(got))
	}
	where, d = prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if isReferrers(req) {
			n.Add(1)
			w.WriteHeader(503)
		}
		return isReferrers(req)
	})
	n.Store(0)
	_, err := tryList(t, open(t, where), d)
	wantCode(t, err, attest.CodeRegUnavailable)
	if got := n.Load(); got > 16 { // by both ways, two subjects, four attempts each
		t.Errorf("%d requests to a registry that is down", got)
	}
}

// GitLab's registry takes the fallback tag for another spelling of the subject.
func TestFallbackIsTheSubject(t *testing.T) {
	where, d := prepared(t, false, 2, func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
		tag, ok := strings.CutPrefix(req.URL.Path, "/v2/acme/credit/manifests/sha256-")
		if !ok || strings.Contains(tag, ".") {
			return false
		}
		if req.Method == http.MethodPut {
			w.WriteHeader(400)
			return true
		}
		req.URL.Path = "/v2/acme/credit/manifests/sha256:" + tag
		return false
	})
	r := open(t, where)
	if got := list(t, r, d); len(got) != 2 {
		t.Errorf("%d listed by their own tags, want 2", len(got))
	}
	_, err := r.Attach(t.Context(), d, bundle(t, d, 7, ""))
	must(t, err)

	// Were an index taken for a list of its own referrers, its children would be
	// reported as attestations that nobody can read.
	e := `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`
	child := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":%s,"layers":[%s,%s]}`, attest.MediaTypeManifest, attest.MediaTypeBundle, e, e, e)
	put(t, where, attest.SHA256(child).String(), child)
	idx := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, attest.MediaTypeIndex, attest.MediaTypeManifest, attest.SHA256(child), len(child))
	putAs(t, where, attest.SHA256(idx).String(), attest.MediaTypeIndex, idx)
	_, err = r.Attach(t.Context(), attest.SHA256(idx), bundle(t, attest.SHA256(idx), 8, ""))
	must(t, err)
	if got := list(t, r, attest.SHA256(idx)); len(got) != 1 || got[0].Err != nil {
		t.Errorf("listed %v, want the one attestation of the index", got)
	}
}

// A fallback index in which everything but one's own entry was lost.
func TestIndexOverwritten(t *testing.T) {
	where, d := prepared(t, false, 4, func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodGet || !strings.Contains(req.URL.Path, "/manifests/sha256-") || strings.Contains(req.URL.Path, ".") {
			return false
		}
		w.Header().Set("Content-Type", attest.MediaTypeIndex)
		io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
		return true
	})
	if got := list(t, open(t, where), d); len(got) != 4 {
		t.Errorf("%d listed, want 4", len(got))
	}
}

// tags/list in the ways registries were seen to answer it.
func TestTagLists(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(h *hostile, w http.ResponseWriter, req *http.Request) bool{
		"last is ignored": func(_ *hostile, _ http.ResponseWriter, req *http.Request) bool {
			req.URL.RawQuery = ""
			return false
		},
		"404 with last": func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Query().Get("last") != "" {
				w.WriteHeader(404)
				return true
			}
			return false
		},
		"small pages": func(_ *hostile, _ http.ResponseWriter, req *http.Request) bool {
			q := req.URL.Query()
			q.Set("n", "2")
			req.URL.RawQuery = q.Encode()
			return false
		},
		"no order": func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
			var page struct {
				Tags []string `json:"tags"`
			}
			req.URL.RawQuery = ""
			json.Unmarshal(h.ask(req).Body.Bytes(), &page)
			w.Header().Set("Content-Type", "application/json")
			if !strings.Contains(req.RequestURI, "second") {
				w.Header().Set("Link", "</v2/acme/credit/tags/list?second=1>; rel=next")
				json.NewEncoder(w).Encode(map[string]any{"tags": []string{"zzz"}})
				return true
			}
			for _, tag := range page.Tags {
				if before, _, ok := strings.Cut(tag, "."); ok {
					page.Tags = append(page.Tags, before+".att") // cosign's, of old
					break
				}
			}
			slices.Reverse(page.Tags)
			json.NewEncoder(w).Encode(page)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			where, d := prepared(t, false, 3, func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
				switch {
				case strings.HasSuffix(req.URL.Path, "/tags/list"):
					return answer(h, w, req)
				case strings.Contains(req.URL.Path, "/manifests/sha256-") && !strings.Contains(req.URL.Path, "."):
					w.WriteHeader(404) // no index: tags alone
					return true
				}
				return false
			})
			if got := list(t, open(t, where), d); len(got) != 3 {
				t.Errorf("%d listed by tags, want 3", len(got))
			}
		})
	}
	where, d := prepared(t, false, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "/tags/list") {
			w.WriteHeader(500)
			return true
		}
		return false
	})
	got, err := tryList(t, open(t, where), d)
	wantCode(t, err, attest.CodeRegUnavailable)
	if len(got) != 1 {
		t.Errorf("what the index lists was not yielded")
	}
}

// What is listed and cannot be had is told, and does not stop the rest.
func TestBadContent(t *testing.T) {
	isManifest := func(req *http.Request, d attest.Digest) bool {
		return req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/manifests/sha256:") && !strings.HasSuffix(req.URL.Path, d.String())
	}
	var d attest.Digest
	for name, tt := range map[string]struct {
		answer func(h *hostile, w http.ResponseWriter, req *http.Request) bool
		want   attest.Code
	}{
		"manifest gone": {func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
			if isManifest(req, d) {
				w.WriteHeader(404)
			}
			return isManifest(req, d)
		}, attest.CodeNotFound},
		"manifest altered": {func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
			if isManifest(req, d) {
				w.Write(append(h.ask(req).Body.Bytes(), ' '))
			}
			return isManifest(req, d)
		}, attest.CodeRegDigest},
		"manifest cut short": {func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
			if isManifest(req, d) {
				w.Write(h.ask(req).Body.Bytes()[:100])
			}
			return isManifest(req, d)
		}, attest.CodeRegDigest},
		"manifest without end": {func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
			if !isManifest(req, d) {
				return false
			}
			w.Header().Set("Content-Length", "100")
			w.Header().Del("Content-Length")
			chunk := bytes.Repeat([]byte("x"), 1<<20)
			for range 6 {
				if _, err := w.Write(chunk); err != nil {
					break
				}
			}
			return true
		}, attest.CodeLimit},
	} {
		t.Run(name, func(t *testing.T) {
			var where string
			where, d = prepared(t, true, 1, tt.answer)
			got := list(t, open(t, where), d)
			if len(got) != 1 || got[0].Bundle != nil {
				t.Fatalf("listed %d, want one that cannot be read", len(got))
			}
			wantCode(t, got[0].Err, tt.want)
		})
	}
}

// blobTest attaches a manifest that cosign could have written, without the copy in
// the manifest, and lets the registry answer for its blob.
func blobTest(t *testing.T, layer func(bundle []byte) (digest attest.Digest, size int, data []byte), blob func(w http.ResponseWriter, bundle []byte)) attest.Attached {
	t.Helper()
	var b []byte
	where := memory(t, func(honest http.Handler) http.Handler {
		return &hostile{honest, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
			if blob == nil || req.Method != http.MethodGet || !strings.Contains(req.URL.Path, "/blobs/sha256:") {
				return false
			}
			blob(w, b)
			return true
		}}
	})
	r := open(t, where)
	ref, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	b = bundle(t, ref.Digest, 1, "")
	other := bundle(t, ref.Digest, 2, "")
	_, err = r.Attach(t.Context(), ref.Digest, other) // uploads {} as well
	must(t, err)
	push(t, where, b)
	digest, size, data := layer(b)
	l := map[string]any{"mediaType": attest.MediaTypeBundle, "digest": digest, "size": size}
	if data != nil {
		l["data"] = data
	}
	m, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": attest.MediaTypeManifest,
		"config":       map[string]any{"mediaType": attest.MediaTypeEmpty, "size": 2, "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "artifactType": attest.MediaTypeBundle},
		"layers":       []any{l},
		"annotations":  map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicateType, "org.opencontainers.image.created": "2026-11-23T12:55:56Z"},
		"subject":      map[string]any{"mediaType": attest.MediaTypeManifest, "size": 1, "digest": ref.Digest},
		"artifactType": attest.MediaTypeBundle,
	})
	must(t, err)
	put(t, where, attest.SHA256(m).String(), m)
	for _, a := range list(t, open(t, where), ref.Digest) {
		if a.Manifest == attest.SHA256(m) {
			if a.Err == nil && !bytes.Equal(a.Bundle, b) {
				t.Errorf("another bundle came")
			}
			return a
		}
	}
	t.Fatal("not listed")
	return attest.Attached{}
}

func push(t *testing.T, where string, b []byte) {
	t.Helper()
	host, repo, _ := strings.Cut(where, "/")
	resp, err := http.Post("http://"+host+"/v2/"+repo+"/blobs/uploads/?digest="+attest.SHA256(b).String(), "application/octet-stream", bytes.NewReader(b))
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 201 {
		t.Fatalf("blob upload: %s", resp.Status)
	}
}

func put(t *testing.T, where, ref string, b []byte) {
	t.Helper()
	putAs(t, where, ref, attest.MediaTypeManifest, b)
}

func putAs(t *testing.T, where, ref, mediaType string, b []byte) {
	t.Helper()
	host, repo, _ := strings.Cut(where, "/")
	req, err := http.NewRequest(http.MethodPut, "http://"+host+"/v2/"+repo+"/manifests/"+ref, bytes.NewReader(b))
	must(t, err)
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 201 {
		t.Fatalf("manifest: %s %s", resp.Status, body)
	}
}

func TestBundleBlob(t *testing.T) {
	honest := func(b []byte) (attest.Digest, int, []byte) { return attest.SHA256(b), len(b), nil }
	for name, tt := range map[string]struct {
		layer func([]byte) (attest.Digest, int, []byte)
		blob  func(http.ResponseWriter, []byte)
		want  attest.Code // empty: it is read
	}{
		"as cosign writes it":   {honest, nil, ""},
		"a wrong copy inside":   {func(b []byte) (attest.Digest, int, []byte) { return attest.SHA256(b), len(b), []byte("{}") }, nil, ""},
		"gone":                  {honest, func(w http.ResponseWriter, _ []byte) { w.WriteHeader(404) }, attest.CodeNotFound},
		"altered":               {honest, func(w http.ResponseWriter, b []byte) { w.Write(bytes.Replace(b, []byte("sig"), []byte("gis"), 1)) }, attest.CodeRegDigest},
		"extended":              {honest, func(w http.ResponseWriter, b []byte) { w.Write(append(bytes.Clone(b), '\n')) }, attest.CodeRegDigest},
		"too large, and said":   {func(b []byte) (attest.Digest, int, []byte) { return attest.SHA256(b), attest.MaxBundle + 1, nil }, nil, attest.CodeLimit},
		"too large, not said":   {honest, func(w http.ResponseWriter, _ []byte) { io.CopyN(w, zeros{}, attest.MaxBundle+100) }, attest.CodeLimit},
		"another size declared": {func(b []byte) (attest.Digest, int, []byte) { return attest.SHA256(b), len(b) + 1, nil }, nil, attest.CodeRegDigest},
	} {
		t.Run(name, func(t *testing.T) {
			a := blobTest(t, tt.layer, tt.blob)
			wantCode(t, a.Err, tt.want)
			if (a.Bundle == nil) != (a.Err != nil) {
				t.Error("a bundle and an error, or neither")
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The registry takes everything and lists nothing.
func TestAttachUnconfirmed(t *testing.T) {
	t.Parallel()
	where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if isReferrers(req) {
			w.Header().Set("Content-Type", attest.MediaTypeIndex)
			io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
		}
		return isReferrers(req)
	})
	start := time.Now()
	_, err := open(t, where).Attach(t.Context(), d, bundle(t, d, 5, ""))
	wantCode(t, err, attest.CodeAttachUnconfirm)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("waited %s", took)
	}
}

// A registry that shows what it took a second later.
func TestAttachEventually(t *testing.T) {
	t.Parallel()
	var first sync.Once
	var from time.Time
	where, d := prepared(t, true, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if !isReferrers(req) {
			return false
		}
		first.Do(func() { from = time.Now() })
		if time.Since(from) > 500*time.Millisecond {
			return false
		}
		w.Header().Set("Content-Type", attest.MediaTypeIndex)
		io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
		return true
	})
	_, err := open(t, where).Attach(t.Context(), d, bundle(t, d, 5, ""))
	must(t, err)
}

const canary = "canary-password"

// Credentials go to the registry and to nobody it points at.
func TestCredentialsStayAtHome(t *testing.T) {
	var leaked, asked atomic.Int64
	content := "content"
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		if req.Header.Get("Authorization") != "" || strings.Contains(req.URL.String(), canary) {
			leaked.Add(1)
		}
		if req.URL.Query().Get("challenge") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="storage"`)
			w.WriteHeader(401)
			return
		}
		io.WriteString(w, content)
	}))
	defer storage.Close()
	var authorized atomic.Int64
	var challenge atomic.Bool
	where := memory(t, func(honest http.Handler) http.Handler {
		return &hostile{honest, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
			user, pass, _ := req.BasicAuth()
			if user != "u" || pass != canary {
				w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
				w.WriteHeader(401)
				return true
			}
			authorized.Add(1)
			if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
				suffix := ""
				if challenge.Load() {
					suffix = "?challenge=1"
				}
				http.Redirect(w, req, storage.URL+"/x"+suffix, http.StatusTemporaryRedirect)
				return true
			}
			return false
		}}
	})
	r := openWith(t, where, oci.Options{Keychain: keychain{}})
	dir := tree(t, map[string]string{"a.bin": content})
	p, err := oci.Pack(t.Context(), []string{dir}, oci.Metadata{}, oci.Options{})
	must(t, err)
	_, err = r.Push(t.Context(), p, "v1")
	must(t, err)
	must(t, r.Pull(t.Context(), p.Digest(), t.TempDir()+"/x"))
	challenge.Store(true)
	wantCode(t, r.Pull(t.Context(), p.Digest(), t.TempDir()+"/y"), attest.CodeRegUnavailable)
	if authorized.Load() == 0 || asked.Load() < 2 {
		t.Errorf("the test did not happen: %d authorized, %d at the storage", authorized.Load(), asked.Load())
	}
	if n := leaked.Load(); n != 0 {
		t.Errorf("credentials were sent to another host %d times", n)
	}
	_, err = open(t, where).Manifest(t.Context(), p.Digest())
	wantCode(t, err, attest.CodeRegUnavailable) // without credentials: not "absent"
}

type keychain struct{}

func (keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "u", Password: canary}, nil
}

// Plain text is for this machine; everything else is refused before it is sent.
func TestNoPlainHTTPElsewhere(t *testing.T) {
	var sent atomic.Int64
	rt := roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.URL.Scheme == "http" {
			sent.Add(1)
		}
		return nil, io.ErrUnexpectedEOF
	})
	r := openWith(t, "10.1.2.3:5000/acme/credit", oci.Options{Transport: rt})
	_, err := r.Manifest(t.Context(), attest.SHA256([]byte("x")))
	if attest.RefusalCode(err) == "" || sent.Load() != 0 {
		t.Errorf("%d requests in plain text, error %v", sent.Load(), err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Other kinds of referrers are none of our business.
func TestOtherReferrers(t *testing.T) {
	where, d := prepared(t, true, 1, func(*hostile, http.ResponseWriter, *http.Request) bool { return false })
	for i, m := range []string{
		`{"schemaVersion":2,"mediaType":"` + attest.MediaTypeManifest + `","artifactType":"application/spdx+json","config":%s,"layers":[%s],"subject":{"mediaType":"x","size":1,"digest":"` + d.String() + `"}}`,
		`{"schemaVersion":2,"mediaType":"` + attest.MediaTypeManifest + `","config":%s,"layers":[%s],"subject":{"mediaType":"x","size":1,"digest":"` + d.String() + `"}}`,
	} {
		e := `{"mediaType":"` + attest.MediaTypeEmpty + `","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`
		b := fmt.Appendf(nil, m, e, e)
		put(t, where, attest.SHA256(b).String(), b)
		if got := list(t, open(t, where), d); len(got) != 1 {
			t.Errorf("case %d: %d listed, want 1", i, len(got))
		}
	}
}
