package lp

// Arrays is a model in the row-wise sparse form that solvers take.
type Arrays struct {
	Offset             float64
	Cost, Lower, Upper []float64 // by variable
	RowLower, RowUpper []float64 // by constraint
	Start, Index       []int32   // row r has the entries Start[r] up to Start[r+1] or the end
	Value              []float64
	Integrality        []int32 // 1 for integer variables
}

// Arrays returns the model in sparse form.
func (m *Model) Arrays() Arrays {
	a := Arrays{Offset: m.offset}
	for _, v := range m.variables {
		a.Cost = append(a.Cost, v.cost)
		a.Lower = append(a.Lower, v.lower)
		a.Upper = append(a.Upper, v.upper)
		a.Integrality = append(a.Integrality, int32(v.kind))
	}
	for _, c := range m.constraints {
		a.Start = append(a.Start, int32(len(a.Index)))
		a.RowLower = append(a.RowLower, c.lower)
		a.RowUpper = append(a.RowUpper, c.upper)
		for _, term := range c.terms {
			a.Index = append(a.Index, int32(term.Var))
			a.Value = append(a.Value, term.Coefficient)
		}
	}
	return a
}
