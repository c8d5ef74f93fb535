//go:build unix

package slurm

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup keeps signals to this process's group from a child.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// whollyKilled gives a command a group of its own: when its context is done, what
// it began dies with it.
func whollyKilled(cmd *exec.Cmd) {
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
