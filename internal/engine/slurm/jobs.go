package slurm

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// queueAge is how long a list of jobs is believed: all gangs that are observed
// within it share one call.
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
	Count     int    // of its nodes, where the accounting tells
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

// queue is what Slurm last told, by folder of the gang. A gang may have more
// than one job, where a starter died at the wrong moment.
type queue struct {
	mu    sync.Mutex
	asked time.Time
	jobs  map[string][]job
}

// jobsOf returns the jobs of a gang that the controller knows. It asks anew where
// the last answer is from before the moment.
func (e *Engine) jobsOf(ctx context.Context, dir gangDir, since time.Time) ([]job, error) {
	q := e.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); q.jobs == nil || q.asked.Before(since) || now.Sub(q.asked) >= queueAge {
		jobs, err := e.slurm.jobs(ctx)
		if err != nil {
			return nil, err
		}
		q.asked, q.jobs = now, map[string][]job{}
		for _, j := range jobs {
			q.jobs[j.Dir] = append(q.jobs[j.Dir], j)
		}
	}
	return q.jobs[string(dir)], nil
}

// recorded returns what the accounting keeps of jobs, by their numbers: nothing
// where there is no accounting.
func (e *Engine) recorded(ctx context.Context, ids []string) ([]job, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	jobs, err := e.slurm.accounted(ctx, past{ids: ids})
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return jobs, err
}
