package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// estimateFlags are common to training and inference.
type estimateFlags struct {
	model, config, chip, precision string
	chips, chipsPerNode, domain    int
	nic, power                     float64
	calibration, rows              string
	explain                        bool
}

func (a *app) estimateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "estimate",
		Short: "Predict training and serving speed on any chip, with an interval",
		Long: "Estimate predicts how fast a model trains or is served, from its shape, the chips\n" +
			"and constants fitted to published measurements (docs/accuracy.md says how well).\n" +
			"With --rows it predicts every row of a CSV file instead of one case.",
	}
	cmd.AddCommand(a.estimateTrainingCommand(), a.estimateInferenceCommand())
	return cmd
}

func (f *estimateFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.model, "model", "", "name of a model (yard models lists them)")
	flags.StringVar(&f.config, "model-config", "", "config.json `FILE` of a Hugging Face repository, instead of --model")
	flags.StringVar(&f.chip, "chip", "", "name of a chip (yard chips lists them)")
	flags.IntVar(&f.chips, "chips", 1, "number of chips")
	flags.StringVar(&f.precision, "precision", "bf16", "numeric type of matrix products: bf16, fp16, fp8, fp4, int8")
	flags.IntVar(&f.chipsPerNode, "chips-per-node", 0, "chips of one machine (default: the chip's usual)")
	flags.IntVar(&f.domain, "domain", 0, "chips that share a scale-up network (default: the chip's largest)")
	flags.Float64Var(&f.nic, "nic-gbps", 0, "network between domains, Gb/s per chip (default: the chip's usual)")
	flags.Float64Var(&f.power, "power", 0, "power cap per chip, W (default: uncapped)")
	flags.StringVar(&f.calibration, "calibration", "", "`FILE` that yard calibrate wrote, instead of the constants that ship")
	flags.StringVar(&f.rows, "rows", "", "predict every row of this CSV `FILE` (- reads standard input)")
	flags.BoolVar(&f.explain, "explain", false, "show where the time goes")
}

func (a *app) constants(file string) (*estimate.Constants, error) {
	if file == "" {
		return estimate.Default(), nil
	}
	data, err := config.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "calibration")
	}
	return estimate.ParseConstants(data)
}

func (a *app) estimateModel(f *estimateFlags) (*model.Model, error) {
	switch {
	case f.config != "":
		m, err := a.importModel(f.config, f.model)
		return &m, err
	case f.model == "":
		return nil, fault.New(fault.Invalid, "name a model with --model, give its --model-config, or a file with --rows")
	}
	models, err := a.knownModels()
	if err != nil {
		return nil, err
	}
	return models.Find(f.model)
}

func (f *estimateFlags) cluster() (estimate.Cluster, error) {
	if f.chip == "" {
		return estimate.Cluster{}, fault.New(fault.Invalid, "name a chip with --chip")
	}
	k, err := chip.Find(f.chip)
	if err != nil {
		return estimate.Cluster{}, err
	}
	if f.chips < 1 {
		return estimate.Cluster{}, fault.Newf(fault.Invalid, "--chips: found %d; at least 1 is needed", f.chips)
	}
	return estimate.Cluster{Chip: k, Chips: f.chips, ChipsPerNode: f.chipsPerNode, Domain: f.domain, NICBandwidth: f.nic * 1e9 / 8, PowerCap: f.power}, nil
}

var precisions = []string{"bf16", "fp16", "fp8", "fp4", "int8", "int4", "fp32", "tf32"}

func (f *estimateFlags) check() error { return validPrecision("--precision", f.precision) }

// validPrecision refuses a name that measurement files could hold but that
// would be taken for another type.
func validPrecision(flag, name string) error {
	if slices.Contains(precisions, strings.ToLower(name)) {
		return nil
	}
	return fault.Newf(fault.Invalid, "%s: unknown type %q%s", flag, name, spec.DidYouMean(name, precisions))
}

