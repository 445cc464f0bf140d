package verify

import (
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// One statement in several bundles was seen at the earliest time that any of
// them proves; a bundle that proves none takes nothing away. Bare keys prove no
// time, so this cannot be shown through Open yet.
func TestBindKeepsTheEarliestTime(t *testing.T) {
	d := attest.SHA256([]byte("model"))
	payload, err := attest.NewStatement(attest.Subject{Digest: d}, "https://example.test/note/v1", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(day int) time.Time {
		if day == 0 {
			return time.Time{}
		}
		return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)
	}
	for _, c := range []struct {
		days []int
		want int
	}{{[]int{3, 2, 5}, 2}, {[]int{0, 4}, 4}, {[]int{4, 0}, 4}, {[]int{0, 0}, 0}} {
		var items []*item
		for i, day := range c.days {
			e, err := believe(Credential{name: "key:x"}, payload)
			if err != nil {
				t.Fatal(err)
			}
			e.e.seen = at(day)
			items = append(items, &item{evidence: e, size: int64(10 - i)})
		}
		w := &walk{}
		bound := w.bind(&visit{node: &node{Artifact: Artifact{Digest: d}}}, items)
		if len(bound) != 1 || !bound[0].evidence.Seen().Equal(at(c.want)) || bound[0].size != int64(11-len(items)) {
			t.Errorf("%v: bound %+v", c.days, bound)
		}
		if items[0].evidence.Seen() != at(c.days[0]) || !items[0].evidence.About().IsZero() {
			t.Errorf("%v: binding changed the evidence it was made from", c.days)
		}
	}
}
