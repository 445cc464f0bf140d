package credit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxHeader bounds the JSON header of a safetensors file. This pipeline's has
// about 200 bytes.
const maxHeader = 1 << 20

// A tensor is one named array of a safetensors file.
type tensor struct {
	name  string
	dtype string
	shape []int
	data  []byte // little endian
}

// dtypeSize returns the bytes per element of a dtype, or 0 for one this reader
// does not know.
func dtypeSize(dtype string) int {
	switch dtype {
	case "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2":
		return 1
	case "U16", "I16", "F16", "BF16":
		return 2
	case "U32", "I32", "F32":
		return 4
	case "U64", "I64", "F64":
		return 8
	}
	return 0
}

// float32Tensor returns a one-dimensional F32 tensor.
func float32Tensor(name string, values ...float32) tensor {
	t := tensor{name: name, dtype: "F32", shape: []int{len(values)}}
	for _, v := range values {
		t.data = binary.LittleEndian.AppendUint32(t.data, math.Float32bits(v))
	}
	return t
}

// int8Tensor returns a one-dimensional I8 tensor.
func int8Tensor(name string, values ...int8) tensor {
	t := tensor{name: name, dtype: "I8", shape: []int{len(values)}}
	for _, v := range values {
		t.data = append(t.data, byte(v))
	}
	return t
}

// float32s returns the elements of a one-dimensional F32 tensor.
func (t tensor) float32s() ([]float32, error) {
	if t.dtype != "F32" || len(t.shape) != 1 {
		return nil, fmt.Errorf("tensor %q is %s %v, want F32 of one dimension", t.name, t.dtype, t.shape)
	}
	values := make([]float32, t.shape[0])
	for i := range values {
		v := math.Float32frombits(binary.LittleEndian.Uint32(t.data[4*i:]))
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("tensor %q: element %d is not finite", t.name, i)
		}
		values[i] = v
	}
	return values, nil
}

// int8s returns the elements of a one-dimensional I8 tensor.
func (t tensor) int8s() ([]int8, error) {
	if t.dtype != "I8" || len(t.shape) != 1 {
		return nil, fmt.Errorf("tensor %q is %s %v, want I8 of one dimension", t.name, t.dtype, t.shape)
	}
	values := make([]int8, len(t.data))
	for i, b := range t.data {
		values[i] = int8(b)
	}
	return values, nil
}

// headerEntry is the spelling of a tensor in the header.
type headerEntry struct {
	Dtype   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// formatSafetensors writes tensors in the given order. Keys are sorted and the
// header is padded to eight bytes, so equal tensors give equal files.
func formatSafetensors(tensors ...tensor) ([]byte, error) {
	head := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data []byte
	for _, t := range tensors {
		begin := len(data)
		data = append(data, t.data...)
		head[t.name] = headerEntry{t.dtype, t.shape, [2]int{begin, len(data)}}
	}
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	text = append(text, strings.Repeat(" ", -len(text)&7)...)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), data...), nil
}

// parseSafetensors parses a whole file. It accepts what the format's reference
// implementation accepts, less: an unknown dtype is refused, because its size
// could not be checked.
func parseSafetensors(file []byte) (map[string]tensor, error) {
	if len(file) < 8 {
		return nil, fmt.Errorf("%d bytes, want at least the 8 of the header length", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	if n > maxHeader {
		return nil, fmt.Errorf("header of %d bytes exceeds %d", n, maxHeader)
	}
	if n > uint64(len(file)-8) {
		return nil, fmt.Errorf("header of %d bytes does not fit in a file of %d", n, len(file))
	}
	head, data := file[8:8+n], file[8+n:]
	if len(head) == 0 || head[0] != '{' || !utf8.Valid(head) {
		return nil, errors.New("header is not a JSON object")
	}
	members, err := jsonMembers(head)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return parseTensors(members, data)
}

// parseTensors checks that the tensors tile data: none outside, no overlap, and
// no gap, where bytes could hide that no reader of tensors sees.
func parseTensors(members []jsonMember, data []byte) (map[string]tensor, error) {
	type span struct {
		tensor
		begin, end int
	}
	var spans []span
	for _, m := range members {
		if m.name == "__metadata__" {
			var metadata map[string]string
			if err := json.Unmarshal(m.value, &metadata); err != nil {
				return nil, errors.New("header: __metadata__ is not a map of strings")
			}
			continue
		}
		e, err := parseEntry(m.value)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", m.name, err)
		}
		begin, end := e.Offsets[0], e.Offsets[1]
		if begin < 0 || end < begin || end > len(data) {
			return nil, fmt.Errorf("tensor %q: offsets [%d, %d] are outside the %d bytes of data", m.name, begin, end, len(data))
		}
		if err := checkSize(e, end-begin); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", m.name, err)
		}
		spans = append(spans, span{tensor{m.name, e.Dtype, e.Shape, data[begin:end]}, begin, end})
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.begin != b.begin {
			return a.begin - b.begin
		}
		return a.end - b.end
	})
	tensors, at := make(map[string]tensor), 0
	for _, s := range spans {
		if s.begin < at {
			return nil, fmt.Errorf("tensor %q overlaps the one before it", s.name)
		}
		if s.begin > at {
			return nil, fmt.Errorf("tensor %q begins at %d, want %d: no gaps", s.name, s.begin, at)
		}
		at = s.end
		tensors[s.name] = s.tensor
	}
	if at != len(data) {
		return nil, fmt.Errorf("%d bytes after the last tensor", len(data)-at)
	}
	return tensors, nil
}

func parseEntry(value []byte) (headerEntry, error) {
	members, err := jsonMembers(value)
	if err != nil {
		return headerEntry{}, err
	}
	var e headerEntry
	var offsets []int
	for _, m := range members {
		switch m.name {
		case "dtype":
			err = json.Unmarshal(m.value, &e.Dtype)
		case "shape":
			err = json.Unmarshal(m.value, &e.Shape)
		case "data_offsets":
			err = json.Unmarshal(m.value, &offsets)
		default:
			return headerEntry{}, fmt.Errorf("unknown member %q", m.name)
		}
		if err != nil {
			return headerEntry{}, fmt.Errorf("malformed %s", m.name)
		}
	}
	if e.Dtype == "" || e.Shape == nil || len(offsets) != 2 {
		return headerEntry{}, errors.New("want dtype, shape and two data_offsets")
	}
	e.Offsets = [2]int(offsets)
	return e, nil
}

// checkSize reports whether dtype and shape need exactly size bytes.
func checkSize(e headerEntry, size int) error {
	want := dtypeSize(e.Dtype)
	if want == 0 {
		return fmt.Errorf("unknown dtype %q", e.Dtype)
	}
	for _, d := range e.Shape {
		if d < 0 || (d > 0 && want > maxFile/d) {
			return fmt.Errorf("shape %v is out of range", e.Shape)
		}
		want *= d
	}
	if want != size {
		return fmt.Errorf("%s %v needs %d bytes, offsets give %d", e.Dtype, e.Shape, want, size)
	}
	return nil
}

// A jsonMember is one name and value of a JSON object.
type jsonMember struct {
	name  string
	value json.RawMessage
}

// jsonMembers splits a JSON object. It refuses a repeated name, of which two
// readers could choose different values.
func jsonMembers(object []byte) ([]jsonMember, error) {
	if !json.Valid(object) {
		return nil, errors.New("not valid JSON")
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if t, _ := d.Token(); t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var members []jsonMember
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := jsonMember{name: t.(string)} // valid JSON: names are strings
		if seen[m.name] {
			return nil, fmt.Errorf("%q appears twice", m.name)
		}
		seen[m.name] = true
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}
