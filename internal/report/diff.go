package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

const (
	// maxDiffPlaces is how many places that differ are drawn, and maxDiffLines how many
	// lines any list below one of them has: a difference is read by somebody in a
	// hurry, and --output json has all of it.
	maxDiffPlaces = 200
	maxDiffLines  = 25
	// maxDiffInputs is how many inputs of one artifact are drawn.
	maxDiffInputs = 40
	// maxDiffDepth is how deep the tree is indented.
	maxDiffDepth = 16
)

// Diff writes a difference for people: how much changed, then what it was made of
// as a tree, then code, measurements and approvals. The error is the writer's.
func Diff(w io.Writer, d *lineage.Difference, o Options) error {
	p := newPrinter(o)
	r := &diffReport{p: p, d: d, below: map[int][]int{}, used: map[int]bool{}, shown: map[int]bool{}}
	for i, c := range d.Changes {
		r.below[c.Of] = append(r.below[c.Of], i)
	}
	p.line("%s", p.paint(bold, "What changed from A to B"))
	r.side("A", d.A)
	r.side("B", d.B)
	for _, n := range o.Notes {
		p.wrap("  ", 2, dim, clean(n))
	}
	p.line("")
	p.wrap("  ", 2, bold, r.summary())
	if len(d.Changes) > 0 {
		r.tree()
		r.code()
		r.measured()
		r.approved()
		r.besides()
		r.policies()
		r.records()
	}
	gaps := slices.Concat(d.A.Gaps, d.B.Gaps, d.Gaps)
	slices.SortFunc(gaps, func(a, b lineage.Gap) int { return cmp.Or(a.Artifact.Compare(b.Artifact), cmp.Compare(a.Code, b.Code)) })
	p.missed(slices.Compact(gaps), o.Unseen)
	p.section("What this does not prove")
	p.wrap("  - ", 4, plain, "That it happened so: it is who signed what about which bytes. Names, origins, parameters and numbers are the signers' words.")
	p.wrap("  - ", 4, plain, "That nothing was removed: evidence that somebody deleted is not compared.")
	return p.flush(w)
}

type diffReport struct {
	p     *printer
	d     *lineage.Difference
	below map[int][]int // the changes that are inputs of a change
	used  map[int]bool  // records that a line names
	drawn int
	shown map[int]bool // comparisons that were drawn
}

// side says what one of the two is, and what the policy says of it.
func (r *diffReport) side(letter string, s lineage.DiffSide) {
	p := r.p
	p.line("  %s  %s", p.paint(bold, letter), clean(cmp.Or(s.Reference, s.Artifact.String())))
	p.judged(s.Trust, s.Why, "     ")
}

// judged says what a policy says of an artifact, or that none was asked.
func (p *printer) judged(t lineage.Trust, why []string, indent string) {
	if t.Policy == "" {
		p.wrap(indent, len(indent), plain, "no policy judged it; "+strings.Replace(TrustLine(t, ""), ", under no policy", "", 1))
		return
	}
	o := policy.Deny
	for _, known := range []policy.Outcome{policy.Allow, policy.Undecided} {
		if known.String() == t.Outcome {
			o = known
		}
	}
	p.line("%s%s by the policy %s, %s", indent, p.outcome(o), clean(t.Policy), t.Digest.Short())
	for _, w := range why {
		p.wrap(indent+"  ", len(indent)+4, plain, clean(w))
	}
}

