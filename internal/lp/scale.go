package lp

import "math"

// Scaling brings the numbers of a program near to one: solvers work to
// absolute tolerances, and 1e-6 of a chip among millions of them is beyond what
// float64 can do. Factors are powers of two, so that scaling rounds nothing.
type Scaling struct {
	Row []float64 // constraint = factor × the model's
	Col []float64 // the model's variable = factor × variable; 1 for integers
}

// passes of the alternating least squares; more change little.
const passes = 12

// Scale returns the arrays of the model, scaled: it makes the logarithms of
// coefficients, limits and bounds small in the sense of least squares. A limit
// counts as much as all coefficients of its row, since it tells how large the
// variables are.
func (m *Model) Scale() (Arrays, Scaling) {
	a := m.Arrays()
	rows, cols := make([]float64, len(a.RowLower)), make([]float64, len(a.Cost))
	for range passes {
		m.scaleRows(a, rows, cols)
		m.scaleCols(a, rows, cols)
	}
	m.scaleRows(a, rows, cols)
	s := Scaling{powers(rows), powers(cols)}
	s.apply(&a)
	return a, s
}

func (m *Model) scaleRows(a Arrays, rows, cols []float64) {
	for i := range rows {
		sum, weight := 0.0, 0.0
		for k := a.Start[i]; k < rowEnd(a, i); k++ {
			if v := math.Abs(a.Value[k]); v > 0 {
				sum += math.Log2(v) + cols[a.Index[k]]
				weight++
			}
		}
		if limit, count := sizeOf(a.RowLower[i], a.RowUpper[i]); count > 0 && weight > 0 {
			sum += weight * limit
			weight *= 2
		}
		rows[i] = 0
		if weight > 0 {
			rows[i] = -sum / weight
		}
	}
}

func (m *Model) scaleCols(a Arrays, rows, cols []float64) {
	sum, weight := make([]float64, len(cols)), make([]float64, len(cols))
	for i := range rows {
		for k := a.Start[i]; k < rowEnd(a, i); k++ {
			if v := math.Abs(a.Value[k]); v > 0 {
				sum[a.Index[k]] += math.Log2(v) + rows[i]
				weight[a.Index[k]]++
			}
		}
	}
	for j := range cols {
		if bound, count := sizeOf(a.Lower[j], a.Upper[j]); count > 0 {
			sum[j] -= bound
			weight[j]++
		}
		cols[j] = 0
		if weight[j] > 0 && m.variables[j].kind == Continuous {
			cols[j] = -sum[j] / weight[j]
		}
	}
}

func rowEnd(a Arrays, i int) int32 {
	if i+1 < len(a.Start) {
		return a.Start[i+1]
	}
	return int32(len(a.Value))
}

// sizeOf is the mean logarithm of what of two limits is finite and not zero.
func sizeOf(limits ...float64) (size float64, count int) {
	for _, x := range limits {
		if x != 0 && finite(x) {
			size += math.Log2(math.Abs(x))
			count++
		}
	}
	if count > 0 {
		size /= float64(count)
	}
	return size, count
}

// most is how far a factor may go, as a power of two: beyond it a model is
// wrong rather than badly scaled.
const most = 40

func powers(logs []float64) []float64 {
	factors := make([]float64, len(logs))
	for i, x := range logs {
		factors[i] = math.Ldexp(1, int(math.Round(math.Max(-most, math.Min(most, x)))))
	}
	return factors
}

func (s Scaling) apply(a *Arrays) {
	for j, f := range s.Col {
		a.Cost[j] *= f
		a.Lower[j] /= f
		a.Upper[j] /= f
	}
	for i, f := range s.Row {
		a.RowLower[i] *= f
		a.RowUpper[i] *= f
		for k := a.Start[i]; k < rowEnd(*a, i); k++ {
			a.Value[k] *= f * s.Col[a.Index[k]]
		}
	}
}

func (s Scaling) unitOfCol(j int) float64 {
	if s.Col == nil {
		return 1
	}
	return math.Max(s.Col[j], 1)
}

func (s Scaling) unitOfRow(i int) float64 {
	if s.Row == nil {
		return 1
	}
	return math.Max(1/s.Row[i], 1)
}

// In scales values of the model's variables.
func (s Scaling) In(values []float64) []float64 {
	scaled := make([]float64, len(values))
	for j, v := range values {
		scaled[j] = v / s.Col[j]
	}
	return scaled
}

// Out writes a scaled solution back into the model's terms.
func (s Scaling) Out(solution *Solution) {
	for j := range solution.Values {
		solution.Values[j] *= s.Col[j]
	}
	for j := range solution.ReducedCosts {
		solution.ReducedCosts[j] /= s.Col[j]
	}
	for i := range solution.Duals {
		solution.Duals[i] *= s.Row[i]
	}
}
