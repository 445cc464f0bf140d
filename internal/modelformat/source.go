package modelformat

import (
	"errors"
	"fmt"
	"io"
)

// chunkSize is what is read at once, as where files are only hashed. It is a
// multiple of 512, so that whatever lies at a multiple of it is in one chunk.
const chunkSize = 1 << 20

// A problem is why a file is not a sound one of its format.
type problem string

func (p problem) Error() string { return string(p) }

func bad(format string, args ...any) error { return problem(fmt.Sprintf(format, args...)) }

// errShort is the problem of every length that leads past the end.
var errShort = problem("ends in the middle, or claims a length that leads past its end")

// A source gives a walker the bytes of a file in order, and shows each to what
// has to see all of them.
type source struct {
	r    io.Reader
	size int64
	buf  []byte

	chunk []byte // of buf, what the walker has not taken
	pos   int64  // where chunk begins
	read  int64  // bytes taken from r
	err   error  // r's; not io.EOF

	scratch   []byte
	zip       zipTail
	pickle    pickleWalk
	text      textScan
	userBlock bool // an HDF5 signature lies where readers look for one
	tar       bool // begins with a header of a tar archive
	complete  bool // all parts that make an ONNX model were there
}

// fill reads the next chunk. It reports whether there is one.
func (s *source) fill() bool {
	if s.err != nil || s.read > s.size {
		return false
	}
	n, err := io.ReadFull(s.r, s.buf)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.err = err
		return false
	}
	b := s.buf[:n]
	s.userBlock = s.userBlock || hdf5At(b, s.read)
	s.zip.write(b, s.read)
	s.pickle.write(b)
	s.text.write(b)
	s.chunk, s.pos = b, s.read
	s.read += int64(n)
	return n > 0
}

// left is how many bytes of the file the walker has not taken.
func (s *source) left() uint64 { return uint64(s.size - s.pos) }

// take returns the next n bytes, which are valid until the next call. Callers
// bound n themselves by what they are ready to hold.
func (s *source) take(n int) ([]byte, error) {
	if uint64(n) > s.left() {
		return nil, errShort
	}
	if len(s.chunk) == 0 && n > 0 && !s.fill() {
		return nil, errShort
	}
	if n <= len(s.chunk) {
		b := s.chunk[:n]
		s.advance(n)
		return b, nil
	}
	// Grows with the bytes that came, not to what was asked for.
	s.scratch = s.scratch[:0]
	for len(s.scratch) < n {
		if len(s.chunk) == 0 && !s.fill() {
			return nil, errShort
		}
		part := s.chunk[:min(len(s.chunk), n-len(s.scratch))]
		s.scratch = append(s.scratch, part...)
		s.advance(len(part))
	}
	return s.scratch, nil
}

// skip passes over n bytes.
func (s *source) skip(n uint64) error {
	if n > s.left() {
		return errShort
	}
	for n > 0 {
		if len(s.chunk) == 0 && !s.fill() {
			return errShort
		}
		part := int(min(uint64(len(s.chunk)), n))
		s.advance(part)
		n -= uint64(part)
	}
	return nil
}

func (s *source) advance(n int) {
	s.chunk = s.chunk[n:]
	s.pos += int64(n)
}

// judged walks the file and makes what is wrong with it a Result.
func (s *source) judged(format string, walk func(*source) error) Result {
	if err := walk(s); err != nil {
		return Result{Format: format, Problem: err.Error()}
	}
	return Result{Format: format}
}
