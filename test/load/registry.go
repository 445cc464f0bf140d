package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

// A registry is a real one in memory behind a network that is as slow, and as
// unreliable, as it is told to be. It runs in a process of its own.
type registry struct {
	next     http.Handler
	requests atomic.Int64
	delay    atomic.Int64 // nanoseconds before each answer
	faulty   atomic.Int64 // of 1,000 requests
}

// conduct is what a registry is told over /control, and answers there.
type conduct struct {
	DelayMS int64 `json:"delayMs"`
	Faulty  int64 `json:"faulty"`
	Count   int64 `json:"count"` // requests since it was last asked
}

func serveRegistry() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr()) // who started it reads this line
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent does
		os.Exit(0)
	}()
	r := &registry{next: ociserver.New(ocimem.New(), nil)}
	return (&http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/control" {
		r.control(w, q)
		return
	}
	r.requests.Add(1)
	time.Sleep(time.Duration(r.delay.Load()))
	if rand.Int64N(1000) < r.faulty.Load() {
		r.fail(w, q)
		return
	}
	r.next.ServeHTTP(w, q)
}

func (r *registry) control(w http.ResponseWriter, q *http.Request) {
	if q.Method == http.MethodPost {
		var c conduct
		if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, 1<<10)).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.delay.Store(c.DelayMS * int64(time.Millisecond))
		r.faulty.Store(c.Faulty)
	}
	_ = json.NewEncoder(w).Encode(conduct{r.delay.Load() / int64(time.Millisecond), r.faulty.Load(), r.requests.Swap(0)})
}

// fail answers in one of the ways in which registries fail.
func (r *registry) fail(w http.ResponseWriter, q *http.Request) {
	switch rand.IntN(7) {
	case 0:
		http.Error(w, "boom", http.StatusInternalServerError)
	case 1:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case 2:
		http.Error(w, `{"errors":[{"code":"DENIED"}]}`, http.StatusForbidden)
	case 3: // says that nothing is there
		http.NotFound(w, q)
	case 4: // hangs up
		panic(http.ErrAbortHandler)
	case 5: // half an answer
		w.Header().Set("Content-Length", "4096")
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
		panic(http.ErrAbortHandler)
	case 6: // an empty list, where there may be one
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	}
}
