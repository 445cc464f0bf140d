package cli

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/spiffeagent"
	"github.com/pedigree-ml/pedigree/internal/stampserver"
)

// admitted asks the gate about a pod, and asks that it is let in.
func (g *startedGate) admitted(image string) {
	g.t.Helper()
	_, _, body := g.post("/admit", review("team", image))
	var got struct{ Response struct{ Allowed bool } }
	if err := json.Unmarshal(body, &got); err != nil || !got.Response.Allowed {
		g.t.Fatalf("%v: %s\n%s", err, body, g.stderr.String())
	}
}

// told runs a command until its answer has what is wanted.
func (w *gateWorld) told(want string, args ...string) string {
	w.t.Helper()
	var stdout, stderr string
	for range 300 {
		if _, stdout, stderr = run(Process{Args: args, Env: []string{"PEDIGREE_PASSWORD="}, Now: time.Now}); strings.Contains(stdout, want) {
			return stdout
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("pedigree %s does not say %q:\n%s%s", strings.Join(args, " "), want, stdout, stderr)
	return ""
}

func (w *gateWorld) recordConfig(signing string) {
	w.config("  - {name: p, policy: policy.yaml}\n", `cluster: eu-1
state: state
rules:
  - name: r
    namespaces: [team]
    environment: prod
    artifacts: [{repositories: ["`+w.registry+`/**"], policy: p}]
records: {queue: queue, signing: `+signing+`}
`)
}

// What was let in over HTTP is what history says, signed by the gate.
func TestGateRecordsWhatItLetIn(t *testing.T) {
	t.Parallel()
	w := newGateWorld(t)
	w.do(exitOK, "key", "generate", "--out", w.in("gate"))
	w.recordConfig("{key: gate.key}")
	g := w.start()
	g.ready(http.StatusOK, "ready")
	_, h, _ := g.verify(w.ref("good"), "")
	pinned := h.Get("Pedigree-Artifact")
	g.admitted(pinned)
	text := w.told("prod  1 deployment, 1 place", "history", "prod", w.registry+"/acme/models", "--key", w.in("gate.pub"))
	for _, part := range []string{"team/pod/x/spec.containers[c].image", "runs  good sha256:"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
	w.told("  0 waiting", "gate", "records", "--config", w.in("gate.yaml"))
	// What was refused runs nowhere.
	_, bare, _ := g.verify(w.ref("bare"), "")
	if _, _, body := g.post("/admit", review("team", bare.Get("Pedigree-Artifact"))); bytes.Contains(body, []byte(`"allowed":true`)) {
		t.Fatalf("%s", body)
	}
	if status := g.end(); status != exitOK {
		t.Errorf("it ends with %d\n%s", status, g.stderr.String())
	}
	w.told("prod  1 deployment, 1 place", "history", "prod", w.registry+"/acme/models", "--key", w.in("gate.pub"))
}

// A signing service that is away when the gate starts keeps nobody from being answered,
// and loses no record.
func TestGateSignerIsAway(t *testing.T) {
	t.Parallel()
	w := newGateWorld(t)
	now := time.Now().UTC().Truncate(time.Second)
	d, err := authority.NewDomain("prod.acme.example", now.AddDate(0, -1, 0))
	if err != nil {
		t.Fatal(err)
	}
	svid, err := spiffeagent.Issue(d, "gate", nil, now.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	tsa, err := authority.NewTSA("https://tsa.example", now.AddDate(0, -1, 0))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(stampserver.New(tsa))
	t.Cleanup(server.Close)
	var chain bytes.Buffer
	for _, c := range append([]*authority.Cert{tsa.Signer}, tsa.Above...) {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	bundle, err := d.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	from := now.AddDate(0, -1, 0).Format(time.RFC3339)
	w.write("tsa.pem", chain.String())
	w.write("domain.json", string(bundle))
	w.write("trust.yaml", fmt.Sprintf(`apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: acme, version: 1, expires: 2099-01-01T00:00:00Z}
timestampAuthorities: [{name: tsa, chain: tsa.pem, from: %s}]
timestamps: 1
spiffe: [{domain: prod.acme.example, bundle: domain.json, from: %s}]
`, from, from))
	socket, err := os.MkdirTemp("", "s") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(socket) })
	signing := fmt.Sprintf("{spiffe: %q, timestamp: %q, trust: trust.yaml}", "unix://"+socket+"/agent.sock", server.URL)

	// Nobody who could be recognised later: that does not mend itself.
	w.recordConfig(strings.Replace(signing, ", trust: trust.yaml", "", 1))
	// (It is found out when who signs is known, so an agent is there.)
	agent, err := spiffeagent.Start(socket)
	if err != nil {
		t.Fatal(err)
	}
	agent.Give(svid)
	if status, _, stderr := endsByItself(Process{Args: []string{"gate", "--config", w.in("gate.yaml")}}); status != exitUsage || !strings.Contains(stderr, "trust file") {
		t.Errorf("without a trust: %d\n%s", status, stderr)
	}
	agent.Stop()

	w.recordConfig(signing)
	g := w.start()
	g.ready(http.StatusOK, "ready")
	_, h, _ := g.verify(w.ref("good"), "")
	g.admitted(h.Get("Pedigree-Artifact"))
	w.told("  1 waiting", "gate", "records", "--config", w.in("gate.yaml"))
	if !strings.Contains(g.stderr.String(), "nobody signs records yet") || !strings.Contains(g.stderr.String(), "E_SIGN_SERVICE") {
		t.Errorf("the log does not say that nobody signs:\n%s", g.stderr.String())
	}
	if agent, err = spiffeagent.Start(socket); err != nil {
		t.Fatal(errors.Join(err, os.ErrExist))
	}
	t.Cleanup(agent.Stop)
	agent.Give(svid)
	text := w.told("prod  1 deployment, 1 place", "history", "prod", w.registry+"/acme/models", "--trust", w.in("trust.yaml"))
	if !strings.Contains(text, "spiffe://prod.acme.example/gate") {
		t.Errorf("who recorded it is not in:\n%s", text)
	}
	w.told("  0 waiting", "gate", "records", "--config", w.in("gate.yaml"))
}
