package admit

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

var (
	goodDigest = attest.SHA256([]byte("good"))
	evilDigest = attest.SHA256([]byte("evil"))
	policyID   = attest.SHA256([]byte("policy"))
	start      = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
)

const repo = "registry.test/models/credit"

func good() string { return repo + "@" + goodDigest.String() }
func evil() string { return repo + "@" + evilDigest.String() }

// fakeJudge knows what is good by digest, and tags.
type fakeJudge struct {
	mu    sync.Mutex
	tags  map[string]attest.Digest
	asked []string
	do    func(ctx context.Context, q gate.Question) (gate.Answer, bool)
}

func (f *fakeJudge) Judge(ctx context.Context, q gate.Question) gate.Answer {
	f.mu.Lock()
	f.asked = append(f.asked, q.Reference.String())
	d := q.Reference.Digest
	if d.IsZero() {
		d = f.tags[q.Reference.Tag]
	}
	do := f.do
	f.mu.Unlock()
	if do != nil {
		if a, ok := do(ctx, q); ok {
			return a
		}
	}
	if d.IsZero() {
		return gate.Answer{Outcome: policy.Undecided, Err: &attest.Refusal{Code: attest.CodeNotFound, About: q.Reference.String(), Why: "no such tag"}}
	}
	pinned := q.Reference
	pinned.Digest = d
	a := gate.Answer{Outcome: policy.Allow, Reference: pinned, Policy: policyID, Verdicts: []*policy.Verdict{{Outcome: policy.Allow, Artifact: d}}}
	if d != goodDigest {
		a.Outcome = policy.Deny
		a.Verdicts = []*policy.Verdict{{Outcome: policy.Deny, Artifact: d, Requirements: []policy.Requirement{
			{Step: "train", Status: policy.Pass},
			{Step: "approve", Status: policy.Fail, Reasons: []policy.Reason{
				{Code: attest.CodeChainMissing, Why: "follows", Because: &policy.Because{Step: "x"}},
				{Code: attest.CodeRevoked, Why: "withdrawn by acme", Next: "deploy another version"},
				{Code: attest.CodeQuorum, Why: "1 of 2"},
			}},
		}}}
	}
	return a
}

func (f *fakeJudge) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// recorder keeps what was admitted.
type recorder struct {
	got  []gate.Admission
	fail error
}

func (r *recorder) Admitted(a gate.Admission) error {
	if r.fail != nil {
		return r.fail
	}
	r.got = append(r.got, a)
	return nil
}

// world is an Admitter with everything around it.
type world struct {
	t         *testing.T
	config    *gate.Config
	grounds   *gate.Grounds
	judge     *fakeJudge
	recorder  *recorder
	decisions []Decision
	*Admitter
}

