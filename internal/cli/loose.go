package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

const (
	// maxLoose bounds how many bundles --evidence takes from one place: as many
	// as a walk looks at.
	maxLoose = 65536
	// maxLooseBytes bounds them together; they are all held in memory.
	maxLooseBytes = 1 << 30
)

// looseBundles reads the bundles in a folder's .json and .jsonl files, or in one
// file. A file that cannot be read ends the command: skipped, it would be
// evidence that nobody looked at.
func looseBundles(path string) (*verify.Bundles, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileRefusal(path, err)
	}
	r := &looseReader{room: maxLooseBytes}
	if !info.IsDir() {
		err = r.file(path)
	} else {
		err = r.folder(path)
	}
	if err != nil {
		return nil, err
	}
	return verify.NewBundles(r.list), nil
}

type looseReader struct {
	list [][]byte
	room int64
}

func (r *looseReader) folder(path string) error {
	if _, err := os.Stat(filepath.Join(path, "oci-layout")); err == nil {
		return &attest.Refusal{Code: attest.CodeUsage, About: path, Why: "is an OCI layout, not a folder of bundles", Next: "write ocidir://" + path}
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return fileRefusal(path, err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".json" && ext != ".jsonl" {
			continue
		}
		if err := r.file(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (r *looseReader) file(path string) error {
	b, err := readFile(path, r.room)
	if err != nil {
		return err
	}
	r.room -= int64(len(b))
	docs := [][]byte{b}
	if strings.HasSuffix(path, ".jsonl") {
		docs = bytes.Split(b, []byte("\n"))
	}
	for _, d := range docs {
		if len(bytes.TrimSpace(d)) == 0 {
			continue
		}
		if len(r.list) == maxLoose {
			return &attest.Refusal{Code: attest.CodeLimit, About: path, Why: fmt.Sprintf("more than %d bundles", maxLoose)}
		}
		r.list = append(r.list, d)
	}
	return nil
}
