package record

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// only is a registry of which the part under a path is down.
func only(path string) func(http.ResponseWriter, *http.Request) bool {
	return func(rw http.ResponseWriter, req *http.Request) bool {
		return strings.HasPrefix(req.URL.Path, path) && down(rw, req)
	}
}

// Both replicas see the same rollout: it is recorded once.
func TestReplicasSeeTheSame(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	a, b := w.queue(), w.queue()
	for _, ref := range m {
		w.admit(a, ref, "s")
		w.clock.add(time.Minute)
		w.admit(b, ref, "s")
		w.work(b) // who saw it later is faster
		w.work(a)
		w.clock.add(time.Hour)
	}
	h := w.history("m")
	w.shows(h, "s", m...)
	if n := withdrawn(h); n != 0 {
		t.Errorf("%d were taken back", n)
	}
}

// One replica sees what the other does not, and the other one sees the old again.
func TestReplicasSeeDifferentThings(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	a, b := w.queue(), w.queue()
	w.admit(a, m[0], "s")
	w.work(a)
	w.clock.add(time.Hour)
	w.admit(b, m[1], "s")
	w.work(b)
	w.clock.add(time.Hour)
	w.admit(a, m[0], "s") // to this one nothing changed
	w.work(a)
	h := w.history("m")
	w.shows(h, "s", m[0], m[1], m[0])

	// The same within the window, which is looked at when it is over.
	w.clock.add(time.Minute)
	w.admit(b, m[1], "s")
	w.work(b)
	w.clock.add(time.Minute)
	w.admit(a, m[0], "s")
	for range 120 {
		a.pass(t.Context())
		w.clock.add(10 * time.Second)
	}
	w.shows(w.history("m"), "s", m[0], m[1], m[0], m[1], m[0])
}

// What comes late is in the history, taken back, and breaks no chain.
func TestLateRecord(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 3)
	a, b := w.queue(), w.queue()
	w.admit(a, m[0], "s")
	w.work(a)
	w.clock.add(time.Hour)
	w.admit(b, m[1], "s") // its queue does not get to work
	w.clock.add(time.Hour)
	w.admit(a, m[2], "s")
	w.work(a)
	w.work(b)
	h := w.history("m")
	w.shows(h, "s", m[0], m[2])
	if n := withdrawn(h); n != 1 {
		t.Fatalf("%d are taken back, want the late one", n)
	}
	for _, r := range h.Places[0].Records {
		if r.Withdrawn != nil && (r.Artifact != m[1].Digest || !strings.Contains(r.Withdrawn.Reason, "late") || !r.Withdrawn.Since.Equal(r.Claimed)) {
			t.Errorf("%+v", r.Withdrawn)
		}
	}
	// And the chain goes on.
	w.clock.add(time.Hour)
	w.admit(b, m[1], "s")
	w.work(b)
	w.shows(w.history("m"), "s", m[0], m[2], m[1])
}

// Both replicas look before either has attached: a fork, which one of them resolves. It
// is made to happen by holding back what is attached until both have looked.
func TestRaceOfReplicas(t *testing.T) {
	for _, same := range []bool{true, false} {
		t.Run(fmt.Sprint("same artifact ", same), func(t *testing.T) {
			w := newWorld(t)
			m := w.models("m", 3)
			a, b := w.queue(), w.queue()
			w.admit(a, m[0], "s")
			w.work(a)
			w.clock.add(time.Hour)
			other := m[1]
			if !same {
				other = m[2]
			}
			// Each queue's signer waits for the other: by then both have looked.
			var both sync.WaitGroup
			both.Add(2)
			for _, q := range []*Queue{a, b} {
				sign, once := q.o.Signer, sync.Once{}
				q.o.Signer = func(ctx context.Context, payload []byte) ([]byte, error) {
					if st, err := attest.ParseStatement(payload); err == nil && st.PredicateType == predicate.TypeDeployment {
						once.Do(func() { both.Done(); both.Wait() })
					}
					return sign(ctx, payload)
				}
			}
			w.admit(a, m[1], "s")
			w.clock.add(time.Minute)
			w.admit(b, other, "s")
			var passes sync.WaitGroup
			passes.Go(func() { a.pass(t.Context()) })
			passes.Go(func() { b.pass(t.Context()) })
			passes.Wait()
			w.work(a, b)
			h := w.history("m")
			if same {
				w.shows(h, "s", m[0], m[1])
			} else if len(counted(h)) == 3 {
				w.shows(h, "s", m[0], m[1], m[2]) // the later one gave way
			} else {
				w.shows(h, "s", m[0], m[2]) // the earlier one did, and is late now
			}
			if n := withdrawn(h); n == 0 {
				t.Error("nothing was taken back: there was no race")
			}
			for i, ref := range m {
				found := slices.ContainsFunc(h.Places[0].Records, func(r lineage.Deployed) bool { return r.Artifact == ref.Digest })
				if want := i < 2 || !same; found != want {
					t.Errorf("artifact %d has a record: %t", i, found)
				}
			}
		})
	}
}

