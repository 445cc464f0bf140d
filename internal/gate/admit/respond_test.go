package admit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

func TestGAT21Message(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, p := range map[string]obj{
		"1 MB image":        pod("m=" + long),
		"1 MB name":         set(t, pod("m=other.test/x:1"), long, "metadata", "name"),
		"1 MB container":    pod(long + "=other.test/x:1"),
		"HTML":              pod("m=<script>alert('x')</script>&amp;"),
		"format verbs":      pod("m=%s%n%!d(MISSING)%1000000000d"),
		"line breaks, ANSI": pod("m=a\n\x1b[31mALLOW\u202e\r\nE_FAKE: \x00"),
		"other letters":     pod("m=" + strings.Repeat("模型", 5000)),
	} {
		t.Run("GAT-21 "+name, func(t *testing.T) {
			w := newWorld(t)
			m := w.refused(create(p), attest.CodeUnrecognised, http.StatusForbidden).Result.Message
			if len(m) > 1024 || !utf8.ValidString(m) || strings.ContainsAny(m, "<>&\n\r\x1b\x00\u202e") || strings.Contains(m, "BADVERB") {
				t.Errorf("%d bytes: %q", len(m), m)
			}
			b, err := json.Marshal(w.last())
			if err != nil || len(b) > 4096 {
				t.Errorf("a decision of %d bytes, %v", len(b), err)
			}
		})
	}
	t.Run("GAT-21 many", func(t *testing.T) {
		w := newWorld(t)
		var all []string
		for i := range 60 {
			all = append(all, fmt.Sprintf("c%d=other.test/%s:%d", i, strings.Repeat("x", 200), i))
		}
		m := w.refused(create(pod(all...)), attest.CodeUnrecognised, http.StatusForbidden).Result.Message
		if len(m) > 1024 || !strings.Contains(m, " more") {
			t.Errorf("%d bytes: %q", len(m), m)
		}
		w.rule().Mode = gate.Warn
		got := w.allowed(create(pod(all...)))
		total := 0
		for _, x := range got.Warnings {
			total += len(x)
			if len(x) > 256 || strings.ContainsAny(x, "\n\r") {
				t.Errorf("warning of %d bytes: %q", len(x), x)
			}
		}
		if total > 4096 || !strings.Contains(got.Warnings[len(got.Warnings)-1], "46 more") {
			t.Errorf("%d bytes of warnings, the last %q", total, got.Warnings[len(got.Warnings)-1])
		}
	})
	t.Run("credentials", func(t *testing.T) {
		w := newWorld(t)
		p := pod("m=https://alice:canary1@registry.test/x", "n=az://models/x?sig=canary2")
		m := w.refused(create(p), attest.CodeUnrecognised, http.StatusForbidden).Result.Message
		b, _ := json.Marshal(w.last())
		if strings.Contains(m+string(b), "canary") || !strings.Contains(m, "registry.test/x") {
			t.Errorf("%s\n%s", m, b)
		}
	})
	t.Run("what was said upstream stays there", func(t *testing.T) {
		w := newWorld(t)
		w.judge.do = func(context.Context, gate.Question) (gate.Answer, bool) {
			cause := &attest.Refusal{Code: attest.CodeRegUnavailable, Why: "status 500", Err: errors.New("Authorization: Bearer canary")}
			return gate.Answer{Outcome: policy.Undecided, Err: &attest.Refusal{Code: attest.CodeRegUnavailable, Err: cause}}, true
		}
		m := w.refused(create(pod("m="+good())), attest.CodeRegUnavailable, http.StatusServiceUnavailable).Result.Message
		b, _ := json.Marshal(w.last())
		if strings.Contains(m+string(b), "canary") || !strings.Contains(m, "status 500") {
			t.Errorf("%s\n%s", m, b)
		}
	})
	t.Run("one line a reference, the final ones first", func(t *testing.T) {
		w := newWorld(t)
		m := w.refused(create(pod("a="+repo+":none", "b="+evil(), "c="+good())), attest.CodeRevoked, http.StatusForbidden).Result.Message
		lines := strings.Split(m, "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "E_REVOKED "+evil()+" (spec.containers[b].image): approve: withdrawn by acme (and 1 more); deploy another version") || !strings.HasPrefix(lines[1], "E_NOT_FOUND "+repo+":none ") {
			t.Errorf("%s", m)
		}
	})
}

