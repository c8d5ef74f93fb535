package reconcile

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// memory is the state of a memStore; transactions work on a copy.
type memory struct {
	runs      map[string]fleet.Run
	attempts  map[string][]fleet.Attempt
	decisions map[string][]fleet.Decision
	entries   []ledger.Entry
	quotas    map[string]int
	settings  map[string]string
	sites     map[string]fleet.Site
	blobs     map[string][]byte
}

func (m memory) clone() memory {
	c := memory{
		maps.Clone(m.runs), map[string][]fleet.Attempt{}, map[string][]fleet.Decision{}, slices.Clone(m.entries), maps.Clone(m.quotas),
		maps.Clone(m.settings), maps.Clone(m.sites), maps.Clone(m.blobs),
	}
	for id, list := range m.attempts {
		c.attempts[id] = slices.Clone(list)
	}
	for id, list := range m.decisions {
		c.decisions[id] = slices.Clone(list)
	}
	return c
}

// memStore keeps its state in memory; a transaction that fails or panics
// leaves no trace. While full is set, writing fails as on a full disk.
type memStore struct {
	mu    sync.Mutex
	state memory
	full  bool
}

func newMemStore() *memStore {
	return &memStore{state: memory{map[string]fleet.Run{}, nil, nil, nil, map[string]int{}, map[string]string{}, map[string]fleet.Site{}, map[string][]byte{}}.clone()}
}

func (s *memStore) Update(_ context.Context, fn func(store.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.state.clone()
	if err := fn(&memTx{memory: &next}); err != nil {
		return err
	}
	if s.full {
		return fault.New(fault.Transient, "disk is full")
	}
	s.state = next
	return nil
}

func (s *memStore) View(_ context.Context, fn func(store.Tx) error) error {
	s.mu.Lock()
	state := s.state.clone()
	s.mu.Unlock()
	return fn(&memTx{memory: &state})
}

func (s *memStore) Backup(context.Context, string) error { return nil }
func (s *memStore) Close() error                         { return nil }

type memTx struct {
	store.Tx // what the loop does not use
	*memory
}

func (t *memTx) Setting(name string) (string, error) { return t.settings[name], nil }

func (t *memTx) PutSetting(name, value string) error { t.settings[name] = value; return nil }

func (t *memTx) PutRun(run fleet.Run) error { t.runs[run.ID] = run; return nil }

func (t *memTx) Run(id string) (fleet.Run, error) {
	run, ok := t.runs[id]
	if !ok {
		return run, fault.Newf(fault.NotFound, "no run %q", id)
	}
	return run, nil
}

func (t *memTx) RunBySubmission(key string) (fleet.Run, error) {
	for _, run := range t.runs {
		if run.Submission == key {
			return run, nil
		}
	}
	return fleet.Run{}, fault.New(fault.NotFound, "no such submission")
}

func (t *memTx) Runs(filter store.RunFilter) ([]fleet.Run, error) {
	var runs []fleet.Run
	for _, run := range t.runs {
		if !filter.Live || !run.State.Final() {
			runs = append(runs, run)
		}
	}
	slices.SortFunc(runs, func(a, b fleet.Run) int {
		return cmp.Or(b.Submitted.Compare(a.Submitted), strings.Compare(a.ID, b.ID))
	})
	return runs, nil
}

func (t *memTx) PutAttempt(a fleet.Attempt) error {
	list := t.memory.attempts[a.Run]
	if a.Number > len(list) {
		list = append(list, a)
	}
	list[a.Number-1] = a
	t.memory.attempts[a.Run] = list
	return nil
}

func (t *memTx) Attempts(run string) ([]fleet.Attempt, error) {
	return slices.Clone(t.memory.attempts[run]), nil
}

func (t *memTx) LiveAttempts() ([]fleet.Attempt, error) {
	var live []fleet.Attempt
	for _, list := range t.memory.attempts {
		for _, a := range list {
			if !a.State.Final() {
				live = append(live, a)
			}
		}
	}
	slices.SortFunc(live, func(a, b fleet.Attempt) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Run, b.Run))
	})
	return live, nil
}

func (t *memTx) AppendDecision(d fleet.Decision) error {
	t.memory.decisions[d.Run] = append(t.memory.decisions[d.Run], d)
	return nil
}

func (t *memTx) Decisions(run string) ([]fleet.Decision, error) {
	return slices.Clone(t.memory.decisions[run]), nil
}

