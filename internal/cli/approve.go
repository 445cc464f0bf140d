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
	"github.com/pedigree-ml/pedigree/verify"
)

// approveFlags are what the approver says.
type approveFlags struct {
	question
	step, key, comment string
	environments       []string
	validFor           time.Duration
	reject, yes        bool
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
	f.flags(c)
	fl := c.Flags()
	fl.StringVar(&f.step, "step", "", "the policy's approval step (default: its only one)")
	fl.StringVar(&f.key, "key", "", "the private key to sign with")
	fl.StringArrayVar(&f.environments, "scope-environment", []string{"prod"}, "an environment that the approval is for (repeatable)")
	fl.DurationVar(&f.validFor, "valid-for", 0, "how long the approval holds, as 720h (default: as long as the policy allows)")
	fl.StringVar(&f.comment, "comment", "", "a remark, published with the approval")
	fl.BoolVar(&f.reject, "reject", false, "sign a rejection")
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	required(c, "key")
	return c
}

func (a *app) approve(ctx context.Context, f approveFlags) error {
	if _, ok := terminal(a.Stdin); !ok && !f.yes {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--yes", Why: "there is no terminal to ask on", Next: "say --yes, if the evidence was looked at"}
	}
	if f.validFor < 0 {
		return usage("--valid-for is negative")
	}
	key, err := a.loadKey(f.key)
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
	if err := report.Prospect(a.Stderr, prospect, o); err != nil {
		return err
	}
	now := a.Now().UTC().Truncate(time.Second)
	if !f.reject {
		if err := a.mayApprove(found, prospect, key, approval(f, found.policy, prospect, now)); err != nil {
			return err
		}
	}
	if err := a.confirm(f); err != nil {
		return err
	}
	// The time of the decision is when it was made, not when looking began.
	pred := approval(f, found.policy, prospect, a.Now().UTC().Truncate(time.Second))
	payload, err := a.signAndAttach(ctx, found.repo, found.ref, predicate.TypeApproval, pred, key)
	if err != nil {
		return err
	}
	if missing := missingApprovals(prospect); !f.reject && missing > 0 {
		a.note("signed; %d more of %d required", missing, prospect.Threshold)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
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
func (a *app) mayApprove(f *found, q *policy.Prospect, key *attest.KeySigner, pred predicate.Approval) error {
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
	return q.Admits(verify.KeyCredential(key.Public()), facts)
}

// confirm asks on the terminal for the word itself: a habit of pressing return
// approves nothing.
func (a *app) confirm(f approveFlags) error {
	if f.yes {
		return nil
	}
	word := "approve"
	if f.reject {
		word = "reject"
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
func approval(f approveFlags, p *policy.Policy, q *policy.Prospect, now time.Time) predicate.Approval {
	out := predicate.Approval{
		Decision:   predicate.DecisionApproved,
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
