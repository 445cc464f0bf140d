package policy_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A piece is one signed statement of a generated chain.
type piece struct {
	at      attest.Digest
	payload attest.Digest
	by      string
	what    string
	bundle  []byte
}

// A sight is what a verifier gets to see: pieces, in their order, and where the
// registry does not answer. It is a verify.Source.
type sight struct {
	world  *chaintest.World
	pieces []*piece
	down   map[attest.Digest]bool
	names  map[string]string
}

func (s sight) Attestations(_ context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	for _, p := range s.pieces {
		if p.at == d && !yield(attest.Attached{Manifest: attest.SHA256(p.bundle), Bundle: p.bundle}) {
			return nil
		}
	}
	if s.down[d] {
		return unreachable()
	}
	return nil
}

func (s sight) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	return s.world.Source().Manifest(ctx, d)
}

func (s sight) without(gone ...*piece) sight {
	s.pieces = slices.DeleteFunc(slices.Clone(s.pieces), func(p *piece) bool { return slices.Contains(gone, p) })
	return s
}

func (s sight) with(more ...*piece) sight {
	s.pieces = slices.Concat(s.pieces, more)
	return s
}

func (s sight) String() string {
	var b strings.Builder
	for _, p := range s.pieces {
		fmt.Fprintf(&b, "  %s by %s about %s: %s\n", p.payload.Short(), p.by, cmpOr(s.names[p.at.Hex()], p.at.Short()), p.what)
	}
	for _, d := range slices.SortedFunc(maps.Keys(s.down), attest.Digest.Compare) {
		fmt.Fprintf(&b, "  no answer about %s\n", cmpOr(s.names[d.Hex()], d.Short()))
	}
	return b.String()
}

// A trial is a policy, a chain, and what there is besides that nobody showed.
type trial struct {
	sight
	seed  int
	text  string
	p     *policy.Policy
	root  attest.Digest
	trust *trust.Trust // nil if everybody signs with keys
	spare []*piece
	q     policy.Question
}

