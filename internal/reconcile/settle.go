package reconcile

import (
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// sight is what was seen of one live attempt in a pass.
type sight struct {
	run     fleet.Run
	attempt fleet.Attempt
	status  engine.Status
	unknown bool      // the engine does not know an attempt that it was running
	refused error     // the engine will not start it; its key is fenced
	proof   *evidence // of a trial that ended; nil for others
	began   int64     // the step that a trial began after which may have made enough; 0 for others
	hangs   string    // why it is to be ended as one that hangs; "" where it is not
}

// outcome is what a sight leads to. Where change is changeNone nothing is recorded.
type outcome struct {
	change   change
	run      fleet.Run
	attempt  fleet.Attempt
	meterTo  time.Time // usage is booked up to here; zero: not now
	decision *fleet.Decision

	qualification *fleet.Qualification // that a trial has earned
}

// settle works out what becomes of an attempt and its run. best is the newest
// checkpoint step that earlier attempts reached.
func settle(s sight, best int64, now time.Time, policy Policy) outcome {
	o := outcome{run: s.run, attempt: s.attempt}
	switch {
	case s.refused != nil:
		return o.refuse(s.refused, best, now, policy)
	case s.unknown:
		return o.lose(best, now, policy)
	case s.status.State == engine.Exited:
		return o.exit(s, best, now, policy)
	case s.status.State == engine.Running:
		return o.goOn(s, now)
	}
	return o.waits(s.status)
}

// waits says of a run whose gang has not begun why it has not, where its site
// tells.
func (o outcome) waits(status engine.Status) outcome {
	if status.Reason != "" && o.run.Reason != status.Reason {
		o.run.Reason, o.change = status.Reason, changeWaits
	}
	return o
}

// goOn records that an attempt runs, its progress, and its use of each hour
// that has ended.
func (o outcome) goOn(s sight, now time.Time) outcome {
	status := s.status
	if o.attempt.Progress != status.Progress {
		o.attempt.Progress = status.Progress
		o.change = changeProgress
	}
	o = o.judgePaces(status.Paces, now)
	if why := enough(o.run.Trial, status.Progress, s.began); why != "" && o.attempt.Reason == "" {
		o.attempt.Reason, o.change = why, changeProgress
	}
	if s.hangs != "" && o.attempt.Reason == "" && !o.run.StopAsked {
		o.attempt.Reason, o.change = s.hangs, changeProgress
		o.decision = decision(o.run, now, verbHung, o.attempt.Key(), s.hangs, "its ranks are made to write their stacks where they can, and it is ended")
		return o
	}
	if o.attempt.State == fleet.AttemptRecorded {
		o.attempt.State, o.attempt.Started = fleet.AttemptRunning, status.Started
		o.run.Reason, o.change = "", changeRunning // it said why the run waited
		return o
	}
	if hour := now.Truncate(time.Hour); hour.After(o.attempt.Started) && hour.After(o.attempt.Metered) {
		o.meterTo, o.change = hour, changeMetered
	}
	return o
}

func (o outcome) exit(s sight, best int64, now time.Time, policy Policy) outcome {
	status := s.status
	if o.attempt.Started.IsZero() { // what may be booked already begins where it was first seen to
		o.attempt.Started = status.Started
	}
	o.attempt.Ended = latest(o.attempt.Started, status.Ended)
	drain, hangs, measured, why := draining(o.attempt), hung(o.attempt), measuring(o.attempt), o.attempt.Reason
	o.attempt.Exit, o.attempt.Reason, o.attempt.Progress = status.ExitCode, status.Reason, status.Progress
	o.attempt.BadNode = status.BadNode
	o.meterTo = o.attempt.Ended
	if status.LogLost > 0 {
		o.attempt.Reason = join(o.attempt.Reason, fmt.Sprintf("%d log lines were not kept: over the bound, or the disk was full", status.LogLost))
	}
	switch {
	case o.run.StopAsked && (status.Stopped || status.ExitCode != 0):
		return o.stopped(now)
	case drain && (status.Stopped || status.ExitCode != 0):
		return o.drained(why)
	case s.proof != nil && (measured || status.ExitCode == 0 && !status.Stopped):
		return o.judged(s.proof, now)
	case hangs && (status.Stopped || status.ExitCode != 0):
		o.attempt.State, o.attempt.Reason = fleet.AttemptFailed, join(why, status.Reason)
		return o.retry(best, now, policy)
	case status.Preempted:
		return o.preempted(best, now, policy)
	case status.Invalid:
		o.attempt.State = fleet.AttemptFailed
		if o.attempt.Exit == 0 {
			o.run.ExitCode = exitNotStarted
		}
		return o.end(changeFailed, fleet.Failed, o.attempt.Reason, now)
	case status.Lost:
		o.attempt.State = fleet.AttemptLost
		return o.retry(best, now, policy)
	case status.ExitCode == 0 && !status.Stopped:
		o.attempt.State = fleet.AttemptSucceeded
		return o.end(changeSucceeded, fleet.Succeeded, "", now)
	}
	o.attempt.State = fleet.AttemptFailed
	return o.retry(best, now, policy)
}

// preempted queues a run again whose site took its attempt away: that is no
// failure of its program, so none is counted.
func (o outcome) preempted(best int64, now time.Time, policy Policy) outcome {
	o.attempt.State = fleet.AttemptLost
	why := join("preempted by the site", o.attempt.Reason)
	o.attempt.Reason = why
	o.decision = decision(o.run, now, "restart", o.attempt.Key(), why, o.resume(best), "it is not counted as a failure")
	return o.requeue(now.Add(policy.wait(1)), why)
}

// resume says where a run goes on.
func (o outcome) resume(best int64) string {
	if step := max(best, o.attempt.Progress.CheckpointStep); step > 0 {
		return fmt.Sprintf("from the checkpoint at step %d", step)
	}
	return "from the beginning: no checkpoint was reported"
}

// lose ends an attempt that the engine forgot. Its end is not known: usage is
// booked up to the last sign of life, never beyond.
func (o outcome) lose(best int64, now time.Time, policy Policy) outcome {
	drain, why := draining(o.attempt), o.attempt.Reason
	o.attempt.State, o.attempt.Reason = fleet.AttemptLost, "the engine no longer knows it"
	o.attempt.Ended = latest(o.attempt.Started, o.attempt.Metered, o.attempt.Progress.At)
	o.meterTo = o.attempt.Ended
	if o.run.StopAsked {
		return o.stopped(now)
	}
	if drain {
		return o.drained(why)
	}
	return o.retry(best, now, policy)
}

// drained queues a run again whose attempt a budget ended: no failure is counted.
func (o outcome) drained(why string) outcome {
	o.attempt.State, o.attempt.Reason = fleet.AttemptStopped, why
	return o.requeue(time.Time{}, why)
}

// refuse ends an attempt that never started.
func (o outcome) refuse(refusal error, best int64, now time.Time, policy Policy) outcome {
	o.attempt.State, o.attempt.Ended, o.attempt.Reason = fleet.AttemptFailed, now, refusal.Error()
	switch kind := fault.KindOf(refusal); {
	case o.run.StopAsked:
		o.attempt.State = fleet.AttemptStopped
		return o.end(changeStopped, fleet.Stopped, "stopped before it started", now)
	case kind == fault.Invalid:
		o.run.ExitCode = exitNotStarted
		return o.end(changeFailed, fleet.Failed, refusal.Error(), now)
	case kind == fault.NoCapacity || kind == fault.Quota:
		o.decision = decision(o.run, now, "wait", o.attempt.Pool, refusal.Error())
		return o.requeue(now.Add(policy.wait(1)), refusal.Error())
	}
	return o.retry(best, now, policy)
}

// exitNotStarted is the exit code of a run whose command could not be started,
// as shells have it.
const exitNotStarted = 126

func (o outcome) stopped(now time.Time) outcome {
	o.attempt.State = fleet.AttemptStopped
	return o.end(changeStopped, fleet.Stopped, o.attempt.Reason, now)
}

// retry restarts the run from its last checkpoint after a rest, or gives up.
// An attempt that wrote a newer checkpoint starts the count anew.
func (o outcome) retry(best int64, now time.Time, policy Policy) outcome {
	o.run.Failures++
	if o.attempt.Progress.CheckpointStep > best {
		o.run.Failures = 1
	}
	if o.run.Failures > policy.Restarts {
		o.decision = decision(o.run, now, "give up", o.attempt.Key(), o.attempt.Reason,
			fmt.Sprintf("%d attempts in a row failed without a new checkpoint; the limit is %d restarts", o.run.Failures, policy.Restarts))
		return o.end(changeFailed, fleet.Failed, o.attempt.Reason, now)
	}
	rest := policy.wait(o.run.Failures)
	o.decision = decision(o.run, now, "restart", o.attempt.Key(), o.attempt.Reason, o.resume(best),
		fmt.Sprintf("after %s: restart %d of %d", rest, o.run.Failures, policy.Restarts))
	return o.requeue(now.Add(rest), o.attempt.Reason)
}

func (o outcome) requeue(notBefore time.Time, reason string) outcome {
	o.change = changeRequeued
	o.run.State, o.run.NotBefore, o.run.Reason = fleet.Queued, notBefore, reason
	return o
}

// end ends the run with the exit code of its last attempt.
func (o outcome) end(c change, state fleet.RunState, reason string, now time.Time) outcome {
	o.change = c
	o.run.State, o.run.Reason, o.run.NotBefore, o.run.Target = state, reason, time.Time{}, ""
	o.run.Ended = o.attempt.Ended
	if o.run.Ended.IsZero() {
		o.run.Ended = now
	}
	if o.run.ExitCode == 0 {
		o.run.ExitCode = o.attempt.Exit
	}
	return o
}

func decision(run fleet.Run, at time.Time, verb, subject string, reasons ...string) *fleet.Decision {
	d := fleet.Decision{Run: run.ID, At: at, Verb: verb, Subject: subject}
	for _, reason := range reasons {
		if reason != "" {
			d.Reasons = append(d.Reasons, reason)
		}
	}
	return &d
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	if b == "" {
		return a
	}
	return a + "; " + b
}
