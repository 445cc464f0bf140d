package modelformat

import (
	"cmp"
	"encoding/binary"
	"slices"
)

const (
	// mostPairs and mostTensors bound what is remembered to find names that occur
	// twice. Large models have some 60 pairs and 3,000 tensors.
	mostPairs   = 1 << 14
	mostTensors = 1 << 16

	// mostKey is the longest key read; the specification has 65,535 bytes, real
	// keys fewer than 80.
	mostKey = 256

	// mostName is the longest tensor name, GGML_MAX_NAME.
	mostName = 64

	// mostNesting is how deep arrays may nest. The specification sets no bound,
	// llama.cpp reads flat ones only; the walk recurses once per level.
	mostNesting = 4

	// A tensor's description takes at least this many bytes, a pair at least that:
	// counts that need more than there is are refused before they are used.
	leastTensor = 8 + 4 + 4 + 8
	leastPair   = 8 + 4 + 1
)

// The types of values, as the specification numbers them.
const (
	ggufUint32 = 4
	ggufBool   = 7
	ggufString = 8
	ggufArray  = 9
)

// ggufWidth returns the size of a value of a fixed-size type, and 0 for others.
func ggufWidth(t uint32) uint64 {
	widths := [...]uint64{0: 1, 1: 1, 2: 2, 3: 2, ggufUint32: 4, 5: 4, 6: 4, ggufBool: 1, 10: 8, 11: 8, 12: 8}
	if t >= uint32(len(widths)) {
		return 0
	}
	return widths[t]
}

// ggmlBlock returns how many elements of a tensor type make a block, and its
// size. Both are 0 for a type that this table lacks, removed ones included.
func ggmlBlock(t uint32) (elements, bytes uint64) {
	blocks := [...][2]uint64{
		0: {1, 4}, 1: {1, 2}, 2: {32, 18}, 3: {32, 20}, 6: {32, 22}, 7: {32, 24}, 8: {32, 34}, 9: {32, 36}, // F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1
		10: {256, 84}, 11: {256, 110}, 12: {256, 144}, 13: {256, 176}, 14: {256, 210}, 15: {256, 292}, // Q2_K to Q8_K
		16: {256, 66}, 17: {256, 74}, 18: {256, 98}, 19: {256, 50}, 20: {32, 18}, 21: {256, 110}, 22: {256, 82}, 23: {256, 136}, // IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS
		24: {1, 1}, 25: {1, 2}, 26: {1, 4}, 27: {1, 8}, 28: {1, 8}, 29: {256, 56}, 30: {1, 2}, // I8 to I64, F64, IQ1_M, BF16
		34: {256, 54}, 35: {256, 66}, 39: {32, 17}, 40: {64, 36}, // TQ1_0, TQ2_0, MXFP4, NVFP4
	}
	if t >= uint32(len(blocks)) {
		return 0, 0
	}
	return blocks[t][0], blocks[t][1]
}

// A ggufReader reads numbers in a file's order. The first error stays, and all
// that is read after it is zero.
type ggufReader struct {
	s   *source
	err error
}

