package llm

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/examples/internal/record"
	"github.com/pedigree-ml/pedigree/examples/internal/steps"
	"github.com/pedigree-ml/pedigree/internal/modelformat"
)

// scan looks at the bytes of a model's files, whatever their names say, and
// counts the formats that it found and the files that are not sound ones.
func scan(dir string, at time.Time) (record.Evaluation, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return record.Evaluation{}, err
	}
	counts := map[string]int{"files": 0, "unsound": 0, modelformat.Safetensors: 0}
	for _, e := range entries {
		data, err := steps.ReadFile(filepath.Join(dir, e.Name()), maxFile)
		if err != nil {
			return record.Evaluation{}, err
		}
		res, err := modelformat.Inspect(bytes.NewReader(data), int64(len(data)), e.Name())
		if err != nil {
			return record.Evaluation{}, fmt.Errorf("%s: %w", e.Name(), err)
		}
		counts["files"]++
		if res.Problem != "" {
			counts["unsound"]++
		}
		if res.Format == "" {
			res.Format = "unknown"
		}
		counts[res.Format]++
	}
	metrics := map[string]record.Metric{}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		metrics[name] = record.Metric{Value: record.NewDecimal(float64(counts[name])), N: counts["files"]}
	}
	return record.Evaluation{Kind: "format-scan", EvaluatedAt: record.Time(at), Suite: record.Suite{Name: "modelformat", Version: "1"}, Metrics: metrics, Slices: map[string]record.Slice{}}, nil
}
