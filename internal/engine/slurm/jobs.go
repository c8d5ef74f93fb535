package slurm

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// queueAge is how long an answer of squeue is believed: all gangs that are
// observed within it share one call.
const queueAge = 500 * time.Millisecond

// job is what Slurm tells of a job, by its controller's clock.
type job struct {
	ID        string
	Name      string
	State     string // PENDING, RUNNING, COMPLETED, …
	Reason    string // why it waits, or ended
	Start     time.Time
	End       time.Time
	Nodes     string // as Slurm writes lists of hosts
	Partition string
	Dir       string // its working directory: the gang's folder
}

// ended reports whether nothing of the job runs any more.
func (j job) ended() bool {
	return j.State != "" && !slices.Contains([]string{
		"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT",
		"RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT", "REVOKED",
	}, j.State)
}

// waiting reports whether the job has no nodes yet.
func (j job) waiting() bool {
	return slices.Contains([]string{"PENDING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}, j.State)
}

// queue is what squeue last told, by folder of the gang. A gang may have more
// than one job, where a starter died at the wrong moment.
type queue struct {
	mu    sync.Mutex
	asked time.Time
	jobs  map[string][]job
}

// jobsOf returns the jobs of a gang that squeue knows: those that have not ended,
// and for some minutes those that have (MinJobAge). It asks anew where the last
// answer is from before the moment.
func (e *Engine) jobsOf(ctx context.Context, dir gangDir, since time.Time) ([]job, error) {
	q := e.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); q.jobs == nil || q.asked.Before(since) || now.Sub(q.asked) >= queueAge {
		out, err := e.slurm.call(ctx, "", "squeue", "--me", "--states=all", "--noheader", "--format=%i|%T|%r|%S|%e|%N|%P|%j|%Z")
		if err != nil {
			return nil, err
		}
		q.asked, q.jobs = now, map[string][]job{}
		for _, j := range parseQueue(out) {
			q.jobs[j.Dir] = append(q.jobs[j.Dir], j)
		}
	}
	return q.jobs[string(dir)], nil
}

// parseQueue reads lines "ID|STATE|REASON|START|END|NODES|PARTITION|NAME|DIR",
// times in seconds since 1970.
func parseQueue(out string) []job {
	var jobs []job
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 9)
		if len(f) == 9 {
			jobs = append(jobs, job{
				ID: f[0], State: f[1], Reason: f[2], Start: seconds(f[3]), End: seconds(f[4]),
				Nodes: f[5], Partition: f[6], Name: f[7], Dir: f[8],
			})
		}
	}
	return jobs
}

// accounted returns what sacct keeps of jobs, by their numbers.
func (e *Engine) accounted(ctx context.Context, ids []string) ([]job, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	out, err := e.slurm.call(ctx, "", "sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", "--jobs="+strings.Join(ids, ","),
		"--format=JobIDRaw,State,Reason,Start,End,NodeList,Partition,JobName,WorkDir")
	if err != nil && strings.Contains(err.Error(), "accounting storage is disabled") {
		return nil, nil
	}
	jobs := parseQueue(out)
	for i, j := range jobs {
		jobs[i].State, _, _ = strings.Cut(j.State, " ") // "CANCELLED by 1000"
	}
	return jobs, err
}

// seconds reads a time as SLURM_TIME_FORMAT=%s has it; zero for N/A and Unknown.
func seconds(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// cancel takes jobs away, those that wait alone where waiting is set.
func (e *Engine) cancel(ctx context.Context, waiting bool, ids ...string) error {
	args := ids
	if waiting {
		args = append([]string{"--state=PENDING"}, ids...)
	}
	_, err := e.slurm.call(ctx, "", "scancel", args...)
	if err != nil && (strings.Contains(err.Error(), "Invalid job id") || strings.Contains(err.Error(), "already completing or completed")) {
		return nil
	}
	if fault.Is(err, fault.Invalid) {
		err = fault.Wrap(fault.Transient, err, "cancelling a job")
	}
	return err
}
