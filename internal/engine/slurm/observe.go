package slurm

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// stopMargin is what agents have beyond a stop's grace before the job is taken
// away from them: the last checkpoint is uploaded in it.
const stopMargin = 2 * time.Minute

// Observe implements engine.Engine. Where a gang was accepted but never
// submitted it does that; where its job has ended it records how, for good.
func (e *Engine) Observe(ctx context.Context, key string) (engine.Status, error) {
	dir, err := e.known(key)
	if err != nil {
		return engine.Status{}, err
	}
	if status, over, err := dir.exited(); over || err != nil {
		e.paces.forget(dir)
		return status, err
	}
	a, err := dir.accepted()
	if err != nil {
		return engine.Status{}, storageFault(err, "reading gang "+key)
	}
	j, err := e.jobOf(ctx, dir)
	if err != nil {
		return engine.Status{}, err
	}
	switch {
	case j.ID == "" && !dir.settledOrSubmitted():
		return engine.Status{State: engine.Starting}, e.ensureJob(ctx, key)
	case j.ID == "" || j.ended():
		return e.settle(ctx, dir, a, j)
	case j.waiting():
		return e.waits(ctx, dir, a, j)
	}
	return e.runs(ctx, dir, a, j)
}

// exited reads how a gang ended, where that is recorded.
func (d gangDir) exited() (engine.Status, bool, error) {
	var status engine.Status
	found, err := whole.ReadJSON(d.file(exitFile), &status)
	return status, found, storageFault(err, "reading how the gang ended")
}

// jobOf finds the job that counts for the gang: the one that claimed it, else
// the one that was recorded, else any. The zero job is one that Slurm does not
// know, or knows no more.
func (e *Engine) jobOf(ctx context.Context, dir gangDir) (job, error) {
	var recorded jobRecord
	found, err := whole.ReadJSON(dir.file(jobFile), &recorded)
	if err != nil && found {
		recorded = jobRecord{} // damaged: the queue knows
	}
	claimed, err := dir.text(claimFile)
	if err != nil {
		return job{}, storageFault(err, "reading who claimed the gang")
	}
	ids := slices.DeleteFunc([]string{claimed, recorded.ID}, func(id string) bool { return id == "" })
	since := time.Time{}
	for range 2 {
		jobs, err := e.jobsOf(ctx, dir, since)
		if err != nil {
			return job{}, err
		}
		if j, found := choose(jobs, ids); found {
			return j, e.cancelOthers(ctx, jobs, j)
		}
		since = time.Now() // the answer may be from before the submission
	}
	jobs, err := e.recorded(ctx, ids)
	if err != nil {
		return job{}, err
	}
	j, _ := choose(jobs, ids)
	return j, nil
}

// choose finds the first of the numbers among the jobs; without numbers, the
// first job, those that have not ended before the others.
func choose(jobs []job, ids []string) (job, bool) {
	for _, id := range ids {
		if i := slices.IndexFunc(jobs, func(j job) bool { return j.ID == id }); i >= 0 {
			return jobs[i], true
		}
	}
	if len(ids) > 0 || len(jobs) == 0 {
		return job{}, false
	}
	if i := slices.IndexFunc(jobs, func(j job) bool { return !j.ended() }); i >= 0 {
		return jobs[i], true
	}
	return jobs[0], true
}

// cancelOthers takes away the jobs that wait for a gang that another job has.
func (e *Engine) cancelOthers(ctx context.Context, jobs []job, than job) error {
	others := slices.DeleteFunc(unclaimed(jobs), func(id string) bool { return id == than.ID })
	if len(others) == 0 {
		return nil
	}
	return e.slurm.cancel(ctx, true, others...)
}

// waits tells of a gang whose job has no nodes yet. A stop, or a reason that
// time cannot heal, ends it.
func (e *Engine) waits(ctx context.Context, dir gangDir, a accepted, j job) (engine.Status, error) {
	status := engine.Status{State: engine.Starting, Reason: "waits in the queue of " + j.Partition + ": " + explainWait(j.Reason)}
	hopeless := neverRuns(j.Reason)
	if !dir.has(stopFile) && !hopeless {
		return status, nil
	}
	if err := e.slurm.cancel(ctx, true, j.ID); err != nil {
		return status, err
	}
	again, err := e.jobsOf(ctx, dir, time.Now())
	if err != nil {
		return status, err
	}
	if now, found := choose(again, []string{j.ID}); found && !now.ended() {
		return status, nil // it began in between, or still waits for its end
	}
	if hopeless && !dir.has(stopFile) {
		return dir.record(engine.Status{
			State: engine.Exited, Invalid: true, ExitCode: 1, Ended: time.Now().UTC().Truncate(time.Second),
			Reason: "Slurm can never run it in " + j.Partition + ": " + explainWait(j.Reason),
		})
	}
	return e.settle(ctx, dir, a, j)
}

