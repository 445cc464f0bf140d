package stack

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	tsaserver "github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"

	"github.com/pedigree-ml/pedigree/internal/child"
)

// childEnv tells a child of this program what it is.
const childEnv = "PEDIGREE_SIGSTORE_STACK_CHILD"

// Child serves as a timestamp authority, and does not return, if Start started this
// process to be one; otherwise it does nothing. It has to be the first thing that main,
// or TestMain, of a program that calls Start does.
//
// The authority's configuration is global to its process, so that each is a process,
// and it is ours rather than the authority's own program, because that one also serves
// its metrics on every interface, at a fixed port.
func Child() {
	if os.Getenv(childEnv) != "timestamp-authority" {
		return
	}
	viper.Set("timestamp-signer", "memory") // a key and a chain of its own
	viper.Set("timestamp-signer-hash", "sha256")
	viper.Set("accepted-policy-oids", []string{"1.3.6.1.4.1.57264.2"})
	viper.Set("default-policy-oid", "1.3.6.1.4.1.57264.2")
	viper.Set("max-request-body-size", uint64(1<<20))
	s := tsaserver.NewRestAPIServer("127.0.0.1", 0, []string{"http"}, false, 10*time.Second, 10*time.Second)
	srv := httptest.NewServer(s.GetHandler())
	fmt.Println(srv.URL)
	io.Copy(io.Discard, os.Stdin) // until the parent is gone
	os.Exit(0)
}

// An Authority is a timestamp authority of RFC 3161.
type Authority struct {
	URL   string              // where timestamps are asked for
	Chain []*x509.Certificate // leaf, intermediates, root

	child *child.Process
}

func newAuthority(ctx context.Context, log string) (*Authority, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"=timestamp-authority")
	c, base, err := startOwn(cmd, log)
	if err != nil {
		return nil, err
	}
	a := &Authority{URL: base + "/api/v1/timestamp", child: c}
	if err := a.readChain(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return a, nil
}

func (a *Authority) readChain(ctx context.Context) error {
	pem, err := get(ctx, a.URL+"/certchain")
	if err != nil {
		return err
	}
	a.Chain, err = cryptoutils.UnmarshalCertificatesFromPEM(bytes.TrimSpace(pem))
	return err
}
