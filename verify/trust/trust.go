// Package trust says whose certificates, logs, timestamps and keys a verifier
// believes, and holds one signature against that.
//
// A signature under a certificate says by itself only that somebody had a key for
// some minutes. What makes it somebody's are others: the authority that issued the
// certificate, the log that recorded it, the authority that says when the signature
// was there. [Trust] lists them, by instance: what one Sigstore instance issued must
// be logged and timed by the same, or two of them could lend each other what
// neither would sign alone. Nothing is trusted that travels with a bundle.
//
// A Trust is a value. It is read from a trust file ([Load]), knows its digest, and
// ends at a time; where it came from and how fresh that is, is for the caller.
package trust

import (
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Trust is what a verifier believes. Only Load and OfTrustedRoot make one. The
// nil Trust and the zero one believe nobody: no certificate is anybody's, and
// nobody authenticates a time. It may be used by many goroutines at once.
type Trust struct {
	name     string
	version  int
	expires  time.Time
	digest   attest.Digest // of what the file says
	material attest.Digest // of everything that it leads to

	instances   []*instance
	authorities []*authority // for keys, X.509-SVIDs, and the instances that share them
	timestamps  int          // of authorities; how many must agree on a time; 0 means 1
	domains     []*domain
	keys        []keyWindow
	memo        memo

	told description // of all that, for people
}

// Digest returns the SHA-256 of the resolved trust file: its name in policies and
// verdicts. It is zero for a Trust that believes nobody.
func (t *Trust) Digest() attest.Digest {
	if t == nil {
		return attest.Digest{}
	}
	return t.digest
}

// Material returns the SHA-256 of everything that is believed, what was fetched by
// TUF included. Two Trusts with one Material answer alike.
func (t *Trust) Material() attest.Digest {
	if t == nil {
		return attest.Digest{}
	}
	return t.material
}

// Name returns metadata.name; "" for a Trust that believes nobody.
func (t *Trust) Name() string {
	if t == nil {
		return ""
	}
	return t.name
}

// Version returns metadata.version.
func (t *Trust) Version() int {
	if t == nil {
		return 0
	}
	return t.version
}

// Expires returns when the earliest part ends that everything rests on; zero: never.
func (t *Trust) Expires() time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.expires
}

// MayVouch reports whether somebody whom the trust lists could vouch for an identity: of
// a SPIFFE id, whether its trust domain is listed, and of every other, whether there is
// any instance. Which issuers an instance knows is its own affair. That it does vouch is
// for Authenticate to say.
func (t *Trust) MayVouch(i Identity) bool {
	if t == nil || i.IsZero() {
		return false
	}
	if !i.IsSPIFFE() {
		return len(t.instances) > 0
	}
	return slices.ContainsFunc(t.domains, func(d *domain) bool { return spiffeScheme+d.name == i.Issuer })
}
