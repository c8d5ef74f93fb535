package vec

import (
	"math"
	"math/rand/v2"
	"testing"
)

func numbers(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 7))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 2e-5*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// lengths are around the multiples of a vector's width.
var lengths = []int{1, 2, 7, 8, 9, 15, 16, 17, 31, 64, 100, 255}

func TestWideEqualsPortable(t *testing.T) {
	plain, wide := Ops{}, New(true)
	if !wide.wide {
		t.Skip("no vector instructions in this build or processor")
	}
	ops := map[string]func(Ops, []float32, []float32, []float32, []float32){
		"add":         func(o Ops, a, b, _, _ []float32) { o.Add(a, b) },
		"axpy":        func(o Ops, a, b, _, _ []float32) { o.Axpy(a, 0.3, b) },
		"scale":       func(o Ops, a, b, _, _ []float32) { o.Scale(a, 0.3, b) },
		"dot":         func(o Ops, a, b, _, _ []float32) { a[0] = o.Dot(a, b) },
		"norm":        func(o Ops, a, b, _, _ []float32) { a[0] += o.Norm(a, b) },
		"normBack":    func(o Ops, a, b, c, _ []float32) { o.NormBack(a, b, c, 0.7) },
		"relu2":       func(o Ops, a, b, _, _ []float32) { o.SquaredReLU(a, b) },
		"relu2Back":   func(o Ops, a, b, _, _ []float32) { o.SquaredReLUBack(a, b) },
		"softmax":     func(o Ops, a, b, _, _ []float32) { b[0] = float32(o.Softmax(a, 1.7)) },
		"softmaxBack": func(o Ops, a, b, _, _ []float32) { o.SoftmaxBack(a, b, 0.2) },
		"rotate":      func(o Ops, a, b, c, _ []float32) { o.Rotate(a, b, c, -1) },
		"adamw": func(o Ops, a, b, c, d []float32) {
			for i := range d {
				d[i] *= d[i]
			}
			o.AdamW(a, b, c, d, Update{Rate: 0.01, Decay: 0.1, Beta1: 0.9, Beta2: 0.95, Bias1: 0.5, Bias2: 0.3, Clip: 0.8, Eps: 1e-8})
		},
	}
	for name, op := range ops {
		for _, n := range lengths {
			var got, want [4][]float32
			for i := range got {
				got[i], want[i] = numbers(n, uint64(i)), numbers(n, uint64(i))
			}
			op(wide, got[0], got[1], got[2], got[3])
			op(plain, want[0], want[1], want[2], want[3])
			for i := range got {
				near(t, name, got[i], want[i])
			}
		}
	}
}

func TestExp(t *testing.T) {
	for x := -87.0; x <= 88; x += 0.0137 {
		got, want := float64(Exp(float32(x))), math.Exp(float64(float32(x)))
		if math.Abs(got/want-1) > 4e-7 {
			t.Fatalf("exp(%g) is %g, want %g", x, got, want)
		}
	}
	if Exp(-1e9) > 1e-37 || math.IsInf(float64(Exp(1e9)), 0) {
		t.Fatal("exp is not clamped")
	}
}

func TestSoftmaxSumsToOneAndReturnsItsLogarithm(t *testing.T) {
	for _, o := range []Ops{{}, New(true)} {
		x := numbers(77, 1)
		want := 0.0
		for _, v := range x {
			want += math.Exp(3 * float64(v))
		}
		got := o.Softmax(x, 3)
		total := 0.0
		for _, v := range x {
			total += float64(v)
		}
		if math.Abs(total-1) > 1e-5 || math.Abs(got-math.Log(want)) > 1e-5 {
			t.Fatalf("sum %g, logarithm %g, want 1 and %g", total, got, math.Log(want))
		}
	}
}

func TestRotationBackIsTheInverse(t *testing.T) {
	x, cos, sin := numbers(32, 1), make([]float32, 16), make([]float32, 16)
	for i := range cos {
		s, c := math.Sincos(float64(i))
		cos[i], sin[i] = float32(c), float32(s)
	}
	o := New(true)
	o.Rotate(x, cos, sin, 1)
	o.Rotate(x, cos, sin, -1)
	near(t, "rotation", x, numbers(32, 1))
}
