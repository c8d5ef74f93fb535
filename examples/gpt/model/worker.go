package model

import (
	"math"

	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
	"github.com/switchyard-ai/switchyard/examples/gpt/vec"
)

// Worker runs sequences through the network, one at a time, and adds up their gradient. It belongs to one goroutine;
// training parallelises over the batch with one worker a core.
type Worker struct {
	Grad *Weights // sum of the gradients since Zero

	shape  Shape
	engine *matmul.Engine
	ops    vec.Ops
	rotary rotary
	acts   []activations
	last   activations // of the head: norm and factor
	x      []float32   // residual stream, Seq×Dim
	logits []float32   // Seq×Vocab; after the loss its gradient
	dx, dy []float32   // gradients of the residual stream and of a layer's input
	wide   []float32   // gradient of queries, keys and values, or of the hidden layer
	scores []float32   // gradient of one block of attention weights
	right  matmul.Packed
	packs  attentionPacks
}

// activations are what one layer's backward pass needs of its forward pass.
type activations struct {
	norm1, norm2     []float32 // Seq×Dim, normalized inputs of attention and feed-forward
	factor1, factor2 []float32 // their factors
	qkv              []float32 // Seq×3Dim, rotated
	weights          []float32 // Heads×Seq×Seq, attention weights
	mixed            []float32 // Seq×Dim, attended values
	up, act          []float32 // Seq×hidden, before and after the activation
}

func buffer(n int) []float32 { return make([]float32, n+pad)[:n] }

// NewWorker is a worker for networks of shape s.
func NewWorker(s Shape, e *matmul.Engine) *Worker {
	w := &Worker{
		Grad: NewWeights(s), shape: s, engine: e, ops: vec.New(e.IsVector()), rotary: newRotary(s.Seq, s.headDim()),
		last: activations{norm1: buffer(s.Seq * s.Dim), factor1: buffer(s.Seq)},
		x:    buffer(s.Seq * s.Dim), logits: buffer(s.Seq * Vocab),
		dx: buffer(s.Seq * s.Dim), dy: buffer(s.Seq * s.Dim), wide: buffer(s.Seq * s.hidden()), scores: buffer(queryBlock * s.Seq),
	}
	for range s.Layers {
		w.acts = append(w.acts, activations{
			norm1: buffer(s.Seq * s.Dim), norm2: buffer(s.Seq * s.Dim), factor1: buffer(s.Seq), factor2: buffer(s.Seq),
			qkv: buffer(s.Seq * 3 * s.Dim), weights: buffer(s.Heads * s.Seq * s.Seq), mixed: buffer(s.Seq * s.Dim),
			up: buffer(s.Seq * s.hidden()), act: buffer(s.Seq * s.hidden()),
		})
	}
	return w
}

// Zero clears the gradient.
func (w *Worker) Zero() { clear(w.Grad.Flat) }

// Loss is the sum over positions of −ln p(window[t+1] | window[:t+1]), in nats. The window has at most Seq+1 bytes.
func (w *Worker) Loss(p *Packed, window []byte) float64 {
	n := len(window) - 1
	w.forward(p, window[:n])
	return w.loss(window[1:], n, 0)
}

// Learn adds scale times the gradient of Loss to Grad, and returns the loss.
func (w *Worker) Learn(p *Packed, window []byte, scale float32) float64 {
	n := len(window) - 1
	w.forward(p, window[:n])
	loss := w.loss(window[1:], n, scale)
	w.backward(p, window[:n])
	return loss
}

func (w *Worker) forward(p *Packed, tokens []byte) {
	n, d := len(tokens), w.shape.Dim
	x := w.x[:n*d]
	w.embed(p.weights, tokens)
	for i := range w.acts {
		a, l := &w.acts[i], &p.layers[i]
		w.norm(a.norm1, a.factor1, n)
		w.engine.Mul(matmul.Mat(a.qkv, n, 3*d), matmul.Mat(a.norm1, n, d), &l.qkv.ahead, false)
		w.attend(a, n)
		w.engine.Mul(matmul.Mat(x, n, d), matmul.Mat(a.mixed, n, d), &l.out.ahead, true)
		w.norm(a.norm2, a.factor2, n)
		h := w.shape.hidden()
		w.engine.Mul(matmul.Mat(a.up, n, h), matmul.Mat(a.norm2, n, d), &l.up.ahead, false)
		w.ops.SquaredReLU(a.act[:n*h], a.up)
		w.engine.Mul(matmul.Mat(x, n, d), matmul.Mat(a.act, n, h), &l.down.ahead, true)
	}
	w.norm(w.last.norm1, w.last.factor1, n)
	w.engine.Mul(matmul.Mat(w.logits, n, Vocab), matmul.Mat(w.last.norm1, n, d), &p.head.ahead, false)
}

