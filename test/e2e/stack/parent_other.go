//go:build !linux

package stack

import "os/exec"

// dieWithParent does nothing where the system has no such thing. Our own children end
// with their standard input; Rekor stays behind if this process is killed.
func dieWithParent(*exec.Cmd) {}
