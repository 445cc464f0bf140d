package serve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// judgeFunc is a judge and an admitter in one: both go the same way through the server.
type judgeFunc func(ctx context.Context, q gate.Question) gate.Answer

func (f judgeFunc) Judge(ctx context.Context, q gate.Question) gate.Answer { return f(ctx, q) }

// Review asks the function about the artifact that the review's object names, and allows
// if it does.
func (f judgeFunc) Review(ctx context.Context, _ *gate.Grounds, r *admissionv1.AdmissionRequest, _ bool) *admissionv1.AdmissionResponse {
	ref, _ := attest.ParseReference(good)
	a := f(ctx, gate.Question{Reference: ref, Context: r.Namespace})
	if !a.Allowed() {
		return &admissionv1.AdmissionResponse{Result: &metav1.Status{Code: http.StatusForbidden, Message: "E_RULE: no"}}
	}
	return &admissionv1.AdmissionResponse{Allowed: true}
}

const (
	digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	good   = "registry.example/models/credit@" + digest
	asking = `{"reference": "` + good + `"}`
)

func parsed(t testing.TB, s string) attest.Digest {
	t.Helper()
	d, err := attest.ParseDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// allow answers ALLOW to everything.
func allow(t testing.TB) judgeFunc {
	d, body := parsed(t, digest), []byte("{\n  \"outcome\": \"ALLOW\"\n}\n")
	return func(_ context.Context, q gate.Question) gate.Answer {
		ref := q.Reference
		ref.Digest = d
		return gate.Answer{Outcome: policy.Allow, Reference: ref, Policy: d, Verdicts: []*policy.Verdict{{}}, JSON: body,
			Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Cached: true}
	}
}

// decodeReview is a decoder as simple as may be; the real one is package admit's.
func decodeReview(body []byte) (*admissionv1.AdmissionReview, error) {
	var r admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, attest.Refuse(attest.CodeJSON, "no review")
	}
	if r.Request == nil {
		return nil, attest.Refuse(attest.CodeJSON, "no request")
	}
	if r.APIVersion != "admission.k8s.io/v1" {
		return &r, attest.Refuse(attest.CodeUsage, "another version")
	}
	return &r, nil
}

// reviewOf is a review of a pod in a namespace.
func reviewOf(namespace string) string {
	b, _ := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  &admissionv1.AdmissionRequest{UID: types.UID("uid-1"), Namespace: namespace, Operation: admissionv1.Create},
	})
	return string(b)
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A fixture is a server that runs.
type fixture struct {
	*Server
	log      *logged
	registry *prometheus.Registry
	stop     context.CancelFunc
	ended    chan error
}

// start runs a server on loopback until the test ends. change may be nil.
func start(t testing.TB, judge judgeFunc, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{log: new(logged), registry: prometheus.NewRegistry(), ended: make(chan error, 1)}
	grounds := &gate.Grounds{
		Config:   &gate.Config{Registry: gate.Registry{Repositories: []string{"registry.example/models/**"}}},
		Policies: map[string]*gate.Ground{"prod": {Name: "prod"}}, Loaded: time.Unix(1_700_000_000, 0),
	}
	o := Options{
		Config:  &gate.Config{Listen: gate.Listen{Address: "127.0.0.1:0", Metrics: "127.0.0.1:0", Drain: -1}},
		Grounds: func() *gate.Grounds { return grounds }, Judge: judge, Admitter: judge, Decode: decodeReview,
		Registry: f.registry, Log: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = s
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	go func() { f.ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		s.Close()
		<-f.ended
		f.ended <- nil
	})
	return f
}

func (f *fixture) url(path string) string {
	scheme := "http"
	if f.certs != nil {
		scheme = "https"
	}
	return scheme + "://" + f.Addr().String() + path
}

// An answered is a response that was read.
type answered struct {
	status int
	header http.Header
	body   string
}

