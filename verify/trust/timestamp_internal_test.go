package trust

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// The timestamps of the public suite sigstore-conformance, by the authorities that its
// trusted roots list: made by other people's servers, over signatures of files, which
// is why Authenticate does not see them.
func TestConformanceTimestamps(t *testing.T) {
	dir := os.Getenv("PEDIGREE_CONFORMANCE")
	if dir == "" {
		dir = "../../../shared/conformance"
	}
	cases := filepath.Join(dir, "sigstore", "bundle-verify")
	entries, err := os.ReadDir(cases)
	if err != nil {
		t.Skipf("the public suite sigstore-conformance is not here (%v); PEDIGREE_CONFORMANCE names its folder", err)
	}
	// What fails for another reason than its timestamp.
	other := map[string]bool{"rekor2-timestamp-with-incorrect-time_fail": true}
	checked := 0
	for _, entry := range entries {
		name := entry.Name()
		if !strings.Contains(name, "timestamp") && !strings.Contains(name, "tsa-validity") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(cases, name, "bundle.sigstore.json"))
			if err != nil {
				t.Fatal(err)
			}
			var b struct {
				VerificationMaterial struct {
					TimestampVerificationData struct {
						RFC3161Timestamps []struct{ SignedTimestamp []byte } `json:"rfc3161Timestamps"`
					}
				}
				MessageSignature struct{ Signature []byte }
			}
			if err := json.Unmarshal(raw, &b); err != nil {
				t.Fatal(err)
			}
			root, err := os.ReadFile(filepath.Join(cases, name, "trusted_root.json"))
			if errors.Is(err, fs.ErrNotExist) {
				root, err = os.ReadFile(filepath.Join(dir, "public-good-trusted-root.json"))
			}
			if err != nil {
				t.Fatal(err)
			}
			i, err := newInstance("suite", root, thresholds{})
			if err != nil {
				t.Fatal(err)
			}
			stamps := b.VerificationMaterial.TimestampVerificationData.RFC3161Timestamps
			if len(stamps) == 0 || len(b.MessageSignature.Signature) == 0 {
				t.Skip("no timestamp over a message's signature")
			}
			checked++
			var times []time.Time
			var why error
			for _, s := range stamps {
				read, err := readStamp(s.SignedTimestamp)
				if err != nil {
					why = err
					continue
				}
				for _, a := range i.stamps {
					at, err := a.time(read, b.MessageSignature.Signature, nil)
					if err == nil {
						times = append(times, at)
					} else {
						why = err
					}
				}
			}
			t.Logf("%v %v", times, why)
			if good := !strings.HasSuffix(name, "_fail") || other[name]; good != (len(times) > 0) {
				t.Errorf("times %v, %v", times, why)
			}
		})
	}
	if checked < 8 {
		t.Errorf("%d timestamps checked", checked)
	}
}

// Our reading of SPIFFE ids is the SPIFFE project's.
func TestDomainOf(t *testing.T) {
	for _, id := range []string{
		"spiffe://a/b", "spiffe://a.b-c_d/B/c.d", "spiffe://a", "spiffe://a/", "spiffe://a//b", "spiffe://a/./b", "spiffe://a/../b", "spiffe://a/...", "spiffe://A/b",
		"spiffe:///b", "spiffe://a:1/b", "spiffe://u@a/b", "spiffe://a/b?c", "spiffe://a/b#c", "spiffe://a/%62", "spiffe://a/b c", "SPIFFE://a/b", "http://a/b", "", "spiffe://ä/b", "spiffe://a/ä",
	} {
		want, theirs := spiffeid.FromString(id)
		got, ours := domainOf(id)
		// An id without a path names a domain, and no workload.
		if workload := theirs == nil && want.Path() != ""; workload != (ours == nil) || workload && got != want.TrustDomain().Name() {
			t.Errorf("%q: %q, %v; the SPIFFE project says %v, %v", id, got, ours, want, theirs)
		}
	}
}
