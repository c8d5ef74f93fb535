package highs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
)

// Program solves with `highs` or `cbc` on this machine, through an MPS file.
// It reports no duals. Its bound is the one that it prints.
type Program struct {
	path string
	cbc  bool
	dir  string // for the files of a solve
}

// FindProgram looks for `highs`, then `cbc`, on PATH; fault.NotFound where
// there is neither.
func FindProgram(dir string) (*Program, error) {
	for _, name := range []string{"highs", "cbc"} {
		if path, err := exec.LookPath(name); err == nil {
			return &Program{path, name == "cbc", dir}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no solver: this build has none embedded (`make solver` fetches it) and neither `highs` nor `cbc` is on PATH")
}

// Name is the program's: highs or cbc.
func (p *Program) Name() string { return filepath.Base(p.path) }

// Solve implements lp.Solver.
func (p *Program) Solve(ctx context.Context, m *lp.Model, options lp.Options) (lp.Solution, error) {
	if err := m.Validate(); err != nil {
		return lp.Solution{}, err
	}
	if m.Variables() == 0 {
		return constant(m), nil
	}
	dir, err := os.MkdirTemp(p.dir, "yard-lp-")
	if err != nil {
		return lp.Solution{}, fault.Wrap(fault.Transient, err, "solver files")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	model, answer := filepath.Join(dir, "model.mps"), filepath.Join(dir, "answer.txt")
	file, err := os.Create(model)
	if err != nil {
		return lp.Solution{}, fault.Wrap(fault.Transient, err, "solver files")
	}
	if err := errors.Join(m.WriteMPS(file), file.Close()); err != nil {
		return lp.Solution{}, fault.Wrap(fault.Transient, err, "solver files")
	}
	output, err := exec.CommandContext(ctx, p.path, p.arguments(model, answer, options)...).CombinedOutput()
	if err != nil {
		return lp.Solution{}, fault.Newf(fault.Internal, "%s: %v: %.300s", p.path, err, output)
	}
	solution, err := p.read(answer, m, printedBound(string(output)))
	if err != nil {
		return lp.Solution{}, err
	}
	return believe(m, lp.Scaling{}, solution)
}

func (p *Program) arguments(model, answer string, o lp.Options) []string {
	limit := o.TimeLimit.Seconds()
	if p.cbc {
		arguments := []string{model}
		if limit > 0 {
			arguments = append(arguments, "sec", fmt.Sprint(limit))
		}
		if o.RelativeGap > 0 {
			arguments = append(arguments, "ratio", fmt.Sprint(o.RelativeGap))
		}
		return append(arguments, "printingOptions", "all", "solve", "solution", answer)
	}
	arguments := []string{"--solution_file", answer}
	if limit > 0 {
		arguments = append(arguments, "--time_limit", fmt.Sprint(limit))
	}
	return append(arguments, model)
}

// printedBound is the last bound in what a program prints: "Lower bound: 3.14" of
// cbc, which has three decimals and may be rounded up, "Dual bound 3.14" of
// highs; −∞ where there is none.
func printedBound(output string) float64 {
	const rounding = 0.0005
	bound := math.Inf(-1)
	for line := range strings.Lines(output) {
		if text, found := strings.CutPrefix(line, "Lower bound:"); found {
			if value, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
				bound = value - rounding
			}
		}
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Dual" && fields[1] == "bound" {
			if value, err := strconv.ParseFloat(fields[2], 64); err == nil {
				bound = value
			}
		}
	}
	return bound
}

// read parses the solution file of either program; the bound is the one printed.
func (p *Program) read(path string, m *lp.Model, bound float64) (lp.Solution, error) {
	file, err := os.Open(path)
	if err != nil {
		return lp.Solution{}, fault.Wrap(fault.Internal, err, "solver answer")
	}
	defer func() { _ = file.Close() }()
	solution := lp.Solution{Status: lp.Unknown, Bound: bound, Gap: math.Inf(1)}
	values := make([]float64, m.Variables())
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimLeft(lines.Text(), "* ")
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Optimal"):
			solution.Status = lp.Optimal
		case strings.HasPrefix(line, "Infeasible"), strings.HasPrefix(line, "Integer infeasible"):
			return lp.Solution{Status: lp.Infeasible}, nil
		case strings.HasPrefix(line, "Unbounded"):
			return lp.Solution{Status: lp.Unbounded}, nil
		case strings.Contains(line, "no integer solution"):
			return lp.Solution{Status: lp.Unknown, Bound: bound, Gap: math.Inf(1)}, nil
		case strings.HasPrefix(line, "Stopped"), strings.HasPrefix(line, "Time limit"):
			solution.Status = lp.Feasible
		default:
			p.value(fields, values)
		}
	}
	if err := lines.Err(); err != nil || solution.Status == lp.Unknown {
		return solution, fault.Newf(fault.Internal, "the answer of %s cannot be read", p.path)
	}
	solution.Values = values
	if solution.Status == lp.Optimal && math.IsInf(bound, -1) { // it prints none where there is no gap
		solution.Bound, solution.Gap = m.Objective(values), 0
	}
	return solution, nil
}

// value takes a line "x12 3.5" (highs) or "4 x12 3.5 0" (cbc).
func (p *Program) value(fields []string, values []float64) {
	if p.cbc && len(fields) > 1 {
		fields = fields[1:]
	}
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "x") {
		return
	}
	index, err1 := strconv.Atoi(fields[0][1:])
	value, err2 := strconv.ParseFloat(fields[1], 64)
	if err1 == nil && err2 == nil && index >= 0 && index < len(values) {
		values[index] = value
	}
}
