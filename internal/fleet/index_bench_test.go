package fleet_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/index"
)

// indexed is an index in a file of its own.
type indexed struct{ *index.File }

func (f indexed) size(b *testing.B) int64 {
	_, n, err := f.Status(context.Background())
	must(b, err)
	return n
}

func openIndex(b *testing.B) store {
	f, err := index.Open(context.Background(), filepath.Join(b.TempDir(), "index"), index.Options{Write: true})
	must(b, err)
	b.Cleanup(func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	return indexed{f}
}

func stores(n int) []storeKind {
	kinds := []storeKind{{"index", true, openIndex}}
	if n <= 5_000 { // a Survey keeps 65,536 attestations
		kinds = append(kinds, storeKind{"survey", false, openSurvey})
	}
	return kinds
}
