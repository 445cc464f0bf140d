package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

// trusted are the names of the keys that scopes and crawls trust.
var trusted = [...]string{"alice", "bob"}

// keys returns the trusted keys of a world.
func keys(w *chaintest.World) []attest.PublicKey {
	var out []attest.PublicKey
	for _, name := range trusted {
		out = append(out, w.Key(name))
	}
	return out
}

// A world is a random repository: artifacts of all kinds, and all kinds of evidence
// and rubbish beside them.
type world struct {
	*chaintest.World
	random    dice
	artifacts []attest.Digest
	manifests []attest.Digest // some of these
	signed    []verify.ID     // statements by trusted keys
	beside    []attest.Digest // where they lie
	serial    int
}

// dice are numbers that look random and are the same for the same seed: SplitMix64
// (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators").
type dice uint64

// IntN returns a number from 0 to n-1.
func (d *dice) IntN(n int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n))
}

// newWorld returns the random world of a seed, of about n artifacts.
func newWorld(t testing.TB, seed uint64, n int) *world {
	w := &world{World: chaintest.New(t), random: dice(seed)}
	for i := range n {
		switch w.random.IntN(6) {
		case 0:
			d, err := attest.NewDigest("gitCommit", fmt.Sprintf("%040x", i+1))
			if err != nil {
				t.Fatal(err)
			}
			w.artifacts = append(w.artifacts, d)
		case 1:
			d := attest.SHA256(fmt.Appendf(nil, "opaque %d", i))
			w.artifacts = append(w.artifacts, d)
			if w.random.IntN(3) == 0 {
				w.manifests = append(w.manifests, w.PutManifest(attest.StandIn(d)))
			}
		case 2:
			d := w.PutManifest(fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":2}]}`, attest.MediaTypeManifest, chaintest.File(fmt.Sprint(i))))
			w.artifacts, w.manifests = append(w.artifacts, d), append(w.manifests, d)
		default:
			files := map[string]string{}
			for j := range w.random.IntN(4) {
				files[fmt.Sprintf("file-%d", j)] = fmt.Sprintf("content %d", w.random.IntN(2*n)) // some are in several
			}
			d := w.Manifest(files)
			w.artifacts, w.manifests = append(w.artifacts, d), append(w.manifests, d)
		}
	}
	for range 3 * n {
		w.attachSomething()
	}
	for _, d := range w.manifests {
		if w.random.IntN(3) > 0 {
			w.Tag(d, fmt.Sprintf("tag-%d", w.serial))
			w.serial++
		}
	}
	return w
}

func (w *world) pick(list []attest.Digest) attest.Digest { return list[w.random.IntN(len(list))] }

// who picks a signer; trusted ones twice as often as the stranger.
func (w *world) who() string {
	return [...]string{"alice", "bob", "alice", "bob", "mallory", "mallory"}[w.random.IntN(6)]
}

// attachSomething signs one statement about an artifact, of whatever kind.
func (w *world) attachSomething() {
	w.serial++
	about := w.pick(w.artifacts)
	switch w.random.IntN(14) {
	case 0, 1, 2, 3:
		w.sign(about, about, predicate.TypeProvenance, w.build())
	case 4:
		w.sign(about, about, predicate.TypeEvaluation, w.evaluation())
	case 5:
		w.sign(about, about, predicate.TypeApproval, w.approval())
	case 6:
		w.sign(about, about, predicate.TypeDeployment, w.deployment())
	case 7: // a statement or a key is taken back
		of := verify.ID{Payload: attest.SHA256([]byte("never signed")), Credential: verify.KeyCredential(w.Key("bob"))}
		if len(w.signed) > 0 {
			of = w.signed[w.random.IntN(len(w.signed))]
		}
		at, target := of.Payload, predicate.TargetPayload
		if w.random.IntN(3) == 0 {
			at, target = of.Credential.Standin(), predicate.TargetKey
		}
		w.sign(at, at, predicate.TypeRevocation, map[string]any{"action": "revoke", "target": target, "reason": fmt.Sprint("test ", w.serial), "issuedAt": "2026-02-01T00:00:00Z"})
	case 8: // about a file of a manifest, or of another
		w.sign(w.pick(w.manifests), chaintest.File(fmt.Sprintf("content %d", w.random.IntN(2*len(w.artifacts)))), predicate.TypeProvenance, w.build())
	case 9: // misplaced
		w.sign(w.pick(w.artifacts), about, predicate.TypeProvenance, w.build())
	case 10: // signed, and says nothing that can be read
		w.sign(about, about, predicate.TypeProvenance, map[string]any{"buildDefinition": w.serial})
	case 11:
		w.sign(about, about, "https://example.test/unknown/v1", map[string]any{"n": w.serial, "decision": map[string]any{"payload": "none"}})
	case 12:
		w.Attach(about, fmt.Appendf(nil, "rubbish %d", w.serial))
	case 13: // the same bundle in two places, or twice in one
		if from := w.Bundles(about); len(from) > 0 {
			w.AttachItem(w.pick(w.artifacts), payloadOf(from[0]), attest.Attached{Bundle: from[0], Manifest: attest.SHA256(fmt.Append(nil, w.serial))})
		}
	}
}

// sign signs a statement and attaches it.
func (w *world) sign(at, about attest.Digest, predicateType string, body any) {
	who := w.who()
	payload := w.SignAt(at, who, about, predicateType, body)
	if slices.Contains(trusted[:], who) {
		w.signed = append(w.signed, verify.ID{Payload: payload, Credential: verify.KeyCredential(w.Key(who))})
		w.beside = append(w.beside, at)
	}
}

func (w *world) build() map[string]any {
	deps := []any{}
	for i := range w.random.IntN(4) {
		deps = append(deps, map[string]any{"name": fmt.Sprint("input-", i), "digest": w.pick(w.artifacts).DigestSet(), "annotations": map[string]any{"role": [...]string{"training-data", "code"}[i%2]}})
	}
	if w.random.IntN(5) == 0 { // what nobody holds
		deps = append(deps, map[string]any{"digest": attest.SHA256(fmt.Append(nil, "nowhere", w.random.IntN(5))).DigestSet()})
	}
	return map[string]any{
		"buildDefinition": map[string]any{"buildType": "https://pedigree-ml.github.io/build/train/v1", "externalParameters": map[string]any{"serial": w.serial}, "resolvedDependencies": deps},
		"runDetails":      map[string]any{"builder": map[string]any{"id": fmt.Sprintf("https://ci.example/%d", w.random.IntN(3))}, "metadata": map[string]any{"finishedOn": "2026-01-02T03:04:05Z"}},
	}
}

func (w *world) evaluation() map[string]any {
	return map[string]any{
		"kind": "quality", "evaluatedAt": "2026-01-03T00:00:00Z", "suite": map[string]any{"name": fmt.Sprint("suite ", w.serial)},
		"metrics": map[string]any{"accuracy": map[string]any{"value": "0.9"}},
		"inputs":  []any{map[string]any{"role": "evaluation-data", "digest": w.pick(w.artifacts).DigestSet()}},
	}
}

// ref names a statement and where it lies; sometimes one that is not there.
func (w *world) ref() map[string]any {
	payload, at := attest.SHA256(fmt.Append(nil, "no statement", w.serial)), w.pick(w.artifacts)
	if len(w.signed) > 0 {
		i := w.random.IntN(len(w.signed))
		payload, at = w.signed[i].Payload, w.beside[i]
	}
	return map[string]any{"payload": payload.DigestSet(), "artifact": at.DigestSet()}
}

func (w *world) approval() map[string]any {
	return map[string]any{"decision": "approved", "approvedAt": "2026-01-04T00:00:00Z", "comment": fmt.Sprint(w.serial), "scope": map[string]any{"environments": []any{"prod"}}, "basis": []any{w.ref()}}
}

func (w *world) deployment() map[string]any {
	return map[string]any{"environment": [...]string{"prod", "staging"}[w.random.IntN(2)], "deployedAt": fmt.Sprintf("2026-01-05T00:00:%02dZ", w.serial%60), "decision": w.ref(), "previous": w.ref()}
}

// spoil makes some of the world fail to answer, at random: also about what it does not
// list, unless it lists everything.
func (w *world) spoil(exhaustive bool) {
	codes := [...]attest.Code{attest.CodeRegUnavailable, attest.CodeRegManifest, attest.CodeLimit, attest.CodeDigestAlg}
	refusal := func() error { return attest.Refuse(codes[w.random.IntN(len(codes))], "spoiled") }
	for _, d := range w.artifacts {
		switch w.random.IntN(12) {
		case 0:
			w.Break(d, refusal())
		case 1:
			w.AttachItem(d, attest.Digest{}, attest.Attached{Err: refusal(), Manifest: attest.SHA256([]byte("unreadable"))})
		case 2:
			w.AttachItem(d, attest.Digest{}, attest.Attached{Err: refusal()})
			w.Break(d, refusal())
		}
	}
	for _, d := range w.manifests {
		switch w.random.IntN(12) {
		case 0:
			w.BreakManifest(d, refusal())
		case 1:
			w.Corrupt(d, []byte("{}"))
		}
	}
	if len(w.signed) > 0 && !exhaustive {
		w.Break(w.signed[0].Payload, refusal())
	}
}
