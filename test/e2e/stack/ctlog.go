package stack

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	stdx509 "crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/ctonly"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

// maxChain bounds a submission to the log: Fulcio's chains are a few kilobytes.
const maxChain = 1 << 20

// A ctLog is a certificate transparency log: the submission side of RFC 6962 over
// Tessera's storage on disk, in the layout of static-ct-api.
type ctLog struct {
	URL string
	Key *ecdsa.PrivateKey
	ID  [32]byte // SHA-256 of the public key

	srv   *httptest.Server
	add   func(context.Context, *ctonly.Entry) tessera.IndexFuture
	close func(context.Context) error
}

func newCTLog(ctx context.Context, dir string) (*ctLog, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := stdx509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	// Tessera says through klog, which is the process's, how it begins. Errors still come through.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, err
	}
	secret, _, err := note.GenerateKey(rand.Reader, "ct.local")
	if err != nil {
		return nil, err
	}
	// What is verified of this log are its certificate timestamps. Its checkpoints, which
	// nobody asks for, carry an ordinary note signature, not the type that RFC 6962 logs have.
	checkpoints, err := note.NewSigner(secret)
	if err != nil {
		return nil, err
	}
	// The appender works on until its context ends, whoever's it was.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().WithCTLayout().
		WithCheckpointSigner(checkpoints).WithBatching(1, 50*time.Millisecond).WithCheckpointInterval(100*time.Millisecond))
	if err != nil {
		cancel()
		return nil, err
	}
	stop := func(ctx context.Context) error {
		defer cancel()
		return shutdown(ctx)
	}
	l := &ctLog{Key: key, ID: sha256.Sum256(der), close: stop, add: tessera.NewCertificateTransparencyAppender(appender)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ct/v1/add-pre-chain", func(w http.ResponseWriter, r *http.Request) { l.submit(w, r, ct.PrecertLogEntryType) })
	mux.HandleFunc("POST /ct/v1/add-chain", func(w http.ResponseWriter, r *http.Request) { l.submit(w, r, ct.X509LogEntryType) })
	l.srv = httptest.NewServer(mux)
	l.URL = l.srv.URL
	return l, nil
}

func (l *ctLog) stop() error {
	l.srv.Close()
	return l.close(context.Background())
}

func (l *ctLog) submit(w http.ResponseWriter, r *http.Request, kind ct.LogEntryType) {
	answer, err := l.log(r.Context(), io.LimitReader(r.Body, maxChain), kind)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, answer)
}

// log appends a submitted chain and promises so with a signed certificate timestamp.
func (l *ctLog) log(ctx context.Context, body io.Reader, kind ct.LogEntryType) (*ct.AddChainResponse, error) {
	var req ct.AddChainRequest
	if err := json.NewDecoder(body).Decode(&req); err != nil {
		return nil, err
	}
	if len(req.Chain) < 2 {
		return nil, errors.New("a chain needs its issuer")
	}
	var chain []*x509.Certificate
	for _, der := range req.Chain {
		c, err := x509.ParseCertificate(der)
		if x509.IsFatal(err) {
			return nil, err
		}
		chain = append(chain, c)
	}
	at := uint64(time.Now().UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromChain(chain, kind, at)
	if err != nil {
		return nil, err
	}
	e := &ctonly.Entry{Timestamp: at, Certificate: req.Chain[0]}
	if kind == ct.PrecertLogEntryType {
		pre := leaf.TimestampedEntry.PrecertEntry
		e.IsPrecert, e.Precertificate = true, req.Chain[0]
		e.Certificate, e.IssuerKeyHash = pre.TBSCertificate, pre.IssuerKeyHash[:]
	}
	for _, der := range req.Chain[1:] {
		e.FingerprintsChain = append(e.FingerprintsChain, sha256.Sum256(der))
	}
	index, err := l.add(ctx, e)()
	if err != nil {
		return nil, fmt.Errorf("appending: %w", err)
	}
	return l.promise(leaf, index.Index, at)
}

// promise signs the timestamp of RFC 6962 section 3.2. The entry's index goes into the
// extension leaf_index (0) of static-ct-api, as 40 bits.
func (l *ctLog) promise(leaf *ct.MerkleTreeLeaf, i, at uint64) (*ct.AddChainResponse, error) {
	extension := []byte{0, 0, 5, byte(i >> 32), byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
	leaf.TimestampedEntry.Extensions = extension
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: l.ID}, Timestamp: at, Extensions: extension}
	in, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(in)
	sig, err := l.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	signed, err := tls.Marshal(ct.DigitallySigned{Algorithm: tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA}, Signature: sig})
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: l.ID[:], Timestamp: at, Extensions: base64.StdEncoding.EncodeToString(extension), Signature: signed}, nil
}
