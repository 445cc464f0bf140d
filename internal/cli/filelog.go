package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// A fileLog remembers what files held when they were read, for a command that stays and
// wants to know when that changes. Its nil remembers nothing, and reads all the same.
type fileLog struct {
	mu   sync.Mutex
	read map[string]attest.Digest // by absolute path; zero: it could not be read, or changed meanwhile
}

// readFile is readFile, remembered.
func (l *fileLog) readFile(name string, limit int64) ([]byte, error) {
	b, err := readFile(name, limit)
	if l == nil {
		return b, err
	}
	if path, abs := filepath.Abs(name); abs == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.read == nil {
			l.read = map[string]attest.Digest{}
		}
		d := contentDigest(b, err)
		if before, again := l.read[path]; again && before != d {
			d = attest.Digest{} // two versions of it were used, and no later one is both
		}
		l.read[path] = d
	}
	return b, err
}

// besides reads the files that a file names, as the function besides does.
func (l *fileLog) besides(file string) policy.ReadFile {
	folder := filepath.Dir(file)
	return func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(folder, filepath.FromSlash(name))
		}
		b, err := l.readFile(name, maxPolicy)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s", name)
		}
		return b, err
	}
}

// maxWatched bounds a file that is looked at again: the largest of those that are read.
const maxWatched = max(policy.MaxSigned, maxPolicy, maxTrust)

// contentOf returns the digest of what a file holds now, as a fileLog remembers it.
func contentOf(path string) attest.Digest { return contentDigest(readFile(path, maxWatched)) }

func contentDigest(b []byte, err error) attest.Digest {
	if err != nil {
		return attest.Digest{}
	}
	return attest.SHA256(b)
}
