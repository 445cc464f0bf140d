package verify_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

var (
	noon    = time.Date(2025, 3, 4, 12, 0, 0, 0, time.UTC)
	trainer = trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/acme/credit/train@refs/heads/main"}
	onMain  = trust.Claims{SourceRepository: "https://ci.example/acme/credit", SourceRef: "refs/heads/main", BuildTrigger: "push"}
)

// A keyless is a model that the trainer trained and signed without a key of its own,
// and who is believed.
type keyless struct {
	*authority.Instance
	world       *chaintest.World
	model, data attest.Digest
	payload     []byte
	signers     verify.Signers
}

func newKeyless(t testing.TB) *keyless {
	t.Helper()
	i, err := authority.New("acme.test", noon.AddDate(-1, 0, 0))
	must(t, err)
	root, err := i.TrustedRoot()
	must(t, err)
	tr, err := trust.OfTrustedRoot(root)
	must(t, err)
	k := &keyless{Instance: i, world: chaintest.New(t), signers: verify.Signers{Identities: []trust.Rule{{Issuer: trainer.Issuer, Subject: trainer.Subject}}, Trust: tr}}
	k.data = k.world.Manifest(map[string]string{"train.csv": "1,2"})
	k.model = k.world.Manifest(map[string]string{"model.safetensors": "weights"})
	k.payload, err = attest.NewStatement(attest.Subject{Name: "model", Digest: k.model}, predicate.TypeProvenance, build(trainType, k.data))
	must(t, err)
	return k
}

// scope follows whom the signers' rules mean.
func (k *keyless) scope() verify.Scope {
	return verify.Scope{Signers: k.signers, Follow: []verify.Follow{{PredicateType: predicate.TypeProvenance, ByIdentity: k.signers.Identities}}}
}

// by signs the training in somebody's name, seen then.
func (k *keyless) by(t testing.TB, who trust.Identity, claims trust.Claims, seen ...time.Time) []byte {
	t.Helper()
	s, err := k.Signer(who, claims, noon)
	must(t, err)
	w := []attest.Witness{k.Logs[0].At(noon)}
	for _, at := range seen {
		w = append(w, k.TSAs[0].At(at))
	}
	b, err := attest.Sign(context.Background(), k.payload, s, w...)
	must(t, err)
	return b
}

// changed is a bundle with something else in it.
func changed(t testing.TB, bundle []byte, change func(*authority.Bundle)) []byte {
	t.Helper()
	b, err := authority.Open(bundle)
	must(t, err)
	change(b)
	out, err := b.Bytes()
	must(t, err)
	return out
}

// found walks from the model with these bundles beside it, in this order and in the
// other, which must say the same.
func (k *keyless) found(t testing.TB, bundles ...[]byte) verify.Chain {
	t.Helper()
	var chains []verify.Chain
	for range 2 {
		k.world = chaintest.New(t)
		k.world.Manifest(map[string]string{"train.csv": "1,2"})
		k.world.Manifest(map[string]string{"model.safetensors": "weights"})
		for _, b := range bundles {
			k.world.Attach(k.model, b)
		}
		chains = append(chains, walk(t, k.model, k.scope(), k.world.Source()))
		slices.Reverse(bundles)
	}
	if a, b := said(chains[0]), said(chains[1]); a != b {
		t.Errorf("the order of bundles matters:\n%s\n%s", a, b)
	}
	return chains[0]
}

// said is what a chain's evidence says, as far as these tests look.
func said(c verify.Chain) string {
	var out string
	for _, e := range c.Artifact(c.Root()).Evidence {
		out += fmt.Sprintln(e.ID().Credential, e.Seen(), e.Claims())
	}
	return out
}

// codes are those of a chain's findings.
func codes(c verify.Chain) []attest.Code {
	var out []attest.Code
	for _, f := range c.Findings() {
		out = append(out, attest.RefusalCode(f.Err))
	}
	return out
}

