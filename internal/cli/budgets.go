package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/config"
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
		RunE:  func(_ *cobra.Command, args []string) error { return a.addBudgets(args) },
	}
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a budget out of force",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return a.removeBudget(args[0]) },
	}
	for _, child := range []*cobra.Command{add, remove} {
		child.Flags().StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	}
	cmd.AddCommand(check, add, remove)
	return cmd
}

func (a *app) budgets(ctx context.Context, p *plane) error {
	budgets, err := p.Budgets(ctx)
	if err != nil {
		return err
	}
	l := listing{
		document: v1.BudgetList{Budgets: budgets},
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

func (a *app) addBudgets(paths []string) error {
	budgets, err := a.readBudgets(paths)
	if err != nil {
		return err
	}
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.BudgetsDir(), 0o700); err != nil {
		return err
	}
	for _, b := range budgets {
		if err := saveBudget(c.BudgetsDir(), b); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(a.stdout, "budget %s is in force: %s by %s\n", b.Name, b.Amount.Short(), b.Period); err != nil {
			return err
		}
	}
	return nil
}

// saveBudget writes a budget whole or not at all: a control plane may read it now.
func saveBudget(dir string, b *budget.Budget) error {
	file, err := os.CreateTemp(dir, "."+b.Name+"-*")
	if err != nil {
		return err
	}
	err = errors.Join(writeYAML(file, b), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, b.Name+".yaml"))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

func (a *app) removeBudget(name string) error {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	budgets, err := c.Budgets()
	if err != nil {
		return err
	}
	var names []string
	for _, b := range budgets {
		names = append(names, b.Name)
	}
	path := filepath.Join(c.BudgetsDir(), filepath.Base(name)+".yaml")
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.NotFound, "no budget %q%s", name, spec.DidYouMean(name, names))
	}
	if err == nil {
		_, err = fmt.Fprintf(a.stdout, "budget %s is no longer in force\n", name)
	}
	return err
}
