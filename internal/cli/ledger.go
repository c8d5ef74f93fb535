package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func (a *app) ledgerCommand() *cobra.Command {
	var by string
	var verify bool
	cmd := &cobra.Command{
		Use:   "ledger [RUN]",
		Short: "What was used and what it cost: summed up, line by line for a run, or proved",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if len(args) == 1 && (verify || cmd.Flags().Changed("by")) {
				return fault.New(fault.Invalid, "--by and --verify are about the whole ledger; leave the run out")
			}
			return a.with(ctx, func(p *plane) error {
				if verify {
					return a.verifyLedger(ctx, p)
				}
				a.warnOfBilling(ctx, p)
				if len(args) == 1 {
					return a.ledgerOf(ctx, p, args[0])
				}
				return a.sumLedger(ctx, p, by)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "run", "sum by run, project, pool, provider, chipmaker, chip, day, contract or category")
	cmd.Flags().BoolVar(&verify, "verify", false, "prove that it has no gap and no overlap, and balances")
	cmd.AddCommand(a.focusCommands()...)
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) sumLedger(ctx context.Context, p *plane, by string) error {
	sum, err := p.LedgerSummary(ctx, by)
	if err != nil {
		return err
	}
	l := listing{
		document: sum,
		columns: []column{
			{strings.ToUpper(sum.By), sum.By, false}, {"NODE-HOURS", "node_hours", true}, {"CHIP-HOURS", "chip_hours", true},
			{"COST", "cost", true}, {"IMPUTED", "imputed", true}, {"LINES", "entries", true},
		},
		exact: [][]string{},
	}
	billed := isBilled(sum)
	if billed {
		l.columns = slices.Insert(l.columns, 4, column{"BILLED", "billed", true}, column{"EFFECTIVE", "effective", true})
		l.after = "COST is of use at the rates of its placements; BILLED and EFFECTIVE are what the contracts make of it (docs/ledger.md)\n"
	}
	for _, g := range sum.Groups {
		l.cells = append(l.cells, groupCells(g, billed, showHours, showMonies))
		l.exact = append(l.exact, groupCells(g, billed, exactHours, exactMonies))
	}
	if len(sum.Groups) > 1 {
		l.cells = append(l.cells, groupCells(sum.Total, billed, showHours, showMonies))
	}
	if len(sum.Groups) == 0 {
		l.after = "The ledger is empty. A run fills it: yard run FILE\n"
	}
	return a.print(l)
}

// isBilled reports whether contracts make another sum of what was used.
func isBilled(sum v1.LedgerSummary) bool {
	for _, g := range append([]v1.LedgerGroup{sum.Total}, sum.Groups...) {
		if exactMonies(g.Billed) != exactMonies(g.Cost) || exactMonies(g.Effective) != exactMonies(g.Cost) {
			return true
		}
	}
	return false
}

func groupCells(g v1.LedgerGroup, billed bool, hours func(v1.Decimal) string, money func([]v1.Money) string) []string {
	name := g.Group
	if name == "" {
		name = "-" // charges about no use
	}
	cells := []string{name, hours(g.NodeHours), hours(g.ChipHours), money(g.Cost), money(g.Imputed), strconv.Itoa(g.Entries)}
	if billed {
		cells = slices.Insert(cells, 4, money(g.Billed), money(g.Effective))
	}
	return cells
}

func exactHours(h v1.Decimal) string { return string(h) }

func showHours(h v1.Decimal) string {
	value, err := strconv.ParseFloat(string(h), 64)
	if err != nil {
		return string(h)
	}
	if value < 1 {
		return strconv.FormatFloat(value, 'f', 4, 64)
	}
	return strconv.FormatFloat(value, 'f', 2, 64)
}

func showMonies(amounts []v1.Money) string  { return joinMonies(amounts, showMoney) }
func exactMonies(amounts []v1.Money) string { return joinMonies(amounts, exactMoney) }

func exactMoney(m v1.Money) string { return string(m.Amount) + " " + m.Currency }

// joinMonies writes sums of several currencies; one that is zero is left out
// where another is not, and a zero is written once.
func joinMonies(amounts []v1.Money, form func(v1.Money) string) string {
	var texts []string
	for _, m := range amounts {
		if !isZero(m) {
			texts = append(texts, form(m))
		}
	}
	if len(texts) == 0 && len(amounts) > 0 {
		return form(amounts[len(amounts)-1])
	}
	return strings.Join(texts, " + ")
}

func isZero(m v1.Money) bool { return strings.Trim(string(m.Amount), "-0.") == "" }

func (a *app) ledgerOf(ctx context.Context, p *plane, run string) error {
	if _, err := p.Run(ctx, run); err != nil {
		return err
	}
	entries, err := p.LedgerEntries(ctx, run)
	if err != nil {
		return err
	}
	l := listing{
		document: v1.LedgerEntries{Entries: entries},
		columns: []column{
			{"ID", "id", true}, {"ATTEMPT", "attempt", true}, {"POOL", "pool", false}, {"FROM", "from", false}, {"TOOK", "to", true},
			{"NODES", "nodes", true}, {"RATE/h", "rate", true}, {"COST", "cost", true}, {"NOTE", "note", false},
		},
		exact: [][]string{},
	}
	billed := slices.ContainsFunc(entries, func(e v1.LedgerEntry) bool { return e.Charge != nil })
	if billed {
		l.columns = slices.Insert(l.columns, 8, column{"CHARGE", "charge", false}, column{"BILLED", "billed", true}, column{"EFFECTIVE", "effective", true})
	}
	for _, e := range entries {
		note := e.Note
		if e.Reverses != 0 {
			note = strings.TrimSpace(fmt.Sprintf("takes back %d. %s", e.Reverses, note))
		}
		if e.Imputed {
			note = strings.TrimSpace("imputed. " + note)
		}
		row := func(from, to string, money func(v1.Money) string) []string {
			cells := []string{strconv.FormatInt(e.ID, 10), strconv.Itoa(e.Attempt), e.Pool, from, to, strconv.Itoa(e.Nodes), money(e.Rate), money(e.Cost), note}
			switch {
			case e.Charge != nil:
				cells[5], cells[7] = "", ""
				cells = slices.Insert(cells, 8, chargeName(*e.Charge), money(e.Cost), money(e.Charge.Effective))
			case billed && e.Billed:
				cells = slices.Insert(cells, 8, "", "", "")
			case billed:
				cells = slices.Insert(cells, 8, "not billed yet", "", "")
			}
			return cells
		}
		l.cells = append(l.cells, row(e.From.Local().Format(time.DateTime), showSpan(e.To.Sub(e.From)), showMoney))
		l.exact = append(l.exact, row(stamp(e.From), stamp(e.To), func(m v1.Money) string { return string(m.Amount) }))
	}
	if len(entries) == 0 {
		l.after = "Nothing is booked yet: use is booked by the hour and when an attempt ends.\n"
	}
	return a.print(l)
}

// chargeName says what a charge is and by which clause.
func chargeName(c v1.LedgerCharge) string {
	if c.Contract == "" {
		return c.Charge + " at list price"
	}
	return c.Charge + " by " + c.Contract + "/" + c.Clause
}

// verdictText says what was proved of the ledger, or what was found.
func verdictText(verdict v1.LedgerVerdict) string {
	if len(verdict.Problems) > 0 {
		return strings.Join(verdict.Problems, "\n") + "\n" + plural(len(verdict.Problems), "problem", "problems") + "\n"
	}
	if verdict.Entries == 0 {
		return "the ledger is empty: nothing to prove\n"
	}
	entries := plural(verdict.Entries, "entry", "entries")
	text := fmt.Sprintf("the ledger balances: %s of %s, %s, no gap, no overlap\n",
		entries, plural(verdict.Attempts, "attempt", "attempts"), exactMonies(verdict.Booked))
	if len(verdict.Booked) == 0 {
		text = fmt.Sprintf("the ledger balances: %s, none of a run's use yet\n", entries)
	}
	if verdict.Charges > 0 {
		text += fmt.Sprintf("%s of bills stand once each, as the contracts in force make them\n", plural(verdict.Charges, "entry", "entries"))
	}
	return text
}

func (a *app) verifyLedger(ctx context.Context, p *plane) error {
	verdict, err := p.VerifyLedger(ctx)
	if err != nil {
		return err
	}
	l := listing{document: verdict, columns: []column{{"PROBLEM", "problem", false}}}
	for _, problem := range verdict.Problems {
		l.cells = append(l.cells, []string{problem})
	}
	if a.output == "table" {
		_, err = fmt.Fprint(a.stdout, verdictText(verdict))
	} else {
		err = a.print(l)
	}
	if err == nil && len(verdict.Problems) > 0 {
		return exitError(exitFailure)
	}
	return err
}
