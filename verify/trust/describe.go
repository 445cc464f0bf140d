package trust

import (
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// description is what a Trust can say of itself beyond what verifying needs.
type description struct {
	ends  string // what it is that ends first
	text  string // metadata.description
	parts []Part
	doc   *document // nil of a bare trusted root
}

// A Description is everything that a Trust believes, for people and scripts.
type Description struct {
	Name        string        `json:"name"`
	Version     int           `json:"version,omitempty"`
	Description string        `json:"description,omitempty"`
	Digest      attest.Digest `json:"digest"`   // of the resolved file: what policies pin
	Material    attest.Digest `json:"material"` // of everything, what was fetched included
	Expires     time.Time     `json:"expires,omitzero"`
	// Ends says what it is that expires first.
	Ends       string     `json:"ends,omitempty"`
	Instances  []Instance `json:"instances"`
	Timestamps int        `json:"timestamps"` // shared authorities that must agree on a time
	Sources    []Source   `json:"tuf,omitempty"`
	Parts      []Part     `json:"parts"`
}

// An Instance is what one Sigstore instance must show of a signature.
type Instance struct {
	Name              string `json:"name"`
	Logs              int    `json:"logs"`
	NoLogs            string `json:"noLogs,omitempty"`
	Timestamps        int    `json:"timestamps"`
	CertificateLogs   int    `json:"certificateLogs"`
	NoCertificateLogs string `json:"noCertificateLogs,omitempty"`
	Shared            bool   `json:"sharedTimestampAuthorities,omitempty"`
	TUF               string `json:"tuf,omitempty"` // the repository that its root comes from
}

// A Source is a TUF repository that a trusted root came from.
type Source struct {
	Name    string        `json:"name"`
	URL     string        `json:"url"`
	Root    attest.Digest `json:"root"` // SHA-256 of the initial root
	Target  string        `json:"target"`
	Content attest.Digest `json:"content"` // SHA-256 of what it says
	Expires time.Time     `json:"expires"`
}

// Describe returns everything that is believed, in the file's order. Of the nil Trust
// that is nothing.
func (t *Trust) Describe() Description {
	if t == nil {
		return Description{}
	}
	d := Description{
		Name: t.name, Version: t.version, Description: t.told.text, Digest: t.digest, Material: t.material, Expires: t.expires,
		Timestamps: t.timestamps, Parts: slices.Clone(t.told.parts), Instances: []Instance{},
	}
	if !t.expires.IsZero() {
		d.Ends = t.told.ends
	}
	for i, in := range t.instances {
		x := Instance{Name: in.name, Logs: in.need.logs, Timestamps: in.need.timestamps, CertificateLogs: in.need.certificateLogs, Shared: in.need.shared}
		if t.told.doc != nil {
			written := t.told.doc.instances[i]
			x.NoLogs, x.NoCertificateLogs = written.noLogs, written.noCertificateLogs
			if written.source != nil {
				x.TUF = written.source.Name
			}
		}
		d.Instances = append(d.Instances, x)
	}
	if t.told.doc != nil {
		for _, s := range t.told.doc.sources {
			d.Sources = append(d.Sources, Source{s.Name, s.URL, attest.SHA256(s.Root), s.Target, attest.SHA256(s.got.Content), s.got.Expires})
		}
	}
	return d
}
