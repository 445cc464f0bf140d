package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// deploymentFlags are what a deployment record says, and how the one before it is
// found.
type deploymentFlags struct {
	environment, target, reason, observer, loaded, at string
	decision, previous                                string
	first                                             bool
	policy                                            string
	signing
	trusted []string
	trust   policyTrust
}

func (a *app) attestDeploymentCommand() *cobra.Command {
	var f deploymentFlags
	c := &cobra.Command{
		Use:   "deployment REF --environment ENV --key K",
		Short: "record that an artifact was deployed, after the record before it",
		Long: `Signs a deployment record about an artifact, attaches it and prints the digest of
its payload. The records of a place, which is a cluster and a service of an
environment, are a chain: each names the one before it.

The one before is looked for in the artifact's repository, among the records of the
same place by the key that signs, by those of --trusted-key, or with --policy by whose
record counts under the policy. If there is none, --first says that this is the
first; if they do not hold together, nothing is signed. With --previous, or --first,
nobody is asked: that is for records that lie elsewhere.

--decision names the approval or the verdict that it was done on; without @ARTIFACT
one that is attached to REF. --loaded hashes the files in the folder that was
loaded, which must be the artifact's.`,
		Example: `  pedigree attest deployment ghcr.io/acme/credit:1.4 --environment prod --target eu-1/scoring --loaded /models/credit --key deployer.key
  pedigree attest deployment ghcr.io/acme/credit:1.3 --environment prod --target eu-1/scoring --reason rollback --key deployer.key`,
		Args: arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.attestDeployment(ctx, args[0], f)
		}),
	}
	fl := c.Flags()
	fl.StringVar(&f.environment, "environment", "", "where it runs now, as policies and approvals name it")
	fl.StringVar(&f.target, "target", "", "where exactly: `CLUSTER/SERVICE`")
	fl.StringVar(&f.reason, "reason", predicate.DeployPromote, "promote, rollback or hotfix")
	fl.StringVar(&f.decision, "decision", "", "the approval or verdict it was done on: `PAYLOAD[@ARTIFACT]`")
	fl.StringVar(&f.loaded, "loaded", "", "the `FOLDER` that was loaded: its files are hashed and recorded")
	fl.StringVar(&f.observer, "observer", "", "who or what saw it run: a `URI`")
	fl.StringVar(&f.at, "deployed-at", "", "when, as 2026-05-01T00:00:00Z (default: now)")
	fl.StringVar(&f.previous, "previous", "", "the record before this one: `PAYLOAD@ARTIFACT` (default: it is looked for)")
	fl.BoolVar(&f.first, "first", false, "there is no record before this one")
	fl.StringArrayVar(&f.trusted, "trusted-key", nil, "the records of this key count too: `FILE.pub` (repeatable)")
	fl.StringVar(&f.policy, "policy", "", "whose records count, this policy says: a `FILE`, or a reference to a signed one")
	f.trust.flags(c)
	f.signing.flags(c)
	required(c, "environment")
	return c
}

func (a *app) attestDeployment(ctx context.Context, where string, f deploymentFlags) error {
	if f.first && f.previous != "" {
		return usage("--first and --previous contradict each other")
	}
	if f.policy != "" && len(f.trusted) > 0 {
		return usage("--policy and --trusted-key are two ways to say whose records count; use one")
	}
	if f.policy == "" && f.trust.roots != "" {
		return usage("--policy-roots belongs to --policy")
	}
	pred, place, err := f.record(a)
	if err != nil {
		return err
	}
	f.signing.trusted = f.trust.trustSource
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return err
	}
	repo, ref, err := a.resolve(ctx, where, nil)
	if err != nil {
		return err
	}
	if f.decision != "" {
		if pred.Decision, err = statementRef("--decision", f.decision, ref.Digest); err != nil {
			return err
		}
	}
	if f.loaded != "" {
		if pred.Loaded, err = a.loadedFiles(ctx, repo, ref, f.loaded); err != nil {
			return err
		}
	}
	switch {
	case f.previous != "":
		if pred.Previous, err = statementRef("--previous", f.previous, attest.Digest{}); err != nil {
			return err
		}
	case !f.first:
		last, err := a.lastRecord(ctx, ref, place, by, &f)
		if err != nil {
			return err
		}
		if last.Claimed.After(pred.DeployedAt.Add(clockSkew)) {
			return &attest.Refusal{Code: attest.CodeHistory, About: last.Payload.String(), Why: fmt.Sprintf("the record before this one claims %s, which is later", last.Claimed.Format(time.RFC3339)), Next: "check the clock, or --deployed-at"}
		}
		a.note("after the record %s of %s, about %s", last.Payload.Short(), last.Claimed.Format(time.RFC3339), last.Artifact.Short())
		pred.Previous = &predicate.StatementRef{Payload: predicate.DigestSet{Digest: last.Payload}, Artifact: predicate.DigestSet{Digest: last.Artifact}}
	}
	payload, err := a.signAndAttach(ctx, repo, ref, predicate.TypeDeployment, pred, by)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
}

