package trust_test

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

var (
	epoch  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	signed = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	who    = trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/org/repo/train@refs/heads/main"}
	claims = trust.Claims{SourceRepository: "https://git.example/org/repo", SourceRef: "refs/heads/main", BuildTrigger: "push"}
)

// must returns a value whose making must not fail.
func must[V any](v V, err error) V {
	if err != nil {
		panic(err) // a world that cannot be built proves nothing
	}
	return v
}

func payload() []byte {
	subject := attest.Subject{Name: "model", Digest: attest.SHA256([]byte("model"))}
	return must(attest.NewStatement(subject, "https://example.test/note/v1", map[string]any{"text": "fine"}))
}

func instance(name string) *authority.Instance { return must(authority.New(name, epoch)) }

// trusting is the trust in some instances.
func trusting(instances ...*authority.Instance) *trust.Trust {
	var p trust.Parts
	for _, i := range instances {
		p.Instances = append(p.Instances, trust.InstancePart{Root: must(i.TrustedRoot())})
	}
	return must(p.Trust())
}

// sign is a good bundle by an instance.
func sign(i *authority.Instance) []byte {
	return must(i.Sign(context.Background(), payload(), who, claims, signed))
}

// signWith signs with the instance's authorities, as changed.
func signWith(s attest.Signer, w ...attest.Witness) []byte {
	return must(attest.Sign(context.Background(), payload(), s, w...))
}

// changed is a bundle with something about it otherwise.
func changed(bundle []byte, change func(*authority.Bundle)) []byte {
	b := must(authority.Open(bundle))
	change(b)
	return must(b.Bytes())
}

func judge(t testing.TB, tr *trust.Trust, bundle []byte) (trust.Signer, error) {
	t.Helper()
	b, err := attest.ParseBundle(bundle)
	if err != nil {
		return trust.Signer{}, err
	}
	return tr.Authenticate(b)
}

func parse(bundle []byte) *attest.Bundle { return must(attest.ParseBundle(bundle)) }

func tsaPart(tsa *authority.TSA, name string) trust.AuthorityPart {
	chain := []*x509.Certificate{tsa.Signer.Certificate}
	for _, c := range tsa.Above {
		chain = append(chain, c.Certificate)
	}
	return trust.AuthorityPart{Name: name, Chain: chain, From: tsa.From, Until: tsa.Until}
}
