package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
)

// approveFlags are what the approver says.
type approveFlags struct {
	question
	signing
	step, role, comment    string
	environments           []string
	conditions, discharges []string
	validFor               time.Duration
	reject, yes            bool
}

func (a *app) approveCommand() *cobra.Command {
	var f approveFlags
	c := &cobra.Command{
		Use:   "approve REF --policy P --key K",
		Short: "look at the evidence about an artifact, and approve or reject it",
		Long: `Verifies everything except the approvals, shows what there is to approve, asks, and
signs the approval with the evidence and the policy that were shown. What would not
pass without the approval is not approved; rejecting always works.`,
		Example: "  pedigree approve ocidir://registry:model --policy policy.yaml --key alice.key",
		Args:    arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			f.ref = args[0]
			return a.approve(ctx, f)
		}),
	}
	f.question.flags(c)
	f.askedFlags(c)
	fl := c.Flags()
	fl.StringVar(&f.step, "step", "", "the policy's approval step (default: its only one)")
	fl.StringVar(&f.role, "role", "", "the role in which you decide, where the policy asks for several")
	f.signing.flags(c)
	fl.StringArrayVar(&f.conditions, "condition", nil, "approve on a condition: `ID=TEXT[@DUE]`, due as 2026-12-01T00:00:00Z (repeatable)")
	fl.StringArrayVar(&f.discharges, "discharge", nil, "a condition of another approval is met: `PAYLOAD=ID`, the approval's payload and the condition (repeatable)")
	fl.StringArrayVar(&f.environments, "scope-environment", []string{"prod"}, "an environment that the approval is for (repeatable)")
	fl.DurationVar(&f.validFor, "valid-for", 0, "how long the approval holds, as 720h (default: as long as the policy allows)")
	fl.StringVar(&f.comment, "comment", "", "a remark, published with the approval")
	fl.BoolVar(&f.reject, "reject", false, "sign a rejection")
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	return c
}

func (a *app) approve(ctx context.Context, f approveFlags) error {
	if err := a.canAsk(f.yes, "say --yes, if the evidence was looked at"); err != nil {
		return err
	}
	if f.validFor < 0 {
		return usage("--valid-for is negative")
	}
	terms, err := f.terms()
	if err != nil {
		return err
	}
	f.signing.trusted = f.question.trustSource
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return err
	}
	in, err := a.ask(ctx, f.question)
	if err != nil {
		return err
	}
	if !in.index.IsZero() {
		return &attest.Refusal{Code: attest.CodeRegManifest, About: in.index.String(), Why: "an index of several artifacts; an approval is of one", Next: "approve each of its manifests by digest"}
	}
	if err := in.inspect(ctx, f.dir); err != nil {
		return err
	}
	// The key may have signed nothing yet, and have been revoked all the same.
	in.also = []attest.Digest{by.credential().Standin()}
	found, err := in.look(ctx, in.targets[0])
	if err != nil {
		return err
	}
	prospect, err := found.policy.Consider(found.chain, found.times, f.step)
	if err != nil {
		return err
	}
	o := a.reportOptions(found)
	o.Color = o.Color && isTerminal(a.Stderr)
	// The time is now, and approve has no flag to say otherwise.
	o.Notes = slices.DeleteFunc(o.Notes, func(n string) bool { return strings.HasPrefix(n, "--at") })
	o.Notes = append(o.Notes, "the approval would be for: "+strings.Join(f.environments, ", "))
	o.Notes = append(o.Notes, terms.notes(f.role)...)
	if err := report.Prospect(a.Stderr, prospect, o); err != nil {
		return err
	}
	now := a.Now().UTC().Truncate(time.Second)
	if !f.reject {
		if err := a.mayApprove(found, prospect, by, approval(f, terms, found.policy, prospect, now)); err != nil {
			return err
		}
	}
	word := "approve"
	if f.reject {
		word = "reject"
	}
	if err := a.confirm(word, f.yes); err != nil {
		return err
	}
	// The time of the decision is when it was made, not when looking began.
	pred := approval(f, terms, found.policy, prospect, a.Now().UTC().Truncate(time.Second))
	payload, err := a.signAndAttach(ctx, found.repo, found.ref, predicate.TypeApproval, pred, by)
	if err != nil {
		return err
	}
	if missing := missingApprovals(prospect); !f.reject && missing > 0 {
		a.note("signed; %d more of %d required", missing, prospect.Threshold)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
}

