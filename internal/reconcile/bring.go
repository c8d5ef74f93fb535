package reconcile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// errOnItsWay says that an attempt does not start yet because its checkpoint is
// being brought.
var errOnItsWay = errors.New("its checkpoint is on its way")

// copyAgain is how long a copy that failed rests.
const copyAgain = 30 * time.Second

// origin is where the newest checkpoint is that an attempt goes on from.
type origin struct {
	attempt fleet.Attempt
	store   string // URL; "" where it is in the directory
	dir     string // on this machine
}

// originOf finds the newest checkpoint before an attempt: of its own run, or
// for a trial's first of the run that it tries. False where there is none.
func (l *Loop) originOf(ctx context.Context, run fleet.Run, attempt fleet.Attempt, earlier []fleet.Attempt) (origin, bool, error) {
	if found, ok := l.newest(earlier[:min(len(earlier), attempt.Number-1)]); ok || run.Trial == nil {
		return found, ok, nil
	}
	_, tried, err := l.runWithAttempts(ctx, run.Trial.Of)
	if err != nil {
		return origin{}, false, err
	}
	found, ok := l.newest(tried)
	return found, ok, nil
}

func (l *Loop) newest(attempts []fleet.Attempt) (found origin, ok bool) {
	for _, a := range attempts {
		if a.Progress.CheckpointStep > 0 && a.Progress.CheckpointStep >= found.attempt.Progress.CheckpointStep {
			found, ok = origin{attempt: a, store: a.Store}, true
			if a.Site == site.Local {
				found.dir = l.Checkpoints(a.Run)
			}
		}
	}
	return found, ok
}

// bring makes the newest checkpoint be where an attempt will look for it, and
// books its way. It starts the copy and returns errOnItsWay until that is done;
// repeating it, also after a crash, copies and books nothing twice.
func (l *Loop) bring(ctx context.Context, run fleet.Run, attempt fleet.Attempt, earlier []fleet.Attempt) error {
	from, ok, err := l.originOf(ctx, run, attempt, earlier)
	if err != nil || !ok {
		return err
	}
	var carry func(context.Context) (int64, error)
	switch {
	case from.store != "" && attempt.Store != "" && from.store != attempt.Store && l.Copy != nil:
		carry = func(ctx context.Context) (int64, error) { return l.Copy(ctx, from.store, attempt.Store) }
	case from.store == "" && from.dir != "" && attempt.Site == site.Local && from.dir != l.Checkpoints(run.ID):
		carry = func(context.Context) (int64, error) { return 0, copyDir(from.dir, l.Checkpoints(run.ID)) }
	default:
		return nil
	}
	done, state := l.copies.do(ctx, attempt.Key(), carry)
	if !done {
		return errOnItsWay
	}
	if state.err != nil {
		return fault.Wrap(fault.Transient, state.err, "bringing the checkpoint of attempt "+from.attempt.Key())
	}
	l.Crash(pointBrought)
	return l.bookEgress(ctx, run, attempt, from, state)
}

// bookEgress books what the way of a checkpoint cost, once.
func (l *Loop) bookEgress(ctx context.Context, run fleet.Run, attempt fleet.Attempt, from origin, c copied) error {
	if c.bytes == 0 || from.attempt.Site == attempt.Site {
		return nil
	}
	here, _ := l.pool(ctx, from.attempt.Pool)
	there, err := l.pool(ctx, attempt.Pool)
	if err != nil {
		return err
	}
	here.Site, here.Name, _ = strings.Cut(from.attempt.Pool, "/")
	here.Provider, here.Region = from.attempt.Provider, from.attempt.Region
	price := egress(here, there, c.bytes)
	if price.cost.IsZero() {
		return nil
	}
	entry := ledger.EgressEntry(attempt, run.Project, ledger.Journey{
		From: here, Bytes: c.bytes, Rate: price.rate, Source: price.source, Began: c.began, End: c.ended,
	}, l.Clock())
	err = l.Store.Update(ctx, func(tx store.Tx) error {
		_, err := tx.AppendEntry(entry)
		return err
	})
	l.spending.stale()
	return err
}

// copyDir copies a directory of checkpoints whole or not at all; one that is
// there already is left as it is.
func copyDir(from, to string) error {
	if entries, err := os.ReadDir(to); err == nil && len(entries) > 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	half := to + ".half"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := os.CopyFS(half, os.DirFS(from)); err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil { // it is empty
		return err
	}
	return os.Rename(half, to)
}

// copied is a copy that has ended.
type copied struct {
	bytes        int64
	began, ended time.Time
	err          error
	at           time.Time // monotonic
}

// copies are the copies under way, by the key of the attempt that they are for.
// A copy outlives the pass that began it and ends with the loop.
type copies struct {
	mu      sync.Mutex
	running map[string]context.CancelFunc
	ended   map[string]copied
	group   sync.WaitGroup
	now     func() time.Time
}

// do starts a copy, unless it is under way, and reports whether it has ended.
// One that failed is started anew after a rest.
func (c *copies) do(ctx context.Context, key string, carry func(context.Context) (int64, error)) (done bool, result copied) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, going := c.running[key]; going {
		return false, copied{}
	}
	if result, done = c.ended[key]; done && (result.err == nil || time.Since(result.at) < copyAgain) {
		return true, result
	}
	if c.running == nil {
		c.running, c.ended = map[string]context.CancelFunc{}, map[string]copied{}
	}
	delete(c.ended, key)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a pass is shorter than a copy
	c.running[key] = cancel
	c.group.Go(func() {
		defer cancel()
		began := c.now()
		bytes, err := carry(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, key)
		c.ended[key] = copied{bytes: bytes, began: began, ended: c.now(), err: err, at: time.Now()}
	})
	return false, copied{}
}

func (c *copies) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.running[key]; cancel != nil {
		cancel()
	}
	delete(c.ended, key)
}

// stop ends the copies under way and waits for them.
func (c *copies) stop() {
	c.mu.Lock()
	for _, cancel := range c.running {
		cancel()
	}
	c.mu.Unlock()
	c.group.Wait()
}
