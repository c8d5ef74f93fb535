package catalog

import (
	"math/big"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// PerChip returns the price of one chip for an hour, to twelve decimals.
func (o Offer) PerChip() units.Rate {
	return units.RateOfRat(new(big.Rat).Quo(o.Price.Rat(), big.NewRat(int64(o.Type.Chips), 1)), o.Price.Currency)
}

// PerUsefulPFLOP returns what an hour of one PFLOP/s of 16-bit matrix products
// costs: at the measured ceiling of the chip where somebody measured it, else
// at its peak with measured false. The types are bf16, or fp16 on chips without
// bf16. The rate is zero and known false where the chip's speed is not known.
func (o Offer) PerUsefulPFLOP() (rate units.Rate, measured, known bool) {
	flops, measured := o.Type.Chip.UsefulFLOPS(chip.BF16)
	if flops == 0 {
		flops, measured = o.Type.Chip.UsefulFLOPS(chip.FP16)
	}
	if flops == 0 {
		return units.Rate{}, false, false
	}
	const peta = 1e15
	petaflops := new(big.Rat).SetFloat64(flops * float64(o.Type.Chips) / peta)
	return units.RateOfRat(new(big.Rat).Quo(o.Price.Rat(), petaflops), o.Price.Currency), measured, true
}
