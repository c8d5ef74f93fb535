package estimate

import (
	"math"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// room is the memory of one device and the tokens that a replica's cache holds.
func (v *server) room() (Memory, float64) {
	s := &v.s
	dense := (s.layers*v.perLayer*v.wBytes + s.embed*2) / float64(v.l.TP) / float64(v.l.PP)
	experts := s.moe * s.experts * v.perExpert * v.eBytes / v.width
	m := Memory{Weights: dense + experts, Capacity: realMemory(v.cluster.Chip) / float64(v.d.perChip)}
	m.Reserve = (1-servingShare)*max(0, m.Capacity-m.Weights) + reserveBytes/float64(v.d.perChip)/2
	free := m.Capacity - m.Weights - m.Reserve
	perToken := s.layers / float64(v.l.PP) * v.cacheShare() * v.kvBytes * max(s.full, 0.05)
	return m, max(0, free/perToken) * float64(v.l.AttnDP)
}

// realMemory is what a chip's memory holds: stacks of HBM are made in powers of
// two and sold as GB (80 GB of an H100 are 85.5e9 bytes), graphics memory is not.
func realMemory(k *chip.Chip) float64 {
	if k.Family == chip.CUDA && k.MemoryBandwidth < 8.8e11 {
		return k.MemoryBytes
	}
	return k.MemoryBytes * 1.065
}

// Serving predicts a deployment at its concurrency or arrival rate. A model
// that does not fit is an error of kind no capacity.
func Serving(job ServingJob, cluster Cluster, l Layout, c *Constants) (Service, error) {
	v, err := newServer(job, cluster, l, c)
	if err != nil {
		return Service{}, err
	}
	return v.predict()
}

// ServingSpeed is Serving for calibration: without interval and support.
func ServingSpeed(job ServingJob, cluster Cluster, l Layout, c *Constants) (Service, error) {
	v, err := newServer(job, cluster, l, c)
	if err != nil {
		return Service{}, err
	}
	v.quick = true
	return v.predict()
}

func (v *server) predict() (Service, error) {
	job := v.job
	memory, tokens := v.room()
	if !job.Ran && memory.Weights+memory.Reserve > memory.Capacity {
		return Service{}, fault.Newf(fault.NoCapacity, "weights of %.1f GB do not fit into %.1f GB per device", memory.Weights/1e9, memory.Capacity/1e9)
	}
	slots := v.slots(tokens)
	b := slots
	switch {
	case job.Rate > 0:
		b = v.inFlight(job.Rate/float64(v.l.Replicas), slots)
	case job.Concurrency > 0:
		b = float64(job.Concurrency) / float64(v.l.Replicas)
	}
	return v.report(b, min(b, slots), slots, tokens, memory), nil
}

// slots is the number of requests of full length that a replica decodes at once.
func (v *server) slots(tokens float64) float64 {
	limit := float64(defaultSlots)
	if v.job.Slots > 0 {
		limit = float64(v.job.Slots)
	}
	return max(1, min(math.Floor(tokens/float64(v.job.Input+v.job.Output)), limit))
}

// report predicts for asked requests in flight of which b are decoded.
func (v *server) report(asked, b, slots, tokens float64, memory Memory) Service {
	b = max(1, b)
	output := float64(v.job.Output)
	context := float64(v.job.Input) + output/2
	if v.cluster.Chip.Family == chip.Neuron {
		context = float64(v.job.Input) + output // its cache is read to the length it was compiled for
	}
	one := v.prefill(1)
	parts := v.decode(b, context)
	first := one
	if v.job.Static {
		first = v.prefill(b)
	} else {
		parts.Prefill = v.g[vMix] * v.interleaved(b)
	}
	scaleParts(&parts, v.effect)
	tpot := parts.total()
	first *= v.effect
	if !v.job.Static {
		first *= v.waiting(b, parts.Prefill/tpot)
		first += parts.total() - parts.Prefill
	}
	request := first + (output-1)*tpot
	wait := 0.0
	if asked > b { // the rest queue for a slot
		wait = (asked - b) / b * request
	}
	replicas := float64(v.l.Replicas)
	rate := b / request * replicas
	wide, status, support := 1.0, Status(""), []Support(nil)
	if !v.quick {
		var sigma float64
		sigma, status, support = v.kind.judge(question{v.cluster.Chip, v.job.Engine, v.job.Series, v.s.moe > 0, v.job.Trial, false})
		wide = math.Exp(z80 * sigma)
	}
	memory.Activations = b * context / max(1, tokens) * (memory.Capacity - memory.Weights - memory.Reserve)
	return Service{
		Layout: v.l, Concurrency: asked, TTFT: first + wait, TPOT: tpot, Low: tpot / wide, High: tpot * wide,
		OutputPerSecond: rate * output, TotalPerSecond: rate * (output + float64(v.job.Input)), RequestsPerSec: rate,
		CacheTokens: tokens, Slots: slots, Parts: parts, Memory: memory, Status: status, Support: support,
	}
}

// waiting is the factor by which the time to the first token exceeds a lone
// prefill. At a fixed concurrency, benchmarks start all requests at once and
// send about ten for each: a first burst that queues for half its length.
// Under Poisson arrivals the prefill is a server of a queue that is busy for a
// share of the time: 1 + ρ/(2(1−ρ)) by Pollaczek and Khinchine.
func (v *server) waiting(b, busy float64) float64 {
	if v.job.Concurrency > 0 {
		return 1 + v.g[vQueue]*(b/float64(v.l.AttnDP)-1)
	}
	busy = min(busy, 0.95)
	return 1 + busy/(2*(1-busy))
}

func scaleParts(p *ServingParts, f float64) {
	for _, x := range []*float64{&p.Weights, &p.Cache, &p.Element, &p.Overhead, &p.Reduce, &p.Prefill} {
		*x *= f
	}
}

// inFlight is the number of requests that are in one replica at an arrival
// rate, by Little's law: rate × time in the system, a fixed point found by
// halving; more than slots means that the rate is too high.
func (v *server) inFlight(rate, slots float64) float64 {
	low, high := 0.0, slots
	for range 40 {
		mid := (low + high) / 2
		s := v.report(mid, mid, slots, 1, Memory{})
		if s.RequestsPerSec/float64(v.l.Replicas) < rate {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
