package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// spentIn is what was spent in each currency; no sum crosses currencies.
type spentIn map[units.Currency][]billing.Spend

// shown are the currencies to tell of: the one that was asked for, or each in
// which something is left once what was taken back is taken off. USD is told of
// where nothing was spent at all.
func (s spentIn) shown(f burnFlags) ([]units.Currency, error) {
	known := slices.Sorted(maps.Keys(s))
	if f.currency != "" {
		asked := units.Currency(strings.ToUpper(f.currency))
		if !slices.Contains(known, asked) {
			return nil, fault.Newf(fault.Invalid, "--currency: nothing was spent in %q; valid: %s", f.currency, currencyNames(known))
		}
		return []units.Currency{asked}, nil
	}
	var some []units.Currency
	for _, currency := range known {
		if !cancels(s[currency]) {
			some = append(some, currency)
		}
	}
	switch {
	case len(some) == 0 && len(known) == 1:
		return known, nil
	case len(some) == 0:
		return []units.Currency{units.USD}, nil
	case len(some) > 1 && (f.cash != "" || len(f.tranches) > 0):
		return nil, fault.Newf(fault.Invalid, "--cash, --tranche: spent was in %s, and no sum crosses currencies; say with --currency which one the cash is in", currencyNames(some))
	}
	return some, nil
}

func currencyNames(currencies []units.Currency) string {
	var texts []string
	for _, c := range currencies {
		texts = append(texts, string(c))
	}
	if len(texts) == 0 {
		return "none yet"
	}
	return strings.Join(texts, ", ")
}

// cancels reports whether what was spent was all taken back, day by day.
func cancels(spends []billing.Spend) bool {
	days := map[int64]int64{}
	for _, s := range spends {
		days[s.At.Unix()/86400] += s.Micros
	}
	for _, micros := range days {
		if micros != 0 {
			return false
		}
	}
	return true
}

// printBurns prints one block for each currency; one alone as it ever was.
func (a *app) printBurns(all []listing, currencies []units.Currency) error {
	if len(all) == 1 {
		return a.print(all[0])
	}
	joined := listing{columns: all[0].columns, extra: all[0].extra, exact: [][]string{}}
	var documents []any
	var page strings.Builder
	for i, l := range all {
		documents = append(documents, l.document)
		joined.exact = append(joined.exact, l.exact...)
		if i > 0 {
			page.WriteString("\n")
		}
		l.before = "spent in " + string(currencies[i]) + "\n"
		if err := writeTable(&page, l, terminalWidth(a.stdout)); err != nil {
			return err
		}
	}
	joined.page = page.String()
	joined.document = map[string]any{"currencies": documents}
	return a.print(joined)
}
