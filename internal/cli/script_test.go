package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/switchyard-ai/switchyard/internal/lp/highs"
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
