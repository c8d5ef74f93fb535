package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

func (a *app) leverageCommand() *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "leverage P",
		Short: "Say what each provider and chipmaker could extort, and what to ask of them",
		Long: `Leverage plans again without each provider and chipmaker, at higher prices, and
with and without each contract, covenant and tranche: what leaving costs now and
in a year, the price rise at which to walk away, the discount to ask for in
exchange for a promise, and what to accept or refuse.`,
		Example: "  yard leverage plan-2bfaa8ba8405",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, problem, err := a.compiled(args[0], flags.overlays)
			if err != nil {
				return err
			}
			var levers *planner.Leverage
			err = a.solving(cmd.Context(), flags, func(ctx context.Context, solver lp.Solver, progress func(lp.Progress)) error {
				levers, err = planner.Levers(ctx, solver, problem, planner.Options{Gap: flags.gap, TimeLimit: flags.limit, Progress: progress})
				return err
			})
			if err != nil {
				return err
			}
			return a.print(leverageListing(levers))
		},
	}
	a.solverFlags(cmd, &flags)
	return a.withOutput(cmd)
}

func leverageListing(levers *planner.Leverage) listing {
	l := listing{document: levers, columns: []column{
		{title: "WHO", field: "name"}, {title: "SHARE", field: "share", number: true}, {title: "LEAVE NOW", field: "leave_now", number: true},
		{title: "LEAVE IN A YEAR", field: "leave_in_a_year", number: true}, {title: "WALK AWAY AT", field: "walk_away", number: true},
		{title: "ASK FOR", field: "discount_to_ask", number: true},
	}}
	for _, h := range levers.Holds {
		l.cells = append(l.cells, []string{h.Name + " (" + h.Of + ")", percentage(h.Share), orImpossible(h.LeaveNow), orImpossible(h.LeaveIn), walkAway(h), askFor(h)})
		l.exact = append(l.exact, []string{h.Name, fmt.Sprint(h.Share), exactOr(h.LeaveNow), exactOr(h.LeaveIn), exactOr(h.WalkAway), exactOr(h.AskFor)})
	}
	l.after = "\n"
	for _, w := range levers.Worths {
		value := ""
		if w.Value != nil {
			value = ": worth " + modelMoney(*w.Value)
		}
		if w.Indifferent != "" {
			value += ", indifferent at " + w.Indifferent
		}
		l.after += fmt.Sprintf("%s %s: %s%s\n", w.Kind, w.What, w.Verdict, value)
	}
	l.after += fmt.Sprintf("\nAgainst the best plan, %s (discounted). Each figure is a difference of two plans, each within its gap of the best.\n", modelMoney(levers.Best))
	return l
}

func orImpossible(x *float64) string {
	if x == nil {
		return "no plan"
	}
	return modelMoney(*x)
}

func exactOr(x *float64) string {
	if x == nil {
		return ""
	}
	return fmt.Sprint(*x)
}

func walkAway(h planner.Hold) string {
	switch {
	case h.Share < 1e-6:
		return "not used"
	case h.WalkAway == nil:
		return fmt.Sprintf("beyond +%.0f%%", 100*h.Searched)
	}
	return fmt.Sprintf("+%.0f%% (to %s)", 100**h.WalkAway, percentage(h.Floor))
}

func askFor(h planner.Hold) string {
	if h.AskFor == nil {
		return ""
	}
	return fmt.Sprintf("%.1f%% for %s", 100**h.AskFor, percentage(h.Promise))
}
