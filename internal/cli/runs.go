package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/client"
)

func (a *app) runsCommand() *cobra.Command {
	var filter client.RunFilter
	cmd := &cobra.Command{
		Use:   "runs [RUN]",
		Short: "List runs, or show one: attempts, decisions with reasons, cost, progress",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error {
				if len(args) == 1 {
					return a.showRun(ctx, p, args[0])
				}
				return a.listRuns(ctx, p, filter)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&filter.Live, "live", false, "only queued and running ones")
	f.StringVar(&filter.Project, "project", "", "only those of a project")
	f.IntVar(&filter.Limit, "limit", 100, "at most so many, the newest; 0 lists all")
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) listRuns(ctx context.Context, p *plane, filter client.RunFilter) error {
	runs, err := p.Runs(ctx, filter)
	if err != nil {
		return err
	}
	l := listing{
		document: v1.RunList{Runs: runs},
		columns: []column{
			{"RUN", "id", false}, {"STATE", "state", false}, {"PROJECT", "project", false}, {"POOL", "pool", false},
			{"ATTEMPTS", "attempts", true}, {"PROGRESS", "step", true}, {"LOSS", "loss", true}, {"COST", "cost", true},
			{"SUBMITTED", "submitted", false}, {"WHY", "reason", false},
		},
		exact: [][]string{},
	}
	for _, r := range runs {
		step, loss, exactStep, exactLoss := "", "", "", ""
		if r.Progress != nil {
			exactStep, exactLoss = strconv.FormatInt(r.Progress.Step, 10), strconv.FormatFloat(r.Progress.Loss, 'g', -1, 64)
			step = humanize.Comma(r.Progress.Step)
			if done, ok := doneShare(*r.Progress); ok {
				step = fmt.Sprintf("%.0f%%", 100*done)
			}
			if r.Progress.LossNaNSince > 0 {
				loss = "NaN"
			} else if r.Progress.Loss != 0 {
				loss = showLoss(r.Progress.Loss)
			}
		}
		l.cells = append(l.cells, []string{
			r.ID, r.State, r.Project, r.Pool, strconv.Itoa(r.Attempts), step, loss, showMoney(r.Cost),
			r.Submitted.Local().Format(time.DateTime), whyText(r),
		})
		l.exact = append(l.exact, []string{
			r.ID, r.State, r.Project, r.Pool, strconv.Itoa(r.Attempts), exactStep, exactLoss, string(r.Cost.Amount),
			stamp(r.Submitted), r.Reason,
		})
	}
	switch {
	case len(runs) > 0:
	case filter.Live:
		l.after = "No run is live. All runs: yard runs\n"
	case filter.Project != "":
		l.after = fmt.Sprintf("No run of project %s.\n", filter.Project)
	default:
		l.after = "No run yet. Start one: yard run FILE\n"
	}
	return a.print(l)
}

// whyText is why a run is in its state, or else what is the matter with it.
func whyText(r v1.Run) string {
	switch n := len(r.SlowRanks); {
	case r.Reason != "" || n == 0:
		return r.Reason
	case n == 1:
		return r.SlowRanks[0].Text
	default:
		return fmt.Sprintf("%s; %d more ranks", r.SlowRanks[0].Text, n-1)
	}
}

// stamp is a time as CSV has it, "" where there is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (a *app) showRun(ctx context.Context, p *plane, id string) error {
	run, err := p.Run(ctx, id)
	if err != nil {
		return err
	}
	l := listing{
		document: run,
		before:   runHead(run),
		columns: []column{
			{"ATTEMPT", "attempt", true}, {"POOL", "pool", false}, {"STATE", "state", false}, {"RANKS", "ranks", true},
			{"STARTED", "started", false}, {"TOOK", "seconds", true}, {"EXIT", "exit_code", true}, {"COST", "cost", true}, {"WHY", "reason", false},
		},
		exact: [][]string{},
		after: runTail(run),
	}
	for _, t := range run.AttemptList {
		took, seconds, started := "", "", ""
		if !t.Started.IsZero() {
			end := t.Ended
			if end.IsZero() {
				end = time.Now()
			}
			took, started = showSpan(max(0, end.Sub(t.Started))), t.Started.Local().Format(time.DateTime)
			seconds = strconv.FormatFloat(max(0, end.Sub(t.Started).Seconds()), 'f', 3, 64)
		}
		row := func(started, took, cost string) []string {
			return []string{
				strconv.Itoa(t.Number), t.Pool, t.State, strconv.Itoa(t.Ranks), started, took, strconv.Itoa(t.ExitCode), cost, t.Reason,
			}
		}
		l.cells = append(l.cells, row(started, took, showMoney(t.Cost)))
		l.exact = append(l.exact, row(stamp(t.Started), seconds, string(t.Cost.Amount)))
	}
	return a.print(l)
}

func runHead(run v1.RunDetail) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s · %s · %s · project %s · priority %d", run.ID, run.Kind, run.State, run.Project, run.Priority)
	if run.Reason != "" {
		fmt.Fprintf(&b, " · %s", run.Reason)
	}
	cost := showMoney(run.Cost)
	if run.CostImputed {
		cost += " (imputed)"
	}
	fmt.Fprintf(&b, "\nsubmitted %s · cost %s", run.Submitted.Local().Format(time.DateTime), cost)
	if run.Progress != nil {
		parts := append([]string{stepText(*run.Progress)}, results(*run.Progress)...)
		fmt.Fprintf(&b, " · %s", strings.Join(parts, " · "))
	}
	for _, s := range run.SlowRanks {
		fmt.Fprintf(&b, "\n%s, since %s", s.Text, s.Since.Local().Format(time.DateTime))
	}
	b.WriteString("\n\n")
	return b.String()
}

func runTail(run v1.RunDetail) string {
	var b strings.Builder
	b.WriteString("\nDECISIONS\n")
	for _, d := range run.Decisions {
		fmt.Fprintf(&b, "%s  %s: %s\n", d.At.Local().Format(time.DateTime), strings.TrimSpace(d.Verb+" "+d.Subject), strings.Join(d.Reasons, " · "))
	}
	fmt.Fprintf(&b, "\nLog: yard logs %s    Entries: yard ledger %s\n", run.ID, run.ID)
	return b.String()
}
