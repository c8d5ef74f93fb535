package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

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
		return writeTable(a.stdout, l)
	}
	return fault.Newf(fault.Invalid, "unknown output %q%s", a.output, spec.DidYouMean(a.output, outputForms))
}

// writeYAML goes through JSON so that both forms have the same field names.
func writeYAML(w io.Writer, document any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		return err
	}
	blockStyle(&node)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
}

func blockStyle(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		blockStyle(child)
	}
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

func writeTable(w io.Writer, l listing) error {
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
			row[i] = c
		}
		t.AppendRow(row)
	}
	t.SuppressTrailingSpaces()
	_, err := fmt.Fprintf(w, "%s%s\n%s", l.before, t.Render(), l.after)
	return err
}
