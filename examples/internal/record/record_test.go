package record

import (
	"math"
	"strconv"
	"testing"
)

func TestNewDecimal(t *testing.T) {
	for v, want := range map[float64]Decimal{0: "0", 1: "1", 0.5: "0.5", 227.0 / 300: "0.756667", 1e-9: "0", 10: "10"} {
		if got := NewDecimal(v); got != want {
			t.Errorf("NewDecimal(%v) is %q, want %q", v, got, want)
		}
	}
}

func TestWilson(t *testing.T) {
	// Published values: 81 of 263 (Newcombe 1998, method 3) and its ends.
	tests := []struct{ hits, n, low, high float64 }{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{29, 29, 0.8830, 1},
	}
	for _, test := range tests {
		got := Wilson(test.hits/test.n, int(test.n))
		low, err1 := strconv.ParseFloat(string(got.Low), 64)
		high, err2 := strconv.ParseFloat(string(got.High), 64)
		if err1 != nil || err2 != nil || math.Abs(low-test.low) > 5e-5 || math.Abs(high-test.high) > 5e-5 {
			t.Errorf("%v of %v: %+v, want %.4f to %.4f", test.hits, test.n, got, test.low, test.high)
		}
	}
}
