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
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/verify/single"
)

// bundleFlags are what verify-bundle is told.
type bundleFlags struct {
	bundle      string
	identity    string
	issuer      string
	key         string
	trustedRoot string
	trust       trustSource
	offline     bool
	output      string
}

func (a *app) verifyBundleCommand() *cobra.Command {
	var f bundleFlags
	c := &cobra.Command{
		Use:   "verify-bundle --bundle FILE (--certificate-identity NAME --certificate-oidc-issuer URL | --key FILE | --trust FILE) FILE|DIGEST",
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

--trust takes a trust file (pedigree trust), or a trusted_root.json, in the place of
--trusted-root: its instances, SPIFFE trust domains and keys count, each with its
thresholds and windows, as in pedigree verify. By itself it says who may have signed:
anybody whom it vouches for, who is shown; with an identity or a key, only they. An
X.509-SVID is named by its SPIFFE id alone: --certificate-identity spiffe://…

No network is ever used, with or without --offline: of a TUF repository that the
trust file names, what another command kept counts. Times come from the bundle, and
only if a trusted log or timestamp authority signed them.

Exit status: 0 verified, 1 refused, 2 wrong command line, key or trusted root,
3 a limit was reached or a file could not be read. What it says is about one
signature, not about a model: that is for verify.`,
		Example: `  pedigree verify-bundle --bundle model.sigstore.json --key alice.pub weights.safetensors
  pedigree verify-bundle --bundle model.sigstore.json --trust trust.yaml weights.safetensors`,
		Args: arguments("FILE|DIGEST"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.verifyBundle(ctx, f, args[0])
		}),
	}
	c.Flags().StringVar(&f.bundle, "bundle", "", "the bundle's `file`")
	c.Flags().StringVar(&f.identity, "certificate-identity", "", "the `name` in the certificate: a URL or an email address")
	c.Flags().StringVar(&f.issuer, "certificate-oidc-issuer", "", "the `URL` of the identity provider in the certificate")
	c.Flags().StringVar(&f.key, "key", "", "the signer's public key `file` (PEM; ECDSA P-256, P-384 or Ed25519)")
	c.Flags().StringVar(&f.trustedRoot, "trusted-root", "", "the trusted_root.json `file` of the Sigstore instance")
	c.Flags().StringVar(&f.trust.file, "trust", "", "a trust `file` or trusted_root.json: who vouches for identities and times; alone, who may have signed")
	f.trust.cacheFlag(c)
	c.Flags().BoolVar(&f.offline, "offline", false, "accepted for scripts; this command never uses a network")
	c.Flags().StringVar(&f.output, "output", "text", "text or json")
	required(c, "bundle")
	return c
}

func (a *app) verifyBundle(ctx context.Context, f bundleFlags, artifact string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	q, notes, err := f.question(ctx, a)
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
			return unread(err)
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
	for _, n := range notes {
		a.note("%s", n)
	}
	_, err = io.WriteString(a.Stdout, bundleText(r, artifact))
	return err
}

// check checks the flags against each other, before any file is opened.
func (f *bundleFlags) check() error {
	byName := f.identity != "" || f.issuer != ""
	next := "see pedigree verify-bundle --help"
	switch {
	case byName && f.key != "":
		return &attest.Refusal{Code: attest.CodeUsage, Why: "--key and a certificate's identity exclude each other", Next: next}
	case f.trust.file != "" && f.trustedRoot != "":
		return &attest.Refusal{Code: attest.CodeUsage, Why: "--trust and --trusted-root are two answers to one question", Next: "list the trusted root in the trust file"}
	case !byName && f.key == "" && f.trust.file == "":
		return &attest.Refusal{Code: attest.CodeUsage, Why: "who must have signed?", Next: "give --key, or --certificate-identity and --certificate-oidc-issuer, or whom you trust, --trust"}
	}
	if rest, ok := strings.CutPrefix(f.identity, "spiffe://"); ok && f.issuer == "" && f.trust.file != "" {
		domain, _, _ := strings.Cut(rest, "/")
		f.issuer = "spiffe://" + domain
	}
	switch {
	case byName && (f.identity == "" || f.issuer == ""):
		return &attest.Refusal{Code: attest.CodeUsage, Why: "--certificate-identity and --certificate-oidc-issuer go together", Next: "another issuer may call somebody else by the same name: give both"}
	case byName && f.trustedRoot == "" && f.trust.file == "":
		return &attest.Refusal{Code: attest.CodeUsage, Why: "a certificate proves nothing without --trusted-root", Next: "give the trusted_root.json of the Sigstore instance, or a trust file, --trust; nothing is fetched"}
	}
	return nil
}

// question checks the flags and reads the files. Notes are for people.
func (f bundleFlags) question(ctx context.Context, a *app) (single.Question, []string, error) {
	var q single.Question
	if err := f.check(); err != nil {
		return q, nil, err
	}
	var notes []string
	var err error
	q.Identity = single.Identity{Subject: f.identity, Issuer: f.issuer}
	if f.key != "" {
		b, err := readFile(f.key, maxKeyFile)
		if err != nil {
			return q, nil, &attest.Refusal{Code: attest.CodeKey, About: f.key, Why: "the key cannot be read", Err: cause(err)}
		}
		if q.Key, err = attest.ParsePublicKey(b); err != nil {
			return q, nil, about(f.key, err)
		}
	}
	if f.trust.file != "" {
		// This command promises to use no network: of a TUF repository the answer that
		// was kept counts.
		f.trust.offline = true
		if q.Trust, notes, err = a.loadTrust(ctx, f.trust); err != nil {
			return q, nil, err
		}
		// No time is asked about here, and so none can be said to be over; whether the file
		// holds now, a reader should know.
		if err := q.Trust.Stale(a.Now()); err != nil {
			notes = append(notes, "the trust file is over now: "+cause(err).Error())
		}
	}
	if f.trustedRoot != "" {
		b, err := readFile(f.trustedRoot, single.MaxTrustedRoot)
		if err != nil {
			return q, nil, &attest.Refusal{Code: attest.CodeTrustRoot, About: f.trustedRoot, Why: "the trusted root cannot be read", Err: cause(err)}
		}
		if len(b) == 0 {
			// An empty file must not pass for a trusted root that was not asked for.
			return q, nil, &attest.Refusal{Code: attest.CodeTrustRoot, About: f.trustedRoot, Why: "the trusted root is empty"}
		}
		q.TrustedRoot = b
	}
	q.Bundle, err = readFile(f.bundle, attest.MaxBundle)
	return q, notes, unread(err)
}

// unread gives the status of "could not look" to a file that is not there: nothing was
// refused.
func unread(err error) error {
	if attest.RefusalCode(err) == attest.CodeFileMissing {
		return &statusError{exitUndecided, err}
	}
	return err
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
	believedText(line, r)
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
	line("signed by", "%s", report.Who(c.Identity))
	line("issuer", "%s", report.Who(c.Issuer))
	line("certificate", "%s, valid %s to %s", c.Fingerprint, utc(c.NotBefore), utc(c.NotAfter))
	line("root", "%s", c.Root)
	for _, l := range c.Transparency {
		line("transparency", "%s", l.Log)
	}
	if c.Claims != nil {
		for _, claim := range report.ClaimsOf(*c.Claims) {
			line(claim.Name, "%s", report.Who(claim.Value))
		}
	}
}

// believedText says what the trust file asked for, and was given.
func believedText(line func(name, format string, args ...any), r *single.Report) {
	t := r.Trust
	if t == nil {
		return
	}
	line("trust", "%s", strings.TrimPrefix(report.TrustName(t.Name, t.Version, t.Digest), "trust "))
	switch {
	case t.Instance != "":
		line("vouched by", "instance %s, which asks for %s, %s, %s", t.Instance, plural(t.Logs, "log"), plural(t.Timestamps, "time"), plural(t.CertificateLogs, "certificate log"))
	case t.Domain != "":
		line("vouched by", "%s, with %s", report.Who(t.Domain), plural(t.Timestamps, "time"))
	}
	if !r.Seen.IsZero() {
		line("seen", "%s: by then the signature existed", utc(r.Seen))
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
