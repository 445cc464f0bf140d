package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// pemCertificates reads a file that holds PEM blocks CERTIFICATE and nothing else but
// white space: another reader might take text between them for something.
func pemCertificates(b []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := bytes.TrimSpace(b); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return nil, errors.New("something else than PEM blocks is in the file")
		}
		block, after := pem.Decode(rest)
		// The decoder passes over blocks that it cannot read to the next that it can.
		if block == nil || bytes.Count(rest[:len(rest)-len(after)], []byte("-----BEGIN")) != 1 {
			return nil, errors.New("a malformed PEM block")
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return nil, fmt.Errorf("a PEM block %.40q where CERTIFICATE is needed", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if out = append(out, c); len(out) > maxListed {
			return nil, fmt.Errorf("more than %d certificates", maxListed)
		}
		rest = after
	}
	if len(out) == 0 {
		return nil, errors.New("no certificate is in the file")
	}
	return out, nil
}

// domainBundle reads the authorities of a SPIFFE trust domain: PEM certificates, or a
// SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4), which is JSON.
func domainBundle(domain string, b []byte) ([]*x509.Certificate, error) {
	read := pemCertificates
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		read = jwksCertificates
	}
	list, err := read(b)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range list {
		switch {
		case !c.IsCA || !c.BasicConstraintsValid:
			return nil, fmt.Errorf("the certificate %s is no authority's", c.Subject)
		case seen[string(c.Raw)]:
			return nil, fmt.Errorf("the certificate %s is listed twice", c.Subject)
		}
		seen[string(c.Raw)] = true
		// X.509-SVID section 2: an authority's URI, if it has one, is its domain's id. One
		// of another domain was put into the wrong file.
		for _, u := range c.URIs {
			if u.Scheme == "spiffe" && u.String() != spiffeScheme+domain {
				return nil, fmt.Errorf("the certificate %s is of %s", c.Subject, u)
			}
		}
	}
	return list, nil
}

// jwksCertificates reads a SPIFFE bundle. Keys for JWT-SVIDs are passed over, as are
// those of a use that is not known (section 4.2.2): they are for others.
func jwksCertificates(b []byte) ([]*x509.Certificate, error) {
	v, err := strictjson.Parse(b, maxFile)
	if err != nil {
		return nil, err
	}
	keys, ok := v.Get("keys")
	if !ok || keys.Kind() != strictjson.Array {
		return nil, errors.New(`not a SPIFFE bundle: it has no list "keys"`)
	}
	var out []*x509.Certificate
	for i, k := range keys.Items() {
		if use, _ := k.Get("use"); use.Text() != "x509-svid" {
			continue
		}
		x5c, _ := k.Get("x5c")
		if n := len(x5c.Items()); n != 1 {
			// Section 4.2.2: exactly one, in x5c.
			return nil, fmt.Errorf("key %d: x5c has %d certificates, and has exactly one", i+1, n)
		}
		der, err := base64.StdEncoding.Strict().DecodeString(x5c.Items()[0].Text())
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if out = append(out, c); len(out) > maxListed {
			return nil, fmt.Errorf("more than %d authorities", maxListed)
		}
	}
	if len(out) == 0 {
		return nil, errors.New(`no authority for X.509-SVIDs is in the bundle (use "x509-svid")`)
	}
	return out, nil
}
