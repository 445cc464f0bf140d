package credit

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// rawSafetensors builds a file from any header, to have malformed ones.
func rawSafetensors(head string, data string) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(file, head...), data...)
}

func TestSafetensorsRoundTrip(t *testing.T) {
	want := map[string]tensor{
		"weight":       int8Tensor("weight", 1, -2, 127),
		"weight_scale": float32Tensor("weight_scale", 0.25),
	}
	file, err := formatSafetensors(want["weight"], want["weight_scale"])
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint64(file); n%8 != 0 || file[8] != '{' {
		t.Errorf("header has %d bytes and begins with %q, want a multiple of 8 and {", n, file[8])
	}
	got, err := parseSafetensors(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	codes, err := got["weight"].int8s()
	if err != nil || !reflect.DeepEqual(codes, []int8{1, -2, 127}) {
		t.Errorf("codes are %v and error %v, want 1, -2, 127", codes, err)
	}
	scale, err := scalar(got, "weight_scale")
	if err != nil || scale != 0.25 {
		t.Errorf("scale is %v and error %v, want 0.25", scale, err)
	}
}

func TestParseSafetensorsRefuses(t *testing.T) {
	entry := func(name, dtype, shape string, begin, end int) string {
		return fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, dtype, shape, begin, end)
	}
	object := func(members ...string) string { return "{" + strings.Join(members, ",") + "}" }
	a, b := entry("a", "I8", "[4]", 0, 4), entry("b", "F32", "[1]", 4, 8)
	const data = "12345678"
	if _, err := parseSafetensors(rawSafetensors(object(a, b)+"  ", data)); err != nil {
		t.Fatalf("two tensors must parse, or this test proves nothing: %v", err)
	}
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "0 bytes, want at least the 8 of the header length"},
		{"huge header", binary.LittleEndian.AppendUint64(nil, 1<<63), "header of 9223372036854775808 bytes exceeds 1048576"},
		{"cut header", rawSafetensors(object(a, b), data)[:40], "header of 106 bytes does not fit in a file of 40"},
		{"empty header", rawSafetensors("", data), "header is not a JSON object"},
		{"array", rawSafetensors("[]", ""), "header is not a JSON object"},
		{"leading space", rawSafetensors(" {}", ""), "header is not a JSON object"},
		{"invalid UTF-8", rawSafetensors("{\"\xff\":1}", ""), "header is not a JSON object"},
		{"bad JSON", rawSafetensors(`{"a":}`, ""), "header: not valid JSON"},
		{"trailing JSON", rawSafetensors("{}{}", ""), "header: not valid JSON"},
		{"repeated tensor", rawSafetensors(object(a, a), "1234"), `header: "a" appears twice`},
		{"metadata", rawSafetensors(`{"__metadata__":{"a":1}}`, ""), "header: __metadata__ is not a map of strings"},
		{"tensor is a number", rawSafetensors(`{"a":1}`, ""), `tensor "a": not a JSON object`},
		{"repeated member", rawSafetensors(`{"a":{"dtype":"I8","dtype":"U8"}}`, ""), `tensor "a": "dtype" appears twice`},
		{"unknown member", rawSafetensors(`{"a":{"Dtype":"I8"}}`, ""), `tensor "a": unknown member "Dtype"`},
		{"missing member", rawSafetensors(`{"a":{"dtype":"I8","shape":[0]}}`, ""), `tensor "a": want dtype, shape and two data_offsets`},
		{"fractional shape", rawSafetensors(`{"a":{"shape":[1.5]}}`, ""), `tensor "a": malformed shape`},
		{"unknown dtype", rawSafetensors(object(entry("a", "I7", "[4]", 0, 4)), "1234"), `tensor "a": unknown dtype "I7"`},
		{"negative offset", rawSafetensors(object(entry("a", "I8", "[4]", -4, 0)), "1234"), `tensor "a": offsets [-4, 0] are outside the 4 bytes of data`},
		{"end before begin", rawSafetensors(object(entry("a", "I8", "[4]", 4, 0)), "1234"), `tensor "a": offsets [4, 0] are outside the 4 bytes of data`},
		{"past the end", rawSafetensors(object(a), "123"), `tensor "a": offsets [0, 4] are outside the 3 bytes of data`},
		{"wrong size", rawSafetensors(object(entry("a", "F32", "[2]", 0, 4)), "1234"), `tensor "a": F32 [2] needs 8 bytes, offsets give 4`},
		{"negative shape", rawSafetensors(object(entry("a", "I8", "[-2,-2]", 0, 4)), "1234"), `tensor "a": shape [-2 -2] is out of range`},
		{"overflowing shape", rawSafetensors(object(entry("a", "F64", "[65536,65536,65536,65536]", 0, 0)), ""), `tensor "a": shape [65536 65536 65536 65536] is out of range`},
		{"overlap", rawSafetensors(object(a, entry("b", "I8", "[4]", 2, 6)), "123456"), `tensor "b" overlaps the one before it`},
		{"gap", rawSafetensors(object(a, entry("b", "I8", "[2]", 5, 7)), "1234567"), `tensor "b" begins at 5, want 4: no gaps`},
		{"rest", rawSafetensors(object(a), "12345"), "1 bytes after the last tensor"},
	}
	for _, test := range tests {
		tensors, err := parseSafetensors(test.file)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
		if tensors != nil {
			t.Errorf("%s: tensors were returned with the error", test.name)
		}
	}
}

func FuzzParseSafetensors(f *testing.F) {
	file, err := formatSafetensors(int8Tensor("weight", 1, 2), float32Tensor("bias", 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(rawSafetensors("{}", ""))
	f.Fuzz(func(t *testing.T, file []byte) {
		tensors, err := parseSafetensors(file)
		if err != nil && tensors != nil {
			t.Error("tensors were returned with an error")
		}
		size := 0
		for _, x := range tensors {
			size += len(x.data)
			_, _ = x.float32s() // must not panic
			_, _ = x.int8s()
		}
		if err == nil && len(file) != 8+int(binary.LittleEndian.Uint64(file))+size {
			t.Error("header and tensors do not add up to the file")
		}
	})
}
