package calibrate

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// problem is a robust least-squares fit with Gaussian priors: parameters x are
// offsets from their priors in units of the priors' spreads, so that the
// penalty is |x|², and residuals are log(measured/predicted).
type problem struct {
	dim       int
	residuals func(x []float64) []float64
	weights   []float64             // of the rows
	scale     float64               // of a residual that counts as usual
	linear    func(j int) []float64 // the derivative by parameter j where it is known and constant, or nil
}

// tails is the number of degrees of freedom of Student's t distribution that
// residuals are taken to follow: published tables contain mistakes, and a row
// far off counts for little.
const tails = 4

// solve runs Levenberg and Marquardt's method from x, with weights of the t
// distribution set anew in each round.
func (p *problem) solve(x []float64, rounds int) []float64 {
	damping := 1e-2
	r := p.residuals(x)
	for range rounds {
		w := p.robust(r)
		normal, gradient := p.normal(x, r, w)
		improved := false
		for range 6 {
			next := p.step(x, normal, gradient, damping)
			if next == nil {
				damping *= 10
				continue
			}
			trial := p.residuals(next)
			if p.cost(next, trial, w) < p.cost(x, r, w) {
				moved := distance(x, next)
				x, r, improved = next, trial, true
				damping = max(damping/5, 1e-9)
				if moved < 1e-4 {
					return x
				}
				break
			}
			damping *= 5
		}
		if !improved {
			return x
		}
	}
	return x
}

func distance(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(sum)
}

func (p *problem) robust(r []float64) []float64 {
	w := make([]float64, len(r))
	for i, v := range r {
		z := v / p.scale
		w[i] = p.weights[i] * (tails + 1) / (tails + z*z) / p.scale / p.scale
	}
	return w
}

func (p *problem) cost(x, r, w []float64) float64 {
	sum := 0.0
	for i, v := range r {
		sum += w[i] * v * v
	}
	for _, v := range x {
		sum += v * v
	}
	return sum
}

// normal returns JᵀWJ + I and the gradient JᵀWr + x, with J by differences.
func (p *problem) normal(x, r, w []float64) (*mat.SymDense, []float64) {
	const h = 1e-3
	columns := make([][]float64, p.dim)
	for j := range columns {
		if columns[j] = p.linear(j); columns[j] != nil {
			continue
		}
		y := append([]float64(nil), x...)
		y[j] += h
		moved := p.residuals(y)
		for i := range moved {
			moved[i] = (moved[i] - r[i]) / h
		}
		columns[j] = moved
	}
	normal := mat.NewSymDense(p.dim, nil)
	gradient := make([]float64, p.dim)
	for j := range columns {
		for k := j; k < p.dim; k++ {
			sum := 0.0
			for i := range r {
				sum += columns[j][i] * w[i] * columns[k][i]
			}
			if j == k {
				sum++
			}
			normal.SetSym(j, k, sum)
		}
		gradient[j] = x[j]
		for i := range r {
			gradient[j] += columns[j][i] * w[i] * r[i]
		}
	}
	return normal, gradient
}

func (p *problem) step(x []float64, normal *mat.SymDense, gradient []float64, damping float64) []float64 {
	damped := mat.NewSymDense(p.dim, nil)
	damped.CopySym(normal)
	for j := range p.dim {
		damped.SetSym(j, j, normal.At(j, j)*(1+damping))
	}
	var chol mat.Cholesky
	if !chol.Factorize(damped) {
		return nil
	}
	var delta mat.VecDense
	if err := chol.SolveVecTo(&delta, mat.NewVecDense(p.dim, gradient)); err != nil {
		return nil
	}
	next := make([]float64, p.dim)
	for j := range next {
		next[j] = max(-4, min(4, x[j]-delta.AtVec(j))) // four spreads from a prior is out of reach
	}
	return next
}
