package filehash

import (
	"io/fs"
	"syscall"
)

// Touched reports whether a file was renamed, or written with its times put back,
// between a and b: its change time differs, and not because a link to it was made.
func Touched(a, b fs.FileInfo) bool {
	x, okx := a.Sys().(*syscall.Stat_t)
	y, oky := b.Sys().(*syscall.Stat_t)
	return okx && oky && x.Nlink == y.Nlink && x.Ctim != y.Ctim
}
