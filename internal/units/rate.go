package units

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Rate is a price per unit (a node-hour unless the user of the type says
// otherwise): an exact decimal with its currency.
type Rate struct {
	decimal  decimal.Decimal
	Currency Currency
}

// ParseRate reads a decimal such as "35.7608" as a rate in the currency. Other
// forms, exponents beyond ±30 included, are fault.Invalid.
func ParseRate(text string, currency Currency) (Rate, error) {
	d, err := decimal.NewFromString(strings.TrimSpace(text))
	if err != nil || d.Exponent() > 30 || d.Exponent() < -30 {
		return Rate{}, fault.Newf(fault.Invalid, "rate %q is not a decimal number", text)
	}
	return Rate{d, currency}, nil
}

// MustRate is ParseRate for constants; it panics on a malformed one.
func MustRate(text string, currency Currency) Rate {
	r, err := ParseRate(text, currency)
	if err != nil {
		panic(err)
	}
	return r
}

// RateOfRat returns an exact rational as a rate, rounded to twelve decimals.
func RateOfRat(r *big.Rat, currency Currency) Rate {
	return Rate{decimal.NewFromBigRat(r, 12), currency}
}

// Per returns the price per unit of so many units for the amount, rounded to
// nine decimals. The quantity is positive.
func (a Amount) Per(quantity decimal.Decimal) Rate {
	return Rate{decimal.New(a.Micros, -6).DivRound(quantity, 9), a.Currency}
}

// Rat returns the rate as an exact rational.
func (r Rate) Rat() *big.Rat { return r.decimal.Rat() }

// IsZero reports whether the rate is zero.
func (r Rate) IsZero() bool { return r.decimal.IsZero() }

// Sign returns −1, 0 or 1.
func (r Rate) Sign() int { return r.decimal.Sign() }

// Cmp compares the numbers of two rates of one currency.
func (r Rate) Cmp(other Rate) int { return r.decimal.Cmp(other.decimal) }

// Times returns quantity × rate, rounded once to an amount.
func (r Rate) Times(quantity *big.Rat) Amount {
	return AmountOfRat(new(big.Rat).Mul(r.Rat(), quantity), r.Currency)
}

// ForHours returns what nodes cost over the duration at this hourly rate,
// rounded once.
func (r Rate) ForHours(nodes int, d time.Duration) Amount {
	if micros, ok := r.fastForHours(nodes, d); ok {
		return Amount{micros, r.Currency}
	}
	hours := big.NewRat(int64(d), int64(time.Hour))
	return r.Times(hours.Mul(hours, big.NewRat(int64(nodes), 1)))
}

// fastForHours is ForHours in 128-bit arithmetic, for rates with a coefficient
// of 64 bits and at most twelve decimals; false where it does not fit.
func (r Rate) fastForHours(nodes int, d time.Duration) (micros int64, ok bool) {
	exponent := r.decimal.Exponent()
	if exponent > 0 || exponent < -12 || nodes < 0 || d < 0 || !r.decimal.Coefficient().IsInt64() {
		return 0, false
	}
	coefficient := r.decimal.CoefficientInt64()
	if coefficient < 0 {
		return 0, false
	}
	overflow, nodeTime := bits.Mul64(uint64(nodes), uint64(d))
	if overflow != 0 {
		return 0, false
	}
	// micros = coefficient · 10^exponent · nodeTime / 3.6e12 ns · 10^6.
	high, low := bits.Mul64(uint64(coefficient), nodeTime)
	divisor := uint64(3_600_000) // ns per hour ÷ 10^6 micros
	for range -exponent {
		if divisor > math.MaxUint64/10 {
			return 0, false
		}
		divisor *= 10
	}
	if high >= divisor {
		return 0, false
	}
	quotient, remainder := bits.Div64(high, low, divisor)
	if half := divisor - remainder; remainder > half || (remainder == half && quotient&1 == 1) {
		quotient++
	}
	if quotient > math.MaxInt64 {
		return 0, false
	}
	return int64(quotient), true
}

// Scale returns factor × rate, exactly.
func (r Rate) Scale(factor decimal.Decimal) Rate { return Rate{r.decimal.Mul(factor), r.Currency} }

// Float64 returns an approximation for ratios and ranking, never for booking.
func (r Rate) Float64() float64 {
	f, _ := r.decimal.Float64()
	return f
}

// Decimal returns the exact decimal text of the rate.
func (r Rate) Decimal() string { return r.decimal.String() }

// String returns the rate with its currency, as "35.7608 USD".
func (r Rate) String() string { return fmt.Sprintf("%s %s", r.decimal, r.Currency) }
