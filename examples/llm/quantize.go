package llm

import (
	"fmt"
	"math"

	"github.com/pedigree-ml/pedigree/examples/safetensors"
)

// A quantization records how weights became integers: weight ≈ code·scale, with a
// scale for each row and no offset. Biases stay as they are: they are few.
type quantization struct {
	Method string `json:"method"`
	Bits   int    `json:"bits"`
}

const quantizationMethod = "symmetric-per-row"

func (q quantization) check() error {
	if q.Method != quantizationMethod || q.Bits != 8 && q.Bits != 4 {
		return fmt.Errorf("quantization %s with %d bits, want %s with 8 or 4", q.Method, q.Bits, quantizationMethod)
	}
	return nil
}

// levels is the largest code. The most negative integer is left unused, so that
// a weight and its negation have codes of one size.
func (q quantization) levels() int { return 1<<(q.Bits-1) - 1 }

// tensors are the quantised weights of n.
func (q quantization) tensors(n network) []safetensors.Tensor {
	out := q.matrix("embed.weight", n.embed)
	out = append(out, q.matrix("hidden.weight", n.hidden)...)
	out = append(out, floats("hidden.bias", n.hiddenBias, hidden))
	out = append(out, q.matrix("output.weight", n.output)...)
	return append(out, floats("output.bias", n.logits, vocabulary))
}

// matrix returns the codes of m and the scales of its rows. Codes of four bits
// are stored two in a byte, the first in the lower half, each with 8 added.
func (q quantization) matrix(name string, m matrix) []safetensors.Tensor {
	scales := make([]float64, m.rows)
	codes := make([]int8, len(m.values))
	for i := range m.rows {
		var largest float64
		for _, w := range m.row(i) {
			largest = max(largest, math.Abs(w))
		}
		// What is stored is what the codes are worked out with.
		scale := float64(float32(largest / float64(q.levels())))
		scales[i] = scale
		for j, w := range m.row(i) {
			if scale > 0 {
				codes[i*m.cols+j] = int8(math.Round(w / scale))
			}
		}
	}
	stored := safetensors.Int8(name, codes...).Reshape(m.rows, m.cols)
	if q.Bits == 4 {
		packed := make([]uint8, len(codes)/2) // every matrix here has an even number of columns
		for i := range packed {
			packed[i] = uint8(codes[2*i]+8) | uint8(codes[2*i+1]+8)<<4
		}
		stored = safetensors.Uint8(name, packed...).Reshape(m.rows, m.cols/2)
	}
	return []safetensors.Tensor{stored, floats(name+"_scale", scales, m.rows)}
}

// codes reads what matrix wrote.
func (q quantization) codes(t safetensors.Tensor, rows, cols int) ([]int8, error) {
	var codes []int8
	var err error
	if q.Bits == 8 {
		codes, err = t.Int8s(rows, cols)
	} else {
		var packed []uint8
		packed, err = t.Uint8s(rows, cols/2)
		for _, b := range packed {
			codes = append(codes, int8(b&15)-8, int8(b>>4)-8)
		}
	}
	for i, c := range codes {
		if int(c) < -q.levels() {
			return nil, fmt.Errorf("tensor %q: code %d is %d, want at least %d", t.Name, i, c, -q.levels())
		}
	}
	return codes, err
}