func TestIdentityAttacks(t *testing.T) {
	k := newKeyless(t)
	good := k.by(t, trainer, onMain, noon.Add(time.Minute))
	is := func(t *testing.T, c verify.Chain, seen time.Time) {
		t.Helper()
		all := c.Artifact(k.model).Evidence
		if len(all) != 1 || len(c.Artifacts()) != 2 {
			t.Fatalf("%d pieces of evidence, %d artifacts, findings %v", len(all), len(c.Artifacts()), c.Findings())
		}
		if e := all[0]; e.ID().Credential != verify.IdentityCredential(trainer) || !e.Seen().Equal(seen) || !slices.Equal(e.Claims(), []trust.Claims{onMain}) {
			t.Errorf("by %s, seen %v, claims %+v", e.ID().Credential, e.Seen(), e.Claims())
		}
	}
	nothing := func(t *testing.T, c verify.Chain, strangers int, want ...attest.Code) {
		t.Helper()
		if len(c.Artifact(k.model).Evidence) != 0 || len(c.Artifacts()) != 1 || c.Strangers() != strangers || !slices.Equal(codes(c), want) {
			t.Errorf("evidence %s, %d artifacts, %d strangers, findings %v", said(c), len(c.Artifacts()), c.Strangers(), c.Findings())
		}
	}
	is(t, k.found(t, good), noon.Add(time.Minute))

	t.Run("IDN-05 right subject, wrong issuer", func(t *testing.T) {
		other := trust.Identity{Issuer: "https://ci.example.evil.test", Subject: trainer.Subject}
		bad := k.by(t, other, onMain, noon)
		nothing(t, k.found(t, bad), 1)
		is(t, k.found(t, bad, good), noon.Add(time.Minute))
	})
	t.Run("right issuer, wrong subject", func(t *testing.T) {
		nothing(t, k.found(t, k.by(t, trust.Identity{Issuer: trainer.Issuer, Subject: trainer.Subject + "x"}, onMain, noon)), 1)
	})
	t.Run("IDN-08 same workflow, other trigger", func(t *testing.T) {
		k := *k
		k.signers.Identities = []trust.Rule{{Issuer: trainer.Issuer, Subject: trainer.Subject, Claims: onMain}}
		is(t, k.found(t, good), noon.Add(time.Minute))
		for _, c := range []trust.Claims{
			{SourceRepository: onMain.SourceRepository, SourceRef: onMain.SourceRef, BuildTrigger: "pull_request"},
			{SourceRepository: "https://ci.example/mallory/credit", SourceRef: onMain.SourceRef, BuildTrigger: onMain.BuildTrigger},
			{SourceRepository: onMain.SourceRepository, SourceRef: "refs/heads/mallory", BuildTrigger: onMain.BuildTrigger},
			{},
		} {
			got := k.found(t, k.by(t, trainer, c, noon))
			if len(got.Artifact(k.model).Evidence) != 0 || len(got.Artifacts()) != 1 {
				t.Errorf("%+v: %s", c, said(got))
			}
		}
	})
	t.Run("IDN-12 other instance", func(t *testing.T) {
		other, err := authority.New("staging.acme.test", noon.AddDate(-1, 0, 0))
		must(t, err)
		bad, err := other.Sign(context.Background(), k.payload, trainer, onMain, noon)
		must(t, err)
		c := k.found(t, bad)
		if len(c.Artifact(k.model).Evidence) != 0 {
			t.Errorf("%s", said(c))
		}
		is(t, k.found(t, bad, good), noon.Add(time.Minute))
	})
	t.Run("TIM-01 TIM-18 stripped", func(t *testing.T) {
		bad := changed(t, good, func(b *authority.Bundle) { b.Timestamps = nil })
		nothing(t, k.found(t, bad), 0, attest.CodeTimeMissing)
		is(t, k.found(t, bad, good), noon.Add(time.Minute))
	})
	t.Run("TIM-02 timestamp outside certificate window", func(t *testing.T) {
		late := k.by(t, trainer, onMain, noon.Add(time.Hour))
		nothing(t, k.found(t, late), 0, attest.CodeTimeWindow)
	})
	t.Run("TIM-08 entry of another artifact", func(t *testing.T) {
		other := *k
		other.payload, _ = attest.NewStatement(attest.Subject{Name: "model", Digest: k.data}, predicate.TypeProvenance, build(trainType))
		x, err := authority.Open(other.by(t, trainer, onMain, noon))
		must(t, err)
		bad := changed(t, good, func(b *authority.Bundle) { b.Entries = x.Entries })
		nothing(t, k.found(t, bad), 0, attest.CodeLogMismatch)
		is(t, k.found(t, bad, good), noon.Add(time.Minute))
	})
	t.Run("re-stamped", func(t *testing.T) {
		// Whoever stores bundles adds later stamps, keeps only those, and takes away none
		// of what the first one proves while it is there.
		year := noon.AddDate(1, 0, 0)
		stamp, err := k.TSAs[0].Stamp(open(t, good).Signature, year)
		must(t, err)
		both := changed(t, good, func(b *authority.Bundle) { b.Timestamps = append([][]byte{stamp}, b.Timestamps...) })
		only := changed(t, good, func(b *authority.Bundle) { b.Timestamps = [][]byte{stamp} })
		is(t, k.found(t, both), noon.Add(time.Minute))
		is(t, k.found(t, both, only, good), noon.Add(time.Minute))
		nothing(t, k.found(t, only), 0, attest.CodeTimeWindow)
		// The earliest of several good ones counts, whichever bundle it is in.
		early := k.by(t, trainer, onMain, noon.Add(time.Second))
		is(t, k.found(t, good, early), noon.Add(time.Second))
	})
	t.Run("a note is for one trust", func(t *testing.T) {
		testNotes(t, k, good)
	})
}

