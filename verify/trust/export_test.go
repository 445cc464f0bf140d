package trust

import (
	"crypto/x509"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// Parts are what a Trust is made of, for tests that need no trust file.
type Parts struct {
	Instances   []InstancePart
	Authorities []AuthorityPart
	Timestamps  int
	Domains     []DomainPart
	Keys        []KeyPart
}

type (
	InstancePart struct {
		Root                              []byte
		Logs, Timestamps, CertificateLogs int
		Shared                            bool
	}
	AuthorityPart struct {
		Name        string
		Chain       []*x509.Certificate
		From, Until time.Time
	}
	DomainPart struct {
		Name        string
		Roots       []*x509.Certificate
		From, Until time.Time
	}
	KeyPart struct {
		Key                           attest.PublicKey
		From, Until, CompromisedSince time.Time
	}
)

// None asks for nobody.
const None = none

// Trust makes a Trust of parts.
func (p Parts) Trust() (*Trust, error) {
	t := &Trust{name: "parts", timestamps: p.Timestamps}
	for _, part := range p.Instances {
		i, err := newInstance("part", part.Root, thresholds{part.Logs, part.Timestamps, part.CertificateLogs, part.Shared})
		if err != nil {
			return nil, err
		}
		t.instances = append(t.instances, i)
	}
	for _, part := range p.Authorities {
		a, err := newAuthority(part.Name, part.Chain, window{part.From, part.Until})
		if err != nil {
			return nil, err
		}
		t.authorities = append(t.authorities, a)
	}
	for _, part := range p.Domains {
		d, err := newDomain(part.Name, part.Roots, window{part.From, part.Until})
		if err != nil {
			return nil, err
		}
		t.domains = append(t.domains, d)
	}
	for _, part := range p.Keys {
		t.keys = append(t.keys, keyWindow{part.Key, window{part.From, part.Until}, part.CompromisedSince})
	}
	return t, nil
}

// Memoised returns how many checkpoints and paths a Trust keeps.
func (t *Trust) Memoised() (checkpoints, paths int) {
	t.memo.mu.Lock()
	defer t.memo.mu.Unlock()
	return len(t.memo.checkpoints), len(t.memo.paths)
}

// MemoisedStamps returns how many timestamps a Trust keeps as good.
func MemoisedStamps(t *Trust) int {
	t.memo.mu.Lock()
	defer t.memo.mu.Unlock()
	return len(t.memo.stamps)
}
