package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Options is what a loop works with. All fields are needed unless they say otherwise.
type Options struct {
	Store  store.Store
	Sites  *Sites
	Clock  clock.Clock
	Log    *slog.Logger
	Policy Policy

	// Parse validates a workload file.
	Parse func(file string, data []byte, now time.Time) (*workload.Workload, error)
	// Secret returns the value of a secret by its name, as NAME/KEY.
	Secret func(from string) (string, error)
	// Price sets the rate of an observed pool; the file is nil for this machine.
	Price func(pool fleet.Pool, file *site.Site) fleet.Pool
	// Merit returns what a workload takes on a pool at the size that costs
	// least there; false where it cannot be predicted. May be nil.
	Merit func(w *workload.Workload, pool fleet.Pool) (scheduler.Prospect, bool)
	// Bills opens the bills of the ledger under the contracts in force, one for
	// each currency, and says what identifies them, "" where no contract is in
	// force; where that is what is known, it returns no bills. May be nil.
	Bills func(ctx context.Context, known string) ([]*billing.Book, string, error)
	// Budgets returns the budgets in force. May be nil.
	Budgets func() ([]*budget.Budget, error)
	// Random returns fresh random bytes for IDs.
	Random func(n int) []byte
	// Checkpoints is the directory of a run's checkpoints on this machine.
	Checkpoints func(run string) string
	// CheckpointStore is where checkpoints are kept beyond the nodes of a site
	// that names no store of its own, as a URL; "" for nowhere.
	CheckpointStore string
	// Copy brings the newest checkpoint of one store to another, by their URLs,
	// and returns its size; repeating it copies nothing twice. May be nil.
	Copy func(ctx context.Context, from, to string) (bytes int64, err error)

	Interval   time.Duration      // between passes when nothing kicks
	SweepEvery time.Duration      // between searches for orphans
	PoolsEvery time.Duration      // how long an observation of pools is used
	MovesEvery time.Duration      // between looks for runs that should go on elsewhere; 0 is half a minute
	Crash      func(point string) // called at every point of CrashPoints; may be nil
	Passed     func(Pass)         // told of every pass; may be nil
}

// Pass describes one pass of the loop, for metrics.
type Pass struct {
	Took     time.Duration
	Err      error
	Live     int // attempts
	Queued   int // runs
	Restarts int
}

// Loop reconciles the world with the store. Its methods are safe for
// concurrent use.
type Loop struct {
	Options
	kick chan struct{}

	pass     sync.Mutex // held during a pass: passes never overlap
	pools    poolCache
	parsed   parsedRuns
	spending spending
	swept    time.Time
	starting bool // a gang was about to begin in the last pass
	sent     stops
	looks    map[string]*siteLook // by site; a look may outlast a pass
	beside   sync.WaitGroup       // looks that go on beside the passes
	silent   silences
	weighed  time.Time         // when moves were last looked for
	drained  atomic.Bool       // a site was told to drain: moves are looked for at once
	stays    map[string]string // why a run that should leave its place stays, as last told
	models   qualified
	watch    watchdog
	copies   copies
	merits   merits
	dispatch dispatch
	seen     interruptions
}

// New returns a loop that does nothing until Run or Tick.
func New(options Options) *Loop {
	if options.Crash == nil {
		options.Crash = func(string) {}
	}
	if options.Merit == nil {
		options.Merit = func(*workload.Workload, fleet.Pool) (scheduler.Prospect, bool) { return scheduler.Prospect{}, false }
	}
	if options.Budgets == nil {
		options.Budgets = func() ([]*budget.Budget, error) { return nil, nil }
	}
	if options.MovesEvery == 0 {
		options.MovesEvery = movesEvery
	}
	if options.Passed == nil {
		options.Passed = func(Pass) {}
	}
	return &Loop{Options: options, kick: make(chan struct{}, 1), looks: map[string]*siteLook{}, copies: copies{now: options.Clock}}
}

// Kick asks for a pass soon. It never blocks.
func (l *Loop) Kick() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Run passes again and again until ctx ends: at every kick, at every interval,
// and when a run's rest is over. A pass that fails is logged and tried again.
func (l *Loop) Run(ctx context.Context) {
	defer l.beside.Wait()
	defer l.copies.stop()
	for {
		if err := l.Tick(ctx); err != nil && !errors.Is(err, context.Canceled) {
			l.Log.Error("pass failed; it is tried again", "error", err)
		}
		timer := time.NewTimer(l.rest())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.kick:
			timer.Stop()
		case <-timer.C:
		}
	}
}

const (
	startingEvery = 20 * time.Millisecond // between passes while a gang is about to begin
	startingFor   = 5 * time.Second       // after which it is one like any other
)

// rest is the time until the next pass.
func (l *Loop) rest() time.Duration {
	l.pass.Lock()
	defer l.pass.Unlock()
	if l.starting {
		return min(startingEvery, l.Interval)
	}
	return l.Interval
}

// Tick makes one pass: observe, record, place, start, sweep.
func (l *Loop) Tick(ctx context.Context) error {
	l.pass.Lock()
	defer l.pass.Unlock()
	begun := time.Now() // monotonic: the wall clock may jump
	pass := Pass{}
	pass.Err = l.tick(ctx, &pass)
	pass.Took = time.Since(begun)
	l.Passed(pass)
	return pass.Err
}

func (l *Loop) tick(ctx context.Context, pass *Pass) error {
	w, err := l.read(ctx)
	if err != nil {
		return err
	}
	l.forget(w.runs)
	pass.Live, pass.Queued = len(w.live), len(w.queue)
	if err := l.enforce(ctx, w); err != nil {
		return err
	}
	if err := l.countInterruptions(ctx); err != nil {
		return err
	}
	sights := l.observe(ctx, w)
	l.starting = slices.ContainsFunc(sights, func(s sight) bool {
		return s.status.State == engine.Starting && l.Clock().Sub(s.attempt.Created).Abs() < startingFor
	})
	again, err := l.record(ctx, sights, pass)
	if err != nil {
		return err
	}
	if err := l.endStoppedQueued(ctx, w); err != nil {
		return err
	}
	placed, err := l.place(ctx)
	if err != nil {
		return err
	}
	if placed > 0 || again {
		l.Kick()
	}
	if err := l.moveWhenDue(ctx, w); err != nil {
		return err
	}
	return l.sweepWhenDue(ctx)
}

// world is the live part of the state.
type world struct {
	runs  map[string]fleet.Run
	queue []fleet.Run
	live  []fleet.Attempt
}

func (l *Loop) read(ctx context.Context) (world, error) {
	w := world{runs: map[string]fleet.Run{}}
	err := l.Store.View(ctx, func(tx store.Tx) error {
		runs, err := tx.Runs(store.RunFilter{Live: true})
		if err != nil {
			return err
		}
		for _, run := range runs {
			w.runs[run.ID] = run
			if run.State == fleet.Queued {
				w.queue = append(w.queue, run)
			}
		}
		w.live, err = tx.LiveAttempts()
		return err
	})
	return w, err
}
