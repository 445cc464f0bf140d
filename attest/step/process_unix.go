//go:build unix

package step

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes the command the leader of a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// interrupt asks the command, and its group if it leads one, to end.
func interrupt(cmd *exec.Cmd, group bool) { send(cmd, group, syscall.SIGINT) }

// kill ends the command, and its group if it leads one.
func kill(cmd *exec.Cmd, group bool) { send(cmd, group, syscall.SIGKILL) }

// send sends a signal. That nobody is left to get it is what is wanted, so errors
// say nothing. While a member of the group lives, its number belongs to no other.
func send(cmd *exec.Cmd, group bool, sig syscall.Signal) {
	if group {
		_ = syscall.Kill(-cmd.Process.Pid, sig)
		return
	}
	_ = cmd.Process.Signal(sig)
}

// exitStatus is what a shell calls the status: 128+n for signal n.
func exitStatus(s *os.ProcessState) int {
	if s == nil {
		return StatusFailed // unreachable: Wait returned
	}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// mayExecute reports whether anybody may execute the file; whether we may, the
// system says when it is started.
func mayExecute(info fs.FileInfo) bool { return info.Mode()&0o111 != 0 }
