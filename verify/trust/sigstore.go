package trust

import (
	"encoding/hex"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// A Sigstore is one instance of a trust, in the form in which sigstore-go's functions
// take what is trusted. It is for package verify/single, which shows each part of a
// bundle alone, and reads forms of bundles that [Trust.Authenticate] does not.
type Sigstore struct {
	root.BaseTrustedMaterial // lists no keys
	// Name is that of the instance in the trust file; "" of what counts for plain keys
	// and X.509-SVIDs.
	Name string
	// How many distinct ones the trust asks for; 0: none.
	Logs, Timestamps, CertificateLogs int

	authorities []root.CertificateAuthority
	stamps      []root.TimestampingAuthority
	logs        map[string]*root.TransparencyLog
	ctLogs      map[string]*root.TransparencyLog
}

// FulcioCertificateAuthorities returns who issues certificates.
func (s *Sigstore) FulcioCertificateAuthorities() []root.CertificateAuthority { return s.authorities }

// TimestampingAuthorities returns whose timestamps count, the shared ones included if
// the instance says so.
func (s *Sigstore) TimestampingAuthorities() []root.TimestampingAuthority { return s.stamps }

// RekorLogs returns the transparency logs, by their id in hexadecimal.
func (s *Sigstore) RekorLogs() map[string]*root.TransparencyLog { return s.logs }

// CTLogs returns the logs of certificates, by their id in hexadecimal.
func (s *Sigstore) CTLogs() map[string]*root.TransparencyLog { return s.ctLogs }

// Sigstores returns the instances in the trust's order.
func (t *Trust) Sigstores() []*Sigstore {
	if t == nil {
		return nil
	}
	var out []*Sigstore
	for _, i := range t.instances {
		s := &Sigstore{Name: i.name, Logs: i.need.logs, Timestamps: i.need.timestamps, CertificateLogs: i.need.certificateLogs,
			authorities: i.root.FulcioCertificateAuthorities(), logs: forSigstore(i.logs), ctLogs: forSigstore(i.ctLogs)}
		from := i.stamps
		if i.need.shared {
			from = slices.Concat(from, t.authorities)
		}
		s.stamps = stampsFor(from)
		out = append(out, s)
	}
	return out
}

// Witnesses returns who may say of a plain key's signature, or an X.509-SVID's, when it
// was there: the shared timestamp authorities, and every instance's logs.
func (t *Trust) Witnesses() *Sigstore {
	s := &Sigstore{logs: map[string]*root.TransparencyLog{}}
	if t == nil {
		return s
	}
	s.Timestamps = max(1, t.timestamps)
	s.stamps = stampsFor(t.authorities)
	for _, i := range t.instances {
		for id, l := range forSigstore(i.logs) {
			s.logs[id] = l
		}
	}
	return s
}

func forSigstore(logs map[string]*log) map[string]*root.TransparencyLog {
	out := make(map[string]*root.TransparencyLog, len(logs))
	for id, l := range logs {
		out[hex.EncodeToString([]byte(id))] = l.sigstore
	}
	return out
}

func stampsFor(authorities []*authority) []root.TimestampingAuthority {
	out := make([]root.TimestampingAuthority, len(authorities))
	for i, a := range authorities {
		s := &root.SigstoreTimestampingAuthority{URI: a.name, ValidityPeriodStart: a.from, ValidityPeriodEnd: a.until, Leaf: a.leaf}
		if n := len(a.chain) - 1; n >= 0 {
			s.Intermediates, s.Root = a.chain[:n], a.chain[n]
		}
		out[i] = s
	}
	return out
}
