package serve_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate/serve"
)

func TestSide(t *testing.T) {
	var ready atomic.Bool
	o := serve.SideOptions{
		Address: "127.0.0.1:0", Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Missing: func() []string {
			if ready.Load() {
				return nil
			}
			return []string{"what runs was not looked at yet\nok"}
		},
		Notes: func() []string { return []string{"older grounds"} },
		Pages: map[string]http.HandlerFunc{"/report": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }},
	}
	s, err := serve.NewSide(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	ask := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	for _, c := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 503, "not looked at yet\\u{a}ok"},
		{"GET", "/report", 200, "{}"},
		{"GET", "/metrics", 200, "go_goroutines"},
		{"POST", "/report", 405, "only GET"},
		{"GET", "/", 404, "not found"},
		{"GET", "/debug/pprof/", 404, "not found"}, // GAT-30
	} {
		if status, body := ask(c.method, c.path); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %q", c.method, c.path, status, body)
		}
	}
	ready.Store(true)
	if status, body := ask("GET", "/readyz"); status != 200 || !strings.Contains(body, "note: older grounds") {
		t.Errorf("%d %q", status, body)
	}
	taken := o
	taken.Address, taken.Registry = s.Addr().String(), prometheus.NewRegistry()
	if _, err := serve.NewSide(taken); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("an address that is taken: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
