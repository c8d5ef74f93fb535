package focus

import (
	"encoding/csv"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Exchange is a dated table of exchange rates. No sum crosses currencies
// without one.
type Exchange struct {
	rates map[[2]units.Currency][]datedRate
}

type datedRate struct {
	from time.Time
	rate decimal.Decimal
}

// ReadExchange reads a CSV with the columns date, from, to and rate: from the
// date on, one unit of the first currency is so many of the second.
func ReadExchange(r io.Reader, file string) (*Exchange, error) {
	records, err := csv.NewReader(&bounded{from: r, limit: longestTable}).ReadAll()
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "%s: %s", file, err)
	}
	if len(records) == 0 || strings.Join(records[0], ",") != "date,from,to,rate" {
		return nil, spec.Faults{{File: file, Line: 1, Column: 1, Message: "the first line must be date,from,to,rate"}}
	}
	e := &Exchange{map[[2]units.Currency][]datedRate{}}
	var faults spec.Faults
	for i, record := range records[1:] {
		at, err := contract.ParseInstant(record[0])
		rate, rateErr := decimal.NewFromString(record[3])
		pair := [2]units.Currency{units.Currency(record[1]), units.Currency(record[2])}
		if err != nil || rateErr != nil || rate.Sign() <= 0 || !pair[0].Valid() || !pair[1].Valid() {
			faults = append(faults, spec.Fault{File: file, Line: i + 2, Column: 1,
				Message: fmt.Sprintf("found %q; a date, two currencies and a positive rate are needed", clip(strings.Join(record, ",")))})
			continue
		}
		e.rates[pair] = append(e.rates[pair], datedRate{at, rate})
	}
	for _, rates := range e.rates {
		sort.SliceStable(rates, func(i, j int) bool { return rates[i].from.Before(rates[j].from) })
	}
	return e, faults.Err()
}

// At returns the rate in force at a time: the last on or before it. Rates are
// not inverted: the table says what it says.
func (e *Exchange) At(at time.Time, from, to units.Currency) (decimal.Decimal, error) {
	rates := e.rates[[2]units.Currency{from, to}]
	after := sort.Search(len(rates), func(i int) bool { return rates[i].from.After(at) })
	if after == 0 {
		return decimal.Decimal{}, fault.Newf(fault.Invalid, "no exchange rate from %s to %s on %s", from, to, at.Format(time.DateOnly))
	}
	return rates[after-1].rate, nil
}
