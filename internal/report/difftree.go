package report

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// tree draws what the artifact was made of, as far as it differs.
func (r *diffReport) tree() {
	r.p.section("What it is, and what it was made of")
	r.children(-1, "  ", 0)
	if left := len(r.d.Changes) - r.drawn; left > 0 {
		r.p.line("  %s", r.p.paint(dim, fmt.Sprintf("… and %d more (use --output json)", left)))
	}
}

// children draws the changes below one. The depth is bounded, so the recursion is.
func (r *diffReport) children(of int, prefix string, depth int) {
	list := r.below[of]
	for n, i := range list {
		if r.drawn >= maxDiffPlaces || n == maxDiffInputs || depth > maxDiffDepth {
			if of >= 0 {
				r.p.line("%s%s", prefix, r.p.paint(dim, fmt.Sprintf("… and %s (use --output json)", count(len(list)-n, "more input", "more inputs"))))
			}
			return
		}
		r.drawn++
		branch, bar := "├─ ", "│  "
		switch {
		case of < 0:
			branch, bar = "", "  "
		case n == len(list)-1:
			branch, bar = "└─ ", "   "
		}
		// Two that stand in several places were compared once: it is drawn where the
		// reader meets them first.
		at := i
		if see := r.d.Changes[i].See; see != nil {
			at = *see
		}
		r.place(i, at, prefix+branch, prefix+bar)
		if !r.shown[at] {
			r.shown[at] = true
			r.children(at, prefix+bar, depth+1)
		}
	}
}

// place draws one change: its head behind first, and behind rest the details, which
// are those of the change at.
func (r *diffReport) place(i, at int, first, rest string) {
	c := r.d.Changes[i]
	p := r.p
	role := cmp.Or(clean(c.Role), "input")
	if c.Of < 0 {
		role = "the artifact"
		if i > 0 {
			role = "elsewhere in the chains"
		}
	}
	head := role
	if name := change(nameOf(c.A), nameOf(c.B)); c.A != nil && c.B != nil && name != "" {
		head += "  " + name
	} else if name := cmp.Or(nameOf(c.A), nameOf(c.B)); name != "" {
		head += "  " + name
	}
	switch c.How {
	case lineage.HowAdded:
		head += "  " + digestText(c.B) + "  added"
	case lineage.HowRemoved:
		head += "  " + digestText(c.A) + "  removed"
	default:
		head += "  " + change(digestText(c.A), digestText(c.B))
	}
	switch {
	case c.A == nil:
		head += "  " + r.cite(c.B.Records)
	case c.B == nil:
		head += "  " + r.cite(c.A.Records)
	case len(c.A.Records)+len(c.B.Records) > 0:
		head += "  " + r.cite(c.A.Records, c.B.Records)
	}
	lines := fitted(head, max(p.width-len([]rune(first))-2, minWidth/2))
	p.line("%s%s %s", first, r.mark(c.How), lines[0])
	bar := rest
	if len(r.below[at]) > 0 && !r.shown[at] {
		bar += "│ "
	} else {
		bar += "  "
	}
	for _, more := range lines[1:] {
		p.line("%s  %s", bar, more)
	}
	r.details(c, r.d.Changes[at], r.shown[at], bar)
}

// fitted leaves a text that fits as it is, with its wider spaces, and wraps others.
func fitted(text string, width int) []string {
	if utf8.RuneCountInString(text) <= width {
		return []string{text}
	}
	return wrapped(text, width)
}

// say writes a line of detail beside the tree.
func (r *diffReport) say(bar, mark string, st style, text string) {
	for i, part := range fitted(text, max(r.p.width-len([]rune(bar))-4, minWidth/2)) {
		if i > 0 {
			mark = " "
		}
		if mark != "" {
			part = mark + " " + r.p.paint(st, part)
		} else {
			part = r.p.paint(st, part)
		}
		if i > 0 {
			part = "  " + part
		}
		r.p.line("%s%s", bar, part)
	}
}

// details writes what is known of a place: of the place itself, and of the two
// artifacts there, which were compared in c.
func (r *diffReport) details(here, c lineage.ArtifactChange, shown bool, bar string) {
	if len(here.RolesInA) > 0 {
		r.say(bar, "!", yellow, "B's was used in A as "+clean(strings.Join(here.RolesInA, ", ")))
	}
	if len(here.RolesInB) > 0 {
		r.say(bar, "!", yellow, "A's is used in B as "+clean(strings.Join(here.RolesInB, ", ")))
	}
	if shown {
		r.say(bar, "", dim, "as above")
		return
	}
	if c.Unfollowed {
		r.say(bar, "", dim, "not looked into: nobody whose word leads on says that it was used")
	}
	for _, s := range c.Steps {
		r.step(bar, s)
	}
	if f := c.Files; f != nil {
		r.files(bar, f)
	}
	if c.Rows != nil {
		r.rows(bar, c.Rows)
	}
	if c.A != nil && c.B != nil && c.A.Digest.IsCommit() && c.B.Digest.IsCommit() && c.Commits == nil {
		r.say(bar, "", dim, "--git DIR, with a clone, lists the commits between them")
	}
	if c.Commits != nil {
		r.say(bar, "", plain, commitsLine(c.Commits))
	}
	if c.How == lineage.HowRecords {
		n := len(c.Approvals) + len(c.Others) + len(c.Evaluations)
		r.say(bar, "", plain, fmt.Sprintf("the same artifact, with other records: %s below", plainCount(n, "difference", "differences")))
	}
	if c.Same > 0 {
		r.say(bar, "=", dim, count(c.Same, "input is the same", "inputs are the same"))
	}
}

