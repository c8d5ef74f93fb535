package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/daemon"
)

// handover is how long a background yard waits for the process that started it
// to release the state directory.
const handover = 30 * time.Second

// lastCommand is how long yard up waits for a command that is just ending.
const lastCommand = 3 * time.Second

func (a *app) upCommand() *cobra.Command {
	var background bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Serve the control plane over HTTP and a unix socket, until it is stopped",
		Long: `Serve the control plane of the state directory: over HTTP, for those who have
its token, and on a unix socket, for this user. SIGTERM or Ctrl-C ends it; runs
go on and are found again by the next yard.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), background) },
	}
	f := cmd.Flags()
	f.StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	f.StringVar(&a.flags.Listen, "listen", "", "address to listen on (default $YARD_LISTEN or 127.0.0.1:7700)")
	f.StringVar(&a.flags.LocalRate, "local-rate", "", "what an hour of this machine costs, in USD (default $YARD_LOCAL_RATE, or imputed)")
	f.BoolVar(&background, "background", false, "unix socket only; end when no run is left")
	cobra.CheckErr(f.MarkHidden("background"))
	return cmd
}

// relieve asks a background yard to give way to a server; its runs go on. The
// lock tells whether it did.
func relieve(ctx context.Context, stateDir string) {
	holder := daemon.ReadHolder(stateDir)
	c := client.NewUnix(daemon.SocketPath(stateDir))
	defer c.Close()
	health, err := c.Health(ctx)
	if err != nil || !holder.Background || health.PID != holder.PID {
		return
	}
	if process, err := os.FindProcess(holder.PID); err == nil {
		_ = process.Signal(syscall.SIGTERM) // gone already, if this fails
	}
}

func (a *app) up(ctx context.Context, background bool) error {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	options := daemon.Options{
		Config: c, Version: version(), TCP: !background,
		Log: slog.New(slog.NewTextHandler(a.stderr, nil)), LockWait: lastCommand, Background: background,
	}
	if background {
		options.LockWait = handover
	}
	if !background {
		relieve(ctx, c.StateDir)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	d, err := daemon.Start(ctx, options)
	if err != nil {
		return err
	}
	if background {
		d.AwaitIdle(ctx)
	} else {
		_, _ = fmt.Fprintf(a.stdout, "serving %s and %s; the token is in %s\n", d.Address(),
			daemon.SocketPath(c.StateDir), filepath.Join(c.StateDir, "token"))
		<-ctx.Done()
	}
	return d.Stop()
}