func (x *trial) chain(t testing.TB, sources ...verify.Source) verify.Chain {
	t.Helper()
	scope := x.p.Scope()
	scope.Trust = x.trust
	c, err := verify.Walk(context.Background(), x.root, sources, scope)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (x *trial) judge(t testing.TB, sources ...verify.Source) *policy.Verdict {
	t.Helper()
	return evaluate(t, x.p, x.chain(t, sources...), x.q)
}

// story is what a failed test prints, so that the case can be looked at again.
func (x *trial) story(s sight) string {
	return fmt.Sprintf("seed %d\n%s\nroot %s\n%s", x.seed, x.text, x.root.Short(), s)
}

// A chainMaker makes one chain for the policy of its maker.
type chainMaker struct {
	*maker
	x      *trial
	flawed int // percent of statements that have a flaw
	signed map[string][]string
	basis  []any // what approvals name
	serial int
	// The next statement says no, names another input than the rest, or is the
	// latest and fails.
	veto, other, worse bool
}

// trial makes a chain for the policy that was made last.
func (m *maker) trial(seed int, text string, p *policy.Policy) *trial {
	c := &chainMaker{maker: m, flawed: pick(m, 0, 0, 0, 0, 4, 10), signed: map[string][]string{}}
	c.x = &trial{sight: sight{world: m.world, down: map[attest.Digest]bool{}, names: m.names}, seed: seed, text: text, p: p, root: m.artifact("model")}
	c.x.q = policy.Question{At: asked, Known: asked}
	if m.timed {
		c.x.trust = m.world.Trust()
	}
	if m.byRow["quantize"] != nil {
		c.x.root = m.artifact("small model")
	}
	for _, r := range m.rows {
		c.signed[r.name] = c.signers(r)
	}
	for _, name := range []string{"prepare", "train", "quantize", "evaluate", "approve"} {
		if r := m.byRow[name]; r != nil {
			c.step(r)
		}
	}
	if strings.Contains(text, "\nrevocation:") && m.likely(40) {
		c.revoke()
	}
	shown := len(c.x.pieces)
	c.flawed = 25
	for range 5 {
		c.statement(pick(m, m.rows...), pick(m, people...).name)
	}
	for _, r := range m.rows { // and what would break it
		c.against(r)
		for _, other := range r.notBy {
			c.statement(m.byRow[other], pick(m, c.signed[r.name]...))
		}
	}
	c.x.pieces, c.x.spare = c.x.pieces[:shown], c.x.pieces[shown:]
	m.Shuffle(shown, func(i, j int) { c.x.pieces[i], c.x.pieces[j] = c.x.pieces[j], c.x.pieces[i] })
	return c.x
}

// signers chooses who performs a step: mostly enough of the right ones.
func (c *chainMaker) signers(r *rowed) []string {
	able := slices.DeleteFunc(slices.Clone(r.by), func(n string) bool {
		return !slices.Contains(named(r.kind), n) || slices.ContainsFunc(r.notBy, func(o string) bool { return slices.Contains(c.signed[o], n) })
	})
	out := c.some(able, r.threshold+c.IntN(2))
	if r.roles {
		out = c.some(able, len(able))
	}
	if len(out) == 0 {
		out = c.some(r.by, 1)
	}
	return out
}

// step signs what a step needs, and sometimes more.
func (c *chainMaker) step(r *rowed) {
	for _, at := range c.subjects(r) {
		for _, by := range c.signed[r.name] {
			c.say(r, by, at)
		}
	}
	if c.likely(4) {
		c.against(r)
	}
	for c.likely(12) {
		c.statement(r, pick(c.maker, people...).name)
	}
}

// against signs what could break a step that passes: a veto, a disagreement, or
// what is newer and worse.
func (c *chainMaker) against(r *rowed) {
	switch {
	case r.vetoBy != nil && c.likely(40):
		c.veto = true
		c.statement(r, pick(c.maker, r.vetoBy...))
	case r.agrees && c.likely(60) || c.likely(30):
		c.other = true
		c.statement(r, pick(c.maker, r.by...))
	default:
		c.worse = true
		c.statement(r, pick(c.maker, c.signed[r.name]...))
	}
	c.veto, c.other, c.worse = false, false, false
}

// statement is one about anything that the step is about.
func (c *chainMaker) statement(r *rowed, by string) { c.say(r, by, pick(c.maker, c.subjects(r)...)) }

func (c *chainMaker) subjects(r *rowed) []attest.Digest {
	switch cmpOr(r.about, r.name) {
	case "train":
		return []attest.Digest{c.artifact("model")}
	case "prepare":
		if strings.Contains(strings.Join(c.byRow["train"].lines, ""), "min: 2") {
			return []attest.Digest{c.artifact("train set"), c.artifact("test set"), c.artifact("second set")}
		}
		return []attest.Digest{c.artifact("train set"), c.artifact("test set")}
	}
	return []attest.Digest{c.x.root}
}

func cmpOr(a, b string) string {
	if a != "" && a != "artifact" {
		return a
	}
	return b
}

// minute at which a step happens, an hour before it is asked about.
func (c *chainMaker) minute(name string) int {
	at := map[string]int{"prepare": 1, "train": 11, "quantize": 21, "evaluate": 31, "approve": 45}[name]
	if c.worse {
		return at + 3
	}
	if c.flaw() {
		return pick(c.maker, at-30, at+11, 75)
	}
	return at + pick(c.maker, 0, 0, 0, 2)
}

func (c *chainMaker) flaw() bool { return c.likely(c.flawed) }

func (c *chainMaker) say(r *rowed, by string, at attest.Digest) {
	if c.flaw() {
		by = pick(c.maker, people...).name
	}
	typ, body := provenance, map[string]any(nil)
	switch r.name {
	case "evaluate":
		typ, body = evaluation, c.evaluate(r)
	case "approve":
		typ, body = approval, c.approve(by)
	default:
		body = c.build(r, at)
	}
	c.sign(by, at, typ, body)
}

func (c *chainMaker) sign(by string, at attest.Digest, typ string, body any) *piece {
	what := c.certify(by, typ, body)
	c.world.Sign(by, at, typ, body)
	all := c.world.Bundles(at)
	b, err := attest.ParseBundle(all[len(all)-1])
	if err != nil {
		c.t.Fatal(err)
	}
	p := &piece{at: at, by: by, payload: attest.SHA256(b.Payload), bundle: all[len(all)-1], what: c.shorten(b.Payload) + what}
	c.x.pieces = append(c.x.pieces, p)
	if typ == evaluation {
		c.basis = append(c.basis, map[string]any{"payload": digestSet(p.payload.String()), "artifact": digestSet(at.String())})
	}
	return p
}

// certify says under which certificate and with which timestamp somebody signs next:
// mostly those of the moment that the statement claims. It returns what is to be told.
func (c *chainMaker) certify(by, typ string, body any) string {
	if !c.timed {
		return ""
	}
	claimed, flawed := started, typ != predicate.TypeRevocation && c.flaw()
	m, _ := body.(map[string]any)
	if run, ok := m["runDetails"].(map[string]any); ok {
		m, _ = run["metadata"].(map[string]any)
	}
	for _, key := range []string{"finishedOn", "evaluatedAt", "approvedAt", "issuedAt"} {
		text, _ := m[key].(string)
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			claimed = at
		}
	}
	at, claims := claimed, trust.Claims{BuildTrigger: "push"}
	if flawed {
		at = at.Add(pick(c.maker, 25*time.Minute, -10*time.Minute, 0)) // too late, too early, or as it should be
		claims.BuildTrigger = pick(c.maker, "push", "pull_request", "")
	}
	switch by {
	case "ann":
		c.world.Identity(by, trust.Identity{Issuer: "https://sso.acme.example", Subject: "ann@acme.example"}, trust.Claims{}, at)
	case "bot":
		c.world.Identity(by, trust.Identity{Issuer: "https://ci.acme.example", Subject: "https://git.example/acme/credit@refs/heads/main"}, claims, at)
	case "gpu":
		c.world.Workload(by, "gpu", at)
	default:
		if flawed && c.likely(30) {
			at = time.Time{}
		}
		c.world.Stamp(by, at)
	}
	return fmt.Sprintf(" seen %s, %s", at.Format(time.TimeOnly), claims.BuildTrigger)
}

