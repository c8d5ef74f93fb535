package daemon

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/lp/highs"
)

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
