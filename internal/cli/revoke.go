package cli

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// revokeFlags are what is taken back, and why.
type revokeFlags struct {
	ref                      string
	payload, ofKey, identity string
	action, reason, from     string
	replacedBy               string
	restores                 []string
	incident, policy         string
	signing
	trust policyTrust
	yes   bool

	// worked out of the above
	target      string // one of the Target… constants
	restored    []attest.Digest
	effective   time.Time
	replacement attest.Digest
}

func (a *app) revokeCommand() *cobra.Command {
	var f revokeFlags
	c := &cobra.Command{
		Use:   "revoke REF --reason TEXT --key K",
		Short: "take back an artifact, a statement or a key",
		Long: `Signs that something must not be relied on any more, and attaches that where every
verifier looks. What is revoked is one of

  REF                              an artifact, and all that was made from it
  REPOSITORY --payload DIGEST      a statement, as if it had not been made
  REPOSITORY --of-key FILE.pub     a key: all that it signed, unless a trusted time is older
  REPOSITORY --identity "I S"      an identity, by issuer and subject or as a SPIFFE id:
                                   the same

REPOSITORY is where the evidence lies. --action says what happens to it: revoke, for
good; quarantine, until it is looked into; supersede, because --replaced-by is to be
used; or restore, which takes back the revocations named by --restores.

Who may revoke what, the policy of whoever verifies says, and the signer of a
statement may always take that back; with --policy it is asked before signing.
A revocation counts at once. Publish a status too (pedigree status publish): until
then somebody who may delete from the repository could hide it.`,
		Example: `  pedigree revoke ocidir://registry:train --reason "consent withdrawn" --key security.key
  pedigree revoke ocidir://registry --of-key alice.pub --reason "laptop stolen" --effective-from 2026-05-01T00:00:00Z --key security.key`,
		Args: arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			f.ref = args[0]
			return a.revoke(ctx, f)
		}),
	}
	fl := c.Flags()
	fl.StringVar(&f.payload, "payload", "", "the `DIGEST` of the statement to take back")
	fl.StringVar(&f.ofKey, "of-key", "", "the public key to take back: `FILE.pub`")
	fl.StringVar(&f.identity, "identity", "", "the identity to take back: `\"ISSUER SUBJECT\"`, or a SPIFFE id")
	fl.StringVar(&f.action, "action", predicate.ActionRevoke, "revoke, quarantine, supersede or restore")
	fl.StringVar(&f.reason, "reason", "", "why, published with the revocation")
	fl.StringVar(&f.from, "effective-from", "", "since when, as 2026-05-01T00:00:00Z, also before now (default: now)")
	fl.StringVar(&f.replacedBy, "replaced-by", "", "with supersede: the `DIGEST|REF` to use instead")
	fl.StringArrayVar(&f.restores, "restores", nil, "with restore: the `PAYLOAD` of a revocation to take back (repeatable)")
	fl.StringVar(&f.incident, "incident", "", "where the incident is described, published with the revocation")
	f.signing.flags(c)
	fl.StringVar(&f.policy, "policy", "", "refuse to sign what would not count under this policy: a `FILE`, or a reference to a signed one")
	f.trust.flags(c)
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	required(c, "reason")
	return c
}

func (a *app) revoke(ctx context.Context, f revokeFlags) error {
	if err := a.canAsk(f.yes, "say --yes, if it is meant"); err != nil {
		return err
	}
	f.signing.trusted = f.trust.trustSource
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return err
	}
	repo, ref, err := a.revoked(ctx, &f)
	if err != nil {
		return err
	}
	if err := a.revokeAction(ctx, repo, ref, &f); err != nil {
		return err
	}
	if err := a.mayRevoke(ctx, &f, by.credential()); err != nil {
		return err
	}
	a.tellRevocation(ref, &f)
	if err := a.confirm(f.action, f.yes); err != nil {
		return err
	}
	pred := predicate.Revocation{
		Action: f.action, Target: f.target, Reason: f.reason, IssuedAt: a.Now().UTC().Truncate(time.Second),
		EffectiveFrom: f.effective, ReplacedBy: predicate.DigestSet{Digest: f.replacement}, Incident: f.incident,
	}
	for _, d := range f.restored {
		pred.Restores = append(pred.Restores, predicate.Restored{Payload: predicate.DigestSet{Digest: d}})
	}
	payload, err := a.signAndAttach(ctx, repo, ref, predicate.TypeRevocation, pred, by)
	if err != nil {
		return err
	}
	a.note("it counts from now on; publish a status, so that nobody can hide it: pedigree status publish")
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
}

