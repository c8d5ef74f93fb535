package model

import "github.com/switchyard-ai/switchyard/examples/gpt/matmul"

// Packed is a set of weights laid out for products, once a step. Any number of workers may read it together.
type Packed struct {
	weights *Weights
	layers  []packedLayer
	head    both
}

type packedLayer struct{ qkv, out, up, down both }

// both is a matrix as the forward pass needs it, and its transpose for the backward pass.
type both struct{ ahead, back matmul.Packed }

func (b *both) pack(e *matmul.Engine, w matmul.View) {
	e.Pack(&b.ahead, w)
	e.Pack(&b.back, w.T())
}

// Pack lays out w. Call it again when the weights have changed.
func (p *Packed) Pack(e *matmul.Engine, w *Weights) {
	for i := range p.Parts(w) {
		p.PackPart(e, i)
	}
}

// Parts prepares p for the weights w and is the number of parts that PackPart takes; each may be packed by another
// goroutine.
func (p *Packed) Parts(w *Weights) int {
	p.weights = w
	if len(p.layers) != len(w.Layers) {
		p.layers = make([]packedLayer, len(w.Layers))
	}
	return len(w.Layers) + 1
}

// PackPart lays out the i-th part of the weights.
func (p *Packed) PackPart(e *matmul.Engine, i int) {
	if i == len(p.layers) {
		p.head.pack(e, p.weights.Head)
		return
	}
	l, w := &p.layers[i], &p.weights.Layers[i]
	l.qkv.pack(e, w.QKV)
	l.out.pack(e, w.Out)
	l.up.pack(e, w.Up)
	l.down.pack(e, w.Down)
}
