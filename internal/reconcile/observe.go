package reconcile

import (
	"context"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// observe looks at every live attempt, and repeats what was asked for but may
// not have happened: a start after a crash, a stop. What cannot be seen now is
// left for the next pass.
func (l *Loop) observe(ctx context.Context, w world) []sight {
	var sights []sight
	for _, attempt := range w.live {
		eng, ok := l.Engines[attempt.Site]
		if !ok {
			l.Log.Warn("attempt on a site that is not connected", "run", attempt.Run, "attempt", attempt.Number, "site", attempt.Site)
			continue
		}
		s, err := l.look(ctx, eng, w.runs[attempt.Run], attempt)
		if err != nil {
			l.Log.Warn("attempt cannot be observed", "run", attempt.Run, "attempt", attempt.Number, "error", err)
			continue
		}
		sights = append(sights, s)
	}
	return sights
}

func (l *Loop) look(ctx context.Context, eng engine.Engine, run fleet.Run, attempt fleet.Attempt) (sight, error) {
	s := sight{run: run, attempt: attempt}
	if run.StopAsked || draining(attempt) {
		if err := l.sendStop(ctx, eng, run, attempt.Key()); err != nil {
			return s, err
		}
	}
	var err error
	s.status, err = eng.Observe(ctx, attempt.Key())
	switch {
	case err == nil:
		return s, nil
	case !fault.Is(err, fault.Lost):
		return s, err
	case attempt.State == fleet.AttemptRunning:
		s.unknown = true
		return s, nil
	case run.StopAsked:
		s.refused = fault.New(fault.Lost, "stopped before it started")
		return s, nil
	}
	return l.startRecorded(ctx, eng, s)
}

// startRecorded starts an attempt whose intent is stored, possibly by a
// process that died before it could ask the engine.
func (l *Loop) startRecorded(ctx context.Context, eng engine.Engine, s sight) (sight, error) {
	err := l.start(ctx, eng, s.run, s.attempt)
	switch fault.KindOf(err) {
	case "":
		s.status, err = eng.Observe(ctx, s.attempt.Key())
		return s, err
	case fault.Invalid, fault.Conflict:
		s.refused = err
		return s, nil
	case fault.NoCapacity, fault.Quota:
		// The gang may still come to start: fence the key before it is given up.
		s.refused = err
		return s, eng.Stop(ctx, s.attempt.Key(), 0)
	}
	return s, err
}

// grace is the time that a stop leaves: what was asked for, or the policy's.
func (l *Loop) grace(asked time.Duration) time.Duration {
	if asked == 0 {
		return l.Policy.Grace
	}
	return asked
}

func (l *Loop) sendStop(ctx context.Context, eng engine.Engine, run fleet.Run, key string) error {
	grace := l.grace(run.StopGrace)
	if sent, ok := l.stopped[key]; ok && sent <= grace {
		return nil
	}
	l.Crash(pointStopSend)
	if err := eng.Stop(ctx, key, grace); err != nil {
		return err
	}
	l.Crash(pointStopSent)
	l.stopped[key] = grace
	return nil
}

// start asks the engine for the gang of a recorded attempt.
func (l *Loop) start(ctx context.Context, eng engine.Engine, run fleet.Run, attempt fleet.Attempt) error {
	pool, err := l.pool(ctx, attempt.Pool)
	if err != nil {
		return err
	}
	gang, err := l.gang(run, attempt, pool)
	if err != nil {
		return err
	}
	l.Crash(pointStarting)
	if err := eng.Start(ctx, gang); err != nil {
		return err
	}
	l.Crash(pointStarted)
	return nil
}