func (g *ggufReader) u32() uint32 {
	if b := g.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (g *ggufReader) u64() uint64 {
	if b := g.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (g *ggufReader) take(n int) []byte {
	if g.err != nil {
		return nil
	}
	b, err := g.s.take(n)
	if err != nil {
		g.err = err
		return nil
	}
	return b
}

// name reads a text that is remembered, of at most most bytes.
func (g *ggufReader) name(most uint64) string {
	n := g.u64()
	if g.err == nil && n > most {
		g.err = bad("a name of %d bytes, at most %d are allowed", n, most)
	}
	return string(g.take(int(min(n, most))))
}

func (g *ggufReader) skip(n uint64) {
	if g.err == nil {
		g.err = g.s.skip(n)
	}
}

// readGGUF walks a whole file: the pairs, the descriptions of tensors, and where
// those say that their data lies.
func readGGUF(s *source) error {
	g := &ggufReader{s: s}
	g.take(4)
	version, tensors, pairs := g.u32(), g.u64(), g.u64()
	switch {
	case g.err != nil:
		return g.err
	case version != 2 && version != 3:
		return bad("GGUF version %d is not read; 2 and 3 are, little endian", version)
	case tensors > mostTensors || tensors > s.left()/leastTensor:
		return bad("claims %d tensors; %d bytes are left and at most %d tensors are inspected", tensors, s.left(), mostTensors)
	case pairs > mostPairs || pairs > s.left()/leastPair:
		return bad("claims %d pairs; %d bytes are left and at most %d pairs are inspected", pairs, s.left(), mostPairs)
	}
	alignment, err := g.pairs(pairs)
	if err != nil {
		return err
	}
	spans, err := g.tensors(tensors, alignment)
	if err != nil {
		return err
	}
	return layOut(spans, alignment, uint64(s.pos), uint64(s.size))
}

// pairs walks the metadata and returns the alignment, the one value that decides
// where the data lies.
func (g *ggufReader) pairs(n uint64) (uint64, error) {
	alignment := uint64(32)
	seen := make(map[string]bool)
	for range n {
		key := g.name(mostKey)
		kind := g.u32()
		switch {
		case g.err != nil:
			return 0, g.err
		case key == "" || seen[key]:
			return 0, bad("key %.100q is empty or occurs twice", key)
		case key == "general.alignment":
			alignment = uint64(g.u32())
			if g.err == nil && (kind != ggufUint32 || alignment < 8 || alignment&(alignment-1) != 0 || alignment > chunkSize) {
				return 0, bad("general.alignment is no power of two from 8 to %d", chunkSize)
			}
		default:
			g.value(kind, 0)
		}
		if g.err != nil {
			return 0, bad("key %.100q: %v", key, g.err)
		}
		seen[key] = true
	}
	return alignment, nil
}

// value walks one value. Every element of an array takes at least a byte, so
// the work is bounded by the file.
func (g *ggufReader) value(kind uint32, depth int) {
	switch {
	case g.err != nil:
	case kind == ggufBool:
		if b := g.take(1); b != nil && b[0] > 1 {
			g.err = bad("a boolean of value %d", b[0])
		}
	case ggufWidth(kind) > 0:
		g.skip(ggufWidth(kind))
	case kind == ggufString:
		g.skip(g.u64())
	case kind == ggufArray && depth < mostNesting:
		element, n := g.u32(), g.u64()
		if w := ggufWidth(element); w > 0 {
			if g.err == nil && n > g.s.left()/w {
				g.err = errShort
			}
			g.skip(n * w)
			return
		}
		for i := uint64(0); i < n && g.err == nil; i++ {
			g.value(element, depth+1)
		}
	case kind == ggufArray:
		g.err = bad("arrays nest deeper than %d", mostNesting)
	default:
		g.err = bad("unknown type %d", kind)
	}
}

// tensors reads the descriptions.
func (g *ggufReader) tensors(n, alignment uint64) ([]span, error) {
	var spans []span
	seen := make(map[string]bool)
	for range n {
		name := g.name(mostName)
		rank := g.u32()
		if g.err == nil && (rank > 4 || name == "" || seen[name]) {
			return nil, bad("tensor %.100q has %d dimensions, no name, or another's name", name, rank)
		}
		var shape [4]uint64
		for i := range min(rank, 4) {
			shape[i] = g.u64()
		}
		kind, offset := g.u32(), g.u64()
		if g.err != nil {
			return nil, g.err
		}
		per, width := ggmlBlock(kind)
		switch {
		case per == 0:
			return nil, bad("tensor %.100q is of type %d, whose size is not known", name, kind)
		case rank == 0:
			shape[0] = 1
		}
		if shape[0]%per != 0 {
			return nil, bad("tensor %.100q: a row of %d is not whole blocks of %d", name, shape[0], per)
		}
		size, ok := product(width, append([]uint64{shape[0] / per}, shape[1:max(1, rank)]...))
		if !ok || size > 1<<62 || offset > 1<<62 || offset%alignment != 0 {
			return nil, bad("tensor %.100q has an impossible size or offset", name)
		}
		seen[name] = true
		spans = append(spans, span{name, offset, offset + size})
	}
	return spans, nil
}

// layOut checks that the tensors lie behind each other in the rest of the file,
// each at the next aligned place, as ggml writes and wants them.
func layOut(spans []span, alignment, at, size uint64) error {
	align := func(n uint64) uint64 { return (n + alignment - 1) &^ (alignment - 1) }
	data := align(at)
	if len(spans) == 0 {
		if size > data {
			return bad("%d bytes belong to no tensor", size-data)
		}
		return nil
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	if size < data {
		return errShort
	}
	end := uint64(0)
	for _, sp := range spans {
		switch {
		case sp.begin < end:
			return bad("tensor %.100q overlaps the one before it", sp.name)
		case sp.begin > align(end):
			return bad("%d bytes before tensor %.100q belong to no tensor", sp.begin-align(end), sp.name)
		case sp.end > size-data:
			return bad("tensor %.100q ends at %d of %d bytes of data", sp.name, sp.end, size-data)
		}
		end = sp.end
	}
	if size-data > align(end) {
		return bad("%d bytes after the last tensor belong to none", size-data-align(end))
	}
	return nil
}
