package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A revocationPlan says which revocations are prepared, and where.
type revocationPlan struct {
	dir    string
	reason string
	all    bool
}

func (p *revocationPlan) flags(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&p.dir, "revoke", "", "prepare revocations in the new folder `DIR`; nothing is signed")
	fl.StringVar(&p.reason, "reason", "", "with --revoke: why, published with each revocation")
	fl.BoolVar(&p.all, "all", false, "with --revoke: of everything affected, and not only of what was asked about")
}

// check refuses a plan before anything is looked for.
func (p *revocationPlan) check() error {
	switch {
	case p.dir == "" && (p.all || p.reason != ""):
		return usage("--all and --reason are for --revoke")
	case p.dir == "":
		return nil
	case p.reason == "":
		return &attest.Refusal{Code: attest.CodeUsage, About: "--revoke", Why: "a revocation says why", Next: "say it with --reason TEXT; it is published"}
	}
	if _, err := os.Lstat(p.dir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return &attest.Refusal{Code: attest.CodeUsage, About: p.dir, Why: "is there already, and nothing is overwritten", Err: plainCause(err), Next: "name a new folder"}
	}
	return nil
}

// A prepared is one thing that is to be revoked.
type prepared struct {
	file   string   // of its predicate
	flags  []string // of pedigree revoke, between the reference and the reason
	refs   []string
	target string
	what   string // for people
	done   string // who signed a revocation of it before; "" if nobody did
}

