package daemon

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// BackgroundLog is the file in which a background yard keeps what it has to say.
const BackgroundLog = "yard.log"

// Background starts `yard up --background` for a state directory, in a session
// of its own, and returns its process ID. It waits for the directory's lock,
// so that this process may still hold it.
func Background(c config.Config) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "finding this program's own file")
	}
	log, err := os.OpenFile(filepath.Join(c.StateDir, BackgroundLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fault.Wrap(fault.Transient, err, "opening the log of the background yard")
	}
	defer func() { _ = log.Close() }()
	args := []string{"up", "--background", "--state-dir", c.StateDir}
	if c.LocalRate != nil {
		args = append(args, "--local-rate", c.LocalRate.Decimal())
	}
	cmd := exec.Command(self, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = string(filepath.Separator), log, log
	leaveSession(cmd)
	if err := cmd.Start(); err != nil {
		return 0, fault.Wrap(fault.Transient, err, "starting a background yard")
	}
	pid := cmd.Process.Pid
	return pid, cmd.Process.Release()
}
