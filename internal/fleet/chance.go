package fleet

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sort"
	"strconv"

	"github.com/pedigree-ml/pedigree/attest"
)

// chance returns the source of chance for one purpose: what is drawn for one thing
// does not change what is drawn for another, nor in which order things are made.
func (f *Fleet) chance(purpose string, n int) *rand.Rand {
	s := sha256.Sum256([]byte(purpose + "\x00" + strconv.Itoa(n)))
	return rand.New(rand.NewPCG(f.config.Seed, binary.LittleEndian.Uint64(s[:])))
}

// bytesFor returns bytes that follow from the seed and a name.
func (f *Fleet) bytesFor(name string) [sha256.Size]byte {
	return sha256.Sum256([]byte("fleet " + strconv.FormatUint(f.config.Seed, 10) + "\x00" + name))
}

// opaque returns the digest of something that nobody here has the bytes of.
func (f *Fleet) opaque(name string) attest.Digest { return attest.SHA256Sum(f.bytesFor(name)) }

// A zipf draws numbers from 0, the i-th with a weight of 1/(i+head).
type zipf []float64

// head flattens the beginning (Zipf and Mandelbrot's law): with 1, a third of a fleet
// would come from one data set.
const head = 5

func newZipf(n int) zipf {
	z := make(zipf, n)
	sum := 0.0
	for i := range z {
		sum += 1 / float64(i+head)
		z[i] = sum
	}
	return z
}

// among draws one of the first n.
func (z zipf) among(r *rand.Rand, n int) int {
	x := r.Float64() * z[n-1]
	return min(sort.SearchFloat64s(z[:n], x), n-1)
}
