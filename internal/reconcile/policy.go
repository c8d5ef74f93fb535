package reconcile

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/scheduler"
)

// Policy is how the loop treats failures and stops.
type Policy struct {
	Restarts   int           // failed attempts in a row, without a new checkpoint, before a run is given up
	Backoff    time.Duration // before the first restart; doubles with each failure in a row
	BackoffMax time.Duration // the longest wait before a restart
	Grace      time.Duration // between SIGTERM and SIGKILL where the stop did not say
	LogCap     int64         // bytes of log kept per rank; 0 is the engine's default
	Retention  time.Duration // how long the engine keeps an ended attempt, with its log
	Moves      scheduler.MovePolicy
}

// DefaultPolicy is the policy where the user sets none.
func DefaultPolicy() Policy {
	return Policy{
		Restarts: 5, Backoff: time.Second, BackoffMax: 5 * time.Minute, Grace: 30 * time.Second,
		Retention: 90 * 24 * time.Hour, Moves: scheduler.DefaultMovePolicy(),
	}
}

// wait is how long a run with so many failures in a row rests before the next
// attempt. There is no jitter: attempts of one run do not compete with each
// other, and a decision can be replayed.
func (p Policy) wait(failures int) time.Duration {
	wait := p.Backoff
	for range failures - 1 {
		if wait >= p.BackoffMax {
			break
		}
		wait *= 2
	}
	return min(wait, p.BackoffMax)
}
