package contract

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Number is an exact decimal of a contract file: money in the contract's
// currency, a rate or a quantity. Text forms: "38B", "1,200", "0.0425"; K, M, B
// and T are powers of a thousand.
type Number struct{ decimal.Decimal }

// UnmarshalText reads a non-negative number.
func (n *Number) UnmarshalText(text []byte) error {
	word := strings.NewReplacer(",", "", "_", "", " ", "").Replace(strings.TrimSpace(string(text)))
	shift := int32(0)
	if word != "" {
		if zeros, found := map[byte]int32{'K': 3, 'M': 6, 'B': 9, 'T': 12}[word[len(word)-1]&^0x20]; found {
			shift, word = zeros, word[:len(word)-1]
		}
	}
	value, err := decimal.NewFromString(word)
	if err != nil || value.Exponent() > 24 || value.Exponent() < -24 || len(word) > 40 {
		return fault.Newf(fault.Invalid, "found %q; a number is needed, with K, M, B or T if you like (38B, 0.0425)", clip(string(text)))
	}
	if value.Sign() < 0 {
		return fault.Newf(fault.Invalid, "found %q; it must not be negative", clip(string(text)))
	}
	value = value.Shift(shift)
	if value.Cmp(decimal.New(1, largestNumber)) > 0 {
		return fault.Newf(fault.Invalid, "found %q; at most a trillion (1T) is taken", clip(string(text)))
	}
	n.Decimal = value
	return nil
}

// largestNumber is the power of ten that bounds numbers: sums of money are
// kept in int64 micro-units, which end at nine trillion.
const largestNumber = 12

// Exact returns the number as a rational.
func (n Number) Exact() *big.Rat { return n.Decimal.Rat() }

// MarshalText writes the plain decimal.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.Decimal.String()), nil }

// Share is a part of a whole between 0 and 1, written "30%" or 0.3.
type Share struct{ decimal.Decimal }

// UnmarshalText reads "30%" or "0.3".
func (s *Share) UnmarshalText(text []byte) error {
	word := strings.TrimSpace(string(text))
	digits, percent := strings.CutSuffix(word, "%")
	value, err := decimal.NewFromString(strings.TrimSpace(digits))
	if err != nil || value.Exponent() < -24 || value.Exponent() > 24 || len(word) > 40 {
		return fault.Newf(fault.Invalid, "found %q; a share is needed, such as 30%% or 0.3", clip(word))
	}
	if percent {
		value = value.Shift(-2)
	}
	if value.Sign() < 0 || value.Cmp(decimal.NewFromInt(1)) > 0 {
		return fault.Newf(fault.Invalid, "found %q; a share lies between 0 and 1 (0%% and 100%%)", clip(word))
	}
	s.Decimal = value
	return nil
}

// Exact returns the share as a rational.
func (s Share) Exact() *big.Rat { return s.Decimal.Rat() }

// MarshalText writes the plain decimal.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.Decimal.String()), nil }

// Instant is a point in time, written as a date (midnight UTC) or in RFC 3339.
type Instant struct{ time.Time }

// UnmarshalText reads "2025-11-03" or "2025-11-03T11:30:00Z".
func (i *Instant) UnmarshalText(text []byte) error {
	at, err := ParseInstant(string(text))
	i.Time = at
	return err
}

// MarshalText writes a date where the time is midnight, RFC 3339 otherwise.
func (i Instant) MarshalText() ([]byte, error) {
	if i.Time.Equal(i.Time.Truncate(24 * time.Hour)) {
		return []byte(i.Time.Format(time.DateOnly)), nil
	}
	return []byte(i.Time.Format(time.RFC3339)), nil
}

// ParseInstant reads a date or an RFC 3339 time of the years 1970 to 2199, in
// UTC and in whole seconds.
func ParseInstant(text string) (time.Time, error) {
	word := strings.TrimSpace(text)
	at, err := time.Parse(time.DateOnly, word)
	if err != nil {
		at, err = time.Parse(time.RFC3339, word)
	}
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04Z07:00", word)
	}
	switch {
	case err == nil && at.Nanosecond() != 0:
		return time.Time{}, fault.Newf(fault.Invalid, "found %q; times are in whole seconds", clip(word))
	case err == nil && (at.Year() < 1970 || at.Year() > 2199):
		return time.Time{}, fault.Newf(fault.Invalid, "found %q; valid: 1970-01-01 to 2199-12-31", clip(word))
	case err != nil:
		return time.Time{}, fault.Newf(fault.Invalid, "found %q; a date or a time is needed, such as 2025-11-03 or 2025-11-03T11:30:00Z", clip(word))
	}
	return at.UTC(), nil
}

// Span is a length of the calendar, written "30d", "12w", "24mo" or "2y".
type Span struct{ Months, Days int }

var spanForm = regexp.MustCompile(`^(\d{1,5}) ?(d|days?|w|weeks?|mo|months?|y|years?)$`)

// UnmarshalText reads "30d", "12w", "24mo", "2y", or the words in full.
func (s *Span) UnmarshalText(text []byte) error {
	m := spanForm.FindStringSubmatch(strings.TrimSpace(string(text)))
	if m == nil {
		return fault.Newf(fault.Invalid, "found %q; a span is needed, such as 30d, 12w, 24mo or 2y", clip(string(text)))
	}
	n, _ := strconv.Atoi(m[1])
	switch m[2][0] {
	case 'd':
		*s = Span{Days: n}
	case 'w':
		*s = Span{Days: 7 * n}
	case 'm':
		*s = Span{Months: n}
	default:
		*s = Span{Months: 12 * n}
	}
	return nil
}

// MarshalText writes the shortest form.
func (s Span) MarshalText() ([]byte, error) {
	if s.Months > 0 {
		return []byte(strconv.Itoa(s.Months) + "mo"), nil
	}
	return []byte(strconv.Itoa(s.Days) + "d"), nil
}

// After returns the instant one span later. A month that lacks the day ends on
// its last: a month after January 31 is February 28, a year after February 29
// is February 28.
func (s Span) After(at time.Time) time.Time {
	first := time.Date(at.Year(), at.Month()+time.Month(s.Months), 1, at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(at.Day(), last)-1+s.Days)
}

// clip bounds what of a user's text is quoted back.
func clip(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
