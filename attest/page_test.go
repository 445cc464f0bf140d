package attest

import (
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

var update = flag.Bool("update", false, "rewrite the example on the page about bundles")

func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "format", name))
	accepted(t, err)
	return string(b)
}

// codeBlock returns the content of a page's first block in a language.
func codeBlock(t *testing.T, text, language string) string {
	t.Helper()
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("the page has no block of %s", language)
	}
	return m[1]
}

func TestStatementPage(t *testing.T) {
	_, err := ParseStatement([]byte(codeBlock(t, page(t, "statement.md"), "json")))
	accepted(t, err)
}

// The bundle on the page is real: the key beside it verifies it, and it holds
// the statement of the page about statements. The private key is 32 zero bytes.
func TestBundlePage(t *testing.T) {
	text := page(t, "bundle.md")
	k, err := NewKeySigner(ed25519.NewKeyFromSeed(make([]byte, 32)))
	accepted(t, err)
	payload := []byte(codeBlock(t, page(t, "statement.md"), "json"))
	if *update {
		compact, err := Sign(t.Context(), payload, k)
		accepted(t, err)
		var v any
		accepted(t, json.Unmarshal(compact, &v))
		indented, err := json.MarshalIndent(v, "", "  ")
		accepted(t, err)
		text = strings.Replace(text, codeBlock(t, text, "json"), string(indented)+"\n", 1)
		text = strings.Replace(text, codeBlock(t, text, "pem"), string(k.Public().PEM()), 1)
		accepted(t, os.WriteFile(filepath.Join("..", "docs", "format", "bundle.md"), []byte(text), 0o644))
	}
	b, err := ParseBundle([]byte(codeBlock(t, text, "json")))
	accepted(t, err)
	if string(b.Payload) != string(payload) {
		t.Error("the bundle holds another statement than the page about statements shows")
	}
	pub, err := ParsePublicKey([]byte(codeBlock(t, text, "pem")))
	accepted(t, err)
	var doc bundleJSON
	accepted(t, json.Unmarshal([]byte(codeBlock(t, text, "json")), &doc))
	if b.KeyHint != KeyHint(pub) || !verifies(pub, dsse.PAE(PayloadType, b.Payload), doc.DSSEEnvelope.Signatures[0].Sig) {
		t.Error("the key on the page does not verify the bundle")
	}
}