// record reads what the flags alone say.
func (f *deploymentFlags) record(a *app) (predicate.Deployment, lineage.Place, error) {
	pred := predicate.Deployment{Environment: f.environment, Reason: f.reason}
	var place lineage.Place
	switch {
	case f.environment == "":
		return pred, place, usage("--environment is empty")
	case f.reason != predicate.DeployPromote && f.reason != predicate.DeployRollback && f.reason != predicate.DeployHotfix:
		return pred, place, usage("--reason is %q, want promote, rollback or hotfix", f.reason)
	}
	if f.target != "" {
		var ok bool
		if place, ok = parsePlace(f.target); !ok {
			return pred, place, &attest.Refusal{Code: attest.CodeUsage, About: "--target", Why: fmt.Sprintf("%.80q is not CLUSTER/SERVICE", f.target), Next: "write it as eu-1/scoring"}
		}
		pred.Target = &predicate.DeploymentTarget{Cluster: place.Cluster, Service: place.Service}
	}
	if f.observer != "" {
		pred.Observer = &predicate.Observer{ID: f.observer}
	}
	pred.DeployedAt = a.Now().UTC().Truncate(time.Second)
	if f.at != "" {
		var err error
		if pred.DeployedAt, err = parseTime("--deployed-at", f.at); err != nil {
			return pred, place, err
		}
	}
	return pred, place, nil
}

// parsePlace reads CLUSTER/SERVICE.
func parsePlace(s string) (lineage.Place, bool) {
	cluster, service, ok := strings.Cut(s, "/")
	return lineage.Place{Cluster: cluster, Service: service}, ok && cluster != "" && service != ""
}

// statementRef reads PAYLOAD@ARTIFACT; without an artifact it is the given one, if
// that is not zero.
func statementRef(flag, s string, otherwise attest.Digest) (*predicate.StatementRef, error) {
	payload, at, named := strings.Cut(s, "@")
	d, err := payloadDigest(flag, payload)
	if err != nil {
		return nil, err
	}
	if named {
		if otherwise, err = attest.ParseDigest(at); err != nil {
			return nil, &attest.Refusal{Code: attest.CodeUsage, About: flag, Why: fmt.Sprintf("%.80q is not the digest of an artifact", at), Next: "write PAYLOAD@ARTIFACT, each as sha256:… with all 64 digits"}
		}
	}
	if otherwise.IsZero() {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: flag, Why: "which artifact is the statement attached to?", Next: "write PAYLOAD@ARTIFACT, as pedigree history --output json has them"}
	}
	return &predicate.StatementRef{Payload: predicate.DigestSet{Digest: d}, Artifact: predicate.DigestSet{Digest: otherwise}}, nil
}

// loadedFiles hashes the files in a folder. They are the artifact's, or it was not
// the artifact that was loaded: then nothing is recorded, and every difference told.
func (a *app) loadedFiles(ctx context.Context, repo *oci.Repository, ref attest.Reference, dir string) ([]predicate.LoadedFile, error) {
	b, err := manifest(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	m, err := attest.ParseManifest(b)
	if err != nil {
		return nil, err
	}
	bars, wait := a.progress()
	defer wait()
	_, paths, err := inspectDir(ctx, dir, m, bars)
	wait()
	if err != nil {
		return nil, err
	}
	if different := compareDir(m, paths); len(different) > 0 {
		return nil, &manyRefusals{different}
	}
	var out []predicate.LoadedFile
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		out = append(out, predicate.LoadedFile{Name: path, Digest: predicate.DigestSet{Digest: paths[path]}})
	}
	return out, nil
}

