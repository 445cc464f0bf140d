package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// grantFlags are what is granted, to whom, and for how long.
type grantFlags struct {
	principal, principalKey, kind string
	tools, secrets, paths, data   []string
	notBefore, notAfter           string
	lasts                         time.Duration
	mayDelegate                   int64
	from, reason                  string
	signing
}

func (a *app) attestAccessCommand() *cobra.Command {
	var f grantFlags
	c := &cobra.Command{
		Use:   "access REF --principal ID --principal-kind KIND --for DURATION --key K",
		Short: "grant access to tools, secrets, paths and data",
		Long: `Signs that a principal may use what is named, as REF, for a time, and attaches that to
REF: a model version, an agent, or whatever else acts. What is not named is not given.
Secrets are names; a value is never written. docs/format/access.md has the rules.

A grant may be given on by its principal if it says how often (--may-delegate). Then
--delegated-from names the parent grant, by its payload and the artifact it is about;
who gives on more than the parent gives, or for longer, is refused before anything is
signed. The parent's signature is not verified here: whoever asks later does that.

A name with a colon or an @ in it needs pedigree attest --type access --predicate FILE.`,
		Example: `  pedigree attest access ocidir://registry:agent --principal-key lead.pub --principal-kind agent --tool search:read,list --secret api-key@vault --data s3://acme/credit --for 720h --may-delegate 1 --key platform.key
  pedigree attest access ocidir://registry:helper --principal spiffe://acme.example/helper --principal-kind agent --tool search:read --for 1h --delegated-from sha256:…@ocidir://registry:agent --key lead.key`,
		Args: arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.attestAccess(ctx, args[0], &f)
		}),
	}
	fl := c.Flags()
	fl.StringVar(&f.principal, "principal", "", "who may: a SPIFFE id, an OIDC \"ISSUER SUBJECT\", or key:sha256:… (an `ID`)")
	fl.StringVar(&f.principalKey, "principal-key", "", "who may, by the public key: `FILE.pub`")
	fl.StringVar(&f.kind, "principal-kind", "", "human, service or agent")
	fl.StringArrayVar(&f.tools, "tool", nil, "a tool, and what it may be had to do: `NAME[:OPERATION,…]`; without operations, everything (repeatable)")
	fl.StringArrayVar(&f.secrets, "secret", nil, "the name of a secret, and where it is kept: `NAME[@STORE]` (repeatable)")
	fl.StringArrayVar(&f.paths, "path", nil, "an execution `PATH`, and all below (repeatable)")
	fl.StringArrayVar(&f.data, "data", nil, "a data `SCOPE`, and all below (repeatable)")
	fl.StringVar(&f.notBefore, "not-before", "", "since when, as 2026-05-01T00:00:00Z (default: now)")
	fl.StringVar(&f.notAfter, "not-after", "", "until when, as 2026-06-01T00:00:00Z")
	fl.DurationVar(&f.lasts, "for", 0, "how long, as 720h, in the place of --not-after")
	fl.Int64Var(&f.mayDelegate, "may-delegate", 0, "how many further levels it may be given on")
	fl.StringVar(&f.from, "delegated-from", "", "the grant that is given on: `PAYLOAD@ARTIFACT`, a digest and a reference or digest")
	fl.StringVar(&f.reason, "reason", "", "why, published with the grant")
	f.signing.flags(c)
	f.signing.trustFlag(c)
	required(c, "principal-kind")
	return c
}

func (a *app) attestAccess(ctx context.Context, where string, f *grantFlags) error {
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return err
	}
	pred, err := f.grant(a.Now().UTC().Truncate(time.Second))
	if err != nil {
		return err
	}
	repo, ref, err := a.resolve(ctx, where, nil)
	if err != nil {
		return err
	}
	if f.from != "" {
		if err := a.givenOn(ctx, ref, f.from, &pred, by.credential()); err != nil {
			return err
		}
	}
	payload, err := a.signAndAttach(ctx, repo, ref, predicate.TypeAccess, pred, by)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
}

