package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// A DigestSigner is a Signer that needs only the hash of what it signs.
type DigestSigner interface {
	Signer
	// SignDigest signs a message of which digest is the hash, by Material().Key.Hash().
	SignDigest(ctx context.Context, digest []byte) ([]byte, error)
}

var _ DigestSigner = (*KeySigner)(nil)

// maxMessage bounds a file that must be held in memory to be signed: by Ed25519, which
// signs the bytes themselves. Other keys sign files of any size.
const maxMessage = 256 << 20

// SignDigest signs the hash of a message. With Ed25519, which signs no hashes, it is
// E_KEY.
func (s *KeySigner) SignDigest(_ context.Context, digest []byte) ([]byte, error) {
	h := s.public.Hash()
	if h == 0 || len(digest) != h.Size() {
		return nil, Refuse(CodeKey, "this key does not sign a hash of %d bytes", len(digest))
	}
	sig, err := s.private.Sign(rand.Reader, digest, h)
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "signing", Err: err}
	}
	if k, ok := s.public.key.(*ecdsa.PublicKey); s.foreign && (!ok || !ecdsa.VerifyASN1(k, digest, sig)) {
		return nil, Refuse(CodeSigInvalid, "the signature that was made is not by the key that was named")
	}
	return sig, nil
}

// The bundle of a message signature, as far as it differs (protobuf-specs,
// sigstore_common.proto, MessageSignature).
type (
	messageBundleJSON struct {
		MediaType            string               `json:"mediaType"`
		VerificationMaterial materialJSON         `json:"verificationMaterial"`
		MessageSignature     messageSignatureJSON `json:"messageSignature"`
	}
	messageSignatureJSON struct {
		MessageDigest hashOutputJSON `json:"messageDigest"`
		Signature     []byte         `json:"signature"`
	}
	hashOutputJSON struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	}
)

// SignMessage signs content as it is, not a statement about it, has the witnesses
// testify, and returns a Sigstore bundle v0.3 with a message signature, as cosign
// sign-blob writes it. Such a bundle says that somebody had the content, and nothing
// about it: statements are signed by [Sign].
//
// The content is read once and hashed on the way; only with Ed25519, and signers that
// are no DigestSigner, it is held in memory, and at most 256 MiB of it.
func SignMessage(ctx context.Context, content io.Reader, s Signer, witnesses ...Witness) ([]byte, error) {
	who := s.Material()
	if who.Key.IsZero() {
		return nil, Refuse(CodeKey, "the signer names no key")
	}
	made := Signature{Material: who}
	algorithm, names := who.Key.Hash(), map[crypto.Hash]string{crypto.SHA256: "SHA2_256", crypto.SHA384: "SHA2_384"}
	if algorithm == 0 {
		algorithm = crypto.SHA256 // for whoever looks the content up; nothing is signed of it
	}
	h := algorithm.New()
	var err error
	if d, ok := s.(DigestSigner); ok && who.Key.Hash() != 0 {
		if _, err = io.Copy(h, content); err != nil {
			return nil, &Refusal{Code: CodeFileIO, Why: "reading what is to be signed", Err: err}
		}
		made.Digest = h.Sum(nil)
		made.Sig, err = d.SignDigest(ctx, made.Digest)
	} else {
		if made.Message, err = readMessage(content, h); err != nil {
			return nil, err
		}
		if who.Key.Hash() != 0 {
			made.Digest = h.Sum(nil)
		}
		made.Sig, err = s.SignMessage(ctx, made.Message)
	}
	if err != nil {
		return nil, err
	}
	material := who.json()
	for _, w := range witnesses {
		t, err := w.Witness(ctx, made)
		if err != nil {
			return nil, err
		}
		material.add(t)
	}
	b, err := json.Marshal(messageBundleJSON{
		MediaType: MediaTypeBundle, VerificationMaterial: material,
		MessageSignature: messageSignatureJSON{hashOutputJSON{names[algorithm], h.Sum(nil)}, made.Sig},
	})
	if err != nil {
		return nil, &Refusal{Code: CodeBundleParse, Why: "what a witness testified is not JSON", Err: err}
	}
	return b, nil
}

func readMessage(content io.Reader, h hash.Hash) ([]byte, error) {
	b, err := io.ReadAll(io.TeeReader(io.LimitReader(content, maxMessage+1), h))
	switch {
	case err != nil:
		return nil, &Refusal{Code: CodeFileIO, Why: "reading what is to be signed", Err: err}
	case len(b) > maxMessage:
		return nil, &Refusal{Code: CodeLimit, Why: fmt.Sprintf("more than %d bytes, and this key signs the bytes themselves", maxMessage), Next: "use a key of ECDSA, which signs a hash"}
	}
	return b, nil
}
