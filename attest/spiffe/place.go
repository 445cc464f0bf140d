package spiffe

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// wait is how long the Workload API has to answer. An agent answers from memory;
	// one that just started fetches first, which takes a few seconds.
	wait = 10 * time.Second

	// maxFile bounds the files of an SVID. Five certificates have about 10 KiB.
	maxFile = 1 << 20
)

// The files that spiffe-helper writes, by its defaults.
const (
	fileCertificates = "svid.pem"
	fileKey          = "svid_key.pem"
)

// Open returns a signer from wherever place says an X.509-SVID is to be had: a socket
// of the Workload API ("unix:///run/spire/agent.sock", "tcp://127.0.0.1:8082", or the
// path of a socket), or a folder with svid.pem and svid_key.pem.
func Open(ctx context.Context, place string) (*Signer, error) {
	if strings.HasPrefix(place, "unix:") || strings.HasPrefix(place, "tcp:") {
		return Fetch(ctx, place)
	}
	info, err := os.Stat(place)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &attest.Refusal{Code: attest.CodeKey, About: place, Why: "neither a socket nor a folder", Next: "name the socket of the SPIFFE agent, or the folder that spiffe-helper writes to"}
	case err != nil:
		return nil, &attest.Refusal{Code: attest.CodeKey, About: place, Why: "cannot be looked at", Err: err}
	case info.IsDir():
		return Load(place)
	case info.Mode()&fs.ModeSocket != 0:
		path, err := filepath.Abs(place)
		if err != nil {
			return nil, &attest.Refusal{Code: attest.CodeKey, About: place, Why: "has no absolute path", Err: err}
		}
		return Fetch(ctx, (&url.URL{Scheme: "unix", Path: path}).String())
	}
	return nil, &attest.Refusal{Code: attest.CodeKey, About: place, Why: "a file, and neither a socket nor a folder", Next: "name the folder that has " + fileCertificates + " and " + fileKey}
}

// Load reads svid.pem and svid_key.pem from a folder, as Parse does. A svid_bundle.pem
// beside them is not looked at: whom to believe is for the verifier.
//
// The files are read one after the other, and what renews them may write in between;
// then the key does not belong to the certificate, and both are read once more.
func Load(folder string) (*Signer, error) {
	s, err := load(folder)
	if err != nil {
		s, err = load(folder)
	}
	return s, about(folder, err)
}

func load(folder string) (*Signer, error) {
	certificates, err := read(filepath.Join(folder, fileCertificates))
	if err != nil {
		return nil, err
	}
	key, err := read(filepath.Join(folder, fileKey))
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return Parse(certificates, key)
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeKey, About: name, Why: "the X.509-SVID cannot be read", Next: "spiffe-helper writes " + fileCertificates + " and " + fileKey + " by default", Err: err}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, &attest.Refusal{Code: attest.CodeKey, About: name, Why: "the X.509-SVID cannot be read", Err: err}
	case len(b) > maxFile:
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: name, Why: "the file is larger than 1 MiB"}
	}
	return b, nil
}

// Fetch asks the Workload API at an address, unix://PATH or tcp://LOOPBACK:PORT, for this
// process's X.509-SVID: the first, which the API says is the one to use (SPIFFE
// Workload API, section 5.3). It waits at most ten seconds.
//
// The answer contains the private key and nothing protects it on its way, so that an
// address beyond this machine is refused, E_USAGE. No agent and an agent that does not
// know the process are E_IDENTITY.
func Fetch(ctx context.Context, address string) (*Signer, error) {
	if err := local(address); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	svid, err := workloadapi.FetchX509SVID(ctx, workloadapi.WithAddr(address))
	if err != nil {
		return nil, refusedBy(address, err)
	}
	return newSigner(svid)
}

func local(address string) error {
	if err := workloadapi.ValidateAddress(address); err != nil {
		return &attest.Refusal{Code: attest.CodeKey, About: address, Why: "not an address of the Workload API", Next: "for instance unix:///run/spire/sockets/agent.sock", Err: err}
	}
	u, err := url.Parse(address)
	if err != nil {
		return &attest.Refusal{Code: attest.CodeKey, About: address, Err: err} // unreachable: it was validated
	}
	if u.Scheme == "tcp" && !net.ParseIP(u.Hostname()).IsLoopback() {
		return &attest.Refusal{Code: attest.CodeKey, About: address, Why: "the Workload API of another machine: it sends the private key, and nothing protects it on its way",
			Next: "use the agent on this machine"}
	}
	return nil
}

// refusedBy says what an error of the Workload API means.
func refusedBy(address string, err error) error {
	r := &attest.Refusal{Code: attest.CodeSignService, About: address, Err: err}
	switch status.Code(err) {
	case codes.PermissionDenied:
		r.Code = attest.CodeSignRefused
		r.Why, r.Next = "the SPIFFE agent has no identity for this process", "have an entry registered that selects it: spire-server entry create"
	case codes.Unavailable:
		r.Why, r.Next = "no SPIFFE agent answers", "start the agent, or name its socket: --spiffe, or SPIFFE_ENDPOINT_SOCKET"
	case codes.DeadlineExceeded, codes.Canceled:
		r.Why, r.Next = "the SPIFFE agent did not answer in time", "look at the agent's log"
	default:
		r.Why, r.Next = "the SPIFFE agent gave no X.509-SVID with its key", "look at the agent's log"
	}
	return r
}