// counted are the records of the only place that count.
func counted(h *lineage.History) []lineage.Deployed {
	return slices.DeleteFunc(slices.Clone(h.Places[0].Records), func(r lineage.Deployed) bool { return r.Withdrawn != nil })
}

// Replicas that work at once, with a registry that fails here and there, leave chains
// that hold together, at whose ends is what runs.
func TestReplicasAtOnce(t *testing.T) {
	for seed := range 2 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t)
			m := w.models("m", 5)
			a, b := w.queue(), w.queue()
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			var mu sync.Mutex
			faults := rand.New(rand.NewPCG(uint64(seed), 2))
			w.fail(func(rw http.ResponseWriter, req *http.Request) bool {
				mu.Lock()
				n := faults.IntN(40)
				mu.Unlock()
				return n == 0 && down(rw, req)
			})
			services := []string{"x", "y"}
			last := map[string]attest.Reference{}
			for step := range 12 {
				for _, s := range services {
					ref := m[rng.IntN(len(m))]
					switch rng.IntN(3) {
					case 0:
						w.admit(a, ref, s)
					case 1:
						w.admit(b, ref, s)
					default:
						w.admit(a, ref, s)
						w.admit(b, ref, s)
					}
					last[s] = ref
				}
				var passes sync.WaitGroup
				for _, q := range []*Queue{a, b} {
					if step%4 == 3 || rng.IntN(2) == 0 {
						passes.Go(func() { q.pass(t.Context()) })
					}
				}
				passes.Wait()
				w.clock.add(15 * time.Minute)
			}
			w.fail(nil)
			w.work(a, b)
			h := w.history("m")
			for _, p := range h.Places {
				for _, f := range p.Findings {
					t.Errorf("%s: %s: %s", p.Place, f.Kind, f.Why)
				}
				if r := p.Running(); r == nil || r.Artifact != last[p.Place.Service].Digest {
					t.Errorf("%s: what runs is not what was let in last", p.Place)
				}
			}
			if len(h.Places) != 2 {
				t.Errorf("%d places", len(h.Places))
			}
		})
	}
}

// A chain that somebody else forked is not guessed about: its place waits, others do not,
// and it goes on when the fork is taken back.
func TestForkBySomebodyElse(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 4)
	q := w.queue()
	w.admit(q, m[0], "s")
	w.work(q)
	first := w.shows(w.history("m"), "s", m[0])[0]
	var forks []attest.Digest
	for i, ref := range m[1:3] {
		w.clock.add(time.Hour)
		forks = append(forks, w.byHand(ref, "s", &lineage.StatementAt{Payload: first.Payload, Artifact: first.Artifact}, i))
	}
	w.clock.add(time.Hour)
	w.admit(q, m[3], "s")
	w.admit(q, m[3], "t")
	for range 20 {
		q.pass(t.Context())
		w.clock.add(time.Minute)
	}
	list, err := List(q.o.Dir, w.clock.Now())
	if err != nil || len(list) != 1 || list[0].Service != "s" || list[0].Trouble == nil || list[0].Trouble.Code != attest.CodeHistory {
		t.Fatalf("%v %+v", err, list)
	}
	w.revoke(m[1], forks[0])
	w.clock.add(time.Hour)
	w.work(q)
	h := w.history("m")
	w.shows(h, "t", m[3])
	w.shows(h, "s", m[0], m[2], m[3])
}

// byHand makes a record as pedigree attest deployment does.
func (w *world) byHand(ref attest.Reference, service string, previous *lineage.StatementAt, n int) attest.Digest {
	w.t.Helper()
	d := predicate.Deployment{Environment: "prod", DeployedAt: w.clock.Now(), Target: &predicate.DeploymentTarget{Cluster: "eu-1", Service: service}, Config: map[string]any{"n": n}}
	if previous != nil {
		d.Previous = statementRef(*previous)
	}
	return w.attach(ref, predicate.TypeDeployment, d)
}

// revoke takes a statement back.
func (w *world) revoke(in attest.Reference, target attest.Digest) {
	w.t.Helper()
	w.attach(in.Repository.At(target), predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetPayload, Reason: "wrong", IssuedAt: w.clock.Now()})
}

func (w *world) attach(ref attest.Reference, typ string, pred any) attest.Digest {
	w.t.Helper()
	b, err := payload(ref, typ, pred)
	if err != nil {
		w.t.Fatal(err)
	}
	bundle, err := attest.Sign(w.t.Context(), b, w.signer)
	if err != nil {
		w.t.Fatal(err)
	}
	repo, err := w.open(ref.Repository)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := repo.Attach(w.t.Context(), ref.Digest, bundle); err != nil {
		w.t.Fatal(err)
	}
	return attest.SHA256(b)
}
