package slurm

import (
	"os"
	"slices"
)

// crashVariable names the crash point at which this process kills itself, for
// tests of what survives.
const crashVariable = "YARD_CRASH_AT"

// CrashPoints lists the moments between which the engine and its job change what
// is on disk or what Slurm knows. A process with YARD_CRASH_AT set to one of
// them dies there by SIGKILL; those of the batch script are handed on to it.
func CrashPoints() []string {
	return []string{
		"start:before-gang", "start:after-gang", "start:leased", "start:submitted", "start:recorded",
		"stop:before-request", "stop:after-request",
		"forget:after-fence", "forget:after-remove",
		"batch:unclaimed", "batch:claimed", "batch:released", "batch:ended",
	}
}

// crashAt kills this process where it was asked to.
func crashAt(point string) {
	if !slices.Contains(CrashPoints(), point) {
		panic("crash point " + point + " is not listed")
	}
	if os.Getenv(crashVariable) != point {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // the signal is on its way
}
