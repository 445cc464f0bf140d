package attest

import (
	"math/big"
	"slices"
)

// weakEd25519 says why nobody should verify with an Ed25519 key of 32 bytes, and
// "" if nothing is wrong with it. It decodes the point as RFC 8032, section
// 5.1.3, does, and multiplies it by the cofactor: for a point of small order
// crypto/ed25519 accepts signatures that anybody can make. Keys are public, so
// nothing here has to take constant time.
func weakEd25519(key []byte) string {
	var (
		one  = big.NewInt(1)
		p    = new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
		mod  = func(x *big.Int) *big.Int { return x.Mod(x, p) }
		mul  = func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
		over = func(a, b *big.Int) *big.Int { return mul(a, new(big.Int).ModInverse(b, p)) }
		d    = over(big.NewInt(-121665), big.NewInt(121666))
	)
	b := slices.Clone(key)
	slices.Reverse(b) // the encoding is little-endian
	b[0] &= 0x7f      // the sign of x is left aside: a point and its negative have the same order
	y := new(big.Int).SetBytes(b)
	if y.Cmp(p) >= 0 {
		return "spelled in a second way"
	}
	// The curve is -x² + y² = 1 + dx²y², so x² = (y²-1)/(dy²+1). The denominator
	// is never zero, because -1/d is no square.
	yy := mul(y, y)
	xx := over(mod(new(big.Int).Sub(yy, one)), mod(new(big.Int).Add(mul(d, yy), one)))
	x := new(big.Int).ModSqrt(xx, p)
	if x == nil {
		return "not a point on the curve"
	}
	for range 3 {
		// Doubling: x' = 2xy/(1+dx²y²), y' = (y²+x²)/(1-dx²y²).
		t := mul(d, mul(mul(x, x), mul(y, y)))
		x2 := over(mul(big.NewInt(2), mul(x, y)), mod(new(big.Int).Add(one, t)))
		y2 := over(mod(new(big.Int).Add(mul(y, y), mul(x, x))), mod(new(big.Int).Sub(one, t)))
		x, y = x2, y2
	}
	if x.Sign() == 0 && y.Cmp(one) == 0 {
		return "a point of small order: anybody could sign for it"
	}
	return ""
}
