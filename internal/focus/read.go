package focus

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// mandatory lists the columns of FOCUS 1.2 that no data set may lack or leave
// null, as far as a bill can be read without them.
func mandatory() []string {
	return []string{"BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingAccountId", "BillingCurrency",
		"BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ProviderName",
		"PublisherName", "InvoiceIssuerName", "ServiceCategory", "ServiceName"}
}

// needed lists the columns without which a row cannot be imported.
func needed() []string {
	return []string{"BilledCost", "BillingCurrency", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory"}
}

// Import is what was read of a provider's bill.
type Import struct {
	Rows    []Row
	Left    int         // rows that could not be imported
	Flaws   spec.Faults // everything found wrong, also in rows that were imported
	Dropped int         // flaws beyond those listed
}

// maxFlaws bounds how many flaws are listed; the rest are counted.
const maxFlaws = 1000

// Read reads a cost and usage file in CSV, of FOCUS 1.0 or later. Flaws do not
// stop it: each is reported with its row, and what can be imported is.
func Read(r io.Reader, file string) (*Import, error) {
	in := newRows(r)
	in.ReuseRecord = true
	in.LazyQuotes = true
	header, err := in.Read()
	if err != nil {
		return nil, spec.Faults{{File: file, Line: 1, Column: 1, Message: "the first line must name the columns: " + err.Error()}}
	}
	f := &focusReader{file: file, csv: in, at: map[string]int{}, found: &Import{}, columns: columnsOf(Version12)}
	if err := f.header(header); err != nil {
		return nil, err
	}
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return f.found, nil
		}
		if err != nil {
			var parse *csv.ParseError
			if !errors.As(err, &parse) {
				return nil, spec.Faults{{File: file, Message: err.Error()}}
			}
			f.flaw(parse.Line, parse.Column, "", "%s", parse.Err)
			f.found.Left++
			continue
		}
		f.row(record)
	}
}

type focusReader struct {
	file    string
	csv     *rows
	at      map[string]int
	columns []column
	found   *Import
}

func (f *focusReader) flaw(line, position int, column, format string, args ...any) {
	if len(f.found.Flaws) >= maxFlaws {
		f.found.Dropped++
		return
	}
	f.found.Flaws = append(f.found.Flaws, spec.Fault{File: f.file, Line: line, Column: position, Field: column, Message: fmt.Sprintf(format, args...)})
}

func (f *focusReader) header(record []string) error {
	var names []string
	for i, name := range record {
		name = strings.Clone(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if _, twice := f.at[name]; twice {
			f.flaw(1, i+1, name, "the column is given twice; the first is read")
			continue
		}
		f.at[name] = i
		names = append(names, name)
	}
	var missing spec.Faults
	for _, name := range mandatory() {
		if _, present := f.at[name]; present {
			continue
		}
		if slices.Contains(needed(), name) {
			missing = append(missing, spec.Fault{File: f.file, Line: 1, Column: 1, Field: name, Message: "the column is missing and needed" + spec.DidYouMean(name, names)})
			continue
		}
		f.flaw(1, 1, name, "the column is mandatory and missing")
	}
	return missing.Err()
}

// row reads one row: all its flaws, and the row itself unless a needed field
// is among them.
func (f *focusReader) row(record []string) {
	var r Row
	sound := true
	for _, c := range f.columns {
		i, present := f.at[c.name]
		if !present || c.name == "x_WithheldAmount" {
			continue
		}
		text := strings.TrimSpace(record[i])
		if strings.EqualFold(text, "null") {
			text = ""
		}
		if problem := c.read(&r, text); problem != "" {
			line, position := f.csv.FieldPos(i)
			f.flaw(line, position, c.name, "%s", problem)
			sound = sound && !slices.Contains(needed(), c.name)
		} else if text == "" && slices.Contains(mandatory(), c.name) {
			line, position := f.csv.FieldPos(i)
			f.flaw(line, position, c.name, "the field is null; it must not be")
			sound = sound && !slices.Contains(needed(), c.name)
		}
	}
	if !sound {
		f.found.Left++
		return
	}
	line, _ := f.csv.FieldPos(0)
	f.rules(line, &r)
	for _, money := range []*units.Amount{&r.EffectiveCost, &r.ListCost, &r.ContractedCost} {
		money.Currency = r.BilledCost.Currency
	}
	f.found.Rows = append(f.found.Rows, r)
}

// rules checks what hangs together within a row.
func (f *focusReader) rules(line int, r *Row) {
	if !r.BilledCost.Currency.Valid() {
		f.flaw(line, 1, "BillingCurrency", "found %q; three capital letters of ISO 4217 are needed", clip(string(r.BilledCost.Currency)))
	}
	if !r.ChargePeriodEnd.After(r.ChargePeriodStart) {
		f.flaw(line, 1, "ChargePeriodEnd", "the charge ends at %s, not after its start", r.ChargePeriodEnd.Format(time.RFC3339))
	}
	categories := []string{"Usage", "Purchase", "Tax", "Credit", "Adjustment"}
	if !slices.Contains(categories, r.ChargeCategory) {
		f.flaw(line, 1, "ChargeCategory", "unknown value %q%s", clip(r.ChargeCategory), spec.DidYouMean(r.ChargeCategory, categories))
	}
	if r.ContractedUnitPrice != nil && r.PricingQuantity != nil && r.ChargeClass != "Correction" {
		product := new(big.Rat).Mul(r.ContractedUnitPrice, r.PricingQuantity)
		off := new(big.Rat).Sub(product, r.ContractedCost.Rat())
		tolerance := new(big.Rat).Mul(new(big.Rat).Abs(product), big.NewRat(1, 1_000_000))
		tolerance.Add(tolerance, big.NewRat(1, 100_000))
		if off.Abs(off).Cmp(tolerance) > 0 {
			f.flaw(line, 1, "ContractedCost", "found %s; unit price × quantity is %s", trimZeros(r.ContractedCost.Decimal()), trimZeros(product.FloatString(6)))
		}
	}
	if r.CommitmentStatus == "Unused" && r.ConsumedQuantity != nil {
		f.flaw(line, 1, "ConsumedQuantity", "an unused commitment consumed nothing; it must be null")
	}
}

// read sets a field of a row from text, or says what is wrong with it.
func (c column) read(r *Row, text string) string {
	if text == "" {
		return ""
	}
	switch c.kind {
	case moneyColumn:
		value, err := decimal.NewFromString(text)
		if err != nil || value.Exponent() > 12 || value.Exponent() < -60 || value.Abs().Cmp(decimal.New(1, 12)) > 0 {
			return fmt.Sprintf("found %q; a decimal number is needed", clip(text))
		}
		c.money(r).Micros = value.RoundBank(6).Shift(6).IntPart()
	case numberColumn:
		value, err := decimal.NewFromString(text)
		if err != nil || value.Exponent() > 24 || value.Exponent() < -60 {
			return fmt.Sprintf("found %q; a decimal number is needed", clip(text))
		}
		*c.number(r) = value.Rat()
	case timeColumn:
		at, ok := parseTime(text)
		if !ok {
			return fmt.Sprintf("found %q; a time in UTC is needed, such as 2026-03-02T10:00:00Z", clip(text))
		}
		*c.time(r) = at
	default:
		*c.text(r) = strings.Clone(text)
	}
	return ""
}

// parseTime reads the forms of time that providers write.
func parseTime(text string) (time.Time, bool) {
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z", time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}
