//go:build unix

package kms

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the plugin lead a process group, which is ended whole: a plugin in
// shell starts others.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
