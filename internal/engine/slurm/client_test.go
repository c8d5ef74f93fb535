//go:build unix

package slurm

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// script puts a program into a directory of its own, which it returns.
func script(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A command that hangs is ended with all that it has begun.
func TestHangingCommand(t *testing.T) {
	dir := script(t, "squeue", `sleep 600 & echo $! > "$(dirname "$0")/child"; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := client{System(dir, ""), callBound}.jobs(ctx)
		asked <- err
	}()
	var child int
	enginetest.Eventually(t, "the command has a child", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "child"))
		if err != nil || !strings.HasSuffix(string(data), "\n") {
			return false
		}
		child, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil
	})
	cancel()
	if err := <-asked; !fault.Is(err, fault.Transient) {
		t.Errorf("jobs: %v; want it transient", err)
	}
	enginetest.Eventually(t, "the child is gone", func() bool { return syscall.Kill(child, 0) != nil || isZombie(child) })
}

// isZombie reports whether a process has ended and waits for whoever inherited it.
func isZombie(pid int) bool {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, state, found := strings.Cut(string(data), ") ")
	return err == nil && found && strings.HasPrefix(state, "Z")
}

// An answer without end is cut, and is none.
func TestEndlessAnswer(t *testing.T) {
	out, errs := &clipped{most: 4}, &clipped{most: 4}
	for range 3 {
		if n, err := out.Write([]byte("abc")); n != 3 || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if _, err := errs.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if out.String() != "abca" || !out.cut || errs.String() != "abc" || errs.cut {
		t.Errorf("kept %q (%v) and %q (%v)", out, out.cut, errs, errs.cut)
	}
	dir := script(t, "squeue", "exec head -c 70000000 /dev/zero")
	_, err := client{System(dir, ""), callBound}.jobs(t.Context())
	if !fault.Is(err, fault.Transient) || !strings.Contains(err.Error(), "squeue: more than 64 MiB were answered") {
		t.Errorf("jobs: %v; want that it is too much", err)
	}
}
