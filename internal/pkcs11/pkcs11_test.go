//go:build pkcs11

package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/pkcs11"
)

// A hsm is a SoftHSM of one test, made ready by the tools that people use.
type hsm struct {
	t      *testing.T
	module string
	dir    string
}

const pin = "567890"

func newHSM(t *testing.T, tokens ...string) *hsm {
	t.Helper()
	h := &hsm{t: t, dir: t.TempDir()}
	for _, m := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(m); err == nil {
			h.module = m
		}
	}
	missing := ""
	if h.module == "" {
		missing = "SoftHSM (softhsm2)"
	}
	for _, program := range []string{"softhsm2-util", "pkcs11-tool", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			missing += " " + program
		}
	}
	if missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("not here: %s", missing)
		}
		t.Skipf("not here: %s", missing)
	}
	conf := filepath.Join(h.dir, "softhsm2.conf")
	h.write("softhsm2.conf", "directories.tokendir = "+h.dir+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	t.Setenv("SOFTHSM2_CONF", conf)
	for _, token := range append([]string{"acme"}, tokens...) {
		h.run("softhsm2-util", "--init-token", "--free", "--label", token, "--so-pin", "12345678", "--pin", pin)
	}
	return h
}

func (h *hsm) write(name, text string) string {
	h.t.Helper()
	name = filepath.Join(h.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return name
}

func (h *hsm) run(program string, args ...string) []byte {
	h.t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// tool runs pkcs11-tool at the token acme.
func (h *hsm) tool(args ...string) {
	h.t.Helper()
	h.run("pkcs11-tool", append([]string{"--module", h.module, "--token-label", "acme", "--login", "--pin", pin}, args...)...)
}

func (h *hsm) generate(kind, label, id string, more ...string) {
	h.t.Helper()
	h.tool(append([]string{"--keypairgen", "--key-type", kind, "--label", label, "--id", id}, more...)...)
}

func (h *hsm) uri(path string) string { return "pkcs11:" + path + "?module-path=" + h.module }

// shown returns the public key as another program reads it from the token.
func (h *hsm) shown(label string) attest.PublicKey {
	h.t.Helper()
	file := filepath.Join(h.dir, "shown.der")
	h.tool("--read-object", "--type", "pubkey", "--label", label, "--output-file", file)
	der, err := os.ReadFile(file)
	if err != nil {
		h.t.Fatal(err)
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := attest.NewPublicKey(k)
	if err != nil {
		h.t.Fatal(err)
	}
	return public
}

func givePIN(s string) func(string) ([]byte, error) {
	return func(string) ([]byte, error) { return []byte(s), nil }
}

func (h *hsm) open(uri string) (*pkcs11.Signer, error) {
	s, err := pkcs11.Open(uri, pkcs11.Options{PIN: givePIN(pin)})
	if (s == nil) == (err == nil) {
		h.t.Errorf("a signer with an error, or neither: %v", err)
	}
	if s != nil {
		h.t.Cleanup(s.Close)
	}
	return s, err
}

func statement(t *testing.T) []byte {
	t.Helper()
	b, err := attest.NewStatement(attest.Subject{Name: "model", Digest: attest.SHA256([]byte("model"))}, "https://example.test/thing/v1", map[string]any{"passed": true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPKCS11Sign(t *testing.T) {
	h := newHSM(t, "other")
	h.generate("EC:prime256v1", "p256", "01")
	h.generate("EC:secp384r1", "p384", "02")
	h.generate("EC:edwards25519", "ed25519", "03")
	for _, path := range []string{"token=acme;object=p256", "token=acme;id=%01", "token=acme;object=p256;id=%01;type=private", "manufacturer=SoftHSM%20project;token=acme;object=p256", "token=acme;object=p384", "token=acme;object=ed25519"} {
		t.Run(path, func(t *testing.T) {
			s, err := h.open(h.uri(path))
			if err != nil {
				t.Fatal(err)
			}
			label := "p256"
			for _, l := range []string{"p384", "ed25519"} {
				if strings.Contains(path, l) {
					label = l
				}
			}
			if label == "p256" { // the only one that this pkcs11-tool writes out
				if want := h.shown(label); s.Public().Fingerprint() != want.Fingerprint() || s.Material().Key.Fingerprint() != want.Fingerprint() {
					t.Errorf("another public key than %s", want.Fingerprint())
				}
			}
			b, err := attest.Sign(t.Context(), statement(t), s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := attest.ParseBundle(b); err != nil {
				t.Error(err)
			}
			sig, err := s.SignMessage(t.Context(), []byte("x"))
			if err != nil || s.Public().Verify([]byte("x"), sig) != nil || s.Public().Verify([]byte("y"), sig) == nil {
				t.Errorf("a signature that does not fit: %v", err)
			}
		})
	}
	// OpenSSL reads what was signed.
	s, err := h.open(h.uri("token=acme;object=p256"))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.SignMessage(t.Context(), []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	h.run("openssl", "dgst", "-sha256", "-verify", h.write("key.pem", string(s.Public().PEM())), "-signature", h.write("sig", string(sig)), h.write("message", "message"))
}

func TestPKCS11Concurrently(t *testing.T) {
	h := newHSM(t)
	h.generate("EC:prime256v1", "k", "01")
	s, err := h.open(h.uri("object=k"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				if _, err := s.SignMessage(t.Context(), []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either came first; what must not happen is neither.
	if sig, err := s.SignMessage(ctx, []byte("x")); (sig == nil) == (err == nil) {
		t.Errorf("%v", err)
	}
	s.Close()
	s.Close()
	_, err = s.SignMessage(t.Context(), []byte("x"))
	refused(t, err, attest.CodeKey)
}

// Whoever gave up waiting closes the signer while the module still signs.
func TestPKCS11CloseWhileSigning(t *testing.T) {
	h := newHSM(t)
	h.generate("EC:prime256v1", "k", "01")
	for range 20 {
		s, err := pkcs11.Open(h.uri("object=k"), pkcs11.Options{PIN: givePIN(pin)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = s.SignMessage(ctx, []byte("x"))
		s.Close()
	}
}

func TestPKCS11PIN(t *testing.T) {
	h := newHSM(t)
	h.generate("EC:prime256v1", "k", "01")
	s, err := pkcs11.Open(h.uri("object=k"), pkcs11.Options{PIN: givePIN(pin)})
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // within one process, one login serves all
	asked := 0
	ask := func(token string) ([]byte, error) {
		if asked++; token != "acme" {
			t.Errorf("asked for the PIN of %q", token)
		}
		return []byte("000000"), nil
	}
	_, err = pkcs11.Open(h.uri("object=k"), pkcs11.Options{PIN: ask})
	refused(t, err, attest.CodeKey)
	if asked != 1 || !strings.Contains(err.Error(), "wrong PIN") || strings.Contains(err.Error(), "000000") {
		t.Errorf("asked %d times: %v", asked, err)
	}
	_, err = pkcs11.Open(h.uri("object=k"), pkcs11.Options{})
	refused(t, err, attest.CodeKey)
	broken := errors.New("no terminal")
	if _, err = pkcs11.Open(h.uri("object=k"), pkcs11.Options{PIN: func(string) ([]byte, error) { return nil, broken }}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]attest.Code{pin: "", pin + "\n": "", pin + "\r\n": "", "wrong\n": attest.CodeKey, "": attest.CodeKey, strings.Repeat("1", 5000): attest.CodeKey} {
		s, err := pkcs11.Open(h.uri("object=k")+"&pin-source=file:"+h.write("pin", text), pkcs11.Options{})
		refused(t, err, want)
		if s != nil {
			s.Close()
		}
	}
	_, err = pkcs11.Open(h.uri("object=k")+"&pin-source=/nowhere/pin", pkcs11.Options{})
	refused(t, err, attest.CodeKey)
}

// Some keys, such as a PIV card's for signatures, want the PIN each time.
func TestPKCS11AlwaysAuthenticate(t *testing.T) {
	h := newHSM(t)
	h.generate("EC:prime256v1", "k", "01", "--always-auth")
	s, err := h.open(h.uri("object=k"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.SignMessage(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPKCS11WhichKey(t *testing.T) {
	h := newHSM(t, "other", "twin", "twin")
	h.generate("EC:prime256v1", "k", "01")
	h.generate("EC:prime256v1", "two", "02")
	h.generate("EC:prime256v1", "two", "03")
	h.generate("rsa:2048", "rsa", "04")
	h.generate("EC:secp521r1", "p521", "05")
	h.generate("EC:prime256v1", "same id a", "06")
	h.generate("EC:prime256v1", "same id b", "06")
	// One id for two keys, told apart by their labels, on both halves.
	for _, path := range []string{"token=acme;object=k", "token=acme;object=two;id=%03", "token=acme;object=same%20id%20a", "token=acme;object=same%20id%20b"} {
		s, err := h.open(h.uri(path))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if _, err := s.SignMessage(t.Context(), []byte("x")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, c := range []struct{ path, why string }{
		{"token=acme;object=absent", "no such private key"},
		{"token=acme;object=two", "several private keys"},
		{"token=acme;object=k;id=%02", "no such private key"},
		{"token=acme;object=rsa", "not a key on"},
		{"token=acme;object=p521", "not a key on"},
		{"token=nobody;object=k", "no such token"},
		{"token=acm;object=k", "no such token"},
		{"token=twin;object=k", "2 tokens fit"},
		{"object=k", "tokens fit"},
		{"token=acme;serial=1;object=k", "no such token"},
		{"token=acme;slot-id=4294967295;object=k", "no such token"},
		{"token=other;object=k", "no such private key"},
	} {
		_, err := h.open(h.uri(c.path))
		refused(t, err, attest.CodeKey)
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, want %q", c.path, err, c.why)
		}
	}
}

func TestPKCS11Module(t *testing.T) {
	h := newHSM(t)
	h.generate("EC:prime256v1", "k", "01")
	s, err := pkcs11.Open("pkcs11:object=k", pkcs11.Options{Module: h.module, PIN: givePIN(pin)})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, module := range []string{"", "libsofthsm2.so", "./m.so", "/nowhere/m.so", h.write("m.so", "not a module"), h.dir} {
		_, err := pkcs11.Open("pkcs11:object=k", pkcs11.Options{Module: module, PIN: givePIN(pin)})
		refused(t, err, attest.CodeKey)
	}
}

// The public key of a token is only its word; what the private key signs decides.
func TestPKCS11TokenThatLies(t *testing.T) {
	h := newHSM(t)
	h.generate("EC:prime256v1", "k", "01")
	h.generate("EC:prime256v1", "stranger", "02")
	s, err := h.open(h.uri("object=k"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SignMessage(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(h.shown("stranger").PEM())
	h.tool("--delete-object", "--type", "pubkey", "--id", "01")
	_, err = h.open(h.uri("object=k"))
	refused(t, err, attest.CodeKey) // no public key at all
	h.tool("--write-object", h.write("stranger.der", string(block.Bytes)), "--type", "pubkey", "--id", "01", "--label", "k")
	if s, err = h.open(h.uri("object=k")); err != nil {
		t.Fatal(err)
	}
	b, err := attest.Sign(t.Context(), statement(t), s)
	refused(t, err, attest.CodeSigInvalid)
	if b != nil {
		t.Error("a refusal came with a bundle")
	}
}

// Many tokens hold a certificate beside the private key, and no public key.
func TestPKCS11Certificate(t *testing.T) {
	h := newHSM(t)
	h.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=k",
		"-keyout", filepath.Join(h.dir, "k.pem"), "-out", filepath.Join(h.dir, "c.pem"))
	h.run("openssl", "x509", "-in", filepath.Join(h.dir, "c.pem"), "-outform", "DER", "-out", filepath.Join(h.dir, "c.der"))
	h.run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", filepath.Join(h.dir, "k.pem"), "-out", filepath.Join(h.dir, "k8.pem"))
	h.run("softhsm2-util", "--import", filepath.Join(h.dir, "k8.pem"), "--token", "acme", "--label", "k", "--id", "01", "--pin", pin)
	h.tool("--delete-object", "--type", "pubkey", "--id", "01")
	_, err := h.open(h.uri("object=k"))
	refused(t, err, attest.CodeKey)
	h.tool("--write-object", filepath.Join(h.dir, "c.der"), "--type", "cert", "--id", "01", "--label", "other label")
	s, err := h.open(h.uri("object=k"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SignMessage(t.Context(), []byte("x")); err != nil {
		t.Error(err)
	}
	spki := h.run("openssl", "pkey", "-in", filepath.Join(h.dir, "k.pem"), "-pubout")
	if !bytes.Equal(bytes.TrimSpace(spki), bytes.TrimSpace(s.Public().PEM())) {
		t.Error("another key than the certificate's")
	}
}
