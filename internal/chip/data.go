package chip

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"github.com/jszwec/csvutil"
)

// The tables are ours: compiled by hand from the sources that each row names.
//
//go:embed data/*.csv
var tables embed.FS

const (
	tera = 1e12
	giga = 1e9

	bytesPerGbit = 1e9 / 8
)

// chipRow is a row of data/chips.csv, in the units of its column names.
type chipRow struct {
	ID       string  `csv:"id"`
	Name     string  `csv:"name"`
	Aliases  string  `csv:"aliases"` // separated by ";"
	Maker    Maker   `csv:"maker"`
	Family   Family  `csv:"family"`
	Year     int     `csv:"year,omitempty"`
	FP32     float64 `csv:"fp32_tflops,omitempty"`
	TF32     float64 `csv:"tf32_tflops,omitempty"`
	FP16     float64 `csv:"fp16_tflops,omitempty"`
	BF16     float64 `csv:"bf16_tflops,omitempty"`
	FP8      float64 `csv:"fp8_tflops,omitempty"`
	INT8     float64 `csv:"int8_tflops,omitempty"`
	FP4      float64 `csv:"fp4_tflops,omitempty"`
	INT4     float64 `csv:"int4_tflops,omitempty"`
	Memory   float64 `csv:"memory_gb,omitempty"`
	MemoryBW float64 `csv:"memory_gb_per_s,omitempty"`
	ScaleUp  float64 `csv:"scaleup_gb_per_s,omitempty"` // one direction
	Domain   int     `csv:"scaleup_domain,omitempty"`
	Topology string  `csv:"scaleup_topology"`
	NIC      float64 `csv:"nic_gbit_per_s,omitempty"`
	Power    float64 `csv:"power_w,omitempty"`
	Cores    int     `csv:"cores"`
	Recalled string  `csv:"recalled"` // figures recalled rather than read at the source, separated by blanks
	Source   string  `csv:"source"`
	AsOf     string  `csv:"as_of"`
	Notes    string  `csv:"notes"`
}

// matmulRow is a row of data/matmul.csv: the best matrix product that anybody
// published for a chip. MeasuredOn names the chip that was measured, which is
// another one where a die is shared (H100 and H200, both A100 SXM4).
type matmulRow struct {
	Chip       string  `csv:"chip"`
	DType      DType   `csv:"dtype"`
	TFLOPS     float64 `csv:"tflops"`
	Shape      string  `csv:"shape_mnk"`
	Software   string  `csv:"software"`
	MeasuredOn string  `csv:"measured_on"`
	Source     string  `csv:"source"`
	AsOf       string  `csv:"as_of"`
}

// allReduceRow is a row of data/allreduce.csv.
type allReduceRow struct {
	Chip    string  `csv:"chip"`
	Chips   int     `csv:"chips"`
	Payload string  `csv:"payload"`
	Bus     float64 `csv:"bus_gb_per_s"`
	Ring    float64 `csv:"ring_gb_per_s"`
	Source  string  `csv:"source"`
	AsOf    string  `csv:"as_of"`
}

var parsed = sync.OnceValue(func() []*Chip {
	chips, err := load(tables)
	if err != nil {
		panic("chip: the embedded tables are broken: " + err.Error())
	}
	return chips
})

// All returns every chip known, sorted by ID without regard to case. The chips
// are shared: callers do not change them.
func All() []*Chip { return append([]*Chip(nil), parsed()...) }

func load(files fs.FS) ([]*Chip, error) {
	var rows []chipRow
	var products []matmulRow
	var reductions []allReduceRow
	for name, into := range map[string]any{"chips": &rows, "matmul": &products, "allreduce": &reductions} {
		data, err := fs.ReadFile(files, "data/"+name+".csv")
		if err != nil {
			return nil, err
		}
		if err := csvutil.Unmarshal(data, into); err != nil {
			return nil, fmt.Errorf("%s.csv: %w", name, err)
		}
	}
	byID := map[string]*Chip{}
	chips := make([]*Chip, len(rows))
	for i, row := range rows {
		chips[i] = row.chip()
		byID[row.ID] = chips[i]
	}
	if err := join(byID, products, reductions); err != nil {
		return nil, err
	}
	sort.Slice(chips, func(i, j int) bool { return strings.ToLower(chips[i].ID) < strings.ToLower(chips[j].ID) })
	return chips, nil
}

func join(byID map[string]*Chip, products []matmulRow, reductions []allReduceRow) error {
	for _, p := range products {
		c := byID[p.Chip]
		if c == nil {
			return fmt.Errorf("matmul.csv: unknown chip %q", p.Chip)
		}
		c.MeasuredFLOPS[p.DType] = p.TFLOPS * tera
		c.Measurements = append(c.Measurements, Measurement{
			DType: p.DType, FLOPS: p.TFLOPS * tera, Shape: p.Shape,
			Software: p.Software, On: p.MeasuredOn, Source: p.Source, AsOf: p.AsOf,
		})
	}
	for _, r := range reductions {
		c := byID[r.Chip]
		if c == nil {
			return fmt.Errorf("allreduce.csv: unknown chip %q", r.Chip)
		}
		c.AllReduce = append(c.AllReduce, BusBandwidth{
			Chips: r.Chips, BytesPerSecond: r.Bus * giga, RingOnly: r.Ring * giga, Source: r.Source, AsOf: r.AsOf,
		})
	}
	return nil
}

func (r chipRow) chip() *Chip {
	c := &Chip{
		ID: r.ID, Name: r.Name, Maker: r.Maker, Family: r.Family, Year: r.Year,
		PeakFLOPS: map[DType]float64{}, MeasuredFLOPS: map[DType]float64{},
		MemoryBytes: r.Memory * giga, MemoryBandwidth: r.MemoryBW * giga,
		ScaleUpBandwidth: r.ScaleUp * giga, ScaleUpDomain: r.Domain, ScaleUpTopology: r.Topology,
		NICBandwidth: r.NIC * bytesPerGbit, Power: r.Power, Cores: r.Cores,
		Recalled: strings.Fields(r.Recalled), Source: r.Source, AsOf: r.AsOf, Notes: r.Notes,
	}
	if r.Aliases != "" {
		c.Aliases = strings.Split(r.Aliases, ";")
	}
	if len(c.Recalled) > 0 {
		c.Source += "; recalled, not re-read: " + strings.Join(c.Recalled, ", ")
	}
	peaks := map[DType]float64{
		FP32: r.FP32, TF32: r.TF32, FP16: r.FP16, BF16: r.BF16, FP8: r.FP8, INT8: r.INT8, FP4: r.FP4, INT4: r.INT4,
	}
	for dtype, tflops := range peaks {
		if tflops > 0 {
			c.PeakFLOPS[dtype] = tflops * tera
		}
	}
	return c
}
