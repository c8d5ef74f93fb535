// Package quote owns the answer to "where would this workload run, and what
// would it cost there": it joins the catalog, the estimator and the connected
// pools, and keeps the speeds that it has already found.
//
// It refuses to rank or price by itself (scheduler, billing) and to predict
// (estimate); it does no I/O.
package quote

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Market is what quotes are made from. It is safe for concurrent use.
type Market struct {
	Catalog     *catalog.Catalog
	Constants   *estimate.Constants
	Assumptions scheduler.Assumptions
	// Measured returns what a trial of a workload measured on a pool. May be nil.
	Measured func(w *workload.Workload, pool fleet.Pool) (nodes int, tokensPerSecond float64, ok bool)

	mu     sync.Mutex
	speeds map[string]scheduler.Speed // by job and hardware shape
}

// maxSpeeds bounds what Market remembers; beyond it everything is forgotten.
const maxSpeeds = 100_000

// shape is what of an instance type decides its speed. Types of the same shape
// share one search for the best parallelism.
type shape struct {
	chip    *chip.Chip
	perNode int
	domain  int
	nic     float64
	vcpus   int // family cpu only
}

func shapeOf(t *catalog.InstanceType) shape {
	s := shape{chip: t.Chip, perNode: t.Chips, domain: t.Domain}
	if t.Chips > 0 {
		s.nic = t.Network / float64(t.Chips)
	}
	if t.Chip.Family == chip.CPU {
		s.vcpus = t.VCPUs
	}
	return s
}

// mostChips bounds the sizes that are looked at where the file does not.
const mostChips = 16_384

// sizes returns the node counts of a type to look at for a training run, at
// most so many; 0 means any.
func sizes(w *workload.Workload, chipsPerNode, mostNodes int) []int {
	if w.Place.Nodes > 0 {
		return []int{w.Place.Nodes}
	}
	most := w.Place.Chips.Max
	if most == 0 {
		// A sequence is rarely spread over more than sixteen chips with profit,
		// so small batches need no large clusters.
		most = min(mostChips, max(64, 16*w.Training.GlobalBatch))
	}
	if mostNodes > 0 {
		most = min(most, mostNodes*max(1, chipsPerNode))
	}
	return scheduler.Sizes(max(1, chipsPerNode), w.Place.Chips.Min, most)
}

// place is an instance type with the most nodes that can be had of it, 0 for
// any number.
type place struct {
	kind  *catalog.InstanceType
	nodes int
}

// task is one search: all types of a shape at a node count.
type task struct {
	key   string
	shape shape
	nodes int
}

// trainingSpeeds finds the speed of each instance type at each size, from
// memory where it can, on all processors where it must.
func (m *Market) trainingSpeeds(ctx context.Context, w *workload.Workload, places []place) ([]scheduler.Speed, error) {
	job := jobOf(w)
	prefix := fmt.Sprintf("%+v|%d|%d|%s", *job.Model, job.Seq, job.GlobalBatch, job.Precision)
	var missing []task
	wanted := map[string]bool{}
	keyOf := func(s shape, nodes int) string { return fmt.Sprintf("%s|%s|%+v|%d", prefix, s.chip.ID, s, nodes) }

	m.mu.Lock()
	if m.speeds == nil || len(m.speeds) > maxSpeeds {
		m.speeds = map[string]scheduler.Speed{}
	}
	for _, p := range places {
		s := shapeOf(p.kind)
		for _, nodes := range sizes(w, p.kind.Chips, p.nodes) {
			key := keyOf(s, nodes)
			if _, known := m.speeds[key]; !known && !wanted[key] {
				wanted[key] = true
				missing = append(missing, task{key, s, nodes})
			}
		}
	}
	m.mu.Unlock()

	if err := m.search(ctx, job, missing); err != nil {
		return nil, err
	}
	var speeds []scheduler.Speed
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range places {
		for _, nodes := range sizes(w, p.kind.Chips, p.nodes) {
			speed := m.speeds[keyOf(shapeOf(p.kind), nodes)]
			speed.Type, speed.Nodes = p.kind, nodes
			speeds = append(speeds, speed)
		}
	}
	return speeds, nil
}

// search runs the missing searches side by side. The order in which they end
// does not reach the result: each writes under its own key.
func (m *Market) search(ctx context.Context, job estimate.Job, missing []task) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range missing {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			speed := m.trainingSpeed(job, t.shape, t.nodes)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.speeds[t.key] = speed
			return nil
		})
	}
	return group.Wait()
}

