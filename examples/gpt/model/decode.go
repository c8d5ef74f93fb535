package model

import (
	"math"
	"math/rand/v2"

	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
)

// Sample continues the prompt by n bytes drawn at the temperature, the same ones for the same seed. Once the text is
// longer than a sequence, the older half is forgotten.
func (w *Worker) Sample(p *Packed, prompt []byte, n int, temperature float64, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0xda942042e4dd58b5))
	text := append([]byte(nil), prompt...)
	if len(text) == 0 {
		text = []byte{'\n'}
	}
	start := len(text)
	from := max(0, len(text)-w.shape.Seq/2)
	w.forward(p, text[from:])
	for len(text) < start+n {
		row := w.logits[(len(text)-from-1)*Vocab:][:Vocab]
		text = append(text, draw(rng, row, temperature))
		if len(text)-from > w.shape.Seq {
			from = len(text) - max(1, w.shape.Seq/2)
			w.forward(p, text[from:])
		} else {
			w.extend(p, text[from:])
		}
	}
	return text[start:]
}

// extend runs the last token alone, given that forward or extend ran those before it.
func (w *Worker) extend(p *Packed, tokens []byte) {
	t, d, hidden := len(tokens)-1, w.shape.Dim, w.shape.hidden()
	x := w.x[t*d : (t+1)*d]
	clear(x)
	for tap := range min(Taps, t+1) {
		at := int(tokens[t-tap]) * d
		w.ops.Add(x, p.weights.Taps[tap][at:at+d])
	}
	normed, mixed, up := w.dy[:d], w.dx[:d], w.wide[:hidden]
	for i := range w.acts {
		a, l := &w.acts[i], &p.layers[i]
		w.ops.Norm(normed, x)
		qkv := a.qkv[t*3*d : (t+1)*3*d]
		w.engine.Mul(matmul.Mat(qkv, 1, 3*d), matmul.Mat(normed, 1, d), &l.qkv.ahead, false)
		w.attendOne(a, mixed, t)
		w.engine.Mul(matmul.Mat(x, 1, d), matmul.Mat(mixed, 1, d), &l.out.ahead, true)
		w.ops.Norm(normed, x)
		w.engine.Mul(matmul.Mat(up, 1, hidden), matmul.Mat(normed, 1, d), &l.up.ahead, false)
		w.ops.SquaredReLU(up, up)
		w.engine.Mul(matmul.Mat(x, 1, d), matmul.Mat(up, 1, hidden), &l.down.ahead, true)
	}
	w.ops.Norm(normed, x)
	w.engine.Mul(matmul.Mat(w.logits[t*Vocab:], 1, Vocab), matmul.Mat(normed, 1, d), &p.head.ahead, false)
}

// attendOne is attend for position t alone; the keys and values before it are those in a.qkv.
func (w *Worker) attendOne(a *activations, mixed []float32, t int) {
	d, width := w.shape.Dim, w.shape.headDim()
	cos, sin := w.rotary.at(t)
	for h := range w.shape.Heads {
		query, key := a.qkv[t*3*d+h*width:][:width], a.qkv[t*3*d+d+h*width:][:width]
		w.ops.Rotate(query, cos, sin, 1)
		w.ops.Rotate(key, cos, sin, 1)
		scores := w.scores[:t+1]
		for s := range scores {
			scores[s] = w.ops.Dot(query, a.qkv[s*3*d+d+h*width:][:width])
		}
		w.ops.Softmax(scores, w.scale())
		out := mixed[h*width : (h+1)*width]
		clear(out)
		for s, weight := range scores {
			w.ops.Axpy(out, weight, a.qkv[s*3*d+2*d+h*width:][:width])
		}
	}
}

// draw picks a byte by the softmax of its logits over the temperature; at 0 it takes the likeliest.
func draw(rng *rand.Rand, logits []float32, temperature float64) byte {
	best := 0
	for i, x := range logits {
		if x > logits[best] {
			best = i
		}
	}
	if temperature <= 0 {
		return byte(best)
	}
	weight := func(x float32) float64 { return math.Exp(float64(x-logits[best]) / temperature) }
	total := 0.0
	for _, x := range logits {
		total += weight(x)
	}
	left := rng.Float64() * total
	for i, x := range logits {
		if left -= weight(x); left <= 0 {
			return byte(i)
		}
	}
	return byte(best)
}
