// Package vec owns the loops over single-precision slices that the GPT example needs besides matrix products: norms,
// activations, softmax, rotations and the AdamW update, with their derivatives. Ops{Wide: true} takes AVX2 instructions
// where the build and the processor have them. It refuses to know of matrices, layers or goroutines.
package vec

import "math"

// Ops chooses between plain loops and vector instructions. The zero value is portable.
type Ops struct{ wide bool }

// New is the set of operations that uses vector instructions if wide is asked for and possible here.
func New(wide bool) Ops { return Ops{wide: wide && hasWide()} }

// Add adds x to dst.
func (o Ops) Add(dst, x []float32) {
	x = x[:len(dst)]
	i := 0
	if o.wide {
		i = addWide(dst, x)
	}
	for ; i < len(dst); i++ {
		dst[i] += x[i]
	}
}

// Axpy adds a·x to dst.
func (o Ops) Axpy(dst []float32, a float32, x []float32) {
	x = x[:len(dst)]
	i := 0
	if o.wide {
		i = axpyWide(dst, a, x)
	}
	for ; i < len(dst); i++ {
		dst[i] += a * x[i]
	}
}

// Scale sets dst to a·x. They may be the same slice.
func (o Ops) Scale(dst []float32, a float32, x []float32) {
	x = x[:len(dst)]
	i := 0
	if o.wide {
		i = scaleWide(dst, a, x)
	}
	for ; i < len(dst); i++ {
		dst[i] = a * x[i]
	}
}

// Dot is the inner product of x and y.
func (o Ops) Dot(x, y []float32) float32 {
	y = y[:len(x)]
	i, sum := 0, float32(0)
	if o.wide {
		i, sum = dotWide(x, y)
	}
	for ; i < len(x); i++ {
		sum += x[i] * y[i]
	}
	return sum
}

// NormEps keeps the norm of a zero row finite.
const NormEps = 1e-6

// Norm sets y to x divided by its root mean square, and returns the factor.
func (o Ops) Norm(y, x []float32) float32 {
	r := float32(1 / math.Sqrt(float64(o.Dot(x, x))/float64(len(x))+NormEps))
	o.Scale(y, r, x)
	return r
}

// NormBack adds to dx the gradient at Norm's input, given its output y, its factor r and the gradient dy at its output.
func (o Ops) NormBack(dx, dy, y []float32, r float32) {
	mean := o.Dot(dy, y) / float32(len(y))
	o.Axpy(dx, r, dy)
	o.Axpy(dx, -r*mean, y)
}

// SquaredReLU sets y to max(x, 0)².
func (o Ops) SquaredReLU(y, x []float32) {
	x = x[:len(y)]
	i := 0
	if o.wide {
		i = squaredReLUWide(y, x)
	}
	for ; i < len(y); i++ {
		r := max(x[i], 0)
		y[i] = r * r
	}
}

// SquaredReLUBack turns the gradient dy at SquaredReLU's output into that at its input x, in place.
func (o Ops) SquaredReLUBack(dy, x []float32) {
	x = x[:len(dy)]
	i := 0
	if o.wide {
		i = squaredReLUBackWide(dy, x)
	}
	for ; i < len(dy); i++ {
		dy[i] *= 2 * max(x[i], 0)
	}
}

// Softmax replaces x by the softmax of scale·x and returns the logarithm of its denominator: log Σ exp(scale·x).
func (o Ops) Softmax(x []float32, scale float32) float64 {
	top := float32(math.Inf(-1))
	i := 0
	if o.wide {
		i, top = maxWide(x)
	}
	for ; i < len(x); i++ {
		top = max(top, x[i])
	}
	sum := o.expSum(x, scale, -scale*top)
	o.Scale(x, 1/sum, x)
	return math.Log(float64(sum)) + float64(scale*top)
}

// expSum replaces x by exp(scale·x + shift) and returns the sum.
func (o Ops) expSum(x []float32, scale, shift float32) float32 {
	i, sum := 0, float32(0)
	if o.wide {
		i, sum = expSumWide(x, scale, shift)
	}
	for ; i < len(x); i++ {
		x[i] = Exp(scale*x[i] + shift)
		sum += x[i]
	}
	return sum
}

// SoftmaxBack turns the gradient dp at the softmax p of scale·x into that at x, in place.
func (o Ops) SoftmaxBack(dp, p []float32, scale float32) {
	p = p[:len(dp)]
	mean := o.Dot(dp, p)
	i := 0
	if o.wide {
		i = softmaxBackWide(dp, p, mean, scale)
	}
	for ; i < len(dp); i++ {
		dp[i] = scale * p[i] * (dp[i] - mean)
	}
}

// Rotate turns each pair (x[i], x[i+n]) of the 2n elements of x by the angle with cosine cos[i] and sine sign·sin[i].
func (o Ops) Rotate(x, cos, sin []float32, sign float32) {
	n := len(x) / 2
	lo, hi := x[:n], x[n:2*n]
	cos, sin = cos[:n], sin[:n]
	i := 0
	if o.wide {
		i = rotateWide(lo, hi, cos, sin, sign)
	}
	for ; i < n; i++ {
		c, s := cos[i], sign*sin[i]
		lo[i], hi[i] = lo[i]*c-hi[i]*s, hi[i]*c+lo[i]*s
	}
}

// Update is one step of AdamW (Loshchilov and Hutter, 2017).
type Update struct {
	Rate  float32 // learning rate
	Decay float32 // weight decay, decoupled: each step takes Rate·Decay of the weight
	Beta1 float32
	Beta2 float32
	Bias1 float32 // 1 − Beta1^step
	Bias2 float32 // 1 − Beta2^step
	Clip  float32 // factor on the gradient
	Eps   float32 // added to the denominator
}

// AdamW updates the weights w and the moments m and v by the gradient g.
func (o Ops) AdamW(w, g, m, v []float32, u Update) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	i := 0
	if o.wide {
		i = adamWWide(w, g, m, v, u)
	}
	for ; i < len(w); i++ {
		d := g[i] * u.Clip
		m[i] += (1 - u.Beta1) * (d - m[i])
		v[i] += (1 - u.Beta2) * (d*d - v[i])
		root := float32(math.Sqrt(float64(v[i] / u.Bias2)))
		w[i] -= u.Rate * (u.Decay*w[i] + m[i]/u.Bias1/(root+u.Eps))
	}
}

// Exp is e^x in single precision: 2^n times a polynomial of the remainder, from Cody and Waite, within 2 units in the
// last place. Below −87 it is e^−87, above 88 e^88.
func Exp(x float32) float32 {
	x = min(max(x, expLow), expHigh)
	n := float32(math.RoundToEven(float64(x * log2e)))
	r := x - n*ln2High
	r -= n * ln2Low
	p := float32(exp6)
	p = p*r + exp5
	p = p*r + exp4
	p = p*r + exp3
	p = p*r + exp2
	p = p*r + 1
	p = p*r + 1
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// The polynomial is Taylor's: on |r| ≤ ln2/2 its first term left out is below 1e-7 of the result.
const (
	expLow  = -87
	expHigh = 88
	log2e   = 1 / math.Ln2
	ln2High = 0.693359375 // ln 2 in few bits, so that n·ln2High is exact
	ln2Low  = math.Ln2 - ln2High
	exp2    = 1.0 / 2
	exp3    = 1.0 / 6
	exp4    = 1.0 / 24
	exp5    = 1.0 / 120
	exp6    = 1.0 / 720
)
