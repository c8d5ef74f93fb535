package quote

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// need is what a service or a batch asks of one replica.
type need struct {
	job      estimate.ServingJob
	slo      estimate.SLO
	requests float64 // per second at the peak; 0 for a batch
	replicas workload.Replicas
}

// replica is the best replica of an instance type: spread over so many chips
// of one node, or over so many whole nodes.
type replica struct {
	layout  estimate.Layout
	perNode int // replicas in a node, 0 where one needs more
	nodes   int // nodes of a replica, 1 where perNode > 0
	speed   estimate.Service
	rate    float64 // requests/s at the SLO
}

// trafficOf returns the mean traffic of a service and the peak over the mean.
func trafficOf(s *workload.Service) (mean scheduler.Traffic, peak float64) {
	mean = scheduler.Traffic{
		Requests: s.Traffic.RequestsPerSecond, Input: float64(s.Request.InputTokens), Output: float64(s.Request.OutputTokens),
	}
	if mean.Requests == 0 && mean.Output > 0 {
		mean.Requests = s.Traffic.TokensPerSecond / mean.Output
	}
	return mean, math.Max(1, s.Traffic.PeakFactor)
}

func servingJob(w *workload.Workload, r workload.Request) estimate.ServingJob {
	precision := w.Precision
	if precision == "" {
		precision = chip.BF16
	}
	return estimate.ServingJob{Model: w.Shape, Precision: precision, Input: r.InputTokens, Output: max(1, r.OutputTokens)}
}

// services ranks a Service: for each instance type the replica that keeps the
// SLO at the least price, and as many as the peak needs.
func (m *Market) services(ctx context.Context, r Request) ([]*scheduler.RankedCandidate, error) {
	w := r.Workload
	mean, peak := trafficOf(w.Service)
	n := need{
		job: servingJob(w, w.Service.Request), slo: sloOf(w.Service.SLO),
		requests: mean.Requests * peak, replicas: w.Service.Replicas,
	}
	offers, connected, err := m.offersAndPools(r)
	if err != nil {
		return nil, err
	}
	speeds, err := m.forTypes(ctx, offers, func(t *catalog.InstanceType) scheduler.ServiceSpeed { return m.serviceSpeed(n, t) })
	if err != nil {
		return nil, err
	}
	ranked := scheduler.RankServices(w, r.File, mean, speeds, offers, r.Prices)
	return atConnected(ranked, connected), nil
}

// forTypes computes a speed for each instance type of the offers, side by side.
func (m *Market) forTypes(ctx context.Context, offers []catalog.Offer, speed func(*catalog.InstanceType) scheduler.ServiceSpeed) ([]scheduler.ServiceSpeed, error) {
	var types []*catalog.InstanceType
	seen := map[*catalog.InstanceType]bool{}
	for _, o := range offers {
		if !seen[o.Type] {
			seen[o.Type] = true
			types = append(types, o.Type)
		}
	}
	speeds := make([]scheduler.ServiceSpeed, len(types))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, t := range types {
		group.Go(func() error {
			speeds[i] = speed(t)
			speeds[i].Type = t
			return ctx.Err()
		})
	}
	return speeds, group.Wait()
}

func (m *Market) serviceSpeed(n need, t *catalog.InstanceType) scheduler.ServiceSpeed {
	best, why := m.bestReplica(n, t)
	if best == nil {
		return scheduler.ServiceSpeed{Nodes: 1, Infeasible: why}
	}
	replicas := max(1, n.replicas.Min, int(math.Ceil(n.requests/best.rate)))
	speed := scheduler.ServiceSpeed{
		Replicas: replicas, Nodes: replicas * best.nodes, PerReplica: best.rate,
		TTFT: best.speed.TTFT, TPOT: best.speed.TPOT, PrefillTime: prefillShare(best.speed),
		Wide: best.speed.High / best.speed.TPOT, Status: string(best.speed.Status),
		Layout: layoutOf(*best), Parts: servingParts(best.speed.Parts),
	}
	if best.perNode > 0 {
		speed.Nodes = (replicas + best.perNode - 1) / best.perNode
	}
	if most := n.replicas.Max; most > 0 && replicas > most {
		speed.Infeasible = fmt.Sprintf("the peak needs %d replicas and at most %d are allowed", replicas, most)
	}
	return speed
}

func layoutOf(b replica) scheduler.Parallelism {
	return scheduler.Parallelism{DP: max(1, b.perNode), TP: max(1, b.layout.TP), PP: max(1, b.layout.PP), EP: max(1, b.layout.EP), CP: 1, MicroBatch: 1}
}

// prefillShare is the share of the time that goes into input tokens.
func prefillShare(s estimate.Service) float64 {
	if s.TPOT <= 0 {
		return 0
	}
	return math.Min(1, s.Parts.Prefill/s.TPOT)
}

func servingParts(p estimate.ServingParts) []scheduler.Part {
	return []scheduler.Part{
		{Name: "weights", Seconds: p.Weights}, {Name: "key-value cache", Seconds: p.Cache}, {Name: "element-wise work", Seconds: p.Element},
		{Name: "kernels and engine", Seconds: p.Overhead}, {Name: "collectives", Seconds: p.Reduce}, {Name: "prefill of others", Seconds: p.Prefill},
	}
}

// mostNodes bounds the nodes of one replica.
const mostNodes = 4

