package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	var at client.LogPosition
	cmd := &cobra.Command{
		Use:   "logs RUN",
		Short: "Print the log of a run's rank",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if at.Rank < 0 || at.Attempt < 0 {
				return fault.New(fault.Invalid, "ranks count from 0 and attempts from 1")
			}
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.logs(ctx, p, args[0], at, follow) })
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on until the run is over")
	f.IntVar(&at.Rank, "rank", 0, "the rank, from 0")
	f.IntVar(&at.Attempt, "attempt", 0, "the attempt, from 1 (default: the last; with -f: that and later ones)")
	return a.planeFlags(cmd)
}

func (a *app) logs(ctx context.Context, p *plane, id string, at client.LogPosition, follow bool) error {
	write := func(_ int, text []byte) error {
		_, err := a.stdout.Write(text)
		return err
	}
	if follow {
		return p.readLog(ctx, id, at, at.Attempt == 0, write)
	}
	for {
		part, err := p.Log(ctx, id, at, 0)
		if err != nil {
			return err
		}
		if part.Attempt == 0 {
			return a.noLog(ctx, p, id)
		}
		if err := write(part.Attempt, part.Text); err != nil || len(part.Text) == 0 {
			return err
		}
		at.Attempt, at.Offset = part.Attempt, part.Next
	}
}

// noLog says why a run has no log.
func (a *app) noLog(ctx context.Context, p *plane, id string) error {
	run, err := p.Run(ctx, id)
	if err != nil {
		return err
	}
	why := fmt.Sprintf("run %s has no attempt yet; see yard queue\n", id)
	if fleet.RunState(run.State).Final() {
		why = fmt.Sprintf("run %s has no log: it is %s (%s) and never began\n", id, run.State, run.Reason)
	}
	_, err = fmt.Fprint(a.stderr, why)
	return err
}

// readLog passes on the log of one rank as it is written, until the attempt is
// over and, where onward is set, those after it too.
func (p *plane) readLog(ctx context.Context, id string, at client.LogPosition, onward bool, write func(attempt int, text []byte) error) error {
	for {
		var part client.LogPart
		var run v1.RunDetail
		err := p.try(ctx, func(c *client.Client) error {
			var err error
			if run, err = c.Run(ctx, id); err != nil || run.Attempts < max(1, at.Attempt) {
				return err
			}
			part, err = c.Log(ctx, id, at, logWait)
			return err
		})
		if err != nil {
			return err
		}
		final := fleet.RunState(run.State).Final()
		if part.Attempt == 0 { // not begun
			if final || !sleep(ctx, followEvery) {
				return ctx.Err()
			}
			continue
		}
		if len(part.Text) > 0 {
			if err := write(part.Attempt, part.Text); err != nil {
				return err
			}
		}
		at.Attempt, at.Offset = part.Attempt, part.Next
		switch {
		case !part.Ended:
		case !onward, final && run.Attempts == at.Attempt:
			return nil
		case run.Attempts > at.Attempt:
			at.Attempt, at.Offset = at.Attempt+1, 0
		default:
			if !sleep(ctx, followEvery) {
				return ctx.Err()
			}
		}
	}
}
