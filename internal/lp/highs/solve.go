package highs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
)

// tolerance is how far a constraint may be violated, relative to its terms,
// before an answer is refused; HiGHS works to 1e-7.
const tolerance = 1e-6

// Model statuses of HiGHS (HighsModelStatus, HiGHS 1.15).
const (
	statusSolveError            = 4
	statusOptimal               = 7
	statusInfeasible            = 8
	statusUnboundedOrInfeasible = 9
	statusUnbounded             = 10
	statusTimeLimit             = 13
	statusIterationLimit        = 14
	statusSolutionLimit         = 16
	statusInterrupt             = 17
)

// Solve implements lp.Solver.
func (e *Engine) Solve(ctx context.Context, m *lp.Model, options lp.Options) (lp.Solution, error) {
	if err := m.Validate(); err != nil {
		return lp.Solution{}, err
	}
	if m.Variables() == 0 {
		return constant(m), nil
	}
	if err := e.compile(); err != nil {
		return lp.Solution{}, err
	}
	running := &solve{cancelled: func() bool { return ctx.Err() != nil }, started: time.Now(), limit: options.Work}
	running.log.report = options.Progress
	// The instance must outlive the caller's context to return its incumbent,
	// so it only sees the context's values.
	inner := context.WithValue(context.WithoutCancel(ctx), solveKey{}, running)
	solution, err := e.trusted(inner, m, options, true)
	if err != nil && ctx.Err() == nil { // HiGHS gives up on some models that it solves without presolve
		solution, err = e.trusted(inner, m, options, false)
	}
	return solution, fault.Wrap(fault.Internal, err, "solver")
}

// trusted solves and checks. An answer that is not quite within the limits is
// mended: with its integers fixed, a linear program finds the rest.
func (e *Engine) trusted(ctx context.Context, m *lp.Model, options lp.Options, presolve bool) (lp.Solution, error) {
	arrays, scaling := m.Scale()
	found, err := e.attempt(ctx, m, scaled{arrays, scaling}, options, presolve)
	if err != nil {
		return found, err
	}
	solution, err := believe(m, scaling, found)
	if err == nil || !m.HasIntegers() {
		return solution, err
	}
	return e.mend(ctx, m, found)
}

func (e *Engine) mend(ctx context.Context, m *lp.Model, found lp.Solution) (lp.Solution, error) {
	rest := m.Fixed(found.Values)
	arrays, scaling := rest.Scale()
	fixed, err := e.attempt(ctx, rest, scaled{arrays, scaling}, lp.Options{}, true)
	if err != nil {
		return lp.Solution{}, err
	}
	if fixed.Values == nil {
		return lp.Solution{}, fault.New(fault.Internal, "no solution has the whole numbers of the solver's answer")
	}
	return believe(m, scaling, lp.Solution{Status: found.Status, Bound: found.Bound, Values: fixed.Values})
}

// attempt solves in an instance of its own, which is discarded with its memory.
func (e *Engine) attempt(ctx context.Context, m *lp.Model, as scaled, options lp.Options, presolve bool) (solution lp.Solution, err error) {
	in, err := e.instantiate(ctx)
	if err != nil {
		return lp.Solution{}, err
	}
	defer func() {
		if r := recover(); r != nil { // alloc: there is no memory left
			err = fmt.Errorf("%v", r)
		}
		err = errors.Join(err, in.module.Close(ctx))
	}()
	if !presolve {
		if err := in.option(ctx, "_Highs_setStringOptionValue", "presolve", in.text(ctx, "off")); err != nil {
			return lp.Solution{}, err
		}
	}
	return in.solve(ctx, m, as, options)
}

// scaled is a model as the solver sees it.
type scaled struct {
	arrays  lp.Arrays
	scaling lp.Scaling
}

// constant is the solution of a model without variables.
func constant(m *lp.Model) lp.Solution {
	objective := m.Objective(nil)
	status := lp.Optimal
	if len(m.Check(nil, tolerance)) > 0 {
		status = lp.Infeasible
	}
	return lp.Solution{Status: status, Objective: objective, Bound: objective, Duals: make([]float64, m.Constraints())}
}

// believe checks a solution against the model before anybody sees it.
func believe(m *lp.Model, units lp.Scaling, solution lp.Solution) (lp.Solution, error) {
	if solution.Values == nil {
		return solution, nil
	}
	if violated := m.CheckIn(units, solution.Values, tolerance); len(violated) > 0 {
		return lp.Solution{}, fault.Newf(fault.Internal, "the solver's answer violates %d constraints, first: %s", len(violated), violated[0])
	}
	solution.Objective = m.Objective(solution.Values)
	switch {
	case !m.HasIntegers() && solution.Status == lp.Optimal:
		solution.Bound, solution.Gap = solution.Objective, 0
	case solution.Bound >= solution.Objective: // by less than the tolerance
		solution.Bound, solution.Gap = solution.Objective, 0
	default:
		solution.Gap = (solution.Objective - solution.Bound) / math.Max(math.Abs(solution.Objective), 1e-9)
	}
	return solution, nil
}

