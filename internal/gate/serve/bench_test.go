package serve

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkWarm is what the server adds to an answer that is there: a judge that answers at
// once, a connection that stays open, client and server in one process.
func BenchmarkWarm(b *testing.B) {
	ca := newAuthority(b, "ca")
	me := ca.issue(b, commonName("api"))
	quiet := func(o *Options) { o.Log = discard() }
	plain := start(b, allow(b), quiet)
	secure, _ := startTLS(b, allow(b), ca, func(o *Options, s *secret) { quiet(o); s.listen(&o.Config.Listen, true) })
	for _, on := range []struct {
		name string
		f    *fixture
		c    *http.Client
	}{
		{"plain", plain, client(b, nil, true)},
		{"TLS", secure, client(b, ca.pool(), true, me)},
		{"TLS-HTTP2", secure, client(b, ca.pool(), false, me)},
	} {
		for path, body := range map[string]string{"/v1/verify": asking, "/admit": reviewOf("ns")} {
			b.Run(on.name+path, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if a := post(b, on.c, on.f.url(path), body); a.status != 200 {
						b.Fatal(a.status)
					}
				}
			})
		}
	}
}

// BenchmarkHandler is the handler without HTTP: what of BenchmarkWarm is ours.
func BenchmarkHandler(b *testing.B) {
	f := start(b, allow(b), func(o *Options) { o.Log = discard() })
	for path, body := range map[string]string{"/v1/verify": asking, "/admit": reviewOf("ns")} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequest(http.MethodPost, path, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				r.RemoteAddr, r.ProtoMajor = "127.0.0.1:1", 2
				r.Header.Set("Content-Type", "application/json")
				w := &sink{h: http.Header{}}
				f.service.Handler.ServeHTTP(w, r)
				if w.status != 200 {
					b.Fatal(w.status)
				}
			}
		})
	}
}

type sink struct {
	h      http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// BenchmarkBeside is good traffic at 200 requests a second, alone and beside attackers, in
// one run: compare the p99 of the rows with that of "alone". The rows come twice: the
// difference between equal rows is the noise.
func BenchmarkBeside(b *testing.B) {
	for _, round := range []string{"first", "again"} {
		for _, row := range []struct {
			name   string
			attack func(b *testing.B, f *fixture, stop <-chan struct{}, all *sync.WaitGroup)
		}{
			{"alone", func(*testing.B, *fixture, <-chan struct{}, *sync.WaitGroup) {}},
			{"8000-idle-connections", idlers(8000)},
			{"400-slow-bodies", slowBodies(400)},
			{"stream-of-new-connections", reconnecting},
		} {
			b.Run(row.name+"/"+round, func(b *testing.B) {
				f := start(b, allow(b), func(o *Options) { o.Log = discard() })
				stop := make(chan struct{})
				var all sync.WaitGroup
				row.attack(b, f, stop, &all)
				c := client(b, nil, true)
				var took []time.Duration
				b.ResetTimer()
				for range b.N {
					begin := time.Now()
					if a, err := tryPost(c, f.url("/admit"), reviewOf("good")); err != nil || a.status != 200 {
						b.Errorf("%d %v", a.status, err)
					}
					took = append(took, time.Since(begin))
					time.Sleep(5 * time.Millisecond)
				}
				b.StopTimer()
				close(stop)
				all.Wait()
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}

func idlers(n int) func(*testing.B, *fixture, <-chan struct{}, *sync.WaitGroup) {
	return func(b *testing.B, f *fixture, stop <-chan struct{}, all *sync.WaitGroup) {
		var open []net.Conn
		for range n {
			c, err := net.Dial("tcp", f.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			open = append(open, c)
		}
		all.Go(func() {
			<-stop
			for _, c := range open {
				c.Close()
			}
		})
	}
}

func slowBodies(n int) func(*testing.B, *fixture, <-chan struct{}, *sync.WaitGroup) {
	return func(b *testing.B, f *fixture, stop <-chan struct{}, all *sync.WaitGroup) {
		for range n {
			all.Go(func() {
				for {
					c, err := net.Dial("tcp", f.Addr().String())
					if err != nil {
						return
					}
					fmt.Fprintf(c, "POST /admit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n\r\n")
					for err == nil {
						select {
						case <-stop:
							c.Close()
							return
						case <-time.After(100 * time.Millisecond):
							_, err = io.WriteString(c, " ")
						}
					}
					c.Close()
				}
			})
		}
	}
}

func reconnecting(b *testing.B, f *fixture, stop <-chan struct{}, all *sync.WaitGroup) {
	all.Go(func() {
		var open []net.Conn
		for {
			select {
			case <-stop:
				for _, c := range open {
					c.Close()
				}
				return
			case <-time.After(time.Millisecond):
			}
			if c, err := net.Dial("tcp", f.Addr().String()); err == nil {
				open = append(open, c)
			}
			if len(open) > 4000 {
				for _, c := range open[:2000] {
					c.Close()
				}
				open = slices.Clone(open[2000:])
			}
		}
	})
}
