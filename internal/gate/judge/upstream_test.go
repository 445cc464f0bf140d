package judge_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

// A keychain whose password changes.
type keychain struct{ password atomic.Pointer[string] }

func (k *keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "gate", Password: *k.password.Load()}, nil
}

// A repository stays open between questions, and is opened again when its credentials
// are refused: a registry's passwords change, and the gate goes on.
func TestCredentialsChange(t *testing.T) {
	w := newWorld(t, true)
	good := w.model("good")
	var password atomic.Pointer[string]
	set := func(p *atomic.Pointer[string], s string) { p.Store(&s) }
	set(&password, "old")
	w.breakBy(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if _, p, _ := r.BasicAuth(); p == *password.Load() {
			return false
		}
		rw.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	})
	k := &keychain{}
	set(&k.password, "old")
	u := judge.NewUpstream(oci.Options{Keychain: k}, 0)
	t.Cleanup(u.CloseIdleConnections)
	opened := 0
	e := judge.New(judge.Options{Now: w.clock.Now, Open: func(r attest.Repository) (*oci.Repository, error) {
		opened++
		return u.Open(r)
	}})
	e.SetElapsed(w.clock.Elapsed)
	g := w.ground("plain")
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	w.clock.pass(time.Minute)
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	if sent, _ := u.Requests(); opened != 1 || sent == 0 {
		t.Errorf("opened %d times, %d requests", opened, sent)
	}
	set(&password, "new")
	set(&k.password, "new")
	w.clock.pass(time.Minute)
	a := ask(t, e, g, good, "")
	wantRefusal(t, a, attest.CodeRegUnavailable)
	if strings.Contains(a.Err.Error(), "old") || strings.Contains(a.Err.Error(), "new") {
		t.Errorf("a password in %v", a.Err)
	}
	w.clock.pass(time.Second)
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	// A registry that fails on and on does not have it opened on and on.
	w.breakBy(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		rw.WriteHeader(http.StatusForbidden)
		return true
	})
	before := opened
	for range 10 {
		w.clock.pass(time.Second)
		e.Forget()
		ask(t, e, g, good, "")
	}
	if opened != before {
		t.Errorf("opened %d times in ten seconds", opened-before)
	}
}