// revoked finds out what is taken back, and where that is said.
func (a *app) revoked(ctx context.Context, f *revokeFlags) (*oci.Repository, attest.Reference, error) {
	named := 0
	for _, s := range []string{f.payload, f.ofKey, f.identity} {
		if s != "" {
			named++
		}
	}
	if named > 1 {
		return nil, attest.Reference{}, usage("--payload, --of-key and --identity are three things: revoke one after the other")
	}
	if named == 0 {
		f.target = predicate.TargetArtifact
		return a.resolve(ctx, f.ref, nil)
	}
	d, err := f.standsFor()
	if err != nil {
		return nil, attest.Reference{}, err
	}
	return a.openAt(f.ref, d)
}

// openAt opens a repository for something that a stand-in stands for.
func (a *app) openAt(where string, d attest.Digest) (*oci.Repository, attest.Reference, error) {
	ref, err := attest.ParseReference(where)
	if err != nil {
		return nil, attest.Reference{}, &statusError{exitUsage, err}
	}
	if ref.Tag != "" || !ref.Digest.IsZero() {
		return nil, attest.Reference{}, &attest.Refusal{Code: attest.CodeUsage, About: where, Why: "names an artifact; here only a repository is named", Next: "write " + ref.Repository.String()}
	}
	repo, err := oci.Open(ref.Repository, a.ociOptions(nil))
	return repo, ref.Repository.At(d), err
}

// standsFor returns the digest that names a statement, a key or an identity.
func (f *revokeFlags) standsFor() (attest.Digest, error) {
	switch {
	case f.payload != "":
		f.target = predicate.TargetPayload
		return payloadDigest("--payload", f.payload)
	case f.ofKey != "":
		f.target = predicate.TargetKey
		b, err := readFile(f.ofKey, maxKeyFile)
		if err != nil {
			return attest.Digest{}, &attest.Refusal{Code: attest.CodeKey, About: f.ofKey, Why: "the key cannot be read", Err: cause(err)}
		}
		k, err := attest.ParsePublicKey(b)
		if err != nil {
			return attest.Digest{}, about(f.ofKey, err)
		}
		return k.Fingerprint(), nil
	}
	f.target = predicate.TargetIdentity
	who, err := identityCredential("--identity", f.identity)
	return who.Standin(), err
}

// identityCredential reads an identity in its one spelling: "ISSUER SUBJECT", or a
// SPIFFE id.
func identityCredential(flag, s string) (verify.Credential, error) {
	c, ok := verify.ParseCredential(s)
	if _, named := c.Identity(); !ok || !named || strings.ContainsFunc(s, unicode.IsControl) {
		return verify.Credential{}, &attest.Refusal{Code: attest.CodeUsage, About: flag, Why: fmt.Sprintf("%.80q is no issuer and subject", s), Next: `for instance "https://accounts.example alice@acme.example", or a SPIFFE id, "spiffe://prod.acme.example/trainer"`}
	}
	return c, nil
}

// payloadDigest reads the digest of a statement's bytes.
func payloadDigest(flag, s string) (attest.Digest, error) {
	d, err := attest.ParseDigest(s)
	if err != nil || d.IsCommit() {
		return attest.Digest{}, &attest.Refusal{Code: attest.CodeUsage, About: flag, Why: fmt.Sprintf("%.80q is not the digest of a payload", s), Next: "write sha256:… with all 64 digits, as pedigree list --output json shows it"}
	}
	return d, nil
}

