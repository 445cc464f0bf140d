package trust

import "github.com/pedigree-ml/pedigree/internal/strictyaml"

// A Problem is one thing that keeps a trust file from loading, with line and column.
// Its code is E_TRUSTROOT for what makes the file unusable, E_PATH for a name that
// leads somewhere else, E_LIMIT, and E_TRUSTROOT_STALE for what could not be fetched.
type Problem = strictyaml.Problem

// A LoadError lists everything that is wrong with a trust file, in the file's order.
type LoadError = strictyaml.LoadError