// broken judges: none of them gets anything in.
func TestJudgesThatFail(t *testing.T) {
	pinned := func(q gate.Question, d attest.Digest) attest.Reference { return q.Reference.Repository.At(d) }
	allow := []*policy.Verdict{{Outcome: policy.Allow}}
	for name, c := range map[string]struct {
		answer func(q gate.Question) gate.Answer
		code   attest.Code
		status int32
	}{
		"zero":  {func(gate.Question) gate.Answer { return gate.Answer{} }, attest.CodeInternal, 403},
		"panic": {func(gate.Question) gate.Answer { panic("boom\n") }, attest.CodeInternal, 503},
		"allow and an error": {func(q gate.Question) gate.Answer {
			return gate.Answer{Outcome: policy.Allow, Reference: pinned(q, goodDigest), Verdicts: allow, Err: errors.New("half")}
		}, attest.CodeInternal, 503},
		"allow, no verdict": {func(q gate.Question) gate.Answer {
			return gate.Answer{Outcome: policy.Allow, Reference: pinned(q, goodDigest)}
		}, attest.CodeInternal, 503},
		"allow, no digest": {func(q gate.Question) gate.Answer { return gate.Answer{Outcome: policy.Allow, Verdicts: allow} }, attest.CodeInternal, 503},
		"another digest": {func(q gate.Question) gate.Answer {
			return gate.Answer{Outcome: policy.Allow, Reference: pinned(q, evilDigest), Verdicts: allow}
		}, attest.CodeInternal, 503},
		"another repository": {func(q gate.Question) gate.Answer {
			r, _ := attest.ParseReference("registry.test/models/other@" + goodDigest.String())
			return gate.Answer{Outcome: policy.Allow, Reference: r, Verdicts: allow}
		}, attest.CodeInternal, 503},
		"unavailable": {func(q gate.Question) gate.Answer {
			return gate.Answer{Outcome: policy.Undecided, Err: &attest.Refusal{Code: attest.CodeRegUnavailable, Why: "registry down"}}
		}, attest.CodeRegUnavailable, 503},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.allowed(create(pod("m=" + good())))
			w.judge.do = func(_ context.Context, q gate.Question) (gate.Answer, bool) { return c.answer(q), true }
			w.refused(create(pod("m="+good())), c.code, c.status)
			w.rule().Pin = true
			if got := w.mutate(create(pod("m=" + repo + ":v1"))); name != "another digest" && got.Patch != nil {
				t.Errorf("pinned on such an answer: %s", got.Patch)
			}
			w.rule().Mode = gate.Warn
			if got := w.allowed(create(pod("m=" + good()))); len(got.Warnings) != 1 {
				t.Errorf("warnings %q", got.Warnings)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	w.judge.do = func(ctx context.Context, q gate.Question) (gate.Answer, bool) {
		if q.Reference.Digest == evilDigest {
			select {} // a judge that breaks its word
		}
		return gate.Answer{}, false
	}
	review, err := Decode(create(pod("m="+evil(), "n="+good())).body(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	got := w.Review(ctx, w.grounds, review.Request, false)
	if got.Allowed || got.Result.Code != http.StatusServiceUnavailable || !strings.Contains(got.Result.Message, "no answer in time") || strings.Count(got.Result.Message, "\n") != 0 {
		t.Errorf("%+v", got)
	}
}

func TestOneObjectAsksAFewAtOnce(t *testing.T) {
	w := newWorld(t)
	w.config.Limits.References = 64
	running, most := make(chan int, 1), 0
	running <- 0
	w.judge.do = func(context.Context, gate.Question) (gate.Answer, bool) {
		n := <-running + 1
		most = max(most, n)
		running <- n
		time.Sleep(2 * time.Millisecond)
		running <- <-running - 1
		return gate.Answer{}, false
	}
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprintf("c%d=%s@%s", i, repo, attest.SHA256([]byte{byte(i)})))
	}
	w.review(create(pod(all...)))
	if n := <-running; w.judge.questions() != 40 || most > askAtOnce || most < 2 || n != 0 {
		t.Errorf("%d questions, %d at once", w.judge.questions(), most)
	}
}

func TestRecords(t *testing.T) {
	t.Run("what runs", func(t *testing.T) {
		w := newWorld(t)
		p := pod("m="+good(), "n=registry.test/runtimes/vllm:1")
		w.allowed(create(p))
		if len(w.recorder.got) != 1 {
			t.Fatalf("%d records", len(w.recorder.got))
		}
		a := w.recorder.got[0]
		if a.Reference.String() != good() || a.Environment != "prod" || a.Cluster != "east" || a.Service != "team-a/pod/web/spec.containers[m].image" || !a.Answer.Allowed() || !a.At.Equal(start) || a.Observer == "" || a.Rule != "teams" || a.Mode != gate.Enforce {
			t.Errorf("%+v", a)
		}
		w.allowed(update(p, set(t, p, "x", "metadata", "labels", "a")))
		w.allowed(update(p, set(t, pod("m="+good(), "o="+good()), nil, "metadata", "labels")))
		if len(w.recorder.got) != 2 || w.recorder.got[1].Service != "team-a/pod/web/spec.containers[o].image" {
			t.Errorf("after updates: %+v", w.recorder.got)
		}
	})
	t.Run("owner", func(t *testing.T) {
		w := newWorld(t)
		p := set(t, pod("m="+good()), nil, "metadata", "name")
		p = set(t, p, "web-6d4f8b9c-", "metadata", "generateName")
		p = set(t, p, "6d4f8b9c", "metadata", "labels", "pod-template-hash")
		p = set(t, p, []any{obj{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4f8b9c", "uid": "r", "controller": true}}, "metadata", "ownerReferences")
		w.allowed(create(p))
		if len(w.recorder.got) != 1 || w.recorder.got[0].Service != "team-a/deployment/web/spec.containers[m].image" {
			t.Errorf("%+v", w.recorder.got)
		}
	})
	none := map[string]func(w *world) request{
		"GAT-25 dry run": func(*world) request { return create(pod("m="+good())).with("dryRun", true) },
		"template":       func(*world) request { return create(deployment("m=" + good())) },
		"no environment": func(w *world) request { w.rule().Environment = ""; return create(pod("m=" + good())) },
		"no records":     func(w *world) request { w.config.Records = nil; return create(pod("m=" + good())) },
		"exempt": func(w *world) request {
			w.config.Exempt = []gate.Exemption{{Users: []string{"alice"}, Reason: "r"}}
			return create(pod("m=" + good()))
		},
	}
	for name, f := range none {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.allowed(f(w))
			if len(w.recorder.got) != 0 {
				t.Errorf("recorded %+v", w.recorder.got)
			}
		})
	}
	t.Run("GAT-25 same verdict", func(t *testing.T) {
		w := newWorld(t)
		w.refused(create(pod("m="+evil())).with("dryRun", true), attest.CodeRevoked, http.StatusForbidden)
		if !w.last().DryRun {
			t.Error("the decision does not say that it is a dry run")
		}
	})
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t)
		w.refused(create(pod("m="+good(), "n="+evil())), attest.CodeRevoked, http.StatusForbidden)
		if len(w.recorder.got) != 0 {
			t.Errorf("recorded %+v", w.recorder.got)
		}
	})
	t.Run("mutate", func(t *testing.T) {
		w := pinning(t)
		w.mutate(create(pod("m=" + repo + ":v1")))
		if len(w.recorder.got) != 0 {
			t.Errorf("recorded %+v", w.recorder.got)
		}
	})
	t.Run("let in against the verdict", func(t *testing.T) {
		w := newWorld(t)
		w.rule().Mode = gate.Audit
		w.allowed(create(pod("m=" + evil())))
		if len(w.recorder.got) != 1 || w.recorder.got[0].Answer.Allowed() {
			t.Errorf("%+v", w.recorder.got)
		}
	})
	t.Run("full", func(t *testing.T) {
		w := newWorld(t)
		w.recorder.fail = &attest.Refusal{Code: attest.CodeLimit, Why: "the queue is full"}
		got := w.refused(create(pod("m="+good())), attest.CodeLimit, http.StatusServiceUnavailable)
		if !strings.Contains(got.Result.Message, "the queue is full") {
			t.Errorf("%s", got.Result.Message)
		}
		w.config.Records.Full = "refuse"
		w.refused(create(pod("m="+good())), attest.CodeLimit, http.StatusServiceUnavailable)
		w.config.Records.Full = "drop"
		w.allowed(create(pod("m=" + good())))
		w.config.Records.Full = ""
		w.rule().Mode = gate.Audit // refuses nothing
		w.allowed(create(pod("m=" + good())))
		if w.last().Code != attest.CodeLimit {
			t.Errorf("nothing says that it was not recorded: %+v", w.last())
		}
	})
}

