package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/units"
)

const labFile = `kind: Site
name: lab
engine: slurm
provider: owned
region: basement
checkpoints: file:///shared/ckpt?create_dir=1
env: {A: site, B: site, TOKEN: site}
secrets: [{name: KEY, from: store/key}, {name: OWN, from: store/own}]
slurm: {dir: /shared/yard}
pools: [{name: cpu, partition: main, rate: $7, ends: 2026-12-01T00:00:00Z}]
`

// clusters are the engines that a rig's registry opens, by the site's name.
type clusters struct {
	engines map[string]*cluster
	fails   error
	opened  int
}

// cluster is a fake engine of a site other than local.
type cluster struct {
	*fakeEngine
	name  string
	hangs atomic.Bool // it answers nothing until the caller gives up
}

func (c *cluster) hang(ctx context.Context) error {
	if !c.hangs.Load() {
		return nil
	}
	<-ctx.Done()
	return fault.Wrap(fault.Transient, ctx.Err(), "no answer")
}

func (c *cluster) Observe(ctx context.Context, key string) (engine.Status, error) {
	if err := c.hang(ctx); err != nil {
		return engine.Status{}, err
	}
	return c.fakeEngine.Observe(ctx, key)
}

func (c *cluster) Pools(ctx context.Context) ([]fleet.Pool, error) {
	if err := errors.Join(c.hang(ctx), c.fault("pools", "")); err != nil {
		return nil, err
	}
	pools, err := c.fakeEngine.Pools(ctx)
	pools[0].Site, pools[0].Provider, pools[0].Rate = c.name, "owned", units.Rate{}
	return pools, err
}

func (c *clusters) open(r *rig) func(*site.Site) (engine.Engine, error) {
	return func(s *site.Site) (engine.Engine, error) {
		c.opened++
		if c.fails != nil {
			return nil, c.fails
		}
		if c.engines[s.Name] == nil {
			c.engines[s.Name] = &cluster{fakeEngine: newFakeEngine(r.now, 1, always(script{takes: time.Hour})), name: s.Name}
		}
		return c.engines[s.Name], nil
	}
}

// withClusters gives a rig a registry that can open sites.
func (r *rig) withClusters() *clusters {
	c := &clusters{engines: map[string]*cluster{}}
	r.reload(c)
	return c
}

// reload is a new process: the registry reads the store.
func (r *rig) reload(c *clusters) {
	r.restart()
	r.loop.Sites = NewSites(SitesOptions{Store: r.store, Local: r.engine, Open: c.open(r), Log: slog.New(slog.DiscardHandler)})
	r.loop.Price = func(p fleet.Pool, file *site.Site) fleet.Pool {
		if file != nil {
			p.Rate = file.Pool("cpu").Rate.Rate
		}
		return p
	}
	if err := r.loop.Sites.Load(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) addLab() {
	r.t.Helper()
	if _, _, err := r.loop.AddSite(context.Background(), "lab.yaml", []byte(labFile), false); err != nil {
		r.t.Fatal(err)
	}
}

func TestSitesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour}))
		c := r.withClusters()
		ctx := context.Background()
		place, pools, err := r.loop.AddSite(ctx, "lab.yaml", []byte(labFile), true)
		if err != nil || place.Name != "lab" || len(pools) != 1 || pools[0].Rate.Decimal() != "7" || pools[0].Ends.IsZero() {
			t.Fatalf("dry run: %+v %+v %v", place, pools, err)
		}
		if len(r.loop.Sites.List()) != 1 || c.engines["lab"].closed != 1 {
			t.Error("a dry run keeps the site, or its engine open")
		}
		r.addLab()
		opened := c.opened
		r.addLab() // the same file again: looked at, and nothing changes
		if c.opened != opened+1 {
			t.Errorf("opened %d times", c.opened-opened)
		}
		r.reload(c)
		if len(r.loop.Sites.List()) != 2 || c.opened != opened+1 {
			t.Error("a new process does not know the site, or opens it before it is needed")
		}
		if pools := r.loop.Pools(ctx); len(pools) != 2 || pools[0].ID() != "lab/cpu" {
			t.Errorf("pools %+v", pools)
		}
		if err := r.loop.RemoveSite(ctx, "lab"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.loop.SitePools(ctx, "lab"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a removed site: %v", err)
		}
		if c.engines["lab"].closed != 4 { // two looks, one dry; the one that was in use
			t.Errorf("closed %d times", c.engines["lab"].closed)
		}
		if err := r.loop.RemoveSite(ctx, "local"); !fault.Is(err, fault.Conflict) {
			t.Errorf("removing local: %v", err)
		}
	})
}

func TestASiteThatIsAwayStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Minute}))
		c := r.withClusters()
		ctx := context.Background()
		c.fails = fault.New(fault.Transient, "no route to host")
		_, _, err := r.loop.AddSite(ctx, "lab.yaml", []byte(labFile), false)
		if !fault.Is(err, fault.Transient) || !strings.Contains(err.Error(), "nothing was added") || len(r.loop.Sites.List()) != 1 {
			t.Errorf("added while away: %v", err)
		}
		c.fails = nil
		r.addLab()
		c.fails = fault.New(fault.Transient, "no route to host")
		r.reload(c)
		run := r.submit("")
		r.pass(5 * time.Second)
		if got, attempts := r.run(run.ID); got.State != fleet.Running || attempts[0].Site != "local" {
			t.Fatalf("%+v", got)
		}
		if _, err := r.loop.SitePools(ctx, "lab"); !errors.Is(err, c.fails) {
			t.Errorf("its fault: %v", err)
		}
		if c.opened > 4 {
			t.Errorf("opened %d times in 5 seconds", c.opened)
		}
		c.fails = nil
		r.pass(2 * time.Minute)
		if pools := r.loop.Pools(ctx); len(pools) != 2 || pools[0].Fault != "" {
			t.Errorf("it is back: %+v", pools)
		}
		r.verify()
	})
}

// While one site hangs, runs start and end elsewhere at their usual pace; when
// it answers again, what happened there meanwhile is booked.
func TestASiteThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, always(script{takes: 10 * time.Second}))
		c := r.withClusters()
		r.addLab()
		there := r.submit("there")
		r.pass(10 * time.Second)
		if _, attempts := r.run(there.ID); len(attempts) != 1 || attempts[0].State != fleet.AttemptRunning {
			t.Fatalf("%+v", attempts)
		}
		c.engines["lab"].hangs.Store(true)
		r.engine.nodes = 1
		time.Sleep(2 * time.Minute)
		here := r.submit("here")
		asked := r.now()
		r.pass(time.Minute)
		got, attempts := r.run(here.ID)
		if got.State != fleet.Succeeded || attempts[0].Started.Sub(asked) > 5*time.Second || got.Ended.Sub(asked) > 20*time.Second {
			t.Errorf("asked at %s: %+v %+v", asked, got, attempts)
		}
		c.engines["lab"].hangs.Store(false)
		r.pass(2 * time.Hour)
		if got, _ := r.run(there.ID); got.State != fleet.Succeeded {
			t.Errorf("%+v", got)
		}
		r.verify()
	})
}

// A pool that could be seen before is no place to start while it cannot be.
func TestNoRunStartsOnASiteThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, always(script{}))
		c := r.withClusters()
		r.addLab()
		submit := func() error {
			_, err := r.loop.Submit(context.Background(), Request{File: "job.yaml", Content: []byte(file)})
			return err
		}
		c.engines["lab"].faults["pools"] = fault.New(fault.Transient, "timed out")
		if err := submit(); !fault.Is(err, fault.NoCapacity) || !strings.Contains(err.Error(), "site lab cannot be reached now: timed out") {
			t.Errorf("never seen: %v", err)
		}
		delete(c.engines["lab"].faults, "pools")
		time.Sleep(2 * time.Minute)
		if pools := r.loop.Pools(context.Background()); len(pools) != 2 {
			t.Fatalf("%+v", pools)
		}
		c.engines["lab"].faults["pools"] = fault.New(fault.Transient, "timed out")
		time.Sleep(2 * time.Minute)
		if err := submit(); !fault.Is(err, fault.NoCapacity) || !strings.Contains(err.Error(), "lab/cpu cannot be reached now: timed out") {
			t.Errorf("%v", err)
		}
	})
}

func TestRunsKeepTheirSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, always(script{}))
		r.withClusters()
		ctx := context.Background()
		r.addLab()
		run := r.submit("")
		r.pass(5 * time.Second)
		if got, attempts := r.run(run.ID); got.State != fleet.Running || attempts[0].Site != "lab" || attempts[0].Rate.Decimal() != "7" {
			t.Fatalf("%+v %+v", got, attempts)
		}
		if err := r.loop.RemoveSite(ctx, "lab"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), run.ID) {
			t.Errorf("removed with a live run: %v", err)
		}
		elsewhere := strings.Replace(labFile, "/shared/yard", "/elsewhere", 1)
		if _, _, err := r.loop.AddSite(ctx, "lab.yaml", []byte(elsewhere), false); !fault.Is(err, fault.Conflict) {
			t.Errorf("another cluster under a live run: %v", err)
		}
		dearer := strings.Replace(labFile, "$7", "$8", 1)
		if _, _, err := r.loop.AddSite(ctx, "lab.yaml", []byte(dearer), false); err != nil {
			t.Errorf("another price: %v", err)
		}
		if pools, err := r.loop.SitePools(ctx, "lab"); err != nil || pools[0].Rate.Decimal() != "8" {
			t.Errorf("%+v %v", pools, err)
		}
		r.pass(time.Hour)
		if got, _ := r.run(run.ID); got.State != fleet.Succeeded {
			t.Errorf("%+v", got)
		}
		r.verify()
		if err := r.loop.RemoveSite(ctx, "lab"); err != nil || len(r.store.state.sites) != 1 {
			t.Errorf("%v %v", err, r.store.state.sites)
		}
	})
}

func TestADrainingSiteTakesNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Minute}))
		c := r.withClusters()
		ctx := context.Background()
		if _, err := r.loop.DrainSite(ctx, "local", true); err != nil {
			t.Fatal(err)
		}
		r.reload(c)
		run := r.submit("")
		r.pass(10 * time.Second)
		if got, attempts := r.run(run.ID); got.State != fleet.Queued || len(attempts) != 0 {
			t.Fatalf("%+v", got)
		}
		queue, err := r.loop.Queue(ctx)
		if err != nil || len(queue) != 1 || !strings.Contains(strings.Join(queue[0].Reasons, "; "), "site local drains") {
			t.Errorf("%+v %v", queue, err)
		}
		if _, err := r.loop.DrainSite(ctx, "local", false); err != nil {
			t.Fatal(err)
		}
		r.pass(2 * time.Minute)
		if got, _ := r.run(run.ID); got.State != fleet.Succeeded {
			t.Errorf("%+v", got)
		}
		if _, err := r.loop.DrainSite(ctx, "moon", true); !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
}

// A run that no other place can take stops when its site drains, keeps what it
// has done and goes on when the site takes runs again.
func TestADrainedSiteIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, always(script{takes: time.Hour, checkpoint: 5}))
		r.withClusters()
		ctx := context.Background()
		r.addLab()
		run := r.submit("")
		r.pass(5 * time.Second)
		if _, err := r.loop.DrainSite(ctx, "lab", true); err != nil {
			t.Fatal(err)
		}
		r.pass(5 * time.Second)
		got, attempts := r.run(run.ID)
		if got.State != fleet.Queued || got.Failures != 0 || attempts[0].State != fleet.AttemptStopped || !strings.HasPrefix(got.Reason, "drained by its site") {
			t.Fatalf("%+v %+v", got, attempts)
		}
		if err := r.loop.RemoveSite(ctx, "lab"); err != nil {
			t.Errorf("a drained site: %v", err)
		}
		r.addLab()
		r.pass(2 * time.Hour)
		if got, attempts := r.run(run.ID); got.State != fleet.Succeeded || len(attempts) != 2 {
			t.Errorf("%+v %+v", got, attempts)
		}
		r.verify()
	})
}

