package judge_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

// A fault answers in a registry's place. It may let the honest one answer.
type fault func(w http.ResponseWriter, r *http.Request, honest http.Handler)

// status answers with a status and nothing else.
func status(code int, header ...string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// body changes the honest answer's body.
func body(change func(b []byte) []byte) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		rec := httptest.NewRecorder()
		honest.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		b := change(bytes.Clone(rec.Body.Bytes()))
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.WriteHeader(rec.Code)
		if r.Method != http.MethodHead {
			w.Write(b)
		}
	}
}

// text answers 200 with a text.
func text(contentType, s string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.Write([]byte(s))
	}
}

// only has a fault at some paths.
func only(path string, f fault) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		if strings.Contains(r.URL.Path, path) {
			f(w, r, honest)
			return
		}
		honest.ServeHTTP(w, r)
	}
}

func dropped(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		c.Close()
	}
}

// breaking sends half of what it promised.
func breaking(w http.ResponseWriter, r *http.Request, honest http.Handler) {
	rec := httptest.NewRecorder()
	honest.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	panic(http.ErrAbortHandler)
}

func endless(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
		time.Sleep(time.Millisecond) // it has the processors of whom it attacks
	}
}

// trickle sends a byte now and then.
func trickle(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	for r.Context().Err() == nil {
		w.Write([]byte(" "))
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}

const emptyIndex = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

// faults are what registries do that are down, slow, or lie.
func faults() map[string]fault {
	all := map[string]fault{
		"500":                  status(500),
		"503, come back later": status(503, "Retry-After", "3600"),
		"429":                  status(429),
		"401":                  status(401, "WWW-Authenticate", `Basic realm="x"`),
		"403":                  status(403),
		"404":                  status(404),
		"204":                  status(204),
		"redirect to metadata": status(307, "Location", "http://169.254.169.254/latest/meta-data"),
		"redirect to itself": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		},
		"a page for people": text("text/html", "<html>maintenance</html>"),
		"nothing":           text("application/json", ""),
		"null":              text(attest.MediaTypeIndex, "null"),
		"an empty index":    text(attest.MediaTypeIndex, emptyIndex),
		"cut short":         body(func(b []byte) []byte { return b[:len(b)/2] }),
		"one bit":           body(flipped),
		"twice":             body(func(b []byte) []byte { return append(b, b...) }),
		"dropped":           dropped,
		"breaks off":        breaking,
		"without end":       endless,
		"a byte at a time":  trickle,
		"silence":           func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() },
	}
	out := map[string]fault{}
	for name, f := range all {
		out[name] = f
		for _, path := range []string{"/manifests/", "/referrers/", "/tags/"} {
			out[name+" at "+path] = only(path, f)
		}
	}
	// Now and then, and each time another one.
	out["now and then"] = func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		if rand.IntN(4) > 0 {
			honest.ServeHTTP(w, r)
			return
		}
		n := rand.IntN(len(all))
		for _, f := range all {
			if n--; n < 0 {
				f(w, r, honest)
				return
			}
		}
	}
	return out
}

func flipped(b []byte) []byte {
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b
}

// GAT-06: whatever a registry does, there is no ALLOW that it would not have given
// without, every answer comes before its deadline, and when it is mended the answers
// are right again.
func TestFaults(t *testing.T) {
	w := newWorld(t, true)
	good, revoked, unproven := w.model("good"), w.model("revoked"), w.push(w.repo, "unproven")
	w.revoke(revoked)
	w.publish(revoked, "24h") // which lists the revocation: what is listed cannot be hidden
	tag := w.ref(w.repo + ":revoked")
	g := w.ground("strict")
	list := faults()
	var mended atomic.Bool
	w.breakBy(func(rw http.ResponseWriter, r *http.Request, honest http.Handler) bool {
		name, _, _ := strings.Cut(r.UserAgent(), ";") // who is asking says what it gets
		f, ok := list[name]
		if !ok || mended.Load() {
			return false
		}
		f(rw, r, honest)
		return true
	})
	wanted := map[attest.Reference]policy.Outcome{good: policy.Allow, revoked: policy.Deny, tag: policy.Deny, unproven: policy.Deny}
	for ref, want := range wanted {
		wantOutcome(t, ask(t, w.engine(judge.Options{}), g, ref, "test"), want)
	}
	// As the gate has it: its own deadline is some time before whoever asked gives up.
	const deadline, patience = 1200 * time.Millisecond, 2500 * time.Millisecond
	turns := make(chan struct{}, 24) // engines at once, on one machine with their registry
	var asked, allowed, late atomic.Int64
	var all sync.WaitGroup
	engines := map[string]*judge.Engine{}
	for name := range list {
		u := judge.NewUpstream(oci.Options{Keychain: authn.NewMultiKeychain(), UserAgent: name + ";"}, 0)
		t.Cleanup(u.CloseIdleConnections)
		e := judge.New(judge.Options{Open: u.Open, Now: w.clock.Now, Limits: gate.Limits{Deadline: deadline}})
		engines[name] = e
		for ref, want := range wanted {
			all.Go(func() {
				turns <- struct{}{}
				defer func() { <-turns }()
				for i := range 2 {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					a := e.Judge(ctx, gate.Question{Reference: ref, Ground: g, Context: "test", Fresh: i == 1})
					if ctx.Err() != nil {
						late.Add(1)
						t.Errorf("GAT-06 %s: %s: the answer comes after its deadline", name, ref)
					}
					cancel()
					asked.Add(1)
					switch {
					case a.Allowed() && want != policy.Allow:
						t.Errorf("GAT-06 %s: %s is allowed, and should be %s", name, ref, want)
					case a.Allowed():
						allowed.Add(1)
					case a.Err != nil && attest.RefusalCode(a.Err) == "":
						t.Errorf("GAT-06 %s: a refusal without a code: %v", name, a.Err)
					}
				}
			})
		}
	}
	all.Wait()
	t.Logf("%d questions under %d faults: %d allowed, %d late", asked.Load(), len(list), allowed.Load(), late.Load())
	mended.Store(true)
	for name, e := range engines {
		wait(t, "no flight goes on that nobody waits for", func() bool { return e.Stats().Flying == 0 })
		e.Forget()
		for ref, want := range wanted {
			a := ask(t, e, g, ref, "test")
			if a.Err != nil || a.Outcome != want {
				t.Errorf("GAT-06 %s, mended: %s is %s (%v), want %s", name, ref, a.Outcome, a.Err, want)
			}
		}
	}
}
