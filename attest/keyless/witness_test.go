package keyless_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/keyless"
	"github.com/pedigree-ml/pedigree/internal/authority"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// signed signs something, and returns what witnesses are shown.
func signed(t *testing.T, alg attest.KeyAlgorithm) attest.Signature {
	t.Helper()
	k, err := attest.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := attest.NewStatement(attest.Subject{Name: "m", Digest: attest.SHA256([]byte("m"))}, "https://example.org/v1", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	var saw seen
	if _, err := attest.Sign(t.Context(), payload, k, &saw); err != nil {
		t.Fatal(err)
	}
	return attest.Signature(saw)
}

// seen is a witness who remembers.
type seen attest.Signature

func (s *seen) Witness(_ context.Context, made attest.Signature) (attest.Testimony, error) {
	*s = seen(made)
	return attest.Testimony{}, nil
}

// stamper is a timestamp authority: what it signs is real.
type stamper struct {
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	change func(*timestamp.Timestamp)
}

func newStamper(t *testing.T) *stamper {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tsa"}, NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &stamper{key: key, cert: cert}
}

func (s *stamper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, _ := io.ReadAll(r.Body)
	req, err := timestamp.ParseRequest(query)
	if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "no query", http.StatusBadRequest)
		return
	}
	ts := &timestamp.Timestamp{HashAlgorithm: req.HashAlgorithm, HashedMessage: req.HashedMessage, Nonce: req.Nonce, Time: noon, Policy: []int{1, 2, 3}, AddTSACertificate: req.Certificates}
	if s.change != nil {
		s.change(ts)
	}
	b, err := ts.CreateResponseWithOpts(s.cert, s.key, crypto.SHA256)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.Write(b)
}

func TestTimestamps(t *testing.T) {
	made := signed(t, attest.Ed25519) // a plain key, of the kind that no log takes
	other := sha256.Sum256([]byte("other"))
	for name, tt := range map[string]struct {
		change func(*timestamp.Timestamp)
		code   attest.Code
	}{
		"of the signature":  {},
		"TIM-08 of another": {func(ts *timestamp.Timestamp) { ts.HashedMessage = other[:] }, attest.CodeTSA},
		"another nonce":     {func(ts *timestamp.Timestamp) { ts.Nonce = big.NewInt(7) }, attest.CodeTSA},
		"no nonce":          {func(ts *timestamp.Timestamp) { ts.Nonce = nil }, attest.CodeTSA},
		"by another hash":   {func(ts *timestamp.Timestamp) { ts.HashAlgorithm, ts.HashedMessage = crypto.SHA512, make([]byte, 64) }, attest.CodeTSA},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStamper(t)
			s.change = tt.change
			url, _ := serve(t, s.ServeHTTP)
			got, err := keyless.Timestamps{URL: url, Net: quick}.Witness(t.Context(), made)
			if tt.code != "" {
				wants(t, err, tt.code, "timestamp")
				return
			}
			if err != nil || len(got.Timestamps) != 1 || len(got.LogEntries) != 0 {
				t.Fatalf("got %+v, %v", got, err)
			}
			ts, err := timestamp.ParseResponse(got.Timestamps[0])
			sum := sha256.Sum256(made.Sig)
			if err != nil || !bytes.Equal(ts.HashedMessage, sum[:]) || len(ts.Certificates) != 1 {
				t.Errorf("%+v, %v", ts, err)
			}
		})
	}
	t.Run("a stamp that somebody changed", func(t *testing.T) {
		s := newStamper(t)
		url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var b buffer
			s.ServeHTTP(&b, r)
			// The last byte is of the signature.
			b.Bytes()[b.Len()-1] ^= 1
			w.Write(b.Bytes())
		})
		_, err := keyless.Timestamps{URL: url, Net: quick}.Witness(t.Context(), made)
		wants(t, err, attest.CodeSignService, "no timestamp")
	})
	t.Run("a refusal in a timestamp's form", func(t *testing.T) {
		b, err := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.TimeNotAvailable)
		if err != nil {
			t.Fatal(err)
		}
		url, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(b) })
		_, err = keyless.Timestamps{URL: url, Net: quick}.Witness(t.Context(), made)
		wants(t, err, attest.CodeSignService, "no timestamp")
	})
	for name, tt := range hostile(t) {
		t.Run("answers with "+name, func(t *testing.T) {
			url, asked := serve(t, tt.answer)
			_, err := keyless.Timestamps{URL: url, Net: quick}.Witness(t.Context(), made)
			wants(t, err, tt.code, "the timestamp authority")
			if asked.Load() != tt.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), tt.asked)
			}
		})
	}
}

// A buffer is a ResponseWriter that keeps.
type buffer struct{ bytes.Buffer }

func (*buffer) Header() http.Header { return http.Header{} }
func (*buffer) WriteHeader(int)     {}

