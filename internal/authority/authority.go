// Package authority makes the authorities that signatures rest on, for tests and
// rehearsals: at any time, and wrong in any way that a test asks for.
//
// Nothing here is a stand-in that says yes. A [CA] issues X.509 certificates with
// Fulcio's extensions, a [CTLog] signs certificate timestamps over the precertificate
// (RFC 6962), a [Log] grows a Merkle tree, proves inclusion and signs checkpoints, a
// [TSA] signs RFC 3161 tokens, a [Domain] issues SVIDs. Whoever verifies what they
// made does all the work that the real ones cause. What differs is time: no clock
// is read, every moment is an argument, so a certificate of last year and a timestamp
// of the year 2100 cost as much as those of today.
//
// An [Instance] has one of each, as a private Sigstore instance has, and describes
// itself as a trusted_root.json. To be wrong, a test changes what is about to be
// signed (a certificate's template, a [Stamping]) or takes a finished bundle apart
// and puts it together otherwise ([Open]).
//
// Every key is made from a name, and signatures are made without randomness, so the
// same calls give the same bytes. Nobody may trust such an authority for anything
// real: whoever knows the name has the key.
package authority

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// An Instance is one Sigstore instance: who issues certificates, and who records and
// times what is signed under them. Its fields may be changed before it is used.
type Instance struct {
	Name            string
	CAs             []*CA
	CertificateLogs []*CTLog
	Logs            []*Log
	TSAs            []*TSA
}

// New makes an instance with one authority of each kind, all valid from the given
// time for ten years and listed without an end: a CA with an intermediate, a CT log,
// a Rekor v2 log with an Ed25519 key, and a timestamp authority. Hosts are of the
// name: rekor.NAME, tsa.NAME.
func New(name string, from time.Time) (*Instance, error) {
	ca, err := NewCA("https://fulcio."+name, from)
	if err != nil {
		return nil, err
	}
	ct, err := NewCTLog("https://ct."+name, from)
	if err != nil {
		return nil, err
	}
	l, err := NewLog("rekor."+name, from)
	if err != nil {
		return nil, err
	}
	tsa, err := NewTSA("https://tsa."+name, from)
	if err != nil {
		return nil, err
	}
	return &Instance{Name: name, CAs: []*CA{ca}, CertificateLogs: []*CTLog{ct}, Logs: []*Log{l}, TSAs: []*TSA{tsa}}, nil
}

// Signer returns a signer with a certificate of the first CA, recorded in the CT
// logs: for an ephemeral P-256 key, valid for ten minutes from the given time. Changes
// are made to the certificate's template before it is recorded and signed.
func (i *Instance) Signer(who trust.Identity, claims trust.Claims, at time.Time, changes ...func(*x509.Certificate)) (attest.Signer, error) {
	key, err := newKey(P256, fmt.Sprintf("ephemeral\n%s\n%s\n%v\n%d", i.Name, who, claims, at.UnixNano()))
	if err != nil {
		return nil, err
	}
	return i.Certify(key, who, claims, at, changes...)
}

// Certify is Signer for a key that the caller chose.
func (i *Instance) Certify(key Key, who trust.Identity, claims trust.Claims, at time.Time, changes ...func(*x509.Certificate)) (attest.Signer, error) {
	if len(i.CAs) == 0 {
		return nil, fmt.Errorf("instance %s has no certificate authority", i.Name)
	}
	der, err := i.CAs[0].Issue(Request{Key: key.Public(), Identity: who, Claims: claims, At: at, Logs: i.CertificateLogs, Changes: changes})
	if err != nil {
		return nil, err
	}
	return newSigner(key, der, nil)
}

// Witnesses returns everyone of the instance who says that a signature exists, at
// the given time: each log and each timestamp authority.
func (i *Instance) Witnesses(at time.Time) []attest.Witness {
	var out []attest.Witness
	for _, l := range i.Logs {
		out = append(out, l.At(at))
	}
	for _, t := range i.TSAs {
		out = append(out, t.At(at))
	}
	return out
}

// Sign signs a statement's bytes in the name of an identity: certified at the given
// time, and recorded and timed ten seconds later.
func (i *Instance) Sign(ctx context.Context, payload []byte, who trust.Identity, claims trust.Claims, at time.Time) ([]byte, error) {
	s, err := i.Signer(who, claims, at)
	if err != nil {
		return nil, err
	}
	return attest.Sign(ctx, payload, s, i.Witnesses(at.Add(10*time.Second))...)
}

// A Job is one statement that SignAll signs.
type Job struct {
	Payload []byte
	Who     trust.Identity
	Claims  trust.Claims
	At      time.Time
}

// SignAll is Sign for many statements that the logs integrate together: the proofs of
// all of them lead to the same checkpoint.
func (i *Instance) SignAll(ctx context.Context, jobs []Job) ([][]byte, error) {
	bundles := make([]*Bundle, len(jobs))
	type record struct {
		log *Log
		as  Record
	}
	records := make([][]record, len(jobs))
	for n, j := range jobs {
		s, err := i.Signer(j.Who, j.Claims, j.At)
		if err != nil {
			return nil, err
		}
		at := j.At.Add(10 * time.Second)
		var witnesses []attest.Witness
		for _, t := range i.TSAs {
			witnesses = append(witnesses, t.At(at))
		}
		for _, l := range i.Logs {
			witnesses = append(witnesses, witness(func(made attest.Signature) (attest.Testimony, error) {
				as, err := l.Integrate(made, at)
				records[n] = append(records[n], record{l, as})
				return attest.Testimony{}, err
			}))
		}
		b, err := attest.Sign(ctx, j.Payload, s, witnesses...)
		if err != nil {
			return nil, err
		}
		if bundles[n], err = Open(b); err != nil {
			return nil, err
		}
	}
	out := make([][]byte, len(jobs))
	for n, b := range bundles {
		for _, r := range records[n] {
			e, err := r.log.Prove(r.as)
			if err != nil {
				return nil, err
			}
			b.Entries = append(b.Entries, e)
		}
		var err error
		if out[n], err = b.Bytes(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// witness is a function as an attest.Witness.
type witness func(attest.Signature) (attest.Testimony, error)

func (w witness) Witness(ctx context.Context, s attest.Signature) (attest.Testimony, error) {
	if err := ctx.Err(); err != nil {
		return attest.Testimony{}, err
	}
	return w(s)
}
