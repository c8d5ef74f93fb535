package estimate

import (
	"math"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/model"
)

func gpt3() *model.Model {
	return &model.Model{ID: "gpt-3-175b", Layers: 96, Hidden: 12288, Heads: 96, KVHeads: 96, HeadDim: 128, FFN: 49152, Vocab: 50257, TiedEmbed: true}
}

func llama70() *model.Model {
	return &model.Model{ID: "llama-2-70b", Layers: 80, Hidden: 8192, Heads: 64, KVHeads: 8, HeadDim: 128, FFN: 28672, Vocab: 32000, GatedFFN: true}
}

func near(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	if math.Abs(got-want) > relative*math.Abs(want) {
		t.Errorf("%s: got %.6g, want %.6g", what, got, want)
	}
}

// By hand: 12·96·12288² + 50257·12288 = 174.6 G parameters, six FLOPs each;
// attention adds 6·96·2·12288·1024 per token with half the pairs of 2048.
func TestGPT3FLOPsByHand(t *testing.T) {
	s := newShape(gpt3())
	near(t, "parameters", s.params(), 174.563e9, 1e-3)
	near(t, "matmul FLOPs per token", ModelFLOPs(gpt3(), 2048, 1, true), 6*174.563e9+14.496e9, 1e-3)
	near(t, "without a mask", ModelFLOPs(gpt3(), 2048, 1, false), 6*174.563e9+28.991e9, 1e-3)
}

// By hand: 2 (key and value) × 8 heads × 128 × 80 layers × 2 bytes = 327,680.
func TestLlama70BCachesThreeHundredKilobytesPerToken(t *testing.T) {
	if got := KVBytesPerToken(llama70(), 2); got != 327680 {
		t.Errorf("got %v bytes per token, want 327680", got)
	}
}

func TestRingAllReduceBytes(t *testing.T) {
	if got := RingAllReduceBytes(1000, 8); got != 1750 { // 2·7/8
		t.Errorf("got %v, want 1750", got)
	}
	if got := RingAllReduceBytes(1000, 1); got != 0 {
		t.Errorf("one rank sends %v bytes", got)
	}
}

func TestBubbleOf1F1B(t *testing.T) {
	near(t, "8 stages, 32 micro-batches", Bubble(8, 1, 32), 7.0/32, 1e-12)
	near(t, "interleaved 4 times", Bubble(8, 4, 32), 7.0/128, 1e-12)
}

func TestSlidingWindowCountsPairs(t *testing.T) {
	m := gpt3()
	m.Attention, m.Window = model.SlidingWindow, 512
	s := newShape(m)
	near(t, "pairs", s.pairs(2048), 512-512.0*512/(2*2048), 1e-12)
}
