package credit

import (
	"strings"
	"testing"
	"time"
)

func TestPolicyExpires(t *testing.T) {
	p, err := Policy(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(p), "expires: 2030-01-02T03:04:05Z") || strings.Contains(string(p), "2027") {
		t.Errorf("the policy does not expire when asked: %.300s", p)
	}
}
