package sqlite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/store/storetest"
)

// Variables that make the test binary another program: a victim of a test.
const (
	crashVictim = "YARD_TEST_CRASH_STORE"
	limitVictim = "YARD_TEST_LIMIT_STORE"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashVictim); path != "" {
		os.Exit(victim(func() error {
			s, err := Open(context.Background(), path)
			if err != nil {
				return err
			}
			return storetest.WriteForever(context.Background(), s, os.Stdout)
		}))
	}
	if path := os.Getenv(limitVictim); path != "" {
		os.Exit(victim(func() error { return writeToTheLimit(path) }))
	}
	os.Exit(m.Run())
}

func victim(run func() error) int {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestKilledAtAnyMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	storetest.Crash(t, func() *exec.Cmd {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), crashVictim+"="+path)
		command.Stderr = os.Stderr
		return command
	}, func() store.Store { return opened(t, path) })
	if _, err := Check(t.Context(), path); err != nil {
		t.Error(err)
	}
}
