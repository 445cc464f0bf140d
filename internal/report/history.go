package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A History is the history of an environment, with what was asked.
type History struct {
	*lineage.History
	// Counts says why the signers' word counts.
	Counts string `json:"counts"`
	// Policy judged the artifacts; nil if none was asked.
	Policy  *policy.PolicyRef `json:"policy,omitempty"`
	Context string            `json:"context,omitempty"`
}

// HistoryJSON writes the history as JSON. The error is the writer's.
func HistoryJSON(w io.Writer, h History) error { return indentedJSON(w, h) }

// maxRecordLines is how many records of a place are printed; JSON has all of them.
const maxRecordLines = 50

// HistoryText writes the history for people. The error is the writer's.
func HistoryText(w io.Writer, h History, o Options) error {
	p := newPrinter(o)
	p.line("%s  %s, %s", p.paint(bold, clean(h.Environment)), count(h.Records(), "deployment", "deployments"), count(len(h.Places), "place", "places"))
	p.b.WriteByte('\n')
	p.line("  asked     at %s", when(h.At))
	p.wrap("  signers   ", 12, plain, Who(strings.Join(h.Signers, ", "))+": "+clean(h.Counts))
	if h.Policy != nil {
		p.line("  policy    %s version %d, %s", clean(h.Policy.Name), h.Policy.Version, h.Policy.Digest)
	}
	if h.Context != "" {
		p.line("  context   %s", clean(h.Context))
	}
	if h.Later > 0 {
		p.line("  left out  %s of a later time", count(h.Later, "record", "records"))
	}
	if h.PassedOver > 0 {
		p.line("  left out  %s by keys that are known and whose word does not count here", count(h.PassedOver, "record", "records"))
	}
	for _, n := range o.Notes {
		p.wrap("  note      ", 12, dim, clean(n))
	}
	for i := range h.Places {
		p.place(&h, &h.Places[i])
	}
	if len(h.Gaps) > 0 {
		p.section("What could not be looked at")
		for i, g := range h.Gaps {
			if i == maxGroups {
				p.line("  … and %d more", len(h.Gaps)-maxGroups)
				break
			}
			p.wrap("  - ", 4, plain, gapText(g))
		}
	}
	return p.flush(w)
}

// placeName is the place as the records call it.
func placeName(p lineage.Place) string { return cmp.Or(p.String(), "a place without a name") }

func (p *printer) place(h *History, at *lineage.PlaceHistory) {
	p.section("In " + clean(placeName(at.Place)))
	switch r := at.Running(); {
	case r == nil:
		p.line("  nothing that still counts says what runs there")
	default:
		verb := "runs"
		if at.Contested {
			verb = p.paint(red, "may run") // told why below
		}
		p.wrap("  "+verb+"  ", 8, bold, clean(artifactName(r)))
		p.wrap("        ", 8, plain, clean(fmt.Sprintf("since %s, by %s%s", when(r.Claimed), signers(r.Signed), onlyIf(r.Judgment != nil, ", "+judged(r.Judgment)))))
	}
	p.b.WriteByte('\n')
	for i := range at.Records {
		if i == maxRecordLines {
			p.line("  … and %d more", len(at.Records)-maxRecordLines)
			break
		}
		p.deployed(&at.Records[i])
	}
	for i, f := range at.Findings {
		if i == 0 {
			p.line("")
		}
		if i == maxRecordLines {
			p.line("  … and %d more", len(at.Findings)-maxRecordLines)
			break
		}
		p.historyFinding(&f)
	}
}

func artifactName(r *lineage.Deployed) string {
	name := r.Artifact.String()
	if len(r.Names) > 0 {
		name = strings.Join(r.Names[:min(len(r.Names), 3)], ", ") + "  " + name
	}
	return name
}

func signers(list []lineage.Signer) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = Who(s.Name)
	}
	return strings.Join(names, ", ")
}

