package admit

import (
	"encoding/json"

	"github.com/pedigree-ml/pedigree/attest"
)

// pins reports whether the mutating hook is to pin s: a tag from which something runs,
// under a rule that pins, in a text that can be replaced. Templates are left as they are
// written: somebody's tools compare them with what is in their repository, and what is
// made of them comes by again.
func (w *weighing) pins(s *Seen) bool {
	return w.rule.Pin && s.Runs && s.Problem == "" && !s.Reference.Repository.IsZero() && s.Reference.Digest.IsZero() &&
		s.Pointer != ""
}

// settlePin says what the mutating hook does with s: what is allowed is pinned to the
// digest that was judged, in every mode. The rest is left, and Err says why.
func (s *Seen) settlePin() {
	if s.Standing == Allowed {
		s.pin = s.Pinned(s.Answer.Reference.Digest)
		if s.pin != "" {
			return
		}
		s.Err = attest.Refuse(attest.CodeTag, "%s cannot be pinned where it stands", s.Reference)
	}
	s.Standing = Left
}

// operation is one operation of a JSON Patch, RFC 6902.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// patch writes what is to be pinned: for each text a test that it is still the one that
// was judged, and its replacement. It returns nil if nothing is. A text can be found
// twice, because the configuration names a place that is known: it is replaced once, or,
// where what is found in it is not to become the same, not at all.
func patch(seen []Seen) []byte {
	become := map[string]string{}
	for _, s := range seen {
		if before, ok := become[s.Pointer]; ok && before != s.pin {
			become[s.Pointer] = ""
			continue
		}
		become[s.Pointer] = s.pin
	}
	var ops []operation
	for _, s := range seen {
		if to := become[s.Pointer]; s.pin != "" && to != "" {
			ops = append(ops, operation{"test", s.Pointer, s.Value}, operation{"replace", s.Pointer, to})
			become[s.Pointer] = ""
		}
	}
	if len(ops) == 0 {
		return nil
	}
	b, err := json.Marshal(ops)
	if err != nil {
		return nil // unreachable: texts only; and what is not pinned, the validating hook refuses
	}
	return b
}
