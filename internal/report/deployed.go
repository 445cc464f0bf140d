package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// maxDeployedFiles is how many files are listed one by one; of those that are the
// artifact's, fewer: nobody looks for them.
const (
	maxDeployedFiles = 400
	maxDeployedSame  = 20
)

// Deployed writes for people whether what runs is the artifact, and whether that
// is approved. The error is the writer's.
func Deployed(w io.Writer, d *lineage.DeployedState, o Options) error {
	p := newPrinter(o)
	allowed := d.Trust.Outcome == policy.Allow.String()
	switch {
	case !d.Matches:
		p.line("%s", p.paint("1;"+red, "NOT THE ARTIFACT: what runs differs from what was asked about"))
	case allowed:
		p.line("%s", p.paint("1;"+green, "THE APPROVED ARTIFACT: every file is its, and the policy allows it"))
	case d.Trust.Policy == "":
		p.line("%s", p.paint("1;"+yellow, "THE ARTIFACT: every file is its; no policy was asked whether it is approved"))
	case d.Trust.Outcome == policy.Undecided.String():
		p.line("%s", p.paint("1;"+yellow, "THE ARTIFACT, NOT KNOWN TO BE APPROVED: every file is its, and the policy could not decide"))
	default:
		p.line("%s", p.paint("1;"+red, "THE ARTIFACT, AND IT IS NOT APPROVED: every file is its, and the policy denies it"))
	}
	p.line("")
	p.line("  runs      %s", clean(d.Place))
	p.line("  artifact  %s", clean(cmp.Or(d.Reference, d.Artifact.String())))
	p.judged(d.Trust, d.Why, "            ")
	for _, n := range o.Notes {
		p.wrap("  note      ", 12, dim, clean(n))
	}
	p.deployedFiles(d)
	p.section("Who decided about the artifact")
	for _, a := range d.Decisions {
		who := Who(a.Signer)
		if a.Role != "" {
			who += " as " + clean(a.Role)
		}
		r := d.Records[a.Record]
		p.wrap("  - ", 4, plain, who+", record "+r.Payload.Short()+": "+decisionText(a.ApprovalSeen, r))
	}
	if len(d.Decisions) == 0 {
		p.line("  %s", p.paint(yellow, "nobody whose signature counts here approved or rejected it"))
	}
	if d.Trust.Policy == "" {
		p.wrap("  ", 2, yellow, "No policy judged this: whether these people may approve it, and whether more is needed, nobody was asked. Give --policy.")
	}
	p.missed(d.Gaps, o.Unseen)
	p.section("What this does not prove")
	p.wrap("  - ", 4, plain, "That these bytes are what a process has in memory: they are what lies there now.")
	return p.flush(w)
}

func (p *printer) deployedFiles(d *lineage.DeployedState) {
	n := d.Counts
	title := fmt.Sprintf("Files: %d the artifact's, %d changed, %d missing, %d extra", n.Same, n.Changed, n.Missing, n.Extra)
	p.section(title)
	r := &diffReport{p: p, used: map[int]bool{}}
	if !d.Running.IsZero() && d.Running != d.Artifact {
		p.wrap("  ", 2, red, "The reference names another artifact now: "+d.Running.String())
		switch {
		case len(d.Files) == 0:
			p.wrap("  ", 2, plain, "Its layers, or the artifact's, name no files, so there is nothing more to compare.")
		case n.Changed+n.Missing+n.Extra == 0:
			p.wrap("  ", 2, plain, "Every file is the same: the two differ in their metadata, and what was signed about the one says nothing of the other.")
		}
		p.line("  → pedigree diff %s %s --policy %s", clean(cmp.Or(d.Reference, d.Artifact.String())), clean(d.Place), clean(cmp.Or(p.policy, policy.RemedyPolicy)))
	}
	shown, same := 0, 0
	for _, f := range d.Files {
		if f.How == lineage.HowSame {
			if same++; same > maxDeployedSame {
				continue
			}
		} else if shown++; shown > maxDeployedFiles {
			continue
		}
		p.deployedFile(r, d, f)
	}
	if more := shown - maxDeployedFiles; more > 0 {
		p.line("  … and %d more that differ (use --output json)", more)
	}
	if more := same - maxDeployedSame; more > 0 {
		p.line("  … and %d more that are the artifact's", more)
	}
}

func (p *printer) deployedFile(r *diffReport, d *lineage.DeployedState, f lineage.DeployedFile) {
	name := clean(f.Path)
	switch f.How {
	case lineage.HowSame:
		p.line("  %s %s  %s", p.paint(green, "✓"), name, p.paint(dim, "same  "+f.Want.Digest.Short()))
	case lineage.HowMissing:
		p.line("  %s %s  %s", p.paint(red, "✗"), name, p.paint(red, "missing")+"  the artifact has "+bytesText(f.Want.Size)+", "+f.Want.Digest.Short())
	case lineage.HowExtra:
		p.line("  %s %s  %s", p.paint(red, "✗"), name, p.paint(red, "extra")+"  the artifact has no such file; it is "+bytesText(f.Got.Size))
		p.line("      %s", f.Got.Digest)
	default:
		p.line("  %s %s  %s  %s, the artifact has %s", p.paint(red, "✗"), name, p.paint(red, "changed"), bytesText(f.Got.Size), bytesText(f.Want.Size))
		p.line("      it is           %s", f.Got.Digest)
		p.line("      the artifact's  %s", f.Want.Digest)
	}
	if f.How != lineage.HowChanged && f.How != lineage.HowExtra {
		return
	}
	for _, k := range f.Known {
		p.wrap("      → ", 8, yellow, knownText(k, d.Artifact))
	}
	if len(f.Known) == 0 {
		p.line("      %s", p.paint(yellow, "→ its bytes are in no version that was looked at"))
	}
	if f.Rows != nil {
		if f.Rows.Unread == "" {
			p.line("      %s", p.paint(dim, "from the artifact's to what runs:"))
		}
		r.rows("      ", f.Rows)
	}
}

// knownText says where bytes are known from.
func knownText(k lineage.KnownFile, artifact attest.Digest) string {
	what := "it is " + clean(k.Path) + " of "
	if k.Path == "" {
		what = "it is "
	}
	switch {
	case k.Artifact == artifact:
		return what + "the artifact itself, under another path"
	case len(k.Tags) > 0:
		what += "version " + clean(strings.Join(k.Tags, ", ")) + " (" + k.Artifact.Short() + ")"
	default:
		what += k.Artifact.Short()
	}
	if k.Chain {
		what += ", in the artifact's own chain"
	}
	return what
}
