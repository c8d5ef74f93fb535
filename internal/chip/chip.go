// Package chip owns what is known about accelerators: identity, makers and
// families, and the per-chip figures that the estimator works from.
//
// It refuses prices (catalog) and any prediction (estimate).
package chip

import "strings"

// Maker makes chips.
type Maker string

// The chipmakers.
const (
	NVIDIA Maker = "nvidia"
	AWS    Maker = "aws"
	AMD    Maker = "amd"
	Google Maker = "google"
	Intel  Maker = "intel"
	Host   Maker = "host" // makers of general-purpose processors, for family cpu
)

// Values lists the chipmakers.
func (Maker) Values() []string {
	return []string{string(NVIDIA), string(AWS), string(AMD), string(Google), string(Intel), string(Host)}
}

// Family is the software stack that a chip needs.
type Family string

// The chip families.
const (
	CUDA   Family = "cuda"
	Neuron Family = "neuron"
	ROCm   Family = "rocm"
	TPU    Family = "tpu"
	Gaudi  Family = "gaudi"
	CPU    Family = "cpu"
)

// Values lists the chip families.
func (Family) Values() []string {
	return []string{string(CUDA), string(Neuron), string(ROCm), string(TPU), string(Gaudi), string(CPU)}
}

// DType is a numeric type of matrix products.
type DType string

// The numeric types.
const (
	FP32 DType = "fp32"
	TF32 DType = "tf32"
	FP16 DType = "fp16"
	BF16 DType = "bf16"
	FP8  DType = "fp8"
	INT8 DType = "int8"
	FP4  DType = "fp4"
	INT4 DType = "int4"
)

// Values lists the numeric types.
func (DType) Values() []string {
	return []string{string(FP32), string(TF32), string(FP16), string(BF16), string(FP8), string(INT8), string(FP4), string(INT4)}
}

// Bits returns the size of one element.
func (d DType) Bits() int {
	switch d {
	case FP32, TF32:
		return 32
	case FP16, BF16:
		return 16
	case FP8, INT8:
		return 8
	default:
		return 4
	}
}

// Chip is one accelerator package as its maker counts it. Every figure is per
// chip; 0 means not known.
type Chip struct {
	ID      string   // canonical name, e.g. "H100", "Trainium2", "TPU-v5e"
	Name    string   // as its maker writes it
	Aliases []string // other names, matched without regard to case
	Maker   Maker
	Family  Family
	Year    int

	PeakFLOPS     map[DType]float64 // dense FLOP/s
	MeasuredFLOPS map[DType]float64 // best measured matrix product, FLOP/s; absent where nobody measured

	MemoryBytes     float64 // bytes of device memory
	MemoryBandwidth float64 // bytes/s

	ScaleUpBandwidth float64 // bytes/s, one direction, within the scale-up domain
	ScaleUpDomain    int     // largest number of chips in a scale-up domain
	ScaleUpTopology  string
	NICBandwidth     float64 // bytes/s per chip, one direction, between domains
	Power            float64 // W, design power
	Cores            int     // cores per chip that the family's software counts (NeuronCores; logical ones on Trainium2 and 3)

	Measurements []Measurement  // where MeasuredFLOPS is from
	AllReduce    []BusBandwidth // measured within one scale-up domain, by number of chips; empty where nobody measured

	Recalled []string // figures that were recalled rather than read at their source; Source says so too
	Source   string   // where the figures are from
	AsOf     string   // ISO date at which the source was read
	Notes    string
}

// Measurement is the best matrix product published for a chip.
type Measurement struct {
	DType    DType
	FLOPS    float64 // FLOP/s
	Shape    string  // M×N×K of the product
	Software string
	On       string // what was measured: another chip where the die is the same
	Source   string
	AsOf     string // ISO date
}

// BusBandwidth is the measured bus bandwidth of a large all-reduce among chips
// of one scale-up domain: by the fastest algorithm (in-network reduction where
// there is one) and by a ring alone. Bytes/s.
type BusBandwidth struct {
	Chips          int
	BytesPerSecond float64
	RingOnly       float64
	Source         string
	AsOf           string // ISO date
}

// UsefulFLOPS returns the FLOP/s that large matrix products of the type reach:
// measured where somebody measured, else the peak with measured false. It is 0
// where the chip's figure for the type is not known.
func (c *Chip) UsefulFLOPS(dtype DType) (flops float64, measured bool) {
	if flops, ok := c.MeasuredFLOPS[dtype]; ok {
		return flops, true
	}
	return c.PeakFLOPS[dtype], false
}

// Trains reports whether the chip's software can train. AWS sells Inferentia
// for inference only (AWS Neuron documentation, "Amazon EC2 AI Chips
// Architecture", read 2026-08-22).
func (c *Chip) Trains() bool { return !strings.HasPrefix(c.ID, "Inferentia") }
