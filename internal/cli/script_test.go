package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/lp/highs"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/store/sqlite"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// update rewrites the expected outputs (cmp) in the scripts.
var update = flag.Bool("update", false, "rewrite the expected outputs in testdata/script")

// TestMain makes yard a command of the scripts: the test binary itself, so
// that no build is needed and coverage counts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"yard": func() {
			os.Exit(Execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
		"meter": meter,
	})
}

// TestScripts runs testdata/script/*.txtar. Each has a home and a state
// directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(name string) (bool, error) {
			if name != "solver" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return highs.Embedded() || os.Getenv("CI") == "true", nil // CI must not skip
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("XDG_STATE_HOME", env.WorkDir+"/state")
			env.Setenv("NO_COLOR", "1")
			env.Setenv("TZ", "UTC")
			return os.MkdirAll(env.WorkDir+"/home", 0o700)
		},
	})
}

// meter books use of a run in the ledger of the state directory, as a run of
// some time ago would have left it: RUN PROJECT NODES RATE FROM HOURS
// and, where it is not USD, CURRENCY.
func meter() {
	args := os.Args[1:]
	from, err1 := time.Parse(time.RFC3339, args[4])
	nodes, err2 := strconv.Atoi(args[2])
	hours, err3 := strconv.Atoi(args[5])
	a := useOf(args[0], nodes, args[3], from, hours)
	if len(args) > 6 {
		a.Rate = units.MustRate(args[3], units.Currency(args[6]))
	}
	dir := os.Getenv("XDG_STATE_HOME") + "/yard"
	err := errors.Join(err1, err2, err3, os.MkdirAll(dir, 0o700))
	if err == nil {
		err = meterUse(dir+"/state.db", a, args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// meterUse books the whole use of an attempt in a store.
func meterUse(path string, a fleet.Attempt, project string) error {
	run := fleet.Run{ID: a.Run, Name: a.Run, Kind: "Training", Project: project, State: fleet.Succeeded, Submitted: a.Started, Ended: a.Ended}
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	err = s.Update(context.Background(), func(tx store.Tx) error {
		failures := []error{tx.PutRun(run), tx.PutAttempt(a)}
		for _, e := range ledger.UsageEntries(a, run.Project, a.Started, a.Ended, a.Ended) {
			_, err := tx.AppendEntry(e)
			failures = append(failures, err)
		}
		return errors.Join(failures...)
	})
	return errors.Join(err, s.Close())
}
