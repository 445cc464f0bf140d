// Package exact computes what the standard library computes differently on
// different processors, in the last bit: there it is assembly on some of them. A
// training run that is to be repeated elsewhere needs the same bits everywhere,
// so these functions use only correctly rounded operations, and convert every
// product before it is added, lest a compiler fuse the two.
package exact

import "math"

// Exp is e to the power of x, for x <= 0. The standard library's is assembly on
// some processors and differs between them in the last bit; this one is the
// same everywhere, because it uses only correctly rounded operations.
func Exp(x float64) float64 {
	const (
		ln2High = 6.93147180369123816490e-01 // 32 bits: k*ln2High is exact
		ln2Low  = 1.90821492927058770002e-10
		terms   = 14 // the next term is below 2**-53 for |r| <= ln(2)/2
	)
	if x < -700 {
		return 0 // below, the result would soon be subnormal
	}
	k := math.Round(x / math.Ln2)
	r := (x - float64(k*ln2High)) - float64(k*ln2Low)
	sum := 1.0
	for i := terms; i > 0; i-- {
		sum = 1 + float64(r*sum)/float64(i)
	}
	return math.Ldexp(sum, int(k))
}

// Log is the natural logarithm of x, for finite x > 0, to about one part in 2^50.
func Log(x float64) float64 {
	const (
		ln2High = 6.93147180369123816490e-01
		ln2Low  = 1.90821492927058770002e-10
		terms   = 21 // odd powers up to this one; the next is below 2**-53 for m in [1/√2, √2)
	)
	m, k := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, k = 2*m, k-1
	}
	// log m = 2·artanh((m-1)/(m+1))
	s := (m - 1) / (m + 1)
	square := float64(s * s)
	sum := 0.0
	for i := terms; i > 0; i -= 2 {
		sum = 1/float64(i) + float64(square*sum)
	}
	return float64(float64(k)*ln2High) + (float64(2*float64(s*sum)) + float64(float64(k)*ln2Low))
}
