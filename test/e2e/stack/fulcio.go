package stack

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	ctclient "github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/sigstore/fulcio/pkg/ca"
	"github.com/sigstore/fulcio/pkg/ca/baseca"
	"github.com/sigstore/fulcio/pkg/config"
	gw "github.com/sigstore/fulcio/pkg/generated/protobuf"
	flog "github.com/sigstore/fulcio/pkg/log"
	fserver "github.com/sigstore/fulcio/pkg/server"
	v1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// configuration is Fulcio's, for two issuers: of a workload's token the claims become
// the certificate's name and extensions by template, as for any build system that
// Fulcio has no code for; of a person's, the address becomes the name. A claim that a
// template names must be in the token or among the defaults.
const configuration = `
oidc-issuers:
  %[1]s:
    issuer-url: %[1]s
    client-id: ` + Audience + `
    type: ci-provider
    ci-provider: ml-pipeline
  %[2]s:
    issuer-url: %[2]s
    client-id: ` + Audience + `
    type: email
ci-issuer-metadata:
  ml-pipeline:
    default-template-values: {url: "` + CIURL + `", event: push, environment: ""}
    extension-templates:
      build-signer-uri: "{{ .url }}/{{ .pipeline }}/{{ .step }}"
      build-config-uri: "{{ .url }}/{{ .pipeline }}@{{ .ref }}"
      build-trigger: "event"
      runner-environment: "runner_environment"
      source-repository-uri: "{{ .url }}/{{ .repository }}"
      source-repository-digest: "sha"
      source-repository-ref: "ref"
      run-invocation-uri: "{{ .url }}/{{ .pipeline }}/runs/{{ .run_id }}"
      deployment-environment: "environment"
    subject-alternative-name-template: "{{ .url }}/{{ .pipeline }}/{{ .step }}@{{ .ref }}"
`

// CIURL is where the build system would be: it begins the subject of its workloads.
const CIURL = "https://ci.acme.example"

// A Workload is a step of a pipeline that the build system runs.
type Workload struct {
	Pipeline string // acme/credit/pipeline.yaml
	Caller   string // the repository for which it runs; if empty, the pipeline's own
	Step     string
	Ref      string // refs/heads/main
	Event    string // what triggered the run: push, pull_request
	RunID    int
}

// Claims returns what the build system's token says of the workload.
func (w Workload) Claims() map[string]any {
	return map[string]any{
		"sub": "pipeline:" + w.Step, "pipeline": w.Pipeline, "step": w.Step, "ref": w.Ref, "event": w.Event, "run_id": w.RunID,
		"repository": w.repository(), "sha": strings.Repeat("5e", 20), "runner_environment": "self-hosted",
	}
}

func (w Workload) repository() string {
	if w.Caller != "" {
		return w.Caller
	}
	return w.Pipeline[:strings.LastIndex(w.Pipeline, "/")]
}

// Repository returns the address of the repository as the certificate has it.
func (w Workload) Repository() string { return CIURL + "/" + w.repository() }

// Subject returns the name that Fulcio puts into the certificate.
func (w Workload) Subject() string {
	return fmt.Sprintf("%s/%s/%s@%s", CIURL, w.Pipeline, w.Step, w.Ref)
}

// A fulcio is Fulcio's certificate authority service with its gateway, in this process:
// the program would also serve its metrics on every interface.
type fulcio struct {
	URL   string
	Chain []*x509.Certificate // intermediate, root

	srv  *httptest.Server
	grpc *grpc.Server
}

func newFulcio(ctx context.Context, workloads, people *Issuer, log *ctLog, curve elliptic.Curve) (*fulcio, error) {
	// Its log is the process's, on standard output, which here is others'.
	flog.Logger = zap.NewNop().Sugar()
	cfg, err := config.Read(fmt.Appendf(nil, configuration, workloads.URL, people.URL))
	if err != nil {
		return nil, err
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig([]v1.PublicKeyDetails{
		v1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, v1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		v1.PublicKeyDetails_PKIX_ED25519, v1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256})
	if err != nil {
		return nil, err
	}
	pub, err := cryptoutils.MarshalPublicKeyToPEM(log.Key.Public())
	if err != nil {
		return nil, err
	}
	logs, err := ctclient.New(log.URL, &http.Client{Timeout: 10 * time.Second}, jsonclient.Options{PublicKey: string(pub)})
	if err != nil {
		return nil, err
	}
	chain, key, err := newChain(curve)
	if err != nil {
		return nil, err
	}
	f := &fulcio{Chain: chain, grpc: grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		return h(config.With(ctx, cfg), req)
	}))}
	authority := &baseca.BaseCA{SignerWithChain: &ca.SignerCerts{Signer: key, Certs: chain}}
	gw.RegisterCAServer(f.grpc, fserver.NewGRPCCAServer(logs, authority, algorithms, fserver.NewIssuerPool(cfg)))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go f.grpc.Serve(lis) // ends with Stop, and has nothing to say then
	mux := runtime.NewServeMux(runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD {
		return metadata.Pairs(fserver.MetadataOIDCTokenKey, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	if err := gw.RegisterCAHandlerFromEndpoint(ctx, mux, lis.Addr().String(), []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}); err != nil {
		f.grpc.Stop()
		return nil, err
	}
	f.srv = httptest.NewServer(mux)
	f.URL = f.srv.URL
	return f, nil
}

func (f *fulcio) stop() error {
	f.srv.Close()
	f.grpc.Stop()
	return nil
}

// newChain makes a root and an intermediate that signs certificates for code, and
// returns them in the order intermediate, root, with the intermediate's key.
func newChain(curve elliptic.Curve) ([]*x509.Certificate, crypto.Signer, error) {
	now := time.Now()
	template := func(name string, serial int64, pathLen int) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{Organization: []string{"acme"}, CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0,
		}
	}
	rootKey, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	r := template("acme fulcio root", 1, 1)
	root, err := sign(r, r, rootKey.Public(), rootKey)
	if err != nil {
		return nil, nil, err
	}
	i := template("acme fulcio intermediate", 2, 0)
	i.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	intermediate, err := sign(i, root, key.Public(), rootKey)
	if err != nil {
		return nil, nil, err
	}
	return []*x509.Certificate{intermediate, root}, key, nil
}

func sign(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
