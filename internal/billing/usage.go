package billing

import (
	"math/big"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Line is what is known of metered usage apart from when and how much.
type Line struct {
	contract.Subject
	Resource string
	ListRate string         // exact decimal, per unit
	Currency units.Currency // of the list rate
	Chips    int            // accelerators per unit; 0 counts as 1

	outside string // the clauses in force in the hour, but not then: see Book.segments
}

// Purchase options of usage that clauses treat specially. An empty option is
// on demand.
const (
	optionOnDemand    = "on-demand"
	optionBlock       = "capacity-block"
	optionMarketplace = "marketplace"
)

func (l Line) onDemand() bool {
	return l.Option == "" || strings.EqualFold(l.Option, optionOnDemand)
}

func (l Line) marketplace() bool { return strings.EqualFold(l.Option, optionMarketplace) }

// Quantity is an exact number of units.
type Quantity struct{ num }

// ParseQuantity reads a non-negative decimal of at most 30 characters.
func ParseQuantity(text string) (Quantity, error) {
	if n, d, ok := smallDecimal(text); ok {
		return Quantity{lowest(n, d)}, nil
	}
	value, err := decimal.NewFromString(text)
	if err != nil || len(text) > 30 || value.Exponent() > 18 || value.Exponent() < -24 {
		return Quantity{}, fault.Newf(fault.Invalid, "found %q; a decimal number is needed", text)
	}
	if value.Sign() < 0 {
		return Quantity{}, fault.Newf(fault.Invalid, "found %q; a quantity is not negative", text)
	}
	return Quantity{numOf(value.Rat())}, nil
}

// QuantityOf returns a rational number of units.
func QuantityOf(r *big.Rat) Quantity { return Quantity{numOf(r)} }

// smallDecimal reads up to 15 digits without allocation.
func smallDecimal(text string) (n, d int64, ok bool) {
	d = 1
	digits, point := 0, false
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			n = n*10 + int64(c-'0')
			digits++
			if point {
				d *= 10
			}
		case c == '.' && !point:
			point = true
		default:
			return 0, 0, false
		}
	}
	return n, d, digits > 0 && digits <= 15
}

// Rat returns the exact quantity.
func (q Quantity) Rat() *big.Rat { return new(big.Rat).Set(q.rat()) }

// String returns the quantity in decimals, at most nine of them.
func (q Quantity) String() string {
	text := q.rat().FloatString(9)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// Clone returns the line with text of its own, so that it holds no larger text
// in memory.
func (l Line) Clone() Line {
	for _, text := range []*string{&l.Provider, &l.Region, &l.Zone, &l.InstanceType, &l.Chip, &l.Chipmaker, &l.Account, &l.Service,
		&l.Platform, &l.Tenancy, &l.Option, &l.Class, &l.Project, &l.Unit, &l.Resource, &l.ListRate} {
		*text = strings.Clone(*text)
	}
	l.Currency = units.Currency(strings.Clone(string(l.Currency)))
	return l
}
