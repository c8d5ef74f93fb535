package units

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Count is a whole number that people write with a magnitude, as in "15T"
// tokens: K, M, B (or G) and T are powers of a thousand.
type Count int64

// UnmarshalText reads "15T", "1.5B", "1,000" or "300000".
func (c *Count) UnmarshalText(text []byte) error {
	value, err := magnitude(string(text), map[string]int64{"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12})
	if err != nil || !value.IsInteger() {
		return fault.Newf(fault.Invalid, "found %q; a whole number is needed, with K, M, B or T if you like (15T)", text)
	}
	*c = Count(value.IntPart())
	return nil
}

// MarshalText writes the plain number.
func (c Count) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(c), 10), nil }

// Bytes is a size in bytes. Text forms: "80GB" (powers of 1000), "80GiB"
// (powers of 1024).
type Bytes int64

// UnmarshalText reads "512", "80GB" or "1.5TiB".
func (b *Bytes) UnmarshalText(text []byte) error {
	value, err := magnitude(string(text), map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
		"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40, "PIB": 1 << 50,
	})
	whole := value.Round(0)
	if err != nil || (whole.IsZero() && !value.IsZero()) {
		return fault.Newf(fault.Invalid, "found %q; a size is needed, such as 80GB or 1.5TiB", text)
	}
	*b = Bytes(whole.IntPart())
	return nil
}

// MarshalText writes the plain number of bytes.
func (b Bytes) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(b), 10), nil }

// Duration is a span of time that people write, as in "90s", "1h30m" or "14d".
type Duration time.Duration

// UnmarshalText reads Go durations and whole or broken days ("14d") and weeks ("2w").
func (d *Duration) UnmarshalText(text []byte) error {
	word := strings.TrimSpace(string(text))
	if parsed, err := time.ParseDuration(word); err == nil && parsed >= 0 {
		*d = Duration(parsed)
		return nil
	}
	const day = int64(24 * time.Hour)
	span, err := magnitude(word, map[string]int64{"D": day, "W": 7 * day})
	if err != nil {
		return fault.Newf(fault.Invalid, "found %q; a duration is needed, such as 90s, 1h30m or 14d", text)
	}
	*d = Duration(span.Round(0).IntPart())
	return nil
}

// MarshalText writes the Go form of the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// magnitude reads a non-negative number below 2⁶³ with one of the suffixes,
// which are given in upper case and matched in any. It is exact.
func magnitude(text string, suffixes map[string]int64) (decimal.Decimal, error) {
	text = strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(text), ",", ""), "_", ""))
	digits := strings.TrimRight(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	factor, known := suffixes[strings.TrimSpace(text[len(digits):])]
	value, err := decimal.NewFromString(digits)
	if err != nil || !known || value.IsNegative() || value.Exponent() > 30 || value.Exponent() < -30 {
		return decimal.Decimal{}, fault.New(fault.Invalid, "not a quantity")
	}
	value = value.Mul(decimal.NewFromInt(factor))
	if value.Round(0).Cmp(decimal.NewFromInt(math.MaxInt64)) > 0 {
		return decimal.Decimal{}, fault.New(fault.Invalid, "out of range")
	}
	return value, nil
}
