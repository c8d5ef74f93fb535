package local

import "github.com/switchyard-ai/switchyard/internal/engine/ranks"

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

func crashAt(point string) { ranks.CrashAt(point, CrashPoints()) }
