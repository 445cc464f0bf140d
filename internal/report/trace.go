package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

const (
	// maxTraceDepth is how deep the tree of a trace is drawn: each level takes three
	// columns, and what is deeper is for --output html or json.
	maxTraceDepth = 40
	// maxTraceInputs is how many inputs of one artifact are drawn.
	maxTraceInputs = 60
)

// Trace writes a graph for people, as a tree from the artifact down to where the
// evidence ends. The error is the writer's.
func Trace(w io.Writer, g *lineage.Graph, o Options) error {
	p := newPrinter(o)
	t := &traceTree{p: p, g: g, shown: map[attest.Digest]bool{}, nodes: map[attest.Digest]*lineage.Node{}}
	for i := range g.Nodes {
		t.nodes[g.Nodes[i].Digest] = &g.Nodes[i]
	}
	p.line("%s", p.paint(bold, "What made "+clean(cmp.Or(o.Reference, g.Artifact.String()))))
	p.trust(g.Trust)
	for _, n := range o.Notes {
		p.wrap("  ", 2, dim, clean(n))
	}
	p.line("")
	if root := t.nodes[g.Artifact]; root != nil {
		t.node(root, "", "", "", 0)
	}
	t.ends()
	p.contradictions(g)
	p.missed(g.Gaps, o.Unseen)
	p.section("What this does not prove")
	p.wrap("  - ", 4, plain, "That it happened so: it is who signed what about which bytes. Names, origins and parameters are the signers' words.")
	p.wrap("  - ", 4, plain, "That nothing was removed: evidence that somebody deleted is not drawn.")
	return p.flush(w)
}

// trust says whose word an answer is.
func (p *printer) trust(t lineage.Trust) {
	p.wrap("  ", 2, plain, TrustLine(t, t.Digest.Short()))
}

// TrustLine says in one line under what was asked; digest is how the policy's is shown.
func TrustLine(t lineage.Trust, digest string) string {
	who := Who(strings.Join(t.Signers, ", "))
	switch {
	case t.Policy != "" && t.Outcome != "":
		return "under the policy " + clean(t.Policy) + "  " + digest + ", which says " + t.Outcome
	case t.Policy != "":
		return "under the policy " + clean(t.Policy) + "  " + digest
	case t.Vouching == nil:
		return "by keys alone, under no policy: what " + who + " signed"
	case who == "":
		return "under no policy: what anybody signed whom the trust vouches for"
	}
	return "under no policy: what " + who + " signed, and anybody whom the trust vouches for"
}

type traceTree struct {
	p     *printer
	g     *lineage.Graph
	nodes map[attest.Digest]*lineage.Node
	shown map[attest.Digest]bool // an artifact reached twice is drawn once
}

// node draws an artifact, what was said about it, and what it was made of. The
// depth is bounded, so the recursion is.
func (t *traceTree) node(n *lineage.Node, prefix, branch, role string, depth int) {
	head := n.Digest.Short()
	if n.Name != "" {
		head = clean(n.Name) + "  " + t.p.paint(dim, head)
	}
	if role != "" {
		head = clean(role) + "  " + head
	}
	below := prefix
	switch branch {
	case "├─ ":
		below += "│  "
	case "└─ ":
		below += "   "
	}
	switch {
	case t.shown[n.Digest]:
		t.p.line("%s%s%s  %s", prefix, branch, head, t.p.paint(dim, "as above"))
		return
	case n.Files > 0:
		head += t.p.paint(dim, fmt.Sprintf("  %s, %s", count(n.Files, "file", "files"), bytesText(n.Bytes)))
	}
	t.p.line("%s%s%s", prefix, branch, head)
	t.shown[n.Digest] = true
	edges := t.inputs(n.Digest)
	bar := below
	if len(edges) > 0 {
		bar += "│ "
	} else {
		bar += "  "
	}
	t.said(n, bar)
	for i, e := range edges {
		switch {
		case depth >= maxTraceDepth:
			t.p.line("%s└─ %s", below, t.p.paint(dim, fmt.Sprintf("… and %s further back: --output html or json", count(t.behind(edges), "artifact", "artifacts"))))
			return
		case i == maxTraceInputs:
			t.p.line("%s└─ %s", below, t.p.paint(dim, fmt.Sprintf("… and %s: --output html or json", count(len(edges)-i, "more input", "more inputs"))))
			return
		}
		next := "├─ "
		if i == len(edges)-1 {
			next = "└─ "
		}
		if to := t.nodes[e.To]; to != nil {
			t.node(to, below, next, cmp.Or(e.Role, "input"), depth+1)
		}
	}
}