// revokeAction reads what is to happen.
func (a *app) revokeAction(ctx context.Context, repo *oci.Repository, ref attest.Reference, f *revokeFlags) error {
	switch f.action {
	case predicate.ActionRevoke, predicate.ActionQuarantine, predicate.ActionSupersede, predicate.ActionRestore:
	default:
		return usage("--action is %q, want revoke, quarantine, supersede or restore", f.action)
	}
	if (f.replacedBy != "") != (f.action == predicate.ActionSupersede) {
		return usage("--replaced-by and --action supersede belong together")
	}
	if f.action == predicate.ActionSupersede && f.target != predicate.TargetArtifact {
		return usage("only an artifact can be superseded")
	}
	if len(f.restores) > 0 && f.action != predicate.ActionRestore {
		return usage("--restores is for --action restore")
	}
	var err error
	if f.from != "" {
		if f.effective, err = parseTime("--effective-from", f.from); err != nil {
			return err
		}
	}
	if f.replacedBy != "" {
		if f.replacement, err = attest.ParseDigest(f.replacedBy); err != nil {
			_, other, err := a.resolve(ctx, f.replacedBy, nil)
			if err != nil {
				return err
			}
			f.replacement = other.Digest
		}
		if f.replacement == ref.Digest {
			return usage("--replaced-by is the artifact itself")
		}
	}
	if f.action == predicate.ActionRestore {
		return f.restorable(ctx, repo, ref)
	}
	return nil
}

// restorable checks that the revocations to take back are there: taking back what
// does not exist would only look like something.
func (f *revokeFlags) restorable(ctx context.Context, repo *oci.Repository, ref attest.Reference) error {
	found, err := attached(ctx, repo, ref.Digest)
	if err != nil {
		return err
	}
	there := map[attest.Digest]bool{}
	var names []string
	for _, l := range found {
		if l.PredicateType == predicate.TypeRevocation && l.statement != nil && !there[l.Payload] {
			there[l.Payload] = true
			names = append(names, l.Payload.String())
		}
	}
	next := "nothing revokes " + ref.Digest.String() + " in this repository"
	if len(names) > 0 {
		next = "there are (unverified): " + strings.Join(names, ", ")
	}
	if len(f.restores) == 0 {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--restores", Why: "which revocations are taken back must be said, one by one", Next: next}
	}
	for _, s := range f.restores {
		d, err := payloadDigest("--restores", s)
		if err != nil {
			return err
		}
		if !there[d] {
			return &attest.Refusal{Code: attest.CodeNotFound, About: d.String(), Why: "no such revocation is attached to " + ref.Digest.String(), Next: next}
		}
		f.restored = append(f.restored, d)
	}
	return nil
}

// mayRevoke asks the policy, if one is named, whether this would count.
func (a *app) mayRevoke(ctx context.Context, f *revokeFlags, who verify.Credential) error {
	if f.policy == "" {
		return nil
	}
	p, _, notes, err := a.trustedPolicy(ctx, f.policy, &f.trust)
	if err != nil {
		return err
	}
	for _, n := range notes {
		a.note("%s", n)
	}
	threshold, err := p.MayRevoke(who, f.target)
	switch {
	case err != nil:
		return err
	case threshold == 0:
		a.note("under %s it counts only if the statement is by the same signer", attest.Printable(p.Name()))
	case threshold > 1:
		a.note("under %s it counts when %d principals say so", attest.Printable(p.Name()), threshold)
	}
	return nil
}

// tellRevocation says what will be affected, before anybody says yes. It is
// printed with --quiet too: it is what the yes is about.
func (a *app) tellRevocation(ref attest.Reference, f *revokeFlags) {
	what, reach := "the key", "everything it signed, unless a trusted time shows that it was before"
	switch f.target {
	case predicate.TargetArtifact:
		what, reach = "the artifact", "it, and everything that was made from it"
	case predicate.TargetPayload:
		what, reach = "the statement", "every verdict that counts it"
	case predicate.TargetIdentity:
		what = "the identity"
	}
	if f.action == predicate.ActionSupersede {
		reach = "whoever would use it; what was made from it stays as good as it was"
	}
	since := "now"
	if !f.effective.IsZero() {
		since = f.effective.Format(time.RFC3339)
	}
	fmt.Fprintf(a.Stderr, "%s %s %s\n", f.action, what, ref.Digest)
	fmt.Fprintf(a.Stderr, "  said in  %s\n", attest.Printable(ref.Repository.String()))
	fmt.Fprintf(a.Stderr, "  reaches  %s\n", reach)
	fmt.Fprintf(a.Stderr, "  since    %s\n", since)
	fmt.Fprintf(a.Stderr, "  reason   %s\n", attest.Printable(f.reason))
}
