package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A trustAddition is one part to add to a trust file, as flags.
type trustAddition struct {
	sigstore, root           string // an instance, from a file
	tuf, tufRoot, target     string // or from a TUF repository
	logs, timestamps, ctLogs int    // -1: not said
	noLogs, noCTLogs         string
	shared                   bool
	authority, chain         string
	spiffe, bundle           string
	key                      string
	from, until, compromised string
}

func (a *app) trustAddCommand() *cobra.Command {
	var s trustSource
	add := trustAddition{}
	c := &cobra.Command{
		Use:   "add TRUST",
		Short: "add somebody to a trust file",
		Long: `Adds one part to a trust file: a Sigstore instance (--sigstore NAME), from a file
(--trusted-root) or a TUF repository (--tuf URL --tuf-root FILE); a timestamp authority
(--timestamp-authority NAME --chain FILE); a SPIFFE domain (--spiffe DOMAIN --bundle
FILE); or the time in which a key counts (--key FILE).

Comments and everything else in the file stay as they are, and metadata.version goes up
by one. What is there already is never replaced: that is done by hand. The file is
written only if it loads with the addition. Without --from, an authority or a domain
counts from when its first certificate does.`,
		Example: `  pedigree trust add trust.yaml --sigstore acme --trusted-root trusted_root.json
  pedigree trust add trust.yaml --sigstore acme --tuf https://tuf.acme.example --tuf-root root.json
  pedigree trust add trust.yaml --timestamp-authority acme-tsa --chain tsa-chain.pem
  pedigree trust add trust.yaml --key data.pub --compromised-since 2026-05-01T00:00:00Z`,
		Args: arguments("TRUST"),
		RunE: act(func(ctx context.Context, args []string) error {
			s.file = args[0]
			return a.trustAdd(ctx, s, &add)
		}),
	}
	s.cacheFlag(c)
	f := c.Flags()
	f.StringVar(&add.sigstore, "sigstore", "", "add the Sigstore instance `NAME`")
	f.StringVar(&add.root, "trusted-root", "", "its trusted_root.json, a `FILE`")
	f.StringVar(&add.tuf, "tuf", "", "or the `URL` of the TUF repository that has it")
	f.StringVar(&add.tufRoot, "tuf-root", "", "the `FILE` root.json to begin with, as the repository's owner handed it out")
	f.StringVar(&add.target, "target", "trusted_root.json", "the `NAME` of the target in the TUF repository")
	f.IntVar(&add.logs, "logs", -1, "how many different logs must have what is signed (default: one, if any is listed)")
	f.StringVar(&add.noLogs, "no-logs", "", "`WHY` no log is asked for (--logs 0)")
	f.IntVar(&add.timestamps, "timestamps", -1, "how many different authorities must say when (default: one)")
	f.IntVar(&add.ctLogs, "certificate-logs", -1, "how many different logs must have the certificate (default: one, if any is listed)")
	f.StringVar(&add.noCTLogs, "no-certificate-logs", "", "`WHY` no certificate log is asked for (--certificate-logs 0)")
	f.BoolVar(&add.shared, "shared-timestamps", false, "let the trust file's timestamp authorities count for the instance too")
	f.StringVar(&add.authority, "timestamp-authority", "", "add the timestamp authority `NAME`")
	f.StringVar(&add.chain, "chain", "", "its certificates, a PEM `FILE`, its own first")
	f.StringVar(&add.spiffe, "spiffe", "", "add the SPIFFE trust `DOMAIN`")
	f.StringVar(&add.bundle, "bundle", "", "its authorities, a `FILE`: PEM or a SPIFFE bundle")
	f.StringVar(&add.key, "key", "", "say when the public key in `FILE` counts")
	f.StringVar(&add.from, "from", "", "the first `TIME` at which it counts, as 2026-05-01T00:00:00Z")
	f.StringVar(&add.until, "until", "", "the last `TIME` at which it counts")
	f.StringVar(&add.compromised, "compromised-since", "", "of a key: the `TIME` from which on it was in other hands")
	return c
}

