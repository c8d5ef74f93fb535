//go:build unix

package daemon

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// ownedByUser reports whether the file belongs to the user of this process.
func ownedByUser(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

// leaveSession starts a command in a session of its own, so that it outlives
// this process and its terminal.
func leaveSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
