package trust_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The attacks are tried on what is made here: everything in it is signed, logged and
// timed for real, and then one thing is wrong.

var (
	listed = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	// noon is when certificates are issued; they are valid until noon + 10 minutes.
	noon = time.Date(2025, 3, 4, 12, 0, 0, 0, time.UTC)

	trainer = trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/acme/credit/train@refs/heads/main"}
	build   = trust.Claims{BuildSigner: trainer.Subject, SourceRepository: "https://ci.example/acme/credit", SourceRef: "refs/heads/main", BuildTrigger: "push"}
)

// A lab is one Sigstore instance, and those who attack it.
type lab struct {
	t testing.TB
	*authority.Instance
}

func newLab(t testing.TB) lab { return lab{t, good(authority.New("acme.test", listed))(t)} }

// good takes a result, or ends the test.
func good[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func statement(t testing.TB, about string) []byte {
	t.Helper()
	return good(attest.NewStatement(attest.Subject{Name: "model", Digest: attest.SHA256([]byte(about))}, "https://example.test/v1", map[string]any{"about": about}))(t)
}

// trust believes the instance as its trusted_root.json describes it.
func (l lab) trust() *trust.Trust {
	l.t.Helper()
	return good(trust.OfTrustedRoot(good(l.TrustedRoot())(l.t)))(l.t)
}

// file believes what a trust file says; of the instance it has the lines given, and
// after that whatever else belongs to the file.
func (l lab) file(instance string, rest ...string) (*trust.Trust, error) {
	l.t.Helper()
	src := "apiVersion: pedigree-ml.github.io/v1\nkind: Trust\nmetadata: {name: acme, version: 1, expires: 2034-01-01T00:00:00Z}\n"
	if instance != "" {
		src += "sigstore: [{name: acme, trustedRoot: root.json, " + instance + "}]\n"
	}
	files := map[string][]byte{"root.json": good(l.TrustedRoot())(l.t)}
	for n, tsa := range l.TSAs {
		files[fmt.Sprintf("tsa%d.pem", n)] = authority.PEM(tsa.Chain()...)
	}
	return trust.Load([]byte(src+strings.Join(rest, "\n")), func(path string) ([]byte, error) {
		if b, ok := files[path]; ok {
			return b, nil
		}
		return nil, attest.ErrAbsent
	}, nil)
}

// sign signs as the trainer at noon; everybody of the instance says that it was there
// ten seconds later. Changes are made to the certificate.
func (l lab) sign(changes ...func(*x509.Certificate)) *authority.Bundle {
	l.t.Helper()
	return l.signed("a model", l.Witnesses(noon.Add(10*time.Second)), changes...)
}

// signed signs about something, before these witnesses.
func (l lab) signed(about string, w []attest.Witness, changes ...func(*x509.Certificate)) *authority.Bundle {
	l.t.Helper()
	s := good(l.Signer(trainer, build, noon, changes...))(l.t)
	return l.signedBy(s, about, w...)
}

func (l lab) signedBy(s attest.Signer, about string, w ...attest.Witness) *authority.Bundle {
	l.t.Helper()
	return good(authority.Open(good(attest.Sign(context.Background(), statement(l.t, about), s, w...))(l.t)))(l.t)
}

// bare signs as the trainer at noon, before nobody.
func (l lab) bare() *authority.Bundle {
	l.t.Helper()
	return l.signed("a model", nil)
}

// signature is what a witness is shown of a bundle.
func (l lab) signature(b *authority.Bundle) attest.Signature {
	l.t.Helper()
	c := good(x509.ParseCertificate(b.Certificate))(l.t)
	return attest.Signature{
		Material: attest.Material{Key: good(attest.NewPublicKey(c.PublicKey))(l.t), Certificate: b.Certificate},
		Payload:  b.Payload, Message: pae(b.PayloadType, b.Payload), Sig: b.Signature,
	}
}

// pae is DSSE's pre-authentication encoding.
func pae(typ string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(typ), typ, len(payload), payload)
}

// logged adds an entry of a log to a bundle, at a time.
func (l lab) logged(b *authority.Bundle, log *authority.Log, at time.Time) *authority.Bundle {
	l.t.Helper()
	b.Entries = append(b.Entries, good(log.Prove(good(log.Integrate(l.signature(b), at))(l.t)))(l.t))
	return b
}

// stamped adds timestamps of an authority to a bundle.
func (l lab) stamped(b *authority.Bundle, tsa *authority.TSA, at ...time.Time) *authority.Bundle {
	l.t.Helper()
	for _, x := range at {
		b.Timestamps = append(b.Timestamps, good(tsa.Stamp(b.Signature, x))(l.t))
	}
	return b
}

// second adds another timestamp authority to the instance.
func (l lab) second() *authority.TSA {
	l.t.Helper()
	tsa := good(authority.NewTSA("https://tsa2.acme.test", listed))(l.t)
	l.TSAs = append(l.TSAs, tsa)
	return tsa
}

// held holds a bundle against a trust, from its bytes.
func held(t testing.TB, tr *trust.Trust, b *authority.Bundle) (trust.Signer, error) {
	t.Helper()
	parsed, err := attest.ParseBundle(good(b.Bytes())(t))
	if err != nil {
		return trust.Signer{}, err
	}
	return tr.Authenticate(parsed)
}

// accepted holds that a bundle is the trainer's, and returns since when it is known.
func accepted(t testing.TB, tr *trust.Trust, b *authority.Bundle) time.Time {
	t.Helper()
	s, err := held(t, tr, b)
	if err != nil {
		t.Errorf("refused: %v", err)
	} else if s.Identity != trainer || s.Claims != build {
		t.Errorf("accepted as %v with %+v", s.Identity, s.Claims)
	}
	return s.Seen
}

// seen holds that a bundle is the trainer's, and known since then.
func seen(t testing.TB, tr *trust.Trust, b *authority.Bundle, want time.Time) {
	t.Helper()
	if got := accepted(t, tr, b); !got.Equal(want) {
		t.Errorf("seen %v, want %v", got, want)
	}
}

// refused holds that a bundle is nobody's, with this code.
func refused(t testing.TB, tr *trust.Trust, b *authority.Bundle, want attest.Code) {
	t.Helper()
	s, err := held(t, tr, b)
	if got := attest.RefusalCode(err); got != want {
		t.Errorf("%v, want %s (seen %v)", err, want, s.Seen)
	}
	if err != nil && s != (trust.Signer{}) {
		t.Errorf("a refusal and a signer: %+v", s)
	}
}

// within holds that something takes less than a limit. A machine that has other things
// to do gets three tries: what takes as long as an attacker likes takes it each time.
func within(t testing.TB, limit time.Duration, f func()) {
	t.Helper()
	var took time.Duration
	for range 3 {
		start := time.Now()
		f()
		if took = time.Since(start); took <= limit {
			return
		}
	}
	t.Errorf("took %v, allowed are %v", took, limit)
}
