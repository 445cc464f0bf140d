package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/single"
)

// bundleFlags are what verify-bundle is told.
type bundleFlags struct {
	bundle      string
	identity    string
	issuer      string
	key         string
	trustedRoot string
	offline     bool
	output      string
}

func (a *app) verifyBundleCommand() *cobra.Command {
	var f bundleFlags
	c := &cobra.Command{
		Use:   "verify-bundle --bundle FILE (--certificate-identity NAME --certificate-oidc-issuer URL | --key FILE) FILE|DIGEST",
		Short: "check one Sigstore bundle on its own, and show everything that was checked",
		Long: `Checks who signed one artifact, and when: for auditors, without a policy, a
registry or a network. It reads Sigstore bundles v0.1 to v0.3 with signatures over
files and over in-toto statements, by keys and by certificates.

The artifact is a file, or its digest as sha256:HEX (or gitCommit:HEX, for
statements about commits). A file whose name looks like a digest is written
./sha256:HEX.

--certificate-identity and --certificate-oidc-issuer are compared as whole
strings; there are no patterns. What --trusted-root lists is demanded: a log entry
if it lists logs, a certificate timestamp if it lists certificate-transparency
logs, a time for every certificate. With --key it may be left away; then the key's
signature is all that is checked, and the output says so.

No network is ever used, with or without --offline, and no clock: times come from
the bundle, and only if a trusted log or timestamp authority signed them.

Exit status: 0 verified, 1 refused, 2 wrong command line, key or trusted root,
3 a limit was reached or a file could not be read. What it says is about one
signature, not about a model: that is for verify.`,
		Example: "  pedigree verify-bundle --bundle model.sigstore.json --key alice.pub weights.safetensors",
		Args:    arguments("FILE|DIGEST"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.verifyBundle(ctx, f, args[0])
		}),
	}
	c.Flags().StringVar(&f.bundle, "bundle", "", "the bundle's `file`")
	c.Flags().StringVar(&f.identity, "certificate-identity", "", "the `name` in the certificate: a URL or an email address")
	c.Flags().StringVar(&f.issuer, "certificate-oidc-issuer", "", "the `URL` of the identity provider in the certificate")
	c.Flags().StringVar(&f.key, "key", "", "the signer's public key `file` (PEM; ECDSA P-256, P-384 or Ed25519)")
	c.Flags().StringVar(&f.trustedRoot, "trusted-root", "", "the trusted_root.json `file` of the Sigstore instance")
	c.Flags().BoolVar(&f.offline, "offline", false, "accepted for scripts; this command never uses a network")
	c.Flags().StringVar(&f.output, "output", "text", "text or json")
	required(c, "bundle")
	return c
}

func (a *app) verifyBundle(ctx context.Context, f bundleFlags, artifact string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	q, err := f.question()
	if err != nil {
		return err
	}
	bars, wait := a.progress()
	defer wait()
	digest, named, err := namedDigest(artifact)
	if err != nil {
		return err
	}
	if q.Artifact.Digest = digest; !named {
		content, size, err := openRegular(artifact)
		if err != nil {
			return err
		}
		defer content.Close()
		add, done := bars.Start(artifact, size)
		defer done()
		q.Artifact.Content = &watchedReader{ctx, content, add}
	}
	r, err := single.Check(q)
	if ctx.Err() != nil {
		return ctx.Err() // whatever was refused, it was because somebody stopped it
	}
	if err != nil {
		return err
	}
	wait()
	if f.output == "json" {
		return printJSONReport(a.Stdout, r)
	}
	_, err = io.WriteString(a.Stdout, bundleText(r, artifact))
	return err
}

// question checks the flags against each other, before any file is opened, and
// reads the files.
func (f bundleFlags) question() (single.Question, error) {
	var q single.Question
	byName := f.identity != "" || f.issuer != ""
	next := "see pedigree verify-bundle --help"
	switch {
	case byName && f.key != "":
		return q, &attest.Refusal{Code: attest.CodeUsage, Why: "--key and a certificate's identity exclude each other", Next: next}
	case !byName && f.key == "":
		return q, &attest.Refusal{Code: attest.CodeUsage, Why: "who must have signed?", Next: "give --key, or --certificate-identity and --certificate-oidc-issuer"}
	case byName && (f.identity == "" || f.issuer == ""):
		return q, &attest.Refusal{Code: attest.CodeUsage, Why: "--certificate-identity and --certificate-oidc-issuer go together", Next: "another issuer may call somebody else by the same name: give both"}
	case byName && f.trustedRoot == "":
		return q, &attest.Refusal{Code: attest.CodeUsage, Why: "a certificate proves nothing without --trusted-root", Next: "give the trusted_root.json of the Sigstore instance; nothing is fetched"}
	}
	q.Identity = single.Identity{Subject: f.identity, Issuer: f.issuer}
	if f.key != "" {
		b, err := readFile(f.key, maxKeyFile)
		if err != nil {
			return q, &attest.Refusal{Code: attest.CodeKey, About: f.key, Why: "the key cannot be read", Err: cause(err)}
		}
		if q.Key, err = attest.ParsePublicKey(b); err != nil {
			return q, about(f.key, err)
		}
	}
	if f.trustedRoot != "" {
		b, err := readFile(f.trustedRoot, single.MaxTrustedRoot)
		if err != nil {
			return q, &attest.Refusal{Code: attest.CodeTrustRoot, About: f.trustedRoot, Why: "the trusted root cannot be read", Err: cause(err)}
		}
		if len(b) == 0 {
			// An empty file must not pass for a trusted root that was not asked for.
			return q, &attest.Refusal{Code: attest.CodeTrustRoot, About: f.trustedRoot, Why: "the trusted root is empty"}
		}
		q.TrustedRoot = b
	}
	var err error
	q.Bundle, err = readFile(f.bundle, attest.MaxBundle)
	return q, err
}

