package estimate

import (
	"math"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// What engines give to the cache of the memory that weights leave, and how many requests
// they decode together unless told (TensorRT-LLM 0.17: 2048, vLLM: 1024).
const (
	servingShare = 0.9
	defaultSlots = 2048
	neuronBucket = 128 // smallest prefill bucket of Neuron; they double
)

// server is a serving job on a cluster with everything resolved.
type server struct {
	job     ServingJob
	cluster Cluster
	l       Layout
	s       shape
	d       device
	g       []float64
	kind    *KindConstants

	width     float64 // devices of a replica
	wBytes    float64 // per parameter of attention and dense parts
	eBytes    float64 // per parameter of experts
	kvBytes   float64 // per cached element
	rate      float64 // FLOP/s of products with weights
	expRate   float64
	flash     float64
	layer     float64 // s
	effect    float64 // factor on all times
	perLayer  float64 // dense parameters of the mean layer
	perExpert float64
	head      float64
	quick     bool // without interval and support
}

func newServer(job ServingJob, cluster Cluster, l Layout, c *Constants) (*server, error) {
	if err := checkServing(job, cluster); err != nil {
		return nil, err
	}
	if job.Precision == "" {
		job.Precision = chip.BF16
	}
	if job.Engine == "" {
		job.Engine = defaultEngine(cluster.Chip.Family)
	}
	for _, n := range []*int{&l.TP, &l.PP, &l.AttnDP, &l.EP} {
		*n = max(1, *n)
	}
	v := &server{job: job, cluster: cluster, l: l, s: newShape(job.Model), kind: &c.Serving}
	v.d = newDevice(cluster, compute(job.Precision, cluster.Chip))
	v.width = float64(l.TP * l.AttnDP * l.PP)
	devices := cluster.Chips * v.d.perChip
	if v.l.Replicas == 0 {
		v.l.Replicas = max(1, devices/int(v.width))
	}
	if int(v.width) > devices {
		return nil, fault.Newf(fault.Invalid, "a replica of tp %d × attention dp %d × pp %d needs %d devices; there are %d", l.TP, l.AttnDP, l.PP, int(v.width), devices)
	}
	v.g = values(ServingGlobals(), c.Serving.Globals)
	v.resolve(c)
	return v, nil
}

func checkServing(job ServingJob, cluster Cluster) error {
	training := Job{Model: job.Model, Seq: 1, GlobalBatch: 1}
	if err := check(training, cluster); err != nil {
		return err
	}
	if job.Input < 0 || job.Output < 1 || job.Concurrency < 0 || job.Rate < 0 || job.PrefixHit < 0 || job.PrefixHit > 1 {
		return fault.Newf(fault.Invalid, "input %d, output %d, concurrency %d: tokens and requests need to be positive", job.Input, job.Output, job.Concurrency)
	}
	return nil
}

// compute is the type that products with weights of a precision run in.
func compute(p chip.DType, k *chip.Chip) chip.DType {
	if k.PeakFLOPS[p] > 0 && p != chip.INT8 && p != chip.INT4 {
		return p
	}
	return chip.BF16
}

// weightBytes of one parameter, with the scales of block formats (16 or 32
// elements share 8 bits).
func weightBytes(p chip.DType) float64 {
	switch p.Bits() {
	case 4:
		return 0.5625
	case 32:
		return 4
	}
	return float64(p.Bits()) / 8
}

func defaultEngine(f chip.Family) string {
	switch f {
	case chip.Neuron:
		return "neuron"
	case chip.TPU:
		return "jetstream"
	case chip.Gaudi:
		return "gaudi"
	}
	return "vllm"
}

func (v *server) resolve(c *Constants) {
	k, s := v.cluster.Chip, &v.s
	v.wBytes, v.eBytes = weightBytes(v.job.Precision), weightBytes(v.job.Precision)
	v.expRate = v.d.flops
	if v.job.Precision.Bits() == 4 && s.moe > 0 { // 4-bit checkpoints of such models (gpt-oss, DeepSeek-R1-FP4) quantise experts alone
		v.wBytes = 2
		v.d.flops = matmulRate(k, chip.BF16) / float64(v.d.perChip)
	}
	v.kvBytes = v.cacheBytes()
	share := v.g[vRate]
	v.layer = v.g[vLayer] + s.moe/s.layers*v.g[vLayerMoE]
	if k.Family == chip.Neuron {
		share = v.g[vRateNeuron]
		v.layer = v.g[vLayerNeuron]
	}
	v.rate, v.expRate = v.d.flops*share, v.expRate*share
	v.flash = v.d.attend * v.g[vAttend]
	v.effect = math.Exp(c.Serving.sum(Nodes(k, v.job.Engine)))
	v.perLayer = (s.layers*s.attention + s.dense*s.ffn + s.moe*s.shared) / s.layers
	v.perExpert = s.expert
	v.head = s.vocab * s.hidden
}

func (v *server) cacheBytes() float64 {
	switch {
	case v.job.KVPrecision != "":
		return float64(v.job.KVPrecision.Bits()) / 8
	case v.job.Precision.Bits() <= 8 && (strings.HasPrefix(v.job.Engine, "trtllm") || strings.HasPrefix(v.job.Engine, "gaudi")):
		return 1
	}
	return 2
}

// expertRanks is the number of devices that experts are spread over.
func (v *server) expertRanks() float64 { return v.width / float64(v.l.PP) }

// touched is the number of experts of a layer that a step of b tokens reads,
// with tokens routed evenly: E·(1−(1−k/E)^b).
func (v *server) touched(b float64) float64 {
	return v.s.experts * (1 - math.Pow(1-v.s.active/v.s.experts, b))
}

// products is the time that one device takes to multiply b tokens (of its
// attention rank; all ranks together bring total) with the mean layer.
func (v *server) products(b, total float64) float64 {
	s := &v.s
	tp := float64(v.l.TP)
	read := v.perLayer * v.wBytes / tp / (v.d.band * v.g[vMemory])
	if v.wBytes < 1 {
		read /= v.g[vNarrow]
	}
	work := 2 * b * v.perLayer / tp / v.rate
	t := math.Sqrt(read*read + work*work)
	if s.moe > 0 {
		t += s.moe / s.layers * v.routed(total)
	}
	return t
}

// routed is the time of the experts of one layer for a step of total tokens.
func (v *server) routed(total float64) float64 {
	ranks := v.expertRanks()
	touched := v.touched(total)
	read := touched * v.perExpert * v.eBytes / ranks / (v.d.band * v.g[vExpertMemory])
	per := total * v.s.active / max(touched, 1)
	work := 2 * total * v.s.active * v.perExpert / ranks / v.expRate * (1 + v.g[vGrouped]/(per+v.g[vGrouped]))
	return math.Sqrt(read*read + work*work)
}

// reduce is the time of the two all-reduces of a layer over m tokens.
func (v *server) reduce(m float64) float64 {
	n := v.expertRanks()
	if n <= 1 || v.cluster.Chip.Family == chip.Neuron && m < 64 {
		return 0
	}
	bandwidth := v.d.within(n) * float64(v.d.perChip) * v.g[vLink] // a ring crosses a chip once for all its cores
	latency := v.g[vReduce] * (1 + math.Log2(n))
	if n > v.d.domain {
		bandwidth = min(bandwidth, v.d.nic*v.d.domain*v.g[vLink])
		latency += wireSeconds
	}
	return 2 * (latency + 2*2*m*v.s.hidden*(n-1)/n/bandwidth)
}

// decode is one step of b requests per replica at the given context.
func (v *server) decode(b, context float64) ServingParts {
	s := &v.s
	per := max(1, b/float64(v.l.AttnDP))
	pp := float64(v.l.PP)
	var p ServingParts
	head := math.Hypot(2*v.head/v.width/(v.d.band*v.g[vMemory]), 2*b*v.head/v.width/v.rate)
	p.Weights = s.layers*v.products(per, b) + head
	p.Cache = s.layers * per * v.window(context) * v.cacheShare() * v.kvBytes / (v.d.band * v.g[vCache])
	width := s.dense/s.layers*s.ffnWidth + s.moe/s.layers*(s.sharedFFN+s.active*s.expertFFN)
	elements := 8*s.hidden + (2*(s.q+2*s.kv)+2*(s.gates+1)*width)/float64(v.l.TP)
	p.Element = (s.layers*2*elements*v.g[vElement]*per + 8*b*s.vocab) / v.d.band
	p.Overhead = s.layers*v.layer + v.g[vStep]*pp + v.g[vToken]*b
	p.Reduce = s.layers * v.reduce(per)
	return p
}

// cacheShare is the number of cached elements per token and layer that one
// device holds: heads are split over tensor ranks in whole numbers, at least
// one a rank; the latent of MLA is whole on each.
func (v *server) cacheShare() float64 {
	if v.job.Model.MLA != nil {
		return v.s.kvCache
	}
	return v.s.kvCache * math.Ceil(v.s.kvHeads/float64(v.l.TP)) / v.s.kvHeads
}

// window is the mean number of cached tokens that a layer reads.
func (v *server) window(context float64) float64 {
	if v.s.window == 0 || v.s.window >= context {
		return context
	}
	return v.s.full*context + (1-v.s.full)*v.s.window
}

// prefill is the time to process the prompts of n requests at once.
func (v *server) prefill(n float64) float64 {
	s := &v.s
	input := max(1, float64(v.job.Input)*(1-v.job.PrefixHit))
	if v.cluster.Chip.Family == chip.Neuron {
		input = bucket(input)
	}
	m := n * input
	layer := v.products(m, m) + v.promptWork(m, input) + v.layer + v.reduce(m)
	return s.layers*layer + v.g[vStep]
}

// interleaved is what prompts of other requests add to a decoding step of b
// requests, on average: they join it, so that weights are read once for both.
// Each rank of data-parallel attention brings in prompts of its own.
func (v *server) interleaved(b float64) float64 {
	s := &v.s
	dp, output := float64(v.l.AttnDP), float64(v.job.Output)
	per := max(1, b/dp)
	prompts := max(1, per/output) // that join when any does
	share := per / (output * prompts) * (per - 1) / per
	input := max(1, float64(v.job.Input)*(1-v.job.PrefixHit))
	m := prompts * input
	layer := v.products(per+m, b+m*dp) - v.products(per, b) + v.promptWork(m, input) + v.reduce(m)
	return share * s.layers * layer
}

// promptWork is the attention and element-wise time of a layer over m tokens
// of prompts.
func (v *server) promptWork(m, input float64) float64 {
	s := &v.s
	tp := float64(v.l.TP)
	attend := 2 * s.core * s.pairs(input) * m / tp / v.flash
	width := s.dense/s.layers*s.ffnWidth + s.moe/s.layers*(s.sharedFFN+s.active*s.expertFFN)
	elements := 8*s.hidden + (2*(s.q+2*s.kv)+2*(s.gates+1)*width)/tp
	return attend + 2*elements*v.g[vElement]*m/v.d.band
}

// bucket is the length that Neuron pads a prompt to.
func bucket(n float64) float64 {
	b := float64(neuronBucket)
	for b < n {
		b *= 2
	}
	return b
}
