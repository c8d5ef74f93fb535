package estimate

import (
	"math"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
)

// Cluster is where a job would run: chips of one kind and how they are wired.
// Zero fields take the chip's own figures.
type Cluster struct {
	Chip         *chip.Chip
	Chips        int
	ChipsPerNode int     // chips of one machine
	Domain       int     // chips that share a scale-up network (NVLink, NeuronLink, ICI), across machines too
	NICBandwidth float64 // bytes/s per chip, one direction, between domains
	PowerCap     float64 // W per chip where it runs below its design power, 0: uncapped
}

// device is what a rank runs on: a chip, or on Neuron one of its cores.
type device struct {
	perChip int
	domain  float64 // devices per scale-up domain
	peak    float64 // FLOP/s of bf16
	flops   float64 // FLOP/s of a large matrix product in the job's type, before calibration
	attend  float64 // the same in bf16, for attention
	memory  float64 // bytes
	band    float64 // bytes/s of memory
	link    float64 // bytes/s, one direction, within the domain
	nic     float64 // bytes/s between domains
	mesh    bool    // every pair of a domain has a link of its own
	low     bool    // products are in an 8- or 4-bit type
}

// defaultNIC is assumed where neither cluster nor chip says: 100 Gb/s for
// eight chips, the least that instances with accelerators are sold with.
const defaultNIC = 100e9 / 8 / 8

// maker's share of peak that large products reach where nobody measured it:
// the median of the measured chips of mamf.csv (0.78).
const unmeasuredShare = 0.78

func newDevice(c Cluster, precision chip.DType) device {
	k := c.Chip
	d := device{perChip: 1}
	if k.Family == chip.Neuron && k.Cores > 1 {
		d.perChip = k.Cores
	}
	n := float64(d.perChip)
	d.memory, d.band = k.MemoryBytes/n, k.MemoryBandwidth/n
	d.link, d.nic = k.ScaleUpBandwidth/n, c.NICBandwidth/n
	if c.NICBandwidth == 0 {
		d.nic = k.NICBandwidth / n
	}
	if d.nic == 0 {
		d.nic = defaultNIC / n
	}
	if d.link == 0 {
		d.link = d.nic
	}
	domain := c.Domain
	if domain == 0 {
		domain = max(1, k.ScaleUpDomain)
	}
	d.domain = float64(domain) * n
	topology := strings.ToLower(k.ScaleUpTopology)
	d.mesh = d.domain > 1 && (strings.Contains(topology, "full mesh") || strings.Contains(topology, "per pair"))
	d.peak = BF16Peak(k) / n
	d.attend = matmulRate(k, chip.BF16) / n
	d.flops = matmulRate(k, precision) / n
	d.low = precision.Bits() <= 8 && d.flops > 1.01*d.attend
	if c.PowerCap > 0 && k.Power > c.PowerCap {
		slow := math.Sqrt(c.PowerCap / k.Power)
		d.flops, d.attend = d.flops*slow, d.attend*slow
	}
	return d
}

// within is the bandwidth that k devices of a domain have between them: in a
// full mesh the links to the others lie idle.
func (d *device) within(k float64) float64 {
	if d.mesh && k < d.domain {
		return d.link * max(1, k-1) / (d.domain - 1)
	}
	return d.link
}

// BF16Peak returns the chip's dense bf16 peak, or fp16 for those without.
func BF16Peak(k *chip.Chip) float64 {
	for _, t := range []chip.DType{chip.BF16, chip.FP16, chip.TF32, chip.FP32} {
		if p := k.PeakFLOPS[t]; p > 0 {
			return p
		}
	}
	return 0
}

// matmulRate returns the rate of a large matrix product: measured, or else in
// proportion to what was measured in bf16, or else a share of peak. A type that
// the chip lacks runs at its bf16 rate.
func matmulRate(k *chip.Chip, t chip.DType) float64 {
	if r := k.MeasuredFLOPS[t]; r > 0 {
		return r
	}
	peak, base := k.PeakFLOPS[t], BF16Peak(k)
	if t == chip.BF16 || t == chip.FP16 || t == "" || peak == 0 {
		peak = base
	}
	share := unmeasuredShare
	if r := k.MeasuredFLOPS[chip.BF16]; r > 0 && base > 0 {
		share = r / base
	}
	return peak * share
}