// namedDigest reads an argument that is a digest, and reports whether it is one.
func namedDigest(s string) (attest.Digest, bool, error) {
	if !strings.HasPrefix(s, "sha256:") && !strings.HasPrefix(s, "gitCommit:") {
		return attest.Digest{}, false, nil
	}
	d, err := attest.ParseDigest(s)
	if err != nil {
		return attest.Digest{}, true, &attest.Refusal{Code: attest.CodeUsage, About: s, Why: "not a digest", Err: cause(err), Next: "a file of that name is written ./" + s}
	}
	return d, true, nil
}

// openRegular opens an artifact of any size, which readFile would hold in memory.
func openRegular(name string) (*os.File, int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, fileRefusal(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, &attest.Refusal{Code: attest.CodeFileType, About: name, Why: "not a regular file"}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fileRefusal(name, err)
	}
	return f, info.Size(), nil
}

// A watchedReader can be stopped, and tells a progress bar how far it is.
type watchedReader struct {
	ctx context.Context
	r   io.Reader
	add func(int64)
}

// Read reads until the context ends.
func (w *watchedReader) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(b)
	w.add(int64(n))
	return n, err
}

// printJSONReport writes the report with the one word that a script looks for.
// There is no report of anything else.
func printJSONReport(w io.Writer, r *single.Report) error {
	doc := struct {
		Verified bool `json:"verified"`
		*single.Report
	}{true, r}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err // unreachable: only strings, times and digests
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// bundleText writes a report for people. Every value is somebody else's text.
func bundleText(r *single.Report, artifact string) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-15s %s\n", name, attest.Printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "VERIFIED  %s\n\nChecked\n", r.Artifact)
	if r.Read {
		line("artifact", "%s, its content hashed here", artifact)
	}
	line("bundle", "%s, %s", r.Bundle, r.MediaType)
	if !r.Key.IsZero() {
		line("signed by", "key %s", r.Key)
	}
	if c := r.Certificate; c != nil {
		certificateText(line, c)
	}
	if s := r.Statement; s != nil {
		line("signed", "a statement, payload %s", s.Payload)
		line("predicate type", "%s", s.PredicateType)
		for _, sub := range s.Subjects {
			mark := ""
			if sub.Matches {
				mark = "  (this artifact)"
			}
			line("subject", "%s  %s%s", sub.Digest, sub.Name, mark)
		}
	} else {
		line("signed", "the artifact itself")
	}
	for _, l := range r.Log {
		line("log entry", "%s index %d, %s: %s", l.Log, l.Index, l.Kind, logProofs(l))
	}
	for _, t := range r.Timestamps {
		line("timestamp", "%s by %s", utc(t.Time), t.Authority)
	}
	if !r.TrustedRoot.IsZero() {
		line("trusted root", "%s", r.TrustedRoot)
	}
	if len(r.NotChecked) > 0 {
		b.WriteString("\nNot checked\n")
		for _, s := range r.NotChecked {
			fmt.Fprintf(&b, "  - %s\n", attest.Printable(s))
		}
	}
	b.WriteString(`
What this does not prove
  - that what the signer says is true: it shows who signed which bytes
  - that nobody has revoked key, certificate or statement since
  - that a policy would accept it: ask pedigree verify
`)
	return b.String()
}

func certificateText(line func(name, format string, args ...any), c *single.Certificate) {
	line("signed by", "%s", c.Identity)
	line("issuer", "%s", c.Issuer)
	line("certificate", "%s, valid %s to %s", c.Fingerprint, utc(c.NotBefore), utc(c.NotAfter))
	line("root", "%s", c.Root)
	for _, l := range c.Transparency {
		line("transparency", "%s", l.Log)
	}
	for _, claim := range []struct{ name, value string }{
		{"repository", c.SourceRepository}, {"ref", c.SourceRef}, {"commit", c.SourceDigest}, {"trigger", c.BuildTrigger}, {"run", c.RunInvocation},
	} {
		if claim.value != "" {
			line(claim.name, "%s", claim.value)
		}
	}
}

// logProofs says what ties an entry to its log.
func logProofs(l single.LogEntry) string {
	var s []string
	if l.Proof {
		s = append(s, "proof up to a signed checkpoint")
	}
	if l.Promise {
		s = append(s, "signed promise, "+utc(l.IntegratedTime))
	}
	return strings.Join(s, ", ")
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
