package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

// raw sends text over a connection of its own and returns all that comes back until the
// server closes it, or one second passed.
func raw(t testing.TB, f *fixture, roots *authority, text string) string {
	t.Helper()
	c := dial(t, f, roots, "http/1.1")
	if _, err := io.WriteString(c, text); err != nil {
		return ""
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c) // the deadline ends it if the server does not
	return string(b)
}

func dial(t testing.TB, f *fixture, roots *authority, proto string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if roots == nil {
		return c
	}
	tc := tls.Client(c, &tls.Config{RootCAs: roots.pool(), ServerName: "127.0.0.1", NextProtos: []string{proto}})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return tc
}

// counting counts the questions that reach the judge.
func counting(t testing.TB) (judgeFunc, *atomic.Int64) {
	n, yes := new(atomic.Int64), allow(t)
	return func(ctx context.Context, q gate.Question) gate.Answer { n.Add(1); return yes(ctx, q) }, n
}

func TestSmuggling(t *testing.T) {
	judge, asked := counting(t)
	plain := start(t, judge, nil)
	ca := newAuthority(t, "ca")
	secure, _ := startTLS(t, judge, ca, nil)
	const head = "POST /v1/verify HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\n"
	n := fmt.Sprintf("Content-Length: %d\r\n", len(asking))
	short := "Content-Length: 10\r\n"
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(asking), asking)
	ends := "Connection: close\r\n\r\n"
	for _, tc := range []struct {
		name, text string
		status     string // "": closed without a word is as good
	}{
		{"GAT-24 two Content-Length, equal", head + n + n + ends + asking, "400"},
		{"GAT-24 two Content-Length, different", head + n + short + ends + asking, "400"},
		{"GAT-24 Content-Length list", head + strings.TrimSuffix(n, "\r\n") + ", 10\r\n" + ends + asking, "400"},
		{"GAT-24 Content-Length then Transfer-Encoding", head + n + "Transfer-Encoding: chunked\r\n" + ends + chunked, "400"},
		{"GAT-24 Transfer-Encoding then Content-Length", head + "Transfer-Encoding: chunked\r\n" + n + ends + chunked, "400"},
		{"GAT-24 Transfer-Encoding alone", head + "Transfer-Encoding: chunked\r\n" + ends + chunked, "411"},
		{"GAT-24 Transfer-Encoding of another kind", head + "Transfer-Encoding: xchunked\r\n" + ends + asking, "501"},
		{"GAT-24 bare LF ends the header", head + n + "Connection: close\n\n" + asking, "400"},
		{"GAT-24 bare LF ends a line", strings.Replace(head, "gate\r\n", "gate\n", 1) + n + ends + asking, "400"},
		{"GAT-24 bare CR in a line", strings.Replace(head, "gate", "ga\rte", 1) + n + ends + asking, "400"},
		{"GAT-24 space before the colon", head + strings.Replace(n, ":", " :", 1) + ends + asking, "400"},
		{"GAT-24 continued line", head + "X: a\r\n Content-Length: 5\r\n" + n + ends + asking, "400"},
		{"GAT-24 signed length", head + strings.Replace(n, ": ", ": +", 1) + ends + asking, "400"},
		{"GAT-24 length with a zero before", head + strings.Replace(n, ": ", ": 0", 1) + ends + asking, "400"},
		{"GAT-24 line before the request", "\r\n" + head + n + ends + asking, "400"},
		{"GAT-24 header beyond its bound", head + "X: " + strings.Repeat("a", 2*maxHeader) + "\r\n" + n + ends + asking, ""},
		{"GAT-05 cleartext HTTP/2", http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""},
		{"GAT-05 upgrade to cleartext HTTP/2", head + n + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n" + "{" + asking[1:], "upgrade"},
	} {
		for name, on := range map[string]struct {
			f  *fixture
			ca *authority
		}{"plain": {plain, nil}, "TLS": {secure, ca}} {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				asked.Store(0)
				got := raw(t, on.f, on.ca, tc.text)
				if tc.status == "upgrade" { // answered as what it is without the upgrade
					if strings.Contains(got, "101 ") || !strings.HasPrefix(got, "HTTP/1.1 200 ") {
						t.Errorf("got %q", got)
					}
					return
				}
				if strings.Contains(got, "ALLOW") || asked.Load() != 0 || tc.status != "" && !strings.HasPrefix(got, "HTTP/1.1 "+tc.status+" ") {
					t.Errorf("asked %d times, got %q", asked.Load(), got)
				}
				if !strings.Contains(got, "Connection: close") && got != "" {
					t.Errorf("the connection goes on: %q", got)
				}
			})
		}
	}
	for name, on := range map[string]struct {
		f  *fixture
		ca *authority
	}{"plain": {plain, nil}, "TLS": {secure, ca}} {
		t.Run("two honest requests in one write/"+name, func(t *testing.T) {
			asked.Store(0)
			got := raw(t, on.f, on.ca, head+n+"\r\n"+asking+head+n+ends+asking)
			if strings.Count(got, "HTTP/1.1 200 ") != 2 || asked.Load() != 2 {
				t.Errorf("asked %d times, got %q", asked.Load(), got)
			}
		})
	}
}

