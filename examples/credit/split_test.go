package credit

import (
	"slices"
	"testing"
)

func TestSplitIsDisjointStratifiedAndComplete(t *testing.T) {
	rows := germanCredit(t)
	train, test, err := split(rows, 7, 0.3)
	if err != nil {
		t.Fatal(err)
	}
	// The data holds no row twice, so counting lines shows both a row in two
	// parts and a lost one.
	count := make(map[string]int)
	for _, r := range slices.Concat(train, test) {
		count[r.line]++
	}
	for _, r := range rows {
		if count[r.line] != 1 {
			t.Errorf("row %q is in %d places, want one", r.line, count[r.line])
		}
	}
	good := func(rows []row) (n int) {
		for _, r := range rows {
			if r.good() {
				n++
			}
		}
		return n
	}
	got := [4]int{len(train), good(train), len(test), good(test)}
	if want := [4]int{700, 490, 300, 210}; got != want {
		t.Errorf("rows and good rows are %v, want %v", got, want)
	}
}

func TestSplitDependsOnTheSeedAlone(t *testing.T) {
	rows := germanCredit(t)
	lines := func(seed uint64) string {
		_, test, err := split(rows, seed, 0.3)
		if err != nil {
			t.Fatal(err)
		}
		return string(formatDataset(test))
	}
	if first, again := lines(1), lines(1); first != again {
		t.Error("the same seed gave two splits")
	}
	if lines(1) == lines(2) {
		t.Error("two seeds gave the same split")
	}
}

func TestSplitNeedsBothClassesInBothParts(t *testing.T) {
	rows := germanCredit(t)[:3] // one bad row
	const want = "too few rows of one class to have some of it in both parts"
	if _, _, err := split(rows, 7, 0.3); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}
