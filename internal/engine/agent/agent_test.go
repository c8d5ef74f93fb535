//go:build unix

package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
)

// TestMain makes the test binary an agent, as yard is.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "agent" {
		task, err := agent.Load(os.Args[2])
		node, _ := strconv.Atoi(os.Args[3])
		code := agent.ExitOwn
		if err == nil {
			code, err = agent.Run(task, node, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// running is an agent that a test has started.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
}

func newTask(t *testing.T, ranks int, script string) agent.Task {
	t.Helper()
	dir := t.TempDir()
	return agent.Task{
		Gang: engine.Gang{Key: "a-1", Run: "a", Nodes: 1, Ranks: ranks, Command: []string{"sh", "-c", script}},
		Dir:  filepath.Join(dir, "node"), Scratch: filepath.Join(dir, "scratch"), PerNode: ranks,
	}
}

func start(t *testing.T, task agent.Task, node int, env ...string) *running {
	t.Helper()
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
	r := &running{t: t, cmd: exec.Command(self, "agent", path, strconv.Itoa(node))}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, os.Stderr
	r.cmd.Env = append(os.Environ(), env...)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() })
	return r
}

func (r *running) wait() int {
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// eventually waits for what an agent does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if done() {
			return
		}
		<-tick.C
	}
	t.Fatalf("waited in vain for %s", what)
}

