package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

func TestVerifyAnswers(t *testing.T) {
	yes := allow(t)
	var next gate.Answer
	f := start(t, func(ctx context.Context, q gate.Question) gate.Answer {
		a := next
		if !a.Policy.IsZero() {
			a.Reference = yes(ctx, q).Reference
		}
		return a
	}, nil)
	whole := yes(t.Context(), gate.Question{})
	with := func(change func(*gate.Answer)) gate.Answer {
		a := whole
		change(&a)
		return a
	}
	for _, tc := range []struct {
		name   string
		answer gate.Answer
		status int
		code   attest.Code // "": the verdict itself
	}{
		{"allow", whole, 200, ""},
		{"deny", with(func(a *gate.Answer) { a.Outcome = policy.Deny }), 403, ""},
		{"undecided", with(func(a *gate.Answer) { a.Outcome = policy.Undecided }), 503, ""},
		{"the zero answer", gate.Answer{}, 500, attest.CodeInternal},
		{"allow without verdicts", with(func(a *gate.Answer) { a.Verdicts = nil }), 500, attest.CodeInternal},
		{"allow of no digest", with(func(a *gate.Answer) { a.Policy, a.Reference = attest.Digest{}, attest.Reference{} }), 500, attest.CodeInternal},
		{"allow without bytes", with(func(a *gate.Answer) { a.JSON = nil }), 500, attest.CodeInternal},
		{"allow with an error", with(func(a *gate.Answer) { a.Err = attest.Refuse(attest.CodeRegUnavailable, "down") }), 503, attest.CodeRegUnavailable},
		{"a foreign error", with(func(a *gate.Answer) { a.Outcome, a.Err = policy.Undecided, errStub }), 500, attest.CodeInternal},
		{"cannot look", gate.Answer{Outcome: policy.Undecided, Err: attest.Refuse(attest.CodeRegUnavailable, "down")}, 503, attest.CodeRegUnavailable},
		{"asked wrongly", gate.Answer{Outcome: policy.Undecided, Err: attest.Refuse(attest.CodeReference, "no tag")}, 400, attest.CodeReference},
		{"overload further down", gate.Answer{Outcome: policy.Undecided, Err: attest.Refuse(attest.CodeOverload, "full")}, 429, attest.CodeOverload},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next = tc.answer
			a := post(t, http.DefaultClient, f.url("/v1/verify"), asking)
			if tc.code != "" {
				refusedBy(t, a, tc.status, tc.code)
			} else if a.status != tc.status || a.body != string(whole.JSON) {
				t.Errorf("got %d %q", a.status, a.body)
			}
			if retries := a.status == 503 || a.status == 429; retries != (a.header.Get("Retry-After") != "") {
				t.Errorf("status %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
			}
			if o := a.header.Get("Pedigree-Outcome"); (o == "ALLOW") != (a.status == 200) {
				t.Errorf("status %d, Pedigree-Outcome %q", a.status, o)
			}
			if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", a.header)
			}
		})
	}
	next = whole
	h := post(t, http.DefaultClient, f.url("/v1/verify"), asking).header
	for k, want := range map[string]string{"Pedigree-Policy": digest, "Pedigree-Artifact": good, "Pedigree-Valid-Until": "2026-12-01T00:00:00Z", "Pedigree-Cached": "true"} {
		if got := h.Values(k); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
}

