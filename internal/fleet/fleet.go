// Package fleet makes up fleets: repositories full of models, data sets and signed
// records about them, in the shapes that real ones have, for measuring and for
// trying things out on more than a handful.
//
// Everything in a fleet is real but for the models: keys sign, bundles verify,
// manifests hash, files are there. Nothing in it is random: one [Config] gives the
// same bytes every time and on every machine, so a figure can be measured again.
//
// # Shapes
//
// What makes questions about lineage slow is not how much there is but how it hangs
// together. The shapes, and why they are as they are:
//
//   - Popularity is heavy-tailed, as on the public hubs: a few base models and data
//     sets are behind a large part of everything, most are behind little. Who
//     chooses draws from the law of Zipf and Mandelbrot. In a fleet of 10,000 versions,
//     which are 18,600 artifacts, the most popular data set is behind 3,600 of them,
//     about fifteen are behind more than 1,000 each, and half are behind less than 250.
//   - Families are as uneven: the largest has some 300 versions, half have less than
//     ten. A version is mostly trained on from the one before it, and one in eight is
//     made afresh, as after [MaxDepth]: half of all ancestries are 3 steps deep and of
//     16 artifacts, one in ten is deeper than 14 and of more than 57. One family, if
//     [Config.Chain] says so, is a single chain.
//   - Runs have several outputs: preparing data makes a training and a test set with
//     one invocation id, and both are among the byproducts of either record.
//   - Files are shared: a family's configuration, a base model's tokenizer and one
//     licence recur in thousands of manifests, so "who has this file" has answers
//     of all sizes.
//   - About ten records a version: how it was made (one to three), quality, bias and
//     a scan, two approvals that name these, a summary, mostly a bill of materials,
//     and deployments, which form one chain for each team's staging and production,
//     with rollbacks in it. Some versions are granted access to things, and some of
//     these grants are given on.
//   - Some of it is bad: one version in thirty is not good enough, some wait for
//     approval, one in a hundred is rejected, some things are revoked, and strangers
//     attach what nobody asked for ([Config.Strangers]).
//
// Bundles have the sizes of real ones (2 to 4 kB; the environment of a run and the
// slices of a bias check are most of it). Weights are a line of text: nobody here looks
// into them, and everybody hashes them. So sizes in manifests are small.
//
// # Holding it, or not
//
// A [Fleet] is a plan of some hundred bytes a version. [Fleet.Generate] makes what it
// plans on all processors and hands it on in one order, without keeping it;
// [Fleet.Hold] keeps it (about 3 kB a record) as repositories in memory, which answer
// at once, so that a benchmark measures the one who asks; [Fleet.Write] writes it into a
// repository.
package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// MaxDepth is how many versions follow each other before a family begins afresh: a
// walk with the usual limits sees all of an ancestry.
const MaxDepth = 40

// A Config says what fleet to make. The zero Config is a fleet of 50 versions.
type Config struct {
	Seed     uint64
	Versions int // of models, those of Chain and Hot included; 0 means 50
	// Teams have a repository, code, environments and a key each; 0 means 8, of small
	// fleets less.
	Teams int
	// Chain is the length of the one family that is a single chain: a model that is
	// fine-tuned again and again, Chain times. Every twentieth version is released; the
	// others have two records each. 0: there is no such family.
	Chain int
	// Hot is how many artifacts are made from [Fleet.Hot], exactly: its training and
	// test set, models and variants of them. 0: no data set is counted.
	Hot int
	// Strangers is how many attestations nobody trusted made, for each version;
	// negative means none, 0 means 0.05.
	Strangers float64
	// Revocations is how many things are revoked, for each version; negative means
	// none, 0 means 0.02.
	Revocations float64
	// Keys is the kind of all keys. The zero value is P-256, which Sigstore's clients
	// use; Ed25519 signs twice as fast.
	Keys attest.KeyAlgorithm
}

// maxVersions bounds a fleet: a plan of that many takes a gigabyte.
const maxVersions = 1_000_000

func (c Config) withDefaults() (Config, error) {
	c.Versions = cmp.Or(c.Versions, 50)
	c.Teams = cmp.Or(c.Teams, min(8, 1+c.Versions/50))
	c.Strangers = cmp.Or(c.Strangers, 0.05)
	c.Revocations = cmp.Or(c.Revocations, 0.02)
	bad := func(format string, args ...any) (Config, error) {
		return Config{}, attest.Refuse(attest.CodeUsage, format, args...)
	}
	switch {
	case c.Versions < 1 || c.Versions > maxVersions:
		return bad("a fleet of %d versions; 1 to %d are possible", c.Versions, maxVersions)
	case c.Teams < 1 || c.Teams > 100:
		return bad("%d teams; 1 to 100 are possible", c.Teams)
	case c.Chain < 0 || c.Hot < 0 || c.Hot > 0 && c.Hot < hotData+1:
		return bad("a chain of %d, and %d made from one data set; the latter is at least %d", c.Chain, c.Hot, hotData+1)
	case c.Chain+c.Hot > c.Versions:
		// More than are needed, as variants are no versions; but easy to say.
		return bad("a chain of %d and %d made from one data set do not fit into %d versions", c.Chain, c.Hot, c.Versions)
	case c.Strangers > 100 || c.Revocations > 1:
		return bad("%g strangers and %g revocations for each version; at most 100 and 1 are possible", c.Strangers, c.Revocations)
	case c.Keys != attest.P256 && c.Keys != attest.Ed25519:
		return bad("keys are P-256 or Ed25519")
	}
	return c, nil
}

