package cli_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/cli"
)

// authorities FOLDER writes the trusted roots of two instances, acme.json and far.json, a
// timestamp authority's chain, tsa.pem, and a SPIFFE domain's bundle, domain.json, all
// valid since a year ago.
func authorities(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: authorities FOLDER")
	}
	ts.Check(writeAuthorities(ts.MkAbs(args[0]), time.Now().AddDate(-1, 0, 0)))
}

func writeAuthorities(folder string, from time.Time) error {
	files := map[string][]byte{}
	for _, name := range []string{"acme", "far"} {
		i, err := authority.New(name+".example", from)
		if err != nil {
			return err
		}
		if files[name+".json"], err = i.TrustedRoot(); err != nil {
			return err
		}
	}
	tsa, err := authority.NewTSA("https://tsa.example", from)
	if err != nil {
		return err
	}
	for _, c := range append([]*authority.Cert{tsa.Signer}, tsa.Above...) {
		files["tsa.pem"] = append(files["tsa.pem"], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	d, err := authority.NewDomain("prod.acme.example", from)
	if err != nil {
		return err
	}
	if files["domain.json"], err = d.Bundle(); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tufRepository serves a target as a TUF repository does, and returns its first root. All
// of it ends in a day.
func tufRepository(t *testing.T, at time.Time, content []byte, requests *atomic.Int64) (server *httptest.Server, firstRoot []byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	key, err := metadata.KeyFromPublicKey(pub)
	must(err)
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	must(err)
	end := at.Add(24 * time.Hour)
	root, targets, snapshot, timestamp := metadata.Root(end), metadata.Targets(end), metadata.Snapshot(end), metadata.Timestamp(end)
	root.Signed.ConsistentSnapshot = false
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		must(root.Signed.AddKey(key, role))
	}
	info, err := metadata.TargetFile().FromBytes("trusted_root.json", content, "sha256")
	must(err)
	targets.Signed.Targets["trusted_root.json"] = info
	files := map[string][]byte{"/targets/trusted_root.json": content}
	for name, m := range map[string]interface {
		Sign(signature.Signer) (*metadata.Signature, error)
		ToBytes(bool) ([]byte, error)
	}{"/1.root.json": root, "/targets.json": targets, "/snapshot.json": snapshot, "/timestamp.json": timestamp} {
		_, err := m.Sign(signer)
		must(err)
		files[name], err = m.ToBytes(false)
		must(err)
	}
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if b, ok := files[r.URL.Path]; ok {
			_, _ = w.Write(b)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server, files["/1.root.json"]
}

// A trust file with a TUF repository: fetched, kept, used without the repository until
// its end, and then over.
func TestTrustByTUF(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	folder := t.TempDir()
	if err := writeAuthorities(folder, now.AddDate(-1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(folder, "acme.json"))
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	server, root := tufRepository(t, now, content, &requests)
	if err := os.WriteFile(filepath.Join(folder, "root.json"), root, 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "trust.yaml")
	var stdout, stderr string
	cache := filepath.Join(folder, "cache")
	run := func(at time.Time, want int, args ...string) {
		t.Helper()
		var out, notes bytes.Buffer
		got := cli.Run(context.Background(), cli.Process{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &notes,
			Env: []string{"XDG_CACHE_HOME=" + cache}, Now: func() time.Time { return at }})
		stdout, stderr = out.String(), notes.String()
		if got != want {
			t.Fatalf("%v: status %d, want %d\n%s%s", args, got, want, stdout, stderr)
		}
	}
	said := func(in, want string) {
		t.Helper()
		if !strings.Contains(in, want) {
			t.Errorf("nothing says %q:\n%s", want, in)
		}
	}
	run(now, 0, "trust", "init", file, "--name", "acme")
	run(now, 3, "trust", "add", file, "--sigstore", "acme", "--tuf", server.URL, "--tuf-root", filepath.Join(folder, "root.json"), "--offline")
	said(stderr, "E_TRUSTROOT_STALE")
	run(now, 0, "trust", "add", file, "--sigstore", "acme", "--tuf", server.URL, "--tuf-root", filepath.Join(folder, "root.json"))
	said(stdout, "version 2: added the instance acme")
	// verify-bundle asks nobody, though the repository would answer.
	check := []string{"verify-bundle", "--bundle", filepath.Join(folder, "none.json"), "--trust", file, "sha256:" + strings.Repeat("ab", 32)}
	cache = filepath.Join(folder, "empty")
	run(now, 3, check...)
	said(stderr, "E_TRUSTROOT_STALE")
	cache = filepath.Join(folder, "cache")
	run(now, 3, check...)
	said(stderr, "E_FILE_MISSING")
	other := filepath.Join(folder, "other.yaml") // another URL is another source
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, bytes.ReplaceAll(src, []byte(server.URL), []byte(server.URL+"/")), 0o644); err != nil {
		t.Fatal(err)
	}
	run(now.Add(time.Minute), 0, "trust", "show", file)
	said(stdout, "fulcio.acme.example")
	said(stdout, "(what the TUF repository acme says)")
	said(stderr, "was asked 1m0s ago")
	// verify-bundle says that it never uses a network: with nothing kept, it asks nobody.
	bundle := filepath.Join(folder, "bundle.json")
	if err := os.WriteFile(bundle, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	asked := requests.Load()
	run(now.Add(2*time.Hour), 3, "verify-bundle", "--bundle", bundle, "--trust", other, "--certificate-identity", "i", "--certificate-oidc-issuer", "https://i.example", bundle)
	said(stderr, "nobody is asked")
	if n := requests.Load() - asked; n != 0 {
		t.Errorf("verify-bundle sent %d requests", n)
	}
	run(now.Add(2*time.Hour), 0, "trust", "show", file)
	said(stderr, "was asked now")
	if requests.Load() == asked {
		t.Error("the requests are not counted, so this proves nothing")
	}
	server.Close()
	run(now.Add(4*time.Hour), 0, "trust", "lint", file)
	said(stderr, "gave no answer that could be used")
	said(stderr, "the last good one is from 2h0m0s ago")
	run(now.Add(4*time.Hour), 0, "trust", "lint", file, "--offline")
	said(stderr, "was not asked: --offline")
	// Its end: IDN-17, until ITS expiry.
	run(now.Add(24*time.Hour), 3, "trust", "lint", file, "--offline")
	said(stderr, "E_TRUSTROOT_STALE")
	run(now.Add(24*time.Hour), 0, "trust", "show", file)
	said(stderr, "it is over")
	// Nothing kept, and nobody to ask.
	run(now, 3, "trust", "show", file, "--trust-cache", filepath.Join(folder, "other"))
	said(stderr, "E_TRUSTROOT_STALE")
}