// TestStrictConnByteByByte: what is read does not depend on how the network cuts it.
func TestStrictConnByteByByte(t *testing.T) {
	good := "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tc := range []struct {
		text string
		ok   bool
	}{
		{good + good, true},
		{strings.Replace(good, "x\r\n", "x\n", 1), false},
		{strings.Replace(good, "Content-Length: 4\r\n", "Content-Length: 4\r\ncontent-length: 4\r\n", 1), false},
		{strings.Replace(good, "Content-Length: 4", "Content-Length: 3", 1), false}, // the next request begins with LF
	} {
		for step := 1; step <= len(tc.text); step++ {
			c := newStrictConn(nil)
			var err error
			for part := range slices.Chunk([]byte(tc.text), step) {
				if err = c.scan(part); err != nil {
					break
				}
			}
			if (err == nil) != tc.ok {
				t.Fatalf("%q in steps of %d: %v", tc.text, step, err)
			}
		}
	}
}

// endless is a body without end.
type endless struct{ sent atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.sent.Add(int64(len(p)))
	return len(p), nil
}

func TestBodies(t *testing.T) {
	judge, asked := counting(t)
	const limit = 1 << 20
	change := func(o *Options) { o.Config.Limits.Body = limit }
	plain := start(t, judge, change)
	ca := newAuthority(t, "ca")
	secure, _ := startTLS(t, judge, ca, func(o *Options, _ *secret) { change(o) })
	clients := map[string]struct {
		f *fixture
		c *http.Client
	}{
		"HTTP/1.1":     {plain, client(t, nil, true)},
		"TLS HTTP/1.1": {secure, client(t, ca.pool(), true)},
		"TLS HTTP/2":   {secure, client(t, ca.pool(), false)},
	}
	for name, on := range clients {
		send := func(length int64, body io.Reader) (answered, error) {
			r, err := http.NewRequest(http.MethodPost, on.f.url("/admit"), body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = length
			r.Header.Set("Content-Type", "application/json")
			return read(on.c.Do(r))
		}
		padded := func(n int64) io.Reader { // a whole review, and white space up to n bytes
			rv := reviewOf("ns")
			return io.MultiReader(strings.NewReader(rv), io.LimitReader(new(endless), n-int64(len(rv))))
		}
		t.Run("GAT-04 the largest body/"+name, func(t *testing.T) {
			a, err := send(limit, padded(limit))
			if err != nil || a.status != 200 || !responseOf(t, a).Allowed {
				t.Fatalf("%v %d %s", err, a.status, a.body)
			}
		})
		for _, n := range []int64{limit + 1, 8 * limit, 100 * limit} {
			t.Run(fmt.Sprintf("GAT-04 %d bytes/%s", n, name), func(t *testing.T) {
				asked.Store(0)
				// The answer may come before the body was sent, and then the connection ends.
				if a, err := send(n, padded(n)); err == nil && a.status != 413 || asked.Load() != 0 {
					t.Errorf("asked %d times, %v %d %s", asked.Load(), err, a.status, a.body)
				}
			})
		}
		t.Run("GAT-04 chunked without end/"+name, func(t *testing.T) {
			asked.Store(0)
			body := new(endless)
			if a, err := send(-1, body); err == nil && a.status != 411 || asked.Load() != 0 {
				t.Errorf("asked %d times, %v %d %s", asked.Load(), err, a.status, a.body)
			}
			if n := body.sent.Load(); n > 8*limit {
				t.Errorf("%d bytes were taken", n)
			}
		})
		t.Run("GAT-04 chunked and whole/"+name, func(t *testing.T) {
			asked.Store(0)
			if a, err := send(-1, io.NopCloser(strings.NewReader(reviewOf("ns")))); err != nil || a.status != 411 || asked.Load() != 0 {
				t.Errorf("asked %d times, %v %d %s", asked.Load(), err, a.status, a.body)
			}
		})
	}
	review := reviewOf("ns")
	head := "POST /admit HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
	for name, on := range map[string]struct {
		f  *fixture
		ca *authority
	}{"plain": {plain, nil}, "TLS": {secure, ca}} {
		t.Run("GAT-04 Content-Length says less/"+name, func(t *testing.T) {
			asked.Store(0)
			// The beginning of a review that is itself whole: cut at its length it parses.
			got := raw(t, on.f, on.ca, fmt.Sprintf(head, len(review))+review+"{\"more\": \"of it\"}\r\n\r\n")
			// What follows is the next request, and none.
			if strings.Count(got, "HTTP/1.1 200 ") != 1 || !strings.Contains(got, "HTTP/1.1 400 ") || asked.Load() != 1 {
				t.Errorf("asked %d times, got %q", asked.Load(), got)
			}
			got = raw(t, on.f, on.ca, fmt.Sprintf(head, len(review)-1)+review)
			if strings.Contains(got, `"allowed":true`) {
				t.Errorf("got %q", got)
			}
		})
		t.Run("GAT-04 Content-Length says more/"+name, func(t *testing.T) {
			asked.Store(0)
			c := dial(t, on.f, on.ca, "http/1.1")
			fmt.Fprintf(c, head, len(review)+10)
			fmt.Fprint(c, review) // all of the review, and then the end
			closeWrite(t, c)
			b, _ := io.ReadAll(c)
			if asked.Load() != 0 || strings.Contains(string(b), `"allowed":true`) {
				t.Errorf("asked %d times, got %q", asked.Load(), b)
			}
		})
	}
	for _, f := range []*fixture{plain, secure} {
		eventually(t, "all bytes are given back", func() bool {
			f.reading.mu.Lock()
			defer f.reading.mu.Unlock()
			return f.reading.left == readingBytes(f.limits) && len(f.reading.taken) == 0
		})
	}
}

func closeWrite(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// TestHTTP2Bodies sends DATA frames that are more, or fewer, than was announced.
func TestHTTP2Bodies(t *testing.T) {
	judge, asked := counting(t)
	ca := newAuthority(t, "ca")
	f, _ := startTLS(t, judge, ca, nil)
	review := reviewOf("ns")
	for _, tc := range []struct {
		name   string
		length int
		want   int64
	}{{"as announced", len(review), 1}, {"GAT-04 HTTP/2 more than announced", len(review) - 5, 0}, {"GAT-04 HTTP/2 less than announced", len(review) + 5, 0}, {"GAT-04 HTTP/2 nothing announced", -1, 0}} {
		t.Run(tc.name, func(t *testing.T) {
			asked.Store(0)
			h := newH2(t, f, ca)
			h.headers(1, tc.length, false)
			if err := h.framer.WriteData(1, true, []byte(review)); err != nil {
				t.Fatal(err)
			}
			body := h.until(1, 5*time.Second)
			if asked.Load() != tc.want || strings.Contains(body, `"allowed":true`) != (tc.want == 1) {
				t.Errorf("asked %d times, got %q", asked.Load(), body)
			}
		})
	}
}

// h2 speaks HTTP/2 by frames.
type h2 struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	block  strings.Builder
	enc    *hpack.Encoder
}

func newH2(t *testing.T, f *fixture, ca *authority) *h2 {
	t.Helper()
	c := dial(t, f, ca, "h2")
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	h := &h2{t: t, conn: c, framer: http2.NewFramer(c, bufio.NewReader(c))}
	h.enc = hpack.NewEncoder(&h.block)
	if err := h.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return h
}

// headers opens a stream with a POST of /admit.
func (h *h2) headers(stream uint32, length int, end bool) {
	h.block.Reset()
	fields := [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "gate"}, {":path", "/admit"}, {"content-type", "application/json"}}
	if length >= 0 {
		fields = append(fields, [2]string{"content-length", fmt.Sprint(length)})
	}
	for _, kv := range fields {
		if err := h.enc.WriteField(hpack.HeaderField{Name: kv[0], Value: kv[1]}); err != nil {
			h.t.Fatal(err)
		}
	}
	_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(h.block.String()), EndHeaders: true, EndStream: end}) // a connection that ended is seen when reading
}

