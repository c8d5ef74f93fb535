package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// The verbs of decisions that move a run. Those for money are counted.
const (
	verbMove  = "move"  // it is cheaper elsewhere
	verbLeave = "leave" // its place goes away
	verbSend  = "send"  // somebody asked
	verbStay  = "stay"  // it should leave and cannot
)

// movesEvery is how often moves are looked for.
const movesEvery = 30 * time.Second

// mostChecks bounds how many moves a look prices exactly before it leaves the
// rest to the next.
const mostChecks = 4

// movesTo opens the reason of an attempt that is stopped so that its run goes
// on elsewhere, and lasts in the store.
const movesTo = "moves to "

// moving reports whether a live attempt ends because its run moves.
func moving(a fleet.Attempt) bool {
	return !a.State.Final() && strings.HasPrefix(a.Reason, movesTo)
}

// moveWhenDue looks, from time to time, for runs that should go on elsewhere.
// It records what is decided; observe stops the attempts that are marked, also
// after a crash.
func (l *Loop) moveWhenDue(ctx context.Context, w world) error {
	asked := l.drained.Swap(false)
	if len(w.live) == 0 || (!asked && !l.weighed.IsZero() && time.Since(l.weighed) < l.MovesEvery) {
		return nil
	}
	snapshot, err := l.moveSnapshot(ctx, "")
	if err != nil {
		return err
	}
	moves, stays := scheduler.Moves(snapshot.MoveSnapshot)
	for range mostChecks {
		again, err := l.checked(ctx, &snapshot, moves)
		if err != nil {
			return err
		}
		if !again {
			break
		}
		moves, stays = scheduler.Moves(snapshot.MoveSnapshot)
	}
	for _, move := range moves {
		verb := verbMove
		if move.Urgent {
			verb = verbLeave
		}
		if _, err := l.leave(ctx, verb, move); err != nil {
			return err
		}
	}
	if len(moves) > 0 {
		l.Kick()
	}
	l.weighed = time.Now()
	if err := l.recordStays(ctx, stays); err != nil {
		return err
	}
	return l.drainStays(ctx, w, stays)
}

// drainStays stops the runs that no other place can take and whose site was
// told to drain: they keep their checkpoint and wait in the queue. What leaves
// for the end of a capacity alone runs on until that.
func (l *Loop) drainStays(ctx context.Context, w world, stays []scheduler.Stay) error {
	for _, attempt := range w.live {
		place, err := l.Sites.Find(attempt.Site)
		stay := slices.IndexFunc(stays, func(s scheduler.Stay) bool { return s.Run == attempt.Run })
		if err != nil || !place.Draining || stay < 0 {
			continue
		}
		why := "its site: no other place can take it now"
		if reasons := stays[stay].Reasons; len(reasons) > 1 {
			why += " (" + strings.Join(reasons[1:], "; ") + ")"
		}
		if _, err := l.drain(ctx, attempt, why); err != nil {
			return err
		}
		l.Kick()
	}
	return nil
}

// leave records that a run moves: its target, the mark on its attempt that has
// it stopped, and the decision, all at once. It reports whether the run was
// still as it had been looked at.
func (l *Loop) leave(ctx context.Context, verb string, move scheduler.Move) (left bool, err error) {
	err = l.Store.Update(ctx, func(tx store.Tx) error {
		run, err := tx.Run(move.Run)
		if err != nil {
			return err
		}
		attempts, err := tx.Attempts(move.Run)
		if err != nil {
			return err
		}
		if left = movable(run, attempts); !left {
			return nil
		}
		attempt := attempts[len(attempts)-1]
		run.Target = move.To
		attempt.Reason = movesTo + move.To
		if verb == verbSend {
			attempt.Reason += ": asked by a user"
		} else if len(move.Reasons) > 0 {
			attempt.Reason += ": " + move.Reasons[0]
		}
		if err := tx.AppendDecision(*decision(run, l.Clock(), verb, move.To, move.Reasons...)); err != nil {
			return err
		}
		if err := tx.PutAttempt(attempt); err != nil {
			return err
		}
		l.Crash(pointMoving)
		return tx.PutRun(run)
	})
	if err != nil || !left {
		return false, err
	}
	l.Crash(pointMoved)
	l.Log.Info("run moves", "run", move.Run, "to", move.To, "why", verb)
	return true, nil
}

// movable reports whether a run may be told to move: it runs, and nothing else
// ends its attempt already.
func movable(run fleet.Run, attempts []fleet.Attempt) bool {
	if run.State != fleet.Running || run.StopAsked || run.Target != "" || run.Trial != nil || len(attempts) == 0 {
		return false
	}
	last := attempts[len(attempts)-1]
	return last.State == fleet.AttemptRunning && !draining(last)
}

