package single

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	_ "crypto/sha512" // message signatures may be over SHA-384 and SHA-512
	"encoding/hex"
	"io"

	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/pedigree-ml/pedigree/attest"
)

// maxInMemory bounds an artifact under a plain Ed25519 signature, which cannot be
// verified piece by piece. Whoever signs more than that signs a digest.
const maxInMemory = 256 << 20

// A measured is the artifact as far as signatures need it.
type measured struct {
	digest  attest.Digest // its name
	read    bool          // whether its content was read here
	sum     []byte        // its digest in the message signature's algorithm
	whole   bool          // whether content is set: only for plain Ed25519
	content []byte
}

// hashOf returns the digest algorithm of a message signature, if it is computed here
// (protobuf-specs, HashAlgorithm).
func hashOf(name string) (crypto.Hash, bool) {
	switch name {
	case "SHA2_256":
		return crypto.SHA256, true
	case "SHA2_384":
		return crypto.SHA384, true
	case "SHA2_512":
		return crypto.SHA512, true
	}
	return 0, false
}

// measure hashes the artifact's content, once, with every algorithm needed.
func (e *entity) measure(q Question) (measured, error) {
	alg := crypto.SHA256
	message := e.content.MessageSignatureContent()
	// Ed25519 signs the message itself. (In a certificate it stands for Ed25519ph,
	// which signs a digest.)
	plain := message != nil && !q.Key.IsZero() && q.Key.Hash() == 0
	if message != nil {
		var ok bool
		if alg, ok = hashOf(message.DigestAlgorithm()); !ok {
			return measured{}, &attest.Refusal{Code: attest.CodeDigestAlg, About: message.DigestAlgorithm(), Why: "the message's digest is in an algorithm that is not computed here"}
		}
	}
	if q.Artifact.Content != nil {
		if plain {
			return read(q.Artifact.Content, alg, maxInMemory)
		}
		return read(q.Artifact.Content, alg, 0)
	}
	d := q.Artifact.Digest
	switch {
	case message == nil:
		return measured{digest: d}, nil
	case plain:
		return measured{}, &attest.Refusal{Code: attest.CodeUsage, About: d.String(), Why: "an Ed25519 signature is over the content, not over a digest", Next: "name the file"}
	case d.IsCommit() || alg != crypto.SHA256:
		return measured{}, &attest.Refusal{Code: attest.CodeDigestAlg, About: d.String(), Why: "the signature is over a " + message.DigestAlgorithm() + " digest", Next: "name the file"}
	}
	sum, err := hex.DecodeString(d.Hex())
	return measured{digest: d, sum: sum}, err
}

// read hashes content, and keeps it if most is not 0: then at most so many bytes.
func read(r io.Reader, alg crypto.Hash, most int64) (measured, error) {
	keep := most > 0
	name, other := sha256.New(), alg.New()
	var kept bytes.Buffer
	to := io.MultiWriter(name, other)
	if keep {
		to = io.MultiWriter(name, other, &kept)
		r = io.LimitReader(r, most+1) // one more tells "exactly full" from "cut short"
	}
	n, err := io.Copy(to, r)
	if err != nil {
		if attest.RefusalCode(err) != "" {
			return measured{}, err
		}
		return measured{}, &attest.Refusal{Code: attest.CodeFileIO, About: "artifact", Err: err}
	}
	if keep && n > most {
		return measured{}, attest.Refuse(attest.CodeLimit, "more than %d bytes under a plain Ed25519 signature, which needs all of them at once", most)
	}
	d := attest.SHA256Sum([sha256.Size]byte(name.Sum(nil)))
	return measured{digest: d, read: true, sum: other.Sum(nil), whole: keep, content: kept.Bytes()}, nil
}

// policy says to sigstore-go what must have been signed.
func (m measured) policy(e *entity) sigstore.ArtifactPolicyOption {
	switch {
	case e.content.EnvelopeContent() != nil:
		// Which subjects the statement has is for our own reader, after this.
		return sigstore.WithoutArtifactUnsafe()
	case m.whole:
		return sigstore.WithArtifact(bytes.NewReader(m.content))
	}
	return sigstore.WithArtifactDigest("", m.sum) // of a message, the algorithm is the one that it names
}