// grant makes the predicate of the flags.
func (f *grantFlags) grant(now time.Time) (predicate.Access, error) {
	out := predicate.Access{GrantedAt: now, MayDelegate: f.mayDelegate, Reason: f.reason, Principal: predicate.AccessPrincipal{ID: f.principal, Kind: f.kind}}
	if (f.principal == "") == (f.principalKey == "") {
		return out, usage("who may? name one principal: --principal ID or --principal-key FILE.pub")
	}
	if f.principalKey != "" {
		keys := &ground{names: map[verify.Credential]string{}}
		if err := keys.byKeys([]string{f.principalKey}); err != nil {
			return out, err
		}
		out.Principal.ID = verify.KeyCredential(keys.signers.Keys[0]).String()
	}
	if !slices.Contains([]string{predicate.AccessHuman, predicate.AccessService, predicate.AccessAgent}, f.kind) {
		return out, usage("--principal-kind is %q, want human, service or agent", f.kind)
	}
	if f.mayDelegate < 0 {
		return out, usage("--may-delegate is negative")
	}
	var err error
	if out.Reach, err = f.reach(); err != nil {
		return out, err
	}
	begins := now
	if f.notBefore != "" {
		if out.NotBefore, err = parseTime("--not-before", f.notBefore); err != nil {
			return out, err
		}
		begins = out.NotBefore
	}
	switch {
	case f.notAfter != "" && f.lasts != 0:
		return out, usage("--for and --not-after are two ways to say one thing")
	case f.notAfter == "" && f.lasts == 0:
		return out, &attest.Refusal{Code: attest.CodeUsage, Why: "until when? a grant without an end is none", Next: "say --for 720h, or --not-after"}
	case f.lasts < 0:
		return out, usage("--for is negative")
	case f.lasts > 0:
		out.NotAfter = begins.Add(f.lasts).Truncate(time.Second)
	default:
		if out.NotAfter, err = parseTime("--not-after", f.notAfter); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (f *grantFlags) reach() (predicate.Reach, error) {
	var r predicate.Reach
	for _, s := range f.tools {
		name, list, some := strings.Cut(s, ":")
		t := predicate.Tool{Name: name}
		if some {
			t.Operations = strings.Split(list, ",")
		}
		if name == "" || strings.Contains(list, ":") || slices.Contains(t.Operations, "") {
			return r, &attest.Refusal{Code: attest.CodeUsage, About: "--tool", Why: fmt.Sprintf("%.80q is not NAME or NAME:OPERATION,…", s), Next: "for instance --tool search:read,list; a name with a colon needs --type access --predicate FILE"}
		}
		r.Tools = append(r.Tools, t)
	}
	for _, s := range f.secrets {
		name, store, some := strings.Cut(s, "@")
		if name == "" || some && store == "" || strings.Contains(store, "@") {
			return r, &attest.Refusal{Code: attest.CodeUsage, About: "--secret", Why: fmt.Sprintf("%.80q is not NAME or NAME@STORE", s), Next: "for instance --secret api-key@vault; never the secret itself"}
		}
		r.Secrets = append(r.Secrets, predicate.Secret{Name: name, Store: store})
	}
	r.ExecutionPaths, r.DataScopes = f.paths, f.data
	for _, list := range []struct {
		flag   string
		places []string
	}{{"--path", f.paths}, {"--data", f.data}} {
		for _, s := range list.places {
			if err := predicate.CheckPlace(s); err != nil {
				return r, &attest.Refusal{Code: attest.CodeUsage, About: list.flag, Why: "cannot be granted", Err: err, Next: "name a place in its plain form; all below it is meant too"}
			}
		}
	}
	return r, nil
}

// givenOn names the parent of a grant, and refuses what is no part of it: signed, it
// would only look like something.
func (a *app) givenOn(ctx context.Context, child attest.Reference, from string, pred *predicate.Access, who verify.Credential) error {
	name, place, ok := strings.Cut(from, "@")
	if !ok || place == "" {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--delegated-from", Why: fmt.Sprintf("%.120q is not PAYLOAD@ARTIFACT", from), Next: "for instance sha256:…@ocidir://registry:agent; pedigree list --output json shows payloads"}
	}
	payload, err := payloadDigest("--delegated-from", name)
	if err != nil {
		return err
	}
	var repo *oci.Repository
	ref := child
	if d, err := attest.ParseDigest(place); err == nil {
		ref = child.Repository.At(d)
		repo, err = oci.Open(ref.Repository, a.ociOptions(nil))
		if err != nil {
			return err
		}
	} else if repo, ref, err = a.resolve(ctx, place, nil); err != nil {
		return err
	}
	found, err := attached(ctx, repo, ref.Digest)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(found, func(l listed) bool {
		return l.Payload == payload && l.statement != nil && l.PredicateType == predicate.TypeAccess
	})
	if i < 0 {
		return &attest.Refusal{Code: attest.CodeNotFound, About: payload.String(), Why: "no such grant is attached to " + ref.Digest.String(), Next: "pedigree list " + ref.String() + " shows what there is"}
	}
	facts, err := predicate.Decode(found[i].statement)
	if err != nil {
		return about("the parent grant", err)
	}
	pred.Delegation = &predicate.Delegation{From: predicate.StatementRef{Payload: predicate.DigestSet{Digest: payload}, Artifact: predicate.DigestSet{Digest: ref.Digest}}}
	if err := within(*pred, child, facts.Access); err != nil {
		return err
	}
	a.note("the parent grant was read, and its signature not verified")
	switch id := facts.Access.Principal; {
	case id == who.String():
	case strings.HasPrefix(id, "key:"):
		return &attest.Refusal{Code: attest.CodeDelegation, About: payload.String(), Why: fmt.Sprintf("the parent grant is for %s, and the key is %s", id, who), Next: "sign with the key of whom the parent grant is for"}
	default:
		a.note("the parent grant is for %s: this one counts where whoever verifies knows %s under that name", attest.Printable(id), who)
	}
	return nil
}

// within refuses a grant that is more than its parent, by what would be signed.
func within(pred predicate.Access, subject attest.Reference, parent *predicate.AccessFacts) error {
	payload, err := attest.NewStatement(attest.Subject{Digest: subject.Digest}, predicate.TypeAccess, pred)
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
	return facts.Access.Within(parent)
}