// recordStays tells of each run that cannot leave, once per reason.
func (l *Loop) recordStays(ctx context.Context, stays []scheduler.Stay) error {
	told := map[string]string{}
	for _, stay := range stays {
		why := strings.Join(stay.Reasons, "; ")
		told[stay.Run] = why
		if l.stays[stay.Run] == why {
			continue
		}
		err := l.Store.Update(ctx, func(tx store.Tx) error {
			known, err := tx.Decisions(stay.Run)
			if err != nil {
				return err
			}
			if n := len(known); n > 0 && known[n-1].Verb == verbStay && strings.Join(known[n-1].Reasons, "; ") == why {
				return nil // told by a process before this one
			}
			return tx.AppendDecision(*decision(fleet.Run{ID: stay.Run}, l.Clock(), verbStay, "", stay.Reasons...))
		})
		if err != nil {
			return err
		}
	}
	l.stays = told
	return nil
}

// MoveRequest asks for a run to go on elsewhere.
type MoveRequest struct {
	Run    string
	To     string // SITE or SITE/POOL
	DryRun bool   // weigh it only
}

// AskMove moves a run to a pool, or to the best pool of a site, and returns
// what that brings; where the run cannot go there it is fault.Conflict with the
// reasons, and nothing changes.
func (l *Loop) AskMove(ctx context.Context, request MoveRequest) (*scheduler.Move, []scheduler.Verdict, error) {
	run, attempts, err := l.runWithAttempts(ctx, request.Run)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case run.State.Final():
		return nil, nil, fault.Newf(fault.Conflict, "run %s has already ended: %s", run.ID, run.State)
	case run.Target != "":
		return nil, nil, fault.Newf(fault.Conflict, "run %s is on its way to %s already", run.ID, run.Target)
	case run.Trial != nil:
		return nil, nil, fault.Newf(fault.Conflict, "run %s is a trial of %s and runs nowhere else", run.ID, run.Trial.Pool)
	case !movable(run, attempts):
		return nil, nil, fault.Newf(fault.Conflict, "run %s is %s and no attempt of it runs: it goes where there is room first", run.ID, run.State)
	}
	snapshot, err := l.moveSnapshot(ctx, run.ID)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range snapshot.Runs {
		if m.Run.ID != run.ID {
			continue
		}
		move, verdicts := snapshot.Send(m, request.To)
		if move == nil {
			return nil, verdicts, cannotGo(m, request.To, verdicts)
		}
		if request.DryRun {
			return move, verdicts, nil
		}
		if left, err := l.leave(ctx, verbSend, *move); err != nil || !left {
			if err == nil {
				err = fault.Newf(fault.Conflict, "run %s has changed meanwhile; look at it and ask again", run.ID)
			}
			return nil, nil, err
		}
		l.Kick()
		return move, verdicts, nil
	}
	return nil, nil, fault.Newf(fault.Conflict, "run %s has changed meanwhile; look at it and ask again", run.ID)
}

func cannotGo(m scheduler.Movable, to string, verdicts []scheduler.Verdict) error {
	if scheduler.Aims(to, m.Attempt.Pool) {
		return fault.Newf(fault.Conflict, "run %s runs on %s already", m.Run.ID, m.Attempt.Pool)
	}
	if len(verdicts) == 0 {
		return fault.Newf(fault.NotFound, "no other connected pool is %q (yard sites)%s", to, validTargets(to, m.Places))
	}
	var reasons []string
	for _, v := range verdicts {
		reasons = append(reasons, fmt.Sprintf("%s: %s", v.Pool, strings.Join(v.RuledOut, ", ")))
	}
	return fault.Newf(fault.Conflict, "run %s cannot go to %s: %s", m.Run.ID, to, strings.Join(reasons, "; "))
}

// validTargets names the place that was meant, where one is near, and those that
// a run can be sent to.
func validTargets(to string, places []scheduler.Destination) string {
	const most = 24
	var names []string
	for _, d := range places {
		site, _, _ := strings.Cut(d.Pool, "/")
		if !slices.Contains(names, site) {
			names = append(names, site)
		}
		names = append(names, d.Pool)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "; none is connected beside the one that it runs on"
	}
	text := "; valid: "
	if near := spec.Nearest(to, names); near != "" {
		text = "; did you mean " + near + "? valid: "
	}
	if len(names) > most {
		return text + fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return text + strings.Join(names, ", ")
}

func (l *Loop) runWithAttempts(ctx context.Context, id string) (run fleet.Run, attempts []fleet.Attempt, err error) {
	err = l.Store.View(ctx, func(tx store.Tx) error {
		if run, err = tx.Run(id); err != nil {
			return err
		}
		attempts, err = tx.Attempts(id)
		return err
	})
	return run, attempts, err
}
