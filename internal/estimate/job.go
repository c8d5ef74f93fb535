package estimate

import (
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/model"
)

// Recompute says which activations are thrown away and computed again.
type Recompute string

// The choices of recomputation (Korthikanti et al. 2022, arXiv:2205.05198).
const (
	AnyRecompute       Recompute = ""          // the least that fits in memory
	NoRecompute        Recompute = "none"      // everything is kept
	SelectiveRecompute Recompute = "selective" // attention scores are computed again
	FullRecompute      Recompute = "full"      // each layer keeps its input alone
)

// Values lists the choices.
func (Recompute) Values() []string {
	return []string{string(NoRecompute), string(SelectiveRecompute), string(FullRecompute)}
}

// Attention says which kernel generation computes attention.
type Attention string

// The kernel generations.
const (
	DefaultAttention Attention = ""        // fused
	Unfused          Attention = "unfused" // scores go through memory, no causal skip (before FlashAttention, arXiv:2205.14135)
	Fused            Attention = "fused"   // scores stay on chip
)

// Job is a training job.
type Job struct {
	Model       *model.Model
	Seq         int        // tokens of a sequence
	GlobalBatch int        // sequences of a step
	Precision   chip.DType // of matrix products
	Recompute   Recompute  // AnyRecompute: the estimator chooses
	Attention   Attention  // kernel generation
	Stack       string     // framework path such as "megatron/nemo", "": the one usual for the chip's family
	Release     float64    // Neuron SDK release as 2.<Release>; 0: current
	Series      string     // publication that a measured row is from, for its interval
	Ran         float64    // for a run that is known to have worked: by what factor it may exceed our count of memory; 0: 1
	Trial       bool       // a short or packed run whose shape is not certain; widens the interval
}

// Parallelism is how a job is spread over devices: chips, or on Neuron
// logical cores. DP×TP×PP×CP is the number of devices; EP divides DP×CP×TP.
type Parallelism struct {
	DP         int       `json:"dp"`
	TP         int       `json:"tp"`
	PP         int       `json:"pp"`
	EP         int       `json:"ep"`
	CP         int       `json:"cp"`
	MicroBatch int       `json:"micro_batch"`
	Interleave int       `json:"interleave,omitempty"` // virtual pipeline stages per device, 0: 1
	ZeRO       int       `json:"zero,omitempty"`       // 1: optimizer sharded over data parallel ranks; 2: gradients too; 3: weights too (FSDP)
	Recompute  Recompute `json:"recompute,omitempty"`
}

func (p Parallelism) normal() Parallelism {
	for _, n := range []*int{&p.DP, &p.TP, &p.PP, &p.EP, &p.CP, &p.MicroBatch, &p.Interleave} {
		*n = max(1, *n)
	}
	return p
}

// Breakdown is where the time of a step goes, in seconds; the parts add up to it.
type Breakdown struct {
	Matmul    float64 `json:"matmul"`    // matrix products of layers and output embedding
	Attention float64 `json:"attention"` // scores and their use
	Memory    float64 `json:"memory"`    // element-wise work, casts and routing, bound by memory bandwidth
	Recompute float64 `json:"recompute"` // all of these again for activations that were not kept
	Host      float64 `json:"host"`      // waiting for the host to launch
	Tensor    float64 `json:"tensor"`    // exposed collectives of tensor parallelism
	Expert    float64 `json:"expert"`    // exposed all-to-all of expert parallelism
	Context   float64 `json:"context"`   // exposed exchange of context parallelism
	Pipeline  float64 `json:"pipeline"`  // exposed transfers between stages
	Data      float64 `json:"data"`      // exposed collectives of data parallelism and ZeRO
	Bubble    float64 `json:"bubble"`    // pipeline bubble and imbalance of stages
	Optimizer float64 `json:"optimizer"` // weight update
}

func (b *Breakdown) parts() [12]*float64 {
	return [12]*float64{&b.Matmul, &b.Attention, &b.Memory, &b.Recompute, &b.Host, &b.Tensor, &b.Expert, &b.Context, &b.Pipeline, &b.Data, &b.Bubble, &b.Optimizer}
}

func (b *Breakdown) total() float64 {
	return b.Matmul + b.Attention + b.Memory + b.Recompute + b.Host + b.Tensor + b.Expert + b.Context + b.Pipeline + b.Data + b.Bubble + b.Optimizer
}

func (b *Breakdown) scale(f float64) {
	for _, p := range b.parts() {
		*p *= f
	}
}

// Memory is what one device holds, in bytes.
type Memory struct {
	Weights     float64 `json:"weights"`
	Gradients   float64 `json:"gradients"`
	Optimizer   float64 `json:"optimizer"`
	Activations float64 `json:"activations"`
	Reserve     float64 `json:"reserve"` // framework, collectives, fragmentation
	Capacity    float64 `json:"capacity"`
}

// Total is what has to fit.
func (m Memory) Total() float64 {
	return m.Weights + m.Gradients + m.Optimizer + m.Activations + m.Reserve
}

// Fits reports whether it does.
func (m Memory) Fits() bool { return m.Total() <= m.Capacity }

// Status says what a prediction rests on.
type Status string

// The statuses.
const (
	Measured     Status = "measured"     // the chip has calibration rows for this kind of work
	Extrapolated Status = "extrapolated" // it has none: its maker's prior stands in
)

// Support is a group of calibration rows that a prediction rests on.
type Support struct {
	Group string `json:"group"` // such as "chip:H100" or "stack:megatron/nemo"
	Rows  int    `json:"rows"`
}

// Step is a predicted training step.
type Step struct {
	Parallelism     Parallelism `json:"parallelism"`
	Seconds         float64     `json:"seconds"`
	Low             float64     `json:"low"`  // seconds; 80% of measurements are expected between Low and High
	High            float64     `json:"high"` // seconds
	TokensPerSecond float64     `json:"tokens_per_second"`
	MFU             float64     `json:"mfu"` // model FLOPs (causal) per second and bf16 peak
	Breakdown       Breakdown   `json:"breakdown"`
	Memory          Memory      `json:"memory"`
	Status          Status      `json:"status"`
	Support         []Support   `json:"support,omitempty"`
}

// Reason says why something cannot be, as data.
type Reason struct {
	Code   string `json:"code"`   // memory, batch, devices, topology, shape, figures
	Detail string `json:"detail"` // one sentence with the numbers
	Count  int    `json:"count"`  // configurations ruled out for it
}

// Part is one line of a breakdown.
type Part struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Parts lists the breakdown in a fixed order, for people.
func (b Breakdown) Parts() []Part {
	return []Part{
		{"matrix products", b.Matmul}, {"attention", b.Attention}, {"memory-bound work", b.Memory}, {"recomputation", b.Recompute},
		{"waiting for the host", b.Host}, {"tensor-parallel exchange", b.Tensor}, {"expert-parallel exchange", b.Expert},
		{"context-parallel exchange", b.Context}, {"pipeline transfers", b.Pipeline}, {"data-parallel exchange", b.Data},
		{"pipeline bubble", b.Bubble}, {"optimizer", b.Optimizer},
	}
}

// Parts lists the breakdown of a decoding step in a fixed order, for people.
func (p ServingParts) Parts() []Part {
	return []Part{
		{"weights", p.Weights}, {"key-value cache", p.Cache}, {"memory-bound work", p.Element},
		{"kernels and engine", p.Overhead}, {"collectives", p.Reduce}, {"other requests' prefill", p.Prefill},
	}
}
