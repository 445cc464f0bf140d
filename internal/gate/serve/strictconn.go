package serve

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"strings"
)

// maxHeader bounds the bytes of a request's header. An API server's has about 400.
const maxHeader = 16 << 10

// errFraming ends an HTTP/1 connection; the server answers it with 400.
var errFraming = errors.New("malformed HTTP/1 framing")

// strictConn is an HTTP/1 connection on which it is certain where each request ends.
//
// The standard library reads as RFC 9112 permits: lines may end in LF alone, equal
// Content-Lengths count as one, and of Content-Length and Transfer-Encoding the second
// wins. A proxy in front of the gate may read the same bytes otherwise, and what one takes
// for the end of a body is to the other a request with the proxy's authority. Here lines
// end in CRLF, and a body has one Content-Length or, which is refused with an explanation
// later, a Transfer-Encoding, never both.
type strictConn struct {
	net.Conn
	err    error
	line   []byte // of the header, as far as it was read
	header int    // bytes of the header so far
	lines  int    // complete lines of the header
	body   int64  // bytes that still belong to the last body; -1: all
	length int64  // Content-Length; -1: none
	coding bool   // Transfer-Encoding was there
}

func newStrictConn(c net.Conn) *strictConn { return &strictConn{Conn: c, length: -1} }

// Read fails for good once a request cannot be read in one way only. Of such a request
// the reader never gets the end of the header.
func (c *strictConn) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.Conn.Read(p)
	if c.err = c.scan(p[:n]); c.err != nil {
		return 0, c.err
	}
	return n, err
}

func (c *strictConn) scan(p []byte) error {
	for len(p) > 0 {
		if c.body < 0 {
			return nil
		}
		if c.body > 0 {
			n := min(c.body, int64(len(p)))
			c.body -= n
			p = p[n:]
			continue
		}
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i+1]
		}
		if c.header += len(part); c.header > 2*maxHeader {
			return errFraming // the server's own bound, which has a better answer, is lower
		}
		c.line = append(c.line, part...)
		p = p[len(part):]
		if i < 0 {
			return nil
		}
		line, ok := bytes.CutSuffix(c.line, []byte("\r\n"))
		if !ok || bytes.IndexByte(line, '\r') >= 0 {
			return errFraming
		}
		if err := c.take(line); err != nil {
			return err
		}
		c.line = c.line[:0]
		c.lines++
		if len(line) == 0 {
			c.next()
		}
	}
	return nil
}

// take reads one line of the header, its end cut off.
func (c *strictConn) take(line []byte) error {
	if c.lines == 0 {
		if len(line) == 0 {
			return errFraming
		}
		return nil // the server reads it
	}
	if len(line) == 0 {
		if c.coding && c.length >= 0 {
			return errFraming
		}
		return nil
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
		return errFraming // a continued line begins with a space
	}
	switch {
	case strings.EqualFold(string(name), "Transfer-Encoding"):
		c.coding = true
	case strings.EqualFold(string(name), "Content-Length"):
		text := string(bytes.Trim(value, " \t"))
		n, err := strconv.ParseUint(text, 10, 62)
		if err != nil || c.length >= 0 || strconv.FormatUint(n, 10) != text {
			return errFraming
		}
		c.length = int64(n)
	}
	return nil
}

// next ends the header. What follows a Transfer-Encoding is not followed: such a request
// is refused, and its connection ends with it.
func (c *strictConn) next() {
	c.body = max(c.length, 0)
	if c.coding {
		c.body = -1
	}
	c.length, c.coding, c.lines, c.header = -1, false, 0, 0
}
