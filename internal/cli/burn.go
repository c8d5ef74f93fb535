package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/units"
)

type burnFlags struct {
	billFlags
	cash, floor string
	tranches    []string
	effective   bool
	currency    string
}

func (a *app) burnCommand() *cobra.Command {
	var f burnFlags
	cmd := &cobra.Command{
		Use:   "burn [--contracts DIR --usage FILE.csv] [--cash AMOUNT]",
		Short: "Spend by day and month, its pace, and how long the cash lasts",
		Long: "Burn sums up what was spent, from the ledger or from a bill of usage under contracts, by provider\n" +
			"and chipmaker, with the Herfindahl-Hirschman index. The run-rate is the mean of the last 30 days,\n" +
			"of today as far as it is known; with --cash it says when the cash reaches its floor, tranches counted from their day on.",
		Example: "  yard burn --cash 9.0M --tranche 2026-09-01=3M\n  yard burn --contracts examples/contracts --usage usage.csv",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.burn(cmd.Context(), f) },
	}
	cmd.Flags().StringSliceVar(&f.contracts, "contracts", nil, "contract files, or directories of them")
	cmd.Flags().StringSliceVar(&f.usage, "usage", nil, "usage files (CSV) to bill, in place of the ledger")
	cmd.Flags().StringVar(&f.cash, "cash", "", "cash on hand at the end of what was spent, such as 9.0M")
	cmd.Flags().StringVar(&f.floor, "floor", "0", "cash that is not to be spent")
	cmd.Flags().StringArrayVar(&f.tranches, "tranche", nil, "`DATE=AMOUNT` that comes in (repeatable)")
	cmd.Flags().BoolVar(&f.effective, "effective", false, "spread purchases over what they pay for, instead of when they fall due")
	cmd.Flags().StringVar(&f.currency, "currency", "", "only what was spent in this currency, such as EUR (default: each apart)")
	return a.withOutput(a.planeFlags(cmd))
}

func (a *app) burn(ctx context.Context, f burnFlags) error {
	var spent spentIn
	var now time.Time // zero for a bill, whose days are whole
	var err error
	if len(f.usage) > 0 {
		spent, err = a.billedSpend(f)
	} else {
		now = time.Now()
		spent, err = a.ledgerSpend(ctx, f.effective)
	}
	if err != nil {
		return err
	}
	currencies, err := spent.shown(f)
	if err != nil {
		return err
	}
	cash, err := moneyFlag("--cash", f.cash)
	if err != nil {
		return err
	}
	floor, err := moneyFlag("--floor", f.floor)
	if err != nil {
		return err
	}
	inflows, err := tranches(f.tranches)
	if err != nil {
		return err
	}
	var all []listing
	for _, currency := range currencies {
		all = append(all, burnListing(billing.BurnOf(spent[currency], now, cash-floor, inflows), currency, f.cash != ""))
	}
	return a.printBurns(all, currencies)
}

func moneyFlag(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	var n contract.Number
	if err := n.UnmarshalText([]byte(text)); err != nil {
		return 0, fault.Newf(fault.Invalid, "%s: %s", name, err)
	}
	return units.AmountOfRat(n.Exact(), "").Micros, nil
}

func tranches(texts []string) ([]billing.Inflow, error) {
	var inflows []billing.Inflow
	for _, text := range texts {
		day, amount, _ := strings.Cut(text, "=")
		at, err := contract.ParseInstant(day)
		if err != nil {
			return nil, fault.Newf(fault.Invalid, "--tranche: %s", err)
		}
		micros, err := moneyFlag("--tranche", amount)
		if err != nil {
			return nil, err
		}
		inflows = append(inflows, billing.Inflow{At: at, Amount: units.Amount{Micros: micros}})
	}
	return inflows, nil
}

// billedSpend bills usage and takes what each hour is billed as spent.
func (a *app) billedSpend(f burnFlags) (spentIn, error) {
	var contracts []*contract.Contract
	var err error
	if len(f.contracts) > 0 {
		if contracts, err = loadContracts(f.contracts); err != nil {
			return nil, err
		}
	}
	book, err := billing.NewBook(contracts)
	if err != nil {
		return nil, err
	}
	for _, file := range f.usage {
		if err := a.readUsage(file, f.billFlags, book); err != nil {
			return nil, err
		}
	}
	from, to, err := horizon(f.from, f.to, book)
	if err != nil {
		return nil, err
	}
	var spends []billing.Spend
	book.Settle(from, to, func(c billing.Charge) {
		micros := c.Billed
		if f.effective {
			micros = c.Effective
		}
		if c.Category.Invoiced() && micros != 0 {
			spends = append(spends, billing.Spend{At: c.From, Provider: named(c.Product.Provider, c.Contract), Chipmaker: named(c.Product.Chipmaker, notKnown), Micros: micros})
		}
	})
	return spentIn{book.Currency(): spends}, nil
}

// ledgerSpend takes the ledger as spent: charges, and what is used and not
// billed yet at the rate of its placement.
func (a *app) ledgerSpend(ctx context.Context, effective bool) (spent spentIn, err error) {
	err = a.with(ctx, func(p *plane) error {
		a.warnOfBilling(ctx, p)
		spent = spentIn{}
		return p.EachLedgerEntry(ctx, "", func(e v1.LedgerEntry) error {
			entry, err := ledgerEntry(e)
			if err != nil {
				return err
			}
			if entry.Imputed || e.Billed || entry.Category == ledger.Withheld {
				return nil // costs no cash, or its charges are in the ledger, too
			}
			micros := entry.Cost.Micros
			if effective && entry.IsCharge() {
				micros = entry.Effective
			}
			currency := entry.Cost.Currency
			spent[currency] = append(spent[currency], billing.Spend{At: entry.From, To: entry.To, Provider: named(entry.Provider, entry.Contract), Chipmaker: named(entry.Chipmaker, notKnown), Micros: micros})
			return nil
		})
	})
	return spent, err
}

