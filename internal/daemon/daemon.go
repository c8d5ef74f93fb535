package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/server"
	"github.com/switchyard-ai/switchyard/internal/settle"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Options is how a daemon is started.
type Options struct {
	Config   config.Config
	Log      *slog.Logger
	Version  string
	TCP      bool          // listen on Config.Listen too, with a token
	LockWait time.Duration // how long to wait for another holder of the state directory

	Background bool // came to be by itself, and gives way
}

// Daemon is a running control plane of one state directory.
type Daemon struct {
	options  Options
	lock     *flock.Flock
	store    store.Store
	sites    *reconcile.Sites
	loop     *reconcile.Loop
	settler  *settle.Settler
	server   *http.Server
	token    string
	address  string
	cancel   context.CancelFunc
	running  sync.WaitGroup
	stopOnce sync.Once
	stopErr  error
	touched  atomic.Int64 // monotonic nanoseconds since began, of the last request
	began    time.Time
}

const (
	sweepEvery = 30 * time.Second
	poolsEvery = 10 * time.Second
	// settleEvery is how often the ledger is looked at for hours that are over;
	// who reads it bills it first.
	settleEvery = time.Minute
	// readHeader bounds how long a caller may take to send a request's header.
	readHeader = 10 * time.Second
	// lastRequests is how long requests under way may take when the daemon stops.
	lastRequests = 2 * time.Second
)

// Start takes the state directory, opens the store, and returns when the
// control plane answers on its socket. Another holder is fault.Conflict, as is
// a state of a newer version.
func Start(ctx context.Context, options Options) (*Daemon, error) {
	dir := options.Config.StateDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "making the state directory")
	}
	d := &Daemon{options: options, began: time.Now()}
	holder := Holder{PID: os.Getpid(), Command: strings.Join(os.Args, " "), Since: clock.System(), Background: options.Background}
	var err error
	if d.lock, err = lock(ctx, dir, options.LockWait, holder); err != nil {
		return nil, err
	}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

// open builds everything above the lock.
func (d *Daemon) open(ctx context.Context) error {
	dir := d.options.Config.StateDir
	var err error
	if d.store, err = openStore(ctx, dir); err != nil {
		return err
	}
	here, err := openLocal(dir)
	if err != nil {
		return err
	}
	offers, err := catalog.Load()
	if err != nil {
		return err
	}
	open := func(s *site.Site) (engine.Engine, error) { return openSite(s, offers, d.options.Log) }
	d.sites = reconcile.NewSites(reconcile.SitesOptions{Store: d.store, Local: here, Open: open, Log: d.options.Log})
	if err := d.sites.Load(ctx); err != nil {
		return err
	}
	market := marketIn(offers)
	metrics := server.NewMetrics(d.store)
	checkpoints := func(run string) string { return filepath.Join(dir, "checkpoints", run) }
	d.loop = reconcile.New(reconcile.Options{
		Store: d.store, Sites: d.sites, Clock: clock.System, Log: d.options.Log,
		Policy: d.policy(), Parse: d.parse, Secret: secretsIn(filepath.Join(dir, "secrets")),
		Price: pricer(d.options.Config.LocalRate, offers), Random: random, Checkpoints: checkpoints, CheckpointStore: d.options.Config.Checkpoints,
		Merit: meritIn(market), Budgets: d.options.Config.Budgets,
		Bills: func(ctx context.Context, known string) ([]*billing.Book, string, error) {
			return d.settler.Books(ctx, known)
		},
		Interval: d.options.Config.Interval, SweepEvery: sweepEvery, PoolsEvery: poolsEvery,
		Crash: crasher(os.Getenv(crashVariable)), Passed: metrics.Passed, Copy: copier(d.options.Log),
	})
	market.Measured = d.loop.Measured
	d.settler = settle.New(settle.Options{
		Store: d.store, Clock: clock.System, Log: d.options.Log, Contracts: d.options.Config.Contracts, Every: settleEvery,
		Settled: d.loop.Recount, Crash: crasher(os.Getenv(crashVariable)),
	})
	return d.serve(server.Services{
		Store: d.store, Loop: d.loop, Sites: d.sites, Clock: clock.System, Log: d.options.Log,
		Checkpoints: checkpoints, Version: d.options.Version, PID: os.Getpid(), Metrics: metrics.Handler(), Touched: d.touch,
		Quote: d.quote(market), Settle: d.settler.Refresh, Audit: d.settler.Audit, InForce: d.inForce(),
	})
}

// inForce is the files of contracts and budgets in the state directory.
func (d *Daemon) inForce() server.InForce {
	c := d.options.Config
	return server.InForce{
		Contracts: c.ContractTexts, RemoveContract: c.RemoveContract, RemoveBudget: c.RemoveBudget, BillFault: d.settler.Fault,
		AddContracts: func(files []spec.Text) error {
			_, err := c.AddContracts(files)
			return err
		},
		AddBudgets: func(files []spec.Text) error {
			_, err := c.AddBudgets(files)
			return err
		},
		BudgetFault: func() error {
			_, err := c.Budgets()
			return err
		},
	}
}

