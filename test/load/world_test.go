package main

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

// What is measured must be what is claimed: ten attestations, one of each of which
// the policy asks, and a bad model that it denies.
func TestWorld(t *testing.T) {
	srv := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	w, err := newWorld(strings.TrimPrefix(srv.URL, "http://")+"/load/models", dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pedigree := filepath.Join(dir, "pedigree")
	if err := build(pedigree); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []bool{false, true} {
		ref, err := w.model(context.Background(), map[bool]string{false: "good", true: "bad"}[bad], bad)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(pedigree, "verify", ref.String(), "--policy", filepath.Join(dir, "policy.yaml"), "--context", "prod").CombinedOutput()
		if allowed := err == nil; allowed == bad {
			t.Errorf("bad %v: %v\n%s", bad, err, out)
		}
		if bad && !strings.Contains(string(out), "EVAL-1") {
			t.Errorf("denied for another reason than the evaluation:\n%s", out)
		}
	}
}
