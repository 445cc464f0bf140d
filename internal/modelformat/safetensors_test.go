package modelformat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/examples/safetensors"
)

// raw makes a file of a header and data, as they are.
func raw(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// tensorsFile makes a sound file; its last tensor holds last.
func tensorsFile(t testing.TB, last ...byte) []byte {
	t.Helper()
	b, err := safetensors.Format(safetensors.Float32("w", 1, 2, 3), safetensors.Int8("q", -1, 1), safetensors.Uint8("last", last...))
	must(t, err)
	return b
}

// tensorsAt makes a sound file that has what at an offset.
func tensorsAt(t testing.TB, offset int, what string) []byte {
	t.Helper()
	data := 2 * offset
	b := raw(fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, data, data), data)
	copy(b[offset:], what)
	return b
}

func TestSafetensors(t *testing.T) {
	sound(t, tensorsFile(t), Safetensors)
	for what, b := range map[string][]byte{
		"no tensors":         raw(`{}`, 0),
		"metadata":           raw(`{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}}   `, 12),
		"a scalar":           raw(`{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}`, 8),
		"empty tensors":      raw(`{"a":{"dtype":"F64","shape":[0,7],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"c":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}`, 1),
		"any order":          raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[3,4]},"b":{"data_offsets":[0,3],"dtype":"I8","shape":[3]}}`, 4),
		"half a byte each":   raw(`{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"b":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[2,5]}}`, 5),
		"longer than a read": raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`+strings.Repeat(" ", 3<<20), 1),
	} {
		sound(t, b, Safetensors)
		_ = what
	}
}

// MLS-14: lengths, offsets and names that lie.
func TestSafetensorsRefuses(t *testing.T) {
	const a = `"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}`
	sound(t, raw(`{`+a+`}`, 4), Safetensors)
	for what, c := range map[string]struct {
		b   []byte
		why string
	}{
		"data cut off":           {raw(`{`+a+`}`, 3), "ends at 4 of 3"},
		"data behind":            {raw(`{`+a+`}`, 5), "belong to none"},
		"data, no tensors":       {raw(`{}`, 5), "belong to none"},
		"overlap":                {raw(`{`+a+`,"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}`, 5), "overlaps"},
		"the same bytes twice":   {raw(`{`+a+`,"b":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}`, 4), "overlaps"},
		"hole":                   {raw(`{`+a+`,"b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}}`, 7), "belong to no tensor"},
		"hole at the front":      {raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}}`, 5), "belong to no tensor"},
		"offsets backwards":      {raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}`, 4), "two in order"},
		"negative offset":        {raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}}`, 4), "whole numbers"},
		"fraction":               {raw(`{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}`, 4), "whole numbers"},
		"text for a number":      {raw(`{"a":{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}}`, 4), "whole numbers"},
		"three offsets":          {raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}`, 4), "at most 2"},
		"shape and size":         {raw(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}`, 4), "do not need"},
		"product overflows":      {raw(`{"a":{"dtype":"U8","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}`, 0), "do not need"},
		"overflow, then nothing": {raw(`{"a":{"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}`, 0), "do not need"},
		"half bytes":             {raw(`{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}`, 1), "do not need"},
		"unknown dtype":          {raw(`{"a":{"dtype":"U7","shape":[4],"data_offsets":[0,4]}}`, 4), "unknown dtype"},
		"no dtype":               {raw(`{"a":{"shape":[4],"data_offsets":[0,4]}}`, 4), "want dtype"},
		"another field":          {raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}}`, 4), "want dtype"},
		"field in place":         {raw(`{"a":{"dtype":"U8","shape":[4],"x":[0,4]}}`, 4), "unknown field"},
		"duplicate name":         {raw(`{`+a+`,`+a+`}`, 4), "duplicate key"},
		"duplicate by escape":    {raw(`{`+a+`,"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}`, 4), "duplicate key"},
		"metadata no map":        {raw(`{"__metadata__":[],`+a+`}`, 4), "map of texts"},
		"metadata no text":       {raw(`{"__metadata__":{"a":{}},`+a+`}`, 4), "map of texts"},
		"metadata twice":         {raw(`{"__metadata__":{},"__metadata__":{},`+a+`}`, 4), "duplicate key"},
		"header cut off":         {append(binary.LittleEndian.AppendUint64(nil, 100), `{"a":`...), "are left"},
		"header of 2^63":         {append(binary.LittleEndian.AppendUint64(nil, 1<<63), '{'), "more than any reader"},
		"header of 2^64-1":       {append(binary.LittleEndian.AppendUint64(nil, 1<<64-1), '{'), "more than any reader"},
		"header of nothing":      {append(binary.LittleEndian.AppendUint64(nil, 0), '{'), "no JSON object"},
		"no JSON":                {raw(`{"a":}`, 0), "not strict JSON"},
		"text after the object":  {raw(`{}{}`, 0), "not strict JSON"},
		"invalid UTF-8":          {raw("{\"\xff\":1}", 0), "not strict JSON"},
		"deep":                   {raw(`{"a":`+strings.Repeat("[", 100_000), 0), "limit"},
		"10^7 tensors":           {raw(`{`+strings.Repeat(`"a":{},`, 1_000_000), 0), "limit"},
	} {
		refused(t, what, c.b, Safetensors, c.why)
	}
	if got := inspect(t, raw(`{`+strings.Repeat(" ", mostHeader)+`}`, 0), "x"); got.Problem == "" || got.Format != Safetensors {
		t.Errorf("a header that is too long: %+v", got)
	}
}

// MLS-14: no file cut off anywhere is sound.
func TestSafetensorsCut(t *testing.T) {
	b := tensorsFile(t, 1, 2, 3)
	for n := range b {
		if got := inspect(t, b[:n], "a.safetensors"); got.Problem == "" {
			t.Errorf("cut to %d of %d bytes: %+v", n, len(b), got)
		}
	}
}

// Whoever writes the header decides nothing but what the bytes bear out: what is
// sound here can be read by another reader, tensor by tensor.
func FuzzSafetensors(f *testing.F) {
	f.Add(tensorsFile(f))
	f.Add(raw(`{"__metadata__":{"a":"b"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}}`, 12))
	f.Add(raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1))
	f.Add(append(binary.LittleEndian.AppendUint64(nil, 1<<63), '{'))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := inspect(t, b, "a.safetensors")
		if got.Format == Safetensors && got.Problem == "" {
			header := binary.LittleEndian.Uint64(b)
			if 8+header > uint64(len(b)) {
				t.Fatal("sound, with a header that is not there")
			}
			// The example's reader knows fewer types and has smaller limits.
			if bytes.Contains(b, []byte("F4")) || bytes.Contains(b, []byte("F6")) || bytes.Contains(b, []byte("F8")) || bytes.Contains(b, []byte("C64")) || len(b) > 1<<18 {
				return
			}
			if _, err := safetensors.Parse(b); err != nil {
				t.Fatalf("sound, and another reader refuses it: %v", err)
			}
		}
	})
}
