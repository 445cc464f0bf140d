package trust_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The format's page names every key that is read, and its example loads.
func TestFormatPage(t *testing.T) {
	b, err := os.ReadFile("../../docs/format/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for list, keys := range trust.Keys() {
		if len(keys) < 3 {
			t.Errorf("%s has %d keys: the test looked at nothing", list, len(keys))
		}
		for _, k := range keys {
			if !strings.Contains(page, "`"+k+"`") {
				t.Errorf("the page does not name `%s` of %s", k, list)
			}
		}
	}
	_, rest, ok := strings.Cut(page, "```yaml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the page has no example")
	}
	w, other := world(t), world(t)
	f := files{"acme/trusted_root.json": w["root.json"], "tsa-chain.pem": w["tsa.pem"], "spiffe-bundle.json": w["domain.json"],
		"keys/data.pub": w["data.pub"], "keys/old.pub": other["data.pub"], "partner-root.json": "{}"}
	got, err := trust.Load([]byte(example), f.read, fetched(w))
	if err != nil {
		t.Fatal(err)
	}
	// Every key of every list is in the example, so that a person sees how it is written.
	for _, k := range trust.Keys()["sigstore"] {
		if k != "noLogs" && !strings.Contains(example, k+":") {
			t.Errorf("the example does not use %s", k)
		}
	}
	if d := got.Describe(); len(d.Instances) != 2 || d.Instances[0].NoCertificateLogs == "" || !d.Instances[0].Shared {
		t.Errorf("%+v", d.Instances)
	}
}
