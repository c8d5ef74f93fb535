package lp_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/lp"
)

// drawn is a program whose numbers lie many orders of magnitude apart.
func drawn(t *rapid.T) *lp.Model {
	m := &lp.Model{}
	size := func(name string) float64 {
		return math.Ldexp(rapid.Float64Range(1, 2).Draw(t, name), rapid.IntRange(-20, 25).Draw(t, name+" power"))
	}
	n := rapid.IntRange(1, 6).Draw(t, "variables")
	for range n {
		m.Add("x", 0, size("upper"), size("cost"), lp.Kind(rapid.IntRange(0, 1).Draw(t, "kind")))
	}
	for range rapid.IntRange(1, 6).Draw(t, "rows") {
		var terms []lp.Term
		for v := range n {
			if rapid.Bool().Draw(t, "in") {
				terms = append(terms, lp.Term{Var: lp.Var(v), Coefficient: size("coefficient")})
			}
		}
		m.Constrain("r", size("lower"), math.Inf(1), terms...)
	}
	return m
}

func TestScalingChangesUnitsAlone(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := drawn(r)
		plain := m.Arrays()
		scaled, s := m.Scale()
		for j, f := range s.Col {
			if plain.Integrality[j] == 1 && f != 1 {
				r.Fatalf("the whole number %d counts in units of %g", j, f)
			}
			if scaled.Cost[j] != plain.Cost[j]*f || scaled.Upper[j]*f != plain.Upper[j] {
				r.Fatalf("variable %d: cost %g, upper %g at factor %g", j, scaled.Cost[j], scaled.Upper[j], f)
			}
		}
		for i, start := range plain.Start {
			if scaled.RowLower[i] != plain.RowLower[i]*s.Row[i] {
				r.Fatalf("row %d: %g at factor %g", i, scaled.RowLower[i], s.Row[i])
			}
			if int(start) < len(plain.Value) && i+1 < len(plain.Start) && start < plain.Start[i+1] {
				if want := plain.Value[start] * s.Row[i] * s.Col[plain.Index[start]]; scaled.Value[start] != want {
					r.Fatalf("row %d: %g, want %g", i, scaled.Value[start], want)
				}
			}
		}
		values := make([]float64, m.Variables())
		for j := range values {
			values[j] = float64(j + 1)
		}
		back := lp.Solution{Values: s.In(values)}
		s.Out(&back)
		for j := range values {
			if back.Values[j] != values[j] {
				r.Fatalf("%g came back as %g", values[j], back.Values[j])
			}
		}
	})
}

func TestScalingBringsMillionsOfChipsNearToOne(t *testing.T) {
	m := &lp.Model{}
	chips := m.Add("chips", 0, math.Inf(1), 3e-5, lp.Continuous)
	sign := m.Add("sign", 0, 1, 10, lp.Integer)
	m.Constrain("demand", 9e6, math.Inf(1), lp.Term{Var: chips, Coefficient: 1})
	m.Constrain("needs signing", math.Inf(-1), 0, lp.Term{Var: chips, Coefficient: 1}, lp.Term{Var: sign, Coefficient: -2e7})
	a, _ := m.Scale()
	for k, v := range append(a.Value, a.RowLower[0]) {
		if x := math.Abs(v); x < 0.1 || x > 10 {
			t.Errorf("number %d is %g", k, v)
		}
	}
}
