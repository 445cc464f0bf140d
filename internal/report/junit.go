package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// JUnit writes the verdicts as JUnit XML, which CI systems show beside the results of
// tests: a suite for each artifact, a test for each requirement. What failed is a
// failure; what is unknown an error, because nobody could finish the test. A
// requirement that an ALLOW did not need is skipped, so no test fails under an ALLOW,
// and under any other verdict one does. The error is the writer's.
func JUnit(w io.Writer, x Index, o Options) error {
	p := newPrinter(o)
	checks, left := p.checks(x)
	all := junit.Testsuites{Name: "pedigree verify"}
	for i, v := range x.Verdicts {
		s := suite(v, o)
		s.ID = i
		named := map[string]int{}
		for _, c := range checks {
			if c.verdict == v {
				s.AddTestcase(testcase(c, named))
			}
		}
		if left > 0 && i == 0 {
			s.AddProperty("leftOut", fmt.Sprint(left))
		}
		all.AddSuite(s)
	}
	return writeJUnit(w, all)
}

func writeJUnit(w io.Writer, all junit.Testsuites) error {
	var b strings.Builder
	b.WriteString(xml.Header)
	if err := all.WriteXML(&b); err != nil {
		return fmt.Errorf("writing JUnit XML: %w", err)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// suite begins the suite of one verdict, with everything that is no requirement.
func suite(v *policy.Verdict, o Options) junit.Testsuite {
	s := junit.Testsuite{Name: judgedName(v.Artifact, o), Time: "0"}
	s.SetTimestamp(v.At.UTC())
	s.AddProperty("outcome", v.Outcome.String())
	s.AddProperty("artifact", v.Artifact.String())
	s.AddProperty("policy", fmt.Sprintf("%s version %d, %s", bounded(v.Policy.Name), v.Policy.Version, v.Policy.Digest))
	s.AddProperty("at", when(v.At))
	s.AddProperty("known", when(v.Known))
	if v.Context != "" {
		s.AddProperty("context", bounded(v.Context))
	}
	var out strings.Builder
	for _, a := range v.Acknowledged {
		fmt.Fprintf(&out, "taken on trust: %s: %s: %s\n", bounded(a.Where), bounded(a.Rests), bounded(a.Why))
	}
	for _, n := range v.NotProven {
		fmt.Fprintf(&out, "not proven: %s\n", bounded(n))
	}
	s.SystemOut = &junit.Output{Data: out.String()}
	return s
}

// testcase tells one check. Tools tell tests apart by their names, and show of two with
// one name only one: of the same name, the second has a number.
func testcase(c check, named map[string]int) junit.Testcase {
	name := bounded(c.Step)
	if c.Artifact != c.verdict.Artifact {
		name += " of " + c.Artifact.Short()
	}
	if named[name]++; named[name] > 1 {
		name += fmt.Sprintf(" (%d)", named[name])
	}
	tc := junit.Testcase{Name: name, Classname: bounded(c.verdict.Policy.Name)}
	if c.Status == policy.Pass {
		return tc
	}
	res := &junit.Result{Message: string(c.said[0].code) + " " + c.said[0].text(), Type: string(c.said[0].code)}
	lines := []string{c.Step + " of " + c.Artifact.String()}
	lines[0] = bounded(lines[0])
	for _, s := range c.said {
		lines = append(lines, string(s.code)+" "+s.text())
		if s.how != "" {
			lines = append(lines, "  next: "+s.how)
		}
	}
	res.Data = strings.Join(lines, "\n")
	switch {
	case c.verdict.Outcome == policy.Allow:
		res.Message = "not needed for the ALLOW: " + res.Message
		tc.Skipped = res
	case c.Status == policy.Unknown:
		tc.Error = res
	default:
		tc.Failure = res
	}
	return tc
}

// JUnitRefusal writes that there is no verdict, and why, as a suite with one error: a
// CI system that finds no report shows nothing, and nothing looks like no problem.
func JUnitRefusal(w io.Writer, r attest.Refusal) error {
	text := refusalText(r)
	s := junit.Testsuite{Name: "pedigree verify", Time: "0"}
	res := &junit.Result{Message: string(r.Code) + " " + text, Type: string(r.Code), Data: string(r.Code) + " " + text}
	if r.Next != "" {
		res.Data += "\n  next: " + bounded(r.Next)
	}
	s.AddTestcase(junit.Testcase{Name: "verdict", Classname: "pedigree", Error: res})
	all := junit.Testsuites{Name: "pedigree verify"}
	all.AddSuite(s)
	return writeJUnit(w, all)
}