// rule governs team-*; the test changes it before the first review.
func (w *world) rule() *gate.Rule { return &w.config.Rules[0] }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, judge: &fakeJudge{tags: map[string]attest.Digest{"v1": goodDigest, "bad": evilDigest}}, recorder: &recorder{}}
	w.config = &gate.Config{
		Name: "gate-1", Cluster: "east", Limits: gate.Limits{References: 8},
		Registry: gate.Registry{Repositories: []string{"registry.test/models/*"}},
		Rules: []gate.Rule{
			{Name: "teams", Namespaces: []string{"team-*"}, Environment: "prod", Artifacts: []gate.ArtifactLine{
				{Repositories: []string{"registry.test/models/*"}, Policy: "credit", Context: "prod"},
				{Repositories: []string{"registry.test/runtimes/**"}, Accept: true, Reason: "runtimes are scanned elsewhere"},
				{Repositories: []string{"unlisted.test/**"}, Policy: "credit"},
				{URIs: []string{"s3://acme-models/"}, Accept: true, Reason: "until they have moved"},
			}},
			{Name: "cluster", Namespaces: []string{gate.ClusterScope}, Artifacts: []gate.ArtifactLine{{Repositories: []string{"registry.test/models/*"}, Policy: "credit"}}},
		},
		Records: &gate.Records{},
	}
	w.grounds = &gate.Grounds{Config: w.config, Policies: map[string]*gate.Ground{"credit": {Name: "credit"}}}
	w.Admitter = New(Options{
		Judge: w.judge, Recorder: w.recorder, Observe: func(d Decision) { w.decisions = append(w.decisions, d) },
		Now: func() time.Time { return start }, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	return w
}

// request is a request as the test says it, before it is written as JSON.
type request map[string]any

// create is the request to create obj.
func create(obj map[string]any) request {
	version, _ := obj["apiVersion"].(string)
	kind, _ := obj["kind"].(string)
	group, v, ok := strings.Cut(version, "/")
	if !ok {
		group, v = "", version
	}
	meta, _ := obj["metadata"].(map[string]any)
	r := request{
		"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "object": obj,
		"kind":     map[string]any{"group": group, "version": v, "kind": kind},
		"resource": map[string]any{"group": group, "version": v, "resource": strings.ToLower(kind) + "s"},
		"userInfo": map[string]any{"username": "alice", "groups": []any{"system:authenticated", "devs"}},
	}
	if ns, ok := meta["namespace"].(string); ok {
		r["namespace"] = ns
	}
	if name, ok := meta["name"].(string); ok {
		r["name"] = name
	}
	return r
}

// update is the request to make of old obj.
func update(old, obj map[string]any) request {
	r := create(obj)
	r["operation"], r["oldObject"] = "UPDATE", old
	return r
}

func (r request) with(key string, v any) request {
	out := request{}
	for k, x := range r {
		out[k] = x
	}
	if out[key] = v; v == nil {
		delete(out, key)
	}
	return out
}

// body is the review as the API server would send it.
func (r request) body(t *testing.T) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": r})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// review sends r to the validating hook, through Decode.
func (w *world) review(r request) *admissionv1.AdmissionResponse { return w.send(r, false) }

// mutate sends r to the mutating hook.
func (w *world) mutate(r request) *admissionv1.AdmissionResponse { return w.send(r, true) }

func (w *world) send(r request, mutate bool) *admissionv1.AdmissionResponse {
	w.t.Helper()
	review, err := Decode(r.body(w.t))
	if err != nil {
		w.t.Fatalf("Decode: %v", err)
	}
	before := len(w.decisions)
	got := w.Review(context.Background(), w.grounds, review.Request, mutate)
	if len(w.decisions) != before+1 {
		w.t.Fatalf("%d decisions were told for one answer", len(w.decisions)-before)
	}
	if d := w.last(); d.Allowed != got.Allowed {
		w.t.Fatalf("the decision says %v, the answer %v", d.Allowed, got.Allowed)
	}
	if got.UID != review.Request.UID {
		w.t.Fatalf("uid %q, want %q", got.UID, review.Request.UID)
	}
	return got
}

func (w *world) last() Decision { return w.decisions[len(w.decisions)-1] }

func (w *world) allowed(r request) *admissionv1.AdmissionResponse {
	w.t.Helper()
	got := w.review(r)
	if !got.Allowed {
		w.t.Fatalf("refused: %s", got.Result.Message)
	}
	return got
}

// refused wants r refused with the code, and the HTTP status for it.
func (w *world) refused(r request, code attest.Code, status int32) *admissionv1.AdmissionResponse {
	w.t.Helper()
	got := w.review(r)
	if got.Allowed {
		w.t.Fatalf("let in, want %s", code)
	}
	if w.last().Code != code || !strings.HasPrefix(got.Result.Message, string(code)+" ") && !strings.HasPrefix(got.Result.Message, string(code)+":") {
		w.t.Fatalf("refused with %s and %q, want %s", w.last().Code, got.Result.Message, code)
	}
	if got.Result.Code != status {
		w.t.Fatalf("status %d, want %d", got.Result.Code, status)
	}
	return got
}

type obj = map[string]any

// pod is a pod in team-a with containers by NAME=IMAGE; init:NAME=IMAGE is one of the
// init containers, and ephemeral:NAME=IMAGE an ephemeral one.
func pod(containers ...string) obj {
	spec := obj{}
	for _, c := range containers {
		name, image, _ := strings.Cut(c, "=")
		list := "containers"
		if n, ok := strings.CutPrefix(name, "init:"); ok {
			name, list = n, "initContainers"
		}
		if n, ok := strings.CutPrefix(name, "ephemeral:"); ok {
			name, list = n, "ephemeralContainers"
		}
		all, _ := spec[list].([]any)
		spec[list] = append(all, obj{"name": name, "image": image})
	}
	return obj{"apiVersion": "v1", "kind": "Pod", "metadata": obj{"name": "web", "namespace": "team-a", "uid": "u-1"}, "spec": spec}
}

func deployment(containers ...string) obj {
	return obj{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": obj{"name": "web", "namespace": "team-a", "uid": "u-2"},
		"spec": obj{"template": obj{"spec": pod(containers...)["spec"]}}}
}

// set returns a deep copy of o in which the value at a path of keys is v, or is missing
// if v is nil.
func set(t *testing.T, o obj, v any, path ...string) obj {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var out obj
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	at := out
	for _, k := range path[:len(path)-1] {
		next, ok := at[k].(map[string]any)
		if !ok {
			next = obj{}
			at[k] = next
		}
		at = next
	}
	if at[path[len(path)-1]] = v; v == nil {
		delete(at, path[len(path)-1])
	}
	return out
}