func TestVerifyQuestions(t *testing.T) {
	var asked []gate.Question
	yes := allow(t)
	judge := func(ctx context.Context, q gate.Question) gate.Answer { asked = append(asked, q); return yes(ctx, q) }
	one := start(t, judge, nil)
	two := start(t, judge, func(o *Options) {
		g := *o.Grounds()
		g.Policies = map[string]*gate.Ground{"a": {Name: "a"}, "b": {Name: "b"}}
		o.Grounds = func() *gate.Grounds { return &g }
	})
	for _, tc := range []struct {
		f      *fixture
		body   string
		status int
		code   attest.Code
	}{
		{one, asking, 200, ""},
		{one, `{"reference": "` + good + `", "policy": "prod", "context": "eu"}`, 200, ""},
		{two, `{"reference": "` + good + `", "policy": "b"}`, 200, ""},
		{two, asking, 400, attest.CodeUsage},
		{one, `{"reference": "` + good + `", "policy": "other"}`, 400, attest.CodeUsage},
		{one, `{"reference": "` + good + `", "Policy": "prod"}`, 400, attest.CodeUsage},
		{one, `{"reference": "` + good + `", "reference": "` + good + `"}`, 400, attest.CodeDupKey},
		{one, `{"reference": "` + good + `", "Reference": "x"}`, 400, attest.CodeDupKey},
		{one, `{"reference": 7}`, 400, attest.CodeUsage},
		{one, `{"reference": "` + good + `", "context": ""}`, 400, attest.CodeUsage},
		{one, `{"reference": ""}`, 400, attest.CodeUsage},
		{one, `{}`, 400, attest.CodeUsage},
		{one, `[]`, 400, attest.CodeUsage},
		{one, asking + `{}`, 400, attest.CodeJSON},
		{one, `{"reference": "` + good, 400, attest.CodeJSON},
		{one, `{"reference": "credit:latest"}`, 400, attest.CodeReference},
		{one, `{"reference": "registry.example/models/credit@sha256:11"}`, 400, attest.CodeDigestFormat},
		{one, `{"reference": "169.254.169.254/models/credit:v1"}`, 400, attest.CodeNoRule},
		{one, `{"reference": "registry.example/other/credit:v1"}`, 400, attest.CodeNoRule},
		{one, `{"reference": "` + strings.Repeat("a", maxQuestion) + `"}`, 413, attest.CodeLimit},
	} {
		t.Run(gate.Clip(tc.body, 60), func(t *testing.T) {
			asked = nil
			a := post(t, http.DefaultClient, tc.f.url("/v1/verify"), tc.body)
			if tc.code == "" {
				if a.status != tc.status || len(asked) != 1 {
					t.Fatalf("got %d %q, asked %d times", a.status, a.body, len(asked))
				}
				return
			}
			refusedBy(t, a, tc.status, tc.code)
			if len(asked) != 0 {
				t.Errorf("the judge was asked %v", asked)
			}
		})
	}
	asked = nil
	post(t, http.DefaultClient, two.url("/v1/verify"), `{"reference": "`+good+`", "policy": "b", "context": "eu"}`)
	if q := asked[0]; q.Ground.Name != "b" || q.Context != "eu" || q.Reference.String() != good || q.Fresh {
		t.Errorf("the judge was asked %+v", q)
	}
}

