package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

const (
	// maxImpactRunning is how many deployments are listed each with the way to it.
	maxImpactRunning = 40
	// maxImpactSteps is how many steps of a way are written: the first half and the
	// last, where the start and the model are.
	maxImpactSteps = 16
	// maxImpactListed is how many artifacts of one distance are listed, and
	// maxImpactDistances how many distances; all are in the JSON.
	maxImpactListed    = 20
	maxImpactDistances = 20
)

// Impact writes who is affected for people: the answer in one line, what runs now
// with the way to it, and the rest by distance. The error is the writer's.
func Impact(w io.Writer, a *lineage.ImpactAnswer, o Options) error {
	p := newPrinter(o)
	i := &impactReport{p: p, a: a, entries: map[attest.Digest]*lineage.Affected{}}
	for _, list := range [][]lineage.Affected{a.Affected, a.Unproven} {
		for n := range list {
			i.entries[list[n].Digest] = &list[n]
		}
	}
	p.line("%s", p.paint(bold, "Who is affected by "+i.start(o.Reference)))
	p.trust(a.Trust)
	if len(a.Repositories) > 0 {
		p.wrap("  ", 2, plain, "looked in "+clean(strings.Join(a.Repositories, ", ")))
	}
	for _, n := range o.Notes {
		p.wrap("  ", 2, dim, clean(n))
	}
	i.revoked(a.Start.Revoked, "  ")
	p.line("")
	i.headline()
	i.running()
	i.way()
	i.distances()
	i.judged()
	i.unproven()
	i.replaced()
	p.missed(a.Gaps, o.Unseen)
	p.section("What this does not prove")
	p.wrap("  - ", 4, plain, "That it happened so: it is who signed what about which bytes. Where something runs is what the records of deployments say.")
	p.wrap("  - ", 4, plain, "That there is nothing more: what nobody signed is not found, nor what lies in other repositories. The same files under another manifest are found only by asking about a file.")
	return p.flush(w)
}

type impactReport struct {
	p       *printer
	a       *lineage.ImpactAnswer
	entries map[attest.Digest]*lineage.Affected
}

// start says what was asked about.
func (i *impactReport) start(reference string) string {
	s := i.a.Start
	var out string
	switch {
	case s.Builder != "":
		out = "what the builder " + s.Builder + " made"
	case s.Kind == "credential":
		out = "what the key " + s.Name + " signed (" + s.Credential + ")"
		switch {
		case s.Name == s.Credential:
			out = "what " + Who(s.Credential) + " signed"
		case !strings.HasPrefix(s.Credential, "key:"):
			out = "what " + s.Name + " signed (" + Who(s.Credential) + ")"
		}
	case reference != "":
		out = reference
	default:
		out = "the " + s.Kind + " " + s.Digest.String()
	}
	if s.Since != nil {
		out += " since " + clock(*s.Since)
	}
	return clean(out)
}

// headline is the answer in one line.
func (i *impactReport) headline() {
	c := i.a.Counts
	verb := "affected"
	if i.a.Start.Kind == "artifact" || i.a.Start.Kind == "commit" {
		verb = "made from it"
	}
	text, st := "nothing that was looked at is "+verb, green
	if c.Affected > 0 || c.Deployed > 0 {
		text, st = count(c.Affected, "artifact is ", "artifacts are ")+verb, yellow
	}
	switch places := i.places(false); {
	case c.Deployed == 0 && c.Affected > 0:
		text += "; none of them is deployed now, as far as is recorded"
	case c.Deployed > 0:
		st = red
		text += "; " + count(c.Deployed, "is", "are") + " deployed now: " + places
	}
	if c.Unproven > 0 {
		text += fmt.Sprintf("; %d more if statements are later than they claim", c.Unproven)
		if c.Maybe > 0 {
			text += ", of which " + count(c.Maybe, "is", "are") + " deployed now: " + i.places(true)
		}
	}
	if len(i.a.Gaps) > 0 {
		text += "; not everything could be looked at"
	}
	if st == green && (c.Unproven > 0 || len(i.a.Gaps) > 0) {
		st = yellow
	}
	i.p.wrap("", 0, st, clean(text)+".")
}

