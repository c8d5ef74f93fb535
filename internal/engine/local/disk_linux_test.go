package local_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// smallDisk is a file system of 1 MiB, for those who may mount one.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

// The rank fills the disk, floods its log and reports progress: it goes on, and
// its end and what was lost are recorded.
func TestFullDiskDuringTheGang(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	e := open(dir)
	enginetest.Start(t, e, enginetest.Shell("full", 1, `echo first; sleep 0.2
dd if=/dev/zero of="$YARD_SCRATCH/fill" bs=4096 2>/dev/null
seq 100000; echo '@yard {"step": 9}'; exit 3`))
	status := enginetest.Await(t, e, "full", engine.Exited)
	if status.ExitCode != 3 || status.LogLost == 0 || status.Lost || status.Progress.Step != 9 {
		t.Errorf("status %+v; want code 3, lines lost and the last progress", status)
	}
	if log, _ := enginetest.ReadLog(t, e, "full", 0, 0); log[:6] != "first\n" {
		t.Errorf("log begins %.20q; want what was written before", log)
	}
}

func TestFullDiskAtTheStart(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	fill := filepath.Join(dir, "fill")
	_ = os.WriteFile(fill, make([]byte, 2<<20), 0o600)
	e := open(dir)
	gang := enginetest.Shell("waits", 1, "echo began")
	if err := e.Start(t.Context(), gang); !fault.Is(err, fault.Transient) {
		t.Fatalf("start on a full disk: %v; want it transient", err)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	enginetest.Start(t, e, gang)
	enginetest.Await(t, e, "waits", engine.Exited)
	if log, _ := enginetest.ReadLog(t, e, "waits", 0, 0); log != "began\n" {
		t.Errorf("log %q; want one start", log)
	}
}
