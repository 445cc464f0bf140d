package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Signer is who made a signature and when, as far as others vouch for it. Only
// Authenticate makes one.
type Signer struct {
	Identity Identity
	Claims   Claims
	// Seen is the earliest moment by which as many authorities as the trust asks for
	// say that the signature existed. It is never zero.
	Seen time.Time
}

// Authenticate holds a bundle that is signed under a certificate against the trust:
// the signature over the bundle's payload, the certificate's chain and certificate
// timestamps, the log entries, the timestamps, all by one instance.
//
// Limits come first, then what costs nothing, then one signature after the other, the
// issuer's over the certificate first: who has no certificate of a trusted authority
// can make it work no harder than that.
//
// The error is E_KEY_UNKNOWN if the certificate was issued by none of the authorities
// that are trusted, and else what did not hold: E_SIG_INVALID, E_CERT_CHAIN,
// E_LOG_PROOF, E_LOG_MISMATCH, E_TSA, E_TIME_MISSING, E_TIME_WINDOW, E_IDENTITY, E_KEY,
// E_LIMIT.
func (t *Trust) Authenticate(b *attest.Bundle) (Signer, error) {
	if t == nil || b == nil {
		return Signer{}, attest.Refuse(attest.CodeKeyUnknown, "signed under a certificate, and no authority is trusted")
	}
	c, err := t.newCandidate(b)
	if err != nil {
		return Signer{}, err
	}
	if c.signer.Identity.IsSPIFFE() {
		return c.signer, c.workload(t)
	}
	if len(b.Chain) > 0 {
		return Signer{}, &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "brings a chain along, which only X.509-SVIDs do"}
	}
	// Go takes a certificate without purposes for one with all of them; Fulcio's have one.
	if !slices.Contains(c.leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		return Signer{}, &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "is not for signing code"}
	}
	return c.any(t)
}

// A candidate is a bundle on its way to being believed.
type candidate struct {
	bundle  *attest.Bundle
	leaf    *x509.Certificate
	signer  Signer // whom the certificate names; Seen is zero
	content *signedContent
	stamps  []*stamped
	spoilt  error // why a timestamp could not be read
	checked bool  // the signature
}

// newCandidate reads the certificate.
func (t *Trust) newCandidate(b *attest.Bundle) (*candidate, error) {
	leaf, err := x509.ParseCertificate(b.Certificate)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeBundleParse, Why: "not a certificate", Err: err}
	}
	identity, claims, err := holder(leaf)
	if err != nil {
		return nil, err
	}
	key, err := attest.NewPublicKey(leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	if leaf.IsCA || leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "is an authority's, or not for signatures"}
	}
	// Go marks the name's extension as not understood if there is none in it but
	// Fulcio's other name, which holder has read.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return id.Equal(oidSAN) })
	return &candidate{
		bundle: b, leaf: leaf, signer: Signer{Identity: identity, Claims: claims},
		content: &signedContent{payload: b.Payload, signature: b.Signature, certificate: b.Certificate, spki: leaf.RawSubjectPublicKeyInfo, key: key, memo: &t.memo},
	}, nil
}

// any tries all instances that issued the certificate. If several accept it, the one
// that saw it first counts.
func (c *candidate) any(t *Trust) (Signer, error) {
	var best Signer
	var refused error
	for _, i := range t.instances {
		for _, p := range i.paths {
			if !p.named(c.leaf) {
				continue
			}
			s, err := c.by(t, i, p)
			if err == nil && (best.Seen.IsZero() || s.Seen.Before(best.Seen)) {
				best = s
			}
			// Of two authorities of one name, that the other did not issue it says nothing.
			if refused == nil || attest.RefusalCode(refused) == attest.CodeCertChain {
				refused = cmp.Or(err, refused)
			}
		}
	}
	switch {
	case !best.Seen.IsZero():
		return best, nil
	case refused != nil:
		return Signer{}, refused
	}
	return Signer{}, &attest.Refusal{Code: attest.CodeKeyUnknown, About: "certificate", Why: "issued by no authority that is trusted", Next: "add the instance to the trust file if it should be trusted"}
}