// places names where affected artifacts run.
func (i *impactReport) places(unproven bool) string {
	var out []string
	for _, d := range i.a.Deployments {
		if name := runsAt(d); d.Last && d.Unproven == unproven && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	const most = 6
	if len(out) > most {
		out = append(out[:most:most], fmt.Sprintf("and %d more places", len(out)-most))
	}
	return strings.Join(out, ", ")
}

func runsAt(d lineage.ImpactDeployment) string {
	s := d.Environment
	for _, part := range []string{d.Cluster, d.Service} {
		if part != "" {
			s += "/" + part
		}
	}
	return s
}

// running lists what runs now, with the way to it.
func (i *impactReport) running() {
	shown := 0
	said := map[attest.Digest]bool{}
	for _, d := range i.a.Deployments {
		if !d.Last {
			break // those that something replaced come last
		}
		if shown == 0 {
			i.p.section("Deployed now")
		}
		if shown++; shown > maxImpactRunning {
			continue
		}
		sure := ""
		if d.Unproven {
			sure = "  (perhaps affected)"
		}
		i.p.wrap("  "+i.p.paint(red, "●")+" ", 4, plain, i.name(d.Artifact)+"  in "+clean(runsAt(d))+": "+recordLine(d.Record)+sure)
		if !said[d.Artifact] {
			i.steps(i.a.Path(d.Artifact))
		}
		said[d.Artifact] = true
	}
	i.more(shown, maxImpactRunning, "deployments")
}

func (i *impactReport) more(n, most int, what string) {
	if n > most {
		i.p.line("  … and %d more %s: --output json", n-most, what)
	}
}

// steps writes a way, one step a line.
func (i *impactReport) steps(path []lineage.ImpactStep) {
	for n, s := range path {
		if left := len(path) - maxImpactSteps; left > 0 && n >= maxImpactSteps/2 && n < maxImpactSteps/2+left {
			if n == maxImpactSteps/2 {
				i.p.line("      … %d steps: --output json --path", left)
			}
			continue
		}
		i.p.wrap("      → ", 10, dim, i.name(s.To)+"  "+i.step(s))
	}
}

// step says how something affected was used.
func (i *impactReport) step(s lineage.ImpactStep) string {
	var out string
	switch s.Effect {
	case lineage.Contains:
		return clean("contains " + s.Path + " (" + s.From.Short() + ")")
	case lineage.MadeBy:
		out = "made"
	default:
		out = "made from " + s.From.Short()
		if !s.File.IsZero() {
			out += ", its file " + cmp.Or(s.Path, s.File.Short())
		}
		if s.Role != "" {
			out += " as " + s.Role
		}
	}
	if s.Record != nil {
		out += ": " + recordLine(*s.Record)
	}
	return clean(out)
}

// name calls an artifact what repositories call it, and by its digest.
func (i *impactReport) name(d attest.Digest) string {
	e := i.entries[d]
	if e == nil {
		return d.Short()
	}
	s := named(d, e.Names)
	if e.File {
		s += ", a file,"
	}
	return s
}

func named(d attest.Digest, names []lineage.ImpactName) string {
	if l := labels(names); l != "" {
		return clean(l) + " (" + d.Short() + ")"
	}
	return d.Short()
}

// labels writes the first names of an artifact.
func labels(names []lineage.ImpactName) string {
	var out []string
	for _, n := range names {
		if len(n.Tags) == 0 {
			out = append(out, n.Repository)
		}
		for _, tag := range n.Tags {
			out = append(out, n.Repository+":"+tag)
		}
	}
	const most = 2
	if len(out) > most {
		out = append(out[:most:most], fmt.Sprintf("+%d", len(out)-most))
	}
	return strings.Join(out, ", ")
}

// way shows the whole way to what was asked for.
func (i *impactReport) way() {
	for _, e := range i.entries { // at most one has a path
		if e.Path == nil {
			continue
		}
		i.p.section(fmt.Sprintf("The way to %s", clean(i.name(e.Digest))))
		for _, s := range e.Path {
			i.p.wrap("  → ", 6, plain, i.name(s.To)+"  "+i.step(s))
		}
	}
}

// distances lists what is affected by how far it is away.
func (i *impactReport) distances() { i.list(i.a.Affected, "Affected") }

func (i *impactReport) list(list []lineage.Affected, title string) {
	list = slices.DeleteFunc(slices.Clone(list), func(e lineage.Affected) bool { return e.Effect == lineage.IsStart || e.File })
	if len(list) == 0 {
		return
	}
	i.p.section(title)
	distances := 0
	for len(list) > 0 {
		n := len(list)
		if at := slices.IndexFunc(list, func(e lineage.Affected) bool { return e.Distance != list[0].Distance }); at > 0 {
			n = at
		}
		if distances++; distances > maxImpactDistances {
			i.p.line("  … and %s further away: --output json", count(len(list), "artifact", "artifacts"))
			return
		}
		i.p.line("  %s away: %d", count(list[0].Distance, "step", "steps"), n)
		for k, e := range list[:n] {
			if k == maxImpactListed {
				i.p.line("    … and %d more: --output json", n-k)
				break
			}
			i.p.wrap("    - ", 8, plain, i.name(e.Digest)+"  "+i.step(*e.Via)+i.runs(e))
			i.revoked(e.Revoked, "        ")
		}
		list = list[n:]
	}
}

func (i *impactReport) runs(e lineage.Affected) string {
	if e.Deployed == 0 {
		return ""
	}
	return " (deployed now)"
}

// revoked says what was taken back already.
func (i *impactReport) revoked(list []lineage.ImpactRevocation, prefix string) {
	for _, r := range list {
		text := r.Action + " by " + Who(r.Record.Signer) + " since " + clock(r.From) + ": " + r.Reason
		if r.Lifted {
			text += " (taken back)"
		}
		i.p.wrap(prefix, len(prefix), yellow, clean(text))
	}
}

// judged lists what was said with, by or on what is bad.
func (i *impactReport) judged() {
	for n, j := range i.a.Judged {
		if n == 0 {
			i.p.section("What was said with it, by it, or on it: none of this makes an artifact affected")
		}
		if n == maxImpactListed {
			i.more(len(i.a.Judged), n, "")
			return
		}
		text := named(j.Artifact, j.Names) + "  " + string(j.Effect)
		switch {
		case j.Effect == lineage.ApprovedOn || j.Effect == lineage.DeployedOn:
			text += " statement " + j.On.Short()
		case !j.On.IsZero():
			text += " " + j.On.Short()
		}
		if j.Role != "" {
			text += " as " + j.Role
		}
		text += ": " + recordLine(j.Record)
		if j.Unproven {
			text += " (perhaps: it claims to be older)"
		}
		i.p.wrap("  - ", 6, plain, clean(text))
	}
}

// unproven lists what is affected if claims are false.
func (i *impactReport) unproven() {
	i.list(i.a.Unproven, "Perhaps affected: what it was made by claims to be older, and nobody authenticated that")
	if n := i.a.Counts.Older; n > 0 {
		i.p.section("Passed over")
		i.p.wrap("  - ", 4, plain, count(n, "statement", "statements")+" that somebody authenticated to be older")
	}
}

// replaced lists where something affected ran.
func (i *impactReport) replaced() {
	shown := 0
	for _, d := range i.a.Deployments {
		if d.Last {
			continue
		}
		if shown == 0 {
			i.p.section("Deployed before, and replaced")
		}
		if shown++; shown <= maxImpactListed {
			text := i.name(d.Artifact) + "  in " + runsAt(d) + ": " + recordLine(d.Record)
			if r := d.ReplacedBy; r != nil {
				text += "; replaced by " + r.About.Short()
				if r.Claimed != nil {
					text += " " + clock(*r.Claimed)
				}
			}
			i.p.wrap("  - ", 6, plain, clean(text))
		}
	}
	i.more(shown, maxImpactListed, "")
}
