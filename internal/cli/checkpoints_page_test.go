//go:build unix

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckpointsPage runs the example of docs/checkpoints.md with this binary as
// yard, and compares what it says with the page.
func TestCheckpointsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/checkpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```sh\n")
	script, rest, _ := strings.Cut(example, "```\n")
	_, rest, _ = strings.Cut(rest, "```\n")
	want, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("the page has no example with its output")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "yard")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	got, err := cmd.CombinedOutput()
	if err != nil || string(got) != want {
		t.Errorf("%v, it said:\n%s\nwant:\n%s", err, got, want)
	}
}
