package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func (a *app) moveCommand() *cobra.Command {
	var request v1.MoveRequest
	cmd := &cobra.Command{
		Use:   "move RUN --to SITE[/POOL]",
		Short: "Have a run go on elsewhere from its checkpoint, or see what that would bring",
		Long: `Move stops the attempt of a run with its grace, so that it writes a last
checkpoint, and has the run go on from that at another pool. It first says what
that brings: what is left to pay here (STAY) and there (GO: the start, the way of
the checkpoint and the work since it included), for how long the run is
disrupted, and the score: share saved over share of the time left that is
disrupted. A pool that the run cannot go to says why; nothing is changed then.
Where contracts in force touch a price, it is what a node-hour adds to the bill.

Runs move by themselves too, when their place goes away or another is clearly
cheaper (docs/moving.md); yard runs RUN tells each move and why.`,
		Example: "  yard move gpt-7f3a --to lab --dry-run    weigh all pools of the site lab\n" +
			"  yard move gpt-7f3a --to lab              go to the best of them\n" +
			"  yard move gpt-7f3a --to lab/h100         go to that pool",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if request.To == "" {
				return fault.New(fault.Invalid, "--to: a site is needed, or a pool as SITE/POOL (yard sites)")
			}
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error {
				moved, err := p.Move(ctx, args[0], request)
				if err != nil {
					return err
				}
				return a.showMove(moved)
			})
		},
	}
	cmd.Flags().StringVar(&request.To, "to", "", "where to: `SITE`, for the best of its pools that can take the run, or SITE/POOL (needed; yard sites)")
	cmd.Flags().BoolVar(&request.DryRun, "dry-run", false, "weigh the move to every pool that --to names, and change nothing")
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) showMove(m v1.MoveAnswer) error {
	l := listing{
		document: m,
		columns: []column{
			{"TO", "pool", false}, {"STAY", "stay", true}, {"GO", "go", true}, {"SAVES", "saving", true}, {"DISRUPTED", "disruption_seconds", true},
			{"SCORE", "score", true}, {"WHY NOT", "ruled_out", false},
		},
		exact: [][]string{},
		after: fmt.Sprintf("\n%s moves to %s: it is stopped with its grace, and goes on there from its checkpoint   (yard runs %s)\n", m.Run, m.To, m.Run),
	}
	if m.DryRun {
		l.after = fmt.Sprintf("\nNothing was changed. It would go to %s: yard move %s --to %s\n", m.To, m.Run, m.To)
	}
	for _, c := range m.Choices {
		why := strings.Join(c.RuledOut, "; ")
		shown := []string{c.Pool, "", "", "", "", "", why}
		if c.Known && why == "" {
			disrupted := showSpan(time.Duration(c.Disruption * float64(time.Second)))
			shown = []string{c.Pool, showMoney(c.Stay), showMoney(c.Go), fmt.Sprintf("%.0f%%", 100*c.Saving), disrupted, fmt.Sprintf("%.1f", c.Score), ""}
		} else if why == "" && c.Unpriced {
			shown[6] = strings.Join(c.Reasons, "; ")
		} else if why == "" {
			shown[2] = showMoney(c.Hourly) + "/h" // how fast it goes there is not known
		}
		l.cells = append(l.cells, shown)
		l.exact = append(l.exact, []string{
			c.Pool, string(c.Stay.Amount), string(c.Go.Amount), fmt.Sprint(c.Saving), fmt.Sprint(c.Disruption), fmt.Sprint(c.Score), why,
		})
	}
	return a.print(l)
}

