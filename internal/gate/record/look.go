package record

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// skew is how far two honest clocks may be apart, as policies have it.
const skew = 5 * time.Minute

// A reading is what one lane knows of repositories: kept while it has work, so that it
// reads again only what is new.
type reading struct {
	// stores are by the last of the repositories in them: one that could not be read to
	// its end says nothing about the others.
	stores map[attest.Repository]*lineage.Survey
	memory *verify.Memory
	used   time.Time // when it was last read
}

func newReading() (*reading, error) {
	secret := make([]byte, verify.MemorySecret)
	rand.Read(secret) // never fails
	memory, err := verify.NewMemory(secret)
	return &reading{map[attest.Repository]*lineage.Survey{}, memory, time.Time{}}, err
}

// A sight is what a repository showed at one moment.
type sight struct {
	q         *Queue
	reading   *reading
	store     *lineage.Survey
	repos     []attest.Repository
	missed    []lineage.Gap
	hints     []attest.Digest // artifacts beside which this queue knows of records
	histories map[string]*lineage.History
}

// look reads one or two repositories afresh: what they list, and what they have about the artifacts
// of hints, whether they list them or not.
func (q *Queue) look(ctx context.Context, r *reading, repos []attest.Repository, hints []attest.Digest) (*sight, error) {
	ctx, cancel := context.WithTimeout(ctx, lookAttempts*q.o.Attempt)
	defer cancel()
	var holdings []lineage.Holding
	for _, repo := range repos {
		opened, err := q.o.Open(repo)
		if err != nil {
			return nil, err
		}
		holdings = append(holdings, opened.View())
	}
	last := repos[len(repos)-1]
	if r.stores[last] == nil {
		r.stores[last] = lineage.NewSurvey()
	}
	report, err := lineage.Crawl(ctx, r.stores[last], holdings, lineage.CrawlOptions{Signers: q.o.Signers, Memory: r.memory, At: q.o.Now(), Also: hints})
	if err != nil {
		return nil, err
	}
	for _, gap := range report.Missed {
		// Of a repository that could not be listed nothing is known.
		if gap.Artifact.IsZero() {
			return nil, &attest.Refusal{Code: gap.Code, About: repos[0].String(), Why: "the repository could not be read"}
		}
	}
	return &sight{q, r, r.stores[last], repos, report.Missed, hints, map[string]*lineage.History{}}, nil
}

// history asks for the records of an environment, once.
func (s *sight) history(ctx context.Context, environment string) (*lineage.History, error) {
	if h := s.histories[environment]; h != nil {
		return h, nil
	}
	now := s.q.o.Now()
	who := s.q.o.Signers
	follow := verify.Follow{ByIdentity: who.Identities, ByAll: who.Anyone}
	for _, k := range who.Keys {
		follow.By = append(follow.By, verify.KeyCredential(k))
	}
	scope := lineage.Everything(who)
	scope.Memory = s.reading.memory
	question := lineage.HistoryQuestion{
		Environment: environment, At: now, Known: now, Skew: skew, By: []verify.Follow{follow}, Scope: scope,
		Find: func(ctx context.Context, yield func(attest.Digest) bool) error {
			for _, d := range s.hints {
				if !yield(d) {
					return nil
				}
			}
			return s.store.Find(ctx, lineage.InEnvironment, environment, yield)
		},
	}
	for _, repo := range s.repos {
		question.Sources = append(question.Sources, s.store.Source(repo))
	}
	h, err := lineage.AskHistory(ctx, question)
	if err != nil {
		return nil, err
	}
	h.Missed(s.missed)
	s.histories[environment] = h
	return h, nil
}

// A link is one record of a chain.
type link struct {
	lineage.StatementAt
	claimed   time.Time
	previous  *lineage.StatementAt
	withdrawn bool
}

// A chain is the records of a place, those that count and those that were taken back,
// each after the one it names.
type chain struct {
	links []link
	// beside counts the records of the environment beside each artifact, at any place.
	beside map[attest.Digest]int
	// trouble is why nobody can say which is the last; nil if it is known. Forks are not
	// among it: see ends.
	trouble error
}

