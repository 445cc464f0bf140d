package rehearse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// A world is everything that there is in one case: artifacts, and what is
// attached to them. It is a [verify.Source].
type world struct {
	f *File
	c *testCase
	p *policy.Policy

	deeds    map[string]*deed
	signed   map[string][]signed // by evidence
	signing  map[string]bool
	attached map[attest.Digest][]attest.Attached
	unseen   map[attest.Digest]bool
}

var _ verify.Source = (*world)(nil)

// A signed is one statement of a deed.
type signed struct {
	payload    attest.Digest
	at         attest.Digest // where it is attached
	bundle     []byte
	credential verify.Credential
}

// wrong is a mistake in a test that shows only when it is played.
func wrong(n *yaml.Node, format string, args ...any) error {
	return &policy.LoadError{Problems: []policy.Problem{{Line: n.Line, Column: n.Column, Code: attest.CodePolicyParse, Why: fmt.Sprintf(format, args...)}}}
}

// world signs and attaches everything of a case, the status last: it lists what
// is there, and what was there and was removed.
func (f *File) world(ctx context.Context, p *policy.Policy, c *testCase) (*world, error) {
	w := &world{f: f, c: c, p: p, deeds: map[string]*deed{}, signed: map[string][]signed{}, signing: map[string]bool{},
		attached: map[attest.Digest][]attest.Attached{}, unseen: map[attest.Digest]bool{}}
	for _, d := range c.deeds {
		w.deeds[d.name] = d
	}
	for _, name := range c.unseen {
		w.unseen[f.artifacts[name].digest] = true
	}
	for _, d := range c.deeds {
		if d.never {
			continue
		}
		statements, err := w.sign(ctx, d)
		if err != nil {
			return nil, err
		}
		for _, s := range statements {
			if !slices.Contains(c.removed, d.name) {
				w.attach(s)
			}
		}
	}
	if c.status != nil {
		if err := w.publish(ctx, c.status); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) attach(s signed) {
	w.attached[s.at] = append(w.attached[s.at], attest.Attached{Manifest: attest.SHA256(append([]byte("attached\n"), s.bundle...)), Bundle: s.bundle})
}

// signNamed signs the evidence of a name.
func (w *world) signNamed(ctx context.Context, name string) ([]signed, error) {
	if d := w.deeds[name]; d != nil {
		return w.sign(ctx, d)
	}
	return nil, nil
}

// sign signs a deed once, after what it names.
func (w *world) sign(ctx context.Context, d *deed) ([]signed, error) {
	if s, ok := w.signed[d.name]; ok {
		return s, nil
	}
	if w.signing[d.name] {
		return nil, wrong(d.node, "evidence %s names itself, by way of what it names", d.name)
	}
	w.signing[d.name] = true
	body, err := w.body(ctx, d)
	if err != nil {
		return nil, err
	}
	var out []signed
	for _, s := range d.of {
		places, err := w.places(ctx, d, s)
		if err != nil {
			return nil, err
		}
		for _, at := range places {
			x, err := w.statement(ctx, d, at, body)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
	}
	w.signed[d.name] = out
	return out, nil
}

// A place is what a statement is about, and where it is attached.
type place struct{ subject, at attest.Digest }

func (w *world) places(ctx context.Context, d *deed, s subject) ([]place, error) {
	one := func(x attest.Digest) []place { return []place{{x, x}} }
	switch {
	case s.payload != "":
		var out []place
		statements, err := w.signNamed(ctx, s.payload)
		for _, x := range statements {
			out = append(out, place{x.payload, x.payload})
		}
		return out, err
	case s.holder != "":
		return one(w.f.credential(s.holder, 0, nil).Standin()), nil
	case s.list != "":
		return one(predicate.DenylistAnchor(s.list)), nil
	}
	a := w.f.artifacts[s.artifact]
	switch {
	case s.file != "":
		return []place{{fileDigest(a.files[s.file]), a.digest}}, nil
	case d.typ == predicate.TypeOMS:
		return []place{{a.root(), a.digest}}, nil
	}
	return one(a.digest), nil
}

func (w *world) statement(ctx context.Context, d *deed, at place, body map[string]any) (signed, error) {
	var say any = body
	if !d.malformed {
		encoded, err := predicate.Encode(d.typ, body)
		if err != nil {
			return signed{}, wrong(d.node, "evidence %s cannot be signed: %v; malformed: true signs it as it is", d.name, err)
		}
		say = encoded
	}
	payload, err := attest.NewStatement(attest.Subject{Name: d.name, Digest: at.subject}, d.typ, say)
	if err != nil {
		return signed{}, wrong(d.node, "evidence %s cannot be signed: %v", d.name, err)
	}
	h, err := w.f.hand(d.by, d.key, d.as, d.at, d.seen)
	if err != nil {
		return signed{}, wrong(d.node, "evidence %s cannot be signed: %v", d.name, err)
	}
	return seal(ctx, payload, h, at.at)
}

func seal(ctx context.Context, payload []byte, h hand, at attest.Digest) (signed, error) {
	bundle, err := attest.Sign(ctx, payload, h.signer, h.seenBy...)
	if err != nil {
		return signed{}, err
	}
	return signed{payload: attest.SHA256(payload), at: at, bundle: bundle, credential: h.credential}, nil
}

// publish signs a status about the judged artifact. It lists every artifact of
// the test, every statement and every key, each with what was ever attached to it.
func (w *world) publish(ctx context.Context, st *statusDeed) error {
	artifacts := map[string]any{}
	list := func(d attest.Digest) {
		if artifacts[d.String()] == nil {
			artifacts[d.String()] = []any{}
		}
	}
	for _, name := range w.f.order {
		if !slices.Contains(st.unlisted, name) {
			list(w.f.artifacts[name].digest)
		}
	}
	for _, party := range w.f.parties {
		for i := range party.Means {
			list(w.f.credential(party.Name, i, nil).Standin())
		}
	}
	for _, d := range w.c.deeds {
		if d.never {
			continue
		}
		for _, s := range w.signed[d.name] {
			list(s.payload)
			list(s.credential.Standin())
			if slices.ContainsFunc(st.unlisted, func(n string) bool { return w.f.artifacts[n].digest == s.at }) {
				continue
			}
			list(s.at)
			there, _ := artifacts[s.at.String()].([]any)
			artifacts[s.at.String()] = append(there, map[string]any{"payload": set(s.payload), "credential": s.credential.String()})
		}
	}
	body := map[string]any{"sequence": st.sequence, "issuedAt": stamp(st.at), "validUntil": stamp(st.at.Add(st.validFor)), "artifacts": artifacts}
	root := w.f.artifacts[w.c.judge].digest
	say, err := predicate.Encode(predicate.TypeStatus, body)
	if err != nil {
		return wrong(st.node, "the status cannot be signed: %v", err)
	}
	payload, err := attest.NewStatement(attest.Subject{Name: "status", Digest: root}, predicate.TypeStatus, say)
	if err != nil {
		return wrong(st.node, "the status cannot be signed: %v", err)
	}
	h, err := w.f.hand(st.by, 0, nil, st.at, nil)
	if err != nil {
		return wrong(st.node, "the status cannot be signed: %v", err)
	}
	s, err := seal(ctx, payload, h, root)
	if err == nil {
		w.attach(s)
	}
	return err
}

// Attestations yields what is attached; about what is unseen, nobody answers.
func (w *world) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	if w.unseen[d] {
		return attest.Refuse(attest.CodeRegUnavailable, "unseen, as the case has it")
	}
	for _, a := range w.attached[d] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(a) {
			return nil
		}
	}
	return nil
}

