package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

func TestTLSVersions(t *testing.T) {
	ca := newAuthority(t, "ca")
	f, _ := startTLS(t, allow(t), ca, nil)
	for _, http1 := range []bool{false, true} {
		c := client(t, ca.pool(), http1)
		r, err := c.Post(f.url("/v1/verify"), "application/json", strings.NewReader(asking))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if want := map[bool]int{false: 2, true: 1}[http1]; r.StatusCode != 200 || r.ProtoMajor != want || r.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%d over %s, TLS %x", r.StatusCode, r.Proto, r.TLS.Version)
		}
	}
	_, err := tls.Dial("tcp", f.Addr().String(), &tls.Config{RootCAs: ca.pool(), MaxVersion: tls.VersionTLS12})
	if err == nil {
		t.Error("TLS 1.2 is spoken")
	}
	if a, err := read(http.Post("http://"+f.Addr().String()+"/v1/verify", "application/json", strings.NewReader(asking))); err == nil && a.status == 200 {
		t.Error("plain HTTP is answered on the TLS port")
	}
	t.Run("GAT-10 wrong SAN", func(t *testing.T) {
		c := client(t, ca.pool(), false)
		c.Transport.(*http.Transport).TLSClientConfig.ServerName = "gate.example"
		if _, err := tryPost(c, f.url("/v1/verify"), asking); err == nil || !strings.Contains(err.Error(), "x509") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("GAT-10 another authority", func(t *testing.T) {
		c := client(t, newAuthority(t, "other").pool(), false)
		if _, err := tryPost(c, f.url("/v1/verify"), asking); err == nil || !strings.Contains(err.Error(), "x509") {
			t.Errorf("got %v", err)
		}
	})
}

func TestMutualTLS(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	for _, tc := range []struct {
		name  string
		names []string
		certs []tls.Certificate
		ok    bool
	}{
		{"GAT-10 the API server's certificate", []string{"kube-apiserver"}, []tls.Certificate{ca.issue(t, commonName("kube-apiserver"))}, true},
		{"GAT-10 a URI", []string{"spiffe://acme/ci"}, []tls.Certificate{ca.issue(t, uriName("spiffe://acme/ci"))}, true},
		{"GAT-10 any name", nil, []tls.Certificate{ca.issue(t, commonName("x"))}, true},
		{"GAT-10 no certificate", nil, nil, false},
		{"GAT-10 another authority", nil, []tls.Certificate{other.issue(t, commonName("kube-apiserver"))}, false},
		{"GAT-10 another name", []string{"kube-apiserver"}, []tls.Certificate{ca.issue(t, commonName("kubelet"))}, false},
		{"GAT-10 a name that contains it", []string{"kube-apiserver"}, []tls.Certificate{ca.issue(t, commonName("kube-apiserver.evil"))}, false},
		{"GAT-10 the common name beside a DNS name", []string{"kube-apiserver"}, []tls.Certificate{ca.issue(t, func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames = "kube-apiserver", []string{"pod.tenant.svc"}
		})}, false},
		{"GAT-10 no name", nil, []tls.Certificate{ca.issue(t, func(*x509.Certificate) {})}, false},
		{"GAT-10 expired", nil, []tls.Certificate{ca.issue(t, func(c *x509.Certificate) {
			c.Subject.CommonName, c.NotAfter = "x", time.Now().Add(-time.Minute)
		})}, false},
		{"GAT-10 for servers only", nil, []tls.Certificate{ca.issue(t, func(c *x509.Certificate) {
			c.Subject.CommonName, c.ExtKeyUsage = "x", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			judge, asked := counting(t)
			f, _ := startTLS(t, judge, ca, func(o *Options, s *secret) {
				s.listen(&o.Config.Listen, true)
				o.Config.Listen.ClientNames = tc.names
			})
			for _, http1 := range []bool{false, true} {
				a, err := tryPost(client(t, ca.pool(), http1, tc.certs...), f.url("/v1/verify"), asking)
				if ok := err == nil && a.status == 200; ok != tc.ok {
					t.Errorf("HTTP/1 %v: %d %v", http1, a.status, err)
				}
			}
			if (asked.Load() > 0) != tc.ok {
				t.Errorf("asked %d times", asked.Load())
			}
			// Probes have no certificate: the second listener answers them.
			if a := get(t, http.DefaultClient, "http://"+f.MetricsAddr().String()+"/readyz"); a.status != 200 {
				t.Errorf("readyz: %d", a.status)
			}
		})
	}
}

// TestClientCAReplaced: a connection that was made under an authority that is not trusted
// any more is not heard any more, and one whose client is still vouched for goes on.
func TestClientCAReplaced(t *testing.T) {
	ca, old := newAuthority(t, "ca"), newAuthority(t, "old")
	both := append(ca.pem(), old.pem()...)
	f, s := startTLS(t, allow(t), ca, func(o *Options, s *secret) {
		s.write(t, ca.issue(t, server), both)
		s.listen(&o.Config.Listen, true)
	})
	var stays, goes *http.Client = client(t, ca.pool(), false, ca.issue(t, commonName("a"))), client(t, ca.pool(), false, old.issue(t, commonName("b")))
	for _, c := range []*http.Client{stays, goes} {
		if a := post(t, c, f.url("/v1/verify"), asking); a.status != 200 {
			t.Fatalf("before: %d", a.status)
		}
	}
	s.write(t, ca.issue(t, server), ca.pem())
	f.certs.reread()
	if a := post(t, stays, f.url("/v1/verify"), asking); a.status != 200 {
		t.Errorf("a client that is vouched for: %d", a.status)
	}
	if a, err := tryPost(goes, f.url("/v1/verify"), asking); err == nil && a.status != 403 {
		t.Errorf("a client that is not: %d", a.status)
	}
	if _, err := tryPost(goes, f.url("/v1/verify"), asking); err == nil {
		t.Error("its next connection is let in")
	}
}

// TestClientExpires: a connection does not outlive the client's certificate.
func TestClientExpires(t *testing.T) {
	ca := newAuthority(t, "ca")
	var ahead atomic.Int64
	f, _ := startTLS(t, allow(t), ca, func(o *Options, s *secret) {
		s.write(t, ca.issue(t, func(c *x509.Certificate) { server(c); c.NotAfter = time.Now().Add(24 * time.Hour) }), ca.pem())
		s.listen(&o.Config.Listen, true)
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	c := client(t, ca.pool(), false, ca.issue(t, commonName("a")))
	if a := post(t, c, f.url("/v1/verify"), asking); a.status != 200 {
		t.Fatalf("before: %d", a.status)
	}
	ahead.Store(int64(2 * time.Hour))
	if a, err := tryPost(c, f.url("/v1/verify"), asking); err == nil && a.status != 403 {
		t.Errorf("afterwards: %d", a.status)
	}
}

func TestOwnCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	ready := func(f *fixture) answered {
		return get(t, http.DefaultClient, "http://"+f.MetricsAddr().String()+"/readyz")
	}
	for name, change := range map[string]func(*x509.Certificate){
		"GAT-10 expired":       func(c *x509.Certificate) { server(c); c.NotAfter = time.Now().Add(-time.Minute) },
		"GAT-10 not yet valid": func(c *x509.Certificate) { server(c); c.NotBefore = time.Now().Add(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			f, s := startTLS(t, allow(t), ca, func(_ *Options, s *secret) { s.write(t, ca.issue(t, change), ca.pem()) })
			if a := ready(f); a.status != 503 || !strings.Contains(a.body, "certificate") {
				t.Errorf("%d %s", a.status, a.body)
			}
			if _, err := tryPost(client(t, ca.pool(), false), f.url("/v1/verify"), asking); err == nil {
				t.Error("a client trusts it")
			}
			if !strings.Contains(f.log.String(), "the gate is not ready") {
				t.Error("not logged")
			}
			s.write(t, ca.issue(t, server), ca.pem())
			eventually(t, "ready with a good one", func() bool { return ready(f).status == 200 })
			if a := post(t, client(t, ca.pool(), false), f.url("/v1/verify"), asking); a.status != 200 {
				t.Errorf("afterwards: %d", a.status)
			}
		})
	}
	t.Run("GAT-09 no certificate yet", func(t *testing.T) {
		f, s := startTLS(t, allow(t), ca, func(_ *Options, s *secret) {
			if err := os.Remove(s.dir + "/..data"); err != nil {
				t.Fatal(err)
			}
		})
		if a := ready(f); a.status != 503 || !strings.Contains(a.body, "certificate") {
			t.Errorf("%d %s", a.status, a.body)
		}
		if _, err := tryPost(client(t, ca.pool(), false), f.url("/v1/verify"), asking); err == nil {
			t.Error("answered")
		}
		s.write(t, ca.issue(t, server), ca.pem())
		eventually(t, "ready when it is there", func() bool { return ready(f).status == 200 })
		if a := post(t, client(t, ca.pool(), false), f.url("/v1/verify"), asking); a.status != 200 {
			t.Errorf("afterwards: %d", a.status)
		}
	})
	t.Run("GAT-10 half written", func(t *testing.T) {
		f, s := startTLS(t, allow(t), ca, func(o *Options, s *secret) { s.listen(&o.Config.Listen, true) })
		cert, err := os.ReadFile(s.dir + "/tls.crt")
		if err != nil {
			t.Fatal(err)
		}
		me := ca.issue(t, commonName("a"))
		other := newSecret(t)
		other.write(t, ca.issue(t, server), nil)
		key, err := os.ReadFile(other.dir + "/tls.key")
		if err != nil {
			t.Fatal(err)
		}
		old := f.certs.current.Load()
		for n, files := range [][3][]byte{{cert, key, ca.pem()}, {cert[:len(cert)/2], key, ca.pem()}, {nil, nil, nil}, {cert, key, []byte("not PEM")}} {
			s.writeRaw(t, files[0], files[1], files[2])
			for range 3 {
				f.certs.reread()
			}
			if f.certs.current.Load() != old {
				t.Fatal("it was taken")
			}
			if a := post(t, client(t, ca.pool(), false, me), f.url("/v1/verify"), asking); a.status != 200 {
				t.Errorf("meanwhile: %d", a.status)
			}
			if said := strings.Count(f.log.String(), "certificates cannot be used"); said != n+1 {
				t.Errorf("said %d times, want %d", said, n+1)
			}
		}
		m := f.metricsText(t)
		if !strings.Contains(m, `pedigree_gate_certificate_reloads_total{result="error"} 4`) {
			t.Error("not counted")
		}
		if want := fmt.Sprintf("pedigree_gate_certificate_expiry_timestamp_seconds %g\n", float64(old.leaf.NotAfter.Unix())); !strings.Contains(m, want) {
			t.Errorf("no %q", want)
		}
	})
	t.Run("clients' authorities are all certificates", func(t *testing.T) {
		for _, b := range [][]byte{nil, []byte("x"), append(ca.pem(), "trailing"...), []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")} {
			if _, err := pool(b); err == nil {
				t.Errorf("%q is taken", b)
			}
		}
		if _, err := pool(append(ca.pem(), ca.pem()...)); err != nil {
			t.Error(err)
		}
	})
}

// TestRotation changes the certificate, and the authority behind it, while clients ask
// over connections that stay open and over new ones. No request is lost.
func TestRotation(t *testing.T) {
	t.Run("GAT-10 rotated under load", func(t *testing.T) {
		first, second := newAuthority(t, "first"), newAuthority(t, "second")
		roots := first.pool()
		roots.AddCert(second.cert)
		clientsCA := append(first.pem(), second.pem()...)
		f, s := startTLS(t, allow(t), first, func(o *Options, s *secret) {
			s.write(t, first.issue(t, server), clientsCA)
			s.listen(&o.Config.Listen, true)
		})
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var asked, connections atomic.Int64
		var seen sync.Map
		ask := func(c *http.Client) {
			r, err := c.Post(f.url("/admit?timeout=10s"), "application/json", strings.NewReader(reviewOf("ns")))
			if err != nil {
				t.Errorf("a request is lost: %v", err)
				return
			}
			seen.Store(r.TLS.PeerCertificates[0].SerialNumber.String(), true)
			if a, err := read(r, nil); err != nil || a.status != 200 || !strings.Contains(a.body, `"allowed":true`) {
				t.Errorf("a request is lost: %d %v", a.status, err)
			}
			asked.Add(1)
		}
		for i := range 6 {
			who := first.issue(t, commonName("api"))
			keep := client(t, roots, i%2 == 0, who)
			all.Go(func() {
				for ctx.Err() == nil {
					ask(keep)
					time.Sleep(time.Millisecond)
				}
			})
			all.Go(func() {
				for ctx.Err() == nil {
					c := client(t, roots, i%2 == 0, who)
					ask(c)
					c.CloseIdleConnections()
					connections.Add(1)
					time.Sleep(3 * time.Millisecond)
				}
			})
		}
		const rotations = 40
		for i := range rotations {
			a := []*authority{first, second}[i%2]
			s.write(t, a.issue(t, server), clientsCA)
			if i%4 == 0 {
				time.Sleep(10 * time.Millisecond)
				f.certs.reread() // between the ticks, too
			}
			time.Sleep(70 * time.Millisecond)
		}
		stop()
		all.Wait()
		certificates := 0
		seen.Range(func(any, any) bool { certificates++; return true })
		t.Logf("%d requests, %d new connections, %d certificates seen in %d rotations", asked.Load(), connections.Load(), certificates, rotations)
		if certificates < 5 || asked.Load() < 200 || connections.Load() < 50 {
			t.Error("too little for the test to say anything")
		}
	})
}

func TestListenRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		listen gate.Listen
	}{
		{"plain on all addresses", gate.Listen{Address: "0.0.0.0:0"}},
		{"plain on no host", gate.Listen{Address: ":0"}},
		{"plain on IPv6", gate.Listen{Address: "[::]:0"}},
		{"no address", gate.Listen{}},
		{"no port", gate.Listen{Address: "127.0.0.1"}},
		{"certificate alone", gate.Listen{Address: "127.0.0.1:0", Certificate: "x"}},
		{"key alone", gate.Listen{Address: "127.0.0.1:0", Key: "x"}},
		{"client CA in the clear", gate.Listen{Address: "127.0.0.1:0", ClientCA: "x"}},
		{"names without CA", gate.Listen{Address: "127.0.0.1:0", Certificate: "x", Key: "x", ClientNames: []string{"x"}}},
		{"GAT-30 metrics on the same port", gate.Listen{Address: "127.0.0.1:8443", Metrics: "127.0.0.1:8443"}},
		{"GAT-30 metrics on the same port of all addresses", gate.Listen{Address: "127.0.0.1:8443", Metrics: ":8443"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			yes := allow(t)
			s, err := New(Options{Config: &gate.Config{Listen: tc.listen}, Grounds: func() *gate.Grounds { return nil }, Judge: yes, Admitter: yes, Decode: decodeReview, Log: discard()})
			if err == nil {
				s.Close()
			}
			if attest.RefusalCode(err) != attest.CodeUsage {
				t.Errorf("got %v", err)
			}
		})
	}
	// The positive twin: all of loopback is fine.
	for _, a := range []string{"127.0.0.1:0", "127.0.0.2:0"} {
		start(t, allow(t), func(o *Options) { o.Config.Listen.Address = a })
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		start(t, allow(t), func(o *Options) { o.Config.Listen.Address = "[::1]:0" })
	}
}