func (a *app) trustAdd(ctx context.Context, s trustSource, add *trustAddition) error {
	src, err := readFile(s.file, maxTrust)
	if err != nil {
		return &attest.Refusal{Code: attest.CodeTrustRoot, About: s.file, Why: "the trust file cannot be read", Err: cause(err), Next: "make one: pedigree trust init"}
	}
	if trust.IsTrustedRoot(src) {
		return &attest.Refusal{Code: attest.CodeUsage, About: s.file, Why: "a bare trusted root, and nothing can be added to that", Next: "make a trust file of it: pedigree trust init --trusted-root " + s.file}
	}
	entry, err := add.entry(filepath.Dir(s.file))
	if err != nil {
		return err
	}
	edited, version, err := editTrust(src, entry)
	if err != nil {
		return about(s.file, err)
	}
	// As a whole, before a byte is written.
	t, err := trust.Load(edited, trust.ReadFile(besides(s.file)), a.fetcher(ctx, s, nil))
	if err != nil {
		return trustProblem(s.file+" with the addition", err)
	}
	if err := replaceFile(s.file, src, edited); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s version %d: added %s\ndigest  %s\n", s.file, version, entry.what, t.Digest())
	return err
}

// A trustEntry is YAML text to add to lists of a trust file.
type trustEntry struct {
	list string // the key of the list
	text string // "- …", with a line feed
	what string // for people
	also *trustEntry
}

// entry makes the YAML of an addition. Files are named relative to the trust file's
// folder, which is where they are looked for.
func (x *trustAddition) entry(folder string) (*trustEntry, error) {
	kinds := 0
	for _, s := range []string{x.sigstore, x.authority, x.spiffe, x.key} {
		if s != "" {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: "pedigree trust add", Why: "add one thing: --sigstore, --timestamp-authority, --spiffe or --key"}
	}
	for _, t := range []struct{ flag, at string }{{"--from", x.from}, {"--until", x.until}, {"--compromised-since", x.compromised}} {
		if _, err := time.Parse(time.RFC3339, t.at); t.at != "" && (err != nil || !strings.HasSuffix(t.at, "Z")) {
			return nil, &attest.Refusal{Code: attest.CodeUsage, About: t.flag, Why: fmt.Sprintf("%q is no time like 2026-05-01T00:00:00Z", t.at)}
		}
	}
	switch {
	case x.sigstore != "":
		return x.instance(folder)
	case x.authority != "":
		return x.window("timestampAuthorities", "name: "+yamlText(x.authority)+", chain: ", "the timestamp authority "+x.authority, "--chain", x.chain, folder)
	case x.spiffe != "":
		return x.window("spiffe", "domain: "+yamlText(x.spiffe)+", bundle: ", "the SPIFFE domain "+x.spiffe, "--bundle", x.bundle, folder)
	}
	return x.window("keys", "key: ", "the key "+x.key, "--key", x.key, folder)
}

// window makes an entry that names a file and says when it counts.
func (x *trustAddition) window(list, before, what, flag, file, folder string) (*trustEntry, error) {
	if file == "" {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: flag, Why: "is missing"}
	}
	from := x.from
	if from == "" && list != "keys" {
		var err error
		if from, err = begins(file); err != nil {
			return nil, err
		}
	}
	text := "- {" + before + yamlText(besideOf(folder, file))
	for _, t := range []struct{ key, at string }{{"from", from}, {"until", x.until}, {"compromisedSince", x.compromised}} {
		if t.at != "" {
			text += ", " + t.key + ": " + t.at
		}
	}
	return &trustEntry{list: list, text: text + "}\n", what: what}, nil
}

// begins returns when the first certificate of a PEM file begins to count.
func begins(file string) (string, error) {
	b, err := readFile(file, maxTrust)
	if err != nil {
		return "", err
	}
	if block, _ := pem.Decode(b); block != nil {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			return moment(c.NotBefore), nil
		}
	}
	return "", &attest.Refusal{Code: attest.CodeUsage, About: "--from", Why: "is missing, and " + file + " does not begin with a PEM certificate that says when it begins"}
}

