//go:build !unix

package step

import (
	"io/fs"
	"os"
	"os/exec"
)

// ownGroup has no portable meaning: the command alone is ended.
func ownGroup(*exec.Cmd) {}

// interrupt ends the command: systems without signals know no gentler way.
func interrupt(cmd *exec.Cmd, group bool) { kill(cmd, group) }

// kill ends the command. That it has ended already is what is wanted, so the
// error says nothing.
func kill(cmd *exec.Cmd, _ bool) { _ = cmd.Process.Kill() }

// exitStatus is the status that the system reports.
func exitStatus(s *os.ProcessState) int {
	if s == nil {
		return StatusFailed // unreachable: Wait returned
	}
	return s.ExitCode()
}

// mayExecute leaves it to the system to say so.
func mayExecute(fs.FileInfo) bool { return true }
