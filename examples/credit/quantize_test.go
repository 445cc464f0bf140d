package credit

import (
	"math"
	"reflect"
	"testing"
)

func TestCodesRoundAndClip(t *testing.T) {
	got := codes([]float64{0, 0.24, 0.26, -0.26, 10, -10}, 0.5, 7)
	if want := []int8{0, 0, 1, -1, 7, -7}; !reflect.DeepEqual(got, want) {
		t.Errorf("codes are %v, want %v", got, want)
	}
	if got := codes([]float64{0, 0}, 0, 7); !reflect.DeepEqual(got, []int8{0, 0}) {
		t.Errorf("codes of zeros are %v, want zeros", got)
	}
}

func TestQuantizePicksTheBestRange(t *testing.T) {
	rows := germanCredit(t)
	m, err := train(rows, hyperparameters{Epochs: 50, LearningRate: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	var largest float64
	for _, w := range m.weights {
		largest = max(largest, math.Abs(w))
	}
	for bits := minBits; bits <= maxBits; bits++ {
		q, err := quantize(m, rows, bits)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range q.codes {
			if math.Abs(float64(c)) > float64(levels(bits)) {
				t.Errorf("%d bits: code %d, want at most %d", bits, c, levels(bits))
			}
		}
		for _, share := range clipShares() {
			scale := float32(share * largest / float64(levels(bits)))
			other := quantized{codes: codes(m.weights, float64(scale), levels(bits)), scale: scale, bias: float32(m.bias)}
			if rmse := logitRMSE(m.logistic, other.logistic(), m.Features.encode(rows)); rmse < q.Quantization.LogitRMSE {
				t.Errorf("%d bits: share %v has error %v, less than the chosen %v", bits, share, rmse, q.Quantization.LogitRMSE)
			}
		}
	}
}

func TestQuantizeRefusesAQuantisedModel(t *testing.T) {
	m := model{config: config{Quantization: &quantization{Bits: 4}}}
	_, err := quantize(m, nil, 8)
	if want := "the model is already quantised to 4 bits"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}
