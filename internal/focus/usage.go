package focus

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// usageColumns lists the columns of a usage file.
func usageColumns() []string {
	return []string{"start", "end", "provider", "region", "zone", "service", "instance_type", "chip", "chipmaker", "account",
		"project", "class", "platform", "tenancy", "option", "resource", "unit", "chips", "quantity", "list_rate", "currency"}
}

// maxFaults bounds how many faults of a file are reported.
const maxFaults = 50

// maxSpan bounds one row of usage: longer ones are taken for a slip of the pen.
const maxSpan = 20 * 366 * 24 * time.Hour

// UsageOptions says how a usage file is read.
type UsageOptions struct {
	Resources bool      // keep resources apart; without, rows that differ in nothing else are added up
	Exchange  *Exchange // converts list rates into the contracts' currency; nil where none is needed
}

// ReadUsage streams a usage CSV into a book and returns the number of rows. All
// rows are checked; with a fault the error is spec.Faults and the book holds
// what was sound.
func ReadUsage(r io.Reader, file string, book *billing.Book, options UsageOptions) (int, error) {
	reader := newRows(r)
	reader.ReuseRecord = true
	u := &usageReader{file: file, csv: reader, book: book, options: options}
	if err := u.header(); err != nil {
		return 0, err
	}
	for {
		if len(u.faults) >= maxFaults {
			line, _ := reader.FieldPos(0)
			u.faults = append(u.faults, spec.Fault{File: file, Line: line + 1, Column: 1, Message: "what follows was not read: mend these first"})
			break
		}
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			u.syntax(err)
			var parse *csv.ParseError
			if !errors.As(err, &parse) || !errors.Is(err, csv.ErrFieldCount) {
				break
			}
			continue
		}
		u.row(record)
		u.rows++
	}
	return u.rows, u.faults.Err()
}

type usageReader struct {
	file    string
	csv     *rows
	book    *billing.Book
	options UsageOptions
	rows    int
	faults  spec.Faults
	at      map[string]int // column by name

	startText, endText string // of the row before: times repeat
	start, end         time.Time
}

func (u *usageReader) syntax(err error) {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		u.faults = append(u.faults, spec.Fault{File: u.file, Line: parse.Line, Column: parse.Column, Message: parse.Err.Error()})
		return
	}
	u.faults = append(u.faults, spec.Fault{File: u.file, Message: err.Error()})
}

func (u *usageReader) faultf(column string, format string, args ...any) {
	line, position := u.csv.FieldPos(max(u.at[column], 0))
	u.faults = append(u.faults, spec.Fault{File: u.file, Line: line, Column: position, Field: column, Message: fmt.Sprintf(format, args...)})
}

func (u *usageReader) header() error {
	record, err := u.csv.Read()
	if errors.Is(err, io.EOF) {
		return spec.Faults{{File: u.file, Line: 1, Column: 1, Message: "the file is empty; the first line names the columns"}}
	}
	if err != nil {
		u.syntax(err)
		return u.faults.Err()
	}
	if first := record[0]; strings.HasPrefix(first, "\xff\xfe") || strings.HasPrefix(first, "\xfe\xff") {
		return spec.Faults{{File: u.file, Line: 1, Column: 1, Message: "the file is in UTF-16; UTF-8 is needed"}}
	}
	if len(record) == 1 && strings.ContainsAny(record[0], ";\t") {
		return spec.Faults{{File: u.file, Line: 1, Column: 1, Message: "the columns must be separated by commas"}}
	}
	u.at = map[string]int{}
	for i, name := range record {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if name == "time" || name == "hour" {
			name = "start"
		}
		line, column := u.csv.FieldPos(i)
		switch _, twice := u.at[name]; {
		case twice:
			u.faults = append(u.faults, spec.Fault{File: u.file, Line: line, Column: column, Field: name, Message: "the column is given twice"})
		case !slices.Contains(usageColumns(), name):
			u.faults = append(u.faults, spec.Fault{File: u.file, Line: line, Column: column, Field: name,
				Message: "unknown column" + spec.DidYouMean(name, usageColumns())})
		}
		u.at[strings.Clone(name)] = i
	}
	for _, needed := range []string{"start", "provider", "quantity", "list_rate"} {
		if _, present := u.at[needed]; !present {
			u.faults = append(u.faults, spec.Fault{File: u.file, Line: 1, Column: 1, Field: needed, Message: "the column is missing and needed"})
		}
	}
	return u.faults.Err()
}

