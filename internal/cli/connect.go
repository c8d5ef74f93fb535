package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/daemon"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

const (
	// socketTimeout bounds the first question to a socket: whoever listens
	// there answers at once or is dead.
	socketTimeout = 2 * time.Second
	// holderPatience is how long a holder of the state directory may take
	// until its socket answers: it may be starting, or handing over.
	holderPatience = 8 * time.Second
	connectEvery   = 50 * time.Millisecond
	sayAfter       = 2 * time.Second // what takes longer says so
)

// plane is the connection to a control plane: one elsewhere, that of another
// process, or one embedded in this process.
type plane struct {
	*client.Client
	mu       sync.Mutex // guards the client and embedded while a run is followed
	app      *app
	config   config.Config
	embedded *daemon.Daemon // nil where the control plane is not in this process
}

// planeFlags gives a command that talks to a control plane its flags.
func (a *app) planeFlags(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	f.StringVar(&a.flags.Server, "server", "", "address of a yard up elsewhere (default $YARD_SERVER)")
	f.StringVar(&a.flags.Token, "token", "", "bearer token of that server (default $YARD_TOKEN)")
	f.StringVar(&a.flags.LocalRate, "local-rate", "", "what an hour of this machine costs, in USD (default $YARD_LOCAL_RATE, or imputed)")
	return cmd
}

// connect finds the control plane: the named server, else the one that has the
// state directory, else a new one in this process.
func (a *app) connect(ctx context.Context) (*plane, error) {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return nil, err
	}
	p := &plane{app: a, config: c}
	if c.Server != "" {
		p.Client, err = client.New(c.Server, tokenFor(c))
		return p, err
	}
	return p, p.join(ctx)
}

// tokenFor is the token that was given, or for a server on this machine the
// one in the state directory: it is never sent elsewhere unasked.
func tokenFor(c config.Config) string {
	if c.Token != "" {
		return c.Token
	}
	u, err := url.Parse(c.Server)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback()) {
		return daemon.ReadToken(c.StateDir)
	}
	return ""
}

// join becomes the client of whoever has the state directory, or takes it.
func (p *plane) join(ctx context.Context) error {
	begun, said := time.Now(), false
	for {
		c := client.NewUnix(daemon.SocketPath(p.config.StateDir))
		if answers(ctx, c) {
			p.Client = c
			return nil
		}
		d, err := daemon.Start(ctx, daemon.Options{Config: p.config, Log: p.app.embeddedLog(), Version: version()})
		if err == nil {
			p.Client, p.embedded = c, d
			return nil
		}
		if !daemon.IsHeld(err) || time.Since(begun) > holderPatience {
			return err
		}
		if !said && time.Since(begun) > sayAfter {
			said = true
			_, _ = fmt.Fprintf(p.app.stderr, "waiting: %s\n", err) // progress only
		}
		if !sleep(ctx, connectEvery) {
			return ctx.Err()
		}
	}
}

func answers(ctx context.Context, c *client.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()
	_, err := c.Health(ctx)
	return err == nil
}

// reconnectFor is how long a follower looks for a control plane that stopped
// answering: its process may have ended or been killed.
const reconnectFor = 30 * time.Second

// try makes a request of a follower. Where the control plane does not answer
// it finds the one that has taken over, or becomes it, and asks again. It is
// safe for concurrent use.
func (p *plane) try(ctx context.Context, request func(*client.Client) error) error {
	deadline := time.Now().Add(reconnectFor)
	for {
		p.mu.Lock()
		c := p.Client
		p.mu.Unlock()
		err := request(c)
		if !client.Unreachable(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		if err := p.rejoin(ctx, c); err != nil {
			return err
		}
		if !sleep(ctx, connectEvery) {
			return ctx.Err()
		}
	}
}

// rejoin replaces a client whose control plane is gone, unless another
// goroutine has done so already.
func (p *plane) rejoin(ctx context.Context, gone *client.Client) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Client != gone || p.config.Server != "" || p.embedded != nil {
		return nil
	}
	gone.Close()
	return p.join(ctx)
}

// close leaves the control plane. One embedded in this process hands runs that
// are not over to a background yard.
func (p *plane) close(ctx context.Context) error {
	p.Client.Close()
	if p.embedded == nil {
		return nil
	}
	live, err := p.embedded.Live(ctx)
	if err != nil || live == 0 {
		return p.embedded.Stop()
	}
	pid, err := daemon.Background(p.config)
	if stopErr := p.embedded.Stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return err
	}
	p.embedded = nil
	_, _ = fmt.Fprintf(p.app.stderr, "%s; a background yard (pid %d) goes on with it\n", plural(live, "run is live", "runs are live"), pid)
	return p.awaitSocket(ctx)
}

// awaitSocket waits until the successor answers, so that the next command
// finds it.
func (p *plane) awaitSocket(ctx context.Context) error {
	c := client.NewUnix(daemon.SocketPath(p.config.StateDir))
	defer c.Close()
	for deadline := time.Now().Add(holderPatience); time.Now().Before(deadline); {
		if answers(ctx, c) {
			return nil
		}
		if !sleep(ctx, connectEvery) {
			return ctx.Err()
		}
	}
	return fault.Newf(fault.Transient, "the background yard does not answer; see %s in %s", daemon.BackgroundLog, p.config.StateDir)
}

// handovers is how often a command starts anew because the control plane that
// it found was just leaving.
const handovers = 3

// with runs a command against a control plane and leaves it afterwards. What
// do does may be repeated: where the process that embeds the control plane
// ends under it, it is asked again of the next.
func (a *app) with(ctx context.Context, do func(*plane) error) error {
	p, err := a.connect(ctx)
	if err != nil {
		return err
	}
	err = do(p)
	for range handovers {
		if !client.Unreachable(err) || p.config.Server != "" || p.embedded != nil {
			break
		}
		if err = p.rejoin(ctx, p.Client); err == nil {
			err = do(p)
		}
	}
	if closeErr := p.close(context.WithoutCancel(ctx)); err == nil {
		err = closeErr
	}
	return err
}

// embeddedLog says surprises of an embedded control plane, and not its steps.
func (a *app) embeddedLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// sleep waits and reports whether ctx still holds.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
