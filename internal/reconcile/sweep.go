package reconcile

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// endStoppedQueued ends the queued runs that were asked to stop: they have no
// live attempt.
func (l *Loop) endStoppedQueued(ctx context.Context, w world) error {
	if !slices.ContainsFunc(w.queue, func(run fleet.Run) bool { return run.StopAsked }) {
		return nil
	}
	return l.Store.Update(ctx, func(tx store.Tx) error {
		for _, seen := range w.queue {
			run, err := tx.Run(seen.ID)
			if err != nil {
				return err
			}
			if run.State != fleet.Queued || !run.StopAsked {
				continue
			}
			run.State, run.Ended, run.Reason, run.Target = fleet.Stopped, l.Clock(), "stopped while it was queued", ""
			if err := tx.PutRun(run); err != nil {
				return err
			}
			l.Crash(changeStopped.before())
		}
		return nil
	})
}

// sweepWhenDue looks, from time to time, for gangs that should not be.
func (l *Loop) sweepWhenDue(ctx context.Context) error {
	if !l.swept.IsZero() && time.Since(l.swept) < l.SweepEvery {
		return nil
	}
	l.poolsSoon(ctx) // so that it is known which sites answer
	for _, place := range l.Sites.List() {
		if _, err := l.lastPools(place); err != nil && place.Name != site.Local {
			continue // it is away, or slow: a later sweep finds it
		}
		eng, err := l.Sites.Engine(place.Name)
		if err != nil {
			continue // told when it was opened
		}
		if err := l.sweep(ctx, place.Name, eng); err != nil {
			return err
		}
	}
	l.swept = time.Now()
	return nil
}

// sweep stops the gangs of a site that the store does not know, or knows as
// ended, and forgets what is past its retention. The engine is asked before
// the store: an attempt is recorded before it starts, so that every gang in
// the list that is in order is in the store by then.
func (l *Loop) sweep(ctx context.Context, name string, eng engine.Engine) error {
	ctx, cancel := context.WithTimeout(ctx, observeFor)
	defer cancel()
	keys, err := eng.List(ctx)
	if err != nil {
		l.Log.Warn("gangs cannot be listed", "site", name, "error", err)
		return nil
	}
	if len(keys) == 0 {
		return nil
	}
	known, err := l.known(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		attempt, ok := known[key]
		switch old := l.Clock().Sub(attempt.Ended) > l.Policy.Retention; {
		case !ok:
			l.remove(ctx, eng, key, "the store does not know it", true)
		case attempt.State.Final() && old:
			l.remove(ctx, eng, key, "it ended longer ago than logs are kept", true)
		case attempt.State == fleet.AttemptLost:
			l.remove(ctx, eng, key, "it was given up as lost", false)
		}
	}
	return nil
}

// known finds the attempts that keys name, of those that the store has.
func (l *Loop) known(ctx context.Context, keys []string) (map[string]fleet.Attempt, error) {
	known := map[string]fleet.Attempt{}
	err := l.Store.View(ctx, func(tx store.Tx) error {
		for _, key := range keys {
			dash := strings.LastIndexByte(key, '-') // see fleet.AttemptKey
			if dash < 0 {
				continue
			}
			attempts, err := tx.Attempts(key[:dash])
			if err != nil {
				return err
			}
			for _, a := range attempts {
				known[a.Key()] = a
			}
		}
		return nil
	})
	return known, err
}

// remove stops a gang that should not be and, where asked to, forgets it once it
// has ended; a later sweep finishes what this one cannot.
func (l *Loop) remove(ctx context.Context, eng engine.Engine, key, why string, forget bool) {
	status, err := eng.Observe(ctx, key)
	switch {
	case fault.Is(err, fault.Lost): // listed and yet not known: forgotten in part
		if err = eng.Forget(ctx, key); fault.Is(err, fault.Lost) {
			return // gone meanwhile
		}
	case err == nil && status.State != engine.Exited:
		l.Log.Warn("stopping a gang that should not be", "key", key, "why", why)
		l.Crash(pointOrphanStop)
		err = eng.Stop(ctx, key, l.Policy.Grace)
	case err == nil && forget:
		l.Log.Info("forgetting a gang", "key", key, "why", why)
		l.Crash(pointOrphanForget)
		err = eng.Forget(ctx, key)
	}
	if err != nil {
		l.Log.Warn("gang cannot be removed", "key", key, "error", err)
	}
}
