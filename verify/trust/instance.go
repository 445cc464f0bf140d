package trust

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	sumnote "golang.org/x/mod/sumdb/note"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// maxTrustedRoot bounds a trusted_root.json. Sigstore's own, the largest known,
	// has less than 7 kB.
	maxTrustedRoot = 1 << 20

	// maxListed bounds each list of a trusted root: an instance that changed each of
	// its keys every year for thirty years.
	maxListed = 32

	// maxAbove is how many certificates may be above the signer's. Fulcio has two, and
	// SPIFFE with an upstream authority four. Everything that builds paths is bounded by
	// it, before it builds any.
	maxAbove = 4
)

// A window is a time with both its ends in it; a zero end is open.
type window struct{ from, until time.Time }

// contains reports whether t is in the window, its ends included.
func (w window) contains(t time.Time) bool {
	return !t.Before(w.from) && (w.until.IsZero() || !t.After(w.until))
}

// within returns what both windows have in common. It may contain no time.
func (w window) within(o window) window {
	if o.from.After(w.from) {
		w.from = o.from
	}
	if w.until.IsZero() || !o.until.IsZero() && o.until.Before(w.until) {
		w.until = o.until
	}
	return w
}

// empty reports whether no time is in the window.
func (w window) empty() bool { return !w.until.IsZero() && w.until.Before(w.from) }

func (w window) String() string { return bound(w.from) + " to " + bound(w.until) }

