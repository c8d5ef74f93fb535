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
// some time ago would have left it: RUN PROJECT NODES RATE FROM HOURS.
func meter() {
	args := os.Args[1:]
	from, err1 := time.Parse(time.RFC3339, args[4])
	nodes, err2 := strconv.Atoi(args[2])
	hours, err3 := time.ParseDuration(args[5] + "h")
	a := fleet.Attempt{
		Run: args[0], Number: 1, Epoch: 1, Pool: "aws/p5", Site: "aws", Nodes: nodes, Ranks: nodes, Chips: 8 * nodes, State: fleet.AttemptSucceeded,
		Provider: "aws", Region: "us-east-1", InstanceType: "p5.48xlarge", Option: "on-demand", Chipmaker: "nvidia", Chip: "h100-sxm",
		Rate: units.MustRate(args[3], units.USD), Created: from, Started: from, Ended: from.Add(hours), Metered: from.Add(hours),
	}
	run := fleet.Run{ID: a.Run, Name: a.Run, Kind: "Training", Project: args[1], State: fleet.Succeeded, Submitted: from, Ended: a.Ended}
	err := errors.Join(err1, err2, err3, os.MkdirAll(os.Getenv("XDG_STATE_HOME")+"/yard", 0o700))
	s, opened := sqlite.Open(context.Background(), os.Getenv("XDG_STATE_HOME")+"/yard/state.db")
	if err = errors.Join(err, opened); err == nil {
		err = s.Update(context.Background(), func(tx store.Tx) error {
			failures := []error{tx.PutRun(run), tx.PutAttempt(a)}
			for _, e := range ledger.UsageEntries(a, run.Project, a.Started, a.Ended, a.Ended) {
				_, err := tx.AppendEntry(e)
				failures = append(failures, err)
			}
			return errors.Join(failures...)
		})
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
