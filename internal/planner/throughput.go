package planner

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
	models "github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Estimated answers from the estimator, on instances such as the catalog has
// for the chip. A model that fits no parallelism there, or keeps no SLO, does no
// work there.
func Estimated(c *catalog.Catalog, constants *estimate.Constants) Throughput {
	return func(e plan.Estimate, chipID string) (float64, error) {
		found, err := models.Find(e.Model)
		if err != nil {
			return 0, err
		}
		if e.Serves() {
			return servedTokens(c, constants, found, e, chipID)
		}
		cluster, known := clusterOf(c, chipID, e.Chips)
		if !known {
			return 0, fault.New(fault.Invalid, "the catalog has no instance with it to estimate on; give its throughput")
		}
		job := estimate.Job{Model: found, Seq: e.Sequence, GlobalBatch: e.Batch, Precision: chip.BF16}
		step, _, err := estimate.SearchTraining(job, cluster, constants)
		if fault.Is(err, fault.NoCapacity) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		const hour = 3600
		return step.TokensPerSecond * hour / float64(cluster.Chips), nil
	}
}

// servedTokens is the most tokens, input and output, that a chip serves in an
// hour within the SLO: over replicas of two to the n devices of a node, or over
// whole nodes where none holds the model.
func servedTokens(c *catalog.Catalog, constants *estimate.Constants, m *models.Model, e plan.Estimate, chipID string) (float64, error) {
	t := largest(c, chipID)
	if t == nil {
		return 0, fault.New(fault.Invalid, "the catalog has no instance with it to estimate on; give its throughput")
	}
	job := estimate.ServingJob{Model: m, Precision: chip.BF16, Input: e.Input, Output: e.Output}
	slo := estimate.SLO{TTFT95: time.Duration(e.TTFT).Seconds(), TPOT95: time.Duration(e.TPOT).Seconds()}
	perChip := 1
	if t.Chip.Family == chip.Neuron {
		perChip = max(1, t.Chip.Cores)
	}
	devices, best := t.Chips*perChip, 0.0
	try := func(l estimate.Layout, chips int) {
		cluster := estimate.Cluster{Chip: t.Chip, Chips: chips, ChipsPerNode: t.Chips, Domain: t.Domain, NICBandwidth: t.Network / float64(t.Chips)}
		if found, err := estimate.HighestRate(job, cluster, l, slo, constants); err == nil { // one that does not fit, or is too slow, is no layout
			best = max(best, found.Service.RequestsPerSec/float64(chips))
		}
	}
	for tp := 1; tp <= devices; tp *= 2 {
		try(estimate.Layout{TP: tp, Replicas: 1}, max(1, tp/perChip))
	}
	const mostNodes = 4
	for nodes := 2; best == 0 && nodes <= mostNodes; nodes *= 2 {
		try(estimate.Layout{TP: devices, PP: nodes, Replicas: 1}, t.Chips*nodes)
	}
	const hour = 3600
	return best * hour * float64(e.Input+e.Output), nil
}

// largest is the chip's instance with most chips.
func largest(c *catalog.Catalog, chipID string) *catalog.InstanceType {
	var best *catalog.InstanceType
	for _, t := range c.Types {
		if t.Chip != nil && t.Chip.ID == chipID && (best == nil || t.Chips > best.Chips) {
			best = t
		}
	}
	return best
}

// clusterOf is the smallest whole number of the chip's largest instances that
// holds so many chips.
func clusterOf(c *catalog.Catalog, chipID string, chips int) (estimate.Cluster, bool) {
	best := largest(c, chipID)
	if best == nil {
		return estimate.Cluster{}, false
	}
	nodes := (chips + best.Chips - 1) / best.Chips
	return estimate.Cluster{
		Chip: best.Chip, Chips: nodes * best.Chips, ChipsPerNode: best.Chips, Domain: best.Domain, NICBandwidth: best.Network / float64(best.Chips),
	}, true
}