// until reads until a stream or the connection ends, and returns the stream's data.
func (h *h2) until(stream uint32, patience time.Duration) string {
	var body strings.Builder
	if err := h.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	for {
		fr, err := h.framer.ReadFrame()
		if err != nil {
			return body.String()
		}
		switch fr := fr.(type) {
		case *http2.DataFrame:
			body.Write(fr.Data())
			if fr.StreamID == stream && fr.StreamEnded() {
				return body.String()
			}
		case *http2.RSTStreamFrame:
			if fr.StreamID == stream {
				return body.String()
			}
		}
	}
}

// TestHTTP2Floods: streams beyond the bound, and streams that are reset as soon as they are
// open, end the attacker's connection or are answered; they do not pile up.
func TestHTTP2Floods(t *testing.T) {
	ca := newAuthority(t, "ca")
	hang := make(chan struct{})
	yes := allow(t)
	f, _ := startTLS(t, func(ctx context.Context, q gate.Question) gate.Answer {
		if q.Context == "attacker" {
			select {
			case <-hang:
			case <-ctx.Done():
			}
		}
		return yes(ctx, q)
	}, ca, func(o *Options, _ *secret) { o.Config.Limits.Deadline = 2 * time.Second })
	defer close(hang)
	before := runtime.NumGoroutine()
	review := reviewOf("attacker")
	c := client(t, ca.pool(), false)
	t.Run("GAT-05 stream resets", func(t *testing.T) {
		h := newH2(t, f, ca)
		go func() { _, _ = io.Copy(io.Discard, h.conn) }()
		peak := 0
		for i := range uint32(5000) {
			h.headers(2*i+1, len(review), false)
			if err := h.framer.WriteData(2*i+1, true, []byte(review)); err != nil {
				break
			}
			if err := h.framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel); err != nil {
				break
			}
			peak = max(peak, runtime.NumGoroutine())
		}
		if peak > before+3*maxStreams+200 {
			t.Errorf("%d goroutines, %d before", peak, before)
		}
		if r := responseOf(t, post(t, c, f.url("/admit"), reviewOf("good"))); !r.Allowed {
			t.Errorf("good traffic: %+v", r)
		}
	})
	t.Run("GAT-05 too many streams", func(t *testing.T) {
		h := newH2(t, f, ca)
		for i := range uint32(2 * maxStreams) {
			h.headers(2*i+1, len(review), false)
		}
		refused := 0
		if err := h.conn.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			fr, err := h.framer.ReadFrame()
			if err != nil {
				break
			}
			switch fr.(type) {
			case *http2.RSTStreamFrame, *http2.GoAwayFrame:
				refused++
			}
		}
		if refused == 0 {
			t.Error("twice as many streams as may be open were taken")
		}
		if r := responseOf(t, post(t, c, f.url("/admit"), reviewOf("good"))); !r.Allowed {
			t.Errorf("good traffic: %+v", r)
		}
	})
}

