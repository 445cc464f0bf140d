package report

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// A Place is one artifact's place in a judged chain: how the judged artifact
// leads to it, what it plays, who says so, and what is missing there.
type Place struct {
	Digest  attest.Digest  `json:"digest"`
	Kind    string         `json:"kind"` // "artifact", "file" or "record"
	Outcome policy.Outcome `json:"outcome"`
	Judged  attest.Digest  `json:"judged"`
	// Path leads from the judged artifact here, by the shortest way; empty for the
	// judged artifact, for what no counted evidence leads to, and for files and
	// records.
	Path []policy.Edge `json:"path"`
	// Looked is true if the walk looked at the artifact, though nothing that counts
	// may lead to it.
	Looked bool `json:"looked"`
	// Plays are the steps that it was asked to satisfy, with the answers.
	Plays []policy.Requirement `json:"plays"`
	// MadeFrom and TakenBy are its inputs, and who took it as what.
	MadeFrom []policy.Edge `json:"madeFrom"`
	TakenBy  []policy.Edge `json:"takenBy"`
	// Evidence is what principals of the policy signed about it; of a record, the
	// record itself.
	Evidence []policy.Item     `json:"evidence"`
	Frontier []policy.Frontier `json:"frontier"`
	Gaps     []policy.GapRef   `json:"gaps"`
	// Follows are requirements of other artifacts that do not pass because of this one.
	Follows []policy.Because `json:"follows"`
	// Within are the artifacts that hold it; of a file only.
	Within []FileOf `json:"within"`
	Files  int      `json:"files"` // how many files its manifest has
}

// A FileOf is one artifact that holds a file, and under which path.
type FileOf struct {
	Artifact attest.Digest `json:"artifact"`
	Path     string        `json:"path"`
}

// minPrefix is how much of a digest must be given: less names one by accident.
const minPrefix = 4

var digestPrefix = regexp.MustCompile(`^(?:(sha256|gitCommit):)?([0-9a-f]{4,64})$`)

// PlaceOf finds a digest, or what begins like it, among the artifacts of a chain,
// their files, and the records about them. It is refused with attest.CodeUsage if
// that is no beginning of a digest or of several ones, with attest.CodeNotFound
// if the chain holds no such thing.
func PlaceOf(v *policy.Verdict, c verify.Chain, digest string) (*Place, error) {
	m := digestPrefix.FindStringSubmatch(digest)
	if m == nil {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: digest, Why: "not a digest, nor the beginning of one", Next: fmt.Sprintf("write sha256: and at least %d digits", minPrefix)}
	}
	kinds := digests(v, c)
	var found []attest.Digest
	for d := range kinds {
		if (m[1] == "" || d.Algorithm() == m[1]) && strings.HasPrefix(d.Hex(), m[2]) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, attest.Digest.Compare)
	switch {
	case len(found) == 0:
		return nil, &attest.Refusal{Code: attest.CodeNotFound, About: digest, Why: fmt.Sprintf("the chain behind %s has no such artifact, file or record", v.Artifact.Short()),
			Next: "pedigree verify --output json lists what it has"}
	case len(found) > 1:
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: digest, Why: fmt.Sprintf("begins %d digests, such as %s and %s", len(found), found[0], found[1]), Next: "write more digits"}
	}
	return place(v, c, found[0], kinds[found[0]]), nil
}

// digests returns everything that can be asked about. What is an artifact and a
// file as well is an artifact.
func digests(v *policy.Verdict, c verify.Chain) map[attest.Digest]string {
	out := map[attest.Digest]string{}
	for _, i := range v.Evidence {
		out[i.Payload] = "record"
	}
	for _, a := range c.Artifacts() {
		for _, f := range c.Artifact(a).Files {
			out[f.Digest] = "file"
		}
	}
	for _, list := range [][]attest.Digest{c.Artifacts(), {v.Artifact}} {
		for _, d := range list {
			out[d] = "artifact"
		}
	}
	for _, e := range v.Lineage {
		out[e.Artifact], out[e.Input] = "artifact", "artifact"
	}
	for _, f := range v.Frontier {
		out[f.Artifact] = "artifact"
	}
	delete(out, attest.Digest{})
	return out
}