// by holds the bundle against one instance, under one of its paths.
func (c *candidate) by(t *Trust, i *instance, p *path) (Signer, error) {
	w, err := p.below(c.leaf)
	if err != nil {
		return Signer{}, err
	}
	if err := c.signed(); err != nil {
		return Signer{}, err
	}
	entries, err := i.entries(c.bundle, c.content)
	if err != nil {
		return Signer{}, err
	}
	from := i.stamps
	if i.need.shared {
		from = slices.Concat(from, t.authorities)
	}
	said, err := c.times(from, entries)
	if err != nil {
		return Signer{}, err
	}
	seen, err := c.seen(said, i.need.timestamps)
	if err != nil {
		return Signer{}, err
	}
	if n := distinctLogs(entries, seen); n < i.need.logs {
		return Signer{}, &attest.Refusal{Code: attest.CodeLogProof, Why: fmt.Sprintf("in %d of the listed logs while they counted, %d are needed", n, i.need.logs), Next: "sign with the log of the instance that issued the certificate"}
	}
	if !w.contains(seen) {
		return Signer{}, p.expired(w, seen)
	}
	if err := i.recorded(c.leaf, p.above[0]); err != nil {
		return Signer{}, err
	}
	out := c.signer
	out.Seen = seen
	return out, nil
}

// workload holds the bundle against the SPIFFE trust domain that the certificate
// names, and fills in when it was seen.
func (c *candidate) workload(t *Trust) error {
	refused := error(&attest.Refusal{Code: attest.CodeKeyUnknown, About: "certificate", Why: "its SPIFFE trust domain is not trusted", Next: "add the trust domain to the trust file if it should be trusted"})
	known := false
	for _, d := range t.domains {
		if spiffeScheme+d.name != c.signer.Identity.Issuer {
			continue
		}
		err := c.within(t, d)
		if err == nil {
			return nil
		}
		if !known || attest.RefusalCode(refused) == attest.CodeKeyUnknown {
			refused, known = err, true
		}
	}
	c.signer = Signer{}
	return refused
}

func (c *candidate) within(t *Trust, d *domain) error {
	p, w, err := d.path(c.leaf, c.bundle.Chain, &t.memo)
	if err != nil {
		return err
	}
	if err := workload(c.leaf); err != nil {
		return &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "not an X.509-SVID of a workload", Err: err}
	}
	if err := c.signed(); err != nil {
		return err
	}
	said, err := c.times(t.authorities, nil)
	if err != nil {
		return err
	}
	seen, err := c.seen(said, max(1, t.timestamps))
	if err != nil {
		return err
	}
	if !w.contains(seen) {
		return p.expired(w, seen)
	}
	c.signer.Seen = seen
	return nil
}

// signed verifies the signature over the payload.
func (c *candidate) signed() error {
	if c.checked {
		return nil
	}
	c.content.message = dsse.PAE(attest.PayloadType, c.content.payload)
	// The hash belongs to the key (SHA-384 with P-384); the bundle has no say in it.
	v, err := signature.LoadVerifier(c.content.key.Crypto(), c.content.key.Hash())
	if err != nil {
		return &attest.Refusal{Code: attest.CodeKey, About: "certificate", Err: err}
	}
	if err := v.VerifySignature(bytes.NewReader(c.content.signature), bytes.NewReader(c.content.message)); err != nil {
		return &attest.Refusal{Code: attest.CodeSigInvalid, About: c.signer.Identity.String(), Why: "the certificate's key did not make this signature", Next: "get the bundle again from whoever signed; it may have been changed"}
	}
	c.checked = true
	return nil
}

// A saying is what one authority says: the signature existed then.
type saying struct {
	who string
	at  time.Time
}

