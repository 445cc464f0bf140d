package judge_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

// copyTo copies the layout aside, or back.
func (w *world) copyTo(from, to string) {
	w.t.Helper()
	if err := os.RemoveAll(w.in(to)); err != nil {
		w.t.Fatal(err)
	}
	if err := os.CopyFS(w.in(to), os.DirFS(w.in(from))); err != nil {
		w.t.Fatal(err)
	}
}

// What was seen is durable before it is told, and another process's memory counts.
func TestState(t *testing.T) {
	w := newWorld(t, false)
	ref := w.model("m")
	g := w.ground("strict")
	g.Stateful = true
	dir := openState(t, w.in("state"))
	e := w.engine(judge.Options{State: dir})
	a := ask(t, e, g, ref, "test")
	wantOutcome(t, a, policy.Allow)
	marks, err := dir.Marks()
	if err != nil || !slices.Contains(marks, a.Verdicts[0].Marks[0]) || !slices.Contains(marks, g.Policy.Mark()) {
		t.Fatalf("remembered: %v, %v; want %v", marks, err, a.Verdicts[0].Marks)
	}

	// Another process sees a newer status; the registry goes back; nobody believes it.
	w.copyTo("reg", "old")
	w.publish(ref, "24h")
	w.do(0, "verify", ref.String(), "--policy", w.in("strict.yaml"), "--context", "test", "--state", w.in("state"))
	w.copyTo("old", "reg")
	w.clock.pass(time.Hour)
	a = ask(t, e, g, ref, "test")
	wantOutcome(t, a, policy.Undecided)
	if !hasReason(a, attest.CodeRollback) {
		t.Errorf("nothing says that the status went back\n%s", a.JSON)
	}
	// Nor does a gate that was started again.
	wantOutcome(t, ask(t, w.engine(judge.Options{State: dir}), g, ref, "test"), policy.Undecided)
	// The twin: a verifier without memory.
	wantOutcome(t, ask(t, w.engine(judge.Options{}), w.ground("strict"), ref, "test"), policy.Allow)
}

func hasReason(a gate.Answer, code attest.Code) bool {
	for _, v := range a.Verdicts {
		for _, r := range v.Requirements {
			if slices.ContainsFunc(r.Reasons, func(x policy.Reason) bool { return x.Code == code }) {
				return true
			}
		}
	}
	return false
}

// A memory that cannot be read or written refuses.
func TestUnwritableState(t *testing.T) {
	w := newWorld(t, false)
	ref := w.model("m")
	g := w.ground("strict")
	g.Stateful = true
	wantOutcome(t, ask(t, w.engine(judge.Options{State: openState(t, w.in("good"))}), g, ref, "test"), policy.Allow)

	w.write("damaged/state.json", "{}")
	wantRefusal(t, ask(t, w.engine(judge.Options{State: openState(t, w.in("damaged"))}), g, ref, "test"), attest.CodeState)

	dir := openState(t, filepath.Join(w.in("file"), "state"))
	w.write("file", "where a folder should be made")
	e := w.engine(judge.Options{State: dir})
	wantRefusal(t, ask(t, e, g, ref, "test"), attest.CodeState)
	w.clock.pass(time.Second)
	wantRefusal(t, ask(t, e, g, ref, "test"), attest.CodeState)
}

// Once a newer status was seen, whoever saw it, nothing that is remembered of an older
// one is given.
func TestRememberedAnswersGoBackToNothing(t *testing.T) {
	w := newWorld(t, false)
	ref := w.model("m")
	g, e := w.ground("strict"), w.engine(judge.Options{})
	for _, context := range []string{"test", "production"} {
		wantOutcome(t, ask(t, e, g, ref, context), policy.Allow)
	}
	w.copyTo("reg", "old")
	w.revoke(ref)
	w.publish(ref, "24h")
	// Somebody looks afresh, in one context; then the registry goes back.
	wantOutcome(t, e.Judge(t.Context(), gate.Question{Reference: ref, Ground: g, Context: "test", Fresh: true}), policy.Deny)
	w.copyTo("old", "reg")
	a := ask(t, e, g, ref, "production")
	wantOutcome(t, a, policy.Undecided)
	if a.Cached || !hasReason(a, attest.CodeRollback) {
		t.Errorf("remembered: %t\n%s", a.Cached, a.JSON)
	}
	// It is not looked at anew by every question, though it rests on a lower number.
	if a := ask(t, e, g, ref, "production"); !a.Cached || a.Allowed() {
		t.Errorf("%s, remembered: %t", a.Outcome, a.Cached)
	}
}

// Two things under one number: the first stays, and only who is concerned is refused.
func TestTwoStatusesWithOneNumber(t *testing.T) {
	w := newWorld(t, false)
	ref, other := w.model("m"), w.model("other")
	w.copyTo("reg", "one")
	w.publish(ref, "24h")
	w.copyTo("reg", "two")
	w.copyTo("one", "reg")
	w.clock.pass(time.Minute)
	w.publish(ref, "23h") // also number 2, and says another time
	g := w.ground("strict")
	g.Stateful = true
	e := w.engine(judge.Options{State: openState(t, w.in("state"))})
	wantOutcome(t, ask(t, e, g, ref, "test"), policy.Allow)
	w.copyTo("two", "reg")
	w.clock.pass(2 * time.Minute)
	wantRefusal(t, ask(t, e, g, ref, "test"), attest.CodeState) // as verify answers
	if _, _, stderr := w.cli("verify", ref.String(), "--policy", w.in("strict.yaml"), "--context", "test", "--state", w.in("state")); !contains(stderr, "E_STATE") {
		t.Errorf("the program says %s", stderr)
	}
	wantOutcome(t, ask(t, e, g, other, "test"), policy.Allow)
	// Without a folder, the verdict says it.
	e, g = w.engine(judge.Options{}), w.ground("strict")
	wantOutcome(t, ask(t, e, g, ref, "test"), policy.Allow)
	w.copyTo("one", "reg")
	w.publish(ref, "22h")
	w.clock.pass(2 * time.Minute)
	wantOutcome(t, ask(t, e, g, ref, "test"), policy.Undecided)
}

// A crowd of new models is remembered whole.
func TestManyAreRemembered(t *testing.T) {
	w := newWorld(t, false)
	g := w.ground("strict")
	g.Stateful = true
	dir := openState(t, w.in("state"))
	e := w.engine(judge.Options{State: dir})
	var refs []attest.Reference
	for i := range 24 {
		refs = append(refs, w.model(string(rune('a'+i))))
	}
	for _, a := range crowd(t, len(refs), func(i int) gate.Answer { return ask(t, e, g, refs[i], "test") }) {
		wantOutcome(t, a, policy.Allow)
	}
	marks, err := dir.Marks()
	if err != nil || len(marks) != len(refs)+1 { // and the policy's
		t.Errorf("%d marks of %d models, %v", len(marks), len(refs), err)
	}
}
