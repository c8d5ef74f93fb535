package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShimRunsAGangToItsEnd(t *testing.T) {
	dir := t.TempDir()
	gang := `{"key": "a-1", "ranks": 1, "command": ["sh", "-c", "echo hello; exit 3"]}`
	if err := os.WriteFile(filepath.Join(dir, "gang.json"), []byte(gang), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := Execute(t.Context(), []string{"shim", "--dir", dir}, nil, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if stdout.String() != "ready\n" {
		t.Errorf("the shim said %q; want that it is ready", stdout.String())
	}
	exit, err := os.ReadFile(filepath.Join(dir, "exit.json"))
	if err != nil || !strings.Contains(string(exit), `"rank 0 exited 3"`) {
		t.Errorf("exit.json %s, %v; want the code of the rank", exit, err)
	}
}

func TestShimIsHiddenAndNeedsAGang(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if Execute(t.Context(), []string{"--help"}, nil, &stdout, &stderr) != exitOK || strings.Contains(stdout.String(), "shim") {
		t.Errorf("help shows the shim:\n%s", stdout.String())
	}
	if Execute(t.Context(), []string{"shim", "--dir", t.TempDir()}, nil, &stdout, &stderr) != exitFailure {
		t.Error("a folder without a gang gave no failure")
	}
}
