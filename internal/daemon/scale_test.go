package daemon

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/settle"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// scale is for how long the control plane is measured with many live runs; see
// make bench-reconcile.
var scale = flag.Duration("scale", 0, "measure the control plane at 5,000 live runs for so long")

const (
	liveRuns  = 5000
	liveSites = 4
	// reportEvery is how often each gang reports new progress.
	reportEvery = 5 * time.Second
	// What issue and README promise.
	mostCores  = 1.0
	mostMemory = 300 << 20
)

// herd is an engine whose gangs run for ever and report progress.
type herd struct {
	name  string
	mu    sync.Mutex
	gangs map[string]time.Time
}

func (h *herd) Pools(context.Context) ([]fleet.Pool, error) {
	var pools []fleet.Pool
	for i := range 5 {
		pools = append(pools, fleet.Pool{
			Site: h.name, Name: fmt.Sprintf("p%d", i), Provider: "aws", Region: "us-east-1", InstanceType: "p5.48xlarge", Option: "on-demand",
			Family: "cuda", Chip: "H100", ChipsPerNode: 8, Nodes: 400, MaxNodes: 400, Cores: 192, Memory: 2 << 40, Rate: units.MustRate("55.04", units.USD),
		})
	}
	return pools, nil
}

func (h *herd) Start(_ context.Context, g engine.Gang) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.gangs[g.Key]; !known {
		h.gangs[g.Key] = time.Now()
	}
	return nil
}

func (h *herd) Observe(_ context.Context, key string) (engine.Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	began, known := h.gangs[key]
	if !known {
		return engine.Status{}, fault.New(fault.Lost, "not known")
	}
	step := int64(time.Since(began) / reportEvery)
	return engine.Status{State: engine.Running, Started: began, Progress: fleet.Progress{
		At: began.Add(time.Duration(step) * reportEvery), Step: step, Steps: 1 << 20, Loss: 2.5, TokensPerSecond: 1e6, CheckpointStep: step,
	}}, nil
}

func (h *herd) List(context.Context) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.gangs)), nil
}

func (h *herd) Stop(context.Context, string, time.Duration) error { return nil }
func (h *herd) Forget(context.Context, string) error              { return nil }
func (h *herd) Logs(context.Context, string, int, int64) (engine.Log, error) {
	return nil, io.ErrUnexpectedEOF
}
func (h *herd) History(context.Context, string) ([]fleet.Progress, error) { return nil, nil }

const herdFile = `kind: Training
name: run-%d
model: {preset: llama-3-8b}
tokens: 1T
sequence_length: 8192
global_batch: 256
place: {nodes: 1}
variants:
  cuda: {command: [torchrun, train.py, --run, "%d"]}
`

// herdContracts are in force meanwhile: a plan that some of the nodes use up, and
// a floor over years.
const herdContracts = `kind: Contract
name: aws
counterparty: Amazon
term: {from: 2026-01-01, to: 2033-01-01}
scope: {providers: [aws]}
clauses:
  - {name: plan, to: 2029-01-01, savings_plan: {type: compute, hourly: 40000, discount: 40%}}
  - {name: floor, commitment: {period: total, amount: 30B}}
  - {name: tiers, discount: {tiers: {window: year, steps: [{above: 1B, discount: 4%}]}}}
`

// TestReconcileAtScale prints what the control plane costs with many live runs
// over a real store: share of a core, and resident memory.
func TestReconcileAtScale(t *testing.T) {
	if *scale == 0 {
		t.Skip("make bench-reconcile")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store, err := openStore(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	herds := map[string]*herd{}
	log := slog.New(slog.DiscardHandler)
	sites := reconcile.NewSites(reconcile.SitesOptions{
		Store: store, Local: &herd{name: "none"}, Log: log,
		Open: func(s *site.Site) (engine.Engine, error) { return herds[s.Name], nil },
	})
	if err := sites.Load(ctx); err != nil {
		t.Fatal(err)
	}
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	settler := settle.New(settle.Options{Store: store, Clock: clock.System, Log: log, Every: settleEvery, Contracts: func() ([]*contract.Contract, error) {
		return contract.Parse("contracts.yaml", []byte(herdContracts))
	}})
	passes, slowest := 0, time.Duration(0)
	policy := reconcile.DefaultPolicy()
	policy.Moves.Rest = 0 // every run is weighed for moves, not only those that ran for long
	loop := reconcile.New(reconcile.Options{
		Store: store, Sites: sites, Clock: clock.System, Log: log, Policy: policy, Parse: workload.Parse,
		Price:  func(p fleet.Pool, _ *site.Site) fleet.Pool { return p },
		Random: random, Checkpoints: func(run string) string { return filepath.Join(dir, run) },
		Merit: meritIn(marketIn(offers)), Bills: settler.Books, Interval: 500 * time.Millisecond, SweepEvery: sweepEvery, PoolsEvery: poolsEvery,
		Passed: func(p reconcile.Pass) { passes++; slowest = max(slowest, p.Took) },
	})
	for i := range liveSites {
		name := fmt.Sprintf("s%d", i)
		herds[name] = &herd{name: name, gangs: map[string]time.Time{}}
		file := fmt.Sprintf("kind: Site\nname: %s\nengine: slurm\nslurm: {dir: /shared}\ncheckpoints: file:///shared/ckpt\n", name)
		if _, _, err := loop.AddSite(ctx, name+".yaml", []byte(file), false); err != nil {
			t.Fatal(err)
		}
	}
	for i := range liveRuns {
		file := fmt.Sprintf(herdFile, i, i)
		if _, err := loop.Submit(ctx, reconcile.Request{File: "r.yaml", Content: []byte(file), Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
	placing := time.Now()
	for started := 0; started < liveRuns; {
		if err := loop.Tick(ctx); err != nil {
			t.Fatal(err)
		}
		started = 0
		for _, h := range herds {
			started += len(h.gangs)
		}
	}
	t.Logf("%d runs placed and started in %s", liveRuns, time.Since(placing).Round(time.Millisecond))
	running := make(chan struct{})
	go func() { settler.Run(ctx) }()
	go func() { loop.Run(ctx); close(running) }()
	time.Sleep(10 * time.Second) // what begins once has begun
	runtime.GC()
	passes, slowest = 0, 0
	before, began := processorTime(t), time.Now()
	time.Sleep(*scale)
	used := processorTime(t) - before
	cores := used.Seconds() / time.Since(began).Seconds()
	memory := resident(t)
	cancel()
	<-running
	t.Logf("%d live runs on %d sites, over SQLite: %.2f of a core, %d MB resident, %d passes in %s of %s of processor time each, the slowest took %s",
		liveRuns, liveSites, cores, memory>>20, passes, *scale, (used / time.Duration(max(1, passes))).Round(time.Millisecond), slowest.Round(time.Millisecond))
	if cores > mostCores || memory > mostMemory {
		t.Errorf("more than %.0f core or %d MB", mostCores, mostMemory>>20)
	}
}

func processorTime(t *testing.T) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// resident is the memory of this process now, in bytes.
func resident(t *testing.T) int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(strings.TrimSpace(string(data)), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
