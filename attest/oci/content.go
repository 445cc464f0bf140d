package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// mediaTypeDockerList is Docker's name for an index.
const mediaTypeDockerList = "application/vnd.docker.distribution.manifest.list.v2+json"

// acceptManifests names every kind of manifest: a registry may answer 404 for one
// that was not asked for, which would look like absence.
func acceptManifests() http.Header {
	return http.Header{"Accept": {
		attest.MediaTypeManifest, attest.MediaTypeIndex,
		"application/vnd.docker.distribution.manifest.v2+json", mediaTypeDockerList,
	}}
}

// prepare has nothing to do: a registry makes a repository at the first push.
func (r *registry) prepare(context.Context) error { return nil }

func (r *registry) resolve(ctx context.Context, tag string) (attest.Digest, error) {
	b, err := r.getManifest(ctx, tag)
	if err != nil {
		return attest.Digest{}, err
	}
	// Of the bytes, not of the Docker-Content-Digest header: it is the same in
	// all honest answers, and in the others this is the one that can be checked.
	return attest.SHA256(b), nil
}

func (r *registry) manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	b, err := r.getManifest(ctx, d.String())
	if err != nil {
		return nil, err
	}
	if got := attest.SHA256(b); got != d {
		return nil, otherBytes(d, fmt.Sprintf("%s sent a manifest of %d bytes with digest %s", r.repo.Name(), len(b), got))
	}
	return b, nil
}

// getManifest fetches by tag or digest.
func (r *registry) getManifest(ctx context.Context, ref string) ([]byte, error) {
	req := request{method: http.MethodGet, url: r.path("/manifests/%s", ref), header: acceptManifests()}
	if d, err := attest.ParseDigest(ref); err == nil {
		req.also = func(status int) bool { return status == http.StatusInternalServerError && r.isContent(ctx, d) }
	}
	ctx, cancel := context.WithTimeout(ctx, smallRead)
	defer cancel()
	resp, err := r.do(ctx, req, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, absent(r.repo.Name()+"@"+ref, "the registry says there is no such manifest")
	}
	if err := notAPage(resp); err != nil {
		return nil, err
	}
	b, err := readAll(resp.Body, attest.MaxManifest, "a manifest")
	if err != nil {
		return nil, r.unavailable(req, err)
	}
	return b, nil
}

// isContent reports whether d is a blob of the repository that is no manifest.
// Docker's registry answers 500, not 404, when a layer's digest is asked for as a
// manifest. The status alone proves nothing, the bytes do: what has this digest is
// not a manifest, so there is none with it.
func (r *registry) isContent(ctx context.Context, d attest.Digest) bool {
	body, err := r.blob(ctx, d)
	if err != nil {
		return false
	}
	defer body.Close()
	b, err := readAll(body, attest.MaxManifest, "a manifest")
	if attest.RefusalCode(err) == attest.CodeLimit {
		return true // larger than any manifest
	}
	if err != nil || attest.SHA256(b) != d {
		return false
	}
	v, err := strictjson.Parse(b, attest.MaxManifest)
	if err != nil || v.Kind() != strictjson.Object {
		return true
	}
	_, versioned := v.Get("schemaVersion")
	return !versioned
}

// notAPage refuses an answer meant for a person. A login portal between us and
// the registry answers everything with 200 and a page.
func notAPage(resp *http.Response) error {
	mt, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err == nil && mt == "text/html" {
		return &attest.Refusal{Code: attest.CodeRegUnavailable, About: resp.Request.URL.Host, Why: "answered with a web page: something stands between here and the registry"}
	}
	return nil
}

func (r *registry) blob(ctx context.Context, d attest.Digest) (io.ReadCloser, error) {
	req := request{method: http.MethodGet, url: r.path("/blobs/%s", d)}
	resp, err := r.do(ctx, req, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound {
		resp.Body.Close()
		return nil, absent(d.String(), "the registry says there is no such blob")
	}
	return resp.Body, nil
}

// putBlob asks whether the blob is there, and if not sends it in one piece
// (distribution specification, "POST then PUT"). A failed upload starts again from
// the beginning, with a new session.
func (r *registry) putBlob(ctx context.Context, b blob) error {
	head := request{method: http.MethodHead, url: r.path("/blobs/%s", b.digest), scope: transport.PushScope}
	resp, err := r.do(ctx, head, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if b.add != nil {
			b.add(b.size)
		}
		return nil
	}
	var last error
	wait := firstWait
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		again, err := r.upload(ctx, b)
		if err == nil || !again {
			return err
		}
		last = err
		if sleep(ctx, wait) != nil {
			break
		}
		wait *= 3
	}
	return last
}

// upload tries once; again says whether a second try may help.
func (r *registry) upload(ctx context.Context, b blob) (again bool, err error) {
	post := request{method: http.MethodPost, url: r.path("/blobs/uploads/"), scope: transport.PushScope}
	resp, err := r.do(ctx, post, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		return false, attest.Refuse(attest.CodeRegUnavailable, "%s created a blob of which it has not seen a byte", r.repo.Name())
	}
	loc, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return false, &attest.Refusal{Code: attest.CodeRegUnavailable, About: r.repo.Name(), Why: "did not say where to upload to", Err: err}
	}
	if err := checkHop(resp.Request.URL, loc); err != nil {
		return false, err
	}
	q := loc.Query()
	q.Set("digest", b.digest.String())
	loc.RawQuery = q.Encode()
	put := request{method: http.MethodPut, url: loc.String(), scope: transport.PushScope, size: b.size,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body: func() (io.ReadCloser, error) {
			rc, err := b.open()
			if err != nil || b.add == nil {
				return rc, err
			}
			return &counted{rc, b.add}, nil
		}}
	// Sent once: a session that failed is of no more use.
	resp, err = r.send(ctx, put)
	if err != nil {
		return !final(err), r.unavailable(put, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
		refusal, settled := statusError(put, resp)
		return !settled, refusal
	}
	return false, nil
}

// counted reports what is read from it.
type counted struct {
	io.ReadCloser
	add func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.add(int64(n))
	return n, err
}

func (r *registry) putManifest(ctx context.Context, doc document, tag string) error {
	ref := tag
	if ref == "" {
		ref = doc.digest.String()
	}
	_, err := r.put(ctx, doc, ref)
	return err
}

// put stores a manifest under a tag or its digest and returns the headers of the
// answer.
func (r *registry) put(ctx context.Context, doc document, ref string) (http.Header, error) {
	resp, err := r.do(ctx, request{
		method: http.MethodPut, url: r.path("/manifests/%s", ref), scope: transport.PushScope,
		header: http.Header{"Content-Type": {doc.mediaType}},
		size:   int64(len(doc.bytes)),
		body:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(doc.bytes)), nil },
	}, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return resp.Header, nil
}
