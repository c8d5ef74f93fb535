package lp

import (
	"context"
	"math"
)

// Conflict returns an irreducible set of constraints of an infeasible model
// that cannot hold together: without any one of them the rest can. Only the
// candidates are looked at for removal (all constraints for nil); the others
// and the variables' bounds always hold. It is a deletion filter: one solve
// per candidate, most of them quick because chunks are dropped first. nil means
// that the model is feasible.
func Conflict(ctx context.Context, solver Solver, m *Model, candidates []Row) ([]Row, error) {
	if candidates == nil {
		for r := range m.constraints {
			candidates = append(candidates, Row(r))
		}
	}
	work := m.Clone()
	for i := range work.variables {
		work.variables[i].cost = 0 // only feasibility matters
	}
	feasible := func() (bool, error) {
		solution, err := solver.Solve(ctx, work, Options{})
		return err == nil && solution.Status != Infeasible, err
	}
	ok, err := feasible()
	if err != nil || ok {
		return nil, err
	}
	// Whole chunks that are not needed for the conflict go first; then the
	// chunks halve down to single constraints.
	kept := candidates
	for size := max(1, len(kept)/2); ; size /= 2 {
		if kept, err = dropChunks(work, m, kept, size, feasible); err != nil {
			return nil, err
		}
		if size <= 1 {
			return kept, nil
		}
	}
}

// dropChunks removes each chunk of so many rows without which the work model
// stays infeasible, and returns the rows that are left.
func dropChunks(work, m *Model, rows []Row, size int, feasible func() (bool, error)) ([]Row, error) {
	var kept []Row
	for start := 0; start < len(rows); start += size {
		chunk := rows[start:min(start+size, len(rows))]
		for _, r := range chunk {
			work.Limit(r, math.Inf(-1), math.Inf(1))
		}
		ok, err := feasible()
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		for _, r := range chunk {
			work.Limit(r, m.constraints[r].lower, m.constraints[r].upper)
		}
		kept = append(kept, chunk...)
	}
	return kept, nil
}
