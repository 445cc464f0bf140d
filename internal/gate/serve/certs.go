package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

const (
	// rereadEvery is how often the files are looked at. Three small files a second cost
	// nothing, and contents are told apart where times and inodes are not: a secret's
	// files are links to links that are swapped.
	rereadEvery = time.Second
	// maxPEM bounds a file; a bundle of all the authorities that browsers trust has 220 KB.
	maxPEM = 1 << 20
)

// identity is what the gate shows its clients, and by whom it lets them be vouched for,
// as read at one moment. It is never changed.
type identity struct {
	sum     [sha256.Size]byte // of the files
	leaf    *x509.Certificate
	clients *x509.CertPool // nil: clients need no certificate
	vouched [sha256.Size]byte
	config  *tls.Config
}

// certs keeps the identity that is in the files.
type certs struct {
	listen gate.Listen
	now    func() time.Time
	log    *slog.Logger
	count  func(result string) // of reading changed files: ok, error

	current atomic.Pointer[identity]

	mu      sync.Mutex        // of reread
	refused [sha256.Size]byte // what was last refused
	said    string            // the last problem that was logged
}

// errNoCertificate ends handshakes before there is a certificate.
var errNoCertificate = errors.New("no certificate has been loaded yet")

// watch reads the files again until ctx ends.
func (c *certs) watch(ctx context.Context) {
	t := time.NewTicker(rereadEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.reread()
		}
	}
}

// reread takes what is in the files if it is whole and something else than before. What
// is not whole (a certificate whose key is not written yet) leaves what was, and is said
// once.
func (c *certs) reread() {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, sum, err := c.read()
	old := c.current.Load()
	if err == nil && old != nil && sum == old.sum {
		c.refused = [sha256.Size]byte{}
		c.sayProblem()
		return
	}
	if err != nil {
		sum = sha256.Sum256([]byte(err.Error()))
	}
	if sum == c.refused {
		return
	}
	var id *identity
	if err == nil {
		id, err = c.parse(files)
	}
	if err != nil {
		c.refused = sum
		c.count("error")
		c.log.Error("certificates cannot be used", "why", shown(err.Error()), "keeping", old != nil)
		return
	}
	id.sum = sum
	c.refused = [sha256.Size]byte{}
	c.current.Store(id)
	c.count("ok")
	c.log.Info("certificates loaded", "expires", id.leaf.NotAfter, "sha256", fmt.Sprintf("%x", sha256.Sum256(id.leaf.Raw)))
	c.sayProblem()
}

// sayProblem, with mu held, logs a certificate that is over, or not valid yet, once.
func (c *certs) sayProblem() {
	p := c.problem()
	if p != "" && p != c.said {
		c.log.Error("the gate is not ready", "why", p)
	}
	c.said = p
}

// problem returns why clients cannot trust the certificate, and "" if they can. It does
// not ask whether its names are those by which the gate is called: nobody here knows.
func (c *certs) problem() string {
	id := c.current.Load()
	switch now := c.now(); {
	case id == nil:
		return errNoCertificate.Error()
	case now.After(id.leaf.NotAfter):
		return "the certificate expired at " + id.leaf.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(id.leaf.NotBefore):
		return "the certificate is not valid before " + id.leaf.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}

// pemFiles are the contents of the three files.
type pemFiles struct{ certificate, key, clientCA []byte }

func (c *certs) read() (f pemFiles, sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, x := range []struct {
		path string
		into *[]byte
	}{{c.listen.Certificate, &f.certificate}, {c.listen.Key, &f.key}, {c.listen.ClientCA, &f.clientCA}} {
		if x.path == "" {
			continue
		}
		b, err := readBounded(x.path)
		if err != nil {
			return pemFiles{}, sum, err
		}
		*x.into = b
		fmt.Fprintf(h, "%d\n", len(b))
		h.Write(b)
	}
	return f, [sha256.Size]byte(h.Sum(nil)), nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(b) > maxPEM {
		err = fmt.Errorf("%s has more than %d bytes", path, maxPEM)
	}
	return b, err
}

func (c *certs) parse(f pemFiles) (*identity, error) {
	pair, err := tls.X509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	id := &identity{leaf: pair.Leaf}
	id.config = &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"h2", "http/1.1"},
		// A resumed session rests on an older look at the client's certificate.
		SessionTicketsDisabled: true,
		Time:                   c.now,
	}
	if c.listen.ClientCA == "" {
		return id, nil
	}
	if id.clients, err = pool(f.clientCA); err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	id.vouched = sha256.Sum256(f.clientCA)
	id.config.ClientAuth = tls.RequireAndVerifyClientCert
	id.config.ClientCAs = id.clients
	id.config.VerifyConnection = func(cs tls.ConnectionState) error {
		_, err := c.client(cs)
		return err
	}
	return id, nil
}

// pool reads PEM certificates and refuses everything else: what is passed over in silence
// would be an authority that somebody thinks is trusted.
func pool(b []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	n := 0
	for rest := bytes.TrimSpace(b); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("holds something else than PEM certificates")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		p.AddCert(cert)
		n++
	}
	if n == 0 {
		return nil, errors.New("holds no certificate")
	}
	return p, nil
}

// client returns the name of the client at the other end, or why it is not heard.
func (c *certs) client(cs tls.ConnectionState) (string, error) {
	if len(cs.VerifiedChains) == 0 {
		return "", errors.New("no certificate by an authority for clients") // unreachable: the handshake asked for one
	}
	names := clientNames(cs.PeerCertificates[0])
	if len(names) == 0 {
		return "", errors.New("the client's certificate has no name")
	}
	if len(c.listen.ClientNames) == 0 {
		return names[0], nil
	}
	for _, n := range names {
		if slices.Contains(c.listen.ClientNames, n) {
			return n, nil
		}
	}
	return "", fmt.Errorf("%q is not a client that may ask", shown(names[0]))
}

// clientNames returns the names of a client's certificate: of URIs and DNS names, and the
// common name only if it has none of these.
func clientNames(cert *x509.Certificate) []string {
	var names []string
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	names = append(names, cert.DNSNames...)
	if len(names) == 0 && cert.Subject.CommonName != "" {
		names = append(names, cert.Subject.CommonName)
	}
	return names
}

// stillVouched reports whether the client whose handshake was made under then would be
// heard in a new one: connections outlive certificates and authorities.
func (c *certs) stillVouched(then *identity, chain []*x509.Certificate) bool {
	if then == nil || then.clients == nil || len(chain) == 0 {
		return then != nil && then.clients == nil
	}
	now, id := c.now(), c.current.Load()
	if id.vouched == then.vouched {
		return !now.After(chain[0].NotAfter)
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: id.clients, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}
