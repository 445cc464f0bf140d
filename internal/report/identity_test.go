package report_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// IDN-04: identities that differ are shown to differ, whatever they look like, and
// however long they are.
func TestWhoTellsLookAlikesApart(t *testing.T) {
	alike := []string{
		"https://login.example alice@acme.example",
		"https://login.example аlice@acme.example",           // Cyrillic
		`https://login.example \u{430}lice@acme.example`,     // what that is shown as
		"https://login.example alice@acme.example\u200d",     // zero-width joiner
		"https://login.example \u202ealice@acme.example",     // right to left
		"https://login.example alíce@acme.example",           // composed
		"https://login.example ali\u0301ce@acme.example",     // decomposed
		"https://login.example \xd0lice@acme.example",        // no text at all
		"https://login.example \ufffdlice@acme.example",      // what that is decoded as
		"https://login.example alice@acme.example\n",         //
		"https://login.example " + strings.Repeat("a", 4000), // long
		"https://login.example " + strings.Repeat("a", 3999) + "b",
	}
	seen := map[string]string{}
	for _, s := range alike {
		shown := report.Who(s)
		if other, twice := seen[shown]; twice {
			t.Errorf("%q and %q are both shown as %s", s, other, shown)
		}
		seen[shown] = s
		if strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is shown as %q", s, shown)
		}
	}
	if got := report.Who(alike[0]); got != alike[0] {
		t.Errorf("a plain one is shown as %q", got)
	}
	// What a message is about: identities so, files with their own letters.
	for in, want := range map[string]string{
		alike[1]: `https://login.example \u{430}lice@acme.example`, "spiffe://prod/тrainer": `spiffe://prod/\u{442}rainer`,
		"prüfung.yaml": "prüfung.yaml", "eine prüfung.yaml": "eine prüfung.yaml", `https://login.example \u{430}lice`: `https://login.example \u{430}lice`,
	} {
		if got := report.About(in); got != want {
			t.Errorf("about %q: %q, want %q", in, got, want)
		}
	}
}

func identified() *policy.Verdict {
	d := attest.SHA256([]byte("model"))
	claimed, seen := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 10, 0, 12, 0, time.UTC)
	item := func(who, credential string, at *time.Time, steps ...string) policy.Item {
		return policy.Item{Payload: attest.SHA256([]byte(who + credential)), Credential: credential, Principal: who, Artifact: d, PredicateType: "https://slsa.dev/provenance/v1", Claimed: &claimed, Seen: at, Steps: steps}
	}
	const key = "key:sha256:6bb7e8921d3b8f9855af1f0d754dad2459329dba2272c839fcde47d6fc99cff1"
	ci := item("trainer", "https://ci.example https://ci.example/тrain", &seen, "train")
	ci.Claims = &trust.Claims{SourceRepository: "https://ci.example/acme\x1b[2J", BuildTrigger: "push"}
	return &policy.Verdict{Artifact: d, Evidence: []policy.Item{
		ci, item("ops", "spiffe://prod.example/ops", &seen, "deploy"), item("stamped", key, &seen, "scan"), item("plain", key, nil, "scan"), item("unused", "https://x.example y", &seen),
	}}
}

// A verdict says under which identity each signed, and when that was seen; of plain keys
// that nobody saw there is nothing to say.
func TestVerdictNamesIdentities(t *testing.T) {
	var b bytes.Buffer
	if err := report.Text(&b, identified(), report.Options{}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	_, section, ok := strings.Cut(text, "Signed as\n")
	section, _, _ = strings.Cut(section, "\n\n")
	for _, want := range []string{
		`trainer  https://ci.example https://ci.example/\u{442}rain`, "train sha256:", "claimed 2026-03-01 10:00:00Z, seen 2026-03-01 10:00:12Z", "ops  spiffe://prod.example/ops", "stamped  key:sha256:6bb7e8921d3b",
	} {
		if !ok || !strings.Contains(section, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, not := range []string{"plain", "unused", "т"} {
		if strings.Contains(section, not) {
			t.Errorf("%q is in\n%s", not, section)
		}
	}
}

func TestWhySaysWhatCertificatesClaim(t *testing.T) {
	v := identified()
	var b bytes.Buffer
	x := report.Place{Digest: v.Artifact, Judged: v.Artifact, Kind: "artifact", Evidence: v.Evidence[:1]}
	if err := report.Why(&b, &x, report.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`signed as https://ci.example https://ci.example/\u{442}rain`, `the certificate claims repository https://ci.example/acme\u{1b}[2J`, "the certificate claims trigger push", "(seen 2026-03-01 10:00:12Z)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// What was asked is said in full: by whose word, and by whom it is vouched for.
func TestTrustLine(t *testing.T) {
	d := attest.SHA256([]byte("trust"))
	vouching := &lineage.Vouching{Name: "acme", Version: 3, Digest: d}
	for want, in := range map[string]lineage.Trust{
		"by keys alone, under no policy: what alice, bob signed":                     {Signers: []string{"alice", "bob"}},
		"under no policy: what anybody signed whom the trust vouches for":            {Vouching: vouching},
		"under no policy: what alice signed, and anybody whom the trust vouches for": {Signers: []string{"alice"}, Vouching: vouching},
		"under the policy p version 1  sha256:abc, which says DENY":                  {Policy: "p version 1", Outcome: "DENY", Vouching: vouching},
	} {
		if got := report.TrustLine(in, "sha256:abc"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got, want := report.TrustName("acme", 3, d), "trust acme version 3 "+d.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