// bestReplica tries tensor parallelism in powers of two within a node, then
// pipelines over nodes where no node holds the model, and returns the one that
// serves most requests per chip at the SLO, or why there is none.
func (m *Market) bestReplica(n need, t *catalog.InstanceType) (*replica, string) {
	if t.Chip.Family == chip.CPU {
		return nil, "serving on host processors is not estimated"
	}
	var best *replica
	why := ""
	devices := t.Chips
	perChip := 1
	if t.Chip.Family == chip.Neuron {
		perChip = max(1, t.Chip.Cores)
		devices *= perChip
	}
	consider := func(l estimate.Layout, perNode, nodes int) {
		candidate, obstacle := m.tryReplica(n, t, l, perNode, nodes, perChip)
		switch {
		case obstacle != "":
			why = obstacle
		case best == nil || perChips(candidate, t) > perChips(best, t):
			best = candidate
		}
	}
	for tp := 1; tp <= devices; tp *= 2 {
		if devices%tp == 0 {
			consider(estimate.Layout{TP: tp, Replicas: 1}, devices/tp, 1)
		}
	}
	for nodes := 2; best == nil && nodes <= mostNodes; nodes *= 2 {
		consider(estimate.Layout{TP: devices, PP: nodes, Replicas: 1}, 0, nodes)
	}
	return best, why
}

// perChips is requests per second and node: what a node's price buys.
func perChips(r *replica, t *catalog.InstanceType) float64 {
	if r.perNode > 0 {
		return r.rate * float64(r.perNode) / float64(t.Chips)
	}
	return r.rate / float64(r.nodes*t.Chips)
}

// tryReplica finds the most that one replica serves at the SLO.
func (m *Market) tryReplica(n need, t *catalog.InstanceType, l estimate.Layout, perNode, nodes, perChip int) (*replica, string) {
	chips := t.Chips * nodes
	if perNode > 0 {
		chips = max(1, l.TP/perChip)
	}
	cluster := estimate.Cluster{Chip: t.Chip, Chips: chips, ChipsPerNode: t.Chips, Domain: t.Domain, NICBandwidth: t.Network / float64(max(1, t.Chips))}
	best, err := estimate.HighestRate(n.job, cluster, l, n.slo, m.Constants)
	if err != nil {
		return nil, err.Error()
	}
	return &replica{layout: l, perNode: perNode, nodes: nodes, speed: best.Service, rate: best.Service.RequestsPerSec}, ""
}

func sloOf(s workload.SLO) estimate.SLO {
	seconds := func(d units.Duration) float64 { return time.Duration(d).Seconds() }
	return estimate.SLO{TTFT50: seconds(s.TTFT.P50), TTFT95: seconds(s.TTFT.P95), TPOT50: seconds(s.TPOT.P50), TPOT95: seconds(s.TPOT.P95)}
}

// batches ranks a Batch: the same replicas without an SLO, at several sizes,
// by the cost of all requests within deadline and budget.
func (m *Market) batches(ctx context.Context, r Request) ([]*scheduler.RankedCandidate, error) {
	w := r.Workload
	n := need{job: servingJob(w, w.Batch.Request)}
	offers, connected, err := m.offersAndPools(r)
	if err != nil {
		return nil, err
	}
	perType, err := m.forTypes(ctx, offers, func(t *catalog.InstanceType) scheduler.ServiceSpeed { return m.serviceSpeed(n, t) })
	if err != nil {
		return nil, err
	}
	perRequest := float64(w.Batch.Request.InputTokens + w.Batch.Request.OutputTokens)
	var speeds []scheduler.Speed
	for _, s := range perType {
		for _, nodes := range batchSizes(w, s) {
			speeds = append(speeds, batchSpeed(s, nodes, perRequest))
		}
	}
	terms := scheduler.Terms{Workload: w, File: r.File, Tokens: float64(w.Batch.Total()) * perRequest}
	ranked := scheduler.Rank(terms, speeds, offers, r.Prices, m.Assumptions, r.Now)
	return atConnected(ranked, connected), nil
}

// mostBatchNodes bounds the sizes that are looked at for a batch.
const mostBatchNodes = 64

func batchSizes(w *workload.Workload, s scheduler.ServiceSpeed) []int {
	if w.Place.Nodes > 0 {
		return []int{w.Place.Nodes}
	}
	chips := max(1, s.Type.Chips)
	most := w.Place.Chips.Max
	if most == 0 {
		most = mostBatchNodes * chips
	}
	return scheduler.Sizes(chips, w.Place.Chips.Min, most)
}

func batchSpeed(s scheduler.ServiceSpeed, nodes int, perRequest float64) scheduler.Speed {
	speed := scheduler.Speed{Type: s.Type, Nodes: nodes, Parallelism: s.Layout, Parts: s.Parts, Status: s.Status, Infeasible: s.Infeasible}
	if s.Infeasible != "" {
		return speed
	}
	replicas := nodes / s.Nodes * s.Layout.DP // a replica over several nodes has one in so many
	if replicas == 0 {
		speed.Infeasible = fmt.Sprintf("one replica needs %d nodes", s.Nodes)
		return speed
	}
	speed.TokensPerSecond = s.PerReplica * float64(replicas) * perRequest
	speed.Low, speed.High = speed.TokensPerSecond/s.Wide, speed.TokensPerSecond*s.Wide
	return speed
}
