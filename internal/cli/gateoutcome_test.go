package cli

import (
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// What the gate calls DENY without a verdict, verify ends with 1.
func TestGateOutcomesAreExitStatuses(t *testing.T) {
	denies := 0
	for _, row := range codeTable() {
		switch gate.OutcomeOf(row.code) {
		case policy.Deny:
			if denies++; row.exit != exitDeny {
				t.Errorf("%s: the gate says DENY, and verify ends with %d", row.code, row.exit)
			}
		case policy.Allow:
			t.Errorf("%s allows", row.code)
		}
	}
	if denies == 0 {
		t.Error("nothing denies")
	}
	if gate.OutcomeOf("") != policy.Undecided || gate.OutcomeOf(attest.CodeRegUnavailable) != policy.Undecided {
		t.Error("what could not be looked at is UNDECIDED")
	}
}