// validStack refuses a framework that neither the constants nor the estimator
// know: it would be predicted as none.
func validStack(flag, name string, c *estimate.KindConstants, also []string) error {
	if name == "" {
		return nil
	}
	known := slices.Clone(also)
	for node := range c.Rows {
		if stack, ok := strings.CutPrefix(node, "stack:"); ok {
			known = append(known, stack)
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	family, _, _ := strings.Cut(name, "/")
	if slices.Contains(known, name) || slices.Contains(known, family) {
		return nil
	}
	return fault.Newf(fault.Invalid, "%s: unknown name %q%s", flag, name, spec.DidYouMean(name, known))
}

// modelTitle names a model; one from a config.json may have no name.
func modelTitle(m *model.Model) string {
	if m.ID != "" {
		return m.ID
	}
	return m.Source + " (" + shortCount(m.Params()) + " parameters)"
}

// predictRows prints the table with a prediction appended to every row.
func (a *app) predictRows(f *estimateFlags, training bool) error {
	c, err := a.constants(f.calibration)
	if err != nil {
		return err
	}
	table, err := a.readRows(f.rows)
	if err != nil {
		return err
	}
	columns, predict := measured.ServingColumns(), measured.PredictServing
	if training {
		columns, predict = measured.TrainingColumns(), measured.PredictTraining
	}
	l := listing{}
	for _, name := range append(append([]string{}, table.Columns...), columns...) {
		l.columns = append(l.columns, column{title: strings.ToUpper(name), field: name})
	}
	documents := make([]map[string]string, 0, len(table.Rows))
	for _, row := range table.Rows {
		cells := append(row.Padded(len(table.Columns)), predict(row, c)...)
		document := map[string]string{}
		for i, name := range l.columns {
			document[name.field] = cells[i]
		}
		documents = append(documents, document)
		l.exact = append(l.exact, cells)
	}
	l.document = documents
	if a.output == "table" {
		l = rowsTable(l, table, columns)
	}
	return a.print(l)
}

func (a *app) readRows(file string) (*measured.Table, error) {
	if file == "-" {
		return measured.ReadTable(a.stdin)
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "rows")
	}
	defer func() { _ = in.Close() }() // only read
	table, err := measured.ReadTable(in)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "%s: %v", file, err)
	}
	return table, nil
}

// rowsTable keeps the columns that fit a screen.
func rowsTable(l listing, table *measured.Table, appended []string) listing {
	keep := map[string]bool{"model": true, "chip": true, "chips": true}
	for _, name := range appended {
		keep[name] = true
	}
	var out listing
	for i, c := range l.columns {
		if keep[c.field] {
			out.columns = append(out.columns, c)
			for j := range l.exact {
				if len(out.cells) <= j {
					out.cells = append(out.cells, nil)
				}
				out.cells[j] = append(out.cells[j], l.exact[j][i])
			}
		}
	}
	out.after = fmt.Sprintf("\n%d rows; -o csv has all columns\n", len(table.Rows))
	return out
}

// explainParts lists a breakdown as a table with bars.
func explainParts(document any, parts []estimate.Part, before, after string) listing {
	total := 0.0
	for _, p := range parts {
		total += p.Seconds
	}
	l := listing{
		document: document,
		columns:  []column{{title: "WHERE IT GOES", field: "part"}, {title: "TIME", field: "seconds", number: true}, {title: "SHARE", field: "share", number: true}, {title: "", field: "bar"}},
		before:   before, after: after,
	}
	for _, p := range parts {
		if p.Seconds <= 0 {
			continue
		}
		share := p.Seconds / total
		l.cells = append(l.cells, []string{p.Name, brief(p.Seconds), fmt.Sprintf("%.1f%%", 100*share), bar(share)})
		l.exact = append(l.exact, []string{p.Name, fmt.Sprint(p.Seconds), fmt.Sprint(share), ""})
	}
	return l
}

// support says what a prediction rests on.
func supportText(status estimate.Status, support []estimate.Support) string {
	if len(support) == 0 {
		return string(status) + ": no measured rows of this chip or framework; its interval is that of the unknown"
	}
	words := make([]string, len(support))
	for i, s := range support {
		words[i] = fmt.Sprintf("%s %d", strings.Replace(s.Group, ":", " ", 1), s.Rows)
	}
	return fmt.Sprintf("%s; measured rows behind it: %s", status, strings.Join(words, ", "))
}
