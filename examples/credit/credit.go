// Package credit is a small machine-learning pipeline whose every step is one
// command: it reads files or directories and writes one new output.
//
// The five steps turn the German credit data into a quantised model and a
// record of how well and how fairly it decides:
//
//	ingest    check the raw CSV and copy it, byte for byte
//	split     divide the rows into a training and a test set
//	train     fit a logistic regression to the training set
//	quantize  store its weights as small integers
//	evaluate  measure quality or bias on the test set, as JSON
//
// A provenance tool can only vouch for a step it can describe, and only catch a
// lie about one it can repeat. So the steps keep three promises. A step reads
// nothing but its named inputs: no network, no environment, and the clock only
// for the evaluatedAt field of an evaluation. The same inputs and flags give the
// same bytes, on every processor: sums have a fixed order, products are rounded
// before they are added, and exp is computed here because the standard
// library's differs between processors in the last bit. And an output appears
// whole or not at all, and never replaces an older one.
//
// The model predicts "good" (the loan is repaid) or "bad". It does not see
// personal_status, age or foreign_worker; the bias evaluation does, because
// leaving a column out does not make decisions fair, measuring them shows
// whether they are.
package credit

import _ "embed"

// Strings, not byte slices: nobody can change what Data returns to others.
var (
	//go:embed data/german-credit.csv
	embeddedData string
	//go:embed data/ATTRIBUTION.md
	embeddedAttribution string
)

// Data returns the German credit data as CSV, so that a demonstration needs
// nothing but the binary.
func Data() []byte { return []byte(embeddedData) }

// Attribution returns the origin and licence of Data, as Markdown. Whoever
// writes Data somewhere must write this beside it.
func Attribution() []byte { return []byte(embeddedAttribution) }