func (u *usageReader) row(record []string) {
	field := func(name string) string {
		if i, present := u.at[name]; present {
			return strings.TrimSpace(record[i])
		}
		return ""
	}
	before := len(u.faults)
	u.times(field("start"), field("end"))
	quantity, err := billing.ParseQuantity(field("quantity"))
	if err != nil {
		u.faultf("quantity", "%s", err)
	}
	line := billing.Line{
		Subject: contract.Subject{
			Provider: field("provider"), Region: field("region"), Zone: field("zone"), InstanceType: field("instance_type"),
			Chip: field("chip"), Chipmaker: field("chipmaker"), Account: field("account"), Service: field("service"),
			Platform: field("platform"), Tenancy: field("tenancy"), Option: field("option"), Class: field("class"),
			Project: field("project"), Unit: field("unit"),
		},
		ListRate: field("list_rate"), Currency: units.Currency(field("currency")),
	}
	if u.options.Resources {
		line.Resource = field("resource")
	}
	if line.Provider == "" {
		u.faultf("provider", "the field is empty and needed")
	}
	if chips := field("chips"); chips != "" {
		if line.Chips, err = strconv.Atoi(chips); err != nil || line.Chips < 0 || line.Chips > 1_000_000 {
			u.faultf("chips", "found %q; a whole number of chips per unit is needed", clip(chips))
		}
	}
	u.convert(&line)
	if len(u.faults) > before {
		return
	}
	index, known := u.book.Known(line)
	if !known {
		if _, err := billing.ParseQuantity(line.ListRate); err != nil {
			u.faultf("list_rate", "%s", err)
			return
		}
		if index, err = u.book.Line(line.Clone()); err != nil {
			u.faultf("currency", "%s", err)
			return
		}
	}
	if err := u.book.Add(index, u.start, u.end, quantity); err != nil {
		u.faultf("quantity", "%s", err)
	}
}

// times reads the span of a row; a row without an end lasts an hour.
func (u *usageReader) times(start, end string) {
	if start == u.startText && end == u.endText && start != "" {
		return
	}
	u.startText, u.endText = "", ""
	from, err := contract.ParseInstant(start)
	if err != nil {
		u.faultf("start", "%s", err)
		return
	}
	to := from.Add(time.Hour)
	if end != "" {
		if to, err = contract.ParseInstant(end); err != nil {
			u.faultf("end", "%s", err)
			return
		}
	}
	if !to.After(from) || to.Sub(from) > maxSpan {
		u.faultf("end", "found %q; it must lie after the start, by at most 20 years", clip(end))
		return
	}
	u.start, u.end = from, to
	u.startText, u.endText = strings.Clone(start), strings.Clone(end)
}

// convert brings a list rate into the currency of the contracts.
func (u *usageReader) convert(line *billing.Line) {
	if line.Currency == "" || line.Currency == u.book.Currency() || u.options.Exchange == nil {
		return
	}
	rate, err := decimal.NewFromString(line.ListRate)
	if err != nil {
		u.faultf("list_rate", "found %q; a decimal number is needed", clip(line.ListRate))
		return
	}
	factor, err := u.options.Exchange.At(u.start, line.Currency, u.book.Currency())
	if err != nil {
		u.faultf("currency", "%s", err)
		return
	}
	line.ListRate, line.Currency = rate.Mul(factor).String(), u.book.Currency()
}

// clip bounds what of a user's text is quoted back.
func clip(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
