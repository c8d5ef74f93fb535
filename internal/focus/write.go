package focus

import (
	"encoding/csv"
	"io"
	"math/big"
	"sort"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Writer takes rows of the data set one by one; Close ends the file.
type Writer interface {
	Write(Row) error
	Close() error
}

// NewCSV writes CSV with a header.
func NewCSV(w io.Writer, version string) (Writer, error) {
	out := &csvWriter{csv: csv.NewWriter(w), columns: columnsOf(version)}
	header := make([]string, len(out.columns))
	for i, c := range out.columns {
		header[i] = c.name
	}
	return out, out.csv.Write(header)
}

type csvWriter struct {
	csv     *csv.Writer
	columns []column
}

func (w *csvWriter) Write(row Row) error {
	record := make([]string, len(w.columns))
	for i, c := range w.columns {
		record[i] = c.csv(&row)
	}
	return w.csv.Write(record)
}

func (w *csvWriter) Close() error {
	w.csv.Flush()
	return w.csv.Error()
}

// csv writes a value as FOCUS wants it: times in UTC, decimals in full, null as
// nothing.
func (c column) csv(row *Row) string {
	switch c.kind {
	case moneyColumn:
		if money := c.money(row); money != nil {
			return withPoint(money.Decimal())
		}
	case numberColumn:
		if number := *c.number(row); number != nil {
			return withPoint(number.FloatString(numberScale))
		}
	case timeColumn:
		return c.time(row).UTC().Format("2006-01-02T15:04:05Z")
	default:
		return *c.text(row)
	}
	return ""
}

// withPoint shortens a decimal but keeps its point: readers that infer types
// take a column of whole numbers for integers.
func withPoint(text string) string {
	if text = trimZeros(text); strings.Contains(text, ".") {
		return text
	}
	return text + ".0"
}

func trimZeros(text string) string {
	if !strings.Contains(text, ".") {
		return text
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// numberScale is the number of decimals of quantities and unit prices.
const numberScale = 12

// NewParquet writes Parquet: money as DECIMAL(18,6), numbers as DECIMAL(38,12),
// times in microseconds, text as UTF-8.
func NewParquet(w io.Writer, version string) (Writer, error) {
	columns := columnsOf(version)
	sort.Slice(columns, func(i, j int) bool { return columns[i].name < columns[j].name })
	group := parquet.Group{}
	for _, c := range columns {
		group[c.name] = parquet.Optional(c.node())
	}
	schema := parquet.NewSchema("focus", group)
	writer := parquet.NewGenericWriter[any](w, schema, parquet.Compression(&parquet.Zstd))
	return &parquetWriter{writer, columns}, nil
}

type parquetWriter struct {
	parquet *parquet.GenericWriter[any]
	columns []column // in the order of the schema: by name
}

func (w *parquetWriter) Write(row Row) error {
	values := make(parquet.Row, len(w.columns))
	for i, c := range w.columns {
		value, null := c.parquet(&row)
		if null {
			values[i] = parquet.NullValue().Level(0, 0, i)
			continue
		}
		values[i] = value.Level(0, 1, i)
	}
	_, err := w.parquet.WriteRows([]parquet.Row{values})
	return err
}

func (w *parquetWriter) Close() error { return w.parquet.Close() }

func (c column) node() parquet.Node {
	const moneyScale, moneyPrecision, numberPrecision, numberBytes = 6, 18, 38, 16
	switch c.kind {
	case moneyColumn:
		return parquet.Decimal(moneyScale, moneyPrecision, parquet.Int64Type)
	case numberColumn:
		return parquet.Decimal(numberScale, numberPrecision, parquet.FixedLenByteArrayType(numberBytes))
	case timeColumn:
		return parquet.Timestamp(parquet.Microsecond)
	}
	return parquet.String()
}

func (c column) parquet(row *Row) (value parquet.Value, null bool) {
	switch c.kind {
	case moneyColumn:
		money := c.money(row)
		if money == nil {
			return value, true
		}
		return parquet.Int64Value(money.Micros), false
	case numberColumn:
		number := *c.number(row)
		if number == nil {
			return value, true
		}
		return parquet.FixedLenByteArrayValue(fixedDecimal(number)), false
	case timeColumn:
		return parquet.Int64Value(c.time(row).UnixMicro()), false
	}
	text := *c.text(row)
	return parquet.ByteArrayValue([]byte(text)), text == ""
}

// fixedDecimal writes a number with numberScale decimals as a big-endian
// two's complement of 16 bytes.
func fixedDecimal(number *big.Rat) []byte {
	scaled, _ := new(big.Int).SetString(strings.Replace(number.FloatString(numberScale), ".", "", 1), 10)
	if scaled.Sign() < 0 {
		scaled.Add(scaled, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return scaled.FillBytes(make([]byte, 16))
}

// monthOf returns the calendar month in UTC that holds a time.
func monthOf(at time.Time) (from, to time.Time) {
	from = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 1, 0)
}

func amount(micros int64, currency units.Currency) units.Amount {
	return units.Amount{Micros: micros, Currency: currency}
}
