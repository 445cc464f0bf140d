package lineage

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// CrawlOptions say how repositories are read.
type CrawlOptions struct {
	verify.Signers                // whose signatures count: what others signed is not kept
	Memory         *verify.Memory // notes what was opened; may be nil
	At             time.Time      // now
	// Also are further digests to ask about, as those that deny lists are kept under: a
	// repository that does not list everything has to be asked for each by name.
	Also []attest.Digest
	Jobs int // artifacts that are looked at at once; 0 means 8
	// Progress hears how many artifacts were read of those known so far; may be nil.
	Progress func(read, known int)
}

// A CrawlReport says what a crawl did.
type CrawlReport struct {
	Artifacts int   `json:"artifacts"` // looked at, in each repository
	Fetched   int   `json:"fetched"`   // attestations that were fetched and kept
	Kept      int   `json:"kept"`      // attestations that were known and are there still
	Gone      int   `json:"gone"`      // attestations that were known and are not there any more
	Strangers int   `json:"strangers"` // attestations that nobody trusted signed
	Missed    []Gap `json:"missed"`    // what could not be looked at
}

// crawlLimits bound one crawl. Work that is left when one is reached is not lost: the
// next crawl goes on from there.
type crawlLimits struct {
	// reached bounds the artifacts that a crawl knows of, in all repositories together,
	// and with them its memory: about 100 bytes each. The largest public registries of
	// models have two million repositories; no one of them has a hundredth as many
	// versions.
	reached int
	// listed is how many attestations of one artifact are read: as many as one walk
	// takes, evidence and strangers' together.
	listed int
	// kept bounds the bundles that are kept of one artifact, which are in memory until
	// the store has them, for several artifacts at once; an artifact had 60 at most, and
	// a bill of materials of some MiB among them.
	kept int64
	// read bounds the bundles that are read of one artifact, those of strangers included:
	// what a whole walk reads of evidence.
	read int64
	// strangers bounds the bundles of strangers that one crawl opens: an hour of work
	// with a hundred trusted keys, each of which has to be tried.
	strangers int
	// silence is after how many artifacts in a row, about which a repository could not be
	// asked, it is left: asking hundreds of thousands of times a registry that is down,
	// with retries, takes days.
	silence int
}

func defaultCrawlLimits() crawlLimits {
	return crawlLimits{reached: 1_000_000, listed: 4096 + 65536, kept: 128 << 20, read: 1 << 30, strangers: 1_000_000, silence: 32}
}

// Crawl reads repositories to the end, and keeps in s what it finds.
//
// It starts from what each repository lists by itself and from what s has of it, and
// asks each repository about each artifact that it reaches, level by level, once: so
// cycles end. It goes on to what trusted evidence names as inputs, and to where the
// statements lie that it rests on; and, if a repository does not list everything, to
// the stand-ins of payloads and credentials, where something may have been taken
// back: "nobody asked" must not look like "there is nothing".
//
// What could not be looked at is in the report and in s, and the crawl goes on. A
// repository that does not answer at all any more is left where it is. The next
// crawl continues a reading that was not finished, after an error too, and in the
// next one after that only what is new is fetched.
//
// The errors are E_KEY for a zero key, E_USAGE for no or unnamed repositories or the
// same one twice, E_INTERRUPTED if ctx ends, and those of s. With an error, too, the
// report says what was done, and s has all of it.
func Crawl(ctx context.Context, s Store, holdings []Holding, o CrawlOptions) (CrawlReport, error) {
	c, err := newCrawl(holdings, o)
	if err != nil {
		return CrawlReport{Missed: []Gap{}}, err
	}
	err = c.run(ctx, s)
	c.report.Missed = sortGaps(c.report.Missed)
	if err != nil && ctx.Err() != nil {
		err = &attest.Refusal{Code: attest.CodeInterrupted, Why: "reading the repositories was stopped", Err: ctx.Err()}
	}
	return c.report, err
}

// A crawl is one call of Crawl. Only visits run concurrently; everything else is one
// goroutine's.
type crawl struct {
	options CrawlOptions
	limits  crawlLimits
	opener  *verify.Opener
	cpu     chan struct{} // one token for each bundle being opened
	places  []*place
	partial bool // some repository does not list everything
	// reached are the digests that some repository is asked about: true if all are,
	// false if only those that do not list everything.
	reached   map[attest.Digest]bool
	next      []task // the next level
	read      int    // tasks that were done
	known     int    // tasks there have been
	over      bool   // a limit of the crawl was reached
	strangers int    // that were opened
	report    CrawlReport
}

// A task is an artifact to ask a repository about.
type task struct {
	artifact attest.Digest
	place    int
}

func (t task) compare(u task) int {
	return cmp.Or(t.artifact.Compare(u.artifact), cmp.Compare(t.place, u.place))
}

