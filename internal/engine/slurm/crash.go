package slurm

import "github.com/switchyard-ai/switchyard/internal/engine/ranks"

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

func crashAt(point string) { ranks.CrashAt(point, CrashPoints()) }
