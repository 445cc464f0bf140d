package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/pedigree-ml/pedigree/internal/rehearse"
)

// RehearsalJUnit writes what came of a policy's tests as JUnit XML: a suite for each
// test file, a test for each case. The error is the writer's.
func RehearsalJUnit(w io.Writer, rep *rehearse.Report) error {
	all := junit.Testsuites{Name: "pedigree policy test"}
	var files []string
	cases := map[string][]rehearse.Result{}
	for _, c := range rep.Cases {
		if _, known := cases[c.File]; !known {
			files = append(files, c.File)
		}
		cases[c.File] = append(cases[c.File], c)
	}
	for i, file := range files {
		s := junit.Testsuite{ID: i, Name: bounded(file), Time: "0"}
		s.AddProperty("policy", fmt.Sprintf("%s version %d", bounded(rep.Policy), rep.Version))
		s.AddProperty("covered", fmt.Sprintf("%d%%", rep.Covered))
		named := map[string]int{}
		for _, c := range cases[file] {
			name := bounded(c.Name)
			if named[name]++; named[name] > 1 {
				name += fmt.Sprintf(" (%d)", named[name])
			}
			s.AddTestcase(junit.Testcase{Name: name, Classname: bounded(rep.Policy), Failure: failed(c)})
		}
		all.AddSuite(s)
	}
	return writeJUnit(w, all)
}

// failed says how a case differs from what was expected; nil if it does not.
func failed(c rehearse.Result) *junit.Result {
	if c.OK {
		return nil
	}
	want := strings.Join(append([]string{c.Expected.String()}, c.Lacking...), ", ")
	lines := []string{fmt.Sprintf("%s:%d", bounded(c.File), c.Line), "expected " + bounded(want), "got " + c.Got.String()}
	for i, r := range c.Reasons {
		if i == maxSaid {
			lines = append(lines, fmt.Sprintf("… and %d reasons more", len(c.Reasons)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("%s %s of %s: %s %s", r.Status, bounded(r.Step), bounded(r.About), r.Code, bounded(r.Why)))
	}
	return &junit.Result{Message: bounded("expected " + want + ", got " + c.Got.String()), Type: "expectation", Data: strings.Join(lines, "\n")}
}
