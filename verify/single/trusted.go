package single

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// This file answers under a trust file. Who decides depends on the bundle's form. What
// policies are judged by, bundles v0.3 with a statement, the trust itself decides
// ([trust.Trust.Authenticate]), so that verify and verify-bundle cannot disagree about
// a signature. Older bundles and signatures over files only sigstore-go reads; it is
// asked about each instance, with the thresholds of the trust file. In both cases the
// report comes from verifying each part again, alone.

// Trusted is the trust file that a report rests on, and what of it was used.
type Trusted struct {
	Name    string        `json:"name"`
	Version int           `json:"version,omitempty"`
	Digest  attest.Digest `json:"digest"`
	// Instance vouched for the signer; "" for a key and an X.509-SVID.
	Instance string `json:"instance,omitempty"`
	// Domain is the SPIFFE trust domain that did.
	Domain string `json:"domain,omitempty"`
	// How many distinct logs, authorities that say when, and logs of certificates the
	// trust asks for.
	Logs            int `json:"logs"`
	Timestamps      int `json:"timestamps"`
	CertificateLogs int `json:"certificateLogs"`
}

// under answers a question that names a trust.
func under(q Question) (*Report, error) {
	parsed, form := attest.ParseBundle(q.Bundle)
	raw := q.Bundle
	if form == nil && len(parsed.Chain) > 0 {
		var err error
		if raw, err = leafOnly(q.Bundle); err != nil {
			return nil, err
		}
	}
	e, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if e.certificate == nil {
		return underKey(q, e, parsed)
	}
	if !q.Key.IsZero() {
		return nil, e.signedBy(q)
	}
	if err := e.oneIdentity(); err != nil {
		return nil, err
	}
	m, err := e.measure(q)
	if err != nil {
		return nil, err
	}
	if form == nil {
		return underAuthorities(q, e, m, parsed)
	}
	return underInstances(q, e, m)
}

// leafOnly writes the bundle of an X.509-SVID, which ParseBundle has accepted, as one
// that sigstore-go reads, who knows no such chain: with the leaf alone. The chain is the
// trust's business.
func leafOnly(b []byte) ([]byte, error) {
	var bundle, material map[string]json.RawMessage
	var chain struct {
		Certificates []json.RawMessage `json:"certificates"`
	}
	err := json.Unmarshal(b, &bundle)
	if err == nil {
		err = json.Unmarshal(bundle["verificationMaterial"], &material)
	}
	if err == nil {
		err = json.Unmarshal(material["x509CertificateChain"], &chain)
	}
	if err != nil || len(chain.Certificates) == 0 {
		return nil, unreadable(fmt.Errorf("no certificate chain: %w", err)) // unreachable: it was parsed
	}
	delete(material, "x509CertificateChain")
	material["certificate"] = chain.Certificates[0]
	if bundle["verificationMaterial"], err = json.Marshal(material); err != nil {
		return nil, unreadable(err) // unreachable
	}
	return json.Marshal(bundle)
}

// underAuthorities lets the trust decide about a statement under a certificate.
func underAuthorities(q Question, e *entity, m measured, b *attest.Bundle) (*Report, error) {
	signer, err := q.Trust.Authenticate(b)
	if err != nil {
		return nil, err
	}
	if err := q.asked(signer.Identity); err != nil {
		return nil, err
	}
	statement, err := e.statement(m.digest)
	if err != nil {
		return nil, err
	}
	c := &check{question: q, entity: e, artifact: m, seen: signer.Seen}
	c.use(instanceOf(q.Trust, signer, e))
	return c.report(&sigstore.VerificationResult{}, statement)
}

// instanceOf finds which instance of the trust vouched for a signer.
func instanceOf(t *trust.Trust, signer trust.Signer, e *entity) *trust.Sigstore {
	if signer.Identity.IsSPIFFE() {
		return t.Witnesses()
	}
	for _, s := range t.Sigstores() {
		if _, err := sigstore.VerifyLeafCertificate(signer.Seen, e.certificate, s); err == nil {
			return s
		}
	}
	return t.Witnesses() // unreachable: it has just been vouched for
}