func (a *app) qualifyCommand() *cobra.Command {
	var request v1.TrialRequest
	cmd := &cobra.Command{
		Use:   "qualify RUN --on SITE/POOL",
		Short: "Show by a short trial that a run's model trains on a pool: how fast, and that its loss goes on",
		Long: `Qualify queues a trial: a run of its own that goes on from the newest checkpoint
of a run, on one pool, for a number of steps, and ends by itself. The run is not
touched, and needs a variant in its file for the pool's chip family. Where the
loss goes on as the run's does, the model is qualified for the chip family: its
runs may move there; and the measured speed takes the place of the prediction in
quotes, placements and moves. The exit code is 1 where the trial fails.`,
		Example: "  yard qualify gpt-7f3a --on eks/trn2-block\n" +
			"  yard qualify gpt-7f3a --on eks/trn2-block --steps 200 --tolerance 0.02\n" +
			"  yard qualify list",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if request.On == "" {
				return fault.New(fault.Invalid, "--on: a pool is needed, as SITE/POOL (yard sites)")
			}
			if cmd.Flags().Changed("steps") && request.Steps < 1 {
				return fault.Newf(fault.Invalid, "--steps: %d, and a trial makes one step or more", request.Steps)
			}
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.qualify(ctx, p, args[0], request) })
		},
	}
	cmd.Flags().StringVar(&request.On, "on", "", "the pool to try, as `SITE/POOL` (needed; yard sites)")
	cmd.Flags().Int64Var(&request.Steps, "steps", 0, "steps that the trial makes beyond the checkpoint (default 50); more measure the speed better")
	cmd.Flags().Float64Var(&request.Tolerance, "tolerance", 0, "share by which the loss may differ from the run's about the same steps (default 0.05: 5%)")
	list := &cobra.Command{
		Use: "list", Short: "The models that trials have qualified for chip families", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.listQualifications(ctx, p) })
		},
	}
	a.planeFlags(cmd)
	cmd.AddCommand(a.withOutput(a.planeFlags(list)))
	return cmd
}

// qualify asks for a trial and follows it to its end.
func (a *app) qualify(ctx context.Context, p *plane, id string, request v1.TrialRequest) error {
	trial, err := p.Try(ctx, id, request)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.stderr, "%s tries %s on %s; it ends by itself\n", trial.ID, id, request.On) // progress only
	for trial.Ended.IsZero() {
		if !sleep(ctx, followEvery) {
			return ctx.Err()
		}
		if trial, err = p.Run(ctx, trial.ID); err != nil {
			return err
		}
	}
	cost := showMoney(trial.Cost)
	if _, err := fmt.Fprintf(a.stdout, "%s · cost %s (yard runs %s)\n", trial.Reason, cost, trial.ID); err != nil {
		return err
	}
	if trial.State != "succeeded" {
		return exitError(exitFailure)
	}
	return nil
}

func (a *app) listQualifications(ctx context.Context, p *plane) error {
	list, err := p.Qualifications(ctx)
	if err != nil {
		return err
	}
	l := listing{
		document: v1.QualificationList{Qualifications: list},
		columns: []column{
			{"MODEL", "model", false}, {"FAMILY", "family", false}, {"CHIP", "chip", false}, {"POOL", "pool", false}, {"NODES", "nodes", true},
			{"SPEED", "tokens_per_second", true}, {"LOSS", "loss", true}, {"REFERENCE", "reference", true}, {"STEPS", "steps", true}, {"TRIAL", "trial", false}, {"AT", "at", false},
		},
		exact: [][]string{},
	}
	for _, q := range list {
		speed := ""
		if q.TokensPerSecond > 0 {
			speed = fmt.Sprintf("%.4g tok/s", q.TokensPerSecond)
		}
		l.cells = append(l.cells, []string{
			q.Model, q.Family, q.Chip, q.Pool, fmt.Sprint(q.Nodes), speed, showLoss(q.Loss), showLoss(q.Reference), fmt.Sprint(q.Steps), q.Trial,
			q.At.Local().Format(time.DateTime),
		})
		l.exact = append(l.exact, []string{
			q.Model, q.Family, q.Chip, q.Pool, fmt.Sprint(q.Nodes), fmt.Sprint(q.TokensPerSecond), fmt.Sprint(q.Loss), fmt.Sprint(q.Reference),
			fmt.Sprint(q.Steps), q.Trial, stamp(q.At),
		})
	}
	if len(list) == 0 {
		l.after = "No model is qualified yet; a run goes on in its own chip family without. Try one: yard qualify RUN --on SITE/POOL\n"
	}
	return a.print(l)
}
