package index

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Whatever is packed comes back to the byte, also what no bundle looks like.
func TestPack(t *testing.T) {
	p := new(packer)
	random := make([]byte, 5000)
	source := rand.NewChaCha8([32]byte{})
	source.Read(random)
	related := []lineage.Related{{Relation: lineage.NamesInput, Name: "sha256:" + strings.Repeat("ab", 32)}, {Relation: lineage.BuiltBy, Name: ""}, {Relation: 200, Name: "https://builder\x00" + strings.Repeat("x", 300)}}
	for _, s := range []string{
		"", "x", string(random), string(dictionary), strings.Repeat("a", 1<<17),
		`{"payload":"aGVsbG8="}`, `{"payload":"aGVsbG8"}`, `{"payload":"aGVsbG9="}`, `{"payload":"aGVs` + "\n" + `bG8="}`, `{"payload":"aGVs\nbG8="}`,
		`{"payload":""}`, `{"payload":"`, `{"payload":"aGVs`, `{"payload":"aGVsbG8=","payload":"aGVsbG8="}`, `{"payload":"-_-_"}`, `{"payload": "aGVsbG8="}`,
	} {
		for _, list := range [][]lineage.Related{nil, related} {
			packed, err := p.bundle([]byte(s), list)
			if err != nil {
				t.Fatal(err)
			}
			bundle, back, err := p.unbundle(packed)
			if err != nil || string(bundle) != s || !slices.Equal(back, list) {
				t.Errorf("%.60q with %d names came back as %.60q with %v (%v)", s, len(list), bundle, back, err)
			}
			for n := range len(packed) {
				if n > 300 {
					break
				}
				if got, _, err := p.unbundle(packed[:n]); err == nil && string(got) == s && s != "" {
					t.Errorf("%.60q came back from %d of %d bytes", s, n, len(packed))
				}
			}
		}
	}
	if _, err := p.bundle(make([]byte, maxPacked), related); attest.RefusalCode(err) != attest.CodeLimit {
		t.Errorf("a bundle that is too large: %v", err)
	}
}

// What swells is given up before it is large.
func TestUnpackIsBounded(t *testing.T) {
	p := new(packer)
	block, err := p.deflate(make([]byte, maxPacked))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := p.inflate(block); err != nil || len(b) != maxPacked {
		t.Fatalf("the most that is packed comes back as %d bytes (%v)", len(b), err)
	}
	var bomb bytes.Buffer
	for _, much := range []int{maxPacked, 9 * maxPacked} {
		bomb.Reset()
		w, err := flate.NewWriterDict(&bomb, 9, dictionary)
		if err != nil {
			t.Fatal(err)
		}
		for range much/maxPacked + 1 {
			if _, err := w.Write(make([]byte, maxPacked)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if b, err := p.inflate(bomb.Bytes()); err == nil {
			t.Errorf("%d bytes came out of %d", len(b), bomb.Len())
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 6*maxPacked {
			t.Errorf("%d bytes were used to find out", used)
		}
	}
}

// The dictionary is part of the format: another one is another version.
func TestDictionary(t *testing.T) {
	if got := fmt.Sprintf("version %d: %x", version, sha256.Sum256(dictionary)); got != "version 1: 218fb2f9afe0943b380e280d4740da17163972c6a0f93e9882511c052d52772b" {
		t.Errorf("the dictionary is another, and files made with the old one can't be read: raise version (%s)", got)
	}
}