// TestSlowClients takes as long as the server is patient with them: all at once.
func TestSlowClients(t *testing.T) {
	judge, asked := counting(t)
	f := start(t, judge, nil)
	ends := func(t *testing.T, c net.Conn, drip string) {
		t.Helper()
		stop := time.Now().Add(headerTime + bodyTime + 5*time.Second)
		go func() {
			for range 200 {
				if _, err := io.WriteString(c, drip); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		if err := c.SetReadDeadline(stop); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() || strings.Contains(string(b), "allowed") {
			t.Errorf("the connection goes on: %q %v", b, err)
		}
	}
	for name, text := range map[string][2]string{
		"GAT-05 no byte":     {"", ""},
		"GAT-05 slow header": {"POST /admit HTTP/1.1\r\nHost: x\r\nX: ", "a"},
		"GAT-05 slow body":   {"POST /admit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", " "},
		"GAT-05 slow tail":   {"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{", " "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, f, nil, "")
			if _, err := io.WriteString(c, text[0]); err != nil {
				t.Fatal(err)
			}
			ends(t, c, text[1])
			if asked.Load() != 0 {
				t.Error("the judge was asked")
			}
		})
	}
	t.Run("GAT-05 slow HTTP/2 body", func(t *testing.T) {
		t.Parallel()
		ca := newAuthority(t, "ca")
		f, _ := startTLS(t, judge, ca, nil)
		h := newH2(t, f, ca)
		h.headers(1, 1000, false)
		if err := h.framer.WriteData(1, false, []byte("{")); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if body := h.until(1, bodyTime+3*time.Second); strings.Contains(body, "allowed") || !strings.Contains(body, "E_USAGE") || time.Since(begin) > bodyTime+2*time.Second {
			t.Errorf("after %v: %q", time.Since(begin), body)
		}
	})
	t.Run("GAT-05 handshake without end", func(t *testing.T) {
		t.Parallel()
		ca := newAuthority(t, "ca")
		f, _ := startTLS(t, judge, ca, nil)
		c := dial(t, f, nil, "")
		ends(t, c, "\x16")
	})
}