func TestMethodsAndTypes(t *testing.T) {
	f := start(t, allow(t), nil)
	for _, path := range []string{"/v1/verify", "/admit", "/mutate"} {
		for _, m := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			r, err := http.NewRequest(m, f.url(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			a, err := read(http.DefaultClient.Do(r))
			if err != nil || a.status != 405 || a.header.Get("Allow") != "POST" {
				t.Errorf("%s %s: %d %v", m, path, a.status, err)
			}
		}
		for _, ct := range []string{"", "text/plain", "application/yaml", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/json, text/plain"} {
			r, err := read(http.Post(f.url(path), ct, strings.NewReader(asking)))
			if err != nil || r.status != 415 {
				t.Errorf("%s with %q: %d %v", path, ct, r.status, err)
			}
		}
	}
	if a, err := read(http.Post(f.url("/v1/verify"), "application/json; charset=UTF-8", strings.NewReader(asking))); err != nil || a.status != 200 {
		t.Errorf("JSON with a character set: %d %v", a.status, err)
	}
	for _, path := range []string{"/", "/v1", "/v1/verify/", "/admit/x", "/Admit", "//admit", "/admit/../admit"} {
		r, err := read(http.Post(f.url(path), "application/json", strings.NewReader(asking)))
		if err != nil || r.status != 404 {
			t.Errorf("POST %s: %d %v", path, r.status, err)
		}
	}
}

func TestDeadlines(t *testing.T) {
	for _, tc := range []struct {
		query string
		limit time.Duration
		want  time.Duration // 0: refused
	}{
		{"", 9 * time.Second, 9 * time.Second},
		{"timeout=10s", 9 * time.Second, 9 * time.Second},
		{"timeout=5s", 9 * time.Second, 4500 * time.Millisecond},
		{"timeout=30s", 9 * time.Second, 9 * time.Second},
		{"timeout=1s", 9 * time.Second, 500 * time.Millisecond},
		{"timeout=600ms", 9 * time.Second, 300 * time.Millisecond},
		{"timeout=0s", 9 * time.Second, 0},
		{"timeout=-1s", 9 * time.Second, 0},
		{"timeout=x", 9 * time.Second, 0},
		{"timeout=1s&timeout=9s", 9 * time.Second, 0},
		{"dryRun=1", 9 * time.Second, 0},
		{"Timeout=1s", 9 * time.Second, 0},
	} {
		s := &Server{limits: gate.Limits{Deadline: tc.limit}}
		got, bad := s.budget(tc.query)
		if got != tc.want || (bad != nil) != (tc.want == 0) {
			t.Errorf("%q: got %v, %v, want %v", tc.query, got, bad, tc.want)
		}
	}

	hang := make(chan struct{})
	yes := allow(t)
	f := start(t, func(ctx context.Context, q gate.Question) gate.Answer {
		switch q.Context {
		case "hang": // does not look at ctx, and then says yes
			<-hang
		case "slow": // answers itself when its time is over
			<-ctx.Done()
			return gate.Answer{Outcome: policy.Undecided, Err: attest.Refuse(attest.CodeRegUnavailable, "slow")}
		}
		return yes(ctx, q)
	}, func(o *Options) { o.Config.Limits = gate.Limits{Deadline: 5 * time.Second, Concurrent: 4} })
	ask := func(ctx string) string { return `{"reference": "` + good + `", "context": "` + ctx + `"}` }

	begin := time.Now()
	a := post(t, http.DefaultClient, f.url("/v1/verify?timeout=1s"), ask("hang"))
	refusedBy(t, a, 503, attest.CodeDeadline)
	if took := time.Since(begin); took < 400*time.Millisecond || took > 950*time.Millisecond {
		t.Errorf("the answer came after %v, want 500ms", took)
	}
	refusedBy(t, post(t, http.DefaultClient, f.url("/v1/verify?timeout=1s"), ask("slow")), 503, attest.CodeRegUnavailable)

	res := responseOf(t, post(t, http.DefaultClient, f.url("/admit?timeout=1s"), reviewOf("hang")))
	if res.Allowed || res.UID != "uid-1" || res.Result.Code != 503 || !strings.HasPrefix(res.Result.Message, "E_DEADLINE: ") {
		t.Errorf("got %+v", res)
	}
	if n, _ := f.queue.counts(); n != 2 {
		t.Errorf("%d questions are worked on, 2 hang", n)
	}
	close(hang)
	eventually(t, "late answers are dropped and counted", func() bool {
		return strings.Contains(f.metricsText(t), "pedigree_gate_late_answers_total 2\n")
	})
	if a := post(t, http.DefaultClient, f.url("/v1/verify"), ask("fine")); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
}

// TestDeadlineEndsWithTheClient: a client that goes away takes its question with it.
func TestDeadlineEndsWithTheClient(t *testing.T) {
	ended := make(chan error, 1)
	started := make(chan struct{})
	f := start(t, func(ctx context.Context, _ gate.Question) gate.Answer {
		close(started)
		<-ctx.Done()
		ended <- ctx.Err()
		return gate.Answer{}
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url("/v1/verify"), strings.NewReader(asking))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	go func() { <-started; cancel() }()
	if _, err := http.DefaultClient.Do(r); err == nil {
		t.Fatal("an answer")
	}
	select {
	case err := <-ended:
		if err != context.Canceled {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the judge goes on")
	}
}

func TestPanics(t *testing.T) {
	yes := allow(t)
	f := start(t, func(ctx context.Context, q gate.Question) gate.Answer {
		if q.Context == "panic" {
			panic(fmt.Errorf("CANARY in https://user:canary-7@host/\nsecond line"))
		}
		return yes(ctx, q)
	}, nil)
	a := post(t, http.DefaultClient, f.url("/v1/verify"), `{"reference": "`+good+`", "context": "panic"}`)
	refusedBy(t, a, 500, attest.CodeInternal)
	res := responseOf(t, post(t, http.DefaultClient, f.url("/mutate"), reviewOf("panic")))
	if res.Allowed || res.Result.Code != 500 || res.UID != "uid-1" {
		t.Errorf("got %+v", res)
	}
	if !strings.Contains(f.log.String(), "goroutine ") || strings.Contains(f.log.String(), "canary-7") {
		t.Errorf("the log has no stack, or a secret:\n%s", f.log)
	}
	if m := f.metricsText(t); !strings.Contains(m, "pedigree_gate_panics_total 2\n") {
		t.Error("not counted")
	}
	if a := post(t, http.DefaultClient, f.url("/v1/verify"), asking); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
	if n, _ := f.queue.counts(); n != 0 {
		t.Errorf("%d slots are lost", n)
	}

	// A panic outside of the judge: the decoder's.
	g := start(t, yes, func(o *Options) {
		d := o.Decode
		o.Decode = func(b []byte) (r *reviewT, err error) {
			if strings.Contains(string(b), "boom") {
				panic("boom")
			}
			return d(b)
		}
	})
	refusedBy(t, post(t, http.DefaultClient, g.url("/admit"), reviewOf("boom")), 500, attest.CodeInternal)
	if r := responseOf(t, post(t, http.DefaultClient, g.url("/admit"), reviewOf("fine"))); !r.Allowed {
		t.Errorf("afterwards: %+v", r)
	}
	if g.reading.left != readingBytes(g.limits) {
		t.Error("bytes are lost")
	}
}

func TestReviews(t *testing.T) {
	var out *responseT
	f := start(t, allow(t), func(o *Options) { o.Admitter = admitterFunc(func() *responseT { return out }) })
	for _, tc := range []struct {
		name    string
		path    string
		out     *responseT
		allowed bool
		code    int32
	}{
		{"allowed", "/admit", &responseT{Allowed: true}, true, 0},
		{"another uid is not echoed", "/admit", &responseT{Allowed: true, UID: "x"}, true, 0},
		{"patched", "/mutate", &responseT{Allowed: true, Patch: []byte("[]")}, true, 0},
		{"a patch where there is none", "/admit", &responseT{Allowed: true, Patch: []byte("[]")}, false, 500},
		{"nothing", "/admit", nil, false, 500},
		{"zero", "/admit", &responseT{}, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out = tc.out
			a := post(t, http.DefaultClient, f.url(tc.path), reviewOf("ns"))
			r := responseOf(t, a)
			if a.status != 200 || r.Allowed != tc.allowed || r.UID != "uid-1" || tc.code != 0 && r.Result.Code != tc.code {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	out = &responseT{Allowed: true}
	t.Run("GAT-02 wrong version", func(t *testing.T) {
		a := post(t, http.DefaultClient, f.url("/admit"), strings.Replace(reviewOf("ns"), "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1))
		if r := responseOf(t, a); a.status != 400 || r.Allowed || r.UID != "uid-1" {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("GAT-01 no review", func(t *testing.T) {
		whole := reviewOf("ns")
		for i := range len(whole) - 1 {
			if i == 0 {
				continue
			}
			if a := post(t, http.DefaultClient, f.url("/admit"), whole[:i]); a.status != 400 || strings.Contains(a.body, `"allowed":true`) {
				t.Errorf("cut after %d bytes: %d %s", i, a.status, a.body)
			}
		}
		if r := responseOf(t, post(t, http.DefaultClient, f.url("/admit"), whole)); !r.Allowed {
			t.Error("the whole review is refused")
		}
	})
}

func TestMessagesAreBounded(t *testing.T) {
	f := &failure{503, reasonDeadline, &attest.Refusal{Code: attest.CodeDeadline, About: strings.Repeat("<%s>\x1b[31m\n", 1<<17), Why: strings.Repeat("é", 1<<20), Next: strings.Repeat("n", 1<<20)}}
	r := refusal(f, &requestT{UID: "u"})
	if m := r.Result.Message; len(m) > maxMessage || strings.ContainsAny(m, "\n\x1b") || !strings.HasPrefix(m, "E_DEADLINE: ") {
		t.Errorf("%d bytes: %q", len(m), gate.Clip(m, 80))
	}
	var doc errorDoc2
	if err := json.Unmarshal(f.reply().body, &doc); err != nil || len(f.reply().body) > 4*maxShown+200 {
		t.Errorf("%d bytes, %v", len(f.reply().body), err)
	}
}
