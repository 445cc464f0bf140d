package credit

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/pedigree-ml/pedigree/examples/internal/exact"
)

// A hyperparameters value holds what the user chooses about training. It is
// written to the model's config.json.
type hyperparameters struct {
	Epochs       int     `json:"epochs"`
	LearningRate float64 `json:"learning_rate"`
	L2           float64 `json:"l2"`
	Seed         uint64  `json:"seed"`
}

// A logistic is a logistic regression: the probability that a loan is good is
// sigmoid(weights·x + bias).
type logistic struct {
	weights []float64
	bias    float64
}

// weightStream separates the generator of the initial weights from the split's.
const weightStream = 0x77656967687473 // "weights"

// fit minimises the mean log loss plus l2/2·|weights|² by full-batch gradient
// descent. The bias is not regularised: it only sets the base rate.
func fit(inputs [][]float64, good []bool, h hyperparameters) (logistic, error) {
	m := initial(len(inputs[0]), h.Seed)
	gradient := make([]float64, len(m.weights))
	for range h.Epochs {
		biasGradient := m.gradient(inputs, good, gradient)
		for j, g := range gradient {
			g += float64(h.L2 * m.weights[j])
			m.weights[j] -= float64(h.LearningRate * g)
		}
		m.bias -= float64(h.LearningRate * biasGradient)
	}
	for _, w := range append([]float64{m.bias}, m.weights...) {
		if math.IsNaN(w) || math.Abs(w) > math.MaxFloat32 {
			return logistic{}, errors.New("training diverged: lower --learning-rate or --l2")
		}
	}
	return m, nil
}

// initial returns small weights. The loss is convex, so the seed matters only
// as far as training stops short of the minimum.
func initial(width int, seed uint64) logistic {
	random := rand.New(rand.NewPCG(seed, weightStream))
	m := logistic{weights: make([]float64, width)}
	for j := range m.weights {
		m.weights[j] = float64(0.02*random.Float64()) - 0.01
	}
	return m
}

// gradient sets the mean gradient of the log loss over the rows and returns the
// part for the bias. Rows are summed in order: another order would round
// differently and give other bytes.
func (m logistic) gradient(inputs [][]float64, good []bool, gradient []float64) (bias float64) {
	clear(gradient)
	for i, x := range inputs {
		residual := sigmoid(m.logit(x)) - indicator(good[i])
		bias += residual
		for j, v := range x {
			gradient[j] += float64(residual * v)
		}
	}
	n := float64(len(inputs))
	for j := range gradient {
		gradient[j] /= n
	}
	return bias / n
}

// logit is weights·x + bias. The conversion in the sum keeps the compiler from
// fusing it with the product, which rounds differently where it is available.
func (m logistic) logit(x []float64) float64 {
	var sum float64
	for j, w := range m.weights {
		sum += float64(w * x[j])
	}
	return sum + m.bias
}

// sigmoid is 1/(1+exact.Exp(-z)).
func sigmoid(z float64) float64 {
	if z < 0 {
		e := exact.Exp(z)
		return e / (1 + e)
	}
	return 1 / (1 + exact.Exp(-z))
}
