package chaintest

import (
	"encoding/pem"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// begun is since when a world's authorities exist; their certificates end ten years
// later.
var begun = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Authority returns the world's Sigstore instance, made on first use.
func (w *World) Authority() *authority.Instance {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.authority == nil {
		i, err := authority.New("sigstore.example", begun)
		w.must(err)
		w.authority = i
	}
	return w.authority
}

// Trust returns the trust in the world's authorities: its instance, its timestamp
// authority for keys and workloads as well, and its SPIFFE domain. It is version 1 and
// has no end but that of the authorities.
func (w *World) Trust() *trust.Trust {
	return w.TrustOf("{name: chaintest, version: 1, expires: 2099-01-01T00:00:00Z}")
}

// TrustOf is Trust with other metadata.
func (w *World) TrustOf(metadata string) *trust.Trust {
	w.t.Helper()
	root, err := w.Authority().TrustedRoot()
	w.must(err)
	tsa := w.Authority().TSAs[0]
	var chain []byte
	for _, c := range append([]*authority.Cert{tsa.Signer}, tsa.Above...) {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	files := map[string][]byte{"root.json": root, "tsa.pem": chain, "domain.pem": w.Domain().PEM()}
	t, err := trust.Load([]byte(`apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: `+metadata+`
sigstore: [{name: sigstore, trustedRoot: root.json}]
timestampAuthorities: [{name: tsa, chain: tsa.pem, from: 2020-01-01T00:00:00Z}]
timestamps: 1
spiffe: [{domain: acme.example, bundle: domain.pem, from: 2020-01-01T00:00:00Z}]
`), func(name string) ([]byte, error) { return files[name], nil }, nil)
	w.must(err)
	return t
}

// Domain returns the world's SPIFFE trust domain, acme.example, made on first use.
func (w *World) Domain() *authority.Domain {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.domain == nil {
		d, err := authority.NewDomain("acme.example", begun)
		w.must(err)
		w.domain = d
	}
	return w.domain
}

// Workload lets a name sign, from now on, with an X.509-SVID for
// spiffe://acme.example/PATH, issued at the given time for an hour and timed ten
// seconds later.
func (w *World) Workload(name, path string, at time.Time) {
	w.t.Helper()
	s, err := w.Domain().SVID(path, at)
	w.must(err)
	w.Use(name, s)
	w.Stamp(name, at.Add(10*time.Second))
}

// Identity lets a name sign, from now on, under a certificate of the world's authority
// that names who and claims that, issued at the given time, recorded and timed ten
// seconds later.
func (w *World) Identity(name string, who trust.Identity, claims trust.Claims, at time.Time) {
	w.t.Helper()
	s, err := w.Authority().Signer(who, claims, at)
	w.must(err)
	w.Use(name, s)
	w.Stamp(name, at.Add(10*time.Second))
}

// Stamp says when what a name signs from now on is first seen: by the world's logs and
// its timestamp authority if the name signs as an identity, and by the timestamp
// authority if with a key. The zero time is never.
func (w *World) Stamp(name string, at time.Time) {
	w.t.Helper()
	i, s := w.Authority(), w.Signer(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case at.IsZero():
		delete(w.witnesses, name)
	case s.Material().Certificate != nil && s.Material().Chain == nil:
		w.witnesses[name] = i.Witnesses(at)
	default:
		w.witnesses[name] = []attest.Witness{i.TSAs[0].At(at)}
	}
}
