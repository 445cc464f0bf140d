// Package filelock lets one process at a time hold a file.
//
// The lock is flock(2)'s: the system releases it when its holder ends, however it
// ends, so a process that was killed blocks nobody, and no stale lock has to be
// told from a held one. The lock file itself stays; who removed it could let two
// processes hold "the" lock, of two files.
package filelock

import "errors"

// ErrUnsupported is returned on systems without flock. Writing without a lock
// would lose what others write; reading needs none.
var ErrUnsupported = errors.New("this system has no flock")
