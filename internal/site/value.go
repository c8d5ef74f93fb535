package site

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Rate is what a node costs an hour, as people write it: "$35.76" or "31.2 EUR".
type Rate struct{ units.Rate }

var rateForm = regexp.MustCompile(`^([$€£]?)\s*([0-9][0-9,_]{0,15}(?:\.[0-9]{1,12})?)(?:\s*([A-Z]{3}))?$`)

// UnmarshalText reads a rate exactly.
func (r *Rate) UnmarshalText(text []byte) error {
	word := strings.TrimSpace(string(text))
	invalid := fault.Newf(fault.Invalid, "found %q; a price with its currency is needed, such as $35.76 or 31.2 EUR", clip(word))
	m := rateForm.FindStringSubmatch(word)
	if m == nil {
		return invalid
	}
	currency := map[string]units.Currency{"": units.Currency(m[3]), "$": units.USD, "€": "EUR", "£": "GBP"}[m[1]]
	if currency == "" {
		return invalid
	}
	if code := units.Currency(m[3]); code != "" && code != currency {
		return fault.Newf(fault.Invalid, "found %q; %s and %s are two currencies", clip(word), m[1], m[3])
	}
	rate, err := units.ParseRate(strings.NewReplacer(",", "", "_", "").Replace(m[2]), currency)
	if err != nil {
		return invalid
	}
	r.Rate = rate
	return nil
}

// MarshalJSON writes the exact rate with its currency, as a file has it.
func (r Rate) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// Instant is a point in time, written in RFC 3339.
type Instant struct{ time.Time }

// UnmarshalText reads "2026-12-01T11:30:00Z".
func (i *Instant) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil || at.Year() < 1970 || at.Year() > 2199 {
		return fault.Newf(fault.Invalid, "found %q; a time is needed, such as 2026-12-01T11:30:00Z", clip(string(text)))
	}
	i.Time = at.UTC()
	return nil
}

// clip bounds what of a user's text is quoted back.
func clip(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
