package estimate

import (
	"math"
	"strings"
	"sync"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/model"
)

// ServingJob is a model served to requests of one kind.
type ServingJob struct {
	Model       *model.Model
	Precision   chip.DType // of weights; products run in it where the chip can, in bf16 otherwise
	KVPrecision chip.DType // of the cache; "": 8 bits where the weights are and the engine does so by default
	Engine      string     // path such as "trtllm" or "vllm", "": the one usual for the chip's family

	Input, Output int     // tokens per request
	Concurrency   int     // requests in flight over all replicas; 0: as many as fit
	Rate          float64 // requests/s over all replicas; where set it decides instead of Concurrency
	PrefixHit     float64 // share of input tokens found in the prefix cache
	Static        bool    // the whole batch is prefilled, then decoded (no continuous batching)
	Slots         int     // most requests that a replica decodes together, 0: the engine's default
	Series        string  // publication that a measured row is from, for its interval
	Ran           bool    // known to have worked: predicted even where our count says that it does not fit
	Trial         bool    // the row leaves its set-up uncertain; widens the interval
}

// Layout is how one replica is spread over devices (chips, or on Neuron
// logical cores). Zero fields mean 1.
type Layout struct {
	TP       int `json:"tp"`                 // tensor parallel ranks of attention and dense parts
	PP       int `json:"pp,omitempty"`       // pipeline stages
	AttnDP   int `json:"attn_dp,omitempty"`  // data-parallel attention ranks
	EP       int `json:"ep,omitempty"`       // groups that experts are spread over
	Replicas int `json:"replicas,omitempty"` // 0: as many as the chips hold
}

// ServingParts is where the time of one decoding step goes, in seconds.
type ServingParts struct {
	Weights  float64 `json:"weights"`  // reading weights and multiplying with them
	Cache    float64 `json:"cache"`    // reading the key-value cache
	Element  float64 `json:"element"`  // element-wise work and sampling
	Overhead float64 `json:"overhead"` // kernels of each layer and the engine's step
	Reduce   float64 `json:"reduce"`   // collectives
	Prefill  float64 `json:"prefill"`  // prefills of other requests in between
}

func (p ServingParts) total() float64 {
	return p.Weights + p.Cache + p.Element + p.Overhead + p.Reduce + p.Prefill
}

// Service is the predicted speed of a deployment.
type Service struct {
	Layout          Layout       `json:"layout"`
	Concurrency     float64      `json:"concurrency"` // requests in flight per replica
	TTFT            float64      `json:"ttft"`        // s, mean, to the first token
	TPOT            float64      `json:"tpot"`        // s per further token
	Low             float64      `json:"low"`         // TPOT; 80% of measurements are expected between Low and High
	High            float64      `json:"high"`
	OutputPerSecond float64      `json:"output_per_second"` // tokens/s over all replicas
	TotalPerSecond  float64      `json:"total_per_second"`  // input and output
	RequestsPerSec  float64      `json:"requests_per_second"`
	CacheTokens     float64      `json:"cache_tokens"` // tokens that the cache of one replica holds
	Slots           float64      `json:"slots"`        // requests that it holds at full length
	Parts           ServingParts `json:"parts"`
	Memory          Memory       `json:"memory"` // of one device; Activations is the cache in use
	Status          Status       `json:"status"`
	Support         []Support    `json:"support,omitempty"`
}

// Indices of the fitted constants of serving in ServingGlobals.
const (
	vMemory = iota
	vCache
	vRate
	vAttend
	vLayer
	vLayerMoE
	vStep
	vReduce
	vLink
	vElement
	vMix
	vToken
	vExpertMemory
	vGrouped
	vLayerNeuron
	vRateNeuron
	vQueue
	vNarrow
)

// ServingGlobals lists the constants of the serving formulas.
func ServingGlobals() []Global { return servingGlobals() }

var servingGlobals = sync.OnceValue(func() []Global {
	return []Global{
		vMemory:       {"memory", 0.8, 0.15, "share of memory bandwidth reached when weights are read (0.71 to 0.84 in GEMM tables of A100, H100, B200)"},
		vCache:        {"cache", 0.6, 0.4, "share of memory bandwidth reached when the key-value cache is read"},
		vRate:         {"rate", 0.75, 0.3, "share of the best measured matrix-product rate in serving"},
		vAttend:       {"attend", 0.4, 0.5, "rate of attention in prefill relative to large bf16 products"},
		vLayer:        {"layer", 3e-5, 0.25, "seconds of small kernels and gaps in a layer"},
		vLayerMoE:     {"layer_moe", 5e-5, 0.3, "more of it in a layer with experts"},
		vStep:         {"step", 1e-3, 0.7, "seconds of scheduling and sampling per step of the engine"},
		vReduce:       {"reduce", 4e-6, 0.5, "seconds of latency of one all-reduce, times one more than the logarithm of its ranks to base 2 (ops tables of 2 to 8 H100: 4 to 15 µs)"},
		vLink:         {"link", 0.6, 0.3, "share of the scale-up link rate that all-reduce reaches"},
		vElement:      {"element", 3, 0.7, "passes over memory by element-wise work, per layer"},
		vMix:          {"mix", 0.9, 0.3, "share of other requests' prefill that delays a request's decoding"},
		vToken:        {"token", 3e-6, 0.8, "seconds of host time per token of a step"},
		vExpertMemory: {"expert_memory", 0.7, 0.2, "share of memory bandwidth reached when experts are read"},
		vGrouped:      {"grouped", 50, 0.7, "tokens per expert at which a grouped product runs at half rate"},
		vLayerNeuron:  {"layer_neuron", 9e-5, 0.4, "seconds of small kernels, gaps and collectives in a layer on NeuronCores"},
		vRateNeuron:   {"rate_neuron", 0.3, 0.4, "share of the matrix-product rate in prefill on NeuronCores"},
		vNarrow:       {"narrow", 0.8, 0.2, "share of the rate of reading weights that 4-bit formats keep, whose scales are read and applied beside"},
		vQueue:        {"queue", 0.05, 0.7, "at a fixed concurrency, share of the requests in flight whose prefill a first token waits for, on average"},
	}
})

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
	if v.job.Precision.Bits() == 4 && v.job.Model.AttnSinks { // gpt-oss quantises experts alone
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
