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
	mu   sync.Mutex
	last look  // the last that was answered
	now  *look // the one that goes on; nil where none does
}

// look is one question for the jobs, which all share that wait for it.
type look struct {
	asked     time.Time
	told      time.Time
	over      chan struct{} // closed when what follows is set
	jobs      map[string][]job
	err       error
	abandoned bool // by whoever asked, which is no failure of Slurm
}

// jobsOf returns the jobs of a gang that the controller knows. It asks anew where
// the last answer is from before the moment.
func (e *Engine) jobsOf(ctx context.Context, dir gangDir, since time.Time) ([]job, error) {
	for {
		l, ours := e.queue.join(since)
		if ours {
			e.ask(ctx, l)
		}
		select {
		case <-l.over:
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Transient, ctx.Err(), "waiting for the list of jobs")
		}
		switch {
		case l.abandoned && ctx.Err() == nil, l.asked.Before(since):
		case l.err != nil:
			return nil, l.err
		default:
			return l.jobs[string(dir)], nil
		}
	}
}

// join returns the last answer where it will do, else the question that goes on,
// else a new one, which is then the caller's to ask.
func (q *queue) join(since time.Time) (l *look, ours bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	switch {
	case q.last.jobs != nil && !q.last.asked.Before(since) && now.Sub(q.last.told) < queueAge:
		last := q.last
		return &last, false
	case q.now != nil:
		return q.now, false
	}
	q.now = &look{asked: now, over: make(chan struct{})}
	return q.now, true
}

// ask asks Slurm, for all who have joined.
func (e *Engine) ask(ctx context.Context, l *look) {
	jobs, err := e.slurm.jobs(ctx)
	l.told, l.err, l.abandoned = time.Now(), err, err != nil && ctx.Err() != nil
	if err == nil {
		l.jobs = map[string][]job{}
		for _, j := range jobs {
			l.jobs[j.Dir] = append(l.jobs[j.Dir], j)
		}
	}
	q := e.queue
	q.mu.Lock()
	q.now = nil
	if err == nil {
		q.last = *l
	}
	q.mu.Unlock()
	close(l.over)
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
