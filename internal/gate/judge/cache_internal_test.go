package judge

import (
	"fmt"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func testEntry(n int, o policy.Outcome, size int64) *entry {
	return &entry{
		key:    key{artifact: attest.SHA256(fmt.Append(nil, n))},
		answer: gate.Answer{Outcome: o, At: noon, Until: noon.Add(time.Hour)},
		born:   moment{wall: noon}, keep: time.Minute, size: size,
	}
}

func TestCacheIsBounded(t *testing.T) {
	at := moment{wall: noon}
	c := newCache(40, 4000) // 30 allowed of 3,000 bytes, 10 refused of 1,000
	kept := func(n int) bool { return c.get(testEntry(n, policy.Allow, 0).key, at) != nil }
	for n := range 100 {
		c.put(testEntry(n, policy.Allow, 1))
		kept(0) // used all the time
	}
	if len(c.allowed.entries) != 30 || c.allowed.bytes != 30 || c.allowed.evicted != 70 {
		t.Errorf("%d entries of %d bytes, %d evicted", len(c.allowed.entries), c.allowed.bytes, c.allowed.evicted)
	}
	if !kept(0) || !kept(99) || kept(1) {
		t.Error("not the one that was not used is gone")
	}
	// Refusals push out nothing but refusals.
	for n := range 1000 {
		c.put(testEntry(1000+n, policy.Outcome(n%2), 1))
	}
	if len(c.refused.entries) != 10 || len(c.allowed.entries) != 30 || !kept(0) {
		t.Errorf("%d refused, %d allowed", len(c.refused.entries), len(c.allowed.entries))
	}
	// Bytes count too, and what is larger than everything is not kept.
	c.put(testEntry(5000, policy.Allow, 2990))
	if !kept(5000) || c.allowed.bytes > 3000 {
		t.Errorf("%d bytes", c.allowed.bytes)
	}
	c.put(testEntry(5001, policy.Allow, 3001))
	if kept(5001) || !kept(5000) {
		t.Error("what is too large was kept, or pushed others out")
	}
	// One answer to a question, whatever it was before.
	c.put(testEntry(5000, policy.Deny, 1))
	if en := c.get(testEntry(5000, policy.Deny, 0).key, at); en == nil || en.answer.Outcome != policy.Deny || c.allowed.entries[en.key] != nil {
		t.Errorf("%+v", en)
	}
	// An older look does not take the place of a newer one.
	newer, older := testEntry(6000, policy.Deny, 1), testEntry(6000, policy.Allow, 1)
	newer.looked = time.Second
	c.put(newer)
	c.put(older)
	if en := c.get(newer.key, at); en != newer {
		t.Errorf("%+v", en)
	}
	var sum int64
	for _, el := range c.refused.entries {
		sum += el.Value.(*entry).size
	}
	if sum != c.refused.bytes || c.refused.order.Len() != len(c.refused.entries) {
		t.Errorf("%d bytes are counted, and there are %d", c.refused.bytes, sum)
	}
}

// GAT-29: the bounds of an entry, each by itself.
func TestEntryHolds(t *testing.T) {
	for name, c := range map[string]struct {
		wall, elapsed time.Duration
		fresh         bool
	}{
		"GAT-29 at once":                          {0, 0, true},
		"GAT-29 just before":                      {time.Minute - 1, time.Minute - 1, true},
		"GAT-29 over by the machine's clock":      {0, time.Minute, false},
		"GAT-29 over by the wall's clock":         {time.Minute, 0, false},
		"GAT-29 before it was given":              {-1, 0, false},
		"GAT-29 a day back":                       {-24 * time.Hour, 0, false},
		"GAT-29 a day back, after a day":          {-24 * time.Hour, 24 * time.Hour, false},
		"GAT-29 a day forward":                    {24 * time.Hour, 0, false},
		"GAT-29 forward and back to where it was": {0, 2 * time.Minute, false},
	} {
		en := testEntry(0, policy.Allow, 1)
		if got := en.fresh(moment{noon.Add(c.wall), c.elapsed}); got != c.fresh {
			t.Errorf("%s: %t", name, got)
		}
		en.answer.Until = noon
		if en.fresh(moment{noon.Add(c.wall), c.elapsed}) {
			t.Errorf("%s: after its end", name)
		}
	}
	if (&entry{}).holds(moment{wall: noon}) {
		t.Error("the zero entry holds")
	}
}

func TestMarks(t *testing.T) {
	mark := func(name string, n int64) policy.Mark {
		return policy.Mark{Name: name, Number: n, Content: attest.SHA256(fmt.Append(nil, name, n))}
	}
	var m marks
	for _, x := range []policy.Mark{mark("b", 2), mark("a", 1), mark("c", 3), mark("b", 1), mark("b", 5), mark("a", 1)} {
		before := append(marks(nil), m...)
		next := m.with([]policy.Mark{x})
		for i := range before {
			if m[i] != before[i] {
				t.Fatalf("adding %v changed what others see", x)
			}
		}
		m = next
	}
	if len(m) != 3 || m[0] != mark("a", 1) || m[1] != mark("b", 5) || m[2] != mark("c", 3) {
		t.Errorf("%v", m)
	}
	if same := m.with(m); len(m) > 0 && &same[0] != &m[0] {
		t.Error("nothing new makes a copy")
	}
	other := policy.Mark{Name: "b", Number: 5, Content: attest.SHA256(nil)}
	if got, _ := m.with([]policy.Mark{other}).find("b"); got != mark("b", 5) {
		t.Errorf("the second of two with one number stays: %v", got)
	}
	l := &ledger{}
	var many []policy.Mark
	for i := range maxSeen + 10 {
		many = append(many, mark(fmt.Sprintf("status/%08d", i), 2))
	}
	l.mu.Lock()
	big := marks(many)
	l.seen.Store(&big)
	l.see(nil)
	l.mu.Unlock()
	if n := len(l.load()); n > maxSeen {
		t.Errorf("%d are remembered", n)
	}
}