func (in *instance) solve(ctx context.Context, m *lp.Model, as scaled, options lp.Options) (lp.Solution, error) {
	if err := in.setOptions(ctx, options); err != nil {
		return lp.Solution{}, err
	}
	solveOf(ctx).log.last.Bound = math.Inf(-1)
	if err := in.passModel(ctx, as.arrays); err != nil {
		return lp.Solution{}, err
	}
	if options.Start != nil {
		start := in.floats(ctx, as.scaling.In(options.Start))
		if _, err := in.call(ctx, "_Highs_setSolution", in.handle, start, 0, 0, 0); err != nil {
			return lp.Solution{}, err
		}
	}
	if b := options.Basis; b != nil && !m.HasIntegers() && len(b.Cols) == m.Variables() && len(b.Rows) == m.Constraints() {
		// One that does not fit is no fault: the solve starts from nothing then.
		if _, err := in.call(ctx, "_Highs_setBasis", in.handle, in.ints(ctx, b.Cols), in.ints(ctx, b.Rows)); err != nil {
			return lp.Solution{}, err
		}
	}
	code, err := in.call(ctx, "_Highs_run", in.handle)
	if err != nil {
		return lp.Solution{}, err
	}
	solution, err := in.result(ctx, m)
	if said := solveOf(ctx).log.complaint; err != nil && said != "" {
		err = fmt.Errorf("%w (%d): %s", err, int32(code), said)
	}
	clamp(solution.Values, as.arrays)
	as.scaling.Out(&solution)
	return solution, err
}

// clamp moves values that are off their bounds by no more than the solver's
// tolerance onto them; what that does to the constraints is checked with the rest.
func clamp(values []float64, a lp.Arrays) {
	for j, x := range values {
		if x < a.Lower[j] && x > a.Lower[j]-tolerance || x > a.Upper[j] && x < a.Upper[j]+tolerance {
			values[j] = min(max(x, a.Lower[j]), a.Upper[j])
		}
	}
}

func orUnknown(err error) error {
	if err == nil {
		return fault.New(fault.Internal, "unknown")
	}
	return err
}

func (in *instance) setOptions(ctx context.Context, options lp.Options) error {
	limit := options.TimeLimit.Seconds()
	if options.Work > 0 {
		limit = options.Work
	}
	if limit <= 0 {
		limit = farFuture / 2 // finite, so that cancelling passes it
	}
	if err := in.option(ctx, "_Highs_setBoolOptionValue", "output_flag", 1); err != nil {
		return err
	}
	if err := in.option(ctx, "_Highs_setIntOptionValue", "threads", 1); err != nil {
		return err
	}
	if err := in.option(ctx, "_Highs_setDoubleOptionValue", "time_limit", api.EncodeF64(limit)); err != nil {
		return err
	}
	if options.Start != nil { // a good solution is known: spend the time on the bound
		if err := in.option(ctx, "_Highs_setDoubleOptionValue", "mip_heuristic_effort", api.EncodeF64(0)); err != nil {
			return err
		}
	}
	if options.RelativeGap > 0 {
		return in.option(ctx, "_Highs_setDoubleOptionValue", "mip_rel_gap", api.EncodeF64(options.RelativeGap))
	}
	return nil
}

func (in *instance) option(ctx context.Context, function, name string, value uint64) error {
	code, err := in.call(ctx, function, in.handle, in.text(ctx, name), value)
	if err != nil || int32(code) != 0 {
		return fmt.Errorf("option %s: code %d: %w", name, int32(code), orUnknown(err))
	}
	return nil
}

func (in *instance) passModel(ctx context.Context, a lp.Arrays) error {
	const rowwise, minimise = 2, 1
	code, err := in.call(ctx, "_Highs_passMip", in.handle,
		uint64(len(a.Cost)), uint64(len(a.RowLower)), uint64(len(a.Value)), rowwise, minimise, api.EncodeF64(a.Offset),
		in.floats(ctx, a.Cost), in.floats(ctx, a.Lower), in.floats(ctx, a.Upper),
		in.floats(ctx, a.RowLower), in.floats(ctx, a.RowUpper),
		in.ints(ctx, a.Start), in.ints(ctx, a.Index), in.floats(ctx, a.Value), in.ints(ctx, a.Integrality))
	if err != nil || int32(code) < 0 {
		return fmt.Errorf("model refused with %d: %w", int32(code), orUnknown(err))
	}
	return nil
}