func logOf(t *testing.T, task agent.Task, rank int) string {
	t.Helper()
	log, err := ranks.OpenLog(task.Dir, rank, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	data, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func reportOf(t *testing.T, task agent.Task) agent.Report {
	t.Helper()
	report, found, err := agent.ReadReport(task.Dir)
	if err != nil || !found {
		t.Fatalf("report: found %v, %v", found, err)
	}
	return report
}

// Two nodes of a gang of five: nothing begins before the release, and every rank
// knows where it is.
func TestNodesBeginAtTheRelease(t *testing.T) {
	t.Parallel()
	task := newTask(t, 5, `echo "$RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR:$MASTER_PORT $YARD_RANK $A ${YARD_TOKEN-none}"
		[ "$RANK" = 0 ] && echo '@yard {"step": 3, "loss": 1.5}'; exit 0`)
	task.PerNode, task.Port = 3, 4711
	task.Gang.Env = map[string]string{"A": "b"}
	task.Release = filepath.Join(t.TempDir(), "release.json")
	second := task
	second.Dir, second.Scratch = filepath.Join(t.TempDir(), "node"), t.TempDir()
	agents := []*running{start(t, task, 0, "YARD_TOKEN=x"), start(t, second, 1)}
	for _, each := range []agent.Task{task, second} {
		eventually(t, "the first report", func() bool {
			_, found, err := agent.ReadReport(each.Dir)
			return found && err == nil
		})
		if report := reportOf(t, each); !report.Started.IsZero() {
			t.Errorf("started at %s, before the release", report.Started)
		}
	}
	if err := os.WriteFile(task.Release, []byte(`{"hosts": ["ho`), 0o600); err != nil { // half written
		t.Fatal(err)
	}
	if err := os.WriteFile(task.Release, []byte(`{"hosts": ["host-a", "host-b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, each := range agents {
		if code := each.wait(); code != 0 {
			t.Errorf("agent %d exited %d", i, code)
		}
	}
	for rank, where := range []agent.Task{task, task, task, second, second} {
		local, size := rank, 3
		if rank >= 3 {
			local, size = rank-3, 2
		}
		want := fmt.Sprintf("%d/5 %d/%d host-a:4711 %d b none\n", rank, local, size, rank)
		if got := logOf(t, where, rank); got != want {
			t.Errorf("rank %d: %q; want %q", rank, got, want)
		}
	}
	report := reportOf(t, task)
	if report.Progress.Step != 3 || report.Ended.Before(report.Started) || report.ExitCode != 0 || report.Host == "" {
		t.Errorf("report %+v", report)
	}
	last, _, err := ranks.ReadProgress(task.Dir)
	if err != nil || last.Loss != 1.5 {
		t.Errorf("progress %+v, %v", last, err)
	}
	if history, err := ranks.ReadHistory(task.Dir, last); err != nil || len(history) != 1 {
		t.Errorf("history %+v, %v", history, err)
	}
}

func TestStopBeforeTheRelease(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(agent.Task, *running){
		"signal": func(_ agent.Task, r *running) { _ = r.cmd.Process.Signal(syscall.SIGTERM) },
		"file":   func(task agent.Task, _ *running) { _ = ranks.RequestStop(task.Dir, time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := newTask(t, 1, "exit 3")
			task.Release = filepath.Join(t.TempDir(), "never")
			r := start(t, task, 0)
			eventually(t, "the first report", func() bool { _, found, _ := agent.ReadReport(task.Dir); return found })
			stop(task, r)
			if code := r.wait(); code != agent.ExitStopped {
				t.Errorf("exit code %d; want %d", code, agent.ExitStopped)
			}
			if report := reportOf(t, task); !report.Stopped || !report.Started.IsZero() || report.Ended.IsZero() {
				t.Errorf("report %+v; want that it was stopped before it began", report)
			}
		})
	}
}

// One rank's failure ends the others of the node, and its code is the agent's.
func TestOneFailureEndsTheNode(t *testing.T) {
	t.Parallel()
	task := newTask(t, 3, `[ "$RANK" = 1 ] && exit 7; exec sleep 600`)
	task.Report = filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(task.Report, bytes.Repeat([]byte("x"), 9000), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := start(t, task, 0).wait(); code != 7 {
		t.Errorf("exit code %d; want 7", code)
	}
	data, err := os.ReadFile(task.Report)
	if err != nil || len(data) > 4096 {
		t.Fatalf("copy of the report of %d bytes, %v", len(data), err)
	}
	copied, err := agent.ParseReport(data)
	if report := reportOf(t, task); err != nil || copied != report || report.Reason != "rank 1 exited 7" || report.Rank != 1 {
		t.Errorf("report %+v, its copy %+v, %v", report, copied, err)
	}
}

// SIGTERM goes to the ranks, which may end well on it: the gang was stopped.
func TestTermIsAStop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script, reason string
		code                 int
	}{
		{"ends well", `trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done`, "stopped by SIGTERM", agent.ExitStopped},
		{"ends badly", `trap 'echo saved; exit 9' TERM; echo ready; while :; do sleep 0.02; done`, "stopped by SIGTERM", 9},
		{"does not end", `trap 'echo saved' TERM; echo ready; while :; do sleep 0.02; done`,
			"stopped; 1 of 1 ranks had not left 50ms after SIGTERM and were killed", 137},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			task := newTask(t, 1, tt.script)
			task.TermGrace = 10 * time.Second
			if tt.code == 137 {
				task.TermGrace = 50 * time.Millisecond
			}
			r := start(t, task, 0)
			eventually(t, "the rank", func() bool { return strings.HasPrefix(logOf(t, task, 0), "ready\n") })
			if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if code := r.wait(); code != tt.code {
				t.Errorf("exit code %d; want %d", code, tt.code)
			}
			report := reportOf(t, task)
			if !report.Stopped || report.Reason != tt.reason {
				t.Errorf("report %+v; want %q", report, tt.reason)
			}
			if log := logOf(t, task, 0); !strings.Contains(log, "saved\n") {
				t.Errorf("log %q", log)
			}
		})
	}
}

// A stop asked with a long grace is shortened by a later one, from either file.
func TestStopMayBeShortened(t *testing.T) {
	t.Parallel()
	task := newTask(t, 1, `trap 'echo told' TERM; echo ready; while :; do sleep 0.02; done`)
	task.Stop = filepath.Join(t.TempDir(), "stop")
	r := start(t, task, 0)
	eventually(t, "the rank", func() bool { return logOf(t, task, 0) == "ready\n" })
	if err := ranks.RequestStop(task.Dir, time.Hour); err != nil {
		t.Fatal(err)
	}
	eventually(t, "SIGTERM", func() bool { return strings.Contains(logOf(t, task, 0), "told\n") })
	if err := os.WriteFile(task.Stop, []byte(`{"grace": 1000000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != 137 {
		t.Errorf("exit code %d; want 137", code)
	}
	if report := reportOf(t, task); !report.Stopped {
		t.Errorf("report %+v", report)
	}
}

// What ranks leave behind ends with the agent, also what left their group; and
// ranks end with an agent that is killed.
func TestNothingIsLeftBehind(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("strays are found by /proc")
	}
	t.Parallel()
	task := newTask(t, 1, `(setsid sleep 600 &) ; sleep 600 & echo $$; exit 0`)
	if code := start(t, task, 0).wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	wantNoProcess(t, task)

	task = newTask(t, 2, `echo ready; exec sleep 600`)
	r := start(t, task, 0)
	eventually(t, "the ranks", func() bool { return logOf(t, task, 0)+logOf(t, task, 1) == "ready\nready\n" })
	_ = r.cmd.Process.Kill()
	r.wait()
	eventually(t, "their end", func() bool { return len(processesOf(task)) == 0 })
}

func wantNoProcess(t *testing.T, task agent.Task) {
	t.Helper()
	if left := processesOf(task); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func processesOf(task agent.Task) []string {
	var left []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		if environ, err := os.ReadFile(file); err == nil && bytes.Contains(environ, []byte("YARD_SCRATCH="+task.Scratch+"\x00")) {
			left = append(left, file)
		}
	}
	return left
}

func TestWhatCannotStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*agent.Task)
		code   int
		reason string
	}{
		{"no such command", func(task *agent.Task) { task.Gang.Command = []string{"no-such-command"} }, 127,
			`not started: command "no-such-command" is not in PATH: file does not exist`},
		{"not a program", func(task *agent.Task) { task.Gang.Command = []string{"/etc/passwd"} }, 126,
			`not started: command "/etc/passwd": permission denied`},
		{"no such secret", func(task *agent.Task) { task.SecretFiles = map[string]string{"KEY": "/no/such"} }, agent.ExitOwn,
			"not started: the agent's own part: secret KEY: open /no/such: no such file or directory"},
		{"nobody tells where rank 0 is", func(task *agent.Task) { task.Gang.Ranks = 2 }, agent.ExitOwn,
			"not started: gang a-1 has 2 nodes, but there is neither a release nor SLURM_JOB_NODELIST to tell where rank 0 is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			task := newTask(t, 1, "echo began")
			tt.change(&task)
			if code := start(t, task, 0).wait(); code != tt.code {
				t.Errorf("exit code %d; want %d", code, tt.code)
			}
			report := reportOf(t, task)
			if report.Reason != tt.reason || !report.Started.IsZero() || report.Stopped {
				t.Errorf("report %+v; want %q", report, tt.reason)
			}
			if log := logOf(t, task, 0); log != "" {
				t.Errorf("log %q; want that nothing began", log)
			}
		})
	}
}

