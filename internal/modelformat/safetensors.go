package modelformat

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"strconv"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// longestHeader is what the reference implementation reads: a longer header
	// is no safetensors for anybody.
	longestHeader = 100_000_000

	// mostHeader is what is read here, because the header must be held. Headers
	// of models in one file with 2,500 tensors have 300 KB; strictjson stops at
	// some 32,000 tensors, which are 5 MB.
	mostHeader = 16 << 20

	// mostShape is how many dimensions a tensor may have; PyTorch stops at 64.
	mostShape = 64
)

// looksLikeSafetensors reports whether head begins with a length that the
// reference implementation would read, and a JSON object.
func looksLikeSafetensors(head []byte) bool {
	return len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= longestHeader
}

// readSafetensors checks a whole file: a length, a JSON object of that length,
// and tensors that tile the rest. A gap would be room for bytes that no reader
// of tensors sees, an overlap two names for one byte.
func readSafetensors(s *source) error {
	b, err := s.take(8)
	if err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(b)
	switch {
	case n > longestHeader:
		return bad("its header claims %d bytes, more than any reader accepts (%d)", n, longestHeader)
	case n > s.left():
		return bad("its header claims %d bytes, and %d are left", n, s.left())
	case n > mostHeader:
		return bad("its header has %d bytes, at most %d are inspected", n, mostHeader)
	}
	if b, err = s.take(int(n)); err != nil {
		return err
	}
	if len(b) == 0 || b[0] != '{' {
		return bad("its header is no JSON object")
	}
	v, err := strictjson.Parse(b, mostHeader)
	if err != nil {
		return bad("its header: %v", err)
	}
	return tile(v.Members(), s.left())
}

// A span is what one tensor takes of the data.
type span struct {
	name       string
	begin, end uint64
}

func tile(members []strictjson.Member, data uint64) error {
	var spans []span
	for _, m := range members {
		if m.Key == "__metadata__" {
			if err := textMap(m.Value); err != nil {
				return err
			}
			continue
		}
		sp, err := tensorSpan(m)
		if err != nil {
			return bad("tensor %.100q: %v", m.Key, err)
		}
		spans = append(spans, sp)
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	at := uint64(0)
	for _, sp := range spans {
		switch {
		case sp.begin < at:
			return bad("tensor %.100q overlaps the one before it", sp.name)
		case sp.begin > at:
			return bad("%d bytes before tensor %.100q belong to no tensor", sp.begin-at, sp.name)
		case sp.end > data:
			return bad("tensor %.100q ends at %d of %d bytes of data", sp.name, sp.end, data)
		}
		at = sp.end
	}
	if at != data {
		return bad("%d bytes after the last tensor belong to none", data-at)
	}
	return nil
}

func textMap(v strictjson.Value) error {
	if v.Kind() != strictjson.Object {
		return bad("__metadata__ is no map of texts")
	}
	for _, m := range v.Members() {
		if m.Value.Kind() != strictjson.String {
			return bad("__metadata__ is no map of texts: %.100q", m.Key)
		}
	}
	return nil
}

// tensorSpan reads one entry of the header, and checks that shape and type need
// as many bytes as the offsets give.
func tensorSpan(m strictjson.Member) (span, error) {
	var dtype string
	var shape, offsets []uint64
	var err error
	if m.Value.Kind() != strictjson.Object || len(m.Value.Members()) != 3 {
		return span{}, errors.New("want dtype, shape and data_offsets")
	}
	for _, f := range m.Value.Members() {
		switch f.Key {
		case "dtype":
			dtype = f.Value.Text()
		case "shape":
			shape, err = counts(f.Value, mostShape)
		case "data_offsets":
			offsets, err = counts(f.Value, 2)
		default:
			err = bad("unknown field %.100q", f.Key)
		}
		if err != nil {
			return span{}, err
		}
	}
	if len(offsets) != 2 || offsets[1] < offsets[0] {
		return span{}, errors.New("its offsets are not two in order")
	}
	width := elementBits(dtype)
	if width == 0 {
		return span{}, bad("unknown dtype %.40q", dtype)
	}
	total, ok := product(width, shape)
	if !ok || total%8 != 0 || total/8 != offsets[1]-offsets[0] {
		return span{}, bad("its dtype and shape do not need the %d bytes that its offsets give", offsets[1]-offsets[0])
	}
	return span{m.Key, offsets[0], offsets[1]}, nil
}

// counts reads an array of at most most whole numbers.
func counts(v strictjson.Value, most int) ([]uint64, error) {
	if v.Kind() != strictjson.Array || len(v.Items()) > most {
		return nil, bad("want an array of at most %d whole numbers", most)
	}
	out := make([]uint64, len(v.Items()))
	for i, item := range v.Items() {
		n, err := strconv.ParseUint(item.Text(), 10, 64)
		if err != nil || item.Kind() != strictjson.Number {
			return nil, errors.New("want whole numbers")
		}
		out[i] = n
	}
	return out, nil
}

// product multiplies, and reports whether the result has 64 bits. As in the
// reference implementation, an overflow counts even if a zero follows.
func product(n uint64, by []uint64) (uint64, bool) {
	for _, f := range by {
		hi, lo := bits.Mul64(n, f)
		if hi != 0 {
			return 0, false
		}
		n = lo
	}
	return n, true
}

// elementBits returns the size of an element in bits, 0 for an unknown type:
// then nobody can say whether its offsets are honest.
func elementBits(dtype string) uint64 {
	switch dtype {
	case "F4":
		return 4
	case "F6_E2M3", "F6_E3M2":
		return 6
	case "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ":
		return 8
	case "U16", "I16", "F16", "BF16":
		return 16
	case "U32", "I32", "F32":
		return 32
	case "U64", "I64", "F64", "C64":
		return 64
	}
	return 0
}
