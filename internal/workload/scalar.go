package workload

import (
	"regexp"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Deadline is when a workload must be done. Text: a date, which is included
// (in UTC), or an RFC 3339 time.
type Deadline struct {
	Time time.Time
	text string
}

// UnmarshalText reads "2027-03-01" or "2027-03-01T12:00:00Z".
func (d *Deadline) UnmarshalText(text []byte) error {
	word := string(text)
	if day, err := time.Parse(time.DateOnly, word); err == nil {
		*d = Deadline{day.AddDate(0, 0, 1), word}
		return nil
	}
	instant, err := time.Parse(time.RFC3339, word)
	if err != nil {
		return fault.Newf(fault.Invalid, "found %q; a date such as 2027-03-01 or a time such as 2027-03-01T12:00:00Z is needed", clip(word))
	}
	*d = Deadline{instant.UTC(), word}
	return nil
}

// MarshalText writes the deadline as it was read.
func (d Deadline) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// String is the deadline as it was read.
func (d Deadline) String() string { return d.text }

// IsZero reports whether there is no deadline.
func (d Deadline) IsZero() bool { return d.Time.IsZero() }

// Budget is an amount as people write it: "$9.0M", "9M USD" or "9000000 EUR".
type Budget struct{ units.Amount }

var budgetForm = regexp.MustCompile(`^([$€£]?)\s*([0-9][0-9,_]*(?:\.[0-9]+)?)\s*([KMBkmb]?)(?:\s*([A-Z]{3}))?$`)

const budgetHelp = "found %q; a positive amount with its currency is needed, such as $9.0M or 9000000 EUR"

// UnmarshalText reads an amount exactly.
func (b *Budget) UnmarshalText(text []byte) error {
	invalid := fault.Newf(fault.Invalid, budgetHelp, clip(string(text)))
	m := budgetForm.FindStringSubmatch(strings.TrimSpace(string(text)))
	if m == nil || len(text) > 40 {
		return invalid
	}
	symbol, digits, magnitude, code := m[1], strings.NewReplacer(",", "", "_", "").Replace(m[2]), m[3], m[4]
	currency := units.Currency(code)
	if symbol != "" {
		meant := map[string]units.Currency{"$": units.USD, "€": "EUR", "£": "GBP"}[symbol]
		if code != "" && currency != meant {
			return fault.Newf(fault.Invalid, "found %q; %s and %s are two currencies", clip(string(text)), symbol, code)
		}
		currency = meant
	}
	if currency == "" {
		return invalid
	}
	value, err := decimal.NewFromString(digits)
	if err != nil {
		return invalid
	}
	value = value.Shift(map[string]int32{"": 0, "K": 3, "M": 6, "B": 9}[strings.ToUpper(magnitude)])
	amount, err := units.ParseAmount(value.String(), currency)
	if err != nil || amount.Micros <= 0 {
		return invalid
	}
	b.Amount = amount
	return nil
}

// MarshalText writes the exact amount with its currency.
func (b Budget) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// clip bounds what of a user's text is quoted back.
func clip(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
