package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// status tells what is seen of a gang in the port's words; waits is why Kueue
// does not let it begin.
func (s sight) status(progress fleet.Progress, waits string) engine.Status {
	if s.ended != nil {
		return *s.ended
	}
	status := engine.Status{State: engine.Starting, Nodes: s.nodeNames(), Progress: progress}
	if s.released != nil {
		status.State, status.Started = engine.Running, s.released.At
		return status
	}
	for _, p := range s.parts {
		if p.reason != "" {
			if status.Reason = p.reason; p.node == "" {
				status.Waits = fault.NoCapacity
			}
			break
		}
	}
	if waits != "" {
		status.Reason, status.Waits = waits, fault.Quota
	}
	return status
}

func (s sight) nodeNames() []string {
	var names []string
	for i := range s.parts {
		if name := s.nodeName(i); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// nodeName is the name in the cluster of a node of the gang, "" where it is not known.
func (s sight) nodeName(i int) string {
	switch {
	case s.parts[i].node != "":
		return s.parts[i].node
	case s.released != nil && i < len(s.released.Nodes):
		return s.released.Nodes[i]
	}
	return ""
}

// placed are the paces with the nodes of their ranks.
func (s sight) placed(paces []fleet.Pace) []fleet.Pace {
	paces = slices.Clone(paces)
	for i := range paces {
		if node := paces[i].Rank / s.shape.PerNode; node < len(s.parts) {
			paces[i].Node = s.nodeName(node)
		}
	}
	return paces
}

// over reports whether no rank of the gang runs, nor ever will. Without a
// release none began: its agents are of no account.
func (s sight) over() bool {
	if s.ended != nil {
		return true
	}
	if s.released == nil {
		return s.stopped != nil || s.doomed()
	}
	for _, p := range s.parts {
		if p.state != ended {
			return false
		}
	}
	return true
}

// doomed reports whether a gang that was not released never can be: one of its
// pods has ended, or can never begin.
func (s sight) doomed() bool {
	for _, p := range s.parts {
		if p.invalid || p.state == ended {
			return true
		}
	}
	return false
}

// broken reports whether one node of a released gang ended otherwise than well.
func (s sight) broken() bool {
	for _, p := range s.parts {
		if p.state == ended && (p.disrupted || p.invalid || p.exitCode() != 0) {
			return true
		}
	}
	return false
}

func (p part) exitCode() int {
	if p.report != nil {
		return p.report.ExitCode
	}
	return p.code
}

// conclude is the final status of a gang that is over. Durations are the
// agents' own, each by one clock, and count from the release: clocks that
// differ between nodes make no usage.
func (s sight) conclude(now time.Time, last fleet.Progress) engine.Status {
	status := engine.Status{State: engine.Exited, Nodes: s.nodeNames(), Progress: last}
	if s.released != nil {
		status.Started = s.released.At
	}
	status.Ended = s.end(now)
	for _, p := range s.parts {
		if p.report == nil {
			continue
		}
		status.LogLost += p.report.LogLost
		status.Stopped = status.Stopped || (p.report.Stopped && s.stopped != nil)
		if p.report.Node == 0 && !p.report.Progress.At.IsZero() {
			status.Progress = p.report.Progress
		}
	}
	if s.released == nil && s.stopped != nil {
		status.Stopped = true
	}
	s.blame(&status)
	return status
}

// end is when the last rank ended.
func (s sight) end(now time.Time) time.Time {
	if s.released == nil {
		return now
	}
	end := s.released.At
	for _, p := range s.parts {
		at := end
		switch {
		case p.report != nil && !p.report.Started.IsZero():
			at = s.released.At.Add(p.report.Ended.Sub(p.report.Started))
		case p.report != nil:
		case !p.ended.IsZero():
			at = p.ended
		case p.disrupted:
			at = now // nobody saw it end
		}
		if at.After(now) {
			at = now
		}
		if at.After(end) {
			end = at
		}
	}
	return end
}

// blame finds what the end is due to: what the cluster did goes before what
// ranks did, since those of a gang that lost a node fail for that.
func (s sight) blame(status *engine.Status) {
	for i, p := range s.parts {
		if p.invalid {
			status.Invalid, status.ExitCode, status.Rank, status.Reason = true, 0, i*s.shape.PerNode, p.reason
			if p.state == ended && p.code != 0 {
				status.ExitCode = p.code
			}
			return
		}
	}
	if p := s.first(func(p part) bool { return p.disrupted }); p >= 0 && !status.Stopped {
		s.preempted(status, p)
		return
	}
	failed := s.first(func(p part) bool { return p.exitCode() != 0 && (p.report == nil || !p.report.Stopped) })
	if failed < 0 {
		failed = s.first(func(p part) bool { return p.report != nil && p.report.ExitCode != 0 })
	}
	if failed < 0 {
		if status.Stopped {
			status.Reason = s.stopReason()
		}
		return
	}
	p := s.parts[failed]
	status.ExitCode, status.Rank, status.Reason = p.exitCode(), failed*s.shape.PerNode, p.reason
	if p.report != nil {
		status.Rank = p.report.Rank
	}
	if p.oom {
		status.Reason = s.outOfMemory(status.Rank, p)
	}
}

// stopReason is what the agents say of a stop, where one said anything.
func (s sight) stopReason() string {
	for _, p := range s.parts {
		if p.report != nil && p.report.Reason != "" {
			return p.report.Reason
		}
	}
	return "stopped before it began"
}

func (s sight) preempted(status *engine.Status, i int) {
	status.Preempted, status.Reason = true, s.parts[i].reason
	for j, p := range s.parts {
		if p.disrupted && p.badNode && p.node != "" {
			status.BadNode, status.Reason, i = p.node, p.reason, j
			break
		}
	}
	if node := s.parts[i].node; node != "" && !strings.Contains(status.Reason, node) {
		status.Reason = fmt.Sprintf("node %s: %s", node, status.Reason)
	}
	status.Rank = i * s.shape.PerNode
	if code := s.parts[i].exitCode(); code != 0 {
		status.ExitCode = code
	}
}

func (s sight) outOfMemory(rank int, p part) string {
	limit := ""
	if s.shape.Memory > 0 {
		limit = fmt.Sprintf(" (its limit is %d MiB)", s.shape.Memory>>20)
	}
	return fmt.Sprintf("rank %d was killed: out of memory on node %s%s", rank, p.node, limit)
}

// first is the node that ended first of those that the condition holds for, by
// what their agents measured; -1 where it holds for none.
func (s sight) first(condition func(part) bool) int {
	found := -1
	var lasted time.Duration
	for i, p := range s.parts {
		if p.state != ended || !condition(p) {
			continue
		}
		took := took(p.report)
		if found < 0 || took < lasted {
			found, lasted = i, took
		}
	}
	return found
}

// took is how long a node's ranks ran; very long where nobody knows.
func took(r *agent.Report) time.Duration {
	switch {
	case r == nil:
		return 1<<63 - 1
	case r.Started.IsZero():
		return 0
	}
	return r.Ended.Sub(r.Started)
}
