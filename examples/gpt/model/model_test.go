package model

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
)

func engines() []*matmul.Engine {
	all := []*matmul.Engine{matmul.Portable()}
	if v := matmul.Vector(); v != nil {
		all = append(all, v)
	}
	return all
}

// restless is a network with no zero weights, so that every gradient is alive.
func restless(s Shape, seed uint64) *Weights {
	w, rng := NewWeights(s), rand.New(rand.NewPCG(seed, 1))
	for i := range w.Flat {
		w.Flat[i] = float32(0.15 * rng.NormFloat64())
	}
	return w
}

func noise(n int) []byte {
	rng, text := rand.New(rand.NewPCG(5, 5)), make([]byte, n)
	for i := range text {
		text[i] = byte('a' + rng.IntN(20))
	}
	return text
}

// parts names the tensors of w by their place in the flat array.
func parts(w *Weights) map[string][]float32 {
	all := map[string][]float32{"head": w.Head.Data}
	for i, table := range w.Taps {
		all[fmt.Sprintf("tap %d", i)] = table
	}
	for i, l := range w.Layers {
		all[fmt.Sprintf("qkv %d", i)], all[fmt.Sprintf("out %d", i)] = l.QKV.Data, l.Out.Data
		all[fmt.Sprintf("up %d", i)], all[fmt.Sprintf("down %d", i)] = l.Up.Data, l.Down.Data
	}
	return all
}

// The slope of the loss along a direction in one tensor must be the gradient's component in it. Along the gradient itself
// the slope is large against rounding; along random signs a wrong element shows that the first would hide.
func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	s := Shape{Layers: 2, Dim: 24, Heads: 3, Seq: 70}
	text := noise(s.Seq + 1)
	for _, e := range engines() {
		weights, packed, worker := restless(s, 3), Packed{}, NewWorker(s, e)
		packed.Pack(e, weights)
		worker.Zero()
		worker.Learn(&packed, text, 1)
		grads := parts(worker.Grad)
		slope := func(x, direction []float32, by float64) float64 {
			old := append([]float32(nil), x...)
			at := func(sign float64) float64 {
				for i := range x {
					x[i] = float32(float64(old[i]) + sign*by*float64(direction[i]))
				}
				packed.Pack(e, weights)
				return worker.Loss(&packed, text)
			}
			rise := at(1) - at(-1)
			copy(x, old)
			return rise / (2 * by)
		}
		for name, x := range parts(weights) {
			g := grads[name]
			length := norm(g)
			random, rng := make([]float32, len(g)), rand.New(rand.NewPCG(9, 9))
			for i := range g {
				random[i] = g[i]/float32(length) + float32(rng.NormFloat64()/math.Sqrt(float64(len(g))))
			}
			for kind, direction := range map[string][]float32{"own": g, "random": random} {
				want := dot(g, direction)
				got := slope(x, direction, 0.02/norm(direction))
				if math.Abs(got-want) > 0.01*math.Abs(want) {
					t.Errorf("%s: %s, %s direction: slope %g, gradient %g", e.Name(), name, kind, got, want)
				}
			}
		}
	}
}

func dot(x, y []float32) float64 {
	total := 0.0
	for i := range x {
		total += float64(x[i]) * float64(y[i])
	}
	return total
}

func norm(x []float32) float64 { return math.Sqrt(dot(x, x)) }

func TestEnginesAgreeOnLossAndGradient(t *testing.T) {
	s := Shape{Layers: 2, Dim: 64, Heads: 2, Seq: 130}
	weights, text := restless(s, 4), noise(100)
	var losses []float64
	var grads [][]float32
	for _, e := range engines() {
		packed, worker := Packed{}, NewWorker(s, e)
		packed.Pack(e, weights)
		losses = append(losses, worker.Learn(&packed, text, 1))
		grads = append(grads, worker.Grad.Flat)
	}
	for i := range losses[1:] {
		if math.Abs(losses[i+1]-losses[0]) > 1e-4*losses[0] {
			t.Errorf("loss %g, portable %g", losses[i+1], losses[0])
		}
		for j := range grads[0] {
			if math.Abs(float64(grads[i+1][j]-grads[0][j])) > 2e-3 {
				t.Fatalf("gradient %d is %g, portable %g", j, grads[i+1][j], grads[0][j])
			}
		}
	}
}

func TestAPositionSeesNoLaterByte(t *testing.T) {
	s := Shape{Layers: 2, Dim: 32, Heads: 2, Seq: 80}
	for _, e := range engines() {
		packed, worker := Packed{}, NewWorker(s, e)
		packed.Pack(e, restless(s, 5))
		text := noise(80)
		worker.forward(&packed, text)
		before := append([]float32(nil), worker.logits[:70*Vocab]...)
		for i := 70; i < 80; i++ {
			text[i] = '!'
		}
		worker.forward(&packed, text)
		for i, x := range before {
			if x != worker.logits[i] {
				t.Fatalf("%s: logit %d of position %d changed", e.Name(), i%Vocab, i/Vocab)
			}
		}
	}
}

func TestUntrainedLossIsUniform(t *testing.T) {
	s := Shape{Layers: 1, Dim: 16, Heads: 1, Seq: 32}
	weights, packed, e := NewWeights(s), Packed{}, matmul.Portable()
	weights.Init(1)
	packed.Pack(e, weights)
	if got := NewWorker(s, e).Loss(&packed, noise(33)) / 32; math.Abs(got-math.Log(Vocab)) > 1e-5 {
		t.Fatalf("loss %g, want ln 256", got)
	}
}

// One byte at a time must give the logits that the whole sequence gives.
func TestDecodingEqualsTheWholeSequence(t *testing.T) {
	s := Shape{Layers: 2, Dim: 32, Heads: 2, Seq: 48}
	for _, e := range engines() {
		packed, whole, single := Packed{}, NewWorker(s, e), NewWorker(s, e)
		packed.Pack(e, restless(s, 6))
		text := noise(48)
		whole.forward(&packed, text)
		single.forward(&packed, text[:20])
		for n := 21; n <= len(text); n++ {
			single.extend(&packed, text[:n])
		}
		for i, x := range whole.logits {
			if math.Abs(float64(x-single.logits[i])) > 1e-4 {
				t.Fatalf("%s: logit %d is %g, want %g", e.Name(), i, single.logits[i], x)
			}
		}
	}
}

func TestSampleIsRepeatableAndOutlastsASequence(t *testing.T) {
	s, e := Shape{Layers: 1, Dim: 16, Heads: 1, Seq: 16}, matmul.Portable()
	packed, worker := Packed{}, NewWorker(s, e)
	packed.Pack(e, restless(s, 7))
	first := worker.Sample(&packed, []byte("func "), 60, 1, 3)
	if len(first) != 60 || !bytes.Equal(first, worker.Sample(&packed, []byte("func "), 60, 1, 3)) {
		t.Fatalf("%d bytes, or not the same twice", len(first))
	}
	if bytes.Equal(first, worker.Sample(&packed, []byte("func "), 60, 1, 4)) {
		t.Fatal("another seed gave the same text")
	}
}
