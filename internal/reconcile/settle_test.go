package reconcile

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// What the site did to an attempt is not counted against its run; what could
// never begin ends it at once.
func TestHowAnAttemptEnded(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	policy := DefaultPolicy()
	policy.Restarts = 1
	for _, c := range []struct {
		name     string
		status   engine.Status
		failures int // before
		asked    bool
		state    fleet.AttemptState
		run      fleet.RunState
		after    int // failures
		exit     int
		says     string
	}{
		{
			"preempted", engine.Status{Preempted: true, ExitCode: 143, Reason: "node n1 is gone"}, 1, false,
			fleet.AttemptLost, fleet.Queued, 1, 0, "restart: preempted by the site; node n1 is gone; from the checkpoint at step 7",
		},
		{"preempted while it was stopped", engine.Status{Preempted: true, ExitCode: 143}, 0, true, fleet.AttemptStopped, fleet.Stopped, 0, 143, ""},
		{
			"invalid", engine.Status{Invalid: true, Reason: "the image cannot be pulled"}, 0, false,
			fleet.AttemptFailed, fleet.Failed, 0, exitNotStarted, "",
		},
		{"lost", engine.Status{Lost: true, Reason: "its keeper died"}, 0, false, fleet.AttemptLost, fleet.Queued, 1, 0, "restart 1 of 1"},
		{"lost once more", engine.Status{Lost: true, Reason: "its keeper died"}, 1, false, fleet.AttemptLost, fleet.Failed, 2, 0, "give up"},
		{"failed", engine.Status{ExitCode: 3}, 1, false, fleet.AttemptFailed, fleet.Failed, 2, 3, "give up"},
	} {
		s := sight{
			run:     fleet.Run{ID: "a", State: fleet.Running, Failures: c.failures, StopAsked: c.asked},
			attempt: fleet.Attempt{Run: "a", Number: 2, State: fleet.AttemptRunning, Started: now.Add(-time.Hour)},
			status:  c.status,
		}
		s.status.State, s.status.Started, s.status.Ended = engine.Exited, s.attempt.Started, now
		o := settle(s, 7, now, policy)
		said := ""
		if o.decision != nil {
			said = o.decision.Verb + ": " + strings.Join(o.decision.Reasons, "; ")
		}
		if o.attempt.State != c.state || o.run.State != c.run || o.run.Failures != c.after || o.run.ExitCode != c.exit || !strings.Contains(said, c.says) {
			t.Errorf("%s: attempt %s, run %s, %d failures, exit %d, %q", c.name, o.attempt.State, o.run.State, o.run.Failures, o.run.ExitCode, said)
		}
		if !o.meterTo.Equal(now) {
			t.Errorf("%s: booked up to %s", c.name, o.meterTo)
		}
	}
}