// entries is a log behind Rekor's API: its tree and its proofs are real. It knows the
// signature, as the real one does by then.
func entries(t *testing.T, made attest.Signature, change func(entry map[string]any)) http.HandlerFunc {
	t.Helper()
	l, err := authority.NewLog("rekor.example", noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Request struct {
				Signature struct {
					Content  []byte
					Verifier struct {
						KeyDetails      string
						PublicKey       *struct{ RawBytes []byte }
						X509Certificate *struct{ RawBytes []byte }
					}
				}
				Digest []byte
			} `json:"hashedRekordRequestV002"`
		}
		err := json.NewDecoder(r.Body).Decode(&body)
		got := body.Request
		v := got.Signature.Verifier
		if err != nil || r.URL.Path != "/api/v2/log/entries" || !bytes.Equal(got.Signature.Content, made.Sig) || !bytes.Equal(got.Digest, made.Digest) ||
			(v.PublicKey == nil) == (v.X509Certificate == nil) || !strings.HasPrefix(v.KeyDetails, "PKIX_ECDSA_P") {
			http.Error(w, `{"message":"invalid hashedrekord request"}`, http.StatusBadRequest)
			return
		}
		said, err := l.At(noon).Witness(r.Context(), made)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		var entry map[string]any
		if err := json.Unmarshal(said.LogEntries[0], &entry); err != nil {
			t.Error(err)
		}
		if change != nil {
			change(entry)
		}
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(entry)
	}
}

func TestLog(t *testing.T) {
	for _, alg := range []attest.KeyAlgorithm{attest.P256, attest.P384} {
		made := signed(t, alg)
		other := signed(t, alg)
		var foreign attest.Testimony
		l, err := authority.NewLog("rekor.example", noon.Add(-time.Hour))
		if err == nil {
			foreign, err = l.At(noon).Witness(t.Context(), other)
		}
		if err != nil {
			t.Fatal(err)
		}
		var strange struct{ CanonicalizedBody string }
		if err := json.Unmarshal(foreign.LogEntries[0], &strange); err != nil || strange.CanonicalizedBody == "" {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			change func(map[string]any)
			code   attest.Code
		}{
			"the entry":                    {},
			"TIM-08 an entry of another":   {func(e map[string]any) { e["canonicalizedBody"] = strange.CanonicalizedBody }, attest.CodeLogMismatch},
			"an entry without a body":      {func(e map[string]any) { delete(e, "canonicalizedBody") }, attest.CodeLogMismatch},
			"an entry without a proof":     {func(e map[string]any) { delete(e, "inclusionProof") }, attest.CodeLogProof},
			"a proof without a checkpoint": {func(e map[string]any) { delete(e["inclusionProof"].(map[string]any), "checkpoint") }, attest.CodeLogProof},
			"a field that nobody knows":    {func(e map[string]any) { e["surprise"] = 1 }, attest.CodeSignService},
		} {
			t.Run(fmt.Sprint(alg, " ", name), func(t *testing.T) {
				url, asked := serve(t, entries(t, made, tt.change))
				got, err := keyless.Log{URL: url + "/", Net: quick}.Witness(t.Context(), made)
				if asked.Load() != 1 {
					t.Errorf("asked %d times, want once", asked.Load())
				}
				if tt.code != "" {
					wants(t, err, tt.code, "the transparency log")
					return
				}
				if err != nil || len(got.LogEntries) != 1 || len(got.Timestamps) != 0 {
					t.Fatalf("got %+v, %v", got, err)
				}
			})
		}
	}
}

func TestLogAnswersOddly(t *testing.T) {
	made := signed(t, attest.P256)
	for name, tt := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			url, asked := serve(t, tt.answer)
			_, err := keyless.Log{URL: url, Net: quick}.Witness(t.Context(), made)
			code := tt.code
			if name == "an empty object" {
				code = attest.CodeLogMismatch // an entry, with nothing in it
			}
			wants(t, err, code, "the transparency log")
			// A log is never asked twice: it may have taken the first.
			if asked.Load() != 1 {
				t.Errorf("asked %d times, want once", asked.Load())
			}
		})
	}
	for name, tt := range map[string]struct {
		status int
		next   string
	}{"it has the signature": {409, "signed anew"}, "an older API": {404, "Version 1"}} {
		t.Run(name, func(t *testing.T) {
			url, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) })
			_, err := keyless.Log{URL: url, Net: quick}.Witness(t.Context(), made)
			wants(t, err, attest.CodeSignRefused, "")
			var r *attest.Refusal
			if errors.As(err, &r); !strings.Contains(r.Next, tt.next) {
				t.Errorf("next: %q, want %q", r.Next, tt.next)
			}
		})
	}
	t.Run("a key that it cannot hold", func(t *testing.T) {
		url, asked := serve(t, entries(t, made, nil))
		_, err := keyless.Log{URL: url, Net: quick}.Witness(t.Context(), signed(t, attest.Ed25519))
		wants(t, err, attest.CodeKey, "Ed25519")
		if asked.Load() != 0 {
			t.Error("the log was asked all the same")
		}
	})
}

