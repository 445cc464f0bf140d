package llm

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/pedigree-ml/pedigree/examples/internal/exact"
)

// Sizes of the model. With them a step of training takes some 30 µs, and the base
// model, three passes over 30 kB, three seconds.
const (
	window = 8              // characters that a prediction looks back to
	width  = 12             // numbers that stand for a character
	hidden = 64             // units of the hidden layer
	joined = window * width // inputs of the hidden layer
)

// A matrix has its rows one after the other.
type matrix struct {
	rows, cols int
	values     []float64
}

func newMatrix(rows, cols int) matrix { return matrix{rows, cols, make([]float64, rows*cols)} }

func (m matrix) row(i int) []float64 { return m.values[i*m.cols : (i+1)*m.cols] }

// randomise fills m with numbers between -bound and bound.
func (m matrix) randomise(random *rand.Rand, bound float64) {
	for i := range m.values {
		m.values[i] = float64((2*random.Float64() - 1) * bound)
	}
}

// times sets out to m·x. The conversions here and below keep the compiler from
// fusing a product with a sum, which rounds differently where it is available.
func (m matrix) times(x, out []float64) {
	for i := range m.rows {
		var sum float64
		for j, w := range m.row(i) {
			sum += float64(w * x[j])
		}
		out[i] = sum
	}
}

// addTransposed adds factor·mᵀ·y to out.
func (m matrix) addTransposed(y []float64, factor float64, out []float64) {
	for i := range m.rows {
		f := float64(y[i] * factor)
		if f == 0 {
			continue
		}
		for j, w := range m.row(i) {
			out[j] += float64(w * f)
		}
	}
}

// addOuter adds factor·y·xᵀ to m: a step along the gradient.
func (m matrix) addOuter(y, x []float64, factor float64) {
	for i := range m.rows {
		f := float64(y[i] * factor)
		if f == 0 {
			continue
		}
		row := m.row(i)
		for j, v := range x {
			row[j] += float64(v * f)
		}
	}
}

// A network is the language model: embedding, hidden layer, output layer.
type network struct {
	embed              matrix // a row for each character
	hidden, output     matrix
	hiddenBias, logits []float64
}

func newNetwork() network {
	return network{newMatrix(vocabulary, width), newMatrix(hidden, joined), newMatrix(vocabulary, hidden), make([]float64, hidden), make([]float64, vocabulary)}
}

// An activation holds what one prediction computes, to go back over it.
type activation struct {
	input, hidden, probability []float64
	toInput, toHidden, toLogit []float64 // gradients of the loss
	low                        [2][]float64
}

func newActivation(rank int) *activation {
	v := func(n int) []float64 { return make([]float64, n) }
	return &activation{v(joined), v(hidden), v(vocabulary), v(joined), v(hidden), v(vocabulary), [2][]float64{v(rank), v(rank)}}
}

// predict works out the probabilities of the token at position i of a text. What
// lies before the text counts as line feeds. a may be nil: no adapter.
func (n network) predict(tokens []int, i int, a *adapter, act *activation) {
	for k := range window {
		token := 0
		if at := i - window + k; at >= 0 {
			token = tokens[at]
		}
		copy(act.input[k*width:], n.embed.row(token))
	}
	n.hidden.times(act.input, act.hidden)
	if a != nil {
		a.hidden.add(act.input, a.scale, act.low[0], act.hidden)
	}
	for j := range act.hidden {
		act.hidden[j] = max(0, act.hidden[j]+n.hiddenBias[j])
	}
	n.output.times(act.hidden, act.probability)
	if a != nil {
		a.output.add(act.hidden, a.scale, act.low[1], act.probability)
	}
	for j := range act.probability {
		act.probability[j] += n.logits[j]
	}
	softmax(act.probability)
}

// softmax turns logits into probabilities, in place.
func softmax(z []float64) {
	largest := math.Inf(-1)
	for _, v := range z {
		largest = max(largest, v)
	}
	var sum float64
	for j, v := range z {
		z[j] = exact.Exp(v - largest)
		sum += z[j]
	}
	for j := range z {
		z[j] /= sum
	}
}

// backward works out the gradients of -log p(token) after predict.
func (n network) backward(token int, a *adapter, act *activation) {
	copy(act.toLogit, act.probability)
	act.toLogit[token]--
	clear(act.toHidden)
	n.output.addTransposed(act.toLogit, 1, act.toHidden)
	if a != nil {
		a.output.addTransposed(act.toLogit, a.scale, act.toHidden)
	}
	for j, h := range act.hidden {
		if h <= 0 {
			act.toHidden[j] = 0
		}
	}
}

// learn takes one step of gradient descent on all weights.
func (n network) learn(tokens []int, i int, rate float64, act *activation) {
	n.predict(tokens, i, nil, act)
	n.backward(tokens[i], nil, act)
	clear(act.toInput)
	n.hidden.addTransposed(act.toHidden, 1, act.toInput)
	n.output.addOuter(act.toLogit, act.hidden, -rate)
	n.hidden.addOuter(act.toHidden, act.input, -rate)
	for j, g := range act.toLogit {
		n.logits[j] -= float64(rate * g)
	}
	for j, g := range act.toHidden {
		n.hiddenBias[j] -= float64(rate * g)
	}
	for k := range window {
		token := 0
		if at := i - window + k; at >= 0 {
			token = tokens[at]
		}
		row := n.embed.row(token)
		for j := range row {
			row[j] -= float64(rate * act.toInput[k*width+j])
		}
	}
}

// A schedule is how long and how fast a model learns.
type schedule struct {
	Epochs       int     `json:"epochs"`
	LearningRate float64 `json:"learning_rate"`
	Seed         uint64  `json:"seed"`
}

// run calls learn for every token of a text, in an order that the seed chooses,
// as often as there are epochs; the rate falls to a tenth along a line.
func (s schedule) run(random *rand.Rand, tokens []int, learn func(i int, rate float64)) {
	steps, done := float64(s.Epochs*len(tokens)), 0
	for range s.Epochs {
		for _, i := range random.Perm(len(tokens)) {
			learn(i, float64(s.LearningRate*(1-float64(0.9*float64(done)/steps))))
			done++
		}
	}
}

// pretrain learns a network from nothing.
func pretrain(tokens []int, s schedule) (network, error) {
	random := rand.New(rand.NewPCG(s.Seed, 0x62617365)) // "base"
	n := newNetwork()
	n.embed.randomise(random, 0.5)
	n.hidden.randomise(random, math.Sqrt(3.0/joined))
	n.output.randomise(random, math.Sqrt(3.0/hidden)/2)
	act := newActivation(0)
	s.run(random, tokens, func(i int, rate float64) { n.learn(tokens, i, rate, act) })
	return n, n.check()
}

var errDiverged = errors.New("training diverged: lower --learning-rate")

// check refuses weights that a file of single precision could not hold.
func (n network) check() error {
	for _, values := range [...][]float64{n.embed.values, n.hidden.values, n.output.values, n.hiddenBias, n.logits} {
		for _, v := range values {
			if math.IsNaN(v) || math.Abs(v) > math.MaxFloat32 {
				return errDiverged
			}
		}
	}
	return nil
}
