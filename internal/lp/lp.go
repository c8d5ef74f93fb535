// Package lp owns linear and mixed-integer programs as data: variables, named
// constraints, solutions, and the checks that a solution must pass before it
// is believed.
//
// It refuses to solve (lp/highs) and to know what a program is about.
package lp

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Var is a variable of one Model.
type Var int

// Row is a constraint of one Model.
type Row int

// Kind is the domain of a variable.
type Kind int

// The domains. A binary variable is an integer between 0 and 1.
const (
	Continuous Kind = iota
	Integer
)

// Term is coefficient × variable.
type Term struct {
	Var         Var
	Coefficient float64
}

type variable struct {
	name         string
	lower, upper float64
	cost         float64
	kind         Kind
}

type constraint struct {
	name         string
	lower, upper float64
	terms        []Term
}

// Model is a program: minimise Σ cost·x under lower ≤ Σ coefficient·x ≤ upper
// and the variables' own bounds. Infinite bounds are ±math.Inf. The zero Model
// is empty and ready.
type Model struct {
	variables   []variable
	constraints []constraint
	offset      float64
}

// Add adds a variable.
func (m *Model) Add(name string, lower, upper, cost float64, kind Kind) Var {
	m.variables = append(m.variables, variable{name, lower, upper, cost, kind})
	return Var(len(m.variables) - 1)
}

// Constrain adds a constraint; terms of one variable are summed.
func (m *Model) Constrain(name string, lower, upper float64, terms ...Term) Row {
	merged := make([]Term, 0, len(terms))
	at := make(map[Var]int, len(terms))
	for _, term := range terms {
		if i, seen := at[term.Var]; seen {
			merged[i].Coefficient += term.Coefficient
			continue
		}
		at[term.Var] = len(merged)
		merged = append(merged, term)
	}
	m.constraints = append(m.constraints, constraint{name, lower, upper, merged})
	return Row(len(m.constraints) - 1)
}

// AddOffset adds a constant to the objective.
func (m *Model) AddOffset(value float64) { m.offset += value }

// AddCost adds to the cost of a variable.
func (m *Model) AddCost(v Var, cost float64) { m.variables[v].cost += cost }

// Fix sets both bounds of a variable.
func (m *Model) Fix(v Var, value float64) {
	m.variables[v].lower, m.variables[v].upper = value, value
}

// Bound sets the bounds of a variable.
func (m *Model) Bound(v Var, lower, upper float64) {
	m.variables[v].lower, m.variables[v].upper = lower, upper
}

// Limit sets the bounds of a constraint.
func (m *Model) Limit(r Row, lower, upper float64) {
	m.constraints[r].lower, m.constraints[r].upper = lower, upper
}

// Limits returns the bounds of a constraint.
func (m *Model) Limits(r Row) (lower, upper float64) {
	return m.constraints[r].lower, m.constraints[r].upper
}

// Terms returns the terms of a constraint; the caller does not change them.
func (m *Model) Terms(r Row) []Term { return m.constraints[r].terms }

// Cost returns the cost of a variable.
func (m *Model) Cost(v Var) float64 { return m.variables[v].cost }

// Variables returns the number of variables.
func (m *Model) Variables() int { return len(m.variables) }

// Constraints returns the number of constraints.
func (m *Model) Constraints() int { return len(m.constraints) }

// RowName returns the name of a constraint.
func (m *Model) RowName(r Row) string { return m.constraints[r].name }

// VarName returns the name of a variable.
func (m *Model) VarName(v Var) string { return m.variables[v].name }

// IsInteger reports whether the variable is an integer one.
func (m *Model) IsInteger(v Var) bool { return m.variables[v].kind == Integer }

// HasIntegers reports whether the program is a mixed-integer one.
func (m *Model) HasIntegers() bool {
	for _, v := range m.variables {
		if v.kind == Integer {
			return true
		}
	}
	return false
}

// IsWhole reports whether all integer variables have whole values, but for the
// solver's tolerance.
func (m *Model) IsWhole(values []float64) bool {
	for i, v := range m.variables {
		if v.kind == Integer && math.Abs(values[i]-math.Round(values[i])) > 1e-6 {
			return false
		}
	}
	return true
}

// Clone returns an independent copy.
func (m *Model) Clone() *Model {
	copied := &Model{offset: m.offset}
	copied.variables = append(copied.variables, m.variables...)
	copied.constraints = append(copied.constraints, m.constraints...)
	return copied
}

// Fixed returns a copy in which every integer variable is fixed to its value,
// rounded: the linear program whose duals are the prices of that decision.
func (m *Model) Fixed(values []float64) *Model {
	fixed := m.Clone()
	for i, v := range fixed.variables {
		if v.kind == Integer {
			fixed.variables[i].kind = Continuous
			fixed.Fix(Var(i), math.Round(values[i]))
		}
	}
	return fixed
}

// Relaxed returns a copy without integers: its optimum bounds the model's.
func (m *Model) Relaxed() *Model {
	relaxed := m.Clone()
	for i := range relaxed.variables {
		relaxed.variables[i].kind = Continuous
	}
	return relaxed
}

