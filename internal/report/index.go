package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// An Index is the verdicts about the artifacts that an OCI index lists. Its
// outcome is the least of theirs.
type Index struct {
	Outcome  policy.Outcome    `json:"outcome"`
	Index    attest.Digest     `json:"index"`
	Verdicts []*policy.Verdict `json:"verdicts"`
}

// IndexJSON writes the verdicts as one document. The error is the writer's.
func IndexJSON(w io.Writer, x Index) error {
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the verdicts: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// IndexText writes the verdicts for people, one after the other. The error is the
// writer's.
func IndexText(w io.Writer, x Index, o Options) error {
	if _, err := fmt.Fprintf(w, "%s  %s, an index of %d artifacts, each judged by itself\n", x.Outcome, x.Index, len(x.Verdicts)); err != nil {
		return err
	}
	for _, v := range x.Verdicts {
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
		o.Reference = ""
		if err := Text(w, v, o); err != nil {
			return err
		}
	}
	return nil
}
