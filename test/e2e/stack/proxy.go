package stack

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"
)

// A Fault is what a [Proxy] does to a request.
type Fault int

const (
	None    Fault = iota // passes it on
	Hangup               // closes the connection without a word
	Error                // answers 500
	Half                 // sends the first half of the real answer, and closes the connection
	Garbage              // sends the real status and headers, and other bytes
	Hang                 // says nothing until the client gives up
	Slow                 // answers half a second late
)

// A Proxy stands before a service and answers for it in the ways that networks do.
type Proxy struct {
	URL string

	srv    *httptest.Server
	target *url.URL

	mu    sync.Mutex
	fault Fault
	asked int
}

// NewProxy returns a proxy that does nothing yet before the address of a service; the
// address's path is kept.
func NewProxy(target string) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: u}
	p.srv = httptest.NewServer(p)
	p.URL = p.srv.URL + u.Path
	return p, nil
}

// Set says what happens to requests from now on.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Asked returns how many requests came.
func (p *Proxy) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Close stops the proxy, and whatever hangs in it.
func (p *Proxy) Close() {
	p.srv.CloseClientConnections()
	p.srv.Close()
}

// ServeHTTP handles one request as the proxy's fault says.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked++
	fault := p.fault
	p.mu.Unlock()
	switch fault {
	case Hangup:
		panic(http.ErrAbortHandler)
	case Error:
		http.Error(w, "the service is not well", http.StatusInternalServerError)
		return
	case Hang:
		io.Copy(io.Discard, r.Body) // the server notices a client that left only once its request is read
		<-r.Context().Done()
		return
	case Slow:
		time.Sleep(500 * time.Millisecond)
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.target.Scheme+"://"+p.target.Host+r.URL.RequestURI(), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Header = r.Header.Clone()
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for k, v := range answer.Header {
		w.Header()[k] = v
	}
	w.Header().Del("Content-Length")
	if fault == Garbage {
		for i := range body {
			body[i] ^= 0x5a
		}
	}
	w.WriteHeader(answer.StatusCode)
	if fault == Half {
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}
