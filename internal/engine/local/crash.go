package local

import (
	"os"
	"slices"
)

// crashVariable names the crash point at which this process kills itself, for
// tests of what survives.
const crashVariable = "YARD_CRASH_AT"

// CrashPoints lists the moments between which the engine and its shim change
// what is on disk or which processes run. A process with YARD_CRASH_AT set to
// one of them dies there by SIGKILL.
func CrashPoints() []string {
	return []string{
		"start:before-gang", "start:after-secrets", "start:after-gang", "start:after-spawn", "start:after-ready",
		"stop:before-request", "stop:after-request",
		"forget:after-fence", "forget:after-rename", "forget:after-remove",
		"shim:unlocked", "shim:locked", "shim:reserved", "shim:started", "shim:first-rank", "shim:ranks",
		"shim:ended", "shim:recorded",
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