func newCrawl(holdings []Holding, o CrawlOptions) (*crawl, error) {
	opener, err := verify.NewOpener(o.Signers)
	if err != nil {
		return nil, err
	}
	if len(holdings) == 0 {
		return nil, attest.Refuse(attest.CodeUsage, "no repository to read")
	}
	if o.Jobs <= 0 {
		o.Jobs = 8
	}
	c := &crawl{options: o, limits: defaultCrawlLimits(), opener: opener.Remembering(o.Memory), cpu: make(chan struct{}, runtime.GOMAXPROCS(0)),
		reached: map[attest.Digest]bool{}, report: CrawlReport{Missed: []Gap{}}}
	seen := map[attest.Repository]bool{}
	for _, h := range holdings {
		if h == nil || h.Repository().IsZero() || seen[h.Repository()] {
			return nil, attest.Refuse(attest.CodeUsage, "a repository without a name, or the same one twice")
		}
		seen[h.Repository()] = true
		c.places = append(c.places, &place{Holding: h})
	}
	return c, nil
}

func (c *crawl) run(ctx context.Context, s Store) error {
	for _, p := range c.places {
		if err := c.begin(ctx, s, p); err != nil {
			return err
		}
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	for len(c.next) > 0 && !c.over {
		level := c.next
		c.next = nil
		slices.SortFunc(level, task.compare)
		if err := c.level(ctx, level); err != nil {
			return err
		}
	}
	for _, p := range c.places {
		if p.left || c.over {
			continue
		}
		if err := p.reader.Finish(ctx, p.held, p.exhaustive, p.missed); err != nil {
			return err
		}
	}
	return nil
}

// stop ends the crawl at one of its limits. No repository was read to the end then.
func (c *crawl) stop() {
	if !c.over {
		c.over = true
		c.report.Missed = append(c.report.Missed, Gap{Code: attest.CodeLimit})
	}
}

// level visits the artifacts of one level, some at once, and keeps what they gave in
// their order: so the report is the same whoever was faster.
func (c *crawl) level(ctx context.Context, level []task) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait() // after cancel
	defer cancel()
	visits := make([]chan *visit, len(level))
	launched := 0
	for i, t := range level {
		for ; launched < len(level) && launched < i+c.options.Jobs; launched++ {
			v, err := c.prepare(ctx, level[launched])
			if err != nil {
				return err
			}
			if v == nil {
				continue
			}
			ch := make(chan *visit, 1)
			visits[launched] = ch
			running.Go(func() {
				v.guard(func() { v.look(ctx) })
				v.opening.Wait()
				ch <- v
			})
		}
		if visits[i] != nil {
			v := <-visits[i]
			visits[i] = nil
			if v.recovered != nil {
				panic(v.recovered)
			}
			if err := ctx.Err(); err != nil {
				return err // what failed because of that says nothing about the artifact
			}
			if err := c.keep(ctx, c.places[t.place], v); err != nil {
				return err
			}
		}
		c.read++
		if c.options.Progress != nil {
			c.options.Progress(c.read, c.known)
		}
		if c.over {
			return nil
		}
	}
	return nil
}

// prepare makes the visit of an artifact, and none if there is no need for it.
func (c *crawl) prepare(ctx context.Context, t task) (*visit, error) {
	p := c.places[t.place]
	if p.left {
		return nil, nil
	}
	if done, err := p.reader.Done(ctx, t.artifact); done || err != nil {
		return nil, err
	}
	known, err := p.reader.Known(ctx, t.artifact)
	if err != nil {
		return nil, err
	}
	return newVisit(c, p, t.artifact, known), nil
}

// keep puts what a visit found into the store, counts it, and goes on to where it
// leads.
func (c *crawl) keep(ctx context.Context, p *place, v *visit) error {
	if p.left {
		return nil // it was under way when the repository was left
	}
	out := v.settle()
	if c.silent(p, v, out.Missed) {
		return nil
	}
	if err := p.reader.Put(ctx, out); err != nil {
		return err
	}
	r := &c.report
	r.Artifacts++
	r.Fetched += len(out.Entries)
	r.Strangers += len(out.Strangers) + v.passed
	r.Kept += v.kept
	if len(out.Missed) == 0 {
		r.Gone += v.gone()
	}
	for _, code := range out.Missed {
		r.Missed = append(r.Missed, Gap{out.Artifact, code})
	}
	if out.ManifestMissed != "" {
		r.Missed = append(r.Missed, Gap{out.Artifact, out.ManifestMissed})
	}
	for _, d := range out.Leads {
		c.reach(d, true)
	}
	for _, d := range out.Consults {
		c.reach(d, false)
	}
	if c.strangers += len(out.Strangers); c.strangers >= c.limits.strangers {
		c.stop()
	}
	return nil
}

// codeOf gives a repository's error its code. Errors without one say only that it
// could not be asked.
func codeOf(err error) attest.Code {
	if c := attest.RefusalCode(err); c != "" {
		return c
	}
	return attest.CodeRegUnavailable
}
