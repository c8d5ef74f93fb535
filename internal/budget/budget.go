// Package budget owns the noun of a limit on spending: its file, the period
// that it is for, what it covers, and where it stands.
//
// It refuses to know what was spent (ledger) and to act on it (scheduler,
// reconcile).
package budget

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Kind is the value of `kind` in a budget file.
const Kind = "Budget"

// Budget is the most that may be spent in a period, on what it covers.
type Budget struct {
	Kind       string      `json:"kind" jsonschema:"required"`
	Name       string      `json:"name" jsonschema:"required"`
	Amount     Amount      `json:"amount" jsonschema:"required"`
	Period     Period      `json:"period" jsonschema:"required"`
	Projects   []string    `json:"projects,omitempty"`   // empty covers all, as below
	Models     []string    `json:"models,omitempty"`     // of the workloads
	Providers  []string    `json:"providers,omitempty"`  // of the pools
	Chipmakers []string    `json:"chipmakers,omitempty"` // of the pools' chips
	Imputed    bool        `json:"imputed,omitempty"`    // count what is imputed, which costs no cash
	Thresholds []Threshold `json:"thresholds" jsonschema:"required"`
}

// Amount is positive money as people write it: "$250K" or "250000 EUR".
type Amount struct{ workload.Budget }

// MarshalJSON writes the text form that a file has.
func (a Amount) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }

// Threshold is what happens from a share of the amount on.
type Threshold struct {
	At Share  `json:"at" jsonschema:"required"`
	Do Action `json:"do" jsonschema:"required"`
}

// Action is what a threshold does, each with what those before it do.
type Action string

// The actions. Drain stops what runs, with grace to write a checkpoint; the
// run goes back to the queue and is held there.
const (
	Warn  Action = "warn"
	Hold  Action = "hold"
	Drain Action = "drain"
)

// Values lists the actions by what they do, least first.
func (Action) Values() []string { return []string{string(Warn), string(Hold), string(Drain)} }

// Holds reports whether new runs are held.
func (a Action) Holds() bool { return a == Hold || a == Drain }

// Share is a part of the amount, written "80%" or 0.8; more than the whole is valid.
type Share struct{ decimal.Decimal }

// UnmarshalText reads "80%" or "0.8", above 0 and up to ten times the amount.
func (s *Share) UnmarshalText(text []byte) error {
	digits, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	value, err := decimal.NewFromString(strings.TrimSpace(digits))
	if err != nil || len(text) > 20 || value.Exponent() > 3 || value.Exponent() < -18 {
		return fault.Newf(fault.Invalid, "found %.40q; a share of the amount is needed, such as 80%% or 0.8", text)
	}
	if percent {
		value = value.Shift(-2)
	}
	if value.Sign() <= 0 || value.Cmp(decimal.NewFromInt(10)) > 0 {
		return fault.Newf(fault.Invalid, "found %.40q; a share above 0%% and up to 1000%% is valid", text)
	}
	s.Decimal = value
	return nil
}

// MarshalText writes the plain decimal.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.Decimal.String()), nil }

// String writes the share in percent.
func (s Share) String() string { return s.Shift(2).String() + "%" }

// Period is a span of the calendar, in UTC. Weeks begin on Monday.
type Period string

// The periods. Total has no end.
const (
	Day     Period = "day"
	Week    Period = "week"
	Month   Period = "month"
	Quarter Period = "quarter"
	Year    Period = "year"
	Total   Period = "total"
)

// Values lists the periods.
func (Period) Values() []string {
	return []string{string(Day), string(Week), string(Month), string(Quarter), string(Year), string(Total)}
}

// Span is the period [from, to) in which now lies; both are zero for Total.
func (p Period) Span(now time.Time) (from, to time.Time) {
	now = now.UTC()
	year, month, day := now.Date()
	date := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	switch p {
	case Day:
		return date(year, month, day), date(year, month, day+1)
	case Week:
		monday := day - (int(now.Weekday())+6)%7
		return date(year, month, monday), date(year, month, monday+7)
	case Month:
		return date(year, month, 1), date(year, month+1, 1)
	case Quarter:
		first := month - (month-1)%3
		return date(year, first, 1), date(year, first+3, 1)
	case Year:
		return date(year, 1, 1), date(year+1, 1, 1)
	}
	return time.Time{}, time.Time{}
}

// phrase is the period as it stands in a sentence.
func (p Period) phrase() string {
	switch p {
	case Day:
		return "today"
	case Total:
		return "in all"
	}
	return "this " + string(p)
}

// Use is what money is spent on.
type Use struct{ Project, Model, Provider, Chipmaker string }

// Covers reports whether spending on u counts against the budget.
func (b *Budget) Covers(u Use) bool {
	in := func(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	return in(b.Projects, u.Project) && in(b.Models, u.Model) && in(b.Providers, u.Provider) && in(b.Chipmakers, u.Chipmaker)
}