func place(v *policy.Verdict, c verify.Chain, d attest.Digest, kind string) *Place {
	p := &Place{Digest: d, Kind: kind, Outcome: v.Outcome, Judged: v.Artifact, Path: shortest(v, d), Plays: []policy.Requirement{}, MadeFrom: []policy.Edge{}, TakenBy: []policy.Edge{},
		Evidence: []policy.Item{}, Frontier: []policy.Frontier{}, Gaps: []policy.GapRef{}, Follows: []policy.Because{}, Within: []FileOf{}}
	if node := c.Artifact(d); node != nil {
		p.Looked, p.Files = true, len(node.Files)
	}
	for _, r := range v.Requirements {
		if r.Artifact == d {
			p.Plays = append(p.Plays, r)
			continue
		}
		if slices.ContainsFunc(r.Reasons, func(reason policy.Reason) bool { return reason.Because != nil && reason.Because.Artifact == d }) {
			p.Follows = append(p.Follows, policy.Because{Step: r.Step, Artifact: r.Artifact})
		}
	}
	for _, e := range v.Lineage {
		if e.Artifact == d {
			p.MadeFrom = append(p.MadeFrom, e)
		}
		if e.Input == d {
			p.TakenBy = append(p.TakenBy, e)
		}
	}
	for _, i := range v.Evidence {
		if kind == "artifact" && i.Artifact == d || kind == "record" && i.Payload == d {
			p.Evidence = append(p.Evidence, i)
		}
	}
	for _, f := range v.Frontier {
		if f.Artifact == d {
			p.Frontier = append(p.Frontier, f)
		}
	}
	for _, g := range v.Gaps {
		if g.Artifact == d {
			p.Gaps = append(p.Gaps, g)
		}
	}
	for _, a := range c.Artifacts() {
		for _, f := range c.Artifact(a).Files {
			if f.Digest == d && kind == "file" {
				p.Within = append(p.Within, FileOf{Artifact: a, Path: f.Path})
			}
		}
	}
	return p
}

// shortest returns the shortest way from the judged artifact to d over the
// evidence that counts. The lineage has one order, so of several ways it is
// always the same one.
func shortest(v *policy.Verdict, d attest.Digest) []policy.Edge {
	from := map[attest.Digest]policy.Edge{}
	queue := []attest.Digest{v.Artifact}
	seen := map[attest.Digest]bool{v.Artifact: true}
	for len(queue) > 0 && !seen[d] {
		at := queue[0]
		queue = queue[1:]
		for _, e := range v.Lineage {
			if e.Artifact == at && !seen[e.Input] {
				seen[e.Input], from[e.Input] = true, e
				queue = append(queue, e.Input)
			}
		}
	}
	path := []policy.Edge{}
	for at := d; at != v.Artifact && seen[d]; at = from[at].Artifact {
		path = append(path, from[at])
	}
	slices.Reverse(path)
	return path
}

// WhyJSON writes the place as JSON. The error is the writer's.
func WhyJSON(w io.Writer, p *Place) error { return indentedJSON(w, p) }

// Why writes the place for people. The error is the writer's.
func Why(w io.Writer, x *Place, o Options) error {
	p := newPrinter(o)
	p.line("%s", p.paint(bold, x.Digest.String()))
	p.b.WriteByte('\n')
	p.wrap("  ", 2, plain, clean(x.what()))
	p.line("  The answer about %s is %s.", x.Judged.Short(), p.outcome(x.Outcome))
	p.path(x)
	p.plays(x)
	p.about(x)
	p.edges("Who took it, as what", x.TakenBy, func(e policy.Edge) string {
		return fmt.Sprintf("%s of %s took it as %s", e.Step, e.Artifact.Short(), role(e))
	})
	p.edges("What it was made from, or judged with", x.MadeFrom, func(e policy.Edge) string {
		return fmt.Sprintf("%s: %s %s", e.Step, role(e), e.Input.Short())
	})
	if len(x.Frontier) > 0 {
		p.section("The evidence ends here")
		for _, f := range x.Frontier {
			p.wrap("  - ", 4, plain, clean("as "+cmp.Or(f.Role, "input")+", "+frontier(f)))
		}
	}
	p.lacks(x)
	return p.flush(w)
}

