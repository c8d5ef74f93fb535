//go:build unix

package local_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/local"
)

// TestMain makes the test binary its own shim, as yard is, and lets it act one
// step of yard in a process that may be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "shim" && os.Args[2] == "--dir" {
		exitWith(local.RunShim(os.Args[3], os.Stdout))
	}
	if len(os.Args) == 4 && os.Args[1] == "act" {
		exitWith(act(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

func open(dir string) *local.Engine {
	return local.New(dir, []string{self(), "shim"}, local.System)
}

type site string

func (s site) Open(*testing.T) engine.Engine { return open(string(s)) }

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) enginetest.Site { return site(t.TempDir()) })
}
