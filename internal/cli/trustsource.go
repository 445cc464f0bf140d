package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/tufsource"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// maxTrust bounds a trust file and each file that it names; trust.Load refuses what
// is longer.
const maxTrust = 1 << 20

// cacheVariable names the folder in which fetched trusted roots are kept.
const cacheVariable = "PEDIGREE_CACHE"

// A trustSource is what a command believes, and where what is fetched for it is kept.
type trustSource struct {
	file    string // a trust file or a bare trusted_root.json; "" for nobody
	cache   string // "" for the usual place
	offline bool   // ask no TUF repository, whatever --offline says
}

// A loadedTrust is what came of a trustSource.
type loadedTrust struct {
	trust *trust.Trust
	notes []string
}

// cacheFlag is for every command that loads a trust file.
func (s *trustSource) cacheFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.cache, "trust-cache", "", "the `FOLDER` in which trusted roots fetched by TUF are kept (default: $PEDIGREE_CACHE, or pedigree in the user's cache folder)")
}

// loadTrust reads what a command believes: a trust file, or a bare trusted_root.json.
// The notes say for the report which one it was, how long it holds, and of what was
// fetched how fresh it is.
//
// It is read once for each command: who signs under a trust and asks under it asks
// under the same, whoever writes to the file meanwhile, and a TUF repository is asked
// once. Whether it still holds is for whoever knows what time the question is about:
// Trust.Stale.
func (a *app) loadTrust(ctx context.Context, s trustSource) (*trust.Trust, []string, error) {
	if l, ok := a.believed[s]; ok {
		return l.trust, slices.Clone(l.notes), nil
	}
	t, notes, err := a.readTrust(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	if a.believed == nil {
		a.believed = map[trustSource]loadedTrust{}
	}
	a.believed[s] = loadedTrust{t, notes}
	return t, slices.Clone(notes), nil
}

func (a *app) readTrust(ctx context.Context, s trustSource) (t *trust.Trust, notes []string, err error) {
	src, err := a.files.readFile(s.file, maxTrust)
	if err != nil {
		return nil, nil, &attest.Refusal{Code: attest.CodeTrustRoot, About: s.file, Why: "the trust file cannot be read", Err: cause(err)}
	}
	if trust.IsTrustedRoot(src) {
		if t, err = trust.OfTrustedRoot(src); err != nil {
			return nil, nil, about(s.file, err)
		}
		return t, []string{fmt.Sprintf("trust: %s, a bare trusted root (%s): one of each kind that it lists is enough, and it never expires", attest.Printable(s.file), t.Digest())}, nil
	}
	t, err = trust.Load(src, trust.ReadFile(a.files.besides(s.file)), a.fetcher(ctx, s, func(note string) { notes = append(notes, note) }))
	if err != nil {
		return nil, nil, trustProblem(s.file, err)
	}
	first := fmt.Sprintf("trust: %s version %d (%s), until %s", t.Name(), t.Version(), t.Digest(), t.Expires().UTC().Format(time.RFC3339))
	return t, append([]string{first}, notes...), nil
}

// fetcher fetches the trusted roots of TUF repositories. tell hears of each where it is
// from; it may be nil.
func (a *app) fetcher(ctx context.Context, s trustSource, tell func(note string)) trust.Fetch {
	client := &tufsource.Client{Cache: a.cacheFolder(s.cache), Offline: a.offline || s.offline, Now: a.Now()}
	return func(src trust.TUFSource) (trust.TUFTarget, error) {
		a.fetched = true
		got, report, err := client.Fetch(ctx, src)
		if err == nil && tell != nil {
			tell(fetchedNote(report, client))
		}
		return got, err
	}
}

// fetchedNote says of a fetched trusted root where it is from and how old it is.
func fetchedNote(r tufsource.Report, c *tufsource.Client) string {
	note := fmt.Sprintf("trust: %s (%s) ", attest.Printable(r.Source.Name), attest.Printable(r.Source.URL))
	ago := fmt.Sprintf("%s ago, at %s", c.Now.Sub(r.Checked).Round(time.Second), r.Checked.UTC().Format(time.RFC3339))
	switch {
	case r.Failed != nil:
		note += fmt.Sprintf("gave no answer that could be used (%s); the last good one is from %s", attest.Printable(r.Failed.Error()), ago)
	case c.Offline:
		note += "was not asked: --offline; its last good answer is from " + ago
	case !r.Asked:
		note += "was asked " + ago
	default:
		note += "was asked now"
	}
	note += ", and holds until " + r.Expires.UTC().Format(time.RFC3339)
	if r.Unkept != nil {
		note += "; it could not be kept: " + attest.Printable(plainCause(r.Unkept).Error())
	}
	return note
}

// cacheFolder is where fetched trusted roots are kept: what was named, else what the
// environment names (XDG Base Directory Specification), else nowhere.
func (a *app) cacheFolder(named string) string {
	if named != "" {
		return named
	}
	if dir, ok := a.getenv(cacheVariable); ok && dir != "" {
		return dir
	}
	for _, v := range []struct{ name, below string }{{"XDG_CACHE_HOME", ""}, {"HOME", ".cache"}, {"LOCALAPPDATA", ""}} {
		// "All paths set in these environment variables must be absolute"; others are ignored.
		if dir, ok := a.getenv(v.name); ok && filepath.IsAbs(dir) {
			return filepath.Join(dir, v.below, "pedigree")
		}
	}
	return ""
}

// trustProblem says of a trust file's problems which file they are in.
func trustProblem(name string, err error) error {
	var load *trust.LoadError
	if errors.As(err, &load) {
		return &policyError{name, load}
	}
	return about(name, err)
}
