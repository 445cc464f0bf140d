package oci

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
)

// Blob returns the bytes of the blob with digest d, such as one file of an
// artifact, checked against d. It is held in memory, so limit says how many bytes
// it may have: a longer one is refused with attest.CodeLimit, and with a limit of
// zero or less every blob but the empty one is. Other bytes than the digest's are
// refused with attest.CodeRegDigest. The error wraps attest.ErrAbsent if the
// repository says that it holds no such blob; a commit never is one.
func (r *Repository) Blob(ctx context.Context, d attest.Digest, limit int64) ([]byte, error) {
	if d.IsZero() || d.IsCommit() {
		return nil, absent(d.String(), "is no blob")
	}
	return readBlob(ctx, r.store, d, max(limit, 0), "a blob")
}
