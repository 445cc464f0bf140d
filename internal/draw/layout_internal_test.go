package draw

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

const twoNodes = `{"bb":"-1,0,100,50","objects":[{"name":"n0","pos":"9,10"},{"name":"n1","pos":"79,40"}],` +
	`"edges":[{"id":"e0","pos":"e,60,40 10,10 20,20 30,30 50,40","lp":"30,5"}]}`

func TestReadLayoutTurnsItOver(t *testing.T) {
	l, err := readLayout([]byte(twoNodes), 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	a := l.arrows[0]
	if l.width != 101 || l.height != 50 || l.boxes[0] != (point{10, 40}) || a.tip != (point{61, 10}) || len(a.points) != 4 || *a.label != (point{31, 45}) {
		t.Errorf("%+v", l)
	}
	if l, err = readLayout([]byte(strings.Replace(twoNodes, `"pos":"e,60,40 10,10 20,20 30,30 50,40",`, "", 1)), 2, 1); err != nil || l.arrows[0].points != nil {
		t.Errorf("an edge without a course is drawn straight: %v", err)
	}
}

func TestReadLayoutRefuses(t *testing.T) {
	for from, to := range map[string]string{
		`"-1,0,100,50"`: `"0,0,100"`,
		`"9,10"`:        `"9"`,
		`"79,40"`:       `"Inf,40"`,
		`10,10`:         `10,1e8`,
		`"n1"`:          `"n0"`,
		`"n0"`:          `"n00"`,
		`"e0"`:          `"e1"`,
		` 50,40`:        ``,
		`"30,5"`:        `"30,5,1"`,
		`e,60,40 `:      `x,60,40 `,
		`{"bb"`:         `["bb"`,
	} {
		if _, err := readLayout([]byte(strings.Replace(twoNodes, from, to, 1)), 2, 1); err == nil {
			t.Errorf("%s instead of %s: %v", to, from, err)
		}
	}
}

func TestTheLayoutHasADeadline(t *testing.T) {
	program := filepath.Join(t.TempDir(), "slow")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec /bin/sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := runLayouter(context.Background(), program, nil, 100*time.Millisecond)
	if attest.RefusalCode(err) != attest.CodeDraw || !strings.Contains(fmt.Sprint(err), "not found within") || time.Since(start) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}
