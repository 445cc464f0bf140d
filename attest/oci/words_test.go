package oci_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// Those who are shown the reason alone learn what is the matter, and nothing that the
// other side wrote.
func TestWhyNobodyAnswers(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	strange := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(strange.Close)
	for name, tc := range map[string]struct{ host, want string }{
		"refused": {closed.Addr().String(), "connection refused"},
		"silent":  {strings.TrimPrefix(silent.URL, "http://"), "no answer in time"},
		"strange": {strings.Replace(strings.TrimPrefix(strange.URL, "https://"), "127.0.0.1", "registry.test", 1), "the host's certificate is not trusted"},
		"no name": {"nowhere.invalid", "the host's name does not resolve"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, err := attest.ParseReference(tc.host + "/m:x")
			if err != nil {
				t.Fatal(err)
			}
			dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
				if strings.HasPrefix(addr, "nowhere.invalid") {
					return nil, &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}
				}
				return new(net.Dialer).DialContext(ctx, network, strings.Replace(addr, "registry.test", "127.0.0.1", 1))
			}
			r, err := oci.Open(ref.Repository, oci.Options{Transport: &http.Transport{DialContext: dial}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			_, err = r.Resolve(ctx, ref)
			wantCode(t, err, attest.CodeRegUnavailable)
			var refusal *attest.Refusal
			if !errors.As(err, &refusal) || !strings.HasSuffix(refusal.Why, "GET /v2/m/manifests/x: "+tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
