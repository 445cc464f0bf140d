package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/config"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
	"github.com/pedigree-ml/pedigree/internal/gate/reload"
	"github.com/pedigree-ml/pedigree/policy"
)

// gateConfig reads the gate's configuration. Paths in it are relative to its folder.
func (a *app) gateConfig(file string) (*gate.Config, error) {
	src, err := a.files.readFile(file, config.MaxSize)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeGateConfig, About: file, Why: "the configuration cannot be read", Err: cause(err)}
	}
	c, err := config.Load(src)
	var load *config.LoadError
	if errors.As(err, &load) {
		return nil, &policyError{file, load}
	} else if err != nil {
		return nil, about(file, err)
	}
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fileRefusal(file, err)
	}
	rootedIn(c, folder)
	return c, nil
}

// rootedIn makes every path of a configuration absolute. Of what may also be a reference,
// the name of a key service or a word, only what is a path.
func rootedIn(c *gate.Config, folder string) {
	path := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, filepath.FromSlash(*p))
		}
	}
	path(&c.Listen.Certificate)
	path(&c.Listen.Key)
	path(&c.Listen.ClientCA)
	path(&c.State)
	for i := range c.Policies {
		p := &c.Policies[i]
		path(&p.Roots)
		path(&p.Trust)
		path(&p.TrustCache)
		p.Policy = nameIn(folder, p.Policy)
		for j, e := range p.Evidence {
			p.Evidence[j] = layoutIn(folder, e)
		}
	}
	if c.Records == nil {
		return
	}
	path(&c.Records.Queue)
	for name, v := range c.Records.Signing {
		word := name == "identity-token" && slices.Contains([]string{"env", "github", "gitlab", "kubernetes"}, v) || name == "spiffe" && v == "env"
		if slices.Contains([]string{"key", "identity-token", "spiffe", "signing-config", "trust"}, name) && !word && !strings.Contains(v, "://") && !strings.HasPrefix(v, "pkcs11:") {
			path(&v)
			c.Records.Signing[name] = v
		}
	}
}

// nameIn is a policy as it is named in a file of a folder: a reference with a tag or a
// digest, or else a path. As on the command line, a file that exists wins.
func nameIn(folder, name string) string {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, filepath.FromSlash(name))
	}
	ref, err := attest.ParseReference(name)
	if err != nil || ref.Tag == "" && ref.Digest.IsZero() || contentOf(path) != (attest.Digest{}) {
		return path
	}
	return layoutIn(folder, name)
}

// layoutIn makes the path of a layout absolute; other repositories have none.
func layoutIn(folder, name string) string {
	if rest, ok := strings.CutPrefix(name, "ocidir://"); ok && !filepath.IsAbs(rest) {
		return "ocidir://" + filepath.Join(folder, rest)
	}
	return name
}

// loadGate loads a configuration and everything that it names, whole or not at all: the
// one place that makes grounds. before are those that they would replace: of a policy
// that roots must have signed, no older version is taken than they have. running is what
// the gate was started with: see hold, and what is seen is remembered where it says to.
// Nil is for who only looks: then nothing is remembered.
//
// The files that were looked at are returned with an error too.
func (a *app) loadGate(ctx context.Context, file string, before *gate.Grounds, running *gate.Config) (out reload.Loaded, err error) {
	in := &app{Process: a.Process, quiet: true, noProgress: true, offline: a.offline, files: &fileLog{}}
	defer func() {
		// A bug in reading what somebody just wrote must not end a gate that has good
		// grounds.
		if r := recover(); r != nil {
			err = &attest.Refusal{Code: attest.CodeInternal, About: file, Why: "this is a bug", Err: fmt.Errorf("%v\n%s", r, debug.Stack())}
		}
		out.Files = in.files.read
		if err != nil {
			out.Grounds = nil
		}
	}()
	c, err := in.gateConfig(file)
	if err != nil {
		return out, err
	}
	if running != nil {
		hold(c, running)
	}
	if _, err := place.New(c.Kinds); err != nil {
		return out, inConfig(file, "kinds", err)
	}
	g := &gate.Grounds{Config: c, Policies: map[string]*gate.Ground{}, Loaded: a.Now()}
	trusts := make([]*policyTrust, len(c.Policies))
	for i, src := range c.Policies {
		ground, q, fetched, err := in.gateGround(ctx, c, src, before)
		if fetched && (out.Refresh == 0 || src.Refresh < out.Refresh) {
			out.Refresh = src.Refresh
		}
		if err != nil {
			return out, err
		}
		g.Policies[src.Name], trusts[i] = ground, q
	}
	if err := checkContexts(file, g); err != nil {
		return out, err
	}
	for i, src := range c.Policies {
		if running == nil {
			break
		}
		if err := trusts[i].remember(g.Policies[src.Name].Policy, nil); err != nil {
			return out, err
		}
	}
	out.Grounds = g
	return out, nil
}

