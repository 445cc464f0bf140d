// Package rehearse plays a policy against chains that were never made for real.
//
// A policy that nobody tried is a guess: a rule with a wrong comparison allows
// everything, and nobody notices until it mattered. A test file describes one
// good chain, and then cases that change one thing each and say what the policy
// must answer. [Load] reads it, [Run] plays it.
//
// Nothing in a rehearsal is pretended but the world. Statements are really
// signed, with keys that are made from the principals' names and thrown away, or
// under certificates of authorities that exist for one test file;
// [verify.Walk] really verifies them, out of a source in memory that can be told
// to be incomplete; [policy.Policy.Evaluate] judges the chain, and what it
// answers is compared with what was expected. So a policy in a rehearsal means
// exactly what it means in production.
//
// Two things keep a test from passing by itself: a file needs a case that the
// policy allows, or a policy that refuses everything would pass; and a case that
// it does not allow names what for, or any refusal would do.
package rehearse

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// A Report is what came of playing cases against a policy.
type Report struct {
	Policy   string         `json:"policy"`
	Version  int            `json:"version"`
	Cases    []Result       `json:"cases"`
	Failed   int            `json:"failed"`
	Coverage []CoverageItem `json:"coverage"`
	// Covered is how much of what the policy asks was seen both passing and
	// failing, in percent, rounded down.
	Covered int `json:"covered"`
}

// A Result is what came of one case.
type Result struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Expected and Got are the outcomes.
	Expected policy.Outcome `json:"expected"`
	Got      policy.Outcome `json:"got"`
	// Lacking says what else was expected and not seen, such as "code E_RULE".
	Lacking []string `json:"lacking,omitempty"`
	// Reasons are the verdict's own, with the test's names for digests.
	Reasons []Reason `json:"reasons,omitempty"`
}

// A Reason is one reason of a verdict, as a test shows it.
type Reason struct {
	Step   string        `json:"step"`
	About  string        `json:"about"` // the artifact that the step was asked of
	Status policy.Status `json:"status"`
	Code   attest.Code   `json:"code"`
	Why    string        `json:"why"`
}

// Wrong is a mistake in a test file that shows only when a case is played, such
// as evidence that nobody could sign.
type Wrong struct {
	File string
	Load *policy.LoadError
}

// Error gives the file and the mistake.
func (e *Wrong) Error() string { return e.File + ": " + e.Load.Error() }

// Unwrap returns the mistake, with its line and column.
func (e *Wrong) Unwrap() error { return e.Load }

// Key returns the throw-away key of a principal: an Ed25519 key whose seed is
// made of the name and the number, from 0, of the credential. Everybody can make
// the same key, so a policy that was loaded with it proves nothing.
func Key(principal string, i int) attest.PublicKey { return signer(principal, i).Public() }

func signer(principal string, i int) *attest.KeySigner {
	seed := sha256.Sum256(fmt.Appendf(nil, "pedigree rehearsal key\n%s\n%d", principal, i))
	s, err := attest.NewKeySigner(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err) // unreachable: the halves of a key made from its seed fit
	}
	return s
}

// Run plays the cases of the files whose names pick accepts against p, which must
// come from [policy.Rehearse] with [Key], as must the files. The error is a
// *Wrong for a case that cannot be played, E_INTERRUPTED if ctx ends, and E_USAGE
// if no case was picked: nothing played is nothing shown.
func Run(ctx context.Context, p *policy.Policy, files []*File, pick func(name string) bool) (*Report, error) {
	rep := &Report{Policy: p.Name(), Version: p.Version(), Cases: []Result{}}
	cov := newCoverage(p)
	for _, f := range files {
		for _, c := range f.cases {
			if !pick(c.name) {
				continue
			}
			res, err := f.play(ctx, p, c, cov)
			var load *policy.LoadError
			if errors.As(err, &load) {
				return nil, &Wrong{File: f.name, Load: load}
			}
			if err != nil {
				return nil, err
			}
			if !res.OK {
				rep.Failed++
			}
			rep.Cases = append(rep.Cases, res)
		}
	}
	if len(rep.Cases) == 0 {
		return nil, attest.Refuse(attest.CodeUsage, "no case has such a name, and nothing was tried")
	}
	rep.Coverage, rep.Covered = cov.result()
	return rep, nil
}

