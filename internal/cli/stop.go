package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

func (a *app) stopCommand() *cobra.Command {
	var grace graceFlag
	cmd := &cobra.Command{
		Use:   "stop RUN",
		Short: "Stop a run: SIGTERM to every rank, and after a grace SIGKILL",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			wait := time.Duration(-1) // the server's own
			if grace.set {
				wait = grace.value
			}
			return a.with(ctx, func(p *plane) error { return a.stop(ctx, p, args[0], wait) })
		},
	}
	cmd.Flags().Var(&grace, "grace", "time between SIGTERM and SIGKILL, such as 30s (default: the server's)")
	return a.planeFlags(cmd)
}

// stop asks and then waits until the run is over, saying so where it takes a while.
func (a *app) stop(ctx context.Context, p *plane, id string, grace time.Duration) error {
	run, err := p.Stop(ctx, id, grace)
	if err != nil {
		return err
	}
	asked, said := time.Now(), false
	for !fleet.RunState(run.State).Final() {
		const patience = 2 * time.Second
		if !said && time.Since(asked) > patience {
			said = true
			_, _ = fmt.Fprintf(a.stderr, "waiting for the ranks of %s to end\n", id) // progress only
		}
		if !sleep(ctx, followEvery) {
			return ctx.Err()
		}
		err := p.try(ctx, func(c *client.Client) error {
			var err error
			run, err = c.Run(ctx, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return a.stopped(run)
}

func (a *app) stopped(run v1.RunDetail) error {
	_, err := fmt.Fprintf(a.stdout, "%s is %s · cost %s (yard ledger %s)\n", run.ID, run.State, showMoney(run.Cost), run.ID)
	return err
}

// graceFlag is a duration of the command line, whole seconds.
type graceFlag struct {
	value time.Duration
	set   bool
}

func (g *graceFlag) String() string { return "" }

// Type names the flag's value in help.
func (g *graceFlag) Type() string { return "duration" }

// Set reads a duration such as 30s.
func (g *graceFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fault.Newf(fault.Invalid, "found %q; a time such as 30s or 2m is needed", text)
	}
	g.value, g.set = d, true
	return nil
}
