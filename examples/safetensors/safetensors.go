// Package safetensors writes and reads the safetensors format, in which a model's
// weights are a JSON header and plain numbers.
//
// It was made because its predecessors, Python pickles, run code when they are
// loaded. A reader that is lenient gives part of that back: a file that two
// readers see differently is a place to hide something. So Parse refuses gaps,
// overlaps, trailing bytes, repeated names and types it does not know, and
// Format writes equal tensors as equal bytes.
package safetensors

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

// maxHeader bounds the JSON header. Those of the examples have up to 1 KiB.
const maxHeader = 1 << 20

// maxSize bounds the bytes of one tensor, far above those of the examples: it
// keeps the product of a shape from overflowing.
const maxSize = 64 << 20

// A Tensor is one named array of a safetensors file.
type Tensor struct {
	Name  string
	DType string
	Shape []int
	Data  []byte // little endian
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

// Float32 returns an F32 tensor of one dimension; Reshape gives it others.
func Float32(name string, values ...float32) Tensor {
	t := Tensor{Name: name, DType: "F32", Shape: []int{len(values)}}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(v))
	}
	return t
}

// Int8 returns an I8 tensor of one dimension.
func Int8(name string, values ...int8) Tensor {
	t := Tensor{Name: name, DType: "I8", Shape: []int{len(values)}}
	for _, v := range values {
		t.Data = append(t.Data, byte(v))
	}
	return t
}

// Uint8 returns a U8 tensor of one dimension.
func Uint8(name string, values ...uint8) Tensor {
	return Tensor{Name: name, DType: "U8", Shape: []int{len(values)}, Data: slices.Clone(values)}
}

// Reshape returns t with another shape, which must have as many elements: Parse
// refuses a file where it has not.
func (t Tensor) Reshape(shape ...int) Tensor {
	t.Shape = shape
	return t
}

// Float32s returns the elements of an F32 tensor of the given shape, the last
// index fastest. Elements that are not finite are refused.
func (t Tensor) Float32s(shape ...int) ([]float32, error) {
	if err := t.check("F32", shape); err != nil {
		return nil, err
	}
	values := make([]float32, len(t.Data)/4)
	for i := range values {
		v := math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("tensor %q: element %d is not finite", t.Name, i)
		}
		values[i] = v
	}
	return values, nil
}

// Int8s returns the elements of an I8 tensor of the given shape.
func (t Tensor) Int8s(shape ...int) ([]int8, error) {
	if err := t.check("I8", shape); err != nil {
		return nil, err
	}
	values := make([]int8, len(t.Data))
	for i, b := range t.Data {
		values[i] = int8(b)
	}
	return values, nil
}

// Uint8s returns the elements of a U8 tensor of the given shape.
func (t Tensor) Uint8s(shape ...int) ([]uint8, error) {
	if err := t.check("U8", shape); err != nil {
		return nil, err
	}
	return slices.Clone(t.Data), nil
}

// check asks for a type and a shape; no shape is any of one dimension.
func (t Tensor) check(dtype string, shape []int) error {
	if t.DType == dtype && (slices.Equal(t.Shape, shape) || len(shape) == 0 && len(t.Shape) == 1) {
		return nil
	}
	want := "one dimension"
	if len(shape) > 0 {
		want = fmt.Sprint(shape)
	}
	return fmt.Errorf("tensor %q is %s %v, want %s of %s", t.Name, t.DType, t.Shape, dtype, want)
}

// headerEntry is the spelling of a tensor in the header.
type headerEntry struct {
	Dtype   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// Format writes tensors in the given order. Keys are sorted and the
// header is padded to eight bytes, so equal tensors give equal files.
func Format(tensors ...Tensor) ([]byte, error) {
	head := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data []byte
	for _, t := range tensors {
		begin := len(data)
		data = append(data, t.Data...)
		head[t.Name] = headerEntry{t.DType, t.Shape, [2]int{begin, len(data)}}
	}
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	text = append(text, strings.Repeat(" ", -len(text)&7)...)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), data...), nil
}

// Parse parses a whole file. It accepts what the format's reference
// implementation accepts, less: an unknown dtype is refused, because its size
// could not be checked.
func Parse(file []byte) (map[string]Tensor, error) {
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
func parseTensors(members []jsonMember, data []byte) (map[string]Tensor, error) {
	type span struct {
		Tensor
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
		spans = append(spans, span{Tensor{m.name, e.Dtype, e.Shape, data[begin:end]}, begin, end})
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.begin != b.begin {
			return a.begin - b.begin
		}
		return a.end - b.end
	})
	tensors, at := make(map[string]Tensor), 0
	for _, s := range spans {
		if s.begin < at {
			return nil, fmt.Errorf("tensor %q overlaps the one before it", s.Name)
		}
		if s.begin > at {
			return nil, fmt.Errorf("tensor %q begins at %d, want %d: no gaps", s.Name, s.begin, at)
		}
		at = s.end
		tensors[s.Name] = s.Tensor
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
		if d < 0 || (d > 0 && want > maxSize/d) {
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
