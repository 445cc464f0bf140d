package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

// proxied has the world's clients ask through proxies, and returns them by name.
func (w *world) proxied() map[string]*stack.Proxy {
	w.Helper()
	e := w.stack.Endpoints()
	out := map[string]*stack.Proxy{}
	for name, url := range map[string]*string{"fulcio": &e.Fulcio, "rekor": &e.Rekor, "timestamps": &e.Timestamps[0]} {
		p, err := stack.NewProxy(*url)
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(p.Close)
		out[name], *url = p, p.URL
	}
	w.endpoints(e)
	return out
}

// patience is how long signing may try before it gives up: a build that hangs for
// longer than this is a build that somebody cancels by hand.
const patience = 90 * time.Second

// Every service fails in every way: the signing ends soon with the documented status,
// says which service it was, and nothing is attached. Then it is well again, and the
// same command works.
func TestServicesFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	proxies := w.proxied()
	w.ok("push ocidir://registry:model model")
	w.write("evaluation.json", evaluation(time.Now(), "0.81"))
	attest := func() []string {
		return append(strings.Fields("attest ocidir://registry:model --type evaluation --predicate evaluation.json"), w.keyless(workload("evaluate"))...)
	}
	for name, p := range proxies {
		for _, f := range []stack.Fault{stack.Hangup, stack.Error, stack.Half, stack.Garbage} {
			p.Set(f)
			before := p.Asked()
			s := w.run(attest()...)
			if s.status != 3 || !strings.Contains(s.err, "E_SIGN_SERVICE") {
				t.Errorf("%s, fault %d: %v", name, f, s)
			}
			if strings.Contains(s.err, "E_INTERNAL") || strings.Contains(s.err, "panic") {
				t.Errorf("%s, fault %d is a bug of ours: %v", name, f, s)
			}
			if !strings.Contains(s.err, strings.TrimPrefix(p.URL, "http://")) {
				t.Errorf("%s, fault %d: the message does not name the service %s: %v", name, f, p.URL, s)
			}
			if p.Asked() == before {
				t.Errorf("%s, fault %d: it was not asked", name, f)
			}
			if s.took > patience {
				t.Errorf("%s, fault %d took %v", name, f, s.took)
			}
			if n := w.attached("ocidir://registry:model"); n != 0 {
				t.Errorf("%s, fault %d: %d attached", name, f, n)
			}
		}
		p.Set(stack.Slow)
		w.ok(strings.Join(attest(), " "))
		w.Logf("%s slow: signed all the same", name)
		p.Set(stack.None)
		w.fresh()
	}
}

// fresh empties the registry of what is attached to the model.
func (w *world) fresh() {
	w.Helper()
	w.remove("registry")
	w.ok("push ocidir://registry:model model")
}

// A service that takes the connection and never answers does not hold a build for ever.
func TestServicesHang(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for time limits")
	}
	// All wait at once, and not only as many as there are processors: they do nothing.
	var all sync.WaitGroup
	for _, name := range []string{"fulcio", "rekor", "timestamps"} {
		w := newWorld(t, acme)
		w.ok("push ocidir://registry:model model")
		w.write("evaluation.json", evaluation(time.Now(), "0.81"))
		w.proxied()[name].Set(stack.Hang)
		flags := w.keyless(workload("evaluate"))
		all.Go(func() {
			s := w.refused(3, "E_SIGN_SERVICE", "attest ocidir://registry:model --type evaluation --predicate evaluation.json", flags...)
			if s.took > patience {
				t.Errorf("%s: gave up after %v", name, s.took)
			}
			t.Logf("%s: gave up after %v", name, s.took.Round(time.Second))
			if n := w.attached("ocidir://registry:model"); n != 0 {
				t.Errorf("%s: %d attached", name, n)
			}
		})
	}
	all.Wait()
}

// A step whose command ran and whose signature cannot be made is not recorded: its
// outputs may be in the registry, and nothing says anything about them.
func TestRunWithoutLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	p := w.proxied()["rekor"]
	p.Set(stack.Hangup)
	w.refused(125, "E_SIGN_SERVICE", "", append(w.train("model", workload("train")), trainer("model", "weights")...)...)
	p.Set(stack.None)
	w.ok("push ocidir://registry:model out/model")
	if n := w.attached("ocidir://registry:model"); n != 0 {
		t.Errorf("%d attached", n)
	}
}

// Tokens that are no good. Each stands beside the good one, which works.
func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	w.ok("push ocidir://registry:model model")
	w.write("evaluation.json", evaluation(time.Now(), "0.81"))
	other, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	sign := func(token string) []string {
		w.write("token.jwt", token)
		return []string{"--identity-token", "token.jwt", "--signing-config", "signing_config.json"}
	}
	mint := func(i *stack.Issuer, claims map[string]any, change map[string]any) string {
		for k, v := range change {
			claims[k] = v
		}
		token, err := i.Token(claims)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	const line = "attest ocidir://registry:model --type evaluation --predicate evaluation.json"
	good := mint(acme.Workloads, workload("evaluate").Claims(), nil)
	// What the token itself says is read before anybody is asked; the rest only the
	// authority can know. Either way it is the token that is no good.
	for _, c := range []struct{ name, token string }{
		{"another audience", mint(acme.Workloads, workload("evaluate").Claims(), map[string]any{"aud": "somebody-else"})},
		{"expired", mint(acme.Workloads, workload("evaluate").Claims(), map[string]any{"exp": time.Now().Add(-time.Hour).Unix(), "iat": time.Now().Add(-2 * time.Hour).Unix(), "nbf": time.Now().Add(-2 * time.Hour).Unix()})},
		{"not yet valid", mint(acme.Workloads, workload("evaluate").Claims(), map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})},
		{"an issuer that the authority does not know", mint(other.Workloads, workload("evaluate").Claims(), nil)},
		{"signed by another issuer", mint(other.Workloads, workload("evaluate").Claims(), map[string]any{"iss": acme.Workloads.URL})},
		{"an address that nobody verified", mint(acme.People, stack.Person(alice), map[string]any{"email_verified": false})},
		{"an altered signature", good[:len(good)-8] + "AAAAAAAA"},
		{"another payload under the same signature", swapPayload(good, mint(acme.Workloads, workload("train").Claims(), nil))},
		{"no token at all", "not a token"},
		{"nothing", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{T: t, dir: w.dir, stack: acme}
			s := w.run(append(strings.Fields(line), sign(c.token)...)...)
			if s.status == 0 || s.status == 4 || !strings.Contains(s.err, "E_TOKEN") {
				t.Errorf("%v", s)
			}
			if c.token != "" && len(c.token) > 20 && strings.Contains(s.out+s.err, c.token[len(c.token)-40:]) {
				t.Errorf("the token is in the output: %v", s)
			}
			if n := w.attached("ocidir://registry:model"); n != 0 {
				t.Errorf("%d attached", n)
			}
		})
	}
	w.ok(line, sign(good)...)
	if n := w.attached("ocidir://registry:model"); n != 1 {
		t.Errorf("%d attached with a good token", n)
	}
}

// swapPayload returns the first token with the claims of the second.
func swapPayload(a, b string) string {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	x[1] = y[1]
	return strings.Join(x, ".")
}
