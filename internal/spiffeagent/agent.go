// Package spiffeagent is a SPIFFE agent for tests: it serves the real Workload API, over
// gRPC on a socket, and gives whoever asks the X.509-SVIDs that a test issued. It does
// not look at who asks, which is what a real agent is for.
package spiffeagent

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pedigree-ml/pedigree/internal/authority"
)

// An SVID is an X.509-SVID with its key.
type SVID struct {
	ID           string
	Certificates []*x509.Certificate // the leaf first
	Key          crypto.Signer
}

// Issue makes an X.509-SVID for spiffe://DOMAIN/PATH, certified for an hour from the
// given time by the domain's intermediate, or by its root if it has none. A nil key
// means a new one on P-256. Changes are made to the template.
func Issue(d *authority.Domain, path string, key crypto.Signer, at time.Time, changes ...func(*x509.Certificate)) (*SVID, error) {
	s := &SVID{ID: "spiffe://" + d.Name + "/" + path, Key: key}
	if key == nil {
		k, err := authority.NewKey(authority.P256, s.ID+at.String())
		if err != nil {
			return nil, err
		}
		s.Key = k.Signer
	}
	san, err := authority.SAN(authority.URI(s.ID))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		NotBefore: at, NotAfter: at.Add(time.Hour), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, ExtraExtensions: []pkix.Extension{san},
	}
	for _, change := range changes {
		change(t)
	}
	by := d.Intermediate
	if by == nil {
		by = d.Root
	}
	leaf, err := authority.NewCert(t, authority.Key{Signer: s.Key}, by)
	if err != nil {
		return nil, err
	}
	s.Certificates = []*x509.Certificate{leaf.Certificate}
	if d.Intermediate != nil {
		s.Certificates = append(s.Certificates, d.Intermediate.Certificate)
	}
	return s, nil
}

// PEM returns the certificates and the key as spiffe-helper writes them.
func (s *SVID) PEM() (certificates, key []byte, err error) {
	var b bytes.Buffer
	for _, c := range s.Certificates {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, nil, err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		return nil, nil, err
	}
	return b.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Write writes svid.pem and svid_key.pem into a folder.
func (s *SVID) Write(folder string) error {
	certificates, key, err := s.PEM()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "svid.pem"), certificates, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "svid_key.pem"), key, 0o600)
}

// An Agent serves the Workload API.
type Agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	Socket string // the path of its socket

	server *grpc.Server
	mu     sync.Mutex
	svids  []*SVID
	change func(*workload.X509SVIDResponse)
	hang   bool
	asked  int
}

// Start serves on a socket agent.sock in a folder, whose path must be short: sockets'
// have at most some hundred bytes.
func Start(folder string) (*Agent, error) {
	a := &Agent{Socket: filepath.Join(folder, "agent.sock"), server: grpc.NewServer()}
	l, err := net.Listen("unix", a.Socket)
	if err != nil {
		return nil, err
	}
	workload.RegisterSpiffeWorkloadAPIServer(a.server, a)
	go a.server.Serve(l) // ends with Stop
	return a, nil
}

// Stop ends it, whoever still waits.
func (a *Agent) Stop() { a.server.Stop() }

// Give says which SVIDs are given from now on, the first being the default. Nobody
// gets one if there are none.
func (a *Agent) Give(svids ...*SVID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.svids, a.change, a.hang = svids, nil, false
}

// Change changes the answers before they are sent, for agents that misbehave.
func (a *Agent) Change(change func(*workload.X509SVIDResponse)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.change = change
}

// Hang makes it take calls and not answer.
func (a *Agent) Hang() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hang = true
}

// Asked returns how often an SVID was asked for.
func (a *Agent) Asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// FetchX509SVID answers as SPIRE's agent does (SPIFFE Workload API, section 5.2.1): the
// stream stays open for renewals, which do not come.
func (a *Agent) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	if v := md.Get("workload.spiffe.io"); len(v) != 1 || v[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	a.mu.Lock()
	a.asked++
	svids, change, hang := a.svids, a.change, a.hang
	a.mu.Unlock()
	if hang {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	if len(svids) == 0 {
		return status.Error(codes.PermissionDenied, "no identity issued")
	}
	answer := &workload.X509SVIDResponse{}
	for _, s := range svids {
		key, err := x509.MarshalPKCS8PrivateKey(s.Key)
		if err != nil {
			return err
		}
		one := &workload.X509SVID{SpiffeId: s.ID, X509SvidKey: key}
		for _, c := range s.Certificates {
			one.X509Svid = append(one.X509Svid, c.Raw...)
		}
		answer.Svids = append(answer.Svids, one)
	}
	if change != nil {
		change(answer)
	}
	if err := stream.Send(answer); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}