func open(t testing.TB, bundle []byte) *authority.Bundle {
	t.Helper()
	b, err := authority.Open(bundle)
	must(t, err)
	return b
}

// A note says that a bundle was good under one trust, seen at one time: under another,
// or changed, it is verified again.
func testNotes(t *testing.T, k *keyless, good []byte) {
	m := memory(t, 1)
	opener := func(s verify.Signers) *verify.Opener {
		o, err := verify.NewOpener(s)
		must(t, err)
		return o.Remembering(m)
	}
	e, note, err := opener(k.signers).OpenAttached(attest.Attached{Bundle: good})
	must(t, err)
	again, _, err := opener(k.signers).OpenAttached(attest.Attached{Bundle: good, Note: note})
	if err != nil || !again.Seen().Equal(e.Seen()) || !slices.Equal(again.Claims(), e.Claims()) {
		t.Errorf("remembered as seen %v with %v: %v", again.Seen(), again.Claims(), err)
	}
	// The same people under a trust that asks for two authorities.
	root, err := k.TrustedRoot()
	must(t, err)
	second, err := authority.NewTSA("https://tsa2.acme.test", noon.AddDate(-1, 0, 0))
	must(t, err)
	files := map[string][]byte{"root.json": root, "tsa2.pem": authority.PEM(second.Chain()...)}
	strict, err := trust.Load([]byte(`apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: strict, version: 1, expires: 2034-01-01T00:00:00Z}
sigstore: [{name: acme, trustedRoot: root.json, timestamps: 2, timestampAuthorities: shared}]
timestampAuthorities: [{name: two, chain: tsa2.pem, from: 2024-01-01T00:00:00Z}]
`), func(path string) ([]byte, error) { return files[path], nil }, nil)
	must(t, err)
	s := k.signers
	s.Trust = strict
	if e, _, err := opener(s).OpenAttached(attest.Attached{Bundle: good, Note: note}); attest.RefusalCode(err) != attest.CodeTimeMissing || !e.IsZero() {
		t.Errorf("a note of another trust: %v", err)
	}
	s.Trust = nil
	if _, _, err := opener(s).OpenAttached(attest.Attached{Bundle: good, Note: note}); attest.RefusalCode(err) != attest.CodeKeyUnknown {
		t.Errorf("a note, and nobody is trusted: %v", err)
	}
	// No bit of a note can be changed to say another time, nor does it fit another bundle.
	bad := changed(t, good, func(b *authority.Bundle) { b.Timestamps = nil })
	if _, _, err := opener(k.signers).OpenAttached(attest.Attached{Bundle: bad, Note: note}); attest.RefusalCode(err) != attest.CodeTimeMissing {
		t.Errorf("a note of another bundle: %v", err)
	}
	for n := range note {
		wrong := slices.Clone(note)
		wrong[n] ^= 1
		e, _, err := opener(k.signers).OpenAttached(attest.Attached{Bundle: good, Note: wrong})
		if err != nil || !e.Seen().Equal(noon.Add(time.Minute)) {
			t.Errorf("byte %d of a note: seen %v, %v", n, e.Seen(), err)
		}
	}
}

// TIM-12: before any entry is parsed, and before anybody trusted is looked up.
func TestListsTooLong(t *testing.T) {
	k := newKeyless(t)
	good := k.by(t, trainer, onMain, noon)
	for _, n := range []int{33, 10_000, 100_000} {
		bad := changed(t, good, func(b *authority.Bundle) { b.Entries = slices.Repeat([]authority.Entry{{}}, n) })
		start := time.Now()
		c := k.found(t, bad)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d entries take %v", n, took)
		}
		if got := codes(c); !slices.Contains(got, attest.CodeLimit) && !slices.Contains(c.Gaps(), verify.Gap{Artifact: k.model, Code: attest.CodeLimit}) {
			t.Errorf("%d entries: findings %v, gaps %v", n, c.Findings(), c.Gaps())
		}
	}
}