func (t *memTx) DecisionsSince(verb string, since time.Time) ([]fleet.Decision, error) {
	var found []fleet.Decision
	for _, list := range t.memory.decisions {
		for _, d := range list {
			if d.Verb == verb && !d.At.Before(since) {
				found = append(found, d)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b fleet.Decision) int { return a.At.Compare(b.At) })
	return found, nil
}

func (t *memTx) AppendEntry(e ledger.Entry) (bool, error) {
	for _, known := range t.entries {
		if known.Key == e.Key {
			return false, nil
		}
	}
	e.ID = int64(len(t.entries) + 1)
	t.entries = append(t.entries, e)
	return true, nil
}

func (t *memTx) Entries(filter store.EntryFilter, fn func(ledger.Entry) error) error {
	for _, e := range t.entries {
		if filter.Run == "" || filter.Run == e.Run {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *memTx) PutSite(site fleet.Site) error { t.sites[site.Name] = site; return nil }

func (t *memTx) DeleteSite(name string) error { delete(t.sites, name); return nil }

func (t *memTx) Sites() ([]fleet.Site, error) {
	return slices.SortedFunc(maps.Values(t.sites), func(a, b fleet.Site) int { return strings.Compare(a.Name, b.Name) }), nil
}

func (t *memTx) PoolUses(since, now time.Time) ([]store.PoolUse, error) {
	uses := map[string]store.PoolUse{}
	for _, list := range t.memory.attempts {
		for _, a := range list {
			if a.Started.IsZero() || a.Started.Before(since) {
				continue
			}
			use := uses[a.Pool]
			use.Pool = a.Pool
			end := a.Ended
			if end.IsZero() {
				end = now
			}
			use.Hours += end.Sub(a.Started).Hours()
			if a.State == fleet.AttemptLost {
				use.Lost++
			}
			uses[a.Pool] = use
		}
	}
	return slices.SortedFunc(maps.Values(uses), func(a, b store.PoolUse) int { return strings.Compare(a.Pool, b.Pool) }), nil
}

func (t *memTx) Blob(name string) ([]byte, error) { return t.blobs[name], nil }

func (t *memTx) PutBlob(name string, data []byte) error {
	if t.blobs == nil {
		t.blobs = map[string][]byte{}
	}
	t.blobs[name] = data
	return nil
}

func (t *memTx) Quotas() (map[string]int, error) { return t.quotas, nil }

// script is how a gang of the fake engine goes: after so long it ends with a code.
type script struct {
	takes      time.Duration
	exit       int
	checkpoint int64 // reported halfway
	stubborn   time.Duration
	waits      time.Duration // for quota, before it runs

	// A gang with steps takes per for each from step on, writes a checkpoint
	// every so many, and one more when it is stopped with a grace.
	from, steps, every int64
	per                time.Duration
	tokens             float64 // per second, as it reports them
	loss               float64 // added to what it reports
	hangs              int64   // the step at which it stands still; 0: never
	node               string  // that its failure is due to
	paces              func(ran time.Duration) []fleet.Pace
}

// progress is what a gang with steps has reported after running so long.
func (s script) progress(g *gang, ran time.Duration) fleet.Progress {
	done := min(s.from+int64(ran/s.per), s.steps)
	if s.hangs > 0 {
		done = min(done, s.hangs)
	}
	if done == 0 {
		return fleet.Progress{}
	}
	p := fleet.Progress{
		At: g.started.Add(time.Duration(done-s.from) * s.per), Step: done, Steps: s.steps, Loss: s.loss + 5 - 4*float64(done)/float64(s.steps),
		TokensPerSecond: s.tokens, CheckpointStep: max(s.from, done/s.every*s.every),
	}
	if g.stopped && s.hangs == 0 {
		p.CheckpointStep = done
	}
	return p
}

// gang is a started gang.
type gang struct {
	engine.Gang
	script  script
	started time.Time
	stopAt  time.Time // when a stop takes effect
	ended   time.Time
	stopped bool
}

// fakeEngine runs gangs by a clock that the test sets. It remembers every
// start, to show that none ran twice.
type fakeEngine struct {
	mu      sync.Mutex
	now     func() time.Time
	script  func(key string) script
	gangs   map[string]*gang
	fenced  map[string]bool
	starts  map[string]int
	faults  map[string]error // by "verb key" or "verb"
	nodes   int
	forgot  []string
	dumped  []string
	pooling int
	closed  int
}

func newFakeEngine(now func() time.Time, nodes int, script func(string) script) *fakeEngine {
	return &fakeEngine{
		now: now, script: script, nodes: nodes,
		gangs: map[string]*gang{}, fenced: map[string]bool{}, starts: map[string]int{}, faults: map[string]error{},
	}
}

func (e *fakeEngine) fault(verb, key string) error {
	return cmp.Or(e.faults[verb+" "+key], e.faults[verb])
}

func (e *fakeEngine) Pools(context.Context) ([]fleet.Pool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pooling++
	return []fleet.Pool{{
		Site: "local", Name: "cpu", Provider: "local", Family: "cpu", Chip: "cpu", ChipsPerNode: 1,
		Nodes: e.nodes, MaxNodes: e.nodes, Cores: 8, Memory: 1 << 40, Rate: units.MustRate("1.23", units.USD),
	}}, nil
}

func (e *fakeEngine) Start(_ context.Context, g engine.Gang) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.fault("start", g.Key); err != nil {
		return err
	}
	if e.fenced[g.Key] {
		return fault.New(fault.Conflict, "the key is used up")
	}
	if e.gangs[g.Key] != nil {
		return nil
	}
	e.starts[g.Key]++
	e.gangs[g.Key] = &gang{Gang: g, script: e.script(g.Key), started: e.now()}
	return nil
}

func (e *fakeEngine) Observe(_ context.Context, key string) (engine.Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.fault("observe", key); err != nil {
		return engine.Status{}, err
	}
	g := e.gangs[key]
	if g == nil {
		return engine.Status{}, fault.New(fault.Lost, "not known")
	}
	e.advance(g)
	if e.now().Sub(g.started) < g.script.waits {
		return engine.Status{State: engine.Starting, Waits: fault.Quota, Reason: "the queue is full"}, nil
	}
	status := engine.Status{State: engine.Running, Started: g.started}
	if g.script.steps > 0 {
		ran := e.now().Sub(g.started)
		if !g.ended.IsZero() {
			ran = g.ended.Sub(g.started)
		}
		status.Progress = g.script.progress(g, ran)
	}
	if g.script.paces != nil && g.ended.IsZero() {
		status.Paces = g.script.paces(e.now().Sub(g.started))
	}
	if e.now().Sub(g.started) >= g.script.takes/2 && g.script.checkpoint > 0 {
		status.Progress = fleet.Progress{At: g.started.Add(g.script.takes / 2), Step: g.script.checkpoint, CheckpointStep: g.script.checkpoint}
	}
	if !g.ended.IsZero() {
		status.State, status.Ended, status.ExitCode, status.Stopped = engine.Exited, g.ended, g.script.exit, g.stopped
		if g.stopped {
			status.ExitCode = 143
		}
		if status.ExitCode != 0 {
			status.Reason, status.BadNode = "rank 0 exited", g.script.node
		}
	}
	return status, nil
}

// advance ends a gang when its time has come.
func (e *fakeEngine) advance(g *gang) {
	if !g.ended.IsZero() {
		return
	}
	natural := g.started.Add(g.script.takes)
	if s := g.script; s.steps > 0 {
		natural = g.started.Add(time.Duration(s.steps-s.from) * s.per)
		if s.hangs > 0 {
			natural = g.started.Add(1000 * time.Hour)
		}
	}
	switch {
	case !g.stopAt.IsZero() && !e.now().Before(g.stopAt) && g.stopAt.Before(natural):
		g.ended, g.stopped = g.stopAt, true
	case !e.now().Before(natural):
		g.ended = natural
	}
}

func (e *fakeEngine) Stop(_ context.Context, key string, grace time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.fault("stop", key); err != nil {
		return err
	}
	g := e.gangs[key]
	if g == nil {
		e.fenced[key] = true
		return nil
	}
	if at := e.now().Add(min(g.script.stubborn, grace)); g.stopAt.IsZero() || at.Before(g.stopAt) {
		g.stopAt = at
	}
	return nil
}

func (e *fakeEngine) List(context.Context) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.gangs)), e.faults["list"]
}