// lastRecord finds the last record of a place in the artifact's repository. It is
// refused unless there is exactly one: a guess would be a fork that somebody signed.
func (a *app) lastRecord(ctx context.Context, ref attest.Reference, place lineage.Place, by *signature, f *deploymentFlags) (*lineage.Deployed, error) {
	times, _, err := a.times(question{})
	if err != nil {
		return nil, err
	}
	gr := &ground{app: a, names: map[verify.Credential]string{}, question: times, opened: map[attest.Repository]*oci.Repository{}, views: map[attest.Repository]*oci.View{}}
	own := by.credential()
	if f.policy != "" {
		if err := gr.byPolicy(ctx, &grounds{policy: f.policy, policyTrust: f.trust}); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(gr.whoDeploys().by, func(f verify.Follow) bool { return f.May(own) }) {
			return nil, &attest.Refusal{Code: attest.CodeIdentity, About: own.String(), Why: "the policy gives this key no say in deployments, so its record would not count", Next: "use the key of " + gr.whoDeploys().why}
		}
	} else {
		if _, err := a.believe(ctx, &f.trust); err != nil {
			return nil, err
		}
		if err := gr.byKeys(f.trusted); err != nil {
			return nil, err
		}
		gr.signers.Trust = f.trust.believed
		if _, named := own.Identity(); named && f.trust.believed == nil {
			return nil, &attest.Refusal{Code: attest.CodeUsage, About: own.String(), Why: "nobody is named who vouches for it, so its own records before this one would not be recognised", Next: "--trust FILE; or say which record is the last, --previous PAYLOAD@ARTIFACT, or that there is none, --first"}
		}
		if gr.names[own] == "" {
			same := by.same(f.trust.believed)
			gr.signers.Keys = append(gr.signers.Keys, same.Keys...)
			gr.signers.Identities = append(gr.signers.Identities, same.Identities...)
			gr.names[own] = "who signs"
		}
	}
	l, err := gr.library(ctx, []attest.Repository{ref.Repository})
	if err != nil {
		return nil, err
	}
	find := func(ctx context.Context, yield func(attest.Digest) bool) error {
		return l.Find(ctx, lineage.InEnvironment, f.environment, yield)
	}
	h, err := lineage.AskHistory(ctx, gr.historyQuestion(f.environment, find, l.sources, l.scope, clockSkew))
	if err != nil {
		return nil, err
	}
	h.Missed(l.missed)
	return theLast(h, place)
}

// theLast returns the last record of a place, if the history leaves no doubt.
func theLast(h *lineage.History, place lineage.Place) (*lineage.Deployed, error) {
	const look = "look at it: pedigree history; and say which record is the last: --previous PAYLOAD@ARTIFACT"
	if len(h.Gaps) > 0 {
		return nil, &attest.Refusal{Code: h.Gaps[0].Code, About: h.Environment, Why: "not everything could be looked at, so the last record may not be the last", Next: look}
	}
	i := slices.IndexFunc(h.Places, func(p lineage.PlaceHistory) bool { return p.Place == place })
	if i < 0 || h.Places[i].Running() == nil {
		why := "nobody whose record counts recorded a deployment there"
		if n := len(h.Places); n > 0 && i < 0 {
			why = "there are records of other places there, and none of this one"
		}
		return nil, &attest.Refusal{Code: attest.CodeNotFound, About: strings.TrimSuffix(h.Environment+" "+place.String(), " "), Why: why, Next: "if this is the first, say so: --first"}
	}
	if h.Later > 0 {
		return nil, &attest.Refusal{Code: attest.CodeTimeWindow, About: h.Environment, Why: "there are records of a later time than now", Next: look}
	}
	p := &h.Places[i]
	for _, f := range p.Findings {
		if f.Kind == lineage.FindingDecision || f.Kind == lineage.FindingUndecided {
			continue // what it was done on changes nothing about the order
		}
		return nil, &attest.Refusal{Code: f.Code, About: h.Environment, Why: "the records do not hold together: " + f.Why, Next: look}
	}
	return p.Running(), nil
}
