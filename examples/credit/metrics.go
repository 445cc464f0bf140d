package credit

import (
	"math"
	"slices"
)

// An outcome is what the model said about a row, and the truth.
type outcome struct {
	probability float64 // of being good, as predicted
	selected    bool    // the model decided "good": the loan would be granted
	good        bool    // the loan was repaid
}

// A measure is the value of a metric and the number of rows it is about. A
// measure over no rows is undefined and must not be reported as 0.
type measure struct {
	value float64
	n     int
}

// share is the share of the outcomes that counts and, of these, hits.
func share(outcomes []outcome, counts, hits func(outcome) bool) measure {
	var n, hit int
	for _, o := range outcomes {
		if counts(o) {
			n++
			if hits(o) {
				hit++
			}
		}
	}
	if n == 0 {
		return measure{}
	}
	return measure{float64(hit) / float64(n), n}
}

func everyone(outcome) bool       { return true }
func wasGood(o outcome) bool      { return o.good }
func wasSelected(o outcome) bool  { return o.selected }
func wasPredicted(o outcome) bool { return o.selected == o.good }

// accuracy is the share of rows whose class was predicted.
func accuracy(outcomes []outcome) measure { return share(outcomes, everyone, wasPredicted) }

// selectionRate is the share of rows predicted to be good. The difference of
// this rate between groups is the demographic parity gap.
func selectionRate(outcomes []outcome) measure { return share(outcomes, everyone, wasSelected) }

// truePositiveRate is the share of good rows predicted to be good; n counts the
// good rows. Its difference between groups is the equal opportunity gap.
func truePositiveRate(outcomes []outcome) measure { return share(outcomes, wasGood, wasSelected) }

// brierScore is the mean squared difference between the predicted probability
// of good and the truth as 0 or 1. Lower is better.
func brierScore(outcomes []outcome) measure {
	var sum float64
	for _, o := range outcomes {
		d := o.probability - indicator(o.good)
		sum += float64(d * d)
	}
	if len(outcomes) == 0 {
		return measure{}
	}
	return measure{sum / float64(len(outcomes)), len(outcomes)}
}

// rocAUC is the probability that a random good row is given a higher
// probability than a random bad one, a tie counting one half. It is undefined
// if one class is missing.
func rocAUC(outcomes []outcome) measure {
	sorted := slices.Clone(outcomes)
	slices.SortFunc(sorted, func(a, b outcome) int {
		switch {
		case a.probability < b.probability:
			return -1
		case a.probability > b.probability:
			return 1
		}
		return 0
	})
	var good, bad, wins int // wins counts half pairs, so that a tie is 1
	for i := 0; i < len(sorted); {
		var tiedGood, tiedBad int
		for p := sorted[i].probability; i < len(sorted) && sorted[i].probability == p; i++ {
			if sorted[i].good {
				tiedGood++
			} else {
				tiedBad++
			}
		}
		wins += tiedGood * (2*bad + tiedBad)
		good, bad = good+tiedGood, bad+tiedBad
	}
	if good == 0 || bad == 0 {
		return measure{}
	}
	return measure{float64(wins) / float64(2*good*bad), len(outcomes)}
}

// calibrationBins is the usual number of bins; with the 300 test rows a bin has
// 30 on average.
const calibrationBins = 10

// calibrationError is the expected calibration error: rows are put in ten bins
// of equal width by predicted probability, and the result is the mean over rows
// of their bin's |mean probability − share of good|.
func calibrationError(outcomes []outcome) measure {
	if len(outcomes) == 0 {
		return measure{}
	}
	var predicted, observed [calibrationBins]float64
	for _, o := range outcomes {
		b := min(int(o.probability*calibrationBins), calibrationBins-1)
		predicted[b] += o.probability
		observed[b] += indicator(o.good)
	}
	var sum float64
	for b := range calibrationBins {
		sum += math.Abs(predicted[b] - observed[b])
	}
	return measure{sum / float64(len(outcomes)), len(outcomes)}
}