// chain returns the records of a place.
func (s *sight) chain(ctx context.Context, p place) (*chain, error) {
	h, err := s.history(ctx, p.Environment)
	if err != nil {
		return nil, err
	}
	c := &chain{beside: map[attest.Digest]int{}}
	for _, p := range h.Places {
		for _, r := range p.Records {
			c.beside[r.Artifact]++
		}
	}
	unsure := func(code attest.Code, why string) {
		if c.trouble == nil {
			c.trouble = &attest.Refusal{Code: code, About: p.String(), Why: why, Next: "look at it: pedigree history " + p.Environment}
		}
	}
	if len(h.Gaps) > 0 {
		unsure(h.Gaps[0].Code, "not everything could be looked at, so the last record may not be the last")
	}
	if h.Later > 0 {
		unsure(attest.CodeTimeWindow, "there are records of a later time than now")
	}
	i := slices.IndexFunc(h.Places, func(x lineage.PlaceHistory) bool {
		return x.Place == lineage.Place{Cluster: p.Cluster, Service: p.Service}
	})
	if i < 0 {
		return c, nil
	}
	for _, f := range h.Places[i].Findings {
		switch f.Kind {
		case lineage.FindingUnseen, lineage.FindingLoop:
			unsure(f.Code, f.Why)
		}
	}
	for _, r := range slices.Backward(h.Places[i].Records) {
		if r.Rejected == nil {
			c.links = append(c.links, link{lineage.StatementAt{Payload: r.Payload, Artifact: r.Artifact}, r.Claimed, r.Previous, r.Withdrawn != nil})
		}
	}
	return c, nil
}

// find returns a record by its payload.
func (c *chain) find(payload attest.Digest) (link, bool) {
	i := slices.IndexFunc(c.links, func(l link) bool { return l.Payload == payload })
	if i < 0 {
		return link{}, false
	}
	return c.links[i], true
}

// counted returns the records that count, in order.
func (c *chain) counted() []link {
	return slices.DeleteFunc(slices.Clone(c.links), func(l link) bool { return l.withdrawn })
}

// before returns what a record follows on if those that were taken back had not been
// made; nil for nothing.
func (c *chain) before(l link) *lineage.StatementAt {
	at := l.previous
	for range c.links { // a circle would be a collision
		if at == nil {
			return nil
		}
		i := slices.IndexFunc(c.links, func(x link) bool { return x.StatementAt == *at })
		if i < 0 || !c.links[i].withdrawn {
			return at
		}
		at = c.links[i].previous
	}
	return at
}

// ends returns the records that no other one follows on: several of a chain that forks.
func (c *chain) ends() []link {
	followed := map[lineage.StatementAt]bool{}
	counted := c.counted()
	for _, l := range counted {
		if at := c.before(l); at != nil {
			followed[*at] = true
		}
	}
	return slices.DeleteFunc(counted, func(l link) bool { return followed[l.StatementAt] })
}

// siblings returns the other records that follow on the same one, and whether anything
// follows on the record itself.
func (c *chain) siblings(l link) (others []link, followed bool) {
	mine := c.before(l)
	for _, x := range c.counted() {
		at := c.before(x)
		switch {
		case x.StatementAt == l.StatementAt:
		case at != nil && *at == l.StatementAt:
			followed = true
		case mine == nil && at == nil, mine != nil && at != nil && *mine == *at:
			others = append(others, x)
		}
	}
	return others, followed
}

// last returns the record that the next one follows on; nil if there is none. known is
// the last record that this queue knows of, or nil.
func (c *chain) last(p place, known *lineage.StatementAt) (*lineage.StatementAt, error) {
	if c.trouble != nil {
		return nil, c.trouble
	}
	ends := c.ends()
	if known != nil {
		_, there := c.find(known.Payload)
		named := slices.ContainsFunc(c.links, func(l link) bool { return l.previous != nil && *l.previous == *known })
		switch {
		case there, named:
		case len(c.links) == 0:
			return known, nil // it was removed since, with its artifact perhaps; it was there
		default:
			return nil, &attest.Refusal{Code: attest.CodeHistory, About: p.String(), Why: "the record that this queue knows as the last is not there, and others are: " + known.Payload.String(), Next: "find out who removed it: pedigree history " + p.Environment}
		}
	}
	switch len(ends) {
	case 0:
		return nil, nil
	case 1:
		return &ends[0].StatementAt, nil
	}
	return nil, &attest.Refusal{Code: attest.CodeHistory, About: p.String(), Why: fmt.Sprintf("%d records may be the last", len(ends)), Next: "take back the wrong one: pedigree revoke REPOSITORY --payload DIGEST"}
}

// isOver reports whether an attempt ended because its time was over, or the process ends.
func isOver(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
