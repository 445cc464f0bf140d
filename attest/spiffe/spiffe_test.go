package spiffe_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/spiffe"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/spiffeagent"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

var day = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func refused(t *testing.T, err error, want attest.Code) {
	t.Helper()
	if got := attest.RefusalCode(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newDomain(t *testing.T, name string) *authority.Domain {
	return must(authority.NewDomain(name, day.AddDate(0, -1, 0)))(t)
}

func statement(t *testing.T) []byte {
	return must(attest.NewStatement(attest.Subject{Name: "model", Digest: attest.SHA256([]byte("model"))}, "https://example.test/thing/v1", map[string]any{"passed": true}))(t)
}

// shortDir is a folder whose path fits into a socket's.
func shortDir(t *testing.T) string {
	dir := must(os.MkdirTemp("", "s"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T) *spiffeagent.Agent {
	a := must(spiffeagent.Start(shortDir(t)))(t)
	t.Cleanup(a.Stop)
	return a
}

func TestWorkloadAPI(t *testing.T) {
	d := newDomain(t, "prod.acme.example")
	svid := must(spiffeagent.Issue(d, "trainer", nil, day))(t)
	second := must(spiffeagent.Issue(d, "second", nil, day))(t)
	a := start(t)
	a.Give(svid, second)
	for _, place := range []string{"unix://" + a.Socket, a.Socket} {
		s, err := spiffe.Open(t.Context(), place)
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		if m := s.Material(); s.ID() != "spiffe://prod.acme.example/trainer" || string(m.Certificate) != string(svid.Certificates[0].Raw) ||
			len(m.Chain) != 1 || string(m.Chain[0]) != string(d.Intermediate.Raw) || !s.Until().Equal(day.Add(time.Hour)) {
			t.Errorf("%s: got %s until %s with %d intermediates", place, s.ID(), s.Until(), len(m.Chain))
		}
		b, err := attest.Sign(t.Context(), statement(t), s)
		if err != nil {
			t.Fatal(err)
		}
		who, _, err := trust.Holder(must(attest.ParseBundle(b))(t).Certificate)
		if want := (trust.Identity{Issuer: "spiffe://prod.acme.example", Subject: s.ID()}); err != nil || who != want {
			t.Errorf("held by %v, %v", who, err)
		}
	}
	// The path of a socket may be relative.
	t.Chdir(filepath.Dir(a.Socket))
	if _, err := spiffe.Open(t.Context(), "agent.sock"); err != nil {
		t.Error(err)
	}
	// Without an intermediate the certificate travels alone.
	d.Intermediate = nil
	a.Give(must(spiffeagent.Issue(d, "trainer", nil, day))(t))
	s := must(spiffe.Open(t.Context(), a.Socket))(t)
	if b := string(must(attest.Sign(t.Context(), statement(t), s))(t)); strings.Contains(b, "x509CertificateChain") || len(s.Material().Chain) != 0 {
		t.Error("a lone certificate came with a chain")
	}
}

func TestWorkloadAPIRefusals(t *testing.T) {
	d := newDomain(t, "prod.acme.example")
	good := must(spiffeagent.Issue(d, "trainer", nil, day))(t)
	other := must(spiffeagent.Issue(d, "other", nil, day.Add(time.Second)))(t)
	a := start(t)
	fetch := func() error {
		t.Helper()
		s, err := spiffe.Fetch(t.Context(), "unix://"+a.Socket)
		if (s == nil) == (err == nil) {
			t.Errorf("a signer with an error, or neither: %v", err)
		}
		return err
	}
	a.Give(good)
	if err := fetch(); err != nil {
		t.Fatal(err)
	}
	a.Give()
	err := fetch()
	refused(t, err, attest.CodeSignRefused)
	if err == nil || !strings.Contains(err.Error(), "no identity for this process") {
		t.Errorf("got %v", err)
	}
	for name, change := range map[string]func(*workload.X509SVIDResponse){
		"no SVID":             func(r *workload.X509SVIDResponse) { r.Svids = nil },
		"somebody else's key": func(r *workload.X509SVIDResponse) { r.Svids[0].X509SvidKey = r.Svids[1].X509SvidKey },
		"no key":              func(r *workload.X509SVIDResponse) { r.Svids[0].X509SvidKey = nil },
		"cut off":             func(r *workload.X509SVIDResponse) { r.Svids[0].X509Svid = r.Svids[0].X509Svid[:100] },
		"empty":               func(r *workload.X509SVIDResponse) { r.Svids[0].X509Svid = nil },
		"an authority's":      func(r *workload.X509SVIDResponse) { r.Svids[0].X509Svid = d.Intermediate.Raw },
		"leaf twice": func(r *workload.X509SVIDResponse) {
			r.Svids[0].X509Svid = append(good.Certificates[0].Raw[:len(good.Certificates[0].Raw):len(good.Certificates[0].Raw)], good.Certificates[0].Raw...)
		},
		"stranger's authority": func(r *workload.X509SVIDResponse) {
			r.Svids[0].X509Svid = append(good.Certificates[0].Raw[:len(good.Certificates[0].Raw):len(good.Certificates[0].Raw)], d.Root.Raw...)
			r.Svids[0].X509Svid = append(r.Svids[0].X509Svid, d.Intermediate.Raw...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a.Give(good, other)
			a.Change(change)
			want := attest.CodeSignService
			if name == "stranger's authority" {
				want = attest.CodeKey // an X.509-SVID that cannot be written into a bundle
			}
			refused(t, fetch(), want)
		})
	}
	// An agent that hangs is waited for as long as the caller says, at most.
	a.Give(good)
	a.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err = spiffe.Fetch(ctx, "unix://"+a.Socket)
	refused(t, err, attest.CodeSignService)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	a.Stop()
	_, err = spiffe.Fetch(t.Context(), "unix://"+a.Socket)
	refused(t, err, attest.CodeSignService)
	if err == nil || !strings.Contains(err.Error(), "no SPIFFE agent answers") {
		t.Errorf("got %v", err)
	}
}

// The answer has the private key in it.
func TestWorkloadAPIIsLocal(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	for _, address := range []string{"tcp://192.0.2.1:8081", "tcp://[2001:db8::1]:8081", "tcp://agent.example:8081", "tcp://127.0.0.1", "http://127.0.0.1:1", "unix:relative", "unix://", "", "unix:///s?x=1"} {
		begun := time.Now()
		_, err := spiffe.Fetch(t.Context(), address)
		refused(t, err, attest.CodeKey)
		if time.Since(begun) > time.Second {
			t.Errorf("%s was asked", address)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := spiffe.Fetch(ctx, "tcp://"+l.Addr().String()) // asked, and silent
	refused(t, err, attest.CodeSignService)
	if err == nil || strings.Contains(err.Error(), "another machine") {
		t.Errorf("got %v", err)
	}
}

func TestFolder(t *testing.T) {
	d := newDomain(t, "prod.acme.example")
	p256 := must(spiffeagent.Issue(d, "trainer", nil, day))(t)
	p384 := must(spiffeagent.Issue(d, "trainer", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t), day))(t)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := must(spiffeagent.Issue(d, "trainer", edKey, day))(t)
	withRoot := *p256
	withRoot.Certificates = append(withRoot.Certificates[:2:2], d.Root.Certificate)
	for name, svid := range map[string]*spiffeagent.SVID{"p256": p256, "p384": p384, "ed25519": ed, "root at the end": &withRoot} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := svid.Write(dir); err != nil {
				t.Fatal(err)
			}
			// What is believed is not taken from here.
			if err := os.WriteFile(filepath.Join(dir, "svid_bundle.pem"), []byte("garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := spiffe.Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if m := s.Material(); len(m.Chain) != 1 || s.ID() != svid.ID {
				t.Errorf("%s with %d intermediates", s.ID(), len(m.Chain))
			}
			if _, err := attest.Sign(t.Context(), statement(t), s); err != nil {
				t.Error(err)
			}
		})
	}

	var rsaKey crypto.Signer = must(rsa.GenerateKey(rand.Reader, 2048))(t)
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t)
	for name, svid := range map[string]*spiffeagent.SVID{
		"rsa":         must(spiffeagent.Issue(d, "trainer", rsaKey, day))(t),
		"p521":        must(spiffeagent.Issue(d, "trainer", p521, day))(t),
		"no path":     must(spiffeagent.Issue(d, "", nil, day))(t),
		"authority":   must(spiffeagent.Issue(d, "trainer", nil, day, func(c *x509.Certificate) { c.IsCA = true }))(t),
		"signs certs": must(spiffeagent.Issue(d, "trainer", nil, day, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }))(t),
		"no SPIFFE":   must(spiffeagent.Issue(d, "trainer", nil, day, func(c *x509.Certificate) { c.ExtraExtensions = nil; c.DNSNames = []string{"a.example"} }))(t),
		"root inside": {ID: p256.ID, Key: p256.Key, Certificates: []*x509.Certificate{p256.Certificates[0], d.Root.Certificate, d.Intermediate.Certificate}},
		"other key":   {ID: p256.ID, Key: p384.Key, Certificates: p256.Certificates},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := svid.Write(dir); err != nil {
				t.Fatal(err)
			}
			s, err := spiffe.Open(t.Context(), dir)
			refused(t, err, attest.CodeKey)
			if s != nil {
				t.Error("a refusal came with a signer")
			}
			if name == "rsa" && (err == nil || !strings.Contains(nextOf(err), "workload_x509_svid_key_type")) {
				t.Errorf("what to configure is not said: %v", err)
			}
		})
	}
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	for _, c := range []struct {
		name string
		make func() error
		open string
	}{
		{"nowhere", func() error { return nil }, filepath.Join(empty, "nowhere")},
		{"empty folder", func() error { return nil }, empty},
		{"a file", func() error { return os.WriteFile(file, nil, 0o600) }, file},
		{"no key", func() error { return os.WriteFile(filepath.Join(empty, "svid.pem"), []byte("x"), 0o600) }, empty},
		{"huge", func() error { return os.WriteFile(filepath.Join(empty, "svid_key.pem"), make([]byte, 2<<20), 0o600) }, empty},
	} {
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		_, err := spiffe.Open(t.Context(), c.open)
		want := attest.CodeKey
		if c.name == "huge" {
			want = attest.CodeLimit
		}
		refused(t, err, want)
	}
}

func nextOf(err error) string {
	if r, ok := err.(*attest.Refusal); ok {
		return r.Next
	}
	return ""
}

func TestHolds(t *testing.T) {
	d := newDomain(t, "prod.acme.example")
	dir := t.TempDir()
	if err := must(spiffeagent.Issue(d, "trainer", nil, day))(t).Write(dir); err != nil {
		t.Fatal(err)
	}
	s := must(spiffe.Load(dir))(t)
	for at, want := range map[time.Duration]attest.Code{-time.Second: attest.CodeTimeWindow, 0: "", 59 * time.Minute: "", 59*time.Minute + time.Second: attest.CodeTimeWindow, 2 * time.Hour: attest.CodeTimeWindow} {
		refused(t, s.Holds(day.Add(at), time.Minute), want)
	}
}
