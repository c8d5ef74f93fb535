package slurm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
)

const (
	codeKilled = 128 + int(syscall.SIGKILL)
	codeTermed = 128 + int(syscall.SIGTERM)
)

// ending is all that is known of a gang whose job has ended.
type ending struct {
	job      job
	reports  []agent.Report // by node; the zero report where an agent left none
	claimed  bool           // the job began
	stopped  bool           // yard asked for it
	cause    endingRecord
	hasCause bool
	down     []string  // its nodes that Slurm holds for down
	sign     time.Time // last sign of life of its nodes
}

// status is how the gang ended, by Slurm's own times.
func (s ending) status() engine.Status {
	status := engine.Status{State: engine.Exited, Started: s.started(), Ended: s.ended()}
	status.Nodes, _ = agent.ExpandHosts(s.job.Nodes)
	if len(status.Nodes) == 1 && strings.HasPrefix(strings.ToLower(status.Nodes[0]), "none") { // "None assigned"
		status.Nodes = nil
	}
	for _, r := range s.reports {
		status.LogLost += r.LogLost
	}
	status.Progress = s.reports[0].Progress
	s.explain(&status)
	return status
}

// began reports whether a rank's command began. Where an agent could leave no
// report the claim is what is known.
func (s ending) began() bool {
	missing := false
	for _, r := range s.reports {
		if !r.Started.IsZero() {
			return true
		}
		missing = missing || r.Host == ""
	}
	return s.claimed && missing && s.job.State != "COMPLETED"
}

func (s ending) started() time.Time {
	if !s.began() {
		return time.Time{}
	}
	if !s.job.Start.IsZero() {
		return s.job.Start
	}
	first := s.sign
	for _, r := range s.reports {
		if !r.Started.IsZero() && r.Started.Before(first) {
			first = r.Started
		}
	}
	return first
}

func (s ending) ended() time.Time {
	end := s.job.End
	if end.IsZero() {
		end = s.sign
		for _, r := range s.reports {
			if r.Ended.After(end) {
				end = r.Ended
			}
		}
	}
	if started := s.started(); end.Before(started) {
		end = started
	}
	return end
}

// explain tells why the gang ended, and whose doing it was.
func (s ending) explain(status *engine.Status) {
	first, failed := s.failure()
	status.ExitCode, status.Rank = first.ExitCode, first.Rank
	switch {
	case s.done():
	case s.stopped:
		status.Stopped, status.Reason = true, s.stopReason()
		if !s.began() {
			status.ExitCode = 0
		}
	case s.taken() != "":
		status.Preempted, status.Reason = true, s.taken()
		if len(s.down) > 0 {
			status.BadNode = s.down[0]
			status.Reason += ": " + strings.Join(s.down, ", ")
		}
		status.ExitCode = cmp.Or(status.ExitCode, codeTermed)
	case failed && s.job.State == "OUT_OF_MEMORY":
		status.Reason = first.Reason + "; Slurm says: out of memory"
	case failed:
		status.Reason = first.Reason
	case s.job.State == "OUT_OF_MEMORY":
		status.ExitCode, status.Reason = codeKilled, "killed: out of memory"
	case s.hasCause && s.cause.Cause == causeFailed && (s.job.State != "CANCELLED" || s.cause.Code != codeTermed):
		status.ExitCode, status.Rank, status.Reason = cmp.Or(s.cause.Code, 1), s.cause.Rank, s.cause.Reason
	case s.job.ID == "":
		status.Lost, status.ExitCode = true, codeKilled
		status.Reason = "lost: Slurm does not know its job any more"
	case s.job.State == "CANCELLED":
		status.Lost, status.ExitCode = true, codeKilled
		status.Reason = "lost: job " + s.job.ID + " was cancelled, and not by yard"
	default:
		status.Lost, status.ExitCode = true, codeKilled
		status.Reason = fmt.Sprintf("lost: job %s ended as %s (%s) without a report of every node", s.job.ID, s.job.State, s.job.Reason)
	}
}

// done reports whether every rank of every node ended well by itself; what
// became of the job after that is of no account.
func (s ending) done() bool {
	return !slices.ContainsFunc(s.reports, func(r agent.Report) bool {
		return r.Started.IsZero() || r.Ended.IsZero() || r.ExitCode != 0 || r.Stopped
	})
}

// failure is the first rank that failed by itself, as far as that is known.
func (s ending) failure() (agent.Report, bool) {
	if s.hasCause && s.cause.Cause == causeFailed && s.cause.Node < len(s.reports) && s.reports[s.cause.Node].ExitCode != 0 {
		return s.reports[s.cause.Node], true
	}
	failed := slices.DeleteFunc(slices.Clone(s.reports), func(r agent.Report) bool { return r.ExitCode == 0 || r.Ended.IsZero() })
	if len(failed) == 0 {
		return agent.Report{}, false
	}
	first := slices.MinFunc(failed, func(a, b agent.Report) int { return a.Ended.Compare(b.Ended) })
	return first, !first.Stopped
}

func (s ending) stopReason() string {
	if !s.began() {
		return "stopped before it began"
	}
	for _, r := range s.reports {
		if r.Stopped && r.Reason != "" {
			return r.Reason
		}
	}
	return "stopped"
}

// taken tells how the site took the gang away, "" where it did not.
func (s ending) taken() string {
	switch s.job.State {
	case "PREEMPTED":
		return "another job took its nodes"
	case "TIMEOUT", "DEADLINE":
		return "the job's time limit"
	case "NODE_FAIL":
		return "a node failed"
	case "BOOT_FAIL":
		return "a node could not be booted"
	}
	if s.hasCause && s.cause.Cause == causeTold && s.job.State != "CANCELLED" {
		return "the job's time limit was near"
	}
	// A rank that ends by SIGTERM got it from Slurm, at the same time as its agent.
	if first, failed := s.failure(); failed && first.ExitCode != codeTermed || s.hasCause && s.cause.Cause == causeFailed && s.cause.Code != codeTermed {
		return ""
	}
	// A job that is preempted with a grace, and leaves in time, has ended well
	// as far as Slurm is concerned: its agents know that they were told to. One
	// that slurmrestd submitted is warned of its limit likewise.
	told := slices.ContainsFunc(s.reports, func(r agent.Report) bool { return r.Stopped })
	if told && s.job.State != "CANCELLED" && s.job.ID != "" {
		return "Slurm told it to leave: another job takes its nodes, they are drained, or its time limit is near"
	}
	return ""
}
