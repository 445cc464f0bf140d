package trust

import (
	"encoding/json"
	"testing"
)

// Every claim has the name that it has in JSON: policies, expressions and verdicts
// must not disagree about which is which.
func TestClaimNamesAreThoseOfJSON(t *testing.T) {
	if got := len((&Claims{}).all()); got != len(claimNames) {
		t.Fatalf("%d claims and %d names", got, len(claimNames))
	}
	for _, name := range ClaimNames() {
		var c Claims
		if !c.Set(name, "x") || c.Get(name) != "x" {
			t.Errorf("%s cannot be set and read", name)
		}
		if b, err := json.Marshal(c); err != nil || string(b) != `{"`+name+`":"x"}` {
			t.Errorf("%s is written as %s (%v)", name, b, err)
		}
	}
	var c Claims
	if c.Set("sourceRepo", "x") || c != (Claims{}) || c.Get("sourceRepo") != "" {
		t.Error("a name that is none was set")
	}
}