func jobOf(w *workload.Workload) estimate.Job {
	precision := w.Precision
	if precision == "" {
		precision = chip.BF16
	}
	return estimate.Job{Model: w.Shape, Seq: w.Training.SequenceLength, GlobalBatch: w.Training.GlobalBatch, Precision: precision}
}

func (m *Market) trainingSpeed(job estimate.Job, s shape, nodes int) scheduler.Speed {
	if s.chip.Family == chip.CPU {
		return cpuSpeed(job, s.vcpus*nodes)
	}
	if !s.chip.Trains() {
		return scheduler.Speed{Infeasible: s.chip.ID + " runs inference only"}
	}
	cluster := estimate.Cluster{Chip: s.chip, Chips: s.perNode * nodes, ChipsPerNode: s.perNode, Domain: s.domain, NICBandwidth: s.nic}
	step, reasons, err := estimate.SearchTraining(job, cluster, m.Constants)
	if err != nil {
		return scheduler.Speed{Infeasible: because(err, reasons)}
	}
	tokens := float64(job.Seq) * float64(job.GlobalBatch)
	return scheduler.Speed{
		Parallelism: scheduler.Parallelism{
			DP: step.Parallelism.DP, TP: step.Parallelism.TP, PP: step.Parallelism.PP,
			EP: step.Parallelism.EP, CP: step.Parallelism.CP, MicroBatch: step.Parallelism.MicroBatch,
		},
		TokensPerSecond: step.TokensPerSecond,
		Low:             tokens / step.High,
		High:            tokens / step.Low,
		Parts:           parts(step.Breakdown),
		Status:          string(step.Status),
	}
}

// because says in one sentence why nothing fits: the estimator's most frequent
// reason, or its error.
func because(err error, reasons []estimate.Reason) string {
	best := estimate.Reason{}
	for _, r := range reasons {
		if r.Count > best.Count {
			best = r
		}
	}
	if best.Detail == "" {
		return err.Error()
	}
	return best.Detail
}

func parts(b estimate.Breakdown) []scheduler.Part {
	return []scheduler.Part{
		{Name: "matrix products", Seconds: b.Matmul}, {Name: "attention", Seconds: b.Attention},
		{Name: "memory-bound work", Seconds: b.Memory}, {Name: "recomputation", Seconds: b.Recompute},
		{Name: "host", Seconds: b.Host}, {Name: "exposed tensor parallelism", Seconds: b.Tensor},
		{Name: "exposed expert parallelism", Seconds: b.Expert}, {Name: "exposed context parallelism", Seconds: b.Context},
		{Name: "exposed pipeline transfers", Seconds: b.Pipeline}, {Name: "exposed data parallelism", Seconds: b.Data},
		{Name: "pipeline bubble", Seconds: b.Bubble}, {Name: "optimizer", Seconds: b.Optimizer},
	}
}

// cpuFLOPS is what one vCPU trains at, in FLOP/s of the model: half of the
// 47 GFLOP/s per core that examples/gpt trains at with AVX-512 (17,100 tokens/s
// of 0.95M parameters on two cores, measured 2026-11-22), because half a core
// is sold as a vCPU. It is a stand-in until a run was measured there: hosts
// with narrower vectors are slower, and the interval says so.
const cpuFLOPS = 23.5e9

// cpuSpeed is a stand-in for host processors, which the estimator refuses.
func cpuSpeed(job estimate.Job, vcpus int) scheduler.Speed {
	if vcpus == 0 {
		return scheduler.Speed{Infeasible: "the number of cores is not known"}
	}
	tokens := float64(job.Seq) * float64(job.GlobalBatch)
	speed := cpuFLOPS * float64(vcpus) / estimate.ModelFLOPs(job.Model, float64(job.Seq), 1, true)
	return scheduler.Speed{
		Parallelism:     scheduler.Parallelism{DP: vcpus, TP: 1, PP: 1, EP: 1, CP: 1, MicroBatch: 1},
		TokensPerSecond: speed, Low: speed / 3, High: speed * 3,
		Parts:  []scheduler.Part{{Name: "matrix products", Seconds: tokens / speed}},
		Status: string(estimate.Extrapolated),
	}
}

// termsOf returns what a training workload asks of every candidate.
func termsOf(w *workload.Workload, file string) scheduler.Terms {
	return scheduler.Terms{Workload: w, File: file, Tokens: float64(w.Training.Tokens), Params: float64(w.Shape.Params())}
}
