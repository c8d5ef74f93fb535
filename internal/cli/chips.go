package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/chip"
)

const (
	tera = 1e12
	giga = 1e9

	bytesPerGbit = 1e9 / 8
)

func (a *app) chipsCommand() *cobra.Command {
	return a.withOutput(&cobra.Command{
		Use:   "chips [NAME]",
		Short: "Show the chips that are known and what each can do",
		Long: "Chips lists the accelerators of the catalog with their figures per chip.\n" +
			"With a name it shows one in full, with the source of its figures. Usual names\n" +
			"work: h100, \"NVIDIA H100 80GB HBM3\", trn2, v5e.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.print(chipListing())
			}
			c, err := chip.Find(args[0])
			if err != nil {
				return err
			}
			return a.print(oneChip(c))
		},
	})
}

// chipJSON is the stable form of a chip. Figures that are not known are absent.
type chipJSON struct {
	ID               string                 `json:"id"`
	Name             string                 `json:"name"`
	Aliases          []string               `json:"aliases,omitempty"`
	Maker            chip.Maker             `json:"chipmaker"`
	Family           chip.Family            `json:"family"`
	Year             int                    `json:"year,omitempty"`
	PeakFLOPS        map[chip.DType]float64 `json:"peak_flops,omitempty"`
	MeasuredFLOPS    map[chip.DType]float64 `json:"measured_flops,omitempty"`
	MemoryBytes      float64                `json:"memory_bytes,omitempty"`
	MemoryBandwidth  float64                `json:"memory_bytes_per_second,omitempty"`
	ScaleUpBandwidth float64                `json:"scale_up_bytes_per_second,omitempty"`
	ScaleUpDomain    int                    `json:"scale_up_domain,omitempty"`
	ScaleUpTopology  string                 `json:"scale_up_topology,omitempty"`
	NICBandwidth     float64                `json:"nic_bytes_per_second,omitempty"`
	Power            float64                `json:"watts,omitempty"`
	Cores            int                    `json:"cores"`
	Measurements     []measurementJSON      `json:"measurements,omitempty"`
	AllReduce        []allReduceJSON        `json:"all_reduce,omitempty"`
	Recalled         []string               `json:"recalled,omitempty"`
	Source           string                 `json:"source"`
	AsOf             string                 `json:"as_of"`
	Notes            string                 `json:"notes,omitempty"`
}

type measurementJSON struct {
	DType    chip.DType `json:"dtype"`
	FLOPS    float64    `json:"flops"`
	Shape    string     `json:"shape_mnk"`
	Software string     `json:"software"`
	On       string     `json:"measured_on"`
	Source   string     `json:"source"`
	AsOf     string     `json:"as_of"`
}

type allReduceJSON struct {
	Chips  int     `json:"chips"`
	Bus    float64 `json:"bus_bytes_per_second"`
	Ring   float64 `json:"ring_bytes_per_second"`
	Source string  `json:"source"`
	AsOf   string  `json:"as_of"`
}

func chipDocument(c *chip.Chip) chipJSON {
	d := chipJSON{
		ID: c.ID, Name: c.Name, Aliases: c.Aliases, Maker: c.Maker, Family: c.Family, Year: c.Year,
		PeakFLOPS: c.PeakFLOPS, MeasuredFLOPS: c.MeasuredFLOPS,
		MemoryBytes: c.MemoryBytes, MemoryBandwidth: c.MemoryBandwidth,
		ScaleUpBandwidth: c.ScaleUpBandwidth, ScaleUpDomain: c.ScaleUpDomain, ScaleUpTopology: c.ScaleUpTopology,
		NICBandwidth: c.NICBandwidth, Power: c.Power, Cores: c.Cores,
		Recalled: c.Recalled, Source: c.Source, AsOf: c.AsOf, Notes: c.Notes,
	}
	for _, m := range c.Measurements {
		d.Measurements = append(d.Measurements, measurementJSON(m))
	}
	for _, r := range c.AllReduce {
		d.AllReduce = append(d.AllReduce, allReduceJSON{r.Chips, r.BytesPerSecond, r.RingOnly, r.Source, r.AsOf})
	}
	return d
}

func chipColumns() []column {
	return []column{
		{"CHIP", "chip", false}, {"MAKER", "chipmaker", false}, {"FAMILY", "family", false}, {"YEAR", "year", true},
		{"16-BIT", "tflops_16bit", true}, {"MEASURED", "measured_tflops_16bit", true}, {"FP8", "tflops_fp8", true},
		{"INT8", "tops_int8", true}, {"FP4", "tflops_fp4", true}, {"MEMORY", "memory_gb", true}, {"GB/S", "memory_gb_per_s", true},
		{"LINK", "scale_up_gb_per_s", true}, {"DOMAIN", "scale_up_domain", true}, {"NIC", "nic_gbit_per_s", true}, {"WATTS", "watts", true},
	}
}

// sourceColumns are the columns that only CSV has room for.
func sourceColumns() []column {
	return []column{{"SOURCE", "source", false}, {"AS OF", "as_of", false}}
}

