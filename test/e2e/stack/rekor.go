package stack

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/pedigree-ml/pedigree/internal/child"
)

// rekorPackage is the program that go.mod has as a tool: its server is internal, and so
// cannot run in this process.
const rekorPackage = "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"

// buildRekor returns the program's path, and builds it first if it is not there or not
// what go.mod says. That takes half a minute once, and a second from then on.
func buildRekor(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	out := filepath.Join(cache, "pedigree-test", "rekor-server")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, rekorPackage)
	// The module is where this file was compiled, or, with -trimpath, where we are.
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		cmd.Dir = filepath.Dir(filepath.Dir(file))
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Rekor: %w\n%s", err, said)
	}
	return out, nil
}

// A rekor is a transparency log: a child that takes entries, and a file server for what
// it writes, which it does not serve itself.
type rekor struct {
	URL      string
	TilesURL string
	Origin   string
	Key      ed25519.PublicKey

	child *child.Process
	tiles *httptest.Server
}

func newRekor(ctx context.Context, dir, origin string) (*rekor, error) {
	program, err := buildRekor(ctx)
	if err != nil {
		return nil, err
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	secret := filepath.Join(dir, "rekor.key")
	if err := os.WriteFile(secret, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	r := &rekor{Origin: origin, Key: pub}
	storage := filepath.Join(dir, "rekor")
	// Somebody else may take a port between our finding it and its listening there.
	for range 3 {
		if err = r.serve(ctx, program, storage, secret, filepath.Join(dir, "rekor.log")); err == nil {
			r.tiles = httptest.NewServer(http.FileServer(http.Dir(storage)))
			r.TilesURL = r.tiles.URL
			return r, nil
		}
	}
	return nil, err
}

func (r *rekor) serve(ctx context.Context, program, storage, secret, log string) error {
	ports, err := child.FreePorts(3)
	if err != nil {
		return err
	}
	// Entries wait for the next checkpoint: a short interval makes signing quick.
	cmd := exec.Command(program, "serve", "--hostname="+r.Origin, "--storage-dir="+storage, "--signer-filepath="+secret,
		"--http-address=127.0.0.1", "--http-port="+strconv.Itoa(ports[0]),
		"--grpc-address=127.0.0.1", "--grpc-port="+strconv.Itoa(ports[1]), "--http-metrics-port="+strconv.Itoa(ports[2]),
		"--checkpoint-interval=200ms", "--batch-max-age=50ms", "--batch-max-size=8")
	if r.child, err = child.Start(cmd, log); err != nil {
		return err
	}
	r.URL = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if err := ready(ctx, r.child, r.URL+"/healthz"); err != nil {
		r.child.Stop()
		return err
	}
	return nil
}

func (r *rekor) stop() error {
	r.tiles.Close()
	r.child.Stop()
	return nil
}