// Validate finds what a solver would answer wrongly rather than refuse: NaN
// and infinite coefficients, crossed bounds, variables of another model. The
// error is fault.Invalid.
func (m *Model) Validate() error {
	for _, v := range m.variables {
		if !finite(v.cost) || math.IsNaN(v.lower) || math.IsNaN(v.upper) || v.lower > v.upper {
			return fault.Newf(fault.Invalid, "variable %s: cost %g, bounds %g to %g", v.name, v.cost, v.lower, v.upper)
		}
	}
	for _, c := range m.constraints {
		if math.IsNaN(c.lower) || math.IsNaN(c.upper) || c.lower > c.upper {
			return fault.Newf(fault.Invalid, "constraint %s: bounds %g to %g", c.name, c.lower, c.upper)
		}
		for _, term := range c.terms {
			if int(term.Var) < 0 || int(term.Var) >= len(m.variables) || !finite(term.Coefficient) {
				return fault.Newf(fault.Invalid, "constraint %s: term %g × variable %d", c.name, term.Coefficient, term.Var)
			}
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Objective returns the cost of the values.
func (m *Model) Objective(values []float64) float64 {
	sum := m.offset
	for i, v := range m.variables {
		sum += v.cost * values[i]
	}
	return sum
}

// Check returns the constraints, bounds and integralities that the values
// violate by more than the tolerance, relative to the size of the bound.
func (m *Model) Check(values []float64, tolerance float64) []string {
	return m.CheckIn(Scaling{}, values, tolerance)
}

// CheckIn is Check, where a row or variable is measured in the unit that a
// scaling gives it, if that is larger than one.
func (m *Model) CheckIn(s Scaling, values []float64, tolerance float64) []string {
	var violated []string
	for i, v := range m.variables {
		x, unit := values[i], s.unitOfCol(i)
		if outside(x/unit, v.lower/unit, v.upper/unit, tolerance) {
			violated = append(violated, fmt.Sprintf("%s = %g is outside %g to %g", v.name, x, v.lower, v.upper))
		}
		if v.kind == Integer && math.Abs(x-math.Round(x)) > math.Max(tolerance, 1e-5) {
			violated = append(violated, fmt.Sprintf("%s = %g is not a whole number", v.name, x))
		}
	}
	for i, c := range m.constraints {
		sum, scale := 0.0, s.unitOfRow(i)
		for _, term := range c.terms {
			part := term.Coefficient * values[term.Var]
			sum += part
			scale = math.Max(scale, math.Abs(part))
		}
		if outside(sum/scale, c.lower/scale, c.upper/scale, tolerance) {
			violated = append(violated, fmt.Sprintf("%s: %g is outside %g to %g", c.name, sum, c.lower, c.upper))
		}
	}
	return violated
}

func outside(x, lower, upper, tolerance float64) bool {
	slack := tolerance * math.Max(1, math.Abs(x))
	return !(x >= lower-slack && x <= upper+slack)
}

// Status is how a solve ended.
type Status string

// The statuses. Feasible means a limit ended the search with an incumbent.
const (
	Optimal    Status = "optimal"
	Feasible   Status = "feasible"
	Infeasible Status = "infeasible"
	Unbounded  Status = "unbounded"
	Unknown    Status = "unknown" // a limit ended the search without an incumbent
)

// Options of a solve.
type Options struct {
	RelativeGap float64       // proved gap at which to stop; 0: the solver's default
	TimeLimit   time.Duration // 0: none
	Work        float64       // deterministic limit in seconds of simulated time; 0: real time is used
	Start       []float64     // a first solution to improve on, or nil
	Basis       *Basis        // of a linear program of the same shape: where to start from, or nil
	Progress    func(Progress)
}

// Basis says where a linear program's optimum lies: which variables and
// constraints are at a limit. One of a program with the same variables and
// constraints, whatever their costs and bounds, makes the next solve short. Its
// content is the solver's own.
type Basis struct{ Cols, Rows []int32 }

// Progress of a mixed-integer search.
type Progress struct {
	Incumbent float64 // best objective so far; +Inf while there is none
	Bound     float64
	Gap       float64 // relative; +Inf while there is no incumbent
}

// Solution of a program. Values are by Var, Duals by Row; duals are those of
// the linear program, or absent for one with integers (see Model.Fixed).
type Solution struct {
	Status       Status
	Objective    float64
	Bound        float64
	Gap          float64 // relative, 0 for linear programs solved to optimality
	Values       []float64
	ReducedCosts []float64
	Duals        []float64
	Basis        *Basis // of a linear program, where the solver tells
}

// Solver solves programs. Errors are fault.Invalid for a malformed model,
// fault.Internal for an answer that fails Model.Check. When the context ends,
// the best solution so far is returned with status Feasible, or Unknown.
type Solver interface {
	Solve(ctx context.Context, m *Model, options Options) (Solution, error)
}
