package keyless

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// maxToken bounds a token. GitHub's have about 1.5 KiB, Azure's with many groups
	// about 10; servers take no headers of more than that either.
	maxToken = 64 << 10

	// ahead is how far a platform's clock may be before this one.
	ahead = 5 * time.Minute

	// DefaultAudience is whom tokens for Sigstore are made out to, unless an
	// instance says otherwise.
	DefaultAudience = "sigstore"
)

// A Token is an OpenID Connect identity token (OpenID Connect Core 1.0, section 2),
// read and not verified. It cannot be printed: only what it claims is shown.
type Token struct {
	// Origin says where it came from, for people: "GitHub Actions".
	Origin  string
	Issuer  string // iss
	Subject string // sub
	// Email is who it names, if it names a person.
	Email    string
	Audience []string
	Expires  time.Time
	Begins   time.Time // zero: the token does not say

	raw      string
	verified bool   // of the email
	federate string // federated_claims.connector_id: the issuer behind the issuer
	nonce    string
}

// A TokenSource gives a token whenever one is needed; each time it looks anew.
type TokenSource func(ctx context.Context) (Token, error)

// Who is who the token names: the email, or else the subject.
func (t Token) Who() string {
	if t.Email != "" {
		return t.Email
	}
	return t.Subject
}

// String says who the token names; never the token.
func (t Token) String() string { return t.Issuer + " " + t.Who() }

// GoString keeps the token out of %#v.
func (t Token) GoString() string { return "keyless.Token{" + t.String() + "}" }

// IsToken reports whether s has the shape of a token: three parts of unpadded
// base64url (RFC 7515, section 7.1), of which the first is an object.
func IsToken(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || !strings.HasPrefix(s, "eyJ") {
		return false
	}
	return !slices.ContainsFunc(parts, func(p string) bool {
		_, err := base64.RawURLEncoding.DecodeString(p)
		return err != nil || p == ""
	})
}

// ParseToken reads a token's claims. It must be signed by somebody, whom nobody here
// asks. Every refusal is E_TOKEN, and none repeats what it refuses.
func ParseToken(raw, origin string) (Token, error) {
	no := func(format string, args ...any) (Token, error) {
		return Token{}, &attest.Refusal{Code: attest.CodeToken, About: origin, Why: fmt.Sprintf(format, args...)}
	}
	raw = strings.TrimSpace(raw)
	switch {
	case raw == "":
		return no("there is no token: it is empty")
	case len(raw) > maxToken:
		return no("more than %d bytes, which no identity token has", maxToken)
	case !IsToken(raw):
		return no("not an identity token: that is three parts of base64url with dots between them")
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		return no("not an identity token") // unreachable: IsToken decoded it
	}
	v, err := strictjson.Parse(body, maxToken)
	if err != nil || v.Kind() != strictjson.Object {
		return no("the claims of the token are not a JSON object")
	}
	t := Token{Origin: origin, raw: raw, Issuer: text(v, "iss"), Subject: text(v, "sub"), Email: text(v, "email"), nonce: text(v, "nonce")}
	if t.Issuer == "" || t.Subject == "" {
		return no("the token names no issuer, or no subject")
	}
	// Some platforms write the flag as a string.
	flag, _ := v.Get("email_verified")
	t.verified = flag.Kind() == strictjson.Bool && flag.Truth() || flag.Text() == "true"
	if aud, _ := v.Get("aud"); aud.Kind() == strictjson.String {
		t.Audience = []string{aud.Text()}
	} else {
		for _, a := range aud.Items() {
			t.Audience = append(t.Audience, a.Text())
		}
	}
	exp, _ := v.Get("exp")
	var ok bool
	if t.Expires, ok = numericDate(exp); !ok {
		return no("the token does not say until when it is valid")
	}
	if nbf, ok := v.Get("nbf"); ok {
		if t.Begins, ok = numericDate(nbf); !ok {
			return no("the token does not say since when it is valid")
		}
	}
	if f, ok := v.Get("federated_claims"); ok && f.Kind() == strictjson.Object {
		t.federate = text(f, "connector_id")
	}
	return t, nil
}

// text returns a claim that is a string, and "" for every other.
func text(v strictjson.Value, name string) string {
	c, ok := v.Get(name)
	if !ok || c.Kind() != strictjson.String {
		return ""
	}
	return c.Text()
}

// numericDate reads seconds since 1970, with a fraction or without (RFC 7519,
// section 2). Dates that no time.Time can be compared with are refused.
func numericDate(v strictjson.Value) (time.Time, bool) {
	const most = 1 << 40 // the year 36812
	if v.Kind() != strictjson.Number || len(v.Text()) > 40 || strings.ContainsAny(v.Text(), "eE") {
		return time.Time{}, false
	}
	r, ok := new(big.Rat).SetString(v.Text())
	if !ok {
		return time.Time{}, false
	}
	seconds, _ := r.Float64()
	if seconds < 0 || seconds > most {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

// Check refuses a token that no authority would take: expired, made out to somebody
// else, or with an email address that its issuer did not check. Every refusal is
// E_TOKEN. There is no leeway at the end: a token that is over by this clock is over by
// the time it arrives.
func (t Token) Check(now time.Time, audience string) error {
	if audience == "" {
		audience = DefaultAudience
	}
	no := &attest.Refusal{Code: attest.CodeToken, About: t.String()}
	switch {
	case !now.Before(t.Expires):
		no.Why = fmt.Sprintf("the identity token from %s expired at %s", t.Origin, t.Expires.Format(time.RFC3339))
		no.Next = "get a new one, or have the platform asked: --identity-token github"
	case now.Add(ahead).Before(t.Begins):
		no.Why = fmt.Sprintf("the identity token from %s is not valid before %s", t.Origin, t.Begins.Format(time.RFC3339))
		no.Next = "compare the clocks of this machine and of the platform"
	case !slices.Contains(t.Audience, audience):
		no.Why = fmt.Sprintf("the identity token from %s is made out to %s, not to %s", t.Origin, clip(strings.Join(t.Audience, ", ")), audience)
		no.Next = "ask the platform for a token with that audience; if the authority wants another: --oidc-client-id"
	case t.Email != "" && !t.verified:
		no.Why = "its issuer did not verify the email address in the identity token"
		no.Next = "verify the address with the issuer"
	default:
		return nil
	}
	return no
}
