package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

func (a *app) stressCommand() *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "stress P",
		Short: "Hold a plan under each scenario and a grid of shocks, and rank them by regret",
		Long: `Stress holds what a plan signs and buys, lets only the daily placement change, and
says for each shock what it costs, what is left unserved, how low cash falls and
which limits break. Regret is what that costs more than the best plan for that
future alone.`,
		Example: "  yard stress plan-2bfaa8ba8405",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			made, problem, err := a.compiled(args[0], flags.overlays)
			if err != nil {
				return err
			}
			var rows []planner.Stressed
			err = a.solving(cmd.Context(), flags, func(ctx context.Context, solver lp.Solver, progress func(lp.Progress)) error {
				rows, err = planner.Stress(ctx, solver, problem, made, planner.Options{Gap: flags.gap, TimeLimit: flags.limit, Progress: progress})
				return err
			})
			if err != nil {
				return err
			}
			return a.print(stressListing(rows, flags.gap))
		},
	}
	a.solverFlags(cmd, &flags)
	return a.withOutput(cmd)
}

// stressHeadline is the worst of the shocks, and how many leave all intact.
func stressHeadline(rows []planner.Stressed) string {
	intact := 0
	for _, r := range rows {
		if r.Unserved == 0 && len(r.Broken) == 0 {
			intact++
		}
	}
	worst := rows[0] // ranked by regret
	text := "No shock costs more than it would with hindsight"
	if worst.Regret > 0 {
		text = fmt.Sprintf("Worst: with %s the plan costs %s more than one made with hindsight", worst.Shock, modelMoney(worst.Regret))
	}
	return fmt.Sprintf("%s. Under %d of %d shocks all is served and nothing breaks.", text, intact, len(rows))
}

// stressGaps warns of the shocks whose solves ended before the gap asked for.
func stressGaps(rows []planner.Stressed, asked float64) string {
	wide, unproved, widest := 0, 0, 0.0
	for _, r := range rows {
		switch {
		case r.Gap == nil:
			unproved++
		case shortOf(*r.Gap, asked):
			wide, widest = wide+1, max(widest, *r.Gap)
		}
	}
	text := ""
	if wide > 0 {
		text += fmt.Sprintf("Stopped by the time limit before the gap of %.2f%%: %d of %d shocks, the widest at %.2f%%.\n", 100*asked, wide, len(rows), 100*widest)
	}
	if unproved > 0 {
		text += fmt.Sprintf("Stopped by the time limit with nothing proved: %d of %d shocks; their figures may be far off. Give --time-limit more.\n", unproved, len(rows))
	}
	return text
}

func stressListing(rows []planner.Stressed, asked float64) listing {
	l := listing{document: rows, columns: []column{
		{title: "SHOCK", field: "shock"}, {title: "REGRET", field: "regret", number: true}, {title: "COST", field: "cost", number: true},
		{title: "UNSERVED", field: "unserved", number: true}, {title: "CASH LOW", field: "cash_low", number: true}, {title: "BROKEN", field: "broken"},
	}}
	for _, r := range rows {
		unserved, low, exactLow := "", "", ""
		if r.Unserved > 0 {
			unserved = fmt.Sprintf("%.1f%% of %s", 100*r.Unserved, r.Who)
		}
		if r.CashLow != nil {
			low, exactLow = modelMoney(r.CashLow.Amount)+" ("+r.CashLow.Period+")", fmt.Sprint(r.CashLow.Amount)
		}
		broken := ""
		if len(r.Broken) > 0 {
			broken = r.Broken[0]
		}
		if len(r.Broken) > 1 {
			broken += fmt.Sprintf(" and %d more", len(r.Broken)-1)
		}
		l.cells = append(l.cells, []string{r.Shock, modelMoney(r.Regret), modelMoney(r.Cost), unserved, low, broken})
		l.exact = append(l.exact, []string{r.Shock, fmt.Sprint(r.Regret), fmt.Sprint(r.Cost), fmt.Sprint(r.Unserved), exactLow, strings.Join(r.Broken, "; ")})
	}
	l.before = stressHeadline(rows) + "\n\n"
	l.after = "\nCosts are discounted, with penalties for what breaks; each figure is known to the gap of its two plans.\n" + stressGaps(rows, asked)
	return l
}