func TestStopping(t *testing.T) {
	made := signed(t, attest.P256)
	ctx, cancel := context.WithCancel(t.Context())
	url, asked := serve(t, func(w http.ResponseWriter, r *http.Request) { cancel(); w.WriteHeader(503) })
	_, err := keyless.Timestamps{URL: url}.Witness(ctx, made) // with the usual pauses
	wants(t, err, attest.CodeInterrupted, "")
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	_, err = keyless.Timestamps{URL: "http://127.0.0.1:1", Net: quick}.Witness(t.Context(), made)
	wants(t, err, attest.CodeSignService, "cannot be asked")
}

func TestServicesOfASigningConfig(t *testing.T) {
	service := func(url, operator string, version int, from, until string) string {
		v := fmt.Sprintf(`{"start":%q}`, from)
		if until != "" {
			v = fmt.Sprintf(`{"start":%q,"end":%q}`, from, until)
		}
		return fmt.Sprintf(`{"url":%q,"majorApiVersion":%d,"operator":%q,"validFor":%s}`, url, version, operator, v)
	}
	const long, soon = "2020-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
	config := func(ca, oidc, logs, logMode, tsas, tsaMode string) string {
		return fmt.Sprintf(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[%s],"oidcUrls":[%s],"rekorTlogUrls":[%s],"rekorTlogConfig":%s,"tsaUrls":[%s],"tsaConfig":%s}`, ca, oidc, logs, logMode, tsas, tsaMode)
	}
	two := service("https://tsa-a.example/t", "a", 1, long, "") + "," + service("https://tsa-b.example/t", "b", 1, long, "")
	const any, all = `{"selector":"ANY"}`, `{"selector":"ALL"}`
	for name, tt := range map[string]struct {
		text string
		want keyless.Config
		says string // "" for a config that is read
	}{
		"one of each": {config(service("https://f.example", "a", 1, long, ""), service("https://o.example", "a", 1, long, ""), service("https://r.example", "a", 2, long, ""), any, service("https://t.example", "a", 1, long, ""), any),
			keyless.Config{Authority: "https://f.example", Issuer: "https://o.example", Logs: []string{"https://r.example"}, Timestamps: []string{"https://t.example"}}, ""},
		"the newest that is in use": {config(service("https://next.example", "a", 1, soon, "")+","+service("https://now.example", "a", 1, "2025-01-01T00:00:00Z", "")+","+service("https://old.example", "a", 1, long, ""), "", "", any, "", any),
			keyless.Config{Authority: "https://now.example"}, ""},
		"all authorities":             {config("", "", "", any, two, all), keyless.Config{Timestamps: []string{"https://tsa-a.example/t", "https://tsa-b.example/t"}}, ""},
		"version 2 of two":            {config("", "", service("https://v1.example", "a", 1, long, "")+","+service("https://v2.example", "a", 2, long, ""), any, "", any), keyless.Config{Logs: []string{"https://v2.example"}}, ""},
		"exactly more than there are": {config("", "", "", any, two, `{"selector":"EXACT","count":3}`), keyless.Config{}, "fewer than it asks for"},
		"only the old log":            {config("", "", service("https://v1.example", "a", 1, long, ""), any, "", any), keyless.Config{}, "version 1 is not written to"},
		"an authority that is over":   {config(service("https://f.example", "a", 1, long, "2025-01-01T00:00:00Z"), "", "", any, "", any), keyless.Config{}, "no certificate authority"},
		"an issuer that is to come":   {config("", service("https://o.example", "a", 1, soon, ""), "", any, "", any), keyless.Config{}, "no place to sign in"},
		"another version":             {`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json"}`, keyless.Config{}, "cannot be read"},
		"HTML":                        {"<html>", keyless.Config{}, "cannot be read"},
		"too long":                    {strings.Repeat(" ", keyless.MaxConfig+1), keyless.Config{}, "longer than any"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := keyless.ParseConfig([]byte(tt.text), noon)
			if tt.says != "" {
				wants(t, err, attest.CodeUsage, tt.says)
				return
			}
			// Of several that one selector takes, the order is nobody's business.
			if err != nil || got.Authority != tt.want.Authority || got.Issuer != tt.want.Issuer || fmt.Sprint(got.Logs) != fmt.Sprint(tt.want.Logs) || !sameSet(got.Timestamps, tt.want.Timestamps) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func sameSet(a, b []string) bool {
	all := map[string]int{}
	for _, s := range a {
		all[s]++
	}
	for _, s := range b {
		all[s]--
	}
	for _, n := range all {
		if n != 0 {
			return false
		}
	}
	return true
}