// instance makes the entry of a Sigstore instance. Of a root in a file it writes down
// that nothing is asked of whom it does not list: that was so when it was added, and
// another root does not change it.
func (x *trustAddition) instance(folder string) (*trustEntry, error) {
	if (x.root == "") == (x.tuf == "") {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: "--sigstore " + x.sigstore, Why: "where is its trusted root?", Next: "name one: --trusted-root FILE, or --tuf URL with --tuf-root FILE"}
	}
	e := &trustEntry{list: "sigstore", what: "the instance " + x.sigstore}
	var b strings.Builder
	fmt.Fprintf(&b, "- name: %s\n", yamlText(x.sigstore))
	if x.tuf != "" {
		if x.tufRoot == "" {
			return nil, &attest.Refusal{Code: attest.CodeUsage, About: "--tuf-root", Why: "is missing: the repository's answers are believed because of it"}
		}
		fmt.Fprintf(&b, "  tuf: %s\n", yamlText(x.sigstore))
		e.also = &trustEntry{list: "tuf", text: fmt.Sprintf("- name: %s\n  url: %s\n  root: %s\n  target: %s\n", yamlText(x.sigstore), yamlText(x.tuf), yamlText(besideOf(folder, x.tufRoot)), yamlText(x.target))}
	} else {
		fmt.Fprintf(&b, "  trustedRoot: %s\n", yamlText(besideOf(folder, x.root)))
		if err := x.unlisted(); err != nil {
			return nil, err
		}
	}
	for _, n := range []struct {
		key    string
		n      int
		no     string
		reason string
	}{{"logs", x.logs, "noLogs", x.noLogs}, {"timestamps", x.timestamps, "", ""}, {"certificateLogs", x.ctLogs, "noCertificateLogs", x.noCTLogs}} {
		if n.n >= 0 {
			fmt.Fprintf(&b, "  %s: %d\n", n.key, n.n)
		}
		if n.reason != "" {
			fmt.Fprintf(&b, "  %s: %s\n", n.no, yamlText(n.reason))
		}
	}
	if x.shared {
		b.WriteString("  timestampAuthorities: shared\n")
	}
	e.text = b.String()
	return e, nil
}

// unlisted fills in what cannot be asked of a root, as far as nothing was said.
func (x *trustAddition) unlisted() error {
	src, err := readFile(x.root, maxTrust)
	if err != nil {
		return &attest.Refusal{Code: attest.CodeTrustRoot, About: x.root, Why: "the trusted root cannot be read", Err: cause(err)}
	}
	t, err := trust.OfTrustedRoot(src)
	if err != nil {
		return about(x.root, err)
	}
	const why = "its trusted root listed none when it was added"
	in := t.Describe().Instances[0]
	if in.Logs == 0 && x.logs < 0 && x.noLogs == "" {
		x.logs, x.noLogs = 0, why
	}
	if in.CertificateLogs == 0 && x.ctLogs < 0 && x.noCTLogs == "" {
		x.ctLogs, x.noCTLogs = 0, why
	}
	return nil
}

// besideOf names a file as a trust file in the folder does.
func besideOf(folder, file string) string {
	if rel, err := filepath.Rel(folder, file); err == nil && !filepath.IsAbs(file) {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(file)
}

// replaceFile puts new content in a file's place, unless the file changed since old was
// read.
func replaceFile(name string, old, content []byte) error {
	now, err := readFile(name, maxTrust)
	if err != nil {
		return err
	}
	if string(now) != string(old) {
		return &attest.Refusal{Code: attest.CodeFileChanged, About: name, Why: "it changed meanwhile"}
	}
	info, err := os.Stat(name)
	if err != nil {
		return fileRefusal(name, err)
	}
	aside := name + ".new"
	if err := writeNew(aside, content, info.Mode().Perm()); err != nil {
		return err
	}
	if err := os.Rename(aside, name); err != nil {
		return errors.Join(fileRefusal(name, err), os.Remove(aside))
	}
	return nil
}
