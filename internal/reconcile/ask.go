package reconcile

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Request asks for a run of a workload file.
type Request struct {
	Key      string // idempotency key; "" for none
	File     string
	Content  []byte
	Dir      string
	Project  string // "" keeps the file's
	Priority *int   // nil keeps the file's
	Wait     bool   // queue it also where no pool that is connected now can ever take it
}

// defaultProject pays for runs that name none.
const defaultProject = "default"

// Submit validates the file and queues a run of it. A request whose key is
// known returns the run that it made before; where it asks for something else
// than that run, it is a conflict. Faults of the file are returned whole, and
// nothing is queued then.
func (l *Loop) Submit(ctx context.Context, request Request) (fleet.Run, error) {
	now := l.Clock()
	if run, known, err := l.repeated(ctx, request); known || err != nil {
		return run, err
	}
	parsed, err := l.Parse(request.File, request.Content, now)
	if err != nil {
		return fleet.Run{}, err
	}
	if parsed.Kind != workload.KindTraining {
		return fleet.Run{}, fault.Newf(fault.Invalid, "%s: kind: %s is quoted (yard quote) but not run yet; only Training is", request.File, parsed.Kind)
	}
	if !request.Wait {
		if err := l.placeable(ctx, parsed); err != nil {
			return fleet.Run{}, err
		}
	}
	run := asked(request, parsed, now)
	if err := workload.CheckStanding(run.Project, run.Priority); err != nil {
		return fleet.Run{}, err
	}
	err = l.Store.Update(ctx, func(tx store.Tx) error {
		if request.Key != "" {
			known, err := tx.RunBySubmission(request.Key)
			if err == nil {
				wanted := run
				run = known
				return sameRequest(known, wanted)
			}
			if !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		if run.ID, err = l.freeID(tx, parsed.Name); err != nil {
			return err
		}
		l.Crash(pointSubmitting)
		return tx.PutRun(run)
	})
	if err != nil {
		return fleet.Run{}, err
	}
	l.Crash(pointSubmitted)
	l.Kick()
	return run, nil
}

// asked is the run that a request asks for, without an ID.
func asked(request Request, parsed *workload.Workload, now time.Time) fleet.Run {
	run := fleet.Run{
		Name: parsed.Name, Kind: string(parsed.Kind), Project: parsed.Project, Priority: parsed.Priority,
		Spec: request.Content, SpecFile: request.File, Dir: request.Dir,
		State: fleet.Queued, Submitted: now, Submission: request.Key,
	}
	if request.Project != "" {
		run.Project = request.Project
	}
	if run.Project == "" {
		run.Project = defaultProject
	}
	if request.Priority != nil {
		run.Priority = *request.Priority
	}
	return run
}

// repeated finds the run of a request that was made before, whatever has
// changed since: a deadline may have passed, a pool may be gone.
func (l *Loop) repeated(ctx context.Context, request Request) (run fleet.Run, known bool, err error) {
	if request.Key == "" {
		return run, false, nil
	}
	err = l.Store.View(ctx, func(tx store.Tx) error {
		run, err = tx.RunBySubmission(request.Key)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return fleet.Run{}, false, nil
	}
	if err != nil {
		return fleet.Run{}, false, err
	}
	parsed, err := workload.ParseStored(request.File, request.Content)
	if err != nil {
		return fleet.Run{}, true, err
	}
	return run, true, sameRequest(run, asked(request, parsed, run.Submitted))
}

// placeable refuses a workload that none of the connected pools can ever take,
// however long it waits.
func (l *Loop) placeable(ctx context.Context, w *workload.Workload) error {
	var obstacles []string
	for _, pool := range l.Pools(ctx) {
		_, obstacle := l.consider(w, pool, 0)
		if obstacle == "" {
			return nil
		}
		obstacles = append(obstacles, pool.ID()+" "+obstacle)
	}
	if len(obstacles) == 0 {
		return nil // no pool could be observed now: nothing is known against it
	}
	return fault.Newf(fault.NoCapacity, "no connected pool can take it: %s; nothing was started (yard run --wait queues it until one can)", strings.Join(append(obstacles, l.away()...), "; "))
}

// sameRequest refuses a key that made another run than the one asked for: its
// sender would follow a run that is not theirs.
func sameRequest(known, asked fleet.Run) error {
	var differs string
	switch {
	case !bytes.Equal(known.Spec, asked.Spec):
		differs = "content"
	case known.Project != asked.Project:
		differs = "project"
	case known.Priority != asked.Priority:
		differs = "priority"
	default:
		return nil
	}
	return fault.Newf(fault.Conflict, "this key already submitted run %s, whose %s differs; another request needs another key", known.ID, differs)
}

// freeID names a run after its workload, with random digits that no other run has.
func (l *Loop) freeID(tx store.Tx, name string) (string, error) {
	for digits := 2; digits <= 8; digits++ {
		id := name + "-" + hex.EncodeToString(l.Random(digits))
		_, err := tx.Run(id)
		if fault.Is(err, fault.NotFound) {
			return id, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", fault.New(fault.Internal, "no free run ID was found")
}

// AskStop records that a run should end, and returns it. Grace is the time
// between SIGTERM and SIGKILL; 0 is the policy's; asking again can only shorten
// it. A run that has ended is a conflict.
func (l *Loop) AskStop(ctx context.Context, id string, grace time.Duration) (fleet.Run, error) {
	var run fleet.Run
	err := l.Store.Update(ctx, func(tx store.Tx) error {
		var err error
		if run, err = tx.Run(id); err != nil {
			return err
		}
		if run.State.Final() {
			return fault.Newf(fault.Conflict, "run %s has already ended: %s", id, run.State)
		}
		if run.StopAsked && l.grace(grace) >= l.grace(run.StopGrace) {
			return nil
		}
		run.StopAsked, run.StopGrace = true, grace
		if err := tx.AppendDecision(*decision(run, l.Clock(), "stop", "", "asked by a user")); err != nil {
			return err
		}
		l.Crash(pointStopAsking)
		return tx.PutRun(run)
	})
	if err != nil {
		return fleet.Run{}, err
	}
	l.Crash(pointStopAsked)
	l.Kick()
	return run, nil
}
