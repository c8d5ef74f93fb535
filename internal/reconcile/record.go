package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// record stores what the sights lead to, all in one transaction, with the
// ledger entries of the same instant. It reports whether a run ended or was
// queued again, so that room may have come free.
func (l *Loop) record(ctx context.Context, sights []sight, pass *Pass) (freed bool, err error) {
	if len(sights) == 0 {
		return false, nil
	}
	var done []outcome
	if l.quiet(sights) {
		return false, nil
	}
	err = l.Store.Update(ctx, func(tx store.Tx) error {
		done = nil
		for _, s := range sights {
			o, err := l.apply(tx, s)
			if err != nil {
				return err
			}
			if o.change != changeNone {
				done = append(done, o)
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(done, func(o outcome) bool { return !o.meterTo.IsZero() }) {
		l.spending.stale()
	}
	if slices.ContainsFunc(done, func(o outcome) bool { return o.qualification != nil }) {
		l.models.stale()
		l.merits.stale()
	}
	for _, o := range done {
		l.Crash(o.change.after())
		l.tell(o)
		if o.attempt.State.Final() {
			l.sent.forget(o.attempt.Key())
			l.watch.forget(o.attempt.Key())
			l.copies.forget(o.attempt.Key())
			freed = true
		}
		if o.change == changeRequeued {
			pass.Restarts++
		}
	}
	return freed, nil
}

// quiet reports whether no sight leads to a change, so that an idle pass costs
// no transaction.
func (l *Loop) quiet(sights []sight) bool {
	now := l.Clock()
	for _, s := range sights {
		if settle(s, 0, now, l.policyOf(s.run)).change != changeNone {
			return false
		}
	}
	return true
}

// apply rereads the run and the attempt inside the transaction: a stop may
// have been asked since they were observed.
func (l *Loop) apply(tx store.Tx, s sight) (outcome, error) {
	run, err := tx.Run(s.run.ID)
	if err != nil {
		return outcome{}, err
	}
	attempts, err := tx.Attempts(run.ID)
	if err != nil {
		return outcome{}, err
	}
	if s.attempt.Number > len(attempts) {
		return outcome{}, fault.Newf(fault.Internal, "attempt %s is not in the store", s.attempt.Key())
	}
	s.run, s.attempt = run, attempts[s.attempt.Number-1]
	if s.attempt.State.Final() {
		return outcome{}, nil
	}
	o := settle(s, newestCheckpoint(attempts[:s.attempt.Number-1]), l.Clock(), l.policyOf(run))
	attempts[s.attempt.Number-1] = o.attempt
	if bad := o.attempt.BadNode; bad != "" && o.decision != nil && slices.Contains(cordoned(attempts), bad) {
		o.decision.Reasons = append(o.decision.Reasons, fmt.Sprintf("it stays away from node %s from now on: %d attempts ended because of it", bad, badAfter))
	}
	if why := suspicion(o.attempt); why != "" && o.decision != nil && o.run.State == fleet.Queued {
		o.decision.Reasons = append(o.decision.Reasons, why)
	}
	if o.change == changeNone {
		return o, nil
	}
	if !o.meterTo.IsZero() {
		if err := l.meter(tx, &o); err != nil {
			return o, err
		}
	}
	if o.qualification != nil {
		if err := putQualification(tx, *o.qualification); err != nil {
			return o, err
		}
	}
	if err := tx.PutAttempt(o.attempt); err != nil {
		return o, err
	}
	if o.change != changeProgress && o.change != changeMetered { // those leave the run as it is
		if err := tx.PutRun(o.run); err != nil {
			return o, err
		}
	}
	if o.decision != nil {
		if err := tx.AppendDecision(*o.decision); err != nil {
			return o, err
		}
	}
	l.Crash(o.change.before())
	return o, nil
}

func newestCheckpoint(attempts []fleet.Attempt) int64 {
	var best int64
	for _, a := range attempts {
		best = max(best, a.Progress.CheckpointStep)
	}
	return best
}

// tell logs decisions and endings, not steps.
func (l *Loop) tell(o outcome) {
	log := l.Log.With("run", o.run.ID, "attempt", o.attempt.Number)
	switch o.change {
	case changeRunning:
		log.Info("attempt runs", "pool", o.attempt.Pool)
	case changeSucceeded, changeFailed, changeStopped:
		log.Info("run ended", "state", o.run.State, "exit", o.run.ExitCode, "reason", o.run.Reason)
	case changeRequeued:
		log.Info("run restarts", "failures", o.run.Failures, "not_before", o.run.NotBefore, "reason", o.run.Reason)
	}
}
