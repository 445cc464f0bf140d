package oci_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

func TestRoundTrip(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		p := model(t)
		ref, err := r.Push(t.Context(), p, "v1")
		must(t, err)
		if ref.Digest != p.Digest() || ref.Tag != "v1" || ref.Repository != r.Ref() {
			t.Errorf("pushed as %s", ref)
		}
		_, err = r.Push(t.Context(), p, "v1") // again: changes nothing
		must(t, err)

		r = open(t, where)
		d, err := r.Resolve(t.Context(), attest.Reference{Repository: r.Ref(), Tag: "v1"})
		must(t, err)
		if d != p.Digest() {
			t.Fatalf("v1 is %s, want %s", d, p.Digest())
		}
		b, err := r.Manifest(t.Context(), d)
		must(t, err)
		if !bytes.Equal(b, p.Manifest()) {
			t.Error("the manifest came back with other bytes")
		}
		dir := filepath.Join(t.TempDir(), "new", "dir")
		must(t, r.Pull(t.Context(), d, dir))
		again, err := oci.Pack(t.Context(), []string{dir}, oci.Metadata{Name: "tiny", Version: "1"}, oci.Options{})
		must(t, err)
		if again.Digest() != d {
			t.Errorf("pulled and packed again it is %s, was %s", again.Digest(), d)
		}
		wantCode(t, r.Pull(t.Context(), d, dir), attest.CodeFileIO) // not empty any more
		siblings, err := os.ReadDir(filepath.Dir(dir))
		must(t, err)
		if len(siblings) != 1 {
			t.Errorf("something was left beside the folder: %v", siblings)
		}
		empty := t.TempDir()
		must(t, r.Pull(t.Context(), d, empty))
	})
}

func TestAbsence(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		_, err := r.Push(t.Context(), model(t), "")
		must(t, err)
		missing := attest.SHA256([]byte("missing"))
		if _, err := r.Manifest(t.Context(), missing); !errors.Is(err, attest.ErrAbsent) {
			t.Errorf("manifest: %v", err)
		}
		if _, err := r.Resolve(t.Context(), attest.Reference{Repository: r.Ref(), Tag: "no"}); !errors.Is(err, attest.ErrAbsent) {
			t.Errorf("tag: %v", err)
		}
		if got := list(t, r, missing); len(got) != 0 {
			t.Errorf("attestations: %v", got)
		}
		// Content is not a manifest, even where both lie in one folder.
		if _, err := r.Manifest(t.Context(), model(t).Files()[0].Digest); !errors.Is(err, attest.ErrAbsent) {
			t.Errorf("a file taken for a manifest: %v", err)
		}
		if d, err := r.Resolve(t.Context(), attest.Reference{Repository: r.Ref(), Tag: "no", Digest: missing}); err != nil || d != missing {
			t.Errorf("the digest must win over the tag: %v, %v", d, err)
		}
	})
}

func TestAttach(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		ref, err := r.Push(t.Context(), model(t), "v1")
		must(t, err)
		commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("ab", 20))
		must(t, err)
		file := attest.SHA256([]byte("a data set in object storage"))
		for _, artifact := range []attest.Digest{ref.Digest, commit, file} {
			small, large := bundle(t, artifact, 1, ""), bundle(t, artifact, 2, strings.Repeat("x", 300<<10))
			first, err := r.Attach(t.Context(), artifact, small)
			must(t, err)
			again, err := r.Attach(t.Context(), artifact, small)
			must(t, err)
			if first != again {
				t.Errorf("attached twice as %s and %s", first, again)
			}
			second, err := r.Attach(t.Context(), artifact, large)
			must(t, err)

			got := list(t, open(t, where), artifact)
			slices.SortFunc(got, func(a, b attest.Attached) int { return len(a.Bundle) - len(b.Bundle) })
			want := []attest.Attached{
				{Manifest: first, PredicateType: predicateType, Bundle: small},
				{Manifest: second, PredicateType: predicateType, Bundle: large},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: listed %d attestations, or other ones than were attached", artifact.Short(), len(got))
			}
		}
		tags, err := r.Tags(t.Context())
		must(t, err)
		for _, want := range []string{"v1", attest.StandInTag(commit), attest.StandInTag(file)} {
			if !slices.Contains(tags, want) {
				t.Errorf("no tag %s in %q", want, tags)
			}
		}
		if b, err := r.Manifest(t.Context(), attest.SHA256(attest.StandIn(commit))); err != nil || !bytes.Equal(b, attest.StandIn(commit)) {
			t.Errorf("the stand-in came back as %q, %v", b, err)
		}
		_, err = r.Attach(t.Context(), ref.Digest, []byte("{}"))
		wantCode(t, err, attest.CodeBundleVersion)
	})
}

// A manifest that appears later must not hide what was attached to the stand-in.
func TestBothPlacesAreListed(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		p := model(t)
		_, err := r.Attach(t.Context(), p.Digest(), bundle(t, p.Digest(), 1, ""))
		must(t, err)
		_, err = r.Push(t.Context(), p, "")
		must(t, err)
		_, err = r.Attach(t.Context(), p.Digest(), bundle(t, p.Digest(), 2, ""))
		must(t, err)
		if got := list(t, r, p.Digest()); len(got) != 2 {
			t.Errorf("%d attestations, want 2", len(got))
		}
	})
}

