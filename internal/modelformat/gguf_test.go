package modelformat

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// A ggufText writes GGUF piece by piece, honest or not.
type ggufText struct{ b []byte }

func (g *ggufText) u32(n uint32) *ggufText {
	g.b = binary.LittleEndian.AppendUint32(g.b, n)
	return g
}

func (g *ggufText) u64(n uint64) *ggufText {
	g.b = binary.LittleEndian.AppendUint64(g.b, n)
	return g
}

func (g *ggufText) text(s string) *ggufText {
	g.u64(uint64(len(s)))
	g.b = append(g.b, s...)
	return g
}

func (g *ggufText) bytes(b ...byte) *ggufText {
	g.b = append(g.b, b...)
	return g
}

func gguf(version uint32, tensors, pairs uint64) *ggufText {
	return (&ggufText{b: []byte("GGUF")}).u32(version).u64(tensors).u64(pairs)
}

func (g *ggufText) tensor(name string, kind uint32, offset uint64, shape ...uint64) *ggufText {
	g.text(name).u32(uint32(len(shape)))
	for _, n := range shape {
		g.u64(n)
	}
	return g.u32(kind).u64(offset)
}

// data pads and adds n bytes of data.
func (g *ggufText) data(n int) []byte {
	g.b = append(g.b, make([]byte, -len(g.b)&31)...)
	return append(g.b, make([]byte, n)...)
}

// ggufFile makes a sound file; its last tensor holds last.
func ggufFile(t testing.TB, last ...byte) []byte {
	t.Helper()
	g := gguf(3, 3, 5)
	g.text("general.architecture").u32(ggufString).text("llama")
	g.text("general.file_type").u32(ggufUint32).u32(2)
	g.text("llama.flag").u32(ggufBool).bytes(1)
	g.text("tokenizer.ggml.tokens").u32(ggufArray).u32(ggufString).u64(2).text("<s>").text("</s>")
	g.text("tokenizer.ggml.scores").u32(ggufArray).u32(6).u64(2).u32(0).u32(0)
	g.tensor("blk.0.attn_q.weight", 2, 0, 64, 2) // Q4_0: 4 blocks of 18 bytes
	g.tensor("norm", 0, 96, 3)
	g.tensor("last", 24, 128, uint64(len(last)))
	b := g.data(128)
	return append(b, last...)
}

