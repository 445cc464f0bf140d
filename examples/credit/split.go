package credit

import (
	"errors"
	"math"
	"math/rand/v2"
)

// splitStream separates the generator of the split from the one of the initial
// weights, which may be given the same seed.
const splitStream = 0x73706c6974 // "split"

// split divides rows so that both parts have the same share of good loans, up
// to rounding. Which rows go where depends on the seed alone; in each part they
// keep the order of the file, so the parts differ from it only by deletions.
func split(rows []row, seed uint64, testShare float64) (train, test []row, err error) {
	random := rand.New(rand.NewPCG(seed, splitStream))
	inTest := make([]bool, len(rows))
	for _, good := range []bool{false, true} {
		var members []int
		for i, r := range rows {
			if r.good() == good {
				members = append(members, i)
			}
		}
		n := int(math.Round(testShare * float64(len(members))))
		if n == 0 || n == len(members) {
			return nil, nil, errors.New("too few rows of one class to have some of it in both parts")
		}
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		for _, i := range members[:n] {
			inTest[i] = true
		}
	}
	for i, r := range rows {
		if inTest[i] {
			test = append(test, r)
		} else {
			train = append(train, r)
		}
	}
	return train, test, nil
}
