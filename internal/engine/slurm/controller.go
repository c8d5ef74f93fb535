package slurm

import (
	"context"
	"time"
)

// controller is what the engine asks of Slurm, whichever way it is asked: by its
// commands (client) or through slurmrestd (rest). Every call is bounded by
// callBound, and what it reads by outputBound.
type controller interface {
	// jobs lists those that the controller knows, this user's at least: what has
	// not ended, and for some minutes what has (MinJobAge).
	jobs(ctx context.Context) ([]job, error)
	// accounted lists what the accounting keeps of jobs. It is fault.NotFound on a
	// cluster that keeps none.
	accounted(ctx context.Context, of past) ([]job, error)
	// nodes lists the nodes of a list as Slurm writes it, or all where it is "".
	nodes(ctx context.Context, list string) ([]node, error)
	// submit returns the number of the job that it made.
	submit(ctx context.Context, o order) (string, error)
	// cancel takes jobs away, those that wait alone where waiting is set. It is no
	// failure that one has ended or is not known.
	cancel(ctx context.Context, waiting bool, ids ...string) error
}

// past selects jobs of the accounting: by number where there are any, else all
// that held nodes after the time.
type past struct {
	ids   []string
	since time.Time
}

// order is the job of a gang.
type order struct {
	name, script, dir, log, comment                  string
	account, qos, partition, constraint, gres, avoid string // "" where nothing is asked for

	nodes  int
	cores  int           // on each node; 0 is all of it, for this job alone
	memory int64         // MiB on each node; 0 where nothing is asked for
	limit  int           // minutes; 0 is the partition's
	notice time.Duration // of the warning before the limit, in whole seconds
	nice   int
}
