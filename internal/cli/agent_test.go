//go:build unix

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAgentRunsANode(t *testing.T) {
	dir := t.TempDir()
	task := filepath.Join(dir, "task.json")
	if err := os.WriteFile(task, []byte(`{"gang": {"key": "a-1", "ranks": 4, "command": ["sh", "-c", "echo rank $RANK; exit $LOCAL_RANK"]},
		"per_node": 2, "release": "`+dir+`/release", "scratch": "`+dir+`/scratch"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/release", []byte(`{"hosts": ["a", "b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOB_COMPLETION_INDEX", "1")
	var stdout, stderr bytes.Buffer
	if code := Execute(t.Context(), []string{"agent", task}, nil, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d; want the code of rank 3, 1: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "3 rank 3\n") {
		t.Errorf("it said %q; want what rank 3 said, behind its number", stdout.String())
	}
	for _, args := range [][]string{{"agent"}, {"agent", dir + "/none"}, {"agent", task, "--node", "7"}} {
		if code := Execute(t.Context(), args, nil, &stdout, &stderr); code != exitInvalid {
			t.Errorf("%v: exit code %d; want that the input is wrong", args, code)
		}
	}
}
