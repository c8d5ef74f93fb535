//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// TestFileSizeLimit has the kernel refuse a write in the middle of a commit,
// as a full disk does. The limit is a process's own, so a child has it.
func TestFileSizeLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), limitVictim+"="+path)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := Check(t.Context(), path); err != nil {
		t.Error(err)
	}
}

func writeToTheLimit(path string) error {
	signal.Ignore(syscall.SIGXFSZ) // then the write fails instead
	s, err := Open(bg(), path)
	if err != nil {
		return err
	}
	done, err := 0, error(nil)
	if err = limited(1<<20, func() error {
		done, err = fill(s)
		if !fault.Is(err, fault.Transient) || done == 0 {
			return fmt.Errorf("%d transactions, then %w (%s); want some, then a transient fault", done, err, fault.KindOf(err))
		}
		return wantDone(s, done)
	}); err != nil {
		return err
	}
	return errors.Join(wantDone(s, done), s.Update(bg(), big(done, 20)), wantDone(s, done+1), s.Close())
}

// limited runs fn while no file of the process may grow beyond a size.
func limited(bytes uint64, fn func() error) error {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	tight := before
	tight.Cur = bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &tight); err != nil {
		return err
	}
	return errors.Join(fn(), syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
}

func TestOnlyTheOwnerMayRead(t *testing.T) {
	dir := t.TempDir()
	path, copied, restored := filepath.Join(dir, "state.db"), filepath.Join(dir, "backup.db"), filepath.Join(dir, "restored.db")
	s := opened(t, path)
	if err := errors.Join(s.Update(bg(), sampled().put), s.Backup(bg(), copied),
		Restore(bg(), copied, restored, filepath.Join(dir, "lock"))); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + "-wal", copied, restored} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; others may read it", file, info.Mode(), err)
		}
	}
}
