package highs

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
)

func engine(t testing.TB) *Engine {
	t.Helper()
	if !Embedded() {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must run `make solver` first: the embedded solver is missing")
		}
		t.Skip("SKIPPED: no embedded solver; run `make solver`")
	}
	return shared()
}

// shared is compiled once for all tests; the process's end releases it.
var shared = sync.OnceValue(func() *Engine {
	e, err := New("")
	if err != nil {
		panic(err)
	}
	return e
})

// hedge is the planner's P4: costs 40, 50 and 60, demand 100, each at most 50
// and at least floor. Known optima: 4500 at 0, 4600 at 10.
func hedge(floor float64) *lp.Model {
	m := &lp.Model{}
	var all []lp.Term
	for i, cost := range []float64{40, 50, 60} {
		all = append(all, lp.Term{Var: m.Add(fmt.Sprint("x", i), floor, 50, cost, lp.Continuous), Coefficient: 1})
	}
	m.Constrain("demand", 100, math.Inf(1), all...)
	return m
}

func TestKnownOptimaAndDuals(t *testing.T) {
	e := engine(t)
	for _, c := range []struct{ floor, want, dual float64 }{{0, 4500, 50}, {10, 4600, 50}} {
		got, err := e.Solve(t.Context(), hedge(c.floor), lp.Options{})
		if err != nil || got.Status != lp.Optimal || math.Abs(got.Objective-c.want) > 1e-6 || got.Gap != 0 {
			t.Fatalf("floor %g: %+v, %v", c.floor, got, err)
		}
		if math.Abs(got.Duals[0]-c.dual) > 1e-6 {
			t.Errorf("floor %g: the price of demand is %g, want %g", c.floor, got.Duals[0], c.dual)
		}
	}
}

// knapsack is a mixed-integer program that takes a search.
func knapsack(n int) *lp.Model {
	m := &lp.Model{}
	for dim := range 5 {
		var terms []lp.Term
		sum := 0.0
		for i := range n {
			if dim == 0 {
				m.Add(fmt.Sprint("x", i), 0, 1, -float64(20+(i*7919)%37), lp.Integer)
			}
			weight := float64(10 + (i*(dim+3)*104729)%43)
			sum += weight
			terms = append(terms, lp.Term{Var: lp.Var(i), Coefficient: weight})
		}
		m.Constrain(fmt.Sprint("weight", dim), math.Inf(-1), math.Floor(sum/3), terms...)
	}
	return m
}

// enumerate finds the optimum of a small binary program by trying all.
func enumerate(m *lp.Model) float64 {
	best := math.Inf(1)
	values := make([]float64, m.Variables())
	for bits := range 1 << m.Variables() {
		for i := range values {
			values[i] = float64(bits >> i & 1)
		}
		if len(m.Check(values, 1e-9)) == 0 {
			best = math.Min(best, m.Objective(values))
		}
	}
	return best
}

func TestIntegerOptimumAgreesWithEnumeration(t *testing.T) {
	e := engine(t)
	for _, n := range []int{3, 8, 14} {
		m := knapsack(n)
		got, err := e.Solve(t.Context(), m, lp.Options{})
		if want := enumerate(m); err != nil || got.Status != lp.Optimal || math.Abs(got.Objective-want) > 1e-6 || got.Bound > got.Objective+1e-6 {
			t.Errorf("%d items: %+v, %v; want %g", n, got, err, want)
		}
		// The duals of the program with integers fixed price the decision.
		fixed, err := e.Solve(t.Context(), m.Fixed(got.Values), lp.Options{})
		if err != nil || fixed.Duals == nil || math.Abs(fixed.Objective-got.Objective) > 1e-6 {
			t.Errorf("fixed: %+v, %v", fixed, err)
		}
	}
}

