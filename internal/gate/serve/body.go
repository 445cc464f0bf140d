package serve

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// readStep is by how much a body's buffer grows first. Most reviews have 2 to 8 KiB.
const readStep = 16 << 10

// body reads the whole body of r, which has said how long it is, or says why not. What
// was not read to that length and to its end is not returned: a body that was cut short
// and still parses would be somebody else's question. Memory is taken as bytes arrive,
// not as they are announced, so that announcing costs nothing. The caller gives len(body)
// back to s.reading when it knows whose body it is: then the queue counts it.
func (s *Server) body(w http.ResponseWriter, r *http.Request, client string, limit int64) ([]byte, *failure) {
	n := r.ContentLength
	switch {
	case n < 0 || len(r.TransferEncoding) > 0:
		return nil, fail(http.StatusLengthRequired, reasonLength, attest.CodeUsage, "the request does not say how long its body is", "send a Content-Length")
	case n == 0:
		return nil, fail(http.StatusBadRequest, reasonMalform, attest.CodeUsage, "the request has no body", "")
	case n > limit:
		return nil, tooLarge(limit)
	}
	from := http.MaxBytesReader(w, r.Body, limit)
	var buf []byte
	for int64(len(buf)) < n {
		grow := min(max(int64(len(buf)), readStep), n-int64(len(buf)))
		if !s.reading.take(client, grow) {
			s.reading.give(client, int64(len(buf)))
			return nil, overload(reasonReading, "too many bytes are being read")
		}
		next := make([]byte, int64(len(buf))+grow)
		copy(next, buf)
		if _, err := io.ReadFull(from, next[len(buf):]); err != nil {
			s.reading.give(client, int64(len(next)))
			return nil, unread(err, limit)
		}
		buf = next
	}
	var one [1]byte
	if k, err := io.ReadFull(from, one[:]); k != 0 || err != io.EOF {
		s.reading.give(client, n)
		return nil, unread(err, limit)
	}
	if r.ProtoMajor == 1 {
		// The deadline for reading is over with the body; beyond it the server would take
		// the silence of a client that waits for its answer for its end.
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
			s.reading.give(client, n)
			return nil, unread(err, limit)
		}
	}
	return buf, nil
}

func tooLarge(limit int64) *failure {
	f := fail(http.StatusRequestEntityTooLarge, reasonTooLarge, attest.CodeLimit, "the body is larger than is read", "ask about less at once")
	f.refusal.About = byteCount(limit)
	return f
}

func unread(err error, limit int64) *failure {
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return tooLarge(limit)
	}
	return fail(http.StatusBadRequest, reasonCutShort, attest.CodeUsage, "the body did not come whole and in time", "send it again")
}

// isJSON reports whether a Content-Type is JSON, in the only character set it has.
func isJSON(header []string) bool {
	if len(header) != 1 {
		return false
	}
	if header[0] == "application/json" {
		return true
	}
	t, params, err := mime.ParseMediaType(header[0])
	if err != nil || t != "application/json" {
		return false
	}
	for k, v := range params {
		if k != "charset" || !strings.EqualFold(v, "utf-8") {
			return false
		}
	}
	return true
}

// isPlain reports whether a Content-Encoding is none. What is said to be compressed is not
// read as it is: whoever believed the header would read something else.
func isPlain(header []string) bool {
	return len(header) == 0 || len(header) == 1 && header[0] == "identity"
}