// An unreadable stored file, of a version that knew more, is a fault of the
// site and of nothing else.
func TestAStoredFileThatCannotBeRead(t *testing.T) {
	r := &rig{t: t, store: newMemStore()}
	r.engine = newFakeEngine(r.now, 1, always(script{}))
	r.store.state.sites["odd"] = fleet.Site{Name: "odd", Engine: "slurm", Spec: []byte("kind: Site\nnew: 1\n"), SpecFile: "odd.yaml"}
	c := r.withClusters()
	if _, err := r.loop.SitePools(context.Background(), "odd"); !fault.Is(err, fault.Invalid) || c.opened != 0 {
		t.Errorf("%v", err)
	}
	if pools := r.loop.Pools(context.Background()); len(pools) != 1 {
		t.Errorf("%+v", pools)
	}
}

func TestGangsForClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, always(script{}))
		r.withClusters()
		r.addLab()
		content := `kind: Training
name: job
model: {preset: gpt2}
tokens: 1B
sequence_length: 1024
global_batch: 8
priority: 7
checkpoint: {keep: 4}
data: [{name: corpus, uri: /data/corpus}]
variants:
  cpu:
    command: [train]
    ranks: 3
    cores: 2
    memory: 4GiB
    env: {A: own, OWN: mine}
    secrets: [{name: B, from: hub/b}]
    mounts: [{path: /scratch, from: /scratch}]
    checkpoint: {reads: [npz, old], writes: npz, sharded: true}
`
		run, err := r.loop.Submit(context.Background(), Request{File: "job.yaml", Content: []byte(content)})
		if err != nil {
			t.Fatal(err)
		}
		r.pass(5 * time.Second)
		_, attempts := r.run(run.ID)
		pool, err := r.loop.pool(context.Background(), "lab/cpu")
		if err != nil || len(attempts) != 1 {
			t.Fatal(err, attempts)
		}
		gang, err := r.loop.gang(run, attempts[0], pool)
		if err != nil {
			t.Fatal(err)
		}
		if gang.Family != "cpu" || gang.Chips != 0 || gang.Cores != 6 || gang.Memory != 12<<30 || gang.Priority != 7 || gang.CacheKey != "gpt2-124m-cpu" {
			t.Errorf("sizes: %+v", gang)
		}
		want := engine.Checkpoint{URL: "file:///shared/ckpt/" + run.ID + "?create_dir=1", Epoch: 1, Keep: 4, Format: "npz", Reads: []string{"npz", "old"}, Sharded: true}
		if got := *gang.Checkpoint; got.URL != want.URL || got.Epoch != 1 || got.Keep != 4 || got.Format != "npz" || len(got.Reads) != 2 || !got.Sharded {
			t.Errorf("checkpoint %+v, want %+v", got, want)
		}
		for name, value := range map[string]string{"A": "own", "OWN": "mine", "TOKEN": "site", "B": "", "KEY": "", "YARD_CHECKPOINT_DIR": "", "YARD_RUN": run.ID} {
			if gang.Env[name] != value {
				t.Errorf("%s is %q, want %q", name, gang.Env[name], value)
			}
		}
		if len(gang.Secrets) != 0 || len(gang.SecretRefs) != 2 || gang.SecretRefs["B"] != "hub/b" || gang.SecretRefs["KEY"] != "store/key" {
			t.Errorf("secrets %v, references %v", gang.Secrets, gang.SecretRefs)
		}
		if len(gang.Mounts) != 1 || gang.Mounts[0].From != "/scratch" {
			t.Errorf("mounts %v", gang.Mounts)
		}
	})
}