func chipListing() listing {
	l := listing{
		columns: chipColumns(),
		extra:   sourceColumns(),
		after: "\nPer chip: dense TFLOP/s (16-BIT is bf16, on V100 and T4 fp16; MEASURED the best published product of that type),\n" +
			"memory in GB and GB/s, LINK in GB/s one way among DOMAIN chips, NIC in Gb/s.\n" +
			"One in full, with sources: yard chips H100          What each costs: yard offers --chip H100\n",
	}
	var documents []chipJSON
	for _, c := range chip.All() {
		documents = append(documents, chipDocument(c))
		cells, exact := chipRow(c)
		l.cells = append(l.cells, cells)
		l.exact = append(l.exact, append(exact, c.Source, c.AsOf))
	}
	l.document = documents
	return l
}

func chipRow(c *chip.Chip) (cells, exact []string) {
	half, ceiling := c.PeakFLOPS[chip.BF16], c.MeasuredFLOPS[chip.BF16]
	if half == 0 {
		half, ceiling = c.PeakFLOPS[chip.FP16], c.MeasuredFLOPS[chip.FP16]
	}
	numbers := []float64{
		float64(c.Year), half / tera, ceiling / tera, c.PeakFLOPS[chip.FP8] / tera, c.PeakFLOPS[chip.INT8] / tera,
		c.PeakFLOPS[chip.FP4] / tera, c.MemoryBytes / giga, c.MemoryBandwidth / giga, c.ScaleUpBandwidth / giga,
		float64(c.ScaleUpDomain), c.NICBandwidth / bytesPerGbit, c.Power,
	}
	cells = []string{c.ID, string(c.Maker), string(c.Family)}
	exact = append(exact, cells...)
	for i, number := range numbers {
		rounded := rounded(number)
		if i == 0 && number > 0 {
			rounded = strconv.Itoa(c.Year)
		}
		cells = append(cells, rounded)
		exact = append(exact, exactNumber(number))
	}
	return cells, exact
}

// oneChip shows a chip in full; the table is one line for each figure.
func oneChip(c *chip.Chip) listing {
	document := chipDocument(c)
	cells, exact := chipRow(c)
	return listing{
		document: document,
		columns:  chipColumns(), extra: sourceColumns(),
		cells: [][]string{cells}, exact: [][]string{append(exact, c.Source, c.AsOf)},
		page: chipPage(c),
	}
}

func chipPage(c *chip.Chip) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "%-12s%s\n", name, text)
		}
	}
	fmt.Fprintf(&b, "%s · %s · family %s", c.ID, c.Name, c.Family)
	if c.Year > 0 {
		fmt.Fprintf(&b, " · %d", c.Year)
	}
	b.WriteString("\n\n")
	line("peak", "%s", flopsLine(c.PeakFLOPS))
	for _, m := range c.Measurements {
		line("measured", "%s %s TFLOP/s (%.0f%% of peak) on %s, %s, %s; %s, %s", m.DType, rounded(m.FLOPS/tera),
			100*m.FLOPS/c.PeakFLOPS[m.DType], m.On, m.Shape, m.Software, m.Source, m.AsOf)
	}
	if c.MemoryBytes > 0 {
		line("memory", "%s GB at %s GB/s", rounded(c.MemoryBytes/giga), rounded(c.MemoryBandwidth/giga))
	}
	if c.ScaleUpDomain > 1 {
		line("scale-up", "%s GB/s one way, among up to %s chips (%s)", orUnknown(rounded(c.ScaleUpBandwidth/giga)), rounded(float64(c.ScaleUpDomain)), c.ScaleUpTopology)
	}
	for _, r := range c.AllReduce {
		line("all-reduce", "%d chips %s GB/s on the bus (ring alone %s); %s, %s", r.Chips, rounded(r.BytesPerSecond/giga), rounded(r.RingOnly/giga), r.Source, r.AsOf)
	}
	if c.NICBandwidth > 0 {
		line("network", "%s Gb/s per chip", rounded(c.NICBandwidth/bytesPerGbit))
	}
	if c.Power > 0 {
		line("power", "%s W", rounded(c.Power))
	}
	line("cores", "%d", c.Cores)
	line("also", "%s", strings.Join(c.Aliases, ", "))
	line("notes", "%s", c.Notes)
	line("source", "%s; as of %s", c.Source, c.AsOf)
	fmt.Fprintf(&b, "\nWhat it costs: yard offers --chip %s\n", c.ID)
	return b.String()
}

func flopsLine(peaks map[chip.DType]float64) string {
	var parts []string
	for _, name := range chip.DType("").Values() {
		if peak := peaks[chip.DType(name)]; peak > 0 {
			parts = append(parts, name+" "+rounded(peak/tera))
		}
	}
	if parts == nil {
		return ""
	}
	return strings.Join(parts, " · ") + " TFLOP/s (dense)"
}

// rounded writes a figure for people: whole from a thousand on, at most one
// decimal below, and nothing for what is not known.
func rounded(x float64) string {
	switch {
	case x == 0:
		return ""
	case x < 1000:
		return strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
	}
	return grouped(strconv.FormatFloat(x, 'f', 0, 64))
}

// grouped puts commas between the thousands of a whole number.
func grouped(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// exactNumber writes a figure for programs, with every digit, and nothing for
// what is not known.
func exactNumber(x float64) string {
	if x == 0 {
		return ""
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

func orUnknown(text string) string {
	if text == "" {
		return "?"
	}
	return text
}
