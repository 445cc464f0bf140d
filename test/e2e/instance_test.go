package e2e

import (
	"bufio"
	"context"
	"crypto/elliptic"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

// Two of two authorities must say when. What one of them says twice is said once.
func TestThresholdOfAuthorities(t *testing.T) {
	t.Parallel()
	e := acme.Endpoints()
	again, err := stack.NewProxy(e.Timestamps[0]) // the same authority at another address
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, c := range []struct {
		name       string
		timestamps []string
		want       string
	}{
		{"both", e.Timestamps, ""},
		{"one", e.Timestamps[:1], "E_TIME_MISSING"},
		{"the other", e.Timestamps[1:], "E_TIME_MISSING"},
		{"one, twice", []string{e.Timestamps[0], again.URL}, "E_TIME_MISSING"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.write("policy.yaml", evaluationPolicy(identityCredential(acme, "evaluate")))
			w.write("trust.yaml", strings.Replace(trustFile, "trusted_root.json}", "trusted_root.json, timestamps: 2}", 1))
			of := e
			of.Timestamps = c.timestamps
			w.endpoints(of)
			w.ok("push ocidir://registry:model model")
			w.write("evaluation.json", evaluation(time.Now(), "0.81"))
			w.ok("attest ocidir://registry:model --type evaluation --predicate evaluation.json", w.keyless(workload("evaluate"))...)
			if c.want == "" {
				w.ok(verifyModel)
			} else {
				w.refused(1, c.want, verifyModel)
			}
		})
	}
}

// An instance of other make: an authority with P-384 keys, and another log.
func TestOtherMake(t *testing.T) {
	t.Parallel()
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), Curve: elliptic.P384(), Origin: "log.acme.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := newWorld(t, s)
	w.model("model")
	w.ok(verifyModel)
}

// A person signs in with a browser; here it is one that only follows redirects.
func TestBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acme)
	w.write("policy.yaml", evaluationPolicy("{issuer: \""+acme.People.URL+"\", subject: "+alice+"}"))
	w.ok("push ocidir://registry:model model")
	w.write("evaluation.json", evaluation(time.Now(), "0.81"))
	acme.People.LogIn(alice)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, pedigree, strings.Fields("attest ocidir://registry:model --type evaluation --predicate evaluation.json --oidc --no-browser --signing-config signing_config.json")...)
	c.Dir = w.dir
	c.Env = []string{"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"), "DOCKER_CONFIG=" + w.dir}
	out, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var told []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		told = append(told, lines.Text())
		for _, word := range strings.Fields(lines.Text()) {
			if u, err := url.Parse(word); err == nil && u.Query().Get("code_challenge") != "" {
				r, err := http.Get(word)
				if err != nil {
					t.Fatal(err)
				}
				r.Body.Close()
				if r.StatusCode != http.StatusOK {
					t.Errorf("the browser ends at %s", r.Status)
				}
			}
		}
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(told, "\n"))
	}
	w.ok(verifyModel)
}
