package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

func note() oci.SingleType {
	return oci.SingleType{Artifact: "application/vnd.example.note.v1", Layer: "text/plain", Title: "note.txt", Limit: 100}
}

func TestSingle(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		ref, err := r.PushSingle(t.Context(), note(), []byte("hello"), "v1")
		must(t, err)
		again, err := r.PushSingle(t.Context(), note(), []byte("hello"), "")
		must(t, err)
		if ref.Digest != again.Digest || ref.Tag != "v1" {
			t.Errorf("pushed as %s, again as %s", ref, again)
		}
		r = open(t, where)
		d, err := r.Resolve(t.Context(), attest.Reference{Repository: r.Ref(), Tag: "v1"})
		must(t, err)
		got, err := r.FetchSingle(t.Context(), note(), d)
		must(t, err)
		if string(got) != "hello" || d != ref.Digest {
			t.Errorf("%s is %q, want %s", d, got, ref.Digest)
		}

		other := note()
		other.Artifact = "application/vnd.example.other.v1"
		_, err = r.FetchSingle(t.Context(), other, d)
		wantCode(t, err, attest.CodeRegManifest)
		other = note()
		other.Layer = "text/html"
		_, err = r.FetchSingle(t.Context(), other, d)
		wantCode(t, err, attest.CodeRegManifest)
		other = note()
		other.Limit = 4
		_, err = r.FetchSingle(t.Context(), other, d)
		wantCode(t, err, attest.CodeLimit)
		_, err = r.FetchSingle(t.Context(), note(), attest.SHA256([]byte("nowhere")))
		if !errors.Is(err, attest.ErrAbsent) {
			t.Errorf("what is not there: %v", err)
		}
		m, err := r.Push(t.Context(), model(t), "model")
		must(t, err)
		_, err = r.FetchSingle(t.Context(), note(), m.Digest)
		wantCode(t, err, attest.CodeRegManifest)

		_, err = r.PushSingle(t.Context(), note(), []byte(strings.Repeat("x", 101)), "v2")
		wantCode(t, err, attest.CodeLimit)
		_, err = r.PushSingle(t.Context(), note(), []byte("x"), "sha256-"+strings.Repeat("0", 64))
		wantCode(t, err, attest.CodeReference)
	})
}