// times returns what the authorities and logs say, in no order, and several times by
// one of them if it said so several times.
func (c *candidate) times(from []*authority, entries []logged) ([]saying, error) {
	if c.stamps == nil {
		c.stamps = []*stamped{}
		for _, der := range c.bundle.Timestamps {
			s, err := readStamp(der)
			switch {
			case attest.RefusalCode(err) == attest.CodeLimit:
				return nil, err
			case err != nil:
				c.spoilt = err
			default:
				c.stamps = append(c.stamps, s)
			}
		}
	}
	out, why := ask(from, c.stamps, c.bundle.Signature, c.content.memo)
	c.spoilt = cmp.Or(why, c.spoilt)
	if errors.Is(why, errForged) {
		return nil, c.badStamp()
	}
	for _, e := range entries {
		if !e.at.IsZero() {
			out = append(out, saying{e.log.who, e.at})
		}
	}
	return out, nil
}

// ask asks each authority about each timestamp, until one is forged. The error is why
// one did not verify.
func ask(from []*authority, stamps []*stamped, signature []byte, m *memo) (out []saying, why error) {
	for _, s := range stamps {
		var other error
		found := false
		for _, a := range from {
			at, err := a.time(s, signature, m)
			if err == nil {
				out, found = append(out, saying{a.who, at}), true
			} else if other == nil || errors.Is(err, errForged) || !errors.Is(err, errOther) && !errors.Is(other, errForged) {
				other = err
			}
		}
		switch {
		case found:
		case errors.Is(other, errForged): // by none, though authorities may have one name
			return out, other
		default:
			why = cmp.Or(other, why)
		}
	}
	return out, why
}

// seen returns the time by which as many distinct authorities as needed say that the
// signature existed. Only times in the certificate's window count. One before it is a
// contradiction: a signature under a certificate that did not exist. One after it only
// proves less than another.
func (c *candidate) seen(said []saying, need int) (time.Time, error) {
	w := window{c.leaf.NotBefore, c.leaf.NotAfter}
	outside := func(at time.Time) error {
		return &attest.Refusal{Code: attest.CodeTimeWindow, About: "certificate", Why: fmt.Sprintf("signed at %s, and the certificate is valid from %s", stamp(at), w), Next: "check the clocks of signer, log and authority"}
	}
	var late time.Time
	in := said[:0:0]
	for _, s := range said {
		switch {
		case s.at.Before(w.from):
			return time.Time{}, outside(s.at)
		case w.contains(s.at):
			in = append(in, s)
		case late.IsZero() || s.at.Before(late):
			late = s.at
		}
	}
	if at, ok := nth(in, need); ok {
		return at, nil
	}
	switch {
	case !late.IsZero():
		return time.Time{}, outside(late)
	case c.spoilt != nil:
		return time.Time{}, c.badStamp()
	}
	return time.Time{}, &attest.Refusal{Code: attest.CodeTimeMissing, Why: fmt.Sprintf("a certificate was valid for a short time, and %d of %d trusted authorities say when the signature was made", len(earliest(in)), need), Next: "sign with a timestamp authority that is trusted"}
}

func (c *candidate) badStamp() error {
	return &attest.Refusal{Code: attest.CodeTSA, Why: "a timestamp is not by a trusted authority, over this signature, within its validity", Err: oneLine(c.spoilt), Next: "add the authority to the trust file if it should be trusted"}
}

// nth returns the need-th earliest of the times, one for each who.
func nth(said []saying, need int) (time.Time, bool) {
	first := earliest(said)
	if need < 1 || len(first) < need {
		return time.Time{}, false
	}
	return first[need-1], true
}

// earliest returns each authority's earliest time, sorted.
func earliest(said []saying) []time.Time {
	first := map[string]time.Time{}
	for _, s := range said {
		if old, ok := first[s.who]; !ok || s.at.Before(old) {
			first[s.who] = s.at
		}
	}
	out := make([]time.Time, 0, len(first))
	for _, at := range first {
		out = append(out, at)
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}
