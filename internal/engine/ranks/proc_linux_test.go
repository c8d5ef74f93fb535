package ranks

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestHasEntry(t *testing.T) {
	environ := []byte("HOME=/root\x00YARD_SCRATCH=/a/scratch\x00TERM=\x00")
	for entry, want := range map[string]bool{
		"YARD_SCRATCH=/a/scratch": true, "HOME=/root": true, "TERM=": true,
		"": false, "YARD_SCRATCH=/a": false, "YARD_SCRATCH=": false, "SCRATCH=/a/scratch": false,
		"YARD_SCRATCH=/a/scratch/b": false, "/root": false,
	} {
		if got := hasEntry(environ, entry); got != want {
			t.Errorf("%q: %v; want %v", entry, got, want)
		}
	}
	if hasEntry(nil, "") || hasEntry(nil, "A=1") {
		t.Error("an empty environment has an entry")
	}
}

// Only the process that has the entry is found: the others on this machine,
// this one and its parent among them, are none of ours to kill.
func TestStraysAreOnlyOurs(t *testing.T) {
	entry := "YARD_SCRATCH=" + t.TempDir()
	if pids := strays(entry); len(pids) != 0 {
		t.Fatalf("strays %v before there was one", pids)
	}
	cmd := exec.Command("sleep", "600")
	cmd.Env = append(os.Environ(), entry)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if pids := strays(entry); !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("strays %v; want only %d", pids, cmd.Process.Pid)
	}
}
