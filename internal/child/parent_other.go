//go:build !linux

package child

import "os/exec"

// dieWithParent does nothing where the system has no such thing: what does not end with
// its standard input stays behind if this process is killed.
func dieWithParent(*exec.Cmd) {}
