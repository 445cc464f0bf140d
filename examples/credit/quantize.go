package credit

import (
	"fmt"
	"math"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
	"github.com/pedigree-ml/pedigree/examples/safetensors"
)

// Widths of a quantised weight that this package writes and reads.
const (
	minBits = 2
	maxBits = 8
)

// A quantization records how weights became integers: weight ≈ code·scale with
// code from -levels to levels, the same scale for all weights and no offset.
type quantization struct {
	Method          string  `json:"method"`
	Bits            int     `json:"bits"`
	Clip            float64 `json:"clip"`
	CalibrationRows int     `json:"calibration_rows"`
	LogitRMSE       float64 `json:"logit_rmse"`
}

// levels is the largest code. The most negative integer is left unused, so that
// a weight and its negation have codes of one size.
func levels(bits int) int { return 1<<(bits-1) - 1 }

// clipShares are the clipping ranges tried, as shares of the largest weight. A
// smaller range cuts off the largest weights but stores the others more finely.
// These suit eight bits. Two bits would do better with 0.3 to 0.5, which is left
// out on purpose: a step that was run with the wrong setting must show.
func clipShares() []float64 { return []float64{1, 0.95, 0.9, 0.85, 0.8} }

// A quantized is a model with integer weights.
type quantized struct {
	config
	codes []int8
	scale float32
	bias  float32
}

// quantize stores the weights of m in the given number of bits, with the
// clipping range that changes the logits of the calibration rows least.
func quantize(m model, rows []row, bits int) (quantized, error) {
	if m.Quantization != nil {
		return quantized{}, fmt.Errorf("the model is already quantised to %d bits", m.Quantization.Bits)
	}
	var largest float64
	for _, w := range m.weights {
		largest = max(largest, math.Abs(w))
	}
	inputs := m.Features.encode(rows)
	best, bestError := quantized{}, math.Inf(1)
	for _, share := range clipShares() {
		clip := share * largest
		q := quantized{config: m.config, bias: float32(m.bias), scale: float32(clip / float64(levels(bits)))}
		q.codes = codes(m.weights, float64(q.scale), levels(bits))
		rmse := logitRMSE(m.logistic, q.logistic(), inputs)
		if rmse < bestError {
			q.Quantization = &quantization{"symmetric-per-tensor", bits, clip, len(rows), rmse}
			best, bestError = q, rmse
		}
	}
	return best, nil
}

// codes rounds weights/scale and clips to ±levels.
func codes(weights []float64, scale float64, levels int) []int8 {
	out := make([]int8, len(weights))
	if scale == 0 {
		return out // every weight is zero
	}
	for i, w := range weights {
		c := math.Round(w / scale)
		out[i] = int8(max(-float64(levels), min(float64(levels), c)))
	}
	return out
}

// logistic returns the model that the codes stand for.
func (q quantized) logistic() logistic {
	l := logistic{bias: float64(q.bias)}
	for _, c := range q.codes {
		l.weights = append(l.weights, float64(c)*float64(q.scale))
	}
	return l
}

// logitRMSE is the root mean squared difference between the logits of a and b.
func logitRMSE(a, b logistic, inputs [][]float64) float64 {
	var sum float64
	for _, x := range inputs {
		d := a.logit(x) - b.logit(x)
		sum += float64(d * d)
	}
	return math.Sqrt(sum / float64(len(inputs)))
}

// files returns the model directory. The card says what it was made from.
func (q quantized) files(baseModel string) (steps.Files, error) {
	tensors, err := safetensors.Format(safetensors.Int8("weight", q.codes...), safetensors.Float32("weight_scale", q.scale), safetensors.Float32("bias", q.bias))
	if err != nil {
		return nil, err
	}
	c, err := steps.FormatJSON(q.config)
	if err != nil {
		return nil, err
	}
	return steps.Files{weightsName: tensors, configName: c, cardName: quantizedCard(q.config, baseModel)}, nil
}
