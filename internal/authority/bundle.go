package authority

import (
	"encoding/json"
	"errors"
)

// A Bundle is a Sigstore bundle taken apart, to be changed and put together again:
// nothing about it has to be right.
type Bundle struct {
	MediaType   string
	Hint        string   // of a key; used without Certificate and Chain
	Certificate []byte   // DER
	Chain       [][]byte // DER, the leaf among them; nil unless the bundle has a chain
	Entries     []Entry
	Timestamps  [][]byte // each a TimeStampResp, DER
	PayloadType string
	Payload     []byte
	Signature   []byte
}

type (
	bundleJSON struct {
		MediaType string       `json:"mediaType"`
		Material  materialJSON `json:"verificationMaterial"`
		Envelope  envelopeJSON `json:"dsseEnvelope"`
	}
	materialJSON struct {
		Key         *hintJSON  `json:"publicKey,omitempty"`
		Certificate *rawJSON   `json:"certificate,omitempty"`
		Chain       *chainJSON `json:"x509CertificateChain,omitempty"`
		Entries     []Entry    `json:"tlogEntries,omitempty"`
		Times       *timesJSON `json:"timestampVerificationData,omitempty"`
	}
	hintJSON struct {
		Hint string `json:"hint"`
	}
	rawJSON struct {
		Bytes []byte `json:"rawBytes"`
	}
	chainJSON struct {
		Certificates []rawJSON `json:"certificates"`
	}
	timesJSON struct {
		Stamps []stampJSON `json:"rfc3161Timestamps"`
	}
	stampJSON struct {
		Stamp []byte `json:"signedTimestamp"`
	}
	envelopeJSON struct {
		Payload     []byte    `json:"payload"`
		PayloadType string    `json:"payloadType"`
		Signatures  []sigJSON `json:"signatures"`
	}
	sigJSON struct {
		Sig []byte `json:"sig"`
	}
)

// Open takes a bundle apart. It must have one signature.
func Open(bundle []byte) (*Bundle, error) {
	var j bundleJSON
	if err := json.Unmarshal(bundle, &j); err != nil {
		return nil, err
	}
	if len(j.Envelope.Signatures) != 1 {
		return nil, errors.New("not one signature")
	}
	b := &Bundle{
		MediaType: j.MediaType, Entries: j.Material.Entries,
		PayloadType: j.Envelope.PayloadType, Payload: j.Envelope.Payload, Signature: j.Envelope.Signatures[0].Sig,
	}
	if j.Material.Key != nil {
		b.Hint = j.Material.Key.Hint
	}
	if j.Material.Certificate != nil {
		b.Certificate = j.Material.Certificate.Bytes
	}
	if j.Material.Chain != nil {
		b.Chain = [][]byte{}
		for _, c := range j.Material.Chain.Certificates {
			b.Chain = append(b.Chain, c.Bytes)
		}
	}
	if j.Material.Times != nil {
		for _, s := range j.Material.Times.Stamps {
			b.Timestamps = append(b.Timestamps, s.Stamp)
		}
	}
	return b, nil
}

// Bytes puts a bundle together.
func (b *Bundle) Bytes() ([]byte, error) {
	j := bundleJSON{
		MediaType: b.MediaType,
		Material:  materialJSON{Entries: b.Entries},
		Envelope:  envelopeJSON{Payload: b.Payload, PayloadType: b.PayloadType, Signatures: []sigJSON{{b.Signature}}},
	}
	switch {
	case b.Chain != nil:
		j.Material.Chain = &chainJSON{}
		for _, c := range b.Chain {
			j.Material.Chain.Certificates = append(j.Material.Chain.Certificates, rawJSON{c})
		}
	case b.Certificate != nil:
		j.Material.Certificate = &rawJSON{b.Certificate}
	default:
		j.Material.Key = &hintJSON{b.Hint}
	}
	if len(b.Timestamps) > 0 {
		j.Material.Times = &timesJSON{}
		for _, s := range b.Timestamps {
			j.Material.Times.Stamps = append(j.Material.Times.Stamps, stampJSON{s})
		}
	}
	return json.Marshal(j)
}
