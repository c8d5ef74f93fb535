package estimate

import (
	"sync"

	"github.com/switchyard-ai/switchyard/internal/chip"
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