// A Fleet is the plan of a fleet. Its methods may be called concurrently.
type Fleet struct {
	config Config
	step   time.Duration // from one version to the next
	keys   map[string]*attest.KeySigner
	names  []string // of the keys, sorted

	bases    []base
	raws     []raw
	data     []prepared
	versions []version
	chain    []int // the versions of the chain, first to last
}

// epoch is when fleets begin. A fleet's year is over by now, whenever that is.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// span is how long a fleet takes: all its records lie within a year.
const span = 300 * 24 * time.Hour

// New plans a fleet. A Config that cannot be met is E_USAGE.
func New(c Config) (*Fleet, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Fleet{config: c, step: (span / time.Duration(c.Versions)).Truncate(time.Second)}
	if err := f.makeKeys(); err != nil {
		return nil, err
	}
	f.plan()
	return f, f.nameArtifacts()
}

// End is a moment after everything in the fleet happened: the time to ask about.
func (f *Fleet) End() time.Time { return epoch.Add(span + 10*24*time.Hour) }

// A Release is a version as it would be used. Not all are offered: see Approved.
type Release struct {
	Repository attest.Repository
	Artifact   attest.Digest
	Tag        string
	Family     string
	Number     int  // of the version in its family, from 1
	Approved   bool // by two people, after good evaluations; it may be revoked all the same
	Revoked    bool // itself, or something that it rests on
}

// Releases returns every version's release, in the order in which they were made.
func (f *Fleet) Releases() []Release {
	revoked := f.revokedReleases()
	out := make([]Release, len(f.versions))
	for i := range f.versions {
		v := &f.versions[i]
		out[i] = Release{
			Repository: f.repository(v), Artifact: v.release(), Tag: f.tag(v), Family: f.familyName(v), Number: v.number,
			Approved: v.fate == fateApproved, Revoked: revoked[i],
		}
	}
	return out
}

// Hot returns the data set that Config.Hot artifacts are made from; zero without.
func (f *Fleet) Hot() attest.Digest {
	if f.config.Hot == 0 {
		return attest.Digest{}
	}
	return f.raws[hotIndex].digest
}

// Chain returns the models of the single chain, first to last; nil without.
func (f *Fleet) Chain() []attest.Digest {
	var out []attest.Digest
	for _, i := range f.chain {
		out = append(out, f.versions[i].model)
	}
	return out
}

// An Edge says that a product was made with an input, as a record in the fleet says.
type Edge struct {
	Product, Input attest.Digest
	Role           string
}

// Descendants returns what was made from an artifact or a commit, directly or not,
// sorted: what the fleet was planned as, and so what an answer can be compared with.
func (f *Fleet) Descendants(d attest.Digest) []attest.Digest {
	return f.products().from(d)
}

// products are what was made directly from each input.
type products map[attest.Digest][]attest.Digest

func (f *Fleet) products() products {
	p := products{}
	for e := range f.edges {
		p[e.Input] = append(p[e.Input], e.Product)
	}
	return p
}

// from returns what was made from any of some inputs, directly or not, sorted.
func (p products) from(of ...attest.Digest) []attest.Digest {
	seen := map[attest.Digest]bool{}
	for _, d := range of {
		seen[d] = true
	}
	var out []attest.Digest
	for todo := slices.Clone(of); len(todo) > 0; {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, d := range p[next] {
			if !seen[d] {
				seen[d] = true
				out = append(out, d)
				todo = append(todo, d)
			}
		}
	}
	slices.SortFunc(out, attest.Digest.Compare)
	return out
}

// Popular returns artifacts and what part they have in the fleet: the base models and
// raw data sets with the number of their descendants, most first.
func (f *Fleet) Popular() []Popularity {
	var out []Popularity
	for i := range f.bases {
		out = append(out, Popularity{f.bases[i].name, f.bases[i].digest, 0})
	}
	for i := range f.raws {
		out = append(out, Popularity{f.raws[i].name, f.raws[i].digest, 0})
	}
	all := f.products()
	for i := range out {
		out[i].Descendants = len(all.from(out[i].Artifact))
	}
	slices.SortFunc(out, func(a, b Popularity) int {
		return cmp.Or(cmp.Compare(b.Descendants, a.Descendants), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// A Popularity says how much was made from something.
type Popularity struct {
	Name        string
	Artifact    attest.Digest
	Descendants int
}

// at returns the moment so many minutes after the slot of a version begins.
func (f *Fleet) at(slot, minutes int) time.Time {
	return epoch.Add(24*time.Hour + time.Duration(slot)*f.step + time.Duration(minutes)*time.Minute)
}

// registry is where the fleet's repositories are, host is where its code is.
const (
	registry = "registry.fleet.example"
	gitHost  = "git+https://git.fleet.example/acme"
)

// repositoryAt returns a repository of the fleet by its path.
func repositoryAt(format string, args ...any) attest.Repository {
	r, err := attest.ParseRepository(registry + "/" + fmt.Sprintf(format, args...))
	if err != nil {
		panic(err) // unreachable: the paths are this package's own
	}
	return r
}