// approvalTerms are the conditions that an approval is given on, and those of
// others that it finds met.
type approvalTerms struct {
	conditions []predicate.Condition
	discharges []predicate.Discharge
}

func (f *approveFlags) terms() (approvalTerms, error) {
	var t approvalTerms
	if f.reject && len(f.conditions)+len(f.discharges) > 0 {
		return t, usage("a rejection has no conditions and discharges none")
	}
	for _, s := range f.conditions {
		c, err := parseCondition(s)
		if err != nil {
			return t, err
		}
		if slices.ContainsFunc(t.conditions, func(o predicate.Condition) bool { return o.ID == c.ID }) {
			return t, usage("--condition: %.60q occurs twice", c.ID)
		}
		t.conditions = append(t.conditions, c)
	}
	for _, s := range f.discharges {
		payload, id, ok := strings.Cut(s, "=")
		if !ok || id == "" {
			return t, &attest.Refusal{Code: attest.CodeUsage, About: "--discharge", Why: fmt.Sprintf("%.120q is not PAYLOAD=ID", s), Next: "for instance --discharge sha256:…=RISK-1"}
		}
		d, err := payloadDigest("--discharge", payload)
		if err != nil {
			return t, err
		}
		t.discharges = append(t.discharges, predicate.Discharge{Payload: predicate.DigestSet{Digest: d}, ID: id})
	}
	return t, nil
}

// parseCondition reads ID=TEXT[@DUE]. What follows the last @ is the date if it
// begins like one: a date with a mistake in it must not become part of the text.
func parseCondition(s string) (predicate.Condition, error) {
	id, text, ok := strings.Cut(s, "=")
	if !ok || id == "" || text == "" {
		return predicate.Condition{}, &attest.Refusal{Code: attest.CodeUsage, About: "--condition", Why: fmt.Sprintf("%.120q is not ID=TEXT", s), Next: `for instance --condition "RISK-1=monitor drift@2026-12-01T00:00:00Z"`}
	}
	c := predicate.Condition{ID: id, Text: text}
	if i := strings.LastIndexByte(text, '@'); i > 0 && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9' {
		due, err := parseTime("--condition", text[i+1:])
		if err != nil {
			return predicate.Condition{}, err
		}
		c.Text, c.DueBy = text[:i], due
	}
	return c, nil
}

// notes shows what else the approval would say.
func (t approvalTerms) notes(role string) []string {
	var out []string
	if role != "" {
		out = append(out, "as: "+role)
	}
	for _, c := range t.conditions {
		n := fmt.Sprintf("on the condition %s: %s", c.ID, c.Text)
		if !c.DueBy.IsZero() {
			n += ", due " + c.DueBy.Format(time.RFC3339)
		}
		out = append(out, n)
	}
	for _, d := range t.discharges {
		out = append(out, fmt.Sprintf("it finds met: the condition %s of %s", d.ID, d.Payload))
	}
	return out
}

// missingApprovals returns how many are still missing after one more.
func missingApprovals(q *policy.Prospect) int {
	who := map[string]bool{}
	for _, d := range q.Decisions {
		if d.Counts {
			who[d.Principal] = true
		}
	}
	return q.Threshold - len(who) - 1
}

func isTerminal(stream any) bool {
	_, ok := terminal(stream)
	return ok
}

