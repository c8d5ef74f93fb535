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
	"time"

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
	go func() {
		for ctx.Err() == nil { // until the child is there
			if data, err := os.ReadFile(filepath.Join(dir, "child")); err == nil && strings.HasSuffix(string(data), "\n") {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := client{System(dir, ""), callBound}.jobs(ctx)
	if !fault.Is(err, fault.Transient) {
		t.Errorf("jobs: %v; want it transient", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || child < 2 {
		t.Fatalf("child %q: %v", data, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if gone := syscall.Kill(child, 0) != nil || isZombie(child); gone {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", child)
		}
	}
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
