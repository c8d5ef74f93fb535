package cli

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
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
			asking, shown := a.asking()
			defer shown()
			err = a.solving(cmd.Context(), flags, func(ctx context.Context, solver lp.Solver, _ func(lp.Progress)) error {
				levers, err = planner.Levers(ctx, solver, problem, planner.Options{Gap: flags.gap, TimeLimit: flags.limit, Asking: asking})
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

// asking returns a progress line for many questions, and what takes it away.
func (a *app) asking() (func(done, all int, words string), func()) {
	line := newDisplay(a.stderr)
	started := time.Now()
	asked := func(done, all int, words string) {
		if line.terminal && done < all {
			line.drawn = true
			text := fmt.Sprintf("asking %d of %d: %s   %.0f s", done+1, all, words, time.Since(started).Seconds())
			_, _ = fmt.Fprint(a.stderr, "\r\033[K"+runewidth.Truncate(text, line.width()-1, "…"))
		}
	}
	return asked, line.clear
}

func leverageListing(levers *planner.Leverage) listing {
	l := listing{document: levers, columns: []column{
		{title: "WHO", field: "name"}, {title: "SHARE", field: "share", number: true}, {title: "LEAVE NOW", field: "leave_now", number: true},
		{title: "OWED", field: "owed", number: true}, {title: "NOT SERVED", field: "not_served", number: true}, {title: "ELSEWHERE", field: "elsewhere", number: true},
		{title: "IN A YEAR", field: "leave_in_a_year", number: true}, {title: "WALK AWAY AT", field: "walk_away", number: true}, {title: "ASK FOR", field: "discount_to_ask", number: true},
	}}
	for _, h := range levers.Holds {
		cells, exact := []string{h.Name + " (" + h.Of + ")", percentage(h.Share)}, []string{h.Name, fmt.Sprint(h.Share)}
		cells, exact = append(cells, leaving(h.LeaveNow)...), append(exact, exactLeaving(h.LeaveNow)...)
		in, exactIn := "no plan", ""
		if h.LeaveIn != nil {
			in, exactIn = modelMoney(h.LeaveIn.Value), fmt.Sprint(h.LeaveIn.Value)
		}
		l.cells = append(l.cells, append(cells, in, walkAway(h), askFor(h)))
		l.exact = append(l.exact, append(exact, exactIn, exactOr(h.WalkAway), exactOr(h.AskFor)))
	}
	l.after = "\n"
	for _, h := range levers.Holds {
		if h.LeaveNow != nil && h.LeaveNow.Worst >= 0.005 {
			l.after += fmt.Sprintf("Without %s now, %s of %s is not served.\n", h.Name, percentage(h.LeaveNow.Worst), h.LeaveNow.Who)
		}
	}
	l.after += "\n"
	for _, w := range levers.Worths {
		l.after += worthLine(w) + "\n"
	}
	l.after += fmt.Sprintf(`
All against the best plan, %s (discounted, expected, with the weight on bad futures), known to %.2f%%.
LEAVE NOW is what never using it again costs: what its contracts still charge (OWED), work that
nobody else can do at the price of not serving it, and dearer capacity ELSEWHERE. WALK AWAY AT is
the rise of all its prices at which the best plan drops it to the share in brackets. ASK FOR is the
discount that pays for promising it so much of the work; below it, promise nothing.
`, modelMoney(levers.Best), 100*levers.Gap)
	return l
}

// leaving is the cost of leaving and its parts.
func leaving(x *planner.Leaving) []string {
	if x == nil {
		return []string{"no plan", "", "", ""}
	}
	cells := []string{modelMoney(x.Value)}
	for _, part := range []float64{x.Owed, x.Unserved, x.Elsewhere} {
		text := modelMoney(part)
		if math.Abs(part) < 0.005*x.Value || x.Value == 0 {
			text = "–"
		}
		cells = append(cells, text)
	}
	return cells
}

func exactLeaving(x *planner.Leaving) []string {
	if x == nil {
		return []string{"", "", "", ""}
	}
	return []string{fmt.Sprint(x.Value), fmt.Sprint(x.Owed), fmt.Sprint(x.Unserved), fmt.Sprint(x.Elsewhere)}
}

// worthLine says what to do about a contract, covenant or tranche, and why.
func worthLine(w planner.Worth) string {
	text := fmt.Sprintf("%s %s: %s", w.Kind, w.What, w.Verdict)
	if !w.Signed && w.Kind != "contract" {
		text = fmt.Sprintf("%s %s, if its contract were signed: %s", w.Kind, w.What, w.Verdict)
	}
	switch {
	case w.Value == nil:
	case w.Alone != nil && len(w.With) > 0:
		text += fmt.Sprintf("; with %s it is worth %s, by itself it costs %s", strings.Join(w.With, " and "), within(*w.Value), modelMoney(w.Alone.Value))
	case w.Alone != nil:
		text += fmt.Sprintf("; it costs %s", modelMoney(w.Alone.Value))
	default:
		text += "; worth " + within(*w.Value)
	}
	if w.Indifferent != "" {
		text += "; indifferent " + w.Indifferent
	}
	return text
}

// within is a difference, with its bounds where they are wide.
func within(d planner.Difference) string {
	if d.High-d.Low < 0.05*math.Abs(d.Value) {
		return modelMoney(d.Value)
	}
	return fmt.Sprintf("%s (between %s and %s)", modelMoney(d.Value), modelMoney(d.Low), modelMoney(d.High))
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
	switch {
	case h.Share < 1e-6:
		return ""
	case h.AskFor == nil:
		return "no more to have"
	}
	return fmt.Sprintf("%.1f%% for %s", 100**h.AskFor, percentage(h.Promise))
}
