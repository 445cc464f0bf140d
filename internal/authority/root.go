package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"time"
)

// A trusted root (protobuf-specs, sigstore_trustroot.proto), as JSON.
type (
	rootJSON struct {
		MediaType   string       `json:"mediaType"`
		Logs        []logJSON    `json:"tlogs,omitempty"`
		Authorities []issuerJSON `json:"certificateAuthorities,omitempty"`
		CTLogs      []logJSON    `json:"ctlogs,omitempty"`
		TSAs        []issuerJSON `json:"timestampAuthorities,omitempty"`
	}
	logJSON struct {
		URL  string  `json:"baseUrl"`
		Hash string  `json:"hashAlgorithm"`
		Key  keyJSON `json:"publicKey"`
		ID   LogID   `json:"logId"`
	}
	keyJSON struct {
		Bytes   []byte     `json:"rawBytes"`
		Details string     `json:"keyDetails"`
		Valid   periodJSON `json:"validFor"`
	}
	issuerJSON struct {
		Subject subjectJSON `json:"subject"`
		URI     string      `json:"uri"`
		Chain   chainJSON   `json:"certChain"`
		Valid   periodJSON  `json:"validFor"`
	}
	subjectJSON struct {
		Organization string `json:"organization"`
		CommonName   string `json:"commonName"`
	}
	periodJSON struct {
		Start string `json:"start,omitempty"`
		End   string `json:"end,omitempty"`
	}
)

// TrustedRoot describes the instance as a trusted_root.json. A zero From is left out.
func (i *Instance) TrustedRoot() ([]byte, error) {
	r := rootJSON{MediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
	for _, l := range i.Logs {
		id, err := l.ID()
		if err != nil {
			return nil, err
		}
		j, err := describe(l.URL, l.Key.Public(), id, l.From, l.Until)
		if err != nil {
			return nil, err
		}
		r.Logs = append(r.Logs, j)
	}
	for _, l := range i.CertificateLogs {
		id, err := l.ID()
		if err != nil {
			return nil, err
		}
		j, err := describe(l.URL, l.Key.Public(), id[:], l.From, l.Until)
		if err != nil {
			return nil, err
		}
		r.CTLogs = append(r.CTLogs, j)
	}
	for _, ca := range i.CAs {
		r.Authorities = append(r.Authorities, chain(ca.URL, append([]*Cert{ca.Issuer}, ca.Above...), ca.From, ca.Until))
	}
	for _, t := range i.TSAs {
		r.TSAs = append(r.TSAs, chain(t.URL, t.Chain(), t.From, t.Until))
	}
	return json.MarshalIndent(r, "", "  ")
}

func describe(url string, key crypto.PublicKey, id []byte, from, until time.Time) (logJSON, error) {
	der, err := spki(key)
	if err != nil {
		return logJSON{}, err
	}
	j := logJSON{URL: url, Hash: "SHA2_256", Key: keyJSON{Bytes: der, Valid: period(from, until)}, ID: LogID{id}}
	switch k := key.(type) {
	case ed25519.PublicKey:
		j.Key.Details = "PKIX_ED25519"
	case *ecdsa.PublicKey:
		j.Key.Details = "PKIX_ECDSA_P256_SHA_256"
		if k.Curve == elliptic.P384() {
			j.Key.Details = "PKIX_ECDSA_P384_SHA_384"
		}
	default:
		return logJSON{}, fmt.Errorf("a log with a key of type %T", key)
	}
	return j, nil
}

func chain(url string, certs []*Cert, from, until time.Time) issuerJSON {
	root := certs[len(certs)-1]
	j := issuerJSON{Subject: subjectJSON{"authority", root.Subject.CommonName}, URI: url, Valid: period(from, until)}
	for _, c := range certs {
		j.Chain.Certificates = append(j.Chain.Certificates, rawJSON{c.Raw})
	}
	return j
}

func period(from, until time.Time) periodJSON {
	var p periodJSON
	if !from.IsZero() {
		p.Start = from.UTC().Format(time.RFC3339)
	}
	if !until.IsZero() {
		p.End = until.UTC().Format(time.RFC3339)
	}
	return p
}
