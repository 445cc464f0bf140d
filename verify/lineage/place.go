package lineage

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A place is a repository while it is crawled.
type place struct {
	Holding
	reader     Reader
	held       []attest.Held
	exhaustive bool
	missed     []attest.Code
	silence    int // artifacts in a row about which it could not be asked
	left       bool
}

// begin begins to read a repository: with what it lists by itself.
func (c *crawl) begin(ctx context.Context, s Store, p *place) error {
	held := map[attest.Digest]attest.Held{}
	exhaustive, err := p.Held(ctx, func(h attest.Held) bool {
		if h.Digest.IsZero() {
			return true
		}
		if old, twice := held[h.Digest]; twice {
			h.Tags, h.StandIn = append(old.Tags, h.Tags...), h.StandIn && old.StandIn
		}
		held[h.Digest] = h
		return len(held) <= c.limits.reached
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(held) > c.limits.reached {
		err = errors.Join(attest.Refuse(attest.CodeLimit, "more than %d artifacts", c.limits.reached), err)
	}
	if err != nil {
		exhaustive, p.missed = false, []attest.Code{codeOf(err)}
		c.report.Missed = append(c.report.Missed, Gap{Code: p.missed[0]})
		// What the store has from before is better than the beginning of a reading that
		// cannot go on. Some repositories answer about artifacts and list nothing.
		if len(held) == 0 && !c.answers(ctx, p) {
			p.left = true
			return ctx.Err()
		}
	}
	p.exhaustive = exhaustive
	c.partial = c.partial || !exhaustive
	for _, d := range slices.SortedFunc(maps.Keys(held), attest.Digest.Compare) {
		h := held[d]
		slices.Sort(h.Tags)
		h.Tags = slices.Compact(h.Tags)
		p.held = append(p.held, h)
	}
	p.reader, err = s.Begin(ctx, p.Repository(), Beliefs(c.options.Signers), c.options.At)
	return err
}

// answers reports whether a repository can be asked about some artifact.
func (c *crawl) answers(ctx context.Context, p *place) bool {
	d := attest.SHA256(nil)
	if trust := c.trust(); len(trust) > 0 {
		d = trust[0].Standin()
	}
	everything := func(attest.Digest) bool { return true }
	err := p.AttestationsExcept(ctx, d, everything, func(attest.Attached) bool { return false })
	return err == nil || codeOf(err) != attest.CodeRegUnavailable
}

// trust returns whose signatures count and can be named, sorted. Whom only a pattern
// means is known when something by them was found.
func (c *crawl) trust() []verify.Credential {
	var out []verify.Credential
	for _, k := range c.options.Keys {
		out = append(out, verify.KeyCredential(k))
	}
	for _, r := range c.options.Identities {
		if !r.Pattern {
			out = append(out, verify.IdentityCredential(trust.Identity{Issuer: r.Issuer, Subject: r.Subject}))
		}
	}
	slices.SortFunc(out, verify.Credential.Compare)
	return slices.Compact(out)
}

// start reaches what is known at the beginning.
func (c *crawl) start(ctx context.Context) error {
	also := map[attest.Digest]bool{}
	for _, d := range c.options.Also {
		also[d] = true
	}
	for _, credential := range c.trust() { // of patterns, see visit.open; nobody else's signature counts
		also[credential.Standin()] = true
	}
	for _, p := range c.places {
		if p.left {
			continue
		}
		for _, h := range p.held {
			c.reach(h.Digest, true)
		}
		err := p.reader.Artifacts(ctx, func(d attest.Digest, consulted bool) bool {
			c.reach(d, !consulted && !also[d]) // the store does not know why those were read
			return !c.over
		})
		if err != nil {
			return err
		}
	}
	for _, d := range sortedSet(also) {
		c.reach(d, false)
	}
	return nil
}

// reach has every repository asked about an artifact, or only those that do not
// list everything, unless they were.
func (c *crawl) reach(d attest.Digest, everywhere bool) {
	before, twice := c.reached[d]
	if d.IsZero() || twice && (before || !everywhere) || !everywhere && !c.partial {
		return
	}
	if !twice && len(c.reached) == c.limits.reached {
		c.stop()
		return
	}
	c.reached[d] = everywhere
	for i, p := range c.places {
		if p.left || p.exhaustive && !everywhere || twice && !p.exhaustive {
			continue
		}
		c.next = append(c.next, task{d, i})
		c.known++
	}
}

// silent reports whether a repository is left, because it does not answer any more.
func (c *crawl) silent(p *place, v *visit, missed []attest.Code) bool {
	if !slices.Contains(missed, attest.CodeRegUnavailable) || len(v.listed) > 0 || v.manifest != nil {
		p.silence = 0
		return false
	}
	if p.silence++; p.silence < c.limits.silence {
		return false
	}
	p.left = true
	c.report.Missed = append(c.report.Missed, Gap{Code: attest.CodeRegUnavailable})
	return true
}
