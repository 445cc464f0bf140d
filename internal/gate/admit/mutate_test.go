package admit

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// patched applies what the mutating hook answers, as the API server does.
func (w *world) patched(r request) obj {
	w.t.Helper()
	got := w.mutate(r)
	if !got.Allowed {
		w.t.Fatalf("the mutating hook refused: %s", got.Result.Message)
	}
	b, err := json.Marshal(r["object"])
	if err != nil {
		w.t.Fatal(err)
	}
	if got.Patch != nil {
		if got.PatchType == nil || *got.PatchType != "JSONPatch" {
			w.t.Fatalf("patch of type %v", got.PatchType)
		}
		p, err := jsonpatch.DecodePatch(got.Patch)
		if err != nil {
			w.t.Fatalf("patch %s: %v", got.Patch, err)
		}
		if b, err = p.Apply(b); err != nil {
			w.t.Fatalf("patch %s: %v", got.Patch, err)
		}
	}
	return roundTripBytes(w.t, b)
}

func roundTripBytes(t *testing.T, b []byte) obj {
	t.Helper()
	out, err := readObject(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// images are the images of a pod's containers.
func images(t *testing.T, o obj) string {
	t.Helper()
	spec, _ := o["spec"].(map[string]any)
	var out []string
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		all, _ := spec[list].([]any)
		for _, c := range all {
			m, _ := c.(map[string]any)
			s, _ := m["image"].(string)
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func pinning(t *testing.T) *world {
	w := newWorld(t)
	w.rule().Pin = true
	return w
}

func TestPin(t *testing.T) {
	tag := repo + ":v1"
	t.Run("GAT-14 what was judged is what runs", func(t *testing.T) {
		w := pinning(t)
		p := pod("init:i="+tag, "m="+tag, "n="+good(), "ephemeral:e="+tag)
		w.refused(create(p), attest.CodeTag, http.StatusForbidden)
		now := w.patched(create(p))
		if got, want := images(t, now), strings.Repeat(good()+" ", 3)+good(); got != want {
			t.Fatalf("images %s, want %s", got, want)
		}
		w.allowed(create(now))
		// Another webhook rewrites it afterwards; the API server then asks again.
		w.refused(create(pod("m="+repo+":v1")), attest.CodeTag, http.StatusForbidden)
		w.refused(create(pod("m="+evil())), attest.CodeRevoked, http.StatusForbidden)
		if again := w.mutate(create(now)); again.Patch != nil {
			t.Errorf("what is pinned was pinned again: %s", again.Patch)
		}
	})
	t.Run("GAT-14 the tag moves between the hooks", func(t *testing.T) {
		w := pinning(t)
		now := w.patched(create(pod("m=" + tag)))
		w.judge.tags["v1"] = evilDigest
		w.allowed(create(now))
		if images(t, now) != good() {
			t.Errorf("pinned to %s", images(t, now))
		}
	})
	t.Run("GAT-13 what cannot be pinned is refused", func(t *testing.T) {
		w := pinning(t)
		two := pod("m=" + good())
		two = set(t, two, []any{obj{"name": "m", "image": good(), "args": []any{"--models=oci://" + tag + ",oci://" + repo + ":bad"}}}, "spec", "containers")
		if got := w.mutate(create(two)); !got.Allowed || got.Patch != nil {
			t.Fatalf("two references in one text: %+v", got)
		}
		got := w.refused(create(two), attest.CodeTag, http.StatusForbidden)
		if !strings.Contains(got.Result.Message, "\nE_REVOKED ") {
			t.Errorf("only one of the two is refused: %s", got.Result.Message)
		}
	})
	t.Run("GAT-13 judged by the second hook only", func(t *testing.T) {
		w, first := pinning(t), true
		w.judge.do = func(context.Context, gate.Question) (gate.Answer, bool) {
			defer func() { first = false }()
			return gate.Answer{Outcome: policy.Undecided, Err: &attest.Refusal{Code: attest.CodeRegUnavailable, Why: "it does not answer"}}, first
		}
		now := w.patched(create(pod("m=" + tag)))
		if images(t, now) != tag {
			t.Fatalf("images %s", images(t, now))
		}
		said := w.refused(create(now), attest.CodeTag, http.StatusForbidden).Result.Message
		for _, want := range []string{"could not judge it in time, was not asked", "try again, or name it by digest: " + goodDigest.String()} {
			if !strings.Contains(said, want) {
				t.Errorf("%q lacks %q", said, want)
			}
		}
		w.allowed(create(w.patched(create(now)))) // and it is worth trying again
	})
	t.Run("GAT-13 the test of the patch fails", func(t *testing.T) {
		w := pinning(t)
		p, err := jsonpatch.DecodePatch(w.mutate(create(pod("m=" + tag))).Patch)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(pod("m=" + evil()))
		if out, err := p.Apply(b); err == nil {
			t.Errorf("applied to another object: %s", out)
		}
	})
	t.Run("arguments and variables", func(t *testing.T) {
		w := pinning(t)
		p := set(t, pod(), []any{obj{"name": "m/~x", "image": good(), "args": []any{"--model=oci://" + tag + " --x"},
			"env": []any{obj{"name": "MODEL", "value": tag}}}}, "spec", "containers")
		w.rule().Environments = []string{"MODEL"}
		b, _ := json.Marshal(w.patched(create(p)))
		for _, want := range []string{`"--model=oci://` + good() + ` --x"`, `"value":"` + good() + `"`} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s lacks %s", b, want)
			}
		}
		w.allowed(create(roundTripBytes(t, b)))
	})
	t.Run("left: refused, unknown, unlisted, accepted", func(t *testing.T) {
		w := pinning(t)
		p := pod("a="+repo+":bad", "b="+repo+":none", "c=other.test/x:1", "d=unlisted.test/x:1", "e=registry.test/runtimes/vllm:1", "f="+tag)
		before := images(t, p)
		now := w.patched(create(p))
		if got, want := images(t, now), strings.Replace(before, tag, good(), 1); got != want {
			t.Errorf("images %s, want %s", got, want)
		}
		got := w.mutate(create(p))
		if len(got.Warnings) != 2 || !strings.HasPrefix(got.Warnings[0], "E_REVOKED ") || !strings.HasPrefix(got.Warnings[1], "E_NOT_FOUND ") {
			t.Errorf("warnings %q", got.Warnings)
		}
		for _, bad := range []string{repo + ":bad", repo + ":none", "other.test/x:1", "unlisted.test/x:1"} {
			if w.review(create(pod("m=" + bad))).Allowed {
				t.Errorf("%s was let in", bad)
			}
		}
		w.allowed(create(pod("m=registry.test/runtimes/vllm:1")))
	})
	t.Run("templates are left, and judged", func(t *testing.T) {
		for _, pin := range []bool{true, false} {
			w := newWorld(t)
			w.rule().Pin = pin
			if got := w.mutate(create(deployment("m=" + tag))); got.Patch != nil || w.judge.questions() != 0 {
				t.Errorf("a template was changed: %s", got.Patch)
			}
			w.allowed(create(deployment("m=" + tag)))
			w.refused(create(deployment("m="+repo+":bad")), attest.CodeRevoked, http.StatusForbidden)
		}
	})
	t.Run("two tags in one text of a template", func(t *testing.T) {
		w := pinning(t)
		d := deployment("m=" + good())
		two := func(args ...any) obj {
			return set(t, d, []any{obj{"name": "m", "image": good(), "args": args}}, "spec", "template", "spec", "containers")
		}
		w.refused(create(two("oci://"+tag+",oci://"+repo+":v1")), attest.CodeTag, http.StatusForbidden)
		w.allowed(create(two("oci://"+tag, "oci://"+repo+":v1")))
	})
	t.Run("a place that cannot be replaced", func(t *testing.T) {
		w := pinning(t)
		w.config.Kinds = []gate.Kind{{Group: "acme.test", Kind: "Widget", Places: []gate.CustomPlace{{Name: "model", CEL: "object.spec.model"}}}}
		widget := obj{"apiVersion": "acme.test/v1", "kind": "Widget", "metadata": obj{"name": "w", "namespace": "team-a"}, "spec": obj{"model": tag}}
		w.refused(create(widget), attest.CodeTag, http.StatusForbidden)
		w.allowed(create(set(t, widget, good(), "spec", "model")))
	})
	t.Run("without pin", func(t *testing.T) {
		w := newWorld(t)
		if got := w.mutate(create(pod("m=" + tag))); got.Patch != nil || w.judge.questions() != 0 {
			t.Errorf("pinned without being told to: %s", got.Patch)
		}
		got := w.refused(create(pod("m="+tag)), attest.CodeTag, http.StatusForbidden)
		if !strings.Contains(got.Result.Message, goodDigest.String()) {
			t.Errorf("the message does not say which digest: %s", got.Result.Message)
		}
		w.allowed(create(pod("m=" + repo + ":v1@" + goodDigest.String())))
	})
	t.Run("warn and audit", func(t *testing.T) {
		for _, mode := range []gate.Mode{gate.Warn, gate.Audit} {
			w := pinning(t)
			w.rule().Mode = mode
			now := w.patched(create(pod("m="+tag, "n="+repo+":bad")))
			if got, want := images(t, now), good()+" "+repo+":bad"; got != want {
				t.Errorf("%s: images %s, want %s", mode, got, want)
			}
		}
	})
	t.Run("dry run is pinned too", func(t *testing.T) {
		w := pinning(t)
		if got := images(t, w.patched(create(pod("m="+tag)).with("dryRun", true))); got != good() {
			t.Errorf("images %s", got)
		}
	})
	t.Run("the same reference is asked about once", func(t *testing.T) {
		w := pinning(t)
		w.patched(create(pod("a="+tag, "b="+tag, "c="+tag)))
		if n := w.judge.questions(); n != 1 {
			t.Errorf("%d questions", n)
		}
	})
	t.Run("a text that is found twice is replaced once", func(t *testing.T) {
		w := pinning(t)
		w.config.Kinds = []gate.Kind{{Kind: "Pod", Places: []gate.CustomPlace{{Name: "again", JSONPath: "$.spec.containers[*].image"}}}}
		p := pod("a="+tag, "b="+tag)
		now := w.patched(create(p))
		if got, want := images(t, now), good()+" "+good(); got != want {
			t.Errorf("images %s, want %s", got, want)
		}
		w.allowed(create(now))
	})
	t.Run("a text that would become two things is left", func(t *testing.T) {
		two := func(a, b string) []Seen {
			x, y := Seen{pin: a}, Seen{pin: b}
			x.Pointer, y.Pointer = "/spec/x", "/spec/x"
			return []Seen{x, y}
		}
		for _, some := range [][]Seen{two("a", "b"), two("a", ""), two("", "a"), append(two("a", "b"), two("a", "a")...)} {
			if p := patch(some); p != nil {
				t.Errorf("patch %s", p)
			}
		}
		if p := patch(two("a", "a")); strings.Count(string(p), "replace") != 1 {
			t.Errorf("patch %s", p)
		}
	})
	t.Run("what the validating hook refuses as a whole is left", func(t *testing.T) {
		w := pinning(t)
		w.config.Limits.References = 1
		two := create(pod("a="+tag, "b="+repo+":v2"))
		if got := w.mutate(two); !got.Allowed || got.Patch != nil || w.judge.questions() != 0 {
			t.Errorf("%+v", got)
		}
		w.refused(two, attest.CodeLimit, http.StatusServiceUnavailable)
	})
	t.Run("exempted", func(t *testing.T) {
		w := pinning(t)
		w.config.Exempt = []gate.Exemption{{Users: []string{"alice"}, Reason: "r"}}
		if got := w.mutate(create(pod("m=" + tag))); got.Patch != nil || !got.Allowed {
			t.Errorf("%+v", got)
		}
	})
}
