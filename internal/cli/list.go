package cli

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A listed is one attestation as `list` shows it: what it says of itself.
type listed struct {
	Manifest      attest.Digest `json:"manifest"`
	Payload       attest.Digest `json:"payload"`
	PredicateType string        `json:"predicateType"`
	BuildType     string        `json:"buildType,omitempty"`
	Claimed       *time.Time    `json:"claimed,omitempty"`
	SignedBy      string        `json:"signedBy,omitempty"` // the bundle's own word
	// Identity and Claims are what the certificate says that comes with the bundle:
	// whether an authority issued it, nobody asked.
	Identity *trust.Identity `json:"identity,omitempty"`
	Claims   *trust.Claims   `json:"claims,omitempty"`
	Problem  string          `json:"problem,omitempty"` // why it could not be read

	statement   *attest.Statement
	bundle      []byte
	certificate bool // it comes with one
}

func (a *app) listCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list REF",
		Short: "list what is attached to an artifact, unverified",
		Long: `Lists the attestations beside an artifact with what they say of themselves. Nothing
is verified: anybody who can write to the repository can attach anything.`,
		Example: "  pedigree list ocidir://registry:model",
		Args:    arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.list(ctx, args[0], output)
		}),
	}
	c.Flags().StringVar(&output, "output", "text", "text or json")
	return c
}

func checkOutput(s string) error {
	if s != "text" && s != "json" {
		return usage("--output is %q, want text or json", s)
	}
	return nil
}

func (a *app) list(ctx context.Context, where, output string) error {
	repo, ref, err := a.resolve(ctx, where, nil)
	if err != nil {
		return err
	}
	if _, err := manifest(ctx, repo, ref); err != nil {
		return err
	}
	found, incomplete := attached(ctx, repo, ref.Digest)
	if output == "json" {
		err = a.listJSON(ref, found, incomplete)
	} else {
		err = a.listText(ref, found)
	}
	if err != nil {
		return err
	}
	return incomplete
}

// attached reads everything beside an artifact, sorted by what it claims. The
// error says that there may be more.
func attached(ctx context.Context, repo *oci.Repository, d attest.Digest) ([]listed, error) {
	var found []listed
	err := repo.Attestations(ctx, d, func(at attest.Attached) bool {
		found = append(found, read(at))
		return true
	})
	slices.SortStableFunc(found, func(x, y listed) int {
		switch {
		case x.Claimed != nil && y.Claimed != nil && !x.Claimed.Equal(*y.Claimed):
			return x.Claimed.Compare(*y.Claimed)
		case (x.Claimed == nil) != (y.Claimed == nil):
			if x.Claimed == nil {
				return 1
			}
			return -1
		}
		return x.Manifest.Compare(y.Manifest)
	})
	return found, err
}

// keyName writes a bundle's key hint as key generate and verdicts write keys, if
// it is one of the usual form.
func keyName(hint string) string {
	sum, err := base64.StdEncoding.DecodeString(hint)
	if err != nil || len(sum) != sha256.Size {
		return hint
	}
	return attest.SHA256Sum([sha256.Size]byte(sum)).String()
}

func read(at attest.Attached) listed {
	l := listed{Manifest: at.Manifest, PredicateType: at.PredicateType, bundle: at.Bundle}
	fail := func(err error) listed {
		l.Problem = err.Error()
		return l
	}
	if at.Err != nil {
		return fail(at.Err)
	}
	b, err := attest.ParseBundle(at.Bundle)
	if err != nil {
		return fail(err)
	}
	l.Payload, l.SignedBy = attest.SHA256(b.Payload), keyName(b.KeyHint)
	l.certified(b)
	s, err := attest.ParseStatement(b.Payload)
	if err != nil {
		return fail(err)
	}
	l.PredicateType, l.statement = s.PredicateType, s
	facts, err := predicate.Decode(s)
	if err != nil {
		return fail(err)
	}
	l.BuildType = facts.BuildType
	if !facts.Claimed.IsZero() {
		at := facts.Claimed.UTC()
		l.Claimed = &at
	}
	return l
}

// certified notes whom the certificate names that comes with a bundle, if there is one.
func (l *listed) certified(b *attest.Bundle) {
	if l.certificate = b.Certificate != nil; !l.certificate {
		return
	}
	who, claims, err := trust.Holder(b.Certificate)
	if err != nil {
		l.SignedBy = "a certificate that names nobody: " + err.Error()
		return
	}
	l.Identity, l.SignedBy = &who, who.String()
	if claims != (trust.Claims{}) {
		l.Claims = &claims
	}
}

