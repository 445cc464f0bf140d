package trust

import (
	"fmt"
	"maps"
	"time"

	"crypto/x509"

	"github.com/pedigree-ml/pedigree/attest"
)

// A keyWindow is a key that counts for a time only.
type keyWindow struct {
	key attest.PublicKey
	window
	compromisedSince time.Time // zero: never
}

// Keys returns the keys that the trust lists.
func (t *Trust) Keys() []attest.PublicKey {
	if t == nil {
		return nil
	}
	out := make([]attest.PublicKey, len(t.keys))
	for i, k := range t.keys {
		out[i] = k.key
	}
	return out
}

// Seen returns since when the signature of a bundle that key made is known to exist:
// zero if nobody who is trusted says so. The signature must have been verified. It
// is an error, E_KEY_WINDOW or E_REVOKED, if the trust lists the key and it did not
// count then; claimed is the time that the statement itself gives.
//
// Timestamps by the trust's own authorities count, and log entries with a signed time
// of any instance. What cannot be verified is passed over: for a key nobody needs to
// say when, and whoever stores a bundle could spoil it.
func (t *Trust) Seen(key attest.PublicKey, b *attest.Bundle, claimed time.Time) (time.Time, error) {
	if t == nil || b == nil {
		return time.Time{}, nil
	}
	seen := t.seenKey(key, b)
	for _, k := range t.keys {
		if k.key.Fingerprint() != key.Fingerprint() {
			continue
		}
		if err := k.counts(claimed, seen); err != nil {
			return time.Time{}, err
		}
	}
	return seen, nil
}

func (t *Trust) seenKey(key attest.PublicKey, b *attest.Bundle) time.Time {
	var stamps []*stamped
	for _, der := range b.Timestamps {
		if s, err := readStamp(der); err == nil {
			stamps = append(stamps, s)
		}
	}
	var said []saying
	for _, s := range stamps { // one by one: a forged one ends nothing here
		at, _ := ask(t.authorities, []*stamped{s}, b.Signature, &t.memo)
		said = append(said, at...)
	}
	if len(b.LogEntries) > 0 && len(t.instances) > 0 {
		said = append(said, t.loggedKey(key, b)...)
	}
	at, _ := nth(said, max(1, t.timestamps))
	return at
}

// loggedKey returns what logs with a signed time say about a key's signature.
func (t *Trust) loggedKey(key attest.PublicKey, b *attest.Bundle) []saying {
	spki, err := x509.MarshalPKIXPublicKey(key.Crypto())
	if err != nil {
		return nil // the zero key, which signs nothing
	}
	logs := map[string]*log{}
	for _, i := range t.instances {
		maps.Copy(logs, i.logs)
	}
	content := &signedContent{payload: b.Payload, signature: b.Signature, spki: spki, key: key, memo: &t.memo}
	var out []saying
	for _, raw := range b.LogEntries {
		e, err := readEntry(raw)
		if err != nil || e.Promise == nil {
			continue // only a promise has a time
		}
		l, ok := logs[string(e.LogID.KeyID)]
		if !ok {
			continue
		}
		if at, err := e.verifyV1(l, content); err == nil && !at.IsZero() {
			out = append(out, saying{l.who, at})
		}
	}
	return out
}

// counts says why a key did not count when it signed; nil if it did.
func (k *keyWindow) counts(claimed, seen time.Time) error {
	who := k.key.Fingerprint().String()
	if !k.compromisedSince.IsZero() && (seen.IsZero() || !seen.Before(k.compromisedSince)) {
		return &attest.Refusal{Code: attest.CodeRevoked, About: who, Why: "the trust file says that the key is compromised since " + stamp(k.compromisedSince) + ", and nobody says that it signed before", Next: "sign again with another key"}
	}
	if k.from.IsZero() && k.until.IsZero() {
		return nil
	}
	if claimed.IsZero() && seen.IsZero() {
		return &attest.Refusal{Code: attest.CodeKeyWindow, About: who, Why: "the key counts for a time only, and nothing says when this was signed", Next: "sign with a timestamp authority that is trusted"}
	}
	for _, at := range []time.Time{claimed, seen} {
		if !at.IsZero() && !k.contains(at) {
			return &attest.Refusal{Code: attest.CodeKeyWindow, About: who, Why: fmt.Sprintf("the key counts from %s, and signed at %s", k.window, stamp(at)), Next: "sign again with a key that is valid"}
		}
	}
	return nil
}
