package record

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"crypto/x509"
	"encoding/hex"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/verify"
)

const (
	childServices  = 3
	childArtifacts = 4
)

// childClock is when the child's nth admission is.
func childClock(n int) time.Time {
	return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour)
}

// childAdmission is the child's nth.
func childAdmission(refs []attest.Reference, n int) gate.Admission {
	a := taken(0, fmt.Sprint("s", n%childServices))
	a.Reference = refs[n/childServices%childArtifacts]
	a.At = childClock(n)
	a.Answer.Reference = a.Reference
	v := *a.Answer.Verdicts[0]
	v.At = a.At
	a.Answer.Verdicts[0] = &v
	return a
}

// ecdsaOptions sign with a key whose signatures differ each time.
func ecdsaOptions(dir string, key *ecdsa.PrivateKey, now func() time.Time) (Options, error) {
	signer, err := attest.NewKeySigner(key)
	if err != nil {
		return Options{}, err
	}
	return Options{
		Dir: dir, Now: now, Log: slog.New(slog.DiscardHandler), Limit: MaxLimit,
		Signers: verify.Signers{Keys: []attest.PublicKey{signer.Public()}},
		Signer:  func(ctx context.Context, payload []byte) ([]byte, error) { return attest.Sign(ctx, payload, signer) },
		Open:    func(r attest.Repository) (*oci.Repository, error) { return oci.Open(r, oci.Options{}) },
	}, nil
}

// TestChild is a gate that is killed. It is no test of its own.
func TestChild(t *testing.T) {
	if os.Getenv("RECORD_CHILD") == "" {
		t.Skip("only as a child of TestKilledAtAnyMoment")
	}
	der, err := hex.DecodeString(os.Getenv("RECORD_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseECPrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(os.Getenv("RECORD_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	var refs []attest.Reference
	for s := range strings.FieldsSeq(os.Getenv("RECORD_REFS")) {
		ref, err := attest.ParseReference(s)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	now := make(chan int, 1)
	now <- n
	o, err := ecdsaOptions(os.Getenv("RECORD_CHILD"), parsed, func() time.Time {
		n := <-now
		now <- n
		return childClock(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("open")
	go q.Run(t.Context()) //nolint:errcheck // it ends with the process
	for ; ; n++ {
		<-now
		now <- n
		if err := q.Admitted(childAdmission(refs, n)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("took", n)
		time.Sleep(20 * time.Millisecond)
	}
}

// A gate that is killed at any moment loses nothing that it took, and gives away one
// signature of each record.
func TestKilledAtAnyMoment(t *testing.T) {
	w := newWorld(t)
	refs := w.models("m", childArtifacts)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ref := range refs {
		names = append(names, ref.Repository.At(ref.Digest).String())
	}
	dir, next := t.TempDir(), 0
	rng := mrand.New(mrand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range 8 {
		child := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
		child.Env = append(os.Environ(), "RECORD_CHILD="+dir, "RECORD_KEY="+hex.EncodeToString(der), "RECORD_FROM="+strconv.Itoa(next), "RECORD_REFS="+strings.Join(names, " "))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var timer *time.Timer
		opened := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "open" {
				opened = true
				timer = time.AfterFunc(time.Duration(rng.IntN(400))*time.Millisecond, func() { _ = child.Process.Kill() })
			}
			if number, ok := strings.CutPrefix(lines.Text(), "took "); ok {
				n, err := strconv.Atoi(number)
				if err != nil {
					t.Fatal(err)
				}
				next = n + 1
			} else if strings.Contains(lines.Text(), "kill_test.go") {
				t.Error(lines.Text())
			}
		}
		err = child.Wait()
		if !opened {
			t.Fatalf("the child did not open the queue: %v", err)
		}
		timer.Stop()
	}
	if next < 10 {
		t.Fatalf("only %d were taken", next)
	}
	o, err := ecdsaOptions(dir, key, w.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.now = childClock(next)
	q := w.reopen(o)
	w.work(q)

	h := w.historyOf(o, "m")
	for s := range childServices {
		var want []attest.Reference
		for n := s; n < next; n += childServices {
			want = append(want, refs[n/childServices%childArtifacts])
		}
		service := fmt.Sprint("s", s)
		// One more may have been taken and not acknowledged.
		for _, p := range h.Places {
			if p.Place.Service == service && len(p.Records) == len(want)+1 {
				want = append(want, refs[len(want)%childArtifacts])
			}
		}
		w.shows(h, service, want...)
	}
	if n := withdrawn(h); n != 0 {
		t.Errorf("%d were taken back", n)
	}
	// Of each payload there is one bundle.
	repo, err := w.open(refs[0].Repository)
	if err != nil {
		t.Fatal(err)
	}
	bundles := map[attest.Digest][sha256.Size]byte{}
	for _, ref := range refs {
		err := repo.Attestations(t.Context(), ref.Digest, func(a attest.Attached) bool {
			b, err := attest.ParseBundle(a.Bundle)
			if err != nil {
				t.Error(err)
				return true
			}
			payload, sum := attest.SHA256(b.Payload), sha256.Sum256(a.Bundle)
			if old, twice := bundles[payload]; twice && old != sum {
				t.Errorf("%s was given away in two signatures", payload)
			}
			bundles[payload] = sum
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d taken, %d statements", next, len(bundles))
}
