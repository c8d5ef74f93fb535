package units

import (
	"fmt"
	"math/big"
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
	hours := big.NewRat(int64(d), int64(time.Hour))
	return r.Times(hours.Mul(hours, big.NewRat(int64(nodes), 1)))
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
