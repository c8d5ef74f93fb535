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
)

func (a *app) checkpointsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoints RUN",
		Short: "List the checkpoints of a run: step, size, where, and which a restart can take",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.listCheckpoints(ctx, p, args[0]) })
		},
	}
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) listCheckpoints(ctx context.Context, p *plane, run string) error {
	list, err := p.Checkpoints(ctx, run)
	if err != nil {
		return err
	}
	l := listing{
		document: list,
		columns: []column{
			{"STEP", "step", true}, {"NAME", "name", false}, {"STATE", "state", false}, {"SIZE", "bytes", true}, {"FORMAT", "format", false},
			{"EPOCH", "epoch", true}, {"WRITTEN", "written", false}, {"WHERE", "store", false}, {"WHY", "reason", false},
		},
		exact: [][]string{},
		after: afterCheckpoints(list),
	}
	for _, c := range list.Checkpoints {
		row := func(step, size, written string) []string {
			epoch := ""
			if c.Epoch > 0 {
				epoch = strconv.Itoa(c.Epoch)
			}
			return []string{step, c.Name, c.State, size, c.Format, epoch, written, c.Store, c.Reason}
		}
		l.cells = append(l.cells, row(humanize.Comma(c.Step), humanize.IBytes(uint64(max(0, c.Size))), c.Written.Local().Format(time.DateTime)))
		l.exact = append(l.exact, row(strconv.FormatInt(c.Step, 10), strconv.FormatInt(c.Size, 10), stamp(c.Written)))
	}
	return a.print(l)
}

// afterCheckpoints says which one a restart takes, and what could not be read.
func afterCheckpoints(list v1.CheckpointList) string {
	var b strings.Builder
	local := false
	for _, c := range list.Checkpoints {
		local = local || c.State == "local"
		if c.State == "complete" || c.State == "local" {
			fmt.Fprintf(&b, "A restart goes on from step %s.\n", humanize.Comma(c.Step))
			break
		}
	}
	if local {
		b.WriteString("They are on this machine alone; give yard a store to move runs: checkpoints: URL in its config.yaml\n")
	}
	for _, u := range list.Unread {
		fmt.Fprintf(&b, "%s could not be read: %s\n", u.Store, u.Reason)
	}
	for _, r := range list.Reported {
		b.WriteString(reportedText(r))
	}
	if len(list.Checkpoints) == 0 && len(list.Unread) == 0 && len(list.Reported) == 0 {
		b.WriteString("The run has no checkpoint yet.\n")
	}
	return b.String()
}

// reportedText says what is known of a checkpoint that cannot be seen.
func reportedText(r v1.Reported) string {
	text := fmt.Sprintf("Attempt %d on %s reported a checkpoint at step %s", r.Attempt, r.Pool, humanize.Comma(r.Step))
	if !r.At.IsZero() {
		text += ", last at " + r.At.Local().Format(time.DateTime)
	}
	if r.Where != "" {
		return text + fmt.Sprintf("; there is none in %s: it was removed, or its program keeps it elsewhere.\n", r.Where)
	}
	return text + "; it has no store, so only its program knows where, and a run that moves begins anew.\n" +
		"Give its site a store: checkpoints: URL in the site's file, or in yard's config.yaml\n"
}
