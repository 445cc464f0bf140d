package credit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

// maxRows bounds memory: training holds every row as about 60 float64s. The
// data has 1,000 rows.
const maxRows = 100_000

// A row is one loan. Every row was checked against the schema.
type row struct {
	line   string // as in the file, without the newline
	fields []string
}

// good reports whether the loan was repaid.
func (r row) good() bool { return r.fields[classColumn] == "good" }

// number returns the value of a numeric column.
func (r row) number(column int) int {
	n, _ := strconv.Atoi(r.fields[column]) // parseDataset checked it
	return n
}

// parseDataset parses the one accepted spelling of a dataset: the exact header,
// at least one row, no quoting, and every line ended by a single newline.
func parseDataset(text string) ([]row, error) {
	if !strings.HasSuffix(text, "\n") {
		return nil, errors.New("the last line does not end in a newline")
	}
	if n := strings.Count(text, "\n") - 1; n > maxRows {
		return nil, fmt.Errorf("%d rows, want at most %d", n, maxRows)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if want := header(); lines[0] != want {
		return nil, fmt.Errorf("line 1: header is %.300q, want %q", lines[0], want)
	}
	if len(lines) == 1 {
		return nil, errors.New("no rows after the header")
	}
	columns := schema()
	rows := make([]row, 0, len(lines)-1)
	for i, line := range lines[1:] {
		r, err := parseRow(columns, line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func parseRow(columns []column, line string) (row, error) {
	if n := strings.Count(line, ",") + 1; n != len(columns) {
		return row{}, fmt.Errorf("%d fields, want %d", n, len(columns))
	}
	r := row{line: line, fields: strings.Split(line, ",")}
	for i, c := range columns {
		if err := c.check(r.fields[i]); err != nil {
			return row{}, err
		}
	}
	return r, nil
}

// formatDataset is the inverse of parseDataset.
func formatDataset(rows []row) []byte {
	var b strings.Builder
	b.WriteString(header() + "\n")
	for _, r := range rows {
		b.WriteString(r.line + "\n")
	}
	return []byte(b.String())
}

// readDataset reads the one CSV file in dir. Two would leave open which of them
// the step used.
func readDataset(dir string) ([]row, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".csv") {
			names = append(names, e.Name())
		}
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("%s holds %d CSV files, want exactly one", dir, len(names))
	}
	path := filepath.Join(dir, names[0])
	data, err := steps.ReadFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	rows, err := parseDataset(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}