// TestIdleConnections: more connections than are let in stand open, and some ask something
// now and then. Who asks is answered all the same: the idle ones make room.
func TestIdleConnections(t *testing.T) {
	f := start(t, allow(t), func(o *Options) { o.Config.Limits.Connections = 200 })
	var idle []net.Conn
	for range 1500 { // the same ratio as 10,000 to 1,333; a test has 20,000 descriptors for both ends
		c, err := net.Dial("tcp", f.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		defer c.Close()
	}
	c := client(t, nil, true)
	for i := range 200 {
		if a := post(t, c, f.url("/v1/verify"), asking); a.status != 200 {
			t.Fatalf("request %d: %d", i, a.status)
		}
		if i%10 == 0 {
			c.CloseIdleConnections() // a new connection gets in as well
		}
	}
	if n := f.door.connections(); n > 200+1 {
		t.Errorf("%d connections are open", n)
	}
	if !strings.Contains(f.metricsText(t), `pedigree_gate_connections_closed_total{reason="room"}`) {
		t.Error("not counted")
	}
	for _, c := range idle {
		c.Close()
	}
	eventually(t, "closed connections are counted out", func() bool { return f.door.connections() <= 1 })
}

// TestFullOfWork: connections that all wait for an answer are not closed for a new one.
func TestFullOfWork(t *testing.T) {
	hang := make(chan struct{})
	yes := allow(t)
	f := start(t, func(ctx context.Context, q gate.Question) gate.Answer { <-hang; return yes(ctx, q) },
		func(o *Options) { o.Config.Limits.Connections = 3 })
	done := make(chan int, 3)
	for range 3 {
		c := client(t, nil, true)
		go func() {
			a, _ := tryPost(c, f.url("/v1/verify"), asking)
			done <- a.status
		}()
	}
	eventually(t, "three work", func() bool { n, _ := f.queue.counts(); return n == 3 })
	if a, err := tryPost(client(t, nil, true), f.url("/v1/verify"), asking); err == nil {
		t.Errorf("a fourth: %d", a.status)
	}
	close(hang)
	for range 3 {
		if s := <-done; s != 200 {
			t.Errorf("a question in flight: %d", s)
		}
	}
}
