//go:build unix

package oci

import "syscall"

// openFlags keep a pipe from being waited for.
const openFlags = syscall.O_NONBLOCK
