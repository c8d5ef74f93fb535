package planner

import (
	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
	models "github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Estimated answers from the estimator, on instances such as the catalog has
// for the chip. A model that fits no parallelism there does no work there.
func Estimated(c *catalog.Catalog, constants *estimate.Constants) Throughput {
	return func(e plan.Estimate, chipID string) (float64, error) {
		found, err := models.Find(e.Model)
		if err != nil {
			return 0, err
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

// clusterOf is the smallest whole number of the chip's largest instances that
// holds so many chips.
func clusterOf(c *catalog.Catalog, chipID string, chips int) (estimate.Cluster, bool) {
	var best *catalog.InstanceType
	for _, t := range c.Types {
		if t.Chip != nil && t.Chip.ID == chipID && (best == nil || t.Chips > best.Chips) {
			best = t
		}
	}
	if best == nil {
		return estimate.Cluster{}, false
	}
	nodes := (chips + best.Chips - 1) / best.Chips
	return estimate.Cluster{
		Chip: best.Chip, Chips: nodes * best.Chips, ChipsPerNode: best.Chips, Domain: best.Domain, NICBandwidth: best.Network / float64(best.Chips),
	}, true
}
