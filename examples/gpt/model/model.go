// Package model owns the GPT itself: its shape, its parameters, the forward and backward pass over a batch of sequences, and
// decoding one byte at a time. It is a pre-norm transformer over bytes with rotary positions, squared-ReLU feed-forward
// layers and norms without gains. It refuses to know of data, optimizers, files and the network.
package model

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
)

// Vocab is the number of tokens: one for each byte.
const Vocab = 256

// Taps is how many of the latest bytes make up a position's embedding: each has a table of its own. A byte says little;
// with the three before it, even the first layer sees most of a word.
const Taps = 4

// Shape is what determines the number and sizes of the parameters, and the length of a sequence.
type Shape struct {
	Layers int `json:"layers"`
	Dim    int `json:"dim"`
	Heads  int `json:"heads"`
	Seq    int `json:"seq"` // positions in a sequence
}

// Bounds of a shape: far beyond what trains on one machine in a day, and small enough that no size below overflows.
const (
	maxLayers = 1000
	maxDim    = 1 << 14
	maxHeads  = 1 << 10
	maxSeq    = 1 << 15
	maxParams = 1 << 30 // four arrays of so many float32: 16 GiB
	maxActive = 1 << 30 // layers × seq × dim: what a sequence leaves behind for the backward pass
)

// Validate tells what is wrong with s.
func (s Shape) Validate() error {
	switch {
	case s.Layers < 1 || s.Dim < 1 || s.Heads < 1 || s.Seq < 1:
		return fmt.Errorf("layers %d, dim %d, heads %d, seq %d: each must be at least 1", s.Layers, s.Dim, s.Heads, s.Seq)
	case s.Layers > maxLayers:
		return fmt.Errorf("layers %d: at most %d are supported", s.Layers, maxLayers)
	case s.Heads > maxHeads:
		return fmt.Errorf("heads %d: at most %d are supported", s.Heads, maxHeads)
	case s.Dim > maxDim:
		return fmt.Errorf("dim %d: at most %d is supported", s.Dim, maxDim)
	case s.Seq > maxSeq:
		return fmt.Errorf("seq %d: at most %d is supported", s.Seq, maxSeq)
	case s.Params() > maxParams:
		return fmt.Errorf("layers %d of dim %d have %d parameters; at most %d are supported", s.Layers, s.Dim, s.Params(), maxParams)
	case s.Layers*s.Seq*s.Dim > maxActive:
		return fmt.Errorf("layers %d, seq %d, dim %d: a sequence through so many layers does not fit in memory; at most %d activations (layers × seq × dim) are supported",
			s.Layers, s.Seq, s.Dim, maxActive)
	case s.Dim%s.Heads != 0:
		return fmt.Errorf("dim %d is not a multiple of heads %d", s.Dim, s.Heads)
	case s.Dim/s.Heads%2 != 0:
		return fmt.Errorf("dim %d over heads %d is odd: rotary positions turn pairs", s.Dim, s.Heads)
	}
	return nil
}

// hidden is the width of the feed-forward layers.
func (s Shape) hidden() int { return 4 * s.Dim }

// headDim is the width of one attention head.
func (s Shape) headDim() int { return s.Dim / s.Heads }

// Params is the number of parameters.
func (s Shape) Params() int { return s.tables() + s.matrices() }

func (s Shape) tables() int   { return Taps * Vocab * s.Dim }
func (s Shape) matrices() int { return s.Layers*12*s.Dim*s.Dim + s.Dim*Vocab }

// FLOPs is the number of floating-point operations of training on one token: two for each multiply-add of the forward
// pass and twice that for the backward pass, attention counted over the half that the causal mask leaves.
func (s Shape) FLOPs() float64 {
	return 6*float64(s.matrices()) + 6*float64(s.Layers)*float64(s.Seq+1)*float64(s.Dim)
}

// Weights are slices of one flat array: the parameters, or their gradient.
type Weights struct {
	Flat   []float32
	Taps   [Taps][]float32 // Vocab×Dim each
	Layers []Layer
	Head   matmul.View // Dim×Vocab
}

// Layer is the part of Weights that belongs to one layer.
type Layer struct {
	QKV, Out, Up, Down matmul.View
}

// pad keeps room after the last element, so that products may read a little past it.
const pad = 4

// NewWeights is a set of zero weights for s.
func NewWeights(s Shape) *Weights {
	w := &Weights{Flat: make([]float32, s.Params()+pad)[:s.Params()]}
	at := 0
	take := func(n int) []float32 {
		at += n
		return w.Flat[at-n : at]
	}
	mat := func(rows, cols int) matmul.View { return matmul.Mat(take(rows*cols), rows, cols) }
	for i := range w.Taps {
		w.Taps[i] = take(Vocab * s.Dim)
	}
	for range s.Layers {
		w.Layers = append(w.Layers, Layer{
			QKV: mat(s.Dim, 3*s.Dim), Out: mat(s.Dim, s.Dim), Up: mat(s.Dim, s.hidden()), Down: mat(s.hidden(), s.Dim),
		})
	}
	w.Head = mat(s.Dim, Vocab)
	return w
}

// Init draws the parameters. What writes to the residual stream starts at zero, so that the network starts as its
// embedding; the head starts at zero, so that the first loss is ln 256.
func (w *Weights) Init(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	draw := func(x []float32, deviation float64) {
		for i := range x {
			x[i] = float32(deviation * rng.NormFloat64())
		}
	}
	for _, table := range w.Taps {
		draw(table, 0.5)
	}
	for _, l := range w.Layers {
		draw(l.QKV.Data, 1/math.Sqrt(float64(l.QKV.Rows)))
		draw(l.Up.Data, 1/math.Sqrt(float64(l.Up.Rows)))
	}
}

// Matrices is where the layers' matrices lie in Weights.Flat: between the embedding tables and the head.
func (s Shape) Matrices() (from, to int) { return s.tables(), s.Params() - s.Dim*Vocab }