func inConfig(file, what string, err error) error {
	return &attest.Refusal{Code: attest.CodeGateConfig, About: file + " " + what, Why: cause(err).Error()}
}

// gateGround loads one policy, as trustedPolicy does for verify. fetched says that
// something came from elsewhere than a file, also if the rest failed.
func (a *app) gateGround(ctx context.Context, c *gate.Config, src gate.PolicySource, before *gate.Grounds) (g *gate.Ground, q *policyTrust, fetched bool, err error) {
	q = &policyTrust{trustSource: trustSource{file: src.Trust, cache: src.TrustCache}, roots: src.Roots, stateDir: c.State}
	a.fetched = false
	if _, err := a.recall(q); err != nil {
		return nil, nil, false, err
	}
	q.marks = append(slices.Clip(q.marks), heldMarks(before, src.Name)...)
	p, text, notes, err := a.trustedPolicy(ctx, src.Policy, q)
	fetched = a.fetched
	if err != nil {
		return nil, nil, fetched, err
	}
	g = &gate.Ground{Name: src.Name, Policy: p, Trust: q.believed, Repositories: c.Registry.Repositories, Stateful: q.state != nil, Notes: notes}
	add := func(r attest.Repository) {
		if !slices.Contains(g.Evidence, r) {
			g.Evidence = append(g.Evidence, r)
		}
	}
	for _, r := range p.Evidence() {
		r, err := text.beside(r)
		if err != nil {
			return nil, nil, fetched, err
		}
		add(r)
	}
	for _, s := range src.Evidence {
		r, err := attest.ParseRepository(s)
		if err != nil {
			return nil, nil, fetched, err // unreachable: package config read it
		}
		add(r)
	}
	return g, q, fetched, nil
}

// heldMarks is the version of a policy that answers rest on now: what a gate without state
// remembers as long as it lives.
func heldMarks(g *gate.Grounds, name string) []policy.Mark {
	if g == nil || g.Policies[name] == nil {
		return nil
	}
	return []policy.Mark{g.Policies[name].Policy.Mark()}
}

// checkContexts asks that every line of the rules asks its policy about a context that it
// has, and about one if it has any: every answer would be a refusal otherwise, and look
// like one about the model.
func checkContexts(file string, g *gate.Grounds) error {
	for _, rule := range g.Config.Rules {
		for i, l := range rule.Artifacts {
			if l.Policy == "" {
				continue
			}
			has := g.Policies[l.Policy].Policy.Contexts()
			r := &attest.Refusal{Code: attest.CodeGateConfig, About: fmt.Sprintf("%s rule %s, line %d", file, rule.Name, i+1)}
			switch {
			case l.Context == "" && len(has) > 0:
				r.Why, r.Next = fmt.Sprintf("the policy %s has contexts, and the line names none", l.Policy), "context: "+strings.Join(has, " or ")
			case l.Context != "" && !slices.Contains(has, l.Context):
				r.Why = fmt.Sprintf("the policy %s has no context %q", l.Policy, l.Context)
				if r.Next = "leave context out"; len(has) > 0 {
					r.Next = "context: " + strings.Join(has, " or ")
				}
			default:
				continue
			}
			return r
		}
	}
	return nil
}
