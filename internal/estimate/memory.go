package estimate

import "math"

// perDevice returns the parameters of one device before any ZeRO: those that
// all data-parallel ranks share, and those of its experts. The first stage
// holds the input embedding besides its layers, and is the fullest.
func (t *trainer) perDevice(p Parallelism) (dense, expert float64) {
	s := &t.s
	pp, tp := float64(p.PP), float64(p.TP)
	layers := math.Ceil(s.layers/pp) / s.layers
	embed := s.embed
	if p.PP > 1 && embed > 1.5*s.vocab*s.hidden {
		embed /= 2
	}
	dense = (layers*(s.layers*s.attention+s.dense*s.ffn+s.moe*s.shared) + embed) / tp
	return dense, layers * s.moe * s.experts * s.expert / float64(p.EP)
}

// shard is the number of parameters whose optimizer state a device holds.
func (t *trainer) shard(p Parallelism) float64 {
	dense, expert := t.perDevice(p)
	if p.ZeRO == 0 {
		return dense + expert
	}
	group := float64(p.DP * p.CP)
	return dense/group + expert/max(1, group*float64(p.TP)/float64(p.EP))
}

// memory is what the fullest device holds.
func (t *trainer) memory(p Parallelism) Memory {
	dense, expert := t.perDevice(p)
	params, shard := dense+expert, t.shard(p)
	m := Memory{Weights: 2 * params, Gradients: gradBytes * params, Optimizer: stateBytes * shard, Capacity: t.d.memory}
	if p.ZeRO >= 2 {
		m.Gradients = gradBytes * shard
	}
	if p.ZeRO >= 3 { // two layers are whole at a time
		m.Weights = 2*shard + 4*params/t.s.layers
	}
	m.Activations = t.activations(p)
	m.Reserve = reserveBytes/float64(t.d.perChip) + reserveShare*t.d.memory
	return m
}

// What frameworks, collectives and fragmentation keep: from the gap between
// device memory and what published runs fill.
const (
	reserveBytes = 2e9
	reserveShare = 0.03
)

// activations follows Korthikanti et al. 2022 (arXiv:2205.05198, section 4)
// with sequence parallelism, widened to grouped queries, gated FFNs and
// experts, in 2-byte elements; the first stage holds pp micro-batches of its
// layers, and with interleaving a share (pp−1)/(pp·v) more.
func (t *trainer) activations(p Parallelism) float64 {
	s := &t.s
	pp, v := float64(p.PP), float64(p.Interleave)
	tokens := float64(p.MicroBatch) * t.seq / float64(p.CP) / float64(p.TP)
	micros := math.Ceil(float64(t.job.GlobalBatch) / float64(p.DP*p.MicroBatch))
	flight := min(pp, micros)
	if p.Interleave > 1 {
		flight *= 1 + (pp-1)/(pp*v)
	}
	layers := math.Ceil(s.layers/pp) * flight
	one := t.layerBytes() * tokens
	scores := 0.0
	if t.job.Attention == Unfused {
		scores = 5 * s.heads * t.seq * tokens
	}
	logits := 8 * tokens * s.vocab
	switch p.Recompute {
	case FullRecompute:
		return layers*2*s.hidden*tokens + one + scores + logits
	case SelectiveRecompute:
		return layers*one + scores + logits
	default:
		return layers*(one+scores) + logits
	}
}

// layerBytes are the activations kept per token of the mean layer.
func (t *trainer) layerBytes() float64 {
	s := &t.s
	dense, moe := s.dense/s.layers, s.moe/s.layers
	ffn := 2 * (s.gates + 1) * (dense*s.ffnWidth + moe*s.sharedFFN)
	routed := moe * s.active * 2 * (2*s.hidden + (s.gates+1)*s.expertFFN)
	projections := 4*s.hidden + 2*(2*s.q+2*s.kv)
	if t.d.low { // inputs of products are kept as they were multiplied
		return 4*s.hidden + 0.6*(projections+ffn+routed)
	}
	return 4*s.hidden + projections + ffn + routed
}