func bound(t time.Time) string {
	if t.IsZero() {
		return "ever"
	}
	return stamp(t)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// thresholds say how many must vouch. Zero asks for one if the trusted root lists
// any, and none for nobody; of timestamps one is always needed, because certificates
// are valid for minutes.
type thresholds struct {
	logs, timestamps, certificateLogs int
	// shared says that the Trust's own timestamp authorities count too.
	shared bool
}

const none = -1

// resolve fills in what is 0, and refuses what can never be reached.
func resolve(what string, want, listed int) (int, error) {
	switch {
	case want == 0:
		return min(1, listed), nil
	case want == none:
		return 0, nil
	case want < 0:
		return 0, attest.Refuse(attest.CodeTrustRoot, "%d %s asked for", want, what)
	case want > listed:
		return 0, attest.Refuse(attest.CodeTrustRoot, "%d %s asked for, and the trusted root lists %d", want, what, listed)
	}
	return want, nil
}

// An instance is one Sigstore instance: what one operator runs together.
type instance struct {
	name   string
	root   *root.TrustedRoot // what it was made of
	paths  []*path
	logs   map[string]*log // by log id, its bytes
	ctLogs map[string]*log // by log id, its bytes
	stamps []*authority
	need   thresholds // with nothing left to fill in
}

// A log is a transparency log, of signatures or of certificates.
type log struct {
	window
	sigstore *root.TransparencyLog
	who      string // its key: what tells it from another log
	verifier signature.Verifier
	note     sumnote.Verifier // of checkpoints; nil for a log of certificates
	noNote   error            // why there is none
}

// newInstance reads a Sigstore trusted_root.json. Every authority and log in it must
// say from when on it counts. Every refusal is E_TRUSTROOT.
func newInstance(name string, trustedRoot []byte, t thresholds) (*instance, error) {
	tr, err := readRoot(trustedRoot)
	if err != nil {
		return nil, err
	}
	i := &instance{name: name, need: t, root: tr}
	for _, ca := range tr.FulcioCertificateAuthorities() {
		f, ok := ca.(*root.FulcioCertificateAuthority)
		if !ok {
			return nil, unusable(fmt.Errorf("a certificate authority of type %T", ca)) // unreachable: the reader makes no other
		}
		paths, err := newPaths(slices.Concat(f.Intermediates, []*x509.Certificate{f.Root}), window{f.ValidityPeriodStart, f.ValidityPeriodEnd}, x509.ExtKeyUsageCodeSigning)
		if err != nil {
			return nil, err
		}
		i.paths = append(i.paths, paths...)
	}
	for _, ta := range tr.TimestampingAuthorities() {
		s, ok := ta.(*root.SigstoreTimestampingAuthority)
		if !ok {
			return nil, unusable(fmt.Errorf("a timestamp authority of type %T", ta)) // unreachable: the reader makes no other
		}
		chain := slices.Clone(s.Intermediates)
		if s.Leaf != nil {
			chain = slices.Insert(chain, 0, s.Leaf)
		}
		if s.Root != nil {
			chain = append(chain, s.Root)
		}
		a, err := newAuthority(s.URI, chain, window{s.ValidityPeriodStart, s.ValidityPeriodEnd})
		if err != nil {
			return nil, err
		}
		i.stamps = append(i.stamps, a)
	}
	if i.logs, err = newLogs(tr.RekorLogs(), true); err != nil {
		return nil, err
	}
	if i.ctLogs, err = newLogs(tr.CTLogs(), false); err != nil {
		return nil, err
	}
	if len(i.paths) == 0 {
		return nil, unusable(fmt.Errorf("no certificate authority"))
	}
	tellApart(i.stamps)
	return i, i.threshold()
}

// threshold settles how many must vouch.
func (i *instance) threshold() (err error) {
	if i.need.logs, err = resolve("logs", i.need.logs, distinct(i.logs)); err != nil {
		return err
	}
	if i.need.certificateLogs, err = resolve("certificate logs", i.need.certificateLogs, distinct(i.ctLogs)); err != nil {
		return err
	}
	if i.need.timestamps < 0 {
		return attest.Refuse(attest.CodeTrustRoot, "no timestamps asked for; a certificate is valid for minutes, and somebody must say when")
	}
	i.need.timestamps = max(1, i.need.timestamps)
	return nil
}

// distinct counts logs by their keys.
func distinct(logs map[string]*log) int {
	keys := map[string]bool{}
	for _, l := range logs {
		keys[l.who] = true
	}
	return len(keys)
}

// readRoot reads a trusted root. sigstore-go's reader is the one that counts; ours
// refuses what it and another could read differently.
func readRoot(b []byte) (*root.TrustedRoot, error) {
	v, err := strictjson.Parse(b, maxTrustedRoot)
	if err != nil {
		return nil, unusable(err)
	}
	ids := map[string]bool{}
	for _, m := range v.Members() {
		if n := len(m.Value.Items()); n > maxListed {
			return nil, unusable(fmt.Errorf("%d %s, at most %d are read", n, m.Key, maxListed))
		}
		for _, item := range m.Value.Items() {
			// A later log would silently take an earlier one's place.
			if id, ok := item.Get("logId"); ok {
				key := m.Key + string(id.Canonical())
				if ids[key] {
					return nil, unusable(fmt.Errorf("one log id twice in %s", m.Key))
				}
				ids[key] = true
			}
			chain, _ := item.Get("certChain")
			certs, _ := chain.Get("certificates")
			if n := len(certs.Items()); n > maxAbove+1 {
				return nil, unusable(fmt.Errorf("a chain of %d certificates, at most %d are read", n, maxAbove+1))
			}
		}
	}
	tr, err := root.NewTrustedRootFromJSON(b)
	if err != nil {
		return nil, unusable(err)
	}
	return tr, nil
}

func unusable(err error) error {
	return &attest.Refusal{Code: attest.CodeTrustRoot, Why: "not a usable trusted root", Err: err, Next: "get trusted_root.json again from whoever runs the Sigstore instance"}
}

func newLogs(listed map[string]*root.TransparencyLog, notes bool) (map[string]*log, error) {
	out := make(map[string]*log, len(listed))
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		l := listed[id]
		raw, err := hex.DecodeString(id)
		if err != nil {
			return nil, unusable(err) // unreachable: the reader wrote it
		}
		spki, err := x509.MarshalPKIXPublicKey(l.PublicKey)
		if err != nil {
			return nil, unusable(err)
		}
		v, err := signature.LoadVerifier(l.PublicKey, l.SignatureHashFunc)
		if err != nil {
			return nil, unusable(err)
		}
		if l.ValidityPeriodStart.IsZero() {
			return nil, unusable(fmt.Errorf("log %s does not say from when on it counts", l.BaseURL)) // unreachable: the reader refuses it
		}
		made := &log{window: window{l.ValidityPeriodStart, l.ValidityPeriodEnd}, sigstore: l, who: attest.SHA256(spki).String(), verifier: v}
		if notes {
			made.note, made.noNote = newNote(l, v)
		}
		out[string(raw)] = made
	}
	return out, nil
}

// newNote makes the verifier of a log's checkpoints. The origin of a Rekor v2 log is
// the host of its URL; without one it has none, which matters only to its entries.
func newNote(l *root.TransparencyLog, v signature.Verifier) (sumnote.Verifier, error) {
	u, err := url.Parse(l.BaseURL)
	if err != nil {
		return nil, err
	}
	return note.NewNoteVerifier(u.Hostname(), v)
}

// OfTrustedRoot returns the Trust in one Sigstore instance, as its trusted_root.json
// lists it: a log entry, a certificate timestamp and a timestamp are demanded if the
// root lists anybody who makes them. Its timestamp authorities count for plain keys
// too. Every refusal is E_TRUSTROOT.
func OfTrustedRoot(json []byte) (*Trust, error) {
	i, err := newInstance("trusted root", json, thresholds{})
	if err != nil {
		return nil, err
	}
	parts, err := rootParts(i.name, json)
	if err != nil {
		return nil, unusable(err)
	}
	d := attest.SHA256(json)
	return &Trust{name: i.name, digest: d, material: d, instances: []*instance{i}, authorities: i.stamps, timestamps: 1, told: description{parts: parts}}, nil
}
