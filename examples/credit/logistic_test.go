package credit

import (
	"math"
	"testing"
)

func TestSigmoid(t *testing.T) {
	for z, want := range map[float64]float64{0: 0.5, math.Log(3): 0.75, -math.Log(3): 0.25, 1e6: 1, -1e6: 0} {
		if got := sigmoid(z); !near(got, want) {
			t.Errorf("sigmoid(%v) is %v, want %v", z, got, want)
		}
	}
}

func TestFitFindsTheOddsOfAnIndicator(t *testing.T) {
	// Without regularisation the optimum is known: bias = log odds without the
	// feature (1:3), bias+weight = log odds with it (3:1).
	inputs := [][]float64{{0}, {0}, {0}, {0}, {1}, {1}, {1}, {1}}
	good := []bool{true, false, false, false, true, true, true, false}
	m, err := fit(inputs, good, hyperparameters{Epochs: 4000, LearningRate: 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := -math.Log(3); math.Abs(m.bias-want) > 1e-6 {
		t.Errorf("bias is %v, want %v", m.bias, want)
	}
	if want := 2 * math.Log(3); math.Abs(m.weights[0]-want) > 1e-6 {
		t.Errorf("weight is %v, want %v", m.weights[0], want)
	}
}

func TestFitReportsDivergence(t *testing.T) {
	inputs := [][]float64{{1}, {-1}}
	_, err := fit(inputs, []bool{true, false}, hyperparameters{Epochs: 1000, LearningRate: 100, L2: 100})
	if want := "training diverged: lower --learning-rate or --l2"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestEncoderLearnsFromItsRowsOnly(t *testing.T) {
	rows := germanCredit(t)
	e, err := learnEncoder(rows[:2])
	if err != nil {
		t.Fatal(err)
	}
	if f := e.Numeric[0]; f != (numericFeature{"duration", 27, 21}) {
		t.Errorf("first feature is %v, want duration with mean 27 and scale 21", f)
	}
	// Rows 1 and 2 have checking_status "<0" and "0<=X<200", row 4 "<0" and row
	// 3 "no checking", which the encoder has not seen.
	at := len(e.Numeric)
	for i, want := range [][2]float64{{0, 1}, {1, 0}, {0, 0}, {0, 1}} {
		if got := [2]float64(e.encode(rows[i : i+1])[0][at : at+2]); got != want {
			t.Errorf("row %d is %v, want %v", i+1, got, want)
		}
	}
	for _, name := range excludedColumns() {
		for _, f := range e.Numeric {
			if f.Name == name {
				t.Errorf("%s is a feature", name)
			}
		}
		for _, f := range e.Categorical {
			if f.Name == name {
				t.Errorf("%s is a feature", name)
			}
		}
	}
}

func TestExcludedColumnsDoNotChangeADecision(t *testing.T) {
	rows := germanCredit(t)
	m, err := train(rows, hyperparameters{Epochs: 5, LearningRate: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	twin := rows[0]
	twin.fields = append([]string(nil), twin.fields...)
	twin.fields[personalStatusColumn] = "female div/dep/mar"
	twin.fields[ageColumn] = "20"
	twin.fields[foreignWorkerColumn] = "no"
	if z := m.logits([]row{rows[0], twin}); z[0] != z[1] {
		t.Errorf("logits are %v and %v, want them equal", z[0], z[1])
	}
}
