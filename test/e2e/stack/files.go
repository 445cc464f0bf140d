package stack

import (
	"crypto"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	rnote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TrustedRoot returns trusted_root.json for this stack, with all of its timestamp
// authorities.
func (s *Stack) TrustedRoot() ([]byte, error) { return s.TrustedRootWith(s.Authorities) }

// TrustedRootWith returns the same with other timestamp authorities, of other stacks
// perhaps, or one twice.
func (s *Stack) TrustedRootWith(authorities []*Authority) ([]byte, error) {
	chain := s.fulcio.Chain
	ca := &root.FulcioCertificateAuthority{URI: s.fulcio.URL, Root: chain[len(chain)-1], Intermediates: chain[:len(chain)-1], ValidityPeriodStart: s.since}
	var tsas []root.TimestampingAuthority
	for _, a := range authorities {
		n := len(a.Chain)
		tsas = append(tsas, &root.SigstoreTimestampingAuthority{URI: a.URL, Leaf: a.Chain[0], Intermediates: a.Chain[1 : n-1], Root: a.Chain[n-1], ValidityPeriodStart: s.since})
	}
	_, id, err := rnote.KeyHash(s.rekor.Origin, s.rekor.Key)
	if err != nil {
		return nil, err
	}
	tlogs := map[string]*root.TransparencyLog{hex.EncodeToString(id): {
		// The host is the log's name in its checkpoints, not where it is served.
		BaseURL: "http://" + s.rekor.Origin, ID: id, HashFunc: crypto.SHA256,
		PublicKey: s.rekor.Key, SignatureHashFunc: crypto.SHA512, ValidityPeriodStart: s.since,
	}}
	ctlogs := map[string]*root.TransparencyLog{hex.EncodeToString(s.ct.ID[:]): {
		BaseURL: s.ct.URL, ID: s.ct.ID[:], HashFunc: crypto.SHA256,
		PublicKey: s.ct.Key.Public(), SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: s.since,
	}}
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{ca}, ctlogs, tsas, tlogs)
	if err != nil {
		return nil, err
	}
	return tr.MarshalJSON()
}

// SigningConfig returns signing_config.json (v0.2) with these addresses: one
// certificate, one log, and a timestamp of each authority.
func (s *Stack) SigningConfig(e Endpoints) ([]byte, error) {
	valid := &protocommon.TimeRange{Start: timestamppb.New(s.since)}
	service := func(operator, url string, version uint32) *prototrustroot.Service {
		return &prototrustroot.Service{Url: url, MajorApiVersion: version, ValidFor: valid, Operator: operator}
	}
	c := &prototrustroot.SigningConfig{
		MediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		CaUrls:    []*prototrustroot.Service{service("acme", e.Fulcio, 1)},
		OidcUrls:  []*prototrustroot.Service{service("acme", e.OIDC, 1)},
	}
	if e.Rekor != "" {
		c.RekorTlogUrls = []*prototrustroot.Service{service("acme", e.Rekor, 2)}
		c.RekorTlogConfig = &prototrustroot.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	}
	for i, url := range e.Timestamps {
		// Of several services of one operator a client takes only one.
		c.TsaUrls = append(c.TsaUrls, service(fmt.Sprintf("acme-%d", i), url, 1))
		c.TsaConfig = &prototrustroot.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ALL}
	}
	return protojson.Marshal(c)
}

// Files are what a client of the stack is configured with.
type Files struct {
	TrustedRoot   string   `json:"trustedRoot"`   // trusted_root.json
	SigningConfig string   `json:"signingConfig"` // signing_config.json
	Chains        []string `json:"chains"`        // timestamps-0.pem and so on: the certificates of each authority
}

// Write writes the files into the folder, which is made if need be.
func (s *Stack) Write(dir string) (Files, error) {
	f := Files{TrustedRoot: filepath.Join(dir, "trusted_root.json"), SigningConfig: filepath.Join(dir, "signing_config.json")}
	tr, err := s.TrustedRoot()
	if err != nil {
		return Files{}, err
	}
	sc, err := s.SigningConfig(s.Endpoints())
	if err != nil {
		return Files{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Files{}, err
	}
	if err := os.WriteFile(f.TrustedRoot, tr, 0o644); err != nil {
		return Files{}, err
	}
	for i, a := range s.Authorities {
		name := filepath.Join(dir, fmt.Sprintf("timestamps-%d.pem", i))
		chain, err := cryptoutils.MarshalCertificatesToPEM(a.Chain)
		if err != nil {
			return Files{}, err
		}
		if err := os.WriteFile(name, chain, 0o644); err != nil {
			return Files{}, err
		}
		f.Chains = append(f.Chains, name)
	}
	return f, os.WriteFile(f.SigningConfig, sc, 0o644)
}