// summary is the answer in one sentence.
func (r *diffReport) summary() string {
	c := r.d.Counts
	if len(r.d.Changes) == 0 {
		return fmt.Sprintf("Nothing differs: %s in both chains, with the same records.", count(c.Same, "artifact is", "artifacts are"))
	}
	parts := []string{count(c.Replaced, "artifact replaced", "artifacts replaced")}
	for _, n := range []struct {
		n    int
		text string
	}{{c.Added, "added"}, {c.Removed, "removed"}, {c.Records, "the same with other records"}} {
		if n.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.n, n.text))
		}
	}
	text := strings.Join(parts, ", ") + fmt.Sprintf("; %d identical, with what is behind them.", c.Same)
	if root := r.d.Changes[0]; root.How == lineage.HowReplaced && root.Of < 0 {
		if f := root.Files; f != nil && !f.Unknown {
			text += fmt.Sprintf(" Of the artifact's own files %d %s, %s the same.", len(f.List), plural(len(f.List), "differs", "differ"), plainCount(f.Same, "is", "are"))
		}
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func plainCount(n int, one, many string) string { return fmt.Sprintf("%d %s", n, plural(n, one, many)) }

// cite names records by their numbers in the list at the end.
func (r *diffReport) cite(lists ...[]int) string {
	var sides []string
	for _, list := range lists {
		var parts []string
		for i, n := range list {
			if i == 6 {
				parts = append(parts, "…")
				break
			}
			r.used[n] = true
			parts = append(parts, strconv.Itoa(n+1))
		}
		sides = append(sides, cmp.Or(strings.Join(parts, ","), "-"))
	}
	if len(sides) == 2 && sides[0] == sides[1] {
		sides = sides[:1]
	}
	return "[" + strings.Join(sides, " → ") + "]"
}

// policies lists under what was decided.
func (r *diffReport) policies() {
	if len(r.d.A.Policies)+len(r.d.B.Policies) == 0 {
		return
	}
	p := r.p
	p.section("Policies that approvals and summaries name")
	named := map[string]*[2][]int{}
	var order []string
	for side, list := range [][]lineage.PolicyNamed{r.d.A.Policies, r.d.B.Policies} {
		for _, n := range list {
			text := policyText(n)
			if named[text] == nil {
				named[text] = new([2][]int)
				order = append(order, text)
			}
			named[text][side] = append(named[text][side], n.Records...)
		}
	}
	for _, text := range order {
		by := named[text]
		how := lineage.HowSame
		switch {
		case len(by[0]) == 0:
			how = lineage.HowAdded
		case len(by[1]) == 0:
			how = lineage.HowRemoved
		}
		p.wrap("  "+r.mark(how)+" ", 4, plain, text+" "+r.cite(by[0], by[1]))
	}
}

func policyText(n lineage.PolicyNamed) string {
	text := clean(n.Name)
	if n.Version > 0 {
		text += fmt.Sprintf(" version %d", n.Version)
	}
	if !n.Digest.IsZero() {
		text += " " + n.Digest.Short()
	}
	return strings.TrimSpace(text)
}

// mark is the sign of a change.
func (r *diffReport) mark(how lineage.How) string {
	switch how {
	case lineage.HowAdded:
		return r.p.paint(green, "+")
	case lineage.HowRemoved:
		return r.p.paint(red, "-")
	case lineage.HowSame:
		return r.p.paint(dim, "=")
	}
	return r.p.paint(yellow, "~")
}

// records is the list of the records that lines name by number.
func (r *diffReport) records() {
	p := r.p
	p.section("Records")
	shown := 0
	for i, record := range r.d.Records {
		if !r.used[i] {
			continue
		}
		if shown++; shown > maxDiffPlaces {
			p.line("  … and %d more (use --output json)", len(r.used)-maxDiffPlaces)
			return
		}
		head := pad(fmt.Sprintf("  [%d]", i+1), 7)
		text := record.Payload.String() + "  " + clean(record.Step) + " by " + Who(record.Signer)
		if record.Claimed != nil {
			text += ", " + when(*record.Claimed)
		}
		if record.Problem != "" {
			text += ", cannot be read: " + clean(record.Problem)
		}
		if uncounted(record) {
			text += " (no step of the policy counts it)"
		}
		p.wrap(head, 9, plain, text)
	}
}

// uncounted reports whether a policy was asked, and had no use for a record of a
// kind that policies count.
func uncounted(r lineage.Record) bool {
	return r.Counts != nil && len(r.Counts) == 0 && slices.Contains([]string{"provenance", "evaluation", "approval"}, r.Type)
}

func timeOf(r lineage.Record) time.Time {
	if r.Claimed != nil {
		return *r.Claimed
	}
	return time.Time{}
}

func digestText(in *lineage.InputSeen) string {
	if in == nil {
		return "nothing"
	}
	if in.Digest.IsZero() {
		return "no digest"
	}
	return in.Digest.Short()
}

// change writes A's text and B's, or one if they are equal.
func change(a, b string) string {
	if a == b {
		return a
	}
	return cmp.Or(a, "-") + " → " + cmp.Or(b, "-")
}

func nameOf(in *lineage.InputSeen) string {
	if in == nil {
		return ""
	}
	return clean(cmp.Or(in.Name, in.URI))
}

// title names the artifact of a change in a section of its own.
func (r *diffReport) title(i int) string {
	c := r.d.Changes[i]
	name := strings.TrimSpace(clean(c.Role) + " " + change(nameOf(c.A), nameOf(c.B)))
	if c.Of < 0 && i == 0 {
		name = "the artifact itself"
	}
	return strings.TrimSpace(name + "  " + change(digestText(c.A), digestText(c.B)))
}
