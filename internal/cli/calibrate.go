package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/estimate/calibrate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func (a *app) calibrateCommand() *cobra.Command {
	var files []string
	var write string
	cmd := &cobra.Command{
		Use:   "calibrate --rows FILE",
		Short: "Fit the estimator to own measurements beside those that ship",
		Long: "Calibrate reads CSV files of measurements (columns as in docs/estimator.md), fits the\n" +
			"estimator's constants to them together with the rows that ship, and writes a\n" +
			"calibration file for yard estimate --calibration. It prints how far predictions for\n" +
			"the chips of these rows were off before and are now.",
		Example: "  yard calibrate --rows our-runs.csv --write calibration.json\n  yard estimate training … --calibration calibration.json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.calibrate(files, write) },
	}
	cmd.Flags().StringArrayVar(&files, "rows", nil, "CSV `FILE` of measurements (repeatable)")
	cmd.Flags().StringVar(&write, "write", "calibration.json", "`FILE` to write")
	return a.withOutput(cmd)
}

func (a *app) calibrate(files []string, write string) error {
	if len(files) == 0 {
		return fault.New(fault.Invalid, "name a file of measurements with --rows")
	}
	var own measured.Own
	for _, file := range files {
		table, err := a.readRows(file)
		if err != nil {
			return err
		}
		if err := own.Add(file, table); err != nil {
			return err
		}
	}
	constants, changes := calibrate.WithOwn(own)
	data, err := json.MarshalIndent(constants, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(write, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return a.print(changesListing(changes, own.Skipped, write))
}

func changesListing(changes []calibrate.Change, skipped []measured.Skipped, write string) listing {
	l := listing{
		document: changes,
		columns: []column{
			{title: "CHIP", field: "chip"}, {title: "WORK", field: "work"}, {title: "ROWS", field: "rows", number: true},
			{title: "OFF BEFORE", field: "before", number: true}, {title: "OFF NOW", field: "after", number: true},
		},
		after: "\nwrote " + write + "; use it with --calibration " + write + "\n",
	}
	for _, c := range changes {
		l.cells = append(l.cells, []string{c.Chip, c.Work, fmt.Sprint(c.Rows), fmt.Sprintf("%.1f%%", 100*c.Before), fmt.Sprintf("%.1f%%", 100*c.After)})
		l.exact = append(l.exact, []string{c.Chip, c.Work, fmt.Sprint(c.Rows), fmt.Sprint(c.Before), fmt.Sprint(c.After)})
	}
	for _, s := range skipped {
		l.after += fmt.Sprintf("line %d was left out: %s\n", s.Row.Line, s.Reason)
	}
	return l
}
