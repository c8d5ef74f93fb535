//go:build goexperiment.simd && amd64

package vec

import (
	"simd/archsimd"
	"unsafe"
)

// Each function here does the leading part of its slices whose length is a multiple of eight, and returns how far it got. Each ends by
// clearing the upper halves of the registers: Go's scalar code, which uses older instructions, is slower on a processor
// that must preserve them (a fifth of a training step, measured).

func hasWide() bool { return archsimd.X86.AVX2() && archsimd.X86.FMA() }

type lane = archsimd.Float32x8

func load(x []float32, i int) lane {
	return archsimd.LoadFloat32x8((*[8]float32)(unsafe.Pointer(&x[i])))
}

func store(y lane, x []float32, i int) { y.Store((*[8]float32)(unsafe.Pointer(&x[i]))) }

func all(x float32) lane { return archsimd.BroadcastFloat32x8(x) }

// sum adds the eight elements, in a fixed order.
func sum(x lane) float32 {
	four := x.GetLo().Add(x.GetHi())
	two := four.AddPairs(four)
	return two.AddPairs(two).GetElem(0)
}

func addWide(dst, x []float32) int {
	i := 0
	for ; i+8 <= len(dst); i += 8 {
		store(load(dst, i).Add(load(x, i)), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}

func axpyWide(dst []float32, a float32, x []float32) int {
	i, f := 0, all(a)
	for ; i+8 <= len(dst); i += 8 {
		store(load(x, i).MulAdd(f, load(dst, i)), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}

func scaleWide(dst []float32, a float32, x []float32) int {
	i, f := 0, all(a)
	for ; i+8 <= len(dst); i += 8 {
		store(load(x, i).Mul(f), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}

func dotWide(x, y []float32) (int, float32) {
	i := 0
	var a, b lane
	for ; i+16 <= len(x); i += 16 {
		a = load(x, i).MulAdd(load(y, i), a)
		b = load(x, i+8).MulAdd(load(y, i+8), b)
	}
	total := sum(a.Add(b))
	archsimd.ClearAVXUpperBits()
	return i, total
}

func squaredReLUWide(y, x []float32) int {
	var zero lane
	i := 0
	for ; i+8 <= len(y); i += 8 {
		r := load(x, i).Max(zero)
		store(r.Mul(r), y, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}

func squaredReLUBackWide(dy, x []float32) int {
	var zero lane
	i := 0
	for ; i+8 <= len(dy); i += 8 {
		r := load(x, i).Max(zero)
		store(load(dy, i).Mul(r.Add(r)), dy, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}

func maxWide(x []float32) (int, float32) {
	if len(x) < 8 {
		return 0, x[0]
	}
	i, top := 8, load(x, 0)
	for ; i+8 <= len(x); i += 8 {
		top = top.Max(load(x, i))
	}
	four := top.GetLo().Max(top.GetHi())
	archsimd.ClearAVXUpperBits()
	return i, max(four.GetElem(0), four.GetElem(1), four.GetElem(2), four.GetElem(3))
}

func expSumWide(x []float32, scale, shift float32) (int, float32) {
	i, s, b := 0, all(scale), all(shift)
	low, high, toBase2 := all(expLow), all(expHigh), all(log2e)
	big, small, one := all(-ln2High), all(-ln2Low), all(1)
	bias := archsimd.BroadcastInt32x8(127)
	var total lane
	for ; i+8 <= len(x); i += 8 {
		v := load(x, i).MulAdd(s, b).Max(low).Min(high)
		n := v.Mul(toBase2).RoundToEven()
		r := n.MulAdd(small, n.MulAdd(big, v))
		p := r.MulAdd(all(exp6), all(exp5))
		p = p.MulAdd(r, all(exp4))
		p = p.MulAdd(r, all(exp3))
		p = p.MulAdd(r, all(exp2))
		p = p.MulAdd(r, one)
		p = p.MulAdd(r, one)
		p = p.Mul(n.ConvertToInt32().Add(bias).ShiftAllLeft(23).AsFloat32x8())
		store(p, x, i)
		total = total.Add(p)
	}
	got := sum(total)
	archsimd.ClearAVXUpperBits()
	return i, got
}

func softmaxBackWide(dp, p []float32, mean, scale float32) int {
	i, f, m := 0, all(scale), all(mean)
	for ; i+8 <= len(dp); i += 8 {
		store(load(p, i).Mul(f).Mul(load(dp, i).Sub(m)), dp, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}

func rotateWide(lo, hi, cos, sin []float32, sign float32) int {
	i, f := 0, all(sign)
	for ; i+8 <= len(lo); i += 8 {
		c, s, x, y := load(cos, i), load(sin, i).Mul(f), load(lo, i), load(hi, i)
		store(x.Mul(c).Sub(y.Mul(s)), lo, i)
		store(y.Mul(c).Add(x.Mul(s)), hi, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}

func adamWWide(w, g, m, v []float32, u Update) int {
	clip, one1, one2 := all(u.Clip), all(1-u.Beta1), all(1-u.Beta2)
	bias1, bias2, eps := all(1/u.Bias1), all(1/u.Bias2), all(u.Eps)
	rate, keep := all(-u.Rate), all(1-u.Rate*u.Decay)
	i := 0
	for ; i+8 <= len(w); i += 8 {
		d, a, b := load(g, i).Mul(clip), load(m, i), load(v, i)
		a = d.Sub(a).MulAdd(one1, a)
		b = d.Mul(d).Sub(b).MulAdd(one2, b)
		store(a, m, i)
		store(b, v, i)
		step := a.Mul(bias1).Div(b.Mul(bias2).Sqrt().Add(eps))
		store(step.MulAdd(rate, load(w, i).Mul(keep)), w, i)
	}
	archsimd.ClearAVXUpperBits()
	return i
}
