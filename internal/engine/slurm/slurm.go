package slurm

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/engine/whole"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// keyPattern admits what is safe as a file's and a job's name.
const keyPattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`

// Engine runs gangs on the Slurm cluster whose commands and shared directory are
// on this machine. Any number of Engines, on any number of machines, may share a
// directory.
type Engine struct {
	site  site.Site
	self  []string // this program, and what makes it serve this package
	key   *regexp.Regexp
	slurm controller
	queue *queue
	names *program
	paces *paces
}

var (
	_ engine.Engine     = (*Engine)(nil)
	_ engine.Dumper     = (*Engine)(nil)
	_ engine.Accountant = (*Engine)(nil)
	_ engine.Previewer  = (*Engine)(nil)
)

// New returns the engine of a Slurm site, which asks Slurm through slurmrestd
// where the site says so, else by running its commands. The command self, followed
// by "batch" or "node" and a gang's folder, must call RunBatch or RunNode; its
// program is copied into the shared directory.
func New(of site.Site, self []string, run Runner) *Engine {
	return &Engine{
		site: of, self: self, key: regexp.MustCompile(keyPattern),
		slurm: reach(of, run), queue: &queue{}, names: &program{}, paces: &paces{},
	}
}

// reach is how Slurm is asked on this machine.
func reach(of site.Site, run Runner) controller {
	if of.Slurm.REST != nil {
		return newREST(*of.Slurm)
	}
	return client{run, callBound}
}

func (e *Engine) shared() string { return filepath.Clean(e.site.Slurm.Dir) }

func (e *Engine) gangDir(key string) gangDir { return gangDir(filepath.Join(e.shared(), "gangs", key)) }

// known returns the folder of a gang that was accepted and not forgotten.
func (e *Engine) known(key string) (gangDir, error) {
	dir := e.gangDir(key)
	if !e.key.MatchString(key) || !dir.has(gangFile) || dir.has(fencedFile) {
		return "", unknown(key)
	}
	return dir, nil
}

func unknown(key string) error {
	return fault.Newf(fault.Lost, "gang %q is not known on this cluster", key)
}

// Start implements engine.Engine.
func (e *Engine) Start(ctx context.Context, gang engine.Gang) error {
	if err := e.check(gang); err != nil {
		return err
	}
	dir := e.gangDir(gang.Key)
	if !dir.has(gangFile) && !dir.has(fencedFile) {
		if err := e.accept(ctx, gang); err != nil {
			return err
		}
	}
	if dir.has(fencedFile) {
		return fault.Newf(fault.Conflict, "gang %s may not start: it was stopped or forgotten", gang.Key)
	}
	crashAt("start:after-gang")
	return e.ensureJob(ctx, gang.Key)
}

// mostRanks bounds a gang to what one srun can hold.
const mostRanks = 1 << 16

func (e *Engine) check(gang engine.Gang) error {
	switch {
	case !e.key.MatchString(gang.Key):
		return fault.Newf(fault.Invalid, "gang key %q: want letters, digits, '.', '_' and '-'", gang.Key)
	case gang.Ranks < 1 || gang.Ranks > mostRanks:
		return fault.Newf(fault.Invalid, "gang %s has %d ranks; want 1 to %d", gang.Key, gang.Ranks, mostRanks)
	case nodesOf(gang) > gang.Ranks:
		return fault.Newf(fault.Invalid, "gang %s has %d ranks for %d nodes; want one on each at least", gang.Key, gang.Ranks, gang.Nodes)
	case len(gang.Command) == 0:
		return fault.Newf(fault.Invalid, "gang %s has no command; that of its image cannot be taken: the agent starts it", gang.Key)
	}
	perNode := (gang.Ranks + nodesOf(gang) - 1) / nodesOf(gang)
	if (nodesOf(gang)-1)*perNode >= gang.Ranks {
		return fault.Newf(fault.Invalid, "gang %s: %d ranks on %d nodes, %d on each, leave a node without", gang.Key, gang.Ranks, gang.Nodes, perNode)
	}
	for name, from := range gang.SecretRefs {
		if !filepath.IsLocal(from) || strings.Count(from, "/") != 1 {
			return fault.Newf(fault.Invalid, "gang %s: secret %s is %q; want SECRET/KEY", gang.Key, name, from)
		}
	}
	return e.checkImage(gang)
}

// accept makes the gang known, once: its folder is made aside and takes its
// name in one step, in which only the first of many comes through.
func (e *Engine) accept(ctx context.Context, gang engine.Gang) error {
	crashAt("start:before-gang")
	program, err := e.program(ctx)
	if err != nil {
		return err
	}
	return e.putDir(gang.Key, func(aside, final gangDir) error {
		a := e.accepted(gang, final, program)
		for name, value := range gang.Secrets {
			if !filepath.IsLocal(name) || strings.Contains(name, "/") {
				return fault.Newf(fault.Invalid, "secret %q is no name of a variable", name)
			}
			if err := os.MkdirAll(aside.file(secretsDir), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(aside.file(secretsDir), name), []byte(value+"\n"), 0o600); err != nil {
				return err
			}
		}
		for n := range nodesOf(gang) {
			if err := os.MkdirAll(aside.node(n), 0o700); err != nil {
				return err
			}
		}
		return whole.WriteJSON(aside.file(gangFile), a, whole.Durable)
	})
}

// accepted is what the job of a gang is told.
func (e *Engine) accepted(gang engine.Gang, dir gangDir, program string) accepted {
	a := accepted{
		Gang: gang, Secrets: map[string]string{}, Notice: e.notice(gang), Self: append([]string{program}, e.self[1:]...), Shared: e.shared(),
		Caches: e.site.Caches, Containers: e.site.Slurm.Containers,
	}
	a.Gang.Secrets = nil
	a.Gang.Env = e.environ(gang)
	for name, from := range gang.SecretRefs {
		a.Secrets[name] = filepath.Join(e.secrets(), from)
	}
	for name := range gang.Secrets {
		a.Secrets[name] = filepath.Join(dir.file(secretsDir), name)
	}
	return a
}

// environ is the gang's variables, and the site's caches where it sets none.
func (e *Engine) environ(gang engine.Gang) map[string]string {
	env := cacheEnviron(e.site.Caches, gang.CacheKey)
	maps.Copy(env, gang.Env)
	return env
}

// cacheEnviron points compilers to the site's cache for the model on the chip:
// a restart then compiles nothing anew.
func cacheEnviron(caches, key string) map[string]string {
	env := map[string]string{}
	if caches == "" || key == "" {
		return env
	}
	for name, sub := range map[string]string{
		"NEURON_COMPILE_CACHE_URL": "neuron", "TRITON_CACHE_DIR": "triton", "TORCHINDUCTOR_CACHE_DIR": "inductor", "JAX_COMPILATION_CACHE_DIR": "xla",
	} {
		env[name] = filepath.Join(caches, key, sub)
	}
	return env
}

func (e *Engine) secrets() string {
	if e.site.Slurm.Secrets != "" {
		return e.site.Slurm.Secrets
	}
	return filepath.Join(e.shared(), "secrets")
}

// putDir makes a gang's folder whole. Where there is one already nothing changes.
func (e *Engine) putDir(key string, fill func(aside, final gangDir) error) error {
	final := e.gangDir(key)
	if err := os.MkdirAll(filepath.Dir(string(final)), 0o700); err != nil {
		return storageFault(err, "making the shared directory")
	}
	temp, err := os.MkdirTemp(e.shared(), ".gang-*")
	if err != nil {
		return storageFault(err, "making the gang's folder")
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := fill(gangDir(temp), final); err != nil {
		if fault.Is(err, fault.Invalid) {
			return err
		}
		return storageFault(err, "recording the gang")
	}
	err = os.Rename(temp, string(final)) // fails on a folder that is not empty
	if err != nil && !whole.Exists(string(final)) {
		return storageFault(err, "recording the gang")
	}
	return storageFault(whole.SyncDir(filepath.Dir(string(final))), "recording the gang")
}

// Stop implements engine.Engine.
func (e *Engine) Stop(ctx context.Context, key string, grace time.Duration) error {
	return e.stop(ctx, key, stopRecord{Grace: max(grace, 0)})
}

// Dump implements engine.Dumper.
func (e *Engine) Dump(ctx context.Context, key string, grace time.Duration) error {
	return e.stop(ctx, key, stopRecord{Grace: max(grace, 0), Dump: true})
}

func (e *Engine) stop(ctx context.Context, key string, stop stopRecord) error {
	if !e.key.MatchString(key) {
		return fault.Newf(fault.Invalid, "gang key %q: want letters, digits, '.', '_' and '-'", key)
	}
	crashAt("stop:before-request")
	dir := e.gangDir(key)
	if !dir.has(gangFile) && !dir.has(fencedFile) {
		err := e.putDir(key, func(aside, _ gangDir) error { return whole.Write(aside.file(fencedFile), nil, whole.Durable) })
		if err != nil {
			return err
		}
	}
	if dir.has(fencedFile) || dir.has(exitFile) {
		return nil
	}
	if status, err := e.Observe(ctx, key); err == nil && status.State == engine.Exited {
		return nil // it had ended by itself
	}
	if err := dir.requestStop(stop); err != nil {
		return storageFault(err, "recording the stop")
	}
	crashAt("stop:after-request")
	jobs, err := e.jobsOf(ctx, dir, time.Now())
	if err != nil {
		return err
	}
	if ids := unclaimed(jobs); len(ids) > 0 {
		return e.slurm.cancel(ctx, true, ids...)
	}
	return nil
}

// requestStop records the stop. A later one can only shorten the grace.
func (d gangDir) requestStop(stop stopRecord) error {
	stop.At = time.Now().UTC()
	var before stopRecord
	if found, err := whole.ReadJSON(d.file(stopFile), &before); found && err == nil {
		if before.Grace <= stop.Grace && (before.Dump || !stop.Dump) {
			return nil
		}
		stop.At, stop.Grace, stop.Dump = before.At, min(before.Grace, stop.Grace), before.Dump || stop.Dump
	}
	return whole.WriteJSON(d.file(stopFile), stop, whole.Durable)
}

// unclaimed lists the jobs that wait.
func unclaimed(jobs []job) []string {
	var ids []string
	for _, j := range jobs {
		if j.waiting() {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// List implements engine.Engine.
func (e *Engine) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(e.shared(), "gangs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Transient, err, "listing gangs")
	}
	var keys []string
	for _, entry := range entries {
		// A fenced key with a gang is one whose Forget was cut short: it is
		// listed, so that Forget is asked for again.
		if e.gangDir(entry.Name()).has(gangFile) {
			keys = append(keys, entry.Name())
		}
	}
	return keys, nil
}

// Forget implements engine.Engine.
func (e *Engine) Forget(ctx context.Context, key string) error {
	dir := e.gangDir(key)
	if !e.key.MatchString(key) || !whole.Exists(string(dir)) {
		return unknown(key)
	}
	if !dir.has(fencedFile) {
		status, err := e.Observe(ctx, key)
		if err != nil {
			return err
		}
		if status.State != engine.Exited {
			return fault.Newf(fault.Conflict, "gang %s has not ended", key)
		}
		if err := whole.Write(dir.file(fencedFile), nil, whole.Durable); err != nil {
			return storageFault(err, "fencing gang "+key)
		}
	}
	crashAt("forget:after-fence")
	err := dir.empty()
	crashAt("forget:after-remove")
	return fault.Wrap(fault.Transient, err, "removing what is kept of gang "+key)
}

// empty removes all but the fence, and gang.json last: by it List knows that
// something is left.
func (d gangDir) empty() error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if name := entry.Name(); !slices.Contains([]string{fencedFile, gangFile}, name) {
			errs = append(errs, os.RemoveAll(d.file(name)))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(d.file(gangFile)))...)
}

// Logs implements engine.Engine.
func (e *Engine) Logs(_ context.Context, key string, rank int, offset int64) (engine.Log, error) {
	dir, err := e.known(key)
	if err != nil {
		return nil, err
	}
	a, err := dir.accepted()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading gang "+key)
	}
	if rank < 0 || rank >= a.Gang.Ranks {
		return nil, fault.Newf(fault.NotFound, "gang %s has no rank %d; its ranks are 0 to %d", key, rank, a.Gang.Ranks-1)
	}
	return ranks.OpenLog(dir.node(rank/a.perNode()), rank, offset)
}

// History implements engine.Engine.
func (e *Engine) History(ctx context.Context, key string) ([]fleet.Progress, error) {
	dir, err := e.known(key)
	if err != nil {
		return nil, err
	}
	last, _, err := ranks.ReadProgress(dir.node(0))
	if err != nil {
		return nil, fault.Wrap(fault.Transient, err, "reading the progress of gang "+key)
	}
	points, err := ranks.ReadHistory(dir.node(0), last)
	return points, fault.Wrap(fault.Transient, err, "reading the progress of gang "+key)
}

// storageFault classifies a failure of the shared directory: a full one may be
// emptied, one that is away comes back.
func storageFault(err error, doing string) error { return fault.Wrap(fault.Transient, err, doing) }

// marshal is of records of our own, which cannot fail to be written as JSON.
func marshal(record any) []byte {
	data, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	return append(data, '\n')
}
