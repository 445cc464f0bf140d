package index_test

import (
	"path/filepath"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/internal/storetest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Every scenario with an index, which another process goes on with.
func TestStore(t *testing.T) {
	paths := map[lineage.Store]string{}
	again := func(t testing.TB, path string) lineage.Store {
		f := open(t, path, index.Options{Write: true})
		paths[f] = path
		return f
	}
	storetest.Run(t, storetest.Maker{
		New: func(t testing.TB) lineage.Store { return again(t, filepath.Join(t.TempDir(), "index")) },
		Again: func(t testing.TB, s lineage.Store) lineage.Store {
			must(t, s.(*index.File).Close())
			return again(t, paths[s])
		},
	})
}