// behind counts the artifacts that were not drawn behind some edges.
func (t *traceTree) behind(edges []lineage.Edge) int {
	seen := map[attest.Digest]bool{}
	var queue []attest.Digest
	for _, e := range edges {
		queue = append(queue, e.To)
	}
	for i := 0; i < len(queue); i++ {
		if d := queue[i]; !seen[d] && !t.shown[d] {
			seen[d] = true
			for _, e := range t.inputs(d) {
				queue = append(queue, e.To)
			}
		}
	}
	return len(seen)
}

// inputs returns the edges from an artifact, each input in each role once, those of
// its making before those that it was judged with.
func (t *traceTree) inputs(d attest.Digest) []lineage.Edge {
	i, _ := slices.BinarySearchFunc(t.g.Edges, d, func(e lineage.Edge, d attest.Digest) int { return e.From.Compare(d) })
	n := i
	for n < len(t.g.Edges) && t.g.Edges[n].From == d {
		n++
	}
	type key struct {
		to   attest.Digest
		role string
	}
	seen := map[key]bool{}
	var out []lineage.Edge
	for _, judging := range []bool{false, true} {
		for _, e := range t.g.Edges[i:n] {
			if k := (key{e.To, e.Role}); strings.HasPrefix(e.Step, "evaluate ") == judging && !seen[k] {
				seen[k] = true
				out = append(out, e)
			}
		}
	}
	return out
}

// said writes one line for each record about an artifact.
func (t *traceTree) said(n *lineage.Node, prefix string) {
	records := make([]lineage.Record, len(n.Records))
	for i, at := range n.Records {
		records[i] = t.g.Records[at]
	}
	slices.SortStableFunc(records, func(a, b lineage.Record) int {
		if a.Claimed == nil || b.Claimed == nil {
			return 0
		}
		return cmp.Or(a.Claimed.Compare(*b.Claimed), cmp.Compare(rank(a), rank(b)))
	})
	for _, r := range records {
		st := plain
		if r.Counts != nil && len(r.Counts) == 0 {
			st = dim
		}
		t.line(prefix, st, recordLine(r))
	}
	for _, code := range n.Gaps {
		t.line(prefix, yellow, "evidence may be missing here: "+string(code))
	}
	if n.Frontier != nil {
		t.line(prefix, dim, frontierLine(n.Frontier))
	}
}

// rank puts records of the same second in the order in which things are done.
func rank(r lineage.Record) int {
	return slices.Index([]string{"approval", "evaluation", "provenance"}, r.Type) * -1
}

// line writes a text beside the tree's lines, which go on beside what of it does
// not fit.
func (t *traceTree) line(prefix string, st style, text string) {
	for i, part := range wrapped(text, max(t.p.width-len([]rune(prefix))-4, minWidth/2)) {
		if i > 0 {
			part = "  " + part
		}
		t.p.line("%s%s", prefix, t.p.paint(st, part))
	}
}

// recordLine says in one line who did or said what, and when.
func recordLine(r lineage.Record) string {
	s := r.Step + " by " + Who(r.Signer)
	if r.Claimed != nil {
		s += " " + clock(*r.Claimed)
	}
	s += seenText(r.Seen)
	if d := recordDetail(r); d != "" {
		s += ": " + d
	}
	s += "  " + r.Payload.Short()
	if r.Problem != "" {
		s += " (cannot be read: " + r.Problem + ")"
	}
	if r.Counts != nil && len(r.Counts) == 0 && slices.Contains([]string{"provenance", "evaluation", "approval"}, r.Type) {
		s += " (no step of the policy counts it)"
	}
	return clean(s)
}

// maxDetail is how many numbers of a record go on its line.
const maxDetail = 4

