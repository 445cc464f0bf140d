package kube

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// An arm is one way in which the API server is asked for pods.
type arm struct {
	name     string
	ns       string
	image    string
	asks     map[string]int // of the gate, for each pod, by handler
	measured map[int][]cell // by clients
}

// A cell is what one arm took in one round.
type cell struct {
	rate     float64 // pods a second
	p50, p99 time.Duration
}

// BenchmarkLatency measures what the gate adds to the making of a pod, as a client of the
// API server sees it, with 1, 50 and 200 clients that ask one after the other. Everything
// is real and on this machine: API server, etcd, gate, registry and clients share its
// cores, so differences say more than times, and with many clients what is seen is
// how the cores are shared. Two arms are the same (no webhook): what differs between these
// is noise, and means as little between others. Arms are interleaved, in another order
// in each round; a table with the median of rounds and their span is printed.
//
// "make bench-kube" runs it. PEDIGREE_ROUNDS says how many rounds (5).
func BenchmarkLatency(b *testing.B) {
	rounds := 5
	if s := os.Getenv("PEDIGREE_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			b.Fatalf("PEDIGREE_ROUNDS is %q", s)
		}
		rounds = n
	}
	// A cluster of its own, without controllers: nothing looks at the pods afterwards.
	c, err := cluster.Start(within(b), cluster.Options{Programs: programs, WebhookClient: "kube-apiserver"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	w := newGate(b, c, 60*time.Second)
	m := w.approved("good")
	one, both := map[string]int{"admit": 1}, map[string]int{"admit": 1, "mutate": 1}
	arms := []*arm{
		{name: "no webhook", ns: newNamespace(b, c, "open"), image: m.pinned},
		{name: "no webhook, again", ns: newNamespace(b, c, "open"), image: m.pinned},
		{name: "validating", ns: newNamespace(b, c, "unrecorded"), image: m.pinned, asks: one},
		{name: "mutating + validating", ns: newNamespace(b, c, "unrecorded"), image: m.pinned, asks: both},
		{name: "the same, by tag", ns: newNamespace(b, c, "unrecorded"), image: m.tag, asks: both},
		// All pods are of one service, so that one record is made.
		{name: "the same, recorded", ns: newNamespace(b, c, "prod"), image: m.pinned, asks: both},
	}
	var asked, mutated []string
	for _, a := range arms {
		if a.asks["admit"] > 0 {
			asked = append(asked, a.ns)
		}
		if a.asks["mutate"] > 0 {
			mutated = append(mutated, a.ns)
		}
	}
	validating, mutating := shipped(b, w.ca.PEM)
	for i := range validating.Webhooks {
		validating.Webhooks[i].NamespaceSelector = only(asked...)
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].NamespaceSelector = only(mutated...)
	}
	validate(b, c, validating)
	mutate(b, c, mutating)
	for _, ns := range asked {
		w.inForce(ns)
	}
	for b.Loop() {
		for range rounds {
			for _, clients := range []int{1, 50, 200} {
				for _, i := range rand.Perm(len(arms)) {
					arms[i].measure(b, w, clients)
				}
			}
		}
	}
	fmt.Println(table(arms)) // b.Log stops after ten lines
	for _, a := range arms {
		for clients, cells := range a.measured {
			p50, _, _ := span(cells, func(c cell) time.Duration { return c.p50 })
			b.ReportMetric(float64(p50.Microseconds())/1000, fmt.Sprintf("p50-ms/%s/%d", strings.ReplaceAll(a.name, " ", "-"), clients))
		}
	}
}

// podsFor returns how many are made in one cell: enough that 1 % of them are some.
func podsFor(clients int) int { return max(300, min(10*clients, 2000)) }

// measure makes pods with so many clients, and removes them.
func (a *arm) measure(b *testing.B, w *world, clients int) {
	b.Helper()
	config := rest.CopyConfig(w.cluster.Config)
	config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"
	k, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	api := k.CoreV1().Pods(a.ns)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	create := func(name string) error {
		pod := newPod(name, a.image)
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "credit", UID: "00000000-0000-0000-0000-000000000001", Controller: ptr.To(true)}}
		_, err := api.Create(ctx, pod, metav1.CreateOptions{})
		return err
	}
	if err := create("warm"); err != nil {
		b.Fatal(err)
	}
	before := w.asked()
	n := podsFor(clients)
	took := make([]time.Duration, n)
	var next atomic.Int64
	var failed sync.Once
	var all sync.WaitGroup
	began := time.Now()
	for range clients {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				if err := create(fmt.Sprintf("p-%d", i)); err != nil {
					failed.Do(func() { b.Errorf("%s: %v", a.name, err) })
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	all.Wait()
	whole := time.Since(began)
	after := w.asked()
	for _, h := range []string{"admit", "mutate"} {
		if got := after[h] - before[h]; got != n*a.asks[h] {
			b.Errorf("%s: the gate was asked %d times by %s for %d pods", a.name, got, h, n)
		}
	}
	slices.Sort(took)
	if a.measured == nil {
		a.measured = map[int][]cell{}
	}
	a.measured[clients] = append(a.measured[clients], cell{float64(n) / whole.Seconds(), took[n/2], took[n*99/100]})
	if err := api.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}, metav1.ListOptions{}); err != nil {
		b.Fatal(err)
	}
	eventually(b, "the pods are gone", func() bool {
		list, err := api.List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil && len(list.Items) == 0
	})
}

// span returns the median and the extremes of what is measured.
func span[T cmp.Ordered](cells []cell, of func(cell) T) (median, least, most T) {
	var all []T
	for _, c := range cells {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all[len(all)/2], all[0], all[len(all)-1]
}

func table(arms []*arm) string {
	var out strings.Builder
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "webhooks\tclients\tpods/s\tp50 ms\tp99 ms")
	for _, clients := range []int{1, 50, 200} {
		for _, a := range arms {
			cells := a.measured[clients]
			if len(cells) == 0 {
				continue
			}
			rate, r0, r1 := span(cells, func(c cell) float64 { return c.rate })
			ms := func(of func(cell) time.Duration) string {
				m, least, most := span(cells, of)
				return fmt.Sprintf("%.1f [%.1f..%.1f]", m.Seconds()*1000, least.Seconds()*1000, most.Seconds()*1000)
			}
			fmt.Fprintf(t, "%s\t%d\t%.0f [%.0f..%.0f]\t%s\t%s\n", a.name, clients, rate, r0, r1,
				ms(func(c cell) time.Duration { return c.p50 }), ms(func(c cell) time.Duration { return c.p99 }))
		}
	}
	t.Flush()
	return out.String()
}
