package judge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

func TestGroup(t *testing.T) {
	var g group[string, int]
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	do := func(ctx context.Context, c call[int]) (int, error) {
		c.now, c.limit = now, time.Minute
		return g.do(ctx, "k", c)
	}
	// Who comes a moment after a flight ended takes what it left, and begins no other.
	left := 0
	fly := func(n int) func(context.Context) int { return func(context.Context) int { left = n; return n } }
	peek := func() (int, bool) { return left, left != 0 }
	for range 2 {
		if v, err := do(t.Context(), call[int]{since: -1, peek: peek, run: fly(left + 1)}); v != 1 || err != nil {
			t.Errorf("%d, %v, want what the first flight left", v, err)
		}
	}
	// Who wants a new one gets it.
	if v, err := do(t.Context(), call[int]{since: now(), run: fly(7)}); v != 7 || err != nil {
		t.Errorf("%d, %v", v, err)
	}

	// Who joins a flight that is stopped because all others left is not stopped with it.
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan struct{})
	stuck := call[int]{since: -1, run: func(ctx context.Context) int { close(running); <-ctx.Done(); return -1 }}
	go func() { <-running; cancel() }()
	if _, err := do(ctx, stuck); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if v, err := do(t.Context(), call[int]{since: -1, run: fly(9)}); v != 9 || err != nil {
		t.Errorf("%d, %v, want a flight of its own", v, err)
	}
	if g.len() != 0 {
		t.Errorf("%d flights are left", g.len())
	}

	// A crowd has one, and a flight ends at its limit.
	var flights atomic.Int64
	var crowd sync.WaitGroup
	for range 100 {
		crowd.Go(func() {
			v, err := g.do(t.Context(), "slow", call[int]{since: -1, now: now, limit: 50 * time.Millisecond, run: func(ctx context.Context) int {
				flights.Add(1)
				<-ctx.Done()
				return 3
			}})
			if v != 3 || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		})
	}
	crowd.Wait()
	if n := flights.Load(); n > 2 { // one of the hundred may have come after the first ended
		t.Errorf("%d flights", n)
	}
}

// A verdict that was overtaken while it was worked out is worked out again.
func TestSettle(t *testing.T) {
	dir := t.TempDir()
	k, err := attest.GenerateKey(attest.P256)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "k.pub"), k.Material().Key.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load([]byte(`apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: p, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: make
unsafeTime: claimed
principals: {k: {kind: workload, credentials: [{key: k.pub}]}}
steps: {make: {predicate: https://slsa.dev/provenance/v1, buildType: https://example.org/b/v1, by: [k], select: any}}
status: {by: [k]}
`), func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) })
	if err != nil {
		t.Fatal(err)
	}
	root := attest.SHA256([]byte("artifact"))
	name := p.StatusMark(root)
	mark := func(n int64, content string) policy.Mark {
		return policy.Mark{Name: name, Number: n, Content: attest.SHA256([]byte(content))}
	}
	verdict := func(o policy.Outcome, m ...policy.Mark) *policy.Verdict { return &policy.Verdict{Outcome: o, Marks: m} }
	l := &ledger{}
	settle := func(v *policy.Verdict, remembered marks) (policy.Mark, bool, error) {
		rests, overtaken, err := l.settle(p, root, v, remembered, false)
		if len(rests) != 1 && err == nil {
			t.Fatalf("it rests on %v", rests)
		}
		if err != nil {
			return policy.Mark{}, overtaken, err
		}
		return rests[0], overtaken, nil
	}
	// Nothing is known, and none is there: it rests on there being none.
	none, overtaken, err := settle(verdict(policy.Deny), nil)
	if overtaken || err != nil || none != (policy.Mark{Name: name}) || !l.current([]policy.Mark{none}) {
		t.Fatalf("%v, %t, %v", none, overtaken, err)
	}
	five, overtaken, err := settle(verdict(policy.Allow, mark(5, "five")), nil)
	if overtaken || err != nil || five != mark(5, "five") || l.current([]policy.Mark{none}) {
		t.Fatalf("%v, %t, %v", five, overtaken, err)
	}
	old := l.load()
	if _, overtaken, err = settle(verdict(policy.Allow, mark(6, "six")), old); overtaken || err != nil {
		t.Fatal(overtaken, err)
	}
	// Who was told of five and saw five, while somebody saw six.
	if _, overtaken, _ = settle(verdict(policy.Allow, mark(5, "five")), old); !overtaken {
		t.Error("an ALLOW by five is given after six was seen")
	}
	// The same number with something else in it, while somebody saw this one.
	if _, overtaken, _ = settle(verdict(policy.Allow, mark(6, "other")), old); !overtaken {
		t.Error("of two sixes, the second is given")
	}
	// Who knew of six says so in the verdict, which rests on six.
	six, overtaken, err := settle(verdict(policy.Undecided, mark(5, "five")), l.load())
	if overtaken || err != nil || six != mark(6, "six") || !l.current([]policy.Mark{six}) {
		t.Errorf("%v, %t, %v", six, overtaken, err)
	}
	// And must not say otherwise.
	if _, _, err = settle(verdict(policy.Allow, mark(5, "five")), l.load()); attest.RefusalCode(err) != attest.CodeRollback {
		t.Errorf("%v", err)
	}
}
