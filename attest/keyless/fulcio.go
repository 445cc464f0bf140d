package keyless

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// longest is how long a certificate may hold. Fulcio's hold for ten minutes. One
// that holds for days would make the key in memory worth stealing, and means that
// something else than Fulcio answered.
const longest = 24 * time.Hour

// A Fulcio is a certificate authority that speaks Fulcio's API, version 2.
type Fulcio struct {
	URL string
	Net
}

// Certificate asks for a certificate over a key, for whom a token names, and returns
// it, DER. It is held against both: it must have the key, be for signing code, name
// the token's issuer and, as far as that can be told, its subject. Whether a trusted
// authority issued it is for a verifier to say.
//
// The key proves itself by a signing request (RFC 2986). Asking twice is harmless:
// it makes two certificates.
func (f Fulcio) Certificate(ctx context.Context, key *ecdsa.PrivateKey, token Token) ([]byte, error) {
	if err := CheckURL(f.URL, true); err != nil {
		return nil, err
	}
	// Who the certificate is for, the token says; the request has nobody's name.
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		CSR []byte `json:"certificateSigningRequest"`
	}{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})})
	if err != nil {
		return nil, err // unreachable: bytes
	}
	r := request{
		who: "the certificate authority", method: http.MethodPost, url: join(f.URL, "/api/v2/signingCert"), body: body, again: true, secret: token.raw,
		header: http.Header{"Authorization": {"Bearer " + token.raw}, "Content-Type": {"application/json"}, "Accept": {"application/json"}},
	}
	answer, err := f.ask(ctx, r)
	if err != nil {
		return nil, aboutToken(err, token)
	}
	cert, why := readCertificate(answer)
	if why == "" {
		why = unfit(cert, key, token)
	}
	if why != "" {
		return nil, r.unavailable("answers with "+why, nil)
	}
	return cert.Raw, nil
}

// aboutToken says of a no that it is about the token: nothing else that is sent could
// be wrong.
func aboutToken(err error, token Token) error {
	if r, ok := err.(*refused); ok && (r.status == http.StatusBadRequest || r.status == http.StatusUnauthorized || r.status == http.StatusForbidden) {
		r.Code = attest.CodeToken
		return hint(err, "the token must be whole, and the authority must know its issuer, "+token.Issuer+", and the audience that it is made out to; ask whoever runs it")
	}
	return hint(err, "is this a certificate authority that speaks Fulcio's API?")
}

// hint says what to do about a refusal by a service.
func hint(err error, next string) error {
	if r, ok := err.(*refused); ok {
		r.Next = next
	}
	return err
}

// readCertificate finds the leaf in Fulcio's answer (fulcio.proto, SigningCertificate).
func readCertificate(answer []byte) (*x509.Certificate, string) {
	v, err := strictjson.Parse(answer, maxAnswer)
	if err != nil || v.Kind() != strictjson.Object {
		return nil, "something that is no certificate"
	}
	for _, form := range []string{"signedCertificateEmbeddedSct", "signedCertificateDetachedSct"} {
		signed, _ := v.Get(form)
		chain, _ := signed.Get("chain")
		certs, _ := chain.Get("certificates")
		if len(certs.Items()) == 0 {
			continue
		}
		block, _ := pem.Decode([]byte(certs.Items()[0].Text()))
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, "a certificate that is not PEM"
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, "a certificate that cannot be read"
		}
		return cert, ""
	}
	return nil, "no certificate"
}

// unfit says why a certificate is not what was asked for; "" if it is.
func unfit(cert *x509.Certificate, key *ecdsa.PrivateKey, token Token) string {
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	issuer, subject := named(cert)
	switch {
	case !ok || !pub.Equal(&key.PublicKey):
		return "a certificate for another key"
	case cert.IsCA:
		return "a certificate of an authority"
	case len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageCodeSigning:
		return "a certificate that is not for signing code"
	case cert.NotAfter.Sub(cert.NotBefore) > longest:
		return fmt.Sprintf("a certificate that holds for %s; those of identities hold for minutes", cert.NotAfter.Sub(cert.NotBefore))
	case issuer != token.Issuer && (token.federate == "" || issuer != token.federate):
		return fmt.Sprintf("a certificate that names the issuer %q, and the token is from %q", clip(issuer), clip(token.Issuer))
	}
	names := append([]string{}, cert.EmailAddresses...)
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	switch {
	case len(names) > 1:
		return "a certificate that names several"
	case token.Email != "" && len(names) == 1 && strings.Contains(names[0], "@") && names[0] != token.Email && cert.URIs == nil:
		return fmt.Sprintf("a certificate for %q, and the token is of %q", clip(names[0]), clip(token.Email))
	case subject != "" && subject != token.Subject:
		// What platforms make the name of differs, but newer authorities repeat the
		// token's subject beside it.
		return fmt.Sprintf("a certificate for the subject %q, and the token's is %q", clip(subject), clip(token.Subject))
	}
	return ""
}

// Fulcio's extensions (fulcio, docs/oid-info.md): the issuer as bytes, as a
// UTF8String, and the token's subject.
var (
	oidIssuer   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	oidIssuerV2 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	oidSubject  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 24}
)

// named returns the issuer and the token's subject that a certificate names, each ""
// if it does not say.
func named(cert *x509.Certificate) (issuer, subject string) {
	old := ""
	for _, e := range cert.Extensions {
		var s string
		switch {
		case e.Id.Equal(oidIssuer):
			old = string(e.Value)
			continue
		case !e.Id.Equal(oidIssuerV2) && !e.Id.Equal(oidSubject):
			continue
		}
		if rest, err := asn1.UnmarshalWithParams(e.Value, &s, "utf8"); err != nil || len(rest) > 0 {
			continue
		}
		if e.Id.Equal(oidSubject) {
			subject = s
		} else {
			issuer = s
		}
	}
	if issuer == "" {
		issuer = old
	}
	return issuer, subject
}
