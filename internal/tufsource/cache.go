package tufsource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// maxKept bounds what is kept of one source: everything that an honest repository has
// fits many times.
const maxKept = 16 << 20

// kept is what a repository said when its answer was last good, as it lies in the cache.
type kept struct {
	Checked   time.Time         `json:"checked"` // when it said so
	Roots     [][]byte          `json:"roots,omitempty"`
	Timestamp []byte            `json:"timestamp"`
	Snapshot  []byte            `json:"snapshot"`
	Targets   map[string][]byte `json:"targets"` // by role
	Target    []byte            `json:"target"`

	expires time.Time // worked out while verifying, never read
}

func (k *kept) answer() trust.TUFTarget {
	return trust.TUFTarget{Content: k.Target, Expires: k.expires}
}

func (k *kept) size() int {
	n := len(k.Timestamp) + len(k.Snapshot) + len(k.Target)
	for _, b := range k.Roots {
		n += len(b)
	}
	for _, b := range k.Targets {
		n += len(b)
	}
	return n
}

// file is where a source's answer is kept. Another URL, initial root or target is another
// source.
func (c *Client) file(src trust.TUFSource) string {
	id := attest.SHA256([]byte(src.URL + "\n" + attest.SHA256(src.Root).String() + "\n" + src.Target))
	return filepath.Join(c.Cache, "tuf-"+id.Hex()+".json")
}

// recall returns the last good answer, verified; nil if there is none. The error says why
// what lies there is none.
func (c *Client) recall(src trust.TUFSource) (*kept, error) {
	if c.Cache == "" {
		return nil, nil
	}
	name := c.file(src)
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Base64 makes four bytes of three; names and commas take little.
	b, err := io.ReadAll(io.LimitReader(f, 2*maxKept))
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	good, err := update(src, &k, nil, c.Now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	good.Checked = k.Checked
	return good, nil
}

// keep writes an answer aside and puts it in the place of the last one, so that whoever
// reads meanwhile has one of the two.
func (c *Client) keep(src trust.TUFSource, k *kept) error {
	if c.Cache == "" {
		return nil
	}
	b, err := json.Marshal(k)
	if err != nil {
		return err // unreachable: bytes and times
	}
	if err := os.MkdirAll(c.Cache, 0o700); err != nil {
		return err
	}
	aside, err := os.CreateTemp(c.Cache, ".tuf-*")
	if err != nil {
		return err
	}
	_, err = aside.Write(b)
	if err == nil {
		err = aside.Sync()
	}
	if closed := aside.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(aside.Name(), c.file(src))
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside.Name()))
	}
	return nil
}
