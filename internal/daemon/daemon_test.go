package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/store/sqlite"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// TestMain lets the test binary be the shim that the local engine starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == shimSubcommand && os.Args[2] == "--dir" {
		if err := Shim(os.Args[3], os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func startDaemon(t testing.TB, dir string) *Daemon {
	t.Helper()
	c, err := config.Load(config.Flags{StateDir: dir}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	d, err := Start(context.Background(), Options{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestOneDaemonHoldsAStateDirectory(t *testing.T) {
	dir := t.TempDir()
	d := startDaemon(t, dir)
	_, err := Start(context.Background(), d.options)
	if !IsHeld(err) || !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), fmt.Sprintf("yard with pid %d since", os.Getpid())) {
		t.Fatalf("a second daemon: %v", err)
	}
	c := client.NewUnix(SocketPath(dir))
	if health, err := c.Health(context.Background()); err != nil || health.PID != os.Getpid() {
		t.Fatalf("health: %+v %v", health, err)
	}
	for range 2 {
		if err := d.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Health(context.Background()); !client.Unreachable(err) {
		t.Errorf("a stopped daemon: %v", err)
	}
	startDaemon(t, dir)
}

func TestSocketPathsFitEverySystem(t *testing.T) {
	for _, dir := range []string{"/s", "/" + strings.Repeat("deep/", 60)} {
		if path := SocketPath(dir); len(path) > maxSocketPath {
			t.Errorf("the socket of %s has %d bytes", dir, len(path))
		}
	}
	if SocketPath("/a"+strings.Repeat("x", 200)) == SocketPath("/b"+strings.Repeat("x", 200)) {
		t.Error("two state directories share a socket")
	}
	shared := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := ownDirectory(shared); !fault.Is(err, fault.Conflict) {
		t.Errorf("a directory that others can enter: %v", err)
	}
}

func TestTheTokenIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := ensureToken(dir)
	if err != nil || len(first) < 32 {
		t.Fatalf("%q %v", first, err)
	}
	if again, err := ensureToken(dir); err != nil || again != first {
		t.Errorf("%q %v, want %q", again, err, first)
	}
	info, err := os.Stat(filepath.Join(dir, tokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestSecretsAreFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "hub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hub", "token"), []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := secretsIn(dir)
	if got, err := read("hub/token"); err != nil || got != "abc" {
		t.Errorf("%q %v", got, err)
	}
	for _, name := range []string{"hub/none", "../outside", "/etc/passwd"} {
		if _, err := read(name); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestThisMachineIsPriced(t *testing.T) {
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	own := units.MustRate("0.5", units.USD)
	host := fleet.Pool{Provider: "local", Family: "cpu", Chip: "cpu", ChipsPerNode: 1, Cores: 2}
	if got := pricer(&own, offers)(host, nil); got.Imputed || got.Rate.Cmp(own) != 0 {
		t.Errorf("own price: %+v", got)
	}
	two := pricer(nil, offers)(host, nil)
	host.Cores = 3
	three := pricer(nil, offers)(host, nil)
	if !two.Imputed || two.Rate.Sign() <= 0 || three.Rate.Cmp(two.Rate) <= 0 || !strings.Contains(three.RateSource, "3 of 4 vCPUs") {
		t.Errorf("imputed prices: %s from %s, %s from %s", two.Rate, two.RateSource, three.Rate, three.RateSource)
	}
	gpu := pricer(nil, offers)(fleet.Pool{Provider: "local", Family: "cuda", Chip: "H100", ChipsPerNode: 4}, nil)
	if gpu.Rate.Cmp(units.MustRate("4", units.USD)) < 0 || !gpu.Imputed {
		t.Errorf("four H100: %s from %s", gpu.Rate, gpu.RateSource)
	}
	if odd := pricer(nil, offers)(fleet.Pool{Provider: "local", Family: "cuda", Chip: "nothing"}, nil); !strings.Contains(odd.RateSource, "set local_rate") {
		t.Errorf("an unknown chip: %+v", odd)
	}
}

// BenchmarkStartLatency is the time from submitting a run until its rank has
// begun and that is known, all of it: HTTP, validation, placement, durable
// transactions, the shim. The metric ends when the rank began.
func BenchmarkStartLatency(b *testing.B) {
	dir := b.TempDir()
	startDaemon(b, dir)
	c := client.NewUnix(SocketPath(dir))
	ctx := context.Background()
	const file = "kind: Training\nname: bench\nvariants:\n  cpu:\n    command: [\"true\"]\n"
	var total time.Duration
	b.ResetTimer()
	for i := range b.N {
		run, err := c.Submit(ctx, v1.Submission{Key: fmt.Sprint(i), File: "bench.yaml", Content: file, Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		for run.Started.IsZero() {
			if run, err = c.Run(ctx, run.ID); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		total += run.Started.Sub(run.Submitted)
		for run.Ended.IsZero() { // the pool is free again for the next
			if run, err = c.Run(ctx, run.ID); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
	b.ReportMetric(total.Seconds()*1000/float64(b.N), "ms-to-first-rank")
}

// steady is an engine whose gangs all run.
type steady struct {
	engine.Engine
	status engine.Status
}

func (s steady) Observe(context.Context, string) (engine.Status, error) { return s.status, nil }
func (s steady) List(context.Context) ([]string, error)                 { return nil, nil }
func (s steady) Pools(context.Context) ([]fleet.Pool, error)            { return nil, nil }

// BenchmarkTick is one pass over live attempts that go on, beside ten thousand
// runs that have ended.
func BenchmarkTick(b *testing.B) {
	for _, live := range []int{10, 1000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			ctx := context.Background()
			state, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "state.db"))
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now().UTC().Truncate(time.Hour)
			fill(b, state, live, 10_000, now)
			loop := reconcile.New(reconcile.Options{
				Store: state, Clock: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
				Sites: reconcile.NewSites(reconcile.SitesOptions{
					Store: state, Local: steady{status: engine.Status{State: engine.Running, Started: now}},
				}),
				Policy: reconcile.DefaultPolicy(), Parse: workload.Parse,
				Price: func(p fleet.Pool, _ *site.Site) fleet.Pool { return p }, Checkpoints: func(string) string { return "" },
				SweepEvery: time.Hour, PoolsEvery: time.Hour,
			})
			for b.Loop() {
				if err := loop.Tick(ctx); err != nil {
					b.Fatal(err)
				}
			}
			if err := state.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func fill(b *testing.B, state store.Store, live, ended int, now time.Time) {
	b.Helper()
	err := state.Update(context.Background(), func(tx store.Tx) error {
		for i := range live + ended {
			run := fleet.Run{
				ID: fmt.Sprintf("run-%d", i), Name: "run", Project: "p", State: fleet.Succeeded, Submitted: now,
				Spec: []byte("kind: Training\nname: run\nvariants:\n  cpu:\n    command: [x]\n"), SpecFile: "run.yaml",
			}
			attempt := fleet.Attempt{
				Run: run.ID, Number: 1, Epoch: 1, Site: "local", Pool: "local/cpu", Nodes: 1, Ranks: 1, State: fleet.AttemptSucceeded,
				Created: now, Started: now, Ended: now, Metered: now, Rate: units.MustRate("1", units.USD),
			}
			if i < live {
				run.State, attempt.State, attempt.Ended = fleet.Running, fleet.AttemptRunning, time.Time{}
			}
			if err := tx.PutRun(run); err != nil {
				return err
			}
			if err := tx.PutAttempt(attempt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// TestABackgroundDaemonEndsWithItsStateDirectory holds a daemon that waits for
// work to end to what else ends it: nobody can reach it without its socket.
func TestABackgroundDaemonEndsWithItsStateDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := startDaemon(t, dir)
	d.options.Config.Idle = time.Hour
	if err := os.Rename(dir, dir+"-elsewhere"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if d.AwaitIdle(ctx); ctx.Err() != nil {
		t.Error("it goes on")
	}
}