func TestInfeasibleAndUnbounded(t *testing.T) {
	e := engine(t)
	m := hedge(0)
	m.Constrain("cap", math.Inf(-1), 60, lp.Term{Var: 0, Coefficient: 1}, lp.Term{Var: 1, Coefficient: 1}, lp.Term{Var: 2, Coefficient: 1})
	if got, err := e.Solve(t.Context(), m, lp.Options{}); err != nil || got.Status != lp.Infeasible {
		t.Errorf("%+v, %v", got, err)
	}
	free := &lp.Model{}
	free.Add("x", math.Inf(-1), math.Inf(1), 1, lp.Continuous)
	if got, err := e.Solve(t.Context(), free, lp.Options{}); err != nil || got.Status != lp.Unbounded {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConflictIsIrreducible(t *testing.T) {
	e := engine(t)
	m := hedge(0)
	for i := range 9 {
		m.Constrain(fmt.Sprint("harmless", i), math.Inf(-1), 50, lp.Term{Var: lp.Var(i % 3), Coefficient: 1})
	}
	bad := m.Constrain("cap", math.Inf(-1), 60, lp.Term{Var: 0, Coefficient: 1}, lp.Term{Var: 1, Coefficient: 1}, lp.Term{Var: 2, Coefficient: 1})
	rows, err := lp.Conflict(t.Context(), e, m, nil)
	if err != nil || !reflect.DeepEqual(rows, []lp.Row{0, bad}) {
		t.Errorf("%v, %v", rows, err)
	}
	if rows, err := lp.Conflict(t.Context(), e, hedge(0), nil); err != nil || rows != nil {
		t.Errorf("a feasible model has no conflict: %v, %v", rows, err)
	}
}

func TestDeterministicWorkLimitRepeats(t *testing.T) {
	e := engine(t)
	options := lp.Options{Work: 0.05}
	first, err := e.Solve(t.Context(), knapsack(60), options)
	if err != nil {
		t.Fatal(err)
	}
	second, err := e.Solve(t.Context(), knapsack(60), options)
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("%+v\n%+v\n%v", first, second, err)
	}
}

func TestCancelReturnsAtOnce(t *testing.T) {
	e := engine(t)
	ctx, cancel := context.WithCancel(t.Context())
	reports := 0
	got, err := e.Solve(ctx, knapsack(300), lp.Options{RelativeGap: 1e-9, Progress: func(lp.Progress) {
		reports++
		cancel()
	}})
	if err != nil || (got.Status != lp.Feasible && got.Status != lp.Unknown && got.Status != lp.Optimal) {
		t.Errorf("%v, %v", got.Status, err)
	}
	if reports == 0 {
		t.Error("no progress was reported")
	}
}

func TestWarmStartIsTaken(t *testing.T) {
	e := engine(t)
	m := knapsack(40)
	best, err := e.Solve(t.Context(), m, lp.Options{TimeLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Solve(t.Context(), m, lp.Options{Start: best.Values, Work: 0.002})
	if err != nil || again.Status == lp.Unknown || again.Objective > best.Objective+1e-6 {
		t.Errorf("%v %g, want %g: %v", again.Status, again.Objective, best.Objective, err)
	}
}

func TestMalformedModelsAreRefused(t *testing.T) {
	e := engine(t)
	nan := hedge(0)
	nan.AddCost(0, math.NaN())
	index := hedge(0)
	index.Constrain("alien", 0, 1, lp.Term{Var: 99, Coefficient: 1})
	crossed := hedge(0)
	crossed.Bound(0, 2, 1)
	for name, m := range map[string]*lp.Model{"nan": nan, "index": index, "crossed": crossed} {
		if _, err := e.Solve(t.Context(), m, lp.Options{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := e.Solve(t.Context(), &lp.Model{}, lp.Options{}); err != nil || got.Status != lp.Optimal {
		t.Errorf("empty: %+v, %v", got, err)
	}
}

func TestProgramAgrees(t *testing.T) {
	if _, err := exec.LookPath("cbc"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must install cbc (coinor-cbc)")
		}
		t.Skip("SKIPPED: no cbc program on PATH")
	}
	program, err := FindProgram(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	infeasible := hedge(0)
	infeasible.Constrain("cap", math.Inf(-1), 60, lp.Term{Var: 0, Coefficient: 1}, lp.Term{Var: 1, Coefficient: 1}, lp.Term{Var: 2, Coefficient: 1})
	for name, m := range map[string]*lp.Model{"hedge": hedge(10), "knapsack": knapsack(14), "infeasible": infeasible} {
		ours, err1 := engine(t).Solve(t.Context(), m, lp.Options{})
		theirs, err2 := program.Solve(t.Context(), m, lp.Options{})
		if err1 != nil || err2 != nil || ours.Status != theirs.Status || math.Abs(ours.Objective-theirs.Objective) > 1e-6 {
			t.Errorf("%s: %+v, %v; program %+v, %v", name, ours, err1, theirs, err2)
		}
	}
}

// A program that stops within its gap has proved no more than that.
func TestProgramsSayTheirBound(t *testing.T) {
	const cbc = "Result - Optimal solution found (within gap tolerance)\n\nObjective value:                47452.49875095\nLower bound:                    45654.437\nGap:                            0.04\n"
	const highs = "Solving report\n  Status            Optimal\n  Primal bound      47452.4987509\n  Dual bound        45654.4368254\n  Gap               3.79%\n"
	for output, want := range map[string]float64{cbc: 45654.4365, highs: 45654.4368254, "Optimal - objective value 3\n": math.Inf(-1)} {
		if got := printedBound(output); got != want && math.Abs(got-want) > 1e-9 {
			t.Errorf("got %g, want %g of\n%s", got, want, output)
		}
	}
	if _, err := exec.LookPath("cbc"); err != nil {
		return
	}
	program, err := FindProgram(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := knapsack(40)
	exact, err1 := engine(t).Solve(t.Context(), m, lp.Options{})
	loose, err2 := program.Solve(t.Context(), m, lp.Options{RelativeGap: 0.3})
	if err1 != nil || err2 != nil || loose.Bound > exact.Objective+1e-6 || loose.Objective < exact.Objective-1e-6 {
		t.Errorf("the optimum is %g; cbc within 30%% says %g to %g: %v %v", exact.Objective, loose.Bound, loose.Objective, err1, err2)
	}
}

// Chips are counted in millions: one of them must not be lost in tolerances,
// and a solver that is asked for more than float64 can do gives up.
func TestAnswersDoNotDependOnUnits(t *testing.T) {
	e := engine(t)
	fleet := func(unit float64) *lp.Model {
		m := &lp.Model{}
		var demand []lp.Term
		for i := range 12 {
			size := unit * float64(3+(i*7)%11)
			sign := m.Add("sign", 0, 1, float64(20+(i*13)%17), lp.Integer)
			chips := m.Add("chips", 0, math.Inf(1), float64(1+(i*5)%7)/unit, lp.Continuous)
			m.Constrain("needs signing", math.Inf(-1), 0, lp.Term{Var: chips, Coefficient: 1}, lp.Term{Var: sign, Coefficient: -size})
			demand = append(demand, lp.Term{Var: chips, Coefficient: 1})
		}
		m.Constrain("demand", 31*unit, math.Inf(1), demand...)
		return m
	}
	one, err := e.Solve(t.Context(), fleet(1), lp.Options{RelativeGap: 1e-9})
	if err != nil || one.Status != lp.Optimal {
		t.Fatal(one.Status, err)
	}
	for _, unit := range []float64{1e-4, 1e4, 1e8} {
		got, err := e.Solve(t.Context(), fleet(unit), lp.Options{RelativeGap: 1e-9})
		if err != nil || got.Status != lp.Optimal || math.Abs(got.Objective-one.Objective) > 1e-6*one.Objective {
			t.Errorf("in units of %g: %s %g, want %g (%v)", unit, got.Status, got.Objective, one.Objective, err)
		}
	}
}

// An answer that HiGHS itself finds to be off is mended: its whole numbers
// stay, the rest is found again.
func TestAnAnswerThatIsOffIsMended(t *testing.T) {
	e := engine(t)
	m := knapsack(8)
	x := m.Add("rest", 0, 10, 1, lp.Continuous)
	m.Constrain("at least", 4, math.Inf(1), lp.Term{Var: x, Coefficient: 1})
	good, err := e.Solve(t.Context(), m, lp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	off := good
	off.Values = append([]float64{}, good.Values...)
	off.Values[x] = 3.9
	ctx := context.WithValue(t.Context(), solveKey{}, &solve{cancelled: func() bool { return false }, started: time.Now()})
	mended, err := e.mend(ctx, m, off)
	if err != nil || math.Abs(mended.Objective-good.Objective) > 1e-9 || mended.Bound != good.Bound {
		t.Errorf("%+v, %v; want %+v", mended, err, good)
	}
	off.Values[0] = 1 - off.Values[0]
	for i := range 8 {
		off.Values[i] = 1
	}
	if _, err := e.mend(ctx, m, off); err == nil {
		t.Error("whole numbers that fit no solution were mended")
	}
}

func TestInstancesGiveTheirMemoryBack(t *testing.T) {
	e := engine(t)
	held := func() int {
		data, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip("SKIPPED: no /proc here")
		}
		var pages int
		if _, err := fmt.Sscan(string(data), &pages); err != nil {
			t.Fatal(err)
		}
		return pages * os.Getpagesize()
	}
	if _, err := e.Solve(t.Context(), hedge(0), lp.Options{}); err != nil {
		t.Fatal(err)
	}
	before := held()
	for range 30 {
		if _, err := e.Solve(t.Context(), hedge(0), lp.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if grown := held() - before; grown > ceiling {
		t.Errorf("30 solves left %d MiB of address space behind", grown>>20)
	}
}

func TestMemoryOfTheHeapGrowsAndKeepsWhatItHolds(t *testing.T) {
	m := &heapMemory{}
	copy(m.Reallocate(8), "12345678")
	if got := m.Reallocate(1 << 20); len(got) != 1<<20 || string(got[:8]) != "12345678" {
		t.Errorf("%d bytes, %q", len(got), got[:8])
	}
	if m.Reallocate(ceiling+1) != nil {
		t.Error("memory beyond the ceiling was given")
	}
	m.Free()
}

// A linear program whose shape is known starts from where another one ended:
// within a limit of work that is too small to solve it from nothing.
func TestABasisMakesTheNextSolveShort(t *testing.T) {
	e := engine(t)
	m := knapsack(400).Relaxed()
	first, err := e.Solve(t.Context(), m, lp.Options{})
	if err != nil || first.Basis == nil {
		t.Fatal(first.Basis, err)
	}
	m.Bound(3, 0, 0.5)
	const little = 0.0005
	if cold, err := e.Solve(t.Context(), m, lp.Options{Work: little}); err != nil || cold.Status == lp.Optimal {
		t.Fatalf("from nothing: %s, %v", cold.Status, err)
	}
	warm, err := e.Solve(t.Context(), m, lp.Options{Work: little, Basis: first.Basis})
	full, err2 := e.Solve(t.Context(), m, lp.Options{})
	if err != nil || err2 != nil || warm.Status != lp.Optimal || math.Abs(warm.Objective-full.Objective) > 1e-6*math.Abs(full.Objective) {
		t.Errorf("%s %g, want %g (%v, %v)", warm.Status, warm.Objective, full.Objective, err, err2)
	}
	other := hedge(0)
	if got, err := e.Solve(t.Context(), other, lp.Options{Basis: first.Basis}); err != nil || got.Status != lp.Optimal {
		t.Errorf("a basis of another shape: %s, %v", got.Status, err)
	}
}