// underInstances asks sigstore-go, about each instance.
func underInstances(q Question, e *entity, m measured) (*Report, error) {
	got, err := holder(e.certificate)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeIdentity, About: "certificate", Err: err}
	}
	if err := q.asked(trust.Identity{Issuer: got.Issuer, Subject: got.Subject}); err != nil {
		return nil, err
	}
	q.Identity = got
	refused := error(&attest.Refusal{Code: attest.CodeKeyUnknown, About: "certificate", Why: "the trust file lists no Sigstore instance", Next: "add the instance to the trust file if it should be trusted"})
	foreign := true
	for _, s := range q.Trust.Sigstores() {
		c := &check{question: q, entity: e, artifact: m}
		c.use(s)
		result, err := c.sigstore()
		if err == nil {
			statement, err := e.statement(m.digest)
			if err != nil {
				return nil, err
			}
			c.seen = earliest(result)
			return c.report(result, statement)
		}
		// What an instance says about a certificate of another one explains nothing.
		if _, err := sigstore.VerifyLeafCertificate(e.certificate.NotBefore.Add(time.Second), e.certificate, s); err == nil || foreign {
			refused, foreign = c.diagnose(errors.New("not by what "+s.Name+" lists")), err != nil
		}
	}
	if foreign && len(q.Trust.Sigstores()) > 0 {
		return nil, &attest.Refusal{Code: attest.CodeKeyUnknown, About: "certificate", Why: "issued by no authority that is trusted", Next: "add the instance to the trust file if it should be trusted"}
	}
	return nil, refused
}

func earliest(r *sigstore.VerificationResult) time.Time {
	var first time.Time
	for _, t := range r.VerifiedTimestamps {
		if first.IsZero() || t.Timestamp.Before(first) {
			first = t.Timestamp
		}
	}
	return first
}

// underKey answers about a signature by a plain key: one that was asked for, or else
// one that the trust lists.
func underKey(q Question, e *entity, parsed *attest.Bundle) (*Report, error) {
	if q.Identity != (Identity{}) {
		return nil, e.signedBy(q)
	}
	keys := []attest.PublicKey{q.Key}
	if q.Key.IsZero() {
		keys = q.Trust.Keys()
	}
	if parsed == nil {
		// A signature over a file, or an old bundle: only its timestamps say when.
		parsed = &attest.Bundle{Signature: e.content.Signature(), Timestamps: e.stamps}
	}
	refused := error(&attest.Refusal{Code: attest.CodeKeyUnknown, Why: "signed with a key, and the trust file lists none", Next: "name the key, --key; or list it in the trust file"})
	var m *measured
	for _, k := range keys {
		q.Key = k
		if m == nil {
			// Every key but Ed25519 signs a digest; the content is read once, as the first
			// needs it.
			got, err := e.measureFor(q, keys)
			if err != nil {
				return nil, err
			}
			m = &got
		}
		c := &check{question: q, entity: e, artifact: *m}
		witnesses := q.Trust.Witnesses()
		c.use(witnesses)
		key, err := keyMaterial(k)
		if err != nil {
			return nil, err
		}
		c.trust = root.TrustedMaterialCollection{key, witnesses}
		if _, err := c.sigstore(); err != nil {
			refused = c.diagnose(err)
			continue
		}
		statement, err := e.statement(m.digest)
		if err != nil {
			return nil, err
		}
		if c.seen, err = q.Trust.Seen(k, parsed, claimed(statement)); err != nil {
			return nil, err
		}
		return c.report(&sigstore.VerificationResult{}, statement)
	}
	if len(keys) > 1 {
		return nil, &attest.Refusal{Code: attest.CodeKeyUnknown, Why: "none of the keys that the trust file lists made the signature", Next: "name the key, --key; or list it in the trust file"}
	}
	return nil, refused
}

// claimed is when a statement says that it was made; zero if it does not say.
func claimed(s *attest.Statement) time.Time {
	if s == nil {
		return time.Time{}
	}
	facts, err := predicate.Decode(s)
	if err != nil {
		return time.Time{}
	}
	return facts.Claimed
}

// measureFor measures the artifact for any of several keys.
func (e *entity) measureFor(q Question, keys []attest.PublicKey) (measured, error) {
	for _, k := range keys {
		if k.Hash() == 0 {
			q.Key = k // plain Ed25519 needs the content itself
		}
	}
	return e.measure(q)
}

// keyMaterial is what sigstore-go takes for a key.
func keyMaterial(k attest.PublicKey) (root.TrustedMaterial, error) {
	// The hash belongs to the key; a bundle has no say in it.
	v, err := signature.LoadVerifier(k.Crypto(), k.Hash())
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeKey, About: k.Fingerprint().String(), Err: err}
	}
	key := root.NewExpiringKey(v, time.Time{}, time.Time{})
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return key, nil // the argument is the bundle's hint, which must choose nothing
	}), nil
}

// use makes an instance of the trust what the check is against.
func (c *check) use(s *trust.Sigstore) {
	c.trust, c.need = s, s
}

// asked refuses somebody else than was asked for. Without anybody named, it is whoever
// the trust vouches for.
func (q Question) asked(got trust.Identity) error {
	want := trust.Identity{Issuer: q.Identity.Issuer, Subject: q.Identity.Subject}
	if want.IsZero() || got == want {
		return nil
	}
	return otherIdentity(Identity{Subject: got.Subject, Issuer: got.Issuer}, q.Identity)
}
