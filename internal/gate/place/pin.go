package place

import (
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// Pinned returns the text to write at Pointer so that f means d: Value with the reference
// in it pinned, its prefix and repository as they were spelled. It returns "", which names
// nothing, if f has a Problem, cannot be replaced, or d is nothing that a registry pulls
// by.
//
// The tag is dropped. The kubelet and containerd pull NAME:TAG@DIGEST by digest alone, but
// other runtimes refuse it in some versions ("Docker references with both a tag and digest
// are currently not supported", CRI-O 1.31.0); and a tag beside a digest is a word that
// nothing checks and people believe.
func (f Found) Pinned(d attest.Digest) string {
	if f.Problem != "" || f.Pointer == "" || d.IsZero() || d.IsCommit() {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(f.Text, f.Prefix), "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return f.before + f.Prefix + name + "@" + d.String() + f.after
}
