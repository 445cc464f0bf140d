package serve

import (
	"io"
	"net/http"
	"strings"
)

// health answers whether the process lives and whether it should be asked.
func (s *Server) health() paths {
	return paths{
		"/healthz": reading(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })),
		"/readyz": reading(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if missing := s.missing(); len(missing) > 0 {
				say(w, http.StatusServiceUnavailable, "not ready: "+strings.Join(missing, "; ")+"\n"+s.notes())
				return
			}
			say(w, http.StatusOK, "ready\n"+s.notes())
		})),
	}
}

// reading lets GET and HEAD through.
func reading(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			say(w, http.StatusMethodNotAllowed, "only GET and HEAD\n")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func say(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // whoever asked is gone
}

// missing says what keeps the gate from being asked.
func (s *Server) missing() []string {
	var out []string
	if s.grounds() == nil {
		out = append(out, "policies and trust are not loaded")
	}
	if s.standing != nil {
		missing, _ := s.standing()
		for _, m := range missing {
			out = append(out, shown(m))
		}
	}
	if s.certs != nil {
		if p := s.certs.problem(); p != "" {
			out = append(out, p)
		}
	}
	if s.draining.Load() {
		out = append(out, "draining")
	}
	return out
}

// notes are lines about what is wrong though the gate can be asked.
func (s *Server) notes() string {
	if s.standing == nil {
		return ""
	}
	var out strings.Builder
	_, notes := s.standing()
	for _, n := range notes {
		out.WriteString("note: " + shown(n) + "\n")
	}
	return out.String()
}