// judged says what the policy says.
func judged(j *lineage.Judgment) string {
	if j == nil {
		return ""
	}
	var codes []string
	for _, w := range j.Why {
		if s := w.Step + " " + string(w.Code); len(codes) == 0 || codes[len(codes)-1] != s {
			codes = append(codes, s)
		}
	}
	if len(codes) > maxTexts {
		codes = append(codes[:maxTexts], "…")
	}
	return string(j.Outcome) + onlyIf(len(codes) > 0, ": "+strings.Join(codes, ", "))
}

func (p *printer) deployed(r *lineage.Deployed) {
	sign := " "
	if r.Running {
		sign = p.paint(green, "●")
	}
	head := when(r.Claimed) + "  "
	text := onlyIf(len(r.Names) > 0, strings.Join(r.Names, ", ")+" ") + r.Artifact.Short() + onlyIf(r.Reason != "", ", "+r.Reason) + ", by " + signers(r.Signed) + ", statement " + r.Payload.Short()
	p.wrap("  "+sign+" "+head, 4+len(head), plain, clean(text))
	var more []string
	if r.Until != nil {
		more = append(more, "until "+when(*r.Until))
	}
	if d := r.Decision; d != nil {
		more = append(more, restsOn(d))
	}
	if r.Loaded > 0 {
		s := count(r.Loaded, "file loaded", "files loaded")
		switch {
		case r.Foreign < 0:
			s += ", and which files the artifact has is not known"
		case r.Foreign > 0:
			s += fmt.Sprintf(", %d not of the artifact", r.Foreign)
		default:
			s += ", all of the artifact"
		}
		more = append(more, s)
	}
	if r.Observer != "" {
		more = append(more, "seen by "+r.Observer)
	}
	if w := r.Withdrawn; w != nil {
		more = append(more, withdrawnText("does not count: the", w))
	}
	if w := r.Rejected; w != nil {
		more = append(more, fmt.Sprintf("does not count: %s: %s", w.Code, w.Why))
	}
	if r.Judgment != nil && !r.Running {
		more = append(more, judged(r.Judgment))
	}
	for _, s := range more {
		p.wrap(strings.Repeat(" ", 6), 6, dim, clean(s))
	}
}

func restsOn(d *lineage.DecidedOn) string {
	if !d.Found && d.Rejected != nil {
		return fmt.Sprintf("on the decision %s, which does not count: %s: %s", d.Payload.Short(), d.Rejected.Code, d.Rejected.Why)
	}
	if !d.Found {
		return "on the decision " + d.Payload.Short() + ", which was not found"
	}
	at := ""
	if d.Claimed != nil {
		at = " at " + when(*d.Claimed)
	}
	return fmt.Sprintf("on the %s %s by %s%s: %s%s", d.Type, d.Payload.Short(), signers(d.Signed), at, cmp.Or(d.Says, "nothing that can be read"),
		onlyIf(d.Withdrawn != nil, "; "+withdrawnText("the", d.Withdrawn)))
}

func withdrawnText(begin string, w *lineage.Withdrawn) string {
	if w == nil {
		return ""
	}
	what := "statement"
	switch w.Target {
	case predicate.TargetKey:
		what = "key that signed it"
	case predicate.TargetIdentity:
		what = "identity that signed it"
	}
	return fmt.Sprintf("%s %s was taken back by %s from %s on: %s", begin, what, strings.Join(w.By, ", "), w.Since.UTC().Format(time.RFC3339), w.Reason)
}

func (p *printer) historyFinding(f *lineage.HistoryFinding) {
	sign := policy.Fail
	if f.Code != attest.CodeHistory {
		sign = policy.Unknown
	}
	text := f.Why
	if f.Missing != nil {
		text += fmt.Sprintf(" (%s, attached to %s)", f.Missing.Payload.Short(), f.Missing.Artifact.Short())
	}
	var records []string
	for _, d := range f.Records[:min(len(f.Records), maxNamed)] {
		records = append(records, d.Short())
	}
	if n := len(f.Records) - maxNamed; n > 0 {
		records = append(records, fmt.Sprintf("… and %d more", n))
	}
	p.wrap("  "+p.mark(sign)+" "+p.paint(yellow, string(f.Code))+" ", 6, plain, clean(strings.Join(records, ", ")+": "+text))
}
