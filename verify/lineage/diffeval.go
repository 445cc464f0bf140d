package lineage

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/verify"
)

// An EvaluationChange compares what was measured of two artifacts: by one kind of
// evaluation, with one suite.
type EvaluationChange struct {
	Kind  string `json:"kind"`
	Suite string `json:"suite"`
	A     []int  `json:"a"` // records
	B     []int  `json:"b"`
	SignersChange
	// FromA and FromB are the records whose numbers are compared: of each side the
	// latest by the time that is claimed, among those that the policy selected if it
	// selected one. nil where there is none.
	FromA *int `json:"fromA,omitempty"`
	FromB *int `json:"fromB,omitempty"`
	// Versions of the suite, if they differ.
	VersionA string `json:"versionA,omitempty"`
	VersionB string `json:"versionB,omitempty"`
	// Data says whether both were measured on the same data. Only then a delta says
	// something about the artifacts.
	Data        DataRelation   `json:"data,omitempty"`
	Metrics     []MetricChange `json:"metrics,omitempty"`
	MetricsSame int            `json:"metricsSame"`
}

// A DataRelation says whether two evaluations were made on the same data.
type DataRelation string

// The relations of data.
const (
	DataSame    DataRelation = "same"
	DataOther   DataRelation = "other"
	DataUnnamed DataRelation = "unnamed" // an evaluation does not name its data by digest
)

// A MetricChange is one number that differs, or that only one side has.
type MetricChange struct {
	Slice string    `json:"slice,omitempty"` // the attribute that splits the data
	Group string    `json:"group,omitempty"` // its value; "" for a gap between groups
	Name  string    `json:"name"`
	A     *Measured `json:"a,omitempty"`
	B     *Measured `json:"b,omitempty"`
	// Delta is B's value minus A's, exactly; "" if one is missing or the units differ.
	Delta string `json:"delta,omitempty"`
}

// Measured is what was measured, in the signer's digits.
type Measured struct {
	Value string `json:"value"`
	N     string `json:"n,omitempty"`
	Unit  string `json:"unit,omitempty"`
	Low   string `json:"low,omitempty"` // a confidence interval, at Level
	High  string `json:"high,omitempty"`
	Level string `json:"level,omitempty"`
}

// evaluations compares what was measured of two artifacts.
func (d *differ) evaluations(left, right *said) []EvaluationChange {
	key := func(e verify.Evidence) string {
		p := e.Statement().Predicate
		return get(p, "kind").Text() + "\x00" + get(get(p, "suite"), "name").Text()
	}
	a, b := grouped(left.evaluations, key), grouped(right.evaluations, key)
	var out []EvaluationChange
	for _, k := range keysOf(a, b) {
		before, after := a[k], b[k]
		if len(onlyIn(before, after))+len(onlyIn(after, before)) == 0 {
			continue
		}
		kind, suite, _ := strings.Cut(k, "\x00")
		c := EvaluationChange{Kind: cut(kind), Suite: cut(suite), A: d.recordAll(&d.a, before), B: d.recordAll(&d.b, after), SignersChange: d.signers(before, after)}
		x, y := latest(&d.a, before), latest(&d.b, after)
		if !x.IsZero() {
			i := d.record(&d.a, x)
			c.FromA = &i
		}
		if !y.IsZero() {
			i := d.record(&d.b, y)
			c.FromB = &i
		}
		if !x.IsZero() && !y.IsZero() {
			c.Data = dataRelation(x, y)
			version := func(e verify.Evidence) string {
				return cut(get(get(e.Statement().Predicate, "suite"), "version").Text())
			}
			if version(x) != version(y) {
				c.VersionA, c.VersionB = version(x), version(y)
			}
		}
		c.Metrics, c.MetricsSame = compareMetrics(x, y)
		out = append(out, c)
	}
	return out
}