// Attestation manifests follow from subject and bundle: these bytes are the format.
func TestAttestationManifest(t *testing.T) {
	r := open(t, "ocidir://"+t.TempDir())
	p := model(t)
	_, err := r.Push(t.Context(), p, "")
	must(t, err)
	b := bundle(t, p.Digest(), 1, "")
	d, err := r.Attach(t.Context(), p.Digest(), b)
	must(t, err)
	got, err := r.Manifest(t.Context(), d)
	must(t, err)
	want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},` +
		`"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","digest":"` + attest.SHA256(b).String() + `","size":` + fmt.Sprint(len(b)) + `,"data":"` + base64of(b) + `"}],` +
		`"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"` + predicateType + `"},` +
		`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + p.Digest().String() + `","size":` + fmt.Sprint(len(p.Manifest())) + `}}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Regression: with one list under one tag, 25 of 32 concurrent attaches were lost
// and every one of them reported success.
func TestConcurrentAttach(t *testing.T) {
	const writers, each = 32, 1
	everyHome(t, func(t *testing.T, where string) {
		p := model(t)
		ref, err := open(t, where).Push(t.Context(), p, "v1")
		must(t, err)
		bundles := make([][]byte, writers*each)
		for i := range bundles {
			bundles[i] = bundle(t, ref.Digest, i, "")
		}
		var wg sync.WaitGroup
		for w := range writers {
			r := open(t, where) // each writer as its own process would
			wg.Go(func() {
				for i := range each {
					if _, err := r.Attach(t.Context(), ref.Digest, bundles[w*each+i]); err != nil {
						t.Errorf("attach: %v", err)
					}
				}
			})
		}
		wg.Wait()
		seen := map[string]bool{}
		for _, a := range list(t, open(t, where), ref.Digest) {
			if a.Err != nil {
				t.Errorf("%s: %v", a.Manifest.Short(), a.Err)
			}
			seen[string(a.Bundle)] = true
		}
		if len(seen) != len(bundles) {
			t.Errorf("%d of %d attestations are listed", len(seen), len(bundles))
		}
	})
}

func TestYieldStops(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		d := attest.SHA256([]byte("x"))
		for i := range 3 {
			_, err := r.Attach(t.Context(), d, bundle(t, d, i, ""))
			must(t, err)
		}
		n := 0
		err := r.Attestations(t.Context(), d, func(attest.Attached) bool { n++; return false })
		if n != 1 || err != nil {
			t.Errorf("%d yielded after the first said stop, error %v", n, err)
		}
	})
}

func TestPushRefusesChangedFile(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		dir := tree(t, map[string]string{"a.bin": strings.Repeat("a", 100000), "b.bin": "b"})
		p, err := oci.Pack(t.Context(), []string{dir}, oci.Metadata{}, oci.Options{})
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "a.bin"), []byte(strings.Repeat("a", 99999)+"b"), 0o644))
		r := open(t, where)
		_, err = r.Push(t.Context(), p, "v1")
		wantCode(t, err, attest.CodeFileChanged)
		if _, err := r.Resolve(t.Context(), attest.Reference{Repository: r.Ref(), Tag: "v1"}); !errors.Is(err, attest.ErrAbsent) {
			t.Errorf("the tag exists although the push was refused: %v", err)
		}
	})
}

func TestPushTags(t *testing.T) {
	r := open(t, "ocidir://"+t.TempDir())
	p := model(t)
	for _, tag := range []string{"sha256-" + strings.Repeat("a", 64), "sha256-" + strings.Repeat("a", 64) + "." + strings.Repeat("b", 32), attest.StandInTag(p.Digest()), "a b", "-x", strings.Repeat("t", 129), "a@b", "a/b"} {
		if _, err := r.Push(t.Context(), p, tag); attest.RefusalCode(err) == "" {
			t.Errorf("pushed under the tag %q", tag)
		}
	}
	for _, tag := range []string{"v1.0_x", "latest", "sha256-abc"} {
		if _, err := r.Push(t.Context(), p, tag); err != nil {
			t.Errorf("tag %q: %v", tag, err)
		}
	}
}

// The vector of docs/format/standin.md.
func TestStandInVector(t *testing.T) {
	d, err := attest.ParseDigest("gitCommit:0123456789abcdef0123456789abcdef01234567")
	must(t, err)
	const want = "sha256:95bd42d99d9613ade1a647609d65a6725910ae23711006ae273f3bdeff9b2d4a"
	if got := attest.SHA256(attest.StandIn(d)).String(); got != want {
		t.Errorf("the stand-in is %s, want %s", got, want)
	}
	page, err := os.ReadFile("../../docs/format/standin.md")
	must(t, err)
	for _, part := range []string{string(attest.StandIn(d)), want, attest.StandInTag(d)} {
		if !strings.Contains(string(page), part) {
			t.Errorf("the format page lacks %s", part)
		}
	}
}

func base64of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Pulled files lie beside nothing else, and not where a link points.
func TestPullIntoOthers(t *testing.T) {
	r := open(t, "ocidir://"+t.TempDir())
	p := model(t)
	_, err := r.Push(t.Context(), p, "")
	must(t, err)
	dir := tree(t, map[string]string{"mine": "mine"})
	wantCode(t, r.Pull(t.Context(), p.Digest(), dir), attest.CodeFileIO)
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("beside what was there lies now %v", entries)
	}
	empty := t.TempDir()
	must(t, os.Symlink(empty, dir+"-link"))
	wantCode(t, r.Pull(t.Context(), p.Digest(), dir+"-link"), attest.CodePath)
	if entries, _ := os.ReadDir(empty); len(entries) != 0 {
		t.Errorf("a link was followed: %v", entries)
	}
}
