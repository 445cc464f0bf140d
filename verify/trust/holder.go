package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
)

// Holder returns whom a certificate names, before anything of it is verified: to
// tell a stranger from somebody for whom looking is worth while, never to believe.
//
// The subject is the one subject alternative name: a URI, an email address, or what
// Fulcio calls an other name. The issuer is what Fulcio saw in the token (OID
// 1.3.6.1.4.1.57264.1.8, and in old certificates .1). A certificate without that whose
// name is a SPIFFE id is an X.509-SVID, of that id's trust domain.
//
// The error is E_IDENTITY if it names nobody, or several, or somebody in a way that
// two readers could take for two; E_BUNDLE_PARSE if it is no certificate.
func Holder(der []byte) (Identity, Claims, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Identity{}, Claims{}, &attest.Refusal{Code: attest.CodeBundleParse, Why: "not a certificate", Err: err}
	}
	return holder(c)
}

func holder(c *x509.Certificate) (Identity, Claims, error) {
	nobody := func(why string, args ...any) (Identity, Claims, error) {
		return Identity{}, Claims{}, &attest.Refusal{Code: attest.CodeIdentity, About: "certificate", Why: fmt.Sprintf(why, args...)}
	}
	subject, alone, err := onlyName(c)
	if err != nil {
		return nobody("%v", err)
	}
	issuer, claims, err := fromToken(c)
	if err != nil {
		return nobody("%v", err)
	}
	switch {
	case !utf8.ValidString(subject) || strings.ContainsFunc(subject, unicode.IsControl):
		return nobody("a name with control characters")
	case issuer == "" && strings.HasPrefix(subject, spiffeScheme):
		domain, err := domainOf(subject)
		if err != nil {
			return nobody("%v", err)
		}
		// Whatever else it claims, no issuer of tokens stands behind it.
		return Identity{Issuer: spiffeScheme + domain, Subject: subject}, Claims{}, nil
	case !alone:
		return nobody("several subject alternative names, and there may be one")
	case issuer == "":
		return nobody("no issuer: neither by Fulcio nor an X.509-SVID")
	case strings.HasPrefix(issuer, spiffeScheme), strings.HasPrefix(issuer, "key:"):
		return nobody("an issuer that spells a SPIFFE trust domain or a key")
	case !utf8.ValidString(issuer) || strings.ContainsFunc(issuer, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return nobody("an issuer with white space or control characters")
	}
	return Identity{Issuer: issuer, Subject: subject}, claims, nil
}

var (
	oidSAN       = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidFulcio    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	oidOtherName = append(oidFulcio[:len(oidFulcio):len(oidFulcio)], 7)
)

// onlyName returns the one subject alternative name, as it is spelled (RFC 5280,
// section 4.2.1.6), and whether it is the only one, or an SVID's with others beside it. Libraries take the first of the kind that they like best, so with
// several it would depend on the reader who signed.
func onlyName(c *x509.Certificate) (string, bool, error) {
	var value []byte
	for _, e := range c.Extensions { // each extension occurs once: the parser has seen to that
		if e.Id.Equal(oidSAN) {
			value = e.Value
		}
	}
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(value, &names); err != nil || len(rest) > 0 || len(names) == 0 {
		return "", false, fmt.Errorf("no subject alternative name")
	}
	n, alone := names[0], len(names) == 1
	if len(names) > 1 {
		// An X.509-SVID has one URI and may have other names, for TLS (section 2).
		uris := slices.DeleteFunc(names, func(n asn1.RawValue) bool { return n.Class != asn1.ClassContextSpecific || n.Tag != 6 })
		if len(uris) != 1 || !bytes.HasPrefix(uris[0].Bytes, []byte(spiffeScheme)) {
			return "", false, fmt.Errorf("several subject alternative names, and there may be one")
		}
		n = uris[0]
	}
	if n.Class != asn1.ClassContextSpecific {
		return "", false, fmt.Errorf("a subject alternative name of an unknown kind")
	}
	var out string
	switch n.Tag {
	case 0:
		var other struct {
			ID    asn1.ObjectIdentifier
			Value string `asn1:"utf8,explicit,tag:0"`
		}
		if rest, err := asn1.UnmarshalWithParams(n.FullBytes, &other, "tag:0"); err != nil || len(rest) > 0 || !other.ID.Equal(oidOtherName) {
			return "", false, fmt.Errorf("another name than Fulcio's")
		}
		out = other.Value
	case 1:
		out = string(n.Bytes)
	case 6:
		out = string(n.Bytes)
		// sigstore-go compares the URI after parsing and writing it again.
		if u, err := url.Parse(out); err != nil || u.String() != out {
			return "", false, fmt.Errorf("a URI that others spell otherwise")
		}
	default:
		return "", false, fmt.Errorf("a subject alternative name that is neither URI nor email address nor Fulcio's")
	}
	if out == "" {
		return "", false, fmt.Errorf("an empty subject alternative name")
	}
	return out, alone, nil
}

// fromToken reads what Fulcio copied from the token.
func fromToken(c *x509.Certificate) (issuer string, claims Claims, err error) {
	// By the last arc under Fulcio's OID (fulcio, docs/oid-info.md).
	fields := map[int]*string{
		8: &issuer, 9: &claims.BuildSigner, 10: &claims.BuildSignerDigest, 11: &claims.RunnerEnvironment, 12: &claims.SourceRepository,
		13: &claims.SourceDigest, 14: &claims.SourceRef, 15: &claims.SourceID, 16: &claims.SourceOwner, 17: &claims.SourceOwnerID,
		18: &claims.BuildConfig, 19: &claims.BuildConfigDigest, 20: &claims.BuildTrigger, 21: &claims.RunInvocation, 22: &claims.SourceVisibility,
	}
	old := ""
	for _, e := range c.Extensions {
		if len(e.Id) != len(oidFulcio)+1 || !e.Id[:len(oidFulcio)].Equal(oidFulcio) {
			continue
		}
		arc := e.Id[len(oidFulcio)]
		if arc == 1 {
			old = string(e.Value) // the bare text, as no DER value
		}
		into, ok := fields[arc]
		if !ok {
			continue
		}
		if rest, err := asn1.Unmarshal(e.Value, into); err != nil || len(rest) > 0 {
			return "", Claims{}, fmt.Errorf("extension %s is not a text", e.Id)
		}
		if !utf8.ValidString(*into) || strings.ContainsFunc(*into, unicode.IsControl) {
			return "", Claims{}, fmt.Errorf("extension %s has control characters", e.Id)
		}
	}
	if issuer == "" {
		issuer = old
	} else if old != "" && old != issuer {
		return "", Claims{}, fmt.Errorf("two issuers")
	}
	return issuer, claims, nil
}

// maxSPIFFE is the longest id that SPIFFE demands to be read (SPIFFE-ID, section 2.3).
const maxSPIFFE = 2048

// domainOf returns the trust domain of a SPIFFE id, and an error for whatever is not
// one that names a workload (SPIFFE-ID, section 2).
func domainOf(id string) (string, error) {
	bad := fmt.Errorf("a name that is no SPIFFE id")
	rest, ok := strings.CutPrefix(id, spiffeScheme)
	domain, p, named := strings.Cut(rest, "/")
	if !ok || !named || len(id) > maxSPIFFE || !validDomain(domain) {
		return "", bad
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(r rune) bool { return !domainRune(r) && (r < 'A' || r > 'Z') }) {
			return "", bad
		}
	}
	return domain, nil
}

// validDomain reports whether s is a SPIFFE trust domain's name.
func validDomain(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return !domainRune(r) })
}

func domainRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
}
