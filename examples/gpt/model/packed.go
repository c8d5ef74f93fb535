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
	p.weights = w
	if p.layers == nil {
		p.layers = make([]packedLayer, len(w.Layers))
	}
	for i := range p.layers {
		l := &p.layers[i]
		l.qkv.pack(e, w.Layers[i].QKV)
		l.out.pack(e, w.Layers[i].Out)
		l.up.pack(e, w.Layers[i].Up)
		l.down.pack(e, w.Layers[i].Down)
	}
	p.head.pack(e, w.Head)
}
