package admit

import (
	"net/http"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// An UPDATE is judged by what it changes. The pod was let in; its model was revoked since.
func TestGAT12Update(t *testing.T) {
	old := pod("m="+evil(), "n="+good())
	for name, now := range map[string]obj{
		"label":               set(t, old, "x", "metadata", "labels", "app"),
		"annotation":          set(t, old, "x", "metadata", "annotations", "note"),
		"finalizer":           set(t, old, []any{"acme/clean"}, "metadata", "finalizers"),
		"deletion":            set(t, old, "2026-11-24T09:00:00Z", "metadata", "deletionTimestamp"),
		"status":              set(t, old, "Failed", "status", "phase"),
		"order":               pod("n="+good(), "m="+evil()),
		"container taken out": pod("m=" + evil()),
		"a good one put in":   pod("m="+evil(), "n="+good(), "o="+good()),
	} {
		t.Run("GAT-12 passes: "+name, func(t *testing.T) {
			w := newWorld(t)
			w.allowed(update(old, now))
			if name != "a good one put in" && w.judge.questions() != 0 {
				t.Errorf("asked about what did not change: %v", w.judge.asked)
			}
			if w.last().Kept == 0 {
				t.Error("nothing was kept")
			}
		})
	}
	plain := pod("m=" + good())
	annotated := set(t, plain, good(), "metadata", "annotations", "model")
	for name, c := range map[string]struct{ old, now obj }{
		"image":                      {plain, pod("m=" + evil())},
		"image of another container": {pod("m="+good(), "n="+good()), pod("m="+good(), "n="+evil())},
		"moved to another container": {old, pod("n=" + evil())},
		"swapped":                    {old, pod("m="+good(), "n="+evil())},
		"renamed container":          {old, pod("x="+evil(), "n="+good())},
		"init container":             {old, pod("init:m="+evil(), "m="+evil(), "n="+good())},
		"ephemeral container":        {old, pod("m="+evil(), "n="+good(), "ephemeral:m="+evil())},
		"the same name twice":        {old, pod("m="+evil(), "n="+good(), "m="+evil())},
		"annotation":                 {annotated, set(t, plain, evil(), "metadata", "annotations", "model")},
		"annotation put in":          {plain, set(t, plain, evil(), "metadata", "annotations", "model")},
		"another object by uid":      {set(t, old, "u-9", "metadata", "uid"), old},
		"no uid in either":           {set(t, old, nil, "metadata", "uid"), set(t, old, nil, "metadata", "uid")},
		"another object by name":     {set(t, old, "other", "metadata", "name"), old},
		"no name":                    {set(t, old, nil, "metadata", "name"), old},
		"another namespace":          {set(t, old, "team-b", "metadata", "namespace"), old},
		"no namespace":               {set(t, old, nil, "metadata", "namespace"), old},
		"another kind":               {set(t, old, "Job", "kind"), old},
		"another version":            {set(t, old, "v2", "apiVersion"), old},
	} {
		t.Run("GAT-12 judged: "+name, func(t *testing.T) {
			w := newWorld(t)
			w.rule().Annotations = []string{"model"}
			w.refused(update(c.old, c.now), attest.CodeRevoked, http.StatusForbidden)
			w.allowed(update(c.old, set(t, pod("m="+good(), "n="+good()), nil, "metadata", "annotations")))
		})
	}
	for name, bad := range map[string]any{"null": nil, "a text": "pod", "empty": obj{}, "a list": []any{old}} {
		t.Run("GAT-12 judged: oldObject is "+name, func(t *testing.T) {
			w := newWorld(t)
			w.refused(update(old, old).with("oldObject", bad), attest.CodeRevoked, http.StatusForbidden)
			w.allowed(update(old, old))
		})
	}
	t.Run("GAT-12 judged: oldObject of a CREATE", func(t *testing.T) {
		w := newWorld(t)
		w.refused(create(old).with("oldObject", old), attest.CodeRevoked, http.StatusForbidden)
	})
	t.Run("GAT-12 scale", func(t *testing.T) {
		w := newWorld(t)
		d := deployment("m=" + evil())
		w.allowed(update(set(t, d, 1, "spec", "replicas"), set(t, d, 9, "spec", "replicas")))
		w.refused(update(deployment("m="+good()), d), attest.CodeRevoked, http.StatusForbidden)
	})
	t.Run("GAT-12 too many in an old object", func(t *testing.T) {
		w := newWorld(t)
		w.config.Limits.References = 1
		many := pod("a="+evil(), "b="+good())
		w.allowed(update(many, set(t, many, "x", "metadata", "labels", "app")))
		w.refused(create(many), attest.CodeLimit, http.StatusServiceUnavailable)
		w.allowed(create(pod("a="+good(), "b="+good()))) // one artifact, asked once
	})
}

// A tag that stays was let in before the rule pinned. To refuse labels changes nothing
// about what runs.
func TestTagThatStays(t *testing.T) {
	w := newWorld(t)
	w.rule().Pin = true
	old := pod("m=" + repo + ":v1")
	labelled := set(t, old, "x", "metadata", "labels", "app")
	w.allowed(update(old, labelled))
	if got := w.mutate(update(old, labelled)); got.Patch != nil || w.judge.questions() != 0 {
		t.Errorf("a running container was changed: %s", got.Patch)
	}
	w.refused(update(old, pod("m="+repo+":v1", "n="+repo+":v1")), attest.CodeTag, http.StatusForbidden)
	w.refused(update(pod("m="+repo+":v0"), old), attest.CodeTag, http.StatusForbidden)
}
