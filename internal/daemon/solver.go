package daemon

import (
	"context"
	"fmt"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/lp/highs"
)

// SolverNotice says what solves where the build carries no HiGHS and the user did
// not ask for a program of the machine; empty otherwise.
func SolverNotice(external bool) string {
	if external || highs.Embedded() {
		return ""
	}
	program, err := highs.FindProgram("")
	if err != nil {
		return "" // Solver says so
	}
	return fmt.Sprintf("this build has no embedded HiGHS: %s of this machine solves, for small portfolios; "+
		"`make solver` and a rebuild embed HiGHS, --external-solver takes %[1]s without this line", program.Name())
}

// Solver returns what solves programs: the embedded HiGHS, whose compiled code
// is kept in the directory, or a program on PATH. Call release when done.
func Solver(cacheDir string, external bool) (solver lp.Solver, release func(context.Context) error, err error) {
	if external || !highs.Embedded() {
		program, err := highs.FindProgram("")
		return program, func(context.Context) error { return nil }, err
	}
	engine, err := highs.New(cacheDir)
	if err != nil {
		return nil, nil, err
	}
	return engine, engine.Close, nil
}
