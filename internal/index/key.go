package index

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// keyFile is where the secret of an index lies. Whoever knows it and can write to
// the index can make it say that somebody signed what they did not; so it is in a
// file of its own, and never in the one that people hand on.
func keyFile(path string) string { return path + ".key" }

// readKey returns the memory that belongs to an index, and nil if there is none: if
// there is no secret, or it can't be read, or is none, or others can read it too.
// Everything is verified anew then, which gives the same answers.
func readKey(path string) *verify.Memory {
	info, err := os.Stat(keyFile(path))
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil
	}
	f, err := os.Open(keyFile(path))
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, verify.MemorySecret+1))
	if err != nil || len(b) != verify.MemorySecret {
		return nil
	}
	m, err := verify.NewMemory(b)
	if err != nil {
		return nil // unreachable: it is long enough
	}
	return m
}

// makeKey makes the secret of an index, if there is none.
func makeKey(path string) error {
	name := keyFile(path)
	if _, err := os.Lstat(name); err == nil {
		if readKey(path) == nil {
			return &attest.Refusal{Code: attest.CodeIndex, About: name, Why: "is not the secret of an index, or others may read it", Next: "remove it: what the index has is verified anew then"}
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return unusable(name, err)
	}
	secret := make([]byte, verify.MemorySecret)
	if _, err := rand.Read(secret); err != nil {
		return err // unreachable: crypto/rand ends the program instead
	}
	// Aside first: half a secret under the final name would have to be removed by hand.
	aside := name + ".aside"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unusable(aside, err)
	}
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return unusable(aside, err)
	}
	_, err = f.Write(secret)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return unusable(aside, errors.Join(err, os.Remove(aside)))
	}
	if err := os.Rename(aside, name); err != nil {
		return unusable(name, errors.Join(err, os.Remove(aside)))
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return unusable(name, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return unusable(name, err)
	}
	return nil
}