// notKnown is the name of what has none.
const notKnown = "not known"

func named(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

type burnJSON struct {
	Currency    units.Currency `json:"currency"`
	PerDay      json.Number    `json:"per_day"`
	PerMonth    json.Number    `json:"per_month"`
	RunwayDays  *int           `json:"runway_days,omitempty"`
	Dry         string         `json:"dry,omitempty"`
	Days        []daySumJSON   `json:"days"`
	Months      []daySumJSON   `json:"months"`
	Providers   []exposureJSON `json:"providers"`
	Chipmakers  []exposureJSON `json:"chipmakers"`
	ProviderHHI json.Number    `json:"provider_hhi"`
	ChipHHI     json.Number    `json:"chipmaker_hhi"`
}

type daySumJSON struct {
	From  string      `json:"from"`
	Spend json.Number `json:"spend"`
}

type exposureJSON struct {
	Name  string      `json:"name"`
	Spend json.Number `json:"spend"`
	Share json.Number `json:"share"`
}

func burnListing(b billing.Burn, currency units.Currency, cash bool) listing {
	// A month of the run-rate is a twelfth of 365 days.
	month := new(big.Rat).Mul(b.PerDay, big.NewRat(365, 12))
	doc := burnJSON{Currency: currency, PerDay: json.Number(b.PerDay.FloatString(6)), PerMonth: json.Number(month.FloatString(6)),
		Days: sumsJSON(b.Days), Months: sumsJSON(b.Months), Providers: exposuresJSON(b.Providers), Chipmakers: exposuresJSON(b.Chipmakers),
		ProviderHHI: json.Number(b.ProviderHHI.FloatString(0)), ChipHHI: json.Number(b.ChipHHI.FloatString(0))}
	l := listing{columns: []column{{"MONTH", "month", false}, {"SPEND", "spend", true}}, exact: [][]string{}, extra: []column{{"", "currency", false}}}
	for _, m := range b.Months {
		l.cells = append(l.cells, []string{m.Day.Format("2006-01"), centsOfRat(big.NewRat(m.Micros, 1_000_000))})
		l.exact = append(l.exact, []string{m.Day.Format("2006-01"), string(exactMicros(m.Micros)), string(currency)})
	}
	var after strings.Builder
	if len(b.Days) == 0 {
		after.WriteString("nothing was spent\n")
	} else {
		of := ""
		if b.Known < 24*time.Hour {
			of = ", of " + showSpan(b.Known)
		}
		fmt.Fprintf(&after, "\nrun-rate %s a day, %s a month (%s%s)\n", centsOfRat(b.PerDay), centsOfRat(month), currency, of)
		fmt.Fprintf(&after, "by provider:  %s · HHI %s\n", exposed(b.Providers), doc.ProviderHHI)
		if len(b.Chipmakers) > 1 || b.Chipmakers[0].Name != notKnown {
			fmt.Fprintf(&after, "by chipmaker: %s · HHI %s\n", exposed(b.Chipmakers), doc.ChipHHI)
		}
	}
	if cash && b.Runway >= 0 {
		doc.RunwayDays, doc.Dry = &b.Runway, b.Dry.Format(time.DateOnly)
		fmt.Fprintf(&after, "runway: %s, to %s\n", countOf(b.Runway, "day"), doc.Dry)
	} else if cash {
		after.WriteString("runway: more than ten years\n")
	}
	if len(b.Days) > 2 {
		after.WriteString("\nspend by day\n" + dailyChart(b.Days) + "\n")
	}
	l.document, l.after = doc, after.String()
	return l
}

// centsOfRat writes a sum for reading, rounded to cents.
func centsOfRat(sum *big.Rat) string {
	sign, digits := "", sum.FloatString(2)
	if sum.Sign() < 0 {
		sign, digits = digits[:1], digits[1:]
	}
	units, cents, _ := strings.Cut(digits, ".")
	return sign + grouped(units) + "." + cents
}

func dailyChart(days []billing.DaySum) string {
	values := make([]float64, len(days))
	for i, d := range days {
		values[i] = float64(d.Micros) / 1e6
	}
	return asciigraph.Plot(values, asciigraph.Height(8), asciigraph.Width(min(max(len(values), 20), 72)), asciigraph.LowerBound(0),
		asciigraph.Caption(days[0].Day.Format(time.DateOnly)+" to "+days[len(days)-1].Day.Format(time.DateOnly)))
}

func exposed(all []billing.Exposure) string {
	var parts []string
	for i, e := range all {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("%d more", len(all)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s%%", e.Name, new(big.Rat).Mul(e.Share, big.NewRat(100, 1)).FloatString(1)))
	}
	return strings.Join(parts, ", ")
}

func sumsJSON(sums []billing.DaySum) []daySumJSON {
	out := []daySumJSON{}
	for _, s := range sums {
		out = append(out, daySumJSON{s.Day.Format(time.DateOnly), exactMicros(s.Micros)})
	}
	return out
}

func exposuresJSON(all []billing.Exposure) []exposureJSON {
	out := []exposureJSON{}
	for _, e := range all {
		out = append(out, exposureJSON{e.Name, exactMicros(e.Micros), json.Number(e.Share.FloatString(4))})
	}
	return out
}
