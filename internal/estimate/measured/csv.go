package measured

import (
	"encoding/csv"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Table is a CSV file of measurements as it was read: all columns, in order.
type Table struct {
	Columns []string
	Rows    []Row
	index   map[string]int
}

// Row is one record with its line in the file.
type Row struct {
	Line   int
	Values []string
	index  map[string]int
}

// maxRows bounds a file; the largest published collections have thousands.
const maxRows = 1_000_000

// ReadTable reads a CSV file with a header. Columns may come in any order and
// unknown ones are kept; a record may be short or long.
func ReadTable(r io.Reader) (*Table, error) {
	reader := csv.NewReader(r)
	reader.FieldsPerRecord = -1
	reader.LazyQuotes = true
	header, err := reader.Read()
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "no header line: %v", err)
	}
	t := &Table{index: map[string]int{}}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		t.Columns = append(t.Columns, name)
		if _, twice := t.index[name]; !twice {
			t.index[name] = i
		}
	}
	if _, ok := t.index["chip"]; !ok {
		return nil, fault.Newf(fault.Invalid, "no column chip in the header (%s); docs/estimator.md lists the columns", strings.Join(t.Columns, ","))
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, fault.Newf(fault.Invalid, "%v", err)
		}
		if len(t.Rows) == maxRows {
			return nil, fault.Newf(fault.Invalid, "more than %d rows", maxRows)
		}
		line, _ := reader.FieldPos(0)
		t.Rows = append(t.Rows, Row{line, record, t.index})
	}
}

// Text returns a field without blanks around it; "" for an absent column and
// for the usual ways of saying that nothing is known.
func (r Row) Text(column string) string {
	i, ok := r.index[column]
	if !ok || i >= len(r.Values) {
		return ""
	}
	text := strings.TrimSpace(r.Values[i])
	switch strings.ToLower(text) {
	case "~", "-", "?", "n/a", "na", "nan", "none given", "null", "unknown":
		return ""
	}
	return text
}

// Number reads a positive number: "1,024", "~30.5", "2k" and "1.5M" are
// understood. It is 0 where there is none.
func (r Row) Number(column string) float64 { return number(r.Text(column)) }

// Whole is Number rounded down.
func (r Row) Whole(column string) int { return whole(r.Text(column)) }

// checkCount refuses a count that is given and is no whole number above 0.
func (r Row) checkCount(column string) error {
	text := r.Text(column)
	if n := number(text); text != "" && (n < 1 || n != math.Trunc(n) || n > mostWhole) {
		return fault.Newf(fault.Invalid, "%s: found %q; a whole number above 0 is needed", column, text)
	}
	return nil
}

// mostWhole bounds counts, so that products of a few stay within an int.
const mostWhole = 1e9

func whole(text string) int {
	n := number(text)
	if n > mostWhole {
		return 0
	}
	return int(n)
}

// ranks is whole for a dimension of a parallelism, of which three are multiplied.
func ranks(text string) int {
	if n := whole(text); n <= 1e5 {
		return n
	}
	return 0
}

func number(text string) float64 {
	text = strings.TrimLeft(strings.TrimSpace(text), "~≈<>= $")
	text = strings.NewReplacer(",", "", "_", "", " ", "").Replace(text)
	scale := 1.0
	for suffix, factor := range map[string]float64{"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "%": 1, "x": 1, "s": 1, "ms": 1} {
		if rest, ok := strings.CutSuffix(text, suffix); ok && rest != "" {
			if _, err := strconv.ParseFloat(rest, 64); err == nil {
				text, scale = rest, factor
				break
			}
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0) || v*scale > 1e18 {
		return 0
	}
	return v * scale
}

// notes reads key=value extras that are separated by ";" or ",".
func notes(text string) map[string]string {
	out := map[string]string{}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' }) {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		words := strings.Fields(key)
		if len(words) == 0 {
			continue
		}
		key = strings.ToLower(words[len(words)-1])
		if _, twice := out[key]; !twice {
			out[key] = strings.TrimSpace(value)
		}
	}
	return out
}
