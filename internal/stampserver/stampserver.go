// Package stampserver is a timestamp authority for tests: over HTTP it says what time it is.
package stampserver

import (
	"crypto"
	"io"
	"net/http"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/pedigree-ml/pedigree/internal/authority"
)

// New answers requests for timestamps (RFC 3161, section 3.4) in the name of tsa.
func New(tsa *authority.TSA) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err != nil {
			return
		}
		req, err := timestamp.ParseRequest(query)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		t := &timestamp.Timestamp{HashAlgorithm: req.HashAlgorithm, HashedMessage: req.HashedMessage, Nonce: req.Nonce, Time: time.Now(), Policy: []int{1, 2, 3}, AddTSACertificate: req.Certificates}
		b, err := t.CreateResponseWithOpts(tsa.Signer.Certificate, tsa.Signer.Key, crypto.SHA256)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(b) // who is gone reads nothing
	})
}
