package agent_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// In a container the agent is the first process: what outlives a rank becomes
// its own, and does not stay there, ended, until there is no room for more.
func TestFirstProcessOfAContainer(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err != nil || os.Getuid() != 0 {
		t.Skip("a namespace of processes needs unshare and root")
	}
	t.Parallel()
	task := newTask(t, 2, `[ "$RANK" = 1 ] && exec sleep 0.3
		for n in 1 2 3 4 5; do (sh -c 'true & exec sleep 0.1' &); done
		ended() { cat /proc/[0-9]*/stat 2>/dev/null | grep -c ' Z 1 '; }
		n=0; while [ "$(ended)" = 0 ] && [ $n -lt 200 ]; do sleep 0.02; n=$((n+1)); done; echo "some: $((n < 200))"
		n=0; while [ "$(ended)" != 0 ] && [ $n -lt 1000 ]; do sleep 0.02; n=$((n+1)); done; echo "left: $(ended)"`)
	data, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "task.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(unshare, "--pid", "--fork", "--kill-child", "--mount-proc", self, "agent", path, "0")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "unshare") {
		t.Skipf("no namespace of processes here: %s", out)
	}
	if err != nil {
		t.Errorf("the agent: %v: %s", err, out)
	}
	if log := logOf(t, task, 0); log != "some: 1\nleft: 0\n" {
		t.Errorf("log %q; want that ended processes are seen, and then taken", log)
	}
	if report := reportOf(t, task); report.ExitCode != 0 || report.Reason != "" {
		t.Errorf("report %+v", report)
	}
}