// recordDetail picks what people ask for first.
func recordDetail(r lineage.Record) string {
	var parts []string
	take := func(name, value string) {
		if len(parts) < maxDetail {
			parts = append(parts, strings.TrimSpace(name+" "+value))
		}
	}
	for _, f := range r.Facts {
		switch r.Type {
		case "evaluation":
			if name, ok := strings.CutPrefix(f.Name, "metrics."); ok && strings.HasSuffix(name, ".value") {
				take(strings.TrimSuffix(name, ".value"), f.Value)
			} else if name, ok := strings.CutPrefix(f.Name, "slices."); ok && strings.HasSuffix(name, ".value") && strings.Contains(name, ".gaps.") {
				take(strings.Replace(strings.TrimSuffix(name, ".value"), ".gaps.", " gap ", 1), f.Value)
			}
		case "approval":
			switch f.Name {
			case "scope.environments":
				take("for", f.Value)
			case "role":
				take("as", f.Value)
			case "validUntil":
				take("until", f.Value)
			}
		case "deployment":
			switch f.Name {
			case "environment":
				take("to", f.Value)
			case "target.cluster", "target.service", "reason":
				take("", f.Value)
			}
		case "vsa":
			if f.Name == "verificationResult" {
				take("", f.Value)
			}
		case "revocation":
			if f.Name == "action" || f.Name == "reason" {
				take("", f.Value)
			}
		case "provenance":
			if name, ok := strings.CutPrefix(f.Name, "parameters."); ok {
				take(name, f.Value)
			}
		}
	}
	if i := slices.IndexFunc(r.Facts, func(f lineage.Fact) bool { return f.Name == "command" }); i >= 0 && r.Type == "provenance" {
		take("", strings.ReplaceAll(r.Facts[i].Value, ", ", " "))
	}
	return strings.Join(parts, ", ")
}

// accepted says how a policy takes an input whose evidence ends.
func accepted(how string) string {
	switch how {
	case policy.FrontierPinned:
		return "pinned by its digest"
	case policy.FrontierOrigin:
		return "for its origin"
	case policy.FrontierAccepted:
		return "whatever it is"
	case policy.FrontierSigned:
		return "on its maker's word"
	case policy.FrontierSummary:
		return "on a verification summary"
	}
	return how
}

func frontierLine(f *lineage.Frontier) string {
	s := "the evidence ends here: "
	switch {
	case f.Accepted:
		s += "the policy accepts it " + accepted(f.How)
	case f.How == lineage.EndsSigned:
		s += "its maker names no inputs"
	case f.How == lineage.EndsUncounted:
		s += "no step of the policy counts how it was made"
	case f.How == lineage.EndsUnsigned:
		s += "nobody trusted signed how it was made"
	default:
		s += f.How
	}
	if f.Detail != "" && f.How != lineage.EndsSigned {
		s += " (" + f.Detail + ")"
	}
	return clean(s)
}

// ends lists the trust frontier.
func (t *traceTree) ends() {
	var ends []lineage.Node
	for _, n := range t.g.Nodes {
		if n.Frontier != nil {
			ends = append(ends, n)
		}
	}
	if len(ends) == 0 {
		return
	}
	t.p.section("Where the evidence ends")
	for i, n := range ends {
		if i == maxTraceInputs {
			t.p.line("  … and %d more", len(ends)-i)
			return
		}
		t.p.wrap("  - ", 4, plain, clean(strings.TrimSpace(n.Name+"  "+n.Digest.Short()))+"  "+strings.TrimPrefix(frontierLine(n.Frontier), "the evidence ends here: "))
	}
}

// contradictions lists where something unsigned says other than what was signed,
// and then what it says that the evidence is too short to bear out.
func (p *printer) contradictions(g *lineage.Graph) {
	for _, open := range []bool{false, true} {
		title, st := "What contradicts the signed lineage", red
		if open {
			title, st = "Claims that nothing signed bears out", yellow
		}
		for _, c := range g.Contradictions {
			if c.Open != open {
				continue
			}
			if title != "" {
				p.section(title)
				title = ""
			}
			p.wrap("  - ", 4, st, clean(fmt.Sprintf("%s, %s: says %s; signed: %s", c.Source, c.Field, cmp.Or(c.Claimed, "nothing"), cmp.Or(c.Signed, "nothing"))))
			p.wrap("    ", 4, dim, clean(c.Why))
		}
	}
}

// missed lists what could not be looked at.
func (p *printer) missed(gaps []lineage.Gap, unseen []string) {
	if len(gaps) == 0 {
		return
	}
	p.section("What could not be looked at")
	for i, g := range gaps {
		if i == maxTraceInputs {
			p.line("  … and %d more", len(gaps)-i)
			break
		}
		about := "evidence about " + g.Artifact.Short() + " may be missing"
		if g.Artifact.IsZero() {
			about = "something may be missing"
		}
		p.wrap("  - ", 4, plain, about+": "+string(g.Code))
	}
	for _, why := range unseen {
		p.wrap("    ", 6, dim, clean(why))
	}
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
