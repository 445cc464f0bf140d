package arch

import (
	"bytes"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// IDN-24: no trust is built in. A binary that believed somebody by itself would believe
// them for whoever never named anybody. Sigstore's library could fetch the public
// instance's root, and carries one; nothing here calls it. No certificate, no trusted
// root is in the module but in tests.
func TestIDN24NoTrustIsBuiltIn(t *testing.T) {
	looked := 0
	for _, s := range sources(t) {
		if s.test || within(s.folder, "test") {
			continue
		}
		looked++
		calls(s, func(pkg, name string, pos token.Position) {
			if pkg == "root" && (strings.HasPrefix(name, "FetchTrustedRoot") || strings.HasPrefix(name, "NewLiveTrustedRoot") || name == "GetTrustedRoot") {
				t.Errorf("%s: %s.%s trusts whom Sigstore trusts", pos, pkg, name)
			}
		})
		for _, path := range s.imports() {
			if path == "github.com/sigstore/sigstore-go/pkg/tuf" || path == "github.com/sigstore/sigstore/pkg/tuf" {
				t.Errorf("%s imports %s, which has a root built in", s.path, path)
			}
		}
	}
	if looked < 50 {
		t.Errorf("%d files: the rule looked at nothing", looked)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			// What a demonstration made is nobody's source (.gitignore).
			made := path == filepath.Join(root, "demo") || path == filepath.Join(root, "demo-keyless")
			if path != root && (made || name == "testdata" || name == "test" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, "_test.go") || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > 4<<20 {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, mark := range []string{"-----BEGIN CERTIFICATE-----\nMI", `"mediaType": "application/vnd.dev.sigstore.trustedroot`, `"mediaType":"application/vnd.dev.sigstore.trustedroot`} {
			if bytes.Contains(b, []byte(mark)) {
				t.Errorf("%s holds somebody to trust", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