// Manifest returns the manifest of an artifact that is one.
func (w *world) Manifest(_ context.Context, d attest.Digest) ([]byte, error) {
	if w.unseen[d] {
		return nil, attest.Refuse(attest.CodeRegUnavailable, "unseen, as the case has it")
	}
	for _, a := range w.f.artifacts {
		if a.digest == d && a.manifest != nil {
			return a.manifest, nil
		}
	}
	return nil, attest.ErrAbsent
}

// paths returns the paths of the artifact's files, sorted.
func (a *artifact) paths() []string { return slices.Sorted(maps.Keys(a.files)) }

// root is the digest under which an OMS signature names the files together: the
// SHA-256 of the files' digests, as bytes, one after the other in the order of the
// names (model_signing v1.0, section 6.5.1).
func (a *artifact) root() attest.Digest {
	var all []byte
	for _, path := range a.paths() {
		sum := sha256.Sum256([]byte(a.files[path])) // as fileDigest
		all = append(all, sum[:]...)
	}
	return attest.SHA256(all)
}

// names replaces digests in a verdict's words by the test's names.
func (w *world) names() *strings.Replacer {
	type pair struct{ digest, name string }
	var pairs []pair
	add := func(d attest.Digest, name string) {
		pairs = append(pairs, pair{d.String(), name}, pair{d.Short(), name})
	}
	for _, name := range w.f.order {
		add(w.f.artifacts[name].digest, name)
	}
	for _, d := range w.c.deeds {
		for _, s := range w.signed[d.name] {
			add(s.payload, d.name)
		}
	}
	for _, name := range w.f.order {
		a := w.f.artifacts[name]
		for _, path := range a.paths() {
			add(fileDigest(a.files[path]), path)
		}
	}
	// A digest begins with its own short form: the longer must be tried first.
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(len(b.digest), len(a.digest)) })
	var flat []string
	for _, p := range pairs {
		flat = append(flat, p.digest, p.name)
	}
	return strings.NewReplacer(flat...)
}
