package oci_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// listing lets a registry list and serve made-up attestations.
func listing(t *testing.T, subject func(artifact attest.Digest, i int) attest.Digest, n int) (string, attest.Digest) {
	t.Helper()
	artifact := attest.SHA256([]byte("artifact"))
	manifests := map[string][]byte{}
	var entries []map[string]any
	for i := range n {
		b := []byte(fmt.Sprint(i))
		m, err := json.Marshal(map[string]any{
			"schemaVersion": 2, "artifactType": attest.MediaTypeBundle,
			"layers":  []any{map[string]any{"mediaType": attest.MediaTypeBundle, "digest": attest.SHA256(b), "size": len(b), "data": b}},
			"subject": map[string]any{"mediaType": attest.MediaTypeManifest, "size": 1, "digest": subject(artifact, i)},
		})
		must(t, err)
		manifests[attest.SHA256(m).String()] = m
		entries = append(entries, map[string]any{"mediaType": attest.MediaTypeManifest, "digest": attest.SHA256(m), "size": len(m)})
	}
	where := memory(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			last := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
			switch m := manifests[last]; {
			case m != nil:
				w.Write(m)
			case isReferrers(req):
				w.Header().Set("Content-Type", attest.MediaTypeIndex)
				var list []map[string]any
				if last == artifact.String() {
					list = append(entries, entries[0]) // one of them twice
				}
				json.NewEncoder(w).Encode(map[string]any{"manifests": list})
			default:
				io.WriteString(w, "{}")
			}
		})
	})
	return where, artifact
}

// As many as a verifier may want are listed, with the strangers' among them; one
// more is an error. (The real limit, 69,632, would take this test a minute.)
func TestAtMost(t *testing.T) {
	same := func(a attest.Digest, _ int) attest.Digest { return a }
	where, d := listing(t, same, 4097)
	if got := list(t, open(t, where), d); len(got) != 4097 {
		t.Errorf("%d listed of 4097", len(got))
	}
	limited := open(t, where)
	oci.SetLimit(limited, 4096)
	got, err := tryList(t, limited, d)
	wantCode(t, err, attest.CodeLimit)
	if len(got) != 4096 {
		t.Errorf("%d yielded before the limit", len(got))
	}
}

// A registry lists as this artifact's what was attached to another one.
func TestOthersAttestations(t *testing.T) {
	where, d := listing(t, func(a attest.Digest, i int) attest.Digest {
		if i%2 == 0 {
			return attest.SHA256([]byte("another artifact"))
		}
		return a
	}, 10)
	if got := list(t, open(t, where), d); len(got) != 5 {
		t.Errorf("%d listed, want the 5 that name the artifact", len(got))
	}
}

// Somebody points an attestation's own tag at another manifest: what lay there is
// gone, and that is told.
func TestTagMoved(t *testing.T) {
	where, d := prepared(t, false, 1, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/manifests/sha256-") && !strings.Contains(req.URL.Path, ".") {
			w.WriteHeader(404)
			return true
		}
		return false
	})
	r := open(t, where)
	tags, err := r.Tags(t.Context())
	must(t, err)
	for _, tag := range tags {
		if strings.Contains(tag, d.Hex()+".") {
			put(t, where, tag, attest.StandIn(d))
		}
	}
	got := list(t, open(t, where), d)
	if len(got) != 1 {
		t.Fatalf("%d listed, want one that is wrong", len(got))
	}
	wantCode(t, got[0].Err, attest.CodeRegDigest)
}

// A model that no reader should write to disk.
func TestPullRefuses(t *testing.T) {
	where, _ := prepared(t, true, 1, func(*hostile, http.ResponseWriter, *http.Request) bool { return false })
	e := `"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2`
	for layer, want := range map[string]attest.Code{
		`{"mediaType":"x",` + e + `,"annotations":{"org.opencontainers.image.title":"a.bin"}}`:      "",
		`{"mediaType":"x",` + e + `,"annotations":{"org.opencontainers.image.title":"../a.bin"}}`:   attest.CodePath,
		`{"mediaType":"x",` + e + `,"annotations":{"org.opencontainers.image.title":"/etc/a.bin"}}`: attest.CodePath,
		`{"mediaType":"x",` + e + `}`: attest.CodeRegManifest,
		strings.Replace(`{"mediaType":"x",`+e+`,"annotations":{"org.opencontainers.image.title":"a.bin"}}`, `"size":2`, `"size":1`, 1): attest.CodeRegDigest,
		strings.Replace(`{"mediaType":"x",`+e+`,"annotations":{"org.opencontainers.image.title":"a.bin"}}`, `"size":2`, `"size":3`, 1): attest.CodeRegDigest,
	} {
		m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x",%s},"layers":[%s]}`, attest.MediaTypeManifest, e, layer)
		put(t, where, attest.SHA256(m).String(), m)
		wantCode(t, open(t, where).Pull(t.Context(), attest.SHA256(m), t.TempDir()+"/x"), want)
	}
}
