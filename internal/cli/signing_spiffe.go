package cli

import (
	"context"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/spiffe"
)

const (
	// socketVariable names the Workload API's socket (SPIFFE Workload Endpoint, section 4).
	socketVariable = "SPIFFE_ENDPOINT_SOCKET"

	// svidMargin is how long an X.509-SVID must still hold: a timestamp authority's
	// clock may be ahead of ours, and it may have to be asked again.
	svidMargin = time.Minute
)

// spiffeSigners signs with a workload's X.509-SVID: from the Workload API behind a
// socket, or from a folder. It is fetched anew for each signature, because it holds for
// an hour and a step may take longer.
func (a *app) spiffeSigners(_ context.Context, from string) (signers, error) {
	if from == "env" {
		socket, ok := a.getenv(socketVariable)
		if !ok || socket == "" {
			return nil, &attest.Refusal{Code: attest.CodeUsage, About: socketVariable, Why: "is not set", Next: "set it, or name the socket: --spiffe unix:///PATH"}
		}
		from = socket
	}
	return func(ctx context.Context) (attest.Signer, error) {
		s, err := spiffe.Open(ctx, from)
		if err != nil {
			return nil, err
		}
		if err := s.Holds(a.Now(), svidMargin); err != nil {
			return nil, err
		}
		return s, nil
	}, nil
}