// mayApprove refuses to approve what would not pass, and approvals that the
// policy would not count: signed, they would only look like something.
func (a *app) mayApprove(f *found, q *policy.Prospect, by *signature, pred predicate.Approval) error {
	if q.Verdict.Outcome != policy.Allow {
		a.note("\nnot approved: without the approval the policy says %s; --reject would still work", q.Verdict.Outcome)
		return answer(q.Verdict.Outcome)
	}
	payload, err := attest.NewStatement(attest.Subject{Digest: f.ref.Digest}, predicate.TypeApproval, pred)
	if err != nil {
		return err
	}
	statement, err := attest.ParseStatement(payload)
	if err != nil {
		return err
	}
	facts, err := predicate.Decode(statement)
	if err != nil {
		return err
	}
	if err := q.Admits(by.credential(), facts, by.claims); err != nil {
		return err
	}
	if _, certified := by.credential().Identity(); !certified && !by.dated && !f.policy.TrustsClaimedTimes() {
		return &attest.Refusal{Code: attest.CodeTimeMissing, About: by.credential().String(), Why: "nobody would authenticate when it signed, so the approval would not count", Next: "name a timestamp authority that the trust file lists: --timestamp URL"}
	}
	for _, d := range facts.Discharges {
		if err := f.policy.Conditional(f.chain, d); err != nil {
			return err
		}
	}
	return nil
}

// canAsk refuses what needs a yes where nobody can be asked for one.
func (a *app) canAsk(yes bool, next string) error {
	if _, ok := terminal(a.Stdin); !ok && !yes {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--yes", Why: "there is no terminal to ask on", Next: next}
	}
	return nil
}

// confirm asks on the terminal for the word itself: a habit of pressing return
// signs nothing.
func (a *app) confirm(word string, yes bool) error {
	if yes {
		return nil
	}
	fmt.Fprintf(a.Stderr, "\ntype %q to sign: ", word)
	line, err := bufio.NewReader(io.LimitReader(a.Stdin, 100)).ReadBytes('\n')
	if got := string(bytes.TrimSpace(line)); got != word {
		return &attest.Refusal{Code: attest.CodeUsage, Why: "nothing was signed: the answer was not " + word, Err: noEOF(err)}
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// approval fills the predicate from what was shown, and from nothing else.
func approval(f approveFlags, t approvalTerms, p *policy.Policy, q *policy.Prospect, now time.Time) predicate.Approval {
	out := predicate.Approval{
		Decision:   predicate.DecisionApproved,
		Role:       f.role,
		Conditions: t.conditions,
		Discharges: t.discharges,
		ApprovedAt: now,
		Scope:      predicate.Scope{Environments: f.environments},
		Policy:     &predicate.ApprovalPolicy{Name: p.Name(), Version: int64(p.Version()), Digest: predicate.DigestSet{Digest: p.Digest()}},
		Comment:    f.comment,
	}
	if f.reject {
		out.Decision = predicate.DecisionRejected
	}
	if f.validFor > 0 {
		out.ValidUntil = now.Add(f.validFor)
	}
	for _, n := range q.Basis {
		out.Basis = append(out.Basis, predicate.ApprovalBasis{
			Payload: predicate.DigestSet{Digest: n.Payload}, Artifact: predicate.DigestSet{Digest: n.Artifact},
			PredicateType: n.PredicateType, Step: n.Step,
		})
	}
	if len(out.Basis) > 0 {
		return out
	}
	// A policy that names no basis still showed evidence: all that it counted.
	for _, item := range q.Verdict.Evidence {
		if len(item.Steps) > 0 {
			out.Basis = append(out.Basis, predicate.ApprovalBasis{
				Payload: predicate.DigestSet{Digest: item.Payload}, Artifact: predicate.DigestSet{Digest: item.Artifact},
				PredicateType: item.PredicateType, Step: item.Steps[0],
			})
		}
	}
	return out
}
