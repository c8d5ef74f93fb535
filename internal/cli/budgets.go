package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

func (a *app) budgetsCommand() *cobra.Command {
	cmd := a.withOutput(a.planeFlags(&cobra.Command{
		Use:   "budgets",
		Short: "Where each budget stands: spent, forecast, and what it does next",
		Long: "Budgets shows what each budget has spent in its period and what it will have spent at the\n" +
			"pace of the last 24 hours. At its thresholds a budget warns, holds new runs, or drains\n" +
			"those that run. Budgets are files of kind Budget (docs/budgets.md).",
		Example: "  yard budgets\n  yard budgets add research.yaml\n  yard budgets remove research",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.budgets(ctx, p) })
		},
	}))
	check := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check budget files",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			budgets, err := a.readBudgets(args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s: no fault\n", countOf(len(budgets), "budget"))
			return err
		},
	}
	add := &cobra.Command{
		Use:   "add FILE…",
		Short: "Put budgets in force, in place of earlier ones of their names",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.addBudgets(ctx, p, args) })
		},
	}
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a budget out of force",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error {
				if err := p.RemoveBudget(ctx, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "budget %s is no longer in force\n", args[0])
				return err
			})
		},
	}
	cmd.AddCommand(check, a.planeFlags(add), a.planeFlags(remove))
	return cmd
}

func (a *app) budgets(ctx context.Context, p *plane) error {
	list, err := p.Budgets(ctx)
	if err != nil {
		return err
	}
	budgets := list.Budgets
	l := listing{
		document: list,
		columns: []column{
			{"BUDGET", "name", false}, {"PERIOD", "period", false}, {"COVERS", "covers", false}, {"SPENT", "spent", true}, {"OF", "amount", true},
			{"SHARE", "share", true}, {"FORECAST", "forecast", true}, {"NOW", "does", false}, {"NEXT", "next", false},
		},
		extra: []column{{"", "currency", false}},
		exact: [][]string{},
	}
	var after strings.Builder
	for _, b := range budgets {
		row := func(money func(v1.Money) string, share, next string) []string {
			forecast := ""
			if b.Forecast != nil {
				forecast = money(*b.Forecast)
			}
			return []string{b.Name, b.Period, covers(b), money(b.Spent), money(b.Amount), share, forecast, b.Does, next}
		}
		next := ""
		if b.NextDoes != "" {
			next = b.NextDoes + " at " + percent(b.NextAt)
		}
		l.cells = append(l.cells, row(showMoney, percent(b.Share), next))
		l.exact = append(l.exact, append(row(func(m v1.Money) string { return string(m.Amount) }, string(b.Share), next), b.Amount.Currency))
		if len(b.Other) > 0 {
			fmt.Fprintf(&after, "%s: %s spent in other currencies is not compared\n", b.Name, showMonies(b.Other))
		}
	}
	if len(budgets) == 0 {
		after.WriteString("There is no budget. Add one: yard budgets add FILE (docs/budgets.md)\n")
	}
	l.after = after.String()
	if list.Fault != "" {
		a.warning(list.Fault + "\nthe budgets cannot be read; those that were read last stay in force")
	}
	a.warnOfBilling(ctx, p)
	return a.print(l)
}

// percent shows a share to a tenth of a percent, without a trailing zero.
func percent(share v1.Decimal) string {
	d, err := decimal.NewFromString(string(share))
	if err != nil {
		return string(share)
	}
	return d.Shift(2).Round(1).String() + "%"
}

// covers says what a budget is for.
func covers(b v1.Budget) string {
	var parts []string
	for _, names := range [][]string{b.Projects, b.Models, b.Providers, b.Chipmakers} {
		if len(names) > 0 {
			parts = append(parts, strings.Join(names, ", "))
		}
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " · ")
}

// readBudgets reads files of budgets and tells all faults at once.
func (a *app) readBudgets(paths []string) ([]*budget.Budget, error) {
	var budgets []*budget.Budget
	var faults spec.Faults
	seen := map[string]string{}
	for _, path := range paths {
		data, err := a.readInput(path)
		if err != nil {
			return nil, err
		}
		read, err := budget.Parse(path, data)
		var found spec.Faults
		if errors.As(err, &found) {
			faults = append(faults, found...)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, b := range read {
			if other := seen[b.Name]; other != "" {
				return nil, fault.Newf(fault.Invalid, "%s: budget %s is in %s, too", path, b.Name, other)
			}
			seen[b.Name] = path
		}
		budgets = append(budgets, read...)
	}
	return budgets, faults.Err()
}

func (a *app) addBudgets(ctx context.Context, p *plane, paths []string) error {
	budgets, err := a.readBudgets(paths)
	if err != nil {
		return err
	}
	files, err := a.filesOf(paths)
	if err != nil {
		return err
	}
	if _, err := p.AddBudgets(ctx, files); err != nil {
		return a.refused(err, "nothing was added")
	}
	for _, b := range budgets {
		if _, err := fmt.Fprintf(a.stdout, "budget %s is in force: %s by %s\n", b.Name, b.Amount.Short(), b.Period); err != nil {
			return err
		}
	}
	return nil
}

// filesOf reads files for a control plane, which may be elsewhere.
func (a *app) filesOf(paths []string) ([]v1.File, error) {
	var files []v1.File
	for _, path := range paths {
		data, err := a.readInput(path)
		if err != nil {
			return nil, err
		}
		files = append(files, v1.File{File: path, Content: string(data)})
	}
	return files, nil
}

// warning says on standard error what the answer alone would not.
func (a *app) warning(text string) {
	_, _ = fmt.Fprintln(a.stderr, "warning: "+text) // there is nowhere else to say it
}

// warnOfBilling says where the ledger is not billed as it should be. What it
// cannot learn it leaves to the command that it serves.
func (a *app) warnOfBilling(ctx context.Context, p *plane) {
	inForce, err := p.ContractsInForce(ctx)
	if err == nil && inForce.Fault != "" {
		a.warning(inForce.Fault + "\nthe ledger is not billed under the contracts in force until that is mended (yard contracts add), or taken out (yard contracts remove)")
	}
}
