package verify_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
)

// grant signs a grant about an artifact, given on from another one if that is named.
func grant(w *chaintest.World, by string, about attest.Digest, number int, from ...attest.Digest) attest.Digest {
	p := map[string]any{"principal": map[string]any{"id": fmt.Sprint("p", number), "kind": "agent"}, "grantedAt": "2026-03-01T00:00:00Z", "notAfter": "2026-04-01T00:00:00Z"}
	if len(from) == 2 {
		p["delegation"] = map[string]any{"from": map[string]any{"payload": set(from[0]), "artifact": set(from[1])}}
	}
	return w.Sign(by, about, predicate.TypeAccess, p)
}

func set(d attest.Digest) map[string]string { return d.DigestSet() }

// A grant's payload and signer are consulted, and so are, by artifact after
// artifact, the grants that it gives on; of what else lies there nothing is.
func TestGrants(t *testing.T) {
	w := chaintest.New(t)
	model, squad, platform := artifact("model"), artifact("squad"), artifact("platform")
	root := grant(w, "platform", platform, 0)
	other := grant(w, "other", platform, 1)
	between := grant(w, "lead", squad, 2, root, platform)
	leaf := grant(w, "agent", model, 3, between, squad)
	evaluation := w.Sign("idle", model, predicate.TypeEvaluation, map[string]any{})
	w.Sign("security", root, predicate.TypeRevocation, revocation("payload", 1))
	stranger := grant(w, "mallory", model, 4, other, platform)

	sc := scope(w, "platform", "other", "lead", "agent", "security", "idle")
	sc.Grants = true
	c := walk(t, model, sc, w.Source())
	want := sortedDigests(squad, platform, root, between, leaf, standin(w, "platform"), standin(w, "lead"), standin(w, "agent"), standin(w, "security"))
	if !slices.Equal(c.ConsultedAll(), want) {
		t.Fatalf("consulted %v\nwant %v", c.ConsultedAll(), want)
	}
	for _, d := range []attest.Digest{other, evaluation, stranger, standin(w, "other"), standin(w, "idle")} {
		if c.Consulted(d) != nil {
			t.Errorf("%s was consulted", d)
		}
	}
	if got := len(c.Consulted(platform).Evidence); got != 2 || len(c.Consulted(root).Evidence) != 1 {
		t.Errorf("%d grants at the platform", got)
	}
	sc.Grants = false
	if c := walk(t, model, sc, w.Source()); len(c.ConsultedAll()) != 0 {
		t.Errorf("consulted %v without being asked to", c.ConsultedAll())
	}
}

// Grants that were given on for ever end; and of two ways to one grant the shorter
// counts. A circle cannot be built: each grant names its parent by its digest.
func TestGrantsEnd(t *testing.T) {
	w := chaintest.New(t)
	sc := scope(w, "a")
	sc.Grants = true
	at := func(i int) attest.Digest { return artifact(fmt.Sprint("artifact ", i)) }
	last := grant(w, "a", at(0), 0)
	var all []attest.Digest
	for i := 1; i <= predicate.MaxDelegations+3; i++ {
		all = append(all, last)
		last = grant(w, "a", at(i), i, last, at(i-1))
	}
	model := at(predicate.MaxDelegations + 3)
	c := walk(t, model, sc, w.Source())
	if c.Consulted(at(3)) == nil || c.Consulted(at(2)) != nil {
		t.Errorf("%d grants in a row were followed otherwise than %d", len(all), predicate.MaxDelegations)
	}
	// A second grant about the model, whose way to the beginning is short.
	grant(w, "a", model, 100, all[5], at(5))
	if c := walk(t, model, sc, w.Source()); c.Consulted(at(0)) == nil || c.Consulted(all[0]) == nil {
		t.Error("the short way was not taken")
	}
	// Thousands of grants about one artifact that name each other.
	squad := artifact("squad")
	from := []attest.Digest{grant(w, "a", squad, 0)}
	for i := range 400 {
		from = append(from, grant(w, "a", squad, i+1, from[i], squad))
	}
	grant(w, "a", model, 200, from[400], squad)
	c = walk(t, model, sc, w.Source())
	for i, want := range map[int]bool{400: true, 401 - predicate.MaxDelegations: true, 400 - predicate.MaxDelegations: false} {
		if got := c.Consulted(from[i]) != nil; got != want {
			t.Errorf("grant %d of the squad: consulted is %v", i, got)
		}
	}
}

// What could not be looked at is a gap where it was consulted.
func TestGrantsUnseen(t *testing.T) {
	w := chaintest.New(t)
	model, squad := artifact("model"), artifact("squad")
	grant(w, "agent", model, 1, grant(w, "lead", squad, 0), squad)
	w.Break(squad, attest.Refuse(attest.CodeRegUnavailable, "no answer"))
	sc := scope(w, "lead", "agent")
	sc.Grants = true
	c := walk(t, model, sc, w.Source())
	if a := c.Consulted(squad); a == nil || !a.Gapped() || len(a.Evidence) != 1 {
		t.Errorf("got %+v", a)
	}
}
