package admit

import (
	"strings"
	"testing"
)

// A review in which everything is to be told about, and all of it is long to tell: what
// nobody will read is counted, and not written.
func TestManyLongTextsAreCounted(t *testing.T) {
	w := newWorld(t)
	var containers []string
	for range 800 {
		containers = append(containers, "x="+strings.Repeat("a:b@c?d basic x ", 500))
	}
	review, err := Decode(create(pod(containers...)).body(t))
	if err != nil {
		t.Fatal(err)
	}
	c := w.consider(t.Context(), w.grounds, review.Request, false)
	written := 0
	for _, l := range c.lines() {
		if l != "" {
			written++
		}
	}
	if len(c.lines()) != 800 || written != maxLines {
		t.Errorf("%d lines, %d of them written", len(c.lines()), written)
	}
	if m := message(c.lines()); len(m) > maxMessage || !strings.HasSuffix(m, " more") || strings.Contains(m, "\n\n") {
		t.Errorf("%q", m)
	}
	if s := (Seen{}).line(); maxLines*len(s) < maxMessage {
		t.Errorf("%d lines of %d bytes fit in a message", maxLines, len(s))
	}
}