// shorten writes a statement's predicate with the names of artifacts.
func (c *chainMaker) shorten(payload []byte) string {
	_, text, _ := strings.Cut(string(payload), `"predicate":`)
	for hex, name := range c.names {
		text = strings.ReplaceAll(text, hex, name)
	}
	for _, p := range c.x.pieces {
		text = strings.ReplaceAll(text, p.payload.Hex(), p.payload.Short())
	}
	return text
}

// build is a provenance: what the policy's lines ask for, or nearly.
func (c *chainMaker) build(r *rowed, at attest.Digest) map[string]any {
	var in []input
	add := func(d attest.Digest) { in = append(in, input{r.role, "", d.String()}) }
	outputs := map[string]attest.Digest{"made": at}
	switch r.name {
	case "quantize":
		add(c.artifact("model"))
	case "train":
		add(c.artifact("train set"))
		if strings.Contains(r.lines[1], "output: test") && c.likely(40) {
			add(c.artifact("test set"))
		}
		if strings.Contains(r.lines[0], "min: 2") {
			add(c.artifact("second set"))
		}
	case "prepare":
		add(c.artifact("raw"))
		outputs = map[string]attest.Digest{"train": c.artifact("train set"), "test": c.artifact("test set")}
		if at == c.artifact("second set") {
			outputs = map[string]attest.Digest{"train": at}
		}
	}
	in = append(in, input{"code", codeURI, commit})
	run := "run of " + r.name
	if c.other {
		in[0].digest = c.artifact(map[string]string{"prepare": "raw 2", "train": "test set", "quantize": "leaky set"}[r.name]).String()
	}
	if c.worse {
		in = append(in, input{"dirt", "", c.artifact("leaky set").String()})
	} else if c.flaw() {
		switch c.IntN(9) {
		case 0:
			i := c.IntN(len(in))
			in = slices.Delete(in, i, i+1)
		case 1:
			in = append(in, input{"dirt", "", commit})
		case 2:
			add(c.artifact("test set"))
		case 3:
			in[0].digest = c.artifact(pick(c.maker, "leaky set", "raw 2", "test set")).String()
		case 4:
			run = pick(c.maker, "", "another run")
		case 5:
			outputs = map[string]attest.Digest{"test": at}
		case 6:
			in = append(in, pick(c.maker, in...))
		case 7:
			in[len(in)-1].uri = "git+https://git.evil/acme/credit"
		case 8:
			if c.likely(30) {
				add(c.x.root) // made of what is made of it
			}
		}
	}
	c.serial++
	body := build(r.name, run, 0, outputs, in...)
	dig(body, "runDetails", "metadata")["finishedOn"] = minute(c.minute(r.name))
	dig(body, "buildDefinition")["externalParameters"] = map[string]any{"n": c.number(5, 1, -1), "serial": c.serial}
	if c.veto {
		dig(body, "buildDefinition", "externalParameters")["n"] = -1
	}
	if c.veto && c.likely(30) || c.flaw() && c.likely(30) {
		dig(body, "runDetails", "metadata")["finishedOn"] = "yesterday"
	}
	return body
}

