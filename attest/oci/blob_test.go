package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestBlob(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		_, err := r.PushSingle(t.Context(), note(), []byte("hello"), "v1")
		must(t, err)
		d := attest.SHA256([]byte("hello"))
		got, err := open(t, where).Blob(t.Context(), d, 5)
		must(t, err)
		if string(got) != "hello" {
			t.Errorf("got %q", got)
		}
		_, err = r.Blob(t.Context(), d, 4)
		wantCode(t, err, attest.CodeLimit)
		_, err = r.Blob(t.Context(), d, -1)
		wantCode(t, err, attest.CodeLimit)
		commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("a", 40))
		must(t, err)
		for _, d := range []attest.Digest{attest.SHA256([]byte("nowhere")), commit, {}} {
			if _, err := r.Blob(t.Context(), d, 5); !errors.Is(err, attest.ErrAbsent) {
				t.Errorf("%s, which is not there: %v", d, err)
			}
		}
	})
}
