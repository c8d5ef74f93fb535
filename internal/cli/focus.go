package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/focus"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// focusCommands are the ways of the ledger to and from FOCUS files.
func (a *app) focusCommands() []*cobra.Command {
	return []*cobra.Command{a.ledgerExportCommand(), a.ledgerImportCommand(), a.ledgerReconcileCommand()}
}

func (a *app) ledgerExportCommand() *cobra.Command {
	var f focusFlags
	cmd := &cobra.Command{
		Use:     "export --format focus",
		Short:   "Write the ledger as FOCUS cost and usage, in CSV or Parquet",
		Example: "  yard ledger export --format focus --version 1.2 -o parquet > ledger.parquet",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.format != "focus" {
				return fault.Newf(fault.Invalid, "unknown format %q; valid: focus", f.format)
			}
			out, err := f.writer(a)
			if err != nil {
				return err
			}
			if err := a.eachLedgerRow(cmd.Context(), f, out.Write); err != nil {
				return err
			}
			return out.Close()
		},
	}
	f.add(cmd)
	cmd.Flags().Lookup("format").DefValue = "focus"
	f.format = "focus"
	return a.withOutput(a.planeFlags(cmd))
}

// eachLedgerRow reads the ledger as rows of FOCUS: the charges, and what is used
// and not billed yet at the rate of its placement.
func (a *app) eachLedgerRow(ctx context.Context, f focusFlags, fn func(focus.Row) error) error {
	sent := 0
	return a.with(ctx, func(p *plane) error {
		if sent > 0 { // by another control plane, which ended: what was sent is not taken back
			return fault.Newf(fault.Transient, "the ledger broke off after %d rows; try again", sent)
		}
		return p.EachLedgerEntry(ctx, "", func(e v1.LedgerEntry) error {
			if e.Billed {
				return nil // its charges are in the ledger, too
			}
			sent++
			entry, err := ledgerEntry(e)
			if err != nil {
				return err
			}
			return fn(focus.FromEntry(entry, focus.Account{ID: f.accountID, Name: f.accountName}))
		})
	})
}

// ledgerEntry turns the wire form of an entry back into the ledger's.
func ledgerEntry(e v1.LedgerEntry) (ledger.Entry, error) {
	rate, err := units.ParseRate(string(e.Rate.Amount), units.Currency(e.Rate.Currency))
	if err != nil {
		return ledger.Entry{}, err
	}
	cost, err := units.ParseAmount(string(e.Cost.Amount), units.Currency(e.Cost.Currency))
	out := ledger.Entry{
		ID: e.ID, Category: ledger.Category(e.Category), Reverses: e.Reverses, Run: e.Run, Attempt: e.Attempt, Project: e.Project,
		Pool: e.Pool, Provider: e.Provider, Region: e.Region, InstanceType: e.InstanceType, Option: e.Option,
		Chipmaker: e.Chipmaker, Chip: e.Chip, From: e.From, To: e.To, Nodes: e.Nodes, Chips: e.Chips,
		Rate: rate, Imputed: e.Imputed, Cost: cost, Booked: e.Booked, Note: e.Note,
	}
	if err != nil || e.Charge == nil {
		return out, err
	}
	list, err := units.ParseAmount(string(e.Charge.List.Amount), "")
	if err != nil {
		return out, err
	}
	effective, err := units.ParseAmount(string(e.Charge.Effective.Amount), "")
	out.Contract, out.Clause, out.ClauseKind, out.Charge = e.Charge.Contract, e.Charge.Clause, e.Charge.Kind, e.Charge.Charge
	out.Quantity, out.List, out.Effective = string(e.Charge.Quantity), list.Micros, effective.Micros
	return out, err
}

// readFocus reads a provider's bill.
func readFocus(path string) (*focus.Import, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "bill")
	}
	defer func() { _ = file.Close() }()
	return focus.Read(file, path)
}

type importJSON struct {
	Rows   int          `json:"rows"`
	Left   int          `json:"left_out"`
	Flaws  []flawJSON   `json:"flaws"`
	More   int          `json:"more_flaws"`
	Groups []*groupJSON `json:"groups"`
}

type flawJSON struct {
	Line    int    `json:"line"`
	Column  string `json:"column"`
	Message string `json:"message"`
}

type groupJSON struct {
	Provider  string      `json:"provider"`
	Category  string      `json:"category"`
	Currency  string      `json:"currency"`
	Rows      int         `json:"rows"`
	Billed    json.Number `json:"billed"`
	Effective json.Number `json:"effective"`

	billed, effective int64
}

