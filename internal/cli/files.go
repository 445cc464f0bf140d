package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pedigree-ml/pedigree/attest"
)

// readFile reads a file that was named on the command line or by a policy. It
// reads regular files only: opening a pipe would wait for ever, and a device
// could give bytes without end.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fileRefusal(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &attest.Refusal{Code: attest.CodeFileType, About: name, Why: "not a regular file"}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fileRefusal(name, err)
	}
	defer f.Close()
	// One byte past the limit tells "exactly full" from "cut short".
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fileRefusal(name, err)
	}
	if int64(len(b)) > limit {
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: name, Why: fmt.Sprintf("longer than %d bytes", limit)}
	}
	return b, nil
}

// fileRefusal gives an error of the file system its code.
func fileRefusal(name string, err error) *attest.Refusal {
	code := attest.CodeFileIO
	if errors.Is(err, fs.ErrNotExist) {
		code = attest.CodeFileMissing
	}
	return &attest.Refusal{Code: code, About: name, Err: plainCause(err)}
}

// plainCause strips the path that a message already names.
func plainCause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// cause returns what is behind a refusal, for a refusal with another code.
func cause(err error) error {
	var r *attest.Refusal
	if errors.As(err, &r) {
		if r.Err != nil && r.Why == "" {
			return r.Err
		}
		return errors.New(r.Why)
	}
	return err
}

// about adds what a refusal is about where it does not say so itself.
func about(name string, err error) error {
	var r *attest.Refusal
	if errors.As(err, &r) && r.About == "" {
		named := *r
		named.About = name
		return &named
	}
	return fmt.Errorf("%s: %w", name, err)
}
