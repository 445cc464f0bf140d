package exact

import (
	"math"
	"testing"
)

func TestExpAgreesWithTheStandardLibrary(t *testing.T) {
	for x := 0.0; x > -690; x -= 0.0137 {
		if got, want := Exp(x), math.Exp(x); math.Abs(got-want) > 4e-16*want {
			t.Errorf("Exp(%v) is %v, want %v", x, got, want)
		}
	}
	if Exp(0) != 1 || Exp(-1e300) != 0 {
		t.Errorf("Exp(0) and Exp(-1e300) are %v and %v, want 1 and 0", Exp(0), Exp(-1e300))
	}
}

func TestLogAgreesWithTheStandardLibrary(t *testing.T) {
	for x := 1e-300; x < 1e300; x *= 1.37 {
		if got, want := Log(x), math.Log(x); math.Abs(got-want) > 1e-15*max(1, math.Abs(want)) {
			t.Errorf("Log(%v) is %v, want %v", x, got, want)
		}
	}
	if Log(1) != 0 {
		t.Errorf("Log(1) is %v, want 0", Log(1))
	}
}