func (a *app) ledgerImportCommand() *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "import --format focus FILE",
		Short: "Read a provider's bill in FOCUS: every flaw with its row, and sums of the rest",
		Long: "Import reads a cost and usage file in CSV (FOCUS 1.0 or later), reports each flaw with its row,\n" +
			"and sums up what could be read. --write keeps the rows that could, as FOCUS 1.2 in CSV.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "focus" {
				return fault.Newf(fault.Invalid, "unknown format %q; valid: focus", format)
			}
			found, err := readFocus(args[0])
			if err != nil {
				return err
			}
			if out != "" {
				if err := keepRows(out, found.Rows); err != nil {
					return err
				}
			}
			return a.print(importListing(found))
		},
	}
	cmd.Flags().StringVar(&format, "format", "focus", "form of the bill: focus")
	cmd.Flags().StringVar(&out, "write", "", "write the rows that could be read to this `FILE`")
	return a.withOutput(cmd)
}

func keepRows(path string, rows []focus.Row) error {
	file, err := os.Create(path)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "rows")
	}
	out, err := focus.NewCSV(file, focus.Version12)
	for i := 0; err == nil && i < len(rows); i++ {
		err = out.Write(rows[i])
	}
	if err == nil {
		err = out.Close()
	}
	return errors.Join(err, file.Close())
}

func importListing(found *focus.Import) listing {
	doc := importJSON{Rows: len(found.Rows), Left: found.Left, Flaws: []flawJSON{}, More: found.Dropped, Groups: []*groupJSON{}}
	for _, flaw := range found.Flaws {
		doc.Flaws = append(doc.Flaws, flawJSON{flaw.Line, flaw.Field, flaw.Message})
	}
	groups := map[[3]string]*groupJSON{}
	for i := range found.Rows {
		r := &found.Rows[i]
		key := [3]string{r.Provider, r.ChargeCategory, string(r.BilledCost.Currency)}
		g := groups[key]
		if g == nil {
			g = &groupJSON{Provider: key[0], Category: key[1], Currency: key[2]}
			groups[key] = g
			doc.Groups = append(doc.Groups, g)
		}
		g.Rows++
		g.billed += r.BilledCost.Micros
		g.effective += r.EffectiveCost.Micros
	}
	l := listing{columns: []column{{"PROVIDER", "provider", false}, {"CATEGORY", "category", false}, {"ROWS", "rows", true},
		{"BILLED", "billed", true}, {"EFFECTIVE", "effective", true}, {"CURRENCY", "currency", false}}}
	for _, g := range doc.Groups {
		g.Billed, g.Effective = exactMicros(g.billed), exactMicros(g.effective)
		l.cells = append(l.cells, []string{g.Provider, g.Category, fmt.Sprint(g.Rows), centsOf(g.billed), centsOf(g.effective), g.Currency})
	}
	l.document = doc
	var after strings.Builder
	fmt.Fprintf(&after, "\n%s read, %d left out, %s\n", countOf(doc.Rows, "row"), doc.Left, countOf(len(doc.Flaws)+doc.More, "flaw"))
	const shown = 20
	for i, flaw := range found.Flaws {
		if i == shown {
			fmt.Fprintf(&after, "… and %d more (-o json)\n", len(found.Flaws)-shown+found.Dropped)
			break
		}
		fmt.Fprintln(&after, flaw.Error())
	}
	l.after = after.String()
	return l
}

type findingJSON struct {
	Verdict         string      `json:"verdict"`
	Provider        string      `json:"provider"`
	Day             string      `json:"day"`
	What            string      `json:"what"`
	MeteredQuantity json.Number `json:"metered_quantity"`
	BilledQuantity  json.Number `json:"billed_quantity"`
	Metered         json.Number `json:"metered"`
	Billed          json.Number `json:"billed"`
	AtStake         json.Number `json:"at_stake"`
	Currency        string      `json:"currency"`
}

type reconcileFlags struct {
	focusFlags
	by, tolerance, against string
	site, since            string
}

