package credit

import (
	"fmt"
	"strconv"
	"strings"
)

// A column describes one field of the CSV. Numeric columns hold integers from
// min to max; the other columns hold a category.
type column struct {
	name     string
	numeric  bool
	min, max int
}

// schema lists the columns in file order. The ranges are wider than the data,
// but narrow enough to refuse a shifted column or a unit mistake.
func schema() []column {
	return []column{
		{name: "checking_status"},
		{name: "duration", numeric: true, min: 1, max: 120},
		{name: "credit_history"},
		{name: "purpose"},
		{name: "credit_amount", numeric: true, min: 1, max: 1_000_000},
		{name: "savings_status"},
		{name: "employment"},
		{name: "installment_commitment", numeric: true, min: 1, max: 4},
		{name: "personal_status"},
		{name: "other_parties"},
		{name: "residence_since", numeric: true, min: 1, max: 4},
		{name: "property_magnitude"},
		{name: "age", numeric: true, min: 18, max: 120},
		{name: "other_payment_plans"},
		{name: "housing"},
		{name: "existing_credits", numeric: true, min: 1, max: 20},
		{name: "job"},
		{name: "num_dependents", numeric: true, min: 0, max: 20},
		{name: "own_telephone"},
		{name: "foreign_worker"},
		{name: "class"},
	}
}

// Columns the evaluation looks up by position.
const (
	personalStatusColumn = 8
	ageColumn            = 12
	foreignWorkerColumn  = 19
	classColumn          = 20
)

// excludedColumns are never features. They say who someone is, not how they
// handle money, and a model that reads them learns the lender's old habits.
func excludedColumns() []string {
	return []string{"personal_status", "age", "foreign_worker"}
}

// header is the first line of every CSV of the pipeline.
func header() string {
	var names []string
	for _, c := range schema() {
		names = append(names, c.name)
	}
	return strings.Join(names, ",")
}

// maxCategory is twice the longest category in the data (30 bytes).
const maxCategory = 64

// check reports why value cannot stand in column c.
func (c column) check(value string) error {
	if c.numeric {
		n, err := strconv.Atoi(value)
		if err != nil || strconv.Itoa(n) != value {
			return fmt.Errorf("%s is %q, want an integer", c.name, value)
		}
		if n < c.min || n > c.max {
			return fmt.Errorf("%s is %d, want %d to %d", c.name, n, c.min, c.max)
		}
		return nil
	}
	if value == "" || len(value) > maxCategory {
		return fmt.Errorf("%s has %d bytes, want 1 to %d", c.name, len(value), maxCategory)
	}
	for _, b := range []byte(value) {
		// Printable ASCII only. A quote would mean a CSV dialect where one
		// row has several spellings.
		if b < ' ' || b > '~' || b == '"' {
			return fmt.Errorf("%s is %q, want printable ASCII without quotes", c.name, value)
		}
	}
	return c.checkMeaning(value)
}

// checkMeaning checks the categories that the evaluation gives a meaning to.
func (c column) checkMeaning(value string) error {
	switch c.name {
	case "class":
		if value != "good" && value != "bad" {
			return fmt.Errorf("class is %q, want good or bad", value)
		}
	case "personal_status":
		if sex, _, _ := strings.Cut(value, " "); sex != "male" && sex != "female" {
			return fmt.Errorf("personal_status is %q, want it to begin with male or female", value)
		}
	case "foreign_worker":
		if value != "yes" && value != "no" {
			return fmt.Errorf("foreign_worker is %q, want yes or no", value)
		}
	}
	return nil
}