// prepareRevocations writes what --revoke asks for.
func (a *app) prepareRevocations(found *lineage.ImpactAnswer, lib *library, r *impactRequest) error {
	p := &r.revoke
	if p.dir == "" {
		return nil
	}
	list := revocationsOf(found, lib, p.all)
	if len(list) == 0 {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--revoke", Why: "there is nothing to revoke: a builder has no name that evidence could be kept under", Next: "with --all, what it made is revoked"}
	}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return fileRefusal(p.dir, err)
	}
	now := a.Now().UTC().Truncate(time.Second)
	for _, one := range list {
		rev := predicate.Revocation{Action: predicate.ActionRevoke, Target: one.target, Reason: p.reason, IssuedAt: now}
		if (one.target == predicate.TargetKey || one.target == predicate.TargetIdentity) && found.Start.Since != nil {
			rev.EffectiveFrom = *found.Start.Since
		}
		b, err := predicate.Encode(predicate.TypeRevocation, rev)
		if err != nil {
			return err
		}
		if err := writeNew(filepath.Join(p.dir, one.file), append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if r.key != nil {
		if err := writeNew(filepath.Join(p.dir, "key.pub"), r.key.PEM(), 0o644); err != nil {
			return err
		}
	}
	script := filepath.Join(p.dir, "revoke.sh")
	if err := writeNew(script, []byte(revokeScript(list, p.reason)), 0o755); err != nil {
		return err
	}
	with := ""
	if r.policy != "" {
		with = " --policy " + attest.Printable(shellQuoted(r.policy))
	}
	if r.file != "" {
		with += " --trust " + attest.Printable(shellQuoted(r.file))
	}
	a.note("nothing was signed. %s has %d to revoke; read %s, and run it with a key, sh %s KEY%s, or with what says who signs in its place, as --identity-token FILE; the predicates beside it are what is signed, for reading", attest.Printable(p.dir), len(list), attest.Printable(script), attest.Printable(script), with)
	a.note("a policy with `revocation:` refuses whatever was made from something revoked: %d artifacts here, %d of them deployed now", found.Counts.Affected, found.Counts.Deployed)
	if !p.all && found.Counts.Affected > 0 {
		a.note("whoever looks at no ancestors sees no revocation of an ancestor; --all prepares one for each")
	}
	if len(found.Gaps) > 0 {
		a.note("something could not be looked at, so more may be affected")
	}
	return nil
}

// revocationsOf lists what is to be revoked: what was asked about first, then by
// distance.
func revocationsOf(found *lineage.ImpactAnswer, lib *library, all bool) []prepared {
	var out []prepared
	everywhere := heldIn(found, lib)
	statement := func(target, file, what string, flags ...string) {
		out = append(out, prepared{file: file, flags: flags, refs: everywhere, target: target, what: what, done: revokedBy(found.Start.Revoked)})
	}
	switch found.Start.Kind {
	case "credential":
		flags, key := []string{"--of-key", `"$here/key.pub"`}, strings.HasPrefix(found.Start.Credential, "key:")
		if !key {
			flags = []string{"--identity", shellQuoted(found.Start.Credential)}
		}
		if found.Start.Since != nil {
			flags = append(flags, "--effective-from", found.Start.Since.Format(time.RFC3339))
		}
		if key {
			statement(predicate.TargetKey, "key.json", "the key "+found.Start.Credential, flags...)
		} else {
			statement(predicate.TargetIdentity, "identity.json", "the identity "+report.Who(found.Start.Credential), flags...)
		}
	case "statement":
		statement(predicate.TargetPayload, "statement.json", "the statement "+found.Start.Digest.String(), "--payload", found.Start.Digest.String())
	}
	list := found.Affected
	if all {
		list = slices.Concat(list, found.Unproven)
	}
	for n, e := range list {
		isStart := e.Effect == lineage.IsStart
		// A file lies in no registry by itself: what has it, is revoked.
		holds := found.Start.Kind == "file" && e.Effect == lineage.Contains && e.Distance == 1
		switch {
		case isStart && found.Start.Kind == "statement":
			continue
		case !isStart && !holds && !all, e.File:
			continue
		}
		what := fmt.Sprintf("%s, at distance %d", e.Effect, e.Distance)
		switch {
		case isStart:
			what = "what was asked about"
		case n >= len(found.Affected):
			what = "perhaps affected: " + what
		}
		var refs []string
		for _, name := range e.Names {
			refs = append(refs, absolute(name.Repository))
		}
		if isStart || refs == nil {
			// Whoever verifies looks where the descendant lies.
			refs = append(refs, everywhere...)
		}
		slices.Sort(refs)
		refs = slices.Compact(refs)
		for i := range refs {
			refs[i] += "@" + e.Digest.String()
		}
		out = append(out, prepared{file: e.Digest.Algorithm() + "-" + e.Digest.Hex() + ".json", refs: refs, target: predicate.TargetArtifact, what: what, done: revokedBy(e.Revoked)})
	}
	return out
}

// heldIn lists the repositories that hold something affected; all, if none does.
func heldIn(found *lineage.ImpactAnswer, lib *library) []string {
	set := map[string]bool{}
	add := func(names []lineage.ImpactName) {
		for _, n := range names {
			set[absolute(n.Repository)] = true
		}
	}
	for _, e := range slices.Concat(found.Affected, found.Unproven) {
		add(e.Names)
	}
	for _, j := range found.Judged {
		add(j.Names)
	}
	var out []string
	for _, repo := range lib.repos {
		if s := absolute(repo.String()); len(set) == 0 || set[s] {
			out = append(out, s)
		}
	}
	return out
}

// absolute makes a layout's name one that means the same in any folder, if it can be
// written so.
func absolute(repo string) string {
	r, err := attest.ParseRepository(repo)
	if err != nil || !r.IsLayout() {
		return repo
	}
	if path, err := filepath.Abs(r.Name()); err == nil {
		if abs, err := attest.ParseRepository("ocidir://" + path); err == nil {
			return abs.String()
		}
	}
	return repo
}

// revokedBy says who signed a revocation of something already, which may count or not.
func revokedBy(list []lineage.ImpactRevocation) string {
	for _, r := range list {
		if r.Action == predicate.ActionRevoke && !r.Lifted {
			return r.Record.Signer
		}
	}
	return ""
}

// revokeScript writes the script. What was typed, and what repositories are called,
// is quoted; what is only for people is made one line.
func revokeScript(list []prepared, reason string) string {
	var b strings.Builder
	b.WriteString(`#!/bin/sh
# Revokes what pedigree impact found. Read it first: what is revoked is refused by
# everybody whose policy lets whoever signs revoke.
#
#   sh revoke.sh KEY [FLAGS…]
#   sh revoke.sh FLAGS…
#
# KEY is the private key to sign with. FLAGS go to each pedigree revoke; without a KEY
# they say who signs, as --identity-token env --signing-config FILE, or --spiffe SOCKET.
# With --policy FILE nothing is signed that would not count.
set -eu
case ${1:?"usage: sh revoke.sh KEY [FLAGS…], or FLAGS… that say who signs"} in
-*) ;;
*) key=$1 && shift && set -- --key "$key" "$@" ;;
esac
here=$(CDPATH= cd -P -- "$(dirname -- "$0")" >/dev/null && pwd -P)
`)
	for _, p := range list {
		fmt.Fprintf(&b, "\n# %s (%s)\n", attest.Printable(p.what), p.file)
		if p.done != "" {
			// Whether that counts is for the policies of those who verify: who may revoke, with
			// whom, from when on, and with which key. Revoking twice costs nothing.
			fmt.Fprintf(&b, "# %s signed a revocation of it already; this one counts whatever becomes of that.\n", attest.Printable(p.done))
		}
		for _, ref := range p.refs {
			words := append([]string{"pedigree", "revoke", shellQuoted(ref)}, p.flags...)
			words = append(words, "--reason", shellQuoted(reason), "--yes", `"$@"`)
			b.WriteString(strings.Join(words, " ") + "\n")
		}
	}
	return b.String()
}

// shellQuoted writes a word as a shell reads it back.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
