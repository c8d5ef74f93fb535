package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

func (a *app) runCommand() *cobra.Command {
	var project string
	var priority int
	var detach, wait, dryRun bool
	var on, form string
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a workload at the best connected place, and follow it",
		Long: `Run a workload at the best connected place, and follow it to its end: its log,
its progress, what it costs. yard ends with the exit code of the run.

With --dry-run nothing is started: what a pool would be handed is printed, as
Kubernetes manifests or as a batch script of Slurm, and its cluster has checked it.

Ctrl-C asks whether to stop the run or to detach from it; Ctrl-C again, or no
terminal to ask on, detaches. A detached run goes on under a background yard.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := v1.Submission{Project: project, Wait: wait}
			if cmd.Flags().Changed("priority") {
				s.Priority = &priority
			}
			if !dryRun && on != "" {
				return fault.New(fault.Invalid, "--on: it goes with --dry-run; where a run may go is for place: in its file to say")
			}
			if !dryRun && form != "" {
				return fault.New(fault.Invalid, "--output: it goes with --dry-run; of a run: yard runs RUN -o json")
			}
			if dryRun && detach {
				return fault.New(fault.Invalid, "--detach: a dry run starts nothing that could be detached from; leave one of both out")
			}
			if dryRun {
				return a.preview(cmd.Context(), args[0], s, on, form)
			}
			return a.run(cmd.Context(), args[0], s, detach)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&wait, "wait", false, "queue it also where no connected pool can take it: one may be connected later")
	f.BoolVar(&dryRun, "dry-run", false, "print the manifests or the batch script, and start nothing")
	f.StringVar(&on, "on", "", "with --dry-run: the site, or the pool as SITE/POOL, instead of the best")
	f.StringVarP(&form, "output", "o", "", "with --dry-run: json or yaml, the answer in full instead of its text alone")
	f.BoolVar(&detach, "detach", false, "do not follow the run")
	f.StringVar(&project, "project", "", "who pays, instead of the file's project")
	f.IntVar(&priority, "priority", 0, "instead of the file's priority; higher goes first")
	return a.planeFlags(cmd)
}

func (a *app) run(ctx context.Context, file string, s v1.Submission, detach bool) error {
	data, err := a.readInput(file)
	if err != nil {
		return err
	}
	s.File, s.Content, s.Key = file, string(data), submissionKey()
	if s.Dir, err = os.Getwd(); err != nil {
		return err
	}
	return a.with(ctx, func(p *plane) error {
		order, line, err := a.meritOrder(ctx, p, file, data)
		if err != nil {
			return err
		}
		if err := a.say(order); err != nil {
			return err
		}
		var run v1.RunDetail
		err = p.try(ctx, func(c *client.Client) error {
			var err error
			run, err = c.Submit(ctx, s)
			return err
		})
		if client.Unreachable(err) {
			return fmt.Errorf("whether the run was submitted is not known, yard runs tells: %w", err)
		}
		if err != nil {
			return a.refused(err, "nothing was started")
		}
		if detach {
			return submitted(run, a.leave(ctx, p, run))
		}
		return errors.Join(submitted(run, a.follow(ctx, p, run)), a.say(line))
	})
}

// submitted says of a control plane that is gone that it had taken the run:
// who submits it again has it twice.
func submitted(run v1.RunDetail, err error) error {
	if !client.Unreachable(err) {
		return err
	}
	return fmt.Errorf("run %s was submitted; follow it: yard logs -f %s, or yard runs %s: %w", run.ID, run.ID, run.ID, err)
}

// preview prints what a pool would be handed, behind what that is as comments of
// YAML and of shells; or the whole answer as json or yaml.
func (a *app) preview(ctx context.Context, file string, s v1.Submission, on, form string) error {
	if forms := []string{"json", "yaml"}; form != "" && !slices.Contains(forms, form) {
		return fault.Newf(fault.Invalid, "unknown output %q%s", form, spec.DidYouMean(form, forms))
	}
	data, err := a.readInput(file)
	if err != nil {
		return err
	}
	r := v1.PreviewRequest{File: file, Content: string(data), Project: s.Project, Priority: s.Priority, On: on}
	if r.Dir, err = os.Getwd(); err != nil {
		return err
	}
	return a.with(ctx, func(p *plane) error {
		shown, err := p.Preview(ctx, r)
		if err != nil {
			return a.refused(err, "nothing was started")
		}
		if a.output = form; form != "" {
			return a.print(listing{document: shown})
		}
		checked := "nothing was started"
		if shown.Checked {
			checked = "the cluster has checked this, and nothing was started"
		}
		head := fmt.Sprintf("# %s on %s (%s): %s, %s; %s\n", file, shown.Pool, shown.Reason,
			plural(shown.Nodes, "node", "nodes"), plural(shown.Ranks, "rank", "ranks"), checked)
		if first, rest, found := strings.Cut(shown.Text, "\n"); found && strings.HasPrefix(first, "#!") {
			return a.say(first + "\n" + head + rest)
		}
		return a.say(head + shown.Text)
	})
}

// placing is how long yard run --detach waits to say where the run went.
const placing = 3 * time.Second

// leave says where a run went, or why it waits, and leaves it to itself.
func (a *app) leave(ctx context.Context, p *plane, run v1.RunDetail) error {
	f := &follower{app: a, plane: p, id: run.ID, display: newDisplay(a.stdout)}
	for deadline := time.Now().Add(placing); ; {
		f.tell(ctx, run)
		if run.Attempts > 0 || f.waited != "" || time.Now().After(deadline) {
			break
		}
		if !sleep(ctx, connectEvery) {
			return ctx.Err()
		}
		var err error
		if run, err = f.get(ctx); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(a.stdout, "run %s is %s; follow it: yard logs -f %s\n", run.ID, run.State, run.ID)
	return err
}

// say prints text where the answer goes.
func (a *app) say(text string) error {
	_, err := fmt.Fprint(a.stdout, text)
	return err
}

// submissionKey makes a submission safe to repeat when the answer is lost.
func submissionKey() string {
	data := make([]byte, 16)
	_, _ = rand.Read(data) // never fails; it ends the program instead
	return hex.EncodeToString(data)
}

// refused prints the faults of a file as they are written for people, and what
// did not happen because of them.
func (a *app) refused(err error, so string) error {
	var problem *v1.Problem
	if !errors.As(err, &problem) || len(problem.Faults) == 0 {
		return err
	}
	var lines strings.Builder
	lines.WriteString(problem.Detail)
	fmt.Fprintf(&lines, "\n%s; %s\n", plural(len(problem.Faults), "fault", "faults"), so)
	_, _ = fmt.Fprint(a.stderr, lines.String()) // there is nowhere else to say it
	return exitError(exitInvalid)
}