// number is good, or with a flaw one of the others.
func (c *chainMaker) number(good int, others ...int) int {
	if c.flaw() {
		return pick(c.maker, others...)
	}
	return good
}

func (c *chainMaker) evaluate(r *rowed) map[string]any {
	data := c.artifact("test set")
	if c.flaw() {
		data = c.artifact(pick(c.maker, "train set", "leaky set", "raw"))
	}
	in := []any{map[string]any{"role": "evaluation-data", "digest": digestSet(data.String())}}
	if c.flaw() && c.likely(40) {
		in = pick(c.maker, in[:0], append(in, in[0]), append(in, map[string]any{"role": "evaluation-data", "uri": "https://example.test/"}))
	}
	kind := "quality"
	if c.flaw() {
		kind = "bias"
	}
	c.serial++
	out := map[string]any{
		"kind": kind, "evaluatedAt": minute(c.minute(r.name)), "suite": map[string]any{"name": fmt.Sprint("suite ", c.serial)}, "inputs": in,
		"metrics": map[string]any{"m": map[string]any{"value": fmt.Sprintf("0.%02d", c.number(60, 30, 5))}},
	}
	if c.veto || c.worse {
		dig(out, "metrics", "m")["value"] = map[bool]string{true: "0.05", false: "0.30"}[c.veto]
	}
	if (c.veto || c.worse || c.flaw()) && c.likely(40) {
		out["metrics"] = pick(c.maker, map[string]any{}, map[string]any{"m": 1})
	}
	return out
}

func (c *chainMaker) approve(by string) map[string]any {
	basis := slices.Clone(c.basis)
	if len(basis) > 0 && (c.flaw() || c.likely(8)) {
		i := c.IntN(len(basis))
		basis = slices.Delete(basis, i, i+1)
	}
	if len(basis) == 0 || c.flaw() && c.likely(30) {
		p := pick(c.maker, c.x.pieces...)
		basis = append(basis, map[string]any{"payload": digestSet(p.payload.String()), "artifact": digestSet(p.at.String())})
	}
	c.serial++
	out := map[string]any{
		"decision": "approved", "approvedAt": minute(c.minute("approve")), "comment": fmt.Sprint(c.serial), "basis": basis,
		"scope": map[string]any{"environments": []any{"prod"}},
	}
	if r := c.byRow["approve"]; r != nil && r.roles && c.likely(30) {
		out["role"] = pick(c.maker, "risk", "owner")
	}
	if c.likely(20) {
		out["validUntil"] = minute(90 - 32*c.number(0, 1)) // asked at 60
	}
	if c.veto || c.worse {
		out["decision"] = "rejected"
	} else if c.flaw() {
		switch c.IntN(4) {
		case 0, 1:
			out["decision"] = "rejected"
		case 2:
			out["conditions"] = []any{map[string]any{"id": "C-1"}}
		case 3:
			out["scope"] = map[string]any{"environments": []any{"dev"}}
		}
	}
	return out
}

// revoke takes something back: a statement by who signed it or others, or an artifact.
func (c *chainMaker) revoke() {
	p := pick(c.maker, c.x.pieces...)
	by, at, target := p.by, p.payload, "payload"
	if c.likely(50) {
		by = pick(c.maker, people...).name
	}
	if c.likely(25) {
		at, target = p.at, "artifact"
	}
	for range 1 + c.IntN(2) {
		c.sign(by, at, predicate.TypeRevocation, map[string]any{"action": "revoke", "target": target, "reason": "wrong", "issuedAt": minute(pick(c.maker, 50, 50, 50, 90))})
		by = pick(c.maker, people...).name
	}
}
