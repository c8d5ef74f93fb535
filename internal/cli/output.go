package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

var outputForms = []string{"table", "json", "yaml", "csv"}

// withOutput gives a read command its -o flag.
func (a *app) withOutput(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.output, "output", "o", "table", "form of the output: table, json, yaml or csv")
	return cmd
}

// column is one column of a listing; numbers are aligned right.
type column struct {
	title  string // as people see it
	field  string // as CSV names it
	number bool
}

// listing is what a read command shows: a document for json and yaml, whose
// field names are stable, and the same as rows: rounded for people in cells,
// exact in exact (CSV), which defaults to cells.
type listing struct {
	document any
	columns  []column
	cells    [][]string
	exact    [][]string
	before   string // printed above the table only
	after    string // printed below the table only

	extra []column // further columns that only CSV has, at the end of exact
	page  string   // text shown instead of the table, for one object in full
}

// print writes the listing in the form that the user asked for.
func (a *app) print(l listing) error {
	switch a.output {
	case "json":
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(l.document)
	case "yaml":
		return writeYAML(a.stdout, l.document)
	case "csv":
		return writeCSV(a.stdout, l)
	case "table", "":
		if l.page != "" {
			_, err := io.WriteString(a.stdout, l.page)
			return err
		}
		return writeTable(a.stdout, l, terminalWidth(a.stdout))
	}
	return fault.Newf(fault.Invalid, "unknown output %q%s", a.output, spec.DidYouMean(a.output, outputForms))
}

// writeYAML writes a document with the field names of its JSON.
func writeYAML(w io.Writer, document any) error {
	text, err := spec.Format(document)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

func writeCSV(w io.Writer, l listing) error {
	out := csv.NewWriter(w)
	var header []string
	for _, c := range append(l.columns[:len(l.columns):len(l.columns)], l.extra...) {
		header = append(header, c.field)
	}
	if err := out.Write(header); err != nil {
		return err
	}
	rows := l.exact
	if rows == nil {
		rows = l.cells
	}
	if err := out.WriteAll(rows); err != nil {
		return err
	}
	return out.Error()
}

// narrowest is the least that a text column is shrunk to, in cells.
const narrowest = 12

// writeTable writes the table; a width above 0, the terminal's, is kept by
// shortening the widest text columns with an ellipsis. Nothing is lost: the
// other forms of output have every cell whole.
func writeTable(w io.Writer, l listing, width int) error {
	limits := map[int]int{}
	rendered := renderTable(l, limits)
	for width > 0 && widest(rendered) > width {
		column, size := widestText(l, limits)
		if size <= narrowest {
			break
		}
		limits[column] = max(narrowest, size-(widest(rendered)-width))
		rendered = renderTable(l, limits)
	}
	_, err := fmt.Fprintf(w, "%s%s\n%s", harmless(l.before), rendered, harmless(l.after))
	return err
}

// harmless replaces control characters, which a name from someone's file could
// have to command the terminal.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// renderTable draws the table with some columns cut to a number of cells.
func renderTable(l listing, limits map[int]int) string {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	header := make(table.Row, len(l.columns))
	var configs []table.ColumnConfig
	for i, c := range l.columns {
		header[i] = c.title
		if c.number {
			configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(configs)
	for _, cells := range l.cells {
		row := make(table.Row, len(cells))
		for i, c := range cells {
			c = harmless(c)
			if limit, cut := limits[i]; cut {
				c = runewidth.Truncate(c, limit, "…")
			}
			row[i] = c
		}
		t.AppendRow(row)
	}
	t.SuppressTrailingSpaces()
	return t.Render()
}

// widest is the number of cells of the longest line.
func widest(rendered string) int {
	most := 0
	for line := range strings.Lines(rendered) {
		most = max(most, runewidth.StringWidth(strings.TrimRight(line, "\n")))
	}
	return most
}

// widestText is the text column with the widest cell, as cut so far.
func widestText(l listing, limits map[int]int) (column, size int) {
	for i, c := range l.columns {
		if c.number {
			continue
		}
		most := 0
		for _, cells := range l.cells {
			if i < len(cells) {
				most = max(most, runewidth.StringWidth(cells[i]))
			}
		}
		if limit, cut := limits[i]; cut {
			most = min(most, limit)
		}
		if most > size {
			column, size = i, most
		}
	}
	return column, size
}

// terminalWidth is the width of the terminal that the writer is, or 0.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}