func (a *app) listJSON(ref attest.Reference, found []listed, incomplete error) error {
	if found == nil {
		found = []listed{}
	}
	b, err := json.MarshalIndent(struct {
		Artifact     attest.Digest `json:"artifact"`
		Verified     bool          `json:"verified"` // always false: this only lists
		Complete     bool          `json:"complete"`
		Attestations []listed      `json:"attestations"`
	}{ref.Digest, false, incomplete == nil, found}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", b)
	return err
}

func (a *app) listText(ref attest.Reference, found []listed) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", ref.Digest)
	if len(found) == 0 {
		b.WriteString("nothing is attached\n")
		_, err := io.WriteString(a.Stdout, b.String())
		return err
	}
	fmt.Fprintf(&b, "%d attached, nothing of it verified: this is what the documents say of themselves\n\n", len(found))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "PAYLOAD\tCLAIMED TIME\tSAYS IT IS\tSAYS IT IS SIGNED BY\n")
	var problems []string
	for _, l := range found {
		claimed := "-"
		if l.Claimed != nil {
			claimed = l.Claimed.Format("2006-01-02 15:04:05Z")
		}
		what := typeName(l)
		if l.Problem != "" {
			what += " (unreadable, see below)"
			problems = append(problems, l.Payload.Short()+" "+l.Manifest.Short()+": "+l.Problem)
		}
		name := l.Payload
		if name.IsZero() {
			name = l.Manifest
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name.Short(), claimed, attest.Printable(what), report.Who(l.signer()))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "unreadable: %s\n", attest.Printable(p))
	}
	_, err := io.WriteString(a.Stdout, b.String())
	return err
}

// signer is by whom an attestation says that it is signed; for people, it is shown by
// report.Who.
func (l *listed) signer() string {
	switch {
	case l.SignedBy == "":
		return "-"
	case l.certificate:
		return l.SignedBy
	}
	return "key " + l.SignedBy
}

// typeName is the short name of a predicate type, with the build type's last
// part but one, which names the step.
func typeName(l listed) string {
	name := predicate.Name(l.PredicateType)
	if step, ok := strings.CutPrefix(l.BuildType, buildTypePrefix); ok {
		name += " " + strings.TrimSuffix(step, "/v1")
	}
	// What tells two evaluations, or an approval from a rejection.
	for _, field := range []string{"kind", "decision"} {
		if l.statement == nil || predicate.Name(l.PredicateType) == l.PredicateType {
			break
		}
		if v, ok := l.statement.Predicate.Get(field); ok && v.Kind() == strictjson.String {
			name += " " + v.Text()
		}
	}
	return name
}

// buildTypePrefix begins the build types of our own steps.
const buildTypePrefix = "https://pedigree-ml.github.io/build/"

func (a *app) showCommand() *cobra.Command {
	var bundle bool
	c := &cobra.Command{
		Use:   "show REF DIGEST",
		Short: "show one attestation, unverified",
		Long: `Shows the statement of one attestation beside an artifact, as JSON. DIGEST is that
of its payload, or of its manifest, as list gives them; a beginning of at least 12
digits will do. Nothing is verified. With --bundle it writes the signed bundle as it
is, for cosign, for attach, or for a folder of evidence.`,
		Example: "  pedigree show ocidir://registry:model sha256:1f2e3d4c5b6a",
		Args:    arguments("REF", "DIGEST"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.show(ctx, args[0], args[1], bundle)
		}),
	}
	c.Flags().BoolVar(&bundle, "bundle", false, "write the bundle and not the statement")
	return c
}

func (a *app) show(ctx context.Context, where, digest string, bundle bool) error {
	repo, ref, err := a.resolve(ctx, where, nil)
	if err != nil {
		return err
	}
	if len(digest) < len("sha256:")+12 || !strings.HasPrefix(digest, "sha256:") {
		return &attest.Refusal{Code: attest.CodeUsage, About: digest, Why: "not a digest", Next: "use one that pedigree list shows"}
	}
	found, incomplete := attached(ctx, repo, ref.Digest)
	var match []listed
	for _, l := range found {
		if strings.HasPrefix(l.Payload.String(), digest) || strings.HasPrefix(l.Manifest.String(), digest) {
			match = append(match, l)
		}
	}
	switch {
	case len(match) == 0 && incomplete != nil:
		return incomplete
	case len(match) == 0:
		return &attest.Refusal{Code: attest.CodeNotFound, About: digest, Why: "nothing like it is attached to " + ref.Digest.String(), Next: "see pedigree list"}
	case match[0].statement == nil:
		return &attest.Refusal{Code: attest.CodeStatement, About: digest, Why: "the attestation cannot be read", Err: errors.New(match[0].Problem)}
	}
	for _, l := range match[1:] {
		// Two people who say the same sign the same payload, in two bundles.
		if l.Payload != match[0].Payload || bundle && l.Manifest != match[0].Manifest {
			return &attest.Refusal{Code: attest.CodeUsage, About: digest, Why: "several attestations begin so", Next: "give more digits, or the manifest as pedigree list --output json has it"}
		}
	}
	if bundle {
		_, err := a.Stdout.Write(match[0].bundle)
		return err
	}
	return a.showStatement(match[0])
}

// showStatement prints the statement on standard output and what it is worth on
// standard error, so that a JSON reader can be put behind the command.
func (a *app) showStatement(l listed) error {
	a.note("UNVERIFIED: this is what the document says; nobody checked who signed it")
	if l.Identity == nil {
		a.note("payload %s, in manifest %s, says it is signed by %s", l.Payload, l.Manifest, report.Who(l.signer()))
	} else {
		a.note("payload %s, in manifest %s, claims to be signed by %s (not verified)", l.Payload, l.Manifest, report.Who(l.signer()))
		if l.Claims != nil {
			for _, c := range report.ClaimsOf(*l.Claims) {
				a.note("  the certificate claims %s: %s", c.Name, report.Who(c.Value))
			}
		}
	}
	_, err := io.WriteString(a.Stdout, statementText(l.statement))
	return err
}
