package units

import (
	"fmt"
	"math"
	"math/big"
	"sort"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Currency is an ISO 4217 alphabetic code such as "USD".
type Currency string

// USD is the currency of the embedded catalog.
const USD Currency = "USD"

// Valid reports whether c has the form of an ISO 4217 code: three capital letters.
func (c Currency) Valid() bool {
	if len(c) != 3 {
		return false
	}
	for _, r := range c {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return true
}

// microsPerUnit is the number of micro-units in one unit of any currency.
const microsPerUnit = 1_000_000

// Amount is booked money: whole micro-units of one currency. The zero Amount
// has no currency and is the neutral element of Add.
type Amount struct {
	Micros   int64
	Currency Currency
}

// ParseAmount reads a decimal such as "12.50" as an amount of the currency. It
// refuses more than six decimals, which could not be booked exactly.
func ParseAmount(text string, currency Currency) (Amount, error) {
	d, err := decimal.NewFromString(text)
	if err != nil {
		return Amount{}, fault.Newf(fault.Invalid, "amount %q is not a decimal number", text)
	}
	scaled := d.Shift(6)
	if !scaled.IsInteger() {
		return Amount{}, fault.Newf(fault.Invalid, "amount %q has more than six decimals", text)
	}
	micros := scaled.BigInt()
	if !micros.IsInt64() {
		return Amount{}, fault.Newf(fault.Invalid, "amount %q is out of range", text)
	}
	return Amount{micros.Int64(), currency}, nil
}

// AmountOfRat books an exact rational number of currency units, rounded half
// to even once. It panics where the result leaves the int64 range (about nine
// trillion units), which is a broken invariant of the caller.
func AmountOfRat(r *big.Rat, currency Currency) Amount {
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt64(microsPerUnit))
	micros := roundHalfEven(scaled)
	if !micros.IsInt64() {
		panic(fmt.Sprintf("units: %s %s is out of range", r.FloatString(2), currency))
	}
	return Amount{micros.Int64(), currency}
}

func roundHalfEven(r *big.Rat) *big.Int {
	quotient, remainder := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	twice := new(big.Int).Abs(remainder)
	twice.Lsh(twice, 1)
	cmp := twice.Cmp(r.Denom())
	if cmp > 0 || (cmp == 0 && quotient.Bit(0) == 1) {
		quotient.Add(quotient, big.NewInt(int64(r.Sign())))
	}
	return quotient
}

// Rat returns the amount in currency units as an exact rational.
func (a Amount) Rat() *big.Rat { return big.NewRat(a.Micros, microsPerUnit) }

// IsZero reports whether no money is booked, in whatever currency.
func (a Amount) IsZero() bool { return a.Micros == 0 }

// Neg returns the reversing amount.
func (a Amount) Neg() Amount {
	if a.Micros == math.MinInt64 {
		panic("units: amount out of range")
	}
	return Amount{-a.Micros, a.Currency}
}

// Add returns a + b. The currencies must agree, unless one amount is the zero
// value. The error is fault.Invalid on a clash of currencies or on overflow.
func (a Amount) Add(b Amount) (Amount, error) {
	currency, err := commonCurrency(a, b)
	if err != nil {
		return Amount{}, err
	}
	sum := a.Micros + b.Micros
	if (b.Micros > 0 && sum < a.Micros) || (b.Micros < 0 && sum > a.Micros) {
		return Amount{}, fault.Newf(fault.Invalid, "sum of %s and %s is out of range", a, b)
	}
	return Amount{sum, currency}, nil
}

// Sub returns a − b under the rules of Add.
func (a Amount) Sub(b Amount) (Amount, error) {
	currency, err := commonCurrency(a, b)
	if err != nil {
		return Amount{}, err
	}
	difference := a.Micros - b.Micros
	if (b.Micros < 0 && difference < a.Micros) || (b.Micros > 0 && difference > a.Micros) {
		return Amount{}, fault.Newf(fault.Invalid, "difference of %s and %s is out of range", a, b)
	}
	return Amount{difference, currency}, nil
}

// Cmp compares two amounts of one currency: −1, 0 or 1.
func (a Amount) Cmp(b Amount) (int, error) {
	if _, err := commonCurrency(a, b); err != nil {
		return 0, err
	}
	switch {
	case a.Micros < b.Micros:
		return -1, nil
	case a.Micros > b.Micros:
		return 1, nil
	}
	return 0, nil
}

func commonCurrency(a, b Amount) (Currency, error) {
	switch {
	case a.Currency == b.Currency, b == Amount{}:
		return a.Currency, nil
	case a == Amount{}:
		return b.Currency, nil
	}
	return "", fault.Newf(fault.Invalid, "%s and %s cannot be added without an exchange rate", a.Currency, b.Currency)
}

// Allocate splits the amount in proportion to the weights by largest
// remainder: the parts always sum to the amount, and equal remainders go to
// the earlier part. Weights are non-negative and not all zero.
func (a Amount) Allocate(weights []int64) ([]Amount, error) {
	total := new(big.Int)
	for i, w := range weights {
		if w < 0 {
			return nil, fault.Newf(fault.Invalid, "weight %d of the allocation is negative", i+1)
		}
		total.Add(total, big.NewInt(w))
	}
	if total.Sign() == 0 {
		return nil, fault.New(fault.Invalid, "an allocation needs a positive weight")
	}
	parts := make([]Amount, len(weights))
	remainders := make([]*big.Int, len(weights))
	left := a.Micros
	for i, w := range weights {
		product := new(big.Int).Mul(big.NewInt(a.Micros), big.NewInt(w))
		quotient, remainder := new(big.Int).QuoRem(product, total, new(big.Int))
		parts[i] = Amount{quotient.Int64(), a.Currency}
		remainders[i] = remainder.Abs(remainder)
		left -= quotient.Int64()
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return remainders[order[i]].Cmp(remainders[order[j]]) > 0 })
	step := int64(1)
	if left < 0 {
		step = -1
	}
	for i := 0; left != 0; i++ {
		parts[order[i]].Micros += step
		left -= step
	}
	return parts, nil
}

// Decimal returns the amount as exact decimal text with six decimals.
func (a Amount) Decimal() string { return decimal.New(a.Micros, -6).StringFixed(6) }

// String returns the amount with its currency, as "12.500000 USD".
func (a Amount) String() string {
	return strings.TrimSpace(a.Decimal() + " " + string(a.Currency))
}