func (r *diffReport) step(bar string, s lineage.StepChange) {
	name := clean(s.Step)
	if s.Was != "" {
		name = clean(s.Was) + " → " + name
	}
	who := change(clean(strings.Join(s.SignersA, ", ")), clean(strings.Join(s.SignersB, ", ")))
	times := func(list []int) string {
		if len(list) == 0 {
			return ""
		}
		return when(timeOf(r.d.Records[list[len(list)-1]]))
	}
	text := name + " by " + who + ", " + change(times(s.A), times(s.B)) + " " + r.cite(s.A, s.B)
	st := plain
	switch {
	case s.OtherKeys:
		text, st = text+": the same name with another key", yellow
	case len(s.A) > 0 && len(s.B) > 0 && strings.Join(s.SignersA, "\x00") != strings.Join(s.SignersB, "\x00"):
		text, st = text+": another signer", yellow
	case len(s.A) == 0:
		text, st = text+": only B was made by it", yellow
	case len(s.B) == 0:
		text, st = text+": only A was made by it", yellow
	}
	r.say(bar, "", st, text)
	shown := 0
	for _, p := range s.Parameters {
		// The log of a run has its digest there: no two runs write the same.
		if strings.HasPrefix(p.Name, "internal.log.") {
			continue
		}
		if shown++; shown > maxDiffLines {
			r.say(bar, "", dim, fmt.Sprintf("… and %d more parameters (use --output json)", len(s.Parameters)-maxDiffLines))
			return
		}
		how := lineage.HowChanged
		switch {
		case p.A == nil:
			how = lineage.HowAdded
		case p.B == nil:
			how = lineage.HowRemoved
		}
		a, b := elide(clean(strings.Join(p.A, " or ")), clean(strings.Join(p.B, " or ")))
		r.say(bar, r.mark(how), plain, clean(p.Name)+"  "+valueChange(how, a, b))
	}
}

func valueChange(how lineage.How, a, b string) string {
	switch how {
	case lineage.HowAdded:
		return b
	case lineage.HowRemoved:
		return a
	}
	return cmp.Or(a, "nothing") + " → " + cmp.Or(b, "nothing")
}

// maxElided is how long two values are before what they begin and end with is left
// out: a command line of which one word changed.
const maxElided = 48

// elide leaves out of two long texts the words with which both begin and end, but
// for one on each side.
func elide(a, b string) (string, string) {
	if len(a) <= maxElided && len(b) <= maxElided {
		return a, b
	}
	split := func(s string) []string { return strings.SplitAfter(strings.ReplaceAll(s, `","`, `", "`), " ") }
	x, y := split(a), split(b)
	begin := 0
	for begin < len(x) && begin < len(y) && x[begin] == y[begin] {
		begin++
	}
	end := 0
	for end < len(x)-begin && end < len(y)-begin && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	begin, end = max(0, begin-1), max(0, end-1)
	join := func(w []string) string {
		s := strings.TrimSpace(strings.Join(w[begin:len(w)-end], ""))
		if begin > 0 {
			s = "… " + s
		}
		if end > 0 {
			s += " …"
		}
		return s
	}
	return join(x), join(y)
}

func (r *diffReport) files(bar string, f *lineage.FilesChange) {
	if f.Unknown {
		r.say(bar, "", yellow, "its files are not known: a manifest could not be read")
		return
	}
	for n, c := range f.List {
		if n == maxDiffLines {
			r.say(bar, "", dim, fmt.Sprintf("… and %d more files (use --output json)", len(f.List)-n))
			break
		}
		text := clean(c.Path)
		switch c.How {
		case lineage.HowAdded:
			text += "  " + bytesText(c.B.Size) + "  " + c.B.Digest.Short()
		case lineage.HowRemoved:
			text += "  " + bytesText(c.A.Size) + "  " + c.A.Digest.Short()
		case lineage.HowRenamed:
			text = clean(c.Was) + " → " + text + "  renamed, the same bytes  " + c.B.Digest.Short()
		default:
			text += "  " + change(bytesText(c.A.Size), bytesText(c.B.Size)) + "  " + c.A.Digest.Short() + " → " + c.B.Digest.Short()
		}
		r.say(bar, r.mark(c.How), plain, text)
		if c.Rows != nil {
			r.rows(bar+"    ", c.Rows)
		}
	}
	if f.Same > 0 {
		r.say(bar, r.mark(lineage.HowSame), dim, fmt.Sprintf("%s the same, %s", plainCount(f.Same, "file is", "files are"), bytesText(f.SameBytes)))
	}
}

// rows writes the rows of a file that differ.
func (r *diffReport) rows(bar string, c *lineage.RowsChange) {
	if c.Unread != "" {
		r.say(bar, "", dim, clean(c.Unread))
		return
	}
	if len(c.List) == 0 {
		r.say(bar, "", dim, "its rows are the same; the files differ in something else")
	}
	for n, row := range c.List {
		if n == maxDiffLines {
			r.say(bar, "", dim, fmt.Sprintf("… and %d more rows (use --output json)", len(c.List)-n+c.More))
			break
		}
		a, b := elide(clean(row.A), clean(row.B))
		text := clean(row.Name) + "  "
		st := plain
		if row.OtherContents {
			text, st = text+cmp.Or(a, "the same version")+": the same version with other hashes or from elsewhere", yellow
		} else {
			text += valueChange(row.How, a, b)
		}
		r.say(bar, r.mark(row.How), st, text)
	}
}
