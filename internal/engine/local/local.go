package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gofrs/flock"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// lockRetry is how often a caller asks again for the engine's lock, which
// others hold for a few file operations at most.
const lockRetry = 2 * time.Millisecond

// keyPattern admits what is safe as a file name.
const keyPattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`

// Engine runs gangs on this machine. Any number of Engines, in any number of
// processes, may share a folder.
type Engine struct {
	dir      string
	self     []string
	key      *regexp.Regexp
	hardware *hardware
}

var _ engine.Engine = (*Engine)(nil)

// New returns the engine that keeps its gangs in the folder. The command self,
// followed by "--dir" and a gang's folder, must call RunShim; run asks the
// machine's own tools what hardware there is (see System).
func New(dir string, self []string, run Runner) *Engine {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	return &Engine{dir: dir, self: self, key: regexp.MustCompile(keyPattern), hardware: &hardware{run: run}}
}

// Start implements engine.Engine.
func (e *Engine) Start(ctx context.Context, gang engine.Gang) error {
	if err := e.check(gang); err != nil {
		return err
	}
	if err := e.accept(ctx, gang); err != nil {
		return err
	}
	crashAt("start:after-gang")
	if err := e.ensureShim(ctx, gang.Key); err != nil {
		return err
	}
	crashAt("start:after-ready")
	return nil
}

// mostRanks bounds a gang: each rank is a process here with two pipes, and a
// machine that is asked for more is asked by mistake.
const mostRanks = 4096

func (e *Engine) check(gang engine.Gang) error {
	switch {
	case !e.key.MatchString(gang.Key):
		return fault.Newf(fault.Invalid, "gang key %q: want letters, digits, '.', '_' and '-'", gang.Key)
	case gang.Ranks < 1:
		return fault.Newf(fault.Invalid, "gang %s has %d ranks; want at least 1", gang.Key, gang.Ranks)
	case gang.Ranks > mostRanks:
		return fault.Newf(fault.Invalid, "gang %s has %d ranks; this machine starts at most %d", gang.Key, gang.Ranks, mostRanks)
	case gang.Nodes > 1:
		return fault.Newf(fault.Invalid, "gang %s wants %d nodes; this machine is one", gang.Key, gang.Nodes)
	case len(gang.Command) == 0:
		return fault.Newf(fault.Invalid, "gang %s has no command; the local engine runs commands, not images", gang.Key)
	}
	return nil
}

// accept makes the gang known, once.
func (e *Engine) accept(ctx context.Context, gang engine.Gang) error {
	return e.locked(ctx, func() error {
		dir := e.gangDir(gang.Key)
		if whole.Exists(e.fence(gang.Key)) {
			return fault.Newf(fault.Conflict, "gang %s may not start: it was stopped or forgotten", gang.Key)
		}
		if dir.has(gangFile) {
			return nil
		}
		crashAt("start:before-gang")
		if err := os.MkdirAll(string(dir), 0o700); err != nil {
			return storageFault(err, "making the gang's folder")
		}
		if err := whole.SyncDir(filepath.Dir(string(dir))); err != nil {
			return storageFault(err, "making the gang's folder")
		}
		if len(gang.Secrets) > 0 {
			if err := whole.WriteJSON(dir.file(secretsFile), gang.Secrets, whole.Durable); err != nil {
				return storageFault(err, "handing over the gang's secrets")
			}
			crashAt("start:after-secrets")
		}
		return storageFault(whole.WriteJSON(dir.file(gangFile), gang, whole.Durable), "recording the gang")
	})
}

// Observe implements engine.Engine. It reads files; only where a gang that has
// not ended has no shim does it start one, which begins the gang or, where
// commands had begun, clears away what is left and records the loss.
func (e *Engine) Observe(ctx context.Context, key string) (engine.Status, error) {
	dir, err := e.known(key)
	if err != nil {
		return engine.Status{}, err
	}
	// The lock is read before the files: a shim that ends in between has
	// written exit.json by then.
	alive, err := lockHeld(dir.file(lockFile))
	if err != nil {
		return engine.Status{}, fault.Wrap(fault.Internal, err, "asking who holds the shim's lock")
	}
	status, err := dir.status()
	if err != nil || status.State == engine.Exited || alive {
		return status, fault.Wrap(fault.Internal, err, "reading gang "+key)
	}
	if err := e.ensureShim(ctx, key); err != nil {
		return status, err
	}
	status, err = dir.status()
	return status, fault.Wrap(fault.Internal, err, "reading gang "+key)
}

// Logs implements engine.Engine.
func (e *Engine) Logs(_ context.Context, key string, rank int, offset int64) (engine.Log, error) {
	dir, err := e.known(key)
	if err != nil {
		return nil, err
	}
	gang, err := dir.gang()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading gang "+key)
	}
	if rank < 0 || rank >= gang.Ranks {
		return nil, fault.Newf(fault.NotFound, "gang %s has no rank %d; its ranks are 0 to %d", key, rank, gang.Ranks-1)
	}
	return ranks.OpenLog(string(dir), rank, offset)
}

// History implements engine.Engine.
func (e *Engine) History(_ context.Context, key string) ([]fleet.Progress, error) {
	dir, err := e.known(key)
	if err != nil {
		return nil, err
	}
	status, err := dir.status()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading gang "+key)
	}
	points, err := ranks.ReadHistory(string(dir), status.Progress)
	return points, fault.Wrap(fault.Internal, err, "reading the history of gang "+key)
}

// Stop implements engine.Engine.
func (e *Engine) Stop(ctx context.Context, key string, grace time.Duration) error {
	return e.stop(ctx, key, ranks.Stop{Grace: grace})
}

// Dump implements engine.Dumper.
func (e *Engine) Dump(ctx context.Context, key string, grace time.Duration) error {
	return e.stop(ctx, key, ranks.Stop{Grace: grace, Dump: true})
}

func (e *Engine) stop(ctx context.Context, key string, stop ranks.Stop) error {
	if !e.key.MatchString(key) {
		return fault.Newf(fault.Invalid, "gang key %q: want letters, digits, '.', '_' and '-'", key)
	}
	over := false
	err := e.locked(ctx, func() error {
		dir := e.gangDir(key)
		crashAt("stop:before-request")
		if whole.Exists(e.fence(key)) || dir.has(exitFile) {
			over = true
			return nil
		}
		if !dir.has(gangFile) {
			over = true
			if err := dir.dropSecrets(); err != nil { // of a Start that was cut short
				return storageFault(err, "removing the gang's secrets")
			}
			return e.putFence(key)
		}
		return storageFault(stop.Request(string(dir)), "recording the stop")
	})
	if err != nil || over {
		return err
	}
	crashAt("stop:after-request")
	return e.ensureShim(ctx, key)
}

// List implements engine.Engine.
func (e *Engine) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(e.dir, "gangs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Internal, err, "listing gangs")
	}
	var keys []string
	for _, entry := range entries {
		// A fenced key with a folder is one whose Forget was cut short: it is
		// listed, so that Forget is asked for again.
		if _, err := e.known(entry.Name()); err == nil || whole.Exists(e.fence(entry.Name())) {
			keys = append(keys, entry.Name())
		}
	}
	return keys, nil
}

// Forget implements engine.Engine.
func (e *Engine) Forget(ctx context.Context, key string) error {
	if !e.key.MatchString(key) {
		return unknown(key)
	}
	return e.locked(ctx, func() error {
		dir := e.gangDir(key)
		fenced := whole.Exists(e.fence(key))
		switch {
		case !fenced && !dir.has(gangFile):
			return unknown(key)
		case !fenced && !dir.has(exitFile):
			return fault.Newf(fault.Conflict, "gang %s has not ended", key)
		}
		if err := e.putFence(key); err != nil {
			return err
		}
		crashAt("forget:after-fence")
		err := e.discard(key)
		crashAt("forget:after-remove")
		return fault.Wrap(fault.Internal, err, "removing what is kept of gang "+key)
	})
}

// discard takes the gang's folder away in one step before it removes it file by
// file: a shim must never find some of its files and begin the gang again.
func (e *Engine) discard(key string) error {
	aside := filepath.Join(e.dir, "forgotten", key)
	if err := os.MkdirAll(filepath.Dir(aside), 0o700); err != nil {
		return err
	}
	err := os.Rename(string(e.gangDir(key)), aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	crashAt("forget:after-rename")
	return os.RemoveAll(filepath.Dir(aside)) // with what a Forget that was cut short left there
}

// known returns the folder of a gang that was accepted and not forgotten.
func (e *Engine) known(key string) (gangDir, error) {
	dir := e.gangDir(key)
	if !e.key.MatchString(key) || !dir.has(gangFile) || whole.Exists(e.fence(key)) {
		return "", unknown(key)
	}
	return dir, nil
}

func unknown(key string) error {
	return fault.Newf(fault.Lost, "gang %q is not known on this machine", key)
}

func (e *Engine) gangDir(key string) gangDir { return gangDir(filepath.Join(e.dir, "gangs", key)) }

func (e *Engine) fence(key string) string { return filepath.Join(e.dir, "fenced", key) }

func (e *Engine) putFence(key string) error {
	err := os.MkdirAll(filepath.Join(e.dir, "fenced"), 0o700)
	if err == nil {
		err = whole.Write(e.fence(key), nil, whole.Durable)
	}
	return storageFault(err, "fencing gang "+key)
}

// locked serialises what decides whether a key may start, across processes.
func (e *Engine) locked(ctx context.Context, do func() error) error {
	if err := os.MkdirAll(filepath.Join(e.dir, "gangs"), 0o700); err != nil {
		return storageFault(err, "making the engine's folder")
	}
	lock := flock.New(filepath.Join(e.dir, "lock"))
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return fault.Wrap(fault.Transient, err, "locking the engine's folder")
	}
	return errors.Join(do(), lock.Close())
}

// storageFault classifies a failure to write: a full disk may be emptied.
func storageFault(err error, doing string) error { return fault.Wrap(fault.Transient, err, doing) }
