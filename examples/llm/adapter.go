package llm

import "math/rand/v2"

// A lowRank is the product of two thin matrices, up·down, which stands for a
// change of a whole matrix in a fraction of its numbers.
type lowRank struct {
	down, up matrix // A and B of the LoRA paper (Hu et al., 2021)
}

func newLowRank(rank int, of matrix) lowRank {
	return lowRank{newMatrix(rank, of.cols), newMatrix(of.rows, rank)}
}

// add adds scale·up·down·x to out, and leaves down·x in low.
func (l lowRank) add(x []float64, scale float64, low, out []float64) {
	l.down.times(x, low)
	for i := range out {
		var sum float64
		for j, w := range l.up.row(i) {
			sum += float64(w * low[j])
		}
		out[i] += float64(scale * sum)
	}
}

// addTransposed adds scale·(up·down)ᵀ·y to out.
func (l lowRank) addTransposed(y []float64, scale float64, out []float64) {
	low := make([]float64, l.down.rows)
	l.up.addTransposed(y, scale, low)
	l.down.addTransposed(low, 1, out)
}

// learn takes one step of gradient descent; x went in and y is the gradient of
// what came out.
func (l lowRank) learn(x, y []float64, scale, rate float64) {
	low, back := make([]float64, l.down.rows), make([]float64, l.down.rows)
	l.down.times(x, low)
	l.up.addTransposed(y, scale, back)
	l.up.addOuter(y, low, -float64(scale*rate))
	l.down.addOuter(back, x, -rate)
}

// addTo adds scale·up·down to m.
func (l lowRank) addTo(m matrix, scale float64) {
	for i := range m.rows {
		row := m.row(i)
		for k, u := range l.up.row(i) {
			f := float64(u * scale)
			for j, d := range l.down.row(k) {
				row[j] += float64(d * f)
			}
		}
	}
}

// An adapter changes the two layers of a network without touching its weights.
type adapter struct {
	hidden, output lowRank
	scale          float64
}

func newAdapter(rank int, alpha float64, n network) *adapter {
	return &adapter{newLowRank(rank, n.hidden), newLowRank(rank, n.output), alpha / float64(rank)}
}

// finetune learns an adapter of n; n stays as it is. It begins as no change at
// all, because one of each two matrices is zero.
func finetune(n network, tokens []int, rank int, alpha float64, s schedule) (*adapter, error) {
	random := rand.New(rand.NewPCG(s.Seed, 0x6c6f7261)) // "lora"
	a := newAdapter(rank, alpha, n)
	a.hidden.down.randomise(random, 0.1)
	a.output.down.randomise(random, 0.1)
	act := newActivation(rank)
	s.run(random, tokens, func(i int, rate float64) {
		n.predict(tokens, i, a, act)
		n.backward(tokens[i], a, act)
		a.output.learn(act.hidden, act.toLogit, a.scale, rate)
		a.hidden.learn(act.input, act.toHidden, a.scale, rate)
	})
	merged := a.mergedWith(n)
	return a, merged.check()
}

// mergedWith returns the network that n is with the adapter, as weights alone.
func (a *adapter) mergedWith(n network) network {
	out := n
	out.hidden.values = append([]float64(nil), n.hidden.values...)
	out.output.values = append([]float64(nil), n.output.values...)
	a.hidden.addTo(out.hidden, a.scale)
	a.output.addTo(out.output, a.scale)
	return out
}