// neverRuns tells the reasons that no wait can heal (slurm.h's
// job_state_reason): limits that one job breaks by itself.
func neverRuns(reason string) bool {
	return strings.Contains(reason, "PerJob") || slices.Contains([]string{
		"PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS",
		"AccountNotAllowed", "QOSNotAllowed", "InactiveLimit", "AssocMaxWallDurationPerJobLimit",
	}, reason)
}

// explainWait puts Slurm's reason into words where it is not one already.
func explainWait(reason string) string {
	switch reason {
	case "None", "":
		return "not looked at yet"
	case "Resources":
		return "no nodes are free (Resources)"
	case "Priority":
		return "others go first (Priority)"
	case "Dependency":
		return "another job of this name runs (Dependency)"
	case "PartitionNodeLimit":
		return "the partition lets no job have so many nodes, or has too few (PartitionNodeLimit)"
	case "PartitionTimeLimit":
		return "the partition's time limit is shorter (PartitionTimeLimit)"
	}
	return reason
}

// runs tells of a gang whose job has its nodes.
func (e *Engine) runs(ctx context.Context, dir gangDir, a accepted, j job) (engine.Status, error) {
	status := engine.Status{State: engine.Starting, Reason: "its nodes are being made ready"}
	report, _, err := agent.ReadReport(dir.node(0))
	if err != nil && !isDamage(err) {
		return status, storageFault(err, "reading the report of node 0")
	}
	if !report.Started.IsZero() {
		status = engine.Status{State: engine.Running, Started: j.Start, Progress: report.Progress, LogLost: report.LogLost}
		if last, _, err := ranks.ReadProgress(dir.node(0)); err == nil && last.At.After(status.Progress.At) {
			status.Progress = last
		}
	}
	status.Nodes, _ = agent.ExpandHosts(j.Nodes)
	if status.State == engine.Running && a.Gang.Ranks > 1 {
		status.Paces = e.paces.of(dir, nodesOf(a.Gang), status.Nodes)
	}
	if err := dir.forgetUsedSecrets(nodesOf(a.Gang)); err != nil {
		return status, err
	}
	return status, e.enforceStop(ctx, dir, j)
}

// forgetUsedSecrets removes the values of secrets once every node has taken them.
func (d gangDir) forgetUsedSecrets(nodes int) error {
	if !d.has(secretsDir) {
		return nil
	}
	reports, err := d.reports(nodes)
	if err != nil || slices.ContainsFunc(reports, func(r agent.Report) bool { return r.Started.IsZero() }) {
		return storageFault(err, "reading the reports")
	}
	return storageFault(d.dropSecrets(), "removing the gang's secrets")
}

// enforceStop takes the job away where the agents had their time to stop.
func (e *Engine) enforceStop(ctx context.Context, dir gangDir, j job) error {
	var stop stopRecord
	if found, err := whole.ReadJSON(dir.file(stopFile), &stop); !found || err != nil || time.Since(stop.At) < stop.Grace+stopMargin {
		return nil
	}
	return e.slurm.cancel(ctx, false, j.ID)
}

// settle records how the gang ended.
func (e *Engine) settle(ctx context.Context, dir gangDir, a accepted, j job) (engine.Status, error) {
	nodes := nodesOf(a.Gang)
	reports, err := dir.reports(nodes)
	if err != nil {
		return engine.Status{}, storageFault(err, "reading the reports")
	}
	s := ending{job: j, reports: reports, claimed: dir.has(claimFile), sign: dir.lastSign(nodes), stopped: dir.has(stopFile)}
	if found, err := whole.ReadJSON(dir.file(endingFile), &s.cause); found && err == nil {
		s.hasCause = true
	}
	if j.State == "NODE_FAIL" {
		s.down, err = e.downNodes(ctx, j.Nodes)
		if err != nil {
			return engine.Status{}, err
		}
	}
	status := s.status()
	if last, lost, err := ranks.ReadProgress(dir.node(0)); err == nil {
		if last.At.After(status.Progress.At) {
			status.Progress = last
		}
		status.LogLost = max(status.LogLost, lost)
	}
	if err := dir.dropSecrets(); err != nil {
		return engine.Status{}, storageFault(err, "removing the gang's secrets")
	}
	return dir.record(status)
}

// record writes how the gang ended, unless that is recorded, and returns what is.
func (d gangDir) record(status engine.Status) (engine.Status, error) {
	if _, err := once(d.file(exitFile), marshal(status)); err != nil {
		return engine.Status{}, storageFault(err, "recording how the gang ended")
	}
	recorded, found, err := d.exited()
	if err == nil && !found {
		err = fault.Newf(fault.Transient, "how the gang ended was recorded, and is gone")
	}
	return recorded, err
}

// downNodes are those of a list that are down, or get no more jobs.
func (e *Engine) downNodes(ctx context.Context, list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	nodes, err := e.slurm.nodes(ctx, list)
	var down []string
	for _, n := range nodes {
		if !n.up {
			down = append(down, n.name)
		}
	}
	return down, err
}
