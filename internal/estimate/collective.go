package estimate

import "math"

// RingAllReduceBytes returns what each of n ranks sends to sum a buffer of
// the given bytes over a ring: 2(n−1)/n of it (Patarasuk and Yuan 2009).
func RingAllReduceBytes(bytes float64, n int) float64 {
	return 2 * bytes * float64(n-1) / float64(n)
}

// Bubble returns the share by which a pipeline with interleaving is longer
// than its work: (pp−1)/(interleave·microbatches) (Narayanan et al. 2021,
// arXiv:2104.04473, section 2.2).
func Bubble(pp, interleave, microbatches int) float64 {
	return float64(pp-1) / float64(interleave*microbatches)
}

// local is how many ranks of a group of size g share a domain, where
// neighbours in the group are inner devices apart.
func (t *trainer) local(g, inner float64) float64 {
	return max(1, min(g, math.Floor(t.d.domain/inner)))
}

// ringBandwidth is what a ring over the group moves per rank and second: it
// enters a domain once, over the network interfaces of all ranks it has there.
func (t *trainer) ringBandwidth(g, inner float64) float64 {
	k := t.local(g, inner)
	link := t.link / t.d.link * t.d.within(k) * max(1, float64(t.d.perChip)/inner) // a ring crosses a chip once for all its cores
	if k >= g {
		return link
	}
	return min(link, t.nic*k)
}

// gather is the time to all-gather (or reduce-scatter) a buffer of the given
// bytes, whole, over a group.
func (t *trainer) gather(bytes, g, inner float64) float64 {
	if g <= 1 {
		return 0
	}
	k := t.local(g, inner)
	latency := hopSeconds
	if k < g {
		latency += wireSeconds * math.Log2(g/k)
	}
	return latency + bytes*(g-1)/g/t.ringBandwidth(g, inner)
}

// tensor is the exposed time of tensor parallelism in the mean layer: two
// all-reduces forward and two backward (as gather and scatter with sequence
// parallelism); a layer with experts has those of its attention alone.
func (t *trainer) tensor(m float64, p Parallelism, dense, moe float64) float64 {
	if p.TP == 1 {
		return 0
	}
	one := t.gather(2*m*t.s.hidden, float64(p.TP), 1)
	return t.g[gTensor] * one * (8*dense + 4*moe)
}

// allToAll is the exposed time of sending m tokens per device to their experts
// and back, forward and backward: four exchanges.
func (t *trainer) allToAll(m float64, p Parallelism) float64 {
	ep := float64(p.EP)
	if ep == 1 {
		return 0
	}
	bytes := 2 * m * t.s.active * t.s.hidden
	near := t.local(ep, 1)
	one := hopSeconds + bytes*(near-1)/ep/t.link
	if near < ep {
		one += wireSeconds + bytes*(ep-near)/ep/t.nic
	}
	return 4 * t.g[gExpert] * one
}

// context is the exposed exchange of keys and values around a ring, which
// runs beside attention.
func (t *trainer) context(m float64, p Parallelism, attention float64) float64 {
	cp := float64(p.CP)
	if cp == 1 {
		return 0
	}
	bytes := 2 * m * 2 * t.s.kv / float64(p.TP) * cp
	exchange := 3 * t.gather(bytes, cp, float64(p.TP))
	return norm4(attention, exchange) - attention
}

// pipeline is the exposed share of transfers between stages, forward and
// backward.
func (t *trainer) pipeline(p Parallelism, micros float64) float64 {
	if p.PP == 1 {
		return 0
	}
	m := float64(p.MicroBatch) * t.seq / float64(p.CP)
	bandwidth := t.nic
	if float64(p.TP*p.CP*p.DP*p.PP) <= t.d.domain {
		bandwidth = t.link
	}
	one := wireSeconds + 2*m*t.s.hidden/float64(p.TP)/bandwidth
	return t.g[gPipe] * 2 * one * float64(p.Interleave) * micros
}

// dataParallel adds what data parallelism and ZeRO cannot hide. Weights are
// gathered and gradients scattered once a step, behind one micro-batch; with
// ZeRO-3 weights are gathered twice for each micro-batch, behind its compute.
func (t *trainer) dataParallel(p Parallelism, micros, perMicro float64, b *Breakdown) {
	group := float64(p.DP * p.CP)
	inner := float64(p.TP)
	dense, expert := t.perDevice(p)
	outer := group * inner / float64(p.EP)
	once := func(bytes float64) float64 {
		total := t.gather(bytes*dense, group, inner)
		if expert > 0 && outer > 1 {
			total += t.gather(bytes*expert, outer, float64(p.EP))
		}
		return total
	}
	room := t.g[gData] * perMicro
	switch {
	case group == 1 && outer <= 1:
	case p.ZeRO == 3:
		b.Data = micros * (norm4(room, once(6)) - room)
	case p.ZeRO == 2:
		b.Data = micros * (norm4(room, once(reduceBytes)) - room)
	default:
		b.Data = norm4(room, once(reduceBytes)) - room
	}
}
