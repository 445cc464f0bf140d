package safetensors

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// raw builds a file from any header, to have malformed ones.
func raw(head string, data string) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(file, head...), data...)
}

func TestRoundTrip(t *testing.T) {
	want := map[string]Tensor{
		"weight":       Int8("weight", 1, -2, 127),
		"weight_scale": Float32("weight_scale", 0.25),
	}
	file, err := Format(want["weight"], want["weight_scale"])
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint64(file); n%8 != 0 || file[8] != '{' {
		t.Errorf("header has %d bytes and begins with %q, want a multiple of 8 and {", n, file[8])
	}
	got, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	codes, err := got["weight"].Int8s()
	if err != nil || !reflect.DeepEqual(codes, []int8{1, -2, 127}) {
		t.Errorf("codes are %v and error %v, want 1, -2, 127", codes, err)
	}
	scale, err := got["weight_scale"].Float32s()
	if err != nil || !reflect.DeepEqual(scale, []float32{0.25}) {
		t.Errorf("scale is %v and error %v, want 0.25", scale, err)
	}
}

func TestShapes(t *testing.T) {
	file, err := Format(Float32("w", 1, 2, 3, 4, 5, 6).Reshape(2, 3), Uint8("q", 7, 8).Reshape(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := got["w"].Float32s(2, 3); err != nil || len(v) != 6 || v[5] != 6 {
		t.Errorf("w is %v and error %v, want six numbers", v, err)
	}
	if v, err := got["q"].Uint8s(2, 1); err != nil || !reflect.DeepEqual(v, []uint8{7, 8}) {
		t.Errorf("q is %v and error %v, want 7, 8", v, err)
	}
	for _, shape := range [][]int{{3, 2}, {6}, nil} {
		if _, err := got["w"].Float32s(shape...); err == nil {
			t.Errorf("w was read as %v", shape)
		}
	}
	if wrong, err := Format(Float32("w", 1, 2, 3).Reshape(2, 2)); err != nil {
		t.Error(err)
	} else if _, err := Parse(wrong); err == nil {
		t.Error("a shape with other elements than there are was read")
	}
}

func TestParseRefuses(t *testing.T) {
	entry := func(name, dtype, shape string, begin, end int) string {
		return fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, dtype, shape, begin, end)
	}
	object := func(members ...string) string { return "{" + strings.Join(members, ",") + "}" }
	a, b := entry("a", "I8", "[4]", 0, 4), entry("b", "F32", "[1]", 4, 8)
	const data = "12345678"
	if _, err := Parse(raw(object(a, b)+"  ", data)); err != nil {
		t.Fatalf("two tensors must parse, or this test proves nothing: %v", err)
	}
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "0 bytes, want at least the 8 of the header length"},
		{"huge header", binary.LittleEndian.AppendUint64(nil, 1<<63), "header of 9223372036854775808 bytes exceeds 1048576"},
		{"cut header", raw(object(a, b), data)[:40], "header of 106 bytes does not fit in a file of 40"},
		{"empty header", raw("", data), "header is not a JSON object"},
		{"array", raw("[]", ""), "header is not a JSON object"},
		{"leading space", raw(" {}", ""), "header is not a JSON object"},
		{"invalid UTF-8", raw("{\"\xff\":1}", ""), "header is not a JSON object"},
		{"bad JSON", raw(`{"a":}`, ""), "header: not valid JSON"},
		{"trailing JSON", raw("{}{}", ""), "header: not valid JSON"},
		{"repeated tensor", raw(object(a, a), "1234"), `header: "a" appears twice`},
		{"metadata", raw(`{"__metadata__":{"a":1}}`, ""), "header: __metadata__ is not a map of strings"},
		{"tensor is a number", raw(`{"a":1}`, ""), `tensor "a": not a JSON object`},
		{"repeated member", raw(`{"a":{"dtype":"I8","dtype":"U8"}}`, ""), `tensor "a": "dtype" appears twice`},
		{"unknown member", raw(`{"a":{"Dtype":"I8"}}`, ""), `tensor "a": unknown member "Dtype"`},
		{"missing member", raw(`{"a":{"dtype":"I8","shape":[0]}}`, ""), `tensor "a": want dtype, shape and two data_offsets`},
		{"fractional shape", raw(`{"a":{"shape":[1.5]}}`, ""), `tensor "a": malformed shape`},
		{"unknown dtype", raw(object(entry("a", "I7", "[4]", 0, 4)), "1234"), `tensor "a": unknown dtype "I7"`},
		{"negative offset", raw(object(entry("a", "I8", "[4]", -4, 0)), "1234"), `tensor "a": offsets [-4, 0] are outside the 4 bytes of data`},
		{"end before begin", raw(object(entry("a", "I8", "[4]", 4, 0)), "1234"), `tensor "a": offsets [4, 0] are outside the 4 bytes of data`},
		{"past the end", raw(object(a), "123"), `tensor "a": offsets [0, 4] are outside the 3 bytes of data`},
		{"wrong size", raw(object(entry("a", "F32", "[2]", 0, 4)), "1234"), `tensor "a": F32 [2] needs 8 bytes, offsets give 4`},
		{"negative shape", raw(object(entry("a", "I8", "[-2,-2]", 0, 4)), "1234"), `tensor "a": shape [-2 -2] is out of range`},
		{"overflowing shape", raw(object(entry("a", "F64", "[65536,65536,65536,65536]", 0, 0)), ""), `tensor "a": shape [65536 65536 65536 65536] is out of range`},
		{"overlap", raw(object(a, entry("b", "I8", "[4]", 2, 6)), "123456"), `tensor "b" overlaps the one before it`},
		{"gap", raw(object(a, entry("b", "I8", "[2]", 5, 7)), "1234567"), `tensor "b" begins at 5, want 4: no gaps`},
		{"rest", raw(object(a), "12345"), "1 bytes after the last tensor"},
	}
	for _, test := range tests {
		tensors, err := Parse(test.file)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
		if tensors != nil {
			t.Errorf("%s: tensors were returned with the error", test.name)
		}
	}
}

func FuzzParse(f *testing.F) {
	file, err := Format(Int8("weight", 1, 2), Float32("bias", 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(raw("{}", ""))
	f.Fuzz(func(t *testing.T, file []byte) {
		tensors, err := Parse(file)
		if err != nil && tensors != nil {
			t.Error("tensors were returned with an error")
		}
		size := 0
		for _, x := range tensors {
			size += len(x.Data)
			_, _ = x.Float32s() // must not panic
			_, _ = x.Int8s()
		}
		if err == nil && len(file) != 8+int(binary.LittleEndian.Uint64(file))+size {
			t.Error("header and tensors do not add up to the file")
		}
	})
}
