package cluster

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// A tunnel is what API servers of clusters reach Services through whose network they are
// not in: they ask it for a connection (HTTP CONNECT over a socket of the file system).
// Here there are no nodes and so no network; all Services lead to one address on
// loopback, or to any of several. Certificates and names are those of the Service.
type tunnel struct {
	to  atomic.Pointer[[]string] // nil or empty: nobody is there
	srv *http.Server
}

// openTunnel listens at a path.
func openTunnel(path string) (*tunnel, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	t := &tunnel{}
	t.srv = &http.Server{Handler: t}
	go t.srv.Serve(l) // ends with Close
	return t, nil
}

// ServeHTTP answers CONNECT.
func (t *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := t.to.Load()
	if r.Method != http.MethodConnect || to == nil || len(*to) == 0 {
		http.Error(w, "nobody is there", http.StatusBadGateway)
		return
	}
	there, err := net.Dial("tcp", (*to)[rand.IntN(len(*to))])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	if _, err := io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(there, buffered)
		there.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		io.Copy(here, there)
		here.Close() // the other direction has nothing to wait for
	})
	both.Wait()
}

// egress makes the API server reach Services through a tunnel at a path.
func egress(path string) string {
	return `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: ` + path + `}}}
`
}

// Route makes every Service of the cluster lead to addresses, each connection to any of
// them whether or not somebody is there; without one who asks a Service is refused at once.
func (c *Cluster) Route(addresses ...string) { c.tunnel.to.Store(&addresses) }
