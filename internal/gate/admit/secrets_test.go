package admit

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

// What tools and people write into references, beside what belongs there.
func TestSecretsAreNotTold(t *testing.T) {
	const canary = "CANARY-9f2c"
	for name, image := range map[string]string{
		"GAT-20 userinfo without scheme":  "bob:" + canary + "@registry.test/models/x:1",
		"GAT-20 userinfo and a digest":    "bob:" + canary + "@" + good(),
		"GAT-20 userinfo with scheme":     "https://bob:" + canary + "@registry.test/models/x",
		"GAT-20 userinfo with a slash":    "https://bob:a/" + canary + "@registry.test/models/x",
		"GAT-20 a long token":             "AWS:" + canary + strings.Repeat("x", 2500) + "@registry.test/models/x:1",
		"GAT-20 a token alone":            "https://" + canary + "@registry.test/models/x",
		"GAT-20 a signed query":           "registry.test/models/x?sig=" + canary,
		"GAT-20 a header":                 "Bearer " + canary,
		"GAT-20 a header with credential": "authorization: basic " + canary,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var log bytes.Buffer
			w.log = slog.New(slog.NewJSONHandler(&log, nil))
			out := w.review(create(pod("x=" + image)))
			if out.Allowed {
				t.Fatal("admitted")
			}
			b, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			if log.Len() == 0 || len(w.decisions) != 1 {
				t.Fatal("nothing was logged")
			}
			d, err := json.Marshal(w.decisions[0])
			if err != nil {
				t.Fatal(err)
			}
			for where, text := range map[string]string{"answer": string(b), "log": log.String(), "decision": string(d)} {
				if strings.Contains(text, canary) {
					t.Errorf("in the %s: %s", where, text)
				}
			}
		})
	}
}
