package keyless

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"net/http"

	"github.com/digitorus/timestamp"

	"github.com/pedigree-ml/pedigree/attest"
)

// Timestamps is a timestamp authority (RFC 3161), asked over HTTP (its section 3.4).
// It makes plain keys' signatures datable too.
type Timestamps struct {
	URL string // with its path, https://tsa.example/api/v1/timestamp say
	Net
}

var _ attest.Witness = Timestamps{}

// Witness has the authority say when the signature was there. It is sent a hash of
// the signature and a random number, and its answer must be about those. The error
// is E_SIGN_SERVICE, E_SIGN_REFUSED, or E_TSA for a timestamp over something else.
//
// The authority's certificate is asked for, so that a verifier who trusts its root
// alone can check the timestamp years later.
func (t Timestamps) Witness(ctx context.Context, s attest.Signature) (attest.Testimony, error) {
	if err := CheckURL(t.URL, false); err != nil {
		return attest.Testimony{}, err
	}
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return attest.Testimony{}, err
	}
	sum := sha256.Sum256(s.Sig)
	query, err := (&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Certificates: true, Nonce: nonce}).Marshal()
	if err != nil {
		return attest.Testimony{}, err
	}
	r := request{
		who: "the timestamp authority", method: http.MethodPost, url: t.URL, body: query, again: true,
		header: http.Header{"Content-Type": {"application/timestamp-query"}, "Accept": {"application/timestamp-reply"}},
	}
	answer, err := t.ask(ctx, r)
	if err != nil {
		return attest.Testimony{}, hint(err, "the URL must have the path of the service, for instance https://tsa.example/api/v1/timestamp")
	}
	got, err := timestamp.ParseResponse(answer)
	if err != nil {
		var no timestamp.ParseError
		if errors.As(err, &no) { // nothing that a timestamp could be read from, or a refusal
			err = errors.New(clip(no.Error()))
		}
		return attest.Testimony{}, r.unavailable("answers with something that is no timestamp", err)
	}
	if got.HashAlgorithm != crypto.SHA256 || !bytes.Equal(got.HashedMessage, sum[:]) || got.Nonce == nil || got.Nonce.Cmp(nonce) != 0 {
		return attest.Testimony{}, &attest.Refusal{Code: attest.CodeTSA, About: place(t.URL), Why: "the timestamp authority answers with a timestamp over something else, or of another time", Next: "do not use this authority"}
	}
	return attest.Testimony{Timestamps: [][]byte{answer}}, nil
}