func TestDecision(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t)
	w.Admitter = New(Options{Judge: w.judge, Now: func() time.Time { return start }, Log: slog.New(slog.NewJSONHandler(&out, nil))})
	review, err := Decode(create(pod("m="+good(), "n="+evil())).with("subResource", "resize").body(t))
	if err != nil {
		t.Fatal(err)
	}
	w.Review(context.Background(), w.grounds, review.Request, false)
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Fatalf("%d lines:\n%s", n, out.String())
	}
	var line struct {
		Level, Hook, Operation, Namespace, Kind, Name, Subresource, User, Rule, Mode, Outcome, Code string
		Allowed                                                                                     bool
		References                                                                                  []Reference
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "WARN" || line.Hook != "validate" || line.Operation != "CREATE" || line.Namespace != "team-a" || line.Kind != "/Pod" || line.Name != "web" || line.Subresource != "resize" ||
		line.User != "alice" || line.Rule != "teams" || line.Mode != "enforce" || line.Outcome != "DENY" || line.Code != "E_REVOKED" || line.Allowed || len(line.References) != 2 {
		t.Errorf("%s", out.String())
	}
	if r := line.References[0]; r.Artifact != good() || r.Policy != policyID.String() || r.Outcome != "ALLOW" || r.Standing != "allowed" {
		t.Errorf("%+v", r)
	}
}

