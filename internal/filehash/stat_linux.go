package filehash

import (
	"io/fs"
	"syscall"
)

// openFlags keeps a link from being followed, and a pipe from being waited for.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// changeTime is when the file's content or attributes last changed.
func changeTime(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return syscall.TimespecToNsec(st.Ctim)
	}
	return 0
}