// what says in a sentence what the digest names.
func (x *Place) what() string {
	switch {
	case x.Kind == "record":
		i := x.Evidence[0]
		return fmt.Sprintf("A record of type %s about %s.", i.PredicateType, i.Artifact.Short())
	case x.Kind == "file":
		var in []string
		for _, f := range x.Within {
			in = append(in, f.Path+" of "+f.Artifact.Short())
		}
		return "A file: " + strings.Join(in, ", ") + ". Evidence is about the artifact that holds it, and binds the file by digest."
	case x.Digest == x.Judged && x.Files == 0:
		return "The judged artifact itself."
	case x.Digest == x.Judged:
		return fmt.Sprintf("The judged artifact itself, with %s.", count(x.Files, "file", "files"))
	case len(x.Path) > 0:
		return fmt.Sprintf("An ancestor of the judged artifact, %s back.", count(len(x.Path), "step", "steps"))
	}
	return "Reached by evidence that the policy lets lead further, and by none that counts: nothing in the answer rests on it."
}

func (p *printer) path(x *Place) {
	if len(x.Path) == 0 {
		return
	}
	p.section("The way from the judged artifact")
	p.line("  %s", x.Judged.Short())
	for _, e := range x.Path {
		p.wrap("  ← ", 4, plain, clean(fmt.Sprintf("%s took, as %s, %s", e.Step, role(e), e.Input.Short())))
	}
}

func role(e policy.Edge) string {
	text := e.Role
	if text == "" {
		text = "an input without a role"
	}
	if e.Name != "" {
		text += " (" + e.Name + ")"
	}
	return text
}

func (p *printer) plays(x *Place) {
	if len(x.Plays) == 0 {
		return
	}
	p.section("What was asked of it")
	for _, r := range x.Plays {
		p.requirement(r)
		var who []string
		for _, s := range r.Selected {
			who = append(who, fmt.Sprintf("%s (%s, %s)", s.Principal, s.Payload.Short(), when(s.Claimed)))
		}
		if len(who) > 0 {
			p.wrap("      by ", 9, plain, clean(strings.Join(who, ", ")))
		}
	}
}

func (p *printer) about(x *Place) {
	if len(x.Evidence) == 0 {
		return
	}
	title := "What the policy's principals signed about it"
	if x.Kind == "record" {
		title = "Who signed it"
	}
	p.section(title)
	for _, i := range x.Evidence {
		kind := i.PredicateType
		if i.BuildType != "" {
			kind = i.BuildType
		}
		used := "selected by no step"
		if len(i.Steps) > 0 {
			used = "selected by " + strings.Join(i.Steps, ", ")
		}
		times := "no time"
		if i.Claimed != nil {
			times = when(*i.Claimed)
		}
		p.wrap("  - ", 4, plain, clean(fmt.Sprintf("%s by %s, %s%s, %s: %s", i.Payload.Short(), i.Principal, times, seenText(i.Seen), used, kind)))
		if isIdentity(i.Credential) {
			p.wrap("    ", 6, dim, "signed as "+Who(i.Credential))
		}
		if i.Claims != nil {
			for _, c := range ClaimsOf(*i.Claims) {
				p.wrap("    ", 6, dim, "the certificate claims "+c.Name+" "+Who(c.Value))
			}
		}
	}
}

func (p *printer) edges(title string, list []policy.Edge, text func(policy.Edge) string) {
	if len(list) == 0 {
		return
	}
	p.section(title)
	for _, e := range list {
		p.wrap("  - ", 4, plain, clean(text(e)))
	}
}

// lacks says what is missing at the artifact, and what waits for it.
func (p *printer) lacks(x *Place) {
	var lines []string
	for _, g := range x.Gaps {
		lines = append(lines, fmt.Sprintf("evidence about it may be missing: %s", g.Code))
	}
	if x.Kind == "artifact" && len(x.Evidence) == 0 && len(x.Frontier) == 0 {
		lines = append(lines, "no principal of the policy signed anything about it")
	}
	for _, f := range x.Follows {
		lines = append(lines, fmt.Sprintf("%s of %s does not pass because of it", f.Step, f.Artifact.Short()))
	}
	if len(lines) == 0 {
		return
	}
	p.section("What is missing")
	for _, l := range lines {
		p.wrap("  - ", 4, plain, clean(l))
	}
}
