package credit

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// maxCategories bounds the width of the model per column. The data has at most
// ten categories in a column.
const maxCategories = 64

// A numericFeature is a column shifted and scaled to mean 0 and deviation 1 on
// the training rows, so that one learning rate suits all of them.
type numericFeature struct {
	Name  string  `json:"name"`
	Mean  float64 `json:"mean"`
	Scale float64 `json:"scale"`
}

// A categoricalFeature is a column that becomes one 0-or-1 input per category
// of the training rows. A category not seen there gives all zeros.
type categoricalFeature struct {
	Name       string   `json:"name"`
	Categories []string `json:"categories"`
}

// An encoder turns a row into the inputs of the model: first the numeric
// features, then the categories, both in the order of the file's columns.
type encoder struct {
	Numeric     []numericFeature     `json:"numeric"`
	Categorical []categoricalFeature `json:"categorical"`
}

// learnEncoder learns scales and categories. It must see training rows only:
// anything learnt from the test rows would flatter the evaluation.
func learnEncoder(rows []row) (encoder, error) {
	var e encoder
	for i, c := range schema() {
		switch {
		case i == classColumn || slices.Contains(excludedColumns(), c.name):
		case c.numeric:
			e.Numeric = append(e.Numeric, learnNumeric(rows, c.name, i))
		default:
			f := learnCategorical(rows, c.name, i)
			if len(f.Categories) > maxCategories {
				return encoder{}, fmt.Errorf("%s has %d categories, want at most %d", c.name, len(f.Categories), maxCategories)
			}
			e.Categorical = append(e.Categorical, f)
		}
	}
	return e, nil
}

func learnNumeric(rows []row, name string, column int) numericFeature {
	var sum, squares float64
	for _, r := range rows {
		sum += float64(r.number(column))
	}
	mean := sum / float64(len(rows))
	for _, r := range rows {
		d := float64(r.number(column)) - mean
		squares += float64(d * d)
	}
	scale := math.Sqrt(squares / float64(len(rows)))
	if scale == 0 {
		scale = 1 // a constant column: every input is 0 whatever the scale
	}
	return numericFeature{name, mean, scale}
}

func learnCategorical(rows []row, name string, column int) categoricalFeature {
	seen := make(map[string]bool)
	f := categoricalFeature{Name: name}
	for _, r := range rows {
		if v := r.fields[column]; !seen[v] {
			seen[v] = true
			f.Categories = append(f.Categories, v)
		}
	}
	slices.Sort(f.Categories)
	return f
}

// width is the number of inputs.
func (e encoder) width() int {
	n := len(e.Numeric)
	for _, f := range e.Categorical {
		n += len(f.Categories)
	}
	return n
}

// encode returns the inputs for each row. The encoder must have been checked.
func (e encoder) encode(rows []row) [][]float64 {
	columns := columnIndexes()
	encoded := make([][]float64, len(rows))
	for i, r := range rows {
		x := make([]float64, 0, e.width())
		for _, f := range e.Numeric {
			x = append(x, (float64(r.number(columns[f.Name]))-f.Mean)/f.Scale)
		}
		for _, f := range e.Categorical {
			for _, c := range f.Categories {
				x = append(x, indicator(r.fields[columns[f.Name]] == c))
			}
		}
		encoded[i] = x
	}
	return encoded
}

// check reports why an encoder read from a file cannot encode rows.
func (e encoder) check() error {
	kinds := make(map[string]bool)
	for i, c := range schema() {
		if i != classColumn {
			kinds[c.name] = c.numeric
		}
	}
	take := func(name string, numeric bool) error {
		if kind, ok := kinds[name]; !ok || kind != numeric {
			return fmt.Errorf("feature %q is repeated, of the wrong kind or no column", name)
		}
		delete(kinds, name)
		return nil
	}
	for _, f := range e.Numeric {
		if err := take(f.Name, true); err != nil {
			return err
		}
		// The bounds keep the logits finite.
		if !(f.Scale >= 1e-6 && f.Scale <= 1e9) || math.Abs(f.Mean) > 1e9 {
			return fmt.Errorf("feature %q: mean %v and scale %v are out of range", f.Name, f.Mean, f.Scale)
		}
	}
	for _, f := range e.Categorical {
		if err := take(f.Name, false); err != nil {
			return err
		}
		if len(f.Categories) > maxCategories || !slices.IsSorted(f.Categories) || len(slices.Compact(slices.Clone(f.Categories))) != len(f.Categories) {
			return fmt.Errorf("feature %q: categories must be sorted, distinct and at most %d", f.Name, maxCategories)
		}
	}
	if e.width() == 0 {
		return errors.New("no features")
	}
	return nil
}

func columnIndexes() map[string]int {
	m := make(map[string]int)
	for i, c := range schema() {
		m[c.name] = i
	}
	return m
}

// indicator is 1 for true and 0 for false.
func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
