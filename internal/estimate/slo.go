package estimate

import (
	"fmt"
	"math"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// SLO bounds what users of a service see; 0 leaves a figure free. Times are
// in seconds; P50 and P95 are percentiles over requests.
type SLO struct {
	TTFT50, TTFT95, TPOT50, TPOT95 float64
}

// Percentiles of a deployment under Poisson arrivals: the number in flight is
// about Poisson too, so that the 95th percentile is the prediction at b+1.645√b.
type Percentiles struct {
	TTFT50 float64 `json:"ttft_p50"` // s
	TTFT95 float64 `json:"ttft_p95"`
	TPOT50 float64 `json:"tpot_p50"`
	TPOT95 float64 `json:"tpot_p95"`
}

// z95 is the 95th percentile of the normal distribution.
const z95 = 1.6448536269514722

// keeps reports whether the percentiles are within the SLO.
func (s SLO) keeps(p Percentiles) bool {
	within := func(got, limit float64) bool { return limit == 0 || got <= limit }
	return within(p.TTFT50, s.TTFT50) && within(p.TTFT95, s.TTFT95) && within(p.TPOT50, s.TPOT50) && within(p.TPOT95, s.TPOT95)
}

// Answer is the highest rate that a deployment keeps an SLO at.
type Answer struct {
	Service     Service     `json:"service"`
	Percentiles Percentiles `json:"percentiles"`
}

// at predicts one replica with b requests in flight on average.
func (v *server) at(b, slots, tokens float64, memory Memory) (Service, Percentiles) {
	mean := v.report(b, min(b, slots), slots, tokens, memory)
	busy := b + z95*math.Sqrt(b)
	tail := v.report(busy, min(busy, slots), slots, tokens, memory)
	return mean, Percentiles{TTFT50: mean.TTFT, TTFT95: tail.TTFT, TPOT50: mean.TPOT, TPOT95: tail.TPOT}
}

// HighestRate returns the deployment at the highest rate of requests at which
// the SLO holds, at most as many in flight as fit: a larger number in flight
// never lowers any percentile, so bisection finds it. It is fault.NoCapacity
// where even one request in flight breaks the SLO, or nothing fits.
func HighestRate(job ServingJob, cluster Cluster, l Layout, slo SLO, c *Constants) (Answer, error) {
	v, err := newServer(job, cluster, l, c)
	if err != nil {
		return Answer{}, err
	}
	memory, tokens := v.room()
	if memory.Weights+memory.Reserve > memory.Capacity {
		return Answer{}, fault.Newf(fault.NoCapacity, "weights of %.1f GB do not fit into %.1f GB per device", memory.Weights/1e9, memory.Capacity/1e9)
	}
	slots := v.slots(tokens)
	service, p := v.at(1, slots, tokens, memory)
	if !slo.keeps(p) {
		return Answer{}, fault.Newf(fault.NoCapacity, "even one request at a time misses the SLO: first token %.0f ms, then %.1f ms per token", 1e3*p.TTFT50, 1e3*p.TPOT50)
	}
	low, high := 1.0, slots
	if s, q := v.at(slots, slots, tokens, memory); slo.keeps(q) {
		return Answer{s, q}, nil
	}
	for high-low > 0.01*high {
		mid := (low + high) / 2
		if s, q := v.at(mid, slots, tokens, memory); slo.keeps(q) {
			low, service, p = mid, s, q
		} else {
			high = mid
		}
	}
	return Answer{service, p}, nil
}

// SearchServing returns the layout that serves most output tokens per second
// with the chips of the cluster: at the SLO where the job gives neither
// concurrency nor rate, and at these otherwise. Layouts are all powers of two
// of tensor parallelism that fill the chips with replicas, and data-parallel
// attention beside it for models with experts.
func SearchServing(job ServingJob, cluster Cluster, slo SLO, c *Constants) (Answer, []Reason, error) {
	devices := cluster.Chips
	if cluster.Chip != nil {
		devices *= newDevice(cluster, job.Precision).perChip
	}
	var best Answer
	var last error
	found, failed := false, 0
	for _, l := range layouts(job, devices) {
		a, err := answer(job, cluster, l, slo, c)
		if err != nil {
			if !fault.Is(err, fault.NoCapacity) {
				return Answer{}, nil, err
			}
			last = err
			failed++
			continue
		}
		if !found || a.Service.OutputPerSecond > best.Service.OutputPerSecond {
			found, best = true, a
		}
	}
	var reasons []Reason
	if last != nil {
		reasons = []Reason{{Code: "memory", Detail: last.Error(), Count: failed}}
	}
	if !found {
		return Answer{}, reasons, fault.Newf(fault.NoCapacity, "no layout serves %s on %d chips: %v", job.Model.ID, cluster.Chips, last)
	}
	return best, reasons, nil
}

func answer(job ServingJob, cluster Cluster, l Layout, slo SLO, c *Constants) (Answer, error) {
	if job.Concurrency == 0 && job.Rate == 0 {
		return HighestRate(job, cluster, l, slo, c)
	}
	s, err := Serving(job, cluster, l, c)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Service: s, Percentiles: Percentiles{TTFT50: s.TTFT, TTFT95: s.TTFT, TPOT50: s.TPOT, TPOT95: s.TPOT}}, nil
}

func layouts(job ServingJob, devices int) []Layout {
	var out []Layout
	if job.Model == nil {
		return out
	}
	for _, tp := range powers(min(devices, max(1, job.Model.Heads))) {
		out = append(out, Layout{TP: tp})
		if job.Model.MoE != nil {
			for _, dp := range powers(devices / tp)[1:] {
				out = append(out, Layout{TP: tp, AttnDP: dp, EP: tp * dp})
			}
		}
	}
	return out
}

// String says a layout in one word a dimension.
func (l Layout) String() string {
	text := fmt.Sprintf("tp%d", max(1, l.TP))
	if l.AttnDP > 1 {
		text += fmt.Sprintf(" attention-dp%d", l.AttnDP)
	}
	if l.PP > 1 {
		text += fmt.Sprintf(" pp%d", l.PP)
	}
	if l.EP > 1 {
		text += fmt.Sprintf(" ep%d", l.EP)
	}
	return text + fmt.Sprintf(" ×%d", max(1, l.Replicas))
}