func TestHostsOfSlurm(t *testing.T) {
	t.Parallel()
	task := newTask(t, 2, `echo $MASTER_ADDR $MASTER_PORT $KEY`)
	task.PerNode = 1
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("v\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	task.SecretFiles = map[string]string{"KEY": secret}
	r := start(t, task, 1, "SLURM_JOB_NODELIST=n[008-009]", "SLURMD_NODENAME=n009")
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if log := logOf(t, task, 1); log != "n008 29500 v\n" {
		t.Errorf("log %q", log)
	}
	if report := reportOf(t, task); report.Host != "n009" || report.Node != 1 {
		t.Errorf("report %+v", report)
	}
}

// Without a folder, all that ranks say is on the standard output of the agent.
func TestStream(t *testing.T) {
	t.Parallel()
	task := newTask(t, 2, `echo "from $RANK"; echo "@yard {\"step\": 1$RANK}"; echo bye >&2`)
	task.Dir = ""
	task.Report = filepath.Join(t.TempDir(), "report")
	r := start(t, task, 0)
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for rank, want := range []string{"from 0\nbye\n", "from 1\nbye\n"} {
		log := ranks.Demux(io.NopCloser(bytes.NewReader(r.stdout.Bytes())), rank, 0)
		data, err := io.ReadAll(log)
		lines := strings.Count(string(data), "\n")
		if err != nil || lines != strings.Count(want, "\n") || !strings.Contains(string(data), "bye\n") || log.Next() != int64(len(want)) {
			t.Errorf("rank %d: %q, next %d, %v; want %q\n%s", rank, data, log.Next(), err, want, r.stdout.String())
		}
	}
	history, err := ranks.StreamHistory(&r.stdout)
	if err != nil || len(history) != 1 || history[0].Step != 10 || history[0].At.IsZero() {
		t.Errorf("history %+v, %v", history, err)
	}
	if data, err := os.ReadFile(task.Report); err != nil || !strings.Contains(string(data), `"step":10`) {
		t.Errorf("report %s, %v", data, err)
	}
}