// result reads status, values, duals, bound and gap.
func (in *instance) result(ctx context.Context, m *lp.Model) (lp.Solution, error) {
	code, err := in.call(ctx, "_Highs_getModelStatus", in.handle)
	if err != nil {
		return lp.Solution{}, err
	}
	solution := lp.Solution{Gap: math.Inf(1), Bound: math.Inf(-1)}
	primal := in.info(ctx, "_Highs_getIntInfoValue", "primal_solution_status") // 2: feasible
	switch int32(code) {
	case statusOptimal:
		solution.Status = lp.Optimal
	case statusInfeasible:
		return lp.Solution{Status: lp.Infeasible}, nil
	case statusUnbounded, statusUnboundedOrInfeasible:
		return lp.Solution{Status: lp.Unbounded}, nil
	case statusTimeLimit, statusIterationLimit, statusSolutionLimit, statusInterrupt:
		solution.Status = lp.Feasible
		if uint32(primal) != 2 {
			solution.Status = lp.Unknown
		}
	case statusSolveError:
		// HiGHS says so where its own answer is off by more than its tolerance;
		// the answer is there, and is checked and mended like any. It no longer
		// vouches for its bound then, but printed it.
		if !m.HasIntegers() {
			return lp.Solution{}, errors.New("the solver gave up")
		}
		solution.Status, solution.Bound = lp.Feasible, solveOf(ctx).log.last.Bound
		return in.values(ctx, m, solution)
	default:
		return lp.Solution{}, fmt.Errorf("model status %d", int32(code))
	}
	if m.HasIntegers() {
		solution.Bound = math.Float64frombits(in.info(ctx, "_Highs_getDoubleInfoValue", "mip_dual_bound"))
	}
	if solution.Status == lp.Unknown {
		return solution, nil
	}
	return in.values(ctx, m, solution)
}

func (in *instance) values(ctx context.Context, m *lp.Model, solution lp.Solution) (lp.Solution, error) {
	columns, rows := m.Variables(), m.Constraints()
	colValue, colDual := in.alloc(ctx, 8*columns), in.alloc(ctx, 8*columns)
	rowValue, rowDual := in.alloc(ctx, 8*rows), in.alloc(ctx, 8*rows)
	if _, err := in.call(ctx, "_Highs_getSolution", in.handle, colValue, colDual, rowValue, rowDual); err != nil {
		return lp.Solution{}, err
	}
	solution.Values = in.readFloats(colValue, columns)
	if !m.HasIntegers() {
		solution.ReducedCosts = in.readFloats(colDual, columns)
		solution.Duals = in.readFloats(rowDual, rows)
		return in.basis(ctx, m, solution)
	}
	return solution, nil
}

// basis reads where the optimum lies.
func (in *instance) basis(ctx context.Context, m *lp.Model, solution lp.Solution) (lp.Solution, error) {
	cols, rows := in.alloc(ctx, 4*m.Variables()), in.alloc(ctx, 4*m.Constraints())
	code, err := in.call(ctx, "_Highs_getBasis", in.handle, cols, rows)
	if err == nil && int32(code) == 0 {
		solution.Basis = &lp.Basis{Cols: in.readInts(cols, m.Variables()), Rows: in.readInts(rows, m.Constraints())}
	}
	return solution, err
}

// info reads one of HiGHS' info values into a 64-bit cell.
func (in *instance) info(ctx context.Context, function, name string) uint64 {
	cell := in.alloc(ctx, 8)
	in.module.Memory().WriteUint64Le(uint32(cell), 0)
	if _, err := in.call(ctx, function, in.handle, in.text(ctx, name), cell); err != nil {
		return 0
	}
	value, _ := in.module.Memory().ReadUint64Le(uint32(cell))
	return value
}

func (in *instance) call(ctx context.Context, name string, arguments ...uint64) (result uint64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", name, r)
		}
	}()
	function := in.module.ExportedFunction(in.names[name])
	if function == nil {
		return 0, fmt.Errorf("the module has no function %s", name)
	}
	results, err := function.Call(ctx, arguments...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if len(results) > 0 {
		result = results[0]
	}
	return result, nil
}

// alloc returns zeroed or stale memory of the instance; it is freed with it.
func (in *instance) alloc(ctx context.Context, size int) uint64 {
	at, err := in.call(ctx, "_malloc", uint64(max(size, 8)))
	if err != nil || at == 0 {
		panic(fault.New(fault.Internal, "the solver is out of memory"))
	}
	return at
}

func (in *instance) write(ctx context.Context, data []byte) uint64 {
	at := in.alloc(ctx, len(data))
	if !in.module.Memory().Write(uint32(at), data) {
		panic(fault.New(fault.Internal, "solver memory"))
	}
	return at
}

func (in *instance) text(ctx context.Context, s string) uint64 {
	return in.write(ctx, append([]byte(s), 0))
}

func (in *instance) floats(ctx context.Context, values []float64) uint64 {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return in.write(ctx, data)
}

func (in *instance) ints(ctx context.Context, values []int32) uint64 {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	return in.write(ctx, data)
}

func (in *instance) readInts(at uint64, n int) []int32 {
	values := make([]int32, n)
	for i := range values {
		bits, _ := in.module.Memory().ReadUint32Le(uint32(at) + uint32(4*i))
		values[i] = int32(bits)
	}
	return values
}

func (in *instance) readFloats(at uint64, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		bits, _ := in.module.Memory().ReadUint64Le(uint32(at) + uint32(8*i))
		values[i] = math.Float64frombits(bits)
	}
	return values
}