func TestGGUF(t *testing.T) {
	sound(t, ggufFile(t), GGUF)
	sound(t, ggufFile(t, make([]byte, 2<<20)...), GGUF)
	for what, b := range map[string][]byte{
		"version 2":           gguf(2, 1, 0).tensor("a", 0, 0, 2).data(8),
		"padded at the end":   gguf(3, 1, 0).tensor("a", 0, 0, 2).data(32),
		"vocabulary only":     gguf(3, 0, 1).text("a").u32(0).bytes(1).b,
		"the same, padded":    gguf(3, 0, 1).text("a").u32(0).bytes(1).data(0),
		"alignment of 8":      append(gguf(3, 2, 1).text("general.alignment").u32(4).u32(8).tensor("a", 24, 0, 1).tensor("b", 24, 8, 1).data(0), make([]byte, 9)...),
		"any order":           gguf(3, 2, 0).tensor("a", 24, 32, 1).tensor("b", 24, 0, 1).data(33),
		"a scalar":            gguf(3, 1, 0).tensor("a", 28, 0).data(8),
		"no elements":         gguf(3, 1, 0).tensor("a", 0, 0, 0, 5).data(0),
		"four dimensions":     gguf(3, 1, 0).tensor("a", 12, 0, 256, 2, 1, 1).data(288),
		"arrays in arrays":    gguf(3, 0, 1).text("a").u32(9).u32(9).u64(2).u32(0).u64(1).bytes(1).u32(8).u64(1).text("x").b,
		"an array of nothing": gguf(3, 0, 1).text("a").u32(9).u32(8).u64(0).b,
	} {
		if got := inspect(t, b, "m.gguf"); got != (Result{Format: GGUF}) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// MLS-14: counts, lengths and offsets that lie.
func TestGGUFRefuses(t *testing.T) {
	sound(t, ggufFile(t), GGUF)
	deep := gguf(3, 0, 1).text("a").u32(9)
	for range 10 {
		deep.u32(9).u64(1)
	}
	key := func(k string) *ggufText { return gguf(3, 0, 1).text(k) }
	for what, c := range map[string]struct {
		b   []byte
		why string
	}{
		"magic alone":              {[]byte("GGUF"), "ends in the middle"},
		"version 1":                {gguf(1, 0, 0).b, "version 1"},
		"big endian":               {gguf(3<<24, 0, 0).b, "version"},
		"2^64 tensors":             {gguf(3, 1<<64-1, 0).data(64), "claims"},
		"2^64 pairs":               {gguf(3, 0, 1<<64-1).data(64), "claims"},
		"many pairs, with room":    {gguf(3, 0, mostPairs+1).data(1 << 20), "claims"},
		"many tensors, with room":  {gguf(3, mostTensors+1, 0).data(2 << 20), "claims"},
		"more tensors than fit":    {gguf(3, 9, 0).data(64), "claims"},
		"key of 2^64 bytes":        {gguf(3, 0, 1).u64(1<<64 - 1).data(64), "a name of"},
		"key that is cut":          {gguf(3, 0, 1).u64(200).data(64), "ends in the middle"},
		"empty key":                {key("").u32(0).bytes(1).b, "is empty"},
		"key twice":                {gguf(3, 0, 2).text("a").u32(0).bytes(1).text("a").u32(0).bytes(1).b, "occurs twice"},
		"unknown type":             {key("a").u32(13).data(64), "unknown type 13"},
		"boolean of 2":             {key("a").u32(7).bytes(2).b, "boolean"},
		"text of 2^64":             {key("a").u32(8).u64(1<<64 - 1).data(64), "leads past its end"},
		"array of 2^64":            {key("a").u32(9).u32(0).u64(1<<64 - 1).data(64), "leads past its end"},
		"array whose size wraps":   {key("a").u32(9).u32(10).u64(1 << 61).data(64), "leads past its end"},
		"array of 2^64 texts":      {key("a").u32(9).u32(8).u64(1<<64 - 1).data(64), "leads past its end"},
		"array of an unknown type": {key("a").u32(9).u32(77).u64(1).data(64), "unknown type 77"},
		"deep arrays":              {deep.data(64), "nest deeper"},
		"alignment of 0":           {key("general.alignment").u32(4).u32(0).data(0), "power of two"},
		"alignment of 24":          {key("general.alignment").u32(4).u32(24).data(0), "power of two"},
		"alignment of 2^31":        {key("general.alignment").u32(4).u32(1 << 31).data(0), "power of two"},
		"alignment as text":        {key("general.alignment").u32(8).u64(8).data(64), "power of two"},
		"name of 65 bytes":         {gguf(3, 1, 0).tensor(strings.Repeat("a", 65), 0, 0, 2).data(8), "a name of"},
		"no name":                  {gguf(3, 1, 0).tensor("", 0, 0, 2).data(8), "no name"},
		"name twice":               {gguf(3, 2, 0).tensor("a", 0, 0, 2).tensor("a", 0, 32, 2).data(40), "another's name"},
		"five dimensions":          {gguf(3, 1, 0).tensor("a", 0, 0, 2, 1, 1, 1, 1).data(8), "5 dimensions"},
		"2^32 dimensions":          {gguf(3, 1, 0).text("a").u32(1<<32 - 1).data(64), "dimensions"},
		"removed type":             {gguf(3, 1, 0).tensor("a", 4, 0, 32).data(32), "of type 4"},
		"unknown tensor type":      {gguf(3, 1, 0).tensor("a", 1000, 0, 32).data(32), "of type 1000"},
		"half a block":             {gguf(3, 1, 0).tensor("a", 2, 0, 48).data(64), "whole blocks"},
		"product overflows":        {gguf(3, 1, 0).tensor("a", 0, 0, 1<<32, 1<<32, 4).data(64), "impossible"},
		"size overflows":           {gguf(3, 1, 0).tensor("a", 0, 0, 1<<62).data(64), "impossible"},
		"offset not aligned":       {gguf(3, 1, 0).tensor("a", 0, 4, 2).data(12), "impossible"},
		"offset of 2^64-32":        {gguf(3, 1, 0).tensor("a", 0, 1<<64-32, 2).data(64), "impossible"},
		"offset past the end":      {gguf(3, 2, 0).tensor("a", 0, 0, 2).tensor("b", 0, 32, 2).data(39), "ends at 40 of 39"},
		"overlap":                  {gguf(3, 2, 0).tensor("a", 0, 0, 16).tensor("b", 0, 32, 2).data(64), "overlaps"},
		"hole":                     {gguf(3, 2, 0).tensor("a", 0, 0, 2).tensor("b", 0, 64, 2).data(72), "belong to no tensor"},
		"hole at the front":        {gguf(3, 1, 0).tensor("a", 0, 32, 2).data(40), "belong to no tensor"},
		"data behind":              {gguf(3, 1, 0).tensor("a", 0, 0, 2).data(33), "belong to none"},
		"data, no tensors":         {gguf(3, 0, 0).data(1), "belong to no tensor"},
	} {
		refused(t, what, c.b, GGUF, c.why)
	}
}

func TestGGUFCut(t *testing.T) {
	b := ggufFile(t, 1, 2, 3)
	for n := 4; n < len(b); n++ {
		if got := inspect(t, b[:n], "a.gguf"); got.Problem == "" {
			t.Errorf("cut to %d of %d bytes: %+v", n, len(b), got)
		}
	}
}

// The table of block sizes against the formulas of ggml-common.h, for those types
// that have one.
func TestBlocks(t *testing.T) {
	const k = 256
	for kind, want := range map[uint32][2]uint64{
		2: {32, 2 + 16}, 3: {32, 2 + 2 + 16}, 6: {32, 2 + 4 + 16}, 7: {32, 2 + 2 + 4 + 16}, 8: {32, 2 + 32}, 9: {32, 4 + 32},
		10: {k, 2 + 2 + k/16 + k/4}, 11: {k, 2 + k/4 + k/8 + 12}, 12: {k, 2 + 2 + k/2 + 12}, 13: {k, 2 + 2 + k/2 + k/8 + 12},
		14: {k, 2 + k/2 + k/4 + k/16}, 15: {k, 4 + k + k/8}, 16: {k, 2 + k/4}, 17: {k, 2 + k/4 + k/32}, 18: {k, 2 + k/4 + k/8},
		19: {k, 2 + k/8 + k/16}, 20: {32, 2 + 16}, 21: {k, 2 + k/4 + k/8 + k/32 + 4}, 22: {k, 2 + k/4 + k/16}, 23: {k, 2 + 2 + k/2 + k/64},
		29: {k, k/8 + k/16 + k/32}, 34: {k, 2 + 4*13}, 35: {k, 2 + 64}, 39: {32, 1 + 16}, 40: {64, 4 + 32},
	} {
		if n, size := ggmlBlock(kind); n != want[0] || size != want[1] {
			t.Errorf("type %d: blocks of %d in %d bytes, want %v", kind, n, size, want)
		}
	}
}

func FuzzGGUF(f *testing.F) {
	f.Add(ggufFile(f, 1, 2))
	f.Add(gguf(3, 1<<40, 1<<63).data(64))
	f.Add(gguf(2, 0, 1).text("a").u32(9).u32(9).u64(1).u32(8).u64(1).text("x").b)
	f.Fuzz(func(t *testing.T, b []byte) {
		got := inspect(t, b, "a.gguf")
		if bytes.HasPrefix(b, []byte("GGUF")) != (got.Format == GGUF) {
			t.Fatalf("%+v", got)
		}
		// No byte of a sound file is unaccounted for, so one more than padding is too many.
		if got != (Result{Format: GGUF}) {
			return
		}
		if more := inspect(t, append(bytes.Clone(b), make([]byte, chunkSize+1)...), "a.gguf"); more.Problem == "" {
			t.Fatal("sound with a megabyte behind it")
		}
	})
}