// play makes a case's world, walks it, and has the chain judged.
func (f *File) play(ctx context.Context, p *policy.Policy, c *testCase, cov *coverage) (Result, error) {
	w, err := f.world(ctx, p, c)
	if err != nil {
		return Result{}, err
	}
	scope := p.Scope()
	scope.Trust = f.office.trust
	chain, err := verify.Walk(ctx, f.artifacts[c.judge].digest, []verify.Source{w}, scope)
	if err != nil {
		return Result{}, fmt.Errorf("case %q: %w", c.name, err)
	}
	q := w.question(c)
	v := p.Evaluate(chain, q)
	if len(c.remembers) > 0 {
		// What numbers are remembered by is the policy's business: its own answer
		// says it.
		for _, m := range v.Marks {
			q.Remembered = append(q.Remembered, c.remembered(m)...)
		}
		q.Stateful = true
		v = p.Evaluate(chain, q)
	}
	cov.note(v, w)
	res := Result{File: f.name, Line: c.line, Name: c.name, Expected: c.expect, Got: v.Outcome, Reasons: w.reasons(v)}
	res.Lacking = c.lacking(v)
	res.OK = res.Got == res.Expected && len(res.Lacking) == 0
	return res, nil
}

// question is what the case asks about the chain.
func (w *world) question(c *testCase) policy.Question {
	q := policy.Question{At: c.at, Known: c.known, Context: c.context, Inspected: map[attest.Digest]policy.Inspected{}}
	for _, a := range w.f.artifacts {
		for path, found := range a.inspected {
			q.Inspected[fileDigest(a.files[path])] = found
		}
	}
	return q
}

// remembered is what the verifier of the case has seen before of what has a mark.
func (c *testCase) remembered(m policy.Mark) []policy.Mark {
	kind, _, _ := strings.Cut(m.Name, "/")
	n, ok := c.remembers[kind]
	if !ok {
		return nil
	}
	m.Number = n
	return []policy.Mark{m}
}

// lacking says which of the codes, steps and rules that a case names do not
// explain the verdict.
func (c *testCase) lacking(v *policy.Verdict) []string {
	var codes, steps, rules []string
	for _, r := range v.Requirements {
		if r.Status == policy.Pass {
			continue
		}
		steps = append(steps, r.Step)
		for _, why := range r.Reasons {
			codes = append(codes, string(why.Code))
			if id, ok := strings.CutPrefix(why.About, "rule "); ok {
				rules = append(rules, id)
			}
		}
	}
	var out []string
	for _, want := range []struct {
		what      string
		want, got []string
	}{{"code", c.codes, codes}, {"step", c.steps, steps}, {"rule", c.rules, rules}} {
		for _, x := range want.want {
			if !slices.Contains(want.got, x) {
				out = append(out, want.what+" "+x)
			}
		}
	}
	return out
}

// reasons lists why the verdict is not ALLOW, in the verdict's order. Digests are
// replaced by the names that the test gives them: its author never saw them.
func (w *world) reasons(v *policy.Verdict) []Reason {
	names := w.names()
	var out []Reason
	for _, r := range v.Requirements {
		if r.Status == policy.Pass {
			continue
		}
		for _, why := range r.Reasons {
			about := r.Artifact.String()
			x := Reason{Step: r.Step, About: names.Replace(about), Status: r.Status, Code: why.Code, Why: names.Replace(why.Why)}
			if id, ok := strings.CutPrefix(why.About, "rule "); ok {
				x.Why = "rule " + id + ": " + x.Why
			}
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}
