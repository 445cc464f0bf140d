package draw_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/internal/draw"
	"github.com/pedigree-ml/pedigree/internal/draw/drawtest"
)

var update = flag.Bool("update", false, "write the files of testdata anew")

// layouter is pedigree-layout, built once: the tests use the real one.
var layouter string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "draw")
	if err == nil {
		layouter, err = drawtest.Layouter("../..", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

func options() draw.Options {
	return draw.Options{
		Title: "registry.example/acme/credit:v3-int8", Verdict: "UNDECIDED: evidence about one artifact could not be fetched",
		Trust: "verified under policy credit-prod, version 7", At: time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC), Layouters: []string{layouter},
	}
}