// parse reads a workload with the models that are saved now.
func (d *Daemon) parse(file string, data []byte, now time.Time) (*workload.Workload, error) {
	models, err := d.options.Config.Models()
	if err != nil {
		return nil, err
	}
	return workload.ParseWith(file, data, now, models)
}

func (d *Daemon) policy() reconcile.Policy {
	policy := reconcile.DefaultPolicy()
	c := d.options.Config
	policy.Moves.PerDay = c.Moves
	policy.Restarts, policy.Grace, policy.LogCap, policy.Retention = c.Restarts, c.Grace, c.LogCap, c.Retention
	return policy
}

// serve listens and starts the loop.
func (d *Daemon) serve(services server.Services) error {
	socket, err := listenUnix(d.options.Config.StateDir)
	if err != nil {
		return err
	}
	handler := server.New(services)
	type face struct {
		listener net.Listener
		handler  http.Handler
	}
	faces := []face{{socket, handler}}
	if d.options.TCP {
		listener, err := d.listenTCP()
		if err != nil {
			return errors.Join(err, socket.Close())
		}
		faces = append(faces, face{listener, server.RequireToken(d.token, handler)})
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.touch()
	mux := map[net.Listener]http.Handler{}
	for _, f := range faces {
		mux[f.listener] = f.handler
	}
	d.server = &http.Server{
		ReadHeaderTimeout: readHeader,
		BaseContext:       func(l net.Listener) context.Context { return context.WithValue(ctx, faceKey{}, mux[l]) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Value(faceKey{}).(http.Handler).ServeHTTP(w, r)
		}),
		ErrorLog: slog.NewLogLogger(d.options.Log.Handler(), slog.LevelWarn),
	}
	for _, f := range faces {
		d.running.Go(func() {
			if err := d.server.Serve(f.listener); !errors.Is(err, http.ErrServerClosed) {
				d.options.Log.Error("listener ended", "address", f.listener.Addr(), "error", err)
			}
		})
	}
	d.running.Go(func() { d.loop.Run(ctx) })
	d.running.Go(func() { d.settler.Run(ctx) })
	return nil
}

// faceKey finds the handler of the listener that a connection came from.
type faceKey struct{}

func (d *Daemon) listenTCP() (net.Listener, error) {
	var err error
	if d.token, err = ensureToken(d.options.Config.StateDir); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", d.options.Config.Listen)
	if err != nil {
		return nil, fault.Wrap(fault.Conflict, err, "listening")
	}
	d.address = fmt.Sprintf("http://%s", listener.Addr())
	return listener, nil
}

// Address is the URL that the daemon serves over TCP, "" where it does not.
func (d *Daemon) Address() string { return d.address }

func (d *Daemon) touch() { d.touched.Store(int64(time.Since(d.began))) }

// Live counts the runs that are not over.
func (d *Daemon) Live(ctx context.Context) (int, error) {
	count := 0
	err := d.store.View(ctx, func(tx store.Tx) error {
		runs, err := tx.Runs(store.RunFilter{Live: true})
		count = len(runs)
		return err
	})
	return count, err
}

// idleEvery is how often an idle daemon looks whether it may end.
const idleEvery = time.Second

// AwaitIdle returns when no run is live and nobody has asked anything for the
// configured time, when the state directory is gone, or when ctx ends.
func (d *Daemon) AwaitIdle(ctx context.Context) {
	ticker := time.NewTicker(min(idleEvery, d.options.Config.Idle))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := os.Stat(d.options.Config.StateDir); errors.Is(err, fs.ErrNotExist) {
			d.options.Log.Error("the state directory is gone: nobody can reach this yard any more", "dir", d.options.Config.StateDir)
			return
		}
		quiet := time.Since(d.began) - time.Duration(d.touched.Load())
		if live, err := d.Live(ctx); err == nil && live > 0 {
			d.touch()
		} else if err == nil && quiet > d.options.Config.Idle {
			return
		}
	}
}

// Stop ends the loop and the server, lets requests under way end for a moment,
// and releases the state directory. Ranks go on under their shims. A second
// Stop is harmless.
func (d *Daemon) Stop() error {
	d.stopOnce.Do(func() {
		d.cancel()
		ctx, done := context.WithTimeout(context.Background(), lastRequests)
		defer done()
		if err := d.server.Shutdown(ctx); err != nil {
			_ = d.server.Close() // the followers of a log do not end by themselves
		}
		d.running.Wait()
		d.stopErr = d.release()
	})
	return d.stopErr
}

func (d *Daemon) release() error {
	var err error
	if d.sites != nil {
		err = d.sites.Close()
	}
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	return errors.Join(err, d.lock.Unlock())
}
