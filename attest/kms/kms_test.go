package kms_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/kms"
)

func refused(t *testing.T, err error, want attest.Code) {
	t.Helper()
	if got := attest.RefusalCode(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// build makes the tests' plugin once for all of them.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "sigstore-kms-test"), "./testdata/plugin").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return dir, err
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := build(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// A service is a folder with keys, and the plugin that signs with them.
type service struct {
	t   *testing.T
	dir string
	opt kms.Options
}

func newService(t *testing.T) *service {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the tests' plugin is started as on Unix")
	}
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, dir: t.TempDir()}
	s.opt = kms.Options{Environ: []string{"PATH=/nowhere:" + bin + ":" + os.Getenv("PATH"), "KMS_TOKEN=secret"}}
	for name, a := range map[string]attest.KeyAlgorithm{"p256": attest.P256, "p384": attest.P384, "ed25519": attest.Ed25519, "other": attest.P256} {
		s.add(name, a)
	}
	return s
}

func (s *service) add(name string, a attest.KeyAlgorithm) {
	s.t.Helper()
	k, err := attest.GenerateKey(a)
	if err != nil {
		s.t.Fatal(err)
	}
	pem, err := k.MarshalPEM(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for suffix, b := range map[string][]byte{".pem": pem, ".pub": k.Public().PEM()} {
		if err := os.WriteFile(filepath.Join(s.dir, name+suffix), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *service) key(name, mode string) string {
	if mode != "" {
		mode = "?" + mode
	}
	return "test://" + filepath.Join(s.dir, name+".pem") + mode
}

func (s *service) public(name string) attest.PublicKey {
	b, err := os.ReadFile(filepath.Join(s.dir, name+".pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	k, err := attest.ParsePublicKey(b)
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// gone checks that the process whose number is in a file has ended.
func (s *service) gone(file string) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	for range 100 {
		// A killed process that nobody waits for stays as a zombie.
		stat, err := os.ReadFile("/proc/" + string(b) + "/stat")
		if errors.Is(err, fs.ErrNotExist) || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Errorf("process %s still runs", b)
}

func statement(t *testing.T) []byte {
	t.Helper()
	b, err := attest.NewStatement(attest.Subject{Name: "model", Digest: attest.SHA256([]byte("model"))}, "https://example.test/thing/v1", map[string]any{"passed": true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSign(t *testing.T) {
	s := newService(t)
	for _, name := range []string{"p256", "p384", "ed25519"} {
		t.Run(name, func(t *testing.T) {
			asked := filepath.Join(s.dir, "asked")
			os.Remove(asked)
			k, err := kms.Open(t.Context(), s.key(name, ""), s.opt)
			if err != nil {
				t.Fatal(err)
			}
			if k.Public().Fingerprint() != s.public(name).Fingerprint() || k.Material().Key.Fingerprint() != k.Public().Fingerprint() {
				t.Error("another key than the file's")
			}
			for range 2 {
				b, err := attest.Sign(t.Context(), statement(t), k)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := attest.ParseBundle(b); err != nil {
					t.Fatal(err)
				}
			}
			log, err := os.ReadFile(asked)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(log)), "\n")
			if len(lines) != 3 || strings.Count(string(log), " publicKey ") != 1 || strings.Count(string(log), " signMessage ") != 2 {
				t.Errorf("asked for\n%s\nwant the public key once and two signatures", log)
			}
			hash := map[string]string{"p256": "hash=5", "p384": "hash=6", "ed25519": "hash=5"}[name] // crypto.SHA256, crypto.SHA384
			for i, l := range lines {
				if !strings.HasPrefix(l, "v1 ") || !strings.Contains(l, "deadline=true") || !strings.Contains(l, "token=secret") || i > 0 && !strings.Contains(l, hash) {
					t.Errorf("asked %q", l)
				}
			}
		})
	}
}

// A message that the plugin does not read, and a status that means nothing.
func TestStatusMeansNothing(t *testing.T) {
	s := newService(t)
	k, err := kms.Open(t.Context(), s.key("p256", "deaf"), s.opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.SignMessage(t.Context(), bytes.Repeat([]byte("x"), 8<<20)); err != nil {
		t.Error(err)
	}
}

func TestHostilePlugin(t *testing.T) {
	s := newService(t)
	s.opt.Wait = 2 * time.Second
	for _, c := range []struct {
		mode          string
		open, signing attest.Code
	}{
		{"", "", ""},
		{"lie", "", attest.CodeSigInvalid},
		{"other-key", "", attest.CodeSigInvalid},
		{"garbage", attest.CodeSignService, ""},
		{"garbage-signing", "", attest.CodeSignService},
		{"silent", attest.CodeSignService, ""},
		{"null", attest.CodeSignService, ""},
		{"other-answer", attest.CodeSignService, ""},
		{"empty-signature", "", attest.CodeSignService},
		{"crash", attest.CodeSignService, ""},
		{"two-keys", attest.CodeKey, ""},
		{"endless", attest.CodeLimit, ""},
		{"hang", attest.CodeSignService, ""},
		{"refuse", attest.CodeSignRefused, ""},
		{"hang-signing", "", attest.CodeSignService},
	} {
		t.Run("plugin "+c.mode, func(t *testing.T) {
			start := time.Now()
			k, err := kms.Open(t.Context(), s.key("p256", c.mode), s.opt)
			refused(t, err, c.open)
			if err == nil {
				var b []byte
				b, err = attest.Sign(t.Context(), statement(t), k)
				refused(t, err, c.signing)
				if (b == nil) != (c.signing != "") {
					t.Error("a refusal came with a bundle, or none without")
				}
			} else if k != nil {
				t.Error("a refusal came with a signer")
			}
			if strings.HasPrefix(c.mode, "hang") {
				s.gone("child")
			}
			if took := time.Since(start); took > s.opt.Wait+5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestRemarksAreBounded(t *testing.T) {
	s := newService(t)
	var remarks bytes.Buffer
	s.opt.Stderr = &remarks
	if _, err := kms.Open(t.Context(), s.key("p256", "talk"), s.opt); err != nil {
		t.Fatal(err)
	}
	if n := remarks.Len(); n != 64<<10 {
		t.Errorf("passed on %d bytes", n)
	}
}

func TestCancelled(t *testing.T) {
	s := newService(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	_, err := kms.Open(ctx, s.key("p256", "hang"), s.opt)
	refused(t, err, attest.CodeInterrupted)
}

func TestNames(t *testing.T) {
	s := newService(t)
	if _, err := kms.Open(t.Context(), s.key("p256", ""), s.opt); err != nil {
		t.Fatal(err)
	}
	resource := filepath.Join(s.dir, "p256.pem")
	for _, key := range []string{
		"awskms:///alias/x", "gcpkms://projects/p", "azurekms://v/k", "hashivault://k", "k8s://ns/secret", "https://example.test/key", "file:///key", "oci://x",
		"../test://" + resource, "test/../test://" + resource, ".://x", "Test://" + resource, "te st://" + resource, "-test://" + resource, "te--st://x", "test-://x", "://x",
		"test://", "test:" + resource, "test", "", "absent://key", "test://a\x00b", "test://" + strings.Repeat("a", 5000), strings.Repeat("a", 65) + "://x",
	} {
		k, err := kms.Open(t.Context(), key, s.opt)
		refused(t, err, attest.CodeKey)
		if k != nil {
			t.Errorf("%q opened", key)
		}
	}
	for key, want := range map[string]bool{"test://x": true, "my-hsm2://slot/1": true, "pkcs11:token=x": false, "keys/alice.key": false, "C://x": false, "a.b://x": false} {
		if kms.IsKey(key) != want {
			t.Errorf("IsKey(%q) = %t", key, !want)
		}
	}
}

// What lies in the working folder is data, whatever the PATH says.
func TestPluginInTheWorkingFolder(t *testing.T) {
	s := newService(t)
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(bin)
	for _, path := range []string{".", "", ":", bin[:0] + "./"} {
		_, err := kms.Open(t.Context(), s.key("p256", ""), kms.Options{Environ: []string{"PATH=" + path}})
		refused(t, err, attest.CodeKey)
	}
	_, err = kms.Open(t.Context(), s.key("p256", ""), kms.Options{})
	refused(t, err, attest.CodeKey)
	if _, err := kms.Open(t.Context(), s.key("p256", ""), kms.Options{Environ: []string{"PATH=" + bin}}); err != nil {
		t.Error(err)
	}
}
