package predicate

import (
	"encoding/json"
	"time"
)

// How an observed number is compared with a threshold.
const (
	AtLeast = ">="
	AtMost  = "<="
	Above   = ">"
	Below   = "<"
)

func preregistrationTable() []Field {
	return []Field{
		required(moment("registeredAt", "when: the claimed time")),
		// Closed: a threshold that holds only somewhere is another threshold.
		required(mapOf("thresholds", "what has to come out, by the metric's name; at least one", closed(object("", "",
			required(oneOf(text("comparator", "how it is compared"), AtLeast, AtMost, Above, Below)),
			required(decimal("value", "with what")))))),
		count("runs", "how many runs will be made"),
		object("suite", "what will be run",
			required(text("name", "its name")),
			text("version", "its version")),
		list("seeds", "the seeds of the runs", Field{Kind: Text}),
		evaluationInputs("what will be consumed beside the subject"),
		text("comment", "anything else"),
	}
}

func (f *Facts) preregistration() error {
	if len(at[map[string]any](f.Tree, "thresholds")) == 0 {
		return schema((*path)(nil).field("thresholds"), "is empty: a plan that nothing can fail")
	}
	var err error
	f.Inputs, err = inputsByRole(f.Tree)
	return err
}

// A Preregistration is the predicate TypePreregistration, for writing;
// docs/format/preregistration.md has the rules.
type Preregistration struct {
	RegisteredAt time.Time            `json:"registeredAt"` // the claimed time
	Thresholds   map[string]Threshold `json:"thresholds"`   // at least one
	Runs         int64                `json:"runs,omitempty"`
	Suite        *Suite               `json:"suite,omitempty"`
	Seeds        []string             `json:"seeds,omitempty"`
	Inputs       []EvaluationInput    `json:"inputs,omitempty"`
	Comment      string               `json:"comment,omitempty"`
}

// A Threshold is what one metric has to reach; Value is a decimal such as "0.95".
type Threshold struct {
	Comparator string `json:"comparator"` // AtLeast, AtMost, Above or Below
	Value      string `json:"value"`
}

// MarshalJSON writes times in UTC.
func (r Preregistration) MarshalJSON() ([]byte, error) {
	type plain Preregistration
	r.RegisteredAt = r.RegisteredAt.UTC()
	return json.Marshal(plain(r))
}