func (w *Worker) embed(weights *Weights, tokens []byte) {
	d := w.shape.Dim
	for t := range tokens {
		x := w.x[t*d : (t+1)*d]
		clear(x)
		for tap := range min(Taps, t+1) {
			at := int(tokens[t-tap]) * d
			w.ops.Add(x, weights.Taps[tap][at:at+d])
		}
	}
}

func (w *Worker) norm(y, factor []float32, n int) {
	d := w.shape.Dim
	for t := range n {
		factor[t] = w.ops.Norm(y[t*d:(t+1)*d], w.x[t*d:(t+1)*d])
	}
}

// loss sums the cross-entropies, and turns the logits into scale times their gradient.
func (w *Worker) loss(targets []byte, n int, scale float32) float64 {
	total := 0.0
	for t := range n {
		row := w.logits[t*Vocab : (t+1)*Vocab]
		own := float64(row[targets[t]])
		total += w.ops.Softmax(row, 1) - own
		if scale != 0 {
			row[targets[t]]--
			w.ops.Scale(row, scale, row)
		}
	}
	if math.IsNaN(total) {
		return math.Inf(1)
	}
	return total
}

func (w *Worker) backward(p *Packed, tokens []byte) {
	n, d, h := len(tokens), w.shape.Dim, w.shape.hidden()
	dx, dy := w.dx[:n*d], w.dy[:n*d]
	clear(dx)
	w.product(w.Grad.Head, w.last.norm1, w.logits, n)
	w.engine.Mul(matmul.Mat(dy, n, d), matmul.Mat(w.logits, n, Vocab), &p.head.back, false)
	w.normBack(w.last.norm1, w.last.factor1, n)
	for i := len(w.acts) - 1; i >= 0; i-- {
		a, l, g := &w.acts[i], &p.layers[i], &w.Grad.Layers[i]
		w.product(g.Down, a.act, dx, n)
		w.engine.Mul(matmul.Mat(w.wide, n, h), matmul.Mat(dx, n, d), &l.down.back, false)
		w.ops.SquaredReLUBack(w.wide[:n*h], a.up)
		w.product(g.Up, a.norm2, w.wide, n)
		w.engine.Mul(matmul.Mat(dy, n, d), matmul.Mat(w.wide, n, h), &l.up.back, false)
		w.normBack(a.norm2, a.factor2, n)

		w.product(g.Out, a.mixed, dx, n)
		w.engine.Mul(matmul.Mat(dy, n, d), matmul.Mat(dx, n, d), &l.out.back, false)
		w.attendBack(a, n)
		w.product(g.QKV, a.norm1, w.wide, n)
		w.engine.Mul(matmul.Mat(dy, n, d), matmul.Mat(w.wide, n, 3*d), &l.qkv.back, false)
		w.normBack(a.norm1, a.factor1, n)
	}
	for t := range tokens {
		for tap := range min(Taps, t+1) {
			at := int(tokens[t-tap]) * d
			w.ops.Add(w.Grad.Taps[tap][at:at+d], dx[t*d:(t+1)*d])
		}
	}
}

// product adds inputᵀ·dOutput to the gradient of a matrix.
func (w *Worker) product(grad matmul.View, input, dOutput []float32, n int) {
	w.engine.Pack(&w.right, matmul.Mat(dOutput, n, grad.Cols))
	w.engine.Mul(grad, matmul.Mat(input, n, grad.Rows).T(), &w.right, true)
}

// normBack adds to dx the gradient dy at a norm's output taken back to its input.
func (w *Worker) normBack(y, factor []float32, n int) {
	d := w.shape.Dim
	for t := range n {
		w.ops.NormBack(w.dx[t*d:(t+1)*d], w.dy[t*d:(t+1)*d], y[t*d:(t+1)*d], factor[t])
	}
}
