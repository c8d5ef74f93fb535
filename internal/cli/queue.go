package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func (a *app) queueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "List the runs that wait, and why each does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.queue(ctx, p) })
		},
	}
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) queue(ctx context.Context, p *plane) error {
	waiting, err := p.Queue(ctx)
	if err != nil {
		return err
	}
	l := listing{
		document: v1.Queue{Waiting: waiting},
		columns: []column{
			{"#", "position", true}, {"RUN", "id", false}, {"PROJECT", "project", false}, {"PRIORITY", "priority", true},
			{"WAITS SINCE", "submitted", false}, {"WHY", "reasons", false},
		},
		exact: [][]string{},
	}
	for _, w := range waiting {
		row := func(since string) []string {
			return []string{strconv.Itoa(w.Position), w.ID, w.Project, strconv.Itoa(w.Priority), since, strings.Join(w.Reasons, "; ")}
		}
		l.cells = append(l.cells, row(w.Submitted.Local().Format(time.DateTime)))
		l.exact = append(l.exact, row(stamp(w.Submitted)))
	}
	if len(waiting) == 0 {
		l.after = "No run waits.\n"
	}
	return a.print(l)
}

func (a *app) quotaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quota [PROJECT CHIPS]",
		Short: "List quotas, or set the most chips that a project may hold at once",
		Long: `List quotas, or set the most chips that a project may hold at once. CHIPS is a
number, or "none" to remove the quota. A machine without accelerators counts as
one chip.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return fault.New(fault.Invalid, "give a project and a number of chips, or nothing to list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.quota(ctx, p, args) })
		},
	}
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) quota(ctx context.Context, p *plane, args []string) error {
	var quotas []v1.Quota
	var err error
	if len(args) == 0 {
		quotas, err = p.Quotas(ctx)
	} else {
		chips := -1
		if args[1] != "none" {
			if chips, err = strconv.Atoi(args[1]); err != nil || chips < 0 {
				return fault.Newf(fault.Invalid, "found %q; a number of chips is needed, or none", args[1])
			}
		}
		quotas, err = p.SetQuota(ctx, args[0], chips)
	}
	if err != nil {
		return err
	}
	l := listing{
		document: v1.QuotaList{Quotas: quotas},
		columns:  []column{{"PROJECT", "project", false}, {"CHIPS", "chips", true}, {"USED", "used", true}},
	}
	for _, q := range quotas {
		l.cells = append(l.cells, []string{q.Project, strconv.Itoa(q.Chips), strconv.Itoa(q.Used)})
	}
	if len(quotas) == 0 {
		l.after = "No project has a quota. Set one: yard quota PROJECT CHIPS\n"
	}
	return a.print(l)
}
