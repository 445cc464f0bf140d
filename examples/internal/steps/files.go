package steps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadFile reads the file at path if it has at most limit bytes.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadBounded(f, path, limit)
}

// ReadBounded reads one byte past the limit to tell "exactly full" from "cut
// short".
func ReadBounded(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s exceeds %d bytes", name, limit)
	}
	return data, nil
}

// Files maps the names in an output directory to their contents.
type Files map[string][]byte

// CheckAbsent refuses an output that is already there. An empty directory or
// file is accepted: some tools create the place an output goes to.
func CheckAbsent(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return nil
		}
	} else if info.Mode().IsRegular() && info.Size() == 0 {
		return nil
	}
	return fmt.Errorf("output %s already exists", path)
}

// CheckOutside refuses an output in an input directory: it would change what
// the step has read, and with it the digest that stands for it. Links are not
// followed; this is for mistakes.
func CheckOutside(output string, inputs ...string) error {
	for _, input := range inputs {
		out, err := filepath.Abs(output)
		if err != nil {
			return err
		}
		in, err := filepath.Abs(input)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(in, out); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("output %s is inside %s", output, input)
		}
	}
	return nil
}

// WriteDir writes a new directory at path. It is written aside and renamed, so
// a crash leaves no half of it under its name.
func WriteDir(path string, contents Files) error {
	return writeAside(path, func(aside string) error {
		if err := os.Mkdir(aside, 0o777); err != nil {
			return err
		}
		for name, data := range contents {
			if err := os.WriteFile(filepath.Join(aside, name), data, 0o666); err != nil {
				return err
			}
		}
		return nil
	})
}

// WriteFile writes a new file at path, aside and renamed like WriteDir.
func WriteFile(path string, data []byte) error {
	return writeAside(path, func(aside string) error {
		return os.WriteFile(aside, data, 0o666)
	})
}

// writeAside lets write fill a path in a scratch directory beside path, on the
// same file system, and renames it to path.
func writeAside(path string, write func(aside string) error) error {
	path = filepath.Clean(path)
	if err := CheckAbsent(path); err != nil {
		return err
	}
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(parent, ".steps-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	// The output is made inside the scratch directory, not from it, so that
	// its permissions follow the umask.
	aside := filepath.Join(scratch, "output")
	if err := write(aside); err != nil {
		return err
	}
	// Only something empty can be here. os.Remove refuses to remove more.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(aside, path)
}

// FormatJSON writes v indented, with a final newline and "<" as itself, for the
// sake of names.
func FormatJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