// latest returns the latest of several evaluations by the claimed time; the zero
// Evidence if there is none. What a policy did not select is taken only if it
// selected none of them: anybody who may sign something could else put numbers in
// the place of the evaluator's.
func latest(h *half, list []verify.Evidence) verify.Evidence {
	selected := list
	if h.o.Counts != nil {
		selected = slices.DeleteFunc(slices.Clone(list), func(e verify.Evidence) bool { return len(h.o.Counts(e.ID())) == 0 })
		if len(selected) == 0 {
			selected = list
		}
	}
	if len(selected) == 0 {
		return verify.Evidence{}
	}
	return slices.MaxFunc(selected, byClaim)
}

// roleEvaluationData is the role of what an evaluation measures on.
const roleEvaluationData = "evaluation-data"

func dataRelation(x, y verify.Evidence) DataRelation {
	data := func(e verify.Evidence) ([]attest.Digest, bool) {
		facts, _ := e.Facts()
		var out []attest.Digest
		for _, in := range facts.Inputs {
			if in.Role != roleEvaluationData {
				continue
			}
			if in.Digest.IsZero() {
				return nil, false
			}
			out = append(out, in.Digest)
		}
		slices.SortFunc(out, attest.Digest.Compare)
		return slices.Compact(out), len(out) > 0
	}
	a, known := data(x)
	b, too := data(y)
	switch {
	case !known || !too:
		return DataUnnamed
	case slices.Equal(a, b):
		return DataSame
	}
	return DataOther
}

// A metricKey is where in an evaluation a number stands.
type metricKey struct{ slice, group, name string }

func (k metricKey) String() string { return k.slice + "\x00" + k.group + "\x00" + k.name }

// metrics returns the numbers of an evaluation. They are read from the statement,
// where they have all their digits.
func metrics(e verify.Evidence) map[metricKey]Measured {
	out := map[metricKey]Measured{}
	take := func(slice, group string, list strictjson.Value) {
		for _, m := range list.Members() {
			interval := get(m.Value, "interval")
			out[metricKey{slice, group, m.Key}] = Measured{
				get(m.Value, "value").Text(), get(m.Value, "n").Text(), cut(get(m.Value, "unit").Text()),
				get(interval, "low").Text(), get(interval, "high").Text(), get(interval, "level").Text(),
			}
		}
	}
	if e.IsZero() {
		return out
	}
	p := e.Statement().Predicate
	take("", "", get(p, "metrics"))
	for _, slice := range get(p, "slices").Members() {
		take(slice.Key, "", get(slice.Value, "gaps"))
		for _, group := range get(slice.Value, "groups").Members() {
			take(slice.Key, group.Key, get(group.Value, "metrics"))
		}
	}
	return out
}

// compareMetrics returns the numbers that differ: those of the whole first, then
// slice by slice, the gaps of each before its groups.
func compareMetrics(x, y verify.Evidence) (list []MetricChange, same int) {
	a, b := metrics(x), metrics(y)
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, k := range slices.SortedFunc(maps.Keys(all), func(k, l metricKey) int { return strings.Compare(k.String(), l.String()) }) {
		c := MetricChange{Slice: cut(k.slice), Group: cut(k.group), Name: cut(k.name)}
		before, inA := a[k]
		after, inB := b[k]
		if inA {
			c.A = &before
		}
		if inB {
			c.B = &after
		}
		if inA && inB && before.Unit == after.Unit {
			delta, equal := subtract(after.Value, before.Value)
			if equal {
				same++
				continue
			}
			c.Delta = delta
		}
		list = append(list, c)
	}
	return list, same
}

// subtract returns x minus y as a decimal with its sign, and whether the two are
// equal. Decimals have a finite difference, so it is exact.
func subtract(x, y string) (delta string, equal bool) {
	a, ok := new(big.Rat).SetString(x)
	b, too := new(big.Rat).SetString(y)
	if !ok || !too {
		return "", x == y // unreachable: the reader of predicates took both for decimals
	}
	a.Sub(a, b)
	text := a.FloatString(max(fraction(x), fraction(y)))
	if a.Sign() > 0 {
		text = "+" + text
	}
	return text, a.Sign() == 0
}

// fraction returns how many digits a decimal has behind the point.
func fraction(s string) int {
	_, digits, _ := strings.Cut(s, ".")
	return len(digits)
}