func (a *app) ledgerReconcileCommand() *cobra.Command {
	var f reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile BILL | --site SITE",
		Short: "Compare a provider's bill, or a site's own accounting, with what we metered",
		Long: "Reconcile compares a provider's bill in FOCUS with the ledger, or with another FOCUS file\n" +
			"(--against), by provider, day, and what rows have in common. It says what matched, what is\n" +
			"missing from the bill, what it has beyond what we metered, and where price or quantity differ.\n\n" +
			"With --site it compares the node-time of each attempt in the ledger with what the site's own\n" +
			"accounting says (Slurm: sacct), and tells the sum at stake at the rates of the placements.",
		Example: "  yard ledger reconcile bill.csv --by tag:run\n  yard ledger reconcile --site lab --since 2026-11-01",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("site") {
				return a.reconcileSite(cmd, args, f)
			}
			switch {
			case len(args) == 0:
				return fault.New(fault.Invalid, "a provider's bill in FOCUS is needed, or --site SITE for a site's own accounting")
			case cmd.Flags().Changed("since"):
				return fault.New(fault.Invalid, "--since is for --site; a bill says itself what it is about")
			}
			return a.reconcile(cmd, args[0], f)
		},
	}
	cmd.Flags().StringVar(&f.by, "by", "resource", "what rows have in common: resource, service, sku, or tag:KEY")
	cmd.Flags().StringVar(&f.tolerance, "tolerance", "0.01", "costs that differ by less are taken as equal")
	cmd.Flags().StringVar(&f.against, "against", "", "a FOCUS `FILE` of what was metered, in place of the ledger")
	cmd.Flags().StringVar(&f.site, "site", "", "compare the accounting of this `SITE` in place of a bill")
	cmd.Flags().StringVar(&f.since, "since", "", "with --site: from this `DATE` or time on, UTC (default: 30 days ago)")
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) reconcile(cmd *cobra.Command, bill string, f reconcileFlags) error {
	billed, err := readFocus(bill)
	if err != nil {
		return err
	}
	var metered []focus.Row
	if f.against != "" {
		ours, err := readFocus(f.against)
		if err != nil {
			return err
		}
		metered = ours.Rows
	} else if err := a.eachLedgerRow(cmd.Context(), f.focusFlags, func(row focus.Row) error {
		metered = append(metered, row)
		return nil
	}); err != nil {
		return err
	}
	tolerance, err := units.ParseAmount(f.tolerance, "")
	if err != nil {
		return fault.Newf(fault.Invalid, "--tolerance: %s", err)
	}
	findings, err := focus.Reconcile(metered, billed.Rows, f.by, tolerance)
	if err != nil {
		return err
	}
	return a.print(reconcileListing(findings, billed.Flaws))
}

func reconcileListing(findings []focus.Finding, flaws spec.Faults) listing {
	l := listing{columns: []column{
		{"VERDICT", "verdict", false}, {"PROVIDER", "provider", false}, {"DAY", "day", false}, {"WHAT", "what", false},
		{"METERED", "metered_quantity", true}, {"BILLED", "billed_quantity", true}, {"OUR COST", "metered", true}, {"THEIR COST", "billed", true},
		{"AT STAKE", "at_stake", true},
	}}
	documents := []findingJSON{}
	counts, stakes := map[focus.Verdict]int{}, map[focus.Verdict]int64{}
	for _, f := range findings {
		counts[f.Verdict]++
		stakes[f.Verdict] += f.Stake.Micros
		d := findingJSON{
			Verdict: string(f.Verdict), Provider: f.Provider, Day: f.Day.Format(time.DateOnly), What: f.What,
			MeteredQuantity: json.Number(f.Metered.Quantity.FloatString(6)), BilledQuantity: json.Number(f.Billed.Quantity.FloatString(6)),
			Metered: exactMicros(f.Metered.Cost.Micros), Billed: exactMicros(f.Billed.Cost.Micros), AtStake: exactMicros(f.Stake.Micros), Currency: string(f.Stake.Currency),
		}
		documents = append(documents, d)
		if f.Verdict != focus.Matched {
			l.cells = append(l.cells, []string{d.Verdict, d.Provider, d.Day, d.What, showHours(v1.Decimal(d.MeteredQuantity)), showHours(v1.Decimal(d.BilledQuantity)),
				centsOf(f.Metered.Cost.Micros), centsOf(f.Billed.Cost.Micros), centsOf(f.Stake.Micros)})
		}
	}
	l.document = documents
	var parts []string
	for _, verdict := range []focus.Verdict{focus.Matched, focus.Missing, focus.Extra, focus.Price, focus.Quantity} {
		if counts[verdict] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d (%s)", verdict, counts[verdict], centsOf(stakes[verdict])))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing to compare"}
	}
	l.after = "\n" + strings.Join(parts, " · ") + "\n"
	if len(flaws) > 0 {
		l.after += fmt.Sprintf("the bill has %s (yard ledger import --format focus BILL)\n", countOf(len(flaws), "flaw"))
	}
	return l
}