func TestCounters(t *testing.T) {
	w := newWorld(t)
	r := prometheus.NewRegistry()
	r.MustRegister(w.Collectors()...)
	for i := range 50 { // names that a tenant makes up make no new series
		p := set(t, pod(fmt.Sprintf("m%d=", i)+evil()), fmt.Sprintf("web-%d", i), "metadata", "name")
		w.review(create(set(t, p, fmt.Sprintf("team-%d", i), "metadata", "namespace")))
	}
	w.allowed(create(pod("m=" + good())))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range families {
		got[f.GetName()] = len(f.GetMetric())
	}
	if got["pedigree_gate_decisions_total"] != 2 || got["pedigree_gate_references_total"] != 2 {
		t.Errorf("series: %v", got)
	}
}

func TestUnexpectedStandingRefuses(t *testing.T) {
	var c considered
	if c.allowed() || c.response().Allowed || !c.refused() {
		t.Error("the zero value lets in")
	}
	for _, mode := range []gate.Mode{gate.Enforce, gate.Warn, gate.Audit} {
		for _, mutate := range []bool{true, false} {
			if c := (&considered{rule: &gate.Rule{Mode: mode}, mutate: mutate}); c.allowed() {
				t.Errorf("let in before anybody looked: %s, mutate %t", mode, mutate)
			}
		}
	}
	if Standing(99).String() != "refused" || (Seen{}).Standing != Refused {
		t.Error("what is unknown does not refuse")
	}
}
