package model

import (
	"math"

	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
)

// queryBlock is how many queries are attended at a time: a block looks at the keys up to its own end, so that a short
// block wastes less on what the causal mask hides, and a long one makes better products.
const queryBlock = 64

// attentionPacks are right-hand operands of one head's products, kept to reuse their memory.
type attentionPacks struct{ keys, values, queries, dMixed matmul.Packed }

// head is the view of one head's queries (part 0), keys (1) or values (2) at positions from to to.
func (w *Worker) head(qkv []float32, part, head, from, to int) matmul.View {
	d, width := w.shape.Dim, w.shape.headDim()
	start := from*3*d + part*d + head*width
	return matmul.View{Data: qkv[start:], Rows: to - from, Cols: width, Stride: 3 * d}
}

// slice is the view of one head's columns of a Seq×Dim matrix at positions from to to.
func (w *Worker) slice(x []float32, head, from, to int) matmul.View {
	width := w.shape.headDim()
	return matmul.View{Data: x[from*w.shape.Dim+head*width:], Rows: to - from, Cols: width, Stride: w.shape.Dim}
}

// block is the view of one head's attention weights of queries from to to over the keys before to.
func (w *Worker) block(weights []float32, head, from, to int) matmul.View {
	s := w.shape.Seq
	return matmul.View{Data: weights[head*s*s+from*s:], Rows: to - from, Cols: to, Stride: s}
}

func (w *Worker) scale() float32 { return float32(1 / math.Sqrt(float64(w.shape.headDim()))) }

// attend rotates queries and keys, and fills a.weights and a.mixed.
func (w *Worker) attend(a *activations, n int) {
	w.rotate(a.qkv, n, 1)
	for h := range w.shape.Heads {
		w.engine.Pack(&w.packs.keys, w.head(a.qkv, 1, h, 0, n).T())
		w.engine.Pack(&w.packs.values, w.head(a.qkv, 2, h, 0, n))
		for from := 0; from < n; from += queryBlock {
			to := min(from+queryBlock, n)
			p := w.block(a.weights, h, from, to)
			w.engine.Mul(p, w.head(a.qkv, 0, h, from, to), &w.packs.keys, false)
			for i := range to - from {
				row := p.Data[i*p.Stride : i*p.Stride+to]
				w.ops.Softmax(row[:from+i+1], w.scale())
				clear(row[from+i+1:])
			}
			w.engine.Mul(w.slice(a.mixed, h, from, to), p, &w.packs.values, false)
		}
	}
}

// attendBack takes the gradient w.dy at a.mixed back to w.wide, the gradient at queries, keys and values before rotation.
func (w *Worker) attendBack(a *activations, n int) {
	clear(w.wide[:n*3*w.shape.Dim])
	for h := range w.shape.Heads {
		w.engine.Pack(&w.packs.values, w.head(a.qkv, 2, h, 0, n).T())
		w.engine.Pack(&w.packs.keys, w.head(a.qkv, 1, h, 0, n))
		for from := 0; from < n; from += queryBlock {
			w.attendBlockBack(a, h, from, min(from+queryBlock, n))
		}
	}
	w.rotate(w.wide, n, -1)
}

func (w *Worker) attendBlockBack(a *activations, h, from, to int) {
	p, dMixed, queries := w.block(a.weights, h, from, to), w.slice(w.dy, h, from, to), w.head(a.qkv, 0, h, from, to)
	ds := matmul.View{Data: w.scores, Rows: to - from, Cols: to, Stride: w.shape.Seq}
	w.engine.Mul(ds, dMixed, &w.packs.values, false)
	for i := range to - from {
		row := ds.Data[i*ds.Stride : i*ds.Stride+to]
		w.ops.SoftmaxBack(row, p.Data[i*p.Stride:i*p.Stride+to], w.scale())
	}
	w.engine.Mul(w.head(w.wide, 0, h, from, to), ds, &w.packs.keys, false)
	w.engine.Pack(&w.packs.queries, queries)
	w.engine.Mul(w.head(w.wide, 1, h, 0, to), ds.T(), &w.packs.queries, true)
	w.engine.Pack(&w.packs.dMixed, dMixed)
	w.engine.Mul(w.head(w.wide, 2, h, 0, to), p.T(), &w.packs.dMixed, true)
}

// rotate turns queries and keys by their positions, or back.
func (w *Worker) rotate(qkv []float32, n int, sign float32) {
	d, width := w.shape.Dim, w.shape.headDim()
	for t := range n {
		cos, sin := w.rotary.at(t)
		for at := t * 3 * d; at < t*3*d+2*d; at += width {
			w.ops.Rotate(qkv[at:at+width], cos, sin, sign)
		}
	}
}

// rotary holds cosines and sines of rotary positions (Su et al., 2021): pair i of a head's width turns by
// t·base^(−i/pairs) at position t.
type rotary struct {
	pairs    int
	cos, sin []float32
}

// rotaryBase is the wavelength of the slowest pair over 2π; sequences here are short.
const rotaryBase = 10000

func newRotary(positions, width int) rotary {
	r := rotary{pairs: width / 2, cos: make([]float32, positions*width/2), sin: make([]float32, positions*width/2)}
	for t := range positions {
		for i := range r.pairs {
			angle := float64(t) * math.Pow(rotaryBase, -float64(i)/float64(r.pairs))
			s, c := math.Sincos(angle)
			r.cos[t*r.pairs+i], r.sin[t*r.pairs+i] = float32(c), float32(s)
		}
	}
	return r
}

func (r rotary) at(t int) (cos, sin []float32) {
	return r.cos[t*r.pairs : (t+1)*r.pairs], r.sin[t*r.pairs : (t+1)*r.pairs]
}