func post(t testing.TB, c *http.Client, url, body string) answered {
	t.Helper()
	a, err := tryPost(c, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryPost(c *http.Client, url, body string) (answered, error) {
	return read(c.Post(url, "application/json", strings.NewReader(body)))
}

func read(r *http.Response, err error) (answered, error) {
	if err != nil {
		return answered{}, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return answered{r.StatusCode, r.Header, string(b)}, err
}

func get(t testing.TB, c *http.Client, url string) answered {
	t.Helper()
	a, err := read(c.Get(url))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// metricsText is what a scraper reads.
func (f *fixture) metricsText(t testing.TB) string {
	t.Helper()
	return get(t, http.DefaultClient, "http://"+f.MetricsAddr().String()+"/metrics").body
}

// refusedBy fails unless a is a refusal with the status and the code.
func refusedBy(t testing.TB, a answered, status int, code attest.Code) {
	t.Helper()
	var doc errorDoc2
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != status || doc.Error.Code != code || doc.Outcome != "UNDECIDED" {
		t.Errorf("got %d %q, want %d with %s", a.status, a.body, status, code)
	}
}

type errorDoc2 struct {
	Outcome string
	Error   errorPart
}

// responseOf reads the review that answers.
func responseOf(t testing.TB, a answered) *admissionv1.AdmissionResponse {
	t.Helper()
	var r admissionv1.AdmissionReview
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || r.Response == nil || r.APIVersion != "admission.k8s.io/v1" || r.Kind != "AdmissionReview" {
		t.Fatalf("no review: %d %q", a.status, a.body)
	}
	return r.Response
}

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	return &authority{sign(t, tmpl, tmpl, key.Public(), key), key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, pub any, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue makes a certificate; change may set names and times.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(tmpl)
	key := newKey(t)
	cert := sign(t, tmpl, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func server(c *x509.Certificate) {
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
}

func commonName(n string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.CommonName = n }
}

func uriName(n string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		u, err := url.Parse(n)
		if err != nil {
			panic(err)
		}
		c.URIs = []*url.URL{u}
	}
}

// A secret is a folder as the kubelet makes it: tls.crt, tls.key and ca.crt are links into
// ..data, which is a link that is swapped when the secret changes.
type secret struct {
	dir string
	n   int
}

func newSecret(t testing.TB) *secret {
	t.Helper()
	s := &secret{dir: t.TempDir()}
	for _, n := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if err := os.Symlink(filepath.Join("..data", n), filepath.Join(s.dir, n)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *secret) write(t testing.TB, cert tls.Certificate, ca []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.writeRaw(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), ca)
}

func (s *secret) writeRaw(t testing.TB, cert, key, ca []byte) {
	t.Helper()
	s.n++
	name := "..v" + string(rune('a'+s.n%26)) + time.Now().Format("150405.000000000")
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for n, b := range map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": ca} {
		if err := os.WriteFile(filepath.Join(dir, n), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(s.dir, "..data_tmp")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(s.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

func (s *secret) listen(l *gate.Listen, mutual bool) {
	l.Certificate, l.Key = filepath.Join(s.dir, "tls.crt"), filepath.Join(s.dir, "tls.key")
	if mutual {
		l.ClientCA = filepath.Join(s.dir, "ca.crt")
	}
}

// client is an HTTP client that trusts roots; with http1 it speaks nothing newer.
func client(t testing.TB, roots *x509.CertPool, http1 bool, certs ...tls.Certificate) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}, ForceAttemptHTTP2: !http1, MaxIdleConnsPerHost: 100}
	if http1 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// startTLS runs a server with a certificate by ca.
func startTLS(t testing.TB, judge judgeFunc, ca *authority, change func(*Options, *secret)) (*fixture, *secret) {
	t.Helper()
	s := newSecret(t)
	s.write(t, ca.issue(t, server), ca.pem())
	return start(t, judge, func(o *Options) {
		s.listen(&o.Config.Listen, false)
		if change != nil {
			change(o, s)
		}
	}), s
}

// eventually waits until ok, or fails.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 10s: %s", what)
}

var errStub = errors.New("stub")

type (
	reviewT   = admissionv1.AdmissionReview
	requestT  = admissionv1.AdmissionRequest
	responseT = admissionv1.AdmissionResponse
)

// admitterFunc answers every review in the same way.
type admitterFunc func() *responseT

func (f admitterFunc) Review(context.Context, *gate.Grounds, *requestT, bool) *responseT { return f() }