func (e *fakeEngine) Forget(_ context.Context, key string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.gangs, key)
	e.fenced[key] = true
	e.forgot = append(e.forgot, key)
	return nil
}

func (e *fakeEngine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed++
	return nil
}

type noLog struct{ io.ReadCloser }

func (noLog) Next() int64 { return 0 }

func (e *fakeEngine) Logs(context.Context, string, int, int64) (engine.Log, error) {
	return noLog{io.NopCloser(strings.NewReader(""))}, nil
}

// History has a point each ten steps.
func (e *fakeEngine) History(_ context.Context, key string) ([]fleet.Progress, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.gangs[key]
	if g == nil || g.script.steps == 0 {
		return nil, nil
	}
	until := e.now()
	if !g.ended.IsZero() {
		until = g.ended
	}
	var points []fleet.Progress
	before := *g // the checkpoint of its end is in the last report alone
	before.stopped = false
	for step := g.script.from + 10; g.started.Add(time.Duration(step-g.script.from)*g.script.per).Compare(until) <= 0; step += 10 {
		points = append(points, g.script.progress(&before, time.Duration(step-g.script.from)*g.script.per))
	}
	return points, nil
}

// Dump ends a gang as Stop does, and remembers that stacks were asked for.
func (e *fakeEngine) Dump(ctx context.Context, key string, grace time.Duration) error {
	e.mu.Lock()
	e.dumped = append(e.dumped, key)
	e.mu.Unlock()
	return e.Stop(ctx, key, grace)
}
