package ledger

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Source calls fn for each entry of a ledger, in order of ID, until fn fails,
// and returns that failure or its own. Each call begins anew.
type Source func(fn func(Entry) error) error

// By is what entries are summed by.
type By string

// The groupings.
const (
	ByRun       By = "run"
	ByProject   By = "project"
	ByPool      By = "pool"
	ByProvider  By = "provider"
	ByChipmaker By = "chipmaker"
	ByChip      By = "chip"
	ByDay       By = "day"      // UTC, of the begin of use
	ByContract  By = "contract" // that a charge is by
	ByCategory  By = "category"
)

// Groupings lists the values of By.
func Groupings() []By {
	return []By{ByRun, ByProject, ByPool, ByProvider, ByChipmaker, ByChip, ByDay, ByContract, ByCategory}
}

// ParseBy reads the name of a grouping; another name is fault.Invalid.
func ParseBy(name string) (By, error) {
	if slices.Contains(Groupings(), By(name)) {
		return By(name), nil
	}
	words := make([]string, 0, len(Groupings()))
	for _, by := range Groupings() {
		words = append(words, string(by))
	}
	return "", fault.Newf(fault.Invalid, "the ledger cannot be summed by %q; valid: %s", name, strings.Join(words, ", "))
}

// group names the group that an entry belongs to.
func (by By) group(e Entry) string {
	switch by {
	case ByRun:
		return e.Run
	case ByProject:
		return e.Project
	case ByPool:
		return e.Pool
	case ByProvider:
		return e.Provider
	case ByChipmaker:
		return e.Chipmaker
	case ByChip:
		return e.Chip
	case ByDay:
		return e.From.UTC().Format(time.DateOnly)
	case ByContract:
		return e.contract()
	case ByCategory:
		return string(e.Category)
	}
	return ""
}

// contract names the contract of a charge, "list" for one at list price, and
// "metered" for use.
func (e Entry) contract() string {
	switch {
	case !e.IsCharge():
		return "metered"
	case e.Contract == "":
		return "list"
	}
	return e.Contract
}

// Hours is an exact span of use, of any length: 2,562 nodes' nanoseconds of a
// thousand hours would not fit in 64 bits. The zero value is no time.
type Hours struct{ nanos big.Int }

// add counts n units in use over d; n is negative for use taken back.
func (h *Hours) add(n int, d time.Duration) {
	product := new(big.Int).Mul(big.NewInt(int64(n)), big.NewInt(int64(d)))
	h.nanos.Add(&h.nanos, product)
}

// Rat returns the exact number of hours.
func (h *Hours) Rat() *big.Rat { return new(big.Rat).SetFrac(&h.nanos, big.NewInt(int64(time.Hour))) }

// Seconds returns the exact number of seconds.
func (h *Hours) Seconds() *big.Rat {
	return new(big.Rat).SetFrac(&h.nanos, big.NewInt(int64(time.Second)))
}

// String returns the hours with six decimals, which is to 4 milliseconds.
func (h *Hours) String() string { return h.Rat().FloatString(6) }

// MarshalJSON writes the hours as a number with six decimals.
func (h *Hours) MarshalJSON() ([]byte, error) { return []byte(h.String()), nil }

// Row is the sum over one group. Money is one amount for each currency, in
// order of its code, and never mixed; what was imputed, not paid, is apart. Cost
// is of use at the rates of its placements, Billed and Effective are what the
// contracts make of it: the same where nothing is billed.
type Row struct {
	Group     string         `json:"group"`
	Entries   int            `json:"entries"` // lines, reversals included
	NodeHours *Hours         `json:"node_hours"`
	ChipHours *Hours         `json:"chip_hours"`
	Cost      []units.Amount `json:"cost"`
	Billed    []units.Amount `json:"billed"`
	Effective []units.Amount `json:"effective"`
	Imputed   []units.Amount `json:"imputed"`
}

// Summarize sums entries by group, in order of the group's name. Reversals
// take back time and money. Marks say what of the use is billed. Memory grows
// with the groups, not the entries.
func Summarize(entries Source, by By, marks Marks) ([]Row, error) {
	if _, err := ParseBy(string(by)); err != nil {
		return nil, err
	}
	rows := map[string]*Row{}
	err := entries(func(e Entry) error {
		name := by.group(e)
		row := rows[name]
		if row == nil {
			row = newRow(name)
			rows[name] = row
		}
		return row.add(e, marks)
	})
	if err != nil {
		return nil, err
	}
	sorted := make([]Row, 0, len(rows))
	for _, row := range rows {
		sorted = append(sorted, *row)
	}
	slices.SortFunc(sorted, func(a, b Row) int { return strings.Compare(a.Group, b.Group) })
	return sorted, nil
}

// Total sums all entries in one row named "total".
func Total(entries Source, marks Marks) (Row, error) {
	row := newRow("total")
	err := entries(func(e Entry) error { return row.add(e, marks) })
	return *row, err
}

func newRow(group string) *Row {
	// Empty lists, not null, in JSON.
	return &Row{Group: group, NodeHours: &Hours{}, ChipHours: &Hours{}, Cost: []units.Amount{}, Billed: []units.Amount{},
		Effective: []units.Amount{}, Imputed: []units.Amount{}}
}

func (r *Row) add(e Entry, marks Marks) error {
	sign := 1
	if e.Reverses != 0 {
		sign = -1
	}
	r.Entries++
	var err error
	if !e.IsCharge() {
		r.NodeHours.add(sign*e.Nodes, e.To.Sub(e.From))
		r.ChipHours.add(sign*e.Chips, e.To.Sub(e.From))
		if e.Imputed {
			r.Imputed, err = addAmount(r.Imputed, e.Cost)
			return err
		}
		if r.Cost, err = addAmount(r.Cost, e.Cost); err != nil {
			return err
		}
	}
	billed, effective := marks.Money(e)
	if r.Billed, err = addAmount(r.Billed, units.Amount{Micros: billed, Currency: e.Cost.Currency}); err != nil {
		return err
	}
	r.Effective, err = addAmount(r.Effective, units.Amount{Micros: effective, Currency: e.Cost.Currency})
	return err
}

// addAmount adds to the sum of the amount's currency. Sums stay in order.
func addAmount(sums []units.Amount, amount units.Amount) ([]units.Amount, error) {
	at, found := slices.BinarySearchFunc(sums, amount.Currency, func(sum units.Amount, c units.Currency) int {
		return strings.Compare(string(sum.Currency), string(c))
	})
	if !found {
		return slices.Insert(sums, at, amount), nil
	}
	sum, err := sums[at].Add(amount)
	if err != nil {
		return sums, err
	}
	sums[at] = sum
	return sums, nil
}
