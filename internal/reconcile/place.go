package reconcile

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// place starts the queued runs that the scheduler has room for and returns how many.
func (l *Loop) place(ctx context.Context) (int, error) {
	snapshot, err := l.snapshot(ctx)
	if err != nil || len(snapshot.Queue) == 0 {
		return 0, err
	}
	placements, _ := scheduler.Place(snapshot)
	if err := l.recordHolds(ctx, snapshot.Queue); err != nil {
		return 0, err
	}
	placed := 0
	for _, placement := range placements {
		if err := l.launch(ctx, placement); err != nil {
			return placed, err
		}
		placed++
	}
	return placed, nil
}

// snapshot is all that the scheduler looks at.
func (l *Loop) snapshot(ctx context.Context) (scheduler.Snapshot, error) {
	s := scheduler.Snapshot{Now: l.Clock(), Holder: map[string]string{}}
	var queue []fleet.Run
	earlier, all, begun := map[string][]fleet.Attempt{}, map[string]fleet.Run{}, map[string]int64{}
	err := l.Store.View(ctx, func(tx store.Tx) error {
		runs, err := tx.Runs(store.RunFilter{Live: true})
		if err != nil {
			return err
		}
		for _, run := range runs {
			s.Holder[run.ID], all[run.ID] = run.Project, run
			if run.State == fleet.Queued && !run.StopAsked {
				queue = append(queue, run)
			}
		}
		if len(queue) == 0 {
			return nil
		}
		for _, run := range queue {
			if earlier[run.ID], err = tx.Attempts(run.ID); err != nil {
				return err
			}
		}
		if s.Live, err = tx.LiveAttempts(); err != nil {
			return err
		}
		for _, a := range s.Live {
			if begun[a.Run], err = wentOnFrom(tx, a); err != nil {
				return err
			}
		}
		s.Quotas, err = tx.Quotas()
		return err
	})
	if err != nil || len(queue) == 0 {
		return s, err
	}
	s.Pools = l.poolsSoon(ctx)
	s.Coming = l.coming(all, s.Live, s.Pools)
	l.reprice(ctx, usesIn(s, all, begun), false)
	standings, err := l.Standings(ctx)
	if err != nil {
		return s, err
	}
	away := l.away()
	// In turn: what one is about to take, the next is priced without.
	slices.SortStableFunc(queue, func(a, b fleet.Run) int { return scheduler.Turn(a, b, s.Now) })
	room := roomIn(s)
	for _, run := range queue {
		waiting := l.match(run, earlier[run.ID], s.Pools, s.Now)
		l.promised(waiting, s.Pools, room)
		waiting.RuledOut = append(waiting.RuledOut, away...)
		if len(standings) > 0 {
			waiting = scheduler.Hold(waiting, standings, l.usesOf(run, s.Pools))
		}
		s.Queue = append(s.Queue, waiting)
	}
	return s, nil
}

// launch records the attempt and the decision first and starts the gang then:
// a crash between leaves an attempt that the next pass starts under the same key.
func (l *Loop) launch(ctx context.Context, placement scheduler.Placement) error {
	release, ok := l.Sites.keep(placement.Pool.Site)
	if !ok {
		return nil // removed or drained since it was looked at
	}
	run, attempt, err := l.intend(ctx, placement)
	release()
	if err != nil || attempt.Number == 0 {
		return err
	}
	l.Crash(pointRecorded)
	l.Log.Info("run placed", "run", run.ID, "attempt", attempt.Number, "pool", attempt.Pool)
	eng, err := l.Sites.Engine(attempt.Site)
	if err == nil {
		err = l.start(ctx, eng, run, attempt)
	}
	if err != nil && !errors.Is(err, errOnItsWay) {
		// The next pass finds the attempt recorded and not started, and settles it.
		l.Log.Warn("gang did not start", "run", run.ID, "attempt", attempt.Number, "error", err)
	}
	return nil
}

// intend records the attempt of a placement and why; attempt 0 is none, where
// the run is no longer queued.
func (l *Loop) intend(ctx context.Context, placement scheduler.Placement) (fleet.Run, fleet.Attempt, error) {
	var run fleet.Run
	var attempt fleet.Attempt
	stale := false
	err := l.Store.Update(ctx, func(tx store.Tx) error {
		var err error
		if run, err = tx.Run(placement.Run); err != nil {
			return err
		}
		if stale = run.State != fleet.Queued || run.StopAsked; stale {
			return nil
		}
		earlier, err := tx.Attempts(run.ID)
		if err != nil {
			return err
		}
		attempt = newAttempt(run, placement, len(earlier)+1, l.Clock())
		if run.Trial != nil {
			if run.Trial, err = followed(tx, *run.Trial); err != nil {
				return err
			}
			attempt.Epoch += run.Trial.Epoch
		}
		attempt.Store = l.storeOf(attempt.Site, run.ID)
		run.State, run.NotBefore, run.Target = fleet.Running, time.Time{}, ""
		run.Reason = "" // it said why the run waited
		if err := tx.PutRun(run); err != nil {
			return err
		}
		if err := tx.PutAttempt(attempt); err != nil {
			return err
		}
		l.Crash(pointRecording)
		return tx.AppendDecision(*decision(run, attempt.Created, "place", attempt.Pool, placement.Reasons...))
	})
	if stale {
		attempt = fleet.Attempt{}
	}
	return run, attempt, err
}

// followed is a trial whose epochs follow those of all attempts of the run that
// it tries: while it waited, newer ones may have begun and written checkpoints.
func followed(tx store.Tx, trial fleet.Trial) (*fleet.Trial, error) {
	tried, err := tx.Attempts(trial.Of)
	for _, a := range tried {
		trial.Epoch = max(trial.Epoch, a.Epoch)
	}
	return &trial, err
}

func newAttempt(run fleet.Run, p scheduler.Placement, number int, now time.Time) fleet.Attempt {
	return fleet.Attempt{
		Run: run.ID, Number: number, Epoch: number, Pool: p.Pool.ID(), Site: p.Pool.Site,
		Nodes: p.Nodes, Ranks: p.Ranks, State: fleet.AttemptRecorded, Created: now,
		Provider: p.Pool.Provider, Chipmaker: chipmaker(p.Pool), Chip: p.Pool.Chip, Chips: p.Chips,
		Cores: p.Cores, Rate: p.Rate, Imputed: p.Pool.Imputed,
		Region: p.Pool.Region, InstanceType: p.Pool.InstanceType, Option: p.Pool.Option,
	}
}
