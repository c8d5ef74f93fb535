package scheduler

import (
	"math"

	"github.com/switchyard-ai/switchyard/internal/catalog"
)

// Assumptions are the constants behind the step from speed to the time and
// cost of a whole run. All rates are per hour.
type Assumptions struct {
	// ChipFailuresPerHour: 419 unexpected interruptions in 54 days on 16,384
	// H100 = one in 50,676 chip-hours. Source: The Llama 3 Herd of Models,
	// arXiv:2407.21783, section 3.3.4 (2024-07-31). Used for every chip: no
	// other maker's fleet has a published count.
	ChipFailuresPerHour float64
	// CheckpointBandwidth is bytes/s of checkpoint traffic per node: 2 TB/s
	// sustained over 7,500 servers. Source: arXiv:2407.21783, section 3.3.1.
	CheckpointBandwidth float64
	// CheckpointBytesPerParam: bf16 weights 2, float32 master weights 4, two
	// Adam moments 8. Source: ZeRO, arXiv:1910.02054, section 3.1 (12 + 2).
	CheckpointBytesPerParam float64
	// SetUpSeconds is from a start to the first step: nodes, image, rendezvous,
	// compilation. An assumption of 10 minutes, to be replaced by what this
	// installation measures; it is paid again after each failure.
	SetUpSeconds float64
	// SpotInterruptionsPerHour and SpotAvailability of a zone: one interruption
	// in 1.75 available hours, capacity there 53% of the time. Computed from
	// the 180 published ten-minute traces of K80 and V100 spot nodes
	// in us-west-2 of "Can't Be Late" (NSDI 2024). A zone's loss takes the whole
	// gang, so the rate is not multiplied by nodes.
	SpotInterruptionsPerHour float64
	SpotAvailability         float64
	// InterruptionsPerHour is how often a site takes away a gang that is not on
	// spot capacity; 0 until it was seen to. See Seen.
	InterruptionsPerHour float64
}

// trust is the hours of observation that outweigh what is published: a day on
// a pool says as much of it as the traces of other places do.
const trust = 24

// Seen is the assumptions for a pool on which a site took away gangs so many
// times in so many hours that they ran: what was assumed before counts as much
// as trust hours of it. So a pool that keeps preempting gets dearer.
func (a Assumptions) Seen(option catalog.Option, interruptions int, hours float64) Assumptions {
	rate := &a.InterruptionsPerHour
	if option == catalog.Spot {
		rate = &a.SpotInterruptionsPerHour
	}
	*rate = (*rate*trust + float64(interruptions)) / (trust + math.Max(0, hours))
	return a
}

// DefaultAssumptions returns the published or stated constants.
func DefaultAssumptions() Assumptions {
	return Assumptions{
		ChipFailuresPerHour:      419.0 / (54 * 24 * 16384),
		CheckpointBandwidth:      2e12 / 7500,
		CheckpointBytesPerParam:  14,
		SetUpSeconds:             600,
		SpotInterruptionsPerHour: 0.57,
		SpotAvailability:         0.53,
	}
}

// goodput is what a run loses beside its steps, in shares of the step time.
type goodput struct {
	interval    float64 // s between checkpoints
	write       float64 // s to write one
	checkpoints float64 // share of step time spent writing
	rework      float64 // share of step time lost to failures: half an interval and a new set-up each
	failures    float64 // expected per hour
}

// factor is elapsed time per step time.
func (g goodput) factor() float64 { return 1 + g.checkpoints + g.rework }

// goodput follows Young (1974) and Daly (2006), "A higher order estimate of
// the optimum checkpoint interval": the best interval is √(2δM) − δ for a write time δ
// and a mean time M between failures, and each failure costs half an interval
// and a restart. every, in seconds, overrides the interval where positive.
func (a Assumptions) goodput(params float64, chips, nodes int, option catalog.Option, every float64) goodput {
	g := goodput{
		write:    params * a.CheckpointBytesPerParam / (a.CheckpointBandwidth * float64(nodes)),
		failures: a.ChipFailuresPerHour * float64(chips),
	}
	if option == catalog.Spot {
		g.failures += a.SpotInterruptionsPerHour
	} else {
		g.failures += a.InterruptionsPerHour
	}
	between := 3600 / g.failures
	g.interval = every
	if g.interval <= 0 {
		g.interval = math.Max(math.Sqrt(2*g.write*between)-g.write, g.write)
		g.interval = math.Max(g.interval, 60)
	}
	g.checkpoints = g.write / g.interval
	lost := g.interval/2 + g.write + a.SetUpSeconds
	// Past one failure in the time that it takes to recover from one, nothing
	// is trained; the bound keeps the share finite and the candidate hopeless.
	g.rework = lost / math.Max(between-lost, between/1000)
	return g
}
