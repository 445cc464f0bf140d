package serve

import (
	"container/list"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// handshakeTime bounds a handshake, from the moment in which the connection was
	// accepted. An honest one takes two round trips.
	handshakeTime = 5 * time.Second
)

// A door lets connections in: it bounds how many there are, makes their handshakes, and
// sees to it that HTTP/1 is read strictly. It is the net.Listener of an http.Server.
type door struct {
	inner net.Listener
	max   int
	certs *certs              // nil: plain HTTP
	log   io.Writer           // a line for each connection that failed
	count func(reason string) // connections that were closed from here: room, full, handshake

	ready chan net.Conn
	done  chan struct{}
	stop  sync.Once

	mu    sync.Mutex
	open  int
	fresh list.List // of *visit that have asked nothing yet, the oldest first
	idle  list.List // of *visit between questions, the longest idle first
}

// A visit is one connection, from accepting it to its end.
type visit struct {
	net.Conn
	door *door
	once sync.Once
	// What the handshake found; nothing with plain HTTP.
	name  string
	under *identity
	chain []*x509.Certificate

	in    *list.List // guarded by the door's mutex, as is place
	place *list.Element
}

// newDoor lets connections to inner in. If max are open already, room is made for a new
// one, or it is closed.
func newDoor(inner net.Listener, max int, c *certs, log io.Writer, count func(string)) *door {
	d := &door{inner: inner, max: max, certs: c, log: log, count: count, ready: make(chan net.Conn), done: make(chan struct{})}
	go d.run()
	return d
}

// run accepts until the listener is closed. An error of one connection (the other end is
// gone, no descriptors are left) is waited for and is no end.
func (d *door) run() {
	for wait := time.Duration(0); ; {
		c, err := d.inner.Accept()
		if err == nil {
			wait = 0
			if v := d.admit(c); v != nil {
				go d.greet(v)
			}
			continue
		}
		select {
		case <-d.done:
			return
		default:
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		fmt.Fprintf(d.log, "accepting connections: %v", err)
		select {
		case <-d.done:
			return
		case <-time.After(wait):
		}
	}
}

// admit counts a connection in, and makes room for it. It returns nil if there is none.
func (d *door) admit(c net.Conn) *visit {
	v := &visit{Conn: c, door: d}
	d.mu.Lock()
	var out *visit
	if d.open >= d.max {
		if out = d.spare(); out == nil {
			d.mu.Unlock()
			d.count("full")
			c.Close()
			return nil
		}
		out.put(nil)
	}
	d.open++
	v.put(&d.fresh)
	d.mu.Unlock()
	if out != nil {
		d.count("room")
		out.Close()
	}
	return v
}

// spare returns the connection that can be spared most easily, or nil.
func (d *door) spare() *visit {
	for _, l := range []*list.List{&d.fresh, &d.idle} {
		if e := l.Front(); e != nil {
			return e.Value.(*visit)
		}
	}
	return nil
}

// greet makes the handshake, and hands the connection to the server.
func (d *door) greet(v *visit) {
	c, err := d.handshake(v)
	if err != nil {
		d.count("handshake")
		if !errors.Is(err, io.EOF) { // who connects and leaves is counted, and not worth a line
			fmt.Fprintf(d.log, "handshake with %s: %v", v.RemoteAddr(), err)
		}
		v.Close()
		return
	}
	select {
	case d.ready <- c:
	case <-d.done:
		v.Close()
	}
}

func (d *door) handshake(v *visit) (net.Conn, error) {
	if d.certs == nil {
		return newStrictConn(v), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	// Which certificate is shown is decided for each handshake: a new one holds for the
	// next connection, and no connection has to end for it.
	c := tls.Server(v, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if v.under = d.certs.current.Load(); v.under == nil {
			return nil, errNoCertificate
		}
		return v.under.config, nil
	}})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	cs := c.ConnectionState()
	if v.under.clients != nil {
		v.chain = cs.PeerCertificates
		name, err := d.certs.client(cs)
		if err != nil {
			return nil, err
		}
		v.name = name
	}
	if cs.NegotiatedProtocol == "h2" {
		return c, nil // the server tells by the type that it is HTTP/2
	}
	return newStrictConn(c), nil
}

// Accept returns the next connection whose handshake was made.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

// Addr returns the listener's address.
func (d *door) Addr() net.Addr { return d.inner.Addr() }

// Close lets nobody in any more.
func (d *door) Close() error {
	d.stop.Do(func() { close(d.done) })
	return d.inner.Close()
}

// visitOf returns the visit behind a connection that Accept returned.
func visitOf(c net.Conn) *visit {
	for {
		switch x := c.(type) {
		case *visit:
			return x
		case *strictConn:
			c = x.Conn
		case *tls.Conn:
			c = x.NetConn()
		default:
			return nil // unreachable: the door makes no others
		}
	}
}

// state follows what the server says of a connection.
func (d *door) state(c net.Conn, s http.ConnState) {
	v := visitOf(c)
	if v == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch s {
	case http.StateActive:
		v.put(nil)
	case http.StateIdle:
		v.put(&d.idle)
	}
}

// put moves v to the end of a list of the door, nil for none. The door's mutex is held.
func (v *visit) put(l *list.List) {
	if v.in != nil {
		v.in.Remove(v.place)
	}
	v.in, v.place = l, nil
	if l != nil {
		v.place = l.PushBack(v)
	}
}

// Close closes the connection and counts it out.
func (v *visit) Close() error {
	v.once.Do(func() {
		v.door.mu.Lock()
		defer v.door.mu.Unlock()
		v.door.open--
		v.put(nil)
	})
	return v.Conn.Close()
}

// connections returns how many connections are open.
func (d *door) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}
