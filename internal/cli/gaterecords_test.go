package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/record"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// What the gate let in is what history and impact know, after an outage too.
func TestRecordsReachHistoryAndImpact(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprint("referrers API ", referrers), func(t *testing.T) { recordsReachHistory(t, referrers) })
	}
}

func recordsReachHistory(t *testing.T, referrers bool) {
	var h http.Handler = ociserver.New(ocimem.New(), nil)
	if !referrers {
		h = withoutReferrers(h)
	}
	var down atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	reg := strings.TrimPrefix(srv.URL, "http://") + "/m"
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	var clock atomic.Int64
	at := func() time.Time { return now.Add(time.Duration(clock.Load())) }
	do := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := run(Process{Args: append([]string{"-q"}, args...), Env: []string{"PEDIGREE_PASSWORD="}, Now: at})
		if status != exitOK {
			t.Fatalf("pedigree %s: status %d\n%s%s", strings.Join(args, " "), status, stdout, stderr)
		}
		return stdout
	}
	do("key", "generate", "--out", in("gate"))
	pem, err := os.ReadFile(in("gate.key"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := attest.LoadKey(pem, func() ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	q, err := record.Open(record.Options{
		Dir: in("queue"), Gate: "eu-1", Version: "test", Now: at, Log: slog.New(slog.DiscardHandler),
		Signers: verify.Signers{Keys: []attest.PublicKey{signer.Public()}},
		Signer:  func(ctx context.Context, payload []byte) ([]byte, error) { return attest.Sign(ctx, payload, signer) },
		Open:    func(r attest.Repository) (*oci.Repository, error) { return oci.Open(r, oci.Options{}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	where, err := attest.ParseRepository(reg)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := oci.Open(where, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	let := func(tag string, outcome policy.Outcome) {
		t.Helper()
		d, err := repo.Resolve(t.Context(), attest.Reference{Repository: where, Tag: tag})
		if err != nil {
			t.Fatal(err)
		}
		v := &policy.Verdict{Outcome: outcome, At: at(), Artifact: d}
		v.Policy = policy.PolicyRef{Name: "p", Version: 1, Digest: attest.SHA256([]byte("p"))}
		a := gate.Admission{At: at(), Reference: where.At(d), Environment: "prod", Cluster: "eu-1", Service: "credit/deployment/scoring/image", Rule: "models",
			Answer: gate.Answer{Outcome: outcome, Reference: where.At(d), Policy: v.Policy.Digest, Verdicts: []*policy.Verdict{v}, At: at()}}
		down.Store(true)
		if err := q.Admitted(a); err != nil {
			t.Fatal(err)
		}
		clock.Add(int64(time.Hour))
	}
	for n := range 3 {
		if err := os.WriteFile(in(fmt.Sprint("w", n)), fmt.Append(nil, n), 0o600); err != nil {
			t.Fatal(err)
		}
		do("push", fmt.Sprint(reg, ":v", n), in(fmt.Sprint("w", n)))
	}
	for n, outcome := range []policy.Outcome{policy.Allow, policy.Deny, policy.Allow} {
		down.Store(false)
		let(fmt.Sprint("v", n), outcome)
	}
	down.Store(false)
	let("v0", policy.Allow)

	config := `apiVersion: pedigree-ml.github.io/v1
kind: Gate
metadata: {name: eu-1}
registry: {repositories: ["` + reg + `"]}
listen: {address: 127.0.0.1:0}
policies: [{name: p, policy: p.yaml}]
rules: [{name: all, namespaces: ["*"], environment: prod, artifacts: [{repositories: ["` + reg + `"], policy: p}]}]
cluster: eu-1
records: {queue: queue, signing: {key: gate.key}}
`
	if err := os.WriteFile(in("gate.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.Flush(t.Context()); attest.RefusalCode(err) != attest.CodeRegUnavailable {
		t.Fatalf("the registry is down: %v", err)
	}
	var list waitingRecords
	if err := json.Unmarshal([]byte(do("gate", "records", "--config", in("gate.yaml"), "--output", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Waiting) != 4 || list.Waiting[0].Trouble == nil || list.Waiting[0].Stage != "queued" {
		t.Errorf("%+v", list)
	}
	text := do("gate", "records", "--config", in("gate.yaml"))
	for _, part := range []string{"  4 waiting", "2026-11-24T10:00:00Z  4h0m0s  queued", "place     prod eu-1/credit/deployment/scoring/image", "artifact  " + reg + "@sha256:", "E_REG_UNAVAILABLE"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}

	down.Store(false)
	if err := q.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	text = do("history", "prod", reg, "--key", in("gate.pub"))
	for _, part := range []string{"prod  4 deployments, 1 place", "runs  v0 sha256:", "rollback"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
	text = do("impact", reg+":v0", "--key", in("gate.pub"))
	if !strings.Contains(text, "credit/deployment/scoring/image") {
		t.Errorf("impact does not know where it runs:\n%s", text)
	}
	if text = do("gate", "records", "--config", in("gate.yaml")); !strings.Contains(text, "  0 waiting") {
		t.Error(text)
	}
}
