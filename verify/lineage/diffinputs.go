package lineage

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// An entry is one input of an artifact, in one role: of all the records that name
// it, of one class.
type entry struct {
	judging  bool     // named by evaluations, and not by what made the artifact
	steps    []string // that took it, sorted
	role     string
	name     string
	uri      string
	digest   attest.Digest
	evidence []verify.Evidence
}

func (e *entry) compare(f *entry) int {
	class := func(e *entry) int {
		if e.judging {
			return 1
		}
		return 0
	}
	return cmp.Or(class(e)-class(f), cmp.Compare(e.role, f.role), cmp.Compare(e.name, f.name), cmp.Compare(e.uri, f.uri), e.digest.Compare(f.digest))
}

// entries returns the inputs that the records about an artifact name, each once.
func entries(s *said) []*entry {
	type key struct {
		judging         bool
		role, name, uri string
		digest          attest.Digest
	}
	known := map[key]*entry{}
	var out []*entry
	add := func(e verify.Evidence, step string, in predicate.Input, judging bool) {
		k := key{judging: judging, role: in.Role, digest: in.Digest}
		if in.Digest.IsZero() {
			k.name, k.uri = in.Name, in.URI
		}
		at := known[k]
		if at == nil {
			at = &entry{judging: judging, role: in.Role, digest: in.Digest}
			known[k] = at
			out = append(out, at)
		}
		// Several may name it in their own words: the least is as good as any, and does
		// not depend on the order.
		at.name, at.uri = leastText(at.name, in.Name), leastText(at.uri, in.URI)
		if !slices.Contains(at.steps, step) {
			at.steps = append(at.steps, step)
		}
		if n := len(at.evidence); n == 0 || at.evidence[n-1].ID() != e.ID() {
			at.evidence = append(at.evidence, e)
		}
	}
	for _, list := range [][]verify.Evidence{s.provenance, s.evaluations} {
		for _, e := range list {
			facts, _ := e.Facts() // read already: what cannot be read is among the others
			step := StepOf(e)
			for _, in := range facts.Inputs {
				add(e, step, in, facts.Type == predicate.TypeEvaluation)
			}
		}
	}
	for _, e := range out {
		slices.Sort(e.steps)
	}
	slices.SortFunc(out, (*entry).compare)
	return out
}

// leastText returns the lesser of two texts that is not empty.
func leastText(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// origin returns a URI without the branch or tag behind it.
func origin(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	host, way, _ := strings.Cut(rest, "/") // an @ before the first slash is a user's
	way, _, _ = strings.Cut(way, "@")
	return scheme + "://" + host + "/" + way
}

// class tells apart what an artifact was made with and what it was judged with.
func (e *entry) class() string {
	if e.judging {
		return "judging\x00"
	}
	return "making\x00"
}

// alignments are the ways to find an input's place on the other side, the surest
// first. Each gives a key, by which two inputs belong together if nothing else has
// it on either side; "" if the input has none.
func alignments() []func(*entry) string {
	steps := func(e *entry) string { return e.class() + strings.Join(e.steps, "\x01") + "\x00" + e.role }
	named := func(e *entry, rest string) string {
		if rest == "" {
			return ""
		}
		return "\x00" + rest
	}
	all := func(key, rest string) string {
		if rest == "" {
			return ""
		}
		return key + rest
	}
	return []func(*entry) string{
		func(e *entry) string {
			if e.digest.IsZero() {
				return e.class() + e.role + "\x00" + e.name + "\x00" + e.uri
			}
			return e.class() + e.role + "\x00" + e.digest.String()
		},
		func(e *entry) string { return all(steps(e), named(e, e.name)) },
		steps,
		func(e *entry) string { return all(e.class()+e.role, named(e, e.name)) },
		func(e *entry) string { return e.class() + e.role },
		func(e *entry) string { return all(steps(e), named(e, origin(e.uri))) },
		func(e *entry) string { return all(e.class(), named(e, origin(e.uri))) },
	}
}

// couple finds which inputs of both sides belong together by one way of alignment.
func couple(as, bs []*entry, key func(*entry) string) (together [][2]*entry, restA, restB []*entry) {
	left, right := unique(as, key), unique(bs, key)
	for _, a := range as {
		if k := key(a); k != "" && left[k] != nil && right[k] != nil {
			together = append(together, [2]*entry{a, right[k]})
		} else {
			restA = append(restA, a)
		}
	}
	for _, b := range bs {
		if k := key(b); k == "" || left[k] == nil || right[k] == nil {
			restB = append(restB, b)
		}
	}
	return together, restA, restB
}

// unique returns the entries by key, and nil for a key that several have.
func unique(list []*entry, key func(*entry) string) map[string]*entry {
	out := make(map[string]*entry, len(list))
	for _, e := range list {
		k := key(e)
		if _, several := out[k]; several {
			out[k] = nil
		} else {
			out[k] = e
		}
	}
	return out
}

// inputs aligns the inputs of the two artifacts of a change, and returns how many
// both have.
func (d *differ) inputs(of int, left, right *said) int {
	as, bs := entries(left), entries(right)
	var together [][2]*entry
	for _, key := range alignments() {
		if len(as) == 0 || len(bs) == 0 {
			break
		}
		var more [][2]*entry
		more, as, bs = couple(as, bs, key)
		together = append(together, more...)
	}
	type place struct {
		at   *entry
		a, b *entry
	}
	places := make([]place, 0, len(together)+len(as)+len(bs))
	for _, t := range together {
		places = append(places, place{t[1], t[0], t[1]})
	}
	for _, a := range as {
		places = append(places, place{a, a, nil})
	}
	for _, b := range bs {
		places = append(places, place{b, nil, b})
	}
	slices.SortStableFunc(places, func(x, y place) int { return x.at.compare(y.at) })
	same := 0
	for _, p := range places {
		c := ArtifactChange{Of: of, Role: p.at.role, For: p.at.steps}
		switch {
		case p.b == nil:
			c.How = HowRemoved
			d.alone(c, d.input(&d.a, p.a))
		case p.a == nil:
			c.How = HowAdded
			d.alone(c, d.input(&d.b, p.b))
		case p.a.digest == p.b.digest && (!d.reworded[p.a.digest] || p.a.digest.IsZero()):
			same++
			d.count("", pair{p.a.digest, p.b.digest})
		default:
			if d.meet(c, pair{p.a.digest, p.b.digest}, d.input(&d.a, p.a), d.input(&d.b, p.b)) {
				same++
			}
		}
	}
	return same
}

// input is how the records of one side name an input.
func (d *differ) input(h *half, e *entry) *InputSeen {
	return &InputSeen{Digest: e.digest, Name: e.name, URI: e.uri, Records: d.recordAll(h, e.evidence)}
}
